/* SPDX-License-Identifier: Apache-2.0
 *
 * The parsed links of a peer record.
 */
#include <criterion/criterion.h>

#include "kit.h"

Test(record_word, is_parsed_once_and_lives_as_long_as_somebody_has_it) {
    struct identity identity;
    kit_identity(3, &identity);
    struct record *record = kit_peer(&identity, 1, 1, 5);
    struct wire_word *first = NULL;
    struct wire_word *second = NULL;
    cr_assert_eq(record_word(record, &first), WEFT_OK);
    cr_assert_eq(record_word(record, &second), WEFT_OK);
    cr_expect_eq(first, second);
    cr_expect(weft_peer_id_equal(&first->owner, &identity.id));
    wire_word_ref(first);
    record_unref(record);
    cr_expect_eq(first->link_count, 0);
    wire_word_unref(first);
}

Test(record_word, is_none_of_tombstones_other_kinds_and_bodies_that_cannot_be_read) {
    struct identity identity;
    kit_identity(3, &identity);
    struct record *records[] = {kit_tombstone(&identity, WIRE_RECORD_PEER, "", 1, 1),
                                kit_signed(&identity, 900, "", 1, 1, "x"),
                                kit_signed(&identity, WIRE_RECORD_PEER, "", 1, 1, "no map")};
    const enum weft_err expected[] = {WEFT_ERR_INVALID, WEFT_ERR_INVALID, WEFT_ERR_MALFORMED};
    for (size_t i = 0; i < 3; i++) {
        struct wire_word *word = NULL;
        cr_expect_eq(record_word(records[i], &word), expected[i], "%zu", i);
        cr_expect_null(word);
        record_unref(records[i]);
    }
}
