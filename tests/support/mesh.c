/* SPDX-License-Identifier: Apache-2.0 */
#include "support/mesh.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/rng.h"
#include "base/time.h"

static const uint8_t session_psk[WEFT_KEY_BYTES] = {7};

enum mesh_event_kind {
    EVENT_UP,
    EVENT_FRAME,
    EVENT_DOWN,
    EVENT_DIAL_FAILED,
};

struct mesh_event {
    weft_ns at;
    uint64_t order;
    enum mesh_event_kind kind;
    size_t node;
    struct link_id link;
    struct frame *frame;
    struct frame *payload;
    struct core_link_info info;
    uint64_t token;
    enum wire_close_reason reason; /* DOWN: what the other end said; 0: nothing */
};

/* One end of a connection. The other end has the id's lowest bit flipped. */
struct mesh_pipe {
    bool is_up;
    size_t node;
    size_t other;
    weft_ns free_at; /* when the wire has sent what it was given */
};

struct mesh_node {
    struct core *core;
    struct identity identity;
    const char *name; /* NULL: "node-N" */
    struct rng rng;
    uint64_t incarnation;
    uint64_t next_instance; /* 0: drawn */
    uint64_t instance;      /* of this run: raising the incarnation does not change it */
    bool is_paused;
    bool has_left;
    uint64_t pong;
};

struct mesh {
    struct mesh_config config;
    weft_ns now;
    uint64_t order;
    struct mesh_node nodes[MESH_NODES_MAX];
    bool may_dial[MESH_NODES_MAX][MESH_NODES_MAX];
    bool is_seed[MESH_NODES_MAX][MESH_NODES_MAX];
    bool is_silent[MESH_NODES_MAX][MESH_NODES_MAX];
    struct mesh_event **heap;
    size_t heap_count;
    size_t heap_size;
    struct mesh_pipe *pipes; /* by link id */
    size_t pipe_count;
    size_t pipe_size;
    uint64_t frames[256];
};

static void node_random(void *ctx, uint8_t *out, size_t len) {
    struct mesh_node *node = ctx;
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)rng_next(&node->rng);
    }
}

static void node_trace(void *ctx, const struct trace_event *event) {
    (void)ctx;
    if (getenv("MESH_TRACE") != NULL) {
        (void)fprintf(stderr, "%s %s\n", event->name, event->detail);
    }
}

static bool is_before(const struct mesh_event *a, const struct mesh_event *b) {
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void heap_push(struct mesh *mesh, struct mesh_event *event) {
    if (mesh->heap_count == mesh->heap_size) {
        mesh->heap_size = mesh->heap_size > 0 ? 2 * mesh->heap_size : 1024;
        mesh->heap = realloc(mesh->heap, mesh->heap_size * sizeof(struct mesh_event *));
        ASSERT(mesh->heap != NULL);
    }
    size_t i = mesh->heap_count++;
    while (i > 0 && is_before(event, mesh->heap[(i - 1) / 2])) {
        mesh->heap[i] = mesh->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    mesh->heap[i] = event;
}

static struct mesh_event *heap_pop(struct mesh *mesh) {
    struct mesh_event *top = mesh->heap[0];
    struct mesh_event *last = mesh->heap[--mesh->heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= mesh->heap_count) {
            break;
        }
        if (child + 1 < mesh->heap_count && is_before(mesh->heap[child + 1], mesh->heap[child])) {
            child++;
        }
        if (!is_before(mesh->heap[child], last)) {
            break;
        }
        mesh->heap[i] = mesh->heap[child];
        i = child;
    }
    mesh->heap[i] = last;
    return top;
}

static struct mesh_event *event_add(struct mesh *mesh, enum mesh_event_kind kind, size_t node,
                                    struct link_id link, weft_ns at) {
    struct mesh_event *event = calloc(1, sizeof(*event));
    ASSERT(event != NULL);
    event->kind = kind;
    event->node = node;
    event->link = link;
    event->at = at;
    event->order = mesh->order++;
    heap_push(mesh, event);
    return event;
}

static void event_free(struct mesh_event *event) {
    frame_unref(event->frame);
    frame_unref(event->payload);
    free(event);
}

static struct link_id pipe_id(size_t index) {
    return (struct link_id){.value = (uint64_t)index + 2};
}

static struct mesh_pipe *pipe_of(struct mesh *mesh, struct link_id link) {
    return &mesh->pipes[link.value - 2];
}

static struct link_id other_end(struct link_id link) {
    return (struct link_id){.value = link.value ^ 1U};
}

static void address_of(size_t node, char out[32]) {
    (void)snprintf(out, 32, "10.0.%zu.%zu:9338", node / 200, node % 200 + 1);
}

static void name_of(const struct mesh *mesh, size_t node, char out[32]) {
    if (mesh->nodes[node].name != NULL) {
        (void)snprintf(out, 32, "%s", mesh->nodes[node].name);
    } else {
        (void)snprintf(out, 32, "node-%zu", node);
    }
}

/* SIZE_MAX when it is no node's. */
static size_t node_at(const struct mesh *mesh, const char *endpoint) {
    char text[32];
    for (size_t i = 0; i < mesh->config.nodes; i++) {
        address_of(i, text);
        if (strcmp(text, endpoint) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

static void add_pipe(struct mesh *mesh, size_t node, size_t other) {
    if (mesh->pipe_count == mesh->pipe_size) {
        mesh->pipe_size = mesh->pipe_size > 0 ? 2 * mesh->pipe_size : 256;
        mesh->pipes = realloc(mesh->pipes, mesh->pipe_size * sizeof(*mesh->pipes));
        ASSERT(mesh->pipes != NULL);
    }
    mesh->pipes[mesh->pipe_count++] =
        (struct mesh_pipe){.is_up = true, .node = node, .other = other, .free_at = mesh->now};
}

static void announce(struct mesh *mesh, size_t node, size_t other, struct link_id link,
                     uint64_t token) {
    struct mesh_event *event =
        event_add(mesh, EVENT_UP, node, link, mesh->now + 3 * mesh->config.delay);
    event->info = (struct core_link_info){
        .role = token != 0 ? LINK_DIALLED : LINK_ACCEPTED,
        .dial_token = token,
        .key = mesh->nodes[other].identity.key,
        .incarnation = mesh->nodes[other].incarnation,
        .instance = mesh->nodes[other].instance,
    };
}

static void dial(struct mesh *mesh, size_t node, const struct action *action) {
    size_t other = node_at(mesh, action->endpoint);
    if (other == SIZE_MAX || other == node || mesh->nodes[other].core == NULL ||
        !mesh->may_dial[node][other] || mesh->is_silent[node][other]) {
        struct mesh_event *event = event_add(mesh, EVENT_DIAL_FAILED, node, (struct link_id){0},
                                             mesh->now + 2 * mesh->config.delay);
        event->token = action->token;
        return;
    }
    struct link_id mine = pipe_id(mesh->pipe_count);
    add_pipe(mesh, node, other);
    add_pipe(mesh, other, node);
    announce(mesh, node, other, mine, action->token);
    announce(mesh, other, node, other_end(mine), 0);
}

static weft_ns arrival(struct mesh *mesh, struct mesh_pipe *pipe, size_t bytes) {
    if (mesh->config.pipe_rate == 0) {
        return mesh->now + mesh->config.delay;
    }
    weft_ns start = pipe->free_at > mesh->now ? pipe->free_at : mesh->now;
    pipe->free_at = start + bytes * NS_PER_S / mesh->config.pipe_rate;
    return pipe->free_at + mesh->config.delay;
}

static size_t room_for_streams(const struct mesh *mesh, const struct mesh_pipe *pipe) {
    size_t full = mesh->config.pipe_bytes;
    size_t queued = 0;
    if (mesh->config.pipe_rate != 0 && pipe->free_at > mesh->now) {
        queued = (size_t)((pipe->free_at - mesh->now) * mesh->config.pipe_rate / NS_PER_S);
    }
    return queued < full ? full - queued : 0;
}

static void give_room(struct mesh *mesh, size_t node, struct link_id link) {
    size_t full = mesh->config.pipe_bytes;
    const size_t room[WIRE_CLASS_COUNT] = {full, full, room_for_streams(mesh, pipe_of(mesh, link))};
    if (mesh->nodes[node].core != NULL) {
        core_link_room(mesh->nodes[node].core, link, room, mesh->now);
    }
}

static void send_frame(struct mesh *mesh, struct action *action) {
    struct mesh_pipe *pipe = pipe_of(mesh, action->link);
    mesh->frames[action->frame->data[0]]++;
    size_t bytes = action->frame->len + (action->payload != NULL ? action->payload->len : 0);
    if (action->class == WIRE_CLASS_STREAM && bytes > room_for_streams(mesh, pipe)) {
        return; /* a relay's: its own streams wait */
    }
    weft_ns at = arrival(mesh, pipe, bytes);
    if (!pipe->is_up || mesh->is_silent[pipe->node][pipe->other]) {
        return;
    }
    struct mesh_event *event =
        event_add(mesh, EVENT_FRAME, pipe->other, other_end(action->link), at);
    event->frame = frame_ref(action->frame);
    event->payload = action->payload != NULL ? frame_ref(action->payload) : NULL;
}

/* One end closes: the other hears why, if a reason is given, behind all that was sent before. */
static void close_pipe(struct mesh *mesh, struct link_id link, enum wire_close_reason reason) {
    struct mesh_pipe *pipe = pipe_of(mesh, link);
    if (!pipe->is_up) {
        return;
    }
    pipe->is_up = false;
    pipe_of(mesh, other_end(link))->is_up &= reason != 0;
    event_add(mesh, EVENT_DOWN, pipe->node, link, mesh->now);
    event_add(mesh, EVENT_DOWN, pipe->other, other_end(link), mesh->now + mesh->config.delay)
        ->reason = reason;
}

/* The default application: accepts and sends back what comes. */
static void echo(struct mesh *mesh, size_t node, const struct stream_event *event) {
    struct streams *streams = core_streams(mesh->nodes[node].core);
    if (event->kind == STREAM_EVENT_INCOMING) {
        streams_accept(streams, event->stream, mesh->now);
        return;
    }
    if (event->kind == STREAM_EVENT_RESET || event->kind == STREAM_EVENT_CLOSED) {
        streams_release(streams, event->stream);
        return;
    }
    struct span bytes = streams_peek(streams, event->stream);
    while (bytes.len > 0) {
        size_t taken = streams_write(streams, event->stream, bytes, mesh->now);
        if (taken == 0) {
            return;
        }
        streams_consume(streams, event->stream, taken, mesh->now);
        bytes = streams_peek(streams, event->stream);
    }
    if (streams_is_finished(streams, event->stream)) {
        streams_finish(streams, event->stream, mesh->now);
    }
}

static void perform(struct mesh *mesh, size_t node, struct action *action) {
    switch (action->kind) {
    case ACTION_SEND:
        send_frame(mesh, action);
        give_room(mesh, node, action->link);
        break;
    case ACTION_CLOSE:
        close_pipe(mesh, action->link, action->reason);
        break;
    case ACTION_DIAL:
        dial(mesh, node, action);
        break;
    case ACTION_STREAM:
        if (mesh->config.on_stream != NULL) {
            mesh->config.on_stream(mesh->config.ctx, mesh, node, &action->stream_event);
        } else {
            echo(mesh, node, &action->stream_event);
        }
        break;
    case ACTION_DATAGRAM:
        if (mesh->config.on_datagram != NULL) {
            mesh->config.on_datagram(mesh->config.ctx, mesh, node, &action->datagram_event);
        }
        break;
    case ACTION_PONG:
        mesh->nodes[node].pong = action->token;
        break;
    case ACTION_LEFT:
        mesh->nodes[node].has_left = true;
        break;
    case ACTION_SAVE_INCARNATION:
        mesh->nodes[node].incarnation = action->token;
        break;
    case ACTION_SAVE_RECORD:
    case ACTION_FORGET_RECORD:
        break;
    }
}

static void pump(struct mesh *mesh, size_t node) {
    struct action action;
    while (mesh->nodes[node].core != NULL && core_next_action(mesh->nodes[node].core, &action)) {
        perform(mesh, node, &action);
        action_release(&action);
    }
}

static void deliver_frame(struct mesh *mesh, struct mesh_event *event) {
    struct wire_reader reader = wire_reader_of(frame_view(event->frame));
    struct wire_frame frame;
    enum weft_err err = wire_frame_next(&reader, &frame);
    ASSERT(err == WEFT_OK && wire_reader_done(&reader));
    struct span payload = event->payload != NULL ? frame_view(event->payload) : (struct span){0};
    core_link_frame(mesh->nodes[event->node].core, event->link, &frame, loan_of(payload),
                    mesh->now);
}

static void deliver_up(struct mesh *mesh, struct mesh_event *event) {
    struct mesh_pipe *pipe = pipe_of(mesh, event->link);
    char remote[32];
    char name[32];
    if (!pipe->is_up) {
        if (event->info.dial_token != 0) {
            core_dial_failed(mesh->nodes[event->node].core, event->info.dial_token, "closed",
                             mesh->now);
        }
        return;
    }
    address_of(pipe->other, remote);
    name_of(mesh, pipe->other, name);
    event->info.name = name;
    event->info.remote = remote;
    core_link_up(mesh->nodes[event->node].core, event->link, &event->info, mesh->now);
    give_room(mesh, event->node, event->link);
}

static void deliver(struct mesh *mesh, struct mesh_event *event) {
    struct core *core = mesh->nodes[event->node].core;
    switch (event->kind) {
    case EVENT_UP:
        deliver_up(mesh, event);
        break;
    case EVENT_FRAME:
        deliver_frame(mesh, event);
        break;
    case EVENT_DOWN:
        pipe_of(mesh, event->link)->is_up = false;
        if (event->reason != 0) {
            core_link_bye(core, event->link, event->reason, mesh->now);
        }
        core_link_down(core, event->link, mesh->now);
        break;
    case EVENT_DIAL_FAILED:
        core_dial_failed(core, event->token, "refused", mesh->now);
        break;
    }
}

/* Frames on a pipe that was cut are lost; other events of the dead are nobody's. */
static bool is_void(struct mesh *mesh, const struct mesh_event *event) {
    return mesh->nodes[event->node].core == NULL ||
           (event->kind == EVENT_FRAME && !pipe_of(mesh, event->link)->is_up);
}

static void refresh_room(struct mesh *mesh, size_t node) {
    for (size_t i = 0; mesh->config.pipe_rate != 0 && i < mesh->pipe_count; i++) {
        if (mesh->pipes[i].is_up && mesh->pipes[i].node == node) {
            give_room(mesh, node, pipe_id(i));
        }
    }
}

static weft_ns node_deadline(struct mesh *mesh, size_t node) {
    struct mesh_node *it = &mesh->nodes[node];
    if (it->core == NULL || it->is_paused) {
        return WEFT_NEVER;
    }
    weft_ns deadline = core_deadline(it->core);
    /* A rate-limited pipe drains between events; look at least every millisecond. */
    if (mesh->config.pipe_rate != 0) {
        deadline = time_min(deadline, mesh->now + NS_PER_MS);
    }
    return deadline;
}

static void tick_node(struct mesh *mesh, size_t node) {
    refresh_room(mesh, node);
    core_tick(mesh->nodes[node].core, mesh->now);
    pump(mesh, node);
}

/* One event or one deadline, whichever is first; false when nothing happens before `end`. */
static bool step(struct mesh *mesh, weft_ns end) {
    size_t due = 0;
    weft_ns deadline = WEFT_NEVER;
    for (size_t i = 0; i < mesh->config.nodes; i++) {
        weft_ns mine = node_deadline(mesh, i);
        if (mine < deadline) {
            deadline = mine;
            due = i;
        }
    }
    weft_ns next = mesh->heap_count > 0 ? mesh->heap[0]->at : WEFT_NEVER;
    if (time_min(next, deadline) > end) {
        return false;
    }
    if (deadline < next) {
        mesh->now = deadline > mesh->now ? deadline : mesh->now;
        tick_node(mesh, due);
        return true;
    }
    struct mesh_event *event = heap_pop(mesh);
    mesh->now = event->at > mesh->now ? event->at : mesh->now;
    if (mesh->nodes[event->node].is_paused) {
        event->at = mesh->now + 10 * NS_PER_MS;
        heap_push(mesh, event);
        return true;
    }
    if (!is_void(mesh, event)) {
        deliver(mesh, event);
        pump(mesh, event->node);
    }
    event_free(event);
    return true;
}

bool mesh_run_until(struct mesh *mesh, bool (*holds)(struct mesh *mesh), weft_ns span) {
    weft_ns end = mesh->now + span;
    for (size_t i = 0; i < mesh->config.nodes; i++) {
        pump(mesh, i);
    }
    for (unsigned i = 0; holds == NULL || i % 64 != 0 || !holds(mesh); i++) {
        if (!step(mesh, end)) {
            mesh->now = end;
            return holds == NULL || holds(mesh);
        }
    }
    return true;
}

void mesh_run(struct mesh *mesh, weft_ns span) {
    (void)mesh_run_until(mesh, NULL, span);
}

void mesh_start(struct mesh *mesh, size_t index) {
    struct mesh_node *node = &mesh->nodes[index];
    char address[32];
    char name[32];
    address_of(index, address);
    name_of(mesh, index, name);
    const char *addresses[] = {address};
    struct core_config config;
    ASSERT(node->core == NULL);
    core_config_defaults(&config);
    node->incarnation++;
    node->has_left = false;
    config.identity = &node->identity;
    config.session_psk = session_psk;
    config.host = (struct host){.ctx = node, .random = node_random, .trace = node_trace};
    config.name = name;
    config.software = "test";
    config.addresses = addresses;
    config.address_count = 1;
    config.incarnation = node->incarnation;
    node->instance =
        node->next_instance != 0 ? node->next_instance : node->incarnation * 1000 + index + 1;
    node->next_instance = 0;
    config.instance = node->instance;
    config.may_discover = mesh->config.has_discovery;
    config.heartbeat = mesh->config.heartbeat != 0 ? mesh->config.heartbeat : config.heartbeat;
    config.degree = mesh->config.degree != 0 ? mesh->config.degree : config.degree;
    enum weft_err err = core_new(&config, mesh->now, &node->core);
    ASSERT(err == WEFT_OK);
    for (size_t i = 0; i < mesh->config.nodes; i++) {
        char seed[32];
        address_of(i, seed);
        if (mesh->is_seed[index][i]) {
            err = core_add_seed(node->core, seed, NULL);
            ASSERT(err == WEFT_OK);
        }
    }
    pump(mesh, index);
}

struct mesh *mesh_new(const struct mesh_config *config) {
    ASSERT(config->nodes <= MESH_NODES_MAX);
    struct mesh *mesh = calloc(1, sizeof(*mesh));
    ASSERT(mesh != NULL && noise_setup() == WEFT_OK);
    mesh->config = *config;
    mesh->now = NS_PER_S;
    if (mesh->config.pipe_bytes == 0) {
        mesh->config.pipe_bytes = (size_t)4 * 1024 * 1024;
    }
    for (size_t i = 0; i < config->nodes; i++) {
        uint8_t seed[32] = {(uint8_t)i, (uint8_t)(i >> 8), 7};
        memcpy(seed + 8, &config->seed, sizeof(config->seed));
        identity_from_seed(&mesh->nodes[i].identity, seed);
        rng_init(&mesh->nodes[i].rng, seed);
        memset(mesh->may_dial[i], 1, sizeof(mesh->may_dial[i]));
    }
    return mesh;
}

void mesh_free(struct mesh *mesh) {
    for (size_t i = 0; i < mesh->config.nodes; i++) {
        core_free(mesh->nodes[i].core);
    }
    while (mesh->heap_count > 0) {
        event_free(heap_pop(mesh));
    }
    free(mesh->heap);
    free(mesh->pipes);
    free(mesh);
}

void mesh_allow(struct mesh *mesh, size_t a, size_t b, bool may) {
    mesh->may_dial[a][b] = may;
    mesh->may_dial[b][a] = may;
}

void mesh_allow_none(struct mesh *mesh) {
    memset(mesh->may_dial, 0, sizeof(mesh->may_dial));
}

void mesh_set_name(struct mesh *mesh, size_t node, const char *name) {
    mesh->nodes[node].name = name;
}

void mesh_set_twin(struct mesh *mesh, size_t node, size_t of) {
    ASSERT(mesh->nodes[node].core == NULL);
    mesh->nodes[node].identity = mesh->nodes[of].identity;
}

void mesh_set_instance(struct mesh *mesh, size_t node, uint64_t instance) {
    mesh->nodes[node].next_instance = instance;
}

void mesh_seed(struct mesh *mesh, size_t a, size_t b) {
    char address[32];
    mesh->is_seed[a][b] = true;
    mesh_allow(mesh, a, b, true);
    if (mesh->nodes[a].core != NULL) {
        address_of(b, address);
        enum weft_err err = core_add_seed(mesh->nodes[a].core, address, NULL);
        ASSERT(err == WEFT_OK);
    }
}

static void close_between(struct mesh *mesh, size_t a, size_t b) {
    for (size_t i = 0; i < mesh->pipe_count; i++) {
        if (mesh->pipes[i].is_up && mesh->pipes[i].node == a &&
            (b == SIZE_MAX || mesh->pipes[i].other == b)) {
            close_pipe(mesh, pipe_id(i), 0);
        }
    }
}

void mesh_cut(struct mesh *mesh, size_t a, size_t b) {
    close_between(mesh, a, b);
}

void mesh_silence(struct mesh *mesh, size_t a, size_t b, bool is_silent) {
    mesh->is_silent[a][b] = is_silent;
    mesh->is_silent[b][a] = is_silent;
}

void mesh_kill(struct mesh *mesh, size_t node) {
    core_free(mesh->nodes[node].core);
    mesh->nodes[node].core = NULL;
    close_between(mesh, node, SIZE_MAX);
}

void mesh_pause(struct mesh *mesh, size_t node, bool is_paused) {
    mesh->nodes[node].is_paused = is_paused;
}

struct core *mesh_core(struct mesh *mesh, size_t node) {
    return mesh->nodes[node].core;
}

const struct weft_peer_id *mesh_id(struct mesh *mesh, size_t node) {
    return &mesh->nodes[node].identity.id;
}

weft_ns mesh_now(const struct mesh *mesh) {
    return mesh->now;
}

size_t mesh_node_of(struct mesh *mesh, const struct weft_peer_id *peer) {
    for (size_t i = 0; i < mesh->config.nodes; i++) {
        if (weft_peer_id_equal(peer, mesh_id(mesh, i))) {
            return i;
        }
    }
    return SIZE_MAX;
}

bool mesh_is_settled(struct mesh *mesh) {
    size_t alive = 0;
    for (size_t i = 0; i < mesh->config.nodes; i++) {
        alive += mesh->nodes[i].core != NULL;
    }
    uint64_t digest = 0;
    bool is_first = true;
    for (size_t i = 0; i < mesh->config.nodes; i++) {
        struct core_status status;
        if (mesh->nodes[i].core == NULL) {
            continue;
        }
        core_get_status(mesh->nodes[i].core, &status);
        uint64_t mine = core_topology_digest(mesh->nodes[i].core, mesh->now);
        if (status.peers_reachable != alive - 1 || (!is_first && mine != digest)) {
            return false;
        }
        digest = mine;
        is_first = false;
    }
    return true;
}

uint64_t mesh_frames(const struct mesh *mesh, enum wire_kind kind) {
    return mesh->frames[kind];
}

uint64_t mesh_pong(const struct mesh *mesh, size_t node) {
    return mesh->nodes[node].pong;
}

bool mesh_has_left(const struct mesh *mesh, size_t node) {
    return mesh->nodes[node].has_left;
}
