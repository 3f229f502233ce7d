/* SPDX-License-Identifier: Apache-2.0
 *
 * Peer ids as bytes and as text: RFC 4648 base32, lower case, no padding. 128 bits are 25 whole
 * characters and 3 bits of a 26th, whose other 2 bits must be zero so that an id has one spelling.
 */
#include "weft/types.h"

#include <string.h>

#define TEXT_LEN (WEFT_PEER_ID_TEXT - 1)

bool weft_peer_id_equal(const struct weft_peer_id *a, const struct weft_peer_id *b) {
    return weft_peer_id_compare(a, b) == 0;
}

int weft_peer_id_compare(const struct weft_peer_id *a, const struct weft_peer_id *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

void weft_peer_id_format(const struct weft_peer_id *id, char out[WEFT_PEER_ID_TEXT]) {
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint32_t bits = 0; /* the low `bit_count` of them are not written yet */
    unsigned bit_count = 0;
    size_t index = 0;
    for (size_t i = 0; i < TEXT_LEN; i++) {
        if (bit_count < 5) {
            bits = bits << 8 | (index < WEFT_PEER_ID_BYTES ? id->bytes[index] : 0u);
            index++;
            bit_count += 8;
        }
        bit_count -= 5;
        out[i] = alphabet[bits >> bit_count & 31];
    }
    out[TEXT_LEN] = '\0';
}

/* The five bits that a character stands for, or -1. */
static int digit_of(char character) {
    if (character >= 'a' && character <= 'z') {
        return character - 'a';
    }
    if (character >= 'A' && character <= 'Z') {
        return character - 'A';
    }
    if (character >= '2' && character <= '7') {
        return character - '2' + 26;
    }
    return -1;
}

enum weft_err weft_peer_id_parse(const char *text, struct weft_peer_id *out) {
    struct weft_peer_id id = {{0}};
    uint32_t bits = 0; /* the low `bit_count` of them are not stored yet */
    unsigned bit_count = 0;
    size_t index = 0;
    for (size_t i = 0; i < TEXT_LEN; i++) {
        int digit = digit_of(text[i]); /* a NUL is no digit, so a short text ends here */
        if (digit < 0) {
            return WEFT_ERR_INVALID;
        }
        bits = bits << 5 | (uint32_t)digit;
        bit_count += 5;
        if (bit_count >= 8) {
            bit_count -= 8;
            id.bytes[index++] = (uint8_t)(bits >> bit_count);
        }
    }
    if (text[TEXT_LEN] != '\0' || (bits & 3) != 0) {
        return WEFT_ERR_INVALID;
    }
    *out = id;
    return WEFT_OK;
}
