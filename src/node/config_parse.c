/* SPDX-License-Identifier: Apache-2.0
 *
 * Pure functions from text to values.
 */
#include "node/config_parse.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "wire/record.h"

bool config_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out) {
    ASSERT(text != NULL && min <= max);
    uint64_t value = 0;
    if (text[0] == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (*text < '0' || *text > '9' || value > (max - digit) / 10 || digit > max) {
            return false;
        }
        value = value * 10 + digit;
    }
    if (value < min) {
        return false;
    }
    *out = value;
    return true;
}

struct duration_unit {
    const char *name;
    weft_ns ns;
};

static weft_ns unit_of(const char *name) {
    static const struct duration_unit units[] = {
        {"ms", NS_PER_MS}, {"s", NS_PER_S}, {"m", 60 * NS_PER_S}, {"h", 3600 * NS_PER_S}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(name, units[i].name) == 0) {
            return units[i].ns;
        }
    }
    return 0;
}

/* The value of "1.5" in thousandths, and where the unit begins. Fails on no digits, more than 9
 * before the point (so that thousandths fit) or more than 3 after it. */
static bool parse_thousandths(const char **text, uint64_t *out) {
    size_t whole = strspn(*text, "0123456789");
    uint64_t value = 0;
    if (whole == 0 || whole > 9) {
        return false;
    }
    for (size_t i = 0; i < whole; i++) {
        value = value * 10 + (uint64_t)((*text)[i] - '0');
    }
    *text += whole;
    size_t decimals = 0;
    if (**text == '.') {
        (*text)++;
        decimals = strspn(*text, "0123456789");
        if (decimals == 0 || decimals > 3) {
            return false;
        }
    }
    for (size_t i = 0; i < 3; i++) {
        value = value * 10 + (i < decimals ? (uint64_t)((*text)[i] - '0') : 0);
    }
    *text += decimals;
    *out = value;
    return true;
}

bool config_parse_duration(const char *text, weft_ns *out) {
    ASSERT(text != NULL);
    if (strcmp(text, "fast") == 0) {
        *out = 200 * NS_PER_MS;
        return true;
    }
    uint64_t thousandths = 0;
    if (!parse_thousandths(&text, &thousandths)) {
        return false;
    }
    weft_ns unit = unit_of(text);
    if (unit == 0 || thousandths > UINT64_MAX / (unit / 1000)) {
        return false;
    }
    *out = thousandths * (unit / 1000);
    return true;
}

bool config_parse_switch(const char *text, bool *out) {
    bool is_on = strcmp(text, "on") == 0 || strcmp(text, "true") == 0 || strcmp(text, "yes") == 0;
    bool is_off = strcmp(text, "off") == 0 || strcmp(text, "false") == 0 || strcmp(text, "no") == 0;
    if (is_on || is_off) {
        *out = is_on;
    }
    return is_on || is_off;
}

/* Takes the host off the front: within brackets, or up to a single colon. */
static bool split_host(const char *text, struct span *host, const char **rest) {
    if (text[0] == '[') {
        const char *end = strchr(text, ']');
        if (end == NULL || end == text + 1) {
            return false;
        }
        *host = span_of(text + 1, (size_t)(end - text - 1));
        *rest = end + 1;
        return true;
    }
    size_t len = strcspn(text, ":");
    *host = span_of(text, len);
    *rest = text + len;
    return true;
}

/* A host is letters, digits and what names, IPv4, IPv6 and zones are made of. */
static bool is_host(struct span host, bool is_bracketed) {
    for (size_t i = 0; i < host.len; i++) {
        bool is_plain = isalnum(host.data[i]) != 0 || strchr("-_.", host.data[i]) != NULL;
        bool is_v6 = is_bracketed && strchr(":%", host.data[i]) != NULL;
        if (host.data[i] == '\0' || (!is_plain && !is_v6)) {
            return false;
        }
    }
    return host.len <= 255 && (!is_bracketed || memchr(host.data, ':', host.len) != NULL);
}

/* ":PORT", or nothing when there is a default. */
static bool parse_port(const char *rest, uint64_t min, uint16_t default_port, uint16_t *out) {
    uint64_t port = default_port;
    if (rest[0] == '\0') {
        *out = default_port;
        return default_port != 0;
    }
    if (rest[0] != ':' || !config_parse_number(rest + 1, min, 65535, &port)) {
        return false;
    }
    *out = (uint16_t)port;
    return true;
}

static bool parse_address(const char *text, uint64_t port_min, uint16_t default_port,
                          struct config_address *out) {
    struct config_address address = {.port = 0};
    struct span host;
    const char *rest = NULL;
    if (!split_host(text, &host, &rest) || !is_host(host, text[0] == '[') ||
        !parse_port(rest, port_min, default_port, &address.port)) {
        return false;
    }
    memcpy(address.host, host.data, host.len);
    *out = address;
    return true;
}

bool config_parse_endpoint(const char *text, uint16_t default_port, struct config_address *out) {
    ASSERT(text != NULL);
    struct config_address address;
    if (!parse_address(text, 1, default_port, &address) || address.host[0] == '\0') {
        return false;
    }
    *out = address;
    return true;
}

bool config_parse_listen(const char *text, const char *default_host, struct config_address *out) {
    ASSERT(text != NULL && strlen(default_host) < sizeof out->host);
    struct config_address address = {.port = 0};
    uint64_t port = 0;
    if (config_parse_number(text, 0, 65535, &port)) {
        address.port = (uint16_t)port;
    } else if (!parse_address(text, 0, 0, &address)) {
        return false;
    }
    if (address.host[0] == '\0') {
        memcpy(address.host, default_host, strlen(default_host));
    }
    *out = address;
    return true;
}

void config_format_address(const struct config_address *address, char out[WEFT_ENDPOINT_MAX + 1]) {
    bool is_v6 = strchr(address->host, ':') != NULL;
    (void)snprintf(out, WEFT_ENDPOINT_MAX + 1, is_v6 ? "[%s]:%u" : "%s:%u", address->host,
                   (unsigned)address->port);
}

bool config_parse_seed(const char *text, struct config_seed *out) {
    ASSERT(text != NULL);
    struct config_seed seed = {.is_peer_known = false};
    struct config_address address;
    const char *at = strchr(text, '@');
    if (at != NULL) {
        char id[WEFT_PEER_ID_TEXT];
        if (!span_to_text(span_of(text, (size_t)(at - text)), id, sizeof id) ||
            weft_peer_id_parse(id, &seed.peer) != WEFT_OK) {
            return false;
        }
        seed.is_peer_known = true;
        text = at + 1;
    }
    if (!config_parse_endpoint(text, WEFT_DEFAULT_PORT, &address)) {
        return false;
    }
    config_format_address(&address, seed.endpoint);
    *out = seed;
    return true;
}

/* How much of "[NAMESPACE/]NAME[/PROTOCOL]" is names. The last of several parts that is a protocol
 * is one. */
static size_t name_len(const char *text, uint8_t *protocol) {
    const char *last = strrchr(text, '/');
    bool is_udp = last != NULL && strcmp(last, "/udp") == 0;
    bool is_tcp = last != NULL && strcmp(last, "/tcp") == 0;
    *protocol = is_udp ? WIRE_PROTOCOL_UDP : WIRE_PROTOCOL_TCP;
    return is_udp || is_tcp ? (size_t)(last - text) : strlen(text);
}

bool config_parse_service_name(const char *text, char name_space[WEFT_NAME_MAX + 1],
                               char name[WEFT_NAME_MAX + 1], uint8_t *protocol) {
    struct span first = span_of_text(CONFIG_DEFAULT_NAMESPACE);
    struct span second = span_of(text, name_len(text, protocol));
    const uint8_t *slash = second.len == 0 ? NULL : memchr(second.data, '/', second.len);
    if (slash != NULL) {
        first = span_of(text, (size_t)(slash - second.data));
        second = span_of(slash + 1, second.len - first.len - 1);
    }
    if (!wire_name_is_valid(first) || !wire_name_is_valid(second)) {
        return false;
    }
    return span_to_text(first, name_space, WEFT_NAME_MAX + 1) &&
           span_to_text(second, name, WEFT_NAME_MAX + 1);
}

void config_name_from(const char *text, char out[WEFT_NAME_MAX + 1]) {
    size_t len = 0;
    for (; *text != '\0' && len < WEFT_NAME_MAX; text++) {
        bool is_plain = isalnum((unsigned char)*text) != 0 && (unsigned char)*text < 128;
        bool is_inner = len > 0 && strchr("-_.", *text) != NULL;
        if (is_plain || is_inner) {
            out[len++] = *text;
        } else if (len > 0) {
            out[len++] = '-';
        }
    }
    if (len == 0) {
        (void)snprintf(out, WEFT_NAME_MAX + 1, "node");
        return;
    }
    out[len] = '\0';
}

#define SUGGEST_LEN_MAX 32

/* Levenshtein's distance, one row at a time; texts of at most SUGGEST_LEN_MAX. */
static size_t distance_of(const char *a, const char *b) {
    size_t row[SUGGEST_LEN_MAX + 1];
    size_t b_len = strlen(b);
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            size_t shorter = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = changed < shorter ? changed : shorter;
        }
    }
    return row[b_len];
}

const char *config_suggest(const char *text, const char *const *candidates, size_t count) {
    const char *best = NULL;
    size_t best_distance = strlen(text) / 3 + 1; /* one slip in three characters, one at least */
    if (strlen(text) > SUGGEST_LEN_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (strlen(candidates[i]) > SUGGEST_LEN_MAX) {
            continue;
        }
        size_t distance = distance_of(text, candidates[i]);
        if (distance <= best_distance && (best == NULL || distance < best_distance)) {
            best = candidates[i];
            best_distance = distance;
        }
    }
    return best;
}
