/* SPDX-License-Identifier: Apache-2.0
 *
 * How often a link gets pushed records. A change in a quiet mesh goes on at once at every hop.
 * Where one follows another, frames are spaced: at a few random neighbours (eager) little, so that
 * news spread as fast as ever, at all others so long that most of what waits for them is taken
 * back, because they show that they have it by then, from an eager neighbour of their own. What is
 * left goes as few large frames, without versions that newer ones have replaced. So a version
 * reaches a node about half as often as it has neighbours, and once at least (after the eager and
 * the lazy push of Plumtree, Leitao, Pereira and Rodrigues 2007; the lazy one is the record itself,
 * for an announcement of it would cost an answer and half as many bytes).
 */
#include "gossip/internal.h"

/* Neighbours that are eager at a time. Three random ones reach all but 6 % of a large mesh. */
#define EAGER_COUNT 3
/* They are drawn again after so long: nobody is left out for good. */
#define EAGER_NS (2 * NS_PER_S)

/* Of each record a crowded node hears from so many neighbours on average, and from none once in
 * e^12: then a reconciliation finds it. */
#define CROWD_COPIES 12

#define EAGER_GAP_NS (50 * NS_PER_MS)
/* Longer than an eager push takes to cross a mesh, shorter than what a reconciliation waits for. */
#define LAZY_GAP_NS (400 * NS_PER_MS)

/* Makes some of the links eager, all alike (Knuth's selection sampling), and asks how crowded their
 * far ends are. */
static void draw_eager(struct gossip *gossip) {
    const struct gossip_routes *routes = &gossip->config.routes;
    size_t left = gossip->link_count;
    size_t wanted = EAGER_COUNT;
    for (struct chain *at = gossip->link_order.next; at != &gossip->link_order; at = at->next) {
        struct gossip_link *link = CHAIN_OF(at, struct gossip_link, all);
        link->is_eager = rng_below(&gossip->rng, left) < wanted;
        wanted -= link->is_eager ? 1 : 0;
        left--;
        link->degree = routes->degree != NULL ? routes->degree(routes->ctx, &link->peer) : 0;
    }
}

static weft_ns gap_of(struct gossip *gossip, const struct gossip_link *link, weft_ns now) {
    if (gossip->eager_at <= now) {
        gossip->eager_at = time_after(now, EAGER_NS);
        draw_eager(gossip);
    }
    return link->is_eager ? EAGER_GAP_NS : LAZY_GAP_NS;
}

bool pace_holds(struct gossip *gossip, struct gossip_link *link, weft_ns now) {
    if (link->is_bulk || link->held_until != 0) {
        return !link->is_bulk;
    }
    weft_ns gap = gap_of(gossip, link, now);
    weft_ns depth = (PUSH_BURST - 1) * gap;
    weft_ns start = link->push_ready > now ? link->push_ready : now;
    start = time_min(start, time_after(now, depth + gap)); /* it may have been at another pace */
    if (start <= time_after(now, depth)) {
        link->push_ready = time_after(start, gap);
        return false;
    }
    link->held_until = time_after(start - depth, rng_below(&gossip->rng, gap / 2));
    link->push_ready = start;
    gossip_arm(gossip, link->held_until);
    return true;
}

bool pace_leaves_out(struct gossip *gossip, const struct gossip_link *link) {
    return link->degree > CROWD_LINKS && rng_below(&gossip->rng, link->degree) >= CROWD_COPIES;
}

void pace_tick(struct gossip *gossip, weft_ns now) {
    for (struct chain *at = gossip->link_order.next; at != &gossip->link_order; at = at->next) {
        struct gossip_link *link = CHAIN_OF(at, struct gossip_link, all);
        if (link->held_until == 0) {
            continue;
        }
        if (link->held_until > now) {
            gossip_arm(gossip, link->held_until);
            continue;
        }
        link->held_until = 0;
        output_ready(gossip, link);
    }
}
