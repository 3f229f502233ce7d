/* SPDX-License-Identifier: Apache-2.0
 *
 * One value of each kind, checked and written to its field.
 */
#include "sim/scenario_parse.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "sim/must.h"
#include "sim/quantity.h"
#include "sim/suggest.h"

#define PPM_ONE 1000000U
#define CHOICES_MAX 32
#define LIST_TEXT_MAX 300

/* Where a field lives. */
static void *place_of(const struct field *field, void *object) {
    return (char *)object + field->offset;
}

static void put_u32(const struct field *field, void *object, uint64_t value) {
    uint32_t narrow = (uint32_t)value;
    memcpy(place_of(field, object), &narrow, sizeof narrow);
}

static void put_u64(const struct field *field, void *object, uint64_t value) {
    memcpy(place_of(field, object), &value, sizeof value);
}

/* Numbers, times and sizes. */

static const char *expected_of(enum field_kind kind) {
    switch (kind) {
    case FIELD_COUNT:
    case FIELD_COUNT_LONG:
        return "a whole number";
    case FIELD_TIME:
        return "a time, such as 300ms, 5s or 10min";
    case FIELD_TIME_RANGE:
        return "a time or a range of times, such as 20ms or 1..50ms";
    case FIELD_BYTES:
        return "a size, such as 64KiB or 1MB";
    case FIELD_BYTE_RANGE:
        return "a size or a range of sizes, such as 100 or 1KiB..1MiB";
    case FIELD_RATE:
        return "a rate, such as 100Mbit or 64KB/s";
    case FIELD_SHARE:
        return "a share, such as 0.5% or 0.005";
    case FIELD_SWITCH:
        return "true or false, on or off, yes or no";
    case FIELD_NAME:
        return "a name of letters a-z, digits and '-', at most 63";
    case FIELD_TEXT:
        return "a text of at most 600 characters";
    case FIELD_CHOICE:
    case FIELD_FLAGS:
    case FIELD_PICK:
    case FIELD_GROUP:
    case FIELD_OWN:
        break;
    }
    return "something else";
}

static enum weft_err fail_expected(const struct spot *spot, const struct field *field) {
    const char *text = spot_text(spot);
    if (text == NULL) {
        return spot_fail(spot, "expected %s, not %s", expected_of(field->kind), spot_kind(spot));
    }
    return spot_fail(spot, "expected %s, not '%.60s'", expected_of(field->kind), text);
}

/* Limits as they are written in files. */
static void format_limit(enum field_kind kind, uint64_t value, char out[40]) {
    static const struct choice UNITS[] = {{"s", 1000000000}, {"ms", 1000000}, {"us", 1000}};
    bool is_time = kind == FIELD_TIME || kind == FIELD_TIME_RANGE;
    for (size_t i = 0; is_time && i < 3; i++) {
        if (value > 0 && value % UNITS[i].value == 0) {
            (void)snprintf(out, 40, "%llu%s", (unsigned long long)(value / UNITS[i].value),
                           UNITS[i].word);
            return;
        }
    }
    const char *unit = is_time && value > 0 ? "ns" : (kind == FIELD_RATE ? "B/s" : "");
    (void)snprintf(out, 40, "%llu%s", (unsigned long long)value, unit);
}

static enum weft_err check_bounds(const struct spot *spot, const struct field *field, uint64_t low,
                                  uint64_t high) {
    char min[40];
    char max[40];
    if (low >= field->min && high <= field->max) {
        return WEFT_OK;
    }
    format_limit(field->kind, field->min, min);
    format_limit(field->kind, field->max, max);
    return spot_fail(spot, "expected %s to %s, not '%.60s'", min, max, spot_text(spot));
}

static enum weft_err read_number(const struct spot *spot, const struct field *field,
                                 uint64_t *out) {
    const char *text = spot_text(spot);
    bool is_read = false;
    if (text != NULL) {
        is_read = field->kind == FIELD_TIME    ? quantity_time(text, out)
                  : field->kind == FIELD_BYTES ? quantity_bytes(text, out)
                  : field->kind == FIELD_RATE  ? quantity_rate(text, out)
                                               : quantity_count(text, UINT64_MAX, out);
    }
    if (!is_read) {
        return fail_expected(spot, field);
    }
    return check_bounds(spot, field, *out, *out);
}

static enum weft_err read_u64(const struct spot *spot, const struct field *field, void *object) {
    uint64_t value = 0;
    enum weft_err err = read_number(spot, field, &value);
    if (err == WEFT_OK) {
        put_u64(field, object, value);
    }
    return err;
}

static enum weft_err read_u32(const struct spot *spot, const struct field *field, void *object) {
    uint64_t value = 0;
    enum weft_err err = read_number(spot, field, &value);
    if (err == WEFT_OK) {
        put_u32(field, object, value);
    }
    return err;
}

static enum weft_err read_range(const struct spot *spot, const struct field *field, void *object) {
    struct range range = {0};
    const char *text = spot_text(spot);
    bool is_time = field->kind == FIELD_TIME_RANGE;
    bool is_read = text != NULL && (is_time ? quantity_time_range(text, &range)
                                            : quantity_bytes_range(text, &range));
    if (!is_read) {
        return fail_expected(spot, field);
    }
    enum weft_err err = check_bounds(spot, field, range.low, range.high);
    if (err == WEFT_OK) {
        memcpy(place_of(field, object), &range, sizeof range);
    }
    return err;
}

static enum weft_err read_share(const struct spot *spot, const struct field *field, void *object) {
    uint32_t ppm = 0;
    const char *text = spot_text(spot);
    if (text == NULL || !quantity_share(text, &ppm)) {
        return fail_expected(spot, field);
    }
    if (ppm < field->min) {
        return spot_fail(spot, "expected more than 0");
    }
    put_u32(field, object, ppm);
    return WEFT_OK;
}

/* Words. */

static bool is_any_of(const char *text, const char *const *words) {
    for (; *words != NULL; words++) {
        if (strcmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

static enum weft_err read_switch(const struct spot *spot, const struct field *field, void *object) {
    static const char *const ON[] = {"true", "on", "yes", NULL};
    static const char *const OFF[] = {"false", "off", "no", NULL};
    const char *text = spot_text(spot);
    if (text == NULL || (!is_any_of(text, ON) && !is_any_of(text, OFF))) {
        return fail_expected(spot, field);
    }
    bool is_on = is_any_of(text, ON);
    memcpy(place_of(field, object), &is_on, sizeof is_on);
    return WEFT_OK;
}

static enum weft_err read_name(const struct spot *spot, const struct field *field, void *object) {
    const char *text = spot_text(spot);
    size_t len = text == NULL ? 0 : strlen(text);
    if (len == 0 || len > SCENARIO_NAME_MAX ||
        strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") != len) {
        return fail_expected(spot, field);
    }
    memcpy(place_of(field, object), text, len + 1);
    return WEFT_OK;
}

static enum weft_err read_text(const struct spot *spot, const struct field *field, void *object) {
    const char *text = spot_text(spot);
    if (text == NULL || strlen(text) > SCENARIO_TEXT_MAX) {
        return fail_expected(spot, field);
    }
    char **place = place_of(field, object);
    free(*place);
    *place = must(strdup(text));
    return WEFT_OK;
}

static enum weft_err fail_choice(const struct spot *spot, const struct choice *choices,
                                 const char *also) {
    const char *words[CHOICES_MAX];
    char list[LIST_TEXT_MAX] = "";
    size_t count = 0;
    size_t used = 0;
    for (; choices->word != NULL && count < CHOICES_MAX; choices++) {
        words[count++] = choices->word;
        int len =
            snprintf(&list[used], sizeof list - used, "%s%s", used == 0 ? "" : ", ", choices->word);
        used += len > 0 && (size_t)len < sizeof list - used ? (size_t)len : 0;
    }
    const char *text = spot_text(spot);
    const char *near = text == NULL ? NULL : suggest_nearest(text, words, count);
    if (near != NULL) {
        return spot_fail(spot, "no such word as '%.40s'; did you mean '%s'?", text, near);
    }
    return spot_fail(spot, "expected one of %s%s", list, also);
}

static bool find_choice(const char *text, const struct choice *choices, uint32_t *out) {
    for (; text != NULL && choices->word != NULL; choices++) {
        if (strcmp(text, choices->word) == 0) {
            *out = choices->value;
            return true;
        }
    }
    return false;
}

static enum weft_err read_choice(const struct spot *spot, const struct field *field, void *object) {
    uint32_t value = 0;
    if (!find_choice(spot_text(spot), field->choices, &value)) {
        return fail_choice(spot, field->choices, "");
    }
    put_u32(field, object, value);
    return WEFT_OK;
}

static enum weft_err add_flag(const struct spot *spot, const struct choice *choices,
                              uint32_t *flags) {
    uint32_t value = 0;
    const char *text = spot_text(spot);
    if (text != NULL && strcmp(text, "all") == 0) {
        for (; choices->word != NULL; choices++) {
            *flags |= choices->value;
        }
        return WEFT_OK;
    }
    if (!find_choice(text, choices, &value)) {
        return fail_choice(spot, choices, ", or all");
    }
    *flags |= value;
    return WEFT_OK;
}

static enum weft_err read_flags(const struct spot *spot, const struct field *field, void *object) {
    uint32_t flags = 0;
    struct spot item;
    enum weft_err err = WEFT_OK;
    if (spot->node->type != YAML_SEQUENCE_NODE) {
        err = add_flag(spot, field->choices, &flags);
    }
    for (size_t i = 0; err == WEFT_OK && spot_item(spot, i, &item); i++) {
        err = add_flag(&item, field->choices, &flags);
    }
    if (err == WEFT_OK && flags == 0) {
        err = spot_fail(spot, "expected at least one");
    }
    if (err == WEFT_OK) {
        put_u32(field, object, flags);
    }
    return err;
}

enum weft_err value_read(const struct spot *spot, const struct field *field, void *object) {
    ASSERT(spot != NULL && field != NULL && object != NULL);
    switch (field->kind) {
    case FIELD_NAME:
        return read_name(spot, field, object);
    case FIELD_TEXT:
        return read_text(spot, field, object);
    case FIELD_COUNT:
        return read_u32(spot, field, object);
    case FIELD_COUNT_LONG:
    case FIELD_TIME:
    case FIELD_BYTES:
    case FIELD_RATE:
        return read_u64(spot, field, object);
    case FIELD_TIME_RANGE:
    case FIELD_BYTE_RANGE:
        return read_range(spot, field, object);
    case FIELD_SHARE:
        return read_share(spot, field, object);
    case FIELD_SWITCH:
        return read_switch(spot, field, object);
    case FIELD_CHOICE:
        return read_choice(spot, field, object);
    case FIELD_FLAGS:
        return read_flags(spot, field, object);
    case FIELD_PICK:
        return pick_read(spot, (struct scenario_pick *)place_of(field, object));
    case FIELD_GROUP:
    case FIELD_OWN:
        break;
    }
    ASSERT(false);
    return WEFT_ERR_STATE;
}
