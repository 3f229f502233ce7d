/* SPDX-License-Identifier: Apache-2.0
 *
 * Two nodes inside one program, a thread each.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <time.h>

#include "weft/weft.h"

#define PATIENCE_S 20

struct busy {
    struct weft_node *node;
    time_t until;
    bool is_linked;
    unsigned long calls;
};

static struct weft_node *node_new(const char *name, const char *seed) {
    static const uint8_t secret[WEFT_KEY_BYTES] = {1};
    const char *listen[] = {"127.0.0.1:0"};
    const char *seeds[] = {seed};
    const struct weft_node_config config = {.name = name,
                                            .secret = secret,
                                            .listen = listen,
                                            .listen_count = 1,
                                            .seeds = seeds,
                                            .seed_count = seed != NULL ? 1 : 0,
                                            .is_quiet = true};
    char why[WEFT_NODE_TEXT];
    struct weft_node *node = NULL;
    cr_assert_eq(weft_node_new(&config, &node, why), WEFT_OK, "%s", why);
    return node;
}

static time_t seconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void look(void *ctx, const struct weft_peer *peer) {
    struct busy *busy = ctx;
    busy->is_linked |= peer->is_reachable && !peer->is_self;
}

/* Goes on for ever, from one call to the next. */
static void spin(void *ctx) {
    struct busy *busy = ctx;
    busy->calls++;
    weft_node_each_peer(busy->node, look, busy);
    if (busy->is_linked || seconds() > busy->until) {
        cr_assert_eq(weft_node_stop(busy->node, 0), WEFT_OK);
    } else {
        cr_assert_eq(weft_node_post(busy->node, spin, busy), WEFT_OK);
    }
}

static void *run(void *ctx) {
    weft_node_run(ctx);
    return NULL;
}

Test(node_embed, a_call_that_posts_itself_again_leaves_the_sockets_their_turn) {
    struct weft_node *other = node_new("other", NULL);
    struct busy busy = {.node = node_new("busy", weft_node_listening(other, 0)),
                        .until = seconds() + PATIENCE_S};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, run, other), 0);
    cr_assert_eq(weft_node_post(busy.node, spin, &busy), WEFT_OK);
    weft_node_run(busy.node);
    cr_expect(busy.is_linked);
    cr_expect_gt(busy.calls, 1);
    cr_assert_eq(weft_node_stop(other, 0), WEFT_OK);
    (void)pthread_join(thread, NULL);
    weft_node_free(busy.node);
    weft_node_free(other);
}
