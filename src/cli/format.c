/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/format.h"

#include <stdint.h>
#include <stdio.h>

#define SECONDS_MAX 3.0e9 /* a century: what a broken clock says is not worth more */

static struct format scaled(double value, const char *suffix) {
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P"};
    struct format out;
    unsigned index = 0;
    value = value > 0 ? value : 0; /* a NaN becomes 0 too */
    while (value >= 999.5 && index < 5) {
        value /= 1000;
        index++;
    }
    (void)snprintf(out.text, sizeof(out.text), "%.*f %s%s", index > 0 && value < 9.95 ? 1 : 0,
                   value < 1e9 ? value : 1e9, prefixes[index], suffix);
    return out;
}

struct format format_bytes(double bytes) {
    return scaled(bytes, "B");
}

struct format format_rate(double bytes_per_s) {
    return scaled(bytes_per_s, "B/s");
}

struct format format_ms(double ms) {
    struct format out;
    ms = ms > 0 ? ms : 0;
    if (ms >= 999.5) {
        (void)snprintf(out.text, sizeof(out.text), "%.1f s", ms < 1e12 ? ms / 1000 : 1e9);
    } else {
        int decimals = ms < 0.995 ? 2 : ms < 99.5 ? 1 : 0;
        (void)snprintf(out.text, sizeof(out.text), "%.*f ms", decimals, ms);
    }
    return out;
}

struct format format_duration(double seconds) {
    static const struct {
        uint64_t size;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    struct format out;
    double bounded = seconds > 0 ? seconds : 0;
    uint64_t rest = (uint64_t)(bounded < SECONDS_MAX ? bounded : SECONDS_MAX);
    unsigned index = 0;
    while (index < 3 && rest < units[index].size) {
        index++;
    }
    uint64_t first = rest / units[index].size;
    uint64_t second = index < 3 ? rest % units[index].size / units[index + 1].size : 0;
    if (second == 0) {
        (void)snprintf(out.text, sizeof(out.text), "%u %s", (unsigned)first, units[index].name);
    } else {
        (void)snprintf(out.text, sizeof(out.text), "%u %s %u %s", (unsigned)first,
                       units[index].name, (unsigned)second, units[index + 1].name);
    }
    return out;
}
