/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/series.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "sim/must.h"

struct series {
    struct world *world;
    struct topology_log *topology;
    weft_ns interval;
    struct series_row *rows;
    size_t row_count;
    uint64_t bytes[TRAFFIC_COUNT]; /* since the last row */
    uint64_t *digests;             /* scratch: of the nodes up */
};

const char *series_traffic_name(enum series_traffic traffic) {
    static const char *const names[] = {
        [TRAFFIC_HEARTBEAT] = "heartbeat", [TRAFFIC_GOSSIP] = "gossip",
        [TRAFFIC_BROADCAST] = "broadcast", [TRAFFIC_UNICAST] = "unicast",
        [TRAFFIC_CARRIER] = "carrier",     [TRAFFIC_CONTROL] = "control",
    };
    return names[traffic];
}

static enum series_traffic traffic_of(uint8_t kind) {
    switch (kind) {
    case WIRE_HEARTBEAT:
        return TRAFFIC_HEARTBEAT;
    case WIRE_GOSSIP:
    case WIRE_RECORDS:
    case WIRE_DELTAS:
    case WIRE_NOTES:
    case WIRE_SYNC:
        return TRAFFIC_GOSSIP;
    case WIRE_BROADCAST:
    case WIRE_PULL:
    case WIRE_HEADS:
        return TRAFFIC_BROADCAST;
    case WIRE_UNICAST:
        return TRAFFIC_UNICAST;
    case WIRE_CARRIER:
        return TRAFFIC_CARRIER;
    default:
        return TRAFFIC_CONTROL;
    }
}

static void on_sent(void *ctx, uint32_t node, uint32_t to, const struct action *action) {
    struct series *series = ctx;
    (void)node;
    (void)to;
    if (action->frame == NULL || action->frame->len == 0) {
        return;
    }
    uint64_t bytes = action->frame->len + (action->payload != NULL ? action->payload->len : 0);
    series->bytes[traffic_of(action->frame->data[0])] += bytes;
}

static int compare_digests(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* The size of the largest group of equal ones; sorts. */
static size_t largest_group(uint64_t *digests, size_t count) {
    size_t largest = 0;
    size_t begin = 0;
    qsort(digests, count, sizeof(digests[0]), compare_digests);
    for (size_t i = 1; i <= count; i++) {
        if (i == count || digests[i] != digests[begin]) {
            largest = i - begin > largest ? i - begin : largest;
            begin = i;
        }
    }
    return largest;
}

static void look(struct series *series, struct series_row *row) {
    uint32_t node_count = world_node_count(series->world);
    size_t count = 0;
    for (uint32_t node = 0; node < node_count; node++) {
        struct core *core = world_core(series->world, node);
        bool is_up = world_node_state(series->world, node) == NODE_UP;
        row->nodes_up += is_up ? 1 : 0;
        if (is_up && core != NULL) {
            series->digests[count] = core_records_digest(core);
            count++;
        }
    }
    row->links_up = topology_log_links_up(series->topology);
    if (count > 0) {
        size_t agreeing = largest_group(series->digests, count);
        row->settled_ppm = (uint32_t)(agreeing * 1000000 / count);
    }
}

/* Of two rows the later one's state, and the bytes of both. */
static void merge_rows(struct series *series) {
    for (size_t i = 0; i + 1 < series->row_count; i += 2) {
        struct series_row row = series->rows[i + 1];
        for (size_t kind = 0; kind < TRAFFIC_COUNT; kind++) {
            row.bytes[kind] += series->rows[i].bytes[kind];
        }
        series->rows[i / 2] = row;
    }
    series->row_count /= 2;
    series->interval *= 2;
}

weft_ns series_due(const struct series *series) {
    return NS_PER_S + (series->row_count + 1) * series->interval;
}

void series_sample(struct series *series) {
    if (world_now(series->world) < series_due(series)) {
        return;
    }
    struct series_row row = {.at = world_now(series->world) - NS_PER_S};
    look(series, &row);
    memcpy(row.bytes, series->bytes, sizeof(row.bytes));
    memset(series->bytes, 0, sizeof(series->bytes));
    series->rows[series->row_count] = row;
    series->row_count++;
    if (series->row_count == SERIES_ROWS_MAX) {
        merge_rows(series);
    }
}

struct series *series_new(struct world *world) {
    ASSERT(world != NULL);
    struct series *series = must(calloc(1, sizeof(*series)));
    series->world = world;
    series->interval = SERIES_INTERVAL;
    series->topology = topology_log_new(world);
    series->rows = must(calloc(SERIES_ROWS_MAX, sizeof(series->rows[0])));
    series->digests = must(calloc(world_node_count(world), sizeof(series->digests[0])));
    struct observer observer = {.ctx = series, .sent = on_sent};
    world_add_observer(world, &observer);
    return series;
}

void series_free(struct series *series) {
    if (series == NULL) {
        return;
    }
    topology_log_free(series->topology);
    free(series->rows);
    free(series->digests);
    free(series);
}

weft_ns series_interval(const struct series *series) {
    return series->interval;
}

size_t series_rows(const struct series *series, const struct series_row **out) {
    *out = series->rows;
    return series->row_count;
}

const struct topology_log *series_topology(const struct series *series) {
    return series->topology;
}
