/* SPDX-License-Identifier: Apache-2.0
 *
 * The graph as known: what each peer last said about its own links, by reference to words that all
 * cores of a process share. Nothing is kept of a link here but how many of a peer's are *mutual*:
 * whether one is, and counts, which it does when both ends list it, is looked up in the two words.
 * A changed word is compared with the former one, and only the far ends of links that differ are
 * looked up.
 *
 * Neighbours that we have no word from stay ids in the words of who claims them: a record with a
 * thousand invented links costs 20 kB, no node, and nothing in a computation (T11).
 *
 * Beside its word each peer has a parent: the forest of attach.h, by which we know who is reached.
 *
 *    words:   by slot  [ a - b ... ]    a peer's slot is its number in a table of ids, which the
 * cores parents: by slot  [ 0 - 0 ... ]    of a process share; 14 bytes a peer besides degrees: by
 * slot  [ 1 - 1 ... ]
 */
#ifndef ROUTER_TOPOLOGY_H
#define ROUTER_TOPOLOGY_H

#include "base/ring.h"
#include "router/pool.h"
#include "wire/word.h"

#define TOPOLOGY_NONE UINT32_MAX

/* Links that any peer may list whatever the others do: eight times the usual degree. */
#define TOPOLOGY_LINKS_FREE 64
/* Links beyond the free ones, of all peers together: a full mesh of 500, or 273 liars at 1,024
 * links each; 5 MB. A record that needs more is refused. Our own never is. */
#define TOPOLOGY_LINKS_EXTRA_MAX ((size_t)1 << 18)

/* Whose rows of a frozen graph differ since it was frozen; beyond the bound, or when peers came or
 * went, it is frozen anew. */
#define TOPOLOGY_EDITS_MAX 16
struct topology_edits {
    uint32_t slots[TOPOLOGY_EDITS_MAX];
    uint32_t count;
    bool is_anew;
};

struct topology {
    struct weft_peer_id self;
    struct peer_table *peers; /* says which slot is whose: the pool's, or our own */
    struct peer_table own_peers;
    struct wire_word **words; /* by slot; NULL: a free slot */
    uint32_t *parents;        /* by slot, attach.h; TOPOLOGY_NONE of a free slot */
    uint16_t *degrees;        /* by slot: mutual links */
    uint32_t slot_count;      /* slots ever used are below */
    uint32_t slot_size;
    uint32_t count;
    uint32_t peers_max;
    uint32_t self_slot; /* TOPOLOGY_NONE before we spoke */
    size_t links_extra;

    uint32_t attached_count; /* with ourselves */
    uint32_t orphan_count;   /* of those: whose parent was lost and who wait for attach_settle */
    uint32_t *orphans; /* their slots in the order they were orphaned, and some that are not */
    uint32_t listed_count;
    uint32_t listed_size;
    bool has_unlisted; /* memory was too short to list them all */
    bool has_missed;   /* memory was too short to attach all that came */
    struct ring reach; /* struct topology_reach: who was newly attached or lost, in order */
    struct topology_edits edits;
    struct graph_pool *pool; /* or NULL */
    struct graph_key key;    /* with a pool: the sum of the tags of the attached's words */
};

/* A peer that came to be reached or is no more. */
struct topology_reach {
    struct weft_peer_id peer;
    bool is_reached;
};

/* What a new word changed in the graph. */
struct topology_change {
    bool is_changed;    /* a mutual link, the cost of one, or a leave */
    bool is_lost;       /* a mutual link is gone */
    bool is_own_lost;   /* a mutual link of ours is gone */
    bool is_own_gained; /* a mutual link of ours is new */
    bool is_next_going; /* who lists us says for the first time that it leaves */
};

struct topology_config {
    struct weft_peer_id self;
    struct hash_key hash_key;
    size_t peers_max;
    struct graph_pool *pool; /* NULL: none */
};
void topology_init(struct topology *topology, const struct topology_config *config);
/* Takes zeroed memory. */
void topology_fini(struct topology *topology);

/* Replaces what the word's owner said, by reference, and tends the forest: who is newly attached is
 * queued. WEFT_ERR_FULL, WEFT_ERR_MEMORY: nothing changed. Cost: the links that differ. */
WEFT_MUST_CHECK enum weft_err topology_set(struct topology *topology, struct wire_word *word,
                                           struct topology_change *out);

/* Forgets what `peer` said; nothing happens if it said nothing. */
struct topology_change topology_remove(struct topology *topology, const struct weft_peer_id *peer);

/* Gives back what a crowd that came at once needed in the queue, which is empty. */
void topology_reach_trim(struct topology *topology);

/* The slot of a peer we have word from, or TOPOLOGY_NONE. Cost: a look into a hash table. */
uint32_t topology_find(const struct topology *topology, const struct weft_peer_id *peer);

/* The far end of a link of `slot`, if that lists `slot` too; else TOPOLOGY_NONE. */
uint32_t topology_far(const struct topology *topology, uint32_t slot, uint32_t link);

#endif
