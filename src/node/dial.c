/* SPDX-License-Identifier: Apache-2.0
 *
 * One attempt to reach an endpoint: resolve, connect to each address in turn, hand the socket to a
 * link. When to try again is the core's business.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "node/internal.h"
#include "node/resolve.h"

#define CONNECT_TIMEOUT_S 3 /* for each address */

struct dial_attempt {
    struct node *node;
    uint64_t token;
    bool is_peer_known;
    struct weft_peer_id peer;
    char *endpoint;
    struct lookup *lookup;
    struct resolved found;
    size_t index; /* of the address tried now */
    int fd;
    struct event *event;
    struct dial_attempt *next;
};

static void attempt_free(struct dial_attempt *dial) {
    lookup_free(dial->lookup);
    if (dial->event != NULL) {
        event_free(dial->event);
    }
    if (dial->fd >= 0) {
        (void)close(dial->fd);
    }
    free(dial->endpoint);
    free(dial);
}

/* Freed at the end of the turn: we may be inside a look-up's or an event's callback. */
static void retire(struct dial_attempt *dial) {
    struct dial_attempt **at = &dial->node->dials;
    while (*at != dial) {
        at = &(*at)->next;
    }
    *at = dial->next;
    dial->next = dial->node->dials_dead;
    dial->node->dials_dead = dial;
    node_touch(dial->node);
}

static void fail(struct dial_attempt *dial, const char *why) {
    trace(&dial->node->host, TRACE_DEBUG, "dial-failed", "endpoint=%s why=\"%s\"", dial->endpoint,
          why);
    core_dial_failed(dial->node->core, dial->token, why, node_clock());
    retire(dial);
}

static void connected(struct dial_attempt *dial) {
    const struct tcp_source source = {
        .fd = dial->fd,
        .role = LINK_DIALLED,
        .dial_token = dial->token,
        .expected = dial->is_peer_known ? &dial->peer : NULL,
        .remote = (const struct sockaddr *)&dial->found.addresses[dial->index],
    };
    event_free(dial->event);
    dial->event = NULL;
    dial->fd = -1;
    if (tcp_start(dial->node, &source) != WEFT_OK) {
        fail(dial, "out of memory");
        return;
    }
    retire(dial);
}

static void try_next(struct dial_attempt *dial, int error);

static void on_connect(evutil_socket_t fd, short what, void *arg) {
    struct dial_attempt *dial = arg;
    int error = 0;
    socklen_t len = sizeof(error);
    if ((what & EV_TIMEOUT) != 0) {
        error = ETIMEDOUT;
    } else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    if (error == 0) {
        connected(dial);
        return;
    }
    dial->index++;
    try_next(dial, error);
}

/* Begins to connect; 0 or an errno. */
static int begin(struct dial_attempt *dial) {
    const struct sockaddr_storage *to = &dial->found.addresses[dial->index];
    const struct timeval limit = {.tv_sec = CONNECT_TIMEOUT_S};
    dial->fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (dial->fd < 0) {
        return errno;
    }
    if (connect(dial->fd, (const struct sockaddr *)to, dial->found.lens[dial->index]) != 0 &&
        errno != EINPROGRESS) {
        return errno;
    }
    dial->event = event_new(dial->node->base, dial->fd, EV_WRITE, on_connect, dial);
    return dial->event != NULL && event_add(dial->event, &limit) == 0 ? 0 : ENOMEM;
}

static void drop_socket(struct dial_attempt *dial) {
    if (dial->event != NULL) {
        event_free(dial->event);
        dial->event = NULL;
    }
    if (dial->fd >= 0) {
        (void)close(dial->fd);
        dial->fd = -1;
    }
}

static void try_next(struct dial_attempt *dial, int error) {
    drop_socket(dial);
    for (; dial->index < dial->found.count; dial->index++) {
        error = begin(dial);
        if (error == 0) {
            return;
        }
        drop_socket(dial);
    }
    fail(dial, strerror(error));
}

static void on_resolved(void *ctx, const struct resolved *found, const char *error) {
    struct dial_attempt *dial = ctx;
    if (error != NULL) {
        fail(dial, error);
        return;
    }
    dial->found = *found;
    try_next(dial, 0);
}

static struct dial_attempt *attempt_new(struct node *node, struct action *action) {
    struct dial_attempt *dial = calloc(1, sizeof(*dial));
    if (dial == NULL) {
        return NULL;
    }
    dial->node = node;
    dial->token = action->token;
    dial->is_peer_known = action->is_peer_known;
    dial->peer = action->peer;
    dial->endpoint = action->endpoint;
    dial->fd = -1;
    action->endpoint = NULL;
    dial->next = node->dials;
    node->dials = dial;
    return dial;
}

void node_dial(struct node *node, struct action *action) {
    struct dial_attempt *dial = attempt_new(node, action);
    if (dial == NULL) {
        core_dial_failed(node->core, action->token, "out of memory", node_clock());
        return;
    }
    if (resolve_literal(dial->endpoint, &dial->found)) {
        try_next(dial, 0);
        return;
    }
    dial->lookup = lookup_new(node->base, dial->endpoint, on_resolved, dial);
    if (dial->lookup == NULL) {
        fail(dial, "not an address, or out of memory");
    }
}

void node_dials_reap(struct node *node) {
    while (node->dials_dead != NULL) {
        struct dial_attempt *dial = node->dials_dead;
        node->dials_dead = dial->next;
        attempt_free(dial);
    }
}

void node_dials_free(struct node *node) {
    node_dials_reap(node);
    while (node->dials != NULL) {
        struct dial_attempt *dial = node->dials;
        node->dials = dial->next;
        attempt_free(dial);
    }
}
