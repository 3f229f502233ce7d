/* SPDX-License-Identifier: Apache-2.0
 *
 * Flows of others to services of ours: a connected socket each, so that the service tells them
 * apart by our port, and that the kernel tells us when nothing listens.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/frame.h"
#include "base/ring.h"
#include "proxy/dial.h"
#include "proxy/udp.h"

#define WAITING_MAX 32 /* datagrams kept while the service's name is resolved; the oldest goes */

struct udp_served {
    int fd; /* -1: none yet */
    struct event readable;
    struct dial *dial;
    size_t refused;      /* endpoints that refused it, or could not be reached */
    struct ring waiting; /* struct frame * */
    char name_space[WEFT_NAME_MAX + 1];
    char name[WEFT_NAME_MAX + 1];
};

static void close_socket(struct udp_served *served) {
    if (served->fd >= 0) {
        event_del(&served->readable);
        close(served->fd);
        served->fd = -1;
    }
}

void udp_served_free(struct udp_flow *flow) {
    struct udp_served *served = flow->served;
    struct frame *frame;
    udp_flow_leave(flow);
    udp_list_remove(&flow->proxy->served, flow);
    dial_free(served->dial);
    close_socket(served);
    while (ring_pop(&served->waiting, &frame)) {
        frame_unref(frame);
    }
    ring_fini(&served->waiting);
    free(served);
    free(flow);
}

static void end(struct udp_flow *flow, enum proxy_reset reason) {
    const struct proxy_backend *backend = &flow->proxy->config.backend;
    backend->flow_end(backend->ctx, flow->number, reason);
    udp_served_free(flow);
}

/* --- the socket --- */

static bool dial_next(struct udp_flow *flow);

/* The endpoint said that nobody is there: the next one is asked, with what is sent from now on. */
static void endpoint_refused(struct udp_flow *flow) {
    close_socket(flow->served);
    flow->served->refused++;
    if (!dial_next(flow)) {
        end(flow, PROXY_RESET_CONNECT_FAILED);
    }
}

static void take(void *ctx, const struct msghdr *message, struct span bytes) {
    struct udp_flow *flow = ctx;
    const struct proxy_backend *backend = &flow->proxy->config.backend;
    (void)message;
    backend->flow_send(backend->ctx, flow->number, bytes);
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    struct udp_flow *flow = arg;
    struct proxy *proxy = flow->proxy;
    (void)what;
    udp_list_touch(&proxy->served, flow);
    if (!udp_receive(proxy, fd, take, flow)) {
        endpoint_refused(flow);
    }
    proxy_pump(proxy);
}

/* False if the endpoint refused. Whatever else the socket does not take is lost. */
static bool send_one(const struct udp_served *served, struct span bytes) {
    return send(served->fd, bytes.data, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ||
           errno != ECONNREFUSED;
}

static void keep(struct udp_served *served, struct span bytes) {
    struct frame *oldest;
    if (served->waiting.count == WAITING_MAX && ring_pop(&served->waiting, &oldest)) {
        frame_unref(oldest);
    }
    struct frame *frame = frame_copy(bytes);
    if (frame != NULL && ring_push(&served->waiting, &frame) != WEFT_OK) {
        frame_unref(frame);
    }
}

void udp_served_send(struct udp_flow *flow, struct span bytes) {
    struct udp_served *served = flow->served;
    udp_list_touch(&flow->proxy->served, flow);
    if (served->fd < 0) {
        keep(served, bytes);
    } else if (!send_one(served, bytes)) {
        endpoint_refused(flow);
    }
}

static void send_waiting(struct udp_served *served) {
    struct frame *frame;
    while (ring_pop(&served->waiting, &frame)) {
        (void)send_one(served, frame_view(frame)); /* a refusal is read from the socket */
        frame_unref(frame);
    }
}

/* --- dialling --- */

static void on_dialled(void *ctx, int fd) {
    struct udp_flow *flow = ctx;
    struct udp_served *served = flow->served;
    served->dial = NULL;
    if (fd < 0) {
        end(flow, PROXY_RESET_CONNECT_FAILED);
        return;
    }
    served->fd = fd;
    event_assign(&served->readable, flow->proxy->config.base, fd, EV_READ | EV_PERSIST, on_readable,
                 flow);
    event_add(&served->readable, NULL);
    send_waiting(served);
}

/* Goes to the endpoints that have not refused; false if there is none left. */
static bool dial_next(struct udp_flow *flow) {
    const struct proxy_backend *backend = &flow->proxy->config.backend;
    struct udp_served *served = flow->served;
    const char *endpoints[PROXY_ENDPOINTS_MAX];
    size_t count = backend->local_endpoints(backend->ctx, served->name_space, served->name,
                                            PROXY_UDP, endpoints, PROXY_ENDPOINTS_MAX);
    if (served->refused >= count) {
        return false;
    }
    served->dial = dial_new(flow->proxy, SOCK_DGRAM, endpoints + served->refused,
                            count - served->refused, on_dialled, flow);
    return served->dial != NULL;
}

/* --- the flow --- */

static struct udp_flow *served_new(struct proxy *proxy) {
    struct udp_flow *flow = calloc(1, sizeof *flow);
    struct udp_served *served = calloc(1, sizeof *served);
    if (flow == NULL || served == NULL) {
        free(flow);
        free(served);
        return NULL;
    }
    flow->proxy = proxy;
    flow->served = served;
    served->fd = -1;
    ring_init(&served->waiting, sizeof(struct frame *), WAITING_MAX);
    udp_list_add(&proxy->served, flow);
    return flow;
}

static void refuse(struct proxy *proxy, uint64_t number, enum proxy_reset reason) {
    const struct proxy_backend *backend = &proxy->config.backend;
    backend->flow_end(backend->ctx, number, reason);
}

void udp_serve(struct proxy *proxy, uint64_t number, const char *name_space, const char *name) {
    const struct proxy_backend *backend = &proxy->config.backend;
    const char *endpoint;
    if (backend->local_endpoints(backend->ctx, name_space, name, PROXY_UDP, &endpoint, 1) == 0) {
        refuse(proxy, number, PROXY_RESET_NO_SERVICE);
        return;
    }
    if (proxy->served.count >= proxy->config.served_max) {
        end(proxy->served.first, PROXY_RESET_APPLICATION);
    }
    struct udp_flow *flow = served_new(proxy);
    if (flow == NULL) {
        refuse(proxy, number, PROXY_RESET_REFUSED);
        return;
    }
    memcpy(flow->served->name_space, name_space, strlen(name_space) + 1);
    memcpy(flow->served->name, name, strlen(name) + 1);
    if (udp_flow_enter(flow, number) != WEFT_OK || !dial_next(flow)) {
        refuse(proxy, number, PROXY_RESET_REFUSED);
        udp_served_free(flow);
    }
}

void udp_serve_end(struct proxy *proxy) {
    struct udp_flow *next = NULL;
    for (struct udp_flow *flow = proxy->served.first; flow != NULL; flow = next) {
        next = flow->next;
        end(flow, PROXY_RESET_APPLICATION);
    }
}
