/* SPDX-License-Identifier: Apache-2.0
 *
 * What a node says of itself: addresses, names, the leave, and a key that lives twice.
 */
#include <criterion/criterion.h>

#include "base/time.h"
#include "core/internal.h"
#include "support/mesh.h"

static struct mesh *make(size_t nodes) {
    const struct mesh_config config = {.seed = 3, .nodes = nodes, .delay = NS_PER_MS};
    struct mesh *mesh = mesh_new(&config);
    mesh_allow_none(mesh);
    return mesh;
}

/* The others dial node 0. */
static struct mesh *make_star(size_t nodes) {
    struct mesh *mesh = make(nodes);
    for (size_t i = 1; i < nodes; i++) {
        mesh_seed(mesh, i, 0);
    }
    for (size_t i = 0; i < nodes; i++) {
        mesh_start(mesh, i);
    }
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 3 * NS_PER_S));
    return mesh;
}

__attribute__((unused)) static struct core_status status_of(struct mesh *mesh, size_t node) {
    struct core_status status;
    core_get_status(mesh_core(mesh, node), &status);
    return status;
}

static uint32_t addresses_heard(struct mesh *mesh, size_t at, size_t of) {
    struct core_peer_view view;
    cr_assert(core_find_peer(mesh_core(mesh, at), mesh_id(mesh, of), &view));
    return view.body.addresses.count;
}

Test(core_own, fewer_addresses_than_before_are_told_and_freed_once) {
    struct mesh *mesh = make_star(2);
    const char *many[] = {"10.0.0.1:9338", "10.0.0.2:9338", "10.0.0.3:9338"};
    core_set_addresses(mesh_core(mesh, 1), many, 3, mesh_now(mesh));
    mesh_run(mesh, NS_PER_S);
    cr_assert_eq(addresses_heard(mesh, 0, 1), 3);
    core_set_addresses(mesh_core(mesh, 1), many, 1, mesh_now(mesh));
    mesh_run(mesh, NS_PER_S);
    cr_assert_eq(addresses_heard(mesh, 0, 1), 1);
    core_set_addresses(mesh_core(mesh, 1), NULL, 0, mesh_now(mesh));
    mesh_run(mesh, NS_PER_S);
    cr_assert_eq(addresses_heard(mesh, 0, 1), 0);
    mesh_free(mesh);
}
