/* SPDX-License-Identifier: Apache-2.0
 *
 * Keeping the mutual marks right: whenever a peer speaks, the marks that its former list set at the
 * far ends are taken back and those of the new list are set.
 */
#include "router/topology.h"

#include <stdlib.h>

#include "base/check.h"

#define SLOTS_FIRST 16

void topology_init(struct topology *topology, const struct weft_peer_id *self, size_t peers_max) {
    ASSERT(peers_max >= 1 && peers_max < TOPOLOGY_NONE);
    *topology = (struct topology){.self = *self, .peers_max = (uint32_t)peers_max};
}

void topology_fini(struct topology *topology) {
    for (uint32_t i = 0; i < topology->slot_count; i++) {
        free(topology->peers[i].links);
    }
    free(topology->peers);
    free(topology->order);
    *topology = (struct topology){0};
}

/* The place in `order` of the first peer whose id is not smaller. */
static uint32_t order_place(const struct topology *topology, const struct weft_peer_id *peer) {
    uint32_t low = 0;
    uint32_t high = topology->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct topology_peer *at = &topology->peers[topology->order[middle]];
        if (weft_peer_id_compare(&at->id, peer) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t topology_find(const struct topology *topology, const struct weft_peer_id *peer) {
    uint32_t place = order_place(topology, peer);
    if (place == topology->count) {
        return TOPOLOGY_NONE;
    }
    uint32_t slot = topology->order[place];
    return weft_peer_id_equal(&topology->peers[slot].id, peer) ? slot : TOPOLOGY_NONE;
}

/* The link that a peer lists to `to`, or NULL. */
static struct topology_link *link_find(const struct topology_peer *peer,
                                       const struct weft_peer_id *to) {
    uint32_t low = 0;
    uint32_t high = peer->link_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = weft_peer_id_compare(&peer->links[middle].peer, to);
        if (order == 0) {
            return &peer->links[middle];
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return NULL;
}

static size_t extra_of(uint32_t link_count) {
    return link_count > TOPOLOGY_LINKS_FREE ? link_count - TOPOLOGY_LINKS_FREE : 0;
}

static enum weft_err slots_grow(struct topology *topology) {
    uint32_t size = topology->slot_size == 0 ? SLOTS_FIRST : topology->slot_size * 2;
    size = size > topology->peers_max ? topology->peers_max : size;
    struct topology_peer *peers = realloc(topology->peers, size * sizeof *peers);
    if (peers == NULL) {
        return WEFT_ERR_MEMORY;
    }
    topology->peers = peers;
    uint32_t *order = realloc(topology->order, size * sizeof *order);
    if (order == NULL) {
        return WEFT_ERR_MEMORY; /* slot_size still tells the truth about both */
    }
    topology->order = order;
    topology->slot_size = size;
    return WEFT_OK;
}

/* A free slot: one given back, or a new one; there is one whenever count < slot_size. */
static uint32_t slot_free(struct topology *topology) {
    if (topology->slot_count == topology->count) {
        topology->slot_count++;
        return topology->slot_count - 1;
    }
    uint32_t slot = 0;
    while (topology->peers[slot].is_used) {
        slot++;
    }
    return slot;
}

static enum weft_err peer_add(struct topology *topology, const struct weft_peer_id *id,
                              uint32_t *out) {
    if (topology->count >= topology->peers_max) {
        return WEFT_ERR_FULL;
    }
    if (topology->count == topology->slot_size) {
        enum weft_err err = slots_grow(topology);
        if (err != WEFT_OK) {
            return err;
        }
    }
    uint32_t place = order_place(topology, id);
    uint32_t slot = slot_free(topology);
    topology->peers[slot] = (struct topology_peer){.id = *id, .is_used = true};
    memmove(&topology->order[place + 1], &topology->order[place],
            (topology->count - place) * sizeof *topology->order);
    topology->order[place] = slot;
    topology->count++;
    *out = slot;
    return WEFT_OK;
}

static void peer_delete(struct topology *topology, uint32_t slot) {
    uint32_t place = order_place(topology, &topology->peers[slot].id);
    topology->count--;
    memmove(&topology->order[place], &topology->order[place + 1],
            (topology->count - place) * sizeof *topology->order);
    free(topology->peers[slot].links);
    topology->peers[slot] = (struct topology_peer){0};
}

/* A list as a peer now gives it, not yet in force. */
struct word {
    struct topology_link *links;
    uint32_t link_count;
    bool is_leaving;
};

/* Appends a link if it keeps the order; costs of 0, which no decoder lets through, become 1. */
static void word_append(struct word *word, const struct weft_peer_id *owner,
                        const struct wire_peer_link *link) {
    uint32_t count = word->link_count;
    if (weft_peer_id_equal(&link->peer, owner) ||
        (count > 0 && weft_peer_id_compare(&word->links[count - 1].peer, &link->peer) >= 0)) {
        return;
    }
    word->links[count] =
        (struct topology_link){.peer = link->peer, .cost_us = link->cost_us, .slot = TOPOLOGY_NONE};
    if (link->cost_us == 0) {
        word->links[count].cost_us = 1;
    }
    word->link_count++;
}

static enum weft_err word_read(struct word *word, const struct weft_peer_id *owner,
                               const struct wire_peer_body *body) {
    struct wire_list list = body->links;
    uint32_t size = list.count < WIRE_LINKS_MAX ? list.count : WIRE_LINKS_MAX;
    *word = (struct word){.is_leaving = (body->flags & WIRE_PEER_LEAVING) != 0};
    if (size == 0) {
        return WEFT_OK;
    }
    word->links = malloc(size * sizeof *word->links);
    if (word->links == NULL) {
        return WEFT_ERR_MEMORY;
    }
    struct wire_peer_link link;
    for (uint32_t i = 0; i < size && wire_list_next_link(&list, &link); i++) {
        word_append(word, owner, &link);
    }
    return WEFT_OK;
}

/* Finds which links of the word the far ends list too. */
static void word_resolve(const struct topology *topology, struct word *word,
                         const struct weft_peer_id *owner) {
    for (uint32_t i = 0; i < word->link_count; i++) {
        uint32_t slot = topology_find(topology, &word->links[i].peer);
        if (slot != TOPOLOGY_NONE && link_find(&topology->peers[slot], owner) != NULL) {
            word->links[i].slot = slot;
        }
    }
}

static const struct topology_link *mutual_next(const struct topology_link *links, uint32_t count,
                                               uint32_t *index) {
    while (*index < count && links[*index].slot == TOPOLOGY_NONE) {
        (*index)++;
    }
    return *index < count ? &links[*index] : NULL;
}

/* Notes a mutual link that only one of the two lists has. */
static void change_note(struct topology_change *change, const struct topology *topology,
                        const struct weft_peer_id *owner, const struct weft_peer_id *far,
                        bool is_gained) {
    bool is_own =
        weft_peer_id_equal(owner, &topology->self) || weft_peer_id_equal(far, &topology->self);
    change->is_changed = true;
    change->is_own_gained |= is_own && is_gained;
    change->is_own_lost |= is_own && !is_gained;
}

/* Which of two present links has the smaller peer; one that is absent is the greater. */
static int links_compare(const struct topology_link *a, const struct topology_link *b) {
    if (a == NULL || b == NULL) {
        return a == NULL ? 1 : -1;
    }
    return weft_peer_id_compare(&a->peer, &b->peer);
}

/* Compares the mutual links of the word in force with those of the new one: both are sorted. */
static struct topology_change word_compare(const struct topology *topology,
                                           const struct topology_peer *old,
                                           const struct word *new) {
    struct topology_change change = {.is_changed = old->is_leaving != new->is_leaving};
    uint32_t i = 0;
    uint32_t j = 0;
    const struct topology_link *a = mutual_next(old->links, old->link_count, &i);
    const struct topology_link *b = mutual_next(new->links, new->link_count, &j);
    while (a != NULL || b != NULL) {
        int order = links_compare(a, b);
        if (order != 0) {
            change_note(&change, topology, &old->id, order < 0 ? &a->peer : &b->peer, order > 0);
        } else {
            change.is_changed |= a->cost_us != b->cost_us;
        }
        i += order <= 0 ? 1 : 0;
        j += order >= 0 ? 1 : 0;
        a = mutual_next(old->links, old->link_count, &i);
        b = mutual_next(new->links, new->link_count, &j);
    }
    return change;
}

/* Sets, or takes back (TOPOLOGY_NONE), the marks at the far ends of a peer's mutual links. */
static void marks_set(struct topology *topology, const struct topology_peer *peer, uint32_t mark) {
    for (uint32_t i = 0; i < peer->link_count; i++) {
        if (peer->links[i].slot == TOPOLOGY_NONE) {
            continue;
        }
        struct topology_peer *far = &topology->peers[peer->links[i].slot];
        struct topology_link *back = link_find(far, &peer->id);
        ASSERT(back != NULL);
        back->slot = mark;
        far->mutual_count += mark == TOPOLOGY_NONE ? UINT32_MAX : 1; /* modulo 2^32: minus one */
    }
}

static uint32_t mutual_count_of(const struct topology_peer *peer) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < peer->link_count; i++) {
        count += peer->links[i].slot != TOPOLOGY_NONE ? 1 : 0;
    }
    return count;
}

/* Puts a word in force; takes its list. */
static void word_apply(struct topology *topology, uint32_t slot, const struct word *word) {
    struct topology_peer *peer = &topology->peers[slot];
    marks_set(topology, peer, TOPOLOGY_NONE);
    topology->links_extra -= extra_of(peer->link_count);
    free(peer->links);
    peer->links = word->links;
    peer->link_count = word->link_count;
    peer->is_leaving = word->is_leaving;
    peer->mutual_count = mutual_count_of(peer);
    topology->links_extra += extra_of(peer->link_count);
    marks_set(topology, peer, slot);
}

static bool word_fits(const struct topology *topology, const struct weft_peer_id *owner,
                      uint32_t former_count, const struct word *word) {
    size_t extra = topology->links_extra - extra_of(former_count) + extra_of(word->link_count);
    return extra_of(word->link_count) == 0 || extra <= TOPOLOGY_LINKS_EXTRA_MAX ||
           weft_peer_id_equal(owner, &topology->self);
}

/* The owner's slot, made if it is new. */
static enum weft_err word_place(struct topology *topology, const struct weft_peer_id *owner,
                                const struct word *word, uint32_t *out) {
    uint32_t slot = topology_find(topology, owner);
    uint32_t former_count = slot != TOPOLOGY_NONE ? topology->peers[slot].link_count : 0;
    if (!word_fits(topology, owner, former_count, word)) {
        return WEFT_ERR_FULL;
    }
    *out = slot;
    return slot != TOPOLOGY_NONE ? WEFT_OK : peer_add(topology, owner, out);
}

enum weft_err topology_set(struct topology *topology, const struct weft_peer_id *peer,
                           const struct wire_peer_body *body, struct topology_change *out) {
    struct word word;
    enum weft_err err = word_read(&word, peer, body);
    uint32_t slot = TOPOLOGY_NONE;
    if (err == WEFT_OK) {
        err = word_place(topology, peer, &word, &slot);
    }
    if (err != WEFT_OK) {
        free(word.links);
        return err;
    }
    word_resolve(topology, &word, peer);
    *out = word_compare(topology, &topology->peers[slot], &word);
    word_apply(topology, slot, &word);
    return WEFT_OK;
}

struct topology_change topology_remove(struct topology *topology, const struct weft_peer_id *peer) {
    uint32_t slot = topology_find(topology, peer);
    if (slot == TOPOLOGY_NONE) {
        return (struct topology_change){0};
    }
    const struct word silence = {.is_leaving = topology->peers[slot].is_leaving};
    struct topology_change change = word_compare(topology, &topology->peers[slot], &silence);
    word_apply(topology, slot, &silence);
    peer_delete(topology, slot);
    return change;
}

/* A breadth-first walk: each slot enters the queue at most once. */
struct walk {
    uint32_t *queue;
    bool *is_seen;
    uint32_t count;
};

static void walk_enter(struct walk *walk, uint32_t slot) {
    if (!walk->is_seen[slot]) {
        walk->is_seen[slot] = true;
        walk->queue[walk->count++] = slot;
    }
}

static void walk_spread(const struct topology *topology, struct walk *walk, uint32_t from,
                        uint32_t except) {
    const struct topology_peer *peer = &topology->peers[from];
    for (uint32_t i = 0; i < peer->link_count; i++) {
        uint32_t slot = peer->links[i].slot;
        if (slot != TOPOLOGY_NONE && slot != except) {
            walk_enter(walk, slot);
        }
    }
}

static bool walk_run(const struct topology *topology, struct walk *walk, uint32_t from,
                     uint32_t to) {
    walk->is_seen[from] = true;
    walk_spread(topology, walk, from, to);
    for (uint32_t i = 0; i < walk->count && !walk->is_seen[to]; i++) {
        walk_spread(topology, walk, walk->queue[i], TOPOLOGY_NONE);
    }
    return walk->is_seen[to];
}

bool topology_is_reached_around(const struct topology *topology, uint32_t slot) {
    uint32_t from = topology_find(topology, &topology->self);
    if (from == TOPOLOGY_NONE || slot == TOPOLOGY_NONE) {
        return false;
    }
    struct walk walk = {.queue = calloc(topology->slot_count, sizeof *walk.queue),
                        .is_seen = calloc(topology->slot_count, sizeof *walk.is_seen)};
    bool is_reached =
        walk.queue != NULL && walk.is_seen != NULL && walk_run(topology, &walk, from, slot);
    free(walk.queue);
    free(walk.is_seen);
    return is_reached;
}
