/* SPDX-License-Identifier: Apache-2.0
 *
 * "did you mean ...?" for words that are nearly one we know.
 */
#ifndef SIM_SUGGEST_H
#define SIM_SUGGEST_H

#include <stddef.h>

/* Edits (insert, remove, replace a character) from `a` to `b`; texts beyond 63 characters are as
 * far from anything as they are long. */
size_t suggest_distance(const char *a, const char *b);

/* The nearest of the candidates if it is near enough (one slip in three characters, one at least);
 * the first of equals; else NULL. */
const char *suggest_nearest(const char *text, const char *const *candidates, size_t count);

#endif
