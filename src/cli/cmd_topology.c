/* SPDX-License-Identifier: Apache-2.0
 *
 * The links of the whole mesh, as lines or as a graph.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/format.h"
#include "cli/table.h"

/* The answer by id, so that a mesh of ten thousand is one pass and not a hundred million. */
struct graph {
    json_t *nodes; /* id -> node */
    json_t *links; /* id -> its links */
};

static void graph_add_link(struct graph *graph, const char *id, json_t *link) {
    json_t *list = json_object_get(graph->links, id);
    if (list == NULL) {
        list = json_array();
        (void)json_object_set_new(graph->links, id, list);
    }
    (void)json_array_append(list, link);
}

static struct graph graph_of(const json_t *topology) {
    struct graph graph = {json_object(), json_object()};
    size_t index;
    json_t *element;
    json_array_foreach(json_object_get(topology, "nodes"), index, element) {
        (void)json_object_set(graph.nodes, field_text(element, "id"), element);
    }
    json_array_foreach(json_object_get(topology, "links"), index, element) {
        graph_add_link(&graph, field_text(element, "a"), element);
        graph_add_link(&graph, field_text(element, "b"), element);
    }
    return graph;
}

static void graph_fini(struct graph *graph) {
    json_decref(graph->nodes);
    json_decref(graph->links);
}

/* The neighbours of one node in a line: "relay-1 1.2 ms, relay-2 0.9 ms". The caller's to free. */
static char *neighbours_of(const struct graph *graph, const char *id) {
    char *text = NULL;
    size_t size = 0;
    size_t index;
    json_t *link;
    FILE *out = text_keep(open_memstream(&text, &size));
    json_array_foreach(json_object_get(graph->links, id), index, link) {
        bool is_a = strcmp(field_text(link, "a"), id) == 0;
        const char *other = field_text(link, is_a ? "b" : "a");
        const char *name = field_text(json_object_get(graph->nodes, other), "name");
        double cost = field_number(link, is_a ? "cost_ab_ms" : "cost_ba_ms");
        (void)fprintf(out, "%s%s %s", index > 0 ? ", " : "", label_of(name, other).text,
                      format_ms(cost).text);
    }
    (void)fclose(out);
    return text_keep(text);
}

static void print_lines(const struct cli *cli, const json_t *topology) {
    static const struct table_column columns[] = {
        {"NODE", false}, {"ID", false}, {"REACHABLE", false}, {"LINKS", false}};
    struct table table;
    size_t index;
    json_t *node;
    struct graph graph = graph_of(topology);
    table_init(&table, columns, 4);
    json_array_foreach(json_object_get(topology, "nodes"), index, node) {
        bool is_near = field_is(node, "reachable");
        char *neighbours = neighbours_of(&graph, field_text(node, "id"));
        table_add_styled(&table, field_is(node, "self") ? STYLE_BOLD : STYLE_PLAIN,
                         field_text(node, "name"));
        table_add(&table, field_text(node, "id"));
        table_add_styled(&table, is_near ? STYLE_GOOD : STYLE_BAD, is_near ? "yes" : "no");
        table_add(&table, neighbours);
        free(neighbours);
    }
    table_print(&table, stdout, cli->has_colour, SIZE_MAX);
    table_fini(&table);
    graph_fini(&graph);
}

/* A quoted string of the DOT language; a backslash is doubled, or it would begin an escape. */
static void print_quoted(const char *text) {
    char *clean = text_clean(text);
    (void)putchar('"');
    for (const char *at = clean; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\') {
            (void)putchar('\\');
        }
        (void)putchar(*at);
    }
    (void)putchar('"');
    free(clean);
}

static void print_dot_node(const json_t *node) {
    const char *id = field_text(node, "id");
    (void)fputs("    ", stdout);
    print_quoted(id);
    (void)fputs(" [label=", stdout);
    print_quoted(label_of(field_text(node, "name"), id).text);
    (void)fputs(field_is(node, "self") ? ", style=bold" : "", stdout);
    (void)fputs(field_is(node, "reachable") ? "];\n" : ", style=dashed];\n", stdout);
}

static void print_dot(const json_t *topology) {
    size_t index;
    json_t *element;
    (void)puts("graph weft {");
    json_array_foreach(json_object_get(topology, "nodes"), index, element) {
        print_dot_node(element);
    }
    json_array_foreach(json_object_get(topology, "links"), index, element) {
        (void)fputs("    ", stdout);
        print_quoted(field_text(element, "a"));
        (void)fputs(" -- ", stdout);
        print_quoted(field_text(element, "b"));
        (void)printf(" [label=\"%s\"];\n", format_ms(field_number(element, "cost_ab_ms")).text);
    }
    (void)puts("}");
}

int cmd_topology(struct cli *cli) {
    json_t *topology = NULL;
    int status = cli_get(cli, "/v1/topology", &topology);
    if (status != CLI_GOOD) {
        return status;
    }
    if (cli->is_json) {
        (void)cli_print_json(topology);
    } else if (args_has(&cli->args, "--dot")) {
        print_dot(topology);
    } else {
        print_lines(cli, topology);
    }
    json_decref(topology);
    return CLI_GOOD;
}
