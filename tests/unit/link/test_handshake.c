/* SPDX-License-Identifier: Apache-2.0
 *
 * The link handshake: that it joins who shares a secret however the bytes are cut, and that nobody
 * else gets a byte of answer.
 */
#include <criterion/criterion.h>

#include "unit/link/pair.h"

#define START ((weft_ns)1000000000)

static struct end a;
static struct end b;

static void setup(void) {
    end_init(&a, 2, 9);
    end_init(&b, 3, 9);
}

static void teardown(void) {
    end_fini(&a);
    end_fini(&b);
}

TestSuite(link_handshake, .init = setup, .fini = teardown);

Test(link_handshake, joins_two_that_share_a_secret) {
    pair_up(&a, &b, START);
    cr_assert(weft_peer_id_equal(&a.peer, &b.identity.id));
    cr_assert(weft_peer_id_equal(&b.peer, &a.identity.id));
    cr_assert_str_eq(a.peer_name, "odd");
    cr_assert_str_eq(b.peer_name, "even");
    cr_assert_eq(a.version, WIRE_VERSION_MAX);
    cr_assert_eq(b.version, WIRE_VERSION_MAX);
    cr_assert(link_is_up(a.link) && link_is_up(b.link));
    cr_assert_eq(link_role(a.link), LINK_DIALLED);
    cr_assert_eq(link_role(b.link), LINK_ACCEPTED);
}
