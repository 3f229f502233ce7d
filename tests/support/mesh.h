/* SPDX-License-Identifier: Apache-2.0
 *
 * A mesh of cores on virtual time, for tests: frames travel over pipes with a delay, in order; a
 * connection is a pair of links. Who may dial whom is a matrix; nodes listen at "10.0.H.L:9338".
 * Everything follows from the seed.
 */
#ifndef TESTS_SUPPORT_MESH_H
#define TESTS_SUPPORT_MESH_H

#include "core/core.h"

#define MESH_NODES_MAX 64

struct mesh;

struct mesh_config {
    uint64_t seed;
    size_t nodes;
    weft_ns delay;     /* one way */
    weft_ns heartbeat; /* 0: the default */
    uint32_t degree;   /* 0: the default */
    bool has_discovery;
    size_t pipe_bytes;  /* room of a link's queue per class; 0: 4 MiB */
    uint64_t pipe_rate; /* bytes a second each way; 0: no limit */
    /* Told of every stream action; NULL: incoming streams are accepted and echoed. */
    void (*on_stream)(void *ctx, struct mesh *mesh, size_t node, const struct stream_event *event);
    /* Told of every datagram action; NULL: they are dropped. */
    void (*on_datagram)(void *ctx, struct mesh *mesh, size_t node,
                        const struct datagram_event *event);
    void *ctx;
};

struct mesh *mesh_new(const struct mesh_config *config);
void mesh_free(struct mesh *mesh);

/* May `a` dial `b` (and b dial a)? All may at first. Cuts nothing that is up. */
void mesh_allow(struct mesh *mesh, size_t a, size_t b, bool may);
void mesh_allow_none(struct mesh *mesh);
/* Before mesh_start: the name that the node claims, else "node-N" (kept by the caller); and that it
 * has the key of another, as a copied disk would. */
void mesh_set_name(struct mesh *mesh, size_t node, const char *name);
void mesh_set_twin(struct mesh *mesh, size_t node, size_t of);
/* Before mesh_start: the instance of its next run, else drawn from its number and its lives. */
void mesh_set_instance(struct mesh *mesh, size_t node, uint64_t instance);
/* b becomes a seed of a. */
void mesh_seed(struct mesh *mesh, size_t a, size_t b);

/* Cuts the connections between two nodes; both see it at once. */
void mesh_cut(struct mesh *mesh, size_t a, size_t b);
/* Frames between two nodes vanish, unseen, while `is_silent`. */
void mesh_silence(struct mesh *mesh, size_t a, size_t b, bool is_silent);
/* The process dies: its peers see their links close. Restart has a new incarnation and instance. */
void mesh_kill(struct mesh *mesh, size_t node);
void mesh_start(struct mesh *mesh, size_t node);
/* Like SIGSTOP: its inputs wait. */
void mesh_pause(struct mesh *mesh, size_t node, bool is_paused);

struct core *mesh_core(struct mesh *mesh, size_t node); /* NULL while dead */
const struct weft_peer_id *mesh_id(struct mesh *mesh, size_t node);
weft_ns mesh_now(const struct mesh *mesh);
size_t mesh_node_of(struct mesh *mesh, const struct weft_peer_id *peer);

void mesh_run(struct mesh *mesh, weft_ns span);
/* Runs until the claim holds, at most `span`; whether it does. */
bool mesh_run_until(struct mesh *mesh, bool (*holds)(struct mesh *mesh), weft_ns span);

/* All live nodes reach all live nodes and agree on the topology. */
bool mesh_is_settled(struct mesh *mesh);
/* Frames of a kind put on links so far. */
uint64_t mesh_frames(const struct mesh *mesh, enum wire_kind kind);
/* Last pong a node got. */
uint64_t mesh_pong(const struct mesh *mesh, size_t node);
bool mesh_has_left(const struct mesh *mesh, size_t node);

#endif
