/* SPDX-License-Identifier: Apache-2.0
 *
 * What is left of a body's links once they are parsed.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "wire/word.h"

static struct weft_peer_id id_of(uint8_t first) {
    return (struct weft_peer_id){.bytes = {first}};
}

static struct wire_word *word_of(const struct wire_peer_link *links, uint32_t count,
                                 uint32_t flags) {
    static uint8_t bytes[4000];
    const struct wire_peer_source source = {
        .name = "n", .software = "", .flags = flags, .links = links, .link_count = count};
    struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
    wire_peer_body_encode(&writer, &source);
    struct wire_peer_body body;
    cr_assert_eq(wire_peer_body_decode(wire_writer_view(&writer), &body), WEFT_OK);
    struct weft_peer_id owner = id_of(5);
    struct wire_word *word = NULL;
    cr_assert_eq(wire_word_new(&owner, &body, &word), WEFT_OK);
    return word;
}

Test(wire_word, finds_the_cost_of_each_link_and_of_no_other) {
    struct wire_peer_link links[20];
    for (uint8_t i = 0; i < 20; i++) {
        links[i] = (struct wire_peer_link){.peer = id_of((uint8_t)(10 + 2 * i)), .cost_us = 1u + i};
    }
    struct wire_word *word = word_of(links, 20, WIRE_PEER_LEAVING);
    cr_expect_eq(word->link_count, 20);
    cr_expect_eq(word->flags, WIRE_PEER_LEAVING);
    for (uint8_t i = 0; i < 20; i++) {
        struct weft_peer_id between = id_of((uint8_t)(11 + 2 * i));
        cr_expect_eq(wire_word_cost(word, &links[i].peer), 1u + i);
        cr_expect_eq(wire_word_cost(word, &between), 0);
    }
    wire_word_unref(word);
}

Test(wire_word, leaves_out_a_link_to_oneself) {
    const struct wire_peer_link links[] = {{.peer = id_of(5), .cost_us = 1},
                                           {.peer = id_of(6), .cost_us = 2}};
    struct wire_word *word = word_of(links, 2, 0);
    struct weft_peer_id self = id_of(5);
    cr_expect_eq(word->link_count, 1);
    cr_expect_eq(wire_word_cost(word, &self), 0);
    wire_word_unref(word);
}

Test(wire_word, lives_until_the_last_reference_goes) {
    const struct wire_peer_link link = {.peer = id_of(6), .cost_us = 7};
    struct wire_word *word = word_of(&link, 1, 0);
    struct wire_word *kept = wire_word_ref(word);
    wire_word_unref(word);
    cr_expect_eq(wire_word_cost(kept, &link.peer), 7);
    wire_word_unref(kept);
    wire_word_unref(NULL);
}

Test(wire_word, has_the_same_content_for_the_same_saying_only) {
    const struct wire_peer_link links[] = {{.peer = id_of(6), .cost_us = 7},
                                           {.peer = id_of(8), .cost_us = 9}};
    struct wire_word *words[] = {word_of(links, 2, 0), word_of(links, 2, 0), word_of(links, 1, 0),
                                 word_of(links, 2, WIRE_PEER_LEAVING)};
    for (unsigned i = 0; i < 4; i++) {
        cr_expect_eq(span_equal(wire_word_content(words[0]), wire_word_content(words[i])), i < 2);
    }
    for (unsigned i = 0; i < 4; i++) {
        wire_word_unref(words[i]);
    }
}
