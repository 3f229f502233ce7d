/* SPDX-License-Identifier: Apache-2.0
 *
 * Flags and words of a command line: --flag VALUE, --flag=VALUE, and "--" before words that begin
 * with a dash. Flags may stand before, between and after the words.
 */
#ifndef SIM_FLAGS_H
#define SIM_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLAGS_ERROR_BYTES 256

struct flag {
    const char *name;  /* "--seed"; NULL ends a table */
    const char *value; /* what its value is called in the help, or NULL if it takes none */
    const char *help;
};

struct given_flag {
    const struct flag *flag;
    const char *value; /* NULL if it takes none */
};

struct flags {
    struct given_flag *given;
    size_t given_count;
    const char **words;
    size_t word_count;
};

/* Reads all of argv against a table. False with one sentence in `error` for a flag that is unknown
 * or lacks its value. All strings are borrowed. Fini afterwards, in both cases. */
bool flags_parse(int argc, char *const argv[], const struct flag *table, struct flags *out,
                 char error[FLAGS_ERROR_BYTES]);
void flags_fini(struct flags *flags);

bool flags_have(const struct flags *flags, const char *name);
/* The value of the last of these flags, or NULL. */
const char *flags_value(const struct flags *flags, const char *name);

/* A whole number in decimal, and nothing else; false if `text` is none or does not fit. */
bool flags_number(const char *text, uint64_t *out);
/* "A..B" with A <= B, or "A" for one. */
bool flags_range(const char *text, uint64_t *low, uint64_t *high);

#endif
