/* SPDX-License-Identifier: Apache-2.0
 *
 * One stream and its two ends. An end is there as long as its node's core knows the stream; the
 * flow as long as one of its ends is.
 */
#include <string.h>

#include "base/check.h"
#include "sim/load_parts.h"

/* After the last time that no path was there, routes may take this long to have found one again. */
#define ROUTES_WITHIN (15 * NS_PER_S)

void flow_server_name(uint32_t server, char out[WEFT_NAME_MAX + 1]) {
    (void)snprintf(out, WEFT_NAME_MAX + 1, "s%u", server);
}

/* --- ends --- */

struct end_key {
    uint64_t node;
    uint64_t stream;
};

static struct span key_of(const struct end_key *key) {
    return span_of((const uint8_t *)key, sizeof(*key));
}

static struct flow_end *end_find(const struct load *load, uint32_t node, struct stream_id stream) {
    const struct end_key key = {.node = node, .stream = stream.value};
    return map_find(load->flows.ends, key_of(&key));
}

static struct flow_end *end_new(struct load_node *node, enum flow_side side,
                                struct stream_id stream) {
    struct flow_end *end = must(calloc(1, sizeof(*end)));
    const struct end_key key = {.node = node->index, .stream = stream.value};
    *end = (struct flow_end){.node = node, .side = side, .stream = stream, .next = node->ends};
    enum weft_err err = map_add(node->load->flows.ends, key_of(&key), end);
    ASSERT(err == WEFT_OK); /* a node never uses the number of a stream again, nor two at once */
    end->at = &node->ends;
    if (end->next != NULL) {
        end->next->at = &end->next;
    }
    node->ends = end;
    return end;
}

static void flow_settle(struct flow *flow, bool is_client_gone);

/* The node's core knows the stream no more. */
static void end_free(struct flow_end *end) {
    struct flow *flow = end->flow;
    enum flow_side side = end->side;
    const struct end_key key = {.node = end->node->index, .stream = end->stream.value};
    (void)map_remove(end->node->load->flows.ends, key_of(&key));
    *end->at = end->next;
    if (end->next != NULL) {
        end->next->at = end->at;
    }
    free(end);
    if (flow != NULL) {
        flow->ends[side] = NULL;
        flow_settle(flow, side == FLOW_CLIENT);
    }
}

/* --- flows --- */

static void flow_free(struct flow *flow) {
    *flow->at = flow->next;
    if (flow->next != NULL) {
        flow->next->at = flow->at;
    }
    free(flow);
}

/* Every byte of a stream that ended well. */
static uint64_t content_bytes(const struct flow *flow) {
    return flow->shape == SHAPE_DOWNLOAD ? flow->written[FLOW_SERVER] : flow->written[FLOW_CLIENT];
}

static void report_done(const struct flow *flow) {
    struct flows *flows = &flow->load->flows;
    weft_ns took = world_now(flow->load->world) - flow->opened_at;
    metric_add(flows->done, 1);
    if (took > 0 && flow->shape != SHAPE_PING) {
        metric_sample(flows->rate, (int64_t)(content_bytes(flow) * NS_PER_S / took));
    }
    if (flow->shape != SHAPE_PING) {
        metric_sample(flows->stall, (int64_t)flow->stall_max);
    }
}

/* An end went: the client's leaves its slot to the next stream; the last one takes the flow along.
 */
static void flow_settle(struct flow *flow, bool is_client_gone) {
    if (is_client_gone) {
        struct slot *slot = flow->slot;
        flow->slot = NULL;
        slot->flow = NULL;
        slot_is_free(slot, !flow->is_doomed);
    }
    if (flow->ends[FLOW_CLIENT] != NULL || flow->ends[FLOW_SERVER] != NULL) {
        return;
    }
    if (flow->is_doomed) {
        metric_add(flow->load->flows.failed, 1);
    } else {
        report_done(flow);
    }
    flow_free(flow);
}

static struct flow *flow_new(struct slot *slot, uint32_t server, uint64_t bytes) {
    struct load *load = slot->load;
    struct flows *flows = &load->flows;
    struct flow *flow = must(calloc(1, sizeof(*flow)));
    weft_ns now = world_now(load->world);
    uint64_t after = slot->spec->rate_after_ns;
    *flow = (struct flow){.id = ++flows->id,
                          .load = load,
                          .slot = slot,
                          .shape = slot->spec->shape,
                          .client = slot->node->index,
                          .server = server,
                          .client_life = slot->node->life,
                          .server_life = load->nodes[server].life,
                          .bytes = bytes,
                          .opened_at = now,
                          .rated_from = after > 0 ? time_after(now, after) : 0,
                          .next = flows->first,
                          .at = &flows->first};
    if (flow->next != NULL) {
        flow->next->at = &flow->next;
    }
    flows->first = flow;
    return flow;
}

struct flow *flow_open(struct slot *slot, uint32_t server, uint64_t bytes) {
    struct load *load = slot->load;
    uint32_t client = slot->node->index;
    char name[WEFT_NAME_MAX + 1];
    struct stream_id stream;
    flow_server_name(server, name);
    enum weft_err err =
        core_stream_open(world_core(load->world, client), LOAD_NAME_SPACE, name, LOAD_PROTOCOL,
                         world_node_now(load->world, client), &stream);
    if (err != WEFT_OK) {
        metric_add(load->flows.refused, 1);
        return NULL;
    }
    struct flow *flow = flow_new(slot, server, bytes);
    flow->ends[FLOW_CLIENT] = end_new(slot->node, FLOW_CLIENT, stream);
    flow->ends[FLOW_CLIENT]->flow = flow;
    truth_look(load);
    flow->apart_at = truth_joins(load, client, server) ? 0 : flow->opened_at;
    metric_add(load->flows.opened, 1);
    slot->flow = flow;
    end_write(flow->ends[FLOW_CLIENT]);
    return flow;
}

void flow_stop(struct flow *flow) {
    bool is_endless = flow->shape == SHAPE_PING || flow->shape == SHAPE_BULK;
    struct flow_end *end = flow->ends[FLOW_CLIENT];
    if (!is_endless || flow->is_stopping || end == NULL) {
        return;
    }
    flows_rate(flow);
    flow->is_stopping = true;
    if (load_node_runs(flow->load, flow->client)) {
        end_write(end);
        world_pump(flow->load->world, flow->client);
    }
}

/* --- what the core tells --- */

/* Resets a stream that should not be there. */
static void refuse(struct load_node *node, struct stream_id stream, enum wire_reset_reason reason) {
    struct world *world = node->load->world;
    core_stream_reset(world_core(world, node->index), stream, reason,
                      world_node_now(world, node->index));
}

static void on_incoming(struct load_node *node, const struct stream_event *event) {
    struct world *world = node->load->world;
    char name[WEFT_NAME_MAX + 1];
    flow_server_name(node->index, name);
    if (!node->is_server || strcmp(event->name_space, LOAD_NAME_SPACE) != 0 ||
        strcmp(event->name, name) != 0) {
        refuse(node, event->stream, WIRE_RESET_NO_SERVICE);
        return;
    }
    (void)end_new(node, FLOW_SERVER, event->stream);
    streams_accept(core_streams(world_core(world, node->index)), event->stream,
                   world_node_now(world, node->index));
}

static struct flow *flow_find(const struct load *load, uint64_t id) {
    struct flow *flow = load->flows.first;
    while (flow != NULL && flow->id != id) {
        flow = flow->next;
    }
    return flow;
}

bool flow_attach(struct flow_end *end) {
    struct load *load = end->node->load;
    uint64_t id = 0;
    bool is_ours = flow_of_header(end->header, &id) && id > 0 && id <= load->flows.id;
    struct flow *flow = is_ours ? flow_find(load, id) : NULL;
    if (flow == NULL) {
        if (!is_ours) {
            load_break(load, "stream bytes delivered are a prefix of those written",
                       "node %u was given a stream that does not begin as any was written",
                       end->node->index);
        }
        refuse(end->node, end->stream, WIRE_RESET_APPLICATION); /* its opener is long gone */
        end_free(end);
        return false;
    }
    if (flow->server != end->node->index || flow->ends[FLOW_SERVER] != NULL) {
        load_break(load, "a stream reaches the node it was opened to, once",
                   "stream %llu (%u to %u) came to node %u%s", (unsigned long long)flow->id,
                   flow->client, flow->server, end->node->index,
                   flow->server == end->node->index ? " again" : "");
        refuse(end->node, end->stream, WIRE_RESET_APPLICATION);
        end_free(end);
        return false;
    }
    flow->ends[FLOW_SERVER] = end;
    flow->was_attached = true;
    end->flow = flow;
    return true;
}

/* Whether an end of it died, lied or is going. */
static bool is_forgiven(const struct flow *flow, uint32_t node, uint32_t life) {
    const struct load_node *at = &flow->load->nodes[node];
    return !at->is_up || at->life != life || load_has_lied(flow->load, node) ||
           load_is_leaving(flow->load, node);
}

/* Asked under the keys of the server's former life: who asks cannot know whether that one still
 * took it, so it is not asked again. */
static bool was_asked_too_soon(const struct flow *flow, enum wire_reset_reason reason) {
    return reason == WIRE_RESET_RESTARTED && flow->accepted_at == 0 && flow->server_life > 1;
}

static bool is_honest_reset(struct flow *flow, enum wire_reset_reason reason) {
    struct load *load = flow->load;
    weft_ns now = world_now(load->world);
    if (flow->is_doomed || load->may_lack_memory ||
        is_forgiven(flow, flow->client, flow->client_life) ||
        is_forgiven(flow, flow->server, flow->server_life) || was_asked_too_soon(flow, reason)) {
        return true;
    }
    truth_look(load);
    if (!truth_joins(load, flow->client, flow->server)) {
        flow->apart_at = now;
    }
    weft_ns within = time_after(load->scenario->hold_ns, ROUTES_WITHIN);
    return reason == WIRE_RESET_TIMEOUT && flow->apart_at != 0 &&
           time_since(flow->apart_at, now) <= within;
}

static void on_reset(struct flow_end *end, const struct stream_event *event) {
    struct flow *flow = end->flow;
    struct load *load = end->node->load;
    streams_release(core_streams(world_core(load->world, end->node->index)), end->stream);
    if (flow != NULL) {
        if (!is_honest_reset(flow, event->reason)) {
            load_break(load, "a stream is not reset while both ends live and a path exists",
                       "stream %llu (%u to %u) was reset at the %s for reason %d",
                       (unsigned long long)flow->id, flow->client, flow->server,
                       end->side == FLOW_CLIENT ? "client" : "server", (int)event->reason);
        }
        flow->is_doomed = true;
    }
    end_free(end);
}

/* All sent was acknowledged, all received was read, both ways. */
static void on_closed(struct flow_end *end) {
    const struct flow *flow = end->flow;
    struct load *load = end->node->load;
    streams_release(core_streams(world_core(load->world, end->node->index)), end->stream);
    if (flow != NULL && (!flow->has_finished[end->side] || !end->has_end)) {
        load_break(load, "a stream ends where its writer ended it",
                   "stream %llu (%u to %u) closed at node %u before it was finished",
                   (unsigned long long)flow->id, flow->client, flow->server, end->node->index);
    }
    end_free(end);
}

static void on_accepted(const struct flow_end *end) {
    struct flow *flow = end->flow;
    flow->accepted_at = world_now(flow->load->world);
    metric_sample(flow->load->flows.open_time, (int64_t)(flow->accepted_at - flow->opened_at));
    if (flow->shape == SHAPE_PING) {
        slot_ping_at(flow->slot, flow->accepted_at);
    }
}

static void on_readable(struct flow_end *end) {
    if (end_read(end)) {
        end_write(end);
    }
}

static void on_writable(struct flow_end *end) {
    end_write(end);
    (void)end_read(end); /* an echo may have waited for room */
}

void flows_event(struct load *load, struct load_node *node, const struct stream_event *event) {
    struct flow_end *end = end_find(load, node->index, event->stream);
    if (event->kind == STREAM_EVENT_INCOMING) {
        on_incoming(node, event);
        return;
    }
    if (end == NULL) {
        return;
    }
    switch (event->kind) {
    case STREAM_EVENT_ACCEPTED:
        on_accepted(end);
        break;
    case STREAM_EVENT_READABLE:
        on_readable(end);
        break;
    case STREAM_EVENT_WRITABLE:
        on_writable(end);
        break;
    case STREAM_EVENT_RESET:
        on_reset(end, event);
        break;
    case STREAM_EVENT_CLOSED:
        on_closed(end);
        break;
    case STREAM_EVENT_INCOMING:
    case STREAM_EVENT_REFUSED:
    case STREAM_EVENT_RESUMED:
    case STREAM_EVENT_MESSAGE:
    case STREAM_EVENT_PONG:
        break;
    }
}

/* --- nodes come and go --- */

void flows_node_started(struct load *load, struct load_node *node, struct core *core) {
    char name[WEFT_NAME_MAX + 1];
    const struct wire_endpoint endpoint = {
        .address = span_of_text("127.0.0.1:9"), .health = WIRE_HEALTH_GOOD, .weight = 1};
    const struct core_offer offer = {
        .protocol = LOAD_PROTOCOL, .endpoints = &endpoint, .endpoint_count = 1};
    if (!node->is_server) {
        return;
    }
    flow_server_name(node->index, name);
    if (core_offer(core, LOAD_NAME_SPACE, name, &offer, world_node_now(load->world, node->index)) !=
        WEFT_OK) {
        metric_add(metrics_counter(load->metrics, "load.not_offered", UNIT_COUNT), 1);
    }
}

void flows_node_stopped(struct load *load, struct load_node *node) {
    (void)load;
    struct flow_end *next = NULL;
    for (struct flow_end *end = node->ends; end != NULL; end = next) {
        next = end->next;
        if (end->flow != NULL) {
            end->flow->is_doomed = true;
        }
        end_free(end);
    }
}

size_t load_unfinished(const struct load *load) {
    return load_unfinished_of(load, NULL, NULL);
}

size_t load_unfinished_of(const struct load *load, load_ends_fn *does_count, void *ctx) {
    size_t count = 0;
    for (const struct flow *flow = load->flows.first; flow != NULL; flow = flow->next) {
        bool is_asked = does_count == NULL || does_count(ctx, flow->client, flow->server);
        count += is_asked && !flow->is_doomed ? 1 : 0;
    }
    return count;
}
