/* SPDX-License-Identifier: Apache-2.0
 *
 * The graph as known: what each peer last said about its own links. A link is *mutual*, and counts,
 * when both ends list it; that is found out when the second of the two speaks, so that a
 * computation need not look anything up.
 *
 * Neighbours that we have no word from stay ids in the list of who claims them: a record with a
 * thousand invented links costs 24 kB, no node, and nothing in a computation (T11).
 *
 *    order:  by id   [ 2 0 3 ]          slots are stable, ranks are not
 *                      | | |
 *    peers:  by slot [ a - b ... ]  ->  links of a: { id, cost, slot of the far end if mutual }, by
 * id
 */
#ifndef ROUTER_TOPOLOGY_H
#define ROUTER_TOPOLOGY_H

#include "wire/record.h"

#define TOPOLOGY_NONE UINT32_MAX

/* Links that any peer may list whatever the others do: eight times the usual degree. */
#define TOPOLOGY_LINKS_FREE 64
/* Links beyond the free ones, of all peers together: a full mesh of 500, or 273 liars at 1,024
 * links each; 6 MB. A record that needs more is refused. Our own never is. */
#define TOPOLOGY_LINKS_EXTRA_MAX ((size_t)1 << 18)

struct topology_link {
    struct weft_peer_id peer;
    uint32_t cost_us; /* as its owner says */
    uint32_t slot;    /* of the far end if that lists us too, else TOPOLOGY_NONE */
};

struct topology_peer {
    struct weft_peer_id id;
    struct topology_link *links; /* in increasing order of peer */
    uint32_t link_count;
    uint32_t mutual_count;
    uint32_t rank; /* scratch of whoever numbers the peers */
    bool is_used;  /* false: a free slot */
    bool is_leaving;
    bool is_attached; /* attach.h */
};

struct topology {
    struct weft_peer_id self;
    struct topology_peer *peers; /* by slot */
    uint32_t slot_count;         /* slots ever used */
    uint32_t slot_size;
    uint32_t *order; /* slots of the used, by increasing id */
    uint32_t count;
    uint32_t peers_max;
    size_t links_extra;
};

/* What a new word changed in the graph. */
struct topology_change {
    bool is_changed;    /* a mutual link, the cost of one, or a leave */
    bool is_own_lost;   /* a mutual link of ours is gone */
    bool is_own_gained; /* a mutual link of ours is new */
};

void topology_init(struct topology *topology, const struct weft_peer_id *self, size_t peers_max);
/* Takes zeroed memory. */
void topology_fini(struct topology *topology);

/* Replaces what `peer` said. A list out of order loses its disordered part, a link to oneself is
 * left out. WEFT_ERR_FULL, WEFT_ERR_MEMORY: nothing changed. */
WEFT_MUST_CHECK enum weft_err topology_set(struct topology *topology,
                                           const struct weft_peer_id *peer,
                                           const struct wire_peer_body *body,
                                           struct topology_change *out);

/* Forgets what `peer` said; nothing happens if it said nothing. */
struct topology_change topology_remove(struct topology *topology, const struct weft_peer_id *peer);

/* The slot of a peer we have word from, or TOPOLOGY_NONE. Cost: a binary search. */
uint32_t topology_find(const struct topology *topology, const struct weft_peer_id *peer);

/* Whether a path of mutual links leads from us to `slot` that does not begin with our own link to
 * it. False when out of memory: the careful answer. */
bool topology_is_reached_around(const struct topology *topology, uint32_t slot);

#endif
