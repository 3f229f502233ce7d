/* SPDX-License-Identifier: Apache-2.0
 *
 * An attacker with a valid key, for the fuzz targets: shakes hands with a link by the parts of
 * src/link and then seals whatever it is given.
 */
#ifndef TESTS_FUZZ_INSIDER_H
#define TESTS_FUZZ_INSIDER_H

#include "base/rng.h"
#include "link/handshake.h"

/* One node: what its links share. */
struct fuzz_node {
    struct identity identity;
    struct host host;
    struct rng rng;
    struct link_shared shared;
};

/* Both ends of a mesh have the same secret; identity and randomness follow from `seed`. */
void fuzz_node_init(struct fuzz_node *node, uint8_t seed);

struct fuzz_insider {
    struct fuzz_node node;
    struct aead *send;
    uint64_t counter;
};

/* Makes `victim` an established link that the insider dialled. */
void fuzz_insider_up(struct fuzz_insider *insider, const struct fuzz_node *victim, weft_ns now,
                     struct link **out);
void fuzz_insider_fini(struct fuzz_insider *insider);

/* The record that seals `plain`, ready to be fed; `out` has room for RECORD_LENGTH_BYTES +
 * RECORD_BYTES_MAX. Returns its length; 0 when `plain` is empty or too long for one. */
size_t fuzz_insider_seal(struct fuzz_insider *insider, struct span plain, uint8_t *out);

/* Feeds bytes to a link in reads of at most `chunk`, taking all events; stops when it is down. */
void fuzz_feed(struct link *link, struct span bytes, size_t chunk, weft_ns now);
/* Takes all events and all that is to be written; returns how many bytes were. */
size_t fuzz_drain(struct link *link, weft_ns now);

#endif
