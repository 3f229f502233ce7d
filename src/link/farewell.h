/* SPDX-License-Identifier: Apache-2.0
 *
 * The close frame: what we say when we hang up, and what the log says when the peer does.
 */
#ifndef LINK_FAREWELL_H
#define LINK_FAREWELL_H

#include "base/frame.h"
#include "link/sendq.h"
#include "wire/message.h"

/* A whole close frame; `text` (may be NULL) is cut to what fits and made printable. NULL when out
 * of memory. */
struct frame *farewell_make(enum wire_close_reason reason, const char *text);

/* The close goes behind control, however full that is; the rest is dropped. */
WEFT_MUST_CHECK enum weft_err farewell_queue(struct sendq *queue, enum wire_close_reason reason,
                                             const char *text, weft_ns now);

/* A close frame's body, told for the log: never empty, printable ASCII. WEFT_ERR_MALFORMED. */
WEFT_MUST_CHECK enum weft_err farewell_tell(struct span body, uint8_t *reason, char *out,
                                            size_t size);

#endif
