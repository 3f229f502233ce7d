/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue of those newly attached is the queue of the walk as well.
 */
#include "router/attach.h"

static bool hangs_on_another(const struct topology *topology, const struct topology_peer *peer) {
    for (uint32_t i = 0; i < peer->link_count; i++) {
        uint32_t slot = peer->links[i].slot;
        if (slot != TOPOLOGY_NONE && topology->peers[slot].is_attached) {
            return true;
        }
    }
    return weft_peer_id_equal(&peer->id, &topology->self);
}

static void mark(struct topology_peer *peer, struct ring *fresh) {
    if (!peer->is_attached && ring_push(fresh, &peer->id) == WEFT_OK) {
        peer->is_attached = true;
    }
}

static void mark_neighbours(struct topology *topology, uint32_t slot, struct ring *fresh) {
    const struct topology_peer *peer = &topology->peers[slot];
    for (uint32_t i = 0; peer->is_attached && i < peer->link_count; i++) {
        if (peer->links[i].slot != TOPOLOGY_NONE) {
            mark(&topology->peers[peer->links[i].slot], fresh);
        }
    }
}

void attach_spread(struct topology *topology, uint32_t slot, struct ring *fresh) {
    size_t walked = fresh->count;
    struct topology_peer *peer = &topology->peers[slot];
    if (!peer->is_attached && hangs_on_another(topology, peer)) {
        mark(peer, fresh);
    }
    mark_neighbours(topology, slot, fresh);
    for (; walked < fresh->count; walked++) {
        const struct weft_peer_id *id = ring_at(fresh, walked);
        mark_neighbours(topology, topology_find(topology, id), fresh);
    }
}

void attach_reset(struct topology *topology, const struct routes *routes) {
    for (uint32_t i = 0; i < topology->count; i++) {
        struct topology_peer *peer = &topology->peers[topology->order[i]];
        peer->is_attached = peer->rank != PATH_NONE && peer->rank < routes->graph.node_count &&
                            routes->nodes[peer->rank].cost_us != PATH_UNREACHED;
    }
}
