/* SPDX-License-Identifier: Apache-2.0
 *
 * When to dial whom, and when to trim. Every event that could change an answer wakes the question
 * (check_at = 0); a question that found nothing says when to ask again, always later than now, so
 * that a host that sleeps until the deadline never spins.
 */
#include "router/dialer.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/time.h"
#include "router/dialer_state.h"

/* How fast to dial. */
struct pace {
    size_t dials_max; /* under way */
    uint64_t burst;
    uint64_t rate; /* a second */
};
/* Eight at once, which fills a node's degree, and 12 a second after: at most 20 in any second. */
static const struct pace pace_usual = {.dials_max = 4, .burst = 8, .rate = 12};
/* Who lost most links at once finds most candidates dead, as many as it has, 120 within 3 s. */
static const struct pace pace_hurried = {.dials_max = DIALER_DIALS_MAX, .burst = 16, .rate = 40};
/* Newcomers that are let in above links_max before as many links are trimmed. */
#define OVERFLOW_MAX 8
#define TRIM_AGE_NS (5 * NS_PER_S)
/* Between two trims: the news of the first should change the second's graph. */
#define TRIM_GAP_NS (100 * NS_PER_MS)
/* Of a crowded node's links many are cut short at a time, and young ones too: a seed through which
 * thousands join would else be the centre of a star for minutes, and its record, in which each of
 * them is named, more than half of all that the mesh hears. */
#define CROWD_TRIM_AGE_NS NS_PER_S
#define CROWD_TRIMS 32
/* Links lost within so long are lost at once: an end is seen as fast as the news of it crosses. */
#define FALL_NS NS_PER_S
/* One lost link is one bad peer; so many, and a quarter of all, are a fall. */
#define FALL_LINKS_MIN 2
/* How long a node whose links fell away dials without waiting for the others: within 3 s all
 * should be settled again (A4). */
#define HURRY_NS (3 * NS_PER_S)
/* The graph changes without anybody telling us: look again. */
#define RECHECK_NS NS_PER_S

enum weft_err dialer_new(const struct dialer_config *config, struct dialer **out) {
    ASSERT(config->host != NULL && config->links_max >= 1 && config->candidates_max >= 1);
    struct dialer *dialer = calloc(1, sizeof *dialer);
    if (dialer == NULL) {
        return WEFT_ERR_MEMORY;
    }
    candidates_init(&dialer->candidates, config->candidates_max);
    uint8_t seed[32];
    host_random(config->host, seed, sizeof seed);
    rng_init(&dialer->rng, seed);
    dialer->config = *config;
    dialer->dial_check_at = WEFT_NEVER;
    dialer->trim_check_at = WEFT_NEVER;
    *out = dialer;
    return WEFT_OK;
}

/* Leaves no target marked as being dialled, and none that only waited for that. */
static void attempts_fini(struct dialer *dialer) {
    for (size_t i = 0; i < DIALER_DIALS_MAX; i++) {
        struct target *target = dialer->attempts[i].target;
        if (target == NULL) {
            continue;
        }
        target->is_dialling = false;
        if (target->is_gone) {
            target_free(target);
        }
    }
}

void dialer_free(struct dialer *dialer) {
    if (dialer == NULL) {
        return;
    }
    attempts_fini(dialer);
    candidates_fini(&dialer->candidates);
    router_links_fini(&dialer->links);
    free(dialer);
}

static void dialer_wake(struct dialer *dialer) {
    dialer->dial_check_at = 0;
}

static bool endpoint_is_plausible(const char *endpoint) {
    size_t len = strnlen(endpoint, WEFT_ENDPOINT_MAX + 1);
    const char *port = strrchr(endpoint, ':');
    return len >= 3 && len <= WEFT_ENDPOINT_MAX && port != NULL && port != endpoint &&
           port[1] != '\0';
}

enum weft_err dialer_add_seed(struct dialer *dialer, const char *endpoint,
                              const struct weft_peer_id *peer) {
    if (!endpoint_is_plausible(endpoint) ||
        (peer != NULL && weft_peer_id_equal(peer, &dialer->config.self))) {
        return WEFT_ERR_INVALID;
    }
    enum weft_err err = candidates_add_seed(&dialer->candidates, endpoint, peer);
    dialer_wake(dialer);
    return err;
}

void dialer_remove_seed(struct dialer *dialer, const char *endpoint) {
    candidates_remove_seed(&dialer->candidates, endpoint);
    dialer_wake(dialer);
}

bool dialer_wants(struct dialer *dialer, const struct weft_peer_id *peer) {
    return candidates_wants(&dialer->candidates, peer, &dialer->rng);
}

void dialer_learn(struct dialer *dialer, const struct weft_peer_id *peer,
                  const struct wire_peer_body *body, weft_ns now) {
    struct target *target = NULL;
    if (weft_peer_id_equal(peer, &dialer->config.self) ||
        target_new_learned(peer, body->addresses, &target) != WEFT_OK) {
        return;
    }
    if (target == NULL) {
        candidates_forget(&dialer->candidates, peer);
    } else if (candidates_put(&dialer->candidates, target, &dialer->rng, now)) {
        dialer_wake(dialer);
    }
}

void dialer_forget(struct dialer *dialer, const struct weft_peer_id *peer) {
    candidates_forget(&dialer->candidates, peer);
}

/* Ends an attempt; the target it was for, or NULL if there is none or it is gone. */
static struct target *attempt_end(struct dialer *dialer, uint64_t token) {
    for (size_t i = 0; i < DIALER_DIALS_MAX; i++) {
        struct attempt *attempt = &dialer->attempts[i];
        if (token == 0 || attempt->token != token) {
            continue;
        }
        struct target *target = attempt->target;
        *attempt = (struct attempt){0};
        target->is_dialling = false;
        if (target->is_gone) {
            target_free(target);
            return NULL;
        }
        return target;
    }
    return NULL;
}

/* A turn is about links, and this dial made none. Seeds have no turns. */
static void turn_return(struct dialer *dialer, const struct target *target) {
    if (!target->is_seed && dialer->turn_left < dialer->config.degree) {
        dialer->turn_left++;
    }
}

void dialer_failed(struct dialer *dialer, const struct router *router, uint64_t token,
                   const char *why, weft_ns now) {
    struct target *target = attempt_end(dialer, token);
    if (target != NULL) {
        weft_ns longest = dialer_backoff_longest(dialer, router, target);
        target_fail(target, &(struct target_failure){.why = why, .longest = longest, .at = now},
                    &dialer->rng);
        turn_return(dialer, target);
        dialer->seed_dialled_at = target->is_seed ? 0 : dialer->seed_dialled_at;
    }
    dialer_wake(dialer);
}

/* There was a link: whatever ended it, dialling more often does not help. */
static void target_fail_linked(struct dialer *dialer, struct target *target, const char *why,
                               weft_ns now) {
    target_fail(target,
                &(struct target_failure){.why = why, .longest = TARGET_BACKOFF_MAX_NS, .at = now},
                &dialer->rng);
}

/* Who answered a seed's endpoint is now known; elsewhere only the right one may answer. */
static void answer_take(struct dialer *dialer, struct target *target,
                        const struct weft_peer_id *peer, weft_ns now) {
    bool is_right = target->is_peer_known && weft_peer_id_equal(&target->peer, peer);
    if (!is_right && (target->is_peer_pinned || !target->is_seed)) {
        target_fail_linked(dialer, target, "another peer answered", now);
        return;
    }
    target->peer = *peer;
    target->is_peer_known = true;
}

void dialer_link_up(struct dialer *dialer, struct link_id link, const struct weft_peer_id *peer,
                    uint64_t token, weft_ns now) {
    struct router_link up = {.id = link, .peer = *peer, .up_at = now, .cost_us = UINT32_MAX};
    const struct target *known = candidates_find(&dialer->candidates, peer);
    struct target *target = attempt_end(dialer, token);
    if (target != NULL) {
        answer_take(dialer, target, peer, now);
        known = target->is_seed ? known : target;
    }
    if (known != NULL) {
        up.prefix = router_prefix_of(target_endpoint(known));
    }
    if (router_links_find(&dialer->links, link) == NULL) {
        /* Short of memory the link lives on unwatched: it is neither counted nor trimmed. */
        (void)!router_links_add(&dialer->links, &up);
    }
    dialer_wake(dialer);
    dialer->trim_check_at = 0;
}

static void target_settle(struct dialer *dialer, struct target *target,
                          const struct router_link *link, bool is_deliberate, weft_ns now) {
    if (is_deliberate) {
        target_rest(target, &dialer->rng, now);
    } else if (time_since(link->up_at, now) >= TARGET_GOOD_LIFE_NS) {
        target_lose(target, &dialer->rng, now);
    } else if (!target->is_dialling) {
        target_fail_linked(dialer, target, "link lost soon after it came up", now);
    }
}

/* Notes whether most links go at once: then it is the mesh that fell, and not one peer. */
static void fall_note(struct dialer *dialer, weft_ns now) {
    size_t left = router_links_degree(&dialer->links);
    if (dialer->fall_from == 0 || time_since(dialer->fall_at, now) > FALL_NS) {
        dialer->fall_at = now;
        dialer->fall_from = left + 1;
    }
    size_t lost = dialer->fall_from > left ? dialer->fall_from - left : 0;
    if (lost >= FALL_LINKS_MIN && 4 * lost >= dialer->fall_from) {
        dialer->hurry_until = time_after(now, HURRY_NS);
        dialer->turn_at = time_min(dialer->turn_at, now);
    }
}

void dialer_link_down(struct dialer *dialer, struct link_id link, bool is_deliberate, weft_ns now) {
    struct router_link down;
    if (!router_links_remove(&dialer->links, link, &down)) {
        return;
    }
    dialer_wake(dialer);
    if (router_links_has_peer(&dialer->links, &down.peer)) {
        return; /* one of two links to one peer: nothing is missing */
    }
    if (!is_deliberate) {
        fall_note(dialer, now);
    }
    struct target *learned = candidates_find(&dialer->candidates, &down.peer);
    if (learned != NULL) {
        target_settle(dialer, learned, &down, is_deliberate, now);
    }
    for (size_t i = 0; i < dialer->candidates.seed_count; i++) {
        struct target *seed = dialer->candidates.seeds[i];
        if (seed->is_peer_known && weft_peer_id_equal(&seed->peer, &down.peer)) {
            target_settle(dialer, seed, &down, is_deliberate, now);
        }
    }
}

weft_ns dialer_hurried_until(const struct dialer *dialer) {
    return dialer->hurry_until;
}

bool dialer_is_hurried(const struct dialer *dialer, weft_ns now) {
    return now < dialer->hurry_until;
}

void dialer_cost(struct dialer *dialer, struct link_id link, uint32_t cost_us) {
    struct router_link *at = router_links_find(&dialer->links, link);
    if (at != NULL) {
        at->cost_us = cost_us;
    }
}

/* As many as are borne: one more, and some are trimmed. */
static bool is_full(const struct dialer *dialer, size_t count) {
    return dialer->config.may_discover && count >= (size_t)dialer->config.degree + DIALER_SLACK;
}

bool dialer_admit(struct dialer *dialer, const struct router *router,
                  const struct weft_peer_id *peer) {
    size_t count = router_links_degree(&dialer->links);
    if (router_links_has_peer(&dialer->links, peer)) {
        return true;
    }
    if (is_full(dialer, count) && router_reaches(router, peer) &&
        2 * router_degree(router, peer) >= dialer->config.degree) {
        return false;
    }
    if (count < dialer->config.links_max) {
        return true;
    }
    bool is_newcomer = router_degree(router, peer) == 0;
    return is_newcomer && count < (size_t)dialer->config.links_max + OVERFLOW_MAX;
}

bool dialer_only_asked(const struct dialer *dialer, const struct router *router, uint64_t token,
                       const struct weft_peer_id *peer) {
    for (size_t i = 0; i < DIALER_DIALS_MAX; i++) {
        const struct attempt *attempt = &dialer->attempts[i];
        if (token != 0 && attempt->token == token && attempt->target->is_seed) {
            return dialer->config.may_discover && router_reaches(router, peer) &&
                   router_links_degree(&dialer->links) >= dialer->config.degree;
        }
    }
    return false;
}

static struct attempt *attempt_free(struct dialer *dialer, const struct pace *pace) {
    for (size_t i = 0; i < pace->dials_max; i++) {
        if (dialer->attempts[i].token == 0) {
            return &dialer->attempts[i];
        }
    }
    return NULL;
}

static void dial_start(struct dialer *dialer, struct attempt *attempt, struct target *target,
                       struct dial *out) {
    *attempt = (struct attempt){.token = ++dialer->token_last, .target = target};
    target->is_dialling = true;
    *out = (struct dial){.token = attempt->token};
    const char *endpoint = target_endpoint(target);
    memcpy(out->endpoint, endpoint, strlen(endpoint) + 1);
    out->is_peer_known = target->is_peer_pinned || !target->is_seed;
    if (out->is_peer_known) {
        out->peer = target->peer;
    }
}

/* When the bucket holds a token; its own rule turned round. */
static weft_ns bucket_ready_at(const struct bucket *bucket, const struct pace *pace) {
    weft_ns depth = (pace->burst - 1) * NS_PER_S / pace->rate;
    return bucket->ready > depth ? bucket->ready - depth : 0;
}

bool dialer_next_dial(struct dialer *dialer, const struct router *router, weft_ns now,
                      struct dial *out) {
    if (now < dialer->dial_check_at) {
        return false;
    }
    const struct pace *pace = dialer_is_hurried(dialer, now) ? &pace_hurried : &pace_usual;
    struct attempt *attempt = attempt_free(dialer, pace);
    weft_ns next = time_after(now, RECHECK_NS);
    weft_ns ready_at = bucket_ready_at(&dialer->bucket, pace);
    if (attempt == NULL || ready_at > now) {
        dialer->dial_check_at = attempt == NULL ? next : ready_at;
        return false;
    }
    struct target *target = dialer_choose(dialer, router, now, &next);
    if (target == NULL || !bucket_take(&dialer->bucket, 1, pace->rate, pace->burst, now)) {
        dialer->dial_check_at = next;
        return false;
    }
    dial_start(dialer, attempt, target, out);
    return true;
}

static bool peer_is_kept(const void *ctx, const struct weft_peer_id *peer) {
    const struct dialer *dialer = ctx;
    return candidates_has_seed_peer(&dialer->candidates, peer);
}

/* Whether there are too many links: from degree + DIALER_SLACK until down to the degree. */
static bool trimming_update(struct dialer *dialer, size_t count) {
    if (count > (size_t)dialer->config.degree + DIALER_SLACK) {
        dialer->is_trimming = true;
    }
    if (count <= dialer->config.degree) {
        dialer->is_trimming = false;
    }
    return dialer->is_trimming;
}

static bool is_crowded(const struct dialer *dialer, size_t count) {
    return count > 2 * ((size_t)dialer->config.degree + DIALER_SLACK);
}

bool dialer_next_trim(struct dialer *dialer, const struct router *router, weft_ns now,
                      struct link_id *out) {
    if (now < dialer->trim_check_at) {
        return false;
    }
    size_t count = router_links_degree(&dialer->links);
    struct surplus surplus = {.router = router,
                              .self = &dialer->config.self,
                              .degree = dialer->config.degree,
                              .slack = DIALER_SLACK,
                              .is_forced = count > dialer->config.links_max,
                              .is_crowded = is_crowded(dialer, count),
                              .is_kept = peer_is_kept,
                              .ctx = dialer};
    if (!trimming_update(dialer, count) && !surplus.is_forced) {
        dialer->trim_check_at = WEFT_NEVER; /* the next link that comes up wakes us */
        return false;
    }
    weft_ns age = surplus.is_crowded ? CROWD_TRIM_AGE_NS : TRIM_AGE_NS;
    surplus.up_before = surplus.is_forced ? WEFT_NEVER : now - time_min(now, age);
    struct router_link *link = router_links_pick_surplus(&dialer->links, &surplus, &dialer->rng);
    if (link == NULL) {
        dialer->trim_check_at = time_after(now, RECHECK_NS);
        return false;
    }
    link->is_closing = true;
    dialer->trim_run++;
    bool goes_on = surplus.is_crowded && dialer->trim_run < CROWD_TRIMS;
    dialer->trim_run = goes_on ? dialer->trim_run : 0;
    dialer->trim_check_at = goes_on ? now : time_after(now, TRIM_GAP_NS);
    *out = link->id;
    return true;
}

weft_ns dialer_deadline(const struct dialer *dialer) {
    return time_min(dialer->dial_check_at, dialer->trim_check_at);
}

static void target_show(const struct target *target, struct dialer_target *out) {
    *out = (struct dialer_target){.endpoint = target_endpoint(target),
                                  .is_seed = target->is_seed,
                                  .is_dialling = target->is_dialling,
                                  .is_peer_known = target->is_peer_known,
                                  .peer = target->peer,
                                  .failure_count = target->failure_count,
                                  .retry_at = target->is_dialling ? WEFT_NEVER : target->retry_at,
                                  .error = target->error};
}

bool dialer_target_at(const struct dialer *dialer, size_t index, struct dialer_target *out) {
    for (size_t i = 0; i < dialer->candidates.seed_count; i++) {
        const struct target *seed = dialer->candidates.seeds[i];
        if (!target_is_linked(dialer, seed) && index-- == 0) {
            target_show(seed, out);
            return true;
        }
    }
    for (size_t i = 0; i < dialer->candidates.learned_count; i++) {
        const struct target *target = dialer->candidates.learned[i];
        bool is_listed = target->is_dialling || target->failure_count > 0;
        if (is_listed && !target_is_linked(dialer, target) && index-- == 0) {
            target_show(target, out);
            return true;
        }
    }
    return false;
}
