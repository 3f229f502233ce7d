/* SPDX-License-Identifier: Apache-2.0
 *
 * One core whose peers are made up by the test: it says what each of them sends, signed with their
 * keys, and looks at what the core wants done.
 */
#ifndef TESTS_UNIT_CORE_VICTIM_H
#define TESTS_UNIT_CORE_VICTIM_H

#include "base/rng.h"
#include "base/time.h"
#include "core/core.h"

#define VICTIM_PEERS 8
#define VICTIM_SELF VICTIM_PEERS /* as an owner: the core's own key */
#define VICTIM_INSTANCE 9
#define VICTIM_KEPT_MAX 64

struct victim {
    struct rng rng;
    struct identity ids[VICTIM_PEERS + 1]; /* the last is its own */
    struct core_config config;             /* change it between victim_init and victim_start */
    struct core *core;
    weft_ns now;
    uint64_t version; /* of the last record given */
    /* What it did, since it started. */
    size_t close_count;
    struct link_id closed;
    enum wire_close_reason close_reason;
    size_t sent[256]; /* by kind */
    struct link_id sent_on;
    size_t dial_count;
    uint64_t dial_token;
    uint64_t pong;
    bool has_left;
    size_t kept_count; /* ACTION_SAVE_RECORD */
    struct record *kept[VICTIM_KEPT_MAX];
    size_t forgotten_count;
    size_t reset_count;
    char traced[64]; /* the last event's name */
};

void victim_init(struct victim *victim);
void victim_start(struct victim *victim);
void victim_fini(struct victim *victim);

struct link_id link_of(uint64_t value);
const struct weft_peer_id *victim_peer(const struct victim *victim, size_t peer);

/* Takes all actions. Each of these does so at its end. */
void victim_drain(struct victim *victim);
void victim_wait(struct victim *victim, weft_ns span); /* tick by tick, at its deadlines */
void victim_up(struct victim *victim, uint64_t link, size_t peer, enum link_role role);
void victim_frame(struct victim *victim, uint64_t link, enum wire_kind kind, struct span body,
                  struct span payload);
/* One signed record; the version is one more than of the last. */
void victim_record(struct victim *victim, uint64_t link, size_t owner,
                   const struct wire_record *fields);
/* A peer's record that lists these neighbours (VICTIM_SELF among them), at a cost each. */
void victim_peer_record(struct victim *victim, uint64_t link, size_t owner, const size_t *peers,
                        size_t peer_count, uint32_t cost_us);
void victim_service_record(struct victim *victim, uint64_t link, size_t owner, const char *key);

/* `link` to `peer`, with both ends listing it: one hop away. */
void victim_join(struct victim *victim, uint64_t link, size_t peer, uint32_t cost_us);
struct core_status victim_status(const struct victim *victim);

#endif
