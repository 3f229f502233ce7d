/* SPDX-License-Identifier: Apache-2.0
 *
 * Listeners of the peer port, and what is asked of whoever knocks. Out of descriptors, a listener
 * pauses instead of spinning.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "node/internal.h"

#define BACKLOG 1024
#define PAUSE_US 100000

static bool is_out_of_descriptors(int error) {
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void pause_listener(struct listener *listener) {
    const struct timeval after = {.tv_usec = PAUSE_US};
    trace(&listener->node->host, TRACE_WARN, "accept-paused", "listen=%s why=\"%s\"",
          listener->bound, strerror(errno));
    (void)event_del(listener->event);
    (void)event_add(listener->resume, &after);
}

static void on_resume(evutil_socket_t fd, short what, void *arg) {
    struct listener *listener = arg;
    (void)fd;
    (void)what;
    (void)event_add(listener->event, NULL);
}

static void report_refused(struct node *node, const struct sockaddr *remote, const char *why) {
    uint8_t address[16];
    char text[WEFT_ENDPOINT_MAX + 1];
    uint64_t count = 0;
    size_t len = tcp_address_bytes(remote, address);
    tcp_address_text(remote, text);
    if (node_stranger(node, span_of(address, len), text, why, &count)) {
        trace(&node->host, TRACE_WARN, "connection-refused", "remote=%s count=%llu why=\"%s\"",
              text, (unsigned long long)count, why);
    }
}

static const char *verdict_text(enum guard_verdict verdict) {
    return verdict == GUARD_TOO_FAST ? "too many connections from this network"
                                     : "too many handshakes under way";
}

/* Whether the newcomer may begin a handshake; an older one may have to go for it. */
static bool may_enter(struct node *node, const struct sockaddr *remote, struct link_id id) {
    uint8_t address[16];
    size_t len = tcp_address_bytes(remote, address);
    if (node->tcp_count >= (size_t)node->config.links_max + 256) {
        report_refused(node, remote, "too many connections");
        return false;
    }
    struct link_id evict = {0};
    enum guard_verdict verdict =
        guard_knock(node->guard, span_of(address, len), id, node_clock(), &evict);
    struct tcp *victim = evict.value != 0 ? tcp_find(node, evict) : NULL;
    if (victim != NULL) {
        tcp_kill(victim, "another handshake needed its place");
    }
    if (verdict != GUARD_ADMIT) {
        report_refused(node, remote, verdict_text(verdict));
    }
    return verdict == GUARD_ADMIT;
}

static void admit(struct node *node, int fd, const struct sockaddr *remote) {
    const struct tcp_source source = {
        .fd = fd,
        .role = LINK_ACCEPTED,
        .remote = remote,
        .id = node_link_draw(node),
    };
    if (!may_enter(node, remote, source.id)) {
        (void)close(fd);
        return;
    }
    if (tcp_start(node, &source) != WEFT_OK) {
        guard_settled(node->guard, source.id);
    }
}

static void on_knock(evutil_socket_t fd, short what, void *arg) {
    struct listener *listener = arg;
    (void)what;
    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage remote = {0};
        socklen_t len = sizeof(remote);
        int taken = accept4(fd, (struct sockaddr *)&remote, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (taken < 0 && is_out_of_descriptors(errno)) {
            pause_listener(listener);
        }
        if (taken < 0) {
            return;
        }
        admit(listener->node, taken, (const struct sockaddr *)&remote);
    }
}

static int open_socket(const struct addrinfo *info, bool is_dual) {
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    const int one = 1;
    const int only_v6 = is_dual ? 0 : 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (info->ai_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6));
    }
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
        return fd;
    }
    int error = errno;
    (void)close(fd);
    errno = error;
    return -1;
}

static enum weft_err adopt(struct node *node, int fd, const struct config_address *wanted) {
    struct listener *listener = &node->listeners[node->listener_count];
    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof(bound);
    if (getsockname(fd, (struct sockaddr *)&bound, &len) != 0) {
        (void)close(fd);
        return WEFT_ERR_IO;
    }
    *listener = (struct listener){.node = node, .fd = fd, .family = bound.ss_family};
    node->listener_count++;
    (void)snprintf(listener->host, sizeof(listener->host), "%s", wanted->host);
    tcp_address_text((const struct sockaddr *)&bound, listener->bound);
    struct sockaddr_in6 six = {0};
    struct sockaddr_in four = {0};
    memcpy(&six, &bound, sizeof(six));
    memcpy(&four, &bound, sizeof(four));
    listener->port = ntohs(bound.ss_family == AF_INET6 ? six.sin6_port : four.sin_port);
    listener->is_wildcard = bound.ss_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&six.sin6_addr)
                                                        : four.sin_addr.s_addr == INADDR_ANY;
    listener->event = event_new(node->base, fd, EV_READ | EV_PERSIST, on_knock, listener);
    listener->resume = event_new(node->base, -1, 0, on_resume, listener);
    if (listener->event == NULL || listener->resume == NULL ||
        event_add(listener->event, NULL) != 0) {
        return WEFT_ERR_MEMORY;
    }
    return WEFT_OK;
}

/* Binds the first of the addresses that can be bound. */
static int open_first(const struct addrinfo *list, bool is_dual) {
    int fd = -1;
    for (const struct addrinfo *info = list; info != NULL && fd < 0; info = info->ai_next) {
        fd = open_socket(info, is_dual);
        if (fd < 0 && errno == EADDRINUSE) {
            return -1;
        }
    }
    return fd;
}

static enum weft_err listen_at(struct node *node, const struct config_address *wanted,
                               const char *host, char *error) {
    const struct addrinfo hints = {
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
        .ai_socktype = SOCK_STREAM,
        .ai_family = AF_UNSPEC,
    };
    char port[8];
    struct addrinfo *list = NULL;
    (void)snprintf(port, sizeof(port), "%u", (unsigned)wanted->port);
    int failed = getaddrinfo(host, port, &hints, &list);
    if (failed != 0) {
        (void)snprintf(error, NODE_TEXT_BYTES, "cannot listen on %s:%s: %s", host, port,
                       gai_strerror(failed));
        return WEFT_ERR_IO;
    }
    int fd = open_first(list, wanted->host[0] == '\0' || strcmp(wanted->host, "::") == 0);
    int why = errno;
    freeaddrinfo(list);
    if (fd < 0) {
        (void)snprintf(error, NODE_TEXT_BYTES, "cannot listen on %s%s%s:%s: %s%s",
                       strchr(host, ':') != NULL ? "[" : "", host,
                       strchr(host, ':') != NULL ? "]" : "", port, strerror(why),
                       why == EADDRINUSE
                           ? " (is another weftd running? --listen :PORT takes another port)"
                           : "");
        errno = why;
        return WEFT_ERR_IO;
    }
    return adopt(node, fd, wanted);
}

static enum weft_err listen_on(struct node *node, const struct config_address *wanted,
                               char *error) {
    if (wanted->host[0] != '\0') {
        return listen_at(node, wanted, wanted->host, error);
    }
    enum weft_err err = listen_at(node, wanted, "::", error);
    bool has_no_v6 = err == WEFT_ERR_IO && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL);
    return has_no_v6 ? listen_at(node, wanted, "0.0.0.0", error) : err;
}

enum weft_err node_listen(struct node *node, char *error) {
    enum weft_err err = WEFT_OK;
    for (size_t i = 0; i < node->config.listen_count && err == WEFT_OK; i++) {
        err = listen_on(node, &node->config.listen[i], error);
    }
    return err;
}

void node_unlisten(struct node *node) {
    for (size_t i = 0; i < node->listener_count; i++) {
        struct listener *listener = &node->listeners[i];
        if (listener->event != NULL) {
            event_free(listener->event);
        }
        if (listener->resume != NULL) {
            event_free(listener->resume);
        }
        (void)close(listener->fd);
    }
    node->listener_count = 0;
}
