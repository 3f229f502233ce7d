/* SPDX-License-Identifier: Apache-2.0
 *
 * Channels: who listens here, what neighbours' state leads to, and the surrogate, which relays what
 * nobody here understands.
 */
#include "gossip/internal.h"

#include <stdlib.h>

#include "base/check.h"

/* A payload that fits a frame behind travel and the longest channel name. */
#define GOSSIP_PAYLOAD_MAX (WIRE_BODY_BYTES_MAX - 4 - 1 - WEFT_NAME_MAX)

struct channel *channel_find(const struct gossip *gossip, struct span name) {
    return map_find(gossip->channels, name);
}

static struct span channel_name(const struct channel *channel) {
    return span_of_text(channel->name);
}

/* Queues state for one link. Consumes the frame. */
static void send_to(struct gossip *gossip, struct gossip_link *link, const struct channel *channel,
                    struct frame *payload) {
    if (payload == NULL) {
        return;
    }
    if (payload->len <= GOSSIP_PAYLOAD_MAX) {
        pending_put(gossip, link, channel_name(channel), payload, WIRE_HOPS_MAX);
    } else {
        gossip->counters.dropped++; /* the gossiper's own bound is its business */
    }
    frame_unref(payload);
}

/* Queues state for random neighbours but `except`. Borrows the payload. */
static void send_around(struct gossip *gossip, struct span channel, struct frame *payload,
                        uint8_t hops, const struct gossip_link *except) {
    (void)spread_pick(gossip, except, NULL, 0);
    for (size_t i = 0; i < gossip->links.count; i++) {
        struct gossip_link *link = gossip->links.items[i];
        if (link->is_picked) {
            pending_put(gossip, link, channel, payload, hops);
        }
    }
}

static struct frame *complete_of(const struct channel *channel) {
    const struct gossiper *gossiper = &channel->gossiper;
    return gossiper->complete != NULL ? gossiper->complete(gossiper->ctx) : NULL;
}

void channel_link_up(struct gossip *gossip, struct gossip_link *link) {
    for (struct map_entry *at = map_first(gossip->channels); at != NULL; at = map_next(at)) {
        const struct channel *channel = map_value(at);
        send_to(gossip, link, channel, complete_of(channel));
    }
}

void channel_round(struct gossip *gossip, struct gossip_link *link) {
    channel_link_up(gossip, link);
}

enum weft_err gossip_channel_open(struct gossip *gossip, const char *name,
                                  const struct gossiper *gossiper, weft_ns now) {
    (void)now;
    struct span text = span_of_text(name);
    if (!wire_name_is_valid(text)) {
        return WEFT_ERR_INVALID;
    }
    struct channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL) {
        return WEFT_ERR_MEMORY;
    }
    memcpy(channel->name, text.data, text.len);
    channel->gossiper = *gossiper;
    enum weft_err err = map_add(gossip->channels, text, channel);
    if (err != WEFT_OK) {
        free(channel);
        return err;
    }
    for (size_t i = 0; i < gossip->links.count; i++) {
        send_to(gossip, gossip->links.items[i], channel, complete_of(channel));
    }
    return WEFT_OK;
}

void gossip_channel_close(struct gossip *gossip, const char *name) {
    free(map_remove(gossip->channels, span_of_text(name)));
}

enum weft_err gossip_channel_send(struct gossip *gossip, const char *name, struct span payload,
                                  weft_ns now) {
    (void)now;
    const struct channel *channel = channel_find(gossip, span_of_text(name));
    if (channel == NULL) {
        return WEFT_ERR_NOT_FOUND;
    }
    if (payload.len > GOSSIP_PAYLOAD_MAX) {
        return WEFT_ERR_INVALID;
    }
    struct frame *frame = frame_copy(payload);
    if (frame == NULL) {
        return WEFT_ERR_MEMORY;
    }
    send_around(gossip, channel_name(channel), frame, WIRE_HOPS_MAX, NULL);
    frame_unref(frame);
    return WEFT_OK;
}

bool gossip_channel_unicast(struct gossip *gossip, const struct weft_peer_id *source,
                            struct span channel_text, struct span payload) {
    const struct channel *channel = channel_find(gossip, channel_text);
    if (channel == NULL || channel->gossiper.unicast == NULL) {
        return false;
    }
    channel->gossiper.unicast(channel->gossiper.ctx, source, payload);
    return true;
}

/* Whether a message went through here lately; remembers it if not. What cannot be remembered, for
 * want of memory, counts as repeated: it would go round in circles. */
static bool is_repeated(struct gossip *gossip, const struct wire_gossip *message) {
    struct span named = span_of(message->channel.data,
                                (size_t)(message->payload.data - message->channel.data) +
                                    message->payload.len); /* name and payload lie side by side */
    uint64_t hash = hash_keyed(&gossip->config.hash_key, named);
    if (gossip->repeats == NULL) {
        gossip->repeats = calloc(REPEATS_MAX, sizeof *gossip->repeats);
    }
    if (gossip->repeats == NULL) {
        gossip->counters.dropped++;
        return true;
    }
    for (size_t i = 0; i < REPEATS_MAX; i++) {
        if (gossip->repeats[i] == hash) {
            return true;
        }
    }
    gossip->repeats[gossip->repeat_next] = hash;
    gossip->repeat_next = (gossip->repeat_next + 1) % REPEATS_MAX;
    return false;
}

/* Nobody here understands the channel: on to random neighbours, once. */
static void relay(struct gossip *gossip, struct gossip_link *link,
                  const struct wire_gossip *message) {
    if (message->travel.hops <= 1 || is_repeated(gossip, message)) {
        return;
    }
    struct frame *frame = frame_copy(message->payload);
    if (frame == NULL) {
        gossip->counters.dropped++;
        return;
    }
    send_around(gossip, message->channel, frame, (uint8_t)(message->travel.hops - 1), link);
    frame_unref(frame);
}

enum weft_err channel_hear(struct gossip *gossip, struct gossip_link *link, struct span body) {
    struct wire_gossip message;
    enum weft_err err = wire_gossip_decode(body, &message);
    if (err != WEFT_OK) {
        return err;
    }
    const struct channel *channel = channel_find(gossip, message.channel);
    if (channel == NULL) {
        relay(gossip, link, &message);
        return WEFT_OK;
    }
    if (channel->gossiper.gossip == NULL) {
        return WEFT_OK;
    }
    struct frame *news = channel->gossiper.gossip(channel->gossiper.ctx, message.payload);
    if (news != NULL && news->len <= GOSSIP_PAYLOAD_MAX) {
        send_around(gossip, message.channel, news, WIRE_HOPS_MAX, link);
    }
    frame_unref(news);
    return WEFT_OK;
}
