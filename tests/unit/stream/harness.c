/* SPDX-License-Identifier: Apache-2.0
 *
 * The test network: a heap of packets in flight, applications that pump bytes, virtual time.
 */
#include "harness.h"

#include "flight.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/frame_pool.h"

static const uint8_t session_psk[WEFT_KEY_BYTES] = {7};

uint8_t net_byte(uint64_t seed, uint64_t offset) {
    uint64_t x = (offset / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ seed;
    x ^= x >> 29;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    return (uint8_t)(x >> (8 * (offset % 8)));
}

static void node_random(void *ctx, uint8_t *out, size_t len) {
    struct node *node = ctx;
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)rng_next(&node->random);
    }
}

static void seed_bytes(uint64_t seed, uint64_t more, uint8_t out[32]) {
    for (size_t i = 0; i < 32; i++) {
        out[i] = net_byte(seed * 1000 + more, i);
    }
}

static void node_init(struct net *net, unsigned index) {
    struct node *node = &net->nodes[index];
    uint8_t seed[32];
    node->net = net;
    node->index = index;
    node->host = (struct host){.ctx = node, .random = node_random};
    node->accepts = true;
    seed_bytes(net->seed, index, seed);
    rng_init(&node->random, seed);
    seed_bytes(net->seed, index + 100, seed);
    identity_from_seed(&node->identity, seed);
    streams_config_defaults(&node->config);
    node->config.identity = &node->identity;
    node->config.host = &node->host;
    node->config.frames = frame_pool_new();
    cr_assert_not_null(node->config.frames);
    node->config.incarnation = 1;
    node->config.instance = index + 1;
    node->config.psk = session_psk;
    cr_assert_eq(streams_new(&node->config, &node->streams), WEFT_OK);
}

static void tell_routes(struct net *net, unsigned index, enum stream_route route) {
    for (unsigned other = 0; other < NODES_MAX; other++) {
        if (other != index && net->nodes[other].streams != NULL) {
            streams_route(net->nodes[index].streams, &net->nodes[other].identity.id, route,
                          net->now);
        }
    }
}

void net_init(struct net *net, uint64_t seed, unsigned count) {
    cr_assert_eq(noise_setup(), WEFT_OK);
    memset(net, 0, sizeof *net);
    net->seed = seed;
    net->now = NS_PER_S;
    net->flying_size = 4096; /* enough for the tests that make allocations fail */
    net->flying = calloc(net->flying_size, sizeof *net->flying);
    cr_assert_not_null(net->flying);
    uint8_t bytes[32];
    seed_bytes(seed, 1000, bytes);
    rng_init(&net->rng, bytes);
    for (unsigned i = 0; i < count; i++) {
        node_init(net, i);
    }
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; j < count; j++) {
            net->channels[i][j] = (struct channel){.delay = NS_PER_MS};
        }
        tell_routes(net, i, STREAM_ROUTE_SAME);
    }
}

void net_fini(struct net *net) {
    for (size_t i = 0; i < net->flying_count; i++) {
        frame_unref(net->flying[i].frame);
    }
    free(net->flying);
    for (unsigned i = 0; i < NODES_MAX; i++) {
        streams_free(net->nodes[i].streams);
        frame_pool_free(net->nodes[i].config.frames);
        identity_fini(&net->nodes[i].identity);
    }
}

void net_restart(struct net *net, unsigned index, uint64_t instance) {
    struct node *node = &net->nodes[index];
    streams_free(node->streams);
    node->config.instance = instance;
    node->config.incarnation++;
    for (size_t i = 0; i < net->end_count; i++) {
        net->ends[i].is_used = net->ends[i].is_used && net->ends[i].node != node;
    }
    cr_assert_eq(streams_new(&node->config, &node->streams), WEFT_OK);
    tell_routes(net, index, STREAM_ROUTE_SAME);
}

void net_drop_flying(struct net *net, unsigned a, unsigned b) {
    struct flying *old = net->flying;
    size_t count = net->flying_count;
    net->flying = NULL;
    net->flying_count = net->flying_size = 0;
    net->channels[a][b].busy_until = net->channels[b][a].busy_until = 0;
    net->channels[a][b].last_at = net->channels[b][a].last_at = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_hit = (old[i].from == a && old[i].to == b) || (old[i].from == b && old[i].to == a);
        if (is_hit) {
            frame_unref(old[i].frame);
        } else {
            flight_push(net, old[i]);
        }
    }
    free(old);
}

static bool chance(struct net *net, unsigned permille) {
    return permille > 0 && rng_below(&net->rng, 1000) < permille;
}

static weft_ns arrival(struct net *net, struct channel *channel, size_t bytes) {
    weft_ns at = net->now;
    if (channel->bytes_per_s > 0) {
        at = channel->busy_until > at ? channel->busy_until : at;
        at += bytes * NS_PER_S / channel->bytes_per_s;
        channel->busy_until = at;
    }
    at += channel->delay;
    at += channel->jitter > 0 ? rng_below(&net->rng, channel->jitter) : 0;
    if (!channel->may_reorder && at < channel->last_at) {
        at = channel->last_at;
    }
    channel->last_at = at;
    return at;
}

static void transmit(struct net *net, unsigned from, unsigned to, struct frame *frame) {
    struct channel *channel = &net->channels[from][to];
    channel->packets++;
    channel->bytes += frame->len;
    if (net->tap != NULL) {
        net->tap(net, from, to, frame);
    }
    unsigned copies = chance(net, channel->repeat_permille) ? 2 : 1;
    for (unsigned i = 0; i < copies; i++) {
        weft_ns at = arrival(net, channel, frame->len);
        if (!channel->is_cut && !chance(net, channel->loss_permille)) {
            flight_push(net, (struct flying){.at = at,
                                             .order = net->flying_order++,
                                             .from = from,
                                             .to = to,
                                             .is_marked = chance(net, channel->mark_permille),
                                             .frame = frame_ref(frame)});
        }
    }
    frame_unref(frame);
}

static unsigned node_of(struct net *net, const struct weft_peer_id *id) {
    for (unsigned i = 0; i < NODES_MAX; i++) {
        if (net->nodes[i].streams != NULL && weft_peer_id_equal(&net->nodes[i].identity.id, id)) {
            return i;
        }
    }
    cr_assert_fail("a packet for nobody");
    return 0;
}

static struct end *end_of(struct node *node, struct stream_id stream) {
    struct net *net = node->net;
    for (size_t i = 0; i < net->end_count; i++) {
        struct end *end = &net->ends[i];
        if (end->is_used && end->node == node && end->stream.value == stream.value) {
            return end;
        }
    }
    return NULL;
}

static struct end *end_new(struct node *node, struct stream_id stream) {
    struct net *net = node->net;
    size_t i = 0;
    while (i < net->end_count && net->ends[i].is_used) {
        i++;
    }
    cr_assert_lt(i, ENDS_MAX);
    net->end_count = i == net->end_count ? i + 1 : net->end_count;
    struct end *end = &net->ends[i];
    *end =
        (struct end){.node = node, .stream = stream, .is_used = true, .read_at_most = UINT64_MAX};
    return end;
}

struct end *net_open(struct net *net, unsigned from, unsigned to, uint64_t bytes) {
    struct node *node = &net->nodes[from];
    char name[32];
    uint64_t tag = net->rng.state[0] % 1000000 * 1000000 + net->flying_order % 1000000;
    tag = tag * 7 + rng_below(&net->rng, 1000000);
    snprintf(name, sizeof name, "s%llu", (unsigned long long)tag);
    struct wire_part_open service = {
        .protocol = 1, .name_space = span_of_text("default"), .name = span_of_text(name)};
    struct stream_id stream = {0};
    enum weft_err err = streams_open(node->streams, &net->nodes[to].identity.id,
                                     &net->nodes[to].identity.key, &service, net->now, &stream);
    cr_assert(err == WEFT_OK || err == WEFT_ERR_MEMORY);
    if (err != WEFT_OK) {
        return NULL;
    }
    struct end *end = end_new(node, stream);
    memcpy(end->name, name, sizeof name);
    end->peer = net->nodes[to].identity.id;
    end->write_seed = tag * 2;
    end->read_seed = net->nodes[to].echoes ? tag * 2 : tag * 2 + 1;
    end->to_write = bytes;
    end->finishes = true;
    return end;
}

struct end *net_far_end(struct net *net, const struct end *end) {
    for (size_t i = 0; i < net->end_count; i++) {
        struct end *far = &net->ends[i];
        if (far->is_used && far != end && far->node != end->node &&
            strcmp(far->name, end->name) == 0) {
            return far;
        }
    }
    return NULL;
}

static void incoming(struct node *node, const struct stream_event *event) {
    node->incoming_count++;
    if (!node->accepts && node->reason != WIRE_RESET_NONE) {
        streams_reset(node->streams, event->stream, node->reason, node->net->now);
        return;
    }
    struct end *end = end_new(node, event->stream);
    uint64_t tag = strtoull(event->name + 1, NULL, 10);
    memcpy(end->name, event->name, sizeof end->name);
    end->peer = event->peer;
    end->read_seed = tag * 2;
    end->write_seed = node->echoes ? tag * 2 : tag * 2 + 1;
    end->is_echo = node->echoes;
    end->to_write = node->answer_bytes;
    end->finishes = !node->holds_open;
    if (node->accepts) {
        streams_accept(node->streams, event->stream, node->net->now);
    }
}

static void over(struct end *end) {
    streams_release(end->node->streams, end->stream);
}

static void handle_event(struct node *node, struct stream_event *event) {
    struct end *end = end_of(node, event->stream);
    switch (event->kind) {
    case STREAM_EVENT_INCOMING:
        incoming(node, event);
        return;
    case STREAM_EVENT_MESSAGE:
        node->message_count++;
        node->last_message_len = event->payload->len < 64 ? event->payload->len : 64;
        memcpy(node->last_message, event->payload->data, node->last_message_len);
        frame_unref(event->payload);
        return;
    case STREAM_EVENT_PONG:
        node->pong_count++;
        node->last_token = event->token;
        return;
    case STREAM_EVENT_ACCEPTED:
        end->was_accepted = true;
        return;
    case STREAM_EVENT_REFUSED:
        end->was_refused = true;
        end->reason = event->reason;
        return;
    case STREAM_EVENT_RESET:
        end->was_reset = true;
        end->reason = event->reason;
        over(end);
        return;
    case STREAM_EVENT_CLOSED:
        end->was_closed = true;
        end->has_ended = streams_is_finished(node->streams, end->stream);
        over(end);
        return;
    case STREAM_EVENT_RESUMED:
        end->resumed++;
        return;
    case STREAM_EVENT_READABLE:
    case STREAM_EVENT_WRITABLE:
        return;
    }
}

static bool is_over(const struct end *end) {
    return end->was_reset || end->was_closed || end->was_refused;
}

static bool pump_read(struct end *end) {
    struct streams *streams = end->node->streams;
    bool has_read = false;
    while (end->read < end->read_at_most && !is_over(end)) {
        struct span bytes = streams_peek(streams, end->stream);
        size_t len = bytes.len;
        if (len > end->read_at_most - end->read) {
            len = (size_t)(end->read_at_most - end->read);
        }
        if (end->is_echo) {
            size_t room = streams_write_room(streams, end->stream);
            len = len > room ? room : len;
        }
        if (len == 0) {
            break;
        }
        for (size_t i = 0; i < len; i++) {
            if (bytes.data[i] != net_byte(end->read_seed, end->read + i)) {
                cr_assert_fail("seed %llu: byte %llu of %s is wrong",
                               (unsigned long long)end->node->net->seed,
                               (unsigned long long)(end->read + i), end->name);
            }
        }
        if (end->is_echo) {
            size_t taken =
                streams_write(streams, end->stream, span_of(bytes.data, len), end->node->net->now);
            cr_assert(taken == len || end->node->net->may_fall_short);
            len = taken;
            end->written += len;
        }
        streams_consume(streams, end->stream, len, end->node->net->now);
        end->read += len;
        has_read = true;
    }
    if (!end->has_ended && !is_over(end) && streams_is_finished(streams, end->stream)) {
        end->has_ended = true;
    }
    return has_read;
}

/* Every other end reads straight into the stream's buffer, as a socket would, in pieces as it
 * offers them. */
static size_t write_some(struct end *end, struct span bytes) {
    struct streams *streams = end->node->streams;
    weft_ns now = end->node->net->now;
    size_t taken = 0;
    if (end->write_seed % 2 == 0) {
        return streams_write(streams, end->stream, bytes, now);
    }
    while (taken < bytes.len) {
        size_t len = 0;
        uint8_t *space = streams_write_space(streams, end->stream, &len);
        if (space == NULL) {
            break;
        }
        len = len < bytes.len - taken ? len : bytes.len - taken;
        memcpy(space, bytes.data + taken, len);
        streams_written(streams, end->stream, len, now);
        taken += len;
    }
    return taken;
}

static bool pump_write(struct end *end) {
    struct streams *streams = end->node->streams;
    uint8_t bytes[16384];
    bool has_written = false;
    while (end->to_write > 0) {
        size_t len = end->to_write < sizeof bytes ? (size_t)end->to_write : sizeof bytes;
        size_t room = streams_write_room(streams, end->stream);
        size_t wanted = len;
        len = len > room ? room : len;
        for (size_t i = 0; i < len; i++) {
            bytes[i] = net_byte(end->write_seed, end->written + i);
        }
        size_t taken = write_some(end, span_of(bytes, len));
        cr_assert(taken == len || end->node->net->may_fall_short);
        end->written += taken;
        end->to_write -= taken;
        has_written = has_written || taken > 0;
        if (taken < wanted) {
            break;
        }
    }
    bool is_done = end->to_write == 0 && (!end->is_echo || end->has_ended);
    if (is_done && end->finishes && !end->has_finished) {
        end->has_finished = true;
        streams_finish(streams, end->stream, end->node->net->now);
        has_written = true;
    }
    return has_written;
}

static bool pump_events(struct node *node) {
    struct stream_event event;
    bool has_any = false;
    while (streams_next_event(node->streams, &event)) {
        handle_event(node, &event);
        has_any = true;
    }
    return has_any;
}

static bool pump_packets(struct node *node) {
    struct net *net = node->net;
    struct stream_packet packet;
    bool has_any = false;
    while (streams_next_packet(node->streams, net->now, &packet)) {
        cr_assert_leq(packet.frame->len, 65535);
        transmit(net, node->index, node_of(net, &packet.destination), packet.frame);
        has_any = true;
    }
    return has_any;
}

static bool pump_ends(struct net *net) {
    bool has_any = false;
    for (size_t i = 0; i < net->end_count; i++) {
        struct end *end = &net->ends[i];
        if (!end->is_used || is_over(end)) {
            continue;
        }
        has_any = pump_read(end) || has_any;
        has_any = (!is_over(end) && pump_write(end)) || has_any;
    }
    return has_any;
}

void net_pump(struct net *net) {
    bool has_any = true;
    while (has_any) {
        has_any = false;
        for (unsigned i = 0; i < NODES_MAX; i++) {
            if (net->nodes[i].streams != NULL) {
                has_any = pump_events(&net->nodes[i]) || has_any;
                has_any = pump_packets(&net->nodes[i]) || has_any;
            }
        }
        has_any = pump_ends(net) || has_any;
    }
}

static weft_ns next_at(struct net *net) {
    weft_ns at = net->flying_count > 0 ? net->flying[0].at : WEFT_NEVER;
    for (unsigned i = 0; i < NODES_MAX; i++) {
        if (net->nodes[i].streams != NULL) {
            at = time_min(at, streams_deadline(net->nodes[i].streams));
        }
    }
    return at < net->now ? net->now : at;
}

static void step(struct net *net) {
    net->steps++;
    for (unsigned i = 0; i < NODES_MAX; i++) {
        if (net->nodes[i].streams != NULL) {
            streams_tick(net->nodes[i].streams, net->now);
        }
    }
    while (net->flying_count > 0 && net->flying[0].at <= net->now) {
        struct flying item = flight_pop(net);
        streams_packet(net->nodes[item.to].streams, &net->nodes[item.from].identity.id,
                       &net->nodes[item.from].identity.id, loan_of(frame_view(item.frame)),
                       item.is_marked, net->now);
        frame_unref(item.frame);
    }
    net_pump(net);
}

void net_run(struct net *net, weft_ns until) {
    net_pump(net);
    weft_ns at;
    while ((at = next_at(net)) <= until) {
        net->now = at;
        step(net);
    }
    net->now = until;
}

static bool is_settled(const struct net *net) {
    for (size_t i = 0; i < net->end_count; i++) {
        if (net->ends[i].is_used && !is_over(&net->ends[i])) {
            return false;
        }
    }
    return true;
}

bool net_settle(struct net *net, weft_ns span) {
    weft_ns until = net->now + span;
    net_pump(net);
    weft_ns at;
    while (!is_settled(net)) {
        at = next_at(net);
        if (at > until) {
            return false;
        }
        net->now = at;
        step(net);
    }
    return true;
}

void net_set_routes(struct net *net, unsigned a, unsigned b, enum stream_route route) {
    streams_route(net->nodes[a].streams, &net->nodes[b].identity.id, route, net->now);
    streams_route(net->nodes[b].streams, &net->nodes[a].identity.id, route, net->now);
}
