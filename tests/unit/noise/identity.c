/* SPDX-License-Identifier: Apache-2.0
 *
 * Known answers and refusals of identities. Expected values that no RFC prints were computed
 * with Python's hashlib and a textbook Edwards curve, not with libsodium.
 */
#include "noise/identity.h"

#include "unit/noise/hex.h"

/* RFC 8032, section 7.1, test 1. */
#define SEED "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
#define KEY "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

static void setup(void) {
    cr_assert_eq(noise_setup(), WEFT_OK);
}

TestSuite(noise_identity, .init = setup);

static struct identity known_identity(void) {
    struct identity identity;
    uint8_t seed[IDENTITY_SEED_BYTES];
    hex_decode(SEED, seed, sizeof(seed));
    identity_from_seed(&identity, seed);
    return identity;
}

Test(noise_identity, setup_may_be_repeated) {
    cr_assert_eq(noise_setup(), WEFT_OK);
    cr_assert_eq(noise_setup(), WEFT_OK);
}

Test(noise_identity, seed_gives_the_key_of_rfc_8032) {
    struct identity identity = known_identity();
    hex_expect(identity.key.bytes, KEY, 32);
    hex_expect(identity.sign_secret, SEED KEY, 64);
}

Test(noise_identity, peer_id_is_the_first_half_of_the_keys_blake2b) {
    struct identity identity = known_identity();
    struct weft_peer_id again = peer_id_of_key(&identity.key);
    hex_expect(identity.id.bytes, "7849ac3049680be1ef762efe0d36e017", 16);
    hex_expect(again.bytes, "7849ac3049680be1ef762efe0d36e017", 16);
}

Test(noise_identity, link_key_is_the_birational_image_of_the_key) {
    struct identity identity = known_identity();
    uint8_t converted[WEFT_KEY_BYTES];
    cr_assert_eq(identity_link_key(&identity.key, converted), WEFT_OK);
    hex_expect(converted, "d85e07ec22b0ad881537c2f44d662d1a143cf830c57aca4305d85c7a90f6b62e", 32);
    cr_assert_arr_eq(converted, identity.link_static.public, WEFT_KEY_BYTES);
}

Test(noise_identity, random_seeds_convert_alike_from_secret_and_public) {
    uint8_t seed[IDENTITY_SEED_BYTES];
    for (unsigned i = 0; i < 50; i++) {
        struct identity identity;
        uint8_t converted[WEFT_KEY_BYTES];
        noise_hash("seed", span_of(&i, sizeof(i)), seed);
        identity_from_seed(&identity, seed);
        cr_assert_eq(identity_link_key(&identity.key, converted), WEFT_OK);
        cr_assert_arr_eq(converted, identity.link_static.public, WEFT_KEY_BYTES, "seed %u", i);
    }
}

/* All eight points whose order divides 8, then the key above plus a point of order 8, 4 and 2,
 * then no point at all. */
Test(noise_identity, keys_outside_the_main_subgroup_are_refused) {
    static const char *const refused[] = {
        "0100000000000000000000000000000000000000000000000000000000000000",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "9158312a9a8d6e3b34c891d6d61444f8b8211c5117ebad15bdb0bd68b07e0245",
        "ad38a8f0b22ab7ca46ecee7bbef12b5f336c182652fac34392f859dbd9666a7d",
        "16a567fe7d4ef5482ab4012c369bf8c5f11e8d0c2559dcda50fde59708f8aee5",
        "0200000000000000000000000000000000000000000000000000000000000000",
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct weft_public_key key;
        uint8_t out[WEFT_KEY_BYTES] = {0xab};
        hex_decode(refused[i], key.bytes, sizeof(key.bytes));
        cr_expect_eq(identity_link_key(&key, out), WEFT_ERR_AUTH, "%s", refused[i]);
        cr_expect_eq(out[0], 0xab, "written although refused");
    }
}

Test(noise_identity, signature_covers_domain_zero_and_message) {
    struct identity identity = known_identity();
    uint8_t signature[SIGNATURE_BYTES];
    identity_sign(&identity, "dom", span_of("message", 7), signature);
    cr_assert_eq(crypto_sign_verify_detached(signature, (const uint8_t *)"dom\0message", 11,
                                             identity.key.bytes),
                 0);
    cr_assert(identity_verify(&identity.key, "dom", span_of("message", 7), signature));
}

/* The empty domain and no message leave the single byte 0x00; RFC 8032 itself has no domain. */
Test(noise_identity, primitive_gives_the_signature_of_rfc_8032) {
    struct identity identity = known_identity();
    uint8_t signature[SIGNATURE_BYTES];
    crypto_sign_detached(signature, NULL, NULL, 0, identity.sign_secret);
    hex_expect(signature,
               "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
               "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
               64);
}

Test(noise_identity, signature_fails_with_any_part_changed) {
    struct identity identity = known_identity();
    struct weft_public_key other = identity.key;
    uint8_t signature[SIGNATURE_BYTES];
    other.bytes[0] ^= 1;
    identity_sign(&identity, "dom", span_of("message", 7), signature);
    cr_assert_not(identity_verify(&identity.key, "don", span_of("message", 7), signature));
    cr_assert_not(identity_verify(&identity.key, "dom", span_of("massage", 7), signature));
    cr_assert_not(identity_verify(&identity.key, "dom", span_of("message", 6), signature));
    cr_assert_not(identity_verify(&other, "dom", span_of("message", 7), signature));
    for (size_t bit = 0; bit < 8 * sizeof(signature); bit++) {
        signature[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        cr_assert_not(identity_verify(&identity.key, "dom", span_of("message", 7), signature),
                      "bit %zu", bit);
        signature[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
}

/* "a" over "b\0c" and "a\0b" over "c" would cover the same bytes, but a domain is a C text. */
Test(noise_identity, domain_cannot_run_into_the_message) {
    struct identity identity = known_identity();
    uint8_t signature[SIGNATURE_BYTES];
    identity_sign(&identity, "ab", span_of("c", 1), signature);
    cr_assert_not(identity_verify(&identity.key, "a", span_of("bc", 2), signature));
}

Test(noise_identity, messages_of_every_size_to_the_bound_are_signed) {
    static uint8_t message[SIGNED_BYTES_MAX + 1];
    static const size_t sizes[] = {0, 1, 1000, SIGNED_BYTES_MAX};
    struct identity identity = known_identity();
    uint8_t signature[SIGNATURE_BYTES];
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        identity_sign(&identity, "d", span_of(message, sizes[i]), signature);
        cr_assert(identity_verify(&identity.key, "d", span_of(message, sizes[i]), signature));
    }
    cr_assert_not(
        identity_verify(&identity.key, "d", span_of(message, sizeof(message)), signature));
}

Test(noise_identity, hash_is_blake2b_256_of_domain_zero_message) {
    uint8_t hash[32];
    noise_hash("weft-test", span_of("hello", 5), hash);
    hex_expect(hash, "69cccb6a52a62cfc103460957ce1898ef92fa18e9c2f1356dc0ce0ef1037846f", 32);
}

Test(noise_identity, derived_key_is_keyed_blake2b_of_the_domain) {
    uint8_t secret[32];
    uint8_t out[32];
    for (size_t i = 0; i < sizeof(secret); i++) {
        secret[i] = (uint8_t)i;
    }
    noise_derive(secret, "weft-test", out);
    hex_expect(out, "2142db1e66bb76d2b5b1ac39cd23d52e24d4553f086355da16f1da7ee476f92d", 32);
}

Test(noise_identity, fini_wipes_everything_and_takes_zeroed_memory) {
    struct identity identity = known_identity();
    static const struct identity zeroed;
    identity_fini(&identity);
    cr_assert_eq(memcmp(&identity, &zeroed, sizeof(identity)), 0);
    identity_fini(&identity);
}

Test(noise_identity, equal_compares_the_whole_length) {
    cr_assert(noise_equal("abcd", "abcd", 4));
    cr_assert(noise_equal("abcd", "abce", 3));
    cr_assert_not(noise_equal("abcd", "abce", 4));
    cr_assert_not(noise_equal("abcd", "bbcd", 4));
}
