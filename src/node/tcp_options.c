/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kernel is asked of a link's socket. All is best effort: a link works without.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "node/internal.h"

#ifndef TCP_RTO_MIN_US
#define TCP_RTO_MIN_US 45 /* older headers do not have it; older kernels refuse it */
#endif
#define NOTSENT_LOWAT (128 * 1024)
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

void tcp_set_options(const struct node *node, int fd) {
    const int one = 1;
    const int lowat = NOTSENT_LOWAT;
    const unsigned timeout_ms =
        (unsigned)(USER_TIMEOUT_BEATS * node->config.heartbeat / NS_PER_MS) + 1000;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
    hurry_repeats(node, fd);
}
