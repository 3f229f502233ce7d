/* SPDX-License-Identifier: Apache-2.0
 *
 * SipHash-2-4 as in the paper: two rounds a word, four at the end, words read little-endian.
 * Written out here because libsodium is not below `base`, and because a table look-up is too
 * frequent for BLAKE2b.
 */
#include "base/hash.h"

#include <endian.h>
#include <string.h>

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t word, unsigned bits) {
    return (word << bits) | (word >> (64 - bits));
}

/* Eight bytes as a little-endian number: one load. */
static inline uint64_t word_of(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return le64toh(word);
}

/* The last `len` (at most 7) bytes. */
static inline uint64_t tail_of(const uint8_t *bytes, size_t len) {
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++) {
        word |= (uint64_t)bytes[i] << (8 * i);
    }
    return word;
}

static inline struct sip sip_round(struct sip sip) {
    sip.v0 += sip.v1;
    sip.v1 = rotate(sip.v1, 13) ^ sip.v0;
    sip.v0 = rotate(sip.v0, 32);
    sip.v2 += sip.v3;
    sip.v3 = rotate(sip.v3, 16) ^ sip.v2;
    sip.v0 += sip.v3;
    sip.v3 = rotate(sip.v3, 21) ^ sip.v0;
    sip.v2 += sip.v1;
    sip.v1 = rotate(sip.v1, 17) ^ sip.v2;
    sip.v2 = rotate(sip.v2, 32);
    return sip;
}

static inline struct sip sip_absorb(struct sip sip, uint64_t word) {
    sip.v3 ^= word;
    sip = sip_round(sip_round(sip));
    sip.v0 ^= word;
    return sip;
}

static inline uint64_t sip_finish(struct sip sip) {
    sip.v2 ^= 0xff;
    sip = sip_round(sip_round(sip_round(sip_round(sip))));
    return sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
}

static inline struct sip sip_of(const struct hash_key *key) {
    uint64_t k0 = word_of(key->bytes);
    uint64_t k1 = word_of(key->bytes + 8);
    return (struct sip){
        .v0 = k0 ^ 0x736f6d6570736575,
        .v1 = k1 ^ 0x646f72616e646f6d,
        .v2 = k0 ^ 0x6c7967656e657261,
        .v3 = k1 ^ 0x7465646279746573,
    };
}

uint64_t hash_keyed(const struct hash_key *key, struct span bytes) {
    struct sip sip = sip_of(key); /* by value throughout: it then lives in registers */
    size_t tail_len = bytes.len % 8;
    size_t whole_len = bytes.len - tail_len;
    for (size_t i = 0; i < whole_len; i += 8) {
        sip = sip_absorb(sip, word_of(bytes.data + i));
    }
    uint64_t tail = tail_len > 0 ? tail_of(bytes.data + whole_len, tail_len) : 0;
    return sip_finish(sip_absorb(sip, tail | (uint64_t)bytes.len << 56));
}
