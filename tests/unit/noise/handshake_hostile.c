/* SPDX-License-Identifier: Apache-2.0
 *
 * What a handshake refuses: changed bits, wrong secrets, bad lengths, points of low order (T21),
 * and everything after the first fault.
 */
#include "noise/handshake.h"

#include "unit/noise/hex.h"
#include "unit/noise/pair.h"

#define POINT_COUNT 7

static const char *const LOW_ORDER[POINT_COUNT] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void setup(void) {
    cr_assert_eq(noise_setup(), WEFT_OK);
}

TestSuite(noise_hostile, .init = setup);

/* Point `index`; from POINT_COUNT on, the same with the top bit that X25519 ignores. */
static void low_order_point(size_t index, uint8_t out[WEFT_KEY_BYTES]) {
    hex_decode(LOW_ORDER[index % POINT_COUNT], out, WEFT_KEY_BYTES);
    out[WEFT_KEY_BYTES - 1] |= index >= POINT_COUNT ? 0x80 : 0;
}

static void start_pair(struct pair *pair, const char *pattern, size_t psk_count, size_t passed) {
    pair_init(pair, pattern, psk_count);
    cr_assert_eq(pair_start(pair), WEFT_OK);
    cr_assert_eq(pair_run(pair, passed), WEFT_OK);
}

static enum side reader_of(const struct pair *pair) {
    return pair_writer(pair) == INITIATOR ? RESPONDER : INITIATOR;
}

/* After a fault: nothing works, nothing is known. */
static void check_dead(struct noise_handshake *hs) {
    uint8_t buffer[256] = {0};
    size_t len = sizeof(buffer);
    cr_assert_eq(noise_handshake_read(hs, span_of(buffer, 100), buffer, &len), WEFT_ERR_STATE);
    cr_assert_eq(noise_handshake_write(hs, span_of(NULL, 0), buffer, &len), WEFT_ERR_STATE);
    cr_assert_not(noise_handshake_is_done(hs));
    cr_assert_not(noise_handshake_is_our_turn(hs));
    cr_assert_eq(noise_handshake_overhead(hs), 0);
    cr_assert_null(noise_handshake_remote_static(hs));
}

static void flip_one_bit(size_t message, size_t bit) {
    static struct pair pair;
    start_pair(&pair, PAIR_PATTERN, 2, message);
    enum side reader = reader_of(&pair);
    cr_assert_eq(pair_write(&pair, span_of("hello", 5)), WEFT_OK);
    pair.wire[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    cr_assert_eq(pair_read(&pair, reader), WEFT_ERR_AUTH, "message %zu bit %zu", message, bit);
    check_dead(pair.ends[reader]);
    pair_fini(&pair);
}

static void flip_every_bit(size_t message, size_t message_len) {
    for (size_t bit = 0; bit < 8 * message_len; bit++) {
        flip_one_bit(message, bit);
    }
}

Test(noise_hostile, every_flipped_bit_of_message_1_is_refused) {
    flip_every_bit(0, 32 + 5 + 16);
}

Test(noise_hostile, every_flipped_bit_of_message_2_is_refused) {
    flip_every_bit(1, 32 + 32 + 16 + 5 + 16);
}

Test(noise_hostile, every_flipped_bit_of_message_3_is_refused) {
    flip_every_bit(2, 32 + 16 + 5 + 16);
}

Test(noise_hostile, every_truncation_is_refused) {
    static struct pair pair;
    static const size_t overheads[3] = {48, 96, 64};
    for (size_t message = 0; message < 3; message++) {
        for (size_t len = 0; len < overheads[message] + 5; len++) {
            enum weft_err expected = len < overheads[message] ? WEFT_ERR_MALFORMED : WEFT_ERR_AUTH;
            start_pair(&pair, PAIR_PATTERN, 2, message);
            enum side reader = reader_of(&pair);
            cr_assert_eq(pair_write(&pair, span_of("hello", 5)), WEFT_OK);
            cr_assert_eq(pair.wire_len, overheads[message] + 5);
            pair.wire_len = len;
            cr_assert_eq(pair_read(&pair, reader), expected, "message %zu len %zu", message, len);
            check_dead(pair.ends[reader]);
            pair_fini(&pair);
        }
    }
}

Test(noise_hostile, extra_byte_is_refused) {
    static struct pair pair;
    for (size_t message = 0; message < 3; message++) {
        start_pair(&pair, PAIR_PATTERN, 2, message);
        enum side reader = reader_of(&pair);
        cr_assert_eq(pair_write(&pair, span_of(NULL, 0)), WEFT_OK);
        pair.wire[pair.wire_len++] = 0;
        cr_assert_eq(pair_read(&pair, reader), WEFT_ERR_AUTH);
        pair_fini(&pair);
    }
}

Test(noise_hostile, message_beyond_the_bound_is_malformed) {
    static struct pair pair;
    static uint8_t bytes[NOISE_MESSAGE_BYTES_MAX + 1];
    static uint8_t out[NOISE_MESSAGE_BYTES_MAX + 1];
    size_t len = sizeof(out);
    start_pair(&pair, "NN", 0, 0);
    bytes[0] = 9;
    cr_assert_eq(
        noise_handshake_read(pair.ends[RESPONDER], span_of(bytes, sizeof(bytes)), out, &len),
        WEFT_ERR_MALFORMED);
    check_dead(pair.ends[RESPONDER]);
    pair_fini(&pair);
}

Test(noise_hostile, payload_larger_than_the_readers_room_is_refused) {
    static struct pair pair;
    uint8_t out[4];
    size_t len = sizeof(out);
    start_pair(&pair, PAIR_PATTERN, 2, 0);
    cr_assert_eq(pair_write(&pair, span_of("hello", 5)), WEFT_OK);
    cr_assert_eq(
        noise_handshake_read(pair.ends[RESPONDER], span_of(pair.wire, pair.wire_len), out, &len),
        WEFT_ERR_FULL);
    check_dead(pair.ends[RESPONDER]);
    pair_fini(&pair);
}

/* psk0 is refused in message 1, psk3 in message 3: the messages before pass. */
Test(noise_hostile, wrong_psk_is_refused_in_the_message_that_mixes_it) {
    static struct pair pair;
    static const size_t passed[2] = {0, 2};
    for (size_t k = 0; k < 2; k++) {
        pair_init(&pair, PAIR_PATTERN, 2);
        pair.psks[RESPONDER][k][31] ^= 1;
        cr_assert_eq(pair_start(&pair), WEFT_OK);
        cr_assert_eq(pair_run(&pair, passed[k]), WEFT_OK);
        cr_assert_eq(pair_run(&pair, 1), WEFT_ERR_AUTH);
        pair_fini(&pair);
    }
}

Test(noise_hostile, wrong_prologue_is_refused_at_once) {
    static struct pair pair;
    static const char *const prologues[] = {"", "weft test", "weft tests ", "Weft tests"};
    for (size_t i = 0; i < 4; i++) {
        pair_init(&pair, PAIR_PATTERN, 2);
        pair.configs[RESPONDER].prologue = span_of_text(prologues[i]);
        cr_assert_eq(pair_start(&pair), WEFT_OK);
        cr_assert_eq(pair_run(&pair, 1), WEFT_ERR_AUTH);
        pair_fini(&pair);
    }
}

/* The name is in the transcript: neither side can be talked into a weaker pattern. */
Test(noise_hostile, other_pattern_is_refused) {
    static struct pair pair;
    pair_init(&pair, PAIR_PATTERN, 2);
    pair.configs[RESPONDER].pattern = "XXpsk0+psk2";
    cr_assert_eq(pair_start(&pair), WEFT_OK);
    cr_assert_eq(pair_run(&pair, 1), WEFT_ERR_AUTH);
    pair_fini(&pair);
}

/* IK to a responder whose key is another. */
Test(noise_hostile, wrong_remote_static_is_refused) {
    static struct pair pair;
    pair_init(&pair, "IK", 0);
    pair.configs[INITIATOR].remote_static = pair.statics[INITIATOR].public;
    cr_assert_eq(pair_start(&pair), WEFT_OK);
    cr_assert_eq(pair_run(&pair, 1), WEFT_ERR_AUTH);
    pair_fini(&pair);
}

/* T2: our own message 1 sent back to us as message 2. */
Test(noise_hostile, reflected_message_is_refused) {
    static struct pair pair;
    static uint8_t payload[200];
    start_pair(&pair, PAIR_PATTERN, 2, 0);
    cr_assert_eq(pair_write(&pair, span_of(payload, sizeof(payload))), WEFT_OK);
    cr_assert_eq(pair_read(&pair, INITIATOR), WEFT_ERR_AUTH);
    check_dead(pair.ends[INITIATOR]);
    pair_fini(&pair);
}

/* T1: message 3 of one handshake shown to another, whose responder drew another ephemeral. */
Test(noise_hostile, replayed_last_message_is_refused) {
    static struct pair first;
    static struct pair second;
    start_pair(&first, PAIR_PATTERN, 2, 3);
    pair_init(&second, PAIR_PATTERN, 2);
    second.configs[RESPONDER].ephemeral_secret[5] ^= 1;
    cr_assert_eq(pair_start(&second), WEFT_OK);
    cr_assert_eq(pair_run(&second, 2), WEFT_OK);
    memcpy(second.wire, first.wire, first.wire_len);
    second.wire_len = first.wire_len;
    cr_assert_eq(pair_read(&second, RESPONDER), WEFT_ERR_AUTH);
    pair_fini(&first);
    pair_fini(&second);
}

/* T21, as ephemeral: messages 1 and 2 of every interactive pattern begin with one. Message 1 of NN
 * would pass otherwise: nothing is computed with the key before it is answered. */
static void refuse_ephemeral(const char *base, size_t message, size_t point) {
    static struct pair pair;
    start_pair(&pair, base, 0, message);
    enum side reader = reader_of(&pair);
    cr_assert_eq(pair_write(&pair, span_of(NULL, 0)), WEFT_OK);
    low_order_point(point, pair.wire);
    cr_assert_eq(pair_read(&pair, reader), WEFT_ERR_AUTH, "%s message %zu point %zu", base, message,
                 point);
    check_dead(pair.ends[reader]);
    pair_fini(&pair);
}

Test(noise_hostile, low_order_ephemeral_is_refused_in_every_pattern) {
    for (size_t i = 0; PAIR_BASES[i] != NULL; i++) {
        bool is_one_way = strlen(PAIR_BASES[i]) == 1;
        for (size_t point = 0; point < 2 * (size_t)POINT_COUNT; point++) {
            refuse_ephemeral(PAIR_BASES[i], 0, point);
            if (!is_one_way) {
                refuse_ephemeral(PAIR_BASES[i], 1, point);
            }
        }
    }
}

/* T21, as static, from an insider: the psks are right and every tag is made over the bad point, as
 * a hostile peer's own code would make it. */
static bool completes_with_static(const char *pattern, size_t psk_count, enum side liar,
                                  size_t point) {
    static struct pair pair;
    pair_init(&pair, pattern, psk_count);
    low_order_point(point, pair.statics[liar].public);
    enum weft_err err = pair_start(&pair);
    if (err != WEFT_OK) {
        cr_assert_eq(err, WEFT_ERR_INVALID, "%s: known before, refused at once", pattern);
    } else {
        err = pair_run(&pair, 4);
        cr_assert(err == WEFT_OK || err == WEFT_ERR_AUTH, "%s", pattern);
    }
    pair_fini(&pair);
    return err == WEFT_OK;
}

/* Whether the side has a static key at all: whether the other knows one in the end. */
static bool has_static(const char *pattern, size_t psk_count, enum side side) {
    static struct pair pair;
    start_pair(&pair, pattern, psk_count, 4);
    cr_assert(noise_handshake_is_done(pair.ends[INITIATOR]));
    bool is_known = noise_handshake_remote_static(pair.ends[1 - side]) != NULL;
    pair_fini(&pair);
    return is_known;
}

static void refuse_statics(const char *pattern, size_t psk_count) {
    for (enum side liar = INITIATOR; liar <= RESPONDER; liar++) {
        bool is_used = has_static(pattern, psk_count, liar);
        for (size_t point = 0; point < 2 * (size_t)POINT_COUNT; point++) {
            cr_assert_eq(completes_with_static(pattern, psk_count, liar, point), !is_used,
                         "%s, side %d, point %zu", pattern, (int)liar, point);
        }
    }
}

Test(noise_hostile, low_order_static_is_refused_in_every_pattern) {
    for (size_t i = 0; PAIR_BASES[i] != NULL; i++) {
        refuse_statics(PAIR_BASES[i], 0);
    }
    refuse_statics(PAIR_PATTERN, 2);
}

Test(noise_hostile, low_order_static_known_before_is_invalid) {
    static struct pair pair;
    for (size_t point = 0; point < 2 * (size_t)POINT_COUNT; point++) {
        pair_init(&pair, "IK", 0);
        low_order_point(point, pair.statics[RESPONDER].public);
        cr_assert_eq(pair_start(&pair), WEFT_ERR_INVALID, "point %zu", point);
        pair_fini(&pair);
    }
}

/* In message 1 of I1N the static key travels in the clear and only message 3 computes with it:
 * refused on arrival, not two messages later. */
Test(noise_hostile, low_order_static_is_refused_on_arrival) {
    static struct pair pair;
    for (size_t point = 0; point < 2 * (size_t)POINT_COUNT; point++) {
        start_pair(&pair, "I1N", 0, 0);
        cr_assert_eq(pair_write(&pair, span_of(NULL, 0)), WEFT_OK);
        low_order_point(point, pair.wire + WEFT_KEY_BYTES);
        cr_assert_eq(pair_read(&pair, RESPONDER), WEFT_ERR_AUTH);
        check_dead(pair.ends[RESPONDER]);
        pair_fini(&pair);
    }
}

/* Random bytes of every length, to both sides: refused, never accepted, never a fault of ours. */
Test(noise_hostile, garbage_is_refused) {
    static struct pair pair;
    for (size_t len = 0; len < 200; len++) {
        for (size_t message = 0; message < 3; message++) {
            uint8_t seed[32] = {(uint8_t)len, (uint8_t)message};
            start_pair(&pair, PAIR_PATTERN, 2, message);
            enum side reader = reader_of(&pair);
            cr_assert_eq(pair_write(&pair, span_of(NULL, 0)), WEFT_OK);
            randombytes_buf_deterministic(pair.wire, len, seed);
            pair.wire_len = len;
            cr_assert_neq(pair_read(&pair, reader), WEFT_OK);
            check_dead(pair.ends[reader]);
            pair_fini(&pair);
        }
    }
}
