/* SPDX-License-Identifier: Apache-2.0
 *
 * How often a link gets pushed records. A change in a quiet mesh goes on at once at every hop.
 * Where one follows another, frames are spaced, so that what changes again meanwhile is sent once.
 */
#include "gossip/internal.h"

/* Of each record a crowded node hears from so many neighbours on average, and from none once in
 * e^4: then a reconciliation finds it. */
#define CROWD_COPIES 4
/* Who is linked with us for so long and has so few links counts on us. Whoever only joins through
 * us soon has others, and goes. */
#define DEPENDENT_AGE_NS (4 * NS_PER_S)
#define DEPENDENT_LINKS_MAX 4
/* How many links neighbours have is asked so often. */
#define DEGREES_NS (2 * NS_PER_S)

#define PUSH_GAP_NS (25 * NS_PER_MS)

bool pace_holds(struct gossip *gossip, struct gossip_link *link, weft_ns now) {
    if (link->is_bulk || link->held_until != 0) {
        return !link->is_bulk;
    }
    weft_ns depth = (PUSH_BURST - 1) * PUSH_GAP_NS;
    weft_ns start = link->push_ready > now ? link->push_ready : now;
    if (start <= time_after(now, depth)) {
        link->push_ready = time_after(start, PUSH_GAP_NS);
        return false;
    }
    link->held_until = time_after(start - depth, rng_below(&gossip->rng, PUSH_GAP_NS / 2));
    gossip_arm_links(gossip, link->held_until);
    return true;
}

static void look_at_degrees(struct gossip *gossip, weft_ns now) {
    const struct gossip_routes *routes = &gossip->config.routes;
    if (gossip->degrees_at > now || routes->degree == NULL) {
        return;
    }
    gossip->degrees_at = time_after(now, DEGREES_NS);
    for (size_t i = 0; i < gossip->links.count; i++) {
        struct gossip_link *link = gossip->links.items[i];
        link->degree = routes->degree(routes->ctx, &link->peer);
    }
}

/* Links that a neighbour had lately; 0: its record is not here. */
static size_t degree_of(struct gossip *gossip, struct gossip_link *link, weft_ns now) {
    const struct gossip_routes *routes = &gossip->config.routes;
    look_at_degrees(gossip, now);
    if (link->degree == 0 && routes->degree != NULL) { /* it may have come since */
        link->degree = routes->degree(routes->ctx, &link->peer);
    }
    return link->degree;
}

bool pace_is_dependent(struct gossip *gossip, struct gossip_link *link, weft_ns now) {
    return time_since(link->up_at, now) >= DEPENDENT_AGE_NS &&
           degree_of(gossip, link, now) <= DEPENDENT_LINKS_MAX;
}

/* A crowded node of a small mesh tells few at once while the mesh forms, and a loss was found by
 * the others seconds later, by a reconciliation (B9). In a large mesh the notes to all who join
 * through it would be dear (A5); who has no other link yet has just come, and asks for all. */
bool pace_sends_note(struct gossip *gossip, struct gossip_link *link, weft_ns now) {
    return gossip->links.count > CROWD_LINKS && notes_mesh_is_small(gossip) &&
           degree_of(gossip, link, now) > 1;
}

bool pace_leaves_out(struct gossip *gossip, struct gossip_link *link, weft_ns now) {
    size_t degree = degree_of(gossip, link, now);
    return degree > CROWD_LINKS && rng_below(&gossip->rng, degree) >= CROWD_COPIES;
}

void pace_tick(struct gossip *gossip, weft_ns now) {
    for (size_t i = 0; i < gossip->links.count; i++) {
        struct gossip_link *link = gossip->links.items[i];
        if (link->held_until > now) {
            gossip_arm_links(gossip, link->held_until);
        } else if (link->held_until != 0) {
            link->held_until = 0;
            output_ready(gossip, link);
        }
        if (link->notes_at > now) {
            gossip_arm_links(gossip, link->notes_at);
        } else if (link->notes_at != 0) {
            link->owes_notes = true;
            output_ready(gossip, link);
        }
    }
}
