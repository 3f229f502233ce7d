/* SPDX-License-Identifier: Apache-2.0
 *
 * Which endpoint of a service a connection reaches, and what happens if it reaches none.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app.h"
#include "proxy/address.h"

/* Sends through the forward and expects the echo. */
static void expect_echo(struct mesh *mesh, struct server *server, const char *address) {
    server->pattern = (struct app){.is_echo = true, .is_shut_at_end = true};
    struct app *client = app_connect(mesh, address);
    cr_assert_not_null(client);
    client->is_shut_at_end = true;
    app_send(client, 100);
    RUN_UNTIL(mesh, client->is_ended || client->error != 0);
    cr_expect_eq(client->error, 0);
    cr_expect_eq(client->received, 100);
    app_free(client);
    RUN_UNTIL(mesh, proxy_connection_count(mesh->node[0].proxy) == 0 &&
                        proxy_connection_count(mesh->node[1].proxy) == 0);
}

static void next_endpoint(int side) {
    size_t descriptors = descriptor_count();
    struct mesh *mesh = mesh_new(0);
    struct server *server = server_new(mesh, "127.0.0.1:0");
    char refusing[WEFT_ENDPOINT_MAX + 1];
    char address[WEFT_ENDPOINT_MAX + 1];
    int fd = refusing_port(refusing);
    mesh_export(mesh, side, refusing);
    mesh_export(mesh, side, "not an endpoint");
    mesh_export(mesh, side, server->address);
    expect_echo(mesh, server, mesh_forward(mesh, address));
    cr_expect_eq(mesh->stream_count, (uint64_t)side);
    close(fd);
    server_free(server);
    mesh_free(mesh);
    cr_expect_eq(descriptor_count(), descriptors);
}

Test(proxy_dial, tries_the_next_endpoint_when_one_refuses) {
    next_endpoint(1);
}

Test(proxy_dial, tries_the_next_endpoint_when_one_refuses_on_one_node) {
    next_endpoint(0);
}

Test(proxy_dial, goes_to_another_node_when_no_endpoint_here_answers) {
    struct mesh *mesh = mesh_new(0);
    struct server *server = server_new(mesh, "127.0.0.1:0");
    char refusing[WEFT_ENDPOINT_MAX + 1];
    char address[WEFT_ENDPOINT_MAX + 1];
    int fd = refusing_port(refusing);
    mesh_export(mesh, 0, refusing);
    mesh_export(mesh, 1, server->address);
    expect_echo(mesh, server, mesh_forward(mesh, address));
    cr_expect_eq(mesh->stream_count, 1);
    close(fd);
    server_free(server);
    mesh_free(mesh);
}

Test(proxy_dial, tells_the_peer_when_no_endpoint_answers) {
    size_t descriptors = descriptor_count();
    struct mesh *mesh = mesh_new(0);
    char refusing[WEFT_ENDPOINT_MAX + 1];
    char address[WEFT_ENDPOINT_MAX + 1];
    int fd = refusing_port(refusing);
    mesh_export(mesh, 1, refusing);
    mesh_export(mesh, 1, refusing);
    mesh_forward(mesh, address);
    for (uint64_t i = 0; i < 3; i++) {
        struct app *client = app_connect(mesh, address);
        RUN_UNTIL(mesh, client->error != 0);
        cr_expect_eq(client->error, ECONNRESET);
        cr_expect_eq(mesh->streams[i].reason, PROXY_RESET_CONNECT_FAILED);
        cr_expect_not(mesh->streams[i].is_accepted);
        app_free(client);
    }
    cr_expect_eq(mesh->warning_count, 1, "three failures in a minute are one warning");
    cr_expect_str_eq(mesh->warning, "proxy-service-unreachable");
    close(fd);
    mesh_free(mesh);
    cr_expect_eq(descriptor_count(), descriptors);
}

Test(proxy_dial, resolves_a_host_name) {
    struct mesh *mesh = mesh_new(0);
    struct server *server = server_new(mesh, "127.0.0.1:0");
    char named[WEFT_ENDPOINT_MAX + 1];
    char address[WEFT_ENDPOINT_MAX + 1];
    snprintf(named, sizeof named, "localhost%s", strrchr(server->address, ':'));
    mesh_export(mesh, 1, named);
    mesh_forward(mesh, address);
    expect_echo(mesh, server, address);
    expect_echo(mesh, server, address);
    server_free(server);
    mesh_free(mesh);
}

Test(proxy_dial, a_name_that_is_still_being_asked_for_can_be_abandoned) {
    size_t descriptors = descriptor_count();
    struct mesh *mesh = mesh_new(0);
    char address[WEFT_ENDPOINT_MAX + 1];
    mesh_export(mesh, 1, "nowhere.invalid:80");
    mesh_forward(mesh, address);
    struct app *client = app_connect(mesh, address);
    RUN_UNTIL(mesh, proxy_connection_count(mesh->node[1].proxy) == 1);
    event_base_loop(mesh->base, EVLOOP_NONBLOCK);
    app_reset(client);
    mesh_play_far_side(mesh);
    for (int i = 0; i < 10; i++) { /* libevent answers the cancelled question through the loop */
        event_base_loop(mesh->base, EVLOOP_NONBLOCK);
    }
    app_free(client);
    mesh_free(mesh);
    cr_expect_eq(descriptor_count(), descriptors);
}

/* A listener whose backlog is full answers nothing. Fills `fds`; returns how many. */
static size_t fill(const char *text, int *fds, size_t max) {
    struct address to;
    cr_assert_eq(address_parse(text, &to), WEFT_OK);
    for (size_t i = 0; i < max; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fds[i], (struct sockaddr *)&to.storage, to.len);
    }
    return max;
}

Test(proxy_dial, tries_the_next_endpoint_when_one_does_not_answer_in_time) {
    struct mesh *mesh = mesh_new(0);
    struct server *server = server_new(mesh, "127.0.0.1:0");
    char silent[WEFT_ENDPOINT_MAX + 1];
    char address[WEFT_ENDPOINT_MAX + 1];
    int fd = refusing_port(silent);
    int fds[16];
    cr_assert_eq(listen(fd, 0), 0);
    size_t count = fill(silent, fds, sizeof fds / sizeof fds[0]);
    mesh_export(mesh, 1, silent);
    mesh_export(mesh, 1, server->address);
    expect_echo(mesh, server, mesh_forward(mesh, address));
    cr_expect_eq(server->served_count, 1);
    for (size_t i = 0; i < count; i++) {
        close(fds[i]);
    }
    close(fd);
    server_free(server);
    mesh_free(mesh);
}

Test(proxy_dial, a_stream_reset_while_dialling_stops_the_dial) {
    size_t descriptors = descriptor_count();
    struct mesh *mesh = mesh_new(0);
    char silent[WEFT_ENDPOINT_MAX + 1];
    char address[WEFT_ENDPOINT_MAX + 1];
    int fd = refusing_port(silent);
    int fds[16];
    cr_assert_eq(listen(fd, 0), 0);
    size_t count = fill(silent, fds, sizeof fds / sizeof fds[0]);
    mesh_export(mesh, 1, silent);
    mesh_forward(mesh, address);
    struct app *client = app_connect(mesh, address);
    RUN_UNTIL(mesh, proxy_connection_count(mesh->node[1].proxy) == 1);
    app_reset(client);
    RUN_UNTIL(mesh, proxy_connection_count(mesh->node[1].proxy) == 0);
    cr_expect_eq(mesh->streams[0].reason, PROXY_RESET_APPLICATION);
    for (size_t i = 0; i < count; i++) {
        close(fds[i]);
    }
    close(fd);
    app_free(client);
    mesh_free(mesh);
    cr_expect_eq(descriptor_count(), descriptors);
}
