/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/noise/pair.h"

#include <sodium.h>

const char *const PAIR_BASES[] = {
    "N",   "K",    "X",   "NN",  "NK",   "NX",  "XN",  "XK",   "XX",   "KN",  "KK",   "KX",   "IN",
    "IK",  "IX",   "NK1", "NX1", "X1N",  "X1K", "XK1", "X1K1", "X1X",  "XX1", "X1X1", "K1N",  "K1K",
    "KK1", "K1K1", "K1X", "KX1", "K1X1", "I1N", "I1K", "IK1",  "I1K1", "I1X", "IX1",  "I1X1", NULL,
};

void pair_init(struct pair *pair, const char *pattern, size_t psk_count) {
    memset(pair, 0, sizeof(*pair));
    for (size_t i = 0; i < 2; i++) {
        memset(pair->statics[i].secret, (int)(0x11 + i), WEFT_KEY_BYTES);
        crypto_scalarmult_base(pair->statics[i].public, pair->statics[i].secret);
        for (size_t k = 0; k < NOISE_PSK_MAX; k++) {
            memset(pair->psks[i][k], (int)(0x31 + k), WEFT_KEY_BYTES);
        }
    }
    for (size_t i = 0; i < 2; i++) {
        struct noise_config *config = &pair->configs[i];
        config->pattern = pattern;
        config->is_initiator = i == INITIATOR;
        config->prologue = span_of_text(PAIR_PROLOGUE);
        config->local_static = &pair->statics[i];
        config->remote_static = pair->statics[1 - i].public;
        config->psks = (const uint8_t(*)[WEFT_KEY_BYTES])pair->psks[i];
        config->psk_count = psk_count;
        memset(config->ephemeral_secret, (int)(0x21 + i), WEFT_KEY_BYTES);
    }
}

enum weft_err pair_start(struct pair *pair) {
    enum weft_err err = noise_handshake_new(&pair->configs[0], &pair->ends[0]);
    if (err == WEFT_OK) {
        err = noise_handshake_new(&pair->configs[1], &pair->ends[1]);
    }
    return err;
}

void pair_fini(struct pair *pair) {
    noise_handshake_free(pair->ends[0]);
    noise_handshake_free(pair->ends[1]);
    pair->ends[0] = NULL;
    pair->ends[1] = NULL;
}

enum side pair_writer(const struct pair *pair) {
    return noise_handshake_is_our_turn(pair->ends[INITIATOR]) ? INITIATOR : RESPONDER;
}

enum weft_err pair_write(struct pair *pair, struct span payload) {
    pair->wire_len = sizeof(pair->wire);
    return noise_handshake_write(pair->ends[pair_writer(pair)], payload, pair->wire,
                                 &pair->wire_len);
}

enum weft_err pair_read(struct pair *pair, enum side reader) {
    static uint8_t payload[NOISE_MESSAGE_BYTES_MAX];
    size_t len = sizeof(payload);
    return noise_handshake_read(pair->ends[reader], span_of(pair->wire, pair->wire_len), payload,
                                &len);
}

enum weft_err pair_run(struct pair *pair, size_t count) {
    enum weft_err err = WEFT_OK;
    for (size_t i = 0; i < count && err == WEFT_OK; i++) {
        enum side reader = pair_writer(pair) == INITIATOR ? RESPONDER : INITIATOR;
        if (noise_handshake_is_done(pair->ends[INITIATOR])) {
            break;
        }
        err = pair_write(pair, span_of(NULL, 0));
        if (err == WEFT_OK) {
            err = pair_read(pair, reader);
        }
    }
    return err;
}
