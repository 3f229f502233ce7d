/* SPDX-License-Identifier: Apache-2.0 */
#include "app.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/address.h"

static uint8_t byte_at(uint64_t offset) {
    return (uint8_t)((offset * UINT64_C(0x9E3779B97F4A7C15)) >> 56);
}

static void app_close(struct app *app) {
    if (app->fd >= 0) {
        event_free(app->readable);
        event_free(app->writable);
        close(app->fd);
        app->fd = -1;
    }
}

static void app_break(struct app *app) {
    if (errno != EAGAIN && errno != EINTR) {
        app->error = errno;
        app_close(app);
    }
}

static void rearm(struct app *app) {
    if (app->fd < 0) {
        return;
    }
    bool wants_read = !app->is_paused && !app->is_ended && app->echo_len == 0;
    bool wants_write = app->echo_len > 0 || app->sent < app->send_total;
    (void)(wants_read ? event_add(app->readable, NULL) : event_del(app->readable));
    (void)(wants_write ? event_add(app->writable, NULL) : event_del(app->writable));
    bool is_sent = !wants_write && (!app->is_echo || app->is_ended);
    if (app->is_shut_at_end && is_sent && !app->is_shut) {
        app_half_close(app);
    }
}

static void take(struct app *app, const uint8_t *bytes, size_t len) {
    for (size_t i = 0; i < len && !app->is_echo; i++) {
        app->wrong_count += bytes[i] != byte_at(app->received + i) ? 1 : 0;
    }
    app->received += len;
    if (app->is_echo) {
        memcpy(app->echo, bytes, len);
        app->echo_len = len;
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    struct app *app = arg;
    uint8_t bytes[sizeof app->echo];
    (void)what;
    ssize_t len = recv(fd, bytes, sizeof bytes, 0);
    if (len < 0) {
        app_break(app);
    } else if (len == 0) {
        app->is_ended = true;
    } else {
        take(app, bytes, (size_t)len);
    }
    rearm(app);
}

static void send_echo(struct app *app) {
    ssize_t len = send(app->fd, app->echo, app->echo_len, MSG_NOSIGNAL);
    if (len < 0) {
        app_break(app);
        return;
    }
    app->echo_len -= (size_t)len;
    memmove(app->echo, app->echo + len, app->echo_len);
}

static void send_own(struct app *app) {
    uint8_t bytes[16 * 1024];
    uint64_t left = app->send_total - app->sent;
    size_t size = left < sizeof bytes ? (size_t)left : sizeof bytes;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = byte_at(app->sent + i);
    }
    ssize_t len = send(app->fd, bytes, size, MSG_NOSIGNAL);
    if (len < 0) {
        app_break(app);
        return;
    }
    app->sent += (uint64_t)len;
}

static void on_writable(evutil_socket_t fd, short what, void *arg) {
    struct app *app = arg;
    (void)fd;
    (void)what;
    if (app->echo_len > 0) {
        send_echo(app);
    } else {
        send_own(app);
    }
    rearm(app);
}

static struct app *app_new(struct mesh *mesh, int fd, const struct app *pattern) {
    struct app *app = calloc(1, sizeof *app);
    app = app != NULL ? app : calloc(1, sizeof *app); /* a failure on demand is not meant for us */
    cr_assert_not_null(app);
    if (pattern != NULL) {
        *app = *pattern;
    }
    app->mesh = mesh;
    app->fd = fd;
    cr_assert_eq(evutil_make_socket_nonblocking(fd), 0);
    app->readable = event_new(mesh->base, fd, EV_READ | EV_PERSIST, on_readable, app);
    app->writable = event_new(mesh->base, fd, EV_WRITE | EV_PERSIST, on_writable, app);
    rearm(app);
    return app;
}

struct app *app_connect(struct mesh *mesh, const char *address) {
    struct address to;
    cr_assert_eq(address_parse(address, &to), WEFT_OK);
    int fd = socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return NULL;
    }
    if (connect(fd, (struct sockaddr *)&to.storage, to.len) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return NULL;
    }
    return app_new(mesh, fd, NULL);
}

void app_send(struct app *app, uint64_t total) {
    app->send_total += total;
    rearm(app);
}

void app_half_close(struct app *app) {
    app->is_shut = true;
    shutdown(app->fd, SHUT_WR);
}

void app_pause(struct app *app, bool is_paused) {
    app->is_paused = is_paused;
    rearm(app);
}

void app_reset(struct app *app) {
    struct linger linger = {.l_onoff = 1};
    cr_assert_eq(setsockopt(app->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    app_close(app);
}

void app_free(struct app *app) {
    if (app != NULL) {
        app_close(app);
        free(app);
    }
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg) {
    struct server *server = arg;
    (void)what;
    int accepted = accept(fd, NULL, NULL);
    if (accepted >= 0) {
        cr_assert_lt(server->served_count, (size_t)APP_SERVED_MAX);
        server->served[server->served_count++] = app_new(server->mesh, accepted, &server->pattern);
    }
}

/* A bound socket; -1 if the family is not there. */
static int bound_socket(const char *text, char *bound) {
    struct address address;
    cr_assert_eq(address_parse(text, &address), WEFT_OK);
    int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address.storage, address.len) != 0) {
        close(fd);
        return -1;
    }
    address.len = sizeof address.storage;
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address.storage, &address.len), 0);
    address_format(&address, bound);
    return fd;
}

struct server *server_new(struct mesh *mesh, const char *address) {
    struct server *server = calloc(1, sizeof *server);
    cr_assert_not_null(server);
    server->mesh = mesh;
    server->fd = bound_socket(address, server->address);
    if (server->fd < 0) {
        free(server);
        return NULL;
    }
    cr_assert_eq(listen(server->fd, 1024), 0);
    evutil_make_socket_nonblocking(server->fd);
    server->acceptable =
        event_new(mesh->base, server->fd, EV_READ | EV_PERSIST, on_acceptable, server);
    event_add(server->acceptable, NULL);
    return server;
}

void server_free(struct server *server) {
    for (size_t i = 0; i < server->served_count; i++) {
        app_free(server->served[i]);
    }
    event_free(server->acceptable);
    close(server->fd);
    free(server);
}

int refusing_port(char address[WEFT_ENDPOINT_MAX + 1]) {
    int fd = bound_socket("127.0.0.1:0", address);
    cr_assert_geq(fd, 0);
    return fd;
}
