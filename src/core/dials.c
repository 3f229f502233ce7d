/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection maker's wishes: dials to make, and links to go without. A surplus link is first
 * left out of what we say of ourselves, and closed when that has spread: a loss that nobody feels.
 */
#include <string.h>

#include "core/internal.h"

static void push_dial(struct core *core, const struct dial *dial) {
    char *endpoint = strdup(dial->endpoint);
    if (endpoint == NULL) {
        dialer_failed(core->dialer, core->router, dial->token, "out of memory", core->now);
        return;
    }
    core_push(core, &(struct action){.kind = ACTION_DIAL,
                                     .token = dial->token,
                                     .endpoint = endpoint,
                                     .peer = dial->peer,
                                     .is_peer_known = dial->is_peer_known});
}

static void retire(struct core *core, struct core_link *link) {
    link->is_surplus = true;
    link->surplus_at = WEFT_NEVER; /* until the mesh was told: core_surplus_told */
    core_own_changed(core, OWN_GAINED);
}

void core_surplus_told(struct core *core) {
    for (size_t i = 0; i < core->links.count; i++) {
        struct core_link *link = core->links.items[i];
        if (link->is_surplus && link->surplus_at == WEFT_NEVER) {
            link->surplus_at = time_after(core->now, SURPLUS_WAIT);
            core->links_due = time_min(core->links_due, link->surplus_at);
        }
    }
}

void core_dial_and_trim(struct core *core) {
    if (core->leave != LEAVE_NO || core->quarantine_until != 0 ||
        dialer_deadline(core->dialer) > core->now) {
        return;
    }
    struct dial dial;
    while (dialer_next_dial(core->dialer, core->router, core->now, &dial)) {
        push_dial(core, &dial);
    }
    struct link_id surplus;
    while (dialer_next_trim(core->dialer, core->router, core->now, &surplus)) {
        struct core_link *link = core_link_find(core, surplus);
        if (link == NULL || link->is_closing) {
            return;
        }
        retire(core, link);
    }
}
