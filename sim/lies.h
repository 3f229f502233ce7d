/* SPDX-License-Identifier: Apache-2.0
 *
 * The making of lies: frames that no honest node sends. Each is a whole frame, as a link carries
 * it; what it claims is false.
 */
#ifndef SIM_LIES_H
#define SIM_LIES_H

#include "base/rng.h"
#include "sim/world.h"

/* Peers that do not exist but have keys: shared by all liars of a world. */
struct strangers;
struct strangers *strangers_new(struct rng *rng);
void strangers_free(struct strangers *strangers);

struct lie {
    struct frame *frame; /* NULL: nothing to say */
    struct frame *payload;
    enum wire_class class;
};
/* Who lies, and to whom. */
struct lie_teller {
    struct world *world;
    uint32_t node;
    uint32_t to;
    struct rng *rng;
    struct strangers *strangers;
};

/* In the name of others: unicasts, carriers, broadcasts, records with false signatures; heads and
 * pulls that claim what is not; a record of the liar's own with links it does not have. */
struct lie lie_forge(const struct lie_teller *teller);
/* Cheap to send, dear to take: records and broadcasts of strangers, heartbeats that want an answer,
 * handshakes of sessions, reconciliations of everything. */
struct lie lie_flood(const struct lie_teller *teller);
/* Not the protocol, but framed as it is, so that a link carries it. */
struct lie lie_garbage(const struct lie_teller *teller);
/* The same frame with one bit of its body flipped (a carrier's length excepted, which is the link's
 * own); the argument is not changed. */
struct frame *lie_flip(const struct frame *frame, bool is_framed, struct rng *rng);
/* Whether what a frame says is not of this node. */
bool lie_is_of_others(const struct frame *frame, const struct identity *self);

#endif
