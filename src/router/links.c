/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of links and the choice of what to trim from it.
 */
#include "router/links.h"

#include <stdlib.h>

#define LINKS_FIRST 8
/* Candidates that are tried against the graph before giving up for this time. */
#define TRIES_MAX 8

void router_links_fini(struct router_links *links) {
    free(links->items);
    *links = (struct router_links){0};
}

enum weft_err router_links_add(struct router_links *links, const struct router_link *link) {
    if (links->count == links->size) {
        size_t size = links->size == 0 ? LINKS_FIRST : links->size * 2;
        struct router_link *items = realloc(links->items, size * sizeof *items);
        if (items == NULL) {
            return WEFT_ERR_MEMORY;
        }
        links->items = items;
        links->size = size;
    }
    bool is_duplicate = router_links_has_peer(links, &link->peer);
    links->items[links->count] = *link;
    links->items[links->count].is_duplicate = is_duplicate;
    links->count++;
    return WEFT_OK;
}

struct router_link *router_links_find(const struct router_links *links, struct link_id id) {
    for (size_t i = 0; i < links->count; i++) {
        if (link_id_equal(links->items[i].id, id)) {
            return &links->items[i];
        }
    }
    return NULL;
}

/* The oldest link to a peer, or NULL. */
static struct router_link *link_of_peer(const struct router_links *links,
                                        const struct weft_peer_id *peer) {
    for (size_t i = 0; i < links->count; i++) {
        if (weft_peer_id_equal(&links->items[i].peer, peer)) {
            return &links->items[i];
        }
    }
    return NULL;
}

bool router_links_has_peer(const struct router_links *links, const struct weft_peer_id *peer) {
    return link_of_peer(links, peer) != NULL;
}

bool router_links_remove(struct router_links *links, struct link_id id, struct router_link *out) {
    struct router_link *link = router_links_find(links, id);
    if (link == NULL) {
        return false;
    }
    *out = *link;
    size_t behind = links->count - (size_t)(link - links->items) - 1;
    memmove(link, link + 1, behind * sizeof *link);
    links->count--;
    struct router_link *heir = link_of_peer(links, &out->peer);
    if (heir != NULL) {
        heir->is_duplicate = false;
    }
    return true;
}

static bool link_counts(const struct router_link *link) {
    return !link->is_duplicate && !link->is_closing;
}

size_t router_links_degree(const struct router_links *links) {
    size_t count = 0;
    for (size_t i = 0; i < links->count; i++) {
        count += link_counts(&links->items[i]) ? 1 : 0;
    }
    return count;
}

/* Links that are older (lower index), and links that are nearer: ties fall to the older. */
static size_t nearer_count(const struct router_links *links, size_t index) {
    size_t count = 0;
    for (size_t i = 0; i < links->count; i++) {
        uint32_t cost_us = links->items[i].cost_us;
        bool is_nearer = cost_us < links->items[index].cost_us ||
                         (cost_us == links->items[index].cost_us && i < index);
        count += is_nearer ? 1 : 0;
    }
    return count;
}

static bool is_protected(const struct router_links *links, const struct surplus *surplus,
                         size_t index) {
    const struct router_link *link = &links->items[index];
    size_t share = surplus->degree / 4;
    if (index < share) {
        return true;
    }
    if (surplus->is_forced) {
        return false;
    }
    return nearer_count(links, index) < share || surplus->is_kept(surplus->ctx, &link->peer);
}

/* Whether the far end can do without us; and where both ends have too many, whether it is we who
 * act, so that not both do. */
static bool is_bearable(const struct surplus *surplus, const struct router_link *link,
                        size_t own_degree) {
    if (surplus->is_forced) {
        return true;
    }
    size_t far_degree = router_degree(surplus->router, &link->peer);
    if (surplus->is_crowded) {
        return 2 * far_degree > surplus->degree; /* what it lacks it finds elsewhere */
    }
    bool is_far_trimming = far_degree > surplus->degree + surplus->slack;
    if (is_far_trimming && weft_peer_id_compare(surplus->self, &link->peer) > 0) {
        return false;
    }
    return far_degree > surplus->degree || far_degree > own_degree;
}

static bool is_candidate(const struct router_links *links, const struct surplus *surplus,
                         size_t index, size_t own_degree) {
    const struct router_link *link = &links->items[index];
    return link_counts(link) && link->up_at < surplus->up_before &&
           is_bearable(surplus, link, own_degree) && !is_protected(links, surplus, index);
}

struct router_link *router_links_pick_surplus(const struct router_links *links,
                                              const struct surplus *surplus, struct rng *rng) {
    struct router_link *sample[TRIES_MAX];
    size_t own_degree = router_links_degree(links);
    uint64_t seen = 0;
    for (size_t i = 0; i < links->count; i++) {
        if (!is_candidate(links, surplus, i, own_degree)) {
            continue;
        }
        /* A reservoir (Vitter 1985): every candidate is equally likely to be in the sample. */
        uint64_t place = seen < TRIES_MAX ? seen : rng_below(rng, seen + 1);
        seen++;
        if (place < TRIES_MAX) {
            sample[place] = &links->items[i];
        }
    }
    size_t left = seen < TRIES_MAX ? (size_t)seen : TRIES_MAX;
    while (left > 0) {
        size_t place = (size_t)rng_below(rng, left);
        if (router_can_spare(surplus->router, &sample[place]->peer)) {
            return sample[place];
        }
        sample[place] = sample[--left];
    }
    return NULL;
}
