/* SPDX-License-Identifier: Apache-2.0
 *
 * Tending the tree of those who are reached.
 */
#include "router/attach.h"

#include <stdlib.h>

#include "base/check.h"

void attach_uncount(struct topology *topology, uint32_t slot) {
    if (topology->pool != NULL && topology->parents[slot] != TOPOLOGY_NONE) {
        graph_key_subtract(&topology->key, topology->pool, topology->words[slot]);
    }
}

void attach_count(struct topology *topology, uint32_t slot) {
    if (topology->pool != NULL && topology->parents[slot] != TOPOLOGY_NONE) {
        graph_key_add(&topology->key, topology->pool, topology->words[slot]);
    }
}

/* Queues the news; false, and nothing must change, when there is no room for it. */
static bool reach_tell(struct topology *topology, uint32_t slot, bool is_reached) {
    const struct topology_reach reach = {.peer = topology->words[slot]->owner,
                                         .is_reached = is_reached};
    return slot == topology->self_slot || ring_push(&topology->reach, &reach) == WEFT_OK;
}

static bool attach(struct topology *topology, uint32_t slot, uint32_t parent) {
    if (!reach_tell(topology, slot, true)) {
        topology->has_missed = true;
        return false;
    }
    topology->parents[slot] = parent;
    topology->attached_count++;
    topology->edits.is_anew = true;
    attach_count(topology, slot);
    return true;
}

static void detach(struct topology *topology, uint32_t slot) {
    attach_uncount(topology, slot);
    topology->orphan_count -= topology->parents[slot] == ATTACH_ORPHAN ? 1 : 0;
    topology->attached_count--;
    topology->edits.is_anew = true;
    topology->parents[slot] = TOPOLOGY_NONE;
}

static bool is_attached(const struct topology *topology, uint32_t slot) {
    return topology->parents[slot] != TOPOLOGY_NONE;
}

/* A walk over slots: each enters at most once, with the place of the one it was entered from. */
struct step {
    uint32_t slot;
    uint32_t from;
};

struct walk {
    struct step *steps;
    uint32_t count;
    uint32_t size;
    uint8_t *is_seen; /* by slot */
    bool has_failed;
};

#define STEPS_FIRST 64

static void walk_fini(struct walk *walk) {
    free(walk->steps);
    free(walk->is_seen);
    *walk = (struct walk){0};
}

static bool walk_has_room(struct walk *walk) {
    if (walk->count < walk->size) {
        return true;
    }
    uint32_t size = walk->size == 0 ? STEPS_FIRST : walk->size * 2;
    struct step *steps = realloc(walk->steps, size * sizeof *steps);
    if (steps != NULL) {
        walk->steps = steps;
        walk->size = size;
    }
    return steps != NULL;
}

static void walk_enter(struct walk *walk, uint32_t slot, uint32_t from) {
    if (walk->has_failed || walk->is_seen[slot] != 0) {
        return;
    }
    if (!walk_has_room(walk)) {
        walk->has_failed = true;
        return;
    }
    walk->is_seen[slot] = 1;
    walk->steps[walk->count++] = (struct step){.slot = slot, .from = from};
}

static void walk_begin(struct walk *walk, const struct topology *topology, uint32_t slot) {
    *walk = (struct walk){.is_seen = calloc(topology->slot_count, 1)};
    walk->has_failed = walk->is_seen == NULL;
    walk_enter(walk, slot, TOPOLOGY_NONE);
}

/* Attaches those of a slot's neighbours that are not; they enter the walk from `at`. */
static void spread_from(struct topology *topology, struct walk *walk, uint32_t slot, uint32_t at) {
    for (uint32_t i = 0; i < topology->words[slot]->link_count; i++) {
        uint32_t far = topology_far(topology, slot, i);
        if (far != TOPOLOGY_NONE && !is_attached(topology, far) && attach(topology, far, slot)) {
            walk_enter(walk, far, at);
        }
    }
}

/* Attaches all that hang on the newly attached at the walk's places. */
static void spread(struct topology *topology, struct walk *walk) {
    for (uint32_t at = 0; at < walk->count; at++) {
        spread_from(topology, walk, walk->steps[at].slot, at);
    }
}

/* Attaches a slot and all that hang on it. What memory does not allow is made good by
 * attach_settle. */
static void attach_all(struct topology *topology, uint32_t slot, uint32_t parent) {
    if (!attach(topology, slot, parent)) {
        return;
    }
    struct walk walk;
    walk_begin(&walk, topology, slot);
    spread(topology, &walk);
    topology->has_missed |= walk.has_failed;
    walk_fini(&walk);
}

static void neighbours_attach(struct topology *topology, uint32_t slot) {
    for (uint32_t i = 0; i < topology->words[slot]->link_count; i++) {
        uint32_t far = topology_far(topology, slot, i);
        if (far != TOPOLOGY_NONE && !is_attached(topology, far)) {
            attach_all(topology, far, slot);
        }
    }
}

/* After a want of memory: looks at all links of those attached again. */
static enum weft_err attach_missed(struct topology *topology) {
    topology->has_missed = false;
    for (uint32_t slot = 0; slot < topology->slot_count; slot++) {
        if (topology->words[slot] != NULL && is_attached(topology, slot)) {
            neighbours_attach(topology, slot);
        }
    }
    return topology->has_missed ? WEFT_ERR_MEMORY : WEFT_OK;
}

void attach_root(struct topology *topology) {
    attach_all(topology, topology->self_slot, topology->self_slot);
}

void attach_gained(struct topology *topology, uint32_t a, uint32_t b) {
    if (is_attached(topology, a) && !is_attached(topology, b)) {
        attach_all(topology, b, a);
    } else if (is_attached(topology, b) && !is_attached(topology, a)) {
        attach_all(topology, a, b);
    }
}

#define ORPHANS_FIRST 8
/* The list is emptied with each update of the routes; who came and went that often between two of
 * them may wait for the others. */
#define ORPHANS_PER_PEER 4
/* What it may keep at rest. */
#define ORPHANS_KEPT 64

/* Notes an orphan for attach_settle, which begins with the first: which number a peer has must not
 * decide whom the others hang on. */
static void orphan_list(struct topology *topology, uint32_t slot) {
    if (topology->listed_count > ORPHANS_PER_PEER * topology->count) {
        topology->has_unlisted = true;
        return;
    }
    if (topology->listed_count == topology->listed_size) {
        uint32_t size = topology->listed_size * 2 + ORPHANS_FIRST;
        uint32_t *orphans = realloc(topology->orphans, size * sizeof *orphans);
        if (orphans == NULL) {
            topology->has_unlisted = true;
            return;
        }
        topology->orphans = orphans;
        topology->listed_size = size;
    }
    topology->orphans[topology->listed_count++] = slot;
}

static void orphan(struct topology *topology, uint32_t slot) {
    topology->parents[slot] = ATTACH_ORPHAN;
    topology->orphan_count++;
    orphan_list(topology, slot);
}

static bool is_orphan(const struct topology *topology, uint32_t slot) {
    return topology->words[slot] != NULL && topology->parents[slot] == ATTACH_ORPHAN;
}

void attach_lost(struct topology *topology, uint32_t a, uint32_t b) {
    if (topology->parents[a] == b) {
        orphan(topology, a);
    } else if (topology->parents[b] == a) {
        orphan(topology, b);
    }
}

/* The news of it may find no room: then its records stay live until they fade. */
void attach_drop(struct topology *topology, uint32_t slot) {
    if (is_attached(topology, slot)) {
        (void)reach_tell(topology, slot, false);
        detach(topology, slot);
    }
}

/* Whether the tree leads from a slot to the root, by another way than through `except`. */
static bool is_grounded(const struct topology *topology, uint32_t slot, uint32_t except) {
    while (slot < ATTACH_ORPHAN && slot != except) {
        if (slot == topology->self_slot) {
            return true;
        }
        slot = topology->parents[slot];
    }
    return false;
}

/* A neighbour of the slot at a place of the walk that is grounded without `except`, or
 * TOPOLOGY_NONE: then those that were not seen enter the walk. */
static uint32_t ground_beside(const struct topology *topology, struct walk *walk, uint32_t except,
                              uint32_t at) {
    uint32_t slot = walk->steps[at].slot;
    for (uint32_t i = 0; i < topology->words[slot]->link_count; i++) {
        uint32_t far = topology_far(topology, slot, i);
        if (far == TOPOLOGY_NONE || !is_attached(topology, far) || walk->is_seen[far] != 0 ||
            (slot == except && far == topology->self_slot)) {
            continue;
        }
        if (is_grounded(topology, far, except)) {
            return far;
        }
        walk_enter(walk, far, at);
    }
    return TOPOLOGY_NONE;
}

/* Walks from the slot that the walk began with until a neighbour that is grounded without `except`
 * is found; its slot, and in *at the place of whose neighbour it is. The link between `except` and
 * ourselves does not count. */
static uint32_t ground_find(const struct topology *topology, struct walk *walk, uint32_t except,
                            uint32_t *at) {
    for (*at = 0; *at < walk->count; (*at)++) {
        uint32_t ground = ground_beside(topology, walk, except, *at);
        if (ground != TOPOLOGY_NONE) {
            return ground;
        }
    }
    return TOPOLOGY_NONE;
}

/* Hangs the walk's way to `at` the other way round: on `ground`. */
static void way_turn(struct topology *topology, const struct walk *walk, uint32_t at,
                     uint32_t ground) {
    uint32_t parent = ground;
    for (; at != TOPOLOGY_NONE; at = walk->steps[at].from) {
        uint32_t slot = walk->steps[at].slot;
        topology->orphan_count -= topology->parents[slot] == ATTACH_ORPHAN ? 1 : 0;
        topology->parents[slot] = parent;
        parent = slot;
    }
}

/* All that was walked hangs together and on nothing. Those of whom the news finds no room stay
 * orphans, so that a later try tells. */
static enum weft_err walked_lose(struct topology *topology, const struct walk *walk) {
    enum weft_err err = WEFT_OK;
    for (uint32_t at = 0; at < walk->count; at++) {
        uint32_t slot = walk->steps[at].slot;
        bool is_told = reach_tell(topology, slot, false);
        err = is_told ? err : WEFT_ERR_MEMORY;
        if (is_told) {
            detach(topology, slot);
        } else if (!is_orphan(topology, slot)) {
            orphan(topology, slot);
        }
    }
    return err;
}

static enum weft_err orphan_settle(struct topology *topology, uint32_t slot) {
    struct walk walk;
    uint32_t at = 0;
    enum weft_err err = WEFT_OK;
    walk_begin(&walk, topology, slot);
    uint32_t ground =
        walk.has_failed ? TOPOLOGY_NONE : ground_find(topology, &walk, TOPOLOGY_NONE, &at);
    if (ground != TOPOLOGY_NONE) {
        way_turn(topology, &walk, at, ground);
    } else {
        err = walk.has_failed ? WEFT_ERR_MEMORY : walked_lose(topology, &walk);
    }
    walk_fini(&walk);
    return err;
}

/* Settles those on the list; who could not be stays there. */
static enum weft_err listed_settle(struct topology *topology) {
    enum weft_err err = WEFT_OK;
    uint32_t count = topology->listed_count;
    for (uint32_t i = 0; i < count && topology->orphan_count > 0; i++) {
        if (is_orphan(topology, topology->orphans[i])) {
            enum weft_err failed = orphan_settle(topology, topology->orphans[i]);
            err = err == WEFT_OK ? failed : err;
        }
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; topology->orphan_count > 0 && i < topology->listed_count; i++) {
        topology->orphans[kept] = topology->orphans[i];
        kept += is_orphan(topology, topology->orphans[i]) ? 1 : 0;
    }
    topology->listed_count = kept;
    if (kept == 0 && topology->listed_size > ORPHANS_KEPT) {
        free(topology->orphans);
        topology->orphans = NULL;
        topology->listed_size = 0;
    }
    return err;
}

/* Memory was too short to list some: looks for them among all. */
static enum weft_err unlisted_settle(struct topology *topology) {
    enum weft_err err = WEFT_OK;
    topology->has_unlisted = false;
    for (uint32_t slot = 0; topology->orphan_count > 0 && slot < topology->slot_count; slot++) {
        if (is_orphan(topology, slot)) {
            enum weft_err failed = orphan_settle(topology, slot);
            err = err == WEFT_OK ? failed : err;
        }
    }
    topology->has_unlisted |= err != WEFT_OK;
    return err;
}

enum weft_err attach_settle(struct topology *topology) {
    enum weft_err err = topology->has_missed ? attach_missed(topology) : WEFT_OK;
    enum weft_err failed = listed_settle(topology);
    err = err == WEFT_OK ? failed : err;
    failed = topology->has_unlisted ? unlisted_settle(topology) : WEFT_OK;
    return err == WEFT_OK ? failed : err;
}

bool attach_is_reached(const struct topology *topology, uint32_t slot) {
    return slot != TOPOLOGY_NONE && topology->parents[slot] != TOPOLOGY_NONE;
}

size_t attach_behind(const struct topology *topology, uint32_t slot, struct weft_peer_id *out,
                     size_t max) {
    size_t count = 0;
    for (uint32_t i = 0; i < topology->words[slot]->link_count && count < max; i++) {
        uint32_t far = topology_far(topology, slot, i);
        if (far != TOPOLOGY_NONE && !attach_is_reached(topology, far)) {
            out[count++] = topology->words[far]->owner;
        }
    }
    return count;
}

bool attach_is_reached_around(const struct topology *topology, uint32_t slot) {
    if (!is_attached(topology, slot) || slot == topology->self_slot) {
        return false;
    }
    if (is_grounded(topology, slot, TOPOLOGY_NONE) &&
        topology->parents[slot] != topology->self_slot) {
        return true;
    }
    struct walk walk;
    uint32_t at = 0;
    walk_begin(&walk, topology, slot);
    bool is_reached = !walk.has_failed && ground_find(topology, &walk, slot, &at) != TOPOLOGY_NONE;
    walk_fini(&walk);
    return is_reached;
}
