/* SPDX-License-Identifier: Apache-2.0
 *
 * Two links in one process, with a copy between them in place of the kernel.
 */
#ifndef BENCH_PAIR_H
#define BENCH_PAIR_H

#include "base/rng.h"
#include "link/link.h"

struct peer {
    struct identity identity;
    struct host host;
    struct rng rng;
    struct link_shared shared;
    struct link *link;
    void (*on_frame)(void *ctx, const struct link_event *event); /* NULL: frames are dropped */
    void *ctx;
};

/* Of a host: random bytes of a struct rng, its ctx. */
void pair_random(void *ctx, uint8_t *out, size_t len);

/* Makes both ends of a link that is up, each with a pool for its memory, as a daemon's links have.
 */
void pair_init(struct peer *dialler, struct peer *acceptor);
void pair_fini(struct peer *dialler, struct peer *acceptor);

/* Moves what one end has to write to the other; how many bytes of frames, or of what they carry,
 * came there. */
uint64_t pair_carry(struct peer *from, struct peer *to);

/* A frame of about 100 bytes, or the header of one that carries so many. */
struct frame *pair_frame(uint16_t carried);
/* What it carries; NULL for none. */
struct frame *pair_payload(uint16_t carried);

#endif
