/* SPDX-License-Identifier: Apache-2.0
 *
 * Comparing peer ids where it is done millions of times: in searches of sorted tables. Ids are
 * hashes, so the first eight bytes, compared as one number, nearly always tell them apart.
 */
#ifndef BASE_PEER_ID_H
#define BASE_PEER_ID_H

#include <string.h>

#include "weft/types.h"

/* The first eight bytes as a number that orders as they do. */
static inline uint64_t peer_id_head(const struct weft_peer_id *id) {
    uint64_t head;
    memcpy(&head, id->bytes, sizeof head);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    head = __builtin_bswap64(head);
#endif
    return head;
}

/* As weft_peer_id_compare. */
static inline int peer_id_compare(const struct weft_peer_id *a, const struct weft_peer_id *b) {
    uint64_t left = peer_id_head(a);
    uint64_t right = peer_id_head(b);
    return left != right ? (left < right ? -1 : 1) : weft_peer_id_compare(a, b);
}

#endif
