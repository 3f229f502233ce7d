/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/suggest.h"

#include <string.h>

#include "base/check.h"

#define SUGGEST_LEN_MAX 63

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Levenshtein's distance, one row at a time. */
size_t suggest_distance(const char *a, const char *b) {
    size_t row[SUGGEST_LEN_MAX + 1];
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    if (a_len > SUGGEST_LEN_MAX || b_len > SUGGEST_LEN_MAX) {
        return a_len > b_len ? a_len : b_len;
    }
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = least(changed, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_len];
}

const char *suggest_nearest(const char *text, const char *const *candidates, size_t count) {
    ASSERT(text != NULL && (candidates != NULL || count == 0));
    const char *best = NULL;
    size_t best_distance = strlen(text) / 3 + 2;
    for (size_t i = 0; i < count; i++) {
        size_t distance = suggest_distance(text, candidates[i]);
        if (distance < best_distance) {
            best = candidates[i];
            best_distance = distance;
        }
    }
    return best;
}
