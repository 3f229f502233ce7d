/* SPDX-License-Identifier: Apache-2.0
 *
 * What is right, computed from the whole world: the graph of what all nodes that are up say of
 * themselves, its parts, their digests and shortest paths. Written apart from src/router, from
 * docs/protocol.md, section 7, so that an error would have to be made twice.
 */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include "sim/world.h"

#define ORACLE_NONE UINT32_MAX
#define ORACLE_UNREACHED UINT64_MAX

struct oracle_arc {
    uint32_t to;
    uint32_t cost_us;
};
struct oracle_entry {
    uint64_t cost_us;
    uint32_t node;
};

struct oracle {
    struct world *world;
    uint32_t node_count;
    uint64_t *id_hashes;     /* of every node, computed once */
    uint32_t *rows;          /* node_count + 1: arcs[rows[u]] .. are the links of u that count */
    struct oracle_arc *arcs; /* mutual, with the price of leaving */
    size_t arc_size;
    uint32_t *parts;   /* by node: the least node of its part; ORACLE_NONE when down */
    uint64_t *digests; /* by part */
    uint32_t *sizes;   /* by part: nodes in it */
    uint64_t *costs;   /* of the last oracle_paths */
    struct oracle_entry *heap;
    size_t heap_size;
    uint32_t paths_from; /* whose costs these are; ORACLE_NONE if nobody's */
};

void oracle_init(struct oracle *oracle, struct world *world);
/* Takes zeroed memory. */
void oracle_fini(struct oracle *oracle);

/* Asks all nodes that are up for their own word, and computes parts and digests. Cost: nodes +
 * links. */
void oracle_look(struct oracle *oracle);

/* The cost of the shortest paths from `source` to all, ORACLE_UNREACHED where there is none; valid
 * until the next look or source. */
const uint64_t *oracle_paths(struct oracle *oracle, uint32_t source);
/* The cost of the link from a to b as it counts; 0 if there is none. */
uint32_t oracle_cost(const struct oracle *oracle, uint32_t a, uint32_t b);

/* Sets (disjoint, of nodes), for whoever joins them: parents[i] == i at first. */
uint32_t oracle_root(uint32_t *parents, uint32_t node);
/* The smaller root stays. */
void oracle_join(uint32_t *parents, uint32_t a, uint32_t b);

#endif
