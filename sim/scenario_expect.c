/* SPDX-License-Identifier: Apache-2.0
 *
 * "broadcast.latency.p99 <= 300ms".
 */
#include "sim/scenario_parse.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "sim/quantity.h"

static enum weft_err fail_expect(const struct spot *spot) {
    return spot_fail(spot, "expected METRIC OP LIMIT, such as 'broadcast.latency.p99 <= 300ms'; OP "
                           "one of < <= == >= >");
}

static bool parse_op(const char *text, size_t len, enum expect_op *out) {
    static const struct choice OPS[] = {
        {"<", EXPECT_LESS},      {"<=", EXPECT_AT_MOST}, {"==", EXPECT_EQUAL},
        {">=", EXPECT_AT_LEAST}, {">", EXPECT_MORE},     {NULL, 0},
    };
    for (const struct choice *op = OPS; op->word != NULL; op++) {
        if (strlen(op->word) == len && memcmp(op->word, text, len) == 0) {
            *out = (enum expect_op)op->value;
            return true;
        }
    }
    return false;
}

/* The kinds of limit differ by their units, so at most one of them fits. */
static bool parse_limit(const char *text, struct scenario_expect *out) {
    uint64_t value = 0;
    uint32_t ppm = 0;
    if (quantity_millionths(text, &value)) {
        out->unit = EXPECT_PLAIN;
    } else if (quantity_share(text, &ppm)) {
        out->unit = EXPECT_PPM;
        value = ppm;
    } else if (quantity_time(text, &value)) {
        out->unit = EXPECT_NS;
    } else if (quantity_bytes(text, &value) || quantity_rate(text, &value)) {
        out->unit = EXPECT_BYTES;
    } else {
        return false;
    }
    out->value = (int64_t)value;
    return true;
}

static bool is_metric(const char *text, size_t len) {
    static const char ALLOWED[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
    return len > 0 && text[0] != '.' && text[len - 1] != '.' && strspn(text, ALLOWED) == len;
}

enum weft_err expect_read(const struct spot *spot, struct scenario_expect *out) {
    ASSERT(spot != NULL && out != NULL);
    const char *text = spot_text(spot);
    if (text == NULL || strlen(text) >= sizeof out->text) {
        return fail_expect(spot);
    }
    size_t name_len = strcspn(text, " ");
    const char *op = text + name_len + strspn(text + name_len, " ");
    size_t op_len = strcspn(op, " ");
    const char *limit = op + op_len + strspn(op + op_len, " ");
    if (name_len >= sizeof out->metric || !is_metric(text, name_len) ||
        !parse_op(op, op_len, &out->op)) {
        return fail_expect(spot);
    }
    if (!parse_limit(limit, out)) {
        return spot_fail(spot,
                         "expected a limit such as 3, 0.10, 10%%, 300ms, 20MB, 1.5KB/s or "
                         "90Mbit, not '%.40s'",
                         limit);
    }
    (void)snprintf(out->text, sizeof out->text, "%s", text);
    (void)snprintf(out->metric, sizeof out->metric, "%.*s", (int)name_len, text);
    return WEFT_OK;
}
