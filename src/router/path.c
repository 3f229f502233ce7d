/* SPDX-License-Identifier: Apache-2.0
 *
 * Dijkstra's algorithm, and what follows when few arcs change. The heap's keys are stored beside
 * the node numbers, so that sifting touches one array; each node knows its place, so that a better
 * path moves it up instead of adding a second entry.
 */
#include "router/path.h"

#include "base/check.h"

/* The state of one computation. heap[1 .. count] is the heap. */
struct search {
    struct path_entry *heap;
    struct path_node *nodes;
    uint32_t count;
    uint32_t hop_us; /* what each link costs beside its own cost */
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
    search->nodes[nearest].place = 0;
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
    uint64_t cost_us = search->nodes[from].cost_us + arc->cost_us + search->hop_us;
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

static void search_run(struct search *search, const struct path_graph *graph, uint32_t source) {
    while (search->count > 0) {
        uint32_t nearest = search_pop(search);
        node_settle(search->nodes, source, nearest);
        for (uint32_t i = graph->rows[nearest]; i < graph->rows[nearest + 1]; i++) {
            search_offer(search, nearest, &graph->arcs[i]);
        }
    }
}

void path_compute(const struct path_graph *graph, uint32_t source, uint32_t hop_us,
                  struct path_entry *heap, struct path_node *nodes) {
    ASSERT(source < graph->node_count);
    struct search search = {.heap = heap, .nodes = nodes, .hop_us = hop_us};
    search_init(&search, graph->node_count, source);
    search_run(&search, graph, source);
}

uint32_t path_cost(const struct path_graph *graph, uint32_t from, uint32_t to) {
    uint32_t low = graph->rows[from];
    uint32_t high = graph->rows[from + 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint32_t at = graph->arcs[middle].to;
        if (at == to) {
            return graph->arcs[middle].cost_us;
        }
        low = at < to ? middle + 1 : low;
        high = at < to ? high : middle;
    }
    return 0;
}

static const struct path_node unreached = {
    .cost_us = PATH_UNREACHED, .hops = PATH_NONE, .parent = PATH_NONE, .first = PATH_NONE};

void path_compute_without(const struct path_graph *graph, uint32_t source, uint32_t without,
                          struct path_entry *heap, struct path_node *nodes) {
    ASSERT(source < graph->node_count && without < graph->node_count && source != without);
    struct search search = {.heap = heap, .nodes = nodes};
    search_init(&search, graph->node_count, source);
    nodes[without].cost_us = 0; /* no offer is better: it never enters the heap */
    search_run(&search, graph, source);
    nodes[without] = unreached;
}

/* Negative if the first is the better way to a node: cheaper, or of fewer hops. */
static int way_compare(const struct path_node *a, const struct path_node *b) {
    if (a->cost_us != b->cost_us) {
        return a->cost_us < b->cost_us ? -1 : 1;
    }
    return (a->hops > b->hops) - (a->hops < b->hops);
}

static bool is_same_way(const struct path_node *a, const struct path_node *b) {
    return way_compare(a, b) == 0 && a->parent == b->parent && a->first == b->first;
}

/* The best way to a node that its neighbours offer now: arcs lead both ways. */
static struct path_node way_offered(const struct path_graph *graph, const struct path_node *nodes,
                                    uint32_t index) {
    struct path_node best = unreached;
    for (uint32_t i = graph->rows[index]; i < graph->rows[index + 1]; i++) {
        uint32_t from = graph->arcs[i].to;
        if (nodes[from].cost_us == PATH_UNREACHED) {
            continue;
        }
        struct path_node way = {.cost_us = nodes[from].cost_us + path_cost(graph, from, index),
                                .hops = nodes[from].hops + 1,
                                .parent = from};
        if (way_compare(&way, &best) < 0) { /* rows rise: among equals the smallest id stays */
            best = way;
        }
    }
    if (best.parent != PATH_NONE) {
        bool is_first = nodes[best.parent].parent == PATH_NONE;
        best.first = is_first ? index : nodes[best.parent].first;
    }
    return best;
}

static void entry_enter(struct search *search, uint32_t index, uint64_t cost_us) {
    uint32_t place = search->nodes[index].place;
    if (place != 0 && search->heap[place].cost_us <= cost_us) {
        return; /* comes up early, and is then put back */
    }
    place = place != 0 ? place : ++search->count;
    entry_rise(search, place, (struct path_entry){.cost_us = cost_us, .node = index});
}

static uint64_t cost_min(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* Looks whether a node's way is still what its neighbours offer. */
static void node_touch(const struct path_graph *graph, struct search *search, uint32_t source,
                       uint32_t index) {
    if (index == source) {
        return;
    }
    struct path_node offered = way_offered(graph, search->nodes, index);
    if (!is_same_way(&offered, &search->nodes[index])) {
        entry_enter(search, index, cost_min(offered.cost_us, search->nodes[index].cost_us));
    }
}

/* Gives a node that came up its new way; one whose way became worse is first taken out of it, so
 * that those beyond it do not count on it in a circle. */
static void node_mend(const struct path_graph *graph, struct search *search, uint32_t source,
                      struct path_entry top) {
    struct path_node *node = &search->nodes[top.node];
    struct path_node offered = way_offered(graph, search->nodes, top.node);
    if (is_same_way(&offered, node)) {
        return;
    }
    uint64_t key_us = cost_min(offered.cost_us, node->cost_us);
    if (key_us > top.cost_us) {
        entry_enter(search, top.node, key_us);
        return;
    }
    bool is_worse = way_compare(&offered, node) > 0;
    *node = is_worse ? unreached : offered;
    for (uint32_t i = graph->rows[top.node]; i < graph->rows[top.node + 1]; i++) {
        node_touch(graph, search, source, graph->arcs[i].to);
    }
    if (is_worse) {
        node_touch(graph, search, source, top.node);
    }
}

/* DynamicSWSF-FP (Ramalingam, Reps 1996): a node is right when it has what its neighbours offer;
 * nodes that are not come up in order of cost. As costs are at least 1 there is one such state. */
void path_repair(const struct path_graph *graph, uint32_t source, struct path_entry *heap,
                 struct path_node *nodes, const uint32_t *touched, size_t touched_count) {
    ASSERT(source < graph->node_count);
    struct search search = {.heap = heap, .nodes = nodes};
    for (size_t i = 0; i < touched_count; i++) {
        node_touch(graph, &search, source, touched[i]);
    }
    while (search.count > 0) {
        uint64_t cost_us = search.heap[1].cost_us;
        uint32_t nearest = search_pop(&search);
        node_mend(graph, &search, source, (struct path_entry){.cost_us = cost_us, .node = nearest});
    }
}
