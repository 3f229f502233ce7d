/* SPDX-License-Identifier: Apache-2.0
 *
 * What links cost: from round trips to what the mesh is told.
 */
#include "core/internal.h"

#define RTT_SHARE 8      /* a new sample weighs 1/8, as in TCP (RFC 6298) */
#define FLOOR_SAMPLES 16 /* of a window of least round trips */

/* The least of a window or two: what the path takes, not what a busy processor at either end adds
 * to some samples. A path that stays slow is found so when both windows have seen nothing else. */
static void note_floor(struct core_link *link, uint32_t sample_us) {
    if (!link->has_rtt) {
        link->floor_us[1] = sample_us;
        link->floor_us[0] = UINT32_MAX;
    } else if (link->floor_count == FLOOR_SAMPLES) {
        link->floor_us[1] = link->floor_us[0];
        link->floor_us[0] = UINT32_MAX;
        link->floor_count = 0;
    }
    link->floor_count++;
    link->floor_us[0] = sample_us < link->floor_us[0] ? sample_us : link->floor_us[0];
}

static uint32_t cost_of(const struct core_link *link) {
    uint32_t least_us =
        link->floor_us[0] < link->floor_us[1] ? link->floor_us[0] : link->floor_us[1];
    return least_us / 2 + COST_HOP_US;
}

/* Where round trips wander even their least ones do, from window to window: what lies within their
 * spread is noise. */
static bool differs_enough(const struct core_link *link) {
    uint32_t told = link->cost_us;
    uint32_t measured = cost_of(link);
    uint32_t gap = told > measured ? told - measured : measured - told;
    return link->has_rtt && gap > told / 4 && gap > COST_STEP_US && gap > link->spread_us;
}

/* Takes over what was measured of all links since costs were last told. Until then our own routes
 * use the told costs too: trees of broadcasts are alike only where costs are. */
static void tell_costs(struct core *core) {
    for (size_t i = 0; i < core->links.count; i++) {
        struct core_link *link = core->links.items[i];
        if (differs_enough(link)) {
            link->cost_us = cost_of(link);
        }
    }
    core->costs_at = time_after(core->now, COST_GAP);
    core_own_changed(core, OWN_GAINED);
}

void core_cost_measured(struct core *core, struct core_link *link, uint32_t sample_us) {
    bool is_first = !link->has_rtt;
    note_floor(link, sample_us);
    if (!is_first) {
        int64_t off = (int64_t)sample_us - (int64_t)link->rtt_us;
        int64_t wider = (off < 0 ? -off : off) - (int64_t)link->spread_us;
        link->rtt_us = (uint32_t)((int64_t)link->rtt_us + off / RTT_SHARE);
        link->spread_us = (uint32_t)((int64_t)link->spread_us + wider / RTT_SHARE);
    } else {
        link->rtt_us = sample_us;
        link->has_rtt = true;
    }
    if (cost_of(link) != link->dialer_us) {
        link->dialer_us = cost_of(link);
        dialer_cost(core->dialer, link->id, link->dialer_us);
    }
    if (differs_enough(link) && (is_first || core->costs_at <= core->now)) {
        tell_costs(core);
    }
}
