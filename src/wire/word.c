/* SPDX-License-Identifier: Apache-2.0
 *
 * Parsing a body's links into one allocation.
 */
#include "wire/word.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/peer_id.h"

/* Appends a link if it keeps the order; costs of 0, which no decoder lets through, become 1. */
static void word_append(struct wire_word *word, const struct wire_peer_link *link) {
    uint32_t count = word->link_count;
    if (weft_peer_id_equal(&link->peer, &word->owner) ||
        (count > 0 && peer_id_compare(&word->links[count - 1].peer, &link->peer) >= 0)) {
        return;
    }
    word->links[count] = *link;
    word->links[count].cost_us += link->cost_us == 0 ? 1 : 0;
    word->link_count++;
}

enum weft_err wire_word_new(const struct weft_peer_id *owner, const struct wire_peer_body *body,
                            struct wire_word **out) {
    struct wire_list list = body->links;
    uint32_t size = list.count < WIRE_LINKS_MAX ? list.count : WIRE_LINKS_MAX;
    struct wire_word *word = malloc(sizeof *word + size * sizeof word->links[0]);
    if (word == NULL) {
        return WEFT_ERR_MEMORY;
    }
    *word = (struct wire_word){
        .reference_count = 1, .instance = body->instance, .owner = *owner, .flags = body->flags};
    struct wire_peer_link link;
    for (uint32_t i = 0; i < size && wire_list_next_link(&list, &link); i++) {
        word_append(word, &link);
    }
    *out = word;
    return WEFT_OK;
}

struct wire_word *wire_word_ref(struct wire_word *word) {
    ASSERT(word->reference_count > 0 && word->reference_count < UINT32_MAX);
    word->reference_count++;
    return word;
}

void wire_word_unref(struct wire_word *word) {
    if (word == NULL) {
        return;
    }
    ASSERT(word->reference_count > 0);
    word->reference_count--;
    if (word->reference_count == 0) {
        free(word);
    }
}

uint32_t wire_word_cost(const struct wire_word *word, const struct weft_peer_id *to) {
    uint32_t low = 0;
    uint32_t high = word->link_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = peer_id_compare(&word->links[middle].peer, to);
        if (order == 0) {
            return word->links[middle].cost_us;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return 0;
}

struct span wire_word_content(const struct wire_word *word) {
    size_t len = offsetof(struct wire_word, links) - offsetof(struct wire_word, owner) +
                 word->link_count * sizeof word->links[0];
    return span_of(&word->owner, len);
}
