/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cli/suggest.h"
#include "cli/text.h"

struct parse {
    const struct flag *common;
    const struct flag *own;
    int argc;
    char *const *argv;
    int index; /* of the argument that is being read */
    char *error;
};

static bool is_flag(const struct flag *flag, const char *text, size_t len) {
    if (len == 2 && flag->letter != 0) {
        return text[1] == flag->letter;
    }
    return strlen(flag->name) == len && strncmp(flag->name, text, len) == 0;
}

static const struct flag *find_in(const struct flag *table, const char *text, size_t len) {
    for (; table != NULL && table->name != NULL; table++) {
        if (is_flag(table, text, len)) {
            return table;
        }
    }
    return NULL;
}

static void offer_all(struct suggest *suggest, const struct flag *table) {
    for (; table != NULL && table->name != NULL; table++) {
        suggest_offer(suggest, table->name);
    }
}

static void say_unknown(const struct parse *parse, const char *text, size_t len) {
    char name[64];
    (void)snprintf(name, sizeof(name), "%.*s", (int)(len < 63 ? len : 63), text);
    struct suggest suggest = suggest_of(name);
    offer_all(&suggest, parse->own);
    offer_all(&suggest, parse->common);
    (void)snprintf(parse->error, ARGS_ERROR_BYTES, "unknown flag %s%s%s%s", name,
                   suggest.best != NULL ? "; did you mean " : "",
                   suggest.best != NULL ? suggest.best : "", suggest.best != NULL ? "?" : "");
}

/* Reads one flag and, from the same or the next argument, its value. */
static bool parse_flag(struct parse *parse, struct args *out) {
    const char *text = parse->argv[parse->index];
    size_t len = strcspn(text, "=");
    const struct flag *flag = find_in(parse->own, text, len);
    flag = flag != NULL ? flag : find_in(parse->common, text, len);
    if (flag == NULL) {
        say_unknown(parse, text, len);
        return false;
    }
    const char *value = text[len] == '=' ? text + len + 1 : NULL;
    if (flag->value == NULL && value != NULL) {
        (void)snprintf(parse->error, ARGS_ERROR_BYTES, "%s takes no value", flag->name);
        return false;
    }
    if (flag->value != NULL && value == NULL && parse->index + 1 < parse->argc) {
        parse->index++;
        value = parse->argv[parse->index];
    }
    if (flag->value != NULL && value == NULL) {
        (void)snprintf(parse->error, ARGS_ERROR_BYTES, "%s needs a value: %s", flag->name,
                       flag->value);
        return false;
    }
    out->flags[out->flag_count] = (struct given_flag){flag, value};
    out->flag_count++;
    return true;
}

/* A lone dash is a word: standard input. */
static bool is_word(const char *text) {
    return text[0] != '-' || text[1] == '\0';
}

bool args_parse(int argc, char *const argv[], const struct flag *common, const struct flag *own,
                struct args *out, char error[ARGS_ERROR_BYTES]) {
    ASSERT(argc >= 0 && common != NULL);
    struct parse parse = {common, own, argc, argv, 1, error};
    size_t count = (size_t)argc + 1;
    bool has_flags = true;
    bool is_good = true;
    out->flags = text_keep(calloc(count, sizeof(out->flags[0])));
    out->words = text_keep(calloc(count, sizeof(out->words[0])));
    out->flag_count = 0;
    out->word_count = 0;
    for (; is_good && parse.index < argc; parse.index++) {
        const char *text = argv[parse.index];
        if (has_flags && strcmp(text, "--") == 0) {
            has_flags = false;
        } else if (!has_flags || is_word(text)) {
            out->words[out->word_count] = text;
            out->word_count++;
        } else {
            is_good = parse_flag(&parse, out);
        }
    }
    return is_good;
}

void args_fini(struct args *args) {
    free(args->flags);
    free(args->words);
    *args = (struct args){0};
}

const char *args_first_word(int argc, char *const argv[], const struct flag *common) {
    for (int i = 1; i < argc; i++) {
        if (is_word(argv[i])) {
            return argv[i];
        }
        size_t len = strcspn(argv[i], "=");
        const struct flag *flag = find_in(common, argv[i], len);
        i += flag != NULL && flag->value != NULL && argv[i][len] != '=' ? 1 : 0;
    }
    return NULL;
}

bool args_has(const struct args *args, const char *name) {
    for (size_t i = 0; i < args->flag_count; i++) {
        if (strcmp(args->flags[i].flag->name, name) == 0) {
            return true;
        }
    }
    return false;
}

const char *args_value(const struct args *args, const char *name) {
    const char *value = NULL;
    for (size_t i = 0; i < args->flag_count; i++) {
        if (strcmp(args->flags[i].flag->name, name) == 0) {
            value = args->flags[i].value;
        }
    }
    return value;
}
