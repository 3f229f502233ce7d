/* SPDX-License-Identifier: Apache-2.0
 *
 * Which nodes and links were up when, for the picture in the report. A link comes up once both ends
 * hold one, and goes with the first end that lets go of it; when one end dies, that is the other.
 * Beyond NODES_MAX nodes a sample is drawn, the first of a breadth-first walk of the plan
 * so that it hangs together; beyond EVENTS_MAX events the sample is halved.
 */
#ifndef SIM_TOPOLOGY_LOG_H
#define SIM_TOPOLOGY_LOG_H

#include "sim/world.h"

/* More than a page can draw as single dots. */
#define TOPOLOGY_LOG_NODES_MAX 2000
/* 10 MB of JSON. */
#define TOPOLOGY_LOG_EVENTS_MAX 200000

struct topology_log;

enum topology_event_kind {
    TOPOLOGY_LINK_UP,
    TOPOLOGY_LINK_DOWN,
    TOPOLOGY_NODE_UP,
    TOPOLOGY_NODE_DOWN,
    TOPOLOGY_NODE_PAUSED,
    TOPOLOGY_NODE_LEFT,
};
const char *topology_event_name(enum topology_event_kind kind); /* "link-up", "paused" ... */

struct topology_event {
    weft_ns at; /* since the world's start */
    enum topology_event_kind kind;
    uint32_t a; /* a place in the sample */
    uint32_t b; /* of links */
};

/* Becomes an observer of the world. */
struct topology_log *topology_log_new(struct world *world);
void topology_log_free(struct topology_log *log);

/* Links that are up now, in the whole world. */
uint32_t topology_log_links_up(const struct topology_log *log);
/* The nodes that events speak of, by place; the places of all nodes if there are few. */
size_t topology_log_sample(const struct topology_log *log, const uint32_t **out);
size_t topology_log_events(const struct topology_log *log, const struct topology_event **out);

#endif
