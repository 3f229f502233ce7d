/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads every node's own peer record. A link counts when both ends list it; a node that leaves is
 * dear. Dijkstra with lazy deletion: entries are pushed anew and stale ones skipped.
 */
#include "sim/oracle.h"

#include "sim/must.h"

/* The price of a link of a node that leaves: docs/protocol.md, section 7. */
#define LEAVING_US 1000000U

void oracle_init(struct oracle *oracle, struct world *world) {
    uint32_t count = world_node_count(world);
    *oracle = (struct oracle){.world = world, .node_count = count, .paths_from = ORACLE_NONE};
    oracle->id_hashes = must(calloc((size_t)count + 1, sizeof *oracle->id_hashes));
    oracle->rows = must(calloc((size_t)count + 2, sizeof *oracle->rows));
    oracle->parts = must(calloc((size_t)count + 1, sizeof *oracle->parts));
    oracle->digests = must(calloc((size_t)count + 1, sizeof *oracle->digests));
    oracle->sizes = must(calloc((size_t)count + 1, sizeof *oracle->sizes));
    oracle->costs = must(calloc((size_t)count + 1, sizeof *oracle->costs));
}

void oracle_fini(struct oracle *oracle) {
    free(oracle->id_hashes);
    free(oracle->rows);
    free(oracle->arcs);
    free(oracle->parts);
    free(oracle->digests);
    free(oracle->sizes);
    free(oracle->costs);
    free(oracle->heap);
    *oracle = (struct oracle){0};
}

uint32_t oracle_root(uint32_t *parents, uint32_t node) {
    while (parents[node] != node) {
        parents[node] = parents[parents[node]];
        node = parents[node];
    }
    return node;
}

void oracle_join(uint32_t *parents, uint32_t a, uint32_t b) {
    uint32_t one = oracle_root(parents, a);
    uint32_t two = oracle_root(parents, b);
    parents[one < two ? two : one] = one < two ? one : two;
}

static uint64_t mix(uint64_t word) {
    word ^= word >> 30;
    word *= 0xbf58476d1ce4e5b9;
    word ^= word >> 27;
    word *= 0x94d049bb133111eb;
    return word ^ word >> 31;
}

static uint64_t number_of(const uint8_t *bytes) {
    uint64_t number = 0;
    for (size_t i = 0; i < 8; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

/* Node keys are not there yet when the world is young in tests: asked at the first look. */
static uint64_t id_hash(struct oracle *oracle, uint32_t node) {
    if (oracle->id_hashes[node] == 0) {
        const struct weft_peer_id *id = world_id(oracle->world, node);
        oracle->id_hashes[node] = mix(mix(number_of(id->bytes)) + number_of(id->bytes + 8));
    }
    return oracle->id_hashes[node];
}

static void add_arc(struct oracle *oracle, size_t count, struct oracle_arc arc) {
    if (count == oracle->arc_size) {
        oracle->arc_size = oracle->arc_size == 0 ? 1024 : 2 * oracle->arc_size;
        oracle->arcs = must(realloc(oracle->arcs, oracle->arc_size * sizeof *oracle->arcs));
    }
    oracle->arcs[count] = arc;
}

static uint32_t price_of(const struct wire_peer_link *link, uint32_t flags) {
    bool is_leaving = (flags & WIRE_PEER_LEAVING) != 0;
    uint32_t room = UINT32_MAX - link->cost_us;
    return link->cost_us + (is_leaving ? (LEAVING_US < room ? LEAVING_US : room) : 0);
}

/* Appends what one node says of its links; returns how many arcs there are then. */
static size_t read_node(struct oracle *oracle, uint32_t node, size_t count) {
    struct core *core = world_core(oracle->world, node);
    struct core_peer_view view;
    if (core == NULL || !core_find_peer(core, world_id(oracle->world, node), &view)) {
        return count;
    }
    struct wire_list list = view.body.links;
    struct wire_peer_link link;
    uint32_t to = 0;
    while (wire_list_next_link(&list, &link)) {
        if (world_find_node(oracle->world, &link.peer, &to)) {
            add_arc(oracle, count++,
                    (struct oracle_arc){.to = to, .cost_us = price_of(&link, view.body.flags)});
        }
    }
    return count;
}

static uint32_t cost_in(const struct oracle *oracle, uint32_t a, uint32_t b) {
    uint32_t low = oracle->rows[a];
    uint32_t high = oracle->rows[a + 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (oracle->arcs[middle].to == b) {
            return oracle->arcs[middle].cost_us;
        }
        low = oracle->arcs[middle].to < b ? middle + 1 : low;
        high = oracle->arcs[middle].to < b ? high : middle;
    }
    return 0;
}

static int by_end(const void *a, const void *b) {
    const struct oracle_arc *one = a;
    const struct oracle_arc *two = b;
    return (one->to > two->to) - (one->to < two->to);
}

/* One-sided arcs stay for now, since the far side still looks for them. */
static void mark_mutual(const struct oracle *oracle, bool *is_mutual) {
    for (uint32_t u = 0; u < oracle->node_count; u++) {
        for (uint32_t i = oracle->rows[u]; i < oracle->rows[u + 1]; i++) {
            is_mutual[i] = cost_in(oracle, oracle->arcs[i].to, u) != 0;
        }
    }
}

static void drop_one_sided(struct oracle *oracle, const bool *is_mutual) {
    uint32_t next = 0;
    uint32_t from = 0;
    for (uint32_t u = 0; u < oracle->node_count; u++) {
        uint32_t end = oracle->rows[u + 1];
        oracle->rows[u] = next;
        for (uint32_t i = from; i < end; i++) {
            oracle->arcs[next] = oracle->arcs[i];
            next += is_mutual[i] ? 1 : 0;
        }
        from = end;
    }
    oracle->rows[oracle->node_count] = next;
}

static void read_graph(struct oracle *oracle) {
    size_t count = 0;
    for (uint32_t u = 0; u < oracle->node_count; u++) {
        oracle->rows[u] = (uint32_t)count;
        count = read_node(oracle, u, count);
        if (count > oracle->rows[u]) {
            qsort(oracle->arcs + oracle->rows[u], count - oracle->rows[u], sizeof *oracle->arcs,
                  by_end);
        }
    }
    oracle->rows[oracle->node_count] = (uint32_t)count;
    bool *is_mutual = must(calloc(count + 1, sizeof *is_mutual));
    mark_mutual(oracle, is_mutual);
    drop_one_sided(oracle, is_mutual);
    free(is_mutual);
}

static void find_parts(struct oracle *oracle) {
    for (uint32_t u = 0; u < oracle->node_count; u++) {
        oracle->parts[u] = u;
        oracle->sizes[u] = 0;
        oracle->digests[u] = 0;
    }
    for (uint32_t u = 0; u < oracle->node_count; u++) {
        for (uint32_t i = oracle->rows[u]; i < oracle->rows[u + 1]; i++) {
            oracle_join(oracle->parts, u, oracle->arcs[i].to);
        }
    }
}

static uint64_t node_digest(struct oracle *oracle, uint32_t u) {
    uint64_t digest = id_hash(oracle, u);
    for (uint32_t i = oracle->rows[u]; i < oracle->rows[u + 1]; i++) {
        const struct oracle_arc *arc = &oracle->arcs[i];
        digest += mix((3 * id_hash(oracle, u) + id_hash(oracle, arc->to)) ^ mix(arc->cost_us));
    }
    return digest;
}

static void sum_parts(struct oracle *oracle) {
    for (uint32_t u = 0; u < oracle->node_count; u++) {
        if (world_core(oracle->world, u) == NULL) {
            oracle->parts[u] = ORACLE_NONE;
            continue;
        }
        uint32_t part = oracle_root(oracle->parts, u);
        oracle->parts[u] = part;
        oracle->sizes[part]++;
        oracle->digests[part] += node_digest(oracle, u);
    }
}

void oracle_look(struct oracle *oracle) {
    read_graph(oracle);
    find_parts(oracle);
    sum_parts(oracle);
    oracle->paths_from = ORACLE_NONE;
}

uint32_t oracle_cost(const struct oracle *oracle, uint32_t a, uint32_t b) {
    return cost_in(oracle, a, b);
}

static void heap_push(struct oracle *oracle, size_t *count, struct oracle_entry entry) {
    if (*count == oracle->heap_size) {
        oracle->heap_size = oracle->heap_size == 0 ? 1024 : 2 * oracle->heap_size;
        oracle->heap = must(realloc(oracle->heap, oracle->heap_size * sizeof *oracle->heap));
    }
    size_t at = (*count)++;
    while (at > 0 && oracle->heap[(at - 1) / 2].cost_us > entry.cost_us) {
        oracle->heap[at] = oracle->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    oracle->heap[at] = entry;
}

static struct oracle_entry heap_pop(struct oracle *oracle, size_t *count) {
    struct oracle_entry *heap = oracle->heap;
    struct oracle_entry top = heap[0];
    struct oracle_entry last = heap[--*count];
    size_t at = 0;
    for (size_t child = 1; child < *count; child = 2 * at + 1) {
        child += child + 1 < *count && heap[child + 1].cost_us < heap[child].cost_us ? 1 : 0;
        if (heap[child].cost_us >= last.cost_us) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return top;
}

static void settle(struct oracle *oracle, size_t *count, struct oracle_entry nearest) {
    uint32_t u = nearest.node;
    for (uint32_t i = oracle->rows[u]; i < oracle->rows[u + 1]; i++) {
        const struct oracle_arc *arc = &oracle->arcs[i];
        uint64_t cost_us = nearest.cost_us + arc->cost_us;
        if (cost_us < oracle->costs[arc->to]) {
            oracle->costs[arc->to] = cost_us;
            heap_push(oracle, count, (struct oracle_entry){.cost_us = cost_us, .node = arc->to});
        }
    }
}

const uint64_t *oracle_paths(struct oracle *oracle, uint32_t source) {
    if (oracle->paths_from == source) {
        return oracle->costs;
    }
    size_t count = 0;
    for (uint32_t u = 0; u < oracle->node_count; u++) {
        oracle->costs[u] = ORACLE_UNREACHED;
    }
    oracle->costs[source] = 0;
    heap_push(oracle, &count, (struct oracle_entry){.node = source});
    while (count > 0) {
        struct oracle_entry nearest = heap_pop(oracle, &count);
        if (nearest.cost_us == oracle->costs[nearest.node]) {
            settle(oracle, &count, nearest);
        }
    }
    oracle->paths_from = source;
    return oracle->costs;
}
