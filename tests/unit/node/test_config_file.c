/* SPDX-License-Identifier: Apache-2.0
 *
 * The YAML file: every key, and every way to get it wrong, with file, line, key and what was
 * expected.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/rng.h"
#include "node/config.h"
#include "node/config_settings.h"

struct scratch_file {
    char path[64];
};

static struct scratch_file file_of(const char *text, size_t len) {
    struct scratch_file file = {.path = "/tmp/weft-yaml-XXXXXX"};
    int descriptor = mkstemp(file.path);
    cr_assert_geq(descriptor, 0);
    cr_assert_eq(write(descriptor, text, len), (ssize_t)len);
    (void)close(descriptor);
    return file;
}

static enum weft_err load_path(const char *path, struct config *out, struct config_error *error) {
    char flag[200];
    char program[] = "weftd";
    char state[] = "--state=/s";
    (void)snprintf(flag, sizeof flag, "--config=%s", path);
    char *argv[] = {program, state, flag, NULL};
    return config_load(3, argv, NULL, out, error);
}

static struct config good(const char *text) {
    struct config config;
    struct config_error error;
    struct scratch_file file = file_of(text, strlen(text));
    enum weft_err err = load_path(file.path, &config, &error);
    (void)unlink(file.path);
    cr_assert_eq(err, WEFT_OK, "%s", error.text);
    return config;
}

/* `reason` follows the file's name, and thus begins with the line. */
static void bad(const char *text, const char *reason) {
    struct config config;
    struct config_error error;
    char expected[300];
    struct scratch_file file = file_of(text, strlen(text));
    enum weft_err err = load_path(file.path, &config, &error);
    (void)unlink(file.path);
    cr_assert_eq(err, WEFT_ERR_INVALID, "accepted: %s", text);
    (void)snprintf(expected, sizeof expected, "%s:%s", file.path, reason);
    cr_assert_eq(strncmp(error.text, expected, strlen(expected)), 0, "'%s' is not '%s'", error.text,
                 expected);
    cr_assert_eq(error.exit_status, 78);
}

Test(config_file, every_key_is_taken) {
    struct config config = good("name: site-a\n"
                                "listen: ['[::]:1', 10.0.0.1:2]\n"
                                "seeds: relay\n"
                                "secret_file: /x/secret\n"
                                "control: /x/sock\n"
                                "services:\n"
                                "  web: 127.0.0.1:80\n"
                                "  db: [1.1.1.1:1, 2.2.2.2:2]\n"
                                "  lab/dns: {endpoints: 9.9.9.9:53, protocol: udp}\n"
                                "forwards: {web: 8080, lab/x: '0.0.0.0:9', lab/dns/udp: 53}\n"
                                "labels: {site: hamburg, rack: '7'}\n"
                                "discovery: off\n"
                                "degree: 3\n"
                                "heartbeat: 200ms\n"
                                "http: 127.0.0.1:9\n"
                                "log: {level: warn, format: json}\n"
                                "limits: {links: 9, streams: 10, peers: 11, flows: 16}\n"
                                "udp: {idle: 5m, unanswered: 10s}\n");
    cr_assert_str_eq(config.name, "site-a");
    cr_assert_eq(config.listen_count, 2);
    cr_assert_eq(config.seed_count, 1);
    cr_assert_str_eq(config.secret_file, "/x/secret");
    cr_assert_str_eq(config.control, "/x/sock");
    cr_assert_str_eq(config.state, "/s", "a flag wins");
    cr_assert_eq(config.service_count, 3);
    cr_assert_eq(config.services[1].endpoint_count, 2);
    cr_assert_str_eq(config.services[2].name_space, "lab");
    cr_assert_eq(config.services[2].protocol, 2);
    cr_assert_eq(config.forward_count, 3);
    cr_assert_str_eq(config.forwards[1].listen.host, "0.0.0.0");
    cr_assert_eq(config.forwards[1].protocol, 1);
    cr_assert_str_eq(config.forwards[2].name, "dns");
    cr_assert_eq(config.forwards[2].protocol, 2);
    cr_assert_eq(config.flows_max, 16);
    cr_assert_eq(config.flow_idle, 300 * NS_PER_S);
    cr_assert_eq(config.flow_unanswered, 10 * NS_PER_S);
    cr_assert_eq(config.label_count, 2);
    cr_assert_str_eq(config.labels[0].value, "7");
    cr_assert_not(config.may_discover);
    cr_assert_eq(config.degree, 3);
    cr_assert_eq(config.heartbeat, 200 * NS_PER_MS);
    cr_assert_eq(config.http.port, 9);
    cr_assert_eq(config.log_level, TRACE_WARN);
    cr_assert_eq(config.log_format, CONFIG_LOG_JSON);
    cr_assert_eq(config.links_max, 9);
    cr_assert_eq(config.streams_max, 10);
    cr_assert_eq(config.peers_max, 11);
    config_fini(&config);
}

Test(config_file, nothing_but_comments_is_fine) {
    static const char *const texts[] = {"", "# nothing\n", "---\n", "{}\n", "--- \n# x\n...\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct config config = good(texts[i]);
        cr_assert_eq(config.degree, 8);
        config_fini(&config);
    }
}

Test(config_file, unknown_keys_are_errors_with_a_suggestion) {
    bad("name: a\nheartbaet: 1s\n", "2: heartbaet: unknown key; did you mean 'heartbeat'?");
    bad("seed: a\n", "1: seed: unknown key; did you mean 'seeds'?");
    bad("log:\n  levle: info\n", "2: log.levle: unknown key; did you mean 'log.level'?");
    bad("limit: {}\n", "1: limit: unknown key; did you mean 'limits'?");
    bad("limits: {cows: 1}\n", "1: limits.cows: unknown key");
    bad("\n\nbanana: 1\n", "3: banana: unknown key; expected one that");
    bad("log.level: info\n", "1: log.level: unknown key");
    bad("services:\n  web:\n    endpoint: a:1\n",
        "3: services.web.endpoint: unknown key; expected endpoints or protocol");
    bad("<<: {name: a}\n", "1: <<: unknown key");
}

Test(config_file, duplicates_are_errors_that_name_both_lines) {
    bad("name: a\ndegree: 1\nname: b\n", "3: name: given twice, first in line 1");
    bad("log:\n  level: info\n  level: warn\n", "3: log.level: given twice, first in line 2");
    bad("services:\n  a: h:1\n  a: h:2\n", "3: services.a: given twice, first in line 2");
    bad("services: {a: {endpoints: h:1, endpoints: h:2}}\n",
        "1: services.a.endpoints: given twice");
}

Test(config_file, wrong_types_name_what_was_expected_and_what_was_found) {
    bad("name: [a]\n", "1: name: expected 1 to 63 letters");
    bad("name: {a: b}\n", "1: name: expected 1 to 63 letters");
    bad("degree: [1]\n", "1: degree: expected a number from 1 to 1024, not a list");
    bad("listen: {a: 1}\n", "1: listen: expected [ADDR]:PORT");
    bad("listen:\n  - 1\n  - [2]\n", "3: listen: expected [ADDR]:PORT");
    bad("services: web\n", "1: services: expected a mapping of names");
    bad("services: [web]\n", "1: services: expected a mapping of names");
    bad("forwards: {web: [1]}\n", "1: forwards.web: expected NAME=[ADDR:]PORT");
    bad("labels: {a: {b: c}}\n", "1: labels.a: expected KEY=VALUE");
    bad("log: info\n", "1: log: expected a mapping, not a single value");
    bad("limits: [1]\n", "1: limits: expected a mapping, not a list");
    bad("- name\n", "1: expected a mapping of keys, not a list");
    bad("name\n", "1: expected a mapping of keys, not a single value");
    bad("? [a]\n: b\n", "1: expected a key that is a text, not a list");
    bad("services: {web: {endpoints: {a: b}}}\n", "1: services.web: expected NAME=HOST:PORT");
    bad("services: {web: {endpoints: h:1, protocol: [udp]}}\n",
        "1: services.web: expected tcp or udp, not 'a list'");
}

Test(config_file, wrong_values_name_line_key_and_value) {
    bad("\ndegree: many\n", "2: degree: expected a number from 1 to 1024, not 'many'");
    bad("degree:\n", "1: degree: expected a number from 1 to 1024, not ''");
    bad("degree: 0\n", "1: degree: expected a number");
    bad("name: a b\n", "1: name: expected");
    bad("listen:\n  - 1\n  - x\n", "3: listen: expected [ADDR]:PORT");
    bad("seeds:\n  - 'a b'\n", "2: seeds: expected [PEER@]HOST[:PORT]");
    bad("heartbeat: 1\n", "1: heartbeat: expected a duration");
    bad("discovery: 7\n", "1: discovery: expected on or off, not '7'");
    bad("services:\n  web: 80\n", "2: services.web: expected NAME=HOST:PORT");
    bad("services:\n  w b: h:1\n", "2: services.w b: expected NAME=HOST:PORT");
    bad("services:\n  web:\n    - h:1\n    - h\n", "4: services.web: expected NAME=HOST:PORT");
    bad("services: {web: {protocol: tcp}}\n", "1: services.web: expected endpoints");
    bad("services: {web: {endpoints: []}}\n", "1: services.web: expected endpoints");
    bad("services: {dns/udp: h:1, dns: {endpoints: h:1, protocol: udp}}\n",
        "1: services.dns: dns is there already over udp");
    bad("services: {web: {endpoints: h:1, protocol: icmp}}\n",
        "1: services.web: expected tcp or udp, not 'icmp'");
    bad("forwards:\n  web: port\n", "2: forwards.web: expected NAME=[ADDR:]PORT");
    bad("labels: {'a=b': c}\n", "1: labels.a=b: expected KEY=VALUE");
    bad("labels: {a: \"x\\ny\"}\n", "1: labels.a: expected KEY=VALUE");
    bad("labels: {a/b: c}\n", "1: labels.a/b: expected KEY=VALUE, the key a name");
    bad("labels: {the rack: c}\n", "1: labels.the rack: expected KEY=VALUE, the key a name");
    bad("labels: {a: \"\u00fc\"}\n", "1: labels.a: expected KEY=VALUE");
    bad("log: {level: loud}\n", "1: log.level: expected error, warn, info or debug, not 'loud'");
    bad("log:\n  format: xml\n", "2: log.format: expected text or json");
    bad("http: nowhere\n", "1: http: expected [ADDR:]PORT");
    bad("limits: {links: 0}\n", "1: limits.links: expected a number");
    bad("limits: {streams: -1}\n", "1: limits.streams: expected a number");
    bad("limits: {peers: 1000001}\n", "1: limits.peers: expected a number");
    bad("name: \"a\\0b\"\n", "1: name: expected");
}

Test(config_file, what_is_no_yaml_names_its_line) {
    bad("name: a\n  degree: 1\n", "2: expected YAML:");
    bad("name: [a\n", "2: expected YAML:");
    bad("\tname: a\n", "1: expected YAML:");
    bad("name: *unknown\n", "1: expected YAML:");
    bad("name: a\n---\nname: b\n", "3: expected one document, not a second");
    bad("name: \xff\n", "");
}

Test(config_file, anchors_work_and_cannot_explode) {
    struct config config = good("services: {a: &x [h:1, h:2], b: *x}\n");
    cr_assert_str_eq(config.services[1].endpoints[1], "h:2");
    config_fini(&config);
    bad("services: &s {a: *s}\n", "1: services.a");
    bad("seeds: &l [*l]\n", "1: seeds: expected");
    bad("seeds: [&a [x, x], [*a, *a]]\n", "1: seeds: expected");
}

Test(config_file, too_many_of_anything_is_refused) {
    char text[20000] = "services:\n";
    size_t len = strlen(text);
    for (int i = 0; i <= CONFIG_SERVICES_MAX; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "  s%d: h:1\n", i);
    }
    bad(text, "258: services.s256: too many; expected");
    len = (size_t)snprintf(text, sizeof text, "services: {a: [");
    for (int i = 0; i <= CONFIG_ENDPOINTS_MAX; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "h:1,");
    }
    (void)snprintf(text + len, sizeof text - len, "]}\n");
    bad(text, "1: services.a: too many");
    len = (size_t)snprintf(text, sizeof text, "labels:\n");
    for (int i = 0; i <= CONFIG_LABELS_MAX; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "  l%d: x\n", i);
    }
    bad(text, "18: labels.l16: too many");
}

Test(config_file, a_file_of_more_than_a_megabyte_is_refused) {
    char *text = malloc(CONFIG_FILE_BYTES_MAX + 2);
    struct config config;
    struct config_error error;
    cr_assert_not_null(text);
    memset(text, '#', CONFIG_FILE_BYTES_MAX + 1);
    struct scratch_file file = file_of(text, CONFIG_FILE_BYTES_MAX + 1);
    cr_assert_eq(load_path(file.path, &config, &error), WEFT_ERR_INVALID);
    cr_assert_not_null(strstr(error.text, "at most 1048576 bytes"), "%s", error.text);
    (void)unlink(file.path);
    free(text);
}

/* Neither crash nor leak, whatever stands in the file; the seeds of the mutations are printed. */
Test(config_file, random_changes_of_a_good_file_do_no_harm) {
    char text[8192];
    FILE *example = fopen(WEFT_EXAMPLE, "r");
    cr_assert_not_null(example);
    size_t len = fread(text, 1, sizeof text, example);
    (void)fclose(example);
    for (uint8_t seed = 0; seed < 200; seed++) {
        struct rng rng;
        char changed[8192];
        struct config config;
        struct config_error error;
        rng_init(&rng, (const uint8_t[32]){seed, 2});
        memcpy(changed, text, len);
        for (uint64_t i = rng_below(&rng, 20) + 1; i > 0; i--) {
            static const char odd[] = "{}[]:,&*!|>'\"%@`-#?\n\t \0a1\xff";
            changed[rng_below(&rng, len)] = odd[rng_below(&rng, sizeof odd)];
        }
        struct scratch_file file = file_of(changed, len - rng_below(&rng, len / 2));
        enum weft_err err = load_path(file.path, &config, &error);
        (void)unlink(file.path);
        if (err == WEFT_OK) {
            config_fini(&config);
        } else {
            cr_assert_eq(err, WEFT_ERR_INVALID, "seed %u", seed);
            bool names_file = strncmp(error.text, file.path, strlen(file.path)) == 0;
            bool is_whole =
                strncmp(error.text, "degree:", 7) == 0 || strncmp(error.text, "control:", 8) == 0;
            cr_assert(names_file || is_whole, "seed %u: %s", seed, error.text);
        }
    }
}

Test(config_file, the_annotated_example_is_right) {
    struct config config;
    struct config_error error;
    cr_assert_eq(load_path(WEFT_EXAMPLE, &config, &error), WEFT_OK, "%s", error.text);
    cr_assert_eq(config.service_count, 4);
    cr_assert_eq(config.forward_count, 3);
    cr_assert_eq(config.label_count, 2);
    config_fini(&config);
}

static char *text_of_file(const char *path) {
    char *text = calloc(1, 65536);
    FILE *file = fopen(path, "r");
    cr_assert(text != NULL && file != NULL);
    cr_assert_gt(fread(text, 1, 65535, file), 0);
    (void)fclose(file);
    return text;
}

Test(config_file, the_manual_and_the_example_name_every_setting) {
    char *manual = text_of_file(WEFT_MAN_PAGE);
    char *example = text_of_file(WEFT_EXAMPLE);
    for (size_t i = 0; i < config_setting_count(); i++) {
        const struct config_setting *setting = config_setting_at(i);
        const char *dot = strchr(setting->key, '.');
        const char *key = dot == NULL ? setting->key : dot + 1;
        cr_assert_not_null(strstr(manual, setting->variable), "%s", setting->variable);
        cr_assert_not_null(strstr(manual, key), "%s", key);
        cr_assert_not_null(strstr(example, key), "%s", key);
        if (setting->flag != NULL) {
            cr_assert_not_null(strstr(config_usage(), setting->flag), "%s", setting->flag);
        }
    }
    free(manual);
    free(example);
}
