/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealing what an honest node would not say.
 */
#include "forge.h"

#include <criterion/criterion.h>

#include "stream/session.h"
#include "stream/stream.h"

struct session *forge_session(struct net *net, unsigned from, unsigned to) {
    return session_find(net->nodes[from].streams, &net->nodes[to].identity.id);
}

struct stream *forge_stream(const struct end *end) {
    return stream_of(end->node->streams, end->stream);
}

void forge_send(struct net *net, unsigned from, unsigned to, const struct wire_part *parts,
                size_t count) {
    static uint8_t bytes[65536];
    struct session_keys *keys = forge_session(net, from, to)->current;
    cr_assert_not_null(keys);
    struct wire_packet packet = {
        .type = WIRE_PACKET_SEALED, .receiver_index = keys->remote_index, .number = keys->number};
    struct wire_writer writer = wire_writer_of(bytes, 65535 - AEAD_TAG_BYTES);
    wire_packet_encode(&writer, &packet);
    for (size_t i = 0; i < count; i++) {
        wire_part_encode(&writer, &parts[i]);
    }
    cr_assert(!writer.has_failed);
    aead_seal(keys->send, keys->number++, span_of(bytes, WIRE_SEALED_HEADER_BYTES),
              bytes + WIRE_SEALED_HEADER_BYTES, writer.len - WIRE_SEALED_HEADER_BYTES);
    streams_packet(net->nodes[to].streams, &net->nodes[from].identity.id,
                   &net->nodes[from].identity.id,
                   loan_of(span_of(bytes, writer.len + AEAD_TAG_BYTES)), false, net->now);
}

bool forge_was_excess(struct net *net, unsigned by, unsigned peer, const char *what) {
    struct weft_peer_id id;
    const char *said = streams_take_excess(net->nodes[by].streams, &id);
    return said != NULL && strcmp(said, what) == 0 &&
           weft_peer_id_equal(&id, &net->nodes[peer].identity.id);
}
