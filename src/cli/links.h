/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of links, for `links` and `watch`.
 */
#ifndef CLI_LINKS_H
#define CLI_LINKS_H

#include <jansson.h>

#include "cli/text.h"

/* Prints the answer of GET /v1/links. Rates are over the link's life; with `before`, an earlier
 * answer, over the `seconds` since then. At most `rows_max` rows. */
void links_print(FILE *out, const json_t *links, const json_t *before, double seconds,
                 bool has_colour, size_t rows_max);

#endif
