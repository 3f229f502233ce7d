/* SPDX-License-Identifier: Apache-2.0
 *
 * What is still to be said of streams and flows that are gone.
 */
#ifndef STREAM_FAREWELL_H
#define STREAM_FAREWELL_H

#include "stream/state.h"

/* Last words of a stream that is gone. A reset is kept until it is answered. */
void session_say(struct session *session, const struct farewell *farewell);
void session_say_reset(struct session *session, uint64_t stream, enum wire_reset_reason reason,
                       weft_ns now);
/* Takes back all that was to be said to the peer's former life. Its next one counts streams and
 * tokens anew, and would take them for its own. */
void session_unsay(struct session *session);
/* Whether this stream's reset may be one of those that were forgotten before they were answered: no
 * newer one of the same opener was. */
bool session_may_have_lost_reset(const struct session *session, uint64_t stream);
/* The peer answered a reset: true if there was one. */
bool session_reset_answered(struct session *session, uint64_t stream);
/* Says those again that were not answered yet. */
void session_say_resets_again(struct session *session);
void session_resets_timer(struct session *session, weft_ns now);

#endif
