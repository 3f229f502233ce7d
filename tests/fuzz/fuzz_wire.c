/* SPDX-License-Identifier: Apache-2.0
 *
 * Every decoder of src/wire. The first byte chooses one; the rest is its input. What decodes from a
 * binary layout must encode to the very bytes it came from; msgpack bodies and lists are walked.
 */
#include "base/check.h"
#include "fuzz/fuzz.h"
#include "support/failing_alloc.h"
#include "wire/record.h"
#include "wire/session.h"
#include "wire/word.h"

#define ROOM_BYTES ((size_t)1 << 17)
#define FIRST_OTHERS 8

static void expect_same(const struct wire_writer *writer, struct span bytes) {
    ASSERT(!writer->has_failed);
    ASSERT(span_equal(span_of(writer->data, writer->len), bytes));
}

static void walk_deltas(struct span deltas) {
    struct wire_reader list = wire_reader_of(deltas);
    struct wire_delta delta;
    struct wire_edit edit;
    while (wire_reader_more(&list) && wire_deltas_next(&list, &delta) == WEFT_OK) {
        struct wire_reader edits = wire_reader_of(delta.edits);
        fuzz_touch(delta.signature);
        while (wire_edits_next(&edits, &edit)) {
            fuzz_touch(edit.bytes);
        }
    }
}

static void walk_records(struct span records) {
    struct wire_reader list = wire_reader_of(records);
    struct span item;
    while (wire_reader_more(&list) && wire_records_next(&list, &item) == WEFT_OK) {
        fuzz_touch(item);
    }
}

/* Of these lists each item has one spelling: what was read is written as it was. */
static void walk_sync(struct span items) {
    static uint8_t room[ROOM_BYTES];
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    struct wire_reader list = wire_reader_of(items);
    struct wire_sync_item item;
    while (wire_reader_more(&list) && wire_sync_next(&list, &item) == WEFT_OK) {
        wire_sync_item_encode(&writer, &item);
    }
    expect_same(&writer, span_of(items.data, items.len - list.rest.len));
}

static void walk_heads(struct span heads) {
    static uint8_t room[ROOM_BYTES];
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    struct wire_reader list = wire_reader_of(heads);
    struct wire_head head;
    while (wire_reader_more(&list) && wire_heads_next(&list, &head) == WEFT_OK) {
        wire_head_encode(&writer, &head);
    }
    expect_same(&writer, span_of(heads.data, heads.len - list.rest.len));
}

static void walk_notes(struct span notes) {
    static uint8_t room[ROOM_BYTES];
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    struct wire_reader list = wire_reader_of(notes);
    struct wire_note note;
    while (wire_reader_more(&list) && wire_notes_next(&list, &note) == WEFT_OK) {
        wire_note_encode(&writer, &note);
    }
    expect_same(&writer, span_of(notes.data, notes.len - list.rest.len));
}

static void walk_lists(const struct wire_type *type, const union wire_any *message) {
    if (type->kind == WIRE_DELTAS) {
        walk_deltas(message->deltas.list);
    } else if (type->kind == WIRE_RECORDS) {
        walk_records(message->records.list);
    } else if (type->kind == WIRE_SYNC) {
        walk_sync(message->sync.items);
    } else if (type->kind == WIRE_HEADS) {
        walk_heads(message->heads.list);
    } else if (type->kind == WIRE_NOTES) {
        walk_notes(message->notes.list);
    }
}

static void try_body(const struct wire_type *type, struct span body) {
    static uint8_t room[ROOM_BYTES];
    static const uint8_t too_long[WIRE_BODY_BYTES_MAX + 1];
    union wire_any message;
    memset(&message, 0, sizeof message);
    ASSERT(type->decode(span_of(too_long, sizeof too_long), &message) == WEFT_ERR_MALFORMED);
    memset(&message, 0, sizeof message);
    if (type->decode(body, &message) != WEFT_OK) {
        return;
    }
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    type->encode(&writer, &message);
    expect_same(&writer, body);
    ASSERT(body.len >= type->body_bytes_min && body.len <= type->body_bytes_max);
    walk_lists(type, &message);
}

static void walk_peer(struct span bytes) {
    struct wire_peer_body body;
    struct wire_peer_link link;
    struct span key;
    struct span value;
    if (wire_peer_body_decode(bytes, &body) != WEFT_OK) {
        return;
    }
    uint32_t left[] = {body.addresses.count, body.links.count, body.labels.count};
    while (wire_list_next_text(&body.addresses, &value)) {
        fuzz_touch(value);
        left[0]--;
    }
    while (wire_list_next_link(&body.links, &link)) {
        left[1]--;
    }
    while (wire_list_next_label(&body.labels, &key, &value)) {
        fuzz_touch(key);
        left[2]--;
    }
    ASSERT(left[0] == 0 && left[1] == 0 && left[2] == 0);
    ASSERT(wire_name_is_valid(body.name));
}

/* What the owner says, and what is asked of it; the owner is the neighbour in the protocol's
 * example.
 */
static void walk_word(struct span bytes) {
    const struct weft_peer_id owner = {.bytes = {0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
                                                 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf}};
    struct wire_peer_body body;
    struct wire_peer_link link;
    struct wire_word *word;
    if (wire_peer_body_decode(bytes, &body) != WEFT_OK) {
        return;
    }
    failing_alloc_arm(1);
    ASSERT(wire_word_new(&owner, &body, &word) == WEFT_ERR_MEMORY && failing_alloc_disarm());
    if (wire_word_new(&owner, &body, &word) != WEFT_OK) {
        return;
    }
    while (wire_list_next_link(&body.links, &link)) {
        bool is_own = memcmp(&link.peer, &owner, sizeof owner) == 0;
        ASSERT(wire_word_cost(word, &link.peer) == (is_own ? 0 : link.cost_us));
    }
    ASSERT(wire_word_cost(word, &owner) == 0);
    fuzz_touch(wire_word_content(word));
    wire_word_unref(wire_word_ref(word));
    wire_word_unref(word);
    wire_word_unref(NULL);
}

static void walk_key(struct span bytes) {
    struct wire_service_key key;
    if (wire_service_key_split(bytes, &key)) {
        ASSERT(wire_name_is_valid(key.name_space) && wire_name_is_valid(key.name));
    }
}

static void walk_service(struct span bytes) {
    struct wire_service_body body;
    struct wire_endpoint endpoint;
    if (wire_service_body_decode(bytes, &body) != WEFT_OK) {
        return;
    }
    uint32_t left = body.endpoints.count;
    while (wire_list_next_endpoint(&body.endpoints, &endpoint)) {
        fuzz_touch(endpoint.address);
        left--;
    }
    ASSERT(left == 0);
}

static void try_record(struct span bytes) {
    static uint8_t room[ROOM_BYTES];
    struct wire_record record;
    if (wire_record_decode(bytes, &record) != WEFT_OK) {
        return;
    }
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_record_encode_unsigned(&writer, &record);
    expect_same(&writer, record.signed_part);
    wire_write_bytes(&writer, record.signature);
    expect_same(&writer, bytes);
    walk_peer(record.body);
    walk_service(record.body);
}

static void try_packet(struct span bytes) {
    static uint8_t room[ROOM_BYTES];
    struct wire_packet packet;
    if (bytes.len <= WIRE_PACKET_BYTES_MAX && wire_packet_decode(bytes, &packet) == WEFT_OK) {
        struct wire_writer writer = wire_writer_of(room, sizeof room);
        wire_packet_encode(&writer, &packet);
        expect_same(&writer, bytes);
    }
}

static void try_parts(struct span bytes) {
    static uint8_t room[ROOM_BYTES];
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_part part;
    while (wire_reader_more(&reader)) {
        const uint8_t *begin = reader.rest.data;
        memset(&part, 0, sizeof part);
        if (wire_part_next(&reader, &part) != WEFT_OK) {
            return;
        }
        fuzz_touch(part.body);
        if (part.type >= WIRE_PART_OPEN && part.type <= WIRE_PART_FLOW_END) {
            struct wire_writer writer = wire_writer_of(room, sizeof room);
            wire_part_encode(&writer, &part);
            expect_same(&writer, span_of(begin, part.body.len + WIRE_PART_HEADER_BYTES));
        }
    }
}

static void try_hellos(struct span bytes) {
    struct wire_hello hello;
    struct wire_session_hello session;
    struct span text;
    if (wire_hello_decode(bytes, &hello) == WEFT_OK) {
        while (wire_list_next_text(&hello.addresses, &text)) {
            fuzz_touch(text);
        }
        ASSERT(hello.version_min <= hello.version_max);
    }
    if (wire_session_hello_decode(bytes, &session) == WEFT_OK) {
        ASSERT(session.incarnation > 0 && session.incarnation < WIRE_VERSION_LIMIT);
    }
}

static void try_frames(struct span bytes) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_frame frame;
    while (wire_reader_more(&reader) && wire_frame_next(&reader, &frame) == WEFT_OK) {
        const struct wire_type *type = wire_type_of(frame.kind);
        if (type != NULL) {
            try_body(type, frame.body);
        }
    }
}

static void try_msgpack(struct span bytes) {
    struct wire_reader reader = wire_reader_of(bytes);
    while (wire_reader_more(&reader)) {
        struct span item = wire_read_mp_item(&reader);
        ASSERT(reader.has_failed || item.len > 0);
        fuzz_touch(item);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const others[])(struct span bytes) = {
        try_frames, try_record, walk_peer,   walk_service, try_packet,
        try_parts,  try_hellos, try_msgpack, walk_word,    walk_key,
    };
    const size_t other_count = sizeof others / sizeof others[0];
    size_t type_count = 0;
    const struct wire_type *types = wire_types(&type_count);
    if (size == 0) {
        return 0;
    }
    /* The first eight, then the kinds of frames, then the rest: as the corpus has it. */
    size_t choice = data[0] % (other_count + type_count);
    struct span bytes = span_of(data + 1, size - 1);
    if (choice < FIRST_OTHERS) {
        others[choice](bytes);
    } else if (choice < FIRST_OTHERS + type_count) {
        try_body(&types[choice - FIRST_OTHERS], bytes);
    } else {
        others[choice - type_count](bytes);
    }
    return 0;
}
