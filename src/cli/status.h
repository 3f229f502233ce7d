/* SPDX-License-Identifier: Apache-2.0
 *
 * The status as people read it: one line who and how, one line a count, then only what is wrong,
 * then with whom there are keys end to end.
 */
#ifndef CLI_STATUS_H
#define CLI_STATUS_H

#include <jansson.h>

#include "cli/text.h"

/* What the text must fit. */
struct status_space {
    size_t rows;
    size_t columns;
    bool has_colour;
    bool has_more; /* something else follows: no list of sessions */
};

/* 80 x 24, or what the terminal at stdout has. */
struct status_space status_space_of(bool has_colour);

/* Prints the answer of GET /v1/status; returns how many lines it took, at most space->rows. */
size_t status_print(FILE *out, const json_t *status, const struct status_space *space);

#endif
