/* SPDX-License-Identifier: Apache-2.0
 *
 * The application's side of a stream: bytes in, bytes out, the end of either.
 */
#include "base/check.h"
#include "stream/buffer.h"
#include "stream/receive.h"
#include "stream/send.h"
#include "stream/stream.h"
#include "stream/streams.h"

/* A write fell short: WRITABLE is owed. */
static void starve(struct streams *streams, struct stream *stream) {
    if (!stream->send.is_finished) {
        stream->send.wants_writable = true;
        list_push(&streams->starved, &stream->starved_link); /* at the end of the line */
    }
}

static void after_write(struct stream *stream, size_t taken, weft_ns now) {
    if (taken > 0) {
        stream_queue(stream);
    }
    if (stream->session != NULL) {
        stream_watch(stream, now);
    }
}

size_t streams_write(struct streams *streams, struct stream_id id, struct span bytes, weft_ns now) {
    struct stream *stream = stream_of(streams, id);
    if (stream == NULL) {
        return 0;
    }
    size_t taken = send_write(streams, stream, bytes);
    if (taken < bytes.len) {
        starve(streams, stream);
    }
    after_write(stream, taken, now);
    return taken;
}

uint8_t *streams_write_space(struct streams *streams, struct stream_id id, size_t *len) {
    struct stream *stream = stream_of(streams, id);
    if (stream == NULL) {
        return NULL;
    }
    uint8_t *space = send_space(streams, stream, len);
    if (space == NULL) {
        starve(streams, stream);
    }
    return space;
}

void streams_written(struct streams *streams, struct stream_id id, size_t len, weft_ns now) {
    struct stream *stream = stream_of(streams, id);
    ASSERT(stream != NULL);
    buffer_written(streams, &stream->send, len);
    after_write(stream, len, now);
}

size_t streams_write_room(const struct streams *streams, struct stream_id id) {
    const struct stream *stream = stream_of(streams, id);
    return stream == NULL ? 0 : send_room(streams, stream);
}

void streams_finish(struct streams *streams, struct stream_id id, weft_ns now) {
    struct stream *stream = stream_of(streams, id);
    if (stream == NULL || stream->state == STREAM_STATE_ENDED) {
        return;
    }
    stream->send.is_finished = true;
    stream->send.wants_writable = false;
    list_remove(&stream->starved_link);
    if (stream->session != NULL) {
        stream_queue(stream);
        stream_watch(stream, now);
    }
}

size_t streams_peek_all(const struct streams *streams, struct stream_id id, struct span *out,
                        size_t max) {
    const struct stream *stream = stream_of(streams, id);
    bool may_read = stream != NULL && stream->state != STREAM_STATE_INCOMING;
    return may_read ? receive_peek(&stream->receive, out, max) : 0;
}

struct span streams_peek(const struct streams *streams, struct stream_id id) {
    struct span first = {.data = NULL, .len = 0};
    (void)streams_peek_all(streams, id, &first, 1);
    return first;
}

void streams_consume(struct streams *streams, struct stream_id id, size_t len, weft_ns now) {
    struct stream *stream = stream_of(streams, id);
    if (stream == NULL || stream->session == NULL || stream->state == STREAM_STATE_INCOMING) {
        ASSERT(len == 0);
        return;
    }
    if (receive_consume(streams, stream, len, now)) {
        stream_owe(stream, DUE_ACK);
    }
    stream_close_if_done(stream);
}

bool streams_is_finished(const struct streams *streams, struct stream_id id) {
    const struct stream *stream = stream_of(streams, id);
    return stream != NULL && stream->state != STREAM_STATE_INCOMING &&
           receive_is_done(&stream->receive);
}
