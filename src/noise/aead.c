/* SPDX-License-Identifier: Apache-2.0
 *
 * Bulk is sealed over libcrypto's EVP. The context is keyed once; each packet only sets the nonce,
 * which keeps the expanded key (and GCM's tables) across packets. With the key in place none of the
 * calls below allocates, so only a programmer's error makes one fail.
 *
 * What is small goes to libsodium: EVP takes some 400 ns to set out before it seals anything, and
 * that is most of what a request costs the cipher. The bytes are the same.
 */
#include "noise/aead.h"

#include <limits.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "base/check.h"

#define NONCE_BYTES 12
#define SMALL_MAX 512 /* beyond, libcrypto is faster: at once with AVX-512, from 1 KiB without */

enum direction {
    OPENING = 0, /* as EVP numbers them */
    SEALING = 1,
};

struct aead {
    EVP_CIPHER_CTX *context;
    enum aead_cipher cipher;
    crypto_aead_aes256gcm_state *aes; /* libsodium's; NULL where it does not have it */
    uint8_t key[WEFT_KEY_BYTES];      /* libsodium's of ChaCha20-Poly1305 */
};

static const EVP_CIPHER *evp_cipher_of(enum aead_cipher cipher) {
    ASSERT(cipher == AEAD_CHACHA20_POLY1305 || cipher == AEAD_AES_256_GCM);
    return cipher == AEAD_AES_256_GCM ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();
}

/* False when out of memory. */
static bool small_init(struct aead *aead, const uint8_t key[WEFT_KEY_BYTES]) {
    bool has_aes = aead->cipher == AEAD_AES_256_GCM && crypto_aead_aes256gcm_is_available() != 0;
    memcpy(aead->key, key, WEFT_KEY_BYTES);
    aead->aes = has_aes ? calloc(1, sizeof(*aead->aes)) : NULL; /* on 16 bytes, as it must lie */
    return !has_aes || (aead->aes != NULL && crypto_aead_aes256gcm_beforenm(aead->aes, key) == 0);
}

struct aead *aead_new(enum aead_cipher cipher, const uint8_t key[WEFT_KEY_BYTES]) {
    const EVP_CIPHER *evp_cipher = evp_cipher_of(cipher);
    ASSERT(evp_cipher != NULL && key != NULL);
    struct aead *aead = calloc(1, sizeof(*aead));
    if (aead == NULL) {
        return NULL;
    }
    aead->cipher = cipher;
    aead->context = EVP_CIPHER_CTX_new();
    bool is_ready = small_init(aead, key) && aead->context != NULL &&
                    EVP_CipherInit_ex(aead->context, evp_cipher, NULL, key, NULL, SEALING) == 1;
    aead_free(is_ready ? NULL : aead);
    /* Freed above, unless it is ready. */
    /* cppcheck-suppress memleak */
    return is_ready ? aead : NULL;
}

void aead_free(struct aead *aead) {
    if (aead != NULL) {
        EVP_CIPHER_CTX_free(aead->context); /* wipes the key schedule; takes NULL */
        if (aead->aes != NULL) {
            sodium_memzero(aead->aes, sizeof(*aead->aes));
        }
        free(aead->aes);
        sodium_memzero(aead, sizeof(*aead));
        free(aead);
    }
}

/* Noise section 12: four zero bytes, then the counter in the cipher's byte order. */
static void nonce_of(enum aead_cipher cipher, uint64_t counter, uint8_t out[NONCE_BYTES]) {
    memset(out, 0, NONCE_BYTES);
    for (unsigned i = 0; i < 8; i++) {
        unsigned shift = cipher == AEAD_AES_256_GCM ? 56 - 8 * i : 8 * i;
        out[4 + i] = (uint8_t)(counter >> shift);
    }
}

/* Readies the context for one packet. */
static void start_packet(struct aead *aead, enum direction direction, uint64_t counter,
                         struct span ad) {
    uint8_t nonce[NONCE_BYTES];
    int done = 0;
    ASSERT(ad.len <= INT_MAX);
    nonce_of(aead->cipher, counter, nonce);
    int ok = EVP_CipherInit_ex(aead->context, NULL, NULL, NULL, nonce, (int)direction);
    if (ok == 1 && ad.len > 0) {
        ok = EVP_CipherUpdate(aead->context, NULL, &done, ad.data, (int)ad.len);
    }
    ASSERT(ok == 1);
}

/* Both ciphers are stream ciphers: as many bytes come out as go in, at once. */
static void transform(struct aead *aead, uint8_t *out, const uint8_t *data, size_t len) {
    int done = 0;
    ASSERT(len <= INT_MAX);
    if (len > 0) {
        int ok = EVP_CipherUpdate(aead->context, out, &done, data, (int)len);
        ASSERT(ok == 1 && done == (int)len);
    }
}

static bool is_small(const struct aead *aead, size_t len) {
    return len <= SMALL_MAX && (aead->cipher == AEAD_CHACHA20_POLY1305 || aead->aes != NULL);
}

static void small_seal(const struct aead *aead, uint64_t counter, struct span ad, uint8_t *data,
                       size_t len) {
    uint8_t nonce[NONCE_BYTES];
    nonce_of(aead->cipher, counter, nonce);
    int failed =
        aead->cipher == AEAD_AES_256_GCM
            ? crypto_aead_aes256gcm_encrypt_detached_afternm(
                  data, data + len, NULL, data, len, ad.data, ad.len, NULL, nonce, aead->aes)
            : crypto_aead_chacha20poly1305_ietf_encrypt_detached(
                  data, data + len, NULL, data, len, ad.data, ad.len, NULL, nonce, aead->key);
    ASSERT(failed == 0);
}

static enum weft_err small_open(const struct aead *aead, uint64_t counter, struct span ad,
                                uint8_t *data, size_t len) {
    uint8_t nonce[NONCE_BYTES];
    nonce_of(aead->cipher, counter, nonce);
    int failed = aead->cipher == AEAD_AES_256_GCM
                     ? crypto_aead_aes256gcm_decrypt_detached_afternm(
                           data, NULL, data, len, data + len, ad.data, ad.len, nonce, aead->aes)
                     : crypto_aead_chacha20poly1305_ietf_decrypt_detached(
                           data, NULL, data, len, data + len, ad.data, ad.len, nonce, aead->key);
    return failed == 0 ? WEFT_OK : WEFT_ERR_AUTH;
}

void aead_seal_with(struct aead *aead, uint64_t counter, struct span ad, uint8_t *data, size_t len,
                    struct span rest) {
    ASSERT(aead != NULL && data != NULL);
    if (is_small(aead, len + rest.len)) {
        if (rest.len > 0) {
            memcpy(data + len, rest.data, rest.len);
        }
        small_seal(aead, counter, ad, data, len + rest.len);
        return;
    }
    uint8_t unused[AEAD_TAG_BYTES];
    uint8_t *tag = data + len + rest.len;
    int done = 0;
    start_packet(aead, SEALING, counter, ad);
    transform(aead, data, data, len);
    transform(aead, data + len, rest.data, rest.len);
    int ok = EVP_CipherFinal_ex(aead->context, unused, &done);
    ASSERT(ok == 1 && done == 0);
    ok = EVP_CIPHER_CTX_ctrl(aead->context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, tag);
    ASSERT(ok == 1);
}

void aead_seal(struct aead *aead, uint64_t counter, struct span ad, uint8_t *data, size_t len) {
    const struct span nothing = {.data = NULL, .len = 0};
    aead_seal_with(aead, counter, ad, data, len, nothing);
}

enum weft_err aead_open(struct aead *aead, uint64_t counter, struct span ad, uint8_t *data,
                        size_t len) {
    ASSERT(aead != NULL);
    if (len < AEAD_TAG_BYTES) {
        return WEFT_ERR_AUTH;
    }
    uint8_t unused[AEAD_TAG_BYTES];
    int done = 0;
    size_t plain_len = len - AEAD_TAG_BYTES;
    if (is_small(aead, plain_len)) {
        return small_open(aead, counter, ad, data, plain_len);
    }
    start_packet(aead, OPENING, counter, ad);
    int ok =
        EVP_CIPHER_CTX_ctrl(aead->context, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, data + plain_len);
    ASSERT(ok == 1);
    transform(aead, data, data, plain_len);
    return EVP_CipherFinal_ex(aead->context, unused, &done) == 1 ? WEFT_OK : WEFT_ERR_AUTH;
}

enum aead_cipher aead_preferred(void) {
    bool has_aes = false;
#if defined(__x86_64__) || defined(__i386__)
    has_aes = __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__) && defined(__linux__)
    unsigned long features = getauxval(AT_HWCAP);
    has_aes = (features & HWCAP_AES) != 0 && (features & HWCAP_PMULL) != 0;
#endif
    return has_aes ? AEAD_AES_256_GCM : AEAD_CHACHA20_POLY1305;
}

const char *aead_cipher_name(enum aead_cipher cipher) {
    switch (cipher) {
    case AEAD_CHACHA20_POLY1305:
        return "chacha20-poly1305";
    case AEAD_AES_256_GCM:
        return "aes-256-gcm";
    }
    return "unknown";
}
