/* SPDX-License-Identifier: Apache-2.0
 *
 * Noise's symmetric state over libsodium. libsodium has no HMAC over BLAKE2b (its keyed BLAKE2b is
 * a different function), so RFC 2104's construction stands here, as Noise section 4.3 asks.
 */
#include "noise/symmetric.h"

#include <sodium.h>

#include "base/check.h"

#define BLOCK_BYTES 128 /* BLAKE2b's block, which HMAC pads its key to */
#define HKDF_OUTPUTS_MAX 3

_Static_assert(SYMMETRIC_HASH_BYTES == crypto_generichash_BYTES_MAX, "BLAKE2b-512");
_Static_assert(SYMMETRIC_TAG_BYTES == crypto_aead_chacha20poly1305_ietf_ABYTES, "Poly1305 tag");
_Static_assert(WEFT_KEY_BYTES == crypto_aead_chacha20poly1305_ietf_KEYBYTES, "ChaCha20 key");

static void hash_two(struct span a, struct span b, uint8_t out[SYMMETRIC_HASH_BYTES]) {
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, SYMMETRIC_HASH_BYTES);
    crypto_generichash_update(&state, a.data, a.len);
    crypto_generichash_update(&state, b.data, b.len);
    crypto_generichash_final(&state, out, SYMMETRIC_HASH_BYTES);
    sodium_memzero(&state, sizeof(state));
}

/* HMAC-BLAKE2b; Noise's HMAC keys are always one hash long. */
static void hmac(const uint8_t key[SYMMETRIC_HASH_BYTES], struct span message,
                 uint8_t out[SYMMETRIC_HASH_BYTES]) {
    uint8_t inner_pad[BLOCK_BYTES];
    uint8_t outer_pad[BLOCK_BYTES];
    uint8_t inner[SYMMETRIC_HASH_BYTES];
    memset(inner_pad, 0x36, sizeof(inner_pad));
    memset(outer_pad, 0x5c, sizeof(outer_pad));
    for (size_t i = 0; i < SYMMETRIC_HASH_BYTES; i++) {
        inner_pad[i] ^= key[i];
        outer_pad[i] ^= key[i];
    }
    hash_two(span_of(inner_pad, sizeof(inner_pad)), message, inner);
    hash_two(span_of(outer_pad, sizeof(outer_pad)), span_of(inner, sizeof(inner)), out);
    sodium_memzero(inner_pad, sizeof(inner_pad));
    sodium_memzero(outer_pad, sizeof(outer_pad));
    sodium_memzero(inner, sizeof(inner));
}

/* HKDF of section 4.3: `count` outputs of one hash each. */
static void hkdf(const uint8_t chaining_key[SYMMETRIC_HASH_BYTES], struct span input, size_t count,
                 uint8_t out[][SYMMETRIC_HASH_BYTES]) {
    uint8_t secret[SYMMETRIC_HASH_BYTES];
    uint8_t block[SYMMETRIC_HASH_BYTES + 1]; /* the output before, then this one's number */
    ASSERT(count <= HKDF_OUTPUTS_MAX);
    hmac(chaining_key, input, secret);
    block[0] = 1;
    hmac(secret, span_of(block, 1), out[0]);
    for (size_t i = 1; i < count; i++) {
        memcpy(block, out[i - 1], SYMMETRIC_HASH_BYTES);
        block[SYMMETRIC_HASH_BYTES] = (uint8_t)(i + 1);
        hmac(secret, span_of(block, sizeof(block)), out[i]);
    }
    sodium_memzero(secret, sizeof(secret));
    sodium_memzero(block, sizeof(block));
}

/* A 64-byte output is cut to the cipher's key. */
static void set_key(struct symmetric *symmetric, const uint8_t output[SYMMETRIC_HASH_BYTES]) {
    memcpy(symmetric->key, output, WEFT_KEY_BYTES);
    symmetric->counter = 0;
    symmetric->has_key = true;
}

static void next_nonce(struct symmetric *symmetric,
                       uint8_t out[crypto_aead_chacha20poly1305_ietf_NPUBBYTES]) {
    memset(out, 0, crypto_aead_chacha20poly1305_ietf_NPUBBYTES);
    for (size_t i = 0; i < sizeof(symmetric->counter); i++) {
        out[4 + i] = (uint8_t)(symmetric->counter >> (8 * i));
    }
    symmetric->counter++;
}

void symmetric_init(struct symmetric *symmetric, struct span protocol_name) {
    ASSERT(symmetric != NULL && protocol_name.len <= SYMMETRIC_HASH_BYTES);
    memset(symmetric, 0, sizeof(*symmetric));
    memcpy(symmetric->hash, protocol_name.data, protocol_name.len);
    memcpy(symmetric->chaining_key, symmetric->hash, SYMMETRIC_HASH_BYTES);
}

void symmetric_mix_hash(struct symmetric *symmetric, struct span bytes) {
    hash_two(span_of(symmetric->hash, SYMMETRIC_HASH_BYTES), bytes, symmetric->hash);
}

void symmetric_mix_key(struct symmetric *symmetric, const uint8_t input[WEFT_KEY_BYTES]) {
    uint8_t outputs[2][SYMMETRIC_HASH_BYTES];
    hkdf(symmetric->chaining_key, span_of(input, WEFT_KEY_BYTES), 2, outputs);
    memcpy(symmetric->chaining_key, outputs[0], SYMMETRIC_HASH_BYTES);
    set_key(symmetric, outputs[1]);
    sodium_memzero(outputs, sizeof(outputs));
}

void symmetric_mix_key_and_hash(struct symmetric *symmetric, const uint8_t psk[WEFT_KEY_BYTES]) {
    uint8_t outputs[3][SYMMETRIC_HASH_BYTES];
    hkdf(symmetric->chaining_key, span_of(psk, WEFT_KEY_BYTES), 3, outputs);
    memcpy(symmetric->chaining_key, outputs[0], SYMMETRIC_HASH_BYTES);
    symmetric_mix_hash(symmetric, span_of(outputs[1], SYMMETRIC_HASH_BYTES));
    set_key(symmetric, outputs[2]);
    sodium_memzero(outputs, sizeof(outputs));
}

size_t symmetric_tag_bytes(const struct symmetric *symmetric) {
    return symmetric->has_key ? SYMMETRIC_TAG_BYTES : 0;
}

/* Before the first key: the bytes travel in the clear, but the transcript binds them. */
static void copy_clear(struct span bytes, uint8_t *out) {
    if (bytes.len > 0) {
        memcpy(out, bytes.data, bytes.len);
    }
}

size_t symmetric_seal(struct symmetric *symmetric, struct span plain, uint8_t *out) {
    size_t len = plain.len + symmetric_tag_bytes(symmetric);
    if (symmetric->has_key) {
        uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
        next_nonce(symmetric, nonce);
        crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain.data, plain.len, symmetric->hash,
                                                  SYMMETRIC_HASH_BYTES, NULL, nonce,
                                                  symmetric->key);
    } else {
        copy_clear(plain, out);
    }
    symmetric_mix_hash(symmetric, span_of(out, len));
    return len;
}

enum weft_err symmetric_open(struct symmetric *symmetric, struct span sealed, uint8_t *out) {
    ASSERT(sealed.len >= symmetric_tag_bytes(symmetric));
    if (symmetric->has_key) {
        uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
        next_nonce(symmetric, nonce);
        if (crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed.data, sealed.len,
                                                      symmetric->hash, SYMMETRIC_HASH_BYTES, nonce,
                                                      symmetric->key) != 0) {
            return WEFT_ERR_AUTH;
        }
    } else {
        copy_clear(sealed, out);
    }
    symmetric_mix_hash(symmetric, sealed);
    return WEFT_OK;
}

void symmetric_split(const struct symmetric *symmetric, uint8_t forward[WEFT_KEY_BYTES],
                     uint8_t backward[WEFT_KEY_BYTES]) {
    uint8_t outputs[2][SYMMETRIC_HASH_BYTES];
    hkdf(symmetric->chaining_key, span_of(NULL, 0), 2, outputs);
    memcpy(forward, outputs[0], WEFT_KEY_BYTES);
    memcpy(backward, outputs[1], WEFT_KEY_BYTES);
    sodium_memzero(outputs, sizeof(outputs));
}
