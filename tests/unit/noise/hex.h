/* SPDX-License-Identifier: Apache-2.0
 *
 * Known answers are written in hex; a literal that is not `len` bytes of it fails the test.
 */
#ifndef UNIT_NOISE_HEX_H
#define UNIT_NOISE_HEX_H

#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

static inline void hex_decode(const char *text, uint8_t *out, size_t len) {
    size_t got = 0;
    cr_assert_eq(sodium_hex2bin(out, len, text, strlen(text), NULL, &got, NULL), 0);
    cr_assert_eq(got, len, "%zu bytes of hex, not %zu", got, len);
}

/* Asserts that `len` bytes are those of the text. */
static inline void hex_expect(const void *actual, const char *text, size_t len) {
    char shown[2 * 128 + 1];
    cr_assert_leq(len, 128);
    cr_assert_eq(strlen(text), 2 * len);
    sodium_bin2hex(shown, sizeof(shown), actual, len);
    cr_assert_str_eq(shown, text);
}

#endif
