/* SPDX-License-Identifier: Apache-2.0
 *
 * What happened: each event becomes a log line, an entry in the ring that the control API shows, a
 * row in the store, and a line for whoever follows. Debug events are only logged.
 */
#include <stdio.h>
#include <stdlib.h>

#include "node/internal.h"

#define EVENTS_LOADED 200 /* of earlier runs, shown before those of this one */
#define EVENTS_BURST 200  /* of one name at once; then one a period */
#define EVENTS_PERIOD (100 * NS_PER_MS)

static void event_fini(struct node_event *event) {
    free(event->name);
    free(event->detail);
}

/* Puts a copy into the ring, in the place of the oldest if need be; NULL when out of memory. */
static const struct node_event *remember(struct node *node, const struct store_event *source) {
    struct node_event event = {
        .seq = node->event_seq + 1,
        .time_ms = source->time_ms,
        .level = source->level,
        .name = strdup(source->name),
        .detail = strdup(source->detail),
    };
    struct node_event oldest;
    if (node->events.count == EVENTS_MAX && ring_pop(&node->events, &oldest)) {
        event_fini(&oldest);
    }
    if (event.name == NULL || event.detail == NULL || ring_push(&node->events, &event) != WEFT_OK) {
        event_fini(&event);
        return NULL;
    }
    node->event_seq++;
    return ring_at(&node->events, node->events.count - 1);
}

const struct node_event *node_event_at(const struct node *node, size_t index) {
    return ring_at(&node->events, index);
}

void node_event(struct node *node, const struct trace_event *event) {
    if (node->log != NULL) {
        log_event(node->log, event);
    }
    if (event->level == TRACE_DEBUG) {
        return;
    }
    const struct store_event source = {
        .time_ms = node_wall_ms(),
        .level = event->level,
        .name = event->name,
        .detail = event->detail,
    };
    const struct node_event *kept = remember(node, &source);
    if (node->store != NULL && store_add_event(node->store, &source) != WEFT_OK) {
        node->events_unsaved++; /* the store says so itself, once */
    }
    if (kept != NULL) {
        node_control_event(node, kept);
    }
}

/* What a peer can trigger is limited by name; errors are for the operator and always told. */
static void on_trace(void *ctx, const struct trace_event *event) {
    struct node *node = ctx;
    uint64_t hidden = 0;
    if (event->level != TRACE_ERROR && event->level != TRACE_DEBUG &&
        !log_limit_pass(&node->log_limit, event->name, node_clock(), &hidden)) {
        return;
    }
    if (hidden == 0) {
        node_event(node, event);
        return;
    }
    char detail[LOG_VALUE_BYTES + 32];
    (void)snprintf(detail, sizeof(detail), "hidden=%llu %s", (unsigned long long)hidden,
                   event->detail);
    struct trace_event marked = *event;
    marked.detail = detail;
    node_event(node, &marked);
}

void node_events_init(struct node *node) {
    ring_init(&node->events, sizeof(struct node_event), EVENTS_MAX);
    log_limit_init(&node->log_limit, EVENTS_BURST, EVENTS_PERIOD);
    node->host.trace = on_trace;
}

static void load_one(void *ctx, const struct store_event *stored) {
    struct node *node = ctx;
    if (remember(node, stored) == NULL) {
        node->events_unsaved++;
    }
}

void node_events_load(struct node *node) {
    enum weft_err err = store_each_event(node->store, EVENTS_LOADED, load_one, node);
    if (err != WEFT_OK) {
        trace(&node->host, TRACE_WARN, "store-unreadable", "what=events why=%s",
              weft_err_name(err));
    }
}

void node_events_free(struct node *node) {
    struct node_event event;
    while (ring_pop(&node->events, &event)) {
        event_fini(&event);
    }
    ring_fini(&node->events);
}
