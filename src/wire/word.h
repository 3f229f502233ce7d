/* SPDX-License-Identifier: Apache-2.0
 *
 * A peer's word: what its record says of its links, parsed once. Counted and immutable, so that all
 * who keep it, the routers of every core of a process among them, share one object.
 *
 * Words are counted without locks: all cores that share them run in one thread.
 */
#ifndef WIRE_WORD_H
#define WIRE_WORD_H

#include "wire/record.h"

struct wire_word {
    uint32_t reference_count;
    /* Noted by whoever shares graphs by content (router/pool.h), so that a process hashes a word
     * once: whose tag it is, 0 for none, and the tag. */
    uint64_t tag_key;
    uint64_t tag[2];
    uint64_t instance; /* of the owner, as it says */
    /* From here to the end of the links there is no padding: the content is one run of bytes. */
    struct weft_peer_id owner;
    uint32_t flags; /* of WIRE_PEER_LEAVING and those to come */
    uint32_t link_count;
    struct wire_peer_link links[]; /* strictly increasing by peer, never the owner, costs >= 1 */
};

/* Parses what a decoded body says of links; at most WIRE_LINKS_MAX. A list out of order loses its
 * disordered part, a link to oneself is left out. WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err wire_word_new(const struct weft_peer_id *owner,
                                            const struct wire_peer_body *body,
                                            struct wire_word **out);
struct wire_word *wire_word_ref(struct wire_word *word);
/* Takes NULL. */
void wire_word_unref(struct wire_word *word);

/* What the owner pays to a peer; 0 if it does not list it. Cost: a binary search. */
uint32_t wire_word_cost(const struct wire_word *word, const struct weft_peer_id *to);

/* The content as bytes, borrowed: equal for words that say the same. */
struct span wire_word_content(const struct wire_word *word);

#endif
