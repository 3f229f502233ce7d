/* SPDX-License-Identifier: Apache-2.0
 *
 * The mesh as the proxy sees it: streams and flows of the core, and this node's own endpoints.
 */
#include "node/internal.h"

static struct stream_id id_of(uint64_t stream) {
    return (struct stream_id){.value = stream};
}

static struct streams *streams_of(void *ctx) {
    struct node *node = ctx;
    return core_streams(node->core);
}

static enum weft_err backend_open(void *ctx, const char *name_space, const char *name,
                                  uint64_t *stream) {
    struct node *node = ctx;
    struct stream_id id;
    enum weft_err err =
        core_stream_open(node->core, name_space, name, WIRE_PROTOCOL_TCP, node_clock(), &id);
    if (err == WEFT_OK) {
        *stream = id.value;
    } else if (err == WEFT_ERR_NOT_FOUND) {
        node_forward_failed(node, name_space, name, WIRE_PROTOCOL_TCP, WIRE_RESET_NONE);
    }
    return err;
}

static size_t backend_local_endpoints(void *ctx, const char *name_space, const char *name,
                                      enum proxy_protocol protocol, const char **out, size_t max) {
    const struct own_service *service = node_service_find(ctx, name_space, name, (uint8_t)protocol);
    size_t count = 0;
    for (; service != NULL && count < service->endpoint_count && count < max; count++) {
        out[count] = service->endpoints[count].address;
    }
    return count;
}

static void backend_accept(void *ctx, uint64_t stream) {
    streams_accept(streams_of(ctx), id_of(stream), node_clock());
}

static uint8_t *backend_write_space(void *ctx, uint64_t stream, size_t *len) {
    return streams_write_space(streams_of(ctx), id_of(stream), len);
}

static void backend_written(void *ctx, uint64_t stream, size_t len) {
    streams_written(streams_of(ctx), id_of(stream), len, node_clock());
}

static void backend_finish(void *ctx, uint64_t stream) {
    streams_finish(streams_of(ctx), id_of(stream), node_clock());
}

static size_t backend_peek(void *ctx, uint64_t stream, struct span *out, size_t max) {
    return streams_peek_all(streams_of(ctx), id_of(stream), out, max);
}

static void backend_consume(void *ctx, uint64_t stream, size_t len) {
    streams_consume(streams_of(ctx), id_of(stream), len, node_clock());
}

static bool backend_is_finished(void *ctx, uint64_t stream) {
    return streams_is_finished(streams_of(ctx), id_of(stream));
}

static void backend_reset(void *ctx, uint64_t stream, enum proxy_reset reason) {
    struct node *node = ctx;
    /* The proxy's numbers are the wire's. */
    core_stream_reset(node->core, id_of(stream), (enum wire_reset_reason)reason, node_clock());
}

static void backend_release(void *ctx, uint64_t stream) {
    streams_release(streams_of(ctx), id_of(stream));
}

static enum weft_err backend_flow_open(void *ctx, const char *name_space, const char *name,
                                       uint64_t *flow) {
    struct node *node = ctx;
    struct flow_id id;
    enum weft_err err = core_datagram_open(node->core, name_space, name, node_clock(), &id);
    if (err == WEFT_OK) {
        *flow = id.value;
    } else if (err == WEFT_ERR_NOT_FOUND) {
        node_forward_failed(node, name_space, name, WIRE_PROTOCOL_UDP, WIRE_RESET_NONE);
    }
    return err;
}

static void backend_flow_send(void *ctx, uint64_t flow, struct span bytes) {
    struct node *node = ctx;
    core_datagram_send(node->core, (struct flow_id){.value = flow}, bytes, node_clock());
}

static void backend_flow_end(void *ctx, uint64_t flow, enum proxy_reset reason) {
    struct node *node = ctx;
    core_datagram_end(node->core, (struct flow_id){.value = flow}, (enum wire_reset_reason)reason,
                      node_clock());
}

static void backend_pump(void *ctx) {
    node_touch(ctx);
}

struct proxy_backend node_proxy_backend(struct node *node) {
    return (struct proxy_backend){
        .ctx = node,
        .open = backend_open,
        .local_endpoints = backend_local_endpoints,
        .accept = backend_accept,
        .write_space = backend_write_space,
        .written = backend_written,
        .finish = backend_finish,
        .peek = backend_peek,
        .consume = backend_consume,
        .is_finished = backend_is_finished,
        .reset = backend_reset,
        .release = backend_release,
        .flow_open = backend_flow_open,
        .flow_send = backend_flow_send,
        .flow_end = backend_flow_end,
        .pump = backend_pump,
    };
}
