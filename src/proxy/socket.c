/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"

/* Seconds of silence before the first probe, between probes, and probes: 120 s in all. */
#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_INTERVAL_S 15
#define KEEPALIVE_PROBES 4

static void set_option(int fd, int level, int option, int value) {
    /* A refusal costs comfort, not correctness. */
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

void socket_tune(int fd) {
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

void socket_keep_alive(int fd) {
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}

void sock_open(struct sock *sock, struct event_base *base, int fd, struct connection *connection,
               event_callback_fn on_readable, event_callback_fn on_writable) {
    ASSERT(fd >= 0);
    sock->fd = fd;
    sock->connection = connection;
    event_assign(&sock->readable, base, fd, EV_READ | EV_PERSIST, on_readable, sock);
    event_assign(&sock->writable, base, fd, EV_WRITE | EV_PERSIST, on_writable, sock);
}

void socket_reset(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

void sock_pipe_close(struct sock_pipe *pipe) {
    if (pipe->is_open) {
        close(pipe->out);
        close(pipe->in);
    }
    *pipe = (struct sock_pipe){0};
}

void sock_close(struct sock *sock, enum sock_close how) {
    sock_pipe_close(&sock->jam);
    if (sock->connection == NULL || sock->fd < 0) {
        return;
    }
    event_del(&sock->readable);
    event_del(&sock->writable);
    if (how == SOCK_CLOSE_RESET) {
        socket_reset(sock->fd);
    } else {
        close(sock->fd);
    }
    sock->fd = -1;
}

static bool is_transient(int error) {
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

ssize_t sock_send_all(const struct sock *sock, const struct span *pieces, size_t count) {
    struct iovec vectors[SOCK_PIECES_MAX];
    ASSERT(count >= 1 && count <= SOCK_PIECES_MAX);
    for (size_t i = 0; i < count; i++) {
        union {
            const uint8_t *from;
            void *to;
        } bytes = {.from = pieces[i].data}; /* sendmsg does not write, whatever its type says */
        vectors[i] = (struct iovec){.iov_base = bytes.to, .iov_len = pieces[i].len};
    }
    const struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};
    ssize_t sent = sendmsg(sock->fd, &message, MSG_NOSIGNAL);
    return sent < 0 && is_transient(errno) ? 0 : sent;
}

ssize_t sock_receive(struct sock *sock, uint8_t *out, size_t size) {
    ASSERT(size >= 1);
    ssize_t received = recv(sock->fd, out, size, 0);
    if (received < 0) {
        return is_transient(errno) ? 0 : -1;
    }
    if (received == 0) {
        sock->is_ended = true;
    }
    return received;
}

void sock_shut(struct sock *sock) {
    if (!sock->is_shut) {
        sock->is_shut = true;
        (void)shutdown(sock->fd,
                       SHUT_WR); /* fails only if the other side is gone: then reading says so */
    }
}

static void want(struct event *event, short what, bool is_wanted) {
    bool is_armed = event_pending(event, what, NULL) != 0;
    if (is_wanted && !is_armed) {
        event_add(event, NULL);
    } else if (!is_wanted && is_armed) {
        event_del(event);
    }
}

void sock_want_read(struct sock *sock, bool is_wanted) {
    want(&sock->readable, EV_READ, is_wanted && !sock->is_ended);
}

void sock_want_write(struct sock *sock, bool is_wanted) {
    want(&sock->writable, EV_WRITE, is_wanted && !sock->is_shut);
}
