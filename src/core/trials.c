/* SPDX-License-Identifier: Apache-2.0
 *
 * Links on trial: to peers that were lost lately (router/damping.h). They carry records, but the
 * mesh is not told of them until they have lasted, or until somebody turns up behind the peer who
 * needs them.
 */
#include "core/internal.h"

/* A beat that is so late was missed, for a long trial: they come once a heartbeat. In the short one
 * a beat comes once, and late by a repeat of TCP is late: of what loses four fifths one in five
 * comes in time. A link that is no worse than others waits for the next beat. */
#define LATE_LONG(heartbeat) ((heartbeat) / 2)
#define LATE_SHORT(heartbeat) ((heartbeat) / 8 > LATE_SHORT_MIN ? (heartbeat) / 8 : LATE_SHORT_MIN)
#define LATE_SHORT_MIN (50 * NS_PER_MS)
/* Of those behind a peer so many are looked at; one is enough. */
#define BEHIND_MAX 16

/* By then all have heard of a new link of ours. */
#define UNHEARD_NS NS_PER_S

/* Whether somebody is behind the peer whom nothing else leads to and who is not damped itself: two
 * bad nodes do not excuse each other. */
static bool is_needed(const struct core *core, const struct weft_peer_id *peer) {
    struct weft_peer_id behind[BEHIND_MAX];
    size_t count = router_behind(core->router, peer, behind, BEHIND_MAX);
    for (size_t i = 0; i < count; i++) {
        if (!weft_peer_id_equal(&behind[i], &core->config.identity->id) &&
            damping_trial(&core->damping, &behind[i], core->now) < DAMPING_LONG_NS) {
            return true;
        }
    }
    return false;
}

/* A peer that is still reached, or again, by links of others is not spared: those may not last. */
static void trial_begin(struct core *core, struct core_link *link) {
    weft_ns span = damping_trial(&core->damping, &link->peer, core->now);
    bool is_reached = router_reaches(core->router, &link->peer);
    if (span == 0 || (span < DAMPING_LONG_NS && is_reached) || is_needed(core, &link->peer)) {
        return;
    }
    link->trial_until = time_after(core->now, span);
    core->trial_count++;
    core->links_due = time_min(core->links_due, link->trial_until);
}

void core_trial_begin(struct core *core, struct core_link *link) {
    trial_begin(core, link);
    if (router_reaches(core->router, &link->peer)) {
        link->unheard_until = time_after(core->now, UNHEARD_NS);
        core->unheard_until = link->unheard_until;
    }
}

static bool is_late(const struct core *core, const struct core_link *link, weft_ns span) {
    weft_ns beat = core->config.heartbeat;
    weft_ns late = beat + (span < DAMPING_LONG_NS ? LATE_SHORT(beat) : LATE_LONG(beat));
    return time_since(link->last_heard, core->now) > late;
}

/* Begins anew where a beat was missed: what loses most of what it sends may now and then get
 * something through. */
void core_trial_heard(struct core *core, struct core_link *link) {
    if (link->trial_until == 0) {
        return;
    }
    weft_ns span = damping_trial(&core->damping, &link->peer, core->now);
    weft_ns until = time_after(core->now, span);
    if (is_late(core, link, span) && until > link->trial_until) {
        link->trial_until = until;
    }
}

static void trial_end(struct core *core, struct core_link *link) {
    link->trial_until = 0;
    core->trial_count -= core->trial_count > 0 ? 1 : 0;
    core_own_changed(core, router_reaches(core->router, &link->peer) ? OWN_GAINED : OWN_ONLY_WAY);
}

void core_trial_due(struct core *core, struct core_link *link) {
    weft_ns span = damping_trial(&core->damping, &link->peer, core->now);
    if (is_late(core, link, span)) {
        link->trial_until = time_after(core->now, span); /* it is silent at this moment */
    } else {
        trial_end(core, link);
    }
}

static void trial_repeat(struct core *core, const struct weft_peer_id *peer) {
    struct core_link *link = core_neighbour(core, peer);
    if (link == NULL || link->trial_until != 0) {
        return;
    }
    trial_begin(core, link);
    if (link->trial_until != 0) {
        core_own_changed(core, OWN_GAINED);
    }
}

static void loss_take(struct core *core, const struct weft_peer_id *peer,
                      const struct damping_loss *loss) {
    if (damping_lost(&core->damping, peer, loss, core->now) &&
        damping_trial(&core->damping, peer, core->now) >= DAMPING_LONG_NS) {
        char text[WEFT_PEER_ID_TEXT];
        weft_peer_id_format(peer, text);
        trace(&core->host, TRACE_WARN, "peer-damped", "id=%s", text);
        trial_repeat(core, peer);
    }
}

void core_trial_lost(struct core *core, const struct weft_peer_id *peer) {
    const struct damping_loss loss = router_loss_of(core->router, peer);
    loss_take(core, peer, &loss);
}

/* Who makes such a link would else count one loss fewer than all others, and bring a bad node back
 * to them before its time (A8). */
static void lone_look(struct core *core, struct core_link *link) {
    const struct weft_peer_id *self = &core->config.identity->id;
    if (link->unheard_until <= core->now || !router_has_link(core->router, self, &link->peer) ||
        router_can_spare(core->router, &link->peer)) {
        return;
    }
    link->unheard_until = 0;
    struct damping_loss loss = router_loss_of(core->router, &link->peer);
    loss.denying++; /* we do not, but to the others our word is still the former one */
    loss_take(core, &link->peer, &loss);
}

void core_trials_lone(struct core *core) {
    if (core->unheard_until <= core->now) {
        return;
    }
    for (struct map_entry *entry = map_first(core->neighbours); entry != NULL;
         entry = map_next(entry)) {
        lone_look(core, map_value(entry));
    }
}

void core_trials_review(struct core *core) {
    size_t count = 0;
    for (struct map_entry *entry = map_first(core->neighbours); entry != NULL;
         entry = map_next(entry)) {
        struct core_link *link = map_value(entry);
        if (link->trial_until != 0 && is_needed(core, &link->peer)) {
            trial_end(core, link);
        }
        count += link->trial_until != 0 ? 1 : 0;
    }
    core->trial_count = count;
}

size_t core_damped(const struct core *core, struct core_damped *out, size_t max) {
    size_t count = 0;
    for (size_t i = 0; i < core->damping.count && count < max; i++) {
        const struct damping_entry *entry = &core->damping.entries[i];
        if (damping_trial(&core->damping, &entry->peer, core->now) < DAMPING_LONG_NS ||
            router_reaches(core->router, &entry->peer)) {
            continue;
        }
        const struct core_link *link = core_neighbour(core, &entry->peer);
        out[count++] = (struct core_damped){
            .peer = entry->peer,
            .losses = entry->losses,
            .lost_at = entry->at,
            .trial_until = link != NULL ? link->trial_until : 0,
        };
    }
    return count;
}
