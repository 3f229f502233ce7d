/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define BUFFER_BYTES (64 * 1024)

/* --- streams --- */

/* The stream, if this side may still use it. */
static struct mesh_stream *stream_of(struct mesh_node *node, uint64_t id) {
    struct mesh *mesh = node->mesh;
    bool is_known = id >= 1 && id <= mesh->stream_count;
    if (!is_known || !mesh->streams[id - 1].is_used[node->side]) {
        mesh->misuse_count++;
        return NULL;
    }
    return &mesh->streams[id - 1];
}

static void queue_event(struct mesh *mesh, struct mesh_event event) {
    cr_assert_lt(mesh->event_count, (size_t)MESH_EVENTS_MAX);
    mesh->events[(mesh->event_head + mesh->event_count++) % MESH_EVENTS_MAX] = event;
}

static void say(struct mesh *mesh, uint64_t id, int side, enum proxy_event kind) {
    if (mesh->streams[id - 1].is_used[side]) {
        queue_event(mesh, (struct mesh_event){.stream = id, .side = side, .kind = kind});
    }
}

static void pipe_free(struct mesh_pipe *pipe) {
    free(pipe->bytes);
    pipe->bytes = NULL;
}

/* One side lets go. */
static void drop_side(struct mesh_stream *stream, int side) {
    stream->is_used[side] = false;
    if (!stream->is_used[0] && !stream->is_used[1]) {
        pipe_free(&stream->pipe[0]);
        pipe_free(&stream->pipe[1]);
    }
}

static bool is_through(const struct mesh_pipe *pipe) {
    return pipe->is_finished && pipe->len == 0 && pipe->is_end_read;
}

static void close_if_done(struct mesh *mesh, uint64_t id) {
    struct mesh_stream *stream = &mesh->streams[id - 1];
    if (!stream->is_over && is_through(&stream->pipe[0]) && is_through(&stream->pipe[1])) {
        stream->is_over = true;
        say(mesh, id, 0, PROXY_EVENT_CLOSED);
        say(mesh, id, 1, PROXY_EVENT_CLOSED);
    }
}

static enum weft_err on_open(void *ctx, const char *name_space, const char *name,
                             uint64_t *stream) {
    struct mesh_node *node = ctx;
    struct mesh *mesh = node->mesh;
    cr_expect_str_eq(name_space, "space");
    cr_expect_str_eq(name, "web");
    if (mesh->open_error != WEFT_OK) {
        return mesh->open_error;
    }
    cr_assert_lt(mesh->stream_count, (uint64_t)MESH_STREAMS_MAX);
    struct mesh_stream *made = &mesh->streams[mesh->stream_count];
    made->pipe[0].bytes = malloc(mesh->buffer_bytes);
    made->pipe[1].bytes = malloc(mesh->buffer_bytes);
    if (made->pipe[0].bytes == NULL || made->pipe[1].bytes == NULL) {
        pipe_free(&made->pipe[0]);
        pipe_free(&made->pipe[1]);
        return WEFT_ERR_MEMORY;
    }
    mesh->stream_count++;
    made->is_used[0] = true;
    made->is_used[1] = true;
    *stream = mesh->stream_count;
    queue_event(mesh, (struct mesh_event){.stream = *stream, .side = 1, .is_incoming = true});
    return WEFT_OK;
}

static size_t on_local_endpoints(void *ctx, const char *name_space, const char *name,
                                 enum proxy_protocol protocol, const char **out, size_t max) {
    struct mesh_node *node = ctx;
    (void)name_space;
    (void)name;
    (void)protocol;
    size_t count = node->endpoint_count < max ? node->endpoint_count : max;
    for (size_t i = 0; i < count; i++) {
        out[i] = node->endpoints[i];
    }
    return count;
}

static void on_accept(void *ctx, uint64_t id) {
    struct mesh_node *node = ctx;
    struct mesh_stream *stream = stream_of(node, id);
    if (stream != NULL) {
        stream->is_accepted = true;
        say(node->mesh, id, 0, PROXY_EVENT_ACCEPTED);
    }
}

size_t mesh_write_room(void *ctx, uint64_t id) {
    struct mesh_node *node = ctx;
    struct mesh_stream *stream = stream_of(node, id);
    return stream == NULL ? 0 : node->mesh->buffer_bytes - stream->pipe[node->side].len;
}

size_t mesh_write(void *ctx, uint64_t id, struct span bytes) {
    struct mesh_node *node = ctx;
    struct mesh *mesh = node->mesh;
    struct mesh_stream *stream = stream_of(node, id);
    if (stream == NULL || stream->is_over) {
        return 0;
    }
    struct mesh_pipe *pipe = &stream->pipe[node->side];
    mesh->misuse_count += pipe->is_finished ? 1 : 0;
    size_t room = mesh->buffer_bytes - pipe->len;
    size_t len = bytes.len < room ? bytes.len : room;
    pipe->is_short = len < bytes.len;
    for (size_t i = 0; i < len; i++) {
        pipe->bytes[(pipe->head + pipe->len + i) % mesh->buffer_bytes] = bytes.data[i];
    }
    if (len > 0 && pipe->len == 0) {
        say(mesh, id, 1 - node->side, PROXY_EVENT_READABLE);
    }
    pipe->len += len;
    mesh->peeked_max = pipe->len > mesh->peeked_max ? pipe->len : mesh->peeked_max;
    return len;
}

static uint8_t *on_write_space(void *ctx, uint64_t id, size_t *len) {
    struct mesh_node *node = ctx;
    size_t room = mesh_write_room(ctx, id);
    cr_expect_not(node->is_lent, "space is asked for again before it was written to");
    if (room == 0) {
        (void)mesh_write(ctx, id, span_of("?", 1));
        return NULL;
    }
    node->is_lent = true;
    *len = room < sizeof node->space ? room : sizeof node->space;
    return node->space;
}

static void on_written(void *ctx, uint64_t id, size_t len) {
    struct mesh_node *node = ctx;
    cr_expect(node->is_lent);
    struct mesh *mesh = node->mesh;
    mesh->turn_bytes += len;
    mesh->read_bytes += len;
    if (mesh->turn_bytes > mesh->turn_bytes_max) {
        mesh->turn_bytes_max = mesh->turn_bytes;
    }
    node->is_lent = false;
    cr_assert_eq(mesh_write(ctx, id, span_of(node->space, len)), len);
}

static void on_finish(void *ctx, uint64_t id) {
    struct mesh_node *node = ctx;
    struct mesh_stream *stream = stream_of(node, id);
    if (stream == NULL) {
        return;
    }
    node->mesh->misuse_count += stream->pipe[node->side].is_finished ? 1 : 0;
    stream->pipe[node->side].is_finished = true;
    if (stream->pipe[node->side].len == 0) {
        say(node->mesh, id, 1 - node->side, PROXY_EVENT_READABLE);
    }
}

/* In pieces as the ring has them, the first one in two. */
static size_t on_peek(void *ctx, uint64_t id, struct span *out, size_t max) {
    struct mesh_node *node = ctx;
    struct mesh_stream *stream = stream_of(node, id);
    cr_assert_geq(max, (size_t)3);
    if (stream == NULL || stream->is_over || stream->pipe[1 - node->side].len == 0) {
        return 0;
    }
    struct mesh_pipe *pipe = &stream->pipe[1 - node->side];
    size_t straight = node->mesh->buffer_bytes - pipe->head;
    size_t first = pipe->len < straight ? pipe->len : straight;
    out[0] = span_of(pipe->bytes + pipe->head, first / 2);
    out[1] = span_of(pipe->bytes + pipe->head + first / 2, first - first / 2);
    out[2] = span_of(pipe->bytes, pipe->len - first);
    return pipe->len > first ? 3 : 2;
}

static void on_consume(void *ctx, uint64_t id, size_t len) {
    struct mesh_node *node = ctx;
    struct mesh_stream *stream = stream_of(node, id);
    if (stream == NULL) {
        return;
    }
    struct mesh_pipe *pipe = &stream->pipe[1 - node->side];
    cr_assert_leq(len, pipe->len);
    pipe->head = (pipe->head + len) % node->mesh->buffer_bytes;
    pipe->len -= len;
    if (pipe->is_short) {
        pipe->is_short = false;
        say(node->mesh, id, 1 - node->side, PROXY_EVENT_WRITABLE);
    }
}

static bool on_is_finished(void *ctx, uint64_t id) {
    struct mesh_node *node = ctx;
    struct mesh_stream *stream = stream_of(node, id);
    if (stream == NULL) {
        return false;
    }
    struct mesh_pipe *pipe = &stream->pipe[1 - node->side];
    bool is_end = pipe->is_finished && pipe->len == 0;
    pipe->is_end_read = pipe->is_end_read || is_end;
    close_if_done(node->mesh, id);
    return is_end;
}

static void on_reset(void *ctx, uint64_t id, enum proxy_reset reason) {
    struct mesh_node *node = ctx;
    struct mesh_stream *stream = stream_of(node, id);
    if (stream == NULL) {
        return;
    }
    if (!stream->is_over) {
        stream->is_over = true;
        stream->reason = reason;
        say(node->mesh, id, 1 - node->side, PROXY_EVENT_RESET);
    }
    drop_side(stream, node->side);
}

static void on_release(void *ctx, uint64_t id) {
    struct mesh_node *node = ctx;
    struct mesh_stream *stream = stream_of(node, id);
    if (stream != NULL) {
        node->mesh->misuse_count += stream->is_over ? 0 : 1;
        drop_side(stream, node->side);
    }
}

/* --- flows --- */

static struct mesh_flow *flow_of(struct mesh_node *node, uint64_t id) {
    struct mesh *mesh = node->mesh;
    bool is_known = id >= 1 && id <= mesh->flow_count && mesh->flows[id - 1].is_used[node->side];
    mesh->misuse_count += is_known ? 0 : 1;
    return is_known ? &mesh->flows[id - 1] : NULL;
}

static enum weft_err on_flow_open(void *ctx, const char *name_space, const char *name,
                                  uint64_t *flow) {
    struct mesh *mesh = ((struct mesh_node *)ctx)->mesh;
    cr_expect_str_eq(name_space, "space");
    cr_expect_str_eq(name, "web");
    if (mesh->open_error != WEFT_OK) {
        return mesh->open_error;
    }
    cr_assert_lt(mesh->flow_count, (uint64_t)MESH_FLOWS_MAX);
    mesh->flows[mesh->flow_count] = (struct mesh_flow){.is_used = {true, true}};
    *flow = ++mesh->flow_count;
    return WEFT_OK;
}

static void queue_datagram(struct mesh *mesh, struct mesh_datagram datagram) {
    if (ring_push(&mesh->datagrams, &datagram) != WEFT_OK) {
        frame_unref(datagram.bytes);
    }
}

static void on_flow_send(void *ctx, uint64_t id, struct span bytes) {
    struct mesh_node *node = ctx;
    if (flow_of(node, id) != NULL) {
        struct frame *frame = frame_copy(bytes);
        if (frame != NULL) {
            queue_datagram(node->mesh, (struct mesh_datagram){id, 1 - node->side, frame});
        }
    }
}

static void on_flow_end(void *ctx, uint64_t id, enum proxy_reset reason) {
    struct mesh_node *node = ctx;
    struct mesh_flow *flow = flow_of(node, id);
    if (flow != NULL) {
        flow->is_used[node->side] = false;
        flow->reason = reason;
        if (flow->is_used[1 - node->side]) {
            queue_datagram(node->mesh, (struct mesh_datagram){id, 1 - node->side, NULL});
        }
    }
}

static void deliver_datagram(struct mesh *mesh, const struct mesh_datagram *datagram) {
    struct mesh_flow *flow = &mesh->flows[datagram->flow - 1];
    struct proxy *proxy = mesh->node[datagram->side].proxy;
    if (proxy == NULL || !flow->is_used[datagram->side]) {
        return;
    }
    if (datagram->bytes == NULL) {
        flow->is_used[datagram->side] = false;
        proxy_flow_ended(proxy, datagram->flow, flow->reason != PROXY_RESET_APPLICATION);
        return;
    }
    if (datagram->side == 1 && !flow->is_told) {
        flow->is_told = true;
        proxy_flow_incoming(proxy, datagram->flow, "space", "web");
    }
    proxy_flow_data(proxy, datagram->flow, frame_view(datagram->bytes));
}

size_t mesh_flow_count(const struct mesh *mesh, int side) {
    size_t count = 0;
    for (size_t i = 0; i < mesh->flow_count; i++) {
        count += mesh->flows[i].is_used[side] ? 1 : 0;
    }
    return count;
}

void mesh_end_flow(struct mesh *mesh, uint64_t id) {
    for (int side = 0; side < 2; side++) {
        if (mesh->flows[id - 1].is_used[side]) {
            mesh->flows[id - 1].is_used[side] = false;
            proxy_flow_ended(mesh->node[side].proxy, id, false);
        }
    }
}

static void deliver(struct mesh *mesh, const struct mesh_event *event) {
    struct proxy *proxy = mesh->node[event->side].proxy;
    if (proxy == NULL) {
        return;
    }
    if (event->is_incoming) {
        proxy_incoming(proxy, event->stream, "space", "web");
    } else {
        proxy_stream_event(proxy, event->stream, event->kind);
    }
}

static void on_pump(void *ctx) {
    struct mesh *mesh = ((struct mesh_node *)ctx)->mesh;
    mesh->pump_count++;
    mesh->turn_bytes = 0;
    cr_assert_not(mesh->is_draining, "the proxy pumped while the host was draining");
    mesh->is_draining = true;
    while (mesh->event_count > 0) {
        struct mesh_event event = mesh->events[mesh->event_head];
        mesh->event_head = (mesh->event_head + 1) % MESH_EVENTS_MAX;
        mesh->event_count--;
        deliver(mesh, &event);
    }
    struct mesh_datagram datagram;
    while (ring_pop(&mesh->datagrams, &datagram)) {
        deliver_datagram(mesh, &datagram);
        frame_unref(datagram.bytes);
    }
    mesh->is_draining = false;
    mesh->turn_bytes = 0;
}

struct proxy_backend mesh_backend(struct mesh *mesh, int side) {
    return (struct proxy_backend){
        .ctx = &mesh->node[side],
        .open = on_open,
        .local_endpoints = on_local_endpoints,
        .accept = on_accept,
        .write_space = on_write_space,
        .written = on_written,
        .finish = on_finish,
        .peek = on_peek,
        .consume = on_consume,
        .is_finished = on_is_finished,
        .reset = on_reset,
        .release = on_release,
        .flow_open = on_flow_open,
        .flow_send = on_flow_send,
        .flow_end = on_flow_end,
        .pump = on_pump,
    };
}

/* --- the nodes --- */

static void on_random(void *ctx, uint8_t *out, size_t len) {
    (void)ctx;
    memset(out, 7, len);
}

static void on_trace(void *ctx, const struct trace_event *event) {
    struct mesh *mesh = ctx;
    mesh->warning_count++;
    snprintf(mesh->warning, sizeof mesh->warning, "%s", event->name);
}

static struct mesh *make(size_t connections_max, size_t served_max) {
    struct mesh *mesh = calloc(1, sizeof *mesh);
    cr_assert_not_null(mesh);
    (void)signal(SIGPIPE, SIG_IGN); /* as whoever runs a node does */
    ring_init(&mesh->datagrams, sizeof(struct mesh_datagram), MESH_EVENTS_MAX);
    mesh->base = event_base_new();
    mesh->buffer_bytes = BUFFER_BYTES;
    mesh->host = (struct host){.ctx = mesh, .random = on_random, .trace = on_trace};
    for (int side = 0; side < 2; side++) {
        mesh->node[side].mesh = mesh;
        mesh->node[side].side = side;
        struct proxy_config config = {.base = mesh->base,
                                      .backend = mesh_backend(mesh, side),
                                      .host = &mesh->host,
                                      .connections_max = connections_max,
                                      .served_max = served_max,
                                      .connect_timeout = 200000000};
        cr_assert_eq(proxy_new(&config, &mesh->node[side].proxy), WEFT_OK);
    }
    return mesh;
}

struct mesh *mesh_new(size_t connections_max) {
    return make(connections_max, 0);
}

struct mesh *mesh_new_serving(size_t served_max) {
    return make(0, served_max);
}

void mesh_free(struct mesh *mesh) {
    for (int side = 0; side < 2; side++) {
        struct proxy *proxy = mesh->node[side].proxy;
        mesh->node[side].proxy = NULL;
        proxy_free(proxy);
    }
    cr_expect_eq(mesh->misuse_count, 0, "%zu calls on streams that were over", mesh->misuse_count);
    for (size_t i = 0; i < mesh->stream_count; i++) {
        drop_side(&mesh->streams[i], 1); /* a side that the test played */
        cr_expect_not(mesh->streams[i].is_used[0], "stream %zu was never let go", i + 1);
        drop_side(&mesh->streams[i], 0);
    }
    cr_expect_eq(mesh_flow_count(mesh, 0), 0, "%zu flows were never let go",
                 mesh_flow_count(mesh, 0));
    struct mesh_datagram datagram;
    while (ring_pop(&mesh->datagrams, &datagram)) {
        frame_unref(datagram.bytes);
    }
    ring_fini(&mesh->datagrams);
    event_base_free(mesh->base);
    free(mesh);
}

void mesh_export(struct mesh *mesh, int side, const char *endpoint) {
    struct mesh_node *node = &mesh->node[side];
    cr_assert_lt(node->endpoint_count, (size_t)MESH_ENDPOINTS_MAX);
    snprintf(node->endpoints[node->endpoint_count++], WEFT_ENDPOINT_MAX + 1, "%s", endpoint);
}

const char *mesh_forward(struct mesh *mesh, char bound[WEFT_ENDPOINT_MAX + 1]) {
    cr_assert_eq(
        proxy_add_forward(mesh->node[0].proxy, "space", "web", PROXY_TCP, "127.0.0.1:0", bound),
        WEFT_OK);
    return bound;
}

const char *mesh_forward_udp(struct mesh *mesh, char bound[WEFT_ENDPOINT_MAX + 1]) {
    cr_assert_eq(
        proxy_add_forward(mesh->node[0].proxy, "space", "web", PROXY_UDP, "127.0.0.1:0", bound),
        WEFT_OK);
    return bound;
}

void mesh_play_far_side(struct mesh *mesh) {
    proxy_free(mesh->node[1].proxy);
    mesh->node[1].proxy = NULL;
}

size_t mesh_open_count(const struct mesh *mesh) {
    size_t count = 0;
    for (size_t i = 0; i < mesh->stream_count; i++) {
        count += mesh->streams[i].is_used[0] || mesh->streams[i].is_used[1] ? 1 : 0;
    }
    return count;
}

/* --- the loop --- */

static void on_guard(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    (void)arg;
}

struct event *mesh_guard_new(struct mesh *mesh) {
    struct event *guard = evtimer_new(mesh->base, on_guard, NULL);
    struct timeval patience = {.tv_sec = 20};
    evtimer_add(guard, &patience);
    return guard;
}

bool mesh_turn(struct mesh *mesh, struct event *guard) {
    event_base_loop(mesh->base, EVLOOP_ONCE);
    return evtimer_pending(guard, NULL) != 0;
}

size_t descriptor_count(void) {
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}
