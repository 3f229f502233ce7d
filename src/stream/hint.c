/* SPDX-License-Identifier: Apache-2.0
 *
 * Which keys a sealed packet names. Where none are known, as after a restart, a hint goes back, and
 * its receiver greets anew.
 */
#include "stream/hint.h"

#include "stream/session.h"

#define HINTS_PER_S 100
#define HINTS_BURST 100

void hint_heard(struct streams *streams, const struct weft_peer_id *source,
                const struct wire_packet *packet, weft_ns now) {
    struct session *session = session_find(streams, source);
    if (session == NULL || session->current == NULL || session->is_wanted ||
        session->current->remote_index != packet->receiver_index ||
        (session->hint_at != 0 && time_since(session->hint_at, now) < NS_PER_S)) {
        return;
    }
    session->hint_at = now;
    session_greet(session, now);
}

static void send_stray(struct streams *streams, const struct weft_peer_id *destination,
                       struct frame *frame) {
    struct stray stray = {.destination = *destination, .frame = frame};
    if (frame != NULL && ring_push(&streams->strays, &stray) != WEFT_OK) {
        frame_unref(frame); /* it is asked again */
    }
}

static void send_hint(struct streams *streams, const struct weft_peer_id *peer, uint32_t index,
                      weft_ns now) {
    struct wire_packet packet = {.type = WIRE_PACKET_UNKNOWN, .receiver_index = index};
    if (!bucket_take(&streams->hint_budget, 1, HINTS_PER_S, HINTS_BURST, now)) {
        return;
    }
    uint8_t bytes[WIRE_SEALED_HEADER_BYTES];
    struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
    wire_packet_encode(&writer, &packet);
    send_stray(streams, peer, frame_copy(wire_writer_view(&writer)));
}

/* Whether a packet under these keys cannot be one that their other end sent, and sent once. */
static bool is_spoilt(const struct session_keys *keys, const struct weft_peer_id *source,
                      uint64_t number) {
    return keys->receive != NULL &&
           (!weft_peer_id_equal(&keys->session->id, source) || number >= KEYS_PACKETS_MAX ||
            replay_was_seen(&keys->replay, number));
}

struct session_keys *session_keys_for(struct streams *streams, const struct weft_peer_id *source,
                                      const struct wire_packet *packet, weft_ns now) {
    struct session_keys *keys = map_find(streams->indices, keys_index(&packet->receiver_index));
    if (keys == NULL) {
        send_hint(streams, source, packet->receiver_index, now);
        return NULL;
    }
    streams->counters.packets_spoilt += is_spoilt(keys, source, packet->number) ? 1 : 0;
    bool may_receive = keys->receive != NULL && weft_peer_id_equal(&keys->session->id, source) &&
                       time_since(keys->made_at, now) < streams->config.session_max &&
                       packet->number < KEYS_PACKETS_MAX &&
                       replay_is_new(&keys->replay, packet->number);
    return may_receive ? keys : NULL;
}
