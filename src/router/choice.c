/* SPDX-License-Identifier: Apache-2.0
 *
 * Whom to dial next: seeds that are wanted first, then, while links are missing, learned peers by
 * chance, and now and then one that no path reaches. And how long one that failed is left alone.
 */
#include "base/time.h"
#include "router/dialer_state.h"

#define PREFIX_LINKS_MAX 2
/* Links beyond the degree that we make ourselves, when the far ends of others have too many and are
 * about to trim us. */
#define SPARE 2
/* How often a peer that no path reaches is dialled though we have links enough: it may be the other
 * half of a healed partition. */
#define PROBE_NS (10 * NS_PER_S)
/* Half the degree is dialled as fast as may be, of the rest half in each turn, so long apart: the
 * others dial too, and a mesh that forms at once would else make twice the links it wants and trim
 * them again. Links of one turn are told together. */
#define UNHURRIED_NS (2 * NS_PER_S)
/* A list of seeds is worked off one by one, so long apart: what the first tells leads to others,
 * and to how large the mesh is. In a large one the next seed waits as long as an unhurried turn: it
 * may be the way into another part of the mesh, but thousands of newcomers that each took a link to
 * every seed would all be told to go again. */
#define SEED_GAP_NS (300 * NS_PER_MS)
#define LARGE_MESH 32 /* nodes */
/* A node that lost most of its links at once has lost them for good, and others too: it waits only
 * until what it dialled is up. */
#define HURRIED_NS (200 * NS_PER_MS)
/* A seed that nobody reaches may be all that joins us to the rest of the mesh, so it is dialled as
 * often as a silent peer is given up; of many such each gets a dial less often. Where others find
 * it for us, as all have learned each other's addresses, a large mesh need not ask so often from
 * every node. */
#define SEED_LOST_BACKOFF_NS (3 * NS_PER_S)
#define SEED_LOST_GAP_NS NS_PER_S          /* for each of them */
#define SEED_LOST_NODE_NS (10 * NS_PER_MS) /* with discovery, for each node that is reached */

static size_t attempt_count(const struct dialer *dialer) {
    size_t count = 0;
    for (size_t i = 0; i < DIALER_DIALS_MAX; i++) {
        count += dialer->attempts[i].token != 0 ? 1 : 0;
    }
    return count;
}

static bool target_is_reachable(const struct target *target, const struct router *router) {
    return target->is_peer_known && router_reaches(router, &target->peer);
}

/* Whether links are missing. Those whose far end is about to trim them count only for the bound on
 * what we make beyond the degree. */
static bool wants_more(const struct dialer *dialer, const struct router *router) {
    size_t total = router_links_degree(&dialer->links) + attempt_count(dialer);
    size_t degree = dialer->config.degree;
    if (total < degree || total >= degree + SPARE) {
        return total < degree;
    }
    size_t lasting = total;
    for (size_t i = 0; i < dialer->links.count; i++) {
        const struct router_link *link = &dialer->links.items[i];
        bool is_passing = !link->is_duplicate && !link->is_closing &&
                          router_degree(router, &link->peer) > degree + DIALER_SLACK;
        lasting -= is_passing ? 1 : 0;
    }
    return lasting < degree;
}

static bool is_large(const struct router *router) {
    return router_reachable_count(router) > LARGE_MESH;
}

/* A seed's link is not forced where the mesh does well without: else a seed of a thousand nodes
 * would be the centre of a star. */
static bool seed_is_wanted(const struct dialer *dialer, const struct router *router,
                           const struct target *seed) {
    if (seed->is_dialling || target_is_linked(dialer, seed)) {
        return false;
    }
    bool does_well = dialer->config.may_discover &&
                     router_links_degree(&dialer->links) >= dialer->config.degree &&
                     target_is_reachable(seed, router);
    return !does_well;
}

/* Whether a target is due; if not yet, `next` learns when. */
static bool is_due(const struct target *target, weft_ns now, weft_ns *next) {
    if (target->retry_at > now) {
        *next = time_min(*next, target->retry_at);
        return false;
    }
    return true;
}

/* Whether it is a seed's turn; if not, `next` learns when. One that all have lost is waited with
 * for nobody. */
static bool is_seed_turn(const struct dialer *dialer, const struct router *router,
                         const struct target *seed, weft_ns now, weft_ns *next) {
    bool is_lost = seed->is_peer_known && !target_is_reachable(seed, router);
    if (is_lost || !dialer->config.may_discover || dialer_is_hurried(dialer, now) ||
        dialer->seed_dialled_at == 0) {
        return true;
    }
    weft_ns gap = SEED_GAP_NS;
    if (is_large(router)) {
        bool has_half = 2 * router_links_degree(&dialer->links) >= dialer->config.degree;
        gap = has_half ? PROBE_NS : UNHURRIED_NS;
    }
    weft_ns turn_at = time_after(dialer->seed_dialled_at, gap);
    *next = turn_at > now ? time_min(*next, turn_at) : *next;
    return turn_at <= now;
}

/* The wanted seed that has been due for longest, so that none starves; of several one by chance, so
 * that a mesh's newcomers do not all come through the first that each of them lists. */
static struct target *seed_choose(struct dialer *dialer, const struct router *router, weft_ns now,
                                  weft_ns *next) {
    struct target *choice = NULL;
    uint64_t ties = 0;
    for (size_t i = 0; i < dialer->candidates.seed_count; i++) {
        struct target *seed = dialer->candidates.seeds[i];
        if (!seed_is_wanted(dialer, router, seed) || !is_due(seed, now, next) ||
            !is_seed_turn(dialer, router, seed, now, next) ||
            (choice != NULL && seed->retry_at > choice->retry_at)) {
            continue;
        }
        ties = choice == NULL || seed->retry_at < choice->retry_at ? 1 : ties + 1;
        if (rng_below(&dialer->rng, ties) == 0) {
            choice = seed;
        }
    }
    return choice;
}

static bool prefix_is_open(const struct dialer *dialer, const struct target *target) {
    struct prefix prefix = router_prefix_of(target_endpoint(target));
    size_t count = 0;
    for (size_t i = 0; i < dialer->links.count; i++) {
        const struct router_link *link = &dialer->links.items[i];
        count += prefix_is_shared(link->prefix, prefix) &&
                         !candidates_has_seed_peer(&dialer->candidates, &link->peer)
                     ? 1
                     : 0;
    }
    for (size_t i = 0; i < DIALER_DIALS_MAX; i++) {
        const struct target *other = dialer->attempts[i].target;
        count += other != NULL && !other->is_seed &&
                         prefix_is_shared(router_prefix_of(target_endpoint(other)), prefix)
                     ? 1
                     : 0;
    }
    return count < PREFIX_LINKS_MAX;
}

static bool candidate_is_open(const struct dialer *dialer, const struct target *target, weft_ns now,
                              weft_ns *next) {
    return !target->is_dialling && is_due(target, now, next) && !target_is_linked(dialer, target) &&
           prefix_is_open(dialer, target);
}

/* What the learned candidates offer: one by chance of each sort. Those that a path reaches are
 * alive; of these, who wants links too is not burdened by ours. */
enum offer_sort {
    OFFER_NEEDY,
    OFFER_REACHABLE,
    OFFER_UNREACHABLE,
    OFFER_SORTS,
};
struct offer {
    struct target *targets[OFFER_SORTS];
};

static enum offer_sort sort_of(const struct dialer *dialer, const struct router *router,
                               const struct target *target) {
    if (!target_is_reachable(target, router)) {
        return OFFER_UNREACHABLE;
    }
    bool is_needy = router_degree(router, &target->peer) < dialer->config.degree;
    return is_needy ? OFFER_NEEDY : OFFER_REACHABLE;
}

static struct offer candidates_offer(struct dialer *dialer, const struct router *router,
                                     weft_ns now, weft_ns *next) {
    struct offer offer = {0};
    uint64_t counts[OFFER_SORTS] = {0};
    for (size_t i = 0; i < dialer->candidates.learned_count; i++) {
        struct target *target = dialer->candidates.learned[i];
        if (!candidate_is_open(dialer, target, now, next)) {
            continue;
        }
        enum offer_sort sort = sort_of(dialer, router, target);
        counts[sort]++;
        if (rng_below(&dialer->rng, counts[sort]) == 0) {
            offer.targets[sort] = target;
        }
    }
    return offer;
}

/* Whether the next link may be dialled yet; if not, `next` learns when. */
static bool is_in_turn(struct dialer *dialer, weft_ns now, weft_ns *next) {
    size_t total = router_links_degree(&dialer->links) + attempt_count(dialer);
    size_t degree = dialer->config.degree;
    weft_ns turn = dialer_is_hurried(dialer, now) ? HURRIED_NS : UNHURRIED_NS;
    if (2 * total < degree) {
        dialer->turn_at = time_after(now, rng_jitter(&dialer->rng, turn));
        dialer->turn_left = 0;
        return true;
    }
    if (dialer->turn_left == 0 && now >= dialer->turn_at) {
        dialer->turn_at = time_after(now, rng_jitter(&dialer->rng, turn));
        dialer->turn_left = total < degree ? (degree - total + 1) / 2 : 1;
    }
    if (dialer->turn_left == 0) {
        *next = time_min(*next, dialer->turn_at);
        return false;
    }
    dialer->turn_left--;
    return true;
}

static struct target *candidate_choose(struct dialer *dialer, const struct router *router,
                                       weft_ns now, weft_ns *next) {
    if (!dialer->config.may_discover) {
        return NULL;
    }
    if (dialer->probe_at == 0) {
        dialer->probe_at = time_after(now, rng_jitter(&dialer->rng, PROBE_NS));
    }
    bool is_probing = now >= dialer->probe_at;
    bool is_wanting = wants_more(dialer, router) && is_in_turn(dialer, now, next);
    if (!is_probing && !is_wanting) {
        return NULL;
    }
    struct offer offer = candidates_offer(dialer, router, now, next);
    if (is_probing) {
        dialer->probe_at = time_after(now, rng_jitter(&dialer->rng, PROBE_NS));
        if (offer.targets[OFFER_UNREACHABLE] != NULL || !is_wanting) {
            return offer.targets[OFFER_UNREACHABLE];
        }
    }
    for (int sort = 0; sort < OFFER_SORTS; sort++) {
        if (offer.targets[sort] != NULL) {
            return offer.targets[sort];
        }
    }
    return NULL;
}

struct target *dialer_choose(struct dialer *dialer, const struct router *router, weft_ns now,
                             weft_ns *next) {
    struct target *seed = seed_choose(dialer, router, now, next);
    if (seed != NULL) {
        dialer->seed_dialled_at = now;
    }
    return seed != NULL ? seed : candidate_choose(dialer, router, now, next);
}

weft_ns dialer_backoff_longest(const struct dialer *dialer, const struct router *router,
                               const struct target *target) {
    if (!target->is_seed || target_is_reachable(target, router)) {
        return TARGET_BACKOFF_MAX_NS;
    }
    size_t lost = 0;
    for (size_t i = 0; i < dialer->candidates.seed_count; i++) {
        lost += target_is_reachable(dialer->candidates.seeds[i], router) ? 0 : 1;
    }
    size_t others = dialer->config.may_discover ? router_reachable_count(router) : 0;
    weft_ns longest = time_max(SEED_LOST_BACKOFF_NS, lost * SEED_LOST_GAP_NS);
    longest = time_max(longest, others * SEED_LOST_NODE_NS);
    return time_min(longest, TARGET_BACKOFF_MAX_NS);
}
