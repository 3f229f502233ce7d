/* SPDX-License-Identifier: Apache-2.0
 *
 * A peer that breaks the protocol: parts of the test's making, sealed under the real session's
 * keys.
 */
#ifndef TEST_STREAM_FORGE_H
#define TEST_STREAM_FORGE_H

#include "harness.h"
#include "stream/state.h"

/* Puts parts into a packet from one node to another and delivers it now. */
void forge_send(struct net *net, unsigned from, unsigned to, const struct wire_part *parts,
                size_t count);

/* The stream behind an end. */
struct stream *forge_stream(const struct end *end);

/* The session of one node with another. */
struct session *forge_session(struct net *net, unsigned from, unsigned to);

/* Whether one node said, since it was asked last, that another exceeded its share, and what. */
bool forge_was_excess(struct net *net, unsigned by, unsigned peer, const char *what);

#endif
