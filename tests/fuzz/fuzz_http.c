/* SPDX-License-Identifier: Apache-2.0
 *
 * The control socket: a node on nothing but memory, and whatever somebody writes to its socket.
 * What comes back is HTTP, and its body the JSON that it says it is.
 *
 * The input is written as it is, in two parts where the first byte says so: a request may come in
 * pieces, or two at once. Every input has a node of its own, without a network.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "fuzz/fuzz.h"
#include "node/node.h"

#define TURNS_MAX 64
#define INPUT_MAX 70000
#define ANSWER_MAX ((size_t)1 << 20)

static char folder[] = "/tmp/weft-fuzz-XXXXXX";
static char path[64];

static void leave(void) {
    (void)unlink(path);
    (void)rmdir(folder);
}

/* Once: a folder for the socket, and, where we may, no network to listen or dial on. */
static void set_up(void) {
    static bool is_set_up;
    if (is_set_up) {
        return;
    }
    is_set_up = true;
    ASSERT(mkdtemp(folder) != NULL);
    (void)snprintf(path, sizeof path, "%s/s", folder);
    (void)atexit(leave);
    (void)unshare(CLONE_NEWNET);
}

static struct node *make_node(void) {
    char error[NODE_TEXT_BYTES];
    char home[] = "HOME=/nonexistent";
    char *const environment[] = {home, NULL};
    char *const flags[] = {(char[]){"weftd"},
                           (char[]){"--name"},
                           (char[]){"fuzz"},
                           (char[]){"--listen"},
                           (char[]){":0"},
                           (char[]){"--control"},
                           path,
                           (char[]){"--service"},
                           (char[]){"web=127.0.0.1:80"},
                           (char[]){"--discovery"},
                           (char[]){"off"},
                           NULL};
    struct config config;
    struct config_error why;
    struct node *node = NULL;
    enum weft_err err = config_load(11, flags, environment, &config, &why);
    ASSERT(err == WEFT_OK);
    struct node_options options = {
        .config = &config, .is_ephemeral = true, .has_secret = true, .secret = {7}};
    err = node_new(&options, &node, error);
    ASSERT(err == WEFT_OK);
    return node;
}

static int connect_to(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    ASSERT(fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

struct exchange {
    struct node *node;
    int fd;
    char *answer; /* ANSWER_MAX + 1 */
    size_t answer_len;
    bool is_over; /* they closed */
};

static void turn(struct exchange *exchange) {
    (void)event_base_loop(node_event_base(exchange->node), EVLOOP_NONBLOCK);
    ssize_t got = recv(exchange->fd, exchange->answer + exchange->answer_len,
                       ANSWER_MAX - exchange->answer_len, MSG_DONTWAIT);
    exchange->answer_len += got > 0 ? (size_t)got : 0;
    exchange->is_over |= got == 0 || (got < 0 && errno != EAGAIN);
}

static void say(struct exchange *exchange, struct span bytes) {
    size_t done = 0;
    for (unsigned i = 0; i < TURNS_MAX && done < bytes.len && !exchange->is_over; i++) {
        ssize_t put =
            send(exchange->fd, bytes.data + done, bytes.len - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        done += put > 0 ? (size_t)put : 0;
        turn(exchange);
    }
}

/* The first answer: a status that HTTP has, and a body that is what its type says. */
static void check_answer(const struct exchange *exchange) {
    const char *text = exchange->answer;
    if (exchange->answer_len == 0) {
        return;
    }
    ASSERT(exchange->answer_len > 12 && strncmp(text, "HTTP/", 5) == 0);
    const char *space = strchr(text, ' '); /* whoever asks as of HTTP/0.1 is answered so */
    ASSERT(space != NULL);
    int status = atoi(space);
    ASSERT(status >= 100 && status <= 599);
    const char *body = strstr(text, "\r\n\r\n");
    const char *length = strcasestr(text, "\r\nContent-Length: ");
    const char *type = strstr(text, "\r\nContent-Type: application/json\r\n");
    if (body == NULL || length == NULL || length > body || type == NULL || type > body) {
        return;
    }
    size_t len = strtoul(length + 18, NULL, 10);
    body += 4;
    if (len > 0 && len <= exchange->answer_len - (size_t)(body - text)) {
        json_t *value = json_loadb(body, len, JSON_DECODE_ANY, NULL);
        ASSERT(value != NULL);
        json_decref(value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct exchange exchange = {.answer = malloc(ANSWER_MAX + 1)};
    if (size < 2 || size > INPUT_MAX || exchange.answer == NULL) {
        free(exchange.answer);
        return 0;
    }
    set_up();
    size_t cut = 1 + (size_t)data[0] * (size - 1) / 256;
    exchange.node = make_node();
    exchange.fd = connect_to();
    say(&exchange, span_of(data + 1, cut - 1));
    say(&exchange, span_of(data + cut, size - cut));
    (void)shutdown(exchange.fd, SHUT_WR);
    for (unsigned i = 0; i < 8 && !exchange.is_over; i++) {
        turn(&exchange);
    }
    exchange.answer[exchange.answer_len] = '\0';
    check_answer(&exchange);
    (void)close(exchange.fd);
    node_free(exchange.node);
    free(exchange.answer);
    return 0;
}
