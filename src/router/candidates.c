/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of targets.
 */
#include "router/candidates.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/time.h"

/* Evictions that one newcomer may cause: it has at most so many endpoints. */
#define EVICTIONS_MAX WIRE_ADDRESSES_MAX
/* A peer that moved is tried at its new address after so long: soon, but no faster however often it
 * moves, so that a liar cannot aim everybody's dials at a victim. */
#define MOVED_RETRY_NS NS_PER_S

static struct span key_of(const struct weft_peer_id *peer) {
    return span_of(peer->bytes, sizeof peer->bytes);
}

enum weft_err candidates_init(struct candidates *candidates, size_t endpoints_max,
                              const struct hash_key *key) {
    *candidates = (struct candidates){.endpoints_max = endpoints_max};
    candidates->learned = map_new(endpoints_max, key);
    return candidates->learned != NULL ? WEFT_OK : WEFT_ERR_MEMORY;
}

void candidates_fini(struct candidates *candidates) {
    for (size_t i = 0; i < candidates->seed_count; i++) {
        candidates_dispose(candidates->seeds[i]);
    }
    free(candidates->seeds);
    struct map_entry *entry = candidates->learned != NULL ? map_first(candidates->learned) : NULL;
    for (; entry != NULL; entry = map_next(entry)) {
        candidates_dispose(map_value(entry));
    }
    map_free(candidates->learned);
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

struct target *candidates_find(const struct candidates *candidates,
                               const struct weft_peer_id *peer) {
    return map_find(candidates->learned, key_of(peer));
}

void candidates_forget(struct candidates *candidates, const struct weft_peer_id *peer) {
    struct target *target = map_remove(candidates->learned, key_of(peer));
    if (target != NULL) {
        candidates->endpoint_count -= target->endpoint_count;
        candidates_dispose(target);
    }
}

/* Removes one that is not being dialled, chosen by chance from where it falls on. */
static void evict_one(struct candidates *candidates, struct rng *rng) {
    size_t count = map_count(candidates->learned);
    uint64_t skip = count > 0 ? rng_below(rng, count) : 0;
    struct target *choice = NULL;
    for (struct map_entry *entry = map_first(candidates->learned); entry != NULL;
         entry = map_next(entry)) {
        struct target *target = map_value(entry);
        choice = target->is_dialling ? choice : target;
        if (skip == 0 && choice != NULL) {
            break;
        }
        skip -= skip > 0 ? 1 : 0;
    }
    if (choice != NULL) {
        const struct weft_peer_id peer = choice->peer;
        candidates_forget(candidates, &peer);
    }
}

static bool has_room(const struct candidates *candidates, size_t endpoint_count) {
    return candidates->endpoint_count + endpoint_count <= candidates->endpoints_max;
}

static bool room_make(struct candidates *candidates, size_t endpoint_count, struct rng *rng) {
    if (has_room(candidates, endpoint_count)) {
        return true;
    }
    if (rng_below(rng, CANDIDATES_REPLACE) != 0) {
        return false;
    }
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
        map_add(candidates->learned, key_of(&target->peer), target) != WEFT_OK) {
        target_free(target);
        return false;
    }
    candidates->endpoint_count += target->endpoint_count;
    return true;
}
