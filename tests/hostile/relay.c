/* SPDX-License-Identifier: Apache-2.0
 *
 * A relay that lies: weftd itself, a member of the mesh with honest links on both sides, but what
 * it passes on of others' sessions goes through here before its links seal it. What it does to
 * those packets, to which share of them and how often, is on a board: a file that the test maps
 * too.
 *
 *   flip          a bit of the packet
 *   cut           its last bytes are missing
 *   grow          bytes of ours behind it
 *   drop          it does not go out
 *   travel        a bit of what the frame says of it: area, level, the lower five of its hops,
 *   source        who it comes from,
 *   destination   who it goes to,
 *   flow          its flow,
 *   class         its class,
 *   flags         its flags
 *   repeat        it goes out once more, some packets later
 *   hold          it goes out some packets later
 *   invent        and a packet of ours in its name, which looks like it but for number and bytes
 *   rename        and the same in another node's name
 *   shake         as flip, but of handshakes: the others are for sealed packets
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/check.h"
#include "link/link.h"
#include "wire/session.h"

#define DELAYED_MAX 8
#define PIECE_MAX 64
#define TRAVEL_AT WIRE_FRAME_HEADER_BYTES
#define SOURCE_AT (TRAVEL_AT + 4)
#define DESTINATION_AT (SOURCE_AT + 16)
#define UNICAST_PACKET_AT (DESTINATION_AT + 16)
#define FLOW_AT (DESTINATION_AT + 16)
#define CLASS_AT (FLOW_AT + 4)
#define CARRIER_LENGTH_AT (CLASS_AT + 2)
#define SMALL_BYTES 1024 /* what heads and acknowledgements may take of a packet, and more */

enum deed {
    NOTHING,
    FLIP,
    CUT,
    GROW,
    DROP,
    TRAVEL,
    SOURCE,
    DESTINATION,
    FLOW,
    CLASS,
    FLAGS,
    REPEAT,
    HOLD,
    INVENT,
    RENAME,
    SHAKE,
    DEED_COUNT
};

/* Of which bits of a frame these deeds flip one. */
static const struct {
    size_t at;
    size_t bits; /* 0: another deed */
} heads[DEED_COUNT] = {
    [TRAVEL] = {TRAVEL_AT, 29}, [SOURCE] = {SOURCE_AT, 128}, [DESTINATION] = {DESTINATION_AT, 128},
    [FLOW] = {FLOW_AT, 32},     [CLASS] = {CLASS_AT, 8},     [FLAGS] = {WIRE_CARRIER_FLAGS_AT, 8},
};

struct board {
    _Atomic uint64_t deed;
    _Atomic uint64_t every; /* one packet in so many, at random */
    _Atomic uint64_t left;  /* deeds still to do */
    _Atomic uint64_t done;
    _Atomic uint64_t bytes; /* of the packets of these deeds, beyond SMALL_BYTES of each: payload */
};

/* What link_send was asked to send. */
struct sending {
    struct link *link;
    struct frame *frame;
    struct frame *payload;
    enum wire_class class;
    uint32_t flow;
    unsigned wait; /* packets to let pass first */
};

/* The one program of the tree that may keep state at file scope: link_send has no other. */
static struct board *board;
static struct sending delayed[DELAYED_MAX];

enum weft_err __real_link_send(struct link *link, struct frame *frame, struct frame *payload,
                               enum wire_class class, uint32_t flow, weft_ns now);
enum weft_err __wrap_link_send(struct link *link, struct frame *frame, struct frame *payload,
                               enum wire_class class, uint32_t flow, weft_ns now);

static void draw(void *out, size_t len) {
    ASSERT(getrandom(out, len, 0) == (ssize_t)len);
}

static uint64_t below(uint64_t limit) {
    uint64_t value;
    draw(&value, sizeof value);
    return value % limit;
}

/* A board that cannot be mapped is an empty one. */
static struct board *board_open(void) {
    static struct board empty;
    const char *path = getenv("RELAY_BOARD");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *found = fd < 0
                      ? MAP_FAILED
                      : mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) {
        (void)close(fd);
    }
    return found == MAP_FAILED ? &empty : found;
}

static enum weft_err put(const struct sending *what, weft_ns now) {
    return __real_link_send(what->link, what->frame, what->payload, what->class, what->flow, now);
}

/* ---- the packet inside a frame ---- */

static bool is_session(const struct sending *what) {
    uint8_t kind = what->frame->data[0];
    return kind == WIRE_UNICAST || (kind == WIRE_CARRIER && what->payload != NULL);
}

static struct span packet_of(const struct sending *what) {
    const struct frame *frame = what->frame;
    return what->payload != NULL
               ? frame_view(what->payload)
               : span_of(frame->data + UNICAST_PACKET_AT, frame->len - UNICAST_PACKET_AT);
}

static void put_u16(uint8_t *out, size_t value) {
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
}

/* The same sending with another packet of `len` bytes, which the caller fills in. */
static struct sending with_packet(const struct sending *what, size_t len, uint8_t **packet) {
    struct sending made = *what;
    size_t head = what->payload != NULL ? what->frame->len : UNICAST_PACKET_AT;
    size_t behind = what->payload != NULL ? 0 : len;
    made.frame = frame_new(head + behind);
    ASSERT(made.frame != NULL);
    made.frame->len = (uint32_t)(head + behind);
    memcpy(made.frame->data, what->frame->data, head);
    *packet = made.frame->data + head;
    if (what->payload == NULL) {
        put_u16(made.frame->data + 2, made.frame->len - WIRE_FRAME_HEADER_BYTES);
        return made;
    }
    put_u16(made.frame->data + CARRIER_LENGTH_AT, len);
    made.payload = frame_new(len);
    ASSERT(made.payload != NULL);
    made.payload->len = (uint32_t)len;
    *packet = made.payload->data;
    return made;
}

/* ---- deeds ---- */

static void flip_bit(uint8_t *data, size_t bits) {
    uint64_t bit = below(bits);
    data[bit / 8] ^= (uint8_t)(1U << bit % 8);
}

/* A copy whose packet has the length that the deed wants, spoilt as it says. */
static struct sending spoilt(const struct sending *what, enum deed deed) {
    struct span old = packet_of(what);
    size_t piece = 1 + below(PIECE_MAX);
    size_t len = deed == CUT ? old.len - (piece < old.len ? piece : 1) : old.len;
    len += deed == GROW && old.len + piece <= WIRE_PACKET_BYTES_MAX ? piece : 0;
    uint8_t *packet;
    struct sending made = with_packet(what, len, &packet);
    memcpy(packet, old.data, len < old.len ? len : old.len);
    if (deed == GROW) {
        draw(packet + old.len, len - old.len);
    } else if (deed == FLIP || deed == SHAKE) {
        flip_bit(packet, 8 * len);
    } else if (heads[deed].bits > 0) {
        flip_bit(made.frame->data + heads[deed].at, heads[deed].bits);
    } else if (deed == INVENT) { /* a number soon to come, which the true one must not lose to it */
        packet[WIRE_SEALED_HEADER_BYTES - 1] += (uint8_t)(1 + below(100));
        draw(packet + WIRE_SEALED_HEADER_BYTES, len - WIRE_SEALED_HEADER_BYTES);
    } else if (deed == RENAME) {
        draw(made.frame->data + SOURCE_AT, sizeof(struct weft_peer_id));
    }
    return made;
}

static void release(struct sending *what) {
    frame_unref(what->frame);
    frame_unref(what->payload);
    *what = (struct sending){.link = NULL};
}

/* Whether there was room. */
static bool delay(const struct sending *what) {
    size_t at = 0;
    while (at < DELAYED_MAX && delayed[at].link != NULL) {
        at++;
    }
    if (at == DELAYED_MAX) {
        return false;
    }
    delayed[at] = *what;
    delayed[at].wait = 1 + (unsigned)below(20);
    (void)frame_ref(what->frame);
    if (what->payload != NULL) {
        (void)frame_ref(what->payload);
    }
    return true;
}

/* Sends what has been held long enough. The links live as long as the test is sound. */
static void send_delayed(weft_ns now) {
    for (size_t i = 0; i < DELAYED_MAX; i++) {
        if (delayed[i].link != NULL && --delayed[i].wait == 0) {
            (void)put(&delayed[i], now);
            release(&delayed[i]);
        }
    }
}

/* Whether it was done. The packet itself goes on unless the deed is to its own bytes or its going.
 */
static bool commit(const struct sending *what, enum deed deed, enum weft_err *err, weft_ns now) {
    if (deed == DROP) {
        *err = WEFT_OK;
        return true;
    }
    if (deed == HOLD || deed == REPEAT) {
        bool is_kept = delay(what);
        *err = is_kept && deed == HOLD ? WEFT_OK : put(what, now);
        return is_kept;
    }
    struct sending made = spoilt(what, deed);
    enum weft_err sent = put(&made, now);
    frame_unref(made.frame);
    frame_unref(made.payload);
    *err = deed == INVENT || deed == RENAME ? put(what, now) : sent;
    return sent == WEFT_OK;
}

static bool is_wanted(const struct sending *what, enum deed deed) {
    if (deed == NOTHING || !is_session(what) || board->left == 0) {
        return false;
    }
    struct span packet = packet_of(what);
    bool is_sealed = packet.data[0] == WIRE_PACKET_SEALED && packet.len > WIRE_SEALED_OVERHEAD;
    bool has_head = what->payload != NULL || heads[deed].at < UNICAST_PACKET_AT;
    return has_head && is_sealed != (deed == SHAKE) && below(board->every) == 0;
}

enum weft_err __wrap_link_send(struct link *link, struct frame *frame, struct frame *payload,
                               enum wire_class class, uint32_t flow, weft_ns now) {
    board = board != NULL ? board : board_open();
    const struct sending what = {
        .link = link, .frame = frame, .payload = payload, .class = class, .flow = flow};
    enum deed deed = (enum deed)board->deed;
    enum weft_err err;
    send_delayed(now);
    if (!is_wanted(&what, deed)) {
        return put(&what, now);
    }
    size_t len = packet_of(&what).len;
    if (commit(&what, deed, &err, now)) {
        board->left--;
        board->bytes += len > SMALL_BYTES ? len - SMALL_BYTES : 0;
        board->done++;
    }
    return err;
}
