/* SPDX-License-Identifier: Apache-2.0
 *
 * UNKNOWN: a hint that the other end has no such keys.
 */
#ifndef STREAM_HINT_H
#define STREAM_HINT_H

#include "stream/state.h"

/* Nobody vouches for one: at most it makes us greet the peer again, once a second. */
void hint_heard(struct streams *streams, const struct weft_peer_id *source,
                const struct wire_packet *packet, weft_ns now);

#endif
