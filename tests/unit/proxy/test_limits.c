/* SPDX-License-Identifier: Apache-2.0
 *
 * Many connections, too many connections, and a process without descriptors left.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "app.h"
#include "base/time.h"
#include "proxy/connection.h"

#define MANY 500

/* Lets this process open `count` descriptors. */
static void limit_descriptors(rlim_t count) {
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count < limit.rlim_max ? count : limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static size_t ended_count(struct app *const *clients, size_t count) {
    size_t ended = 0;
    for (size_t i = 0; i < count; i++) {
        ended += clients[i]->is_ended || clients[i]->error != 0 ? 1 : 0;
    }
    return ended;
}

static void many(int side) {
    size_t descriptors = descriptor_count();
    limit_descriptors(4096);
    struct mesh *mesh = mesh_new(0);
    struct server *server = server_new(mesh, "127.0.0.1:0");
    char address[WEFT_ENDPOINT_MAX + 1];
    struct app *clients[MANY];
    server->pattern = (struct app){.is_echo = true, .is_shut_at_end = true};
    mesh_export(mesh, side, server->address);
    mesh_forward(mesh, address);
    for (size_t i = 0; i < MANY; i++) {
        clients[i] = app_connect(mesh, address);
        cr_assert_not_null(clients[i]);
        app_send(clients[i], 1000 + i);
    }
    RUN_UNTIL(mesh, proxy_connection_count(mesh->node[0].proxy) == MANY);
    for (size_t i = 0; i < MANY; i++) {
        clients[i]->is_shut_at_end = true;
        app_send(clients[i], 20000);
    }
    RUN_UNTIL(mesh, ended_count(clients, MANY) == MANY &&
                        proxy_connection_count(mesh->node[0].proxy) == 0);
    for (size_t i = 0; i < MANY; i++) {
        cr_expect_eq(clients[i]->received, 21000 + i);
        cr_expect_eq(clients[i]->wrong_count, 0);
        app_free(clients[i]);
    }
    cr_expect_eq(mesh_open_count(mesh), 0);
    server_free(server);
    mesh_free(mesh);
    cr_expect_eq(descriptor_count(), descriptors);
}

Test(proxy_limits, carries_500_connections_at_once) {
    many(1);
}

Test(proxy_limits, carries_500_connections_at_once_on_one_node) {
    many(0);
}

Test(proxy_limits, waits_at_connections_max_until_there_is_room) {
    struct mesh *mesh = mesh_new(2);
    struct server *server = server_new(mesh, "127.0.0.1:0");
    char address[WEFT_ENDPOINT_MAX + 1];
    struct app *clients[3];
    server->pattern = (struct app){.is_echo = true, .is_shut_at_end = true};
    mesh_export(mesh, 1, server->address);
    mesh_forward(mesh, address);
    for (size_t i = 0; i < 3; i++) {
        clients[i] = app_connect(mesh, address);
        app_send(clients[i], 10);
    }
    RUN_UNTIL(mesh,
              clients[0]->received == 10 && clients[1]->received == 10 && mesh->warning_count == 1);
    size_t pumps = mesh->pump_count;
    for (int i = 0; i < 50; i++) {
        event_base_loop(mesh->base, EVLOOP_NONBLOCK);
    }
    cr_expect_leq(mesh->pump_count, pumps + 2, "a full proxy makes the loop spin");
    cr_expect_str_eq(mesh->warning, "proxy-full");
    cr_expect_eq(clients[2]->received, 0);
    cr_expect_eq(proxy_connection_count(mesh->node[0].proxy), 2);
    app_half_close(clients[0]);
    RUN_UNTIL(mesh, clients[2]->received == 10);
    for (size_t i = 0; i < 3; i++) {
        app_free(clients[i]);
    }
    server_free(server);
    mesh_free(mesh);
}

Test(proxy_limits, refuses_peers_at_connections_max) {
    struct mesh *mesh = mesh_new(1);
    struct proxy_backend opener = mesh_backend(mesh, 0);
    struct server *server = server_new(mesh, "127.0.0.1:0");
    uint64_t stream = 0;
    mesh_export(mesh, 1, server->address);
    cr_assert_eq(opener.open(opener.ctx, "space", "web", &stream), WEFT_OK);
    cr_assert_eq(opener.open(opener.ctx, "space", "web", &stream), WEFT_OK);
    opener.pump(opener.ctx);
    cr_expect_eq(mesh->streams[1].reason, PROXY_RESET_REFUSED);
    cr_expect_eq(proxy_connection_count(mesh->node[1].proxy), 1);
    RUN_UNTIL(mesh, mesh->streams[0].is_accepted);
    opener.reset(opener.ctx, 1, PROXY_RESET_APPLICATION);
    opener.release(opener.ctx, 2);
    opener.pump(opener.ctx);
    cr_expect_eq(proxy_connection_count(mesh->node[1].proxy), 0);
    server_free(server);
    mesh_free(mesh);
}

static weft_ns now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (weft_ns)time.tv_sec * NS_PER_S + (weft_ns)time.tv_nsec;
}

Test(proxy_limits, rests_without_descriptors_and_goes_on_when_there_are_some) {
    struct mesh *mesh = mesh_new(0);
    char address[WEFT_ENDPOINT_MAX + 1];
    mesh_play_far_side(mesh);
    struct app *client = app_connect(mesh, mesh_forward(mesh, address));
    int free_fd = dup(0);
    close(free_fd);
    limit_descriptors((rlim_t)free_fd);
    weft_ns start = now();
    RUN_UNTIL(mesh, mesh->pump_count == 4); /* each try is one turn */
    cr_expect_geq(now() - start, 250 * NS_PER_MS, "it spins");
    cr_expect_eq(mesh->warning_count, 1);
    cr_expect_str_eq(mesh->warning, "proxy-accept-paused");
    cr_expect_eq(mesh->stream_count, 0);
    limit_descriptors(4096);
    RUN_UNTIL(mesh, mesh->stream_count == 1);
    cr_expect_eq(client->error, 0);
    app_free(client);
    mesh_free(mesh);
}

Test(proxy_limits, an_idle_connection_is_small) {
    cr_expect_leq(sizeof(struct connection), 600);
}
