/* SPDX-License-Identifier: Apache-2.0
 *
 * How much the kernel may hold unsent of a link: by what it says, when it is asked and how often.
 */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "node/internal.h"

#define UNSENT_MOST (128 * 1024)
#define UNSENT_LEAST (16 * 1024)

static int unsent;     /* what the kernel says */
static unsigned asked; /* how often it was */

/* In place of the C library's. */
int ioctl(int fd, unsigned long request, ...) {
    va_list rest;
    (void)fd;
    (void)request;
    va_start(rest, request);
    *va_arg(rest, int *) = unsent;
    va_end(rest);
    asked++;
    return 0;
}

static struct tcp tcp;
static weft_ns now;

static void setup(void) {
    tcp = (struct tcp){.fd = -1, .unsent_max = UNSENT_MOST};
    now = NS_PER_S;
}

TestSuite(tcp_options, .init = setup);

/* The kernel is full, sends down to half, and takes some again. */
static void cycle(weft_ns took) {
    unsent = tcp.unsent_max;
    tcp_note_blocked(&tcp, now);
    now += took;
    unsent = tcp.unsent_max / 2;
    tcp_fit_unsent(&tcp, now);
}

Test(tcp_options, of_a_fast_link_the_kernel_is_not_asked) {
    for (int i = 0; i < 1000; i++) {
        cycle(NS_PER_MS);
    }
    cr_assert_eq(asked, 0);
    cr_assert_eq(tcp.unsent_max, UNSENT_MOST);
}

Test(tcp_options, of_a_slow_link_it_holds_less) {
    for (int i = 0; i < 10; i++) {
        cycle((weft_ns)tcp.unsent_max / 2 * 800); /* 10 Mbit/s */
    }
    cr_assert_eq(tcp.unsent_max, UNSENT_LEAST);
}

Test(tcp_options, of_a_link_that_became_fast_it_holds_all_again) {
    tcp.unsent_max = UNSENT_LEAST;
    for (int i = 0; i < 10; i++) {
        cycle(NS_PER_MS / 10);
    }
    cr_assert_eq(tcp.unsent_max, UNSENT_MOST);
    asked = 0;
    cycle(NS_PER_MS / 10);
    cr_assert_eq(asked, 0);
}

/* One pause says nothing about the rate. */
Test(tcp_options, where_all_was_sent_it_was_the_loop_that_was_late) {
    for (int i = 0; i < 10; i++) {
        unsent = tcp.unsent_max;
        tcp_note_blocked(&tcp, now);
        now += NS_PER_S;
        unsent = 0;
        tcp_fit_unsent(&tcp, now);
    }
    cr_assert_eq(tcp.unsent_max, UNSENT_MOST);
}
