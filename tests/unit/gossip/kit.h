/* SPDX-License-Identifier: Apache-2.0
 *
 * What the gossip tests share: identities by number, records signed or merely shaped like signed
 * ones (the set does not verify, so a million of them cost no signatures), frames.
 */
#ifndef TESTS_GOSSIP_KIT_H
#define TESTS_GOSSIP_KIT_H

#include "base/host.h"
#include "base/rng.h"
#include "gossip/gossip.h"
#include "gossip/sync.h"

/* The identity number `index`; the same in every run. */
void kit_identity(uint32_t index, struct identity *out);

/* A host whose random bytes follow from the seed in `rng`. */
struct host kit_host(struct rng *rng);

struct rng kit_rng(uint64_t seed);
/* The seed of a property test: WEFT_TEST_SEED or a fixed one; printed. */
uint64_t kit_seed(void);

struct recordset_config kit_bounds(void);

/* A signed record; body is a text. */
struct record *kit_signed(const struct identity *identity, uint16_t kind, const char *key,
                          uint64_t incarnation, uint64_t version, const char *body);
struct record *kit_tombstone(const struct identity *identity, uint16_t kind, const char *key,
                             uint64_t incarnation, uint64_t version);
/* A peer record with a body that decodes. */
struct record *kit_peer(const struct identity *identity, uint64_t incarnation, uint64_t version,
                        uint64_t instance);
size_t kit_peer_body(uint8_t *out, size_t size, uint64_t instance, const char *name);

/* A record as the set sees it, of an owner that is only a number; never verified. `bytes` long. */
struct record *kit_shaped(uint32_t owner, uint16_t kind, uint32_t key, uint64_t incarnation,
                          uint64_t version, size_t bytes);
struct weft_peer_id kit_owner(uint32_t owner);

/* Frame bodies; `out` has WIRE_BODY_BYTES_MAX bytes. */
struct wire_frame kit_records_frame(uint8_t *out, struct record *const *records, size_t count);

/* A host, an identity and a gossip with routes that know nothing, and its links by number. */
struct solo {
    struct identity identity;
    struct rng rng;
    struct host host;
    struct gossip *gossip;
    struct weft_peer_id children[4];
    size_t child_count;
    uint64_t digest;
    size_t degree; /* of every neighbour */
    weft_ns now;
};
void solo_init(struct solo *solo, uint32_t identity, uint64_t incarnation, uint64_t instance);
void solo_fini(struct solo *solo);
struct gossip_config solo_config(struct solo *solo, uint64_t incarnation, uint64_t instance);
void solo_link(struct solo *solo, uint64_t link, uint32_t peer);
enum weft_err solo_hear(struct solo *solo, uint64_t link, struct record *const *records,
                        size_t count);
enum weft_err solo_hear_one(struct solo *solo, uint64_t link, struct record *record);
/* A neighbour with nothing asks for all. */
enum weft_err solo_hear_sync(struct solo *solo, uint64_t link);
/* Drains events; returns how many there were of a kind. */
size_t solo_events(struct solo *solo, enum gossip_event_kind kind);
/* Drains outputs; returns how many frames of a wire kind went to a link. */
size_t solo_outputs(struct solo *solo, uint64_t link, uint8_t kind);
/* Whether a frame tells of records, whole or by what changed. */
bool kit_tells_records(const struct frame *frame);
/* Drains outputs; whether a record of the owner and kind went to a link, and its version. */
uint64_t solo_sent_version(struct solo *solo, uint64_t link, const struct weft_peer_id *owner,
                           uint16_t kind);
/* Publishes our peer record. */
void solo_publish(struct solo *solo, const char *name, uint64_t instance);

#endif
