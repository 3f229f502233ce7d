/* SPDX-License-Identifier: Apache-2.0
 *
 * Dijkstra's algorithm. The heap's keys are stored beside the node numbers, so that sifting touches
 * one array; each node knows its place, so that a better path moves it up instead of adding a
 * second entry.
 */
#include "router/path.h"

#include "base/check.h"

/* The state of one computation. heap[1 .. count] is the heap. */
struct search {
    struct path_entry *heap;
    struct path_node *nodes;
    uint32_t count;
};

static void entry_set(struct search *search, uint32_t place, struct path_entry entry) {
    search->heap[place] = entry;
    search->nodes[entry.node].place = place;
}

static void entry_rise(struct search *search, uint32_t place, struct path_entry entry) {
    while (place > 1 && search->heap[place / 2].cost_us > entry.cost_us) {
        entry_set(search, place, search->heap[place / 2]);
        place /= 2;
    }
    entry_set(search, place, entry);
}

static void entry_sink(struct search *search, uint32_t place, struct path_entry entry) {
    while (place * 2 <= search->count) {
        uint32_t child = place * 2;
        if (child < search->count &&
            search->heap[child + 1].cost_us < search->heap[child].cost_us) {
            child++;
        }
        if (search->heap[child].cost_us >= entry.cost_us) {
            break;
        }
        entry_set(search, place, search->heap[child]);
        place = child;
    }
    entry_set(search, place, entry);
}

static uint32_t search_pop(struct search *search) {
    uint32_t nearest = search->heap[1].node;
    struct path_entry last = search->heap[search->count];
    search->count--;
    if (search->count > 0) {
        entry_sink(search, 1, last);
    }
    return nearest;
}

/* Offers a path through `from`. A settled node never takes it: arcs cost at least 1. */
static void search_offer(struct search *search, uint32_t from, const struct path_arc *arc) {
    struct path_node *node = &search->nodes[arc->to];
    uint64_t cost_us = search->nodes[from].cost_us + arc->cost_us;
    uint32_t hops = search->nodes[from].hops + 1;
    if (cost_us > node->cost_us) {
        return;
    }
    if (cost_us == node->cost_us &&
        (hops > node->hops || (hops == node->hops && from > node->parent))) {
        return;
    }
    bool is_nearer = cost_us < node->cost_us;
    node->cost_us = cost_us;
    node->hops = hops;
    node->parent = from;
    if (is_nearer) {
        uint32_t place = node->place != 0 ? node->place : ++search->count;
        entry_rise(search, place, (struct path_entry){.cost_us = cost_us, .node = arc->to});
    }
}

static void search_init(struct search *search, uint32_t node_count, uint32_t source) {
    for (uint32_t i = 0; i < node_count; i++) {
        search->nodes[i] = (struct path_node){
            .cost_us = PATH_UNREACHED, .hops = PATH_NONE, .parent = PATH_NONE, .first = PATH_NONE};
    }
    search->nodes[source] =
        (struct path_node){.parent = PATH_NONE, .first = source, .cost_us = 0, .hops = 0};
    search->count = 1;
    entry_set(search, 1, (struct path_entry){.cost_us = 0, .node = source});
}

static void node_settle(struct path_node *nodes, uint32_t source, uint32_t index) {
    if (index != source) {
        uint32_t parent = nodes[index].parent;
        nodes[index].first = parent == source ? index : nodes[parent].first;
    }
}

void path_compute(const struct path_graph *graph, uint32_t source, struct path_entry *heap,
                  struct path_node *nodes) {
    ASSERT(source < graph->node_count);
    struct search search = {.heap = heap, .nodes = nodes};
    search_init(&search, graph->node_count, source);
    while (search.count > 0) {
        uint32_t nearest = search_pop(&search);
        node_settle(nodes, source, nearest);
        for (uint32_t i = graph->rows[nearest]; i < graph->rows[nearest + 1]; i++) {
            search_offer(&search, nearest, &graph->arcs[i]);
        }
    }
}
