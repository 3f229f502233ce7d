/* SPDX-License-Identifier: Apache-2.0
 *
 * The session with one peer: who it is, keys made and remade by handshakes, and its timers. The
 * state machine is drawn in streams.h.
 */
#ifndef STREAM_SESSION_H
#define STREAM_SESSION_H

#include "stream/state.h"

/* The session with a peer, or NULL. */
struct session *session_find(const struct streams *streams, const struct weft_peer_id *peer);

/* The same, made for our own application if there is none. In a full table the session that was
 * idle longest goes. WEFT_ERR_INVALID: not this peer's key, or no key at all. WEFT_ERR_FULL: every
 * session has streams, flows or messages. WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err session_get(struct streams *streams, const struct weft_peer_id *peer,
                                          const struct weft_public_key *key, weft_ns now,
                                          struct session **out);

/* The same, made for a peer that asks: who mints identities must not push out what is in use. Only
 * a session goes whose handshake was never confirmed or whose keys died, or that nobody used for a
 * minute. WEFT_ERR_FULL: there is none. */
WEFT_MUST_CHECK enum weft_err session_admit(struct streams *streams,
                                            const struct weft_peer_id *peer,
                                            const struct weft_public_key *key, weft_ns now,
                                            struct session **out);

/* Frees it and its keys; it must have no streams. */
void session_free(struct session *session);

/* There may be something to send. */
void session_wake(struct session *session);

/* Whether packets can be sealed now. Starts a handshake if not. */
bool session_may_seal(struct session *session, weft_ns now);

/* The label of a stream or flow for fair queueing. Relays tell them apart by this alone, so it must
 * differ between the first of any two pairs of nodes too; and flows of datagrams, numbered like
 * streams from 1, give the complement of their number. */
uint32_t session_label(const struct session *session, uint64_t number);

/* The INIT that is due: the one before, while an answer to it may yet come, else a new one; NULL
 * when out of memory (the timer tries again). */
struct frame *session_build_init(struct session *session, weft_ns now);

/* The RESPONSE that is due, or NULL; the caller's. */
struct frame *session_take_answer(struct session *session, weft_ns now);

/* INIT, RESPONSE or UNKNOWN from a peer, or what claims to be. */
void session_handshake_packet(struct streams *streams, const struct weft_peer_id *source,
                              const struct weft_peer_id *neighbour,
                              const struct wire_packet *packet, weft_ns now);

/* The keys that a sealed packet names, if they are this peer's and may still receive; else NULL,
 * and a hint goes back if the index is not known at all. */
struct session_keys *session_keys_for(struct streams *streams, const struct weft_peer_id *source,
                                      const struct wire_packet *packet, weft_ns now);

/* A packet opened under these keys: the first one under new keys puts them in force. */
void session_confirm(struct session *session, struct session_keys *keys, weft_ns now);

/* Says what the route is now, or that streams came or went: minds the hold timer. */
void session_mind_hold(struct session *session, weft_ns now);

/* The path changed under it: what is missing is asked for at once. */
void session_path_changed(struct session *session, weft_ns now);

/* The way is another, but what is under way over the former one will arrive. */
void session_path_moved(struct session *session, weft_ns now);

/* Wants a handshake from now on, at once and then again until it is answered. */
void session_greet(struct session *session, weft_ns now);

/* There is news of the peer or the way to it: asks (again) at once. */
void session_try_now(struct session *session, weft_ns now);

/* What is asked at present says what is not so any more. */
void session_ask_anew(struct session *session);

/* Notes that a peer, with a session or not, was refused something beyond its share; `what` is a
 * literal, for streams_take_excess. */
void session_exceeded(struct streams *streams, const struct weft_peer_id *peer, const char *what);

/* Timers of a session. */
void session_handshake_timer(struct session *session, weft_ns now);
void session_keys_timer(struct session *session, weft_ns now);
void session_hold_timer(struct session *session, weft_ns now);

#endif
