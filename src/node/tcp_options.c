/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kernel is asked of a link's socket. All is best effort: a link works without.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/sockios.h>

#include "node/internal.h"

#ifndef TCP_RTO_MIN_US
#define TCP_RTO_MIN_US 45 /* older headers do not have it; older kernels refuse it */
#endif
/* Bytes that the kernel may hold unsent: on a fast link enough that it is never without, on a slow
 * one what goes in some 10 ms, since whatever is urgent waits behind them. */
#define UNSENT_MAX (128 * 1024)
#define UNSENT_MIN (16 * 1024)
#define UNSENT_TIME (10 * NS_PER_MS)
#define USER_TIMEOUT_BEATS 4 /* a backstop behind the heartbeats' three */

/* A time-out of TCP comes a round trip and 200 ms after what was lost left, the third twice as
 * late: too late for who takes 750 ms of silence for death. Where beats are short it is asked for
 * 50 ms, which no delayed acknowledgement of Linux (40 ms) outlasts. Linux since 6.15; elsewhere
 * some links at 1 % loss are given up and made again (docs/simulation.md, B4). */
static void hurry_repeats(const struct node *node, int fd) {
    const int rto_min_us = 50000;
    if (node->config.heartbeat < NS_PER_S) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_RTO_MIN_US, &rto_min_us, sizeof(rto_min_us));
    }
}

static void set_unsent_max(struct tcp *tcp, int bytes) {
    tcp->unsent_max = bytes;
    (void)setsockopt(tcp->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes));
}

void tcp_set_options(const struct node *node, struct tcp *tcp) {
    const int one = 1;
    const int fd = tcp->fd;
    const unsigned timeout_ms =
        (unsigned)(USER_TIMEOUT_BEATS * node->config.heartbeat / NS_PER_MS) + 1000;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    set_unsent_max(tcp, UNSENT_MAX);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
    hurry_repeats(node, fd);
}

/* Bytes that the kernel has not sent for the first time; -1: it does not say. */
static int unsent(const struct tcp *tcp) {
    int bytes = 0;
    return ioctl(tcp->fd, SIOCOUTQNSD, &bytes) == 0 ? bytes : -1;
}

/* A link that takes more within UNSENT_TIME need not be measured, and that is every fast one each
 * time: two calls for each write would be for nothing. */
void tcp_note_blocked(struct tcp *tcp, weft_ns now) {
    bool is_watched = tcp->was_slow || tcp->unsent_max < UNSENT_MAX;
    tcp->unsent_blocked = is_watched ? unsent(tcp) : -1;
    tcp->blocked_at = now;
}

/* By halves and doubles, so that one burst decides nothing. Where all was sent before we came, it
 * was we who were late. */
void tcp_fit_unsent(struct tcp *tcp, weft_ns now) {
    weft_ns took = time_since(tcp->blocked_at, now);
    tcp->was_slow = took >= UNSENT_TIME;
    if (tcp->unsent_blocked < 0) {
        return;
    }
    int left = unsent(tcp);
    int sent = tcp->unsent_blocked - left;
    if (left < 0 || sent <= 0) {
        return;
    }
    uint64_t fits = (uint64_t)sent * UNSENT_TIME / (took + 1);
    if ((left == 0 || fits >= 2 * (uint64_t)tcp->unsent_max) && tcp->unsent_max < UNSENT_MAX) {
        set_unsent_max(tcp, 2 * tcp->unsent_max);
    } else if (left > 0 && fits <= (uint64_t)tcp->unsent_max / 2 && tcp->unsent_max > UNSENT_MIN) {
        set_unsent_max(tcp, tcp->unsent_max / 2);
    }
}
