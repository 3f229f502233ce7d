/* SPDX-License-Identifier: Apache-2.0
 *
 * Two ends of a handshake over one table, with fixed keys, for the tests of this folder.
 */
#ifndef UNIT_NOISE_PAIR_H
#define UNIT_NOISE_PAIR_H

#include "noise/handshake.h"

#define PAIR_PATTERN "XXpsk0+psk3" /* what links use */
#define PAIR_PROLOGUE "weft tests"

enum side {
    INITIATOR = 0,
    RESPONDER = 1,
};

struct pair {
    struct noise_keypair statics[2];
    uint8_t psks[2][NOISE_PSK_MAX][WEFT_KEY_BYTES];
    struct noise_config configs[2]; /* change them between pair_init and pair_start */
    struct noise_handshake *ends[2];
    uint8_t wire[NOISE_MESSAGE_BYTES_MAX]; /* the last message */
    size_t wire_len;
};

/* Every base pattern; ends with NULL. */
extern const char *const PAIR_BASES[];

/* The pattern with `psk_count` psks, the same on both sides. Borrows the pattern. */
void pair_init(struct pair *pair, const char *pattern, size_t psk_count);

/* Makes both ends; what the first refusal said. */
enum weft_err pair_start(struct pair *pair);

void pair_fini(struct pair *pair);

/* The side whose turn it is to write. */
enum side pair_writer(const struct pair *pair);

/* Writes the next message, with that payload, to pair->wire. */
enum weft_err pair_write(struct pair *pair, struct span payload);

/* Has the other side read pair->wire; the payload it carried is dropped. */
enum weft_err pair_read(struct pair *pair, enum side reader);

/* Writes and reads messages without payload until `count` have passed or one is refused. */
enum weft_err pair_run(struct pair *pair, size_t count);

#endif
