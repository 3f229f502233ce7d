/* SPDX-License-Identifier: Apache-2.0
 *
 * Links on trial: to peers that were lost lately (router/damping.h). They carry records, but the
 * mesh is not told of them until they have lasted, or until somebody turns up behind the peer who
 * needs them.
 */
#include "core/internal.h"

/* A beat missed: they come once a heartbeat. */
#define LATE_NUMERATOR 3
#define LATE_DENOMINATOR 2
/* Of those behind a peer so many are looked at; one is enough. */
#define BEHIND_MAX 16

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
void core_trial_begin(struct core *core, struct core_link *link) {
    weft_ns span = damping_trial(&core->damping, &link->peer, core->now);
    bool is_reached = router_reaches(core->router, &link->peer);
    if (span == 0 || (span < DAMPING_LONG_NS && is_reached) || is_needed(core, &link->peer)) {
        return;
    }
    link->trial_until = time_after(core->now, span);
    core->trial_count++;
    core->links_due = time_min(core->links_due, link->trial_until);
}

/* A long trial begins anew where a beat was missed: what loses most of what it sends may now and
 * then get something through. */
void core_trial_heard(struct core *core, struct core_link *link) {
    weft_ns late = core->config.heartbeat * LATE_NUMERATOR / LATE_DENOMINATOR;
    if (link->trial_until == 0 || time_since(link->last_heard, core->now) <= late) {
        return;
    }
    weft_ns until = time_after(core->now, damping_trial(&core->damping, &link->peer, core->now));
    link->trial_until = until > link->trial_until ? until : link->trial_until;
}

void core_trial_end(struct core *core, struct core_link *link) {
    link->trial_until = 0;
    core->trial_count -= core->trial_count > 0 ? 1 : 0;
    core_own_changed(core, router_reaches(core->router, &link->peer) ? OWN_GAINED : OWN_NEEDED);
}

void core_trial_repeat(struct core *core, const struct weft_peer_id *peer) {
    struct core_link *link = core_neighbour(core, peer);
    if (link == NULL || link->trial_until != 0) {
        return;
    }
    core_trial_begin(core, link);
    if (link->trial_until != 0) {
        core_own_changed(core, OWN_GAINED);
    }
}

void core_trials_review(struct core *core) {
    size_t count = 0;
    for (struct map_entry *entry = map_first(core->neighbours); entry != NULL;
         entry = map_next(entry)) {
        struct core_link *link = map_value(entry);
        if (link->trial_until != 0 && is_needed(core, &link->peer)) {
            core_trial_end(core, link);
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
