/* SPDX-License-Identifier: Apache-2.0
 *
 * weft-sim list: the scenarios that can be asked for by name.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/commands.h"
#include "sim/library.h"
#include "sim/must.h"

static const struct flag list_flags[] = {
    {"--json", NULL, "print JSON"},
    SIM_DEFECTS_FLAG{"--help", NULL, "print this"},
    {NULL, NULL, NULL},
};

/* The name that `run` finds a file by: without folder and ending. */
static char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    char *name = must(strdup(slash != NULL ? slash + 1 : path));
    char *dot = strrchr(name, '.');
    if (dot != NULL) {
        *dot = '\0';
    }
    return name;
}

static const char *or_empty(const char *text) {
    return text != NULL ? text : "";
}

static void add_json(json_t *array, const char *name, const struct scenario *scenario) {
    static const char *const modes[] = {
        [CHAOS_NONE] = "none", [CHAOS_SAFETY] = "safety", [CHAOS_LIVENESS] = "liveness"};
    json_t *object = json_pack(
        "{s:s, s:I, s:s, s:s, s:s, s:I}", "name", name, "nodes", (json_int_t)scenario->nodes,
        "targets", or_empty(scenario->targets), "about", or_empty(scenario->about), "mode",
        modes[scenario->chaos.mode], "suite_seeds", (json_int_t)scenario->suite_seeds);
    (void)json_array_append_new(array, must(object));
}

static void print_row(const char *name, const struct scenario *scenario) {
    (void)printf("%-24s %6u  %-14s %s\n", name, (unsigned)scenario->nodes,
                 or_empty(scenario->targets), or_empty(scenario->about));
}

static int list_one(const char *path, json_t *array) {
    struct scenario *scenario = NULL;
    int status = sim_read_scenario(path, &scenario);
    if (status != SIM_GOOD) {
        return status;
    }
    char *name = name_of(path);
    if (array != NULL) {
        add_json(array, name, scenario);
    } else {
        print_row(name, scenario);
    }
    free(name);
    scenario_free(scenario);
    return SIM_GOOD;
}

static int command_list(const struct flags *flags) {
    if (flags_have(flags, "--defects")) {
        return sim_list_defects();
    }
    char **paths = NULL;
    size_t count = library_list(&paths);
    json_t *array = flags_have(flags, "--json") ? must(json_array()) : NULL;
    int status = SIM_GOOD;
    if (count == 0) {
        return sim_fail(SIM_CONFIG, "no scenarios found; name their folder in WEFT_SCENARIOS");
    }
    if (array == NULL) {
        (void)printf("%-24s %6s  %-14s %s\n", "NAME", "NODES", "TARGETS", "ABOUT");
    }
    for (size_t i = 0; i < count; i++) {
        int one = list_one(paths[i], array);
        status = status == SIM_GOOD ? one : status;
    }
    if (array != NULL) {
        (void)json_dumpf(array, stdout, JSON_INDENT(2));
        (void)putchar('\n');
        json_decref(array);
    }
    library_free(paths, count);
    return status;
}

const struct command cmd_list = {
    .name = "list",
    .usage = "list [--json]",
    .summary = "show the scenarios there are",
    .help =
        "Each with its number of nodes, the targets it measures and what it is about. They are\n"
        "looked for in $WEFT_SCENARIOS, in sim/scenarios of the source tree, and in\n"
        "share/weft/scenarios beside the program.",
    .flags = list_flags,
    .words_min = 0,
    .words_max = 0,
    .run = command_list,
};
