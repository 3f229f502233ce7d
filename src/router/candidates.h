/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of everything worth dialling: seeds, which stay until the operator removes them, and
 * learned peers, of which a bounded, random part of the mesh is kept.
 */
#ifndef ROUTER_CANDIDATES_H
#define ROUTER_CANDIDATES_H

#include "base/map.h"
#include "router/links.h"
#include "router/target.h"

#define CANDIDATES_SEEDS_MAX 256 /* an operator's list; each costs a dial every 30 s for ever */

struct candidates {
    struct target **seeds;
    size_t seed_count;
    struct map *learned;   /* peer id -> target */
    size_t endpoint_count; /* of the learned */
    size_t endpoints_max;
};

WEFT_MUST_CHECK enum weft_err candidates_init(struct candidates *candidates, size_t endpoints_max,
                                              const struct hash_key *key);
/* Takes zeroed memory. */
void candidates_fini(struct candidates *candidates);

/* WEFT_ERR_EXISTS, WEFT_ERR_FULL, WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err candidates_add_seed(struct candidates *candidates,
                                                  const char *endpoint,
                                                  const struct weft_peer_id *peer);
void candidates_remove_seed(struct candidates *candidates, const char *endpoint);

/* Whether some seed is known to be this peer. */
bool candidates_has_seed_peer(const struct candidates *candidates, const struct weft_peer_id *peer);

/* Takes over a learned target, in place of what was known of its peer. When the table is full, one
 * newcomer in CANDIDATES_REPLACE takes a random other's place, so that neither who came first nor
 * who speaks most fills it. Returns whether the table has a new endpoint now. */
#define CANDIDATES_REPLACE 8
bool candidates_put(struct candidates *candidates, struct target *target, struct rng *rng,
                    weft_ns now);
void candidates_forget(struct candidates *candidates, const struct weft_peer_id *peer);
struct target *candidates_find(const struct candidates *candidates,
                               const struct weft_peer_id *peer);

/* Frees a target, or, while it is being dialled, marks it so that the end of the attempt does. */
void candidates_dispose(struct target *target);

#endif
