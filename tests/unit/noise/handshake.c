/* SPDX-License-Identifier: Apache-2.0
 *
 * What a handshake does when both sides are honest: every pattern with every set of psks, sizes,
 * turns, keys. Exact bytes are noise-vectors' matter.
 */
#include "noise/handshake.h"

#include <stdio.h>

#include "noise/pattern.h"
#include "support/failing_alloc.h"
#include "unit/noise/hex.h"
#include "unit/noise/pair.h"

static void setup(void) {
    cr_assert_eq(noise_setup(), WEFT_OK);
}

TestSuite(noise_handshake, .init = setup);

/* Passes one message with a payload; checks what each side says about its length and content. */
static void pass_message(struct pair *pair, size_t payload_len, const char *name) {
    static uint8_t payload[1024];
    static uint8_t opened[1024];
    enum side writer = pair_writer(pair);
    enum side reader = writer == INITIATOR ? RESPONDER : INITIATOR;
    size_t overhead = noise_handshake_overhead(pair->ends[writer]);
    size_t len = sizeof(opened);
    randombytes_buf_deterministic(payload, payload_len, pair->statics[0].secret);
    cr_assert_eq(overhead, noise_handshake_overhead(pair->ends[reader]), "%s", name);
    cr_assert_eq(pair_write(pair, span_of(payload, payload_len)), WEFT_OK, "%s", name);
    cr_assert_eq(pair->wire_len, payload_len + overhead, "%s", name);
    cr_assert_eq(
        noise_handshake_read(pair->ends[reader], span_of(pair->wire, pair->wire_len), opened, &len),
        WEFT_OK, "%s", name);
    cr_assert(span_equal(span_of(opened, len), span_of(payload, payload_len)), "%s", name);
}

static void check_done(struct pair *pair, const char *name) {
    struct noise_keys keys[2];
    for (size_t i = 0; i < 2; i++) {
        cr_assert(noise_handshake_is_done(pair->ends[i]), "%s", name);
        cr_assert_not(noise_handshake_is_our_turn(pair->ends[i]), "%s", name);
        cr_assert_eq(noise_handshake_overhead(pair->ends[i]), 0, "%s", name);
        noise_handshake_split(pair->ends[i], &keys[i]);
    }
    cr_assert_arr_eq(keys[0].send, keys[1].receive, WEFT_KEY_BYTES, "%s", name);
    cr_assert_arr_eq(keys[0].receive, keys[1].send, WEFT_KEY_BYTES, "%s", name);
    cr_assert_arr_eq(keys[0].hash, keys[1].hash, WEFT_KEY_BYTES, "%s", name);
    cr_assert_neq(memcmp(keys[0].send, keys[0].receive, WEFT_KEY_BYTES), 0, "%s", name);
}

/* Each side ends up with the other's static key, if the pattern gives the other one. */
static void check_statics(struct pair *pair, const struct noise_pattern *pattern,
                          const char *name) {
    for (size_t i = 0; i < 2; i++) {
        const uint8_t *seen = noise_handshake_remote_static(pair->ends[i]);
        bool is_expected = noise_pattern_needs_static(pattern, i != INITIATOR);
        cr_assert_eq(seen != NULL, is_expected, "%s", name);
        if (seen != NULL) {
            cr_assert_arr_eq(seen, pair->statics[1 - i].public, WEFT_KEY_BYTES, "%s", name);
        }
    }
}

/* Writes "BASEpsk0+psk2" for the bits of `set`. */
static size_t name_with_psks(char out[64], const char *base, unsigned set) {
    size_t count = 0;
    int len = snprintf(out, 64, "%s", base);
    for (unsigned place = 0; place < 5; place++) {
        if ((set & (1U << place)) != 0) {
            len += snprintf(out + len, 64 - (size_t)len, "%spsk%u", count > 0 ? "+" : "", place);
            count++;
        }
    }
    return count;
}

static bool complete_pattern(struct pair *pair, const char *name, size_t psk_count) {
    struct noise_pattern pattern;
    if (noise_pattern_parse(name, &pattern) != WEFT_OK) {
        return false;
    }
    cr_assert_eq(pattern.psk_count, psk_count, "%s", name);
    pair_init(pair, name, psk_count);
    cr_assert_eq(pair_start(pair), WEFT_OK, "%s", name);
    for (size_t i = 0; i < pattern.message_count; i++) {
        cr_assert_not(noise_handshake_is_done(pair->ends[0]), "%s", name);
        pass_message(pair, i * 100, name);
    }
    check_done(pair, name);
    check_statics(pair, &pattern, name);
    pair_fini(pair);
    return true;
}

Test(noise_handshake, every_pattern_with_every_psk_set_completes) {
    static struct pair pair;
    size_t completed = 0;
    for (size_t i = 0; PAIR_BASES[i] != NULL; i++) {
        for (unsigned set = 0; set < 32; set++) {
            char name[64];
            size_t psk_count = name_with_psks(name, PAIR_BASES[i], set);
            completed += complete_pattern(&pair, name, psk_count);
        }
    }
    /* 2^(messages + 1) sets each: 3 patterns of one message, 12 of two, 18 of three, and 5 of four
     * (all but the set of five psks). */
    cr_assert_eq(completed, 3 * 4 + 12 * 8 + 18 * 16 + 5 * 31, "%zu", completed);
}

Test(noise_handshake, unknown_patterns_are_invalid) {
    static const char *const names[] = {
        "",           "ZZ",          "xx",          "XXK",     "XXfallback",
        "XXpsk",      "XXpsk4",      "XXpsk9",      "Npsk2",   "XXpsk0+",
        "XXpsk0psk3", "XXpsk3+psk0", "XXpsk0+psk0", "XX+psk0", "XXpsk0+psk",
        "XXpsk00",    "XXpsk-1",     "XXpskA",      "psk0",    "XXpsk0,psk3",
        "XX psk0",    "XXpsk0 ",     "NNpsk3",      "p",       "X1X1psk0+psk1+psk2+psk3+psk4",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct noise_pattern pattern;
        struct pair pair;
        cr_expect_eq(noise_pattern_parse(names[i], &pattern), WEFT_ERR_INVALID, "\"%s\"", names[i]);
        pair_init(&pair, names[i], 1);
        cr_expect_eq(pair_start(&pair), WEFT_ERR_INVALID, "\"%s\"", names[i]);
        pair_fini(&pair);
    }
}

Test(noise_handshake, missing_keys_are_invalid) {
    struct pair pair;
    pair_init(&pair, "XX", 0);
    pair.configs[INITIATOR].local_static = NULL;
    cr_expect_eq(pair_start(&pair), WEFT_ERR_INVALID);
    pair_init(&pair, "IK", 0);
    pair.configs[INITIATOR].remote_static = NULL;
    cr_expect_eq(pair_start(&pair), WEFT_ERR_INVALID);
    pair_init(&pair, "NNpsk0", 0);
    cr_expect_eq(pair_start(&pair), WEFT_ERR_INVALID);
    pair_init(&pair, "NN", 1);
    cr_expect_eq(pair_start(&pair), WEFT_ERR_INVALID);
    pair_init(&pair, "NNpsk0", 1);
    pair.configs[INITIATOR].psks = NULL;
    cr_expect_eq(pair_start(&pair), WEFT_ERR_INVALID);
}

Test(noise_handshake, keys_a_side_does_not_use_may_be_missing) {
    struct pair pair;
    pair_init(&pair, "NK", 0);
    pair.configs[INITIATOR].local_static = NULL;
    pair.configs[RESPONDER].remote_static = NULL;
    cr_assert_eq(pair_start(&pair), WEFT_OK);
    cr_assert_eq(pair_run(&pair, 2), WEFT_OK);
    cr_assert(noise_handshake_is_done(pair.ends[RESPONDER]));
    pair_fini(&pair);
}

/* From cacophony's public NN vector: the transcript of its two messages, hashed with Python. */
Test(noise_handshake, hash_is_the_first_half_of_the_whole_transcripts) {
    struct pair pair;
    struct noise_keys keys;
    pair_init(&pair, "NN", 0);
    for (size_t i = 0; i < 2; i++) {
        pair.configs[i].prologue = span_of_text("John Galt");
    }
    hex_decode("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
               pair.configs[0].ephemeral_secret, WEFT_KEY_BYTES);
    hex_decode("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
               pair.configs[1].ephemeral_secret, WEFT_KEY_BYTES);
    cr_assert_eq(pair_start(&pair), WEFT_OK);
    cr_assert_eq(pair_write(&pair, span_of_text("Ludwig von Mises")), WEFT_OK);
    cr_assert_eq(pair_read(&pair, RESPONDER), WEFT_OK);
    cr_assert_eq(pair_write(&pair, span_of_text("Murray Rothbard")), WEFT_OK);
    cr_assert_eq(pair_read(&pair, INITIATOR), WEFT_OK);
    noise_handshake_split(pair.ends[INITIATOR], &keys);
    hex_expect(keys.hash, "25b3d1154146a2e058e4db548e0841992cf33a972d5b85a908e4fb8f14b6d94f", 32);
    pair_fini(&pair);
}

Test(noise_handshake, out_of_turn_is_refused_and_changes_nothing) {
    struct pair pair;
    uint8_t buffer[256];
    size_t len = sizeof(buffer);
    pair_init(&pair, PAIR_PATTERN, 2);
    cr_assert_eq(pair_start(&pair), WEFT_OK);
    cr_assert_eq(noise_handshake_write(pair.ends[RESPONDER], span_of(NULL, 0), buffer, &len),
                 WEFT_ERR_STATE);
    cr_assert_eq(noise_handshake_read(pair.ends[INITIATOR], span_of(buffer, 48), buffer, &len),
                 WEFT_ERR_STATE);
    cr_assert_eq(pair_run(&pair, 3), WEFT_OK);
    cr_assert_eq(noise_handshake_write(pair.ends[INITIATOR], span_of(NULL, 0), buffer, &len),
                 WEFT_ERR_STATE);
    cr_assert_eq(noise_handshake_read(pair.ends[RESPONDER], span_of(buffer, 48), buffer, &len),
                 WEFT_ERR_STATE);
    cr_assert(noise_handshake_is_done(pair.ends[INITIATOR]));
    cr_assert(noise_handshake_is_done(pair.ends[RESPONDER]));
    pair_fini(&pair);
}

Test(noise_handshake, write_without_room_is_refused_and_may_be_repeated) {
    struct pair pair;
    uint8_t buffer[64];
    pair_init(&pair, PAIR_PATTERN, 2);
    cr_assert_eq(pair_start(&pair), WEFT_OK);
    for (size_t room = 0; room < 52; room++) {
        size_t len = room;
        cr_assert_eq(noise_handshake_write(pair.ends[0], span_of("data", 4), buffer, &len),
                     WEFT_ERR_FULL);
        cr_assert_eq(len, room);
    }
    size_t len = 52;
    cr_assert_eq(noise_handshake_write(pair.ends[0], span_of("data", 4), buffer, &len), WEFT_OK);
    cr_assert_eq(len, 52);
    pair_fini(&pair);
}

Test(noise_handshake, payload_up_to_the_message_bound_fits) {
    static struct pair pair;
    static uint8_t payload[NOISE_MESSAGE_BYTES_MAX];
    static uint8_t wire[2 * NOISE_MESSAGE_BYTES_MAX];
    size_t len = sizeof(wire);
    pair_init(&pair, PAIR_PATTERN, 2);
    cr_assert_eq(pair_start(&pair), WEFT_OK);
    struct span over = span_of(payload, NOISE_MESSAGE_BYTES_MAX - 48 + 1);
    cr_assert_eq(noise_handshake_write(pair.ends[0], over, wire, &len), WEFT_ERR_FULL);
    cr_assert_eq(noise_handshake_write(pair.ends[0], span_of(payload, SIZE_MAX - 10), wire, &len),
                 WEFT_ERR_FULL);
    cr_assert_eq(pair_write(&pair, span_of(payload, NOISE_MESSAGE_BYTES_MAX - 48)), WEFT_OK);
    cr_assert_eq(pair.wire_len, NOISE_MESSAGE_BYTES_MAX);
    cr_assert_eq(pair_read(&pair, RESPONDER), WEFT_OK);
    pair_fini(&pair);
}

Test(noise_handshake, same_config_gives_the_same_bytes) {
    struct pair one;
    struct pair two;
    pair_init(&one, PAIR_PATTERN, 2);
    pair_init(&two, PAIR_PATTERN, 2);
    cr_assert_eq(pair_start(&one), WEFT_OK);
    cr_assert_eq(pair_start(&two), WEFT_OK);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(pair_run(&one, 1), WEFT_OK);
        cr_assert_eq(pair_run(&two, 1), WEFT_OK);
        cr_assert(span_equal(span_of(one.wire, one.wire_len), span_of(two.wire, two.wire_len)));
    }
    pair_fini(&one);
    pair_fini(&two);
}

Test(noise_handshake, keys_may_change_after_new) {
    struct pair pair;
    pair_init(&pair, PAIR_PATTERN, 2);
    cr_assert_eq(pair_start(&pair), WEFT_OK);
    memset(pair.statics, 0, sizeof(pair.statics));
    memset(pair.psks, 0, sizeof(pair.psks));
    memset(pair.configs, 0, sizeof(pair.configs));
    cr_assert_eq(pair_run(&pair, 3), WEFT_OK);
    pair_fini(&pair);
}

Test(noise_handshake, failed_allocation_is_an_error_and_leaks_nothing) {
    struct pair pair;
    size_t failures = 0;
    pair_init(&pair, PAIR_PATTERN, 2);
    FAILING_ALLOC_EACH(nth) {
        struct noise_handshake *hs = NULL;
        enum weft_err err = noise_handshake_new(&pair.configs[0], &hs);
        bool has_failed = failing_alloc_disarm();
        cr_assert_eq(err, has_failed ? WEFT_ERR_MEMORY : WEFT_OK);
        cr_assert_eq(hs == NULL, has_failed);
        failures += has_failed;
        noise_handshake_free(hs);
    }
    cr_assert_geq(failures, 1);
}
