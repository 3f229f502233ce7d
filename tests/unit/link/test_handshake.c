/* SPDX-License-Identifier: Apache-2.0
 *
 * The link handshake: that it joins who shares a secret however the bytes are cut, and that nobody
 * else gets a byte of answer.
 */
#include <criterion/criterion.h>

#include "noise/handshake.h"
#include "unit/link/pair.h"

#define START ((weft_ns)1000000000)
#define MESSAGE_1_BYTES 898 /* with preamble and length */

static struct end a;
static struct end b;

static void setup(void) {
    end_init(&a, 2, 9);
    end_init(&b, 3, 9);
}

static void teardown(void) {
    end_fini(&a);
    end_fini(&b);
}

TestSuite(link_handshake, .init = setup, .fini = teardown);

/* ---- good ones ---- */

Test(link_handshake, joins_two_that_share_a_secret) {
    pair_up(&a, &b, START);
    cr_assert(weft_peer_id_equal(&a.peer, &b.identity.id));
    cr_assert(weft_peer_id_equal(&b.peer, &a.identity.id));
    cr_assert_str_eq(a.peer_name, "odd");
    cr_assert_str_eq(b.peer_name, "even");
    cr_assert_eq(a.version, WIRE_VERSION_MAX);
    cr_assert_eq(b.version, WIRE_VERSION_MAX);
    cr_assert(link_is_up(a.link) && link_is_up(b.link));
    cr_assert_eq(link_role(a.link), LINK_DIALLED);
    cr_assert_eq(link_role(b.link), LINK_ACCEPTED);
}

Test(link_handshake, starts_with_the_documented_preamble_and_length) {
    pair_open(&a, &b, START);
    cr_assert_eq(end_flush(&a, START, SIZE_MAX), MESSAGE_1_BYTES);
    cr_assert_arr_eq(a.wire.data, "weft\x01\x01", 6);
    cr_assert_eq((a.wire.data[6] << 8 | a.wire.data[7]), MESSAGE_1_BYTES - 8);
}

Test(link_handshake, joins_whatever_the_cut) {
    pair_up(&a, &b, START);
    size_t sizes[3] = {MESSAGE_1_BYTES, b.wire.len, a.wire.len - MESSAGE_1_BYTES};
    for (size_t cut = 1; cut < sizes[0] + sizes[2]; cut++) {
        pair_open(&a, &b, START);
        end_flush(&a, START, SIZE_MAX);
        size_t first = cut < sizes[0] ? cut : sizes[0];
        end_feed(&b, a.wire.data, first, SIZE_MAX, START);
        end_feed(&b, a.wire.data + first, sizes[0] - first, SIZE_MAX, START);
        end_flush(&b, START, SIZE_MAX);
        size_t split = cut % sizes[1];
        end_feed(&a, b.wire.data, split, SIZE_MAX, START);
        end_feed(&a, b.wire.data + split, sizes[1] - split, SIZE_MAX, START);
        end_flush(&a, START, SIZE_MAX);
        size_t second = cut > sizes[0] ? cut : sizes[0];
        end_feed(&b, a.wire.data + sizes[0], second - sizes[0], SIZE_MAX, START);
        end_feed(&b, a.wire.data + second, a.wire.len - second, SIZE_MAX, START);
        cr_assert(a.is_up && b.is_up, "cut at %zu", cut);
    }
}

Test(link_handshake, joins_byte_by_byte) {
    pair_open(&a, &b, START);
    pair_settle(&a, &b, NULL, 1, START);
    cr_assert(a.is_up && b.is_up);
}

Test(link_handshake, joins_over_random_cuts) {
    for (uint8_t seed = 0; seed < 50; seed++) {
        struct rng rng;
        uint8_t bytes[32] = {seed, 1};
        rng_init(&rng, bytes);
        pair_open(&a, &b, START);
        pair_settle(&a, &b, &rng, 1 + (size_t)rng_below(&rng, 300), START);
        cr_assert(a.is_up && b.is_up, "seed %u", seed);
    }
}

Test(link_handshake, chooses_the_highest_version_both_speak) {
    a.shared.hello.version_max = 3;
    b.shared.hello.version_max = 2;
    pair_up(&a, &b, START);
    cr_assert_eq(a.version, 2);
    cr_assert_eq(b.version, 2);
}

Test(link_handshake, accepts_whom_it_expected) {
    end_open(&a, LINK_DIALLED, &b.identity.id, START);
    end_open(&b, LINK_ACCEPTED, &a.identity.id, START);
    pair_settle(&a, &b, NULL, SIZE_MAX, START);
    cr_assert(a.is_up && b.is_up);
}

/* ---- refusals that both sides can tell apart ---- */

static void expect_down(const struct end *end, enum weft_err err) {
    cr_assert(!end->is_up);
    cr_assert(end->is_down);
    cr_assert_eq(end->down.err, err, "%s: %s", weft_err_name(end->down.err), end->down.detail);
    cr_assert(!link_wants_write(end->link));
}

Test(link_handshake, refuses_somebody_else_than_expected) {
    end_open(&a, LINK_DIALLED, &a.identity.id, START);
    end_open(&b, LINK_ACCEPTED, NULL, START);
    pair_settle(&a, &b, NULL, SIZE_MAX, START);
    expect_down(&a, WEFT_ERR_AUTH);
    cr_assert_str_eq(a.down.detail, "somebody else than expected answered");
    cr_assert(!b.is_up);
}

Test(link_handshake, refuses_versions_without_one_in_common) {
    a.shared.hello.version_min = 2;
    a.shared.hello.version_max = 3;
    pair_open(&a, &b, START);
    pair_settle(&a, &b, NULL, SIZE_MAX, START);
    expect_down(&a, WEFT_ERR_VERSION);
    cr_assert(!b.is_up);
}

/* T2: our own key on the other side, such as a node that dials itself through a port forward. */
Test(link_handshake, refuses_itself) {
    struct end twin;
    end_init(&twin, 2, 9);
    twin.rng.state[0] ^= 1;
    pair_open(&a, &twin, START);
    pair_settle(&a, &twin, NULL, SIZE_MAX, START);
    expect_down(&a, WEFT_ERR_REFUSED);
    cr_assert_not_null(strstr(a.down.detail, "self"));
    cr_assert(!twin.is_up);
    end_fini(&twin);
}

/* T2: our own bytes come back. */
Test(link_handshake, is_not_fooled_by_its_own_bytes) {
    end_open(&a, LINK_DIALLED, NULL, START);
    end_flush(&a, START, SIZE_MAX);
    size_t len = a.wire.len;
    end_feed(&a, a.wire.data, len, SIZE_MAX, START);
    expect_down(&a, WEFT_ERR_MALFORMED);
    end_flush(&a, START, SIZE_MAX);
    cr_assert_eq(a.wire.len, len);

    end_open(&a, LINK_DIALLED, NULL, START);
    end_flush(&a, START, SIZE_MAX);
    end_feed(&a, a.wire.data + 6, a.wire.len - 6, SIZE_MAX, START);
    expect_down(&a, WEFT_ERR_AUTH);
}

/* T7: the hello of one key over the static key of another. */
Test(link_handshake, refuses_a_hello_whose_key_was_not_proven) {
    struct identity liar = a.identity;
    struct identity other;
    uint8_t seed[32] = {77};
    identity_from_seed(&other, seed);
    liar.key = other.key;
    liar.id = other.id;
    a.shared.identity = &liar;
    pair_open(&a, &b, START);
    pair_settle(&a, &b, NULL, SIZE_MAX, START);
    expect_down(&b, WEFT_ERR_AUTH);
}

/* T5: X25519 heeds neither the highest bit of a key nor which of its spellings it is given, so the
 * handshake goes through; but who is somebody by a key is so by its one spelling. */
static void spell_key_otherwise(struct end *liar, const struct end *victim) {
    struct identity other = liar->identity;
    other.link_static.public[31] |= 0x80;
    liar->shared.identity = &other;
    pair_open(&a, &b, START);
    pair_settle(&a, &b, NULL, SIZE_MAX, START);
    expect_down(victim, WEFT_ERR_AUTH);
    liar->shared.identity = &liar->identity;
}

Test(link_handshake, refuses_a_diallers_key_in_another_spelling) {
    spell_key_otherwise(&a, &b);
}

Test(link_handshake, refuses_a_listeners_key_in_another_spelling) {
    spell_key_otherwise(&b, &a);
}

/* ---- outsiders ---- */

Test(link_handshake, answers_nothing_to_a_wrong_secret) {
    struct end outsider;
    end_init(&outsider, 4, 10);
    pair_open(&outsider, &b, START);
    pair_settle(&outsider, &b, NULL, SIZE_MAX, START);
    expect_down(&b, WEFT_ERR_AUTH);
    cr_assert_eq(b.wire.len, 0);
    cr_assert(!outsider.is_up);
    end_fini(&outsider);
}

Test(link_handshake, answers_nothing_to_garbage) {
    uint8_t garbage[2048];
    for (uint32_t round = 0; round < 300; round++) {
        uint8_t seed[32] = {(uint8_t)round, (uint8_t)(round >> 8)};
        struct rng rng;
        rng_init(&rng, seed);
        for (size_t i = 0; i < sizeof garbage; i++) {
            garbage[i] = (uint8_t)rng_next(&rng);
        }
        size_t true_bytes = (size_t)rng_below(&rng, 9); /* some of it looks right */
        memcpy(garbage, "weft\x01\x01\x03\x7a", true_bytes);
        end_open(&b, LINK_ACCEPTED, NULL, START);
        end_feed(&b, garbage, sizeof garbage, 1 + (size_t)rng_below(&rng, 900), START);
        end_flush(&b, START, SIZE_MAX);
        cr_assert(b.is_down && !b.is_up && b.wire.len == 0, "round %u", round);
    }
}

Test(link_handshake, refuses_a_wrong_first_byte_at_once) {
    end_open(&b, LINK_ACCEPTED, NULL, START);
    end_feed(&b, "G", 1, 1, START);
    expect_down(&b, WEFT_ERR_MALFORMED);
}

/* C4, T17: whatever names and addresses we would advertise. */
Test(link_handshake, never_answers_with_more_than_it_got) {
    static const char *const addresses[] = {
        "[fe80::1111:2222:3333:4444%interface0]:65535",
        "[2001:db8:1111:2222:3333:4444:5555:6666]:65535",
        "[2001:db8:1111:2222:3333:4444:5555:7777]:65535",
        "[2001:db8:1111:2222:3333:4444:5555:8888]:65535",
        "[2001:db8:1111:2222:3333:4444:5555:9999]:65535",
        "[2001:db8:1111:2222:3333:4444:5555:aaaa]:65535",
        "[2001:db8:1111:2222:3333:4444:5555:bbbb]:65535",
        "[2001:db8:1111:2222:3333:4444:5555:cccc]:65535",
    };
    static const char name[] = "a-name-of-the-greatest-length-that-a-node-may-have-in-a-mesh-00";
    b.shared.addresses = a.shared.addresses = addresses;
    b.shared.address_count = a.shared.address_count = 8;
    b.shared.hello.name = a.shared.hello.name = span_of(name, WEFT_NAME_MAX);
    pair_open(&a, &b, START);
    end_flush(&a, START, SIZE_MAX);
    size_t in = a.wire.len;
    end_feed(&b, a.wire.data, in, SIZE_MAX, START);
    end_flush(&b, START, SIZE_MAX);
    cr_assert_gt(b.wire.len, 0);
    cr_assert_leq(b.wire.len, in);
    a.delivered = in;
    pair_settle(&a, &b, NULL, SIZE_MAX, START);
    cr_assert(a.is_up && b.is_up);
}

/* A first message that proves the secret, with `padding` bytes of payload. */
static size_t message_1(uint8_t *out, size_t padding) {
    static const uint8_t zeros[1024];
    uint8_t prologue[11 + 6 + 16];
    uint8_t psks[2][WEFT_KEY_BYTES];
    struct noise_handshake *noise = NULL;
    memcpy(out, "weft\x01\x01", 6);
    memcpy(prologue, "weft link 1", 11);
    memcpy(prologue + 11, out, 6);
    memcpy(prologue + 17, a.shared.mesh_id, 16);
    memcpy(psks[0], a.shared.psk, WEFT_KEY_BYTES);
    memcpy(psks[1], a.shared.psk, WEFT_KEY_BYTES);
    struct noise_config config = {.pattern = "XXpsk0+psk3",
                                  .is_initiator = true,
                                  .prologue = span_of(prologue, sizeof prologue),
                                  .local_static = &a.identity.link_static,
                                  .psks = (const uint8_t(*)[WEFT_KEY_BYTES])psks,
                                  .psk_count = 2,
                                  .ephemeral_secret = {7, 7}};
    size_t len = 1024;
    cr_assert_eq(noise_handshake_new(&config, &noise), WEFT_OK);
    cr_assert_eq(noise_handshake_write(noise, span_of(zeros, padding), out + 8, &len), WEFT_OK);
    noise_handshake_free(noise);
    out[6] = (uint8_t)(len >> 8);
    out[7] = (uint8_t)len;
    return 8 + len;
}

/* T17: even for who knows the secret. */
Test(link_handshake, does_not_answer_a_first_message_shorter_than_its_answer) {
    uint8_t bytes[8 + 1024];
    size_t len = message_1(bytes, 842);
    end_open(&b, LINK_ACCEPTED, NULL, START);
    end_feed(&b, bytes, len, SIZE_MAX, START);
    end_flush(&b, START, SIZE_MAX);
    size_t answer = b.wire.len;
    cr_assert(!b.is_down && answer > 0);
    size_t enough = answer - message_1(bytes, 0);
    for (size_t padding = 0; padding < enough; padding++) {
        len = message_1(bytes, padding);
        end_open(&b, LINK_ACCEPTED, NULL, START);
        end_feed(&b, bytes, len, SIZE_MAX, START);
        end_flush(&b, START, SIZE_MAX);
        expect_down(&b, WEFT_ERR_MALFORMED);
        cr_assert_eq(b.wire.len, 0);
    }
    len = message_1(bytes, enough);
    end_open(&b, LINK_ACCEPTED, NULL, START);
    end_feed(&b, bytes, len, SIZE_MAX, START);
    end_flush(&b, START, SIZE_MAX);
    cr_assert_eq(b.wire.len, len);
}

Test(link_handshake, offers_strangers_one_kilobyte) {
    size_t len = 0;
    end_open(&b, LINK_ACCEPTED, NULL, START);
    cr_assert_not_null(link_read_space(b.link, &len));
    cr_assert_leq(len, LINK_HANDSHAKE_BYTES_MAX);
    memcpy(link_read_space(b.link, &len), "weft\x01\x01\x03\x7a", 8);
    link_read_done(b.link, 8, START);
    end_events(&b, START);
    cr_assert_not_null(link_read_space(b.link, &len));
    cr_assert_leq(len, LINK_HANDSHAKE_BYTES_MAX - 8);
}

/* T3 is in here: the preamble states the versions. */
Test(link_handshake, fails_with_any_byte_of_message_1_changed) {
    for (size_t at = 0; at < MESSAGE_1_BYTES; at++) {
        pair_open(&a, &b, START);
        end_flush(&a, START, SIZE_MAX);
        a.wire.data[at] ^= (uint8_t)(1 << at % 8);
        end_feed(&b, a.wire.data, a.wire.len, SIZE_MAX, START);
        link_tick(b.link, START + LINK_HANDSHAKE_TIMEOUT); /* a length that grew: it still waits */
        end_events(&b, START + LINK_HANDSHAKE_TIMEOUT);
        end_flush(&b, START, SIZE_MAX);
        cr_assert(b.is_down && b.wire.len == 0, "byte %zu", at);
    }
}

Test(link_handshake, fails_with_any_byte_of_message_2_changed) {
    pair_up(&a, &b, START);
    size_t len = b.wire.len;
    for (size_t at = 0; at < len; at++) {
        pair_open(&a, &b, START);
        end_flush(&a, START, SIZE_MAX);
        end_feed(&b, a.wire.data, a.wire.len, SIZE_MAX, START);
        end_flush(&b, START, SIZE_MAX);
        b.wire.data[at] ^= (uint8_t)(1 << at % 8);
        end_feed(&a, b.wire.data, b.wire.len, SIZE_MAX, START);
        link_tick(a.link, START + LINK_HANDSHAKE_TIMEOUT);
        end_events(&a, START + LINK_HANDSHAKE_TIMEOUT);
        end_flush(&a, START, SIZE_MAX);
        cr_assert(a.is_down && !a.is_up && a.wire.len == MESSAGE_1_BYTES, "byte %zu", at);
    }
}

Test(link_handshake, fails_with_any_byte_of_message_3_changed) {
    pair_up(&a, &b, START);
    size_t len = a.wire.len;
    size_t answered = b.wire.len;
    for (size_t at = MESSAGE_1_BYTES; at < len; at++) {
        pair_open(&a, &b, START);
        end_flush(&a, START, SIZE_MAX);
        end_feed(&b, a.wire.data, a.wire.len, SIZE_MAX, START);
        end_flush(&b, START, SIZE_MAX);
        end_feed(&a, b.wire.data, b.wire.len, SIZE_MAX, START);
        end_flush(&a, START, SIZE_MAX);
        a.wire.data[at] ^= (uint8_t)(1 << at % 8);
        end_feed(&b, a.wire.data + MESSAGE_1_BYTES, len - MESSAGE_1_BYTES, SIZE_MAX, START);
        link_tick(b.link, START + LINK_HANDSHAKE_TIMEOUT);
        end_events(&b, START + LINK_HANDSHAKE_TIMEOUT);
        end_flush(&b, START, SIZE_MAX);
        cr_assert(b.is_down && !b.is_up && b.wire.len == answered, "byte %zu", at);
    }
}

/* T4. */
Test(link_handshake, refuses_impossible_lengths_when_they_come) {
    static const struct {
        uint16_t length;
        bool may_wait;
    } cases[] = {{0, false},     {1, false},     {47, false},   {48, true},
                 {1015, true},   {1016, true},   {1017, false}, {32767, false},
                 {32768, false}, {65534, false}, {65535, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t head[8] = {'w', 'e', 'f', 't', 1, 1};
        head[6] = (uint8_t)(cases[i].length >> 8);
        head[7] = (uint8_t)cases[i].length;
        end_open(&b, LINK_ACCEPTED, NULL, START);
        end_feed(&b, head, sizeof head, SIZE_MAX, START);
        cr_assert_eq(b.is_down, !cases[i].may_wait, "length %u", cases[i].length);
    }
}

Test(link_handshake, refuses_impossible_versions) {
    static const uint8_t ranges[][2] = {{0, 0}, {0, 1}, {2, 1}, {255, 0}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        uint8_t head[6] = {'w', 'e', 'f', 't', ranges[i][0], ranges[i][1]};
        end_open(&b, LINK_ACCEPTED, NULL, START);
        end_feed(&b, head, sizeof head, SIZE_MAX, START);
        expect_down(&b, WEFT_ERR_MALFORMED);
    }
}

/* ---- time ---- */

Test(link_handshake, ends_after_five_seconds_wherever_it_stopped) {
    for (size_t len = 0; len < MESSAGE_1_BYTES; len += 29) {
        pair_open(&a, &b, START);
        end_flush(&a, START, SIZE_MAX);
        end_feed(&b, a.wire.data, len, SIZE_MAX, START + 1);
        weft_ns end = START + LINK_HANDSHAKE_TIMEOUT;
        link_tick(b.link, end - 1);
        end_events(&b, end - 1);
        cr_assert(!b.is_down);
        cr_assert_leq(link_deadline(b.link), end);
        link_tick(b.link, end);
        end_events(&b, end);
        expect_down(&b, WEFT_ERR_TIMEOUT);
        cr_assert_eq(link_deadline(b.link), WEFT_NEVER);
        link_tick(a.link, end);
        end_events(&a, end);
        expect_down(&a, WEFT_ERR_TIMEOUT);
    }
}

/* T9: one byte a second does not extend it. */
Test(link_handshake, is_not_extended_by_trickling_bytes) {
    pair_open(&a, &b, START);
    end_flush(&a, START, SIZE_MAX);
    for (size_t i = 0; i < 6 && !b.is_down; i++) {
        weft_ns now = START + i * NS_PER_S;
        link_tick(b.link, now);
        end_events(&b, now);
        end_feed(&b, a.wire.data + i, 1, 1, now);
    }
    expect_down(&b, WEFT_ERR_TIMEOUT);
}

/* ---- replay (T1) ---- */

static struct bytes recording(const struct end *end) {
    struct bytes copy = {.data = NULL};
    bytes_add(&copy, end->wire.data, end->wire.len);
    return copy;
}

Test(link_handshake, a_guard_refuses_a_replayed_first_message_without_a_byte) {
    struct guard_config config;
    guard_config_defaults(&config);
    cr_assert_eq(guard_new(&config, &b.shared.guard), WEFT_OK);
    pair_up(&a, &b, START);
    struct bytes old = recording(&a);
    end_open(&b, LINK_ACCEPTED, NULL, START);
    end_feed(&b, old.data, MESSAGE_1_BYTES, SIZE_MAX, START);
    end_flush(&b, START, SIZE_MAX);
    expect_down(&b, WEFT_ERR_AUTH);
    cr_assert_eq(b.wire.len, 0);
    pair_up(&a, &b, START); /* a new one still gets in */
    bytes_free(&old);
    guard_free(b.shared.guard);
}

Test(link_handshake, a_replayed_dialler_never_comes_up) {
    pair_up(&a, &b, START);
    struct bytes old_a = recording(&a);
    struct bytes old_b = recording(&b);
    end_open(&b, LINK_ACCEPTED, NULL, START); /* a new connection */
    end_feed(&b, old_a.data, old_a.len, SIZE_MAX, START);
    expect_down(&b, WEFT_ERR_AUTH);
    end_open(&a, LINK_DIALLED, NULL, START); /* the answer, to a new question */
    end_flush(&a, START, SIZE_MAX);
    end_feed(&a, old_b.data, old_b.len, SIZE_MAX, START);
    expect_down(&a, WEFT_ERR_AUTH);
    end_open(&a, LINK_ACCEPTED, NULL, START); /* the reverse */
    end_feed(&a, old_b.data, old_b.len, SIZE_MAX, START);
    expect_down(&a, WEFT_ERR_MALFORMED);
    end_open(&b, LINK_DIALLED, NULL, START);
    end_feed(&b, old_a.data, old_a.len, SIZE_MAX, START);
    expect_down(&b, WEFT_ERR_MALFORMED);
    bytes_free(&old_a);
    bytes_free(&old_b);
}
