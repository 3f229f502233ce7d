/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/flags.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/must.h"

static const struct flag *find(const struct flag *table, const char *text, size_t len) {
    for (; table->name != NULL; table++) {
        if (strlen(table->name) == len && strncmp(table->name, text, len) == 0) {
            return table;
        }
    }
    return NULL;
}

/* Reads the flag at *index and, from the same or the next argument, its value. */
static bool parse_flag(int argc, char *const argv[], int *index, const struct flag *table,
                       struct given_flag *out, char error[FLAGS_ERROR_BYTES]) {
    const char *text = argv[*index];
    size_t len = strcspn(text, "=");
    const struct flag *flag = find(table, text, len);
    const char *value = text[len] == '=' ? text + len + 1 : NULL;
    if (flag == NULL) {
        (void)snprintf(error, FLAGS_ERROR_BYTES, "unknown flag %.*s", (int)(len < 64 ? len : 64),
                       text);
        return false;
    }
    if (flag->value == NULL && value != NULL) {
        (void)snprintf(error, FLAGS_ERROR_BYTES, "%s takes no value", flag->name);
        return false;
    }
    if (flag->value != NULL && value == NULL && *index + 1 < argc) {
        ++*index;
        value = argv[*index];
    }
    if (flag->value != NULL && value == NULL) {
        (void)snprintf(error, FLAGS_ERROR_BYTES, "%s needs a value: %s", flag->name, flag->value);
        return false;
    }
    *out = (struct given_flag){flag, value};
    return true;
}

bool flags_parse(int argc, char *const argv[], const struct flag *table, struct flags *out,
                 char error[FLAGS_ERROR_BYTES]) {
    ASSERT(argc >= 0 && table != NULL);
    bool is_good = true;
    bool has_flags = true;
    out->given = must(calloc((size_t)argc + 1, sizeof(out->given[0])));
    out->words = must(calloc((size_t)argc + 1, sizeof(out->words[0])));
    out->given_count = 0;
    out->word_count = 0;
    for (int i = 0; is_good && i < argc; i++) {
        if (has_flags && strcmp(argv[i], "--") == 0) {
            has_flags = false;
        } else if (has_flags && argv[i][0] == '-') {
            is_good = parse_flag(argc, argv, &i, table, &out->given[out->given_count], error);
            out->given_count++;
        } else {
            out->words[out->word_count] = argv[i];
            out->word_count++;
        }
    }
    return is_good;
}

void flags_fini(struct flags *flags) {
    free(flags->given);
    free(flags->words);
    *flags = (struct flags){0};
}

bool flags_have(const struct flags *flags, const char *name) {
    for (size_t i = 0; i < flags->given_count; i++) {
        if (strcmp(flags->given[i].flag->name, name) == 0) {
            return true;
        }
    }
    return false;
}

const char *flags_value(const struct flags *flags, const char *name) {
    const char *value = NULL;
    for (size_t i = 0; i < flags->given_count; i++) {
        if (strcmp(flags->given[i].flag->name, name) == 0) {
            value = flags->given[i].value;
        }
    }
    return value;
}

/* Reads digits up to `end`, which must follow them. */
static bool number_until(const char *text, const char *end, uint64_t *out) {
    char *stop = NULL;
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    unsigned long long value = strtoull(text, &stop, 10);
    if (errno != 0 || stop != end) {
        return false;
    }
    *out = value;
    return true;
}

bool flags_number(const char *text, uint64_t *out) {
    return number_until(text, text + strlen(text), out);
}

bool flags_range(const char *text, uint64_t *low, uint64_t *high) {
    uint64_t first = 0;
    uint64_t last = 0;
    const char *dots = strstr(text, "..");
    bool is_good = dots != NULL ? number_until(text, dots, &first) && flags_number(dots + 2, &last)
                                : flags_number(text, &first);
    last = dots != NULL ? last : first;
    if (!is_good || first > last) {
        return false;
    }
    *low = first;
    *high = last;
    return true;
}
