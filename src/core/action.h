/* SPDX-License-Identifier: Apache-2.0
 *
 * What the core wants done. Popping an action moves its frames to the host; action_release drops
 * them.
 */
#ifndef CORE_ACTION_H
#define CORE_ACTION_H

#include "base/frame.h"
#include "base/link_id.h"
#include "stream/datagrams.h"

enum action_kind {
    ACTION_SEND,             /* frame (and a carrier's payload) on link, in class, of flow */
    ACTION_CLOSE,            /* close link: reason and text */
    ACTION_DIAL,             /* connect to endpoint; answer with core_link_up or core_dial_failed */
    ACTION_SAVE_RECORD,      /* record: keep it, by its place */
    ACTION_FORGET_RECORD,    /* record: no longer needed */
    ACTION_SAVE_INCARNATION, /* token: the incarnation; keep before anything else */
    ACTION_STREAM,   /* stream_event: INCOMING, ACCEPTED, READABLE, WRITABLE, RESET, CLOSED */
    ACTION_DATAGRAM, /* datagram_event: INCOMING, DATA, END */
    ACTION_PONG,     /* token, from peer */
    ACTION_LEFT,     /* the leave is complete: stop */
};

struct action {
    enum action_kind kind;
    struct link_id link;
    struct frame *frame;
    struct frame *payload;
    enum wire_class class;
    uint32_t flow;
    enum wire_close_reason reason;
    const char *text; /* a literal */
    struct record *record;
    uint64_t token;
    struct weft_peer_id peer;
    bool is_peer_known; /* DIAL: `peer` must answer */
    char *endpoint;     /* DIAL; owned by the action */
    struct stream_event stream_event;
    struct datagram_event datagram_event;
};

void action_release(struct action *action);

#endif
