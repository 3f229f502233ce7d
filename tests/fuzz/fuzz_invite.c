/* SPDX-License-Identifier: Apache-2.0
 *
 * Invitations: the input as a token; and, since hardly any mutation survives the checksum, the
 * input as the bytes of one with a right checksum. What decodes must encode to a token that decodes
 * to the same.
 */
#include <sodium.h>
#include <stdio.h>

#include "base/check.h"
#include "fuzz/fuzz.h"
#include "invite/invite.h"

#define CHECKSUM_BYTES 4

static void check_round_trip(const struct invite *invite) {
    struct invite again;
    char token[INVITE_TEXT_BYTES];
    char error[INVITE_ERROR_BYTES];
    ASSERT(invite_encode(invite, token) == WEFT_OK);
    ASSERT(invite_decode(token, &again, error) == WEFT_OK);
    ASSERT(memcmp(again.secret, invite->secret, sizeof again.secret) == 0);
    ASSERT(strcmp(again.name, invite->name) == 0);
    ASSERT(again.address_count == invite->address_count);
    for (uint32_t i = 0; i < again.address_count; i++) {
        ASSERT(strcmp(again.addresses[i], invite->addresses[i]) == 0);
    }
    invite_fini(&again);
}

static void try_token(const char *token) {
    struct invite invite;
    char error[INVITE_ERROR_BYTES] = "";
    enum weft_err err = invite_decode(token, &invite, error);
    if (err == WEFT_OK) {
        check_round_trip(&invite);
        invite_fini(&invite);
        return;
    }
    ASSERT(err == WEFT_ERR_INVALID || err == WEFT_ERR_VERSION);
    ASSERT(error[0] != '\0' && memchr(error, 0, sizeof error) != NULL);
}

static void try_text(const uint8_t *data, size_t size) {
    char token[2 * INVITE_TEXT_BYTES];
    if (size < sizeof token) {
        memcpy(token, data, size);
        token[size] = '\0';
        try_token(token);
    }
}

static void try_bytes(const uint8_t *data, size_t size) {
    uint8_t bytes[INVITE_BYTES_MAX];
    uint8_t hash[32];
    char token[INVITE_TEXT_BYTES + 8] = INVITE_PREFIX;
    if (size > sizeof bytes - CHECKSUM_BYTES) {
        return;
    }
    memcpy(bytes, data, size);
    (void)crypto_generichash(hash, sizeof hash, bytes, size, NULL, 0);
    memcpy(bytes + size, hash, CHECKSUM_BYTES);
    size_t prefix = strlen(INVITE_PREFIX);
    (void)sodium_bin2base64(token + prefix, sizeof token - prefix, bytes, size + CHECKSUM_BYTES,
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    try_token(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ASSERT(sodium_init() >= 0);
    try_text(data, size);
    try_bytes(data, size);
    return 0;
}
