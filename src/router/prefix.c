/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads literal addresses by itself: inet_pton lives in a header of sockets, which this folder does
 * without.
 */
#include "router/prefix.h"

#include <string.h>

/* Longest literal: an IPv6 address with an embedded IPv4 one; a scope is cut off. */
#define LITERAL_MAX 46

/* Marks the value of an IPv6 prefix, so that it never equals one of IPv4. */
#define VALUE_V6 ((uint64_t)1 << 63)

static bool v4_is_local(const uint8_t *address) {
    return address[0] == 127 || address[0] == 10 || (address[0] == 192 && address[1] == 168) ||
           (address[0] == 172 && (address[1] & 0xf0) == 16) ||
           (address[0] == 169 && address[1] == 254) ||
           (address[0] == 100 && (address[1] & 0xc0) == 64); /* shared, RFC 6598 */
}

static struct prefix v4_prefix(const uint8_t *address) {
    if (v4_is_local(address)) {
        return (struct prefix){.kind = PREFIX_LOCAL};
    }
    uint64_t value = (uint64_t)address[0] << 16 | (uint64_t)address[1] << 8 | address[2];
    return (struct prefix){.kind = PREFIX_PUBLIC, .value = value};
}

static bool v6_is_local(const uint8_t *address) {
    static const uint8_t loopback[16] = {[15] = 1};
    return memcmp(address, loopback, sizeof loopback) == 0 || (address[0] & 0xfe) == 0xfc ||
           (address[0] == 0xfe && (address[1] & 0xc0) == 0x80);
}

static struct prefix v6_prefix(const uint8_t *address) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(address, mapped, sizeof mapped) == 0) {
        return v4_prefix(address + sizeof mapped);
    }
    if (v6_is_local(address)) {
        return (struct prefix){.kind = PREFIX_LOCAL};
    }
    uint64_t value = VALUE_V6;
    for (unsigned i = 0; i < 6; i++) {
        value |= (uint64_t)address[i] << (8 * i);
    }
    return (struct prefix){.kind = PREFIX_PUBLIC, .value = value};
}

/* The value of a digit in bases up to 16, or 16. */
static unsigned digit_of(char character) {
    if (character >= '0' && character <= '9') {
        return (unsigned)(character - '0');
    }
    if (character >= 'a' && character <= 'f') {
        return (unsigned)(character - 'a') + 10;
    }
    if (character >= 'A' && character <= 'F') {
        return (unsigned)(character - 'A') + 10;
    }
    return 16;
}

/* Reads 1 to `digits_max` digits of a base and steps past them; false if there are none. */
static bool number_read(const char **text, unsigned base, unsigned digits_max, unsigned *out) {
    unsigned count = 0;
    *out = 0;
    while (count < digits_max && digit_of(**text) < base) {
        *out = *out * base + digit_of(**text);
        (*text)++;
        count++;
    }
    return count > 0;
}

/* Reads "a.b.c.d" to the end of the text. */
static bool v4_read(const char *text, uint8_t *out) {
    for (unsigned i = 0; i < 4; i++) {
        unsigned value = 0;
        if (!number_read(&text, 10, 3, &value) || value > 255 || *text != (i < 3 ? '.' : '\0')) {
            return false;
        }
        text += i < 3 ? 1 : 0;
        out[i] = (uint8_t)value;
    }
    return true;
}

/* The groups of an IPv6 address so far, and where "::" stood among them. */
struct groups {
    uint8_t bytes[16];
    size_t count; /* bytes */
    size_t gap;   /* index of the byte where the gap is; SIZE_MAX for none */
};

/* Appends one group, or the IPv4 address that may end the text. */
static bool group_read(struct groups *groups, const char **text) {
    if (strchr(*text, '.') != NULL && strchr(*text, ':') == NULL) {
        bool is_read = groups->count <= 12 && v4_read(*text, groups->bytes + groups->count);
        groups->count += 4;
        *text += strlen(*text);
        return is_read;
    }
    unsigned value = 0;
    if (groups->count > 14 || !number_read(text, 16, 4, &value)) {
        return false;
    }
    groups->bytes[groups->count++] = (uint8_t)(value >> 8);
    groups->bytes[groups->count++] = (uint8_t)value;
    return true;
}

/* Steps past ":" or the one "::" between groups, or in front of the first. */
static bool separator_read(struct groups *groups, const char **text) {
    bool is_gap = (*text)[0] == ':' && (*text)[1] == ':';
    if (is_gap && groups->gap == SIZE_MAX) {
        groups->gap = groups->count;
        *text += 2;
        return true;
    }
    bool is_colon = !is_gap && groups->count > 0 && (*text)[0] == ':' && (*text)[1] != '\0';
    *text += is_colon ? 1 : 0;
    return is_colon || (groups->count == 0 && (*text)[0] != ':');
}

/* Moves what stood behind the gap to the end. */
static bool groups_spread(const struct groups *groups, uint8_t *out) {
    if (groups->gap == SIZE_MAX) {
        memcpy(out, groups->bytes, 16);
        return groups->count == 16;
    }
    size_t behind = groups->count - groups->gap;
    memset(out, 0, 16);
    memcpy(out, groups->bytes, groups->gap);
    memcpy(out + 16 - behind, groups->bytes + groups->gap, behind);
    return groups->count < 16;
}

static bool v6_read(const char *text, uint8_t *out) {
    struct groups groups = {.gap = SIZE_MAX};
    while (*text != '\0') {
        if (!separator_read(&groups, &text) || (*text != '\0' && !group_read(&groups, &text))) {
            return false;
        }
    }
    return groups_spread(&groups, out);
}

/* Copies text[0 .. len) and ends it; false if it is no literal's length. */
static bool literal_copy(const char *text, size_t len, char out[LITERAL_MAX + 1]) {
    if (len == 0 || len > LITERAL_MAX) {
        return false;
    }
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

struct prefix router_prefix_of(const char *endpoint) {
    struct prefix none = {.kind = PREFIX_NONE};
    char literal[LITERAL_MAX + 1];
    uint8_t address[16];
    if (endpoint[0] == '[') {
        size_t len = strcspn(endpoint + 1, "%]");
        bool is_literal = literal_copy(endpoint + 1, len, literal) && v6_read(literal, address);
        return is_literal ? v6_prefix(address) : none;
    }
    bool is_literal =
        literal_copy(endpoint, strcspn(endpoint, ":"), literal) && v4_read(literal, address);
    return is_literal ? v4_prefix(address) : none;
}
