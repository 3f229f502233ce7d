/* SPDX-License-Identifier: Apache-2.0
 *
 * Invitations: what goes in comes out; slips, cut ends and forged ones are refused with a reason.
 */
#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>

#include "base/rng.h"
#include "invite/invite.h"

static struct invite example(void) {
    struct invite invite = {.name = "site-a", .address_count = 2};
    for (uint8_t i = 0; i < WEFT_KEY_BYTES; i++) {
        invite.secret[i] = (uint8_t)(i * 3);
        invite.key.bytes[i] = (uint8_t)(200 - i);
    }
    (void)snprintf(invite.addresses[0], sizeof invite.addresses[0], "192.0.2.7:9338");
    (void)snprintf(invite.addresses[1], sizeof invite.addresses[1], "[2001:db8::7]:9338");
    return invite;
}

static void check_same(const struct invite *a, const struct invite *b) {
    cr_assert_arr_eq(a->secret, b->secret, sizeof a->secret);
    cr_assert_arr_eq(a->key.bytes, b->key.bytes, sizeof a->key.bytes);
    cr_assert_str_eq(a->name, b->name);
    cr_assert_eq(a->address_count, b->address_count);
    for (uint32_t i = 0; i < a->address_count; i++) {
        cr_assert_str_eq(a->addresses[i], b->addresses[i]);
    }
}

/* Decodes what must be refused, and checks that the reason is one and quotes no part of the token.
 */
static enum weft_err refused(const char *token) {
    struct invite out = {.address_count = 99};
    char error[INVITE_ERROR_BYTES] = "";
    enum weft_err err = invite_decode(token, &out, error);
    cr_assert_neq(err, WEFT_OK, "accepted: %s", token);
    cr_assert_eq(out.address_count, 99, "written on failure");
    cr_assert_gt(strlen(error), 10);
    if (strlen(token) > 20) {
        char part[9];
        (void)snprintf(part, sizeof part, "%.8s", token + 8);
        cr_assert_null(strstr(error, part));
    }
    return err;
}

Test(invite, comes_out_as_it_went_in) {
    struct invite invite = example();
    struct invite out;
    char token[INVITE_TEXT_BYTES];
    char error[INVITE_ERROR_BYTES];
    cr_assert_eq(invite_encode(&invite, token), WEFT_OK);
    cr_assert_eq(strncmp(token, "weft1:", 6), 0);
    cr_assert_eq(
        strspn(token + 6, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"),
        strlen(token) - 6, "one word for a shell");
    cr_assert_eq(invite_decode(token, &out, error), WEFT_OK, "%s", error);
    check_same(&invite, &out);
}

static void fill_text(char *out, size_t len, struct rng *rng) {
    for (size_t i = 0; i < len; i++) {
        out[i] = (char)('!' + rng_below(rng, '~' - '!' + 1));
    }
    out[len] = '\0';
}

Test(invite, random_ones_come_out_as_they_went_in) {
    for (uint8_t seed = 0; seed < 100; seed++) {
        struct rng rng;
        struct invite invite = {.address_count = 0};
        struct invite out;
        char token[INVITE_TEXT_BYTES];
        char error[INVITE_ERROR_BYTES];
        rng_init(&rng, (const uint8_t[32]){seed});
        invite.address_count = (uint32_t)(1 + rng_below(&rng, INVITE_ADDRESSES_MAX));
        invite.secret[5] = seed;
        fill_text(invite.name, 1 + rng_below(&rng, WEFT_NAME_MAX), &rng);
        for (uint32_t i = 0; i < invite.address_count; i++) {
            fill_text(invite.addresses[i], seed == 0 ? 255 : 1 + rng_below(&rng, 255), &rng);
        }
        cr_assert_eq(invite_encode(&invite, token), WEFT_OK, "seed %u", seed);
        cr_assert_lt(strlen(token), INVITE_TEXT_BYTES);
        cr_assert_eq(invite_decode(token, &out, error), WEFT_OK, "seed %u: %s", seed, error);
        check_same(&invite, &out);
    }
}

Test(invite, the_longest_fits) {
    struct rng rng;
    struct invite invite = {.address_count = INVITE_ADDRESSES_MAX};
    struct invite out;
    char token[INVITE_TEXT_BYTES];
    char error[INVITE_ERROR_BYTES];
    rng_init(&rng, (const uint8_t[32]){1});
    fill_text(invite.name, WEFT_NAME_MAX, &rng);
    for (size_t i = 0; i < INVITE_ADDRESSES_MAX; i++) {
        fill_text(invite.addresses[i], 255, &rng);
    }
    cr_assert_eq(invite_encode(&invite, token), WEFT_OK);
    cr_assert_eq(invite_decode(token, &out, error), WEFT_OK, "%s", error);
    check_same(&invite, &out);
}

Test(invite, blanks_and_line_breaks_of_pasting_do_no_harm) {
    struct invite invite = example();
    struct invite out;
    char token[INVITE_TEXT_BYTES];
    char pasted[INVITE_TEXT_BYTES + 16];
    char error[INVITE_ERROR_BYTES];
    cr_assert_eq(invite_encode(&invite, token), WEFT_OK);
    (void)snprintf(pasted, sizeof pasted, "  %.40s\r\n  %s\n", token, token + 40);
    cr_assert_eq(invite_decode(pasted, &out, error), WEFT_OK, "%s", error);
    check_same(&invite, &out);
}

Test(invite, every_slip_of_one_character_is_found) {
    struct invite invite = example();
    char token[INVITE_TEXT_BYTES];
    cr_assert_eq(invite_encode(&invite, token), WEFT_OK);
    for (size_t i = 0; token[i] != '\0'; i++) {
        char kept = token[i];
        token[i] = kept == 'x' ? 'y' : 'x';
        cr_assert_eq(refused(token), WEFT_ERR_INVALID, "character %zu", i);
        token[i] = kept;
    }
}

Test(invite, every_truncation_is_found) {
    struct invite invite = example();
    char token[INVITE_TEXT_BYTES];
    cr_assert_eq(invite_encode(&invite, token), WEFT_OK);
    for (size_t len = strlen(token); len-- > 0;) {
        token[len] = '\0';
        cr_assert_eq(refused(token), WEFT_ERR_INVALID, "length %zu", len);
    }
}

Test(invite, what_is_no_invitation_is_refused) {
    static const char *const bad[] = {"",       "weft1:",    "weft2:AAAA",     "hello",
                                      "WEFT1:", "weft1:A=B", "weft1:\x80\xff", "weft1:AAAAAAAAAA"};
    char too_long[2 * INVITE_TEXT_BYTES];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(refused(bad[i]), WEFT_ERR_INVALID);
    }
    memset(too_long, 'A', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    memcpy(too_long, "weft1:", 6);
    cr_assert_eq(refused(too_long), WEFT_ERR_INVALID);
}

/* A token of arbitrary bytes with a right checksum, as somebody hostile would make. */
static void forge(const uint8_t *bytes, size_t len, char out[INVITE_TEXT_BYTES]) {
    uint8_t whole[INVITE_BYTES_MAX];
    uint8_t digest[32];
    cr_assert_leq(len + 4, sizeof whole);
    (void)crypto_generichash(digest, sizeof digest, bytes, len, NULL, 0);
    memcpy(whole, bytes, len);
    memcpy(whole + len, digest, 4);
    memcpy(out, "weft1:", 6);
    (void)sodium_bin2base64(out + 6, INVITE_TEXT_BYTES - 6, whole, len + 4,
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

Test(invite, another_version_is_told_apart_from_damage) {
    uint8_t bytes[100] = {INVITE_VERSION + 1};
    char token[INVITE_TEXT_BYTES];
    forge(bytes, sizeof bytes, token);
    cr_assert_eq(refused(token), WEFT_ERR_VERSION);
}

/* Version, secret, key, then: name "a", one address "b:1". */
static size_t valid_bytes(uint8_t bytes[128]) {
    static const char tail[] = "\1a\1\3b:1";
    memset(bytes, 7, 65);
    bytes[0] = INVITE_VERSION;
    memcpy(bytes + 65, tail, sizeof tail - 1);
    return 65 + sizeof tail - 1;
}

Test(invite, forged_ones_with_a_right_checksum_are_refused) {
    uint8_t bytes[128];
    char token[INVITE_TEXT_BYTES];
    struct invite out;
    char error[INVITE_ERROR_BYTES];
    size_t len = valid_bytes(bytes);
    forge(bytes, len, token);
    cr_assert_eq(invite_decode(token, &out, error), WEFT_OK, "%s", error);
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {{65, 0},   {65, 64},   {65, 255}, {66, ' '}, {66, 27},
                   {66, 0},   {66, 0xc3}, {67, 0},   {67, 2},   {67, 9},
                   {67, 255}, {68, 0},    {68, 4},   {68, 255}, {69, '\n'}};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        len = valid_bytes(bytes);
        bytes[changes[i].at] = changes[i].value;
        forge(bytes, len, token);
        cr_assert_eq(refused(token), WEFT_ERR_INVALID, "change %zu", i);
    }
    for (size_t cut = 1; cut < len; cut++) {
        (void)valid_bytes(bytes);
        forge(bytes, cut, token);
        cr_assert_eq(refused(token), WEFT_ERR_INVALID, "cut to %zu", cut);
    }
    len = valid_bytes(bytes);
    bytes[len] = 1;
    forge(bytes, len + 1, token);
    cr_assert_eq(refused(token), WEFT_ERR_INVALID, "a byte too many");
}

Test(invite, one_that_says_nothing_cannot_be_made) {
    char token[INVITE_TEXT_BYTES];
    struct invite invite = example();
    invite.name[0] = '\0';
    cr_assert_eq(invite_encode(&invite, token), WEFT_ERR_INVALID);
    invite = example();
    invite.address_count = 0;
    cr_assert_eq(invite_encode(&invite, token), WEFT_ERR_INVALID);
    invite.address_count = INVITE_ADDRESSES_MAX + 1;
    cr_assert_eq(invite_encode(&invite, token), WEFT_ERR_INVALID);
    invite = example();
    invite.addresses[1][0] = '\0';
    cr_assert_eq(invite_encode(&invite, token), WEFT_ERR_INVALID);
    (void)snprintf(invite.addresses[1], sizeof invite.addresses[1], "a b:1");
    cr_assert_eq(invite_encode(&invite, token), WEFT_ERR_INVALID);
}

Test(invite, fini_wipes_the_secret) {
    static const uint8_t zero[WEFT_KEY_BYTES] = {0};
    struct invite invite = example();
    invite_fini(&invite);
    cr_assert_arr_eq(invite.secret, zero, sizeof zero);
}
