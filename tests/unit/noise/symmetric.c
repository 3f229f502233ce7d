/* SPDX-License-Identifier: Apache-2.0
 *
 * The symmetric state against HMAC and BLAKE2b of Python's standard library, and the primitives
 * against their RFCs: a library that computes something else must fail here, not on a link.
 */
#include "noise/symmetric.h"

#include "noise/identity.h"
#include "unit/noise/hex.h"

#define NAME "Noise_NN_25519_ChaChaPoly_BLAKE2b"

static void setup(void) {
    cr_assert_eq(noise_setup(), WEFT_OK);
}

TestSuite(noise_symmetric, .init = setup);

Test(noise_symmetric, blake2b_is_that_of_rfc_7693) {
    uint8_t hash[64];
    crypto_generichash(hash, sizeof(hash), (const uint8_t *)"abc", 3, NULL, 0);
    hex_expect(hash,
               "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
               "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
               64);
}

Test(noise_symmetric, x25519_is_that_of_rfc_7748) {
    uint8_t scalar[32];
    uint8_t point[32];
    uint8_t out[32];
    hex_decode("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4", scalar, 32);
    hex_decode("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c", point, 32);
    cr_assert_eq(crypto_scalarmult(out, scalar, point), 0);
    hex_expect(out, "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552", 32);
}

Test(noise_symmetric, name_is_padded_to_the_length_of_the_hash) {
    struct symmetric symmetric;
    uint8_t expected[64] = NAME;
    uint8_t name[64];
    symmetric_init(&symmetric, span_of_text(NAME));
    cr_assert_arr_eq(symmetric.hash, expected, 64);
    memset(name, 'n', sizeof(name));
    symmetric_init(&symmetric, span_of(name, 64));
    cr_assert_arr_eq(symmetric.hash, name, 64);
    cr_assert_arr_eq(symmetric.chaining_key, name, 64);
}

Test(noise_symmetric, mixing_a_key_is_hkdf_with_two_outputs) {
    struct symmetric symmetric;
    uint8_t input[WEFT_KEY_BYTES];
    memset(input, 9, sizeof(input));
    symmetric_init(&symmetric, span_of_text(NAME));
    cr_assert_eq(symmetric_tag_bytes(&symmetric), 0);
    symmetric_mix_key(&symmetric, input);
    cr_assert_eq(symmetric_tag_bytes(&symmetric), SYMMETRIC_TAG_BYTES);
    hex_expect(symmetric.chaining_key,
               "553784f376eb8e5ea8881deaf5b888cf450efaad800760e9fd6b1e381b393520"
               "5c43a3634c96deb65963fb282b8d470399e51aa4a0bc903cb99251eeffb53513",
               64);
    hex_expect(symmetric.key, "685f26870554a5cc942590460966c3b975fc7e6799624b5a209eb0e59478a1fa",
               32);
}

Test(noise_symmetric, mixing_a_psk_is_hkdf_with_three_outputs) {
    struct symmetric symmetric;
    uint8_t input[WEFT_KEY_BYTES];
    memset(input, 9, sizeof(input));
    symmetric_init(&symmetric, span_of_text(NAME));
    symmetric_mix_key_and_hash(&symmetric, input);
    hex_expect(symmetric.hash,
               "908dff44cf56a256c9cd57faa9f121d2a04567e04df15c51b118bfb2e0690f17"
               "31c677a8d07743910db4b9d9ddf0c08f962a93d8f604bd44d4700087266bedfb",
               64);
    hex_expect(symmetric.key, "95ef028d010ce846e05d833e937b8787fde982fed3bf7fbd95af6b4f287e5658",
               32);
}

Test(noise_symmetric, split_gives_two_different_keys) {
    struct symmetric symmetric;
    uint8_t input[WEFT_KEY_BYTES];
    uint8_t forward[WEFT_KEY_BYTES];
    uint8_t backward[WEFT_KEY_BYTES];
    memset(input, 9, sizeof(input));
    symmetric_init(&symmetric, span_of_text(NAME));
    symmetric_mix_key(&symmetric, input);
    symmetric_split(&symmetric, forward, backward);
    hex_expect(forward, "00256a09fa0553532db7e7f4de83c706475eb471bba349aaf5fc71b6b3599003", 32);
    hex_expect(backward, "86a592a1a784bc50f0c51b22cec7976f8c01a1860b5e8e1d172cc9a1b482a04e", 32);
}

Test(noise_symmetric, bytes_before_the_first_key_are_bound_but_clear) {
    struct symmetric writer;
    struct symmetric reader;
    uint8_t wire[5];
    uint8_t out[5];
    symmetric_init(&writer, span_of_text(NAME));
    symmetric_init(&reader, span_of_text(NAME));
    cr_assert_eq(symmetric_seal(&writer, span_of("clear", 5), wire), 5);
    cr_assert_arr_eq(wire, "clear", 5);
    cr_assert_eq(symmetric_open(&reader, span_of(wire, 5), out), WEFT_OK);
    cr_assert_arr_eq(out, "clear", 5);
    cr_assert_arr_eq(reader.hash, writer.hash, SYMMETRIC_HASH_BYTES);
}

Test(noise_symmetric, each_sealing_takes_a_new_nonce) {
    struct symmetric symmetric;
    uint8_t input[WEFT_KEY_BYTES] = {9};
    uint8_t first[20];
    uint8_t second[20];
    symmetric_init(&symmetric, span_of_text(NAME));
    symmetric_mix_key(&symmetric, input);
    struct symmetric same_transcript = symmetric;
    same_transcript.counter = 1;
    cr_assert_eq(symmetric_seal(&symmetric, span_of("same", 4), first), 20);
    cr_assert_eq(symmetric.counter, 1);
    symmetric_seal(&same_transcript, span_of("same", 4), second);
    cr_assert_neq(memcmp(first, second, 4), 0);
}
