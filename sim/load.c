/* SPDX-License-Identifier: Apache-2.0
 *
 * The application of all nodes: its life, the timetable of the scenario's loads, and what the world
 * tells it.
 */
#include "sim/load.h"

#include <stdarg.h>
#include <string.h>

#include "base/check.h"
#include "sim/load_parts.h"

/* How often it is looked who is connected with whom, where things go wrong. */
#define LOOK_EVERY (500 * NS_PER_MS)

/* A scenario without an interval for what goes on for ever. */
#define EVERY_DEFAULT NS_PER_S

void load_break(struct load *load, const char *invariant, const char *format, ...) {
    if (load->invariant != NULL) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(load->detail, sizeof(load->detail), format, arguments);
    va_end(arguments);
    load->invariant = invariant;
}

bool load_breach(const struct load *load, const char **invariant, const char **detail) {
    if (load->invariant == NULL) {
        return false;
    }
    *invariant = load->invariant;
    *detail = load->detail;
    return true;
}

bool load_node_runs(const struct load *load, uint32_t node) {
    return world_node_state(load->world, node) == NODE_UP;
}

bool load_has_lied(const struct load *load, uint32_t node) {
    return load->nodes[node].lied_at != 0 || world_is_liar(load->world, node);
}

bool load_is_leaving(const struct load *load, uint32_t node) {
    struct core_status status;
    const struct core *core = world_core(load->world, node);
    if (core == NULL) {
        return true;
    }
    core_get_status(core, &status);
    return status.is_leaving;
}

uint64_t load_draw_bytes(const struct range *range, struct rng *rng) {
    return range->low + rng_below(rng, range->high - range->low + 1);
}

/* --- what the world tells --- */

static void node_went(struct load *load, struct load_node *node) {
    if (!node->is_up) {
        return;
    }
    node->is_up = false;
    node->down_at = world_now(load->world);
    flows_node_stopped(load, node);
    messages_forget_node(load, node->index);
    services_forget_node(load, node->index);
}

static void on_started(void *ctx, uint32_t index, struct core *core) {
    struct load *load = ctx;
    struct load_node *node = &load->nodes[index];
    node_went(load, node);
    node->is_up = true;
    node->life++;
    node->up_since = world_now(load->world);
    load->truth.is_stale = true;
    messages_node_started(load, node, core);
    services_node_started(load, node, core);
    flows_node_started(load, node, core);
}

static void on_stream(void *ctx, uint32_t index, const struct stream_event *event) {
    struct load *load = ctx;
    flows_event(load, &load->nodes[index], event);
}

/* What a held node should have written meanwhile. */
static void resume(void *ctx) {
    struct load_node *node = ctx;
    struct load *load = node->load;
    if (!load_node_runs(load, node->index)) {
        return;
    }
    struct flow_end *next = NULL;
    for (struct flow_end *end = node->ends; end != NULL; end = next) {
        next = end->next;
        end_write(end);
    }
    world_pump(load->world, node->index);
}

static void on_state(void *ctx, uint32_t index, enum node_state state) {
    struct load *load = ctx;
    struct load_node *node = &load->nodes[index];
    load->truth.is_stale = true;
    switch (state) {
    case NODE_DOWN:
    case NODE_LEFT:
        node_went(load, node);
        break;
    case NODE_UP:
        if (node->is_up) {
            world_at(load->world, world_now(load->world), resume, node);
        }
        break;
    case NODE_PAUSED:
        break;
    }
}

static void on_link(void *ctx, uint32_t node, uint32_t other, struct link_id link, bool is_up) {
    struct load *load = ctx;
    (void)node;
    (void)other;
    (void)link;
    (void)is_up;
    load->truth.is_stale = true;
}

/* Notes how far a broadcast has come: the gossiper sees only what is in it. */
static void on_received(void *ctx, uint32_t index, uint32_t from, const struct wire_frame *frame,
                        struct span payload) {
    struct load *load = ctx;
    struct wire_broadcast broadcast;
    (void)from;
    (void)payload;
    if (frame->kind == WIRE_BROADCAST &&
        wire_broadcast_decode(frame->body, &broadcast) == WEFT_OK &&
        broadcast.travel.hops <= WIRE_HOPS_MAX) {
        load->nodes[index].hops = (uint8_t)(WIRE_HOPS_MAX - broadcast.travel.hops + 1);
    }
}

static void on_saved(void *ctx, uint32_t node, const struct record *record, bool is_forgotten) {
    struct load *load = ctx;
    if (!is_forgotten && record->kind == WIRE_RECORD_SERVICE) {
        services_saved(load, node, record);
    }
}

/* --- life --- */

static void make_nodes(struct load *load) {
    load->nodes = must(calloc(load->node_count, sizeof(*load->nodes)));
    for (uint32_t i = 0; i < load->node_count; i++) {
        load->nodes[i] = (struct load_node){.load = load, .index = i, .up_since = WEFT_NEVER};
    }
}

static size_t pick(const struct load *load, const struct scenario_pick *pick, struct rng *rng,
                   uint32_t **out) {
    *out = must(calloc(load->node_count, sizeof(**out)));
    return plan_pick(world_plan(load->world), pick, rng, *out);
}

/* Who a load concerns is drawn once, by the seed. */
static void make_specs(struct load *load) {
    const struct scenario *scenario = load->scenario;
    load->specs = must(calloc(scenario->load_count + 1, sizeof(*load->specs)));
    for (size_t i = 0; i < scenario->load_count; i++) {
        char label[32];
        struct rng rng;
        (void)snprintf(label, sizeof(label), "load-%zu", i);
        world_rng(load->world, label, &rng);
        struct load_spec *spec = &load->specs[i];
        spec->who_count = pick(load, &scenario->loads[i].who, &rng, &spec->who);
        spec->to_count = pick(load, &scenario->loads[i].to, &rng, &spec->to);
    }
}

static bool may_refuse_memory(const struct scenario *scenario) {
    bool may =
        scenario->chaos.mode != CHAOS_NONE && (scenario->chaos.kinds & (1U << FAULT_MEMORY)) != 0;
    for (size_t i = 0; i < scenario->fault_count; i++) {
        may = may || scenario->faults[i].kind == FAULT_MEMORY;
    }
    return may;
}

static void join_world(struct load *load) {
    const struct observer observer = {.ctx = load,
                                      .received = on_received,
                                      .link = on_link,
                                      .state = on_state,
                                      .saved = on_saved};
    const struct application application = {
        .ctx = load, .started = on_started, .stream = on_stream};
    world_add_observer(load->world, &observer);
    world_set_application(load->world, &application);
}

struct load *load_new(struct world *world) {
    struct load *load = must(calloc(1, sizeof(*load)));
    load->world = world;
    load->scenario = world_scenario(world);
    load->metrics = world_metrics(world);
    load->node_count = world_node_count(world);
    load->ended_at = WEFT_NEVER;
    load->may_lack_memory = may_refuse_memory(load->scenario);
    make_nodes(load);
    make_specs(load);
    truth_init(load);
    messages_init(load);
    services_init(load);
    flows_init(load);
    join_world(load);
    return load;
}

static void specs_free(struct load *load) {
    for (size_t i = 0; i < load->scenario->load_count; i++) {
        free(load->specs[i].who);
        free(load->specs[i].to);
        free(load->specs[i].sources);
    }
    free(load->specs);
}

void load_free(struct load *load) {
    if (load == NULL) {
        return;
    }
    flows_fini(load);
    services_fini(load);
    messages_fini(load);
    truth_fini(load);
    specs_free(load);
    for (uint32_t i = 0; i < load->node_count; i++) {
        free(load->nodes[i].unicasts);
    }
    free(load->nodes);
    free(load);
}

/* --- the timetable --- */

static bool is_over(const struct load *load, const struct scenario_load *spec) {
    weft_ns now = world_now(load->world);
    return load->ended_at <= now ||
           (spec->until_ns != 0 && now >= time_after(load->begun_at, spec->until_ns));
}

static void unicast_to_any(struct source *source) {
    struct load *load = source->load;
    uint32_t tries = 16; /* to find one that runs, and will */
    if (load_is_leaving(load, source->node->index)) {
        return; /* its application has ended */
    }
    while (tries-- > 0) {
        uint32_t to = source->targets[rng_below(&source->rng, source->target_count)];
        if (to != source->node->index && load_node_runs(load, to) && !load_is_leaving(load, to)) {
            message_unicast(load, source->node, to,
                            load_draw_bytes(&source->spec->bytes, &source->rng));
            return;
        }
    }
}

static void source_act(struct source *source) {
    struct load *load = source->load;
    switch (source->spec->kind) {
    case LOAD_BROADCAST:
        message_broadcast(load, source->node, load_draw_bytes(&source->spec->bytes, &source->rng));
        break;
    case LOAD_UNICAST:
        unicast_to_any(source);
        break;
    case LOAD_SERVICES:
        services_change(load, source->node->index, &source->rng);
        break;
    case LOAD_STREAMS:
    case LOAD_KIND_COUNT:
        ASSERT(false);
        break;
    }
    source->sent++;
}

static bool has_more(const struct source *source) {
    /* The count of a service load is of services; they change for ever. */
    return source->spec->kind == LOAD_SERVICES || source->spec->count == 0 ||
           source->sent < source->spec->count;
}

static void source_due(void *ctx) {
    struct source *source = ctx;
    struct load *load = source->load;
    const struct scenario_load *spec = source->spec;
    bool is_at_once = spec->every_ns == 0 && spec->count != 0;
    if (is_over(load, spec)) {
        return;
    }
    bool does_run = load_node_runs(load, source->node->index);
    if (does_run) {
        do {
            source_act(source);
        } while (is_at_once && has_more(source));
        world_pump(load->world, source->node->index);
    }
    if (has_more(source)) {
        weft_ns every = spec->every_ns != 0 ? spec->every_ns : EVERY_DEFAULT;
        world_at(load->world, time_after(world_now(load->world), every), source_due, source);
    }
}

/* A load's node begins anywhere within its first interval: not all at one moment. */
static weft_ns first_due(const struct load *load, struct source *source) {
    weft_ns begin = time_after(load->begun_at, source->spec->at_ns);
    uint64_t every = source->spec->every_ns;
    return every != 0 ? time_after(begin, rng_below(&source->rng, every)) : begin;
}

static void begin_sources(struct load *load, size_t index) {
    struct load_spec *spec = &load->specs[index];
    spec->sources = must(calloc(spec->who_count + 1, sizeof(*spec->sources)));
    for (size_t i = 0; i < spec->who_count; i++) {
        char label[48];
        struct source *source = &spec->sources[i];
        *source = (struct source){.load = load,
                                  .spec = &load->scenario->loads[index],
                                  .spec_index = index,
                                  .node = &load->nodes[spec->who[i]],
                                  .targets = spec->to,
                                  .target_count = spec->to_count};
        (void)snprintf(label, sizeof(label), "load-%zu-%u", index, spec->who[i]);
        world_rng(load->world, label, &source->rng);
        messages_prepare(load, source->spec, source->node);
        bool is_still = source->spec->kind == LOAD_SERVICES && source->spec->every_ns == 0;
        if (!is_still) {
            world_at(load->world, first_due(load, source), source_due, source);
        }
    }
}

/* A load of services begins: those that were not there before forming are offered now. */
static void begin_services(void *ctx) {
    struct load_spec *spec = ctx;
    struct load *load = spec->sources[0].load;
    for (size_t i = 0; i < spec->who_count; i++) {
        services_begin(load, spec->sources[i].spec, spec->who[i]);
    }
}

static void begin_services_load(struct load *load, size_t index) {
    struct load_spec *spec = &load->specs[index];
    const struct scenario_load *wanted = &load->scenario->loads[index];
    begin_sources(load, index);
    if (!wanted->is_before_form && spec->who_count > 0) {
        world_at(load->world, time_after(load->begun_at, wanted->at_ns), begin_services, spec);
    }
}

/* Where something may go wrong, who is owed what is looked at now and then. */
static void look(void *ctx) {
    struct load *load = ctx;
    truth_look(load);
    messages_look(load);
    services_look(load);
    flows_look(load);
    world_at(load->world, time_after(world_now(load->world), LOOK_EVERY), look, load);
}

void load_begin(struct load *load) {
    ASSERT(!load->has_begun);
    load->has_begun = true;
    load->begun_at = world_now(load->world);
    for (size_t i = 0; i < load->scenario->load_count; i++) {
        switch (load->scenario->loads[i].kind) {
        case LOAD_BROADCAST:
        case LOAD_UNICAST:
            begin_sources(load, i);
            break;
        case LOAD_SERVICES:
            begin_services_load(load, i);
            break;
        case LOAD_STREAMS:
            streams_begin(load, i);
            break;
        case LOAD_KIND_COUNT:
            break;
        }
    }
    if (load->truth.has_faults) {
        look(load);
    }
}

void load_end(struct load *load) {
    if (load->ended_at != WEFT_NEVER) {
        return;
    }
    load->ended_at = world_now(load->world);
    for (size_t i = 0; i < load->scenario->load_count; i++) {
        if (load->scenario->loads[i].kind == LOAD_STREAMS) {
            streams_end(load, i);
        }
    }
}

void load_report(struct load *load) {
    truth_look(load);
    messages_look(load);
    services_look(load);
    messages_report(load);
    services_report(load);
    flows_report(load);
}
