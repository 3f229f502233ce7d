/* SPDX-License-Identifier: Apache-2.0
 *
 * Each allocation fails once: nothing leaks, nothing is used after its end, and whom it hits is
 * told.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "app.h"
#include "support/failing_alloc.h"

Test(proxy_memory, a_proxy_is_made_whole_or_not_at_all) {
    struct mesh *mesh = mesh_new(0);
    struct proxy_config config = {
        .base = mesh->base, .backend = mesh_backend(mesh, 0), .host = &mesh->host};
    FAILING_ALLOC_EACH(nth) {
        struct proxy *proxy = NULL;
        enum weft_err err = proxy_new(&config, &proxy);
        bool has_failed = failing_alloc_disarm();
        cr_expect_eq(err, has_failed ? WEFT_ERR_MEMORY : WEFT_OK);
        cr_expect_eq(proxy == NULL, has_failed);
        proxy_free(proxy);
    }
    proxy_free(NULL);
    mesh_free(mesh);
}

Test(proxy_memory, a_forward_is_added_whole_or_not_at_all) {
    size_t descriptors = descriptor_count();
    struct mesh *mesh = mesh_new(0);
    FAILING_ALLOC_EACH(nth) {
        char bound[WEFT_ENDPOINT_MAX + 1];
        struct proxy *proxy = mesh->node[0].proxy;
        enum weft_err err =
            proxy_add_forward(proxy, "space", "web", PROXY_TCP, "127.0.0.1:0", bound);
        bool has_failed = failing_alloc_disarm();
        cr_expect_eq(err, has_failed ? WEFT_ERR_MEMORY : WEFT_OK);
        cr_expect_eq(proxy_remove_forward(proxy, "space", "web", PROXY_TCP),
                     has_failed ? WEFT_ERR_NOT_FOUND : WEFT_OK);
    }
    mesh_free(mesh);
    cr_expect_eq(descriptor_count(), descriptors);
}

/* The client gets its echo or a reset. `at_accept` arms the failure when the client stands in the
 * queue. */
static void connect_short_of_memory(int side, const char *host) {
    struct mesh *mesh = mesh_new(0);
    struct server *server = server_new(mesh, "127.0.0.1:0");
    char address[WEFT_ENDPOINT_MAX + 1];
    char endpoint[WEFT_ENDPOINT_MAX + 1];
    snprintf(endpoint, sizeof endpoint, "%s%s", host, strrchr(server->address, ':'));
    server->pattern = (struct app){.is_echo = true, .is_shut_at_end = true};
    mesh_export(mesh, side, endpoint);
    mesh_forward(mesh, address);
    for (uint64_t nth = 1; nth < 16; nth++) {
        failing_alloc_disarm();
        struct app *client = app_connect(mesh, address);
        client->is_shut_at_end = true;
        app_send(client, 100);
        failing_alloc_arm(nth);
        RUN_UNTIL(mesh, client->is_ended || client->error != 0);
        bool has_failed = failing_alloc_disarm();
        cr_expect(client->received == 100 || has_failed, "allocation %zu", (size_t)nth);
        app_free(client);
        RUN_UNTIL(mesh, proxy_connection_count(mesh->node[0].proxy) == 0 &&
                            proxy_connection_count(mesh->node[1].proxy) == 0);
    }
    server_free(server);
    mesh_free(mesh);
}

Test(proxy_memory, a_connection_is_carried_or_reset) {
    connect_short_of_memory(1, "127.0.0.1");
}

Test(proxy_memory, a_connection_on_one_node_is_carried_or_reset) {
    connect_short_of_memory(0, "127.0.0.1");
}

Test(proxy_memory, a_connection_to_a_name_is_carried_or_reset) {
    connect_short_of_memory(1, "localhost");
}
