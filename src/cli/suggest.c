/* SPDX-License-Identifier: Apache-2.0
 *
 * Optimal string alignment distance (Damerau-Levenshtein without repeated edits) over three rows.
 */
#include "cli/suggest.h"

#include <stdbool.h>
#include <string.h>

#define WORD_MAX 32 /* the longest word worth comparing: no command or flag is longer */

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Three rows of the table of distances between all beginnings of two words. */
struct rows {
    size_t row[3][WORD_MAX + 1];
};

/* Between the first i letters of a and the first j of b; both at least 1. */
static size_t cell(const struct rows *rows, const char *a, const char *b, size_t i, size_t j) {
    const size_t *row = rows->row[i % 3];
    const size_t *above = rows->row[(i + 2) % 3];
    size_t change = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
    size_t best = least(least(above[j], row[j - 1]) + 1, change);
    bool is_swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
    return is_swap ? least(best, rows->row[(i + 1) % 3][j - 2] + 1) : best;
}

static size_t distance(const char *a, const char *b) {
    struct rows rows = {0};
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    if (a_len > WORD_MAX || b_len > WORD_MAX) {
        return WORD_MAX;
    }
    for (size_t j = 0; j <= b_len; j++) {
        rows.row[0][j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        rows.row[i % 3][0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            rows.row[i % 3][j] = cell(&rows, a, b, i, j);
        }
    }
    return rows.row[a_len % 3][b_len];
}

struct suggest suggest_of(const char *wrong) {
    size_t len = strlen(wrong);
    return (struct suggest){.wrong = wrong, .distance = len < 4 ? 2 : 3};
}

void suggest_offer(struct suggest *suggest, const char *word) {
    size_t found = distance(suggest->wrong, word);
    if (found < suggest->distance) {
        suggest->best = word;
        suggest->distance = found;
    }
}
