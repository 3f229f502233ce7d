/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients of a forward: one socket, a flow for each address that sends to it. At an address that
 * stands for all of ours each answer leaves from the one that the question came to, or the client
 * would not know it for an answer.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "proxy/udp.h"

#define RECEIVE_BYTES 1048576 /* asked of the kernel, which may give less: bursts of clients */
#define CONTROL_BYTES 64      /* one address of ours */

/* A client's address, without what may differ between two datagrams. */
struct client_key {
    uint8_t host[16];
    uint32_t scope;
    uint16_t port;
    uint16_t family;
};

struct udp_client {
    struct udp_port *port;
    struct client_key key;
    struct address address;
    size_t control_len; /* 0: the kernel chooses the source */
    uint8_t control[CONTROL_BYTES];
};

struct udp_port {
    struct proxy *proxy;
    const char *name_space;
    const char *name;
    int fd;
    struct event readable;
    struct map *clients; /* struct client_key -> flow */
    struct udp_list flows;
    uint64_t opened;
    uint64_t failed;
};

/* --- addresses --- */

static bool is_any(const struct sockaddr_storage *address) {
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;
    return address->ss_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr) != 0
                                          : v4->sin_addr.s_addr == htonl(INADDR_ANY);
}

int udp_bind(const struct address *address, bool is_shared) {
    int family = address->storage.ss_family;
    int on = 1;
    int bytes = RECEIVE_BYTES;
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (is_shared) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    }
    if (family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (is_any(&address->storage)) {
        (void)setsockopt(fd, family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP,
                         family == AF_INET6 ? IPV6_RECVPKTINFO : IP_PKTINFO, &on, sizeof on);
    }
    if (bind(fd, (const struct sockaddr *)&address->storage, address->len) == 0) {
        return fd;
    }
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static struct client_key key_of(const struct sockaddr_storage *address) {
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;
    struct client_key key = {.family = (uint16_t)address->ss_family};
    if (address->ss_family == AF_INET6) {
        memcpy(key.host, &v6->sin6_addr, 16);
        key.scope = v6->sin6_scope_id;
        key.port = v6->sin6_port;
    } else {
        memcpy(key.host, &v4->sin_addr, 4);
        key.port = v4->sin_port;
    }
    return key;
}

static struct span key_span(const struct client_key *key) {
    return span_of(key, sizeof *key);
}

/* Keeps which of our addresses the datagram came to, for the answers. */
static void note_source(struct udp_client *client, const struct msghdr *message) {
    client->control_len = 0;
    if (CMSG_FIRSTHDR(message) == NULL || message->msg_controllen > CONTROL_BYTES) {
        return;
    }
    memcpy(client->control, message->msg_control, message->msg_controllen);
    client->control_len = message->msg_controllen;
    struct msghdr own = {.msg_control = client->control, .msg_controllen = client->control_len};
    struct cmsghdr *control = CMSG_FIRSTHDR(&own);
    if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(control), sizeof info);
        info.ipi_ifindex = 0; /* the way back is the routes' to choose */
        memcpy(CMSG_DATA(control), &info, sizeof info);
    }
}

/* --- flows --- */

static void client_free(struct udp_flow *flow) {
    struct udp_client *client = flow->client;
    struct udp_port *port = client->port;
    udp_flow_leave(flow);
    (void)map_remove(port->clients, key_span(&client->key));
    udp_list_remove(&port->flows, flow);
    flow->proxy->client_count--;
    free(client);
    free(flow);
}

/* A flow for a client, which the mesh does not know of yet. NULL when out of memory. */
static struct udp_flow *client_new(struct udp_port *port, const struct client_key *key) {
    struct udp_flow *flow = calloc(1, sizeof *flow);
    struct udp_client *client = calloc(1, sizeof *client);
    if (flow == NULL || client == NULL || map_add(port->clients, key_span(key), flow) != WEFT_OK) {
        free(flow);
        free(client);
        return NULL;
    }
    *client = (struct udp_client){.port = port, .key = *key};
    flow->proxy = port->proxy;
    flow->client = client;
    udp_list_add(&port->flows, flow);
    port->proxy->client_count++;
    return flow;
}

static struct udp_flow *open_flow(struct udp_port *port, const struct client_key *key,
                                  const struct msghdr *message) {
    const struct proxy_backend *backend = &port->proxy->config.backend;
    struct udp_flow *flow = client_new(port, key);
    if (flow == NULL) {
        return NULL;
    }
    port->opened++;
    memcpy(&flow->client->address.storage, message->msg_name, message->msg_namelen);
    flow->client->address.len = message->msg_namelen;
    uint64_t number = 0;
    enum weft_err err = backend->flow_open(backend->ctx, port->name_space, port->name, &number);
    if (err == WEFT_OK) {
        err = udp_flow_enter(flow, number);
    }
    if (err == WEFT_OK) {
        return flow;
    }
    if (number != 0) {
        backend->flow_end(backend->ctx, number, PROXY_RESET_APPLICATION);
    }
    port->failed++;
    client_free(flow);
    return NULL;
}

static void take(void *ctx, const struct msghdr *message, struct span bytes) {
    struct udp_port *port = ctx;
    const struct proxy_backend *backend = &port->proxy->config.backend;
    struct client_key key = key_of(message->msg_name);
    struct udp_flow *flow = map_find(port->clients, key_span(&key));
    if (flow == NULL) {
        flow = open_flow(port, &key, message);
    }
    if (flow != NULL) {
        note_source(flow->client, message);
        backend->flow_send(backend->ctx, flow->number, bytes);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    struct udp_port *port = arg;
    struct proxy *proxy = port->proxy;
    (void)what;
    /* An error is about an answer that was sent once: reading it has cleared it. */
    (void)udp_receive(proxy, fd, take, port);
    proxy_pump(proxy);
}

void udp_client_send(struct udp_flow *flow, struct span bytes) {
    struct udp_client *client = flow->client;
    union {
        const void *borrowed;
        void *given;
    } base = {.borrowed = bytes.data}; /* sendmsg only reads it */
    struct iovec place = {.iov_base = base.given, .iov_len = bytes.len};
    struct msghdr message = {.msg_name = &client->address.storage,
                             .msg_namelen = client->address.len,
                             .msg_iov = &place,
                             .msg_iovlen = 1};
    if (client->control_len > 0) {
        message.msg_control = client->control;
        message.msg_controllen = client->control_len;
    }
    ssize_t sent = sendmsg(client->port->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent; /* lost, as datagrams are */
}

void udp_client_ended(struct udp_flow *flow, bool is_refused) {
    flow->client->port->failed += is_refused ? 1 : 0;
    client_free(flow);
}

const char *udp_client_name_space(const struct udp_flow *flow) {
    return flow->client->port->name_space;
}

const char *udp_client_name(const struct udp_flow *flow) {
    return flow->client->port->name;
}

/* --- the port --- */

struct udp_port *udp_port_new(struct proxy *proxy, const char *name_space, const char *name,
                              int fd) {
    struct hash_key key;
    struct udp_port *port = calloc(1, sizeof *port);
    host_random(proxy->config.host, key.bytes, sizeof key.bytes);
    struct map *clients = map_new(PROXY_FLOWS_MAX, &key);
    if (port == NULL || clients == NULL) {
        free(port);
        map_free(clients);
        return NULL;
    }
    *port = (struct udp_port){
        .proxy = proxy, .name_space = name_space, .name = name, .fd = fd, .clients = clients};
    event_assign(&port->readable, proxy->config.base, fd, EV_READ | EV_PERSIST, on_readable, port);
    event_add(&port->readable, NULL);
    return port;
}

void udp_port_free(struct udp_port *port) {
    if (port == NULL) {
        return;
    }
    const struct proxy_backend *backend = &port->proxy->config.backend;
    struct udp_flow *next = NULL;
    for (struct udp_flow *flow = port->flows.first; flow != NULL; flow = next) {
        next = flow->next;
        backend->flow_end(backend->ctx, flow->number, PROXY_RESET_APPLICATION);
        client_free(flow);
    }
    event_del(&port->readable);
    close(port->fd);
    map_free(port->clients);
    free(port);
}

struct udp_counts udp_port_count(const struct udp_port *port) {
    return (struct udp_counts){
        .flows = port->flows.count, .opened = port->opened, .failed = port->failed};
}
