/* SPDX-License-Identifier: Apache-2.0
 *
 * Links: which one of two is kept, heartbeats, silence.
 *
 * Of two links between the same two nodes both sides keep the one whose dialler has the smaller
 * peer id. Of two from the same dialler the dialler keeps the older and closes the other; the
 * acceptor, who may have seen them come up in the other order, holds the newer as a spare until
 * one of them goes. But a peer of another instance is a peer that restarted: then its old link is
 * dead, whoever dialled.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/internal.h"

#define OTHER_KEPT "another link to this peer is kept"
#define RTT_US_MAX (60U * 1000000U) /* an echo older than a minute is not a measurement */

struct core_link *core_link_find(const struct core *core, struct link_id link) {
    return link_table_find(&core->links, link);
}

struct core_link *core_neighbour(const struct core *core, const struct weft_peer_id *peer) {
    return map_find(core->neighbours, peer_span(peer));
}

/* The smaller id of dialler: which of the two ends dialled is known to both. */
static bool is_dialled_by_smaller(const struct core *core, const struct core_link *link) {
    bool we_are_smaller = weft_peer_id_compare(&core->config.identity->id, &link->peer) < 0;
    return (link->role == LINK_DIALLED) == we_are_smaller;
}

static void enter_neighbours(struct core *core, struct core_link *link);

/* After a link in use has gone: another to the same peer may be there. */
static void use_spare(struct core *core, const struct weft_peer_id *peer) {
    for (size_t i = 0; i < core->links.count; i++) {
        struct core_link *link = core->links.items[i];
        if (!link->is_closing && !link->is_replaced && weft_peer_id_equal(&link->peer, peer)) {
            enter_neighbours(core, link);
            return;
        }
    }
}

/* Links come and go within a second while a mesh forms: what nobody was told of, nobody misses. */
static enum own_change loss_of(const struct core *core, const struct core_link *link) {
    if (core_is_link_told(core, &link->peer)) {
        return OWN_LOST;
    }
    return link->is_surplus ? OWN_GAINED : OWN_UNTOLD_LOST;
}

static void leave_neighbours(struct core *core, struct core_link *link, enum own_change change,
                             const char *why) {
    if (!link->is_used) {
        return;
    }
    link->is_used = false;
    (void)map_remove(core->neighbours, peer_span(&link->peer));
    gossip_link_down(core->gossip, link->id, core->now);
    core_paths_shaken(core, &link->peer);
    trace(&core->host, TRACE_INFO, "link-down", "peer=%s link=%llu why=%s", link->name,
          (unsigned long long)link->id.value, why);
    if (!DEFECT(LOSS_UNTOLD)) {
        core_own_changed(core, change);
    }
    use_spare(core, &link->peer);
}

static void dialer_lost(struct core *core, const struct core_link *link, bool is_deliberate) {
    dialer_link_down(core->dialer, link->id, is_deliberate, core->now);
    router_hurry(core->router, dialer_hurried_until(core->dialer));
}

/* Nothing goes over the link any more, whoever closes it. */
static void end_link(struct core *core, struct core_link *link, enum wire_close_reason reason) {
    link->is_closing = true;
    core_unblock(core, link);
    /* One that its far end was to go without does not count since that end told so. */
    bool is_surplus = reason == WIRE_CLOSE_SURPLUS;
    leave_neighbours(core, link, is_surplus ? OWN_GAINED : loss_of(core, link), "closed");
    dialer_lost(core, link, is_surplus);
}

void core_link_bye(struct core *core, struct link_id id, enum wire_close_reason reason,
                   weft_ns now) {
    core_enter(core, now);
    struct core_link *link = core_link_find(core, id);
    if (link == NULL || link->is_closing) {
        return;
    }
    end_link(core, link, reason);
    if (reason == WIRE_CLOSE_CLONE) {
        gossip_clone_heard(core->gossip, now);
    }
}

void core_link_close(struct core *core, struct core_link *link, enum wire_close_reason reason,
                     const char *text) {
    if (link->is_closing) {
        return;
    }
    end_link(core, link, reason);
    core_push(core, &(struct action){
                        .kind = ACTION_CLOSE, .link = link->id, .reason = reason, .text = text});
}

void core_link_blame(struct core *core, struct core_link *link, const char *what,
                     const char *text) {
    core_culprit(core, &link->peer, what);
    core_link_close(core, link, WIRE_CLOSE_PROTOCOL, text);
}

static const char *fault_of(enum weft_err err) {
    if (err == WEFT_ERR_FULL) {
        return "does not read what it is sent";
    }
    return err == WEFT_ERR_AUTH ? "a record on its link did not open: it, or who is between"
                                : "sent a malformed frame";
}

void core_link_broken(struct core *core, struct link_id id, enum weft_err err, weft_ns now) {
    core_enter(core, now);
    struct core_link *link = core_link_find(core, id);
    if (link == NULL || link->is_closing) {
        return;
    }
    core_culprit(core, &link->peer, fault_of(err));
    end_link(core, link, err == WEFT_ERR_FULL ? WIRE_CLOSE_SLOW : WIRE_CLOSE_PROTOCOL);
}

void core_links_close_all(struct core *core, enum wire_close_reason reason, const char *text) {
    for (size_t i = 0; i < core->links.count; i++) {
        core_link_close(core, core->links.items[i], reason, text);
    }
}

static struct core_link *link_new_of(struct core *core, struct link_id id,
                                     const struct core_link_info *info) {
    struct core_link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        return NULL;
    }
    link->id = id;
    link->peer = peer_id_of_key(&info->key);
    link->role = info->role;
    link->instance = info->instance;
    link->dial_token = info->dial_token;
    link->up_since = core->now;
    link->last_heard = core->now;
    link->beat_at = core->now;
    link->cost_us = COST_FIRST_US;
    core->links_due = core->now;
    (void)snprintf(link->name, sizeof(link->name), "%s", info->name);
    (void)snprintf(link->remote, sizeof(link->remote), "%s", info->remote);
    if (link_table_add(&core->links, link->id, link) != WEFT_OK) {
        free(link);
        return NULL;
    }
    return link;
}

/* Puts a link into use for its peer. */
static void enter_neighbours(struct core *core, struct core_link *link) {
    enum weft_err err = map_add(core->neighbours, peer_span(&link->peer), link);
    if (err == WEFT_OK) {
        err = gossip_link_up(core->gossip, link->id, &link->peer, core->now);
    }
    if (err != WEFT_OK) {
        (void)map_remove(core->neighbours, peer_span(&link->peer));
        core_link_close(core, link, WIRE_CLOSE_FULL, "out of memory");
        return;
    }
    link->is_used = true;
    trace(&core->host, TRACE_INFO, "link-up", "peer=%s link=%llu remote=%s direction=%s",
          link->name, (unsigned long long)link->id.value, link->remote,
          link->role == LINK_DIALLED ? "out" : "in");
    core_trial_begin(core, link);
    core_own_changed(core, router_reaches(core->router, &link->peer) ? OWN_GAINED : OWN_ONLY_WAY);
}

enum duplicate {
    DUPLICATE_KEEP_OLDER,
    DUPLICATE_KEEP_NEWER,
    DUPLICATE_SPARE, /* use the older, hold the newer */
};

static enum duplicate judge_duplicate(const struct core *core, const struct core_link *older,
                                      const struct core_link *newer) {
    if (older->instance != newer->instance) {
        return core_clone_keeps_older(core, older, newer) ? DUPLICATE_KEEP_OLDER
                                                          : DUPLICATE_KEEP_NEWER;
    }
    if (older->role != newer->role) {
        return is_dialled_by_smaller(core, newer) ? DUPLICATE_KEEP_NEWER : DUPLICATE_KEEP_OLDER;
    }
    return newer->role == LINK_DIALLED ? DUPLICATE_KEEP_OLDER : DUPLICATE_SPARE;
}

/* Both ends choose alike, but the peer sends over this link until it has seen the other: what is on
 * its way still counts. */
static void replace(struct core *core, struct core_link *link) {
    if (link->is_replaced) {
        return;
    }
    link->is_replaced = true;
    link->surplus_at = time_after(core->now, REPLACED_WAIT);
    core->links_due = time_min(core->links_due, link->surplus_at);
    core_unblock(core, link);
    leave_neighbours(core, link, loss_of(core, link), "replaced");
    dialer_lost(core, link, false);
}

/* Of a peer that restarted nobody reads this; whose key lives in two places does. */
static void close_other(struct core *core, struct core_link *link, const struct core_link *kept) {
    if (link->instance != kept->instance) {
        core_clone_close(core, link, kept);
    } else if (link->role != kept->role) {
        replace(core, link);
    } else {
        core_link_close(core, link, WIRE_CLOSE_DUPLICATE, OTHER_KEPT);
    }
}

/* Closes every other link to the same peer; the last one that goes leaves its place to this. */
static void close_others(struct core *core, struct core_link *kept) {
    for (size_t i = 0; i < core->links.count; i++) {
        struct core_link *link = core->links.items[i];
        if (link != kept && weft_peer_id_equal(&link->peer, &kept->peer)) {
            close_other(core, link, kept);
        }
    }
}

/* Settles which link to a peer is in use, now that `link` came up. */
static void settle_duplicate(struct core *core, struct core_link *link) {
    struct core_link *older = core_neighbour(core, &link->peer);
    if (older == NULL) {
        enter_neighbours(core, link);
        return;
    }
    switch (judge_duplicate(core, older, link)) {
    case DUPLICATE_KEEP_OLDER:
        close_other(core, link, older);
        break;
    case DUPLICATE_KEEP_NEWER:
        close_others(core, link);
        break;
    case DUPLICATE_SPARE:
        break;
    }
}

void core_link_up(struct core *core, struct link_id id, const struct core_link_info *info,
                  weft_ns now) {
    ASSERT(id.value != 0 && core_link_find(core, id) == NULL);
    core_enter(core, now);
    struct core_link *link = link_new_of(core, id, info);
    if (link == NULL) {
        core_push(core, &(struct action){.kind = ACTION_CLOSE,
                                         .link = id,
                                         .reason = WIRE_CLOSE_FULL,
                                         .text = "out of memory"});
        if (info->dial_token != 0) {
            dialer_failed(core->dialer, core->router, info->dial_token, "out of memory", now);
        }
        return;
    }
    bool may_stay = dialer_admit(core->dialer, core->router, &link->peer);
    bool is_needless = dialer_only_asked(core->dialer, core->router, info->dial_token, &link->peer);
    dialer_link_up(core->dialer, id, &link->peer, info->dial_token, now);
    if (weft_peer_id_equal(&link->peer, &core->config.identity->id)) {
        core_link_close(core, link, WIRE_CLOSE_SELF, "your key is mine");
    } else if (core->quarantine_until != 0) {
        core_link_close(core, link, WIRE_CLOSE_BYE, "my key lives in two places");
    } else if (core->leave != LEAVE_NO) {
        core_link_close(core, link, WIRE_CLOSE_BYE, "leaving");
    } else if (info->role == LINK_ACCEPTED && !may_stay &&
               core_neighbour(core, &link->peer) == NULL) {
        core_link_close(core, link, WIRE_CLOSE_FULL, "no room for another link");
    } else if (is_needless && core_neighbour(core, &link->peer) == NULL) {
        core_link_close(core, link, WIRE_CLOSE_SURPLUS, "links enough");
    } else {
        settle_duplicate(core, link);
    }
}

void core_link_down(struct core *core, struct link_id id, weft_ns now) {
    core_enter(core, now);
    struct core_link *link = core_link_find(core, id);
    if (link == NULL) {
        return;
    }
    core_unblock(core, link);
    if (!link->is_closing) {
        link->is_closing = true;
        leave_neighbours(core, link, loss_of(core, link), "lost");
        dialer_lost(core, link, false);
    }
    (void)link_table_remove(&core->links, id);
    free(link);
}

void core_dial_failed(struct core *core, uint64_t dial_token, const char *why, weft_ns now) {
    core_enter(core, now);
    dialer_failed(core->dialer, core->router, dial_token, why, now);
}

void core_link_alive(struct core *core, struct link_id id, weft_ns now) {
    core_enter(core, now);
    struct core_link *link = core_link_find(core, id);
    if (link != NULL) {
        core_trial_heard(core, link);
        link->last_heard = now;
    }
}

void core_link_room(struct core *core, struct link_id id, const size_t room[WIRE_CLASS_COUNT],
                    weft_ns now) {
    core_enter(core, now);
    struct core_link *link = core_link_find(core, id);
    if (link == NULL || link->is_closing) {
        return;
    }
    memcpy(link->room, room, sizeof(link->room));
    size_t gossip_room = room[WIRE_CLASS_CONTROL] < room[WIRE_CLASS_MESSAGE]
                             ? room[WIRE_CLASS_CONTROL]
                             : room[WIRE_CLASS_MESSAGE];
    gossip_link_room(core->gossip, id, gossip_room);
    if (core_has_room(room)) {
        core_unblock(core, link);
    }
}

static uint32_t clock_us(weft_ns now) {
    return (uint32_t)(now / NS_PER_US); /* modulo 2^32 is what the frame says */
}

static void send_heartbeat(struct core *core, struct core_link *link) {
    struct wire_heartbeat beat = {
        .flags = link->has_rtt ? 0 : WIRE_HEARTBEAT_ANSWER,
        .sent_us = clock_us(core->now),
        .digest = link->trial_until == 0 ? recordset_digest(gossip_records(core->gossip)) : 0,
    };
    if (link->has_echo) {
        beat.flags |= WIRE_HEARTBEAT_ECHO;
        beat.echo_us = link->echo_us;
        beat.held_us = clock_us(core->now - link->echo_at);
    }
    uint8_t bytes[64];
    struct wire_writer writer = wire_writer_of(bytes, sizeof(bytes));
    size_t begin = wire_frame_begin(&writer, WIRE_HEARTBEAT, 0);
    wire_heartbeat_encode(&writer, &beat);
    wire_frame_end(&writer, begin);
    core_send(core, link, frame_copy(wire_writer_view(&writer)), NULL,
              DEFECT(BEAT_WAITS) ? WIRE_CLASS_MESSAGE : WIRE_CLASS_CONTROL, 0);
}

void core_heartbeat_in(struct core *core, struct core_link *link, const struct wire_frame *frame) {
    struct wire_heartbeat beat;
    if (wire_heartbeat_decode(frame->body, &beat) != WEFT_OK) {
        core_link_blame(core, link, "sent a malformed frame", "malformed heartbeat");
        return;
    }
    link->has_echo = true;
    link->echo_us = beat.sent_us;
    link->echo_at = core->now;
    if ((beat.flags & WIRE_HEARTBEAT_ECHO) != 0) {
        uint32_t sample_us = clock_us(core->now) - beat.echo_us - beat.held_us;
        if (sample_us <= RTT_US_MAX) {
            core_cost_measured(core, link, sample_us);
        }
    }
    if (beat.digest != 0 && link->trial_until == 0 && link->is_used) {
        gossip_digest_heard(core->gossip, link->id, beat.digest, core->now);
    }
    if ((beat.flags & WIRE_HEARTBEAT_ANSWER) != 0 &&
        time_since(link->up_since, core->now) < DEAD_BEATS * core->config.heartbeat) {
        send_heartbeat(core, link); /* only a young link may ask: no echo storm (T15) */
    }
}

void core_links_forgive(struct core *core) {
    for (size_t i = 0; i < core->links.count; i++) {
        struct core_link *link = core->links.items[i];
        link->last_heard = DEFECT(STALL_BLAMED) ? link->last_heard : core->now;
        link->beat_at = core->now;
    }
    core->links_due = core->now;
}

/* How long a link may be silent: some beats, or as long as TCP takes to make up for two losses. */
static weft_ns silence_max(const struct core *core, const struct core_link *link) {
    weft_ns beat = core->config.heartbeat;
    weft_ns rtt = time_min((weft_ns)link->rtt_us * NS_PER_US, DEAD_RTT_MAX);
    weft_ns repeats = beat + DEAD_REPEATS * (rtt + DEAD_REPEAT_MIN) + DEAD_MARGIN;
    weft_ns beats = (DEFECT(SILENCE_DOUBLED) ? (weft_ns)2 * DEAD_BEATS : DEAD_BEATS) * beat;
    return beats > repeats ? beats : repeats;
}

static weft_ns dead_at(const struct core *core, const struct core_link *link) {
    weft_ns span = DEFECT(SILENCE_KEPT) ? WEFT_NEVER : silence_max(core, link);
    return time_after(link->last_heard, span);
}

/* Beats of all links fall on one moment: those due within half a period go along with the first.
 * An idle node of eight links then wakes once a second to send, not eight times. */
static weft_ns beat_horizon(const struct core *core) {
    for (size_t i = 0; i < core->links.count; i++) {
        const struct core_link *link = core->links.items[i];
        if (!link->is_closing && link->beat_at <= core->now) {
            return time_after(core->now, core->config.heartbeat / 2);
        }
    }
    return core->now;
}

void core_links_tick(struct core *core) {
    weft_ns horizon = beat_horizon(core);
    for (size_t i = 0; i < core->links.count; i++) {
        struct core_link *link = core->links.items[i];
        if (link->is_closing) {
            continue;
        }
        if (dead_at(core, link) <= core->now) {
            trace(&core->host, TRACE_WARN, "link-silent", "peer=%s remote=%s", link->name,
                  link->remote);
            core_link_close(core, link, WIRE_CLOSE_SILENT, "no sign of life");
        } else if (link->is_replaced && link->surplus_at <= core->now) {
            core_link_close(core, link, WIRE_CLOSE_DUPLICATE, OTHER_KEPT);
        } else if (link->is_surplus && link->surplus_at <= core->now) {
            core_link_close(core, link, WIRE_CLOSE_SURPLUS, "more links than wanted");
        } else if (link->trial_until != 0 && link->trial_until <= core->now) {
            core_trial_due(core, link);
        } else if (link->beat_at <= horizon) {
            send_heartbeat(core, link);
            link->beat_at = time_after(core->now, core->config.heartbeat);
        }
    }
}

weft_ns core_links_deadline(const struct core *core) {
    weft_ns deadline = WEFT_NEVER;
    for (size_t i = 0; i < core->links.count; i++) {
        const struct core_link *link = core->links.items[i];
        if (!link->is_closing) {
            bool has_end = link->is_surplus || link->is_replaced;
            weft_ns surplus_at = has_end ? link->surplus_at : WEFT_NEVER;
            weft_ns trial_until = link->trial_until != 0 ? link->trial_until : WEFT_NEVER;
            deadline = time_min(deadline, time_min(link->beat_at, dead_at(core, link)));
            deadline = time_min(deadline, time_min(surplus_at, trial_until));
        }
    }
    return deadline;
}

void core_links_free(struct core *core) {
    for (size_t i = 0; i < core->links.count; i++) {
        free(core->links.items[i]);
    }
    link_table_fini(&core->links);
    map_free(core->neighbours);
}
