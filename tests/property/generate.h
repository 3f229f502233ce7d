/* SPDX-License-Identifier: Apache-2.0
 *
 * Random valid messages, one seed each, for the property tests of the wire. What is generated lives
 * in the generator's arena until the next gen_reset.
 */
#ifndef PROPERTY_GENERATE_H
#define PROPERTY_GENERATE_H

#include "base/rng.h"
#include "wire/record.h"
#include "wire/session.h"

#define GEN_ARENA_BYTES (1 << 18)

struct gen {
    struct rng rng;
    uint64_t seed;
    size_t used;
    uint8_t *arena;
};

/* The seed of this run: WEFT_TEST_SEED, or a fixed one. Logged, so that a failure can be repeated.
 */
uint64_t gen_seed(void);
void gen_init(struct gen *gen, uint64_t seed);
void gen_fini(struct gen *gen);
void gen_reset(struct gen *gen);

uint64_t gen_below(struct gen *gen, uint64_t bound);
uint64_t gen_between(struct gen *gen, uint64_t min, uint64_t max);
/* A number whose size in bits is uniform, so that short ones are as common as long ones. */
uint64_t gen_number(struct gen *gen);
struct span gen_bytes(struct gen *gen, size_t min, size_t max);
struct span gen_printable(struct gen *gen, size_t min, size_t max);
struct span gen_name(struct gen *gen);
/* A printable text of at least 1 character that ends in a NUL. */
const char *gen_text(struct gen *gen, size_t max);
void gen_key(struct gen *gen, struct weft_public_key *out);

/* A random valid message of a kind; false if there is no generator for it. */
bool gen_message(struct gen *gen, uint8_t kind, union wire_any *out);
/* The body that a row encodes a message into. */
struct span gen_encode(struct gen *gen, const struct wire_type *type,
                       const union wire_any *message);
/* A whole signed record, of known or unknown kind. */
struct span gen_record(struct gen *gen);
void gen_packet(struct gen *gen, struct wire_packet *out);
void gen_part(struct gen *gen, uint8_t type, struct wire_part *out);

/* A copy on the heap of exactly its size, so that ASan sees a read one byte past its end. */
struct span heap_copy(struct span bytes);
void heap_free(struct span bytes);

#endif
