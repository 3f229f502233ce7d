/* SPDX-License-Identifier: Apache-2.0
 *
 * The three-way merge.
 */
#include "router/changes.h"

#include <stdlib.h>

#define CHANGES_FIRST 8

static bool paths_equal(const struct router_path *a, const struct router_path *b) {
    return a->is_reachable == b->is_reachable && a->trail == b->trail && a->hops == b->hops &&
           a->cost_us == b->cost_us && weft_peer_id_equal(&a->next_hop, &b->next_hop);
}

static enum weft_err changes_append(struct changes *changes, const struct router_change *change) {
    if (changes->count == changes->size) {
        size_t size = changes->size == 0 ? CHANGES_FIRST : changes->size * 2;
        struct router_change *items = realloc(changes->items, size * sizeof *items);
        if (items == NULL) {
            return WEFT_ERR_MEMORY;
        }
        changes->items = items;
        changes->size = size;
    }
    changes->items[changes->count++] = *change;
    return WEFT_OK;
}

/* Where each of the three walks stands. */
struct merge {
    const struct changes *left;
    const struct routes *before;
    const struct routes *after;
    size_t left_at;
    uint32_t before_at;
    uint32_t after_at;
};

static const struct weft_peer_id *id_min(const struct weft_peer_id *a,
                                         const struct weft_peer_id *b) {
    if (a == NULL || b == NULL) {
        return a == NULL ? b : a;
    }
    return weft_peer_id_compare(a, b) <= 0 ? a : b;
}

static const struct weft_peer_id *left_id(const struct merge *merge) {
    return merge->left_at < merge->left->count ? &merge->left->items[merge->left_at].peer : NULL;
}

static const struct weft_peer_id *node_id(const struct routes *routes, uint32_t at) {
    return at < routes->graph.node_count ? &routes->ids[at] : NULL;
}

static bool is_at(const struct weft_peer_id *head, const struct weft_peer_id *peer) {
    return head != NULL && weft_peer_id_equal(head, peer);
}

/* The path to a node; to ourselves there is none to speak of. */
static struct router_path path_at(const struct routes *routes, uint32_t at) {
    return routes_path(routes, at == routes->self ? PATH_NONE : at);
}

/* Takes the smallest peer off the three heads; false when all are at their end. */
static bool merge_next(struct merge *merge, struct router_change *out) {
    const struct weft_peer_id *least =
        id_min(left_id(merge), id_min(node_id(merge->before, merge->before_at),
                                      node_id(merge->after, merge->after_at)));
    if (least == NULL) {
        return false;
    }
    *out = (struct router_change){.peer = *least};
    if (is_at(node_id(merge->before, merge->before_at), &out->peer)) {
        out->before = path_at(merge->before, merge->before_at++);
    }
    if (is_at(node_id(merge->after, merge->after_at), &out->peer)) {
        out->after = path_at(merge->after, merge->after_at++);
    }
    if (is_at(left_id(merge), &out->peer)) {
        out->before = merge->left->items[merge->left_at++].before;
    }
    return true;
}

enum weft_err changes_build(const struct changes *left, const struct routes *before,
                            const struct routes *after, struct changes *out) {
    struct merge merge = {.left = left, .before = before, .after = after, .left_at = left->taken};
    struct router_change change;
    while (merge_next(&merge, &change)) {
        if (paths_equal(&change.before, &change.after)) {
            continue;
        }
        enum weft_err err = changes_append(out, &change);
        if (err != WEFT_OK) {
            changes_fini(out);
            return err;
        }
    }
    return WEFT_OK;
}

bool changes_next(struct changes *changes, struct router_change *out) {
    if (changes->taken >= changes->count) {
        return false;
    }
    *out = changes->items[changes->taken++];
    if (changes->taken == changes->count) {
        changes_fini(changes);
    }
    return true;
}

void changes_fini(struct changes *changes) {
    free(changes->items);
    *changes = (struct changes){0};
}
