/* SPDX-License-Identifier: Apache-2.0
 *
 * THE pattern table, written as the specification prints it, and the compiler from a name to token
 * lists. Adding a pattern is adding a row.
 */
#include "noise/pattern.h"

#include <string.h>

#include "base/check.h"
#include "noise/handshake.h"

/* Which static keys are known before the first message. */
enum known {
    KNOWN_NONE = 0,
    KNOWN_INITIATOR = 1, /* -> s */
    KNOWN_RESPONDER = 2, /* <- s */
    KNOWN_BOTH = 3,
};

struct row {
    const char *name;
    enum known known;
    const char *messages; /* separated by '/', tokens by one space */
};

static const struct row ROWS[] = {
    /* one-way, section 7.4 */
    {"N", KNOWN_RESPONDER, "e es"},
    {"K", KNOWN_BOTH, "e es ss"},
    {"X", KNOWN_RESPONDER, "e es s ss"},
    /* interactive, section 7.5 */
    {"NN", KNOWN_NONE, "e / e ee"},
    {"NK", KNOWN_RESPONDER, "e es / e ee"},
    {"NX", KNOWN_NONE, "e / e ee s es"},
    {"XN", KNOWN_NONE, "e / e ee / s se"},
    {"XK", KNOWN_RESPONDER, "e es / e ee / s se"},
    {"XX", KNOWN_NONE, "e / e ee s es / s se"},
    {"KN", KNOWN_INITIATOR, "e / e ee se"},
    {"KK", KNOWN_BOTH, "e es ss / e ee se"},
    {"KX", KNOWN_INITIATOR, "e / e ee se s es"},
    {"IN", KNOWN_NONE, "e s / e ee se"},
    {"IK", KNOWN_RESPONDER, "e es s ss / e ee se"},
    {"IX", KNOWN_NONE, "e s / e ee se s es"},
    /* deferred, section 18.1 */
    {"NK1", KNOWN_RESPONDER, "e / e ee es"},
    {"NX1", KNOWN_NONE, "e / e ee s / es"},
    {"X1N", KNOWN_NONE, "e / e ee / s / se"},
    {"X1K", KNOWN_RESPONDER, "e es / e ee / s / se"},
    {"XK1", KNOWN_RESPONDER, "e / e ee es / s se"},
    {"X1K1", KNOWN_RESPONDER, "e / e ee es / s / se"},
    {"X1X", KNOWN_NONE, "e / e ee s es / s / se"},
    {"XX1", KNOWN_NONE, "e / e ee s / es s se"},
    {"X1X1", KNOWN_NONE, "e / e ee s / es s / se"},
    {"K1N", KNOWN_INITIATOR, "e / e ee / se"},
    {"K1K", KNOWN_BOTH, "e es / e ee / se"},
    {"KK1", KNOWN_BOTH, "e / e ee se es"},
    {"K1K1", KNOWN_BOTH, "e / e ee es / se"},
    {"K1X", KNOWN_INITIATOR, "e / e ee s es / se"},
    {"KX1", KNOWN_INITIATOR, "e / e ee se s / es"},
    {"K1X1", KNOWN_INITIATOR, "e / e ee s / se es"},
    {"I1N", KNOWN_NONE, "e s / e ee / se"},
    {"I1K", KNOWN_RESPONDER, "e es s / e ee / se"},
    {"IK1", KNOWN_RESPONDER, "e s / e ee se es"},
    {"I1K1", KNOWN_RESPONDER, "e s / e ee es / se"},
    {"I1X", KNOWN_NONE, "e s / e ee s es / se"},
    {"IX1", KNOWN_NONE, "e s / e ee se s / es"},
    {"I1X1", KNOWN_NONE, "e s / e ee s / se es"},
};

static const struct {
    const char *word;
    enum noise_token token;
} WORDS[] = {
    {"e", TOKEN_E},   {"s", TOKEN_S},   {"ee", TOKEN_EE},
    {"es", TOKEN_ES}, {"se", TOKEN_SE}, {"ss", TOKEN_SS},
};

static const struct row *find_row(const char *name, size_t len) {
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        if (strlen(ROWS[i].name) == len && memcmp(ROWS[i].name, name, len) == 0) {
            return &ROWS[i];
        }
    }
    return NULL;
}

/* TOKEN_END for the slash between two messages: the only word not in WORDS. */
static enum noise_token token_of(const char *word, size_t len) {
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        if (strlen(WORDS[i].word) == len && memcmp(WORDS[i].word, word, len) == 0) {
            return WORDS[i].token;
        }
    }
    return TOKEN_END;
}

static size_t token_count(const enum noise_token *message) {
    size_t count = 0;
    while (message[count] != TOKEN_END) {
        count++;
    }
    return count;
}

static void append_token(enum noise_token *message, enum noise_token token) {
    size_t count = token_count(message);
    ASSERT(count + 1 < PATTERN_TOKENS_MAX);
    message[count] = token;
}

static void prepend_token(enum noise_token *message, enum noise_token token) {
    size_t count = token_count(message);
    ASSERT(count + 1 < PATTERN_TOKENS_MAX);
    memmove(message + 1, message, count * sizeof(message[0]));
    message[0] = token;
}

static void compile_row(const struct row *row, struct noise_pattern *out) {
    const char *word = row->messages;
    size_t index = 0;
    while (*word != '\0') {
        size_t len = strcspn(word, " ");
        enum noise_token token = token_of(word, len);
        if (token == TOKEN_END) {
            index++;
            ASSERT(index < PATTERN_MESSAGES_MAX);
        } else {
            append_token(out->messages[index], token);
        }
        word += len + strspn(word + len, " ");
    }
    out->message_count = index + 1;
    out->knows_initiator = row->known == KNOWN_INITIATOR || row->known == KNOWN_BOTH;
    out->knows_responder = row->known == KNOWN_RESPONDER || row->known == KNOWN_BOTH;
}

/* psk0 stands before the first message's tokens, pskN after those of message N. */
static void add_psk(struct noise_pattern *out, size_t place) {
    if (place == 0) {
        prepend_token(out->messages[0], TOKEN_PSK);
    } else {
        append_token(out->messages[place - 1], TOKEN_PSK);
    }
    out->psk_count++;
}

/* Applies "psk0+psk3"; an empty text has no modifiers. */
static enum weft_err compile_modifiers(const char *text, struct noise_pattern *out) {
    size_t least = 0; /* rising order, each once */
    while (*text != '\0') {
        if (strncmp(text, "psk", 3) != 0 || text[3] < '0' || text[3] > '9') {
            return WEFT_ERR_INVALID;
        }
        size_t place = (size_t)(text[3] - '0');
        bool is_last = text[4] == '\0';
        if (place < least || place > out->message_count || out->psk_count == NOISE_PSK_MAX) {
            return WEFT_ERR_INVALID;
        }
        if (!is_last && (text[4] != '+' || text[5] == '\0')) {
            return WEFT_ERR_INVALID;
        }
        add_psk(out, place);
        least = place + 1;
        text += is_last ? 4 : 5;
    }
    return WEFT_OK;
}

enum weft_err noise_pattern_parse(const char *name, struct noise_pattern *out) {
    ASSERT(name != NULL);
    size_t base_len = strcspn(name, "p"); /* of "psk": base names are capitals and digits */
    const struct row *row = find_row(name, base_len);
    if (row == NULL) {
        return WEFT_ERR_INVALID;
    }
    struct noise_pattern pattern = {0};
    compile_row(row, &pattern);
    enum weft_err err = compile_modifiers(name + base_len, &pattern);
    if (err != WEFT_OK) {
        return err;
    }
    *out = pattern;
    return WEFT_OK;
}

static bool has_token(const enum noise_token *message, enum noise_token token) {
    for (size_t i = 0; message[i] != TOKEN_END; i++) {
        if (message[i] == token) {
            return true;
        }
    }
    return false;
}

bool noise_pattern_needs_static(const struct noise_pattern *pattern, bool is_initiator) {
    if (is_initiator ? pattern->knows_initiator : pattern->knows_responder) {
        return true;
    }
    for (size_t i = is_initiator ? 0 : 1; i < pattern->message_count; i += 2) {
        if (has_token(pattern->messages[i], TOKEN_S)) {
            return true;
        }
    }
    return false;
}
