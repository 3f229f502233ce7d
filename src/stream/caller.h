/* SPDX-License-Identifier: Apache-2.0
 *
 * Who asks for sessions. An INIT costs some 200 us of Diffie-Hellman, so what stands in it in the
 * clear is proven first, for the cost of a hash: a MAC under a key that only its two ends share.
 * That key costs one Diffie-Hellman for each peer, and is kept; with it what the peer asked last,
 * since who recorded an INIT may repeat it.
 *
 * So a flood of INITs that were made up or repeated costs hashes, whoever they claim to be from,
 * and takes nothing from the budget of anybody else:
 *
 *   asked by                budget                                  beyond
 *   each peer               2 a second, 16 at once                  refused
 *   peers with a session    500 a second together, 1,000 at once    refused
 *   peers without one       likewise; 50 a second if no path        refused
 *                           leads to them
 *   a key to be made        as peers without a session              refused
 *
 * Of each 500 no neighbour gets more, for what comes over it, than it leaves to others (budget.h):
 * a member can make as many peers as it likes, each with a path that leads over that member.
 *
 * 16,384 keys of peers without a session are kept, of those who asked last. What such a peer asked
 * last counts for 24 h.
 */
#ifndef STREAM_CALLER_H
#define STREAM_CALLER_H

#include "stream/state.h"

#define CALLERS_MAX 16384              /* without a session; about 200 bytes each */
#define CALLER_LIFE (86400 * NS_PER_S) /* 24 h, as records fade: see docs/streams.md */
#define HANDSHAKE_BYTES_MAX 512        /* a message: 96 bytes of Noise and a hello */

struct caller {
    struct weft_peer_id id;
    uint8_t mac_key[WEFT_KEY_BYTES];
    uint64_t incarnation; /* of the newest INIT taken; of all, the highest */
    uint64_t instance;
    uint64_t epoch;
    weft_ns asked_at;   /* when that INIT was taken */
    bool is_unanswered; /* it could not be answered, and may be asked again */
    struct bucket budget;
    uint32_t refused_count; /* beyond it, in a row */
    struct list idle_link;  /* in none while a session has it */
};

/* The one of a peer, made if there is none; NULL when out of memory, or if no secret can be shared
 * with this key. Stays valid until another one is made, unless it is held. */
struct caller *caller_get(struct streams *streams, const struct weft_peer_id *peer,
                          const uint8_t link_key[WEFT_KEY_BYTES]);

/* A session has it, and no longer. Release takes NULL. */
void caller_hold(struct caller *caller);
void caller_release(struct streams *streams, struct caller *caller);

/* The MAC of an INIT between these two, whatever stands in its place. */
void caller_mac(const struct caller *caller, const struct weft_peer_id *initiator,
                const struct weft_peer_id *responder, const struct wire_packet *packet,
                uint8_t out[WIRE_INIT_MAC_BYTES]);

/* Whether an INIT that came over this neighbour is worth the work of opening it: proven to be the
 * source's, new, and within the budgets. It counts as the newest of its peer from now on. */
bool caller_may_ask(struct streams *streams, const struct weft_peer_id *source,
                    const struct weft_peer_id *neighbour, const struct wire_packet *packet,
                    weft_ns now);

/* One that may ask could not be answered, for want of memory or place or as ours goes first: the
 * same INIT may ask again, half a second later. */
void caller_not_answered(struct streams *streams, const struct weft_peer_id *source,
                         const struct wire_init *init);

/* Frees all; no session has any. Takes zeroed memory. */
void callers_fini(struct streams *streams);

#endif
