/* SPDX-License-Identifier: Apache-2.0
 *
 * Who opens which stream when: each client of a load has slots, and in each slot one stream follows
 * the other.
 */
#include <string.h>

#include "base/check.h"
#include "sim/load_parts.h"

#define NEXT_AFTER (10 * NS_PER_MS) /* a stream that ended well */
#define RETRY_AFTER NS_PER_S        /* one that did not, or could not be opened */
#define FLOWS_MAX ((size_t)1 << 24)
#define RATES_MAX                                                                                  \
    20000U /* flows whose rates are compared; beyond, the first so many stand for all */
#define RATE_SCALE 100000U
#define SERVER_TRIES 16

static void arm(struct slot *slot, weft_ns at, bool is_ping);

/* --- life --- */

static void mark_servers(struct load *load) {
    for (size_t i = 0; i < load->scenario->load_count; i++) {
        const struct load_spec *spec = &load->specs[i];
        bool is_streams = load->scenario->loads[i].kind == LOAD_STREAMS;
        for (size_t at = 0; is_streams && at < spec->to_count; at++) {
            load->nodes[spec->to[at]].is_server = true;
        }
    }
}

void flows_init(struct load *load) {
    struct flows *flows = &load->flows;
    struct metrics *metrics = load->metrics;
    const struct hash_key key = {{0}}; /* nobody chooses these keys */
    flows->ends = must(map_new(FLOWS_MAX, &key));
    flows->loads = must(calloc(load->scenario->load_count + 1, sizeof(*flows->loads)));
    flows->rates = must(calloc(RATES_MAX, sizeof(*flows->rates)));
    flows->opened = metrics_counter(metrics, "stream.opened", UNIT_COUNT);
    flows->done = metrics_counter(metrics, "stream.done", UNIT_COUNT);
    flows->failed = metrics_counter(metrics, "stream.failed", UNIT_COUNT);
    flows->refused = metrics_counter(metrics, "stream.refused", UNIT_COUNT);
    flows->bytes = metrics_counter(metrics, "stream.bytes", UNIT_BYTES);
    flows->open_time = metrics_distribution(metrics, "stream.open_time", UNIT_NS);
    flows->stall = metrics_distribution(metrics, "stream.stall", UNIT_NS);
    flows->rate = metrics_distribution(metrics, "stream.rate", UNIT_BYTES);
    flows->rate_after = metrics_distribution(metrics, "stream.rate_after", UNIT_BYTES);
    flows->ping = metrics_distribution(metrics, "ping.latency", UNIT_NS);
    mark_servers(load);
}

void flows_fini(struct load *load) {
    struct flows *flows = &load->flows;
    struct map_entry *entry = map_first(flows->ends);
    while (entry != NULL) {
        free(map_value(entry));
        entry = map_next(entry);
    }
    map_free(flows->ends);
    while (flows->first != NULL) {
        struct flow *flow = flows->first;
        flows->first = flow->next;
        free(flow);
    }
    for (size_t i = 0; i < load->scenario->load_count; i++) {
        free(flows->loads[i].slots);
    }
    free(flows->loads);
    free(flows->rates);
}

/* --- slots --- */

static const struct stream_load *load_of(const struct slot *slot) {
    return &slot->load->flows.loads[slot->spec - slot->load->scenario->loads];
}

/* Draws a server that runs and is not the client; false when none was found. */
static bool draw_server(struct slot *slot, uint32_t *out) {
    const struct stream_load *loads = load_of(slot);
    for (unsigned i = 0; i < SERVER_TRIES && loads->server_count > 0; i++) {
        uint32_t server = loads->servers[rng_below(&slot->rng, loads->server_count)];
        if (server != slot->node->index && load_node_runs(slot->load, server) &&
            !load_is_leaving(slot->load, server)) {
            *out = server;
            return true;
        }
    }
    return false;
}

static bool may_open(const struct slot *slot) {
    bool has_all = slot->spec->count != 0 && slot->opened >= slot->spec->count;
    return !has_all && !load_of(slot)->has_ended;
}

static void open_next(struct slot *slot) {
    struct load *load = slot->load;
    uint32_t server = 0;
    if (!may_open(slot)) {
        return;
    }
    if (!load_node_runs(load, slot->node->index) || load_is_leaving(load, slot->node->index) ||
        !draw_server(slot, &server) ||
        flow_open(slot, server, load_draw_bytes(&slot->spec->bytes, &slot->rng)) == NULL) {
        arm(slot, time_after(world_now(load->world), RETRY_AFTER), false);
        return;
    }
    slot->opened++;
    world_pump(load->world, slot->node->index);
}

static void ask_ping(struct slot *slot) {
    struct load *load = slot->load;
    struct flow *flow = slot->flow;
    weft_ns now = world_now(load->world);
    if (flow->is_stopping || flow->ends[FLOW_CLIENT] == NULL) {
        return;
    }
    if (!load_node_runs(load, slot->node->index)) {
        arm(slot, time_after(now, RETRY_AFTER), true);
        return;
    }
    flow->pings++;
    flow->ping_at = now;
    end_write(flow->ends[FLOW_CLIENT]);
    world_pump(load->world, slot->node->index);
}

static void slot_due(void *ctx) {
    struct slot *slot = ctx;
    bool is_ping = slot->is_ping;
    slot->is_armed = false;
    if (slot->flow == NULL) {
        open_next(slot);
    } else if (is_ping) {
        ask_ping(slot);
    }
}

/* At most one call of a slot is under way: what was to be a ping opens, if the stream went. */
static void arm(struct slot *slot, weft_ns at, bool is_ping) {
    slot->is_ping = is_ping;
    if (!slot->is_armed) {
        slot->is_armed = true;
        world_at(slot->load->world, at, slot_due, slot);
    }
}

void slot_ping_at(struct slot *slot, weft_ns at) {
    arm(slot, at, true);
}

void slot_is_free(struct slot *slot, bool was_well) {
    weft_ns now = world_now(slot->load->world);
    arm(slot, time_after(now, was_well ? NEXT_AFTER : RETRY_AFTER), false);
}

/* --- the loads --- */

static void make_slots(struct load *load, size_t index) {
    const struct scenario_load *spec = &load->scenario->loads[index];
    const struct load_spec *drawn = &load->specs[index];
    struct stream_load *loads = &load->flows.loads[index];
    size_t per_node = spec->streams > 0 ? (size_t)spec->streams : 1;
    loads->slot_count = drawn->who_count * per_node;
    loads->slots = must(calloc(loads->slot_count + 1, sizeof(*loads->slots)));
    for (size_t i = 0; i < loads->slot_count; i++) {
        char label[48];
        struct slot *slot = &loads->slots[i];
        *slot = (struct slot){
            .load = load, .spec = spec, .node = &load->nodes[drawn->who[i / per_node]]};
        (void)snprintf(label, sizeof(label), "stream-%zu-%zu", index, i);
        world_rng(load->world, label, &slot->rng);
    }
}

static void end_due(void *ctx) {
    struct stream_load *loads = ctx;
    streams_end(loads->load, (size_t)(loads - loads->load->flows.loads));
}

/* The streams of one entry all begin together, but for those that have an interval. */
static weft_ns first_at(const struct load *load, struct slot *slot) {
    weft_ns begin = time_after(load->begun_at, slot->spec->at_ns);
    uint64_t every = slot->spec->every_ns;
    return every != 0 ? time_after(begin, rng_below(&slot->rng, every)) : begin;
}

void streams_begin(struct load *load, size_t index) {
    const struct scenario_load *spec = &load->scenario->loads[index];
    struct stream_load *loads = &load->flows.loads[index];
    *loads = (struct stream_load){.load = load,
                                  .spec = spec,
                                  .servers = load->specs[index].to,
                                  .server_count = load->specs[index].to_count};
    make_slots(load, index);
    for (size_t i = 0; i < loads->slot_count; i++) {
        arm(&loads->slots[i], first_at(load, &loads->slots[i]), false);
    }
    if (spec->until_ns != 0) {
        world_at(load->world, time_after(load->begun_at, spec->until_ns), end_due, loads);
    }
}

void streams_end(struct load *load, size_t index) {
    struct stream_load *loads = &load->flows.loads[index];
    loads->has_ended = true;
    for (size_t i = 0; i < loads->slot_count; i++) {
        if (loads->slots[i].flow != NULL) {
            flow_stop(loads->slots[i].flow);
        }
    }
}

/* --- what is said of all --- */

/* What the server read a second since the stream was of the age that the load says. */
static void rate_after(const struct flow *flow, const struct flow_end *server) {
    weft_ns now = world_now(flow->load->world);
    if (flow->rated_from != 0 && now > flow->rated_from) {
        uint64_t us = (now - flow->rated_from) / NS_PER_US + 1;
        uint64_t bytes = server->read - flow->read_before;
        metric_sample(flow->load->flows.rate_after, (int64_t)(bytes * 1000000U / us));
    }
}

void flows_rate(struct flow *flow) {
    struct flows *flows = &flow->load->flows;
    const struct flow_end *server = flow->ends[FLOW_SERVER];
    weft_ns took = world_now(flow->load->world) - flow->opened_at;
    if (flow->shape != SHAPE_BULK || server == NULL || took == 0 || flow->is_rated ||
        flows->rate_count == RATES_MAX) {
        return;
    }
    flow->is_rated = true;
    rate_after(flow, server);
    /* In bytes a millisecond the product does not wrap: 2^64 bytes are more than any run moves. */
    flows->rates[flows->rate_count++] = server->read * 1000 / (took / NS_PER_MS + 1);
}

void flows_look(struct load *load) {
    weft_ns now = world_now(load->world);
    for (struct flow *flow = load->flows.first; flow != NULL; flow = flow->next) {
        if (!truth_joins(load, flow->client, flow->server)) {
            flow->apart_at = now;
        }
    }
}

/* Jain's index, (sum x)^2 / (n sum x^2), in millionths. Rates are scaled to the largest so that no
 * product wraps. */
static int64_t fairness(const uint64_t *rates, size_t count) {
    uint64_t largest = 1;
    uint64_t sum = 0;
    uint64_t squares = 0;
    for (size_t i = 0; i < count; i++) {
        largest = rates[i] > largest ? rates[i] : largest;
    }
    uint64_t unit = largest / RATE_SCALE + 1;
    for (size_t i = 0; i < count; i++) {
        uint64_t rate = rates[i] / unit;
        sum += rate;
        squares += rate * rate;
    }
    uint64_t whole = squares * (uint64_t)count / 1000000U;
    return whole > 0 ? (int64_t)(sum * sum / whole) : 0;
}

static void report_fairness(struct load *load) {
    struct flows *flows = &load->flows;
    for (struct flow *flow = flows->first; flow != NULL; flow = flow->next) {
        flows_rate(flow);
    }
    if (flows->rate_count > 0) {
        metric_set(metrics_counter(load->metrics, "fairness", UNIT_PPM),
                   fairness(flows->rates, flows->rate_count));
    }
}

/* Of nodes that are there at the end, since they started: what was sent again, how often an end of
 * a stream went on after its path was lost, and what honest nodes found spoilt. */
static void report_packets(struct load *load) {
    struct core_status status;
    uint64_t sent = 0;
    uint64_t resent = 0;
    uint64_t resumed = 0;
    uint64_t spoilt = 0;
    for (uint32_t i = 0; i < load->node_count; i++) {
        const struct core *core = world_core(load->world, i);
        if (core != NULL) {
            core_get_status(core, &status);
            sent += status.streams.bytes_sent;
            resent += status.streams.bytes_resent;
            resumed += status.streams.resumed;
            spoilt += load_has_lied(load, i) ? 0 : status.streams.packets_spoilt;
        }
    }
    uint64_t part = sent / 1000000U;
    metric_set(metrics_counter(load->metrics, "stream.resent_share", UNIT_PPM),
               part > 0 ? (int64_t)(resent / part) : (int64_t)(resent > 0 ? 1000000U : 0));
    metric_set(metrics_counter(load->metrics, "stream.resumed", UNIT_COUNT), (int64_t)resumed);
    metric_set(metrics_counter(load->metrics, "packets.spoilt", UNIT_COUNT), (int64_t)spoilt);
}

/* Streams that never ended have stalled for as long as nothing came. */
static void report_unfinished(struct load *load) {
    weft_ns now = world_now(load->world);
    for (const struct flow *flow = load->flows.first; flow != NULL; flow = flow->next) {
        bool is_moving = flow->shape != SHAPE_PING && !flow->is_doomed && flow->accepted_at != 0;
        if (is_moving) {
            weft_ns since = flow->moved_at != 0 ? flow->moved_at : flow->accepted_at;
            weft_ns stall = time_since(since, now);
            metric_sample(load->flows.stall,
                          (int64_t)(stall > flow->stall_max ? stall : flow->stall_max));
        }
    }
}

void flows_report(struct load *load) {
    report_fairness(load);
    report_unfinished(load);
    report_packets(load);
    metric_set(metrics_counter(load->metrics, "stream.unfinished", UNIT_COUNT),
               (int64_t)load_unfinished(load));
}
