/* SPDX-License-Identifier: Apache-2.0
 *
 * Flags and words of a command line: --flag VALUE, --flag=VALUE, -f, and "--" before words that
 * begin with a dash. Flags may stand before, between and after the words.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#define ARGS_ERROR_BYTES 256

struct flag {
    const char *name;  /* "--follow"; NULL ends a table */
    char letter;       /* 'f', or 0 */
    const char *value; /* what its value is called in the help, or NULL if it takes none */
    const char *help;  /* NULL: not listed in the help */
};

struct given_flag {
    const struct flag *flag;
    const char *value; /* NULL if it takes none */
};

struct args {
    struct given_flag *flags;
    size_t flag_count;
    const char **words; /* the first is the command */
    size_t word_count;
};

/* Reads argv[1] and on against two tables: those of every command, and those of this one. False
 * with one sentence in `error` for a flag that is unknown or lacks its value. All strings are
 * borrowed. Fini afterwards, in both cases. */
bool args_parse(int argc, char *const argv[], const struct flag *common, const struct flag *own,
                struct args *out, char error[ARGS_ERROR_BYTES]);
void args_fini(struct args *args);

/* The first word of a command line, skipping the common flags; NULL if there is none. */
const char *args_first_word(int argc, char *const argv[], const struct flag *common);

bool args_has(const struct args *args, const char *name);
/* The value of the last of these flags, or NULL. */
const char *args_value(const struct args *args, const char *name);

#endif
