/* SPDX-License-Identifier: Apache-2.0
 *
 * A node that comes and goes: when the mesh is told of it again (router/damping.h).
 */
#include <criterion/criterion.h>

#include "base/time.h"
#include "support/mesh.h"

#define NODES 6
#define LAST (NODES - 1)
/* So that back-off begins anew and is not what is measured. */
#define GOOD_LIFE (12 * NS_PER_S)

static struct mesh *make(size_t nodes) {
    const struct mesh_config config = {.seed = 1, .nodes = nodes, .delay = NS_PER_MS};
    return mesh_new(&config);
}

static void start_all(struct mesh *mesh, size_t nodes) {
    for (size_t i = 0; i < nodes; i++) {
        mesh_start(mesh, i);
    }
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 5 * NS_PER_S));
}

/* All linked with all. */
static struct mesh *make_full(size_t nodes) {
    struct mesh *mesh = make(nodes);
    for (size_t i = 1; i < nodes; i++) {
        for (size_t j = 0; j < i; j++) {
            mesh_seed(mesh, i, j);
        }
    }
    start_all(mesh, nodes);
    return mesh;
}

static bool reaches(struct mesh *mesh, size_t from, size_t to) {
    return core_path_to(mesh_core(mesh, from), mesh_id(mesh, to)).is_reachable;
}

/* Nothing passes between a node and the others for ten seconds, then for one all does. */
static void flap(struct mesh *mesh, size_t node, size_t nodes) {
    for (size_t i = 0; i < nodes; i++) {
        if (i != node) {
            mesh_silence(mesh, node, i, true);
        }
    }
    mesh_run(mesh, 10 * NS_PER_S);
    cr_assert_not(reaches(mesh, 0, node));
    for (size_t i = 0; i < nodes; i++) {
        if (i != node) {
            mesh_silence(mesh, node, i, false);
        }
    }
}

static bool last_is_back(struct mesh *mesh) {
    return reaches(mesh, 0, LAST);
}

Test(core_trials, after_two_losses_a_node_is_told_of_when_its_links_have_lasted) {
    struct mesh *mesh = make_full(NODES);
    flap(mesh, LAST, NODES);
    cr_assert(mesh_run_until(mesh, last_is_back, 10 * NS_PER_S), "once is nothing");
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 10 * NS_PER_S));
    flap(mesh, LAST, NODES);
    weft_ns since = mesh_now(mesh);
    cr_assert(mesh_run_until(mesh, last_is_back, 60 * NS_PER_S), "nobody is hidden for good");
    cr_expect_gt(mesh_now(mesh) - since, 30 * NS_PER_S);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 30 * NS_PER_S));
    mesh_free(mesh);
}

/* Their record sets differ for as long, since nothing is live for a node in nobody's graph. */
Test(core_trials, links_on_trial_do_not_reconcile_all_the_time) {
    struct mesh *mesh = make_full(NODES);
    for (int i = 0; i < 2; i++) {
        flap(mesh, LAST, NODES);
        mesh_run(mesh, 10 * NS_PER_S);
    }
    cr_assert_not(last_is_back(mesh));
    uint64_t before = mesh_frames(mesh, WIRE_SYNC);
    mesh_run(mesh, 10 * NS_PER_S);
    cr_assert_not(last_is_back(mesh));
    cr_expect_leq(mesh_frames(mesh, WIRE_SYNC) - before, 20);
    mesh_free(mesh);
}

Test(core_trials, a_torn_mesh_is_whole_again_at_once) {
    struct mesh *mesh = make_full(NODES);
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < NODES; i++) {
            mesh_silence(mesh, i, (i + 1) % 2, true);
        }
        mesh_run(mesh, 2 * NS_PER_S);
        for (size_t i = 0; i < NODES; i++) {
            for (size_t j = 0; j < i; j++) {
                mesh_silence(mesh, i, j, i % 2 != j % 2);
            }
        }
        mesh_run(mesh, 10 * NS_PER_S);
        cr_assert_not(reaches(mesh, 0, LAST));
        for (size_t i = 0; i < NODES; i++) {
            for (size_t j = 0; j < i; j++) {
                mesh_silence(mesh, i, j, false);
            }
        }
        cr_assert(mesh_run_until(mesh, mesh_is_settled, 10 * NS_PER_S), "round %d", round);
    }
    mesh_free(mesh);
}

/* 0, 1 and 2 are linked with each other; 3 hangs on 0 alone. */
Test(core_trials, a_leaf_with_one_bad_link_is_told_of_each_time) {
    struct mesh *mesh = make(4);
    mesh_allow_none(mesh);
    mesh_seed(mesh, 1, 0);
    mesh_seed(mesh, 2, 0);
    mesh_seed(mesh, 2, 1);
    mesh_seed(mesh, 3, 0);
    start_all(mesh, 4);
    for (int round = 0; round < 4; round++) {
        mesh_silence(mesh, 3, 0, true);
        mesh_run(mesh, 10 * NS_PER_S);
        cr_assert_not(reaches(mesh, 2, 3));
        mesh_silence(mesh, 3, 0, false);
        cr_assert(mesh_run_until(mesh, mesh_is_settled, 15 * NS_PER_S), "round %d", round);
        mesh_run(mesh, GOOD_LIFE);
    }
    mesh_free(mesh);
}

/* 4 is linked with 0 to 3; 5 hangs on 4 alone, and needs it. */
Test(core_trials, who_others_need_is_told_of_each_time) {
    struct mesh *mesh = make(6);
    mesh_allow_none(mesh);
    for (size_t i = 1; i < 5; i++) {
        for (size_t j = 0; j < i; j++) {
            mesh_seed(mesh, i, j);
        }
    }
    mesh_seed(mesh, 5, 4);
    start_all(mesh, 6);
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < 4; i++) {
            mesh_silence(mesh, 4, i, true);
        }
        mesh_run(mesh, 10 * NS_PER_S);
        cr_assert_not(reaches(mesh, 0, 5));
        for (size_t i = 0; i < 4; i++) {
            mesh_silence(mesh, 4, i, false);
        }
        cr_assert(mesh_run_until(mesh, mesh_is_settled, 15 * NS_PER_S), "round %d", round);
        mesh_run(mesh, GOOD_LIFE);
    }
    mesh_free(mesh);
}

/* 0 to 3 are linked with each other, LAST with 0 to 2; 3 may link with it as well when `may`. */
static struct mesh *make_with_late_link(weft_ns age) {
    struct mesh *mesh = make(NODES);
    mesh_allow_none(mesh);
    for (size_t i = 1; i < 4; i++) {
        for (size_t j = 0; j < i; j++) {
            mesh_seed(mesh, i, j);
        }
    }
    for (size_t i = 0; i < 4; i++) {
        mesh_seed(mesh, LAST, i);
    }
    mesh_allow(mesh, LAST, 3, false);
    for (size_t i = 0; i < 4; i++) {
        mesh_start(mesh, i);
    }
    mesh_start(mesh, LAST);
    mesh_run(mesh, age);
    cr_assert(reaches(mesh, 3, LAST));
    return mesh;
}

static void link_count(void *ctx, const struct core_link_view *view) {
    *(size_t *)ctx += view->name[0] != '\0' ? 1 : 0;
}

static bool three_has_four_links(struct mesh *mesh) {
    size_t count = 0;
    core_each_link(mesh_core(mesh, 3), link_count, &count);
    return count == 4;
}

static uint32_t losses_of_last(struct mesh *mesh, size_t at) {
    struct core_damped damped[4];
    size_t count = core_damped(mesh_core(mesh, at), damped, 4);
    return count > 0 ? damped[0].losses : 0;
}

static bool zero_lost_last(struct mesh *mesh) {
    return !reaches(mesh, 0, LAST);
}

/* LAST loses its three links in the moment in which the one to 3 comes up. Whether the others hear
 * of that one in time depends on when 3 last told something; NULL if they do. */
static struct mesh *make_lost_to_all_but_3(weft_ns age) {
    struct mesh *mesh = make_with_late_link(age);
    mesh_allow(mesh, LAST, 3, true);
    for (int i = 0; !three_has_four_links(mesh); i++) {
        cr_assert_lt(i, 60000);
        mesh_run(mesh, NS_PER_MS); /* it is told a tenth of a second later */
    }
    for (size_t i = 0; i < 3; i++) {
        mesh_allow(mesh, LAST, i, false);
        mesh_cut(mesh, LAST, i);
    }
    if (mesh_run_until(mesh, zero_lost_last, 200 * NS_PER_MS)) {
        return mesh;
    }
    mesh_free(mesh);
    return NULL;
}

/* Who has a link that nobody has heard of reaches whom all others lost. It must count that too, or
 * it brings the peer back to them before its time. */
Test(core_trials, who_made_the_only_link_left_counts_what_the_others_lost) {
    struct mesh *mesh = NULL;
    for (weft_ns age = 5 * NS_PER_S; mesh == NULL; age += NS_PER_S) {
        cr_assert_leq(age, 30 * NS_PER_S, "the others always hear in time");
        mesh = make_lost_to_all_but_3(age);
    }
    mesh_run(mesh, 3 * NS_PER_S);
    cr_assert(reaches(mesh, 0, LAST), "by way of 3");
    mesh_allow(mesh, LAST, 3, false);
    mesh_cut(mesh, LAST, 3);
    mesh_run(mesh, 3 * NS_PER_S);
    cr_assert_not(reaches(mesh, 0, LAST));
    cr_expect_eq(losses_of_last(mesh, 0), 2);
    cr_expect_eq(losses_of_last(mesh, 3), 2);
    mesh_free(mesh);
}

static bool last_has_a_link(struct mesh *mesh) {
    size_t count = 0;
    core_each_link(mesh_core(mesh, LAST), link_count, &count);
    return count > 0;
}

Test(core_trials, after_one_loss_a_link_that_falls_silent_is_not_told_of) {
    struct mesh *mesh = make_full(NODES);
    flap(mesh, LAST, NODES);
    for (int i = 0; i < 100 && !last_has_a_link(mesh); i++) {
        mesh_run(mesh, 100 * NS_PER_MS);
    }
    for (size_t i = 0; i < LAST; i++) {
        mesh_silence(mesh, LAST, i, true);
    }
    mesh_run(mesh, NS_PER_S);
    cr_assert(last_has_a_link(mesh), "nobody knows yet that it is of no use");
    cr_expect_not(mesh_run_until(mesh, last_is_back, 10 * NS_PER_S));
    mesh_free(mesh);
}
