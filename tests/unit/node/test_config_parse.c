/* SPDX-License-Identifier: Apache-2.0
 *
 * Each text that an operator can write: what is accepted and as what, and what is not.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "node/config_parse.h"

Test(config_parse, numbers_are_whole_decimal_and_within_bounds) {
    static const char *const bad[] = {
        "",   " 1", "1 ", "-1", "+1", "0x1", "1.0", "99999999999999999999", "18446744073709551616",
        "11", "0",  "one"};
    uint64_t value = 0;
    cr_assert(config_parse_number("10", 1, 10, &value));
    cr_assert_eq(value, 10);
    cr_assert(config_parse_number("007", 1, 10, &value));
    cr_assert_eq(value, 7);
    cr_assert(config_parse_number("18446744073709551615", 0, UINT64_MAX, &value));
    cr_assert_eq(value, UINT64_MAX);
    value = 5;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(config_parse_number(bad[i], 1, 10, &value), "%s", bad[i]);
    }
    cr_assert_not(config_parse_number("5", 0, 3, &value));
    cr_assert_eq(value, 5, "left alone");
}

Test(config_parse, durations_have_a_unit) {
    static const struct {
        const char *text;
        weft_ns ns;
    } good[] = {{"1s", NS_PER_S},           {"200ms", 200 * NS_PER_MS},
                {"1.5s", 1500 * NS_PER_MS}, {"0.001ms", NS_PER_US},
                {"2m", 120 * NS_PER_S},     {"1h", 3600 * NS_PER_S},
                {"fast", 200 * NS_PER_MS},  {"0s", 0}};
    static const char *const bad[] = {"",     "1",           "s",          "1 s",    "-1s",
                                      "1.s",  ".5s",         "1.0001s",    "1sec",   "1S",
                                      "1e3s", "9999999999s", "999999999h", "fastest"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        weft_ns ns = 7;
        cr_assert(config_parse_duration(good[i].text, &ns), "%s", good[i].text);
        cr_assert_eq(ns, good[i].ns, "%s", good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        weft_ns ns = 7;
        cr_assert_not(config_parse_duration(bad[i], &ns), "%s", bad[i]);
        cr_assert_eq(ns, 7, "left alone");
    }
}

Test(config_parse, switches) {
    bool is_on = false;
    cr_assert(config_parse_switch("on", &is_on) && is_on);
    cr_assert(config_parse_switch("off", &is_on) && !is_on);
    cr_assert(config_parse_switch("true", &is_on) && is_on);
    cr_assert(config_parse_switch("no", &is_on) && !is_on);
    cr_assert_not(config_parse_switch("On", &is_on));
    cr_assert_not(config_parse_switch("", &is_on));
    cr_assert_not(config_parse_switch("1", &is_on));
}

static void check_endpoint(const char *text, const char *host, uint16_t port) {
    struct config_address address;
    cr_assert(config_parse_endpoint(text, 9338, &address), "%s", text);
    cr_assert_str_eq(address.host, host);
    cr_assert_eq(address.port, port, "%s", text);
}

Test(config_parse, endpoints) {
    static const char *const bad[] = {
        "",       ":80",     "host:",      "host:0",  "host:65536", "a:b:c",
        "::1",    "[::1",    "[]:80",      "[::1]80", "[host]:80",  "a b:80",
        "a/b:80", "host:8x", "http://x:1", "[::1]:",  "host :80",   "h\xc3\xa9:1"};
    struct config_address address;
    check_endpoint("127.0.0.1:8080", "127.0.0.1", 8080);
    check_endpoint("relay.example.org", "relay.example.org", 9338);
    check_endpoint("[::1]:443", "::1", 443);
    check_endpoint("[fe80::1%eth0]", "fe80::1%eth0", 9338);
    check_endpoint("a_b-c:65535", "a_b-c", 65535);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(config_parse_endpoint(bad[i], 9338, &address), "%s", bad[i]);
    }
    cr_assert_not(config_parse_endpoint("host", 0, &address), "no default");
}

Test(config_parse, a_host_of_255_characters_is_the_longest) {
    char text[300];
    struct config_address address;
    memset(text, 'a', sizeof text);
    (void)snprintf(text + 255, sizeof text - 255, ":1");
    cr_assert(config_parse_endpoint(text, 0, &address));
    cr_assert_eq(strlen(address.host), 255);
    (void)snprintf(text + 255, sizeof text - 255, "a:1");
    cr_assert_not(config_parse_endpoint(text, 0, &address));
}

static void check_listen(const char *text, const char *host, uint16_t port, const char *formatted) {
    struct config_address address;
    char back[WEFT_ENDPOINT_MAX + 1];
    cr_assert(config_parse_listen(text, "::", &address), "%s", text);
    cr_assert_str_eq(address.host, host);
    cr_assert_eq(address.port, port);
    config_format_address(&address, back);
    cr_assert_str_eq(back, formatted);
}

Test(config_parse, listening_addresses) {
    struct config_address address;
    check_listen("9338", "::", 9338, "[::]:9338");
    check_listen(":0", "::", 0, "[::]:0");
    check_listen("10.0.0.1:80", "10.0.0.1", 80, "10.0.0.1:80");
    check_listen("[::1]:80", "::1", 80, "[::1]:80");
    cr_assert_not(config_parse_listen("", "::", &address));
    cr_assert_not(config_parse_listen("10.0.0.1", "::", &address));
    cr_assert_not(config_parse_listen("65536", "::", &address));
    cr_assert_not(config_parse_listen("::", "::", &address));
}

Test(config_parse, seeds_with_and_without_a_peer) {
    struct config_seed seed;
    char text[100];
    struct weft_peer_id id = {.bytes = {1, 2, 3}};
    char id_text[WEFT_PEER_ID_TEXT];
    weft_peer_id_format(&id, id_text);
    cr_assert(config_parse_seed("relay", &seed));
    cr_assert_str_eq(seed.endpoint, "relay:9338");
    cr_assert_not(seed.is_peer_known);
    (void)snprintf(text, sizeof text, "%s@[2001:db8::1]:5", id_text);
    cr_assert(config_parse_seed(text, &seed));
    cr_assert_str_eq(seed.endpoint, "[2001:db8::1]:5");
    cr_assert(seed.is_peer_known && weft_peer_id_equal(&seed.peer, &id));
    cr_assert_not(config_parse_seed("abc@relay", &seed), "a prefix is not enough");
    cr_assert_not(config_parse_seed("@relay", &seed));
    cr_assert_not(config_parse_seed("", &seed));
}

Test(config_parse, service_names) {
    char name_space[WEFT_NAME_MAX + 1];
    char name[WEFT_NAME_MAX + 1];
    uint8_t protocol = 0;
    cr_assert(config_parse_service_name("web", name_space, name, &protocol));
    cr_assert_eq(protocol, 1);
    cr_assert_str_eq(name_space, "default");
    cr_assert_str_eq(name, "web");
    cr_assert(config_parse_service_name("lab/db-1", name_space, name, &protocol));
    cr_assert_str_eq(name_space, "lab");
    cr_assert_str_eq(name, "db-1");
    cr_assert(config_parse_service_name("dns/udp", name_space, name, &protocol));
    cr_assert_str_eq(name_space, "default");
    cr_assert_str_eq(name, "dns");
    cr_assert_eq(protocol, 2);
    cr_assert(config_parse_service_name("lab/udp/tcp", name_space, name, &protocol));
    cr_assert_str_eq(name_space, "lab");
    cr_assert_str_eq(name, "udp");
    cr_assert_eq(protocol, 1);
    cr_assert(config_parse_service_name("lab/udp/udp", name_space, name, &protocol));
    cr_assert_str_eq(name, "udp");
    cr_assert_eq(protocol, 2);
    cr_assert(config_parse_service_name("udp", name_space, name, &protocol));
    cr_assert_str_eq(name, "udp");
    cr_assert_eq(protocol, 1);
    static const char *const bad[] = {"",
                                      "/",
                                      "a/",
                                      "/a",
                                      "a/b/c",
                                      "/udp",
                                      "a//udp",
                                      "a/b/udp/tcp",
                                      "-a",
                                      "a b",
                                      "w\xc3\xa9"
                                      "b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(config_parse_service_name(bad[i], name_space, name, &protocol), "%s", bad[i]);
    }
}

Test(config_parse, any_host_name_becomes_a_valid_node_name) {
    static const char *const pairs[][2] = {
        {"host", "host"}, {"my host!", "my-host-"}, {"", "node"},       {"---", "node"},
        {"-a", "a"},      {"\xc3\xa9", "node"},     {"a.b_c", "a.b_c"}, {"(none)", "none-"}};
    char out[WEFT_NAME_MAX + 1];
    char long_text[200];
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        config_name_from(pairs[i][0], out);
        cr_assert_str_eq(out, pairs[i][1]);
    }
    memset(long_text, 'a', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    config_name_from(long_text, out);
    cr_assert_eq(strlen(out), WEFT_NAME_MAX);
}

Test(config_parse, the_likely_meaning_is_suggested) {
    static const char *const keys[] = {"listen", "seeds", "heartbeat", "discovery"};
    cr_assert_str_eq(config_suggest("heartbaet", keys, 4), "heartbeat");
    cr_assert_str_eq(config_suggest("seed", keys, 4), "seeds");
    cr_assert_str_eq(config_suggest("listne", keys, 4), "listen");
    cr_assert_null(config_suggest("banana", keys, 4));
    cr_assert_null(config_suggest("a_key_much_longer_than_any_that_exists", keys, 4));
}
