/* SPDX-License-Identifier: Apache-2.0
 *
 * Which nodes are meant: "all", "10", "5%", "[1, 4, 10..19]", "10 of 0..99".
 */
#include "sim/scenario_parse.h"

#include <string.h>

#include "base/check.h"
#include "sim/must.h"
#include "sim/quantity.h"

#define PICK_TEXT_MAX 48

static enum weft_err fail_pick(const struct spot *spot) {
    return spot_fail(spot, "expected which nodes: all, hubs, sites, how many (10), a share (5%%), "
                           "numbers ([1, 4, 10..19] or 3..7), or '10 of 0..99'");
}

static void add_nodes(struct scenario_pick *pick, uint64_t low, uint64_t high) {
    size_t count = pick->list_count + (size_t)(high - low + 1);
    pick->list = must(realloc(pick->list, count * sizeof(*pick->list)));
    for (uint64_t node = low; node <= high; node++) {
        pick->list[pick->list_count++] = (uint32_t)node;
    }
}

/* "7", "3..9". */
static bool parse_span(const char *text, bool may_be_single, uint64_t *low, uint64_t *high) {
    char first[PICK_TEXT_MAX];
    const char *dots = strstr(text, "..");
    if (dots == NULL) {
        bool is_number = may_be_single && quantity_count(text, SCENARIO_NODES_MAX - 1, low);
        *high = *low;
        return is_number;
    }
    if (strlen(text) >= sizeof first) {
        return false;
    }
    memcpy(first, text, (size_t)(dots - text));
    first[dots - text] = '\0';
    return quantity_count(first, SCENARIO_NODES_MAX - 1, low) &&
           quantity_count(dots + 2, SCENARIO_NODES_MAX - 1, high) && *low <= *high;
}

static int compare_nodes(const void *left, const void *right) {
    const uint32_t *a = left;
    const uint32_t *b = right;
    return (*a > *b) - (*a < *b);
}

static bool has_repeat(const struct scenario_pick *pick) {
    for (size_t i = 1; i < pick->list_count; i++) {
        if (pick->list[i] == pick->list[i - 1]) {
            return true;
        }
    }
    return false;
}

static enum weft_err read_list(const struct spot *spot, struct scenario_pick *out) {
    struct spot item;
    out->kind = PICK_LIST;
    for (size_t i = 0; spot_item(spot, i, &item); i++) {
        uint64_t low = 0;
        uint64_t high = 0;
        const char *text = spot_text(&item);
        if (text == NULL || !parse_span(text, true, &low, &high)) {
            return spot_fail(&item,
                             "expected a node's number, 0 to 19999, or a range such as 3..7");
        }
        if (out->list_count + (high - low) >= SCENARIO_NODES_MAX) {
            return spot_fail(&item, "expected at most %d nodes", SCENARIO_NODES_MAX);
        }
        add_nodes(out, low, high);
    }
    if (out->list_count == 0) {
        return spot_fail(spot, "expected at least one node");
    }
    qsort(out->list, out->list_count, sizeof(*out->list), compare_nodes);
    return has_repeat(out) ? spot_fail(spot, "expected each node once") : WEFT_OK;
}

static bool parse_word(const char *text, enum pick_kind *out) {
    static const struct choice WORDS[] = {
        {"all", PICK_ALL}, {"hubs", PICK_HUBS}, {"sites", PICK_SITES}, {NULL, 0}};
    for (const struct choice *word = WORDS; word->word != NULL; word++) {
        if (strcmp(text, word->word) == 0) {
            *out = (enum pick_kind)word->value;
            return true;
        }
    }
    return false;
}

/* "all", "hubs", "sites", "3..7": a set that needs no draw. */
static bool parse_set(const char *text, struct scenario_pick *pick, enum pick_kind *kind) {
    uint64_t low = 0;
    uint64_t high = 0;
    if (parse_word(text, kind)) {
        return true;
    }
    if (!parse_span(text, false, &low, &high)) {
        return false;
    }
    add_nodes(pick, low, high);
    *kind = PICK_LIST;
    return true;
}

/* "10", "5%". */
static bool parse_amount(const char *text, struct scenario_pick *pick) {
    uint64_t count = 0;
    if (quantity_count(text, SCENARIO_NODES_MAX, &count)) {
        pick->kind = PICK_COUNT;
        pick->count = (uint32_t)count;
        return count > 0;
    }
    pick->kind = PICK_PPM;
    return strchr(text, '%') != NULL && quantity_share(text, &pick->ppm) && pick->ppm > 0;
}

static bool parse_pick(const char *text, struct scenario_pick *pick) {
    char amount[PICK_TEXT_MAX];
    const char *of = strstr(text, " of ");
    if (of == NULL) {
        return parse_set(text, pick, &pick->kind) || parse_amount(text, pick);
    }
    if (strlen(text) >= sizeof amount) {
        return false;
    }
    memcpy(amount, text, (size_t)(of - text));
    amount[of - text] = '\0';
    return parse_amount(amount, pick) && parse_set(of + 4, pick, &pick->among);
}

enum weft_err pick_read(const struct spot *spot, struct scenario_pick *out) {
    ASSERT(spot != NULL && out != NULL);
    struct scenario_pick pick = {.kind = PICK_ALL, .among = PICK_ALL};
    const char *text = spot_text(spot);
    enum weft_err err = WEFT_OK;
    if (spot->node->type == YAML_SEQUENCE_NODE) {
        err = read_list(spot, &pick);
    } else if (text == NULL || !parse_pick(text, &pick)) {
        err = fail_pick(spot);
    }
    if (err != WEFT_OK) {
        free(pick.list);
        return err;
    }
    free(out->list);
    *out = pick;
    return WEFT_OK;
}
