/* SPDX-License-Identifier: Apache-2.0
 *
 * The send queue. Items and flows live in arrays and point at each other by index, so that the
 * steady state allocates nothing and an idle link keeps nothing.
 */
#include "link/sendq.h"

#include <stdlib.h>

#include "base/check.h"

#define NONE UINT32_MAX
#define BUCKET_COUNT 256u /* four flows in each at SENDQ_FLOWS_MAX */
#define SIZE_FIRST 8u

struct sendq_flow {
    uint32_t label;
    uint32_t bucket;  /* of the label: hashed once */
    uint32_t deficit; /* bytes it may send before the round moves on */
    struct sendq_list items;
    uint32_t chain_next; /* in the bucket, or in the list of free flows */
    uint32_t turn_next;  /* in the list of fresh flows or in the round */
    weft_ns mark_at; /* when its wait will have stood for SENDQ_INTERVAL; 0: it does not stand */
};

static const size_t BYTES_MAX[WIRE_CLASS_COUNT] = {
    [WIRE_CLASS_CONTROL] = SENDQ_CONTROL_BYTES_MAX,
    [WIRE_CLASS_MESSAGE] = SENDQ_MESSAGE_BYTES_MAX,
    [WIRE_CLASS_STREAM] = SENDQ_STREAM_BYTES_MAX,
};

static const size_t LEAD_MAX[] = {
    [WIRE_CLASS_CONTROL] = SENDQ_CONTROL_LEAD,
    [WIRE_CLASS_MESSAGE] = SENDQ_MESSAGE_LEAD,
};

static const struct sendq_list EMPTY = {.head = NONE, .tail = NONE};

void sendq_init(struct sendq *queue, const struct hash_key *key) {
    *queue = (struct sendq){.key = *key,
                            .item_free = NONE,
                            .flow_free = NONE,
                            .fifo = {EMPTY, EMPTY},
                            .fresh = EMPTY,
                            .round = EMPTY};
}

void sendq_fini(struct sendq *queue) {
    for (int class = 0; class < WIRE_CLASS_COUNT; class ++) {
        sendq_drop(queue, (enum wire_class) class);
    }
    sendq_relax(queue);
}

/* ---- the pools ---- */

static bool items_grow(struct sendq *queue) {
    uint32_t size = queue->item_size == 0 ? SIZE_FIRST : queue->item_size * 2;
    struct sendq_item *items = realloc(queue->items, size * sizeof *items);
    if (items == NULL) {
        return false;
    }
    for (uint32_t i = size; i-- > queue->item_size;) {
        items[i].next = queue->item_free;
        queue->item_free = i;
    }
    queue->items = items;
    queue->item_size = size;
    return true;
}

static bool flows_grow(struct sendq *queue) {
    uint32_t size = queue->flow_size == 0 ? SIZE_FIRST : queue->flow_size * 2;
    struct sendq_flow *flows = realloc(queue->flows, size * sizeof *flows);
    if (flows == NULL) {
        return false;
    }
    for (uint32_t i = size; i-- > queue->flow_size;) {
        flows[i].items = EMPTY;
        flows[i].chain_next = queue->flow_free;
        queue->flow_free = i;
    }
    queue->flows = flows;
    queue->flow_size = size;
    return true;
}

static bool buckets_make(struct sendq *queue) {
    if (queue->buckets == NULL) {
        queue->buckets = malloc(BUCKET_COUNT * sizeof *queue->buckets);
        for (uint32_t i = 0; queue->buckets != NULL && i < BUCKET_COUNT; i++) {
            queue->buckets[i] = NONE;
        }
    }
    return queue->buckets != NULL;
}

/* ---- lists of items ---- */

static size_t item_bytes(const struct sendq_item *item) {
    return item->frame->len + (item->payload == NULL ? 0 : (size_t)item->payload->len);
}

static void list_append(struct sendq *queue, struct sendq_list *list, uint32_t index) {
    queue->items[index].next = NONE;
    if (list->tail == NONE) {
        list->head = index;
    } else {
        queue->items[list->tail].next = index;
    }
    list->tail = index;
    list->bytes += item_bytes(&queue->items[index]);
}

static struct sendq_item list_take(struct sendq *queue, struct sendq_list *list) {
    ASSERT(list->head != NONE);
    uint32_t index = list->head;
    struct sendq_item item = queue->items[index];
    list->head = item.next;
    if (list->head == NONE) {
        list->tail = NONE;
    }
    list->bytes -= item_bytes(&item);
    queue->items[index].next = queue->item_free;
    queue->item_free = index;
    return item;
}

/* ---- whose turn it is ---- */

static void turn_append(struct sendq *queue, struct sendq_list *list, uint32_t index) {
    queue->flows[index].turn_next = NONE;
    if (list->tail == NONE) {
        list->head = index;
    } else {
        queue->flows[list->tail].turn_next = index;
    }
    list->tail = index;
}

static uint32_t turn_take(struct sendq *queue, struct sendq_list *list) {
    ASSERT(list->head != NONE);
    uint32_t index = list->head;
    list->head = queue->flows[index].turn_next;
    if (list->head == NONE) {
        list->tail = NONE;
    }
    return index;
}

/* The list whose head goes next. The round has its turn at the latest when fresh flows had a
 * quantum: labels are the senders' to choose, and a new one for each packet is always fresh. */
static struct sendq_list *turn_of(struct sendq *queue) {
    bool is_fresh = queue->fresh.head != NONE &&
                    (queue->round.head == NONE || queue->fresh_bytes < SENDQ_QUANTUM);
    return is_fresh ? &queue->fresh : &queue->round;
}

static uint32_t bucket_of(const struct sendq *queue, uint32_t label) {
    return hash_keyed(&queue->key, span_of(&label, sizeof label)) % BUCKET_COUNT;
}

static uint32_t flow_find(const struct sendq *queue, uint32_t bucket, uint32_t label) {
    uint32_t index = queue->buckets[bucket];
    while (index != NONE && queue->flows[index].label != label) {
        index = queue->flows[index].chain_next;
    }
    return index;
}

/* A new flow behind the other fresh ones; there is a free one. */
static uint32_t flow_add(struct sendq *queue, uint32_t bucket, uint32_t label) {
    uint32_t index = queue->flow_free;
    queue->flow_free = queue->flows[index].chain_next;
    queue->flows[index] = (struct sendq_flow){.label = label,
                                              .bucket = bucket,
                                              .deficit = SENDQ_QUANTUM,
                                              .items = EMPTY,
                                              .chain_next = queue->buckets[bucket]};
    queue->buckets[bucket] = index;
    queue->flow_count++;
    turn_append(queue, &queue->fresh, index);
    return index;
}

/* The flow at the head of a list has nothing left and leaves. */
static void flow_remove_head(struct sendq *queue, struct sendq_list *list) {
    uint32_t index = turn_take(queue, list);
    uint32_t *place = &queue->buckets[queue->flows[index].bucket];
    while (*place != index) {
        place = &queue->flows[*place].chain_next;
    }
    *place = queue->flows[index].chain_next;
    queue->flows[index].chain_next = queue->flow_free;
    queue->flow_free = index;
    queue->flow_count--;
}

/* The flow's queue, made if need be; NONE when out of memory. With all flows taken, a new label
 * shares the queue of the last flow: it may then wait longer than is fair. */
static uint32_t flow_of(struct sendq *queue, uint32_t label) {
    if (!buckets_make(queue)) {
        return NONE;
    }
    uint32_t bucket = bucket_of(queue, label);
    uint32_t index = flow_find(queue, bucket, label);
    if (index != NONE) {
        return index;
    }
    if (queue->flow_count >= SENDQ_FLOWS_MAX) {
        return queue->round.tail != NONE ? queue->round.tail : queue->fresh.tail;
    }
    if (queue->flow_free == NONE && !flows_grow(queue)) {
        return NONE;
    }
    return flow_add(queue, bucket, label);
}

/* Turns the round until the flow whose turn it is may send its first item. */
static struct sendq_flow *next_flow(struct sendq *queue) {
    for (;;) {
        struct sendq_list *list = turn_of(queue);
        struct sendq_flow *flow = &queue->flows[list->head];
        if (flow->items.head == NONE) {
            flow_remove_head(queue, list);
            continue;
        }
        if (item_bytes(&queue->items[flow->items.head]) <= flow->deficit) {
            return flow;
        }
        flow->deficit += SENDQ_QUANTUM;
        turn_append(queue, &queue->round, turn_take(queue, list));
    }
}

/* A fresh flow that has nothing left goes through the round once, where others wait: with its next
 * item it would else be ahead of them again. */
static void flow_emptied(struct sendq *queue, struct sendq_list *list) {
    if (list == &queue->fresh && queue->round.head != NONE) {
        turn_append(queue, &queue->round, turn_take(queue, list));
    } else {
        flow_remove_head(queue, list);
    }
}

/* Whether a flow whose item waited this long is to be marked (CoDel's rule of standing). */
static bool flow_judge(struct sendq_flow *flow, weft_ns wait, weft_ns now) {
    if (wait < SENDQ_TARGET) {
        flow->mark_at = 0;
        return false;
    }
    if (flow->mark_at == 0) {
        flow->mark_at = now + SENDQ_INTERVAL;
    }
    return now >= flow->mark_at;
}

static struct sendq_item flow_take(struct sendq *queue, weft_ns now, bool *is_congested) {
    struct sendq_flow *flow = next_flow(queue);
    struct sendq_list *list = turn_of(queue);
    struct sendq_item item = list_take(queue, &flow->items);
    flow->deficit -= (uint32_t)item_bytes(&item);
    queue->fresh_bytes = list == &queue->fresh ? queue->fresh_bytes + item_bytes(&item) : 0;
    weft_ns wait = now > item.since ? now - item.since : 0;
    *is_congested = flow_judge(flow, wait, now);
    if (flow->items.head == NONE) {
        flow_emptied(queue, list);
    }
    return item;
}

/* ---- what leaves, and what gives way ---- */

static bool is_datagram(const struct frame *frame) {
    return frame->data[0] == WIRE_CARRIER &&
           (frame->data[WIRE_CARRIER_FLAGS_AT] & WIRE_CARRIER_DATAGRAM) != 0;
}

static void discount(struct sendq *queue, enum wire_class class, const struct sendq_item *item) {
    queue->bytes[class] -= item_bytes(item) + SENDQ_ITEM_BYTES;
    queue->frame_bytes -= item->frame->len;
    queue->datagram_bytes -= is_datagram(item->frame) ? item_bytes(item) : 0;
    queue->count--;
}

/* Free flows have none. */
static size_t fattest_bytes(const struct sendq *queue) {
    size_t most = 0;
    for (uint32_t i = 0; i < queue->flow_size; i++) {
        size_t bytes = queue->flows[i].items.bytes;
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* Drops what has waited longest, until the flow has no more than `left`, or all have little enough.
 * One that has nothing left stays in its list until its turn. */
static void flow_cut(struct sendq *queue, struct sendq_flow *flow, size_t left) {
    while (flow->items.bytes > left &&
           queue->bytes[WIRE_CLASS_STREAM] > SENDQ_STREAM_BYTES_MAX - SENDQ_STREAM_CUT) {
        struct sendq_item item = list_take(queue, &flow->items);
        discount(queue, WIRE_CLASS_STREAM, &item);
        queue->cut_count++;
        frame_unref(item.frame);
        frame_unref(item.payload);
    }
}

/* Makes room: of the flows with most a quarter, again and again. Each time that takes at least a
 * frame, and what the fattest has shrinks by a quarter. */
static void streams_cut(struct sendq *queue) {
    while (queue->bytes[WIRE_CLASS_STREAM] > SENDQ_STREAM_BYTES_MAX - SENDQ_STREAM_CUT) {
        size_t left = fattest_bytes(queue) / 4 * 3;
        for (uint32_t i = 0; i < queue->flow_size; i++) {
            flow_cut(queue, &queue->flows[i], left);
        }
    }
}

/* ---- the contract ---- */

/* Whether a datagram would wait so long that it is better lost now. */
static bool is_late(struct sendq *queue, uint32_t label, size_t bytes, weft_ns now) {
    if (queue->datagram_bytes + bytes > SENDQ_DATAGRAM_BYTES_MAX) {
        return true;
    }
    uint32_t index =
        queue->buckets == NULL ? NONE : flow_find(queue, bucket_of(queue, label), label);
    if (index == NONE || queue->flows[index].items.head == NONE) {
        return false;
    }
    const struct sendq_flow *flow = &queue->flows[index];
    return flow->items.bytes + bytes > SENDQ_DATAGRAM_FLOW_BYTES_MAX ||
           now > queue->items[flow->items.head].since + SENDQ_DATAGRAM_WAIT_MAX;
}

static enum weft_err list_for(struct sendq *queue, enum wire_class class, uint32_t flow,
                              struct sendq_list **out) {
    if (queue->item_free == NONE && !items_grow(queue)) {
        return WEFT_ERR_MEMORY;
    }
    if (class != WIRE_CLASS_STREAM) {
        *out = &queue->fifo[class];
        return WEFT_OK;
    }
    uint32_t index = flow_of(queue, flow);
    if (index == NONE) {
        return WEFT_ERR_MEMORY;
    }
    *out = &queue->flows[index].items;
    return WEFT_OK;
}

/* A whole frame, with a payload exactly if it is a carrier, of the length its header says. */
static bool is_sendable(const struct frame *frame, const struct frame *payload) {
    if (frame->len < WIRE_FRAME_HEADER_BYTES ||
        frame->len > WIRE_FRAME_HEADER_BYTES + WIRE_BODY_BYTES_MAX) {
        return false;
    }
    if (frame->data[0] != WIRE_CARRIER) {
        return payload == NULL;
    }
    size_t at = WIRE_FRAME_HEADER_BYTES + WIRE_CARRIER_HEADER_BYTES - 2;
    return payload != NULL && frame->len == at + 2 && payload->len > 0 &&
           payload->len == ((uint32_t)frame->data[at] << 8 | frame->data[at + 1]);
}

enum weft_err sendq_push(struct sendq *queue, struct frame *frame, struct frame *payload,
                         enum wire_class class, uint32_t flow, weft_ns now) {
    ASSERT(is_sendable(frame, payload) && class < WIRE_CLASS_COUNT);
    const struct sendq_item item = {.frame = frame, .payload = payload, .since = now, .next = NONE};
    size_t bytes = item_bytes(&item);
    if (class == WIRE_CLASS_STREAM && is_datagram(frame) && is_late(queue, flow, bytes, now)) {
        return WEFT_ERR_TIMEOUT;
    }
    if (bytes > sendq_room(queue, class)) {
        if (class != WIRE_CLASS_STREAM) {
            return WEFT_ERR_FULL;
        }
        streams_cut(queue);
    }
    struct sendq_list *list = NULL;
    enum weft_err err = list_for(queue, class, flow, &list);
    if (err != WEFT_OK) {
        return err;
    }
    uint32_t index = queue->item_free;
    queue->item_free = queue->items[index].next;
    queue->items[index] = item;
    frame_ref(frame);
    if (payload != NULL) {
        frame_ref(payload);
    }
    list_append(queue, list, index);
    queue->bytes[class] += bytes + SENDQ_ITEM_BYTES;
    queue->frame_bytes += frame->len;
    queue->datagram_bytes += is_datagram(frame) ? bytes : 0;
    queue->count++;
    return WEFT_OK;
}

/* ---- which class goes next ---- */

static bool waits_below(const struct sendq *queue, enum wire_class class) {
    return queue->bytes[WIRE_CLASS_STREAM] > 0 ||
           (class == WIRE_CLASS_CONTROL && queue->bytes[WIRE_CLASS_MESSAGE] > 0);
}

static bool may_go(const struct sendq *queue, enum wire_class class) {
    return queue->fifo[class].head != NONE &&
           (queue->lead[class] < LEAD_MAX[class] || !waits_below(queue, class));
}

/* The first class with something queued that has not used up its lead; the queue is not empty. */
static enum wire_class class_first(const struct sendq *queue) {
    ASSERT(queue->count > 0);
    if (may_go(queue, WIRE_CLASS_CONTROL)) {
        return WIRE_CLASS_CONTROL;
    }
    return may_go(queue, WIRE_CLASS_MESSAGE) ? WIRE_CLASS_MESSAGE : WIRE_CLASS_STREAM;
}

static void lead_grow(struct sendq *queue, enum wire_class class, size_t bytes) {
    queue->lead[class] = waits_below(queue, class) ? queue->lead[class] + bytes : 0;
}

static void lead_shrink(struct sendq *queue, enum wire_class class, size_t bytes) {
    queue->lead[class] -= bytes < queue->lead[class] ? bytes : queue->lead[class];
}

/* What a class sends is on account of those below it that wait, and pays back those above it. */
static void lead_count(struct sendq *queue, enum wire_class class, size_t bytes) {
    if (class == WIRE_CLASS_CONTROL) {
        lead_grow(queue, class, bytes);
        return;
    }
    lead_shrink(queue, WIRE_CLASS_CONTROL, bytes);
    if (class == WIRE_CLASS_MESSAGE) {
        lead_grow(queue, class, bytes);
    } else {
        lead_shrink(queue, WIRE_CLASS_MESSAGE, bytes);
    }
}

/* ---- taking ---- */

const struct sendq_item *sendq_peek(struct sendq *queue) {
    if (queue->count == 0) {
        return NULL;
    }
    enum wire_class class = class_first(queue);
    uint32_t index =
        class == WIRE_CLASS_STREAM ? next_flow(queue)->items.head : queue->fifo[class].head;
    return &queue->items[index];
}

static struct sendq_item take(struct sendq *queue, enum wire_class class, weft_ns now,
                              bool *is_congested) {
    struct sendq_item item = class == WIRE_CLASS_STREAM ? flow_take(queue, now, is_congested)
                                                        : list_take(queue, &queue->fifo[class]);
    discount(queue, class, &item);
    return item;
}

void sendq_pop(struct sendq *queue, weft_ns now, struct sendq_taken *out) {
    bool is_congested = false;
    enum wire_class class = class_first(queue);
    struct sendq_item item = take(queue, class, now, &is_congested);
    lead_count(queue, class, item_bytes(&item));
    *out = (struct sendq_taken){
        .frame = item.frame, .payload = item.payload, .is_congested = is_congested};
}

size_t sendq_room(const struct sendq *queue, enum wire_class class) {
    size_t used = queue->bytes[class] + SENDQ_ITEM_BYTES;
    return used >= BYTES_MAX[class] ? 0 : BYTES_MAX[class] - used;
}

void sendq_drop(struct sendq *queue, enum wire_class class) {
    while (queue->bytes[class] > 0) {
        bool is_congested = false;
        struct sendq_item item = take(queue, class, 0, &is_congested);
        frame_unref(item.frame);
        frame_unref(item.payload);
    }
}

void sendq_relax(struct sendq *queue) {
    if (queue->count > 0) {
        return;
    }
    free(queue->items);
    free(queue->flows);
    free(queue->buckets);
    struct hash_key key = queue->key;
    uint64_t cut_count = queue->cut_count;
    sendq_init(queue, &key);
    queue->cut_count = cut_count;
}
