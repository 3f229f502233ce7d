/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of a stream. Each follows from the stream, its direction and its offset, so whatever
 * arrives is checked where it arrives, and nothing need be kept:
 *
 *   client -> server   header (16), then content
 *   server -> client   UPLOAD, BULK: an answer of 8 bytes once the end came; DOWNLOAD: content;
 *                      ECHO, PING: the client's content as far as it came
 */
#include <string.h>

#include "base/check.h"
#include "sim/load_parts.h"

#define HEADER_MAGIC 0x5746466c6f773101U
#define BLOCK_BYTES ((size_t)16384)

void flow_header(uint64_t id, uint8_t out[FLOW_HEADER_BYTES]) {
    struct wire_writer writer = wire_writer_of(out, FLOW_HEADER_BYTES);
    wire_write_u64(&writer, id);
    wire_write_u64(&writer, id ^ HEADER_MAGIC);
}

bool flow_of_header(const uint8_t header[FLOW_HEADER_BYTES], uint64_t *id) {
    struct wire_reader reader = wire_reader_of(span_of(header, FLOW_HEADER_BYTES));
    *id = wire_read_u64(&reader);
    return wire_read_u64(&reader) == (*id ^ HEADER_MAGIC);
}

static bool is_echoed(const struct flow *flow) {
    return flow->shape == SHAPE_ECHO || flow->shape == SHAPE_PING;
}

/* What one side writes at an offset, the header apart. */
static void content(const struct flow *flow, enum flow_side side, uint64_t offset, uint8_t *out,
                    size_t len) {
    uint64_t direction = is_echoed(flow) ? 0 : (uint64_t)side;
    load_fill(flow->id * 2 + direction, offset, out, len);
}

/* What the side writes at an offset of its stream. */
static void expect(const struct flow *flow, enum flow_side side, uint64_t offset, uint8_t *out,
                   size_t len) {
    if (side == FLOW_SERVER) {
        content(flow, side, offset, out, len);
        return;
    }
    uint8_t header[FLOW_HEADER_BYTES];
    size_t head = 0;
    if (offset < FLOW_HEADER_BYTES) {
        head = (size_t)(FLOW_HEADER_BYTES - offset);
        head = head < len ? head : len;
        flow_header(flow->id, header);
        memcpy(out, header + offset, head);
    }
    if (len > head) {
        content(flow, side, offset + head - FLOW_HEADER_BYTES, out + head, len - head);
    }
}

/* --- writing --- */

static uint64_t client_target(const struct flow *flow) {
    switch (flow->shape) {
    case SHAPE_UPLOAD:
    case SHAPE_ECHO:
        return FLOW_HEADER_BYTES + flow->bytes;
    case SHAPE_PING:
        return FLOW_HEADER_BYTES + flow->bytes * flow->pings;
    case SHAPE_BULK:
        return flow->is_stopping ? flow->written[FLOW_CLIENT] : UINT64_MAX;
    case SHAPE_DOWNLOAD:
    case SHAPE_COUNT:
        break;
    }
    return FLOW_HEADER_BYTES;
}

static uint64_t server_target(const struct flow_end *end) {
    switch (end->flow->shape) {
    case SHAPE_UPLOAD:
    case SHAPE_BULK:
        return end->has_end ? FLOW_ANSWER_BYTES : 0;
    case SHAPE_ECHO:
    case SHAPE_PING:
        return end->read - FLOW_HEADER_BYTES;
    case SHAPE_DOWNLOAD:
    case SHAPE_COUNT:
        break;
    }
    return end->flow->bytes;
}

/* How far this end may have written by now. */
static uint64_t target_of(const struct flow_end *end) {
    return end->side == FLOW_CLIENT ? client_target(end->flow) : server_target(end);
}

/* Whether nothing will follow what has been written. */
static bool is_all(const struct flow_end *end) {
    const struct flow *flow = end->flow;
    if (end->side == FLOW_SERVER) {
        return end->has_end;
    }
    bool is_endless = flow->shape == SHAPE_PING || flow->shape == SHAPE_BULK;
    return !is_endless || flow->is_stopping;
}

/* Writes one block of what is due; false when there is no more to write or no room. */
static bool write_block(struct flow_end *end, struct streams *streams, weft_ns now) {
    struct flow *flow = end->flow;
    uint8_t block[BLOCK_BYTES];
    uint64_t due = target_of(end) - flow->written[end->side];
    size_t len = due < BLOCK_BYTES ? (size_t)due : BLOCK_BYTES;
    if (len == 0) {
        return false;
    }
    expect(flow, end->side, flow->written[end->side], block, len);
    size_t taken = streams_write(streams, end->stream, span_of(block, len), now);
    flow->written[end->side] += taken;
    return taken == len;
}

void end_write(struct flow_end *end) {
    struct flow *flow = end->flow;
    if (flow == NULL || flow->has_finished[end->side]) {
        return;
    }
    struct load *load = flow->load;
    struct streams *streams = core_streams(world_core(load->world, end->node->index));
    weft_ns now = world_node_now(load->world, end->node->index);
    while (write_block(end, streams, now)) {
    }
    if (is_all(end) && flow->written[end->side] == target_of(end)) {
        flow->has_finished[end->side] = true;
        streams_finish(streams, end->stream, now);
    }
}

/* --- reading --- */

static const char *side_name(enum flow_side side) {
    return side == FLOW_CLIENT ? "client" : "server";
}

static size_t same_bytes(const uint8_t *a, const uint8_t *b, size_t len) {
    size_t same = 0;
    if (memcmp(a, b, len) == 0) {
        return len;
    }
    while (a[same] == b[same]) {
        same++;
    }
    return same;
}

/* How many of these bytes are as they were written, up to the first that is not. */
static size_t right_bytes(const struct flow_end *end, struct span bytes) {
    uint8_t block[BLOCK_BYTES];
    enum flow_side writer = end->side == FLOW_CLIENT ? FLOW_SERVER : FLOW_CLIENT;
    size_t right = 0;
    size_t same = BLOCK_BYTES;
    while (right < bytes.len && same == BLOCK_BYTES) {
        size_t len = bytes.len - right < BLOCK_BYTES ? bytes.len - right : BLOCK_BYTES;
        expect(end->flow, writer, end->read + right, block, len);
        same = same_bytes(block, bytes.data + right, len);
        right += same;
    }
    return right;
}

static void check_bytes(const struct flow_end *end, struct span bytes) {
    const struct flow *flow = end->flow;
    enum flow_side writer = end->side == FLOW_CLIENT ? FLOW_SERVER : FLOW_CLIENT;
    uint64_t right = end->read + right_bytes(end, bytes);
    uint64_t upto = end->read + bytes.len;
    if (right < upto) {
        load_break(flow->load, "stream bytes delivered are a prefix of those written",
                   "stream %llu (%u to %u): at the %s, byte %llu is not what was written",
                   (unsigned long long)flow->id, flow->client, flow->server, side_name(end->side),
                   (unsigned long long)right);
    } else if (upto > flow->written[writer]) {
        load_break(flow->load, "stream bytes delivered are a prefix of those written",
                   "stream %llu (%u to %u): the %s read %llu bytes of %llu written",
                   (unsigned long long)flow->id, flow->client, flow->server, side_name(end->side),
                   (unsigned long long)upto, (unsigned long long)flow->written[writer]);
    }
}

static void check_end(const struct flow_end *end) {
    const struct flow *flow = end->flow;
    enum flow_side writer = end->side == FLOW_CLIENT ? FLOW_SERVER : FLOW_CLIENT;
    if (!flow->has_finished[writer] || flow->written[writer] != end->read) {
        load_break(flow->load, "a stream ends where its writer ended it",
                   "stream %llu (%u to %u): it ended for the %s after %llu bytes of %llu%s",
                   (unsigned long long)flow->id, flow->client, flow->server, side_name(end->side),
                   (unsigned long long)end->read, (unsigned long long)flow->written[writer],
                   flow->has_finished[writer] ? "" : " so far");
    }
}

/* Content came: for how long nothing had. */
static void note_progress(struct flow *flow) {
    weft_ns now = world_now(flow->load->world);
    weft_ns gap = flow->moved_at != 0 ? now - flow->moved_at : 0;
    flow->stall_max = gap > flow->stall_max ? gap : flow->stall_max;
    flow->moved_at = now;
}

/* What the server had read when the age came from which on the stream is rated. */
static void note_read(struct flow_end *end, size_t len) {
    struct flow *flow = end->flow;
    if (flow != NULL && end->side == FLOW_SERVER &&
        world_now(flow->load->world) <= flow->rated_from) {
        flow->read_before = end->read + len;
    }
}

/* A ping is back: the next goes an interval after it went. */
static void note_ping(struct flow_end *end) {
    struct flow *flow = end->flow;
    weft_ns now = world_now(flow->load->world);
    if (flow->shape != SHAPE_PING || end->side != FLOW_CLIENT ||
        end->read != flow->bytes * flow->pings) {
        return;
    }
    metric_sample(flow->load->flows.ping, (int64_t)(now - flow->ping_at));
    weft_ns next = time_after(flow->ping_at, flow->slot->spec->every_ns);
    slot_ping_at(flow->slot, next > now ? next : now);
}

/* Takes of the header what is there; the number of bytes taken. */
static size_t take_header(struct flow_end *end, struct span bytes) {
    size_t len = FLOW_HEADER_BYTES - (size_t)end->read;
    len = len < bytes.len ? len : bytes.len;
    memcpy(end->header + end->read, bytes.data, len);
    return len;
}

/* What an echo may take in: no more than it can give back. */
static size_t may_read(const struct flow_end *end, const struct streams *streams, size_t len) {
    bool is_bound = end->side == FLOW_SERVER && is_echoed(end->flow);
    if (!is_bound) {
        return len;
    }
    size_t room = streams_write_room(streams, end->stream);
    return len < room ? len : room;
}

/* The next bytes that this end takes, checked; none when it waits. */
static struct span next_bytes(struct flow_end *end, struct streams *streams) {
    struct span bytes = streams_peek(streams, end->stream);
    if (bytes.len == 0) {
        return bytes;
    }
    if (end->flow == NULL) {
        return span_of(bytes.data, take_header(end, bytes));
    }
    bytes = span_of(bytes.data, may_read(end, streams, bytes.len));
    if (bytes.len > 0) {
        check_bytes(end, bytes);
        note_progress(end->flow);
        metric_add(end->flow->load->flows.bytes, (int64_t)bytes.len);
    }
    return bytes;
}

static void give_back(struct flow_end *end) {
    if (end->side == FLOW_SERVER && is_echoed(end->flow)) {
        end_write(end);
    }
}

/* Takes all that is there; false when the end is gone for it. */
static bool read_all(struct flow_end *end, struct streams *streams, weft_ns now) {
    struct span bytes = next_bytes(end, streams);
    while (bytes.len > 0) {
        size_t len = bytes.len;
        note_read(end, len);
        end->read += len;
        streams_consume(streams, end->stream, len, now);
        if (end->flow == NULL && end->read == FLOW_HEADER_BYTES && !flow_attach(end)) {
            return false;
        }
        if (end->flow != NULL) {
            note_ping(end);
            give_back(end);
        }
        bytes = next_bytes(end, streams);
    }
    return true;
}

bool end_read(struct flow_end *end) {
    struct load *load = end->node->load;
    struct streams *streams = core_streams(world_core(load->world, end->node->index));
    if (!read_all(end, streams, world_node_now(load->world, end->node->index))) {
        return false;
    }
    if (!end->has_end && streams_is_finished(streams, end->stream) && end->flow != NULL) {
        end->has_end = true;
        check_end(end);
        end_write(end);
    }
    return true;
}
