/* SPDX-License-Identifier: Apache-2.0
 *
 * Forwards: added, replaced, removed, refused.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app.h"

static enum weft_err add(struct mesh *mesh, const char *name, const char *address, char *bound) {
    return proxy_add_forward(mesh->node[0].proxy, "space", name, PROXY_TCP, address, bound);
}

static void count_one(void *ctx, const struct proxy_forward_view *view) {
    (void)view;
    (*(size_t *)ctx)++;
}

static size_t forward_count(struct mesh *mesh) {
    size_t count = 0;
    proxy_each_forward(mesh->node[0].proxy, count_one, &count);
    return count;
}

Test(proxy_forward, tells_the_port_that_the_kernel_chose) {
    struct mesh *mesh = mesh_new(0);
    char bound[WEFT_ENDPOINT_MAX + 1];
    cr_assert_eq(add(mesh, "web", "localhost:0", bound), WEFT_OK);
    cr_expect_eq(strncmp(bound, "127.0.0.1:", 10), 0);
    cr_expect_str_neq(bound, "127.0.0.1:0");
    mesh_free(mesh);
}

Test(proxy_forward, adding_it_again_changes_nothing) {
    struct mesh *mesh = mesh_new(0);
    char first[WEFT_ENDPOINT_MAX + 1];
    char again[WEFT_ENDPOINT_MAX + 1];
    cr_assert_eq(add(mesh, "web", "127.0.0.1:0", first), WEFT_OK);
    cr_expect_eq(add(mesh, "web", "127.0.0.1:0", again), WEFT_OK);
    cr_expect_str_eq(again, first);
    cr_expect_eq(add(mesh, "web", first, again), WEFT_OK);
    cr_expect_str_eq(again, first);
    cr_expect_eq(forward_count(mesh), 1);
    mesh_free(mesh);
}

Test(proxy_forward, another_address_replaces_the_listener_and_keeps_connections) {
    struct mesh *mesh = mesh_new(0);
    struct server *server = server_new(mesh, "127.0.0.1:0");
    char first[WEFT_ENDPOINT_MAX + 1];
    char second[WEFT_ENDPOINT_MAX + 1];
    server->pattern = (struct app){.is_echo = true};
    mesh_export(mesh, 1, server->address);
    cr_assert_eq(add(mesh, "web", "127.0.0.1:0", first), WEFT_OK);
    struct app *client = app_connect(mesh, first);
    app_send(client, 10);
    RUN_UNTIL(mesh, client->received == 10);
    cr_assert_eq(add(mesh, "web", "127.0.0.2:0", second), WEFT_OK);
    cr_expect_eq(strncmp(second, "127.0.0.2:", 10), 0);
    cr_expect_null(app_connect(mesh, first));
    cr_expect_eq(errno, ECONNREFUSED);
    app_send(client, 10);
    RUN_UNTIL(mesh, client->received == 20);
    struct app *other = app_connect(mesh, second);
    app_send(other, 10);
    RUN_UNTIL(mesh, other->received == 10);
    cr_expect_eq(forward_count(mesh), 1);
    app_free(client);
    app_free(other);
    server_free(server);
    mesh_free(mesh);
}

Test(proxy_forward, stops_listening_when_removed_and_lets_connections_go_on) {
    struct mesh *mesh = mesh_new(0);
    struct server *server = server_new(mesh, "127.0.0.1:0");
    char bound[WEFT_ENDPOINT_MAX + 1];
    server->pattern = (struct app){.is_echo = true, .is_shut_at_end = true};
    mesh_export(mesh, 1, server->address);
    struct app *client = app_connect(mesh, mesh_forward(mesh, bound));
    app_send(client, 10);
    RUN_UNTIL(mesh, client->received == 10);
    cr_expect_eq(proxy_remove_forward(mesh->node[0].proxy, "space", "web", PROXY_TCP), WEFT_OK);
    cr_expect_eq(forward_count(mesh), 0);
    cr_expect_null(app_connect(mesh, bound));
    client->is_shut_at_end = true;
    app_send(client, 10);
    RUN_UNTIL(mesh, client->is_ended && proxy_connection_count(mesh->node[0].proxy) == 0);
    cr_expect_eq(client->received, 20);
    app_free(client);
    server_free(server);
    mesh_free(mesh);
}

Test(proxy_forward, removing_one_that_is_not_there_is_not_found) {
    struct mesh *mesh = mesh_new(0);
    char bound[WEFT_ENDPOINT_MAX + 1];
    mesh_forward(mesh, bound);
    struct proxy *proxy = mesh->node[0].proxy;
    cr_expect_eq(proxy_remove_forward(proxy, "space", "other", PROXY_TCP), WEFT_ERR_NOT_FOUND);
    cr_expect_eq(proxy_remove_forward(proxy, "other", "web", PROXY_TCP), WEFT_ERR_NOT_FOUND);
    cr_expect_eq(forward_count(mesh), 1);
    mesh_free(mesh);
}

/* The client waits for an endpoint on its own node, and must not be sent elsewhere afterwards. */
Test(proxy_forward, removing_it_under_a_connection_that_still_dials_ends_that) {
    struct mesh *mesh = mesh_new(0);
    char bound[WEFT_ENDPOINT_MAX + 1];
    mesh_export(mesh, 0, "nowhere.invalid:80");
    struct app *client = app_connect(mesh, mesh_forward(mesh, bound));
    RUN_UNTIL(mesh, proxy_connection_count(mesh->node[0].proxy) == 1);
    cr_expect_eq(proxy_remove_forward(mesh->node[0].proxy, "space", "web", PROXY_TCP), WEFT_OK);
    RUN_UNTIL(mesh, client->error != 0);
    cr_expect_eq(client->error, ECONNRESET);
    cr_expect_eq(mesh->stream_count, 0);
    app_free(client);
    mesh_free(mesh);
}

Test(proxy_forward, two_services_cannot_have_one_address) {
    struct mesh *mesh = mesh_new(0);
    char first[WEFT_ENDPOINT_MAX + 1];
    char second[WEFT_ENDPOINT_MAX + 1];
    cr_assert_eq(add(mesh, "web", "127.0.0.1:0", first), WEFT_OK);
    cr_expect_eq(add(mesh, "db", first, second), WEFT_ERR_EXISTS);
    cr_assert_eq(add(mesh, "db", "127.0.0.1:0", second), WEFT_OK);
    cr_expect_eq(add(mesh, "db", first, second), WEFT_ERR_EXISTS);
    cr_expect_eq(forward_count(mesh), 2);
    mesh_free(mesh);
}

Test(proxy_forward, a_port_in_use_is_an_error_that_changes_nothing) {
    struct mesh *mesh = mesh_new(0);
    struct server *server = server_new(mesh, "127.0.0.1:0");
    char bound[WEFT_ENDPOINT_MAX + 1];
    char other[WEFT_ENDPOINT_MAX + 1];
    size_t descriptors = descriptor_count();
    errno = 0;
    cr_expect_eq(add(mesh, "web", server->address, bound), WEFT_ERR_IO);
    cr_expect_eq(errno, EADDRINUSE);
    cr_expect_eq(forward_count(mesh), 0);
    cr_expect_eq(descriptor_count(), descriptors);
    mesh_forward(mesh, bound);
    errno = 0;
    cr_expect_eq(add(mesh, "web", server->address, other), WEFT_ERR_IO);
    cr_expect_eq(errno, EADDRINUSE);
    struct app *client = app_connect(mesh, bound);
    cr_expect_not_null(client, "the old listener is gone");
    app_free(client);
    server_free(server);
    mesh_free(mesh);
}

Test(proxy_forward, refuses_names_and_addresses_that_are_none) {
    struct mesh *mesh = mesh_new(0);
    char bound[WEFT_ENDPOINT_MAX + 1];
    char name[10001];
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = '\0';
    cr_expect_eq(add(mesh, name, "127.0.0.1:0", bound), WEFT_ERR_INVALID);
    cr_expect_eq(add(mesh, "", "127.0.0.1:0", bound), WEFT_ERR_INVALID);
    cr_expect_eq(add(mesh, "web", "127.0.0.1", bound), WEFT_ERR_INVALID);
    cr_expect_eq(add(mesh, "web", "host.example:80", bound), WEFT_ERR_INVALID);
    name[WEFT_NAME_MAX] = '\0';
    cr_expect_eq(add(mesh, name, "127.0.0.1:0", bound), WEFT_OK);
    mesh_free(mesh);
}
