/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames in: dispatch, deliver or forward. Packets and gossip out: onto the link that leads there.
 *
 * Bounds: a forwarded message for a link without room is dropped and counted (its end nodes find
 * out and resend), and of forwarded streams the link's queue drops those that have most in it;
 * packets of our own streams wait in their streams until the link has room.
 */
#include <stdlib.h>

#include "core/internal.h"

#define FRAME_HEAD_BYTES 64 /* a frame header and a carrier or unicast header fit */
#define NOTICES_HELD 1024   /* messages kept until the host drains us */

void core_send(struct core *core, struct core_link *link, struct frame *frame,
               struct frame *payload, enum wire_class class, uint32_t flow) {
    if (frame == NULL) {
        core->frames_dropped[CORE_DROP_MEMORY]++;
        frame_unref(payload);
        return;
    }
    size_t cost = frame->len + (payload != NULL ? payload->len : 0);
    link->room[class] -= cost < link->room[class] ? cost : link->room[class];
    link->frames_out++;
    core_push(core, &(struct action){.kind = ACTION_SEND,
                                     .link = link->id,
                                     .frame = frame,
                                     .payload = payload,
                                     .class = class,
                                     .flow = flow});
}

static struct frame *carrier_frame(struct core *core, const struct wire_carrier *carrier,
                                   uint8_t flags) {
    uint8_t bytes[FRAME_HEAD_BYTES];
    struct wire_writer writer = wire_writer_of(bytes, sizeof(bytes));
    size_t begin = wire_frame_begin(&writer, WIRE_CARRIER, flags);
    wire_carrier_encode(&writer, carrier);
    wire_frame_end(&writer, begin);
    return frame_pool_copy(core->frames, wire_writer_view(&writer));
}

static struct frame *unicast_frame(struct core *core, const struct wire_unicast *unicast,
                                   uint8_t flags) {
    struct frame *frame = frame_pool_take(core->frames, FRAME_HEAD_BYTES + unicast->packet.len);
    if (frame == NULL) {
        return NULL;
    }
    struct wire_writer writer = wire_writer_of(frame->data, frame->size);
    size_t begin = wire_frame_begin(&writer, WIRE_UNICAST, flags);
    wire_unicast_encode(&writer, unicast);
    wire_frame_end(&writer, begin);
    frame->len = (uint32_t)wire_writer_view(&writer).len;
    return frame;
}

/* A frame on its way to another node. */
struct onward {
    struct router_passage passage;
    size_t cost; /* bytes of its link's room */
    enum wire_class class;
    uint8_t flags; /* of the frame */
};

/* The link that it takes, or NULL when it must be dropped. */
static struct core_link *link_onward(struct core *core, struct onward *onward) {
    struct weft_peer_id next_hop;
    switch (router_forward(core->router, &onward->passage, core->now, &next_hop)) {
    case FORWARD_DELIVER:
        return NULL;
    case FORWARD_NO_ROUTE: /* a neighbour needs none: paths are computed a while after a change */
        next_hop = *onward->passage.destination;
        break;
    case FORWARD_NO_HOPS:
        core->frames_dropped[CORE_DROP_NO_HOPS]++;
        return NULL;
    case FORWARD_ROUND:
        onward->flags |= WIRE_FLAG_ROUND;
        break;
    case FORWARD_SEND:
        break;
    }
    const struct weft_peer_id *from = onward->passage.from;
    struct core_link *link =
        weft_peer_id_equal(&next_hop, from) ? NULL : core_neighbour(core, &next_hop);
    if (link == NULL) {
        core->frames_dropped[CORE_DROP_NO_ROUTE]++;
        return NULL;
    }
    /* The queue takes all streams, and drops of those that have most in it. */
    if (onward->class != WIRE_CLASS_STREAM && link->room[onward->class] < onward->cost) {
        core->frames_dropped[CORE_DROP_NO_ROOM]++;
        return NULL;
    }
    core->frames_forwarded++;
    return link;
}

static struct router_passage passage_of(const struct core_link *from,
                                        const struct weft_peer_id *destination, uint8_t hops,
                                        uint8_t flags) {
    return (struct router_passage){.destination = destination,
                                   .from = &from->peer,
                                   .hops = hops,
                                   .has_gone_round = (flags & WIRE_FLAG_ROUND) != 0};
}

static bool is_ours(const struct core *core, const struct weft_peer_id *peer) {
    return weft_peer_id_equal(peer, &core->config.identity->id);
}

/* A packet for us. Of messages it may bring thousands, and more packets come before the host drains
 * us: they are handed on before there is no room for more. */
static void packet_in(struct core *core, const struct core_link *link,
                      const struct weft_peer_id *source, struct loan packet, bool is_congested) {
    core_watch(core, source);
    uint64_t spoilt = streams_spoilt_count(core->streams);
    streams_packet(core->streams, source, &link->peer, packet, is_congested, core->now);
    if (streams_spoilt_count(core->streams) != spoilt) {
        core_packet_spoilt(core, source, &link->peer);
    }
    struct weft_peer_id peer;
    const char *excess = streams_take_excess(core->streams, &peer);
    if (excess != NULL) {
        core_culprit(core, &peer, excess);
    }
    if (streams_notice_count(core->streams) >= NOTICES_HELD) {
        core_stream_events(core);
    }
}

/* Units of talk that a frame costs (TALK_PER_S). */
static uint64_t talk_of(const struct wire_frame *frame) {
    switch (frame->kind) {
    case WIRE_UNICAST:
    case WIRE_CARRIER:
    case WIRE_BROADCAST:
    case WIRE_GOSSIP:
        return 0;
    case WIRE_RECORDS:
        return 1;
    case WIRE_HEARTBEAT:
        return TALK_HEARTBEAT;
    default:
        return 1 + frame->body.len / TALK_UNIT_BYTES;
    }
}

/* Takes what somebody said from the budget of its link; names who has used that up, each time that
 * it has, and refuses nothing. */
static void note_talk(struct core *core, struct core_link *link, uint64_t units, const char *what) {
    if (units > 0 && !bucket_take(&link->talk, units, TALK_PER_S, TALK_BURST, core->now)) {
        link->talk = (struct bucket){0};
        core_culprit(core, &link->peer, what);
    }
}

/* A packet that goes no further. The path to somebody who is known may be lost for a moment; a name
 * that was never heard of was made up. */
static void note_astray(struct core *core, struct core_link *link,
                        const struct weft_peer_id *destination) {
    const struct recordset *records = gossip_records(core->gossip);
    if (recordset_find(records, WIRE_RECORD_PEER, destination, (struct span){0}) == NULL) {
        note_talk(core, link, 1, "floods its link with packets for nobody");
    }
}

static void unicast_in(struct core *core, struct core_link *link, const struct wire_frame *frame) {
    struct wire_unicast unicast;
    if (wire_unicast_decode(frame->body, &unicast) != WEFT_OK) {
        core_link_blame(core, link, "sent a malformed frame", "malformed unicast");
        return;
    }
    if (is_ours(core, &unicast.destination)) {
        packet_in(core, link, &unicast.source, loan_of(unicast.packet), false);
        return;
    }
    struct onward onward = {
        .passage = passage_of(link, &unicast.destination, unicast.travel.hops, frame->flags),
        .cost = FRAME_HEAD_BYTES + unicast.packet.len,
        .class = WIRE_CLASS_MESSAGE,
        .flags = frame->flags};
    struct core_link *next = link_onward(core, &onward);
    if (next == NULL) {
        note_astray(core, link, &unicast.destination);
        return;
    }
    unicast.travel.hops = (uint8_t)(unicast.travel.hops - (DEFECT(HOPS_KEPT) ? 0 : 1));
    core_send(core, next, unicast_frame(core, &unicast, onward.flags), NULL, WIRE_CLASS_MESSAGE, 0);
}

static void carrier_in(struct core *core, struct core_link *link, const struct wire_frame *frame,
                       struct loan payload) {
    struct wire_carrier carrier;
    if (wire_carrier_decode(frame->body, &carrier) != WEFT_OK ||
        payload.bytes.len != carrier.length || carrier.class >= WIRE_CLASS_COUNT ||
        carrier.class == WIRE_CLASS_CONTROL) {
        core_link_blame(core, link, "sent a malformed frame", "malformed carrier");
        return;
    }
    if (is_ours(core, &carrier.destination)) {
        packet_in(core, link, &carrier.source, payload,
                  (carrier.flags & WIRE_CARRIER_CONGESTED) != 0);
        return;
    }
    struct onward onward = {
        .passage = passage_of(link, &carrier.destination, carrier.travel.hops, frame->flags),
        .cost = FRAME_HEAD_BYTES + payload.bytes.len,
        .class = (enum wire_class)carrier.class,
        .flags = frame->flags};
    struct core_link *next = link_onward(core, &onward);
    if (next == NULL) {
        note_astray(core, link, &carrier.destination);
        return;
    }
    struct frame *kept = frame_pool_keep(core->frames, &payload);
    carrier.travel.hops = (uint8_t)(carrier.travel.hops - (DEFECT(HOPS_KEPT) ? 0 : 1));
    core_send(core, next, kept != NULL ? carrier_frame(core, &carrier, onward.flags) : NULL, kept,
              onward.class, carrier.flow);
}

static void gossip_in(struct core *core, struct core_link *link, const struct wire_frame *frame) {
    if (!link->is_used) {
        return;
    }
    enum weft_err err = gossip_frame(core->gossip, link->id, frame, core->now);
    if (err == WEFT_ERR_AUTH) {
        core_link_blame(core, link, "sent a record or broadcast with a false signature",
                        "false signature");
    } else if (err == WEFT_ERR_MALFORMED) {
        core_link_blame(core, link, "sent a malformed frame", "malformed gossip");
    }
}

/* Where there is a real link, it reads the frame itself and the host calls core_link_bye. */
static void close_in(struct core *core, struct core_link *link, struct span body) {
    struct wire_close message;
    if (wire_close_decode(body, &message) != WEFT_OK) {
        core_link_blame(core, link, "sent a malformed frame", "malformed close");
        return;
    }
    core_link_bye(core, link->id, (enum wire_close_reason)message.reason, core->now);
}

static void unknown_in(struct core *core, struct core_link *link, const struct wire_frame *frame) {
    if ((frame->flags & WIRE_FLAG_ESSENTIAL) != 0) {
        core_link_blame(core, link, "sent an essential frame of an unknown kind",
                        "essential frame of an unknown kind");
    }
}

static void dispatch(struct core *core, struct core_link *link, const struct wire_frame *frame,
                     struct loan payload) {
    switch (frame->kind) {
    case WIRE_HEARTBEAT:
        core_heartbeat_in(core, link, frame);
        break;
    case WIRE_UNICAST:
        unicast_in(core, link, frame);
        break;
    case WIRE_CARRIER:
        carrier_in(core, link, frame, payload);
        break;
    case WIRE_BROADCAST:
    case WIRE_GOSSIP:
    case WIRE_RECORDS:
    case WIRE_DELTAS:
    case WIRE_NOTES:
    case WIRE_SYNC:
    case WIRE_PULL:
    case WIRE_HEADS:
        gossip_in(core, link, frame);
        break;
    case WIRE_CLOSE:
        close_in(core, link, frame->body);
        break;
    case WIRE_REKEY:
        break; /* the link's own business, where there is a real link */
    default:
        unknown_in(core, link, frame);
        break;
    }
}

void core_link_frame(struct core *core, struct link_id id, const struct wire_frame *frame,
                     struct loan payload, weft_ns now) {
    core_enter(core, now);
    struct core_link *link = core_link_find(core, id);
    if (link == NULL || link->is_closing) {
        return;
    }
    core_trial_heard(core, link);
    link->last_heard = now;
    link->frames_in++;
    note_talk(core, link, talk_of(frame), "floods its link with control frames");
    dispatch(core, link, frame, payload);
}

/* Which link a packet of our own takes; NULL when there is none now. */
static struct core_link *link_towards(const struct core *core, const struct weft_peer_id *peer) {
    struct weft_peer_id next_hop;
    if (!router_next_hop(core->router, peer, &next_hop)) {
        next_hop = *peer;
    }
    return core_neighbour(core, &next_hop);
}

bool core_has_room(const size_t room[WIRE_CLASS_COUNT]) {
    return room[WIRE_CLASS_STREAM] >= STREAM_ROOM_MIN &&
           room[WIRE_CLASS_MESSAGE] >= MESSAGE_ROOM_MIN;
}

static void block(struct core *core, const struct weft_peer_id *peer,
                  const struct core_link *link) {
    struct blocked *blocked = calloc(1, sizeof(*blocked));
    if (blocked == NULL) {
        return; /* then the link's own bound refuses, and the stream resends */
    }
    *blocked = (struct blocked){.peer = *peer, .link = link->id};
    if (map_add(core->blocked, peer_span(&blocked->peer), blocked) != WEFT_OK) {
        free(blocked);
        return;
    }
    streams_block(core->streams, peer, true);
}

void core_unblock_peer(struct core *core, const struct weft_peer_id *peer) {
    struct blocked *blocked = map_remove(core->blocked, peer_span(peer));
    if (blocked != NULL) {
        streams_block(core->streams, peer, false);
        free(blocked);
    }
}

void core_unblock(struct core *core, const struct core_link *link) {
    struct map_entry *entry = map_first(core->blocked);
    while (entry != NULL && !DEFECT(UNBLOCK_FORGOTTEN)) {
        const struct blocked *blocked = map_value(entry);
        entry = map_next(entry);
        if (link_id_equal(blocked->link, link->id)) {
            const struct weft_peer_id peer = blocked->peer;
            core_unblock_peer(core, &peer);
        }
    }
}

void core_blocked_free(struct core *core) {
    if (core->blocked != NULL) {
        for (struct map_entry *entry = map_first(core->blocked); entry != NULL;
             entry = map_next(entry)) {
            free(map_value(entry));
        }
    }
    map_free(core->blocked);
}

static void send_as_unicast(struct core *core, struct core_link *link,
                            const struct stream_packet *packet) {
    const struct wire_unicast unicast = {
        .travel = {.hops = WIRE_HOPS_MAX},
        .source = core->config.identity->id,
        .destination = packet->destination,
        .packet = frame_view(packet->frame),
    };
    core_send(core, link, unicast_frame(core, &unicast, 0), NULL, WIRE_CLASS_MESSAGE, 0);
    frame_unref(packet->frame);
}

static void send_as_carrier(struct core *core, struct core_link *link,
                            const struct stream_packet *packet) {
    const struct wire_carrier carrier = {
        .travel = {.hops = WIRE_HOPS_MAX},
        .source = core->config.identity->id,
        .destination = packet->destination,
        .flow = packet->flow,
        .class = (uint8_t)packet->class,
        .flags = packet->is_datagram ? WIRE_CARRIER_DATAGRAM : 0,
        .length = (uint16_t)packet->frame->len,
    };
    core_send(core, link, carrier_frame(core, &carrier, 0), packet->frame, packet->class,
              packet->flow);
}

static void packet_out(struct core *core, const struct stream_packet *packet) {
    struct core_link *link = link_towards(core, &packet->destination);
    if (link == NULL) {
        core->frames_dropped[CORE_DROP_NO_ROUTE]++;
        frame_unref(packet->frame);
        return;
    }
    if (packet->class == WIRE_CLASS_STREAM || packet->frame->len >= CARRIER_BYTES_MIN) {
        send_as_carrier(core, link, packet);
    } else {
        send_as_unicast(core, link, packet);
    }
    if (!core_has_room(link->room)) {
        block(core, &packet->destination, link);
    }
}

/* A batch at a time, so that the host may write between. */
#define PACKETS_PER_ROUND 64

void core_packets_out(struct core *core) {
    struct stream_packet packet;
    for (unsigned i = 0; i < PACKETS_PER_ROUND; i++) {
        if (!streams_next_packet(core->streams, core->now, &packet)) {
            return;
        }
        packet_out(core, &packet);
    }
}

void core_gossip_out(struct core *core) {
    struct gossip_output output;
    for (unsigned i = 0; i < PACKETS_PER_ROUND; i++) {
        if (!gossip_next_output(core->gossip, core->now, &output)) {
            return;
        }
        struct core_link *link = core_link_find(core, output.link);
        if (link != NULL && !link->is_closing) {
            core_send(core, link, output.frame, NULL, output.class, 0);
        } else {
            frame_unref(output.frame);
        }
    }
}
