/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define ESCAPED_BYTES_MAX 11 /* \u{10ffff} and a NUL */

void *text_keep(void *memory) {
    if (memory == NULL) {
        (void)fputs("weft: out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

/* Reads one UTF-8 character of the NUL-terminated text: its length, or 0 if it is not one. */
static size_t character_at(const unsigned char *text, uint32_t *out) {
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = text[0] < 0x80             ? 1
                 : (text[0] & 0xe0) == 0xc0 ? 2
                 : (text[0] & 0xf0) == 0xe0 ? 3
                 : (text[0] & 0xf8) == 0xf0 ? 4
                                            : 0;
    if (len <= 1) {
        *out = text[0];
        return len;
    }
    uint32_t value = text[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (text[i] & 0x3fu);
    }
    *out = value;
    bool is_valid = value >= smallest[len] && value <= 0x10ffff && (value & 0x1ff800) != 0xd800;
    return is_valid ? len : 0;
}

/* Controls, and what is invisible or changes the direction of its neighbours. */
static bool is_shown(uint32_t value) {
    return value >= 0x20 && !(value >= 0x7f && value <= 0xa0) && value != 0xad && value != 0x61c &&
           !(value >= 0x200b && value <= 0x200f) && !(value >= 0x2028 && value <= 0x202e) &&
           !(value >= 0x2060 && value <= 0x206f) && value != 0xfeff &&
           !(value >= 0xfff0 && value <= 0xfffb) && value < 0xe0000;
}

static size_t clean_one(const unsigned char *from, char *to, size_t *taken) {
    uint32_t value = 0;
    size_t len = character_at(from, &value);
    *taken = len > 0 ? len : 1;
    if (len > 0 && is_shown(value)) {
        memcpy(to, from, len);
        return len;
    }
    int written = len > 1 ? snprintf(to, ESCAPED_BYTES_MAX, "\\u{%x}", (unsigned)value)
                          : snprintf(to, ESCAPED_BYTES_MAX, "\\x%02x", (unsigned)from[0]);
    return (size_t)written;
}

char *text_clean(const char *text) {
    ASSERT(text != NULL);
    const unsigned char *from = (const unsigned char *)text;
    /* A byte becomes four at most; a character of two or more bytes ten. */
    char *clean = text_keep(malloc((strlen(text) * 5) + ESCAPED_BYTES_MAX));
    char *to = clean;
    while (*from != '\0') {
        size_t taken = 0;
        to += clean_one(from, to, &taken);
        from += taken;
    }
    *to = '\0';
    return clean;
}

size_t text_width(const char *clean) {
    size_t width = 0;
    for (; *clean != '\0'; clean++) {
        width += ((unsigned char)*clean & 0xc0) != 0x80 ? 1 : 0;
    }
    return width;
}

void text_line(FILE *out, const char *format, ...) {
    char line[TEXT_LINE_BYTES];
    va_list list;
    va_start(list, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): false when it is given several files */
    (void)vsnprintf(line, sizeof(line), format, list);
    va_end(list);
    char *clean = text_clean(line);
    (void)fprintf(out, "%s\n", clean);
    free(clean);
}

static const char *code_of(enum text_style style) {
    switch (style) {
    case STYLE_PLAIN:
        return "";
    case STYLE_BOLD:
        return "\033[1m";
    case STYLE_GOOD:
        return "\033[32m";
    case STYLE_WARN:
        return "\033[33m";
    case STYLE_BAD:
        return "\033[31m";
    case STYLE_DIM:
        return "\033[2m";
    }
    return "";
}

void text_styled(FILE *out, bool has_colour, enum text_style style, const char *clean) {
    bool is_coloured = has_colour && style != STYLE_PLAIN;
    (void)fprintf(out, "%s%s%s", is_coloured ? code_of(style) : "", clean,
                  is_coloured ? "\033[0m" : "");
}

/* Bytes of the first `columns` characters. */
static size_t bytes_of_columns(const char *clean, size_t columns) {
    size_t len = 0;
    for (size_t width = 0; clean[len] != '\0'; len++) {
        width += ((unsigned char)clean[len] & 0xc0) != 0x80 ? 1 : 0;
        if (width > columns) {
            break;
        }
    }
    return len;
}

/* Bytes of the first line: up to the last space that fits, or hard at the edge. */
static size_t break_at(const char *clean, size_t columns) {
    size_t len = bytes_of_columns(clean, columns);
    if (clean[len] == '\0') {
        return len;
    }
    size_t space = len;
    while (space > 0 && clean[space] != ' ') {
        space--;
    }
    return space > 0 ? space : len;
}

size_t text_wrapped(FILE *out, size_t indent, size_t columns, size_t lines_max, const char *text) {
    ASSERT(columns > indent + 8);
    char *clean = text_clean(text);
    const char *at = clean;
    size_t lines = 0;
    while (lines < lines_max && (*at != '\0' || lines == 0)) {
        size_t room = columns - indent;
        bool is_last = lines + 1 == lines_max && text_width(at) > room;
        size_t len = is_last ? bytes_of_columns(at, room - 3) : break_at(at, room);
        (void)fprintf(out, "%*s%.*s%s\n", (int)indent, "", (int)len, at, is_last ? "..." : "");
        at += len;
        at += strspn(at, " ");
        indent += lines == 0 ? 2 : 0;
        lines++;
    }
    free(clean);
    return lines;
}
