/* SPDX-License-Identifier: Apache-2.0
 *
 * Datagrams in and out. A flow is of one of two shapes:
 *
 *   client   many clients, one socket: the forward's port; a flow for each source address
 *   served   one connected socket for each flow, to an endpoint of the service
 *
 *   clients --> port --flow--> (mesh) --flow--> served: dialling --> connected --> service
 *
 * How long a flow lives is for the mesh to say: it ends them, idle ones too. Here a served flow
 * ends when the last endpoint of its service has refused it (an ICMP port unreachable makes a
 * connected socket fail), or to make room: each holds a descriptor, so at served_max the one idle
 * longest goes.
 *
 * What a socket does not take at once is dropped: nobody waits for datagrams.
 *
 *   udp.c   the table, what the mesh tells     udp_port.c   clients     udp_serve.c   services
 */
#ifndef PROXY_UDP_H
#define PROXY_UDP_H

#include "proxy/address.h"
#include "proxy/internal.h"

/* Datagrams read at once: a flow's queue in the mesh takes as many. */
#define UDP_BATCH 32

struct udp_port;
struct udp_client;
struct udp_served;

struct udp_flow {
    struct proxy *proxy;
    uint64_t number; /* the mesh's; 0: none */
    struct udp_flow *next, *previous;
    struct udp_client *client; /* one of the two */
    struct udp_served *served;
};

void udp_list_add(struct udp_list *list, struct udp_flow *flow);
void udp_list_remove(struct udp_list *list, struct udp_flow *flow);
void udp_list_touch(struct udp_list *list, struct udp_flow *flow);

/* --- udp.c --- */

/* Enters the flow into the proxy's table under the mesh's number. WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err udp_flow_enter(struct udp_flow *flow, uint64_t number);
void udp_flow_leave(struct udp_flow *flow);

/* One datagram that was read, and where from. */
typedef void udp_take(void *ctx, const struct msghdr *message, struct span bytes);

/* Reads at most a batch; false and errno if the socket reports an error instead. */
bool udp_receive(struct proxy *proxy, int fd, udp_take *take, void *ctx);

/* --- udp_port.c --- */

/* A bound socket; -1 and errno on failure. */
int udp_bind(const struct address *address, bool is_shared);

/* Where clients send: reads `fd` from now on, which it takes. The names are borrowed until its end.
 * NULL when out of memory: the descriptor is then still the caller's. */
struct udp_port *udp_port_new(struct proxy *proxy, const char *name_space, const char *name,
                              int fd);

/* Ends its flows and closes the socket. Takes NULL. */
void udp_port_free(struct udp_port *port);

struct udp_counts {
    size_t flows;
    uint64_t opened;
    uint64_t failed; /* of those, the ones that nobody served */
};
struct udp_counts udp_port_count(const struct udp_port *port);

const char *udp_client_name_space(const struct udp_flow *flow);
const char *udp_client_name(const struct udp_flow *flow);
/* An answer. */
void udp_client_send(struct udp_flow *flow, struct span bytes);
/* The mesh ended the flow, because nobody serves it or for its idleness. */
void udp_client_ended(struct udp_flow *flow, bool is_refused);

/* --- udp_serve.c --- */

void udp_serve(struct proxy *proxy, uint64_t number, const char *name_space, const char *name);
void udp_served_send(struct udp_flow *flow, struct span bytes);
/* Frees it; the mesh is not told. */
void udp_served_free(struct udp_flow *flow);
/* Ends all. */
void udp_serve_end(struct proxy *proxy);

#endif
