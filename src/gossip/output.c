/* SPDX-License-Identifier: Apache-2.0
 *
 * What waits for a link, and in which order it goes: control frames, then records, then broadcasts,
 * then channel gossip; between links in turn. Each queue has a bound; records and channel gossip
 * merge, control is dropped at its bound (whoever waits asks again), the oldest broadcast goes at
 * its own and heads follow, so that the far side pulls it.
 */
#include "gossip/internal.h"

#include "base/check.h"

struct making output_begin(struct gossip *gossip, enum wire_kind kind) {
    struct making making = {.writer = wire_writer_of(gossip->scratch, SCRATCH_BYTES)};
    making.begin = wire_frame_begin(&making.writer, kind, 0);
    return making;
}

struct frame *output_end(struct making *making) {
    wire_frame_end(&making->writer, making->begin);
    return making->writer.has_failed ? NULL : frame_copy(wire_writer_view(&making->writer));
}

static bool has_control(const struct gossip_link *link) {
    bool is_held = link->held_until != 0 && !link->is_bulk;
    return link->control.count > 0 || (link->pending.set_count > 0 && !is_held) || link->owes_notes;
}

static bool has_messages(const struct gossip_link *link) {
    return link->messages.count > 0 || !chain_is_empty(&link->gossip) || link->owes_heads;
}

void output_ready(struct gossip *gossip, struct gossip_link *link) {
    if (link->room > 0 && has_control(link) && chain_is_empty(&link->ready_control)) {
        chain_append(&gossip->ready_control, &link->ready_control);
    }
    if (link->room > 0 && has_messages(link) && chain_is_empty(&link->ready_message)) {
        chain_append(&gossip->ready_message, &link->ready_message);
    }
}

void output_control(struct gossip *gossip, struct gossip_link *link, struct frame *frame) {
    if (frame == NULL || ring_push(&link->control, (const void *)&frame) != WEFT_OK) {
        gossip->counters.dropped++;
        frame_unref(frame);
        return;
    }
    output_ready(gossip, link);
}

/* Drops the oldest broadcast that waits. */
static void drop_message(struct gossip *gossip, struct gossip_link *link) {
    struct frame *oldest;
    if (ring_pop(&link->messages, (void *)&oldest)) {
        link->message_bytes -= oldest->len;
        link->owes_heads = true;
        gossip->counters.dropped++;
        frame_unref(oldest);
    }
}

void output_message(struct gossip *gossip, struct gossip_link *link, struct frame *frame) {
    if (frame == NULL) {
        link->owes_heads = true;
        gossip->counters.dropped++;
        return;
    }
    while (link->messages.count > 0 &&
           (link->messages.count >= MESSAGES_MAX ||
            link->message_bytes + frame->len > gossip->config.pending_bytes_max)) {
        drop_message(gossip, link);
    }
    if (ring_push(&link->messages, (const void *)&frame) != WEFT_OK) {
        link->owes_heads = true;
        gossip->counters.dropped++;
        frame_unref(frame);
        return;
    }
    link->message_bytes += frame->len;
    output_ready(gossip, link);
}

static struct frame *take_control(struct gossip *gossip, struct gossip_link *link, weft_ns now) {
    struct frame *frame = NULL;
    if (ring_pop(&link->control, (void *)&frame)) {
        return frame;
    }
    if (link->pending.set_count > 0 && !pace_holds(gossip, link, now)) {
        frame = spread_take_frame(gossip, link);
    }
    return frame != NULL ? frame : notes_take_frame(gossip, link, now);
}

static struct frame *take_message(struct gossip *gossip, struct gossip_link *link) {
    struct frame *frame = NULL;
    if (ring_pop(&link->messages, (void *)&frame)) {
        link->message_bytes -= frame->len;
        return frame;
    }
    return pending_take_frame(gossip, link);
}

/* The queue has drained: what was dropped from it is to be asked for. */
static void pay_heads(struct gossip *gossip, struct gossip_link *link, weft_ns now) {
    if (link->owes_heads && link->messages.count == 0) {
        link->owes_heads = false;
        repair_send_heads(gossip, link, now);
    }
}

static void fill_output(struct gossip_link *link, enum wire_class class, struct frame *frame,
                        struct gossip_output *out) {
    link->room -= frame->len < link->room ? frame->len : link->room;
    *out = (struct gossip_output){.link = link->id, .class = class, .frame = frame};
}

static bool next_control(struct gossip *gossip, weft_ns now, struct gossip_output *out) {
    while (!chain_is_empty(&gossip->ready_control)) {
        struct gossip_link *link =
            CHAIN_OF(gossip->ready_control.next, struct gossip_link, ready_control);
        chain_remove(&link->ready_control);
        struct frame *frame = take_control(gossip, link, now);
        if (frame != NULL) {
            fill_output(link, WIRE_CLASS_CONTROL, frame, out);
        }
        output_ready(gossip, link);
        if (frame != NULL) {
            return true;
        }
    }
    return false;
}

static bool next_message(struct gossip *gossip, weft_ns now, struct gossip_output *out) {
    while (!chain_is_empty(&gossip->ready_message)) {
        struct gossip_link *link =
            CHAIN_OF(gossip->ready_message.next, struct gossip_link, ready_message);
        chain_remove(&link->ready_message);
        struct frame *frame = take_message(gossip, link);
        if (frame != NULL) {
            fill_output(link, WIRE_CLASS_MESSAGE, frame, out);
        }
        pay_heads(gossip, link, now);
        output_ready(gossip, link);
        if (frame != NULL) {
            return true;
        }
    }
    return false;
}

bool gossip_next_output(struct gossip *gossip, weft_ns now, struct gossip_output *out) {
    if (next_control(gossip, now, out) || next_message(gossip, now, out) ||
        next_control(gossip, now, out)) { /* the second time: heads that a drained queue owed */
        return true;
    }
    spread_forget_frame(gossip);
    return false;
}

void gossip_link_room(struct gossip *gossip, struct link_id id, size_t bytes) {
    struct gossip_link *link = gossip_link_of(gossip, id);
    if (link == NULL) {
        return;
    }
    link->room = bytes;
    if (bytes == 0) {
        chain_remove(&link->ready_control);
        chain_remove(&link->ready_message);
    }
    output_ready(gossip, link);
}

static void ring_drain(struct ring *ring) {
    struct frame *frame;
    while (ring_pop(ring, (void *)&frame)) {
        frame_unref(frame);
    }
    ring_fini(ring);
}

void output_free(struct gossip_link *link) {
    ring_drain(&link->control);
    ring_drain(&link->messages);
}
