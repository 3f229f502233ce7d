/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a compiled pattern (pattern.c) over the symmetric state (symmetric.c): one small function
 * per token and direction. Noise rev 34, section 5.3. Lengths are checked once, before any token,
 * against the message's fixed overhead, so no token can read or write past an end.
 *
 *   [running] --last message--> [done] --split--> transport keys
 *       |
 *       +--failed tag, bad point, bad length--> [dead]: the peer gets no second try
 */
#include "noise/handshake.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "noise/pattern.h"
#include "noise/symmetric.h"

#define NAME_BYTES_MAX 64 /* the longest, X1X1 with four modifiers, takes 54 */

_Static_assert(WEFT_KEY_BYTES == crypto_scalarmult_BYTES, "X25519 result");
_Static_assert(WEFT_KEY_BYTES == crypto_scalarmult_SCALARBYTES, "X25519 secret");

struct noise_handshake {
    struct symmetric symmetric;
    struct noise_pattern pattern;
    size_t message_index; /* the next message */
    size_t psk_index;     /* the next psk */
    bool is_initiator;
    bool is_dead;
    bool has_remote_static;
    struct noise_keypair local_static;
    struct noise_keypair ephemeral;
    uint8_t remote_static[WEFT_KEY_BYTES];
    uint8_t remote_ephemeral[WEFT_KEY_BYTES];
    uint8_t psks[NOISE_PSK_MAX][WEFT_KEY_BYTES];
};

/* Every encoding, without the top bit that X25519 ignores, of a point whose order divides 8. Their
 * product with any clamped secret is zero, so whoever sends one decides the result. libsodium's
 * crypto_scalarmult refuses them too; checking on arrival refuses them in messages that
 * compute nothing with the key yet. Source: cr.yp.to/ecdh.html; RFC 7748, section 6.1. */
static const uint8_t LOW_ORDER_POINTS[7][WEFT_KEY_BYTES] = {
    /* 0, order 4 */
    {0x00},
    /* 1, order 1 */
    {0x01},
    /* 325606250916557431795983626356110631294008115727848805560023387167927233504, order 8 */
    {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
     0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
     0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
    /* 39382357235489614581723060781553021112529911719440698176882885853963445705823, order 8 */
    {0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1,
     0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c,
     0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
    /* p - 1, order 2 */
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    /* p, another form of 0 */
    {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    /* p + 1, another form of 1 */
    {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

/* Public keys are public: no need for constant time. */
static bool is_low_order(const uint8_t key[WEFT_KEY_BYTES]) {
    uint8_t masked[WEFT_KEY_BYTES];
    memcpy(masked, key, sizeof(masked));
    masked[WEFT_KEY_BYTES - 1] &= 0x7f;
    for (size_t i = 0; i < sizeof(LOW_ORDER_POINTS) / sizeof(LOW_ORDER_POINTS[0]); i++) {
        if (memcmp(masked, LOW_ORDER_POINTS[i], sizeof(masked)) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_running(const struct noise_handshake *hs) {
    return !hs->is_dead && hs->message_index < hs->pattern.message_count;
}

static const enum noise_token *current_message(const struct noise_handshake *hs) {
    return hs->pattern.messages[hs->message_index];
}

static void mix_public(struct noise_handshake *hs, const uint8_t key[WEFT_KEY_BYTES]) {
    symmetric_mix_hash(&hs->symmetric, span_of(key, WEFT_KEY_BYTES));
}

/* In psk handshakes ephemeral keys randomise the cipher key as well (section 9.2). */
static void mix_ephemeral(struct noise_handshake *hs, const uint8_t key[WEFT_KEY_BYTES]) {
    mix_public(hs, key);
    if (hs->pattern.psk_count > 0) {
        symmetric_mix_key(&hs->symmetric, key);
    }
}

static enum weft_err mix_dh(struct noise_handshake *hs, const struct noise_keypair *local,
                            const uint8_t remote[WEFT_KEY_BYTES]) {
    uint8_t shared[WEFT_KEY_BYTES] = {0};
    bool is_good = crypto_scalarmult(shared, local->secret, remote) == 0;
    symmetric_mix_key(&hs->symmetric, shared);
    sodium_memzero(shared, sizeof(shared));
    return is_good ? WEFT_OK : WEFT_ERR_AUTH;
}

/* Tokens that put no byte on the wire. In "es" and "se" the initiator's key stands first. */
static enum weft_err mix_token(struct noise_handshake *hs, enum noise_token token) {
    if (token == TOKEN_PSK) {
        ASSERT(hs->psk_index < hs->pattern.psk_count);
        symmetric_mix_key_and_hash(&hs->symmetric, hs->psks[hs->psk_index]);
        hs->psk_index++;
        return WEFT_OK;
    }
    bool is_local_static = token == TOKEN_SS || token == (hs->is_initiator ? TOKEN_SE : TOKEN_ES);
    bool is_remote_static = token == TOKEN_SS || token == (hs->is_initiator ? TOKEN_ES : TOKEN_SE);
    return mix_dh(hs, is_local_static ? &hs->local_static : &hs->ephemeral,
                  is_remote_static ? hs->remote_static : hs->remote_ephemeral);
}

/* Returns the bytes written. */
static size_t write_ephemeral(struct noise_handshake *hs, uint8_t *out) {
    memcpy(out, hs->ephemeral.public, WEFT_KEY_BYTES);
    mix_ephemeral(hs, hs->ephemeral.public);
    return WEFT_KEY_BYTES;
}

static enum weft_err write_token(struct noise_handshake *hs, enum noise_token token, uint8_t *out,
                                 size_t *used) {
    if (token == TOKEN_E) {
        *used += write_ephemeral(hs, out + *used);
        return WEFT_OK;
    }
    if (token == TOKEN_S) {
        struct span key = span_of(hs->local_static.public, WEFT_KEY_BYTES);
        *used += symmetric_seal(&hs->symmetric, key, out + *used);
        return WEFT_OK;
    }
    return mix_token(hs, token);
}

static enum weft_err read_ephemeral(struct noise_handshake *hs, const uint8_t *bytes) {
    memcpy(hs->remote_ephemeral, bytes, WEFT_KEY_BYTES);
    if (is_low_order(hs->remote_ephemeral)) {
        return WEFT_ERR_AUTH;
    }
    mix_ephemeral(hs, hs->remote_ephemeral);
    return WEFT_OK;
}

static enum weft_err read_static(struct noise_handshake *hs, struct span sealed) {
    enum weft_err err = symmetric_open(&hs->symmetric, sealed, hs->remote_static);
    if (err != WEFT_OK) {
        return err;
    }
    if (is_low_order(hs->remote_static)) {
        return WEFT_ERR_AUTH;
    }
    hs->has_remote_static = true;
    return WEFT_OK;
}

static enum weft_err read_token(struct noise_handshake *hs, enum noise_token token,
                                const uint8_t *bytes, size_t *used) {
    if (token == TOKEN_E) {
        const uint8_t *key = bytes + *used;
        *used += WEFT_KEY_BYTES;
        return read_ephemeral(hs, key);
    }
    if (token == TOKEN_S) {
        struct span sealed =
            span_of(bytes + *used, WEFT_KEY_BYTES + symmetric_tag_bytes(&hs->symmetric));
        *used += sealed.len;
        return read_static(hs, sealed);
    }
    return mix_token(hs, token);
}

static enum weft_err write_tokens(struct noise_handshake *hs, uint8_t *out, size_t *used) {
    const enum noise_token *message = current_message(hs);
    enum weft_err err = WEFT_OK;
    for (size_t i = 0; message[i] != TOKEN_END && err == WEFT_OK; i++) {
        err = write_token(hs, message[i], out, used);
    }
    return err;
}

static enum weft_err read_tokens(struct noise_handshake *hs, const uint8_t *bytes, size_t *used) {
    const enum noise_token *message = current_message(hs);
    enum weft_err err = WEFT_OK;
    for (size_t i = 0; message[i] != TOKEN_END && err == WEFT_OK; i++) {
        err = read_token(hs, message[i], bytes, used);
    }
    return err;
}

/* Secrets go as soon as nothing needs them; only the symmetric state outlives the last message. */
static void wipe_secrets(struct noise_handshake *hs) {
    sodium_memzero(&hs->ephemeral, sizeof(hs->ephemeral));
    sodium_memzero(&hs->local_static, sizeof(hs->local_static));
    sodium_memzero(hs->psks, sizeof(hs->psks));
}

static void kill_handshake(struct noise_handshake *hs) {
    hs->is_dead = true;
    wipe_secrets(hs);
    sodium_memzero(&hs->symmetric, sizeof(hs->symmetric));
}

/* Ends a message that was written or read; returns its error. */
static enum weft_err finish_message(struct noise_handshake *hs, enum weft_err err) {
    if (err != WEFT_OK) {
        kill_handshake(hs);
        return err;
    }
    hs->message_index++;
    if (hs->message_index == hs->pattern.message_count) {
        wipe_secrets(hs);
    }
    return WEFT_OK;
}

static bool has_needed_keys(const struct noise_config *config,
                            const struct noise_pattern *pattern) {
    bool needs_remote = config->is_initiator ? pattern->knows_responder : pattern->knows_initiator;
    if (noise_pattern_needs_static(pattern, config->is_initiator) && config->local_static == NULL) {
        return false;
    }
    if (needs_remote && (config->remote_static == NULL || is_low_order(config->remote_static))) {
        return false;
    }
    return config->psk_count == pattern->psk_count &&
           (config->psk_count == 0 || config->psks != NULL);
}

static void copy_keys(struct noise_handshake *hs, const struct noise_config *config) {
    bool needs_remote =
        hs->is_initiator ? hs->pattern.knows_responder : hs->pattern.knows_initiator;
    if (config->local_static != NULL) {
        hs->local_static = *config->local_static;
    }
    if (needs_remote) {
        memcpy(hs->remote_static, config->remote_static, WEFT_KEY_BYTES);
        hs->has_remote_static = true;
    }
    for (size_t i = 0; i < config->psk_count; i++) {
        memcpy(hs->psks[i], config->psks[i], WEFT_KEY_BYTES);
    }
    memcpy(hs->ephemeral.secret, config->ephemeral_secret, WEFT_KEY_BYTES);
    crypto_scalarmult_base(hs->ephemeral.public, hs->ephemeral.secret);
}

/* Protocol name, prologue, then the static keys known before: initiator's first (section 5.3). */
static void start_transcript(struct noise_handshake *hs, const struct noise_config *config) {
    char name[NAME_BYTES_MAX];
    int len = snprintf(name, sizeof(name), "Noise_%s_25519_ChaChaPoly_BLAKE2b", config->pattern);
    ASSERT(len > 0 && (size_t)len < sizeof(name));
    symmetric_init(&hs->symmetric, span_of(name, (size_t)len));
    symmetric_mix_hash(&hs->symmetric, config->prologue);
    if (hs->pattern.knows_initiator) {
        mix_public(hs, hs->is_initiator ? hs->local_static.public : hs->remote_static);
    }
    if (hs->pattern.knows_responder) {
        mix_public(hs, hs->is_initiator ? hs->remote_static : hs->local_static.public);
    }
}

enum weft_err noise_handshake_new(const struct noise_config *config, struct noise_handshake **out) {
    ASSERT(config != NULL && out != NULL);
    struct noise_pattern pattern;
    enum weft_err err = noise_pattern_parse(config->pattern, &pattern);
    if (err != WEFT_OK) {
        return err;
    }
    if (!has_needed_keys(config, &pattern)) {
        return WEFT_ERR_INVALID;
    }
    struct noise_handshake *hs = calloc(1, sizeof(*hs));
    if (hs == NULL) {
        return WEFT_ERR_MEMORY;
    }
    hs->pattern = pattern;
    hs->is_initiator = config->is_initiator;
    copy_keys(hs, config);
    start_transcript(hs, config);
    *out = hs;
    return WEFT_OK;
}

void noise_handshake_free(struct noise_handshake *hs) {
    if (hs != NULL) {
        sodium_memzero(hs, sizeof(*hs));
        free(hs);
    }
}

enum weft_err noise_handshake_write(struct noise_handshake *hs, struct span payload, uint8_t *out,
                                    size_t *len) {
    ASSERT(hs != NULL && len != NULL);
    if (!noise_handshake_is_our_turn(hs)) {
        return WEFT_ERR_STATE;
    }
    size_t overhead = noise_handshake_overhead(hs);
    if (payload.len > NOISE_MESSAGE_BYTES_MAX - overhead || payload.len + overhead > *len) {
        return WEFT_ERR_FULL;
    }
    size_t used = 0;
    enum weft_err err = write_tokens(hs, out, &used);
    *len = used + (err == WEFT_OK ? symmetric_seal(&hs->symmetric, payload, out + used) : 0);
    return finish_message(hs, err);
}

/* The message's lengths: `room` is what `out` holds. */
static enum weft_err check_read(const struct noise_handshake *hs, size_t message_len, size_t room) {
    size_t overhead = noise_handshake_overhead(hs);
    if (message_len < overhead || message_len > NOISE_MESSAGE_BYTES_MAX) {
        return WEFT_ERR_MALFORMED;
    }
    return message_len - overhead > room ? WEFT_ERR_FULL : WEFT_OK;
}

static enum weft_err read_message(struct noise_handshake *hs, struct span message, uint8_t *out,
                                  size_t *len) {
    enum weft_err err = check_read(hs, message.len, *len);
    size_t used = 0;
    if (err == WEFT_OK) {
        err = read_tokens(hs, message.data, &used);
    }
    if (err != WEFT_OK) {
        return err;
    }
    struct span sealed = span_of(message.data + used, message.len - used);
    size_t payload_len = sealed.len - symmetric_tag_bytes(&hs->symmetric);
    err = symmetric_open(&hs->symmetric, sealed, out);
    if (err == WEFT_OK) {
        *len = payload_len;
    }
    return err;
}

enum weft_err noise_handshake_read(struct noise_handshake *hs, struct span message, uint8_t *out,
                                   size_t *len) {
    ASSERT(hs != NULL && len != NULL);
    if (!is_running(hs) || noise_handshake_is_our_turn(hs)) {
        return WEFT_ERR_STATE;
    }
    return finish_message(hs, read_message(hs, message, out, len));
}

bool noise_handshake_is_done(const struct noise_handshake *hs) {
    return !hs->is_dead && hs->message_index == hs->pattern.message_count;
}

bool noise_handshake_is_our_turn(const struct noise_handshake *hs) {
    bool is_initiators = hs->message_index % 2 == 0;
    return is_running(hs) && is_initiators == hs->is_initiator;
}

/* Walks the tokens as writing would, following only whether there is a key yet. */
size_t noise_handshake_overhead(const struct noise_handshake *hs) {
    if (!is_running(hs)) {
        return 0;
    }
    const enum noise_token *message = current_message(hs);
    size_t tag_bytes = symmetric_tag_bytes(&hs->symmetric);
    size_t total = 0;
    for (size_t i = 0; message[i] != TOKEN_END; i++) {
        if (message[i] == TOKEN_S) {
            total += WEFT_KEY_BYTES + tag_bytes;
            continue;
        }
        total += message[i] == TOKEN_E ? WEFT_KEY_BYTES : 0;
        if (message[i] != TOKEN_E || hs->pattern.psk_count > 0) {
            tag_bytes = SYMMETRIC_TAG_BYTES;
        }
    }
    return total + tag_bytes;
}

const uint8_t *noise_handshake_remote_static(const struct noise_handshake *hs) {
    return hs->has_remote_static && !hs->is_dead ? hs->remote_static : NULL;
}

void noise_handshake_split(const struct noise_handshake *hs, struct noise_keys *out) {
    ASSERT(noise_handshake_is_done(hs));
    uint8_t *forward = hs->is_initiator ? out->send : out->receive;
    uint8_t *backward = hs->is_initiator ? out->receive : out->send;
    symmetric_split(&hs->symmetric, forward, backward);
    memcpy(out->hash, hs->symmetric.hash, sizeof(out->hash));
}
