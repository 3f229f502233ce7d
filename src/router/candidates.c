/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of targets.
 */
#include "router/candidates.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/peer_id.h"
#include "base/time.h"

/* Evictions that one newcomer may cause: it has at most so many endpoints. */
#define EVICTIONS_MAX WIRE_ADDRESSES_MAX
/* A peer that moved is tried at its new address after so long: soon, but no faster however often it
 * moves, so that a liar cannot aim everybody's dials at a victim. */
#define MOVED_RETRY_NS NS_PER_S

/* Learned targets that the arrays have room for at first. */
#define LEARNED_FIRST 8

void candidates_init(struct candidates *candidates, size_t endpoints_max) {
    *candidates = (struct candidates){.endpoints_max = endpoints_max};
}

void candidates_fini(struct candidates *candidates) {
    for (size_t i = 0; i < candidates->seed_count; i++) {
        candidates_dispose(candidates->seeds[i]);
    }
    for (size_t i = 0; i < candidates->learned_count; i++) {
        candidates_dispose(candidates->learned[i]);
    }
    free(candidates->seeds);
    free(candidates->learned);
    free(candidates->heads);
    *candidates = (struct candidates){0};
}

void candidates_dispose(struct target *target) {
    if (target != NULL && target->is_dialling) {
        target->is_gone = true;
        return;
    }
    target_free(target);
}

static size_t seed_place(const struct candidates *candidates, const char *endpoint) {
    size_t place = 0;
    while (place < candidates->seed_count &&
           strcmp(target_endpoint(candidates->seeds[place]), endpoint) != 0) {
        place++;
    }
    return place;
}

enum weft_err candidates_add_seed(struct candidates *candidates, const char *endpoint,
                                  const struct weft_peer_id *peer) {
    if (seed_place(candidates, endpoint) < candidates->seed_count) {
        return WEFT_ERR_EXISTS;
    }
    if (candidates->seed_count >= CANDIDATES_SEEDS_MAX) {
        return WEFT_ERR_FULL;
    }
    struct target **seeds =
        realloc(candidates->seeds, (candidates->seed_count + 1) * sizeof(struct target *));
    if (seeds == NULL) {
        return WEFT_ERR_MEMORY;
    }
    candidates->seeds = seeds;
    struct target *target = target_new_seed(endpoint, peer);
    if (target == NULL) {
        return WEFT_ERR_MEMORY;
    }
    seeds[candidates->seed_count++] = target;
    return WEFT_OK;
}

void candidates_remove_seed(struct candidates *candidates, const char *endpoint) {
    size_t place = seed_place(candidates, endpoint);
    if (place == candidates->seed_count) {
        return;
    }
    candidates_dispose(candidates->seeds[place]);
    candidates->seed_count--;
    memmove(&candidates->seeds[place], &candidates->seeds[place + 1],
            (candidates->seed_count - place) * sizeof(struct target *));
}

bool candidates_has_seed_peer(const struct candidates *candidates,
                              const struct weft_peer_id *peer) {
    for (size_t i = 0; i < candidates->seed_count; i++) {
        const struct target *seed = candidates->seeds[i];
        if (seed->is_peer_known && weft_peer_id_equal(&seed->peer, peer)) {
            return true;
        }
    }
    return false;
}

/* The place of a peer among the learned; their count if it is not there. */
static size_t place_of(const struct candidates *candidates, const struct weft_peer_id *peer) {
    uint64_t head = peer_id_head(peer);
    for (size_t i = 0; i < candidates->learned_count; i++) {
        if (candidates->heads[i] == head &&
            weft_peer_id_equal(&candidates->learned[i]->peer, peer)) {
            return i;
        }
    }
    return candidates->learned_count;
}

struct target *candidates_find(const struct candidates *candidates,
                               const struct weft_peer_id *peer) {
    size_t place = place_of(candidates, peer);
    return place < candidates->learned_count ? candidates->learned[place] : NULL;
}

static void remove_at(struct candidates *candidates, size_t place) {
    struct target *target = candidates->learned[place];
    size_t behind = candidates->learned_count - place - 1;
    memmove(&candidates->learned[place], &candidates->learned[place + 1],
            behind * sizeof(struct target *));
    memmove(&candidates->heads[place], &candidates->heads[place + 1], behind * sizeof(uint64_t));
    candidates->learned_count--;
    candidates->endpoint_count -= target->endpoint_count;
    candidates_dispose(target);
}

void candidates_forget(struct candidates *candidates, const struct weft_peer_id *peer) {
    size_t place = place_of(candidates, peer);
    if (place < candidates->learned_count) {
        remove_at(candidates, place);
    }
}

static bool learned_reserve(struct candidates *candidates) {
    if (candidates->learned_count < candidates->learned_size) {
        return true;
    }
    size_t size = candidates->learned_size + candidates->learned_size / 2 + LEARNED_FIRST;
    struct target **learned = realloc(candidates->learned, size * sizeof(struct target *));
    if (learned == NULL) {
        return false;
    }
    candidates->learned = learned;
    uint64_t *heads = realloc(candidates->heads, size * sizeof(uint64_t));
    if (heads == NULL) {
        return false;
    }
    candidates->heads = heads;
    candidates->learned_size = size;
    return true;
}

static bool learned_append(struct candidates *candidates, struct target *target) {
    if (!learned_reserve(candidates)) {
        return false;
    }
    candidates->learned[candidates->learned_count] = target;
    candidates->heads[candidates->learned_count] = peer_id_head(&target->peer);
    candidates->learned_count++;
    candidates->endpoint_count += target->endpoint_count;
    return true;
}

/* Removes one that is not being dialled, chosen by chance, or the next one that is not. */
static void evict_one(struct candidates *candidates, struct rng *rng) {
    size_t count = candidates->learned_count;
    size_t first = count > 0 ? (size_t)rng_below(rng, count) : 0;
    for (size_t i = 0; i < count; i++) {
        size_t place = (first + i) % count;
        if (!candidates->learned[place]->is_dialling) {
            remove_at(candidates, place);
            return;
        }
    }
}

static bool has_room(const struct candidates *candidates, size_t endpoint_count) {
    return candidates->endpoint_count + endpoint_count <= candidates->endpoints_max;
}

bool candidates_wants(const struct candidates *candidates, const struct weft_peer_id *peer,
                      struct rng *rng) {
    return has_room(candidates, 1) || candidates_find(candidates, peer) != NULL ||
           rng_below(rng, CANDIDATES_REPLACE) == 0;
}

static bool room_make(struct candidates *candidates, size_t endpoint_count, struct rng *rng) {
    for (int i = 0; i < EVICTIONS_MAX && !has_room(candidates, endpoint_count); i++) {
        evict_one(candidates, rng);
    }
    return has_room(candidates, endpoint_count);
}

/* Gives a known target the endpoints of its newest record. */
static bool known_update(struct candidates *candidates, struct target *known, struct target *news,
                         weft_ns now) {
    size_t others = candidates->endpoint_count - known->endpoint_count;
    if (target_has_same_endpoints(known, news) ||
        others + news->endpoint_count > candidates->endpoints_max) {
        return false;
    }
    candidates->endpoint_count = others + news->endpoint_count;
    target_swap_endpoints(known, news);
    known->retry_at = time_min(known->retry_at, time_after(now, MOVED_RETRY_NS));
    return true;
}

bool candidates_put(struct candidates *candidates, struct target *target, struct rng *rng,
                    weft_ns now) {
    ASSERT(target->is_peer_known && target->endpoint_count > 0);
    struct target *known = candidates_find(candidates, &target->peer);
    if (known != NULL) {
        bool is_new = known_update(candidates, known, target, now);
        target_free(target);
        return is_new;
    }
    if (!room_make(candidates, target->endpoint_count, rng) ||
        !learned_append(candidates, target)) {
        target_free(target);
        return false;
    }
    return true;
}
