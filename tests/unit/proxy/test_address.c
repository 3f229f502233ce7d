/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints as operators and peers write them.
 */
#include <criterion/criterion.h>

#include "proxy/address.h"

static void expect_endpoint(const char *text, const char *host, const char *port) {
    struct endpoint endpoint;
    cr_assert_eq(endpoint_parse(text, &endpoint), WEFT_OK, "%s", text);
    cr_expect_str_eq(endpoint.host, host);
    cr_expect_str_eq(endpoint.port, port);
}

Test(proxy_address, splits_host_and_port) {
    expect_endpoint("127.0.0.1:80", "127.0.0.1", "80");
    expect_endpoint("[::1]:0", "::1", "0");
    expect_endpoint("db.example.org:65535", "db.example.org", "65535");
}

Test(proxy_address, refuses_what_is_no_endpoint) {
    const char *const wrong[] = {
        "",           "80",     ":80",   "host",  "host:",   "host:x",      "host:1x", "host:-1",
        "host:65536", "::1:80", "[]:80", "[::1]", "[::1]80", "host:000001", "a:b:1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct endpoint endpoint;
        cr_expect_eq(endpoint_parse(wrong[i], &endpoint), WEFT_ERR_INVALID, "%s", wrong[i]);
    }
}

Test(proxy_address, takes_the_longest_host_and_refuses_a_longer_one) {
    char text[WEFT_ENDPOINT_MAX + 16];
    struct endpoint endpoint;
    memset(text, 'a', sizeof text);
    memcpy(text + WEFT_ENDPOINT_MAX, ":80", 4);
    cr_expect_eq(endpoint_parse(text, &endpoint), WEFT_OK);
    memset(text, 'a', sizeof text);
    memcpy(text + WEFT_ENDPOINT_MAX + 1, ":80", 4);
    cr_expect_eq(endpoint_parse(text, &endpoint), WEFT_ERR_INVALID);
}

Test(proxy_address, listens_at_numbers_and_localhost_only) {
    struct address address;
    char text[WEFT_ENDPOINT_MAX + 1];
    cr_assert_eq(address_parse("localhost:8080", &address), WEFT_OK);
    address_format(&address, text);
    cr_expect_str_eq(text, "127.0.0.1:8080");
    cr_assert_eq(address_parse("[::1]:443", &address), WEFT_OK);
    address_format(&address, text);
    cr_expect_str_eq(text, "[::1]:443");
    cr_expect_eq(address_parse("example.org:80", &address), WEFT_ERR_INVALID);
}

static bool is_loopback(const char *text) {
    struct address address;
    cr_assert_eq(address_parse(text, &address), WEFT_OK);
    return address_is_loopback((const struct sockaddr *)&address.storage);
}

Test(proxy_address, knows_this_machine) {
    cr_expect(is_loopback("127.0.0.1:80"));
    cr_expect(is_loopback("127.255.0.9:80"));
    cr_expect(is_loopback("[::1]:80"));
    cr_expect_not(is_loopback("128.0.0.1:80"));
    cr_expect_not(is_loopback("10.127.0.1:80"));
    cr_expect_not(is_loopback("[::2]:80"));
    cr_expect_not(is_loopback("[::ffff:10.0.0.1]:80"));
}

Test(proxy_address, tells_ports_and_hosts_apart) {
    struct address a;
    struct address b;
    cr_assert_eq(address_parse("127.0.0.1:80", &a), WEFT_OK);
    cr_assert_eq(address_parse("localhost:80", &b), WEFT_OK);
    cr_expect(address_equal(&a, &b));
    cr_assert_eq(address_parse("127.0.0.1:81", &b), WEFT_OK);
    cr_expect_not(address_equal(&a, &b));
    cr_assert_eq(address_parse("127.0.0.2:80", &b), WEFT_OK);
    cr_expect_not(address_equal(&a, &b));
}
