/* SPDX-License-Identifier: Apache-2.0
 *
 * "Did you mean": the nearest of the known words, by how many letters must be added, left out,
 * changed or swapped with their neighbour.
 */
#ifndef CLI_SUGGEST_H
#define CLI_SUGGEST_H

#include <stddef.h>

struct suggest {
    const char *wrong;
    const char *best; /* NULL until one is near enough */
    size_t distance;
};

/* Begins a search for what `wrong` may have meant. */
struct suggest suggest_of(const char *wrong);
/* Offers one known word, which must outlive the search. */
void suggest_offer(struct suggest *suggest, const char *word);

#endif
