/* SPDX-License-Identifier: Apache-2.0
 *
 * A mesh of two nodes in memory, each with a proxy: what one writes into a stream the other may
 * peek, in bounded buffers. Keeps book: a stream that is used after its end, or never ends, is the
 * proxy's fault.
 */
#ifndef MESH_H
#define MESH_H

#include "base/frame.h"
#include "base/ring.h"
#include "proxy/proxy.h"

#define MESH_STREAMS_MAX 1024
#define MESH_ENDPOINTS_MAX 4
#define MESH_EVENTS_MAX 8192

/* One direction: a ring, peeked up to its seam. */
struct mesh_pipe {
    uint8_t *bytes;
    size_t head, len;
    bool is_finished; /* by the writer */
    bool is_end_read; /* by the reader */
    bool is_short;    /* a write fell short */
};

struct mesh_stream {
    bool is_used[2]; /* side 0 opened it, side 1 was asked */
    bool is_accepted;
    bool is_over;             /* RESET or CLOSED was said to both */
    enum proxy_reset reason;  /* of the last reset */
    struct mesh_pipe pipe[2]; /* pipe[s] is written by side s */
};

struct mesh_node {
    struct mesh *mesh;
    int side;
    struct proxy *proxy; /* NULL: the test plays this side through mesh_backend() */
    char endpoints[MESH_ENDPOINTS_MAX][WEFT_ENDPOINT_MAX + 1];
    size_t endpoint_count;
    bool is_lent; /* `space` is being read into */
    uint8_t space[16384];
};

#define MESH_FLOWS_MAX 8192

/* A flow of datagrams: opened by side 0, served by side 1. */
struct mesh_flow {
    bool is_used[2];
    bool is_told;            /* INCOMING was said */
    enum proxy_reset reason; /* why it ended */
};

struct mesh_datagram {
    uint64_t flow;
    int side;            /* whose event it is */
    struct frame *bytes; /* NULL: the flow ended */
};

struct mesh_event {
    uint64_t stream;
    int side;
    bool is_incoming;
    enum proxy_event kind;
};

struct mesh {
    struct event_base *base;
    struct host host;
    struct mesh_node node[2];
    struct mesh_stream streams[MESH_STREAMS_MAX];
    struct mesh_event events[MESH_EVENTS_MAX]; /* a ring */
    size_t event_head, event_count;
    uint64_t stream_count; /* ever opened */
    size_t buffer_bytes;   /* of each direction: 64 KiB */
    struct mesh_flow flows[MESH_FLOWS_MAX];
    uint64_t flow_count;      /* ever opened */
    struct ring datagrams;    /* struct mesh_datagram */
    enum weft_err open_error; /* what open answers */
    size_t misuse_count;      /* calls on streams that are over, and other breaches */
    size_t pump_count;
    size_t turn_bytes;     /* read from sockets into streams since the last pump */
    size_t turn_bytes_max; /* and the most of any turn of a connection, each of which ends in one */
    uint64_t read_bytes;   /* in all */
    size_t peeked_max;     /* longest that lay unread in a direction */
    bool is_draining;
    size_t warning_count;
    char warning[64]; /* the last one's name */
};

/* Two nodes with proxies; connections_max 0 is the default. Everything is on the heap. */
struct mesh *mesh_new(size_t connections_max);

/* The same; the proxies serve at most so many flows. */
struct mesh *mesh_new_serving(size_t served_max);

/* Frees the proxies, then claims that the proxies let go of every stream and misused none. */
void mesh_free(struct mesh *mesh);

/* Gives the node an endpoint of the only service, "space/web". */
void mesh_export(struct mesh *mesh, int side, const char *endpoint);

/* Adds a forward of the service at node 0 on 127.0.0.1, port chosen by the kernel; returns its
 * address. */
const char *mesh_forward(struct mesh *mesh, char bound[WEFT_ENDPOINT_MAX + 1]);

/* The same for datagrams. */
const char *mesh_forward_udp(struct mesh *mesh, char bound[WEFT_ENDPOINT_MAX + 1]);

/* How many flows a side still holds; ends one as the mesh does. */
size_t mesh_flow_count(const struct mesh *mesh, int side);
void mesh_end_flow(struct mesh *mesh, uint64_t flow);

/* Takes the proxy from node 1: the test plays it. */
void mesh_play_far_side(struct mesh *mesh);

struct proxy_backend mesh_backend(struct mesh *mesh, int side);

/* Writes as the backend of this context would have it written; how much was taken. A write that
 * falls short is followed by a WRITABLE. */
size_t mesh_write(void *ctx, uint64_t id, struct span bytes);
size_t mesh_write_room(void *ctx, uint64_t id);

/* How many streams somebody still holds. */
size_t mesh_open_count(const struct mesh *mesh);

/* Runs the loop until the claim holds; fails the test after 20 s. */
#define RUN_UNTIL(mesh, claim)                                                                     \
    do {                                                                                           \
        struct event *guard_ = mesh_guard_new(mesh);                                               \
        while (!(claim)) {                                                                         \
            cr_assert(mesh_turn(mesh, guard_), "never came true: %s", #claim);                     \
        }                                                                                          \
        event_free(guard_);                                                                        \
    } while (false)

struct event *mesh_guard_new(struct mesh *mesh);
bool mesh_turn(struct mesh *mesh, struct event *guard);

/* Open descriptors of this process. */
size_t descriptor_count(void);

#endif
