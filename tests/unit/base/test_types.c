/* SPDX-License-Identifier: Apache-2.0
 *
 * Peer ids: order, and text that has exactly one spelling apart from case.
 */
#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

#include "base/rng.h"
#include "weft/types.h"

static struct weft_peer_id id_filled(uint8_t byte) {
    struct weft_peer_id id;
    memset(id.bytes, byte, sizeof id.bytes);
    return id;
}

/* 00 01 .. 0f, and what an independent base32 makes of it. */
static const char counting_text[] = "aaaqeayeaudaocajbifqydiob4";

static struct weft_peer_id id_counting(void) {
    struct weft_peer_id id;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        id.bytes[i] = (uint8_t)i;
    }
    return id;
}

/* Parses into an id of 0xee; whether it was refused and the id left alone. */
static bool is_refused(const char *text) {
    struct weft_peer_id id = id_filled(0xee);
    struct weft_peer_id untouched = id;
    return weft_peer_id_parse(text, &id) == WEFT_ERR_INVALID && weft_peer_id_equal(&id, &untouched);
}

Test(peer_id, is_written_as_rfc_4648_base32) {
    char text[WEFT_PEER_ID_TEXT];
    struct weft_peer_id id = id_counting();
    weft_peer_id_format(&id, text);
    cr_expect_str_eq(text, counting_text);
    id = id_filled(0);
    weft_peer_id_format(&id, text);
    cr_expect_str_eq(text, "aaaaaaaaaaaaaaaaaaaaaaaaaa");
    id = id_filled(0xff);
    weft_peer_id_format(&id, text);
    cr_expect_str_eq(text, "77777777777777777777777774");
}

Test(peer_id, is_read_in_either_case) {
    char upper[WEFT_PEER_ID_TEXT];
    for (size_t i = 0; i < WEFT_PEER_ID_TEXT; i++) {
        upper[i] = (char)toupper((unsigned char)counting_text[i]);
    }
    struct weft_peer_id expected = id_counting();
    struct weft_peer_id id = id_filled(0);
    cr_assert_eq(weft_peer_id_parse(upper, &id), WEFT_OK);
    cr_expect(weft_peer_id_equal(&id, &expected));
}

Test(peer_id, survives_the_round_trip) {
    struct rng rng;
    rng_init(&rng, (const uint8_t[32]){7});
    for (int round = 0; round < 10000; round++) {
        struct weft_peer_id id;
        for (size_t i = 0; i < sizeof id.bytes; i++) {
            id.bytes[i] = (uint8_t)rng_next(&rng);
        }
        char text[WEFT_PEER_ID_TEXT];
        struct weft_peer_id back = id_filled(0);
        weft_peer_id_format(&id, text);
        cr_assert_eq(strlen(text), WEFT_PEER_ID_TEXT - 1);
        cr_assert_eq(weft_peer_id_parse(text, &back), WEFT_OK);
        cr_assert(weft_peer_id_equal(&id, &back), "%s", text);
    }
}

Test(peer_id, refuses_every_other_length) {
    char text[WEFT_PEER_ID_TEXT + 1] = {0};
    for (size_t len = 0; len < WEFT_PEER_ID_TEXT - 1; len++) {
        memset(text, 0, sizeof text);
        memset(text, 'a', len);
        cr_expect(is_refused(text), "length %zu", len);
    }
    memset(text, 'a', WEFT_PEER_ID_TEXT);
    cr_expect(is_refused(text));
}

Test(peer_id, refuses_every_foreign_character) {
    for (int c = 1; c < 256; c++) {
        if (isalpha(c) || (c >= '2' && c <= '7')) {
            continue;
        }
        for (size_t place = 0; place < WEFT_PEER_ID_TEXT - 1; place++) {
            char text[sizeof counting_text];
            memcpy(text, counting_text, sizeof text);
            text[place] = (char)c;
            cr_expect(is_refused(text), "character %d at %zu", c, place);
        }
    }
}

Test(peer_id, refuses_a_second_spelling_of_the_last_character) {
    char text[WEFT_PEER_ID_TEXT];
    memset(text, 'a', sizeof text);
    text[26] = '\0';
    int accepted = 0;
    for (const char *c = "abcdefghijklmnopqrstuvwxyz234567"; *c != '\0'; c++) {
        text[25] = *c;
        accepted += is_refused(text) ? 0 : 1;
    }
    cr_expect_eq(accepted, 8); /* three bits of it count */
    text[25] = 'b';
    cr_expect(is_refused(text));
}

Test(peer_id, orders_as_unsigned_bytes_from_the_first) {
    struct weft_peer_id low = id_filled(0x7f);
    struct weft_peer_id high = id_filled(0x7f);
    cr_expect_eq(weft_peer_id_compare(&low, &high), 0);
    cr_expect(weft_peer_id_equal(&low, &high));
    high.bytes[15] = 0x80;
    cr_expect_lt(weft_peer_id_compare(&low, &high), 0);
    cr_expect_gt(weft_peer_id_compare(&high, &low), 0);
    cr_expect_not(weft_peer_id_equal(&low, &high));
    low.bytes[0] = 0x80;
    cr_expect_gt(weft_peer_id_compare(&low, &high), 0);
}
