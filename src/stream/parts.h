/* SPDX-License-Identifier: Apache-2.0
 *
 * What arrives: a sealed packet is opened and its parts are acted on.
 */
#ifndef STREAM_PARTS_H
#define STREAM_PARTS_H

#include "stream/state.h"

/* A sealed packet: opened, checked for repeats, its parts handled. */
void parts_packet(struct streams *streams, const struct weft_peer_id *source,
                  const struct weft_peer_id *neighbour, struct loan bytes, bool is_congested,
                  weft_ns now);

#endif
