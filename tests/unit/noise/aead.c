/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealing over libcrypto against published answers and against libsodium, and everything it must
 * refuse.
 */
#include "noise/aead.h"

#include <openssl/evp.h>

#include "noise/identity.h"
#include "support/failing_alloc.h"
#include "unit/noise/hex.h"

#define SIZE_MAX_TESTED 4096

static const enum aead_cipher CIPHERS[] = {AEAD_CHACHA20_POLY1305, AEAD_AES_256_GCM};

static void setup(void) {
    cr_assert_eq(noise_setup(), WEFT_OK);
}

TestSuite(noise_aead, .init = setup);

/* Bytes that follow from a label and a number, for reproducible tests. */
static void fill(uint8_t *out, size_t len, const char *label, uint64_t number) {
    uint8_t seed[32];
    noise_hash(label, span_of(&number, sizeof(number)), seed);
    randombytes_buf_deterministic(out, len, seed);
}

/* NIST's GCM specification, test case 14: key, nonce and plaintext all zero. */
Test(noise_aead, aes_gcm_gives_nists_test_case_14) {
    static const uint8_t key[WEFT_KEY_BYTES];
    uint8_t data[32] = {0};
    struct aead *aead = aead_new(AEAD_AES_256_GCM, key);
    aead_seal(aead, 0, span_of(NULL, 0), data, 16);
    hex_expect(data, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919", 32);
    aead_free(aead);
}

/* The same specification, test case 13: nothing to seal. */
Test(noise_aead, aes_gcm_of_nothing_is_nists_test_case_13) {
    static const uint8_t key[WEFT_KEY_BYTES];
    uint8_t data[16] = {0};
    struct aead *aead = aead_new(AEAD_AES_256_GCM, key);
    aead_seal(aead, 0, span_of(NULL, 0), data, 0);
    hex_expect(data, "530f8afbc74536b9a963b4f1c4cb738b", 16);
    aead_free(aead);
}

static void nonce_by_hand(enum aead_cipher cipher, uint64_t counter, uint8_t out[12]) {
    memset(out, 0, 12);
    for (unsigned i = 0; i < 8; i++) {
        unsigned place = cipher == AEAD_AES_256_GCM ? 11 - i : 4 + i;
        out[place] = (uint8_t)(counter >> (8 * i));
    }
}

static void seal_with_sodium(enum aead_cipher cipher, uint64_t counter, const uint8_t *key,
                             struct span ad, struct span plain, uint8_t *out) {
    uint8_t nonce[12];
    nonce_by_hand(cipher, counter, nonce);
    if (cipher == AEAD_AES_256_GCM) {
        crypto_aead_aes256gcm_encrypt(out, NULL, plain.data, plain.len, ad.data, ad.len, NULL,
                                      nonce, key);
    } else {
        crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain.data, plain.len, ad.data, ad.len,
                                                  NULL, nonce, key);
    }
}

/* Libcrypto's own calls, each packet with a context of its own. */
static void seal_with_libcrypto(enum aead_cipher cipher, uint64_t counter, const uint8_t *key,
                                struct span ad, struct span plain, uint8_t *out) {
    uint8_t nonce[12];
    int len = 0;
    nonce_by_hand(cipher, counter, nonce);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    const EVP_CIPHER *evp =
        cipher == AEAD_AES_256_GCM ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();
    cr_assert_eq(EVP_EncryptInit_ex(context, evp, NULL, key, nonce), 1);
    cr_assert_eq(EVP_EncryptUpdate(context, NULL, &len, ad.data, (int)ad.len), 1);
    cr_assert_eq(EVP_EncryptUpdate(context, out, &len, plain.data, (int)plain.len), 1);
    cr_assert_eq(EVP_EncryptFinal_ex(context, out + plain.len, &len), 1);
    cr_assert_eq(
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, out + plain.len), 1);
    EVP_CIPHER_CTX_free(context);
}

/* Whoever seals what is of which size. */
Test(noise_aead, small_packets_of_each_size_agree_with_libcrypto) {
    uint8_t plain[1024];
    uint8_t ours[sizeof plain + AEAD_TAG_BYTES];
    uint8_t theirs[sizeof plain + AEAD_TAG_BYTES];
    uint8_t key[WEFT_KEY_BYTES];
    fill(key, sizeof key, "key", 1);
    fill(plain, sizeof plain, "plain", 1);
    for (size_t c = 0; c < 2; c++) {
        struct aead *aead = aead_new(CIPHERS[c], key);
        for (size_t len = 0; len <= sizeof plain; len++) {
            struct span ad = span_of("forty bytes and less of what is not sealed", len % 41);
            memcpy(ours, plain, len);
            aead_seal(aead, len, ad, ours, len);
            seal_with_libcrypto(CIPHERS[c], len, key, ad, span_of(plain, len), theirs);
            cr_assert_arr_eq(ours, theirs, len + AEAD_TAG_BYTES, "%zu bytes", len);
            cr_assert_eq(aead_open(aead, len, ad, theirs, len + AEAD_TAG_BYTES), WEFT_OK);
            cr_assert(span_equal(span_of(theirs, len), span_of(plain, len)));
        }
        aead_free(aead);
    }
}

static void compare_with_sodium(enum aead_cipher cipher, uint64_t round) {
    static uint8_t plain[SIZE_MAX_TESTED];
    static uint8_t ours[SIZE_MAX_TESTED + AEAD_TAG_BYTES];
    static uint8_t theirs[SIZE_MAX_TESTED + AEAD_TAG_BYTES];
    uint8_t key[WEFT_KEY_BYTES];
    uint8_t ad[64];
    uint64_t choice[3];
    fill((uint8_t *)choice, sizeof(choice), "choice", round);
    fill(key, sizeof(key), "key", round);
    fill(ad, sizeof(ad), "ad", round);
    fill(plain, sizeof(plain), "plain", round);
    size_t len = choice[0] % (SIZE_MAX_TESTED + 1);
    struct span ad_span = span_of(ad, choice[1] % (sizeof(ad) + 1));
    struct aead *aead = aead_new(cipher, key);
    memcpy(ours, plain, len);
    aead_seal(aead, choice[2], ad_span, ours, len);
    seal_with_sodium(cipher, choice[2], key, ad_span, span_of(plain, len), theirs);
    cr_assert_arr_eq(ours, theirs, len + AEAD_TAG_BYTES, "round %zu", (size_t)round);
    cr_assert_eq(aead_open(aead, choice[2], ad_span, theirs, len + AEAD_TAG_BYTES), WEFT_OK);
    cr_assert(span_equal(span_of(theirs, len), span_of(plain, len)));
    aead_free(aead);
}

Test(noise_aead, chacha_agrees_with_libsodium_on_random_packets) {
    for (uint64_t round = 0; round < 200; round++) {
        compare_with_sodium(AEAD_CHACHA20_POLY1305, round);
    }
}

/* libsodium has AES-GCM only where the instructions are. */
Test(noise_aead, aes_gcm_agrees_with_libsodium_on_random_packets) {
    if (!crypto_aead_aes256gcm_is_available()) {
        cr_skip_test("libsodium has no AES-GCM on this machine");
    }
    for (uint64_t round = 0; round < 200; round++) {
        compare_with_sodium(AEAD_AES_256_GCM, round);
    }
}

/* One context, sealing and opening by turns, out of order and after failures. */
Test(noise_aead, context_serves_many_packets_in_any_order) {
    static const uint8_t key[WEFT_KEY_BYTES] = {7};
    for (size_t c = 0; c < 2; c++) {
        uint8_t packets[8][10 + AEAD_TAG_BYTES];
        uint8_t forged[10 + AEAD_TAG_BYTES] = {0};
        struct aead *aead = aead_new(CIPHERS[c], key);
        for (uint8_t i = 0; i < 8; i++) {
            memset(packets[i], i, 10);
            aead_seal(aead, i, span_of("ad", 2), packets[i], 10);
        }
        for (uint8_t i = 8; i-- > 0;) {
            uint8_t expected[10];
            memset(expected, i, sizeof(expected));
            cr_assert_eq(aead_open(aead, i, span_of("ad", 2), forged, sizeof(forged)),
                         WEFT_ERR_AUTH);
            cr_assert_eq(aead_open(aead, i, span_of("ad", 2), packets[i], sizeof(packets[i])),
                         WEFT_OK);
            cr_assert_arr_eq(packets[i], expected, sizeof(expected));
        }
        aead_free(aead);
    }
}

Test(noise_aead, every_flipped_bit_is_refused) {
    static const uint8_t key[WEFT_KEY_BYTES] = {7};
    for (size_t c = 0; c < 2; c++) {
        uint8_t sealed[20 + AEAD_TAG_BYTES] = "twenty bytes exactly";
        struct aead *aead = aead_new(CIPHERS[c], key);
        aead_seal(aead, 5, span_of("ad", 2), sealed, 20);
        for (size_t bit = 0; bit < 8 * sizeof(sealed); bit++) {
            uint8_t copy[sizeof(sealed)];
            memcpy(copy, sealed, sizeof(copy));
            copy[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            cr_assert_eq(aead_open(aead, 5, span_of("ad", 2), copy, sizeof(copy)), WEFT_ERR_AUTH);
        }
        cr_assert_eq(aead_open(aead, 5, span_of("ad", 2), sealed, sizeof(sealed)), WEFT_OK);
        aead_free(aead);
    }
}

static enum weft_err open_changed(enum aead_cipher cipher, uint8_t key_byte, uint64_t counter,
                                  const char *ad) {
    uint8_t key[WEFT_KEY_BYTES] = {7};
    uint8_t sealed[4 + AEAD_TAG_BYTES] = "data";
    struct aead *sealer = aead_new(cipher, key);
    key[0] = key_byte;
    struct aead *opener = aead_new(cipher, key);
    aead_seal(sealer, 5, span_of_text("ad"), sealed, 4);
    enum weft_err err = aead_open(opener, counter, span_of_text(ad), sealed, sizeof(sealed));
    aead_free(sealer);
    aead_free(opener);
    return err;
}

Test(noise_aead, other_key_counter_or_associated_data_is_refused) {
    for (size_t c = 0; c < 2; c++) {
        cr_assert_eq(open_changed(CIPHERS[c], 7, 5, "ad"), WEFT_OK);
        cr_assert_eq(open_changed(CIPHERS[c], 8, 5, "ad"), WEFT_ERR_AUTH);
        cr_assert_eq(open_changed(CIPHERS[c], 7, 6, "ad"), WEFT_ERR_AUTH);
        cr_assert_eq(open_changed(CIPHERS[c], 7, 5 + (1ULL << 63), "ad"), WEFT_ERR_AUTH);
        cr_assert_eq(open_changed(CIPHERS[c], 7, 5, "aD"), WEFT_ERR_AUTH);
        cr_assert_eq(open_changed(CIPHERS[c], 7, 5, ""), WEFT_ERR_AUTH);
    }
}

Test(noise_aead, every_truncation_is_refused) {
    static const uint8_t key[WEFT_KEY_BYTES] = {7};
    for (size_t c = 0; c < 2; c++) {
        struct aead *aead = aead_new(CIPHERS[c], key);
        for (size_t len = 0; len < 20 + AEAD_TAG_BYTES; len++) {
            uint8_t sealed[20 + AEAD_TAG_BYTES] = {0};
            aead_seal(aead, 1, span_of(NULL, 0), sealed, 20);
            cr_assert_eq(aead_open(aead, 1, span_of(NULL, 0), sealed, len), WEFT_ERR_AUTH);
        }
        aead_free(aead);
    }
}

Test(noise_aead, largest_record_round_trips_in_place) {
    static uint8_t data[65535 + AEAD_TAG_BYTES];
    static uint8_t plain[65535];
    static const uint8_t key[WEFT_KEY_BYTES] = {7};
    fill(plain, sizeof(plain), "large", 0);
    for (size_t c = 0; c < 2; c++) {
        struct aead *aead = aead_new(CIPHERS[c], key);
        memcpy(data, plain, sizeof(plain));
        aead_seal(aead, UINT64_MAX, span_of(NULL, 0), data, sizeof(plain));
        cr_assert_neq(memcmp(data, plain, sizeof(plain)), 0);
        cr_assert_eq(aead_open(aead, UINT64_MAX, span_of(NULL, 0), data, sizeof(data)), WEFT_OK);
        cr_assert_eq(memcmp(data, plain, sizeof(plain)), 0);
        aead_free(aead);
    }
}

Test(noise_aead, ciphers_have_names_and_one_is_preferred) {
    enum aead_cipher preferred = aead_preferred();
    cr_assert_str_eq(aead_cipher_name(AEAD_CHACHA20_POLY1305), "chacha20-poly1305");
    cr_assert_str_eq(aead_cipher_name(AEAD_AES_256_GCM), "aes-256-gcm");
    cr_assert(preferred == AEAD_CHACHA20_POLY1305 || preferred == AEAD_AES_256_GCM);
    if (sodium_runtime_has_aesni() && sodium_runtime_has_pclmul()) {
        cr_assert_eq(preferred, AEAD_AES_256_GCM);
    }
}

Test(noise_aead, failed_allocation_gives_null) {
    static const uint8_t key[WEFT_KEY_BYTES] = {7};
    size_t failures = 0;
    FAILING_ALLOC_EACH(nth) {
        struct aead *aead = aead_new(AEAD_CHACHA20_POLY1305, key);
        bool has_failed = failing_alloc_disarm();
        cr_assert_eq(aead == NULL, has_failed);
        failures += has_failed;
        aead_free(aead);
    }
    cr_assert_geq(failures, 1);
    aead_free(NULL);
}

Test(aead, sealing_from_elsewhere_gives_the_same_bytes) {
    const uint8_t key[WEFT_KEY_BYTES] = {7};
    uint8_t plain[700];
    for (size_t i = 0; i < sizeof plain; i++) {
        plain[i] = (uint8_t)(i * 31);
    }
    for (int cipher = AEAD_CHACHA20_POLY1305; cipher <= AEAD_AES_256_GCM; cipher++) {
        struct aead *aead = aead_new((enum aead_cipher)cipher, key);
        cr_assert_not_null(aead);
        for (size_t split = 0; split <= sizeof plain; split++) {
            uint8_t whole[sizeof plain + AEAD_TAG_BYTES];
            uint8_t parts[sizeof plain + AEAD_TAG_BYTES];
            memcpy(whole, plain, sizeof plain);
            memcpy(parts, plain, split);
            aead_seal(aead, 3, span_of_text("ad"), whole, sizeof plain);
            aead_seal_with(aead, 3, span_of_text("ad"), parts, split,
                           span_of(plain + split, sizeof plain - split));
            cr_assert_arr_eq(parts, whole, sizeof whole);
        }
        aead_free(aead);
    }
}
