/* SPDX-License-Identifier: Apache-2.0
 *
 * A bitmap over the slots of a record set, grown on demand: what is pending for one link costs one
 * bit a record, so a thousand slow links cannot fill the memory.
 */
#ifndef GOSSIP_BITS_H
#define GOSSIP_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bits {
    uint64_t *words;
    size_t word_count;
    size_t set_count;
};

/* Takes zeroed memory. */
void bits_fini(struct bits *bits);

/* False when out of memory, and nothing changed. */
bool bits_set(struct bits *bits, size_t index);
void bits_clear(struct bits *bits, size_t index);
bool bits_test(const struct bits *bits, size_t index);

/* The first set bit at or behind `from`, or SIZE_MAX. */
size_t bits_next(const struct bits *bits, size_t from);

#endif
