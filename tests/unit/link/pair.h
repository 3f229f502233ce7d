/* SPDX-License-Identifier: Apache-2.0
 *
 * Two links and the bytes between them. Everything an end ever put out stays in `wire`, so that a
 * test may cut it anywhere, change it, drop it or send it again elsewhere.
 */
#ifndef TESTS_UNIT_LINK_PAIR_H
#define TESTS_UNIT_LINK_PAIR_H

#include "base/rng.h"
#include "base/time.h"
#include "link/link.h"

struct bytes {
    uint8_t *data;
    size_t len;
    size_t size;
};

void bytes_add(struct bytes *bytes, const void *data, size_t len);
void bytes_free(struct bytes *bytes);

struct end {
    struct identity identity;
    struct host host;
    struct rng rng;
    struct link_shared shared;
    struct link *link;
    struct bytes wire; /* all that this end put out */
    size_t delivered;  /* how much of it the other end was fed */
    bool is_up;
    bool is_down;
    struct weft_peer_id peer; /* from UP */
    char peer_name[64];
    uint8_t version;
    struct link_event down;
    size_t frame_count;
    struct bytes
        got; /* frames in order: kind, flags, body length (4), body, payload length (4), payload */
};

/* Identity and randomness from `seed`; the mesh secret is 32 times `secret`. */
void end_init(struct end *end, uint8_t seed, uint8_t secret);
void end_fini(struct end *end);

/* A new link; forgets the last one and all that was recorded of it. */
void end_open(struct end *end, enum link_role role, const struct weft_peer_id *expected,
              weft_ns now);

/* Writes out all that the link has, at most `max` bytes; returns how many. */
size_t end_flush(struct end *end, weft_ns now, size_t max);

/* Feeds bytes, in reads of at most `chunk`, and takes all events. Stops when the link is down. */
void end_feed(struct end *end, const void *data, size_t len, size_t chunk, weft_ns now);

/* Takes all events. */
void end_events(struct end *end, weft_ns now);

/* A pair of fresh links, one dialled by `a`. */
void pair_open(struct end *a, struct end *b, weft_ns now);

/* Carries bytes both ways until nothing moves. Chunks are of 1 to `cut` bytes, drawn from `rng`;
 * with no rng, of `cut` bytes. */
void pair_settle(struct end *a, struct end *b, struct rng *rng, size_t cut, weft_ns now);

/* pair_open, pair_settle, and both must be up. */
void pair_up(struct end *a, struct end *b, weft_ns now);

/* A frame of a kind with a body of `len` bytes that depend on `seed`. */
struct frame *frame_of(uint8_t kind, size_t len, uint32_t seed);
struct frame *carrier_of(uint32_t flow, uint16_t len);
struct frame *payload_of(uint16_t len, uint32_t seed);

/* Sends and drops the caller's references; returns link_send's result. */
enum weft_err send_frame(struct end *end, uint8_t kind, size_t len, uint32_t seed,
                         enum wire_class class, weft_ns now);
enum weft_err send_carrier(struct end *end, uint32_t flow, uint16_t len, uint32_t seed,
                           weft_ns now);

/* What `got` holds after such a frame has come. */
void expect_frame(struct bytes *expected, uint8_t kind, size_t len, uint32_t seed);
void expect_carrier(struct bytes *expected, uint32_t flow, uint16_t len, uint32_t seed);

#endif
