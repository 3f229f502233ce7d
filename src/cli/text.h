/* SPDX-License-Identifier: Apache-2.0
 *
 * Text for a terminal. Names come from peers and may hold anything: nothing of theirs is ever
 * printed before it was cleaned here, so that no name can move the cursor, colour the screen, turn
 * the reading direction or fake a line of its own.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TEXT_LINE_BYTES 4096 /* a line that is formatted; longer ones are cut */

enum text_style {
    STYLE_PLAIN,
    STYLE_BOLD,
    STYLE_GOOD,
    STYLE_WARN,
    STYLE_BAD,
    STYLE_DIM,
};

/* The memory, or the end of the program: a command line has nothing better to do without any. */
void *text_keep(void *memory);

/* A copy in which control characters, invalid UTF-8, and characters that are invisible or turn the
 * direction are written as \xNN or \u{N}. The caller's to free. */
char *text_clean(const char *text);

/* How many columns cleaned text takes: its characters. */
size_t text_width(const char *clean);

/* Formats one line, cleans it and prints it with a line end. */
__attribute__((format(printf, 2, 3))) void text_line(FILE *out, const char *format, ...);

/* Prints cleaned text in a style, plain if `has_colour` is false. */
void text_styled(FILE *out, bool has_colour, enum text_style style, const char *clean);

/* Prints text after `indent` spaces, broken at spaces into lines of at most `columns`; the lines
 * after the first begin two columns further in. At most `lines_max` lines, the last of which then
 * ends in "...". Returns how many lines it took. */
size_t text_wrapped(FILE *out, size_t indent, size_t columns, size_t lines_max, const char *text);

#endif
