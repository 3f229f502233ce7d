/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/topology_log.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "sim/must.h"

#define NO_PLACE UINT32_MAX
/* A smaller picture says nothing. */
#define SAMPLE_MIN 16

/* How many link ends one node holds towards another. */
struct ends {
    uint32_t other;
    uint32_t count;
    bool is_up; /* the link between them; said where `other` is the larger of the two */
};

struct end_list { /* by other */
    struct ends *items;
    size_t count;
    size_t size;
};

struct topology_log {
    struct world *world;
    uint32_t node_count;
    struct end_list *lists; /* by node */
    uint32_t links_up;
    uint32_t *sample;   /* nodes by place */
    uint32_t *place_of; /* places by node, or NO_PLACE */
    uint32_t sample_count;
    struct topology_event *events;
    size_t event_count;
    size_t event_size;
};

const char *topology_event_name(enum topology_event_kind kind) {
    static const char *const names[] = {
        [TOPOLOGY_LINK_UP] = "link-up",    [TOPOLOGY_LINK_DOWN] = "link-down",
        [TOPOLOGY_NODE_UP] = "up",         [TOPOLOGY_NODE_DOWN] = "down",
        [TOPOLOGY_NODE_PAUSED] = "paused", [TOPOLOGY_NODE_LEFT] = "left",
    };
    return names[kind];
}

/* The place of `other` in the list, or where it would stand. */
static size_t list_place(const struct end_list *list, uint32_t other) {
    size_t low = 0;
    size_t high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->items[middle].other < other) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint32_t list_count(const struct end_list *list, uint32_t other) {
    size_t place = list_place(list, other);
    bool is_there = place < list->count && list->items[place].other == other;
    return is_there ? list->items[place].count : 0;
}

static struct ends *list_entry(struct end_list *list, uint32_t other) {
    size_t place = list_place(list, other);
    if (place < list->count && list->items[place].other == other) {
        return &list->items[place];
    }
    if (list->count == list->size) {
        list->size = list->size == 0 ? 8 : list->size * 2;
        list->items = must(realloc(list->items, list->size * sizeof(list->items[0])));
    }
    memmove(&list->items[place + 1], &list->items[place],
            (list->count - place) * sizeof(list->items[0]));
    list->items[place] = (struct ends){.other = other};
    list->count++;
    return &list->items[place];
}

static bool is_in_sample(const struct topology_log *log, const struct topology_event *event) {
    bool is_link = event->kind == TOPOLOGY_LINK_UP || event->kind == TOPOLOGY_LINK_DOWN;
    return event->a < log->sample_count && (!is_link || event->b < log->sample_count);
}

/* Keeps the first half of the sample and the events that speak of it. */
static void halve(struct topology_log *log) {
    size_t kept = 0;
    for (uint32_t place = log->sample_count / 2; place < log->sample_count; place++) {
        log->place_of[log->sample[place]] = NO_PLACE;
    }
    log->sample_count /= 2;
    for (size_t i = 0; i < log->event_count; i++) {
        if (is_in_sample(log, &log->events[i])) {
            log->events[kept] = log->events[i];
            kept++;
        }
    }
    log->event_count = kept;
}

static void add(struct topology_log *log, enum topology_event_kind kind, uint32_t a, uint32_t b) {
    while (log->event_count >= TOPOLOGY_LOG_EVENTS_MAX && log->sample_count > SAMPLE_MIN) {
        halve(log);
    }
    struct topology_event event = {.at = time_since(NS_PER_S, world_now(log->world)),
                                   .kind = kind,
                                   .a = log->place_of[a],
                                   .b = log->place_of[b]};
    if (!is_in_sample(log, &event) || log->event_count >= TOPOLOGY_LOG_EVENTS_MAX) {
        return;
    }
    if (log->event_count == log->event_size) {
        log->event_size = log->event_size == 0 ? 1024 : log->event_size * 2;
        log->events = must(realloc(log->events, log->event_size * sizeof(log->events[0])));
    }
    log->events[log->event_count] = event;
    log->event_count++;
}

static void set_link(struct topology_log *log, bool is_up, uint32_t node, uint32_t other) {
    uint32_t low = node < other ? node : other;
    uint32_t high = node < other ? other : node;
    struct ends *ends = list_entry(&log->lists[low], high);
    if (ends->is_up == is_up) {
        return;
    }
    ends->is_up = is_up;
    log->links_up += is_up ? 1U : 0U - 1U;
    add(log, is_up ? TOPOLOGY_LINK_UP : TOPOLOGY_LINK_DOWN, low, high);
}

static void on_link(void *ctx, uint32_t node, uint32_t other, struct link_id link, bool is_up) {
    struct topology_log *log = ctx;
    (void)link;
    struct ends *ends = list_entry(&log->lists[node], other);
    if (is_up) {
        ends->count++;
        if (list_count(&log->lists[other], node) > 0) {
            set_link(log, true, node, other);
        }
    } else if (ends->count > 0) {
        ends->count--;
        if (ends->count == 0) {
            set_link(log, false, node, other);
        }
    }
}

/* A process that died tells nobody that its links went: each is up until its other end, if that
 * lives, lets go. */
static void drop_ends(struct topology_log *log, uint32_t node) {
    struct end_list *list = &log->lists[node];
    for (size_t i = 0; i < list->count; i++) {
        uint32_t other = list->items[i].other;
        list->items[i].count = 0;
        if (list_count(&log->lists[other], node) == 0) {
            set_link(log, false, node, other);
        }
    }
}

static void on_state(void *ctx, uint32_t node, enum node_state state) {
    static const enum topology_event_kind kinds[] = {
        [NODE_DOWN] = TOPOLOGY_NODE_DOWN,
        [NODE_UP] = TOPOLOGY_NODE_UP,
        [NODE_PAUSED] = TOPOLOGY_NODE_PAUSED,
        [NODE_LEFT] = TOPOLOGY_NODE_LEFT,
    };
    struct topology_log *log = ctx;
    if (state == NODE_DOWN || state == NODE_LEFT) {
        drop_ends(log, node);
    }
    add(log, kinds[state], node, node);
}

static void take(struct topology_log *log, uint32_t node) {
    if (log->place_of[node] == NO_PLACE && log->sample_count < TOPOLOGY_LOG_NODES_MAX) {
        log->place_of[node] = log->sample_count;
        log->sample[log->sample_count] = node;
        log->sample_count++;
    }
}

/* Takes the neighbours of those taken before, `before` in number. */
static void draw_round(struct topology_log *log, const struct plan *plan, uint32_t before) {
    for (size_t i = 0; i < plan->edge_count; i++) {
        const struct scenario_edge *edge = &plan->edges[i];
        bool has_a = log->place_of[edge->a] < before;
        bool has_b = log->place_of[edge->b] < before;
        if (has_a != has_b) {
            take(log, has_a ? edge->b : edge->a);
        }
    }
}

/* Breadth first over the plan's edges, from the first node. Edges are sorted by their lower end
 * only, so each round looks at all; there are as many rounds as the plan is deep. */
static void draw_sample(struct topology_log *log, const struct plan *plan) {
    uint32_t before = 0;
    take(log, 0);
    while (before != log->sample_count && log->sample_count < TOPOLOGY_LOG_NODES_MAX) {
        before = log->sample_count;
        draw_round(log, plan, before);
    }
}

static void choose_sample(struct topology_log *log) {
    for (uint32_t node = 0; node < log->node_count; node++) {
        log->place_of[node] = NO_PLACE;
    }
    if (log->node_count > TOPOLOGY_LOG_NODES_MAX) {
        draw_sample(log, world_plan(log->world));
        return;
    }
    for (uint32_t node = 0; node < log->node_count; node++) {
        take(log, node);
    }
}

struct topology_log *topology_log_new(struct world *world) {
    ASSERT(world != NULL);
    struct topology_log *log = must(calloc(1, sizeof(*log)));
    log->world = world;
    log->node_count = world_node_count(world);
    log->lists = must(calloc(log->node_count, sizeof(log->lists[0])));
    log->sample = must(calloc(log->node_count, sizeof(log->sample[0])));
    log->place_of = must(calloc(log->node_count, sizeof(log->place_of[0])));
    choose_sample(log);
    struct observer observer = {.ctx = log, .link = on_link, .state = on_state};
    world_add_observer(world, &observer);
    return log;
}

void topology_log_free(struct topology_log *log) {
    if (log == NULL) {
        return;
    }
    for (uint32_t node = 0; node < log->node_count; node++) {
        free(log->lists[node].items);
    }
    free(log->lists);
    free(log->sample);
    free(log->place_of);
    free(log->events);
    free(log);
}

uint32_t topology_log_links_up(const struct topology_log *log) {
    return log->links_up;
}

size_t topology_log_sample(const struct topology_log *log, const uint32_t **out) {
    *out = log->sample;
    return log->sample_count;
}

size_t topology_log_events(const struct topology_log *log, const struct topology_event **out) {
    *out = log->events;
    return log->event_count;
}
