/* SPDX-License-Identifier: Apache-2.0
 *
 * The scenarios that come with weft can be read, and every target has one.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/scenario_parse.h"

#define DOCS_BYTES_MAX (1U << 20)
#define FILES_MAX 200

static size_t each_file(void (*each)(const struct scenario *scenario, const char *name)) {
    size_t count = 0;
    DIR *folder = opendir(SCENARIO_FOLDER);
    cr_assert_not_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char path[600];
        struct scenario *scenario = NULL;
        struct scenario_error error = {""};
        size_t len = strlen(entry->d_name);
        if (len < 6 || strcmp(entry->d_name + len - 5, ".yaml") != 0) {
            continue;
        }
        (void)snprintf(path, sizeof path, SCENARIO_FOLDER "/%s", entry->d_name);
        cr_assert_eq(scenario_read(path, &scenario, &error), WEFT_OK, "%s", error.text);
        each(scenario, entry->d_name);
        scenario_free(scenario);
        count++;
    }
    closedir(folder);
    return count;
}

static void check_named(const struct scenario *scenario, const char *name) {
    char wanted[300];
    (void)snprintf(wanted, sizeof wanted, "%s.yaml", scenario->name);
    cr_expect_str_eq(wanted, name);
    cr_expect_gt(strlen(scenario->about), 20, "%s says too little about itself", name);
}

Test(scenario_files, can_be_read_and_are_called_what_they_are) {
    cr_assert_gt(each_file(check_named), 40);
}

static void check_expects(const struct scenario *scenario, const char *name) {
    bool has_target = scenario->targets[0] != '\0';
    cr_expect(!has_target || scenario->expect_count > 0, "%s: a target without expect", name);
}

Test(scenario_files, with_a_target_expect_something) {
    (void)each_file(check_expects);
}

/* Small enough for every push: see suite-seeds in docs/simulation.md. */
static void check_suite(const struct scenario *scenario, const char *name) {
    uint64_t node_seconds = scenario->nodes * (scenario->run_ns / 1000000000);
    cr_expect(scenario->suite_seeds == 0 || node_seconds * scenario->suite_seeds <= 100000,
              "%s is too long for its suite-seeds", name);
}

Test(scenario_files, of_the_suite_are_small) {
    (void)each_file(check_suite);
}

/* docs/simulation.md, as a text. */
static char *read_docs(void) {
    FILE *file = fopen(DOCS_FILE, "re");
    cr_assert_not_null(file);
    char *text = calloc(1, DOCS_BYTES_MAX);
    cr_assert_lt(fread(text, 1, DOCS_BYTES_MAX - 1, file), DOCS_BYTES_MAX - 1);
    fclose(file);
    return text;
}

static void check_listed(const struct scenario *scenario, const char *name) {
    char row[100];
    char *docs = read_docs();
    (void)snprintf(row, sizeof row, "| `%s` |", scenario->name);
    cr_expect(strstr(docs, row) != NULL, "docs/simulation.md does not list %s", name);
    free(docs);
}

Test(scenario_files, are_listed_in_the_docs) {
    (void)each_file(check_listed);
}

static void check_keys(const struct field *fields, const char *docs) {
    for (; fields->key != NULL; fields++) {
        char key[64];
        (void)snprintf(key, sizeof key, "`%s`", fields->key);
        cr_expect(strstr(docs, key) != NULL, "docs/simulation.md does not say what %s is", key);
        if (fields->fields != NULL) {
            check_keys(fields->fields, docs);
        }
    }
}

static void check_words(const struct choice *choices, const char *docs) {
    for (; choices->word != NULL; choices++) {
        char word[64];
        (void)snprintf(word, sizeof word, "`%s`", choices->word);
        cr_expect(strstr(docs, word) != NULL, "docs/simulation.md does not say what %s is", word);
    }
}

Test(scenario_files, hold_no_key_that_the_docs_do_not_explain) {
    char *docs = read_docs();
    check_keys(SCENARIO_FIELDS, docs);
    check_keys(QUALITY_FIELDS, docs);
    check_keys(LOAD_FIELDS, docs);
    check_keys(FAULT_FIELDS, docs);
    check_words(FAULT_KINDS, docs);
    check_words(LOAD_KINDS, docs);
    check_words(TOPOLOGY_KINDS, docs);
    free(docs);
}

static char targets_found[4096];

static void collect_targets(const struct scenario *scenario, const char *name) {
    (void)name;
    size_t used = strlen(targets_found);
    (void)snprintf(targets_found + used, sizeof targets_found - used, " %s ", scenario->targets);
}

Test(scenario_files, cover_every_target) {
    static const char *const TARGETS[] = {"A1",  "A2",  "A3", "A4", "A5", "A6", "A7", "A8", "A9",
                                          "A13", "A14", "B1", "B2", "B3", "B4", "B6", "B7", "B8",
                                          "D1",  "D2",  "D3", "D4", "D5", "D6", "D8", "D9", "D10"};
    (void)each_file(collect_targets);
    for (size_t i = 0; i < sizeof TARGETS / sizeof TARGETS[0]; i++) {
        char word[16];
        (void)snprintf(word, sizeof word, " %s ", TARGETS[i]);
        cr_expect(strstr(targets_found, word) != NULL, "no scenario for %s", TARGETS[i]);
    }
}
