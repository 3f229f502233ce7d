/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the connection maker: what dialer.c, which takes the events, and choice.c, which decides
 * whom to dial next, share.
 */
#ifndef ROUTER_DIALER_STATE_H
#define ROUTER_DIALER_STATE_H

#include "base/bucket.h"
#include "router/candidates.h"
#include "router/dialer.h"

#define DIALER_DIALS_MAX 8
/* Links beyond the degree that are borne before trimming down to it. */
#define DIALER_SLACK 4

/* A dial under way. */
struct attempt {
    uint64_t token; /* 0: free */
    struct target *target;
};

struct dialer {
    struct dialer_config config;
    struct rng rng;
    struct candidates candidates;
    struct router_links links;
    struct attempt attempts[DIALER_DIALS_MAX];
    uint64_t token_last;
    struct bucket bucket;
    weft_ns dial_check_at;
    weft_ns trim_check_at;
    weft_ns probe_at;        /* 0 before the first question */
    weft_ns turn_at;         /* when the next links of the second half may be dialled */
    weft_ns seed_dialled_at; /* 0: none yet, or the last one failed */
    weft_ns fall_at;         /* when links began to be lost that were all lost within FALL_NS */
    size_t fall_from;        /* how many there were before */
    weft_ns hurry_until;     /* most links were lost in an instant: turns are short */
    size_t turn_left;        /* how many of them still in this turn */
    size_t trim_run;         /* links trimmed without a pause */
    bool is_trimming;
};

static inline bool target_is_linked(const struct dialer *dialer, const struct target *target) {
    return target->is_peer_known && router_links_has_peer(&dialer->links, &target->peer);
}

/* The target to dial now, or NULL; lowers `*next` to when one that is wanted falls due. */
struct target *dialer_choose(struct dialer *dialer, const struct router *router, weft_ns now,
                             weft_ns *next);

/* The longest that a target whose dial has just failed is left alone. */
weft_ns dialer_backoff_longest(const struct dialer *dialer, const struct router *router,
                               const struct target *target);

#endif
