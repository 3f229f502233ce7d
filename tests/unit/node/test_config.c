/* SPDX-License-Identifier: Apache-2.0
 *
 * Layers: what wins over what, defaults, and what flags and variables get wrong.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "node/config.h"
#include "support/failing_alloc.h"

#define ARGUMENTS_MAX 16

#define ARGUMENT_BYTES 256

/* A load with a given environment and flags, both NULL-ended lists. */
static enum weft_err load(const char *const *flags, char *const *environment, struct config *out,
                          struct config_error *error) {
    char texts[ARGUMENTS_MAX][ARGUMENT_BYTES] = {"weftd"};
    char *argv[ARGUMENTS_MAX + 1] = {texts[0]};
    int argc = 1;
    for (; flags != NULL && *flags != NULL; flags++) {
        cr_assert(argc < ARGUMENTS_MAX && strlen(*flags) < ARGUMENT_BYTES);
        (void)snprintf(texts[argc], ARGUMENT_BYTES, "%s", *flags);
        argv[argc] = texts[argc];
        argc++;
    }
    return config_load(argc, argv, environment, out, error);
}

#define FLAGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static char home[] = "HOME=/home/me";

static struct config good(const char *const *flags, char *const *environment) {
    struct config config;
    struct config_error error;
    char *const plain[] = {home, NULL};
    enum weft_err err = load(flags, environment == NULL ? plain : environment, &config, &error);
    cr_assert_eq(err, WEFT_OK, "%s", error.text);
    return config;
}

/* What must fail: with this text somewhere, and this exit status. */
static void bad(const char *const *flags, char *const *environment, int exit_status,
                const char *text) {
    struct config config;
    struct config_error error;
    char *const plain[] = {home, NULL};
    enum weft_err err = load(flags, environment == NULL ? plain : environment, &config, &error);
    cr_assert_eq(err, WEFT_ERR_INVALID, "accepted; expected: %s", text);
    cr_assert_not_null(strstr(error.text, text), "'%s' lacks '%s'", error.text, text);
    cr_assert_eq(error.exit_status, exit_status, "%s", error.text);
}

Test(config, nothing_given_is_enough) {
    struct config config = good(NULL, NULL);
    cr_assert_gt(strlen(config.name), 0);
    cr_assert_eq(config.listen_count, 1);
    cr_assert_str_eq(config.listen[0].host, "::");
    cr_assert_eq(config.listen[0].port, 9338);
    cr_assert_str_eq(config.state, geteuid() == 0 ? "/var/lib/weft" : "/home/me/.local/state/weft");
    cr_assert_not_null(strstr(config.control, "/weft/control.sock"));
    cr_assert_null(config.secret_file);
    cr_assert_eq(config.heartbeat, NS_PER_S);
    cr_assert_eq(config.degree, 8);
    cr_assert(config.may_discover);
    cr_assert_not(config.are_ports_shared);
    cr_assert_not(config.has_http);
    cr_assert_eq(config.log_level, TRACE_INFO);
    cr_assert_eq(config.log_format, CONFIG_LOG_TEXT);
    cr_assert_eq(config.links_max, 512);
    config_fini(&config);
    config_fini(&config); /* zeroed memory is fine */
}

Test(config, every_flag_is_taken_in_both_spellings) {
    struct config config = good(FLAGS("--name", "site-a", "--listen=:1", "--listen", "10.0.0.1:2",
                                      "--seed", "relay", "--secret-file=/s", "--state=/st",
                                      "--service", "web=127.0.0.1:80", "--forward", "db=5432"),
                                NULL);
    cr_assert_str_eq(config.name, "site-a");
    cr_assert_eq(config.listen_count, 2);
    cr_assert_str_eq(config.listen[1].host, "10.0.0.1");
    cr_assert_str_eq(config.seeds[0].endpoint, "relay:9338");
    cr_assert_str_eq(config.secret_file, "/s");
    cr_assert_str_eq(config.control, "/st/control.sock");
    cr_assert_str_eq(config.services[0].endpoints[0], "127.0.0.1:80");
    cr_assert_str_eq(config.services[0].name_space, "default");
    cr_assert_eq(config.services[0].protocol, 1);
    cr_assert_str_eq(config.forwards[0].name, "db");
    cr_assert_str_eq(config.forwards[0].listen.host, "127.0.0.1");
    cr_assert_eq(config.forwards[0].listen.port, 5432);
    config_fini(&config);
    config =
        good(FLAGS("--control=/c", "--discovery=off", "--degree=3", "--heartbeat=fast",
                   "--http=9000", "--log-level=debug", "--log-format", "json", "--share-ports=on"),
             NULL);
    cr_assert(config.are_ports_shared);
    cr_assert_str_eq(config.control, "/c");
    cr_assert_not(config.may_discover);
    cr_assert_eq(config.degree, 3);
    cr_assert_eq(config.heartbeat, 200 * NS_PER_MS);
    cr_assert(config.has_http);
    cr_assert_str_eq(config.http.host, "127.0.0.1");
    cr_assert_eq(config.http.port, 9000);
    cr_assert_eq(config.log_level, TRACE_DEBUG);
    cr_assert_eq(config.log_format, CONFIG_LOG_JSON);
    config_fini(&config);
}

static void write_file(char path[64], const char *text) {
    (void)snprintf(path, 64, "/tmp/weft-config-XXXXXX");
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    cr_assert_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(file);
}

Test(config, flags_win_over_variables_and_those_over_the_file) {
    char path[64];
    char variable[100];
    write_file(path, "name: file\ndegree: 2\nheartbeat: 2s\nseeds: [f1, f2]\nlisten: 1\n");
    (void)snprintf(variable, sizeof variable, "WEFT_CONFIG=%s", path);
    char *const environment[] = {home,
                                 variable,
                                 (char[]){"WEFT_NAME=variable"},
                                 (char[]){"WEFT_DEGREE=3"},
                                 (char[]){"WEFT_SEED=v1,v2,v3"},
                                 (char[]){"WEFT_LISTEN="},
                                 NULL};
    struct config config = good(FLAGS("--name=flag", "--listen=7"), environment);
    cr_assert_str_eq(config.name, "flag");
    cr_assert_eq(config.degree, 3);
    cr_assert_eq(config.heartbeat, 2 * NS_PER_S);
    cr_assert_eq(config.seed_count, 3, "lists are replaced");
    cr_assert_str_eq(config.seeds[2].endpoint, "v3:9338");
    cr_assert_eq(config.listen_count, 1);
    cr_assert_eq(config.listen[0].port, 7);
    cr_assert_str_eq(config.file, path);
    config_fini(&config);
    (void)unlink(path);
}

Test(config, tables_are_joined_by_name) {
    char path[64];
    char flag[100];
    write_file(path, "services: {web: '1.1.1.1:1', db: '2.2.2.2:2'}\nforwards: {a: 1, b: 2}\n"
                     "labels: {z: 1, a: 2}\n");
    (void)snprintf(flag, sizeof flag, "--config=%s", path);
    char *const environment[] = {home, (char[]){"WEFT_LABELS=z=9,m=5"}, NULL};
    struct config config = good(FLAGS(flag, "--service=web=3.3.3.3:3", "--service=web=4.4.4.4:4",
                                      "--service=lab/web=5.5.5.5:5", "--forward=b=[::1]:3"),
                                environment);
    cr_assert_eq(config.service_count, 3);
    cr_assert_eq(config.services[0].endpoint_count, 2, "a stronger layer's endpoints replace");
    cr_assert_str_eq(config.services[0].endpoints[1], "4.4.4.4:4");
    cr_assert_str_eq(config.services[1].endpoints[0], "2.2.2.2:2");
    cr_assert_str_eq(config.services[2].name_space, "lab");
    cr_assert_eq(config.forward_count, 2);
    cr_assert_str_eq(config.forwards[1].listen.host, "::1");
    cr_assert_eq(config.label_count, 3);
    cr_assert_str_eq(config.labels[0].key, "a");
    cr_assert_str_eq(config.labels[1].key, "m");
    cr_assert_str_eq(config.labels[2].value, "9");
    config_fini(&config);
    (void)unlink(path);
}

Test(config, a_wrong_value_of_a_flag_names_the_flag_and_what_was_expected) {
    static const char *const flags[][2] = {
        {"--name=a b", "--name: expected 1 to 63 letters"},
        {"--name=", "--name: expected"},
        {"--listen=x", "--listen: expected [ADDR]:PORT"},
        {"--seed=a:b:c", "--seed: expected [PEER@]HOST[:PORT]"},
        {"--state=", "--state: expected the path"},
        {"--service=web", "--service: expected NAME=HOST:PORT"},
        {"--service=web=8080", "--service: expected NAME=HOST:PORT"},
        {"--service=a/b/c=h:1", "--service: expected"},
        {"--forward=web=70000", "--forward: expected NAME=[ADDR:]PORT"},
        {"--discovery=maybe", "--discovery: expected on or off, not 'maybe'"},
        {"--share-ports=maybe", "--share-ports: expected on or off, not 'maybe'"},
        {"--degree=0", "--degree: expected a number from 1 to 1024, not '0'"},
        {"--degree=1025", "--degree: expected a number"},
        {"--degree=1000", "degree: expected at most limits.links (512), not 1000"},
        {"--heartbeat=5", "--heartbeat: expected a duration"},
        {"--heartbeat=49ms", "--heartbeat: expected a duration"},
        {"--heartbeat=61s", "--heartbeat: expected a duration"},
        {"--http=x", "--http: expected [ADDR:]PORT"},
        {"--log-level=loud", "--log-level: expected error, warn, info or debug"},
        {"--log-format=xml", "--log-format: expected text or json, not 'xml'"},
        {"--config=/nowhere/x", "/nowhere/x: cannot be read: No such file"},
        {"--config=/tmp", "/tmp: expected a file"},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        bad(FLAGS(flags[i][0]), NULL, CONFIG_EXIT_INVALID, flags[i][1]);
    }
}

Test(config, an_unknown_flag_is_a_usage_error_with_a_suggestion) {
    bad(FLAGS("--heartbaet=1s"), NULL, CONFIG_EXIT_USAGE, "did you mean --heartbeat?");
    bad(FLAGS("--conifg", "x"), NULL, CONFIG_EXIT_USAGE, "did you mean --config?");
    bad(FLAGS("--banana"), NULL, CONFIG_EXIT_USAGE, "--banana: unknown flag");
    bad(FLAGS("banana"), NULL, CONFIG_EXIT_USAGE, "banana: expected a flag");
    bad(FLAGS("--name"), NULL, CONFIG_EXIT_USAGE, "--name: expected a value");
    bad(FLAGS("--"), NULL, CONFIG_EXIT_USAGE, "unknown flag");
    bad(FLAGS("--config=/nowhere", "--banana"), NULL, CONFIG_EXIT_USAGE, "--banana");
}

Test(config, a_wrong_variable_is_named) {
    char *const degree[] = {home, (char[]){"WEFT_DEGREE=x"}, NULL};
    char *const seeds[] = {home, (char[]){"WEFT_SEED=a,,b"}, NULL};
    char *const limits[] = {home, (char[]){"WEFT_LIMITS_LINKS=4"}, NULL};
    bad(NULL, degree, CONFIG_EXIT_INVALID,
        "WEFT_DEGREE: expected a number from 1 to 1024, not 'x'");
    bad(NULL, seeds, CONFIG_EXIT_INVALID, "WEFT_SEED: expected");
    bad(NULL, limits, CONFIG_EXIT_INVALID, "degree: expected at most limits.links (4), not 8");
}

Test(config, lists_are_bounded) {
    char text[10 * 300] = "WEFT_SEED=a";
    size_t len = strlen(text);
    for (int i = 0; i < CONFIG_SEEDS_MAX; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, ",s%d", i);
    }
    char *const environment[] = {home, text, NULL};
    bad(NULL, environment, CONFIG_EXIT_INVALID, "WEFT_SEED: too many");
    bad(FLAGS("--listen=1", "--listen=2", "--listen=3", "--listen=4", "--listen=5", "--listen=6",
              "--listen=7", "--listen=8", "--listen=9"),
        NULL, CONFIG_EXIT_INVALID, "--listen: too many");
}

Test(config, a_control_path_too_long_for_a_socket_is_found) {
    char flag[200] = "--control=/";
    memset(flag + 11, 'a', 107);
    bad(FLAGS(flag), NULL, CONFIG_EXIT_INVALID, "control: expected a path of at most 107");
    flag[117] = '\0';
    struct config config = good(FLAGS(flag), NULL);
    cr_assert_eq(strlen(config.control), 107);
    config_fini(&config);
}

Test(config, help_and_version_need_nothing_else) {
    struct config config = good(FLAGS("--help"), NULL);
    cr_assert(config.wants_help);
    config_fini(&config);
    config = good(FLAGS("--version"), NULL);
    cr_assert(config.wants_version);
    config_fini(&config);
    cr_assert_not_null(strstr(config_usage(), "--secret-file"));
}

Test(config, short_of_memory_it_says_so_and_leaks_nothing) {
    char *const environment[] = {home, (char[]){"WEFT_SEED=a,b"}, (char[]){"WEFT_LABELS=k=v"},
                                 NULL};
    FAILING_ALLOC_EACH(nth) {
        struct config config = {.file = NULL};
        struct config_error error;
        enum weft_err err = load(FLAGS("--service=web=h:1", "--forward=web=1", "--state=/s"),
                                 environment, &config, &error);
        bool has_failed = failing_alloc_disarm();
        cr_assert_eq(err, has_failed ? WEFT_ERR_MEMORY : WEFT_OK);
        if (err == WEFT_OK) {
            config_fini(&config);
        } else {
            cr_assert_not_null(strstr(error.text, "out of memory"), "%s", error.text);
        }
    }
}
