/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/links.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "cli/table.h"

static const struct table_column columns[] = {
    {"PEER", false}, {"ADDRESS", false}, {"DIR", false},  {"STATE", false},
    {"UP", true},    {"RTT", true},      {"TX", true},    {"RX", true},
    {"TX/S", true},  {"RX/S", true},     {"QUEUE", true}, {"ERROR", false},
};

/* The same link in an earlier answer, or NULL: the address tells links of one peer apart. */
static const json_t *find_before(const json_t *before, const json_t *link) {
    size_t index;
    json_t *other;
    json_array_foreach(before, index, other) {
        if (strcmp(field_text(other, "peer"), field_text(link, "peer")) == 0 &&
            strcmp(field_text(other, "address"), field_text(link, "address")) == 0 &&
            field_number(other, "since_s") <= field_number(link, "since_s")) {
            return other;
        }
    }
    return NULL;
}

static void add_rate(struct table *table, const json_t *link, const json_t *earlier,
                     const char *key, double seconds) {
    double bytes = field_number(link, key) - field_number(earlier, key);
    double span = earlier != NULL ? seconds : field_number(link, "since_s");
    table_add(table, span > 0 ? format_rate(bytes / span).text : "");
}

static void add_traffic(struct table *table, const json_t *link, const json_t *before,
                        double seconds) {
    const json_t *earlier = find_before(before, link);
    table_add(table, format_duration(field_number(link, "since_s")).text);
    table_add(table,
              field_is_null(link, "rtt_ms") ? "" : format_ms(field_number(link, "rtt_ms")).text);
    table_add(table, format_bytes(field_number(link, "tx_bytes")).text);
    table_add(table, format_bytes(field_number(link, "rx_bytes")).text);
    add_rate(table, link, earlier, "tx_bytes", seconds);
    add_rate(table, link, earlier, "rx_bytes", seconds);
    table_add(table, format_bytes(field_number(link, "queue_bytes")).text);
}

/* "on trial, 12 s left" while a link is up but counts for no path yet. */
static void add_state(struct table *table, const json_t *link, const char *state, bool is_up) {
    if (!is_up || field_is_null(link, "trial_s")) {
        table_add_styled(table, is_up ? STYLE_GOOD : STYLE_WARN, state);
        return;
    }
    char line[64];
    (void)snprintf(line, sizeof(line), "on trial, %s left",
                   format_duration(field_number(link, "trial_s") + 0.999).text);
    table_add_styled(table, STYLE_WARN, line);
}

/* Why there is no link, and when it is tried again. */
static void add_error(struct table *table, const json_t *link) {
    const char *error = field_text(link, "error");
    if (field_is_null(link, "retry_s")) {
        table_add_styled(table, STYLE_BAD, error);
        return;
    }
    char line[TEXT_LINE_BYTES];
    (void)snprintf(line, sizeof(line), "%.500s%stried again in %s", error,
                   error[0] != '\0' ? "; " : "",
                   format_duration(field_number(link, "retry_s") + 0.999).text);
    table_add_styled(table, error[0] != '\0' ? STYLE_BAD : STYLE_PLAIN, line);
}

static void add_link(struct table *table, const json_t *link, const json_t *before,
                     double seconds) {
    const char *state = field_text(link, "state");
    bool is_up = strcmp(state, "established") == 0;
    table_add(table, label_of(field_text(link, "name"), field_text(link, "peer")).text);
    table_add(table, field_text(link, "address"));
    table_add(table, field_text(link, "direction"));
    add_state(table, link, state, is_up);
    if (is_up) {
        add_traffic(table, link, before, seconds);
    } else {
        for (int i = 0; i < 7; i++) {
            table_add(table, "");
        }
    }
    add_error(table, link);
}

void links_print(FILE *out, const json_t *links, const json_t *before, double seconds,
                 bool has_colour, size_t rows_max) {
    struct table table;
    size_t index;
    json_t *link;
    table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
    json_array_foreach(links, index, link) {
        add_link(&table, link, before, seconds);
    }
    table_print(&table, out, has_colour, rows_max);
    table_fini(&table);
}
