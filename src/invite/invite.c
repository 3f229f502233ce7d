/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes in, bytes out. The token comes from a person's clipboard, but may have been made by
 * anybody.
 */
#include "invite/invite.h"

#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/span.h"

#define CHECKSUM_BYTES 4
#define BASE64 sodium_base64_VARIANT_URLSAFE_NO_PADDING

_Static_assert(WEFT_NAME_MAX <= UINT8_MAX, "a name's length is one byte");

static void checksum(struct span bytes, uint8_t out[CHECKSUM_BYTES]) {
    uint8_t digest[32];
    (void)crypto_generichash(digest, sizeof digest, bytes.data, bytes.len, NULL, 0);
    memcpy(out, digest, CHECKSUM_BYTES);
}

static uint8_t *put(uint8_t *end, const void *data, size_t len) {
    memcpy(end, data, len);
    return end + len;
}

static uint8_t *put_short(uint8_t *end, const char *text) {
    size_t len = strlen(text);
    *end++ = (uint8_t)len;
    return put(end, text, len);
}

/* What a terminal shows as it is; the texts of an invitation are shown to people. */
static bool is_plain(struct span text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~') {
            return false;
        }
    }
    return text.len > 0;
}

static bool is_complete(const struct invite *invite) {
    bool is_good = is_plain(span_of_text(invite->name)) && invite->address_count > 0 &&
                   invite->address_count <= INVITE_ADDRESSES_MAX;
    for (uint32_t i = 0; is_good && i < invite->address_count; i++) {
        is_good = is_plain(span_of_text(invite->addresses[i]));
    }
    return is_good;
}

enum weft_err invite_encode(const struct invite *invite, char out[INVITE_TEXT_BYTES]) {
    ASSERT(invite != NULL && out != NULL);
    uint8_t bytes[INVITE_BYTES_MAX];
    if (!is_complete(invite)) {
        return WEFT_ERR_INVALID;
    }
    uint8_t *end = bytes;
    *end++ = INVITE_VERSION;
    end = put(end, invite->secret, sizeof invite->secret);
    end = put(end, invite->key.bytes, sizeof invite->key.bytes);
    end = put_short(end, invite->name);
    *end++ = (uint8_t)invite->address_count;
    for (uint32_t i = 0; i < invite->address_count; i++) {
        end = put_short(end, invite->addresses[i]);
    }
    checksum(span_of(bytes, (size_t)(end - bytes)), end);
    end += CHECKSUM_BYTES;
    size_t prefix = strlen(INVITE_PREFIX);
    (void)snprintf(out, INVITE_TEXT_BYTES, "%s", INVITE_PREFIX);
    (void)sodium_bin2base64(out + prefix, INVITE_TEXT_BYTES - prefix, bytes, (size_t)(end - bytes),
                            BASE64);
    sodium_memzero(bytes, sizeof bytes);
    return WEFT_OK;
}

void invite_fini(struct invite *invite) {
    ASSERT(invite != NULL);
    sodium_memzero(invite, sizeof *invite);
}

static enum weft_err refuse(char *error, const char *reason) {
    (void)snprintf(error, INVITE_ERROR_BYTES, "%s", reason);
    return WEFT_ERR_INVALID;
}

/* What is left to read; a read past the end fails it for good. */
struct cursor {
    struct span rest;
    bool has_failed;
};

static struct span take(struct cursor *cursor, size_t len) {
    if (cursor->has_failed || cursor->rest.len < len) {
        cursor->has_failed = true;
        return span_of(NULL, 0);
    }
    struct span taken = span_of(cursor->rest.data, len);
    cursor->rest = span_of(cursor->rest.data + len, cursor->rest.len - len);
    return taken;
}

static uint8_t take_u8(struct cursor *cursor) {
    struct span byte = take(cursor, 1);
    return byte.len == 0 ? 0 : byte.data[0];
}

static void take_exact(struct cursor *cursor, uint8_t *out, size_t len) {
    struct span bytes = take(cursor, len);
    if (bytes.len == len) {
        memcpy(out, bytes.data, len);
    }
}

static void take_short(struct cursor *cursor, char *out, size_t size) {
    struct span text = take(cursor, take_u8(cursor));
    if (!is_plain(text) || !span_to_text(text, out, size)) {
        cursor->has_failed = true;
    }
}

/* The bytes are whole; false if they are no invitation all the same. */
static bool decode_bytes(struct span bytes, struct invite *out) {
    struct cursor cursor = {.rest = bytes};
    (void)take_u8(&cursor); /* the version, looked at already */
    take_exact(&cursor, out->secret, sizeof out->secret);
    take_exact(&cursor, out->key.bytes, sizeof out->key.bytes);
    take_short(&cursor, out->name, sizeof out->name);
    out->address_count = take_u8(&cursor);
    if (out->address_count < 1 || out->address_count > INVITE_ADDRESSES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < out->address_count; i++) {
        take_short(&cursor, out->addresses[i], sizeof out->addresses[i]);
    }
    return !cursor.has_failed && cursor.rest.len == 0;
}

static bool has_checksum(struct span whole) {
    uint8_t expected[CHECKSUM_BYTES];
    if (whole.len <= CHECKSUM_BYTES) {
        return false;
    }
    checksum(span_of(whole.data, whole.len - CHECKSUM_BYTES), expected);
    return memcmp(expected, whole.data + whole.len - CHECKSUM_BYTES, CHECKSUM_BYTES) == 0;
}

static enum weft_err decode_whole(struct span whole, struct invite *out, char *error) {
    if (!has_checksum(whole)) {
        return refuse(error, "the invitation is damaged or cut off: copy it again, whole");
    }
    if (whole.data[0] != INVITE_VERSION) {
        (void)refuse(error, "the invitation is of another version of weft: upgrade this one");
        return WEFT_ERR_VERSION;
    }
    struct invite invite = {.address_count = 0};
    bool is_good = decode_bytes(span_of(whole.data, whole.len - CHECKSUM_BYTES), &invite);
    if (is_good) {
        *out = invite;
    }
    invite_fini(&invite);
    return is_good ? WEFT_OK : refuse(error, "the invitation is whole but makes no sense");
}

/* The token without blanks; false if it is longer than any invitation. */
static bool squeeze(const char *token, char out[INVITE_TEXT_BYTES]) {
    size_t len = 0;
    for (; *token != '\0'; token++) {
        if (isspace((unsigned char)*token) != 0) {
            continue;
        }
        if (len + 1 >= INVITE_TEXT_BYTES) {
            return false;
        }
        out[len++] = *token;
    }
    out[len] = '\0';
    return true;
}

enum weft_err invite_decode(const char *token, struct invite *out, char error[INVITE_ERROR_BYTES]) {
    ASSERT(token != NULL && out != NULL && error != NULL);
    char text[INVITE_TEXT_BYTES];
    uint8_t bytes[INVITE_BYTES_MAX];
    size_t len = 0;
    size_t prefix = strlen(INVITE_PREFIX);
    if (!squeeze(token, text)) {
        return refuse(error, "too long for an invitation");
    }
    if (strncmp(text, INVITE_PREFIX, prefix) != 0) {
        return refuse(error, "not an invitation: one begins with " INVITE_PREFIX);
    }
    bool is_base64 = sodium_base642bin(bytes, sizeof bytes, text + prefix, strlen(text + prefix),
                                       NULL, &len, NULL, BASE64) == 0;
    enum weft_err err =
        is_base64 ? decode_whole(span_of(bytes, len), out, error)
                  : refuse(error, "the invitation is damaged or cut off: copy it again, whole");
    sodium_memzero(bytes, sizeof bytes);
    sodium_memzero(text, sizeof text);
    return err;
}
