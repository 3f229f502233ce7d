/* SPDX-License-Identifier: Apache-2.0
 *
 * The few types that cross every boundary: time, peer ids, keys.
 */
#ifndef WEFT_TYPES_H
#define WEFT_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/err.h"

/* Nanoseconds of monotonic time, or a span of it. */
typedef uint64_t weft_ns;

#define WEFT_NEVER UINT64_MAX

#define WEFT_PEER_ID_BYTES 16
#define WEFT_PEER_ID_TEXT 27 /* 26 characters of base32 and a NUL */
#define WEFT_KEY_BYTES 32
#define WEFT_NAME_MAX 63      /* a node, service, namespace or channel name, without NUL */
#define WEFT_ENDPOINT_MAX 271 /* "host:port" with a 255-byte host, "[v6]:port"; without NUL */
#define WEFT_DEFAULT_PORT 9338

/* The first 16 bytes of the BLAKE2b-256 of the node's Ed25519 public key. */
struct weft_peer_id {
    uint8_t bytes[WEFT_PEER_ID_BYTES];
};

/* An Ed25519 public key. */
struct weft_public_key {
    uint8_t bytes[WEFT_KEY_BYTES];
};

/* Whether two ids are the same. */
bool weft_peer_id_equal(const struct weft_peer_id *a, const struct weft_peer_id *b);

/* Orders ids as unsigned byte strings: negative, zero or positive, as memcmp. */
int weft_peer_id_compare(const struct weft_peer_id *a, const struct weft_peer_id *b);

/* Writes the id as 26 lower-case base32 characters (RFC 4648 alphabet, no padding) and a NUL. */
void weft_peer_id_format(const struct weft_peer_id *id, char out[WEFT_PEER_ID_TEXT]);

/* Reads what weft_peer_id_format writes, either case. WEFT_ERR_INVALID for anything else. */
WEFT_MUST_CHECK enum weft_err weft_peer_id_parse(const char *text, struct weft_peer_id *out);

#endif
