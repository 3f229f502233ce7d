/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define DATAGRAM_BYTES 65536 /* no UDP datagram is larger */
#define CONTROL_BYTES 64     /* one address of ours */

/* Memory for one batch, the proxy's, made when the first datagram comes. Only the pages that
 * datagrams fill are ever touched. */
struct udp_batch {
    struct mmsghdr messages[UDP_BATCH];
    struct iovec places[UDP_BATCH];
    struct sockaddr_storage sources[UDP_BATCH];
    uint8_t controls[UDP_BATCH][CONTROL_BYTES];
    uint8_t bytes[UDP_BATCH][DATAGRAM_BYTES];
};

static struct span number_span(const uint64_t *number) {
    return span_of(number, sizeof *number);
}

/* --- lists --- */

void udp_list_add(struct udp_list *list, struct udp_flow *flow) {
    flow->next = NULL;
    flow->previous = list->last;
    if (list->last != NULL) {
        list->last->next = flow;
    } else {
        list->first = flow;
    }
    list->last = flow;
    list->count++;
}

void udp_list_remove(struct udp_list *list, struct udp_flow *flow) {
    struct udp_flow **to_next = flow->previous != NULL ? &flow->previous->next : &list->first;
    struct udp_flow **to_previous = flow->next != NULL ? &flow->next->previous : &list->last;
    *to_next = flow->next;
    *to_previous = flow->previous;
    list->count--;
}

void udp_list_touch(struct udp_list *list, struct udp_flow *flow) {
    if (list->last != flow) {
        udp_list_remove(list, flow);
        udp_list_add(list, flow);
    }
}

/* --- the table --- */

enum weft_err udp_flow_enter(struct udp_flow *flow, uint64_t number) {
    ASSERT(number != 0);
    if (map_add(flow->proxy->flows, number_span(&number), flow) != WEFT_OK) {
        return WEFT_ERR_MEMORY;
    }
    flow->number = number;
    return WEFT_OK;
}

void udp_flow_leave(struct udp_flow *flow) {
    if (flow->number != 0) {
        (void)map_remove(flow->proxy->flows, number_span(&flow->number));
        flow->number = 0;
    }
}

static struct udp_flow *find(const struct proxy *proxy, uint64_t number) {
    return map_find(proxy->flows, number_span(&number));
}

/* --- reading --- */

static void prepare(struct udp_batch *batch) {
    for (size_t i = 0; i < UDP_BATCH; i++) {
        batch->places[i] = (struct iovec){.iov_base = batch->bytes[i], .iov_len = DATAGRAM_BYTES};
        batch->messages[i].msg_hdr = (struct msghdr){.msg_name = &batch->sources[i],
                                                     .msg_namelen = sizeof batch->sources[i],
                                                     .msg_iov = &batch->places[i],
                                                     .msg_iovlen = 1,
                                                     .msg_control = batch->controls[i],
                                                     .msg_controllen = CONTROL_BYTES};
    }
}

bool udp_receive(struct proxy *proxy, int fd, udp_take *take, void *ctx) {
    if (proxy->batch == NULL) {
        proxy->batch = malloc(sizeof *proxy->batch);
    }
    struct udp_batch *batch = proxy->batch;
    if (batch == NULL) {
        return true; /* they wait in the socket, where the kernel bounds them */
    }
    prepare(batch);
    int count = recvmmsg(fd, batch->messages, UDP_BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        take(ctx, &batch->messages[i].msg_hdr,
             span_of(batch->bytes[i], batch->messages[i].msg_len));
    }
    return count >= 0 || errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* --- what the mesh tells --- */

void proxy_flow_incoming(struct proxy *proxy, uint64_t number, const char *name_space,
                         const char *name) {
    udp_serve(proxy, number, name_space, name);
}

void proxy_flow_data(struct proxy *proxy, uint64_t number, struct span bytes) {
    struct udp_flow *flow = find(proxy, number);
    if (flow != NULL && flow->client != NULL) {
        udp_client_send(flow, bytes);
    } else if (flow != NULL) {
        udp_served_send(flow, bytes);
    }
}

void proxy_flow_ended(struct proxy *proxy, uint64_t number, bool is_refused) {
    struct udp_flow *flow = find(proxy, number);
    if (flow != NULL && flow->client != NULL) {
        udp_client_ended(flow, is_refused);
    } else if (flow != NULL) {
        udp_served_free(flow);
    }
}

bool proxy_flow_service(const struct proxy *proxy, uint64_t number, const char **name_space,
                        const char **name) {
    const struct udp_flow *flow = find(proxy, number);
    if (flow == NULL || flow->client == NULL) {
        return false;
    }
    *name_space = udp_client_name_space(flow);
    *name = udp_client_name(flow);
    return true;
}
