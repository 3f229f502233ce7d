/* SPDX-License-Identifier: Apache-2.0
 *
 * Samples over time for the result: a row every interval. When there are too many rows, two become
 * one and the interval doubles, so that a run of a minute and one of a day take as much room.
 */
#ifndef SIM_SERIES_H
#define SIM_SERIES_H

#include "sim/topology_log.h"

struct series;

/* 10 a second at first, as fine as a page can show of a short run. */
#define SERIES_INTERVAL ((weft_ns)100000000)
/* Twice what a wide chart has pixels for. */
#define SERIES_ROWS_MAX 2048

/* What the frames on all links were for. */
enum series_traffic {
    TRAFFIC_HEARTBEAT,
    TRAFFIC_GOSSIP,    /* records, their reconciliation, channels' gossip */
    TRAFFIC_BROADCAST, /* with what repairs them */
    TRAFFIC_UNICAST,
    TRAFFIC_CARRIER,
    TRAFFIC_CONTROL, /* all else */
    TRAFFIC_COUNT,
};
const char *series_traffic_name(enum series_traffic traffic);

struct series_row {
    weft_ns at; /* the end of the interval, since the world's start */
    uint32_t nodes_up;
    uint32_t links_up;
    uint32_t settled_ppm;          /* share of the nodes up that know what most of them know */
    uint64_t bytes[TRAFFIC_COUNT]; /* within the interval */
};

/* Becomes an observer of the world. */
struct series *series_new(struct world *world);
void series_free(struct series *series);

/* When the next sample is due. */
weft_ns series_due(const struct series *series);
/* Takes it, if it is due. */
void series_sample(struct series *series);

weft_ns series_interval(const struct series *series);
size_t series_rows(const struct series *series, const struct series_row **out);
const struct topology_log *series_topology(const struct series *series);

#endif
