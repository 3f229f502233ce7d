/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this folder share. Sockets are non-blocking and their events level-triggered,
 * so that a connection whose budget for one turn is spent merely returns: the loop calls it again.
 *
 * Whatever runs inside a libevent callback ends in proxy_pump, once and last: the pump may tell the
 * proxy things that end any connection. Whatever the mesh tells the proxy does not pump: the host
 * is draining already.
 */
#ifndef PROXY_INTERNAL_H
#define PROXY_INTERNAL_H

#include <event2/event_struct.h>

#include "base/map.h"
#include "proxy/proxy.h"
#include "proxy/socket.h"

struct resolver;
struct udp_batch;
struct udp_flow;

/* What one connection may move one way before the others get their turn. */
#define PROXY_TURN_BYTES ((size_t)1024 * 1024)

/* Endpoints of one service that are tried: more than a node has instances of it. */
#define PROXY_ENDPOINTS_MAX 16

/* Flows of datagrams in the tables: twice what the mesh may be configured to keep alive, since it
 * tells a little later of those that ended. */
#define PROXY_FLOWS_MAX 131072

/* Flows in order of use, idle longest first. */
struct udp_list {
    struct udp_flow *first;
    struct udp_flow *last;
    size_t count;
};

/* Complaints that peers or applications can cause: one a minute of each kind, the others counted.
 */
enum proxy_warning {
    PROXY_WARNING_FILES,   /* no descriptors left */
    PROXY_WARNING_FULL,    /* at connections_max */
    PROXY_WARNING_CONNECT, /* no endpoint of a service answers */
    PROXY_WARNING_COUNT,
};

struct warning_state {
    weft_ns quiet_until;
    uint64_t skipped;
};

struct proxy {
    struct proxy_config config;
    struct map *streams; /* stream number -> connection */
    struct connection *connections;
    size_t connection_count;
    struct forward *forwards;  /* in the order they were added */
    struct map *flows;         /* flow number -> struct udp_flow */
    struct udp_list served;    /* flows of others to services of ours */
    size_t client_count;       /* flows of our own clients */
    struct udp_batch *batch;   /* made when the first datagram comes */
    struct resolver *resolver; /* made when the first host name needs it */
    struct warning_state warnings[PROXY_WARNING_COUNT];
    bool is_full;          /* listeners wait for room */
    struct sock_pipe pipe; /* of the local shortcut, empty; made when it is first needed */
    uint64_t local_bytes;  /* that went through it */
};

/* --- proxy.c --- */

void proxy_pump(struct proxy *proxy);

/* Whether this kind may be traced now; `skipped` receives how many were not since the last. */
bool proxy_may_warn(struct proxy *proxy, enum proxy_warning warning, uint64_t *skipped);

struct timeval proxy_timeval(weft_ns span);

#endif
