/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams to services: which provider is asked, and who next when it refuses. Until somebody has
 * accepted, the stream keeps every byte, so the application sees nothing of a refusal.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/internal.h"

static bool was_tried(const struct attempt *attempt, const struct weft_peer_id *peer) {
    for (size_t i = 0; i < attempt->tried_count; i++) {
        if (weft_peer_id_equal(&attempt->tried[i], peer)) {
            return true;
        }
    }
    return false;
}

const struct weft_public_key *core_provider_key(const struct core *core,
                                                const struct weft_peer_id *peer) {
    const struct record *record =
        recordset_find(gossip_records(core->gossip), WIRE_RECORD_PEER, peer, (struct span){0});
    return record != NULL ? &record->owner_key : NULL;
}

/* The best provider that was not asked yet and whose key we know; fresh ones first. */
static const struct weft_public_key *next_provider(struct core *core, struct attempt *attempt) {
    if (attempt->tried_count == PROVIDERS_MAX) {
        return NULL;
    }
    struct core_provider providers[PROVIDERS_MAX];
    size_t count = core_providers_in_turn(core, attempt->name_space, attempt->name,
                                          attempt->protocol, providers, PROVIDERS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct weft_public_key *key = core_provider_key(core, &providers[i].peer);
        if (providers[i].is_self || key == NULL || was_tried(attempt, &providers[i].peer)) {
            continue;
        }
        attempt->peer = providers[i].peer;
        attempt->tried[attempt->tried_count++] = providers[i].peer;
        return key;
    }
    return NULL;
}

static struct attempt *attempt_find(const struct core *core, struct stream_id stream) {
    return map_find(core->attempts, number_span(&stream.value));
}

static void attempt_end(struct core *core, struct stream_id stream) {
    free(map_remove(core->attempts, number_span(&stream.value)));
}

void core_attempts_free(struct core *core) {
    if (core->attempts != NULL) {
        for (struct map_entry *entry = map_first(core->attempts); entry != NULL;
             entry = map_next(entry)) {
            free(map_value(entry));
        }
    }
    map_free(core->attempts);
}

static enum weft_err attempt_open(struct core *core, struct attempt *attempt) {
    const struct weft_public_key *key = next_provider(core, attempt);
    if (key == NULL) {
        return WEFT_ERR_NOT_FOUND;
    }
    const struct wire_part_open service = {
        .protocol = attempt->protocol,
        .name_space = span_of_text(attempt->name_space),
        .name = span_of_text(attempt->name),
    };
    core_watch(core, &attempt->peer);
    enum weft_err err =
        streams_open(core->streams, &attempt->peer, key, &service, core->now, &attempt->stream);
    if (err != WEFT_OK) {
        return err;
    }
    err = map_add(core->attempts, number_span(&attempt->stream.value), attempt);
    if (err != WEFT_OK) {
        streams_reset(core->streams, attempt->stream, WIRE_RESET_REFUSED, core->now);
    }
    return err;
}

enum weft_err core_stream_open(struct core *core, const char *name_space, const char *name,
                               uint8_t protocol, weft_ns now, struct stream_id *out) {
    core_enter(core, now);
    if (!wire_name_is_valid(span_of_text(name_space)) || !wire_name_is_valid(span_of_text(name))) {
        return WEFT_ERR_INVALID;
    }
    struct attempt *attempt = calloc(1, sizeof(*attempt));
    if (attempt == NULL) {
        return WEFT_ERR_MEMORY;
    }
    attempt->protocol = protocol;
    (void)snprintf(attempt->name_space, sizeof(attempt->name_space), "%s", name_space);
    (void)snprintf(attempt->name, sizeof(attempt->name), "%s", name);
    enum weft_err err = attempt_open(core, attempt);
    if (err != WEFT_OK) {
        free(attempt);
        return err;
    }
    *out = attempt->stream;
    return WEFT_OK;
}

void core_stream_reset(struct core *core, struct stream_id stream, enum wire_reset_reason reason,
                       weft_ns now) {
    core_enter(core, now);
    attempt_end(core, stream);
    streams_reset(core->streams, stream, reason, now);
}

/* Asks the next provider; false when there is none left. */
static bool retarget(struct core *core, struct attempt *attempt) {
    const struct weft_public_key *key = next_provider(core, attempt);
    if (key == NULL) {
        return false;
    }
    core_watch(core, &attempt->peer);
    return streams_retarget(core->streams, attempt->stream, &attempt->peer, key, core->now) ==
           WEFT_OK;
}

static void push_event(struct core *core, const struct stream_event *event) {
    core_push(core, &(struct action){.kind = ACTION_STREAM, .stream_event = *event});
}

static void refused(struct core *core, struct stream_event *event) {
    struct attempt *attempt = attempt_find(core, event->stream);
    if (attempt != NULL && retarget(core, attempt)) {
        return;
    }
    attempt_end(core, event->stream);
    event->kind = STREAM_EVENT_RESET;
    push_event(core, event);
}

static void stream_event(struct core *core, struct stream_event *event) {
    switch (event->kind) {
    case STREAM_EVENT_REFUSED:
        refused(core, event);
        break;
    case STREAM_EVENT_ACCEPTED:
    case STREAM_EVENT_RESET:
    case STREAM_EVENT_CLOSED:
        attempt_end(core, event->stream);
        push_event(core, event);
        break;
    case STREAM_EVENT_INCOMING:
    case STREAM_EVENT_READABLE:
    case STREAM_EVENT_WRITABLE:
        push_event(core, event);
        break;
    case STREAM_EVENT_RESUMED:
        break;
    case STREAM_EVENT_MESSAGE:
        (void)gossip_channel_unicast(core->gossip, &event->peer, span_of_text(event->name),
                                     frame_view(event->payload));
        frame_unref(event->payload);
        break;
    case STREAM_EVENT_PONG:
        core_push(core, &(struct action){
                            .kind = ACTION_PONG, .token = event->token, .peer = event->peer});
        break;
    }
}

void core_stream_events(struct core *core) {
    struct stream_event event;
    while (streams_next_event(core->streams, &event)) {
        stream_event(core, &event);
    }
}
