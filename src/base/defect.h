/* SPDX-License-Identifier: Apache-2.0
 *
 * Planted defects: deliberate bugs that prove that the simulator's checkers can fail. They are
 * there only in a build with -DWEFT_DEFECTS=ON, which nobody installs and no preset sets; one of
 * them is chosen at run time (weft-sim run --defect NAME). Everywhere else DEFECT is the constant
 * false and nothing of this is in a binary.
 *
 * A use is one line at the place where somebody could have got it wrong:
 *
 *   if (!DEFECT(CREDIT_IGNORED) && send->next >= send->credit) {
 *
 * tests/scenario/defects/table says which scenario catches which.
 */
#ifndef BASE_DEFECT_H
#define BASE_DEFECT_H

#include <stdbool.h>
#include <stddef.h>

struct defect {
    const char *name; /* "credit-ignored" */
    const char *what; /* a phrase: what is done wrong */
};

#ifdef WEFT_DEFECTS

/* Identifier, name, what is done wrong. */
#define DEFECT_LIST(X)                                                                             \
    X(ACK_OVER_GAP, "ack-over-gap", "acknowledge stream bytes behind a gap as if all had come")    \
    X(CREDIT_OFF_BY_ONE, "credit-off-by-one", "grant one byte more than is taken")                 \
    X(CREDIT_IGNORED, "credit-ignored", "send stream bytes beyond the credit")                     \
    X(FIN_EARLY, "fin-early", "end a stream when its end came, before its last bytes did")         \
    X(FIN_DROPPED, "fin-dropped", "not say again that a stream ends with resent bytes")            \
    X(RESENT_MISPLACED, "resent-misplaced", "resend bytes one offset further")                     \
    X(LOST_FORGOTTEN, "lost-forgotten", "never resend what was found lost")                        \
    X(HOLD_SKIPPED, "hold-skipped", "reset streams as soon as no path is known")                   \
    X(REPLAY_UNCHECKED, "replay-unchecked", "take sealed packets that came before")                \
    X(NUMBER_REUSED, "number-reused", "seal some packets under the number of the last")            \
    X(MESSAGE_TWICE, "message-twice", "deliver some messages twice")                               \
    X(UNBLOCK_FORGOTTEN, "unblock-forgotten", "leave streams blocked when a link has room again")  \
    X(PATH_CHANGE_UNTOLD, "path-change-untold", "not tell streams that their path changed")        \
    X(HOPS_KEPT, "hops-kept", "forward without taking a hop off the limit")                        \
    X(SILENCE_DOUBLED, "silence-doubled", "wait twice as long for a silent peer")                  \
    X(SILENCE_KEPT, "silence-kept", "keep the link to a silent peer for ever")                     \
    X(STALL_BLAMED, "stall-blamed", "blame peers for a stall of our own")                          \
    X(BEAT_WAITS, "beat-waits", "let heartbeats wait behind messages")                             \
    X(LOSS_UNTOLD, "loss-untold", "not tell the mesh that a link was lost")                        \
    X(DEPARTED_KEPT, "departed-kept", "keep the routes and addresses of a faded peer")             \
    X(WITHDRAWAL_UNTOLD, "withdrawal-untold", "keep a withdrawn service announced")                \
    X(LEAVE_ABRUPT, "leave-abrupt", "leave without waiting for streams to end")                    \
    X(RECORD_UNSIGNED, "record-unsigned", "take records without checking signatures")              \
    X(BROADCAST_UNSIGNED, "broadcast-unsigned", "take broadcasts without checking signatures")     \
    X(BROADCAST_REPEATED, "broadcast-repeated", "deliver broadcasts that were delivered before")   \
    X(RAISE_FORGOTTEN, "raise-forgotten", "not raise our version above one we heard")              \
    X(VERSION_WRAPS, "version-wraps", "compare versions by their low four bits")                   \
    X(TOMBSTONE_IGNORED, "tombstone-ignored", "keep a record although its tombstone came")         \
    X(SYNC_SKIPS, "sync-skips", "leave some records out of whatever is reconciled")                \
    X(DIALS_GIVEN_UP, "dials-given-up", "never dial again after three rounds of failures")         \
    X(FLAPS_UNCOUNTED, "flaps-uncounted", "tell of a node's links however often it went and came")

enum defect_id {
    DEFECT_NONE,
#define DEFECT_ID(id, name, what) DEFECT_##id,
    DEFECT_LIST(DEFECT_ID)
#undef DEFECT_ID
        DEFECT_COUNT
};

/* The one chosen. The only mutable state of file scope in the tree, and only in such a build. */
extern enum defect_id defect_chosen;

#define DEFECT(id) (defect_chosen == DEFECT_##id)

/* Chooses one for the rest of the process; false when there is none of that name. */
bool defect_choose(const char *name);
/* All of them; how many. */
size_t defect_list(const struct defect **out);

#else

#define DEFECT(id) false

static inline bool defect_choose(const char *name) {
    (void)name;
    return false;
}

static inline size_t defect_list(const struct defect **out) {
    *out = NULL;
    return 0;
}

#endif

#endif
