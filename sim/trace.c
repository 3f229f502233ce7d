/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/time.h"
#include "sim/must.h"

/* A core's details are cut at 500 bytes (base/host.h); the rest is a name. */
#define TRACE_LINE_MAX 640

struct trace_file {
    struct world *world;
    FILE *file;
    const struct faults *faults; /* NULL: none are told of */
    size_t fault_count;          /* written so far */
};

static const char *frame_kind_name(uint8_t kind) {
    static const char *const names[] = {
        [WIRE_HEARTBEAT] = "heartbeat", [WIRE_UNICAST] = "unicast", [WIRE_BROADCAST] = "broadcast",
        [WIRE_GOSSIP] = "gossip",       [WIRE_CARRIER] = "carrier", [WIRE_REKEY] = "rekey",
        [WIRE_CLOSE] = "close",         [WIRE_RECORDS] = "records", [WIRE_SYNC] = "sync",
        [WIRE_PULL] = "pull",           [WIRE_HEADS] = "heads",     [WIRE_DELTAS] = "deltas",
        [WIRE_NOTES] = "notes",
    };
    bool is_known = kind < sizeof(names) / sizeof(names[0]) && names[kind] != NULL;
    return is_known ? names[kind] : "unknown";
}

static void put_time(const struct trace_file *trace, weft_ns at) {
    weft_ns since = time_since(NS_PER_S, at);
    (void)fprintf(trace->file, "%" PRIu64 ".%09" PRIu64 " ", since / NS_PER_S, since % NS_PER_S);
}

/* Those that began since it was last asked. */
static void put_faults(struct trace_file *trace) {
    const struct fault_done *done = NULL;
    size_t count = trace->faults != NULL ? faults_done(trace->faults, &done) : 0;
    for (; trace->fault_count < count; trace->fault_count++) {
        const struct fault_done *fault = &done[trace->fault_count];
        put_time(trace, fault->at);
        (void)fprintf(trace->file, "-- fault %s %s\n", fault_kind_name(fault->kind), fault->what);
    }
}

__attribute__((format(printf, 3, 4))) static void put(struct trace_file *trace, uint32_t node,
                                                      const char *format, ...) {
    char line[TRACE_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): false when it is given several files */
    (void)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    put_faults(trace);
    put_time(trace, world_now(trace->world));
    (void)fprintf(trace->file, "%u %s\n", (unsigned)node, line);
}

static void on_sent(void *ctx, uint32_t node, uint32_t to, const struct action *action) {
    if (action->frame == NULL || action->frame->len == 0) {
        return;
    }
    size_t bytes = action->frame->len + (action->payload != NULL ? action->payload->len : 0);
    put(ctx, node, "sent to=%u kind=%s bytes=%zu", (unsigned)to,
        frame_kind_name(action->frame->data[0]), bytes);
}

static void on_received(void *ctx, uint32_t node, uint32_t from, const struct wire_frame *frame,
                        struct span payload) {
    put(ctx, node, "received from=%u kind=%s bytes=%zu", (unsigned)from,
        frame_kind_name(frame->kind), WIRE_FRAME_HEADER_BYTES + frame->body.len + payload.len);
}

static void on_link(void *ctx, uint32_t node, uint32_t other, struct link_id link, bool is_up) {
    put(ctx, node, "%s to=%u link=%" PRIu64, is_up ? "link-up" : "link-down", (unsigned)other,
        (uint64_t)link.value);
}

static void on_traced(void *ctx, uint32_t node, const struct trace_event *event) {
    static const char *const levels[] = {[TRACE_ERROR] = "error",
                                         [TRACE_WARN] = "warn",
                                         [TRACE_INFO] = "info",
                                         [TRACE_DEBUG] = "debug"};
    put(ctx, node, "core %s %s %s", levels[event->level], event->name, event->detail);
}

static void on_state(void *ctx, uint32_t node, enum node_state state) {
    static const char *const names[] = {
        [NODE_DOWN] = "down", [NODE_UP] = "up", [NODE_PAUSED] = "paused", [NODE_LEFT] = "left"};
    put(ctx, node, "node %s", names[state]);
}

struct trace_file *trace_file_new(struct world *world, FILE *file) {
    ASSERT(world != NULL && file != NULL);
    struct trace_file *trace = must(calloc(1, sizeof(*trace)));
    trace->world = world;
    trace->file = file;
    struct observer observer = {.ctx = trace,
                                .sent = on_sent,
                                .received = on_received,
                                .link = on_link,
                                .traced = on_traced,
                                .state = on_state};
    world_add_observer(world, &observer);
    return trace;
}

void trace_file_watch(struct trace_file *trace, const struct faults *faults) {
    trace->faults = faults;
}

void trace_file_free(struct trace_file *trace) {
    if (trace != NULL) {
        put_faults(trace);
        free(trace);
    }
}
