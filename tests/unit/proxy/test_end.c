/* SPDX-License-Identifier: Apache-2.0
 *
 * How connections end early: a reset of either side is a reset of the other, and nothing stays
 * behind.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "app.h"

struct scene {
    struct mesh *mesh;
    struct server *server;
    struct app *client;
    size_t descriptors;
    char address[WEFT_ENDPOINT_MAX + 1];
};

/* A client connected to the service at the side. */
static struct scene scene_new(int side) {
    struct scene scene = {.descriptors = descriptor_count()};
    scene.mesh = mesh_new(0);
    scene.server = server_new(scene.mesh, "127.0.0.1:0");
    mesh_export(scene.mesh, side, scene.server->address);
    mesh_forward(scene.mesh, scene.address);
    scene.client = app_connect(scene.mesh, scene.address);
    return scene;
}

static void scene_free(struct scene *scene) {
    app_free(scene->client);
    server_free(scene->server);
    mesh_free(scene->mesh);
    cr_expect_eq(descriptor_count(), scene->descriptors, "descriptors leaked");
}

/* Of the proxies that are there. */
static size_t connection_count(const struct mesh *mesh) {
    size_t count = 0;
    for (int side = 0; side < 2; side++) {
        const struct proxy *proxy = mesh->node[side].proxy;
        count += proxy == NULL ? 0 : proxy_connection_count(proxy);
    }
    return count;
}

static struct proxy_forward_view last_view(struct mesh *mesh);

static void client_resets(int side) {
    struct scene scene = scene_new(side);
    app_send(scene.client, 10);
    RUN_UNTIL(scene.mesh,
              scene.server->served_count == 1 && scene.server->served[0]->received == 10);
    app_reset(scene.client);
    RUN_UNTIL(scene.mesh, scene.server->served[0]->error != 0 && connection_count(scene.mesh) == 0);
    cr_expect_eq(scene.server->served[0]->error, ECONNRESET);
    cr_expect_eq(mesh_open_count(scene.mesh), 0);
    scene_free(&scene);
}

Test(proxy_end, a_reset_by_the_client_resets_the_service) {
    client_resets(1);
}

Test(proxy_end, a_reset_by_the_client_resets_the_service_on_one_node) {
    client_resets(0);
}

static void server_resets(int side) {
    struct scene scene = scene_new(side);
    app_send(scene.client, 10);
    RUN_UNTIL(scene.mesh,
              scene.server->served_count == 1 && scene.server->served[0]->received == 10);
    app_reset(scene.server->served[0]);
    RUN_UNTIL(scene.mesh, scene.client->error != 0 && connection_count(scene.mesh) == 0);
    cr_expect_eq(scene.client->error, ECONNRESET);
    cr_expect_eq(last_view(scene.mesh).failed, 0);
    scene_free(&scene);
}

Test(proxy_end, a_reset_by_the_service_resets_the_client) {
    server_resets(1);
}

Test(proxy_end, a_reset_by_the_service_resets_the_client_on_one_node) {
    server_resets(0);
}

static void keep_view(void *ctx, const struct proxy_forward_view *view) {
    *(struct proxy_forward_view *)ctx = *view;
}

static struct proxy_forward_view last_view(struct mesh *mesh) {
    struct proxy_forward_view view = {0};
    proxy_each_forward(mesh->node[0].proxy, keep_view, &view);
    return view;
}

Test(proxy_end, a_refused_stream_resets_the_client) {
    struct scene scene = scene_new(1);
    mesh_play_far_side(scene.mesh);
    struct proxy_backend far = mesh_backend(scene.mesh, 1);
    RUN_UNTIL(scene.mesh, scene.mesh->stream_count == 1);
    cr_expect_eq(last_view(scene.mesh).connections, 1);
    far.reset(far.ctx, 1, PROXY_RESET_REFUSED);
    far.pump(far.ctx);
    RUN_UNTIL(scene.mesh, scene.client->error != 0);
    cr_expect_eq(scene.client->error, ECONNRESET);
    struct proxy_forward_view view = last_view(scene.mesh);
    cr_expect_eq(view.connections, 0);
    cr_expect_eq(view.accepted, 1);
    cr_expect_eq(view.failed, 1);
    scene_free(&scene);
}

Test(proxy_end, a_service_that_nobody_offers_resets_the_client) {
    struct scene scene = scene_new(1);
    scene.mesh->open_error = WEFT_ERR_NOT_FOUND;
    RUN_UNTIL(scene.mesh, scene.client->error != 0);
    cr_expect_eq(scene.client->error, ECONNRESET);
    cr_expect_eq(last_view(scene.mesh).failed, 1);
    scene_free(&scene);
}

Test(proxy_end, a_peer_that_asks_for_a_service_we_lack_is_told) {
    struct scene scene = scene_new(1);
    scene.mesh->node[1].endpoint_count = 0;
    RUN_UNTIL(scene.mesh, scene.client->error != 0);
    cr_expect_eq(scene.mesh->streams[0].reason, PROXY_RESET_NO_SERVICE);
    scene_free(&scene);
}

Test(proxy_end, a_reset_after_both_ends_is_no_reset_of_the_socket) {
    struct scene scene = scene_new(1);
    mesh_play_far_side(scene.mesh);
    struct proxy_backend far = mesh_backend(scene.mesh, 1);
    RUN_UNTIL(scene.mesh, scene.mesh->stream_count == 1);
    scene.client->is_shut_at_end = true;
    app_send(scene.client, 10);
    RUN_UNTIL(scene.mesh, scene.mesh->streams[0].pipe[0].is_finished);
    far.finish(far.ctx, 1);
    far.pump(far.ctx);
    far.reset(far.ctx, 1, PROXY_RESET_APPLICATION); /* it never read the ten bytes */
    far.pump(far.ctx);
    RUN_UNTIL(scene.mesh, scene.client->is_ended);
    cr_expect_eq(scene.client->error, 0);
    cr_expect_eq(connection_count(scene.mesh), 0);
    scene_free(&scene);
}

Test(proxy_end, closes_the_socket_of_a_stream_that_is_not_acknowledged_yet) {
    struct scene scene = scene_new(1);
    mesh_play_far_side(scene.mesh);
    struct proxy_backend far = mesh_backend(scene.mesh, 1);
    RUN_UNTIL(scene.mesh, scene.mesh->stream_count == 1);
    far.finish(far.ctx, 1);
    far.pump(far.ctx);
    RUN_UNTIL(scene.mesh, scene.client->is_ended);
    size_t descriptors = descriptor_count();
    app_send(scene.client, 10);
    scene.client->is_shut_at_end = true;
    RUN_UNTIL(scene.mesh, scene.mesh->streams[0].pipe[0].is_finished);
    cr_expect_eq(descriptor_count(), descriptors - 1);
    cr_expect_eq(connection_count(scene.mesh), 1);
    scene_free(&scene);
}

Test(proxy_end, events_of_streams_that_are_gone_do_nothing) {
    struct scene scene = scene_new(1);
    struct proxy *proxy = scene.mesh->node[0].proxy;
    for (enum proxy_event event = PROXY_EVENT_ACCEPTED; event <= PROXY_EVENT_CLOSED; event++) {
        proxy_stream_event(proxy, 12345, event);
    }
    cr_expect_eq(connection_count(scene.mesh), 0);
    scene_free(&scene);
}

/* What an application saw when the proxy went: closed by a reset at once. */
static void freed_while_carrying(int side) {
    struct scene scene = scene_new(side);
    app_send(scene.client, 10);
    RUN_UNTIL(scene.mesh,
              scene.server->served_count == 1 && scene.server->served[0]->received == 10);
    struct proxy *proxy = scene.mesh->node[0].proxy;
    scene.mesh->node[0].proxy = NULL;
    proxy_free(proxy);
    RUN_UNTIL(scene.mesh, scene.client->error != 0);
    cr_expect_eq(scene.client->error, ECONNRESET);
    cr_expect_null(app_connect(scene.mesh, scene.address), "still listening");
    scene_free(&scene);
}

Test(proxy_end, freeing_the_proxy_ends_all) {
    freed_while_carrying(1);
}

Test(proxy_end, freeing_the_proxy_ends_all_on_one_node) {
    freed_while_carrying(0);
}

Test(proxy_end, freeing_the_proxy_ends_what_is_still_dialling) {
    struct scene scene = scene_new(0);
    RUN_UNTIL(scene.mesh, connection_count(scene.mesh) == 1);
    scene_free(&scene);
}
