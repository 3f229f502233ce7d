/* SPDX-License-Identifier: Apache-2.0
 *
 * THE table: one row per frame kind. The property tests and the fuzzers walk it, so that a row
 * added here is tested without being named anywhere else.
 */
#include "wire/message.h"

/* Adapts a kind's typed pair of functions to the table's untyped one. */
#define ADAPT(name)                                                                                \
    static enum weft_err name##_decode(struct span body, union wire_any *out) {                    \
        return wire_##name##_decode(body, &out->name);                                             \
    }                                                                                              \
    static void name##_encode(struct wire_writer *writer, const union wire_any *message) {         \
        wire_##name##_encode(writer, &message->name);                                              \
    }

ADAPT(heartbeat)
ADAPT(unicast)
ADAPT(broadcast)
ADAPT(gossip)
ADAPT(carrier)
ADAPT(rekey)
ADAPT(close)
ADAPT(records)
ADAPT(sync)
ADAPT(pull)
ADAPT(heads)
ADAPT(deltas)
ADAPT(notes)

#define ANY WIRE_BODY_BYTES_MAX
#define CONTROL WIRE_CLASS_CONTROL
#define MESSAGE WIRE_CLASS_MESSAGE
#define STREAM WIRE_CLASS_STREAM

static const struct wire_type types[] = {
    {WIRE_HEARTBEAT, CONTROL, "heartbeat", 21, 21, heartbeat_decode, heartbeat_encode},
    {WIRE_UNICAST, MESSAGE, "unicast", 37, ANY, unicast_decode, unicast_encode},
    {WIRE_BROADCAST, MESSAGE, "broadcast", 129, ANY, broadcast_decode, broadcast_encode},
    {WIRE_GOSSIP, MESSAGE, "gossip", 6, ANY, gossip_decode, gossip_encode},
    {WIRE_CARRIER, STREAM, "carrier", 44, 44, carrier_decode, carrier_encode},
    {WIRE_REKEY, CONTROL, "rekey", 1, 513, rekey_decode, rekey_encode},
    {WIRE_CLOSE, CONTROL, "close", 1, 201, close_decode, close_encode},
    {WIRE_RECORDS, CONTROL, "records", 0, ANY, records_decode, records_encode},
    {WIRE_SYNC, CONTROL, "sync", 8, ANY, sync_decode, sync_encode},
    {WIRE_PULL, CONTROL, "pull", 34, 34, pull_decode, pull_encode},
    {WIRE_HEADS, CONTROL, "heads", 0, ANY, heads_decode, heads_encode},
    {WIRE_DELTAS, CONTROL, "deltas", 0, ANY, deltas_decode, deltas_encode},
    {WIRE_NOTES, CONTROL, "notes", 1, ANY, notes_decode, notes_encode},
};

#define TYPE_COUNT (sizeof types / sizeof types[0])

const struct wire_type *wire_type_of(uint8_t kind) {
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (types[i].kind == (enum wire_kind)kind) {
            return &types[i];
        }
    }
    return NULL;
}

const struct wire_type *wire_types(size_t *count) {
    *count = TYPE_COUNT;
    return types;
}
