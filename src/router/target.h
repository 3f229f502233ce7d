/* SPDX-License-Identifier: Apache-2.0
 *
 * One place worth dialling: a seed's endpoint, or the addresses that a peer's record lists; and
 * what became of the attempts so far.
 */
#ifndef ROUTER_TARGET_H
#define ROUTER_TARGET_H

#include "base/rng.h"
#include "base/span.h"
#include "router/prefix.h"
#include "wire/record.h"

#define TARGET_BACKOFF_FIRST_NS ((weft_ns)250 * 1000 * 1000)
/* Before that twice, the second time four times as long, for a seed that has not answered yet: what
 * one script or the end of one power cut starts with us is there a moment later. */
#define TARGET_BACKOFF_EARLY_NS ((weft_ns)10 * 1000 * 1000)
#define TARGET_BACKOFF_EARLY_ROUNDS 2
#define TARGET_BACKOFF_MAX_NS ((weft_ns)30 * 1000 * 1000 * 1000)
/* A link that lived so long was a good one. */
#define TARGET_GOOD_LIFE_NS ((weft_ns)10 * 1000 * 1000 * 1000)
#define TARGET_ERROR_MAX 63

struct target {
    bool is_seed;
    bool is_peer_known;
    bool is_peer_pinned; /* configured, not learned: nobody else may answer */
    bool is_dialling;
    bool is_gone; /* given up while dialling: freed when the attempt ends */
    uint8_t endpoint_count;
    uint8_t endpoint_at; /* which one is tried next */
    struct weft_peer_id peer;
    char *endpoints; /* NUL-terminated texts, one after the other */
    size_t endpoint_bytes;
    uint32_t failure_count; /* in a row */
    weft_ns retry_at;
    char error[TARGET_ERROR_MAX + 1]; /* why the last attempt failed, or empty */
};

/* A target of one endpoint; NULL when out of memory. */
struct target *target_new_seed(const char *endpoint, const struct weft_peer_id *peer);

/* A target of the literal addresses that a record lists; `*out` is NULL if it lists none.
 * WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err target_new_learned(const struct weft_peer_id *peer,
                                                 struct wire_list addresses, struct target **out);
/* Takes NULL. */
void target_free(struct target *target);

/* The endpoint that is tried next, or being tried. */
const char *target_endpoint(const struct target *target);

bool target_has_same_endpoints(const struct target *a, const struct target *b);
/* Exchanges the endpoints of two targets. */
void target_swap_endpoints(struct target *a, struct target *b);

/* An attempt, or a short-lived link, failed: the next endpoint is tried at once, but after the last
 * of them the back-off of this round, `longest` at most (and jitter). */
struct target_failure {
    const char *why;
    weft_ns longest; /* TARGET_BACKOFF_MAX_NS, or less for who is needed */
    weft_ns at;
};
void target_fail(struct target *target, const struct target_failure *failure, struct rng *rng);

/* A good link is down: try again soon. */
void target_lose(struct target *target, struct rng *rng, weft_ns now);

/* A link was given up on purpose: no hurry. */
void target_rest(struct target *target, struct rng *rng, weft_ns now);

#endif
