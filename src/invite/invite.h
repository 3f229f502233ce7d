/* SPDX-License-Identifier: Apache-2.0
 *
 * An invitation: all that a new node needs to join a mesh, as one word to paste. It holds the mesh
 * secret: who reads it can join.
 *
 *   "weft1:" base64url without padding of
 *
 *    0         1           33             65    66       66+n    67+n
 *    +---------+-----------+--------------+-----+--------+-------+---------------------+----------+
 *    | version | secret 32 | inviter's    | n   | name   | count | count times: length,| checksum |
 *    | = 1     |           | Ed25519 key  |     |        |       | address             | 4 bytes  |
 *    +---------+-----------+--------------+-----+--------+-------+---------------------+----------+
 *
 * The checksum is the first 4 bytes of the BLAKE2b-256 of all before it: it finds slips of the hand
 * and cut ends, nothing more.
 */
#ifndef INVITE_INVITE_H
#define INVITE_INVITE_H

#include "weft/types.h"

#define INVITE_PREFIX "weft1:"
#define INVITE_VERSION 1
#define INVITE_ADDRESSES_MAX 8
/* 70 bytes and 4 of checksum, a name, addresses of at most 255 bytes each: in base64 */
#define INVITE_BYTES_MAX (1 + 32 + 32 + 1 + WEFT_NAME_MAX + 1 + INVITE_ADDRESSES_MAX * 256 + 4)
#define INVITE_TEXT_BYTES (sizeof INVITE_PREFIX + (INVITE_BYTES_MAX * 4 + 2) / 3)
#define INVITE_ERROR_BYTES 200

struct invite {
    uint8_t secret[WEFT_KEY_BYTES];
    struct weft_public_key key;                /* the inviter's: who must answer first */
    char name[WEFT_NAME_MAX + 1];              /* the inviter's, for people */
    char addresses[INVITE_ADDRESSES_MAX][256]; /* "host:port" */
    uint32_t address_count;
};

/* Writes the token. WEFT_ERR_INVALID if the name is empty or there is no or too long an address. */
WEFT_MUST_CHECK enum weft_err invite_encode(const struct invite *invite,
                                            char out[INVITE_TEXT_BYTES]);

/* Reads a token; blanks and line breaks around and inside it, as pasting adds them, are skipped. On
 * an error a sentence says what is wrong: WEFT_ERR_INVALID (not an invitation, a slip, cut off) or
 * WEFT_ERR_VERSION (of a newer weft). Never quotes the token: it holds a secret. */
WEFT_MUST_CHECK enum weft_err invite_decode(const char *token, struct invite *out,
                                            char error[INVITE_ERROR_BYTES]);

/* The inviter's peer id, which follows from the key (docs/protocol.md). */
struct weft_peer_id invite_peer_id(const struct invite *invite);

/* Wipes the secret. Takes zeroed memory. */
void invite_fini(struct invite *invite);

#endif
