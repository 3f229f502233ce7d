/* SPDX-License-Identifier: Apache-2.0
 *
 * Each allocation fails once: nothing leaks, nothing is half done, and a later try succeeds.
 */
#include <criterion/criterion.h>

#include "graph.h"
#include "router/dialer.h"
#include "support/failing_alloc.h"

static void random_fill(void *ctx, uint8_t *out, size_t len) {
    (void)ctx;
    memset(out, 7, len);
}

/* A body with one link and two addresses, made before allocations begin to fail. */
struct word {
    uint8_t bytes[1000];
    struct wire_peer_body body;
    struct wire_word *parsed;
};

static void word_make(struct word *word, const struct weft_peer_id *owner,
                      const struct wire_peer_link *link) {
    static const char *const addresses[] = {"10.0.0.1:1", "10.0.0.2:1"};
    struct wire_peer_source source = {.name = "n",
                                      .software = "",
                                      .links = link,
                                      .link_count = 1,
                                      .addresses = addresses,
                                      .address_count = 2};
    struct wire_writer writer = wire_writer_of(word->bytes, sizeof word->bytes);
    wire_peer_body_encode(&writer, &source);
    cr_assert_eq(wire_peer_body_decode(wire_writer_view(&writer), &word->body), WEFT_OK);
    cr_assert_eq(wire_word_new(owner, &word->body, &word->parsed), WEFT_OK);
}

static void words_make(struct word words[2], struct weft_peer_id ids[2]) {
    for (uint32_t i = 0; i < 2; i++) {
        ids[i] = graph_id(i);
    }
    for (uint32_t i = 0; i < 2; i++) {
        struct wire_peer_link link = {.peer = ids[1 - i], .cost_us = 5};
        word_make(&words[i], &ids[i], &link);
    }
}

static void words_free(struct word words[2]) {
    wire_word_unref(words[0].parsed);
    wire_word_unref(words[1].parsed);
}

Test(memory, a_router_that_cannot_be_made_says_so) {
    FAILING_ALLOC_EACH(nth) {
        struct router *router = NULL;
        struct router_config config = {.self = graph_id(0), .peers_max = 10};
        enum weft_err err = router_new(&config, &router);
        cr_assert_eq(err != WEFT_OK, failing_alloc_disarm());
        router_free(router);
    }
}

Test(memory, a_word_that_finds_no_room_changes_nothing_and_may_be_said_again) {
    struct word words[2];
    struct weft_peer_id ids[2];
    words_make(words, ids);
    FAILING_ALLOC_EACH(nth) {
        struct router *router = NULL;
        struct router_config config = {.self = ids[0], .peers_max = 10};
        enum weft_err err = router_new(&config, &router);
        for (uint32_t i = 0; i < 2 && err == WEFT_OK; i++) {
            err = router_set_peer(router, words[i].parsed, 0);
        }
        bool has_failed = failing_alloc_disarm();
        cr_assert(err == WEFT_OK || (err == WEFT_ERR_MEMORY && has_failed));
        for (uint32_t i = 0; i < 2 && router != NULL; i++) {
            cr_assert_eq(router_set_peer(router, words[i].parsed, 0), WEFT_OK);
        }
        if (router != NULL) {
            cr_assert(router_update(router, 0));
            cr_assert_eq(router_reachable_count(router), 1);
        }
        router_free(router);
    }
    words_free(words);
}

Test(memory, a_word_that_cannot_be_parsed_for_want_of_room_says_so) {
    struct word words[2];
    struct weft_peer_id ids[2];
    words_make(words, ids);
    FAILING_ALLOC_EACH(nth) {
        struct wire_word *word = NULL;
        enum weft_err err = wire_word_new(&ids[0], &words[0].body, &word);
        cr_assert_eq(err != WEFT_OK, failing_alloc_disarm());
        wire_word_unref(word);
    }
    words_free(words);
}

/* Asks everything once; whether all answers were there. */
static bool ask_all(struct router *router, const struct weft_peer_id ids[2]) {
    struct weft_peer_id child;
    struct weft_peer_id trace[2];
    bool is_there = router_path_to(router, &ids[1]).is_reachable;
    is_there &= router_next_hop(router, &ids[1], &child);
    is_there &= router_children(router, &ids[0], &child, 1) == 1;
    is_there &= router_trace(router, &ids[1], trace, 2) == 2;
    is_there &= router_digest(router) != 0;
    cr_assert_not(router_can_spare(router, &ids[1]));
    return is_there;
}

/* Who was told that there is no way asks again only when an update says so. */
static void expect_told_again(struct router *router, const struct weft_peer_id ids[2]) {
    cr_assert_eq(router_deadline(router), NS_PER_S);
    cr_assert(router_update(router, NS_PER_S));
    cr_assert(router_path_to(router, &ids[1]).is_reachable);
    cr_assert_eq(router_deadline(router), WEFT_NEVER);
}

static void asked_while_failing(struct graph_pool *pool, const struct word words[2],
                                const struct weft_peer_id ids[2], uint64_t nth) {
    struct router *router = NULL;
    struct router_config config = {.self = ids[0], .peers_max = 10, .pool = pool};
    cr_assert_eq(router_new(&config, &router), WEFT_OK);
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert_eq(router_set_peer(router, words[i].parsed, 0), WEFT_OK);
    }
    cr_assert(router_update(router, 0));
    failing_alloc_arm(nth);
    bool is_reached = router_path_to(router, &ids[1]).is_reachable;
    bool is_there = ask_all(router, ids);
    bool has_failed = failing_alloc_disarm();
    cr_assert((is_reached && is_there) || has_failed);
    cr_assert(ask_all(router, ids), "what failed is tried again when asked again");
    if (!is_reached) {
        expect_told_again(router, ids);
    }
    router_free(router);
}

/* A third peer comes to hang on two who have routes already; then 1 lists a hundred more. */
Test(memory, a_repair_that_finds_no_room_is_made_good_when_asked_again) {
    FAILING_ALLOC_EACH(nth) {
        failing_alloc_disarm();
        static struct graph graph;
        graph = (struct graph){.count = 40};
        for (uint32_t i = 0; i < graph.count; i++) {
            graph.ids[i] = graph_id(i);
            graph_link(&graph, i, (i + 1) % graph.count, 5);
        }
        struct router *router = graph_router(&graph, 0);
        for (uint32_t i = 0; i < graph.count; i++) {
            graph_tell(&graph, router, i, 0);
        }
        (void)graph_settle(router);
        cr_assert(router_path_to(router, &graph.ids[20]).is_reachable);
        for (uint32_t i = 2; i < 15; i++) {
            graph_link(&graph, 1, i, 1);
            graph_tell(&graph, router, i, NS_PER_S);
        }
        graph_tell(&graph, router, 1, NS_PER_S);
        cr_assert(router_update(router, 10 * NS_PER_S));
        failing_alloc_arm(nth);
        bool is_there = router_path_to(router, &graph.ids[20]).is_reachable;
        bool has_failed = failing_alloc_disarm();
        cr_assert(is_there || has_failed);
        cr_assert_eq(router_path_to(router, &graph.ids[14]).cost_us, 6);
        router_free(router);
    }
}

Test(memory, a_computation_that_finds_no_room_is_made_when_asked_again) {
    struct word words[2];
    struct weft_peer_id ids[2];
    words_make(words, ids);
    FAILING_ALLOC_EACH(nth) {
        failing_alloc_disarm(); /* only the computation is to fail */
        asked_while_failing(NULL, words, ids, nth);
    }
    words_free(words);
}

Test(memory, a_shared_computation_that_finds_no_room_is_made_when_asked_again) {
    struct word words[2];
    struct weft_peer_id ids[2];
    words_make(words, ids);
    FAILING_ALLOC_EACH(nth) {
        failing_alloc_disarm();
        struct hash_key key = {{1}};
        struct graph_pool *pool = graph_pool_new(&key);
        cr_assert_not_null(pool);
        asked_while_failing(pool, words, ids, nth);
        graph_pool_free(pool);
    }
    words_free(words);
}

Test(memory, a_pool_that_cannot_be_made_says_so) {
    FAILING_ALLOC_EACH(nth) {
        struct hash_key key = {{1}};
        struct graph_pool *pool = graph_pool_new(&key);
        cr_assert_eq(pool == NULL, failing_alloc_disarm());
        graph_pool_free(pool);
    }
}

#define LOST 20

/* A line, and we lose our end of it: all must be told lost sooner or later, each once. */
Test(memory, a_loss_that_finds_no_room_is_told_later) {
    FAILING_ALLOC_EACH(nth) {
        failing_alloc_disarm();
        static struct graph graph;
        graph = (struct graph){.count = LOST + 1};
        for (uint32_t i = 0; i <= LOST; i++) {
            graph.ids[i] = graph_id(i);
        }
        struct weft_peer_id peer;
        bool is_reached = false;
        struct router *router = graph_router(&graph, 0);
        for (uint32_t i = 0; i < LOST; i++) {
            graph_link(&graph, i, i + 1, 1);
        }
        for (uint32_t i = 0; i <= LOST; i++) {
            graph_tell(&graph, router, i, 0);
            while (router_next_reach(router, &peer, &is_reached)) {
            }
        }
        graph_unlink(&graph, 0, 1);
        graph_tell(&graph, router, 0, 0);
        failing_alloc_arm(nth);
        cr_assert(router_update(router, 0));
        bool has_failed = failing_alloc_disarm();
        if (router_deadline(router) != WEFT_NEVER) {
            cr_assert(has_failed);
            cr_assert_eq(router_deadline(router), NS_PER_S);
            cr_assert(router_update(router, NS_PER_S));
        }
        int lost = 0;
        while (router_next_reach(router, &peer, &is_reached)) {
            cr_assert_not(is_reached);
            lost++;
        }
        cr_assert_eq(lost, LOST);
        cr_assert_eq(router_reachable_count(router), 0);
        router_free(router);
    }
}

/* Whatever of it fails, the dialer lives and takes the same again. */
static void dialer_use(struct dialer *dialer, struct router *router, const struct word *word,
                       const struct weft_peer_id *peer) {
    struct dial dial;
    struct link_id link = {.value = 1};
    (void)!dialer_add_seed(dialer, "a:1", NULL);
    dialer_learn(dialer, peer, &word->body, 0);
    while (dialer_next_dial(dialer, router, 0, &dial)) {
        dialer_link_up(dialer, link, peer, dial.token, 0);
        link.value++;
    }
    (void)dialer_next_trim(dialer, router, 0, &link);
}

Test(memory, a_dialer_drops_what_finds_no_room_and_leaks_nothing) {
    struct word words[2];
    struct weft_peer_id ids[2];
    words_make(words, ids);
    struct host host = {.random = random_fill};
    struct router *router = NULL;
    struct router_config router_config = {.self = ids[0], .peers_max = 10};
    cr_assert_eq(router_new(&router_config, &router), WEFT_OK);
    FAILING_ALLOC_EACH(nth) {
        struct dialer *dialer = NULL;
        struct dialer_config config = {.self = ids[0],
                                       .host = &host,
                                       .degree = 8,
                                       .links_max = 4,
                                       .may_discover = true,
                                       .candidates_max = 10};
        enum weft_err err = dialer_new(&config, &dialer);
        if (err == WEFT_OK) {
            dialer_use(dialer, router, &words[1], &ids[1]);
            failing_alloc_disarm();
            dialer_use(dialer, router, &words[1], &ids[1]);
            struct dialer_target target;
            cr_assert_not(dialer_target_at(dialer, 5, &target));
        }
        cr_assert_eq(err == WEFT_OK, dialer != NULL);
        dialer_free(dialer);
    }
    router_free(router);
    words_free(words);
}
