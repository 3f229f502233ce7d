/* SPDX-License-Identifier: Apache-2.0
 *
 * Any Noise pattern between two ends, with somebody between them who changes what he likes. What
 * arrives as it was sent is read as it was meant; what was changed ends the handshake for good.
 * Then both ends seal for each other. Allocations fail when the script says so.
 */
#include <stdio.h>

#include "base/check.h"
#include "fuzz/fuzz.h"
#include "noise/aead.h"
#include "noise/handshake.h"
#include "support/failing_alloc.h"

#define NAME_MAX_BYTES 24
#define MESSAGES_MAX 6

enum change {
    CHANGE_NONE,
    CHANGE_FLIP,
    CHANGE_CUT,
    CHANGE_EXTEND,
    CHANGE_LOW_ORDER, /* its first 32 bytes become a point of order 1 */
    CHANGE_ROOM,      /* nothing is changed, but the reader has too little room */
    CHANGE_COUNT,
};

enum flag {
    FLAG_NO_STATIC_0 = 1, /* the initiator has no key of its own */
    FLAG_NO_STATIC_1 = 2,
    FLAG_NO_REMOTE_0 = 4, /* the initiator is not told the responder's */
    FLAG_NO_REMOTE_1 = 8,
    FLAG_LOW_REMOTE = 16, /* it is told a point of low order */
    FLAG_NO_PSKS = 32,
    FLAG_OTHER_PSK = 64,   /* the responder has another */
    FLAG_LOW_STATIC = 128, /* the initiator's own key is a point of low order */
};

struct between {
    struct wire_reader script;
    uint8_t flags;
    size_t psk_count;
    bool is_changed; /* something was: it may show only later, or never */
    struct identity identities[2];
    struct noise_handshake *ends[2];
    uint8_t bytes[NOISE_MESSAGE_BYTES_MAX + 64];
    uint8_t plain[NOISE_MESSAGE_BYTES_MAX];
};

static void name_take(struct wire_reader *script, char out[NAME_MAX_BYTES + 1]) {
    size_t len = wire_read_u8(script) % (NAME_MAX_BYTES + 1);
    memset(out, 0, NAME_MAX_BYTES + 1);
    for (size_t i = 0; i < len; i++) {
        out[i] = (char)wire_read_u8(script);
    }
}

static enum weft_err end_new(struct between *between, const char *name, unsigned side) {
    static const uint8_t low[WEFT_KEY_BYTES] = {1};
    uint8_t psks[NOISE_PSK_MAX][WEFT_KEY_BYTES];
    unsigned no_static = side == 0 ? FLAG_NO_STATIC_0 : FLAG_NO_STATIC_1;
    unsigned no_remote = side == 0 ? FLAG_NO_REMOTE_0 : FLAG_NO_REMOTE_1;
    bool is_other = side == 1 && (between->flags & FLAG_OTHER_PSK) != 0;
    memset(psks, is_other ? 8 : 7, sizeof psks);
    struct noise_config config = {
        .pattern = name,
        .is_initiator = side == 0,
        .prologue = span_of_text("fuzz"),
        .local_static =
            (between->flags & no_static) != 0 ? NULL : &between->identities[side].link_static,
        .remote_static = (between->flags & FLAG_LOW_REMOTE) != 0
                             ? low
                             : between->identities[1 - side].link_static.public,
        .psks =
            (between->flags & FLAG_NO_PSKS) != 0 ? NULL : (const uint8_t(*)[WEFT_KEY_BYTES])psks,
        .psk_count = between->psk_count};
    if ((between->flags & no_remote) != 0) {
        config.remote_static = NULL;
    }
    memset(config.ephemeral_secret, 40 + (int)side, sizeof config.ephemeral_secret);
    return noise_handshake_new(&config, &between->ends[side]);
}

static size_t change_bytes(struct between *between, enum change change, size_t len) {
    static const uint8_t low[WEFT_KEY_BYTES] = {1};
    switch (change) {
    case CHANGE_FLIP:
        between->bytes[wire_read_u16(&between->script) % len] ^= 1;
        return len;
    case CHANGE_CUT:
        return wire_read_u16(&between->script) % len;
    case CHANGE_EXTEND:
        return len + 1;
    case CHANGE_LOW_ORDER:
        memcpy(between->bytes, low, len < sizeof low ? len : sizeof low);
        return len;
    case CHANGE_NONE:
    case CHANGE_ROOM:
    case CHANGE_COUNT:
        break;
    }
    return len;
}

static void expect_dead(struct noise_handshake *hs) {
    uint8_t out[64];
    size_t len = sizeof out;
    ASSERT(!noise_handshake_is_done(hs) && !noise_handshake_is_our_turn(hs));
    ASSERT(noise_handshake_overhead(hs) == 0 && noise_handshake_remote_static(hs) == NULL);
    ASSERT(noise_handshake_read(hs, span_of_text("x"), out, &len) == WEFT_ERR_STATE);
    ASSERT(noise_handshake_write(hs, span_of_text("x"), out, &len) == WEFT_ERR_STATE);
}

/* One message; false when the handshake is over. */
static bool pass_message(struct between *between) {
    unsigned writer = noise_handshake_is_our_turn(between->ends[0]) ? 0 : 1;
    struct noise_handshake *from = between->ends[writer];
    struct noise_handshake *to = between->ends[1 - writer];
    enum change change = (enum change)(wire_read_u8(&between->script) % CHANGE_COUNT);
    struct span payload = fuzz_take(&between->script, sizeof between->plain);
    size_t len = change == CHANGE_ROOM && payload.len > 200 ? 10 : sizeof between->bytes;
    enum weft_err err = noise_handshake_write(from, payload, between->bytes, &len);
    if (err == WEFT_ERR_FULL) {
        len = sizeof between->bytes;
        err = noise_handshake_write(from, span_of(NULL, 0), between->bytes, &len);
        payload.len = 0;
    }
    if (err != WEFT_OK) {
        return false;
    }
    between->is_changed |= change != CHANGE_NONE || (between->flags & FLAG_OTHER_PSK) != 0;
    len = len > 0 ? change_bytes(between, change, len) : 0;
    size_t room =
        change == CHANGE_ROOM && payload.len > 0 ? payload.len - 1 : sizeof between->plain;
    err = noise_handshake_read(to, span_of(between->bytes, len), between->plain, &room);
    if (err != WEFT_OK) {
        expect_dead(to);
        ASSERT(between->is_changed);
        return false;
    }
    ASSERT(between->is_changed || span_equal(span_of(between->plain, room), payload));
    return true;
}

/* Both have the same keys, turned round; what one seals the other opens, and nothing else. */
static void seal_and_open(struct between *between) {
    struct noise_keys keys[2];
    enum aead_cipher cipher =
        wire_read_u8(&between->script) % 2 == 0 ? AEAD_CHACHA20_POLY1305 : AEAD_AES_256_GCM;
    uint64_t counter = wire_read_u64(&between->script);
    struct span ad = fuzz_take(&between->script, 64);
    struct span plain = fuzz_take(&between->script, 1000);
    uint8_t bytes[1000 + AEAD_TAG_BYTES];
    noise_handshake_split(between->ends[0], &keys[0]);
    noise_handshake_split(between->ends[1], &keys[1]);
    ASSERT(noise_equal(keys[0].hash, keys[1].hash, sizeof keys[0].hash));
    ASSERT(noise_equal(keys[0].send, keys[1].receive, WEFT_KEY_BYTES));
    struct aead *aead = aead_new(cipher, keys[0].send);
    if (aead == NULL) {
        return;
    }
    aead_seal_with(aead, counter, ad, bytes, 0, plain);
    ASSERT(aead_open(aead, counter, ad, bytes, plain.len + AEAD_TAG_BYTES) == WEFT_OK);
    ASSERT(span_equal(span_of(bytes, plain.len), plain));
    aead_seal(aead, counter, ad, bytes, plain.len);
    bytes[wire_read_u16(&between->script) % (plain.len + AEAD_TAG_BYTES)] ^= 1;
    ASSERT(aead_open(aead, counter, ad, bytes, plain.len + AEAD_TAG_BYTES) == WEFT_ERR_AUTH);
    ASSERT(aead_open(aead, counter, ad, bytes, AEAD_TAG_BYTES - 1) == WEFT_ERR_AUTH);
    aead_free(aead);
}

static void shake(struct between *between) {
    for (unsigned i = 0; i < MESSAGES_MAX && !noise_handshake_is_done(between->ends[0]); i++) {
        if (!pass_message(between)) {
            return;
        }
    }
    if (noise_handshake_is_done(between->ends[0]) && noise_handshake_is_done(between->ends[1])) {
        const uint8_t *remote = noise_handshake_remote_static(between->ends[0]);
        fuzz_touch(span_of(remote, remote != NULL ? WEFT_KEY_BYTES : 0));
        if (!between->is_changed) {
            seal_and_open(between);
        }
    }
}

/* Keys and signatures as peers send them. */
static void try_identity(struct between *between) {
    static const uint8_t too_long[SIGNED_BYTES_MAX + 1];
    struct weft_public_key key = between->identities[0].key;
    uint8_t signature[SIGNATURE_BYTES];
    uint8_t converted[WEFT_KEY_BYTES];
    struct span message = fuzz_take(&between->script, 100);
    identity_sign(&between->identities[0], "fuzz", message, signature);
    ASSERT(identity_verify(&key, "fuzz", message, signature));
    ASSERT(!identity_verify(&key, "fuzz 2", message, signature));
    ASSERT(!identity_verify(&key, "fuzz", span_of(too_long, sizeof too_long), signature));
    signature[wire_read_u8(&between->script) % SIGNATURE_BYTES] ^= 1;
    ASSERT(!identity_verify(&key, "fuzz", message, signature));
    for (size_t i = 0; i < WEFT_KEY_BYTES; i++) {
        key.bytes[i] = (uint8_t)(key.bytes[i] ^ wire_read_u8(&between->script));
    }
    (void)!identity_link_key(&key, converted);
    const char *name = aead_cipher_name((enum aead_cipher)(wire_read_u8(&between->script) % 4));
    ASSERT(strlen(name) > 0 && strlen(aead_cipher_name(aead_preferred())) > 8);
}

/* The key that two nodes share without a word: both make the same one, and so the same MAC. A key
 * of small order, as the bytes of a script that has ended are, shares nothing. */
static void try_shared_key(struct between *between) {
    const struct identity *ends = between->identities;
    uint8_t keys[2][32];
    uint8_t macs[2][16];
    uint8_t remote[WEFT_KEY_BYTES];
    struct span message = fuzz_take(&between->script, 100);
    for (size_t i = 0; i < 2; i++) {
        ASSERT(identity_link_key(&ends[1 - i].key, remote) == WEFT_OK);
        ASSERT(identity_shared_key(&ends[i], remote, "fuzz", keys[i]) == WEFT_OK);
        noise_mac(keys[i], message, macs[i], sizeof macs[i]);
    }
    ASSERT(noise_equal(keys[0], keys[1], sizeof keys[0]));
    ASSERT(noise_equal(macs[0], macs[1], sizeof macs[0]));
    uint8_t any = 0;
    for (size_t i = 0; i < sizeof remote; i++) {
        remote[i] = wire_read_u8(&between->script);
        any |= remote[i];
    }
    enum weft_err err = identity_shared_key(&ends[0], remote, "fuzz", keys[0]);
    ASSERT(err == WEFT_ERR_AUTH || (err == WEFT_OK && any != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct between between;
    char name[NAME_MAX_BYTES + 1];
    memset(&between, 0, sizeof between);
    ASSERT(noise_setup() == WEFT_OK);
    between.script = wire_reader_of(span_of(data, size));
    for (size_t i = 0; i < 2; i++) {
        uint8_t seed[IDENTITY_SEED_BYTES] = {(uint8_t)(1 + i)};
        identity_from_seed(&between.identities[i], seed);
    }
    between.flags = wire_read_u8(&between.script);
    between.psk_count = wire_read_u8(&between.script) % (NOISE_PSK_MAX + 1);
    if ((between.flags & FLAG_LOW_STATIC) != 0) {
        memset(between.identities[0].link_static.public, 0, WEFT_KEY_BYTES);
        between.is_changed = true;
    }
    failing_alloc_arm(wire_read_u8(&between.script) % 8);
    name_take(&between.script, name);
    if (end_new(&between, name, 0) == WEFT_OK && end_new(&between, name, 1) == WEFT_OK) {
        shake(&between);
    }
    (void)failing_alloc_disarm();
    noise_handshake_free(between.ends[0]);
    noise_handshake_free(between.ends[1]);
    try_identity(&between);
    try_shared_key(&between);
    identity_fini(&between.identities[0]);
    identity_fini(&between.identities[1]);
    return 0;
}
