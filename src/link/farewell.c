/* SPDX-License-Identifier: Apache-2.0
 *
 * Close frames. The peer's words are made fit for a log before anybody sees them.
 */
#include "link/farewell.h"

#include <stdio.h>

#include "base/check.h"

#define TEXT_MAX 200

static const char *reason_name(uint8_t reason) {
    static const char *const names[] = {
        [WIRE_CLOSE_BYE] = "it stops",
        [WIRE_CLOSE_DUPLICATE] = "another link is kept",
        [WIRE_CLOSE_PROTOCOL] = "we broke the protocol",
        [WIRE_CLOSE_FULL] = "it has no room",
        [WIRE_CLOSE_CLONE] = "our key lives in two places",
        [WIRE_CLOSE_SILENT] = "we gave no sign of life",
        [WIRE_CLOSE_SLOW] = "we do not read",
        [WIRE_CLOSE_SURPLUS] = "it has links enough",
        [WIRE_CLOSE_SELF] = "our key is its own",
    };
    bool is_known = reason < sizeof names / sizeof names[0] && names[reason] != NULL;
    return is_known ? names[reason] : "for a reason unknown here";
}

/* The peer's words, made fit for a log. */
static void text_print(char *out, size_t size, struct span text) {
    size_t len = text.len < size ? text.len : size - 1;
    if (len > 0) {
        memcpy(out, text.data, len);
    }
    for (size_t i = 0; i < len; i++) {
        if (out[i] < ' ' || out[i] > '~') {
            out[i] = '?';
        }
    }
    out[len] = '\0';
}

struct frame *farewell_make(enum wire_close_reason reason, const char *text) {
    uint8_t bytes[WIRE_FRAME_HEADER_BYTES + 1 + TEXT_MAX];
    char printable[TEXT_MAX + 1];
    struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
    text_print(printable, sizeof printable, span_of_text(text == NULL ? "" : text));
    struct wire_close body = {.reason = (uint8_t)reason, .text = span_of_text(printable)};
    size_t begin = wire_frame_begin(&writer, WIRE_CLOSE, 0);
    wire_close_encode(&writer, &body);
    wire_frame_end(&writer, begin);
    return frame_copy(wire_writer_view(&writer));
}

enum weft_err farewell_queue(struct sendq *queue, enum wire_close_reason reason, const char *text,
                             weft_ns now) {
    struct frame *frame = farewell_make(reason, text);
    if (frame == NULL) {
        return WEFT_ERR_MEMORY;
    }
    sendq_drop(queue, WIRE_CLASS_MESSAGE);
    sendq_drop(queue, WIRE_CLASS_STREAM);
    enum weft_err err = sendq_push(queue, frame, NULL, WIRE_CLASS_CONTROL, 0, now);
    frame_unref(frame);
    return err;
}

enum weft_err farewell_tell(struct span body, uint8_t *reason, char *out, size_t size) {
    struct wire_close message;
    char text[TEXT_MAX + 1];
    ASSERT(size > 0);
    if (wire_close_decode(body, &message) != WEFT_OK) {
        return WEFT_ERR_MALFORMED;
    }
    text_print(text, sizeof text, message.text);
    *reason = message.reason;
    (void)snprintf(out, size, "the peer closed: %s%s%.120s", reason_name(message.reason),
                   text[0] == '\0' ? "" : ": ", text);
    return WEFT_OK;
}
