/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a node: what is built in which order, and taken down in the reverse.
 */
#include "node/node.h"

#include <sys/resource.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/frame_pool.h"
#include "node/internal.h"
#include "node/start.h"

#define SERVED_SHARE 4 /* of the descriptors */
#define BLOCKS_SHARE 4 /* of what streams may keep, and beside it: what links read into */

static void host_bytes(void *ctx, uint8_t *out, size_t len) {
    (void)ctx;
    randombytes_buf(out, len);
}

static uint64_t draw_instance(void) {
    uint64_t instance = 0;
    while (instance == 0) {
        randombytes_buf(&instance, sizeof(instance));
    }
    return instance;
}

static size_t buffer_bytes(const struct node *node) {
    struct core_config defaults;
    core_config_defaults(&defaults);
    return node->config.buffers_mib > 0 ? (size_t)node->config.buffers_mib * 1024 * 1024
                                        : defaults.buffer_bytes;
}

static void share_links(struct node *node) {
    link_shared_init(&node->keys->shared, node->keys->secret);
    node->keys->shared.identity = &node->keys->identity;
    node->keys->shared.host = &node->host;
    node->keys->shared.guard = node->guard;
    node->keys->shared.blocks = node->blocks;
    node->keys->shared.block_bytes_max = buffer_bytes(node) / BLOCKS_SHARE;
    node->keys->shared.hello.name = span_of_text(node->config.name);
    node->keys->shared.hello.key = node->keys->identity.key;
    node->keys->shared.hello.incarnation = node->incarnation;
    node->keys->shared.hello.instance = node->instance;
}

static enum weft_err make_guard(struct node *node) {
    struct guard_config config;
    guard_config_defaults(&config);
    randombytes_buf(config.hash_key.bytes, sizeof(config.hash_key.bytes));
    return guard_new(&config, &node->guard);
}

static enum weft_err make_core(struct node *node) {
    const char *labels[2 * CONFIG_LABELS_MAX];
    struct core_config config;
    core_config_defaults(&config);
    for (size_t i = 0; i < node->config.label_count; i++) {
        labels[2 * i] = node->config.labels[i].key;
        labels[2 * i + 1] = node->config.labels[i].value;
    }
    config.identity = &node->keys->identity;
    config.host = node->host;
    config.name = node->config.name;
    config.software = NODE_SOFTWARE;
    config.addresses = (const char *const *)node->addresses;
    config.address_count = (uint32_t)node->address_count;
    config.labels = labels;
    config.label_count = (uint32_t)node->config.label_count;
    noise_derive(node->keys->secret, "weft session psk", node->keys->session_psk);
    config.session_psk = node->keys->session_psk;
    config.incarnation = node->incarnation;
    config.instance = node->instance;
    config.degree = node->config.degree;
    config.links_max = node->config.links_max;
    config.may_discover = node->config.may_discover;
    config.heartbeat = node->config.heartbeat;
    config.peers_max = node->config.peers_max;
    config.flows_max = node->config.flows_max;
    config.flow_idle = node->config.flow_idle;
    config.flow_unanswered = node->config.flow_unanswered;
    config.buffer_bytes = buffer_bytes(node);
    return core_new(&config, node_clock(), &node->core);
}

/* Each flow that we serve holds a descriptor; links, listeners and streams need theirs. */
static size_t served_max(const struct node *node) {
    struct rlimit limit;
    size_t most = node->config.flows_max;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / SERVED_SHARE < most) {
        most = (size_t)(limit.rlim_cur / SERVED_SHARE);
    }
    return most > 0 ? most : 1;
}

static enum weft_err make_proxy(struct node *node) {
    const struct proxy_config config = {
        .base = node->base,
        .backend = node_proxy_backend(node),
        .host = &node->host,
        .connections_max = node->config.streams_max,
        .is_port_shared = node->config.are_ports_shared,
        .served_max = served_max(node),
        .connect_timeout = 5 * NS_PER_S,
    };
    return proxy_new(&config, &node->proxy);
}

static void load_record(void *ctx, const struct store_record *stored) {
    struct node *node = ctx;
    uint64_t now_s = node_wall_ms() / 1000;
    uint64_t gone_s = now_s > stored->last_live_s ? now_s - stored->last_live_s : 0;
    weft_ns absence = gone_s < UINT32_MAX ? gone_s * NS_PER_S : 0; /* beyond: a clock that jumped */
    core_load_record(node->core, stored->encoded, absence, node_clock());
}

static void load_seed(void *ctx, const struct store_seed *stored) {
    struct node *node = ctx;
    enum weft_err err =
        core_add_seed(node->core, stored->endpoint, stored->is_peer_known ? &stored->peer : NULL);
    if (err != WEFT_OK && err != WEFT_ERR_EXISTS) {
        trace(&node->host, TRACE_WARN, "seed-refused", "seed=%s why=%s", stored->endpoint,
              weft_err_name(err));
    }
}

static void add_seeds(struct node *node) {
    for (size_t i = 0; i < node->config.seed_count; i++) {
        const struct config_seed *seed = &node->config.seeds[i];
        enum weft_err err =
            core_add_seed(node->core, seed->endpoint, seed->is_peer_known ? &seed->peer : NULL);
        if (err != WEFT_OK && err != WEFT_ERR_EXISTS) {
            trace(&node->host, TRACE_WARN, "seed-refused", "seed=%s why=%s", seed->endpoint,
                  weft_err_name(err));
        }
    }
}

/* What an earlier run knew: its records, its seeds, its services. */
static enum weft_err recall(struct node *node) {
    enum weft_err err = store_each_record(node->store, load_record, node);
    if (err == WEFT_OK) {
        add_seeds(node);
        err = store_each_seed(node->store, load_seed, node);
    }
    if (err == WEFT_OK) {
        err = node_services_init(node);
    }
    if (err == WEFT_OK) {
        node_forwards_init(node);
    }
    return err;
}

/* The parts that need the state folder, the sockets and each other, in that order. */
static enum weft_err build(struct node *node, const struct node_options *options, char *error) {
    enum weft_err err = node_loop_init(node);
    node_events_init(node);
    if (err == WEFT_OK) {
        err = node_start_state(node, options, error);
    }
    if (err == WEFT_OK) {
        err = node_listen(node, error);
    }
    if (err == WEFT_OK) {
        err = make_guard(node);
    }
    if (err != WEFT_OK) {
        return err;
    }
    share_links(node);
    node_addresses_init(node);
    err = make_core(node);
    if (err == WEFT_OK) {
        err = make_proxy(node);
    }
    if (err == WEFT_OK) {
        err = recall(node);
    }
    return err == WEFT_OK ? node_control_start(node, error) : err;
}

static struct node *node_alloc(struct node_options *options) {
    struct node *node = calloc(1, sizeof(*node));
    const struct hash_key plain = {{0}}; /* link ids are ours, no peer chooses them */
    if (node == NULL) {
        return NULL;
    }
    node->config = *options->config;
    *options->config = (struct config){0};
    node->wake_fd = -1;
    node->timer_fd = -1;
    node->statedir.lock = -1;
    node->is_embedded = options->is_embedded;
    node->is_ephemeral = options->is_ephemeral;
    node->started = node_clock();
    node->instance = draw_instance();
    node->host = (struct host){.ctx = node, .random = host_bytes};
    (void)pthread_mutex_init(&node->posts_lock, NULL);
    node->links = map_new(SIZE_MAX, &plain);
    node->blocks = frame_pool_new();
    node->keys = sodium_malloc(sizeof(*node->keys));
    if (node->keys != NULL) {
        *node->keys = (struct node_keys){0};
    }
    return node;
}

/* Where one run ends and the next begins, in the log and among the events. */
static void say_started(struct node *node) {
    char id[WEFT_PEER_ID_TEXT];
    const char *listening = node_listening(node, 0);
    weft_peer_id_format(node_id(node), id);
    trace(&node->host, TRACE_INFO, "started", "name=%s id=%s version=%s listen=%s", node_name(node),
          id, WEFT_VERSION, listening != NULL ? listening : "none");
}

enum weft_err node_new(struct node_options *options, struct node **out, char *error) {
    ASSERT(options->config != NULL && error != NULL);
    error[0] = '\0';
    struct node *node = noise_setup() == WEFT_OK ? node_alloc(options) : NULL;
    if (node == NULL || node->links == NULL || node->keys == NULL || node->blocks == NULL) {
        config_fini(options->config);
        node_free(node);
        (void)snprintf(error, NODE_TEXT_BYTES, "out of memory");
        return WEFT_ERR_MEMORY;
    }
    enum weft_err err = build(node, options, error);
    if (err != WEFT_OK) {
        if (error[0] == '\0') {
            (void)snprintf(error, NODE_TEXT_BYTES, "cannot start: %s",
                           err == WEFT_ERR_IO ? strerror(errno) : weft_err_name(err));
        }
        node_free(node);
        return err;
    }
    say_started(node);
    node_touch(node);
    *out = node;
    return WEFT_OK;
}

void node_free(struct node *node) {
    if (node == NULL) {
        return;
    }
    node_control_stop(node);
    proxy_free(node->proxy);
    node_dials_free(node);
    tcp_free_all(node);
    core_free(node->core);
    guard_free(node->guard);
    frame_pool_free(node->blocks);
    node_unlisten(node);
    node_addresses_fini(node);
    node_services_free(node);
    node_forwards_free(node);
    node_stop_state(node);
    node_events_free(node);
    node_loop_fini(node);
    sodium_free(node->keys); /* wipes */
    (void)pthread_mutex_destroy(&node->posts_lock);
    config_fini(&node->config);
    free(node);
}

void node_leave(struct node *node, weft_ns patience) {
    if (node->is_leaving) {
        node_break(node);
        return;
    }
    node->is_leaving = true;
    core_leave(node->core, patience, node_clock());
    node_touch(node);
}

bool node_has_left(const struct node *node) {
    return node->has_left;
}

struct core *node_core(struct node *node) {
    return node->core;
}

const struct weft_peer_id *node_id(const struct node *node) {
    return &node->keys->identity.id;
}

const char *node_name(const struct node *node) {
    return node->config.name;
}

const char *node_listening(const struct node *node, size_t index) {
    return index < node->listener_count ? node->listeners[index].bound : NULL;
}

const char *node_control_path(const struct node *node) {
    return node->is_embedded ? NULL : node->config.control;
}

void node_set_sandbox(struct node *node, enum trace_level level, const char *text) {
    (void)snprintf(node->sandbox, sizeof(node->sandbox), "%s", text);
    trace(&node->host, level, "sandbox", "in-force=%s", text);
}

struct event_base *node_event_base(struct node *node) {
    return node->base;
}
