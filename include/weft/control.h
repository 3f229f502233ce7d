/* SPDX-License-Identifier: Apache-2.0
 *
 * A client of the daemon's control socket (docs/api.md): one HTTP request at a time over a Unix
 * socket, bodies as text. What the JSON means is the caller's business, so that a program may
 * bring its own JSON library. The command line `weft` is written with this and nothing else.
 *
 * Link with -lweft-control -lcurl. One client serves one thread. Calls block, at most for the time
 * that was given.
 */
#ifndef WEFT_CONTROL_H
#define WEFT_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include "weft/err.h"

/* A whole answer; beyond this the daemon is broken or is no weftd. The topology of 10,000 nodes
 * with 80,000 links is some 12 MB. */
#define WEFT_CONTROL_ANSWER_BYTES_MAX 67108864

/* One line of a followed answer; longer ones end the call with WEFT_ERR_MALFORMED. */
#define WEFT_CONTROL_LINE_BYTES_MAX 65536

struct weft_control;

/* What the daemon answered. `body` is NUL-terminated, never NULL, and may hold NULs before that. */
struct weft_control_answer {
    int http_status;
    size_t body_bytes;
    char *body;
};

/* Remembers the path of the socket, which is copied; connects only when asked something.
 * WEFT_ERR_INVALID for a path longer than the system can connect to, WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err weft_control_new(const char *socket_path, struct weft_control **out);

/* Takes NULL. */
void weft_control_free(struct weft_control *control);

/* Sends `method` ("GET", "POST", "DELETE") for `path` (with its query, already escaped) and waits
 * up to `timeout_ms` for the whole answer. `body` is JSON or NULL.
 *
 * WEFT_ERR_UNREACHABLE  nobody listens on the socket, or we may not connect to it
 * WEFT_ERR_TIMEOUT      no whole answer in time
 * WEFT_ERR_FULL         an answer longer than WEFT_CONTROL_ANSWER_BYTES_MAX
 * WEFT_ERR_IO           the daemon went away in the middle, or does not speak HTTP
 * WEFT_ERR_MEMORY
 *
 * An HTTP status that means failure is not an error here: the daemon did answer. Fini the answer.
 */
WEFT_MUST_CHECK enum weft_err weft_control_ask(struct weft_control *control, const char *method,
                                               const char *path, const char *body, long timeout_ms,
                                               struct weft_control_answer *out);

/* Frees what the answer owns. Takes zeroed memory. */
void weft_control_answer_fini(struct weft_control_answer *answer);

/* GETs a path whose answer has one text a line and may never end (`/v1/events?follow=1`). `on_line`
 * gets each line, NUL-terminated and without its line end; it returns false to stop. Returns
 * WEFT_OK when the daemon ended the answer or `on_line` did; errors as weft_control_ask, and
 * WEFT_ERR_REFUSED for an HTTP status other than 200. */
WEFT_MUST_CHECK enum weft_err weft_control_follow(struct weft_control *control, const char *path,
                                                  bool (*on_line)(void *ctx, const char *line),
                                                  void *ctx);

/* Why the last call failed, for a human; "" if it did not. Borrowed until the next call. */
const char *weft_control_error(const struct weft_control *control);

/* Escapes `text` for one segment of a path or a query's value. The caller's to free; NULL when out
 * of memory. */
char *weft_control_escape(const char *text);

#endif
