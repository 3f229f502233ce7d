/* SPDX-License-Identifier: Apache-2.0
 *
 * Applications at both ends of the proxies: clients and servers on loopback, driven by the same
 * loop. What they send is a function of the offset, so the receiver proves each byte: no gap, no
 * repeat, no exchange.
 */
#ifndef APP_H
#define APP_H

#include "mesh.h"

#define APP_SERVED_MAX 600

struct app {
    struct mesh *mesh;
    int fd; /* -1 once closed */
    struct event *readable;
    struct event *writable;
    uint64_t send_total, sent;
    uint64_t received;
    size_t wrong_count;  /* bytes that are not what their offset says */
    bool is_echo;        /* sends what it receives instead */
    bool is_shut_at_end; /* half-closes after send_total (echo: after the other's end) */
    bool is_paused;      /* does not read */
    bool is_shut;
    bool is_ended; /* the other's FIN arrived */
    int error;     /* errno, if the connection broke */
    uint8_t echo[16 * 1024];
    size_t echo_len;
};

/* What a server does with each connection, by what its apps are copies of. */
struct server {
    struct mesh *mesh;
    int fd;
    char address[WEFT_ENDPOINT_MAX + 1];
    struct event *acceptable;
    struct app pattern;
    struct app *served[APP_SERVED_MAX];
    size_t served_count;
};

/* A connected client of "ip:port" that has nothing to send yet; NULL if the connect failed, errno
 * says why. */
struct app *app_connect(struct mesh *mesh, const char *address);

/* Sends `total` bytes more, and half-closes afterwards if is_shut_at_end. */
void app_send(struct app *app, uint64_t total);
void app_half_close(struct app *app);
void app_pause(struct app *app, bool is_paused);

/* Closes with a RST. */
void app_reset(struct app *app);

/* Closes if open, and frees. Takes NULL. */
void app_free(struct app *app);

/* A server at "127.0.0.1:0" or "[::1]:0"; NULL if the family is not there. Set `pattern` before the
 * first connection. */
struct server *server_new(struct mesh *mesh, const char *address);
void server_free(struct server *server);

/* A bound port that refuses connections; the descriptor keeps it so. */
int refusing_port(char address[WEFT_ENDPOINT_MAX + 1]);

#endif
