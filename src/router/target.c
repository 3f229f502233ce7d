/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints and back-off of one target.
 */
#include "router/target.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/defect.h"
#include "base/time.h"

/* 250 ms doubled seven times is more than the longest back-off. */
#define DOUBLINGS_MAX 7

static struct target *target_new(const struct weft_peer_id *peer, size_t endpoint_bytes) {
    struct target *target = calloc(1, sizeof *target);
    if (target == NULL) {
        return NULL;
    }
    target->endpoints = calloc(endpoint_bytes, 1);
    if (target->endpoints == NULL) {
        target_free(target);
        return NULL;
    }
    target->is_peer_known = peer != NULL;
    if (peer != NULL) {
        target->peer = *peer;
    }
    return target;
}

static void endpoint_append(struct target *target, const char *endpoint) {
    size_t size = strlen(endpoint) + 1;
    memcpy(target->endpoints + target->endpoint_bytes, endpoint, size);
    target->endpoint_bytes += size;
    target->endpoint_count++;
}

struct target *target_new_seed(const char *endpoint, const struct weft_peer_id *peer) {
    struct target *target = target_new(peer, strlen(endpoint) + 1);
    if (target != NULL) {
        endpoint_append(target, endpoint);
        target->is_seed = true;
        target->is_peer_pinned = peer != NULL;
    }
    return target;
}

/* Takes the next address off a list that is a literal one; false at the end. */
static bool next_literal(struct wire_list *addresses, char endpoint[WIRE_ADDRESS_MAX + 1]) {
    struct span text;
    while (wire_list_next_text(addresses, &text)) {
        if (span_to_text(text, endpoint, WIRE_ADDRESS_MAX + 1) &&
            router_prefix_of(endpoint).kind != PREFIX_NONE) {
            return true;
        }
    }
    return false;
}

enum weft_err target_new_learned(const struct weft_peer_id *peer, struct wire_list addresses,
                                 struct target **out) {
    char endpoint[WIRE_ADDRESS_MAX + 1];
    struct wire_list ahead = addresses;
    size_t bytes = 0;
    size_t count = 0;
    while (count < WIRE_ADDRESSES_MAX && next_literal(&ahead, endpoint)) {
        bytes += strlen(endpoint) + 1;
        count++;
    }
    *out = NULL;
    if (count == 0) {
        return WEFT_OK;
    }
    struct target *target = target_new(peer, bytes);
    if (target == NULL) {
        return WEFT_ERR_MEMORY;
    }
    for (size_t i = 0; i < count && next_literal(&addresses, endpoint); i++) {
        endpoint_append(target, endpoint);
    }
    *out = target;
    return WEFT_OK;
}

void target_free(struct target *target) {
    if (target != NULL) {
        free(target->endpoints);
        free(target);
    }
}

const char *target_endpoint(const struct target *target) {
    const char *endpoint = target->endpoints;
    for (uint8_t i = 0; i < target->endpoint_at; i++) {
        endpoint += strlen(endpoint) + 1;
    }
    return endpoint;
}

bool target_has_same_endpoints(const struct target *a, const struct target *b) {
    return span_equal(span_of(a->endpoints, a->endpoint_bytes),
                      span_of(b->endpoints, b->endpoint_bytes));
}

void target_swap_endpoints(struct target *a, struct target *b) {
    struct target former = *a;
    a->endpoints = b->endpoints;
    a->endpoint_bytes = b->endpoint_bytes;
    a->endpoint_count = b->endpoint_count;
    a->endpoint_at = 0;
    b->endpoints = former.endpoints;
    b->endpoint_bytes = former.endpoint_bytes;
    b->endpoint_count = former.endpoint_count;
    b->endpoint_at = 0;
}

static weft_ns backoff(const struct target *target, uint32_t round, weft_ns longest) {
    ASSERT(round >= 1 && longest <= TARGET_BACKOFF_MAX_NS);
    uint32_t early = target->is_seed && !target->is_peer_known ? TARGET_BACKOFF_EARLY_ROUNDS : 0;
    if (round <= early) {
        return TARGET_BACKOFF_EARLY_NS << (2 * (round - 1));
    }
    uint32_t doublings = round - early - 1;
    doublings = doublings < DOUBLINGS_MAX ? doublings : DOUBLINGS_MAX;
    return time_min(TARGET_BACKOFF_FIRST_NS << doublings, longest);
}

void target_fail(struct target *target, const struct target_failure *failure, struct rng *rng) {
    size_t len = strnlen(failure->why, TARGET_ERROR_MAX);
    memcpy(target->error, failure->why, len);
    target->error[len] = '\0';
    target->failure_count += target->failure_count < UINT32_MAX ? 1 : 0;
    target->endpoint_at++;
    if (target->endpoint_at < target->endpoint_count) {
        target->retry_at = failure->at;
        return;
    }
    target->endpoint_at = 0;
    uint32_t round = target->failure_count / target->endpoint_count;
    weft_ns wait = backoff(target, round > 0 ? round : 1, failure->longest);
    target->retry_at = time_after(failure->at, rng_jitter(rng, wait));
    if (DEFECT(DIALS_GIVEN_UP) && round >= 3) {
        target->retry_at = WEFT_NEVER;
    }
}

void target_lose(struct target *target, struct rng *rng, weft_ns now) {
    target->failure_count = 0;
    target->error[0] = '\0';
    target->retry_at = time_after(now, rng_jitter(rng, TARGET_BACKOFF_FIRST_NS));
}

void target_rest(struct target *target, struct rng *rng, weft_ns now) {
    target->retry_at = time_after(now, rng_jitter(rng, TARGET_BACKOFF_MAX_NS));
}
