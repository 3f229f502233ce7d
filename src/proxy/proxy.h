/* SPDX-License-Identifier: Apache-2.0
 *
 * Where applications come in and go out: local listeners whose connections become streams, and
 * streams whose other end is a connection to a local service. Knows sockets and libevent; of the
 * mesh it knows only this backend, which src/node implements over the core.
 *
 *   application --TCP--> listener --> connection <--> stream --> (mesh)      a forward
 *   (mesh) --> stream <--> connection --TCP--> service                       an export
 *   application --TCP--> listener --> connection <--> connection --> service  both on this node: no
 * sealing
 *
 * A connection reads from its socket only what its stream's send buffer takes, and consumes from
 * its stream only what its socket took: back-pressure end to end, and one slow reader stalls
 * nobody. Half-close both ways: a FIN from the socket finishes the stream's direction and the
 * reverse. A reset of either becomes a reset of the other (RST on the socket: SO_LINGER 0).
 */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include <event2/event.h>

#include "base/host.h"
#include "base/span.h"
#include "weft/types.h"

struct proxy;

/* Why a stream ends early; the numbers are those of the wire (docs/protocol.md). */
enum proxy_reset {
    PROXY_RESET_APPLICATION = 1,
    PROXY_RESET_NO_SERVICE = 2,
    PROXY_RESET_CONNECT_FAILED = 3,
    PROXY_RESET_REFUSED = 4,
};

/* The numbers are those of the wire. */
enum proxy_protocol {
    PROXY_TCP = 1,
    PROXY_UDP = 2,
};

/* What the proxy asks of the mesh. Streams are named by a number, never 0. None of these calls
 * back. */
struct proxy_backend {
    void *ctx;
    /* Opens a stream to a service at another node. NOT_FOUND: nobody offers it. */
    enum weft_err (*open)(void *ctx, const char *name_space, const char *name, uint64_t *stream);
    /* This node's own endpoints of a service, "host:port", best first; returns how many. Borrowed
     * until the next call. */
    size_t (*local_endpoints)(void *ctx, const char *name_space, const char *name,
                              enum proxy_protocol protocol, const char **out, size_t max);
    void (*accept)(void *ctx, uint64_t stream);
    /* Where bytes from a socket are to stand, *len of them at most; NULL promises a WRITABLE, or
     * the stream has ended. What follows is `written`, with how many came, perhaps none. */
    uint8_t *(*write_space)(void *ctx, uint64_t stream, size_t *len);
    void (*written)(void *ctx, uint64_t stream, size_t len);
    void (*finish)(void *ctx, uint64_t stream);
    /* What may be consumed now, as up to `max` pieces; returns how many. */
    size_t (*peek)(void *ctx, uint64_t stream, struct span *out, size_t max);
    void (*consume)(void *ctx, uint64_t stream, size_t len);
    bool (*is_finished)(void *ctx, uint64_t stream);
    void (*reset)(void *ctx, uint64_t stream, enum proxy_reset reason);
    void (*release)(void *ctx, uint64_t stream);
    /* Flows of datagrams, named by a number, never 0. Opens one to a service anywhere, also here.
     * NOT_FOUND: nobody offers it. */
    enum weft_err (*flow_open)(void *ctx, const char *name_space, const char *name, uint64_t *flow);
    void (*flow_send)(void *ctx, uint64_t flow, struct span bytes);
    void (*flow_end)(void *ctx, uint64_t flow, enum proxy_reset reason);
    /* Called once after a batch of the calls above: the host drains the core. Never from inside
     * proxy_stream_event or proxy_incoming, because the host that calls those is draining already.
     */
    void (*pump)(void *ctx);
};

struct proxy_config {
    struct event_base *base; /* outlives the proxy */
    struct proxy_backend backend;
    const struct host *host; /* traces; outlives the proxy */
    size_t connections_max;  /* 0: 16,384; beyond, a listener stops accepting until there is room */
    bool is_port_shared;     /* forwards listen beside other programs of this user that say so, too:
                                the kernel deals connections out, and datagrams by their sender */
    size_t served_max;       /* flows to local services, a descriptor each; 0: 1,024 */
    weft_ns connect_timeout; /* to a local service, each endpoint; 0: 5 s */
};

WEFT_MUST_CHECK enum weft_err proxy_new(const struct proxy_config *config, struct proxy **out);
/* Closes all listeners and connections; resets their streams, so the backend must still be there.
 * Takes NULL. */
void proxy_free(struct proxy *proxy);

/* Listens, over TCP or UDP, at `address` ("127.0.0.1:8080", "[::1]:0"; port 0 lets the kernel
 * choose) and carries what comes there to the service of that protocol. Replaces an earlier forward
 * of the same service only if its address differs. `bound` (size WEFT_ENDPOINT_MAX + 1) receives
 * the address really bound. WEFT_ERR_INVALID: a name or an address that is none ("localhost" is
 * 127.0.0.1; other names are refused). WEFT_ERR_EXISTS: another forward has the address;
 * WEFT_ERR_IO: errno says why (EADDRINUSE ...). */
WEFT_MUST_CHECK enum weft_err proxy_add_forward(struct proxy *proxy, const char *name_space,
                                                const char *name, enum proxy_protocol protocol,
                                                const char *address, char *bound);
/* Stops listening; connections under way go on, flows of datagrams end. */
WEFT_MUST_CHECK enum weft_err proxy_remove_forward(struct proxy *proxy, const char *name_space,
                                                   const char *name, enum proxy_protocol protocol);
struct proxy_forward_view {
    const char *name_space;
    const char *name;
    enum proxy_protocol protocol;
    const char *address;       /* bound */
    size_t connections;        /* or flows */
    uint64_t accepted, failed; /* failed: of those accepted, the ones no service took */
};
void proxy_each_forward(const struct proxy *proxy,
                        void (*each)(void *ctx, const struct proxy_forward_view *view), void *ctx);

/* What the mesh tells the proxy. */
enum proxy_event {
    PROXY_EVENT_ACCEPTED,
    PROXY_EVENT_READABLE,
    PROXY_EVENT_WRITABLE,
    PROXY_EVENT_RESET,  /* refused, reset or timed out: the backend still wants its release */
    PROXY_EVENT_CLOSED, /* ended well: likewise */
};
void proxy_stream_event(struct proxy *proxy, uint64_t stream, enum proxy_event event);

/* The service that a forward opened this stream to, as long as none has taken it. False for any
 * other stream. Borrowed until the forward is removed. */
bool proxy_stream_service(const struct proxy *proxy, uint64_t stream, const char **name_space,
                          const char **name);

/* A peer opened a stream to a service of ours: connects to its endpoints in turn, then accepts or
 * resets. */
void proxy_incoming(struct proxy *proxy, uint64_t stream, const char *name_space, const char *name);

/* Datagrams: a peer's flow to a service of ours, whose data follows; a datagram of any flow; a
 * flow's end, because nobody serves it or for another reason. The number is not used again. */
void proxy_flow_incoming(struct proxy *proxy, uint64_t flow, const char *name_space,
                         const char *name);
void proxy_flow_data(struct proxy *proxy, uint64_t flow, struct span bytes);
void proxy_flow_ended(struct proxy *proxy, uint64_t flow, bool is_refused);
/* The service that a forward opened this flow to; false for any other flow. Borrowed until the
 * forward is removed. */
bool proxy_flow_service(const struct proxy *proxy, uint64_t flow, const char **name_space,
                        const char **name);

/* Bytes that went between two sockets of this node, both ways together. */
uint64_t proxy_local_bytes(const struct proxy *proxy);

size_t proxy_connection_count(const struct proxy *proxy);

#endif
