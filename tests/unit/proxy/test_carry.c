/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes through a forward and an export: whole, in order, half-closed, and no faster than they are
 * read. Each runs through a stream and through the local shortcut.
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "app.h"
#include "proxy/internal.h"

struct scene {
    struct mesh *mesh;
    struct server *server;
    char address[WEFT_ENDPOINT_MAX + 1];
};

/* A service at the side (0: the forward's own node, so no stream). */
static struct scene scene_new(int side) {
    struct scene scene = {.mesh = mesh_new(0)};
    scene.server = server_new(scene.mesh, "127.0.0.1:0");
    mesh_export(scene.mesh, side, scene.server->address);
    mesh_forward(scene.mesh, scene.address);
    return scene;
}

static void scene_free(struct scene *scene) {
    server_free(scene->server);
    mesh_free(scene->mesh);
}

static bool are_idle(const struct mesh *mesh) {
    return proxy_connection_count(mesh->node[0].proxy) == 0 &&
           proxy_connection_count(mesh->node[1].proxy) == 0;
}

static void echo(int side) {
    struct scene scene = scene_new(side);
    scene.server->pattern = (struct app){.is_echo = true, .is_shut_at_end = true};
    struct app *client = app_connect(scene.mesh, scene.address);
    app_send(client, 1000);
    RUN_UNTIL(scene.mesh, client->received == 1000);
    cr_expect_eq(client->wrong_count, 0);
    app_half_close(client);
    RUN_UNTIL(scene.mesh, client->is_ended && are_idle(scene.mesh));
    cr_expect_eq(client->error, 0);
    cr_expect_eq(scene.mesh->stream_count, (uint64_t)side);
    cr_expect_eq(proxy_local_bytes(scene.mesh->node[0].proxy), side == 0 ? 2000 : 0);
    app_free(client);
    scene_free(&scene);
}

Test(proxy_carry, echoes_over_a_stream) {
    echo(1);
}

Test(proxy_carry, echoes_on_one_node_without_a_stream) {
    echo(0);
}

/* 16 MiB each way at once, through buffers of 64 KiB. */
static void transfer(int side) {
    const uint64_t total = 16 * 1024 * 1024 + 13;
    struct scene scene = scene_new(side);
    scene.server->pattern = (struct app){.send_total = total, .is_shut_at_end = true};
    struct app *client = app_connect(scene.mesh, scene.address);
    client->is_shut_at_end = true;
    app_send(client, total);
    RUN_UNTIL(scene.mesh,
              client->is_ended && are_idle(scene.mesh) && scene.server->served[0]->is_ended);
    cr_expect_eq(client->received, total);
    cr_expect_eq(client->wrong_count, 0);
    cr_expect_eq(scene.server->served[0]->received, total);
    cr_expect_eq(scene.server->served[0]->wrong_count, 0);
    cr_expect_eq(mesh_open_count(scene.mesh), 0);
    cr_expect_eq(proxy_local_bytes(scene.mesh->node[0].proxy), side == 0 ? 2 * total : 0);
    app_free(client);
    scene_free(&scene);
}

Test(proxy_carry, moves_much_both_ways_over_a_stream) {
    transfer(1);
}

Test(proxy_carry, moves_much_both_ways_on_one_node) {
    transfer(0);
}

/* The client ends its request, and only then does the answer begin. */
static void client_first(int side) {
    struct scene scene = scene_new(side);
    struct app *client = app_connect(scene.mesh, scene.address);
    client->is_shut_at_end = true;
    app_send(client, 5000);
    RUN_UNTIL(scene.mesh, scene.server->served_count == 1 && scene.server->served[0]->is_ended);
    struct app *served = scene.server->served[0];
    cr_expect_eq(served->received, 5000);
    cr_expect_not(client->is_ended);
    served->is_shut_at_end = true;
    app_send(served, 7000);
    RUN_UNTIL(scene.mesh, client->is_ended && are_idle(scene.mesh));
    cr_expect_eq(client->received, 7000);
    cr_expect_eq(client->wrong_count + served->wrong_count, 0);
    app_free(client);
    scene_free(&scene);
}

Test(proxy_carry, a_client_may_half_close_first) {
    client_first(1);
}

Test(proxy_carry, a_client_may_half_close_first_on_one_node) {
    client_first(0);
}

/* The server has answered and ended before the request is complete. */
static void server_first(int side) {
    struct scene scene = scene_new(side);
    scene.server->pattern = (struct app){.send_total = 3000, .is_shut_at_end = true};
    struct app *client = app_connect(scene.mesh, scene.address);
    app_send(client, 100);
    RUN_UNTIL(scene.mesh, client->is_ended);
    cr_expect_eq(client->received, 3000);
    client->is_shut_at_end = true;
    app_send(client, 200000);
    RUN_UNTIL(scene.mesh, scene.server->served[0]->is_ended && are_idle(scene.mesh));
    cr_expect_eq(scene.server->served[0]->received, 200100);
    cr_expect_eq(scene.server->served[0]->wrong_count, 0);
    app_free(client);
    scene_free(&scene);
}

Test(proxy_carry, a_server_may_answer_and_end_before_the_request_does) {
    server_first(1);
}

Test(proxy_carry, a_server_may_answer_and_end_before_the_request_does_on_one_node) {
    server_first(0);
}

/* Runs until what the sender has sent stands still: all buffers between are full. */
static void run_until_stuck(struct mesh *mesh, const struct app *sender) {
    uint64_t before = UINT64_MAX;
    while (sender->sent != before) {
        before = sender->sent;
        for (int i = 0; i < 100; i++) {
            event_base_loop(mesh->base, EVLOOP_NONBLOCK);
        }
    }
}

/* A client that does not read stops its server and nobody else; when it reads, all is there. */
static void back_pressure(int side) {
    const uint64_t total = 64 * 1024 * 1024;
    struct scene scene = scene_new(side);
    scene.server->pattern = (struct app){.send_total = total, .is_shut_at_end = true};
    struct app *slow = app_connect(scene.mesh, scene.address);
    app_pause(slow, true);
    RUN_UNTIL(scene.mesh, scene.server->served_count == 1 && scene.server->served[0]->sent > 0);
    run_until_stuck(scene.mesh, scene.server->served[0]);
    uint64_t sent = scene.server->served[0]->sent;
    cr_expect_lt(sent, total, "the whole transfer was swallowed");
    scene.server->pattern = (struct app){.is_echo = true, .is_shut_at_end = true};
    struct app *quick = app_connect(scene.mesh, scene.address);
    quick->is_shut_at_end = true;
    app_send(quick, 300000);
    RUN_UNTIL(scene.mesh, quick->is_ended);
    cr_expect_eq(quick->received, 300000);
    cr_expect_lt(scene.server->served[0]->sent, total);
    app_pause(slow, false);
    RUN_UNTIL(scene.mesh, slow->received > sent);
    cr_expect_eq(slow->wrong_count, 0);
    app_free(slow);
    app_free(quick);
    RUN_UNTIL(scene.mesh, scene.server->served[0]->error != 0 && scene.server->served[1]->is_ended);
    scene_free(&scene);
}

Test(proxy_carry, one_slow_reader_stops_its_server_only) {
    back_pressure(1);
}

Test(proxy_carry, one_slow_reader_stops_its_server_only_on_one_node) {
    back_pressure(0);
}

Test(proxy_carry, consumes_from_a_stream_only_what_the_socket_took) {
    struct scene scene = scene_new(1);
    mesh_play_far_side(scene.mesh);
    struct proxy_backend far = mesh_backend(scene.mesh, 1);
    struct app *client = app_connect(scene.mesh, scene.address);
    app_pause(client, true);
    RUN_UNTIL(scene.mesh, scene.mesh->stream_count == 1);
    static const uint8_t zeros[4096];
    uint64_t written = 0;
    uint64_t before = UINT64_MAX;
    while (written != before) { /* until no turn of the loop makes room any more */
        before = written;
        for (size_t taken = 1; taken > 0; written += taken) {
            taken = mesh_write(far.ctx, 1, span_of(zeros, sizeof zeros));
        }
        far.pump(far.ctx);
        for (int i = 0; i < 20; i++) {
            event_base_loop(scene.mesh->base, EVLOOP_NONBLOCK);
        }
    }
    cr_expect_eq(mesh_write_room(far.ctx, 1), 0);
    cr_expect_lt(written, 64 * 1024 * 1024);
    app_free(client);
    scene_free(&scene);
}

Test(proxy_carry, a_stream_without_room_leaves_the_bytes_in_the_socket) {
    struct scene scene = scene_new(1);
    mesh_play_far_side(scene.mesh);
    struct proxy_backend far = mesh_backend(scene.mesh, 1);
    struct app *client = app_connect(scene.mesh, scene.address);
    app_send(client, 1024 * 1024);
    RUN_UNTIL(scene.mesh, scene.mesh->peeked_max == scene.mesh->buffer_bytes);
    size_t pumps = scene.mesh->pump_count;
    for (int i = 0; i < 50; i++) {
        event_base_loop(scene.mesh->base, EVLOOP_NONBLOCK);
    }
    cr_expect_leq(scene.mesh->pump_count, pumps + 2, "a full stream makes the loop spin");
    far.consume(far.ctx, 1, 100);
    cr_expect_eq(mesh_write_room(far.ctx, 1), scene.mesh->buffer_bytes);
    far.pump(far.ctx);
    cr_expect_eq(scene.mesh->streams[0].pipe[0].len, scene.mesh->buffer_bytes);
    app_free(client);
    scene_free(&scene);
}

Test(proxy_carry, ends_a_connection_that_ends_while_its_stream_is_full) {
    struct scene scene = scene_new(1);
    mesh_play_far_side(scene.mesh);
    struct app *client = app_connect(scene.mesh, scene.address);
    client->is_shut_at_end = true;
    app_send(client, scene.mesh->buffer_bytes);
    RUN_UNTIL(scene.mesh,
              scene.mesh->stream_count == 1 && scene.mesh->streams[0].pipe[0].is_finished);
    cr_expect_eq(scene.mesh->streams[0].pipe[0].len, scene.mesh->buffer_bytes);
    app_free(client);
    scene_free(&scene);
}

Test(proxy_carry, carries_ipv6) {
    struct mesh *mesh = mesh_new(0);
    struct server *server = server_new(mesh, "[::1]:0");
    char address[WEFT_ENDPOINT_MAX + 1];
    if (server == NULL) {
        mesh_free(mesh);
        cr_skip_test("no IPv6 here");
    }
    server->pattern = (struct app){.is_echo = true, .is_shut_at_end = true};
    mesh_export(mesh, 1, server->address);
    cr_assert_eq(
        proxy_add_forward(mesh->node[0].proxy, "space", "web", PROXY_TCP, "[::1]:0", address),
        WEFT_OK);
    cr_expect_eq(strncmp(address, "[::1]:", 6), 0);
    struct app *client = app_connect(mesh, address);
    client->is_shut_at_end = true;
    app_send(client, 50000);
    RUN_UNTIL(mesh, client->is_ended && are_idle(mesh));
    cr_expect_eq(client->received, 50000);
    app_free(client);
    server_free(server);
    mesh_free(mesh);
}

/* A client that is always ahead of the proxy, which no real one is reliably: reads from its
 * connection are filled at once, whatever their size, and leave the byte that it did send. */
static in_port_t endless_port;

ssize_t __real_recv(int fd, void *bytes, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t len, int flags) {
    struct sockaddr_in peer = {0};
    socklen_t peer_len = sizeof peer;
    bool is_endless = endless_port != 0 && flags == 0 &&
                      getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
                      peer.sin_port == endless_port;
    return is_endless ? (ssize_t)len : __real_recv(fd, bytes, len, flags);
}

/* How many turns of the loop a request of 100 bytes and its echo take. */
static size_t exchange(struct mesh *mesh, struct app *client) {
    struct event *guard = mesh_guard_new(mesh);
    uint64_t expected = client->received + 100;
    size_t turns = 0;
    app_send(client, 100);
    while (client->received < expected) {
        cr_assert(mesh_turn(mesh, guard));
        turns++;
    }
    event_free(guard);
    return turns;
}

/* What a client asks beside another one that never ends is answered within the turns of the loop
 * that it takes at most, and in none of them the endless one moves more than the budget. */
Test(proxy_carry, an_endless_connection_leaves_others_their_turn) {
    struct scene scene = scene_new(1);
    struct mesh *mesh = scene.mesh;
    struct sockaddr_in own;
    socklen_t own_len = sizeof own;
    mesh->buffer_bytes = 256 * PROXY_TURN_BYTES;
    scene.server->pattern = (struct app){.is_echo = true};
    struct app *asking = app_connect(mesh, scene.address);
    (void)exchange(mesh, asking);
    scene.server->pattern.is_paused = true;
    struct app *endless = app_connect(mesh, scene.address);
    RUN_UNTIL(mesh, scene.server->served_count == 2);
    cr_assert_eq(getsockname(endless->fd, (struct sockaddr *)&own, &own_len), 0);
    endless_port = own.sin_port;
    app_send(endless, 1);
    RUN_UNTIL(mesh, mesh->turn_bytes_max > 100);
    for (unsigned i = 0; i < 5; i++) {
        uint64_t before = mesh->read_bytes;
        size_t turns = exchange(mesh, asking);
        cr_expect_leq(turns, 10);
        cr_expect_geq(mesh->read_bytes, before + PROXY_TURN_BYTES, "the endless one goes on");
        cr_expect_leq(mesh->read_bytes, before + turns * PROXY_TURN_BYTES + 200);
    }
    cr_expect_eq(mesh->turn_bytes_max, PROXY_TURN_BYTES);
    endless_port = 0;
    app_free(asking);
    app_free(endless);
    scene_free(&scene);
}
