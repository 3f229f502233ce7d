/* SPDX-License-Identifier: Apache-2.0
 *
 * Datagrams through the proxies: clients, services, refusals, bounds.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mesh.h"
#include "support/failing_alloc.h"

#define LARGEST 65507 /* what UDP carries over IPv4 */

static struct sockaddr_in address_of(const char *text) {
    char host[WEFT_ENDPOINT_MAX + 1];
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *colon = strrchr(text, ':');
    cr_assert_not_null(colon);
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    cr_assert_eq(inet_pton(AF_INET, host, &address.sin_addr), 1);
    address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    return address;
}

/* A socket of an application, bound to loopback; its address. */
static int application(char text[WEFT_ENDPOINT_MAX + 1]) {
    struct sockaddr_in address = address_of("127.0.0.1:0");
    socklen_t len = sizeof address;
    int bytes = 1 << 20;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    (void)snprintf(text, WEFT_ENDPOINT_MAX + 1, "127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

static void send_to(int fd, const char *where, const void *bytes, size_t len) {
    struct sockaddr_in address = address_of(where);
    cr_assert_eq(sendto(fd, bytes, len, 0, (const struct sockaddr *)&address, sizeof address),
                 (ssize_t)len);
}

static uint8_t received[70000];
static struct sockaddr_in received_from;

/* Whether a datagram has come; its length, bytes and sender. */
static bool has_come(int fd, ssize_t *len) {
    socklen_t size = sizeof received_from;
    *len = recvfrom(fd, received, sizeof received, 0, (struct sockaddr *)&received_from, &size);
    return *len >= 0;
}

static void answer(int fd, const void *bytes, size_t len) {
    cr_assert_eq(
        sendto(fd, bytes, len, 0, (const struct sockaddr *)&received_from, sizeof received_from),
        (ssize_t)len);
}

/* A mesh with a service and a forward of it. */
struct rig {
    struct mesh *mesh;
    int service;
    char service_address[WEFT_ENDPOINT_MAX + 1];
    char port[WEFT_ENDPOINT_MAX + 1];
};

static struct rig rig_of(struct mesh *mesh) {
    struct rig rig = {.mesh = mesh};
    rig.service = application(rig.service_address);
    mesh_export(mesh, 1, rig.service_address);
    (void)mesh_forward_udp(mesh, rig.port);
    return rig;
}

static void rig_free(struct rig *rig) {
    close(rig->service);
    mesh_free(rig->mesh);
}

/* One question and its answer. */
static void exchange(struct rig *rig, int client, const char *text) {
    ssize_t len;
    send_to(client, rig->port, text, strlen(text));
    RUN_UNTIL(rig->mesh, has_come(rig->service, &len));
    cr_assert_eq(len, (ssize_t)strlen(text));
    answer(rig->service, "yes", 3);
    RUN_UNTIL(rig->mesh, has_come(client, &len));
    cr_assert_eq(len, 3);
    cr_assert_eq(memcmp(received, "yes", 3), 0);
}

static void look_at(void *ctx, const struct proxy_forward_view *view) {
    *(struct proxy_forward_view *)ctx = *view;
}

static struct proxy_forward_view view_of(const struct rig *rig) {
    struct proxy_forward_view view = {0};
    proxy_each_forward(rig->mesh->node[0].proxy, look_at, &view);
    return view;
}

Test(proxy_udp, carries_datagrams_both_ways) {
    struct rig rig = rig_of(mesh_new(0));
    char text[WEFT_ENDPOINT_MAX + 1];
    int client = application(text);
    exchange(&rig, client, "question");
    exchange(&rig, client, "another");
    cr_assert_eq(rig.mesh->flow_count, 1);
    struct proxy_forward_view view = view_of(&rig);
    cr_assert_eq(view.connections, 1);
    cr_assert_eq(view.accepted, 1);
    cr_assert_eq(view.failed, 0);
    cr_assert_eq(view.protocol, PROXY_UDP);
    close(client);
    rig_free(&rig);
}

Test(proxy_udp, sizes_from_none_to_the_largest_stay_whole) {
    static const size_t sizes[] = {0, 1, 1200, 1452, 9000, LARGEST};
    static uint8_t bytes[LARGEST];
    struct rig rig = rig_of(mesh_new(0));
    char text[WEFT_ENDPOINT_MAX + 1];
    int client = application(text);
    memset(bytes, 'x', sizeof bytes);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ssize_t len = -1;
        send_to(client, rig.port, bytes, sizes[i]);
        RUN_UNTIL(rig.mesh, has_come(rig.service, &len));
        cr_assert_eq(len, (ssize_t)sizes[i]);
        answer(rig.service, bytes, sizes[i]);
        RUN_UNTIL(rig.mesh, has_come(client, &len));
        cr_assert_eq(len, (ssize_t)sizes[i]);
    }
    close(client);
    rig_free(&rig);
}

Test(proxy_udp, clients_are_told_apart) {
    struct rig rig = rig_of(mesh_new(0));
    char text[WEFT_ENDPOINT_MAX + 1];
    int clients[20];
    uint16_t ports[20];
    for (size_t i = 0; i < 20; i++) {
        clients[i] = application(text);
        exchange(&rig, clients[i], "first");
        ports[i] = received_from.sin_port;
    }
    cr_assert_eq(rig.mesh->flow_count, 20);
    for (size_t i = 0; i < 20; i++) {
        ssize_t len;
        send_to(clients[i], rig.port, "again", 5);
        RUN_UNTIL(rig.mesh, has_come(rig.service, &len));
        answer(rig.service, &i, sizeof i);
        RUN_UNTIL(rig.mesh, has_come(clients[i], &len));
        size_t got;
        memcpy(&got, received, sizeof got);
        cr_assert_eq(got, i);
        (void)ports[i];
        close(clients[i]);
    }
    cr_assert_eq(rig.mesh->flow_count, 20);
    rig_free(&rig);
}

Test(proxy_udp, a_flow_that_ended_begins_anew) {
    struct rig rig = rig_of(mesh_new(0));
    char text[WEFT_ENDPOINT_MAX + 1];
    int client = application(text);
    exchange(&rig, client, "one");
    size_t before = descriptor_count();
    mesh_end_flow(rig.mesh, 1);
    cr_assert_eq(view_of(&rig).connections, 0);
    cr_assert_eq(descriptor_count(), before - 1, "the served socket is closed");
    exchange(&rig, client, "two");
    cr_assert_eq(rig.mesh->flow_count, 2);
    close(client);
    rig_free(&rig);
}

Test(proxy_udp, nobody_listening_refuses_the_flow) {
    struct mesh *mesh = mesh_new(0);
    char text[WEFT_ENDPOINT_MAX + 1];
    char port[WEFT_ENDPOINT_MAX + 1];
    int closed = application(text);
    close(closed);
    mesh_export(mesh, 1, text);
    int client = application(text);
    (void)mesh_forward_udp(mesh, port);
    send_to(client, port, "x", 1);
    RUN_UNTIL(mesh, mesh->flow_count == 1 && mesh_flow_count(mesh, 0) == 0);
    cr_assert_eq(mesh->flows[0].reason, PROXY_RESET_CONNECT_FAILED);
    struct proxy_forward_view view = {0};
    proxy_each_forward(mesh->node[0].proxy, look_at, &view);
    cr_assert_eq(view.failed, 1);
    cr_assert_eq(view.connections, 0);
    close(client);
    mesh_free(mesh);
}

Test(proxy_udp, the_next_endpoint_gets_what_comes_after_a_refusal) {
    struct mesh *mesh = mesh_new(0);
    char text[WEFT_ENDPOINT_MAX + 1];
    char port[WEFT_ENDPOINT_MAX + 1];
    close(application(text));
    mesh_export(mesh, 1, text);
    int service = application(text);
    mesh_export(mesh, 1, text);
    int client = application(text);
    (void)mesh_forward_udp(mesh, port);
    ssize_t len = -1;
    send_to(client, port, "lost", 4);
    for (int i = 0; i < 100 && len < 0; i++) {
        struct timeval wait = {.tv_usec = 10000};
        event_base_loopexit(mesh->base, &wait);
        event_base_dispatch(mesh->base);
        send_to(client, port, "found", 5);
        event_base_loop(mesh->base, EVLOOP_NONBLOCK);
        (void)has_come(service, &len);
    }
    cr_assert_eq(len, 5);
    cr_assert_eq(mesh_flow_count(mesh, 0), 1);
    close(client);
    close(service);
    mesh_free(mesh);
}

Test(proxy_udp, a_node_without_the_service_says_so) {
    struct mesh *mesh = mesh_new(0);
    char text[WEFT_ENDPOINT_MAX + 1];
    char port[WEFT_ENDPOINT_MAX + 1];
    int client = application(text);
    (void)mesh_forward_udp(mesh, port);
    send_to(client, port, "x", 1);
    RUN_UNTIL(mesh, mesh->flow_count == 1 && mesh_flow_count(mesh, 0) == 0);
    cr_assert_eq(mesh->flows[0].reason, PROXY_RESET_NO_SERVICE);
    mesh->open_error = WEFT_ERR_NOT_FOUND;
    send_to(client, port, "x", 1);
    struct proxy_forward_view view = {0};
    for (int i = 0; i < 100 && view.failed < 2; i++) {
        event_base_loop(mesh->base, EVLOOP_NONBLOCK);
        proxy_each_forward(mesh->node[0].proxy, look_at, &view);
    }
    cr_assert_eq(view.failed, 2);
    cr_assert_eq(mesh->flow_count, 1);
    close(client);
    mesh_free(mesh);
}

Test(proxy_udp, the_flow_idle_longest_gives_its_descriptor) {
    struct rig rig = rig_of(mesh_new_serving(4));
    char text[WEFT_ENDPOINT_MAX + 1];
    int clients[6];
    for (size_t i = 0; i < 6; i++) {
        clients[i] = application(text);
        exchange(&rig, clients[i], "x");
        exchange(&rig, clients[0], "busy");
    }
    cr_assert(rig.mesh->flows[0].is_used[1], "the busy one stays");
    cr_assert_not(rig.mesh->flows[1].is_used[1]);
    cr_assert_not(rig.mesh->flows[2].is_used[1]);
    cr_assert_eq(mesh_flow_count(rig.mesh, 1), 4);
    for (size_t i = 0; i < 6; i++) {
        close(clients[i]);
    }
    rig_free(&rig);
}

Test(proxy_udp, a_removed_forward_ends_its_flows_and_frees_its_port) {
    struct rig rig = rig_of(mesh_new(0));
    char text[WEFT_ENDPOINT_MAX + 1];
    char bound[WEFT_ENDPOINT_MAX + 1];
    int client = application(text);
    exchange(&rig, client, "x");
    struct proxy *proxy = rig.mesh->node[0].proxy;
    cr_assert_eq(proxy_remove_forward(proxy, "space", "web", PROXY_TCP), WEFT_ERR_NOT_FOUND);
    cr_assert_eq(proxy_remove_forward(proxy, "space", "web", PROXY_UDP), WEFT_OK);
    cr_assert_eq(mesh_flow_count(rig.mesh, 0), 0);
    cr_assert_eq(proxy_add_forward(proxy, "space", "web", PROXY_UDP, rig.port, bound), WEFT_OK);
    cr_assert_str_eq(bound, rig.port);
    close(client);
    rig_free(&rig);
}

Test(proxy_udp, both_protocols_may_have_one_port_and_no_two_of_one) {
    struct mesh *mesh = mesh_new(0);
    struct proxy *proxy = mesh->node[0].proxy;
    char port[WEFT_ENDPOINT_MAX + 1];
    char bound[WEFT_ENDPOINT_MAX + 1];
    (void)mesh_forward_udp(mesh, port);
    enum weft_err err = proxy_add_forward(proxy, "space", "web", PROXY_TCP, port, bound);
    cr_assert(err == WEFT_OK || errno == EADDRINUSE, "of another program, perhaps");
    cr_assert_eq(proxy_add_forward(proxy, "space", "other", PROXY_UDP, port, bound),
                 WEFT_ERR_EXISTS);
    cr_assert_eq(proxy_add_forward(proxy, "space", "web", PROXY_UDP, port, bound), WEFT_OK);
    cr_assert_eq(proxy_add_forward(proxy, "space", "web", PROXY_UDP, "127.0.0.2:0", bound),
                 WEFT_OK);
    cr_assert_eq(strncmp(bound, "127.0.0.2:", 10), 0);
    mesh_free(mesh);
}

Test(proxy_udp, answers_leave_from_the_address_that_was_asked) {
    struct mesh *mesh = mesh_new(0);
    char text[WEFT_ENDPOINT_MAX + 1];
    char bound[WEFT_ENDPOINT_MAX + 1];
    struct rig rig = {.mesh = mesh};
    rig.service = application(rig.service_address);
    mesh_export(mesh, 1, rig.service_address);
    cr_assert_eq(
        proxy_add_forward(mesh->node[0].proxy, "space", "web", PROXY_UDP, "0.0.0.0:0", bound),
        WEFT_OK);
    (void)snprintf(rig.port, sizeof rig.port, "127.0.0.9%s", strrchr(bound, ':'));
    int client = application(text);
    exchange(&rig, client, "x");
    cr_assert_eq(ntohl(received_from.sin_addr.s_addr), 0x7f000009);
    close(client);
    rig_free(&rig);
}

Test(proxy_udp, names_of_services_are_resolved_and_datagrams_wait_for_it) {
    struct mesh *mesh = mesh_new(0);
    char text[WEFT_ENDPOINT_MAX + 1];
    char name[WEFT_ENDPOINT_MAX + 1];
    struct rig rig = {.mesh = mesh};
    rig.service = application(text);
    (void)snprintf(name, sizeof name, "localhost%s", strrchr(text, ':'));
    mesh_export(mesh, 1, name);
    (void)mesh_forward_udp(mesh, rig.port);
    int client = application(text);
    exchange(&rig, client, "x");
    close(client);
    rig_free(&rig);
}

/* Whatever allocation fails, the proxies survive, and a later client is served. */
Test(proxy_udp, short_memory_loses_datagrams_and_nothing_else) {
    for (uint64_t nth = 1; nth < 40; nth++) {
        struct rig rig = rig_of(mesh_new(0));
        char text[WEFT_ENDPOINT_MAX + 1];
        int client = application(text);
        failing_alloc_arm(nth);
        send_to(client, rig.port, "x", 1);
        for (int i = 0; i < 10; i++) {
            event_base_loop(rig.mesh->base, EVLOOP_NONBLOCK);
        }
        (void)failing_alloc_disarm();
        ssize_t len;
        while (has_come(rig.service, &len)) {
        }
        int other = application(text);
        exchange(&rig, other, "y");
        close(other);
        close(client);
        rig_free(&rig);
    }
}
