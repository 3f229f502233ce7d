/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/graph.h"

#include "base/check.h"
#include "sim/must.h"

#define NO_LABEL UINT32_MAX

void graph_init(struct graph *graph, uint32_t node_count) {
    ASSERT(node_count >= 1);
    *graph = (struct graph){.node_count = node_count};
    graph->nodes = must(calloc(node_count, sizeof(*graph->nodes)));
}

void graph_fini(struct graph *graph) {
    for (uint32_t i = 0; i < graph->node_count; i++) {
        free(graph->nodes[i].neighbours);
    }
    free(graph->nodes);
    *graph = (struct graph){0};
}

uint32_t graph_degree(const struct graph *graph, uint32_t node) {
    ASSERT(node < graph->node_count);
    return graph->nodes[node].degree;
}

bool graph_has(const struct graph *graph, uint32_t a, uint32_t b) {
    bool is_a_smaller = graph_degree(graph, a) < graph_degree(graph, b);
    const struct graph_node *node = &graph->nodes[is_a_smaller ? a : b];
    uint32_t other = is_a_smaller ? b : a;
    for (uint32_t i = 0; i < node->degree; i++) {
        if (node->neighbours[i] == other) {
            return true;
        }
    }
    return false;
}

static void add_half(struct graph_node *node, uint32_t other) {
    if (node->degree == node->room) {
        node->room = node->room == 0 ? 4 : 2 * node->room;
        node->neighbours = must(realloc(node->neighbours, node->room * sizeof(uint32_t)));
    }
    node->neighbours[node->degree++] = other;
}

static void remove_half(struct graph_node *node, uint32_t other) {
    for (uint32_t i = 0; i < node->degree; i++) {
        if (node->neighbours[i] == other) {
            node->neighbours[i] = node->neighbours[--node->degree];
            return;
        }
    }
    ASSERT(false);
}

bool graph_add(struct graph *graph, uint32_t a, uint32_t b) {
    if (a == b || graph_has(graph, a, b)) {
        return false;
    }
    add_half(&graph->nodes[a], b);
    add_half(&graph->nodes[b], a);
    graph->edge_count++;
    return true;
}

void graph_remove(struct graph *graph, uint32_t a, uint32_t b) {
    ASSERT(a < graph->node_count && b < graph->node_count);
    remove_half(&graph->nodes[a], b);
    remove_half(&graph->nodes[b], a);
    graph->edge_count--;
}

/* Labels the neighbours that have no label yet and appends them to the queue. */
static size_t label_neighbours(const struct graph_node *node, uint32_t with, uint32_t *label,
                               uint32_t *queue, size_t tail) {
    for (uint32_t i = 0; i < node->degree; i++) {
        uint32_t next = node->neighbours[i];
        if (label[next] == NO_LABEL) {
            label[next] = with;
            queue[tail++] = next;
        }
    }
    return tail;
}

/* Labels all that `first` reaches; `queue` has room for all nodes. */
static void flood(const struct graph *graph, uint32_t first, uint32_t with, uint32_t *label,
                  uint32_t *queue) {
    size_t tail = 0;
    label[first] = with;
    queue[tail++] = first;
    for (size_t head = 0; head < tail; head++) {
        tail = label_neighbours(&graph->nodes[queue[head]], with, label, queue, tail);
    }
}

uint32_t graph_components(const struct graph *graph, uint32_t *label) {
    uint32_t *queue = must(calloc(graph->node_count, sizeof(*queue)));
    uint32_t count = 0;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        label[i] = NO_LABEL;
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        if (label[i] == NO_LABEL) {
            flood(graph, i, count++, label, queue);
        }
    }
    free(queue);
    return count;
}
