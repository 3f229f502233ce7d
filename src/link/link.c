/* SPDX-License-Identifier: Apache-2.0
 *
 * One link's life: which part reads the bytes that came, which writes the bytes that go, and what
 * ends it. Of the header's diagram HELLO is sent-1, wait-1 and wait-3: handshake.c knows which.
 */
#include "link/link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/time.h"
#include "link/farewell.h"
#include "link/handshake.h"
#include "link/rekey.h"
#include "link/sendq.h"

#define CLOSE_TIMEOUT NS_PER_S /* for a peer to read our close */
#define IDLE_AFTER NS_PER_S    /* then the pools and large buffers are given back */
#define IDLE_BYTES 16384       /* both ways in that time: heartbeats and gossip fit small buffers */

enum state {
    STATE_HELLO,
    STATE_UP,
    STATE_CLOSING, /* link_close was called: the close frame goes out, nothing comes in */
    STATE_DOWN,    /* its last event is still to be given */
    STATE_GONE,
};

struct link {
    const struct link_shared *shared;
    enum link_role role;
    enum state state;
    weft_ns now;      /* the latest time anybody told */
    weft_ns deadline; /* of the handshake or of the closing */
    weft_ns idle_at;  /* when to look whether memory can go; NEVER: none is held */
    uint64_t moved;   /* bytes that had come and gone when idle_at was set */
    uint8_t close_reason;
    enum weft_err err;
    struct handshake *handshake; /* until its output is written and its event is taken */
    struct inbuf in;
    struct record_reader reader;
    struct record_writer writer;
    struct sendq queue;
    struct rekey rekey;
    struct link_counters counters;
    char detail[sizeof((struct link_event *)NULL)->detail];
};

enum weft_err link_new(const struct link_shared *shared, enum link_role role,
                       const struct weft_peer_id *expected, weft_ns now, struct link **out) {
    ASSERT(shared->identity != NULL && shared->host != NULL);
    struct hash_key key;
    struct link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        return WEFT_ERR_MEMORY;
    }
    link->shared = shared;
    link->role = role;
    link->now = now;
    link->deadline = time_after(now, LINK_HANDSHAKE_TIMEOUT);
    link->idle_at = WEFT_NEVER;
    link->in.pool = shared->blocks;
    link->in.pool_bytes_max = shared->block_bytes_max;
    record_writer_init(&link->writer);
    link->writer.pool = shared->blocks;
    host_random(shared->host, key.bytes, sizeof key.bytes);
    sendq_init(&link->queue, &key);
    enum weft_err err = handshake_new(shared, role, expected, &link->handshake);
    if (err != WEFT_OK) {
        link_free(link);
        return err;
    }
    *out = link;
    return WEFT_OK;
}

/* Gives all keys and buffers back; what is left only says why. */
static void parts_drop(struct link *link) {
    handshake_free(link->handshake);
    link->handshake = NULL;
    rekey_fini(&link->rekey);
    record_reader_fini(&link->reader);
    record_writer_fini(&link->writer);
    inbuf_fini(&link->in);
    sendq_fini(&link->queue);
}

void link_free(struct link *link) {
    if (link != NULL) {
        parts_drop(link);
        noise_wipe(link, sizeof *link);
        free(link);
    }
}

static void see(struct link *link, weft_ns now) {
    link->now = now > link->now ? now : link->now;
}

/* Whether bytes may still come and go. */
static bool is_open(const struct link *link) {
    return link->state != STATE_DOWN && link->state != STATE_GONE;
}

static uint64_t moved(const struct link *link) {
    return link->counters.bytes_in + link->counters.bytes_out;
}

/* Something is held that an idle link would not hold: look later whether it can go. */
static void stir(struct link *link) {
    if (link->idle_at == WEFT_NEVER) {
        link->moved = moved(link);
        link->idle_at = time_after(link->now, IDLE_AFTER);
    }
}

/* ---- the end ---- */

/* Nothing comes or goes from here on. Buffers stay until the event is taken: some may be lent. */
static void fail(struct link *link, const struct link_fault *fault) {
    if (!is_open(link)) {
        return;
    }
    link->state = STATE_DOWN;
    link->err = fault->err;
    (void)snprintf(link->detail, sizeof link->detail, "%s", fault->text);
}

static void fail_text(struct link *link, enum weft_err err, const char *text) {
    struct link_fault fault = {.err = err, .text = text};
    fail(link, &fault);
}

static void close_take(struct link *link, struct span body) {
    char detail[sizeof link->detail];
    enum weft_err err = farewell_tell(body, &link->close_reason, detail, sizeof detail);
    bool is_one = err == WEFT_OK;
    fail_text(link, is_one ? WEFT_ERR_REFUSED : err, is_one ? detail : "a close that is not one");
}

/* Who broke the protocol on a link that was up is told so before the end. */
static bool owes_reason(const struct link *link) {
    return link->writer.aead != NULL &&
           (link->err == WEFT_ERR_MALFORMED || link->err == WEFT_ERR_AUTH);
}

static bool down_give(struct link *link, struct link_event *out) {
    if (owes_reason(link)) {
        link->state = STATE_UP; /* as far as our sending goes */
        link_close(link, WIRE_CLOSE_PROTOCOL, link->detail);
    } else {
        link->state = STATE_GONE;
        parts_drop(link);
    }
    *out = (struct link_event){
        .kind = LINK_EVENT_DOWN, .err = link->err, .close_reason = link->close_reason};
    memcpy(out->detail, link->detail, sizeof out->detail);
    return true;
}

/* ---- bytes in ---- */

uint8_t *link_read_space(struct link *link, size_t *len) {
    switch (link->state) {
    case STATE_HELLO:
        return inbuf_space(&link->in, 0, LINK_HANDSHAKE_BYTES_MAX, len);
    case STATE_UP:
        return record_read_space(&link->reader, &link->in, len);
    case STATE_CLOSING: /* read and forgotten, so that the peer's writing does not block; behind
                           what was read before, which may be lent */
        link->in.begin = link->in.end;
        return inbuf_space(&link->in, 0, LINK_HANDSHAKE_BYTES_MAX, len);
    case STATE_DOWN:
    case STATE_GONE:
        break;
    }
    return NULL;
}

void link_read_done(struct link *link, size_t len, weft_ns now) {
    see(link, now);
    if (!is_open(link)) {
        return;
    }
    inbuf_done(&link->in, len);
    link->counters.bytes_in += len;
    stir(link);
    if (len == 0 || link->state == STATE_CLOSING) {
        inbuf_relax(&link->in, link->state == STATE_CLOSING);
    }
}

/* The peer is proven: the first keys. False without memory. */
static bool keys_take(struct link *link) {
    const struct noise_handshake *noise = link->handshake->noise;
    struct noise_keys keys;
    noise_handshake_split(noise, &keys);
    rekey_init(&link->rekey, link->role, &keys, noise_handshake_remote_static(noise), link->now);
    link->reader.aead = aead_new(AEAD_CHACHA20_POLY1305, keys.receive);
    link->writer.aead = aead_new(AEAD_CHACHA20_POLY1305, keys.send);
    noise_wipe(&keys, sizeof keys);
    return link->reader.aead != NULL && link->writer.aead != NULL;
}

static bool up_give(struct link *link, struct link_event *out) {
    if (!keys_take(link)) {
        fail_text(link, WEFT_ERR_MEMORY, "out of memory");
        return down_give(link, out);
    }
    link->state = STATE_UP;
    *out = (struct link_event){.kind = LINK_EVENT_UP,
                               .hello = link->handshake->hello,
                               .peer = link->handshake->peer,
                               .version = link->handshake->version};
    return true;
}

static bool hello_event(struct link *link, struct link_event *out) {
    struct link_fault fault;
    switch (handshake_read(link->handshake, link->shared, &link->in, &fault)) {
    case HANDSHAKE_WAIT:
        return false;
    case HANDSHAKE_DONE:
        return up_give(link, out);
    case HANDSHAKE_FAULT:
        break;
    }
    fail(link, &fault);
    return down_give(link, out);
}

/* Whether the frame is for the host. What is ours is done; what is wrong ends the link. Of an
 * unknown kind it is the host's to skip, so that it counts as work like any other. */
static bool frame_sort(struct link *link, const struct wire_frame *frame) {
    struct link_fault fault;
    link->counters.frames_in++;
    if (frame->kind == WIRE_REKEY) {
        link->rekey.records = link->reader.counter + link->writer.counter;
        if (!rekey_take(&link->rekey, link->shared, frame->body, &link->reader, link->now,
                        &fault)) {
            fail(link, &fault);
        }
        return false;
    }
    if (frame->kind == WIRE_CLOSE) {
        close_take(link, frame->body);
        return false;
    }
    if (wire_type_of(frame->kind) == NULL && (frame->flags & WIRE_FLAG_ESSENTIAL) != 0) {
        fail_text(link, WEFT_ERR_MALFORMED, "an essential frame of an unknown kind");
        return false;
    }
    return true;
}

/* Only the dialler begins; nothing happens while one is under way. */
static void rekey_begin(struct link *link) {
    if (link->role == LINK_DIALLED && rekey_start(&link->rekey, link->shared) != WEFT_OK) {
        fail_text(link, WEFT_ERR_MEMORY, "no rekeying can be begun");
    }
}

/* Records count here, time in link_tick. */
static void rekey_check(struct link *link) {
    uint64_t due = link->shared->rekey_records;
    if (link->writer.counter >= due || link->reader.counter >= due) {
        rekey_begin(link);
    }
}

/* All that came is taken. */
static bool record_wait(struct link *link, struct link_event *out) {
    link->counters.records_in = link->reader.total;
    record_reader_wait(&link->reader, &link->in, link->now);
    inbuf_relax(&link->in, false);
    rekey_check(link);
    return link->state == STATE_DOWN && down_give(link, out);
}

static bool record_event(struct link *link, struct link_event *out) {
    struct link_fault fault;
    out->kind = LINK_EVENT_FRAME;
    while (link->state == STATE_UP) {
        enum record_result result =
            record_read(&link->reader, &link->in, &out->frame, &out->payload, &fault);
        if (result == RECORD_WAIT) {
            return record_wait(link, out);
        }
        if (result == RECORD_FAULT) {
            fail(link, &fault);
        } else if (frame_sort(link, &out->frame)) {
            return true;
        }
    }
    return down_give(link, out);
}

static bool has_handshake_bytes(const struct link *link) {
    return link->handshake != NULL && handshake_pending(link->handshake).len > 0;
}

/* The handshake's memory goes when its event was taken and its last message is written. */
static void handshake_relax(struct link *link) {
    if (link->state == STATE_UP && link->handshake != NULL && !has_handshake_bytes(link)) {
        handshake_free(link->handshake);
        link->handshake = NULL;
    }
}

bool link_next_event(struct link *link, weft_ns now, struct link_event *out) {
    see(link, now);
    handshake_relax(link);
    switch (link->state) {
    case STATE_HELLO:
        return hello_event(link, out);
    case STATE_UP:
        return record_event(link, out);
    case STATE_DOWN:
        return down_give(link, out);
    case STATE_CLOSING:
    case STATE_GONE:
        break;
    }
    return false;
}

/* ---- frames out ---- */

enum weft_err link_send(struct link *link, struct frame *frame, struct frame *payload,
                        enum wire_class class, uint32_t flow, weft_ns now) {
    see(link, now);
    if (link->state != STATE_UP) {
        return WEFT_ERR_STATE;
    }
    enum weft_err err = sendq_push(&link->queue, frame, payload, class, flow, now);
    if (err == WEFT_OK) {
        stir(link);
        return WEFT_OK;
    }
    if (err == WEFT_ERR_FULL && class == WIRE_CLASS_CONTROL) {
        fail_text(link, WEFT_ERR_FULL, "the peer does not read: too much control data waits");
    }
    return err;
}

size_t link_room(const struct link *link, enum wire_class class) {
    return link->state == STATE_UP ? sendq_room(&link->queue, class) : 0;
}

uint64_t link_take_cut(struct link *link) {
    uint64_t count = link->queue.cut_count;
    link->queue.cut_count = 0;
    return count;
}

/* ---- bytes out ---- */

static void seal_next(struct link *link, weft_ns now) {
    rekey_check(link);
    if (sendq_is_empty(&link->queue) && link->rekey.frame_len == 0) {
        return;
    }
    struct span last = span_of(link->rekey.frame, link->rekey.frame_len);
    size_t count = record_seal(&link->writer, &link->queue, last, now);
    if (count == 0) {
        fail_text(link, WEFT_ERR_MEMORY, "out of memory");
        return;
    }
    link->counters.frames_out += count;
    link->counters.records_out++;
    if (last.len > 0) {
        rekey_sealed(&link->rekey, &link->writer);
    }
}

size_t link_write_spans(struct link *link, weft_ns now, struct span *out, size_t max) {
    ASSERT(max >= 1);
    see(link, now);
    if (!is_open(link)) {
        return 0;
    }
    if (has_handshake_bytes(link)) {
        out[0] = handshake_pending(link->handshake);
        return 1;
    }
    if (link->state == STATE_HELLO) {
        return 0;
    }
    if (!record_is_pending(&link->writer)) {
        seal_next(link, now);
    }
    return !is_open(link) ? 0 : record_spans(&link->writer, out, max);
}

void link_write_done(struct link *link, size_t len) {
    if (len == 0 || !is_open(link)) {
        return;
    }
    link->counters.bytes_out += len;
    stir(link);
    if (has_handshake_bytes(link)) {
        ASSERT(len <= handshake_pending(link->handshake).len);
        link->handshake->out_done += len;
        return;
    }
    record_written(&link->writer, len);
    if (sendq_is_empty(&link->queue)) {
        record_writer_relax(&link->writer);
    }
}

bool link_wants_write(const struct link *link) {
    return is_open(link) && (has_handshake_bytes(link) || record_is_pending(&link->writer) ||
                             !sendq_is_empty(&link->queue) || link->rekey.frame_len > 0);
}

void link_close(struct link *link, enum wire_close_reason reason, const char *text) {
    if (link->state == STATE_UP &&
        farewell_queue(&link->queue, reason, text, link->now) == WEFT_OK) {
        link->state = STATE_CLOSING;
        link->deadline = time_after(link->now, CLOSE_TIMEOUT);
    } else if (link->state != STATE_CLOSING) {
        link->state = STATE_GONE; /* without an event: it was the host who ended it */
    }
}

/* ---- time ---- */

/* Gives back what an idle link need not hold. */
static void relax(struct link *link) {
    link->idle_at = WEFT_NEVER;
    if (moved(link) - link->moved > IDLE_BYTES) {
        stir(link);
        return;
    }
    inbuf_relax(&link->in, true);
    record_writer_relax(&link->writer);
    sendq_relax(&link->queue);
}

static void keys_tick(struct link *link) {
    weft_ns age = time_since(link->rekey.since, link->now);
    if (age >= link->shared->keys_max) {
        fail_text(link, WEFT_ERR_TIMEOUT, "no new keys in time");
    } else if (age >= link->shared->rekey_after) {
        rekey_begin(link);
    }
    if (record_due(&link->reader) <= link->now) {
        fail_text(link, WEFT_ERR_MALFORMED, "a record that does not end");
    }
}

void link_tick(struct link *link, weft_ns now) {
    see(link, now);
    if (!is_open(link)) {
        return;
    }
    if (link->state == STATE_UP) {
        handshake_relax(link);
        keys_tick(link);
    } else if (link->now >= link->deadline) {
        fail_text(link, WEFT_ERR_TIMEOUT,
                  link->state == STATE_CLOSING ? "the peer did not read our close"
                                               : "the handshake took too long");
    }
    if (link->now >= link->idle_at) {
        relax(link);
    }
}

weft_ns link_deadline(const struct link *link) {
    if (!is_open(link)) {
        return link->state == STATE_DOWN ? link->now : WEFT_NEVER; /* now: an event waits */
    }
    weft_ns due = link->deadline;
    if (link->state == STATE_UP) {
        due = time_min(rekey_deadline(&link->rekey, link->shared), record_due(&link->reader));
    }
    return time_min(due, link->idle_at);
}

/* ---- questions ---- */

bool link_is_up(const struct link *link) {
    return link->state == STATE_UP;
}

enum link_role link_role(const struct link *link) {
    return link->role;
}

struct link_counters link_count(const struct link *link) {
    struct link_counters counters = link->counters;
    counters.rekeys = link->rekey.count;
    for (int class = 0; class < WIRE_CLASS_COUNT; class ++) {
        counters.queued_bytes += link->queue.bytes[class];
    }
    return counters;
}
