/* SPDX-License-Identifier: Apache-2.0
 *
 * Channel gossip that waits for one link: merged per channel, so that a slow link gets the newest
 * state in bounded memory. A channel without a gossiper here cannot be merged: its last 16 frames
 * wait.
 */
#include "gossip/internal.h"

#include <stdlib.h>

#include "base/check.h"

static struct pending_gossip *pending_of(struct chain *at) {
    return CHAIN_OF(at, struct pending_gossip, all);
}

static struct span pending_channel(const struct pending_gossip *pending) {
    return span_of(pending->channel, pending->channel_len);
}

static void drop(struct gossip_link *link, struct pending_gossip *pending) {
    ASSERT(pending != NULL);
    link->gossip_bytes -= pending->payload->len;
    chain_remove(&pending->all);
    frame_unref(pending->payload);
    free(pending);
}

/* The oldest that waits for a link at all; there must be one. */
static struct pending_gossip *first(const struct gossip_link *link) {
    return pending_of(link->gossip.next); /* NOLINT(clang-analyzer-unix.Malloc): see chain.h */
}

/* The oldest that waits for a channel, and how many do. */
static struct pending_gossip *find(struct gossip_link *link, struct span channel, size_t *count) {
    struct pending_gossip *found = NULL;
    *count = 0;
    for (struct chain *at = link->gossip.next; at != &link->gossip; at = at->next) {
        if (span_equal(pending_channel(pending_of(at)), channel)) {
            found = found == NULL ? pending_of(at) : found;
            (*count)++;
        }
    }
    return found;
}

/* One state that replaces both; the newer alone if the gossiper cannot say. Takes no reference. */
static struct frame *merged(const struct channel *channel, const struct frame *older,
                            struct frame *newer) {
    struct frame *frame = NULL;
    if (channel->gossiper.merge != NULL) {
        frame =
            channel->gossiper.merge(channel->gossiper.ctx, frame_view(older), frame_view(newer));
    }
    return frame != NULL ? frame : frame_ref(newer);
}

static void replace(struct gossip_link *link, struct pending_gossip *pending,
                    struct frame *payload) {
    ASSERT(payload != NULL);
    link->gossip_bytes += payload->len;
    link->gossip_bytes -= pending->payload->len;
    frame_unref(pending->payload);
    pending->payload = payload;
}

static void append(struct gossip *gossip, struct gossip_link *link, struct span channel,
                   struct frame *payload, uint8_t hops) {
    struct pending_gossip *pending = calloc(1, sizeof *pending);
    if (pending == NULL) {
        gossip->counters.dropped++;
        return;
    }
    pending->payload = frame_ref(payload);
    pending->hops = hops;
    pending->channel_len = (uint8_t)channel.len;
    memcpy(pending->channel, channel.data, channel.len);
    chain_append(&link->gossip, &pending->all);
    link->gossip_bytes += payload->len;
}

void pending_put(struct gossip *gossip, struct gossip_link *link, struct span channel,
                 struct frame *payload, uint8_t hops) {
    size_t count;
    struct pending_gossip *older = find(link, channel, &count);
    const struct channel *known = channel_find(gossip, channel);
    if (older != NULL && known != NULL) {
        replace(link, older, merged(known, older->payload, payload));
    } else {
        if (count >= SURROGATE_QUEUE_MAX) {
            drop(link, older);
            gossip->counters.dropped++;
        }
        append(gossip, link, channel, payload, hops);
    }
    while (link->gossip_bytes > gossip->config.pending_bytes_max &&
           !chain_is_empty(&link->gossip)) {
        drop(link, first(link));
        gossip->counters.dropped++;
    }
    output_ready(gossip, link);
}

struct frame *pending_take_frame(struct gossip *gossip, struct gossip_link *link) {
    if (chain_is_empty(&link->gossip)) {
        return NULL;
    }
    struct pending_gossip *pending = first(link);
    struct wire_gossip message = {.travel = {.hops = pending->hops},
                                  .channel = pending_channel(pending),
                                  .payload = frame_view(pending->payload)};
    struct making making = output_begin(gossip, WIRE_GOSSIP);
    wire_gossip_encode(&making.writer, &message);
    struct frame *frame = output_end(&making);
    gossip->counters.dropped += frame == NULL ? 1 : 0;
    drop(link, pending);
    return frame;
}

void pending_free(struct gossip_link *link) {
    while (!chain_is_empty(&link->gossip)) {
        drop(link, first(link));
    }
}
