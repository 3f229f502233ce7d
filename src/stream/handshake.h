/* SPDX-License-Identifier: Apache-2.0
 *
 * What handshake.c and session.c share: the life of key sets.
 */
#ifndef STREAM_HANDSHAKE_H
#define STREAM_HANDSHAKE_H

#include "stream/session.h"

/* Wipes a key set and takes it out of the table of indices. Takes a pointer to NULL. */
void handshake_drop_keys(struct session *session, struct session_keys **keys);

/* The next time at which keys expire or must be renewed. */
void handshake_arm_keys_timer(struct session *session, weft_ns now);

#endif
