/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of everything worth dialling: seeds, which stay until the operator removes them, and
 * learned peers, of which a bounded, random part of the mesh is kept.
 */
#ifndef ROUTER_CANDIDATES_H
#define ROUTER_CANDIDATES_H

#include "base/rng.h"
#include "router/links.h"
#include "router/target.h"

#define CANDIDATES_SEEDS_MAX 256 /* an operator's list; each costs a dial every 30 s for ever */

/* The learned are few and looked for with every record that is heard: their ids' heads stand side
 * by side, so that a search from end to end reads a kilobyte and no target. */
struct candidates {
    struct target **seeds;
    size_t seed_count;
    struct target **learned; /* in the order they came */
    uint64_t *heads;         /* of their ids */
    size_t learned_count;
    size_t learned_size;
    size_t endpoint_count; /* of the learned */
    size_t endpoints_max;
};

void candidates_init(struct candidates *candidates, size_t endpoints_max);
/* Takes zeroed memory. */
void candidates_fini(struct candidates *candidates);

/* WEFT_ERR_EXISTS, WEFT_ERR_FULL, WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err candidates_add_seed(struct candidates *candidates,
                                                  const char *endpoint,
                                                  const struct weft_peer_id *peer);
void candidates_remove_seed(struct candidates *candidates, const char *endpoint);

/* Whether some seed is known to be this peer. */
bool candidates_has_seed_peer(const struct candidates *candidates, const struct weft_peer_id *peer);

/* Whether what a peer's record lists is worth a target: always of one in the table, and while there
 * is room; when it is full, of one newcomer in CANDIDATES_REPLACE, so that neither who came first
 * nor who speaks most fills it. */
#define CANDIDATES_REPLACE 8
bool candidates_wants(const struct candidates *candidates, const struct weft_peer_id *peer,
                      struct rng *rng);

/* Takes over a learned target, in place of what was known of its peer; when the table is full, of
 * random others. Returns whether the table has a new endpoint now. */
bool candidates_put(struct candidates *candidates, struct target *target, struct rng *rng,
                    weft_ns now);
void candidates_forget(struct candidates *candidates, const struct weft_peer_id *peer);
struct target *candidates_find(const struct candidates *candidates,
                               const struct weft_peer_id *peer);

/* Frees a target, or, while it is being dialled, marks it so that the end of the attempt does. */
void candidates_dispose(struct target *target);

#endif
