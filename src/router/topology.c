/* SPDX-License-Identifier: Apache-2.0
 *
 * Keeping the words, and finding what a new one changes.
 */
#include "router/topology.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/peer_id.h"
#include "router/attach.h"

#define SLOTS_FIRST 16
/* What the queue of news may keep at rest. */
#define REACH_KEPT 64

void topology_init(struct topology *topology, const struct topology_config *config) {
    ASSERT(config->peers_max >= 1 && config->peers_max < ATTACH_ORPHAN);
    *topology = (struct topology){.self = config->self,
                                  .peers_max = (uint32_t)config->peers_max,
                                  .self_slot = TOPOLOGY_NONE,
                                  .pool = config->pool};
    peer_table_init(&topology->own_peers, &config->hash_key, topology->peers_max);
    topology->peers = config->pool != NULL ? graph_pool_peers(config->pool) : &topology->own_peers;
    ring_init(&topology->reach, sizeof(struct topology_reach), 2 * config->peers_max + 2);
}

void topology_reach_trim(struct topology *topology) {
    ASSERT(topology->reach.count == 0);
    if (topology->reach.size > REACH_KEPT) {
        size_t count_max = topology->reach.count_max;
        ring_fini(&topology->reach);
        ring_init(&topology->reach, sizeof(struct topology_reach), count_max);
    }
}

void topology_fini(struct topology *topology) {
    for (uint32_t i = 0; i < topology->slot_count; i++) {
        wire_word_unref(topology->words[i]);
    }
    free(topology->words);
    free(topology->parents);
    free(topology->degrees);
    free(topology->orphans);
    peer_table_fini(&topology->own_peers);
    ring_fini(&topology->reach);
    *topology = (struct topology){0};
}

uint32_t topology_find(const struct topology *topology, const struct weft_peer_id *peer) {
    uint32_t slot = peer_table_find(topology->peers, peer);
    bool is_known = slot < topology->slot_count && topology->words[slot] != NULL;
    return is_known ? slot : TOPOLOGY_NONE;
}

/* The slot of `to` if it lists the owner, else TOPOLOGY_NONE. */
static uint32_t mutual_far(const struct topology *topology, const struct weft_peer_id *owner,
                           const struct weft_peer_id *to) {
    uint32_t far = topology_find(topology, to);
    bool is_mutual = far != TOPOLOGY_NONE && wire_word_cost(topology->words[far], owner) != 0;
    return is_mutual ? far : TOPOLOGY_NONE;
}

uint32_t topology_far(const struct topology *topology, uint32_t slot, uint32_t link) {
    const struct wire_word *word = topology->words[slot];
    return mutual_far(topology, &word->owner, &word->links[link].peer);
}

static size_t extra_of(const struct wire_word *word) {
    uint32_t count = word != NULL ? word->link_count : 0;
    return count > TOPOLOGY_LINKS_FREE ? count - TOPOLOGY_LINKS_FREE : 0;
}

/* Makes one of the arrays longer; on failure it stays as it is. */
static bool array_grow(void *array_at, size_t count, size_t item_bytes) {
    void *former = NULL;
    memcpy(&former, array_at, sizeof former);
    void *array = realloc(former, count * item_bytes);
    if (array == NULL) {
        return false;
    }
    memcpy(array_at, &array, sizeof array);
    return true; /* cppcheck-suppress memleak ; it was stored, byte by byte, where it belongs */
}

/* Room for a slot. By an eighth: ten thousand cores know ten thousand peers each. */
static enum weft_err slots_reserve(struct topology *topology, uint32_t slot) {
    if (slot < topology->slot_size) {
        return WEFT_OK;
    }
    uint32_t size = slot + slot / 8 + SLOTS_FIRST;
    if (!array_grow(&topology->words, size, sizeof(struct wire_word *)) ||
        !array_grow(&topology->parents, size, sizeof *topology->parents) ||
        !array_grow(&topology->degrees, size, sizeof *topology->degrees)) {
        return WEFT_ERR_MEMORY; /* slot_size still tells the truth about all */
    }
    topology->slot_size = size;
    return WEFT_OK;
}

/* Makes all slots up to this one free ones, if they were never used. */
static void slots_open(struct topology *topology, uint32_t slot) {
    for (; topology->slot_count <= slot; topology->slot_count++) {
        topology->words[topology->slot_count] = NULL;
        topology->parents[topology->slot_count] = TOPOLOGY_NONE;
        topology->degrees[topology->slot_count] = 0;
    }
}

/* In a pool's table others go by the number too. */
static void slot_give(struct topology *topology, uint32_t slot) {
    if (topology->peers == &topology->own_peers) {
        peer_table_drop(topology->peers, slot);
    }
}

/* Enters the word of a peer that said nothing yet. */
static enum weft_err peer_add(struct topology *topology, struct wire_word *word, uint32_t *out) {
    if (topology->count >= topology->peers_max) {
        return WEFT_ERR_FULL;
    }
    uint32_t slot = peer_table_take(topology->peers, &word->owner);
    if (slot == PEER_TABLE_NONE) {
        return WEFT_ERR_MEMORY;
    }
    enum weft_err err = slots_reserve(topology, slot);
    if (err != WEFT_OK) {
        slot_give(topology, slot);
        return err;
    }
    slots_open(topology, slot);
    topology->count++;
    topology->words[slot] = wire_word_ref(word);
    *out = slot;
    return WEFT_OK;
}

static void peer_delete(struct topology *topology, uint32_t slot) {
    struct wire_word *word = topology->words[slot];
    topology->count--;
    topology->words[slot] = NULL;
    topology->parents[slot] = TOPOLOGY_NONE;
    topology->degrees[slot] = 0;
    topology->self_slot = slot == topology->self_slot ? TOPOLOGY_NONE : topology->self_slot;
    slot_give(topology, slot);
    wire_word_unref(word);
}

/* Two words of one owner side by side; either may be NULL. */
struct diff {
    const struct wire_word *old;
    const struct wire_word *new;
    uint32_t old_at;
    uint32_t new_at;
};

static const struct wire_peer_link *link_at(const struct wire_word *word, uint32_t at) {
    return word != NULL && at < word->link_count ? &word->links[at] : NULL;
}

/* Which of two present links has the smaller peer; one that is absent is the greater. */
static int links_compare(const struct wire_peer_link *a, const struct wire_peer_link *b) {
    if (a == NULL || b == NULL) {
        return a == NULL ? 1 : -1;
    }
    return peer_id_compare(&a->peer, &b->peer);
}

/* Takes the next link that only one of the two has, or both at different costs; false at the end.
 * Exactly one of the two is NULL, or both are links to the same peer. */
static bool diff_next(struct diff *diff, const struct wire_peer_link **old,
                      const struct wire_peer_link **new) {
    const struct wire_peer_link *a = link_at(diff->old, diff->old_at);
    const struct wire_peer_link *b = link_at(diff->new, diff->new_at);
    while (a != NULL || b != NULL) {
        int order = links_compare(a, b);
        diff->old_at += order <= 0 ? 1 : 0;
        diff->new_at += order >= 0 ? 1 : 0;
        *old = order <= 0 ? a : NULL;
        *new = order >= 0 ? b : NULL;
        if (order != 0 || a->cost_us != b->cost_us) {
            return true;
        }
        a = link_at(diff->old, diff->old_at);
        b = link_at(diff->new, diff->new_at);
    }
    return false;
}

/* Notes that a slot's mutual links or their costs are others than when they were last frozen. */
static void edit_note(struct topology_edits *edits, uint32_t slot) {
    for (uint32_t i = 0; i < edits->count; i++) {
        if (edits->slots[i] == slot) {
            return;
        }
    }
    edits->is_anew |= edits->count == TOPOLOGY_EDITS_MAX;
    if (!edits->is_anew) {
        edits->slots[edits->count++] = slot;
    }
}

/* Notes a mutual link that came or went, and tends the forest. */
static void link_differs(struct topology *topology, uint32_t slot, uint32_t far, bool is_gained,
                         struct topology_change *change) {
    bool is_own = slot == topology->self_slot || far == topology->self_slot;
    change->is_changed = true;
    change->is_lost |= !is_gained;
    change->is_own_gained |= is_own && is_gained;
    change->is_own_lost |= is_own && !is_gained;
    edit_note(&topology->edits, slot);
    edit_note(&topology->edits, far);
    if (is_gained) {
        topology->degrees[slot]++;
        topology->degrees[far]++;
        attach_gained(topology, slot, far);
    } else {
        topology->degrees[slot]--;
        topology->degrees[far]--;
        attach_lost(topology, slot, far);
    }
}

static bool is_leaving(const struct wire_word *word) {
    return word != NULL && (word->flags & WIRE_PEER_LEAVING) != 0;
}

/* What differs between two words of a slot, of which the new one is in force; with no new one the
 * far ends still find the slot by the old. */
static struct topology_change words_compare(struct topology *topology, uint32_t slot,
                                            const struct wire_word *old,
                                            const struct wire_word *new) {
    bool is_going = is_leaving(new) && !is_leaving(old);
    struct topology_change change = {.is_changed = is_leaving(old) != is_leaving(new),
                                     .is_next_going =
                                         is_going && wire_word_cost(new, &topology->self) != 0};
    if (change.is_changed) {
        edit_note(&topology->edits, slot);
    }
    struct diff diff = {.old = old, .new = new};
    const struct wire_peer_link *before = NULL;
    const struct wire_peer_link *after = NULL;
    while (diff_next(&diff, &before, &after)) {
        ASSERT(before != NULL || after != NULL);
        const struct weft_peer_id *peer = before != NULL ? &before->peer : &after->peer;
        uint32_t far = mutual_far(topology, &topology->words[slot]->owner, peer);
        if (far == TOPOLOGY_NONE) {
            continue;
        }
        if (before != NULL && after != NULL) {
            change.is_changed = true;
            edit_note(&topology->edits, slot);
        } else {
            link_differs(topology, slot, far, after != NULL, &change);
        }
    }
    return change;
}

static bool word_fits(const struct topology *topology, const struct wire_word *old,
                      const struct wire_word *new) {
    size_t extra = topology->links_extra - extra_of(old) + extra_of(new);
    return extra_of(new) == 0 || extra <= TOPOLOGY_LINKS_EXTRA_MAX ||
           weft_peer_id_equal(&new->owner, &topology->self);
}

enum weft_err topology_set(struct topology *topology, struct wire_word *word,
                           struct topology_change *out) {
    ASSERT(word != NULL);
    uint32_t slot = topology_find(topology, &word->owner);
    struct wire_word *old = slot != TOPOLOGY_NONE ? topology->words[slot] : NULL;
    if (!word_fits(topology, old, word)) {
        return WEFT_ERR_FULL;
    }
    if (old == NULL) {
        enum weft_err err = peer_add(topology, word, &slot);
        if (err != WEFT_OK) {
            return err;
        }
    } else {
        attach_uncount(topology, slot);
        topology->words[slot] = wire_word_ref(word);
        attach_count(topology, slot);
    }
    topology->links_extra = topology->links_extra - extra_of(old) + extra_of(word);
    if (topology->self_slot == TOPOLOGY_NONE && weft_peer_id_equal(&word->owner, &topology->self)) {
        topology->self_slot = slot;
        attach_root(topology);
    }
    *out = words_compare(topology, slot, old, word);
    wire_word_unref(old);
    return WEFT_OK;
}

struct topology_change topology_remove(struct topology *topology, const struct weft_peer_id *peer) {
    uint32_t slot = topology_find(topology, peer);
    if (slot == TOPOLOGY_NONE) {
        return (struct topology_change){0};
    }
    const struct wire_word *word = topology->words[slot];
    struct topology_change change = words_compare(topology, slot, word, NULL);
    change.is_changed |= is_leaving(word);
    attach_drop(topology, slot);
    topology->links_extra -= extra_of(word);
    peer_delete(topology, slot);
    return change;
}
