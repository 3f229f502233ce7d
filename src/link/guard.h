/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may knock: bounds what strangers cost before they have proved the mesh secret (C3, C4, T9,
 * T17).
 *
 * - at most half_open_max (256) handshakes under way; at the bound the oldest is dropped if it is
 * over 1 s old, else the oldest of the prefix that has most of them under way, if the newcomer's
 * has fewer by two; else the new one is refused. So who floods from few networks takes places from
 * itself, and somebody from elsewhere is in at once;
 * - a token bucket per address prefix (IPv4 /24, IPv6 /48): 50 connections at once, then 10 a
 * second; loopback and link-local count like others. 4,096 prefixes are remembered; the one longest
 * quiet makes room;
 * - at most links_max links in all;
 * - faults are reported once per address with a count: log at the first, then each doubling, at
 * most once a minute;
 * - the last 4,096 first messages' ephemeral keys are remembered: a replayed one gets no answer
 * (T1).
 */
#ifndef LINK_GUARD_H
#define LINK_GUARD_H

#include "base/hash.h"
#include "base/link_id.h"
#include "base/span.h"
#include "weft/types.h"

struct guard;

struct guard_config {
    struct hash_key hash_key;
    size_t half_open_max;  /* 256 */
    size_t prefixes_max;   /* 4,096 */
    uint64_t prefix_burst; /* 50 */
    uint64_t prefix_rate;  /* 10 a second */
};
void guard_config_defaults(struct guard_config *config);

enum guard_verdict {
    GUARD_ADMIT,
    GUARD_TOO_FAST, /* the prefix's bucket is empty */
    GUARD_FULL,     /* too many half-open */
};

WEFT_MUST_CHECK enum weft_err guard_new(const struct guard_config *config, struct guard **out);
void guard_free(struct guard *guard);

/* A connection arrives from `address`: 4 or 16 bytes. Admitted ones count as half-open until
 * guard_settled. When an older one must go for it, *evict is that link, else value 0. */
enum guard_verdict guard_knock(struct guard *guard, struct span address, struct link_id link,
                               weft_ns now, struct link_id *evict);
/* The handshake ended, well or badly; unknown links are ignored. */
void guard_settled(struct guard *guard, struct link_id link);

/* Whether this first message was seen before; remembers it. `ephemeral` 32 bytes. */
bool guard_is_replay(struct guard *guard, const uint8_t ephemeral[32]);

/* A fault of `address`: whether it is to be logged now, and how many there were. */
bool guard_fault(struct guard *guard, struct span address, weft_ns now, uint64_t *count);

size_t guard_half_open_count(const struct guard *guard);
/* The most at once so far. */
size_t guard_half_open_most(const struct guard *guard);

#endif
