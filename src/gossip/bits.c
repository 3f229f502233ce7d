/* SPDX-License-Identifier: Apache-2.0
 *
 * Bitmaps in words of 64.
 */
#include "gossip/bits.h"

#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64

void bits_fini(struct bits *bits) {
    free(bits->words);
    memset(bits, 0, sizeof *bits);
}

static bool bits_reserve(struct bits *bits, size_t word_index) {
    if (word_index < bits->word_count) {
        return true;
    }
    size_t count = bits->word_count * 2 > word_index ? bits->word_count * 2 : word_index + 1;
    uint64_t *words = realloc(bits->words, count * sizeof *words);
    if (words == NULL) {
        return false;
    }
    memset(words + bits->word_count, 0, (count - bits->word_count) * sizeof *words);
    bits->words = words;
    bits->word_count = count;
    return true;
}

bool bits_test(const struct bits *bits, size_t index) {
    size_t word = index / WORD_BITS;
    return word < bits->word_count && (bits->words[word] >> (index % WORD_BITS) & 1) != 0;
}

bool bits_set(struct bits *bits, size_t index) {
    if (bits_test(bits, index)) {
        return true;
    }
    if (!bits_reserve(bits, index / WORD_BITS)) {
        return false;
    }
    bits->words[index / WORD_BITS] |= (uint64_t)1 << (index % WORD_BITS);
    bits->set_count++;
    return true;
}

void bits_clear(struct bits *bits, size_t index) {
    if (bits_test(bits, index)) {
        bits->words[index / WORD_BITS] &= ~((uint64_t)1 << (index % WORD_BITS));
        bits->set_count--;
    }
}

size_t bits_next(const struct bits *bits, size_t from) {
    for (size_t word = from / WORD_BITS; word < bits->word_count; word++) {
        uint64_t rest = bits->words[word];
        if (word == from / WORD_BITS) {
            rest &= ~(uint64_t)0 << (from % WORD_BITS);
        }
        if (rest != 0) {
            return word * WORD_BITS + (size_t)__builtin_ctzll(rest);
        }
    }
    return SIZE_MAX;
}
