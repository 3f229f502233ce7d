/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/result.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/time.h"
#include "sim/must.h"
#include "sim/series.h"

/* Numbers for people leave the integers here and nowhere else. */
static json_t *seconds(weft_ns span) {
    return span == WEFT_NEVER ? json_null() : json_real((double)span / 1e9);
}

static json_t *text(const char *value) {
    json_t *made = json_string(value);
    return must(made != NULL ? made : json_string("(not UTF-8)"));
}

static json_t *whole(uint64_t value) {
    return must(json_integer((json_int_t)value));
}

static void set(json_t *object, const char *key, json_t *value) {
    if (json_object_set_new(object, key, must(value)) != 0) {
        (void)must(NULL);
    }
}

static void push(json_t *array, json_t *value) {
    if (json_array_append_new(array, must(value)) != 0) {
        (void)must(NULL);
    }
}

static json_t *scenario_of(const struct run *run) {
    static const char *const modes[] = {
        [CHAOS_NONE] = "none", [CHAOS_SAFETY] = "safety", [CHAOS_LIVENESS] = "liveness"};
    const struct scenario *scenario = run_options(run)->scenario;
    json_t *object = must(json_object());
    set(object, "name", text(scenario->name));
    set(object, "about", text(scenario->about != NULL ? scenario->about : ""));
    set(object, "targets", text(scenario->targets != NULL ? scenario->targets : ""));
    set(object, "file", text(scenario->file != NULL ? scenario->file : ""));
    set(object, "nodes", whole(scenario->nodes));
    set(object, "mode", text(modes[scenario->chaos.mode]));
    return object;
}

static json_t *invariants_of(const struct run *run) {
    const struct check_result *results = NULL;
    size_t count = run_invariants(run, &results);
    json_t *array = must(json_array());
    for (size_t i = 0; i < count; i++) {
        json_t *object = must(json_object());
        set(object, "name", text(results[i].name));
        set(object, "held", json_boolean(!results[i].is_broken));
        set(object, "checked", whole(results[i].checked));
        set(object, "at_s",
            results[i].is_broken ? seconds(time_since(RUN_EPOCH, results[i].at)) : json_null());
        set(object, "detail", text(results[i].detail));
        push(array, object);
    }
    return array;
}

static json_t *expects_of(const struct run *run) {
    const struct run_expect *expects = NULL;
    size_t count = run_expects(run, &expects);
    json_t *array = must(json_array());
    for (size_t i = 0; i < count; i++) {
        json_t *object = must(json_object());
        set(object, "text", text(expects[i].expect->text));
        set(object, "held", json_boolean(expects[i].is_held));
        set(object, "reached", must(json_integer(expects[i].reached)));
        set(object, "reached_text", text(expects[i].text));
        push(array, object);
    }
    return array;
}

static void add_bucket(void *ctx, int64_t low, int64_t high, uint64_t count) {
    json_t *bucket = must(json_array());
    push(bucket, json_integer(low));
    push(bucket, json_integer(high));
    push(bucket, whole(count));
    push(ctx, bucket);
}

static void add_distribution(json_t *object, const struct metric *metric) {
    json_t *buckets = must(json_array());
    set(object, "count", whole(metric_count(metric)));
    set(object, "min", json_integer(metric_min(metric)));
    set(object, "max", json_integer(metric_max(metric)));
    set(object, "mean", json_integer(metric_mean(metric)));
    set(object, "p50", json_integer(metric_quantile(metric, 500000)));
    set(object, "p90", json_integer(metric_quantile(metric, 900000)));
    set(object, "p99", json_integer(metric_quantile(metric, 990000)));
    set(object, "p999", json_integer(metric_quantile(metric, 999000)));
    metric_each_bucket(metric, add_bucket, buckets);
    set(object, "buckets", buckets);
}

static void add_metric(void *ctx, const struct metric *metric) {
    static const char *const units[] = {
        [UNIT_COUNT] = "count", [UNIT_NS] = "ns", [UNIT_BYTES] = "bytes", [UNIT_PPM] = "ppm"};
    json_t *object = must(json_object());
    bool is_distribution = metric_is_distribution(metric);
    set(object, "name", text(metric_name(metric)));
    set(object, "kind", text(is_distribution ? "distribution" : "counter"));
    set(object, "unit", text(units[metric_unit_of(metric)]));
    set(object, "value", json_integer(metric_value(metric)));
    if (is_distribution) {
        add_distribution(object, metric);
    }
    push(ctx, object);
}

static json_t *metrics_of(const struct run *run) {
    json_t *array = must(json_array());
    metrics_each(world_metrics(run_world(run)), add_metric, array);
    return array;
}

static json_t *fault_list(const struct run *run) {
    const struct fault_done *done = NULL;
    size_t count = faults_done(run_faults(run), &done);
    json_t *array = must(json_array());
    for (size_t i = 0; i < count; i++) {
        bool is_over = done[i].until != WEFT_NEVER;
        json_t *object = must(json_object());
        set(object, "at_s", seconds(time_since(RUN_EPOCH, done[i].at)));
        set(object, "until_s",
            is_over ? seconds(time_since(RUN_EPOCH, done[i].until)) : json_null());
        set(object, "kind", text(fault_kind_name(done[i].kind)));
        set(object, "what", text(done[i].what));
        push(array, object);
    }
    return array;
}

static json_t *columns(void) {
    json_t *array = must(json_array());
    push(array, text("nodes.up"));
    push(array, text("links.up"));
    push(array, text("settled.share"));
    for (int kind = 0; kind < TRAFFIC_COUNT; kind++) {
        push(array, json_sprintf("traffic.%s", series_traffic_name((enum series_traffic)kind)));
    }
    return array;
}

static json_t *row_of(const struct series_row *row, weft_ns interval) {
    json_t *array = must(json_array());
    push(array, seconds(row->at));
    push(array, whole(row->nodes_up));
    push(array, whole(row->links_up));
    push(array, json_real(row->settled_ppm / 1e6));
    for (int kind = 0; kind < TRAFFIC_COUNT; kind++) {
        push(array, json_real((double)row->bytes[kind] * 1e9 / (double)interval));
    }
    return array;
}

static json_t *series_of(const struct series *series) {
    const struct series_row *rows = NULL;
    size_t count = series != NULL ? series_rows(series, &rows) : 0;
    weft_ns interval = series != NULL ? series_interval(series) : SERIES_INTERVAL;
    json_t *object = must(json_object());
    json_t *array = must(json_array());
    for (size_t i = 0; i < count; i++) {
        push(array, row_of(&rows[i], interval));
    }
    set(object, "interval_s", seconds(interval));
    set(object, "columns", columns());
    set(object, "rows", array);
    return object;
}

static json_t *node_of(const struct plan *plan, uint32_t node) {
    json_t *object = must(json_object());
    bool has_site = plan->hub_count > 0 && plan->site_nodes > 0 && node >= plan->hub_count;
    set(object, "name", json_sprintf("n%u", (unsigned)node));
    set(object, "site",
        has_site ? whole((node - plan->hub_count) / plan->site_nodes) : json_null());
    set(object, "is_hub", json_boolean(node < plan->hub_count));
    return object;
}

static json_t *event_of(const struct topology_event *event) {
    json_t *array = must(json_array());
    push(array, seconds(event->at));
    push(array, text(topology_event_name(event->kind)));
    push(array, whole(event->a));
    if (event->kind == TOPOLOGY_LINK_UP || event->kind == TOPOLOGY_LINK_DOWN) {
        push(array, whole(event->b));
    }
    return array;
}

static json_t *topology_of(const struct run *run) {
    const struct topology_log *log = series_topology(run_series(run));
    const struct world *world = run_world(run);
    const struct topology_event *events = NULL;
    const uint32_t *sample = NULL;
    size_t node_count = topology_log_sample(log, &sample);
    size_t event_count = topology_log_events(log, &events);
    json_t *object = must(json_object());
    json_t *nodes = must(json_array());
    json_t *changes = must(json_array());
    for (size_t i = 0; i < node_count; i++) {
        push(nodes, node_of(world_plan(world), sample[i]));
    }
    for (size_t i = 0; i < event_count; i++) {
        push(changes, event_of(&events[i]));
    }
    bool is_sample = node_count < world_node_count(world);
    set(object, "nodes", nodes);
    set(object, "sampled_of", is_sample ? whole(world_node_count(world)) : json_null());
    set(object, "events", changes);
    return object;
}

static json_t *no_topology(void) {
    json_t *object = must(json_object());
    set(object, "nodes", json_array());
    set(object, "sampled_of", json_null());
    set(object, "events", json_array());
    return object;
}

json_t *result_of(const struct run *run, const char *file) {
    ASSERT(run != NULL && file != NULL);
    const struct world *world = run_world(run);
    char command[512];
    run_replay_command(run, file, command, sizeof(command));
    json_t *object = must(json_object());
    set(object, "version", json_integer(1));
    set(object, "scenario", scenario_of(run));
    set(object, "seed", whole(run_options(run)->seed));
    set(object, "command", text(command));
    set(object, "verdict", text(run_is_held(run) ? "held" : "broken"));
    set(object, "trace_hash", json_sprintf("%016" PRIx64, world_trace_hash(world)));
    set(object, "virtual_s", seconds(run_now(run)));
    set(object, "formed_s", seconds(run_formed(run)));
    set(object, "events", whole(world_step_count(world)));
    set(object, "invariants", invariants_of(run));
    set(object, "expects", expects_of(run));
    set(object, "metrics", metrics_of(run));
    set(object, "series", series_of(run_series(run)));
    set(object, "faults", fault_list(run));
    set(object, "topology", run_series(run) != NULL ? topology_of(run) : no_topology());
    return object;
}
