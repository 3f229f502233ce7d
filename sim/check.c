/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of invariants and their results; hands the world's events to the watches.
 */
#include "sim/check.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/time.h"
#include "sim/check_internal.h"
#include "sim/must.h"

static const char *const names[CHECK_COUNT] = {
    [CHECK_ORIGIN] = "nothing is accepted that its origin did not send",
    [CHECK_LOAD] = "applications get what was written, once",
    [CHECK_VERSIONS] = "record versions never go back",
    [CHECK_BOUNDS] = "memory and queues stay within their bounds",
    [CHECK_HOPS] = "hop limits are respected",
    [CHECK_NUMBERS] = "no key and packet number is used twice",
    [CHECK_FOREIGN] = "a foreign key holds no link",
    [CHECK_REST_TOPOLOGY] = "at rest all agree with the oracle on the topology",
    [CHECK_REST_LINKS] = "at rest every link that counts is real",
    [CHECK_REST_PATHS] = "at rest paths are free of loops and shortest",
    [CHECK_REST_RECORDS] = "at rest all record sets are equal",
    [CHECK_REST_STREAMS] = "at rest what was frozen has drained",
    [CHECK_REST_QUIET] = "at rest traffic and timers are at their baseline",
    [CHECK_REST_DEPARTED] = "at rest nothing is left of the departed",
};

void check_saw(struct checks *checks, enum check_id id) {
    checks->results[id].checked++;
}

void check_break(struct checks *checks, enum check_id id, const char *format, ...) {
    struct check_result *result = &checks->results[id];
    if (result->is_broken) {
        return; /* the first breach is the one to look at */
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(result->detail, sizeof result->detail, format, arguments);
    va_end(arguments);
    result->is_broken = true;
    result->at = world_now(checks->world);
    checks->is_broken = true;
    world_stop(checks->world);
}

bool check_is_honest(const struct checks *checks, uint32_t node) {
    return (faults_of(checks->faults, node) >> FAULT_LIAR & 1U) == 0;
}

bool check_is_healthy(const struct checks *checks, uint32_t node) {
    return faults_of(checks->faults, node) == 0;
}

bool check_is_live(const struct checks *checks, uint32_t node) {
    return checks->nodes[node].state == NODE_UP && world_core(checks->world, node) != NULL;
}

/* The one frame that an action sends; false when it is not one. */
static bool frame_of(const struct frame *bytes, struct wire_frame *out) {
    struct wire_reader reader = wire_reader_of(frame_view(bytes));
    return wire_frame_next(&reader, out) == WEFT_OK && wire_reader_done(&reader);
}

static bool does_travel(uint8_t kind) {
    return kind == WIRE_UNICAST || kind == WIRE_CARRIER || kind == WIRE_BROADCAST ||
           kind == WIRE_GOSSIP;
}

static bool does_tell(uint8_t kind) {
    return kind == WIRE_RECORDS || kind == WIRE_DELTAS;
}

void check_sent(void *ctx, uint32_t node, uint32_t to, const struct action *action) {
    struct checks *checks = ctx;
    struct wire_frame frame;
    traffic_sent(checks, node, action);
    heal_sent(checks, node, to,
              (uint64_t)action->frame->len + (action->payload != NULL ? action->payload->len : 0));
    uint8_t kind = action->frame->len > 0 ? action->frame->data[0] : 0;
    if ((!does_tell(kind) && !does_travel(kind)) || !frame_of(action->frame, &frame)) {
        return;
    }
    if (kind == WIRE_DELTAS) {
        watch_deltas_sent(checks, node, frame.body);
        return;
    }
    if (kind == WIRE_RECORDS) {
        watch_records_sent(checks, node, frame.body);
        return;
    }
    travel_sent(checks, node, &frame,
                action->payload != NULL ? frame_view(action->payload) : (struct span){0});
}

void check_received(void *ctx, uint32_t node, uint32_t from, const struct wire_frame *frame,
                    struct span payload) {
    struct checks *checks = ctx;
    traffic_received(checks, node, frame, payload);
    if (frame->kind == WIRE_HEARTBEAT) {
        traffic_beat(checks, from, frame->body);
    }
    if (does_travel(frame->kind)) {
        travel_received(checks, node, frame, payload);
    }
}

static void load_poll(struct checks *checks) {
    const char *invariant = NULL;
    const char *detail = NULL;
    check_saw(checks, CHECK_LOAD);
    if (!checks->results[CHECK_LOAD].is_broken && load_breach(checks->load, &invariant, &detail)) {
        check_break(checks, CHECK_LOAD, "%s: %s", invariant, detail);
    }
}

void check_stepped(void *ctx, uint32_t node) {
    struct checks *checks = ctx;
    traffic_stepped(checks, node);
    watch_stepped(checks, node);
    load_poll(checks);
    converge_faults(checks);
}

static void linked(void *ctx, uint32_t node, uint32_t other, struct link_id link, bool is_up) {
    struct checks *checks = ctx;
    (void)link;
    converge_faults(checks);
    near_link(checks, node, other, is_up);
}

/* Who is reached matters once the mesh has formed; what a mesh says while it forms is most of all
 * that is ever said. */
static bool is_traced(void *ctx, enum trace_level level) {
    const struct checks *checks = ctx;
    return level <= TRACE_WARN || (level == TRACE_INFO && checks->has_begun);
}

static void traced(void *ctx, uint32_t node, const struct trace_event *event) {
    healthy_traced(ctx, node, event);
}

/* A death is told while the neighbours' routes are still as they were. */
static void changed(void *ctx, uint32_t node, enum node_state state) {
    struct checks *checks = ctx;
    struct node_watch *it = &checks->nodes[node];
    bool was_there = it->state == NODE_UP || it->state == NODE_PAUSED;
    bool is_there = state == NODE_UP || state == NODE_PAUSED;
    checks->up_count += is_there && !was_there ? 1 : 0;
    checks->up_count -= !is_there && was_there ? 1 : 0;
    converge_state(checks, node, state);
    traffic_state(checks, node, state);
    if (state == NODE_PAUSED || it->state == NODE_PAUSED) {
        it->paused_at = world_now(checks->world);
    }
    if (!is_there) {
        near_forget(checks, node);
    }
    it->state = state;
    it->state_at = world_now(checks->world);
    it->life += is_there && !was_there ? 1 : 0;
}

static void saved(void *ctx, uint32_t node, const struct record *record, bool is_forgotten) {
    watch_saved(ctx, node, record, is_forgotten);
}

static void observe(struct checks *checks) {
    const struct observer observer = {
        .ctx = checks,
        .sent = check_sent,
        .received = check_received,
        .link = linked,
        .traced = traced,
        .is_traced = is_traced,
        .state = changed,
        .saved = saved,
        .stepped = check_stepped,
    };
    world_add_observer(checks->world, &observer);
}

struct checks *checks_new(struct world *world, const struct load *load,
                          const struct faults *faults) {
    struct checks *checks = must(calloc(1, sizeof *checks));
    checks->world = world;
    checks->load = load;
    checks->faults = faults;
    checks->metrics = world_metrics(world);
    checks->node_count = world_node_count(world);
    checks->started_at = world_now(world);
    checks->viewed_at = WEFT_NEVER;
    checks->nodes = must(calloc((size_t)checks->node_count + 1, sizeof *checks->nodes));
    world_rng(world, "checks", &checks->rng);
    for (size_t i = 0; i < CHECK_COUNT; i++) {
        checks->results[i].name = names[i];
    }
    oracle_init(&checks->oracle, world);
    watch_init(checks);
    travel_init(checks);
    traffic_init(checks);
    converge_init(checks);
    heal_init(checks);
    observe(checks);
    return checks;
}

void checks_free(struct checks *checks) {
    if (checks == NULL) {
        return;
    }
    for (uint32_t i = 0; i < checks->node_count; i++) {
        free(checks->nodes[i].near);
    }
    converge_fini(checks);
    heal_fini(checks);
    travel_fini(checks);
    watch_fini(checks);
    oracle_fini(&checks->oracle);
    free(checks->seconds);
    free(checks->nodes);
    free(checks);
}

/* The node that was wrong last is asked first; while the mesh forms it still is. */
static bool all_reach_all(struct checks *checks) {
    uint32_t *cursor = &checks->converge.cursor;
    for (uint32_t i = 0; i < checks->node_count; i++) {
        const struct core *core = world_core(checks->world, *cursor);
        if (core != NULL && core_reachable_count(core) != checks->up_count - 1) {
            return false;
        }
        *cursor = (*cursor + 1) % checks->node_count;
    }
    return true;
}

/* All know all before all know every link that comes and goes until each has as many as it wants.
 */
static void sample_forming(struct checks *checks) {
    checks->was_settled = true;
    metric_sample(metrics_distribution(checks->metrics, "form.view", UNIT_NS),
                  (int64_t)(checks->viewed_at - checks->started_at));
    metric_sample(metrics_distribution(checks->metrics, "form.time", UNIT_NS),
                  (int64_t)(world_now(checks->world) - checks->started_at));
}

bool checks_is_settled(struct checks *checks) {
    bool is_there =
        checks->has_begun ? checks->up_count > 0 : checks->up_count == checks->node_count;
    if (!is_there || !all_reach_all(checks)) {
        checks->viewed_at = WEFT_NEVER;
        return false;
    }
    checks->viewed_at = time_min(checks->viewed_at, world_now(checks->world));
    if (!converge_is_right(checks)) {
        return false;
    }
    if (!checks->was_settled) {
        sample_forming(checks);
    }
    return true;
}

void checks_begin(struct checks *checks) {
    checks->has_begun = true;
    checks->begun_at = world_now(checks->world);
    traffic_begin(checks);
}

static bool is_liveness(const struct checks *checks) {
    return world_scenario(checks->world)->chaos.mode == CHAOS_LIVENESS;
}

/* Those of the core that live; the caller's to free. */
static bool *live_core(const struct checks *checks) {
    bool *is_core = must(calloc((size_t)checks->node_count + 1, sizeof *is_core));
    faults_core(checks->faults, is_core);
    for (uint32_t i = 0; i < checks->node_count; i++) {
        is_core[i] = is_core[i] && check_is_live(checks, i);
    }
    return is_core;
}

bool checks_may_rest(struct checks *checks) {
    if (!is_liveness(checks)) {
        return checks_is_settled(checks);
    }
    bool *is_core = live_core(checks);
    bool does_arrive = rest_all_arrive(checks, is_core);
    free(is_core);
    return does_arrive;
}

/* The broken nodes of LIVENESS may go on dialling for ever, so its traffic is not compared. */
void checks_at_rest(struct checks *checks) {
    bool *is_core = live_core(checks);
    if (rest_topology(checks, is_core)) {
        rest_paths(checks, is_core);
        rest_records(checks, is_core);
    }
    rest_departed(checks, is_core);
    size_t rest_s = (size_t)(world_scenario(checks->world)->rest_ns / NS_PER_S);
    size_t span = rest_s / 3 > 0 ? rest_s / 3 : 1;
    rest_streams(checks, is_core);
    if (!is_liveness(checks)) {
        if (checks->seconds_base.up > 0 && checks->second_count > span) {
            struct second after = traffic_mean(checks, checks->second_count - span, span);
            rest_quiet(checks, &checks->seconds_base, &after);
        }
    }
    free(is_core);
    checks_report(checks);
}

void checks_report(struct checks *checks) {
    if (checks->is_reported) {
        return;
    }
    checks->is_reported = true;
    traffic_report(checks);
    travel_report(checks);
    healthy_report(checks);
}

size_t checks_results(const struct checks *checks, const struct check_result **out) {
    *out = checks->results;
    return CHECK_COUNT;
}

bool checks_are_broken(const struct checks *checks) {
    return checks->is_broken;
}
