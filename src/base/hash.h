/* SPDX-License-Identifier: Apache-2.0
 *
 * SipHash-2-4 (Aumasson, Bernstein 2012): a keyed hash for tables whose keys a peer may choose.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/span.h"

struct hash_key {
    uint8_t bytes[16];
};

uint64_t hash_keyed(const struct hash_key *key, struct span bytes);

#endif
