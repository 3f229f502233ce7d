/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands that show one list of the daemon's as a table: links, peers, routes, services.
 */
#include <stdint.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/format.h"
#include "cli/links.h"
#include "cli/table.h"

/* Adds one element of the list to the table, as one row or several. */
typedef void add_row(struct table *table, const json_t *element);

struct list {
    const char *path;
    const char *nothing; /* said when the list is empty */
    const struct table_column *columns;
    size_t column_count;
    add_row *add;
};

static void print_table(const struct cli *cli, const struct list *list, const json_t *rows) {
    struct table table;
    size_t index;
    json_t *element;
    table_init(&table, list->columns, list->column_count);
    json_array_foreach(rows, index, element) {
        list->add(&table, element);
    }
    if (table_rows(&table) > 0) {
        table_print(&table, stdout, cli->has_colour, SIZE_MAX);
    } else {
        cli_say("%s", list->nothing);
    }
    table_fini(&table);
}

static int show(struct cli *cli, const struct list *list) {
    json_t *rows = NULL;
    int status = cli_get(cli, list->path, &rows);
    if (status != CLI_GOOD) {
        return status;
    }
    if (cli->is_json) {
        (void)cli_print_json(rows);
    } else {
        print_table(cli, list, rows);
    }
    json_decref(rows);
    return CLI_GOOD;
}

int cmd_links(struct cli *cli) {
    json_t *links = NULL;
    int status = cli_get(cli, "/v1/links", &links);
    if (status != CLI_GOOD) {
        return status;
    }
    if (cli->is_json) {
        (void)cli_print_json(links);
    } else if (json_array_size(links) > 0) {
        links_print(stdout, links, NULL, 0, cli->has_colour, SIZE_MAX);
    } else {
        cli_say("No links, and no address to dial. \"weft invite\" lets others in.");
    }
    json_decref(links);
    return CLI_GOOD;
}

static void add_number(struct table *table, const json_t *object, const char *key) {
    if (field_is_null(object, key)) {
        table_add(table, "");
    } else {
        table_addf(table, "%.0f", field_number(object, key));
    }
}

static void add_ms(struct table *table, const json_t *object, const char *key) {
    table_add(table, field_is_null(object, key) ? "" : format_ms(field_number(object, key)).text);
}

static const char *peer_remark(const json_t *peer) {
    if (field_is(peer, "self")) {
        return "this node";
    }
    if (field_is(peer, "name_clash")) {
        return "name clash";
    }
    return field_is(peer, "leaving") ? "leaving" : "";
}

static void add_peer(struct table *table, const json_t *peer) {
    bool is_near = field_is(peer, "reachable");
    table_add(table, field_text(peer, "name"));
    table_add(table, field_text(peer, "id"));
    table_add_styled(table, is_near ? STYLE_GOOD : STYLE_BAD, is_near ? "yes" : "no");
    add_number(table, peer, "hops");
    add_ms(table, peer, "cost_ms");
    table_add(table,
              label_of(field_text(peer, "next_hop_name"), field_text(peer, "next_hop")).text);
    add_number(table, peer, "links");
    table_add(table, field_text(peer, "version"));
    table_add_styled(table, field_is(peer, "name_clash") ? STYLE_WARN : STYLE_DIM,
                     peer_remark(peer));
}

int cmd_peers(struct cli *cli) {
    static const struct table_column columns[] = {
        {"NAME", false}, {"ID", false},   {"REACHABLE", false}, {"HOPS", true}, {"COST", true},
        {"VIA", false},  {"LINKS", true}, {"VERSION", false},   {"", false},
    };
    static const struct list list = {"/v1/peers", "No peers are known.", columns, 9, add_peer};
    return show(cli, &list);
}

static void add_route(struct table *table, const json_t *route) {
    table_add(table, label_of(field_text(route, "name"), field_text(route, "peer")).text);
    table_add(table, field_text(route, "peer"));
    table_add(table,
              label_of(field_text(route, "next_hop_name"), field_text(route, "next_hop")).text);
    add_number(table, route, "hops");
    add_ms(table, route, "cost_ms");
}

int cmd_routes(struct cli *cli) {
    static const struct table_column columns[] = {
        {"TO", false}, {"ID", false}, {"VIA", false}, {"HOPS", true}, {"COST", true},
    };
    static const struct list list = {"/v1/routes", "No other node can be reached.", columns, 5,
                                     add_route};
    return show(cli, &list);
}

static void add_endpoint(struct table *table, const json_t *service, const json_t *endpoint) {
    const char *state = field_text(endpoint, "state");
    const char *peer = field_text(endpoint, "peer");
    table_add(table, label_of_service(field_text(service, "namespace"), field_text(service, "name"),
                                      field_text(service, "protocol"))
                         .text);
    table_add(table, label_of(field_text(endpoint, "peer_name"), peer).text);
    table_add(table, field_text(endpoint, "address"));
    table_add_styled(table, strcmp(state, "fresh") == 0 ? STYLE_GOOD : STYLE_WARN, state);
    table_add(table, field_is_null(endpoint, "age_s")
                         ? ""
                         : format_duration(field_number(endpoint, "age_s")).text);
    table_add_styled(table, STYLE_DIM, field_is(endpoint, "self") ? "this node" : "");
}

static void add_service(struct table *table, const json_t *service) {
    size_t index;
    json_t *endpoint;
    json_array_foreach(json_object_get(service, "endpoints"), index, endpoint) {
        add_endpoint(table, service, endpoint);
    }
}

int cmd_services(struct cli *cli) {
    static const struct table_column columns[] = {
        {"SERVICE", false}, {"NODE", false}, {"ADDRESS", false},
        {"STATE", false},   {"AGE", true},   {"", false},
    };
    static const struct list list = {
        "/v1/services", "No services are known. \"weft service add NAME=HOST:PORT\" offers one.",
        columns, 6, add_service};
    return show(cli, &list);
}
