/* SPDX-License-Identifier: Apache-2.0
 *
 * Freezing words into rows of arcs.
 */
#include "router/frozen.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/peer_id.h"

#define INDEX_BITS_MAX 20

/* SplitMix64's finaliser (Steele, Lea, Flood 2014): every bit of the input moves every bit out. */
static uint64_t mix(uint64_t word) {
    word ^= word >> 30;
    word *= 0xbf58476d1ce4e5b9;
    word ^= word >> 27;
    word *= 0x94d049bb133111eb;
    return word ^ word >> 31;
}

/* The id's bytes in a fixed order, so that machines of either endianness agree. */
static uint64_t id_mix(const struct weft_peer_id *id) {
    uint64_t high = 0;
    uint64_t low = 0;
    for (size_t i = 0; i < 8; i++) {
        high = high << 8 | id->bytes[i];
        low = low << 8 | id->bytes[8 + i];
    }
    return mix(mix(high) + low);
}

/* Sums one hash per peer and arc: a sum has no order. A liar who finds a collision makes some
 * frames travel a tree that others do not share; repair makes good for that. */
static uint64_t row_digest(const struct frozen *graph, uint32_t node) {
    const struct path_graph *paths = &graph->paths;
    uint64_t digest = graph->tags[node];
    for (uint32_t i = paths->rows[node]; i < paths->rows[node + 1]; i++) {
        uint64_t pair = 3 * graph->tags[node] + graph->tags[paths->arcs[i].to];
        digest += mix(pair ^ mix(paths->arcs[i].cost_us));
    }
    return digest;
}

static uint64_t digest_of(const struct frozen *graph) {
    uint64_t digest = 0;
    for (uint32_t u = 0; u < graph->paths.node_count; u++) {
        digest += row_digest(graph, u);
    }
    return digest;
}

static uint32_t index_of(const struct frozen *graph, const struct weft_peer_id *id) {
    uint32_t head = (uint32_t)id->bytes[0] << 24 | (uint32_t)id->bytes[1] << 16 |
                    (uint32_t)id->bytes[2] << 8 | id->bytes[3];
    return (uint32_t)((uint64_t)head >> (32 - graph->index_bits));
}

/* About one id in each bucket, as ids are hashes; where a liar made them alike, a search of log
 * steps is left. */
static void index_build(struct frozen *graph) {
    uint32_t node = 0;
    for (uint32_t bucket = 0; bucket <= (uint32_t)1 << graph->index_bits; bucket++) {
        while (node < graph->paths.node_count && index_of(graph, &graph->ids[node]) < bucket) {
            node++;
        }
        graph->starts[bucket] = node;
    }
}

uint32_t frozen_find(const struct frozen *graph, const struct weft_peer_id *peer) {
    uint32_t bucket = index_of(graph, peer);
    uint32_t low = graph->starts[bucket];
    uint32_t high = graph->starts[bucket + 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = peer_id_compare(&graph->ids[middle], peer);
        if (order == 0) {
            return middle;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return PATH_NONE;
}

static enum weft_err frozen_reserve(struct frozen *graph, uint32_t node_count, size_t link_count) {
    while (((uint32_t)1 << graph->index_bits) < node_count && graph->index_bits < INDEX_BITS_MAX) {
        graph->index_bits++;
    }
    size_t bucket_count = ((size_t)1 << graph->index_bits) + 1;
    graph->arcs_size = link_count + 1;
    graph->paths.node_count = node_count;
    graph->paths.rows = malloc(((size_t)node_count + 1) * sizeof *graph->paths.rows);
    graph->paths.arcs = malloc(graph->arcs_size * sizeof *graph->paths.arcs);
    graph->ids = malloc(((size_t)node_count + 1) * sizeof *graph->ids);
    graph->tags = malloc(((size_t)node_count + 1) * sizeof *graph->tags);
    graph->starts = malloc(bucket_count * sizeof *graph->starts);
    bool is_whole = graph->paths.rows != NULL && graph->paths.arcs != NULL && graph->ids != NULL &&
                    graph->tags != NULL && graph->starts != NULL;
    return is_whole ? WEFT_OK : WEFT_ERR_MEMORY;
}

static int words_compare(const void *a, const void *b) {
    const struct wire_word *const *left = a;
    const struct wire_word *const *right = b;
    return peer_id_compare(&(*left)->owner, &(*right)->owner);
}

/* The words of the attached in order of id; returns how many links they list. */
static size_t words_collect(const struct topology *topology, const struct wire_word **words) {
    uint32_t count = 0;
    size_t link_count = 0;
    for (uint32_t slot = 0; slot < topology->slot_count; slot++) {
        if (topology->parents[slot] != TOPOLOGY_NONE) {
            words[count++] = topology->words[slot];
            link_count += topology->words[slot]->link_count;
        }
    }
    ASSERT(count == topology->attached_count);
    qsort(words, count, sizeof(const struct wire_word *), words_compare);
    return link_count;
}

/* What a link of a word costs, and a leave on top. */
static uint32_t link_cost(const struct wire_word *word, uint32_t link) {
    uint32_t cost_us = word->links[link].cost_us;
    uint32_t extra_us = (word->flags & WIRE_PEER_LEAVING) != 0 ? FROZEN_LEAVING_US : 0;
    uint32_t room_us = UINT32_MAX - cost_us;
    return cost_us + (extra_us < room_us ? extra_us : room_us);
}

/* Writes a word's links to nodes as arcs, mutual or not; returns where the next word's begin. */
static uint32_t row_write(struct frozen *graph, const struct wire_word *word, uint32_t next) {
    for (uint32_t i = 0; i < word->link_count; i++) {
        uint32_t to = frozen_find(graph, &word->links[i].peer);
        if (to != PATH_NONE) {
            graph->paths.arcs[next++] = (struct path_arc){.to = to, .cost_us = link_cost(word, i)};
        }
    }
    return next;
}

static void rows_write(struct frozen *graph, const struct wire_word **words) {
    uint32_t next = 0;
    for (uint32_t u = 0; u < graph->paths.node_count; u++) {
        graph->paths.rows[u] = next;
        next = row_write(graph, words[u], next);
    }
    graph->paths.rows[graph->paths.node_count] = next;
}

/* Marks a node's arcs that the far end does not return by a cost of 0. */
static void row_mark(struct path_graph *paths, uint32_t node, uint32_t *cursors) {
    for (uint32_t i = paths->rows[node]; i < paths->rows[node + 1]; i++) {
        uint32_t to = paths->arcs[i].to;
        uint32_t end = paths->rows[to + 1];
        uint32_t at = cursors[to];
        while (at < end && paths->arcs[at].to < node) {
            at++;
        }
        cursors[to] = at;
        if (at == end || paths->arcs[at].to != node) {
            paths->arcs[i].cost_us = 0;
        }
    }
}

/* Marks all. Rows are sorted and are walked in order, so that a cursor in each far row only goes
 * forward. */
static void one_way_mark(struct path_graph *paths, uint32_t *cursors) {
    memcpy(cursors, paths->rows, paths->node_count * sizeof *cursors);
    for (uint32_t u = 0; u < paths->node_count; u++) {
        row_mark(paths, u, cursors);
    }
}

/* Closes the gaps of the marked. */
static void one_way_drop(struct path_graph *paths) {
    uint32_t next = 0;
    uint32_t u = 0;
    uint32_t count = paths->rows[paths->node_count];
    for (uint32_t from = 0; from < count; from++) {
        for (; u < paths->node_count && paths->rows[u] <= from; u++) {
            paths->rows[u] = next;
        }
        if (paths->arcs[from].cost_us != 0) {
            paths->arcs[next++] = paths->arcs[from];
        }
    }
    for (; u <= paths->node_count; u++) {
        paths->rows[u] = next;
    }
}

static enum weft_err frozen_freeze(struct frozen *graph, const struct wire_word **words) {
    uint32_t *cursors = malloc(((size_t)graph->paths.node_count + 1) * sizeof *cursors);
    if (cursors == NULL) {
        return WEFT_ERR_MEMORY;
    }
    for (uint32_t u = 0; u < graph->paths.node_count; u++) {
        graph->ids[u] = words[u]->owner;
        graph->tags[u] = id_mix(&graph->ids[u]);
    }
    index_build(graph);
    rows_write(graph, words);
    one_way_mark(&graph->paths, cursors);
    one_way_drop(&graph->paths);
    graph->digest = digest_of(graph);
    free(cursors);
    return WEFT_OK;
}

static enum weft_err frozen_fill(struct frozen *graph, const struct topology *topology) {
    const struct wire_word **words =
        calloc((size_t)topology->attached_count + 1, sizeof(struct wire_word *));
    if (words == NULL) {
        return WEFT_ERR_MEMORY;
    }
    size_t link_count = words_collect(topology, words);
    enum weft_err err = frozen_reserve(graph, topology->attached_count, link_count);
    if (err == WEFT_OK) {
        err = frozen_freeze(graph, words);
    }
    free(words);
    return err;
}

enum weft_err frozen_new(const struct topology *topology, struct frozen **out) {
    ASSERT(topology->orphan_count == 0 && topology->attached_count > 0);
    struct frozen *graph = calloc(1, sizeof *graph);
    if (graph == NULL) {
        return WEFT_ERR_MEMORY;
    }
    graph->reference_count = 1;
    enum weft_err err = frozen_fill(graph, topology);
    if (err != WEFT_OK) {
        frozen_unref(graph); /* takes half-built objects */
        return err;
    }
    *out = graph;
    return WEFT_OK;
}

struct frozen *frozen_ref(struct frozen *graph) {
    ASSERT(graph->reference_count > 0 && graph->reference_count < UINT32_MAX);
    graph->reference_count++;
    return graph;
}

void frozen_unref(struct frozen *graph) {
    if (graph == NULL) {
        return;
    }
    ASSERT(graph->reference_count > 0);
    graph->reference_count--;
    if (graph->reference_count > 0) {
        return;
    }
    frozen_trees_drop(graph);
    free(graph->paths.rows);
    free(graph->paths.arcs);
    free(graph->ids);
    free(graph->tags);
    free(graph->starts);
    free(graph);
}

/* Adds the far ends of a node's arcs. */
static enum weft_err touched_add(struct frozen_touched *touched, const struct frozen *graph,
                                 uint32_t node) {
    const struct path_graph *paths = &graph->paths;
    size_t degree = paths->rows[node + 1] - paths->rows[node];
    if (touched->count + degree > touched->size) {
        size_t size = 2 * (touched->count + degree);
        uint32_t *nodes = realloc(touched->nodes, size * sizeof *nodes);
        if (nodes == NULL) {
            return WEFT_ERR_MEMORY;
        }
        touched->nodes = nodes;
        touched->size = size;
    }
    for (uint32_t i = paths->rows[node]; i < paths->rows[node + 1]; i++) {
        touched->nodes[touched->count++] = paths->arcs[i].to;
    }
    return WEFT_OK;
}

/* Moves the arcs behind a node's so that it has room for `degree`. */
static enum weft_err row_resize(struct frozen *graph, uint32_t node, uint32_t degree) {
    struct path_graph *paths = &graph->paths;
    uint32_t end = paths->rows[node + 1];
    uint32_t new_end = paths->rows[node] + degree;
    size_t arc_count = paths->rows[paths->node_count];
    size_t new_count = arc_count + new_end - end;
    if (new_count > graph->arcs_size) {
        size_t size = new_count + new_count / 8 + 1;
        struct path_arc *arcs = realloc(paths->arcs, size * sizeof *arcs);
        if (arcs == NULL) {
            return WEFT_ERR_MEMORY;
        }
        paths->arcs = arcs;
        graph->arcs_size = size;
    }
    if (new_end != end) {
        memmove(paths->arcs + new_end, paths->arcs + end, (arc_count - end) * sizeof *paths->arcs);
        for (uint32_t u = node + 1; u <= paths->node_count; u++) {
            paths->rows[u] = paths->rows[u] - end + new_end; /* modulo 2^32 */
        }
    }
    return WEFT_OK;
}

/* Writes one row anew, and its share of the digest. */
static enum weft_err row_patch(struct frozen *graph, const struct topology *topology, uint32_t slot,
                               uint32_t node) {
    const struct wire_word *word = topology->words[slot];
    graph->digest -= row_digest(graph, node);
    enum weft_err err = row_resize(graph, node, topology->degrees[slot]);
    if (err != WEFT_OK) {
        return err;
    }
    uint32_t next = graph->paths.rows[node];
    for (uint32_t i = 0; i < word->link_count; i++) {
        if (topology_far(topology, slot, i) != TOPOLOGY_NONE) {
            uint32_t to = frozen_find(graph, &word->links[i].peer);
            ASSERT(to != PATH_NONE); /* a mutual neighbour of who is attached is attached too */
            graph->paths.arcs[next++] = (struct path_arc){.to = to, .cost_us = link_cost(word, i)};
        }
    }
    graph->digest += row_digest(graph, node);
    return WEFT_OK;
}

/* The node of an edited slot; PATH_NONE if the slot is not in the graph. */
static uint32_t node_of(const struct frozen *graph, const struct topology *topology,
                        uint32_t slot) {
    const struct wire_word *word = topology->words[slot];
    return word != NULL ? frozen_find(graph, &word->owner) : PATH_NONE;
}

enum weft_err frozen_patch(struct frozen *graph, const struct topology *topology,
                           struct frozen_touched *touched) {
    const struct topology_edits *edits = &topology->edits;
    ASSERT(graph->reference_count == 1 && graph->pool == NULL && !edits->is_anew);
    enum weft_err err = WEFT_OK;
    for (uint32_t i = 0; err == WEFT_OK && i < edits->count; i++) {
        uint32_t node = node_of(graph, topology, edits->slots[i]);
        if (node == PATH_NONE) {
            continue;
        }
        err = touched_add(touched, graph, node);
        if (err == WEFT_OK) {
            err = row_patch(graph, topology, edits->slots[i], node);
        }
        if (err == WEFT_OK) {
            err = touched_add(touched, graph, node);
        }
    }
    return err;
}

/* The memory of one computation; both or neither. */
static struct path_node *nodes_new(const struct frozen *graph, struct path_entry **heap) {
    size_t count = (size_t)graph->paths.node_count + 1;
    struct path_node *nodes = malloc(count * sizeof *nodes);
    *heap = malloc(count * sizeof **heap);
    if (nodes == NULL || *heap == NULL) {
        free(nodes);
        free(*heap);
        return NULL;
    }
    return nodes;
}

struct path_node *frozen_compute(const struct frozen *graph, uint32_t source, uint32_t hop_us) {
    struct path_entry *heap = NULL;
    struct path_node *nodes = nodes_new(graph, &heap);
    if (nodes != NULL) {
        path_compute(&graph->paths, source, hop_us, heap, nodes);
        free(heap);
    }
    return nodes;
}

struct path_node *frozen_compute_without(const struct frozen *graph, uint32_t source,
                                         uint32_t without) {
    struct path_entry *heap = NULL;
    struct path_node *nodes = nodes_new(graph, &heap);
    if (nodes != NULL) {
        path_compute_without(&graph->paths, source, without, heap, nodes);
        free(heap);
    }
    return nodes;
}

void frozen_trees_drop(struct frozen *graph) {
    for (uint32_t i = 0; graph->trees != NULL && i < graph->paths.node_count; i++) {
        free(graph->trees[i]);
    }
    free(graph->trees);
    graph->trees = NULL;
    if (graph->pool != NULL) {
        graph_pool_give_room(graph->pool, graph->tree_bytes);
    }
    graph->tree_bytes = 0;
}

/* Keeps a computed tree where others find it; NULL where it cannot be kept. */
static const uint32_t *tree_keep(struct frozen *graph, uint32_t source,
                                 const struct path_node *nodes) {
    size_t bytes = graph->paths.node_count * sizeof(uint32_t);
    if (graph->trees == NULL) {
        graph->trees = calloc(graph->paths.node_count, sizeof(uint32_t *));
    }
    uint32_t *parents = graph->trees != NULL ? malloc(bytes) : NULL;
    if (parents == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < graph->paths.node_count; i++) {
        parents[i] = nodes[i].parent;
    }
    graph->trees[source] = parents;
    graph->tree_bytes += bytes;
    return parents;
}

/* The tree of a source as the pool remembers it, computed if need be; NULL when out of memory. */
static const uint32_t *tree_shared(struct frozen *graph, uint32_t source) {
    struct graph_pool_counters *counters = graph_pool_counters(graph->pool);
    if (graph->trees != NULL && graph->trees[source] != NULL) {
        counters->trees_found++;
        return graph->trees[source];
    }
    counters->trees++;
    struct path_node *nodes = frozen_compute(graph, source, FROZEN_TREE_HOP_US);
    if (nodes == NULL) {
        return NULL;
    }
    graph_pool_take_room(graph->pool, graph->paths.node_count * sizeof(uint32_t));
    const uint32_t *parents = tree_keep(graph, source, nodes);
    if (parents == NULL) {
        graph_pool_give_room(graph->pool, graph->paths.node_count * sizeof(uint32_t));
    }
    free(nodes);
    return parents;
}

/* Collects those neighbours whose parent is `self`; parents are in one of the two. */
static uint32_t children_collect(const struct path_graph *paths, uint32_t self,
                                 const uint32_t *parents, const struct path_node *nodes,
                                 uint32_t *out) {
    uint32_t count = 0;
    for (uint32_t i = paths->rows[self]; i < paths->rows[self + 1]; i++) {
        uint32_t neighbour = paths->arcs[i].to;
        uint32_t parent = parents != NULL ? parents[neighbour] : nodes[neighbour].parent;
        if (parent == self) {
            out[count++] = neighbour;
        }
    }
    return count;
}

enum weft_err frozen_children(struct frozen *graph, uint32_t source, uint32_t self, uint32_t *out,
                              uint32_t *count) {
    ASSERT(source < graph->paths.node_count && self < graph->paths.node_count);
    const uint32_t *parents = graph->pool != NULL ? tree_shared(graph, source) : NULL;
    struct path_node *nodes =
        graph->pool == NULL ? frozen_compute(graph, source, FROZEN_TREE_HOP_US) : NULL;
    if (parents == NULL && nodes == NULL) {
        return WEFT_ERR_MEMORY;
    }
    *count = children_collect(&graph->paths, self, parents, nodes, out);
    free(nodes);
    return WEFT_OK;
}
