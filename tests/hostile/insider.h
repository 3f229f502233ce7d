/* SPDX-License-Identifier: Apache-2.0
 *
 * An insider's link, made by hand: it has the mesh secret and a key, shakes hands as a peer does
 * and then seals whatever it is told to. The daemon's own link refuses to send what is malformed,
 * so only handshake, AEAD and layouts are shared with it.
 */
#ifndef TESTS_HOSTILE_INSIDER_H
#define TESTS_HOSTILE_INSIDER_H

#include "link/handshake.h"
#include "noise/aead.h"

#define INSIDER_PLAIN_MAX 65519
#define INSIDER_KINDS 256
#define INSIDER_KEPT 16         /* records of theirs that can be sent back to them ... */
#define INSIDER_KEPT_BYTES 1024 /* ... if they are small */

struct insider {
    struct identity identity;
    struct host host;
    struct link_shared shared;
    char name[WEFT_NAME_MAX + 1];

    int fd; /* -1: not connected */
    struct aead *seal;
    struct aead *open;
    uint64_t sealed;
    uint64_t opened;
    struct weft_peer_id victim;
    struct weft_public_key victim_key;
    uint8_t in[2 * 65536];
    size_t in_len;
    uint64_t heard[INSIDER_KINDS]; /* frames by kind */
    uint64_t bytes_in;
    uint64_t bytes_out;
    bool is_down;
    bool is_deaf; /* sends without reading; gives up when nothing goes for a second */
    uint8_t close_reason;
    char why[256];
    size_t kept_count;
    size_t kept_len[INSIDER_KEPT];
    uint8_t kept[INSIDER_KEPT][INSIDER_KEPT_BYTES]; /* as they came, sealed */

    /* Called for each frame heard; may be NULL. */
    void (*on_frame)(void *ctx, const struct wire_frame *frame, struct span payload);
    void *ctx;
};

void insider_init(struct insider *insider);
void insider_identity(struct insider *insider, const uint8_t seed[32]);
void insider_secret(struct insider *insider, const uint8_t secret[32]);
void insider_hang_up(struct insider *insider);

/* Dials 127.x.y.z:port, from `source` if it is not NULL, and shakes hands; false when that fails:
 * `why` then says how. */
bool insider_dial(struct insider *insider, const char *host, uint16_t port, const char *source);

/* Seals `plain` as one record and sends it, `payload` behind it. Reads meanwhile, so that neither
 * side waits for the other. False when the link is down. */
bool insider_send(struct insider *insider, struct span plain, struct span payload);
/* The record that seals `plain`, without sending it; borrowed until the next. Empty when there is
 * no link or no record holds it. */
struct span insider_seal(struct insider *insider, struct span plain);
/* Sends bytes as they are. */
bool insider_send_raw(struct insider *insider, struct span bytes);
/* Takes what comes for so long; false when the link is down. 0: what is there now. */
bool insider_listen(struct insider *insider, unsigned ms);

/* One frame around a body, behind what `writer` holds. */
void insider_frame(struct wire_writer *writer, uint8_t kind, struct span body);
/* Signs and appends the signature; any version is signed. */
void insider_record(struct wire_writer *writer, const struct identity *owner,
                    const struct wire_record *fields);

weft_ns insider_now(void);

#endif
