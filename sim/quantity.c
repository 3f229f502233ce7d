/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/quantity.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "sim/scenario.h"

/* Digits on either side of the point that still fit 64 bits together. */
#define WHOLE_DIGITS_MAX 13
#define FRACTION_DIGITS_MAX 6
#define FRACTION_ONE 1000000U /* 10^FRACTION_DIGITS_MAX */
/* Keeps sums of a few quantities, and their signed forms, far from wrapping. */
#define QUANTITY_MAX (UINT64_C(1) << 62)
#define NUMBER_TEXT_MAX 48

struct unit {
    const char *name;
    uint64_t factor;
    uint64_t divisor; /* bits to bytes */
};

static const struct unit TIME_UNITS[] = {
    {"ns", 1, 1},
    {"us", 1000, 1},
    {"ms", 1000000, 1},
    {"s", UINT64_C(1000000000), 1},
    {"min", UINT64_C(60000000000), 1},
    {"h", UINT64_C(3600000000000), 1},
    {"d", UINT64_C(86400000000000), 1},
    {NULL, 0, 0},
};

static const struct unit BYTE_UNITS[] = {
    {"", 1, 1},
    {"B", 1, 1},
    {"KB", 1000, 1},
    {"MB", 1000000, 1},
    {"GB", 1000000000, 1},
    {"KiB", 1024, 1},
    {"MiB", 1048576, 1},
    {"GiB", 1073741824, 1},
    {NULL, 0, 0},
};

static const struct unit RATE_UNITS[] = {
    {"bit", 1, 8},      {"Kbit", 1000, 8},     {"Mbit", 1000000, 8},     {"Gbit", 1000000000, 8},
    {"B/s", 1, 1},      {"KB/s", 1000, 1},     {"MB/s", 1000000, 1},     {"GB/s", 1000000000, 1},
    {"KiB/s", 1024, 1}, {"MiB/s", 1048576, 1}, {"GiB/s", 1073741824, 1}, {NULL, 0, 0},
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Reads up to `max` digits; returns how many there were, or max + 1 for more. */
static size_t read_digits(const char **text, size_t max, uint64_t *out) {
    size_t count = 0;
    while (is_digit((*text)[0]) && count <= max) {
        *out = *out * 10 + (uint64_t)((*text)[0] - '0');
        (*text)++;
        count++;
    }
    return count;
}

/* Reads "12" or "12.5" as millionths and moves behind it. */
static bool read_number(const char **text, uint64_t *out) {
    const char *at = *text;
    uint64_t whole = 0;
    uint64_t fraction = 0;
    size_t digits = read_digits(&at, WHOLE_DIGITS_MAX, &whole);
    if (digits == 0 || digits > WHOLE_DIGITS_MAX) {
        return false;
    }
    if (at[0] == '.' && is_digit(at[1])) {
        at++;
        digits = read_digits(&at, FRACTION_DIGITS_MAX, &fraction);
        if (digits > FRACTION_DIGITS_MAX) {
            return false;
        }
        for (; digits < FRACTION_DIGITS_MAX; digits++) {
            fraction *= 10;
        }
    }
    *out = whole * FRACTION_ONE + fraction;
    *text = at;
    return true;
}

static const struct unit *unit_named(const struct unit *units, const char *name) {
    for (; units->name != NULL; units++) {
        if (strcmp(units->name, name) == 0) {
            return units;
        }
    }
    return NULL;
}

/* millionths * factor / divisor, if that is whole and not too large. */
static bool scale(uint64_t millionths, const struct unit *unit, uint64_t *out) {
    uint64_t whole = millionths / FRACTION_ONE;
    uint64_t fraction = (millionths % FRACTION_ONE) * unit->factor;
    if (whole > QUANTITY_MAX / unit->factor) {
        return false;
    }
    uint64_t scaled = whole * unit->factor + fraction / FRACTION_ONE;
    bool is_whole = fraction % FRACTION_ONE == 0 && scaled % unit->divisor == 0;
    if (!is_whole || scaled / unit->divisor > QUANTITY_MAX) {
        return false;
    }
    *out = scaled / unit->divisor;
    return true;
}

static bool read_quantity(const char *text, const struct unit *units, uint64_t *out) {
    uint64_t millionths = 0;
    ASSERT(text != NULL && out != NULL);
    if (!read_number(&text, &millionths)) {
        return false;
    }
    const struct unit *unit = unit_named(units, text);
    return unit != NULL && scale(millionths, unit, out);
}

bool quantity_count(const char *text, uint64_t max, uint64_t *out) {
    uint64_t count = 0;
    size_t digits = read_digits(&text, WHOLE_DIGITS_MAX, &count);
    if (digits == 0 || text[0] != '\0' || count > max) {
        return false;
    }
    *out = count;
    return true;
}

bool quantity_time(const char *text, uint64_t *out) {
    if (strcmp(text, "0") == 0) {
        *out = 0;
        return true;
    }
    return read_quantity(text, TIME_UNITS, out);
}

bool quantity_bytes(const char *text, uint64_t *out) {
    return read_quantity(text, BYTE_UNITS, out);
}

bool quantity_rate(const char *text, uint64_t *out) {
    return read_quantity(text, RATE_UNITS, out);
}

bool quantity_share(const char *text, uint32_t *out) {
    uint64_t millionths = 0;
    if (!read_number(&text, &millionths)) {
        return false;
    }
    if (strcmp(text, "%") == 0) {
        if (millionths % 100 != 0) {
            return false;
        }
        millionths /= 100;
    } else if (text[0] != '\0') {
        return false;
    }
    if (millionths > FRACTION_ONE) {
        return false;
    }
    *out = (uint32_t)millionths;
    return true;
}

bool quantity_millionths(const char *text, uint64_t *out) {
    uint64_t millionths = 0;
    if (!read_number(&text, &millionths) || text[0] != '\0' ||
        millionths > UINT64_C(1000000000000) * FRACTION_ONE) {
        return false;
    }
    *out = millionths;
    return true;
}

typedef bool read_end(const char *text, uint64_t *out);

/* Reads both ends of "A..B"; `low` may borrow the unit of `high`. */
static bool read_ends(const char *low, const char *high, read_end *read, struct range *out) {
    char borrowed[2 * NUMBER_TEXT_MAX];
    uint64_t number = 0;
    struct range range;
    const char *unit = high;
    if (!read_number(&unit, &number) || !read(high, &range.high)) {
        return false;
    }
    bool is_bare = low[0] != '\0' && strspn(low, "0123456789.") == strlen(low);
    (void)snprintf(borrowed, sizeof borrowed, "%s%s", low, is_bare ? unit : "");
    if (!read(borrowed, &range.low) || range.low > range.high) {
        return false;
    }
    *out = range;
    return true;
}

static bool read_range(const char *text, read_end *read, struct range *out) {
    char low[NUMBER_TEXT_MAX];
    uint64_t value = 0;
    const char *dots = strstr(text, "..");
    if (strlen(text) >= sizeof low) {
        return false;
    }
    if (dots != NULL) {
        (void)snprintf(low, sizeof low, "%.*s", (int)(dots - text), text);
        return read_ends(low, dots + 2, read, out);
    }
    if (!read(text, &value)) {
        return false;
    }
    *out = (struct range){.low = value, .high = value};
    return true;
}

bool quantity_time_range(const char *text, struct range *out) {
    return read_range(text, quantity_time, out);
}

bool quantity_bytes_range(const char *text, struct range *out) {
    return read_range(text, quantity_bytes, out);
}
