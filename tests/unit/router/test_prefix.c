/* SPDX-License-Identifier: Apache-2.0
 *
 * Which addresses share a network, and which texts are no address.
 */
#include <criterion/criterion.h>

#include "router/prefix.h"

static bool shares(const char *a, const char *b) {
    return prefix_is_shared(router_prefix_of(a), router_prefix_of(b));
}

Test(prefix, groups_ipv4_by_24_bits) {
    cr_expect(shares("203.0.113.1:9338", "203.0.113.254:1"));
    cr_expect_not(shares("203.0.113.1:9338", "203.0.114.1:9338"));
    cr_expect_not(shares("203.0.113.1:9338", "203.1.113.1:9338"));
    cr_expect_not(shares("203.0.113.1:9338", "202.0.113.1:9338"));
}

Test(prefix, groups_ipv6_by_48_bits) {
    cr_expect(shares("[2001:db8:1::1]:9338", "[2001:db8:1:ffff::2]:9338"));
    cr_expect(shares("[2001:DB8:1::]:1", "[2001:0db8:0001:0:0:0:0:9]:1"));
    cr_expect_not(shares("[2001:db8:1::1]:9338", "[2001:db8:2::1]:9338"));
    cr_expect(shares("[::ffff:203.0.113.7]:1", "203.0.113.8:1"), "mapped is the same network");
    cr_expect_not(shares("[cb00:7100::]:1", "203.0.113.0:1"));
}

Test(prefix, finds_local_addresses_which_share_nothing) {
    static const char *const local[] = {
        "127.0.0.1:1",    "10.1.2.3:1",       "192.168.0.9:1", "172.16.0.1:1",
        "172.31.255.1:1", "169.254.1.1:1",    "100.64.0.1:1",  "[::1]:1",
        "[fd00::1]:1",    "[fe80::1%eth0]:1", "[fc00::]:1",    "[::ffff:10.0.0.1]:1"};
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        cr_expect_eq(router_prefix_of(local[i]).kind, PREFIX_LOCAL, "%s", local[i]);
        cr_expect_not(shares(local[i], local[i]));
    }
    static const char *const public[] = {"172.32.0.1:1", "172.15.0.1:1", "100.128.0.1:1",
                                         "11.0.0.1:1",   "[::2]:1",      "[2a00::]:1"};
    for (size_t i = 0; i < sizeof public / sizeof public[0]; i++) {
        cr_expect_eq(router_prefix_of(public[i]).kind, PREFIX_PUBLIC, "%s", public[i]);
    }
}

Test(prefix, refuses_what_is_no_literal) {
    static const char *const texts[] = {"",
                                        ":1",
                                        "example.org:1",
                                        "1.2.3:1",
                                        "1.2.3.4.5:1",
                                        "1.2.3.256:1",
                                        "1.2.3.4444:1",
                                        "1..2.3:1",
                                        "[]:1",
                                        "[:]:1",
                                        "[1]:1",
                                        "[::1::]:1",
                                        "[:1]:1",
                                        "[1:2:3:4:5:6:7:8:9]:1",
                                        "[1:2:3:4:5:6:7]:1",
                                        "[12345::]:1",
                                        "[:::]:1",
                                        "[g::]:1",
                                        "[1:2:3:4:5:6:7:8::]:1",
                                        "[::1.2.3]:1",
                                        "[1:2:3:4:5:6:7:1.2.3.4]:1",
                                        "[1:]:1",
                                        "[0000:0000:0000:0000:0000:0000:0000:0000:00000000]:1"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        cr_expect_eq(router_prefix_of(texts[i]).kind, PREFIX_NONE, "%s", texts[i]);
    }
}
