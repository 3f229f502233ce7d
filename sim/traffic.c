/* SPDX-License-Identifier: Apache-2.0
 *
 * What the mesh costs: bytes by node, kind and second, and computations.
 */
#include "base/time.h"
#include "sim/check_internal.h"
#include "sim/must.h"

/* The baseline is the mean of so many seconds before t=0, or fewer if it was not quiet for so long.
 */
#define BASELINE_S 10

static uint32_t seed_count(const struct checks *checks) {
    const struct scenario_topology *topology = &world_scenario(checks->world)->topology;
    return topology->kind == TOPOLOGY_SEED && topology->seeds > 0 ? topology->seeds : 1;
}

static void sample_nodes(struct checks *checks) {
    for (uint32_t i = 0; i < checks->node_count; i++) {
        struct node_watch *it = &checks->nodes[i];
        if (checks->has_begun && check_is_live(checks, i)) {
            metric_sample(checks->node_rate, (int64_t)it->second_bytes);
        }
        it->second_bytes = 0;
    }
}

static void tick(void *ctx) {
    struct checks *checks = ctx;
    uint64_t steps = world_step_count(checks->world);
    checks->second.steps = steps - checks->steps_before;
    checks->second.up = checks->up_count;
    checks->second.links = checks->link_ends;
    checks->steps_before = steps;
    if (checks->second_count == checks->second_size) {
        checks->second_size = checks->second_size == 0 ? 256 : 2 * checks->second_size;
        checks->seconds =
            must(realloc(checks->seconds, checks->second_size * sizeof *checks->seconds));
    }
    checks->seconds[checks->second_count++] = checks->second;
    checks->link_seconds += checks->has_begun ? checks->link_ends / 2 : 0;
    checks->second = (struct second){0};
    sample_nodes(checks);
    company_second(checks);
    world_at(checks->world, time_after(world_now(checks->world), NS_PER_S), tick, checks);
}

void traffic_init(struct checks *checks) {
    checks->node_rate = metrics_distribution(checks->metrics, "traffic.node_rate", UNIT_BYTES);
    checks->beat_latency = metrics_distribution(checks->metrics, "heartbeat.latency", UNIT_NS);
    checks->computation_gap = metrics_distribution(checks->metrics, "computations.gap", UNIT_NS);
    world_at(checks->world, time_after(checks->started_at, NS_PER_S), tick, checks);
}

static void count(struct checks *checks, uint32_t node, uint64_t bytes) {
    struct node_watch *it = &checks->nodes[node];
    it->second_bytes += bytes;
    if (checks->has_begun) {
        it->bytes += bytes;
    } else if (node < seed_count(checks)) {
        checks->seed_bytes += bytes;
    }
}

void traffic_sent(struct checks *checks, uint32_t node, const struct action *action) {
    uint32_t len = action->frame->len;
    uint64_t bytes = (uint64_t)len + (action->payload != NULL ? action->payload->len : 0);
    uint8_t kind = len > 0 ? action->frame->data[0] : 0;
    count(checks, node, bytes);
    checks->second.frames++;
    checks->second.bytes += bytes;
    checks->kind_bytes[kind] += checks->has_begun ? bytes : 0;
    checks->kind_frames[kind] += checks->has_begun ? 1 : 0;
    if (action->class == WIRE_CLASS_CONTROL && len > checks->peak_frame) {
        checks->peak_frame = len;
    }
}

static uint64_t deltas_in(struct span body) {
    struct wire_reader reader = wire_reader_of(body);
    struct wire_delta delta;
    uint64_t count = 0;
    while (wire_reader_more(&reader) && wire_deltas_next(&reader, &delta) == WEFT_OK) {
        count++;
    }
    return count;
}

static uint64_t records_in(struct span body) {
    struct wire_reader reader = wire_reader_of(body);
    struct span encoded;
    uint64_t count = 0;
    while (!wire_reader_done(&reader) && wire_records_next(&reader, &encoded) == WEFT_OK) {
        count++;
    }
    return count;
}

void traffic_received(struct checks *checks, uint32_t node, const struct wire_frame *frame,
                      struct span payload) {
    count(checks, node, WIRE_FRAME_HEADER_BYTES + frame->body.len + payload.len);
    if (frame->kind == WIRE_RECORDS && checks->has_begun) {
        checks->nodes[node].records_in += records_in(frame->body);
    } else if (frame->kind == WIRE_DELTAS && checks->has_begun) {
        checks->nodes[node].records_in += deltas_in(frame->body);
    }
}

/* From when the sender made it, by the sender's own clock, until it is here. */
void traffic_beat(struct checks *checks, uint32_t from, struct span body) {
    struct wire_heartbeat beat;
    if (checks->has_begun && wire_heartbeat_decode(body, &beat) == WEFT_OK) {
        uint32_t now_us = (uint32_t)(world_node_now(checks->world, from) / 1000);
        metric_sample(checks->beat_latency, (int64_t)(uint32_t)(now_us - beat.sent_us) * 1000);
    }
}

void traffic_stepped(struct checks *checks, uint32_t node) {
    struct node_watch *it = &checks->nodes[node];
    const struct core *core = world_core(checks->world, node);
    uint64_t computations = core != NULL ? core_computation_count(core) : it->computations;
    if (computations == it->computations) {
        return;
    }
    weft_ns now = world_now(checks->world);
    if (it->computed_at != 0) {
        metric_sample(checks->computation_gap, (int64_t)(now - it->computed_at));
    }
    it->computed += checks->has_begun ? computations - it->computations : 0;
    it->computations = computations;
    it->computed_at = now;
}

/* A new life counts its computations anew. */
void traffic_state(struct checks *checks, uint32_t node, enum node_state state) {
    struct node_watch *it = &checks->nodes[node];
    if (state == NODE_DOWN || state == NODE_LEFT) {
        it->computations = 0;
        it->computed_at = 0;
    }
}

static uint64_t per_node(uint64_t sum, uint64_t node_seconds) {
    return node_seconds == 0 ? 0 : sum * 1000 / node_seconds;
}

struct second traffic_mean(const struct checks *checks, size_t from, size_t count) {
    struct second sum = {0};
    uint64_t up = 0;
    uint64_t links = 0;
    for (size_t i = from; i < from + count && i < checks->second_count; i++) {
        sum.frames += checks->seconds[i].frames;
        sum.bytes += checks->seconds[i].bytes;
        sum.steps += checks->seconds[i].steps;
        up += checks->seconds[i].up;
        links += checks->seconds[i].links;
    }
    return (struct second){.frames = per_node(sum.frames, up),
                           .bytes = per_node(sum.bytes, up),
                           .steps = per_node(sum.steps, up),
                           .up = count == 0 ? 0 : (uint32_t)(up / count),
                           .links = count == 0 ? 0 : (uint32_t)(links / count)};
}

void traffic_begin(struct checks *checks) {
    size_t quiet = (size_t)(world_scenario(checks->world)->quiet_ns / NS_PER_S);
    size_t span = quiet < BASELINE_S ? quiet : BASELINE_S;
    span = span < checks->second_count ? span : checks->second_count;
    if (span > 0) {
        checks->seconds_base = traffic_mean(checks, checks->second_count - span, span);
    }
}

static int64_t rate_ppm(uint64_t sum, weft_ns span) {
    uint64_t ms = span / NS_PER_MS;
    return ms == 0 ? 0 : (int64_t)(sum * 1000000000 / ms);
}

static void report_kinds(struct checks *checks) {
    char name[96];
    for (int kind = 0; kind < 256; kind++) {
        const struct wire_type *type = wire_type_of((uint8_t)kind);
        if (type == NULL) {
            continue;
        }
        (void)snprintf(name, sizeof name, "traffic.bytes.%s", type->name);
        metric_set(metrics_counter(checks->metrics, name, UNIT_BYTES),
                   (int64_t)checks->kind_bytes[kind]);
        (void)snprintf(name, sizeof name, "traffic.frames.%s", type->name);
        metric_set(metrics_counter(checks->metrics, name, UNIT_COUNT),
                   (int64_t)checks->kind_frames[kind]);
    }
}

/* Rates of computations and records are those elsewhere than at the nodes that faults were about.
 */
static void report_nodes(struct checks *checks, weft_ns span) {
    struct metrics *metrics = checks->metrics;
    struct metric *mean = metrics_distribution(metrics, "traffic.node_mean", UNIT_BYTES);
    struct metric *computed = metrics_distribution(metrics, "computations.rate", UNIT_PPM);
    struct metric *records = metrics_distribution(metrics, "record.rate", UNIT_PPM);
    for (uint32_t i = 0; i < checks->node_count; i++) {
        const struct node_watch *it = &checks->nodes[i];
        metric_sample(mean, rate_ppm(it->bytes, span) / 1000000);
        if (check_is_healthy(checks, i)) {
            metric_sample(computed, rate_ppm(it->computed, span));
            metric_sample(records, rate_ppm(it->records_in, span));
        }
    }
}

void traffic_report(struct checks *checks) {
    struct metrics *metrics = checks->metrics;
    uint64_t hops_out = 0;
    report_kinds(checks);
    if (checks->has_begun) {
        report_nodes(checks, world_now(checks->world) - checks->begun_at);
    }
    for (uint32_t i = 0; i < checks->node_count; i++) {
        struct core_status status;
        if (world_core(checks->world, i) != NULL) {
            core_get_status(world_core(checks->world, i), &status);
            hops_out += status.frames_dropped[CORE_DROP_NO_HOPS];
        }
    }
    metric_set(metrics_counter(metrics, "hops.run_out", UNIT_COUNT), (int64_t)hops_out);
    metric_set(metrics_counter(metrics, "traffic.seed_bytes", UNIT_BYTES),
               (int64_t)checks->seed_bytes);
    metric_set(metrics_counter(metrics, "record.told", UNIT_COUNT), (int64_t)checks->told);
    metric_set(metrics_counter(metrics, "traffic.peak_frame", UNIT_BYTES), checks->peak_frame);
}
