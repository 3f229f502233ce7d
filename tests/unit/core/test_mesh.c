/* SPDX-License-Identifier: Apache-2.0
 *
 * Several cores on virtual time: links, topology, routes, failures, leaves and clones.
 */
#include <criterion/criterion.h>

#include "base/time.h"
#include "support/mesh.h"

static struct mesh *make(size_t nodes, bool has_discovery) {
    const struct mesh_config config = {
        .seed = 1, .nodes = nodes, .delay = NS_PER_MS, .has_discovery = has_discovery};
    return mesh_new(&config);
}

static void start_all(struct mesh *mesh, size_t nodes) {
    for (size_t i = 0; i < nodes; i++) {
        mesh_start(mesh, i);
    }
}

/* 0 - 1 - 2 ... */
static struct mesh *make_line(size_t nodes) {
    struct mesh *mesh = make(nodes, false);
    mesh_allow_none(mesh);
    for (size_t i = 1; i < nodes; i++) {
        mesh_seed(mesh, i, i - 1);
    }
    start_all(mesh, nodes);
    return mesh;
}

/* Two sites, 0 and 3, that reach each other only through the relays 1 and 2. */
static struct mesh *make_diamond(void) {
    struct mesh *mesh = make(4, false);
    mesh_allow_none(mesh);
    for (size_t relay = 1; relay <= 2; relay++) {
        mesh_seed(mesh, 0, relay);
        mesh_seed(mesh, 3, relay);
    }
    start_all(mesh, 4);
    return mesh;
}

static size_t links_of(struct mesh *mesh, size_t node) {
    struct core_status status;
    core_get_status(mesh_core(mesh, node), &status);
    return status.links;
}

static size_t reached_by(struct mesh *mesh, size_t node) {
    struct core_status status;
    core_get_status(mesh_core(mesh, node), &status);
    return status.peers_reachable;
}

Test(core_mesh, two_nodes_know_each_other) {
    struct mesh *mesh = make_line(2);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, NS_PER_S));
    cr_assert_eq(links_of(mesh, 0), 1);
    mesh_free(mesh);
}

Test(core_mesh, line_of_five_reaches_end_to_end) {
    struct mesh *mesh = make_line(5);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 2 * NS_PER_S));
    struct weft_peer_id path[8];
    cr_assert_eq(core_trace_path(mesh_core(mesh, 0), mesh_id(mesh, 4), path, 8), 5);
    for (size_t i = 0; i < 5; i++) {
        cr_assert_eq(mesh_node_of(mesh, &path[i]), i);
    }
    mesh_free(mesh);
}

Test(core_mesh, ping_crosses_relays) {
    struct mesh *mesh = make_line(4);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 2 * NS_PER_S));
    cr_assert_eq(core_ping(mesh_core(mesh, 0), mesh_id(mesh, 3), 77, mesh_now(mesh)), WEFT_OK);
    mesh_run(mesh, NS_PER_S);
    cr_assert_eq(mesh_pong(mesh, 0), 77);
    mesh_free(mesh);
}

Test(core_mesh, ping_of_a_stranger_is_not_found) {
    struct mesh *mesh = make_line(2);
    struct weft_peer_id stranger = {{1}};
    mesh_run(mesh, NS_PER_S);
    cr_assert_eq(core_ping(mesh_core(mesh, 0), &stranger, 1, mesh_now(mesh)), WEFT_ERR_NOT_FOUND);
    mesh_free(mesh);
}

Test(core_mesh, both_dialling_leaves_one_link) {
    struct mesh *mesh = make(2, false);
    mesh_seed(mesh, 0, 1);
    mesh_seed(mesh, 1, 0);
    start_all(mesh, 2);
    mesh_run(mesh, 5 * NS_PER_S);
    cr_assert(mesh_is_settled(mesh));
    cr_assert_eq(links_of(mesh, 0), 1);
    cr_assert_eq(links_of(mesh, 1), 1);
    mesh_free(mesh);
}

#define FIFTY 50

static bool all_reach_all(struct mesh *mesh) {
    size_t live = 0;
    for (size_t i = 0; i < FIFTY; i++) {
        live += mesh_core(mesh, i) != NULL ? 1 : 0;
    }
    for (size_t i = 0; i < FIFTY; i++) {
        if (mesh_core(mesh, i) != NULL && reached_by(mesh, i) != live - 1) {
            return false;
        }
    }
    return true;
}

/* Fifty that dial one seed, each started so long after the one before. */
static struct mesh *make_fifty(weft_ns apart) {
    struct mesh *mesh = make(FIFTY, true);
    for (size_t i = 0; i < FIFTY; i++) {
        if (i > 0) {
            mesh_seed(mesh, i, 0);
        }
        mesh_start(mesh, i);
        mesh_run(mesh, apart);
    }
    return mesh;
}

/* B9, without what real machines add. Each death comes while the mesh still heals from the former,
 * the first while links are still chosen. */
Test(core_mesh, deaths_among_fifty_are_known_to_all_at_once) {
    struct mesh *mesh = make_fifty(5 * NS_PER_MS);
    cr_assert(mesh_run_until(mesh, all_reach_all, 3 * NS_PER_S));
    mesh_run(mesh, 1500 * NS_PER_MS);
    for (size_t victim = 25; victim < 33; victim++) {
        mesh_kill(mesh, victim);
        weft_ns killed = mesh_now(mesh);
        cr_assert(mesh_run_until(mesh, all_reach_all, NS_PER_S));
        weft_ns took = mesh_now(mesh) - killed;
        cr_expect_leq(took, 250 * NS_PER_MS, "node %zu: %llu ms", victim,
                      (unsigned long long)(took / NS_PER_MS));
        mesh_run(mesh, 700 * NS_PER_MS);
    }
    mesh_free(mesh);
}

/* The same while the mesh forms and the seed is crowded: it pushes news to few then, and a
 * neighbour to which it said nothing of a loss knew of it only by a reconciliation, seconds later.
 */
Test(core_mesh, deaths_among_fifty_that_just_joined_are_known_to_all_soon) {
    for (unsigned tenths = 0; tenths < 12; tenths++) {
        struct mesh *mesh = make_fifty(5 * NS_PER_MS);
        cr_assert(mesh_run_until(mesh, all_reach_all, 3 * NS_PER_S));
        mesh_run(mesh, tenths * 100 * NS_PER_MS);
        mesh_kill(mesh, 25 + tenths);
        weft_ns killed = mesh_now(mesh);
        cr_assert(mesh_run_until(mesh, all_reach_all, 10 * NS_PER_S));
        weft_ns took = mesh_now(mesh) - killed;
        cr_expect_leq(took, 600 * NS_PER_MS, "after %u00 ms: %llu ms", tenths,
                      (unsigned long long)(took / NS_PER_MS));
        mesh_free(mesh);
    }
}

Test(core_mesh, many_join_one_seed_within_a_second) {
    struct mesh *mesh = make_fifty(0);
    cr_assert(mesh_run_until(mesh, all_reach_all, 3 * NS_PER_S));
    cr_log_info("all reached after %llu ms",
                (unsigned long long)((mesh_now(mesh) - NS_PER_S) / NS_PER_MS));
    mesh_run(mesh, 60 * NS_PER_S);
    cr_assert(mesh_is_settled(mesh));
    for (size_t i = 0; i < FIFTY; i++) {
        cr_assert_geq(links_of(mesh, i), 2, "node %zu has too few links", i);
        cr_assert_leq(links_of(mesh, i), 20, "node %zu has %zu links", i, links_of(mesh, i));
    }
    mesh_free(mesh);
}

Test(core_mesh, a_killed_relay_leaves_the_routes_at_once) {
    struct mesh *mesh = make_diamond();
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 2 * NS_PER_S));
    struct weft_peer_id path[4];
    cr_assert_eq(core_trace_path(mesh_core(mesh, 0), mesh_id(mesh, 3), path, 4), 3);
    size_t relay = mesh_node_of(mesh, &path[1]);
    mesh_run(mesh, 5 * NS_PER_S); /* the first change after quiet is computed within 10 ms */
    mesh_kill(mesh, relay);
    mesh_run(mesh, 50 * NS_PER_MS);
    cr_assert_eq(core_trace_path(mesh_core(mesh, 0), mesh_id(mesh, 3), path, 4), 3);
    cr_assert_eq(mesh_node_of(mesh, &path[1]), 3 - relay);
    cr_assert(mesh_is_settled(mesh));
    mesh_free(mesh);
}

Test(core_mesh, a_killed_peer_comes_back_with_a_new_life) {
    struct mesh *mesh = make_line(3);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 2 * NS_PER_S));
    mesh_kill(mesh, 2);
    mesh_run(mesh, 100 * NS_PER_MS);
    cr_assert_eq(reached_by(mesh, 0), 1);
    mesh_start(mesh, 2);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 2 * NS_PER_S));
    struct core_peer_view view;
    cr_assert(core_find_peer(mesh_core(mesh, 0), mesh_id(mesh, 2), &view));
    cr_assert_eq(view.incarnation, 2);
    mesh_free(mesh);
}

Test(core_mesh, silence_is_noticed_after_three_heartbeats) {
    struct mesh *mesh = make_line(3);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 2 * NS_PER_S));
    mesh_silence(mesh, 1, 2, true);
    mesh_run(mesh, 2 * NS_PER_S - 100 * NS_PER_MS);
    cr_assert_eq(reached_by(mesh, 0), 2);
    mesh_run(mesh, 1500 * NS_PER_MS);
    cr_assert_eq(reached_by(mesh, 0), 1);
    mesh_silence(mesh, 1, 2, false);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 10 * NS_PER_S));
    mesh_free(mesh);
}

Test(core_mesh, a_stalled_node_does_not_blame_its_peers) {
    struct mesh *mesh = make_line(3);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 2 * NS_PER_S));
    mesh_pause(mesh, 1, true);
    mesh_run(mesh, 2500 * NS_PER_MS); /* shorter than its peers' patience */
    mesh_pause(mesh, 1, false);
    mesh_run(mesh, 3 * NS_PER_S);
    cr_assert(mesh_is_settled(mesh));
    cr_assert_eq(links_of(mesh, 1), 2);
    mesh_free(mesh);
}

Test(core_mesh, a_paused_node_is_dropped_and_returns) {
    struct mesh *mesh = make_line(3);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 2 * NS_PER_S));
    mesh_pause(mesh, 2, true);
    mesh_run(mesh, 4 * NS_PER_S);
    cr_assert_eq(reached_by(mesh, 0), 1);
    mesh_pause(mesh, 2, false);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 10 * NS_PER_S));
    mesh_free(mesh);
}

Test(core_mesh, a_cut_link_is_made_again) {
    struct mesh *mesh = make_line(2);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 2 * NS_PER_S));
    for (unsigned i = 0; i < 10; i++) {
        mesh_cut(mesh, 0, 1);
        cr_assert(mesh_run_until(mesh, mesh_is_settled, 5 * NS_PER_S), "cut %u", i);
        mesh_run(mesh, 11 * NS_PER_S);
    }
    mesh_free(mesh);
}

Test(core_mesh, a_partition_heals) {
    struct mesh *mesh = make_line(6);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 3 * NS_PER_S));
    mesh_silence(mesh, 2, 3, true);
    mesh_run(mesh, 60 * NS_PER_S);
    cr_assert_eq(reached_by(mesh, 0), 2);
    cr_assert_eq(reached_by(mesh, 5), 2);
    mesh_silence(mesh, 2, 3, false);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 40 * NS_PER_S));
    mesh_free(mesh);
}

Test(core_mesh, a_leaving_node_says_so_and_stops) {
    struct mesh *mesh = make_diamond();
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 2 * NS_PER_S));
    struct weft_peer_id path[4];
    cr_assert_eq(core_trace_path(mesh_core(mesh, 0), mesh_id(mesh, 3), path, 4), 3);
    size_t relay = mesh_node_of(mesh, &path[1]);
    core_leave(mesh_core(mesh, relay), 5 * NS_PER_S, mesh_now(mesh));
    mesh_run(mesh, 250 * NS_PER_MS);
    cr_assert_eq(core_trace_path(mesh_core(mesh, 0), mesh_id(mesh, 3), path, 4), 3);
    cr_assert_eq(mesh_node_of(mesh, &path[1]), 3 - relay, "traffic still crosses the leaving node");
    mesh_run(mesh, 2 * NS_PER_S);
    cr_assert(mesh_has_left(mesh, relay));
    cr_assert_eq(links_of(mesh, relay), 0);
    mesh_free(mesh);
}

Test(core_mesh, settled_views_cost_no_more_computations) {
    struct mesh *mesh = make_line(4);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 3 * NS_PER_S));
    mesh_run(mesh, 10 * NS_PER_S);
    struct core_status before;
    struct core_status after;
    core_get_status(mesh_core(mesh, 0), &before);
    mesh_run(mesh, 60 * NS_PER_S);
    core_get_status(mesh_core(mesh, 0), &after);
    cr_assert_eq(before.computations, after.computations);
    mesh_free(mesh);
}

/* Some heartbeats meet a busy processor at the far end, as on any real machine. */
Test(core_mesh, stalls_at_an_end_are_no_cost_of_the_path) {
    struct mesh *mesh = make_line(4);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 3 * NS_PER_S));
    mesh_run(mesh, 10 * NS_PER_S);
    struct core_status before;
    struct core_status after;
    core_get_status(mesh_core(mesh, 0), &before);
    for (int i = 0; i < 200; i++) {
        mesh_pause(mesh, 1, true);
        mesh_run(mesh, 100 * NS_PER_MS);
        mesh_pause(mesh, 1, false);
        mesh_run(mesh, 210 * NS_PER_MS);
    }
    core_get_status(mesh_core(mesh, 0), &after);
    cr_assert_eq(before.computations, after.computations);
    mesh_free(mesh);
}

Test(core_mesh, peers_resolve_by_name_and_prefix) {
    struct mesh *mesh = make_line(3);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 2 * NS_PER_S));
    struct weft_peer_id found;
    char text[WEFT_PEER_ID_TEXT];
    weft_peer_id_format(mesh_id(mesh, 2), text);
    cr_assert_eq(core_resolve_peer(mesh_core(mesh, 0), "node-2", &found), WEFT_OK);
    cr_assert(weft_peer_id_equal(&found, mesh_id(mesh, 2)));
    text[10] = '\0';
    cr_assert_eq(core_resolve_peer(mesh_core(mesh, 0), text, &found), WEFT_OK);
    cr_assert(weft_peer_id_equal(&found, mesh_id(mesh, 2)));
    cr_assert_eq(core_resolve_peer(mesh_core(mesh, 0), "node-9", &found), WEFT_ERR_NOT_FOUND);
    cr_assert_eq(core_resolve_peer(mesh_core(mesh, 0), "", &found), WEFT_ERR_NOT_FOUND);
    mesh_free(mesh);
}

/* Traces hold every count and time: equal ends of two runs of one seed. */
Test(core_mesh, one_seed_runs_twice_alike) {
    uint64_t ends[2];
    for (unsigned run = 0; run < 2; run++) {
        struct mesh *mesh = make(12, true);
        for (size_t i = 1; i < 12; i++) {
            mesh_seed(mesh, i, 0);
        }
        start_all(mesh, 12);
        mesh_run(mesh, 20 * NS_PER_S);
        ends[run] = mesh_frames(mesh, WIRE_RECORDS) * 1000003 +
                    mesh_frames(mesh, WIRE_SYNC) * 1009 + mesh_frames(mesh, WIRE_HEARTBEAT);
        mesh_free(mesh);
    }
    cr_assert_eq(ends[0], ends[1]);
}

struct link_check {
    struct mesh *mesh;
    size_t node;
    size_t count;
};

static bool says(const struct core_peer_view *view, const struct weft_peer_id *peer) {
    struct wire_peer_link link;
    struct wire_list links = view->body.links;
    while (wire_list_next_link(&links, &link)) {
        if (weft_peer_id_equal(&link.peer, peer)) {
            return true;
        }
    }
    return false;
}

/* All links cost the same, so the way over one is its link itself. */
static void check_link(void *ctx, const struct core_link_view *view) {
    struct link_check *check = ctx;
    struct core *core = mesh_core(check->mesh, check->node);
    struct core_peer_view self;
    struct core_peer_view peer;
    if (core_find_peer(core, mesh_id(check->mesh, check->node), &self) &&
        core_find_peer(core, &view->peer, &peer) && says(&self, &view->peer) &&
        says(&peer, mesh_id(check->mesh, check->node))) {
        check->count++;
        cr_assert_eq(peer.path.hops, 1, "node %zu to %s", check->node, view->name);
    }
}

/* B8: who goes another way than it told sends round by those who go by what it told. */
Test(core_mesh, a_node_goes_by_a_link_until_it_has_told_that_it_retires_it) {
    const struct mesh_config config = {
        .seed = 5, .nodes = 16, .delay = 5 * NS_PER_MS, .has_discovery = true, .degree = 3};
    struct mesh *mesh = mesh_new(&config);
    size_t former = SIZE_MAX;
    size_t retired = 0;
    for (size_t i = 0; i < 16; i++) {
        mesh_seed(mesh, i, i == 0 ? 1 : 0);
        mesh_start(mesh, i);
    }
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 10 * NS_PER_S));
    mesh_run(mesh, 3 * NS_PER_S); /* all links are told of and followed; none is retired yet */
    for (int step = 0; step < 2000; step++) {
        struct link_check check = {.mesh = mesh};
        for (; check.node < 16; check.node++) {
            core_each_link(mesh_core(mesh, check.node), check_link, &check);
        }
        retired += check.count < former && former != SIZE_MAX ? 1 : 0;
        former = check.count;
        mesh_run(mesh, 10 * NS_PER_MS);
    }
    cr_assert_gt(retired, 0);
    mesh_free(mesh);
}
