/* SPDX-License-Identifier: Apache-2.0
 *
 * What leaves: the packets of one session.
 */
#ifndef STREAM_PACKET_H
#define STREAM_PACKET_H

#include "stream/state.h"

/* The session's next packet: handshake, small parts, probes, then data in turn. False when it has
 * nothing, or must wait. */
bool packet_next(struct session *session, weft_ns now, struct stream_packet *out);

#endif
