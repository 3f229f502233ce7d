/* SPDX-License-Identifier: Apache-2.0
 *
 * include/weft/node.h: the public face of a node. The configuration goes through the daemon's own
 * reader as if it had been given as flags, so that both refuse the same values in the same words.
 */
#include "weft/node.h"

#include <stdio.h>
#include <stdlib.h>

#include "node/internal.h"
#include "weft/weft.h"

struct channel {
    struct weft_gossiper gossiper;
    char name[WEFT_NAME_MAX + 1];
    struct channel *next;
};

struct weft_node {
    struct node *node;
    struct channel *channels;
    weft_ns patience; /* of the stop that was asked for */
};

const char *weft_version(void) {
    return WEFT_VERSION;
}

/* Flags as config_load takes them. */
struct flags {
    char **values;
    size_t count;
    size_t max;
};

static void add_flag(struct flags *flags, const char *flag, const char *value) {
    if (flags->count + 2 > flags->max || value == NULL) {
        return;
    }
    flags->values[flags->count++] = strdup(flag);
    flags->values[flags->count++] = strdup(value);
}

static void flags_fini(struct flags *flags) {
    for (size_t i = 0; i < flags->count; i++) {
        free(flags->values[i]);
    }
    free(flags->values);
}

/* False when out of memory. */
static bool flags_init(struct flags *flags, const struct weft_node_config *config) {
    flags->max = 8 + 2 * (config->listen_count + config->seed_count);
    flags->values = calloc(flags->max + 1, sizeof(*flags->values));
    if (flags->values == NULL) {
        return false;
    }
    flags->values[flags->count++] = strdup("weft");
    add_flag(flags, "--name", config->name);
    add_flag(flags, "--state", config->state);
    for (size_t i = 0; i < config->listen_count; i++) {
        add_flag(flags, "--listen", config->listen[i]);
    }
    if (config->listen_count == 0) {
        add_flag(flags, "--listen", ":0");
    }
    for (size_t i = 0; i < config->seed_count; i++) {
        add_flag(flags, "--seed", config->seeds[i]);
    }
    for (size_t i = 0; i < flags->count; i++) {
        if (flags->values[i] == NULL) {
            return false;
        }
    }
    return true;
}

static enum weft_err read_config(const struct weft_node_config *config, struct config *out,
                                 char *why) {
    struct flags flags = {0};
    struct config_error error = {.text = "out of memory"};
    /* Some home is needed to name default paths; an ephemeral node never touches them. */
    char home[] = "HOME=/nonexistent";
    char *const environment[] = {home, NULL};
    enum weft_err err = WEFT_ERR_MEMORY;
    if (flags_init(&flags, config)) {
        err = config_load((int)flags.count, flags.values, environment, out, &error);
    }
    flags_fini(&flags);
    if (err != WEFT_OK) {
        (void)snprintf(why, WEFT_NODE_TEXT, "%s", error.text);
    }
    return err;
}

enum weft_err weft_node_new(const struct weft_node_config *config, struct weft_node **out,
                            char *why) {
    ASSERT(config->name != NULL && config->secret != NULL && why != NULL);
    struct config read;
    enum weft_err err = read_config(config, &read, why);
    if (err != WEFT_OK) {
        return err;
    }
    struct weft_node *node = calloc(1, sizeof(*node));
    if (node == NULL) {
        config_fini(&read);
        (void)snprintf(why, WEFT_NODE_TEXT, "out of memory");
        return WEFT_ERR_MEMORY;
    }
    struct node_options options = {
        .config = &read,
        .is_embedded = true,
        .is_ephemeral = config->state == NULL,
        .has_secret = true,
        .log = config->is_quiet ? NULL : stderr,
    };
    memcpy(options.secret, config->secret, sizeof(options.secret));
    err = node_new(&options, &node->node, why);
    noise_wipe(options.secret, sizeof(options.secret));
    if (err != WEFT_OK) {
        free(node);
        return err;
    }
    *out = node;
    return WEFT_OK;
}

void weft_node_free(struct weft_node *node) {
    if (node == NULL) {
        return;
    }
    node_free(node->node);
    while (node->channels != NULL) {
        struct channel *channel = node->channels;
        node->channels = channel->next;
        free(channel);
    }
    free(node);
}

void weft_node_run(struct weft_node *node) {
    node_run(node->node);
}

enum weft_err weft_node_post(struct weft_node *node, void (*call)(void *ctx), void *ctx) {
    ASSERT(call != NULL);
    return node_post(node->node, call, ctx);
}

static void stop_now(void *ctx) {
    struct weft_node *node = ctx;
    node_leave(node->node, node->patience);
}

enum weft_err weft_node_stop(struct weft_node *node, weft_ns patience) {
    __atomic_store_n(&node->patience, patience, __ATOMIC_RELEASE);
    return node_post(node->node, stop_now, node);
}

const struct weft_peer_id *weft_node_id(const struct weft_node *node) {
    return node_id(node->node);
}

const char *weft_node_listening(const struct weft_node *node, size_t index) {
    return node_listening(node->node, index);
}

/* A frame of what a callback returned; frees the bytes. */
static struct frame *frame_of(struct weft_bytes bytes) {
    struct frame *frame = bytes.data != NULL && bytes.len <= WEFT_PAYLOAD_MAX
                              ? frame_copy(span_of(bytes.data, bytes.len))
                              : NULL;
    free(bytes.data);
    return frame;
}

static void on_unicast(void *ctx, const struct weft_peer_id *source, struct span payload) {
    const struct channel *channel = ctx;
    if (channel->gossiper.unicast != NULL) {
        channel->gossiper.unicast(channel->gossiper.ctx, source, payload.data, payload.len);
    }
}

static bool on_broadcast(void *ctx, const struct weft_peer_id *source, struct span payload) {
    const struct channel *channel = ctx;
    return channel->gossiper.broadcast == NULL ||
           channel->gossiper.broadcast(channel->gossiper.ctx, source, payload.data, payload.len);
}

static struct frame *on_complete(void *ctx) {
    const struct channel *channel = ctx;
    return channel->gossiper.complete != NULL
               ? frame_of(channel->gossiper.complete(channel->gossiper.ctx))
               : NULL;
}

static struct frame *on_gossip(void *ctx, struct span payload) {
    const struct channel *channel = ctx;
    return channel->gossiper.gossip != NULL ? frame_of(channel->gossiper.gossip(
                                                  channel->gossiper.ctx, payload.data, payload.len))
                                            : NULL;
}

static struct frame *on_merge(void *ctx, struct span older, struct span newer) {
    const struct channel *channel = ctx;
    return frame_of(channel->gossiper.merge(channel->gossiper.ctx, older.data, older.len,
                                            newer.data, newer.len));
}

enum weft_err weft_node_channel_open(struct weft_node *node, const char *name,
                                     const struct weft_gossiper *gossiper) {
    struct channel *channel = calloc(1, sizeof(*channel));
    if (channel == NULL) {
        return WEFT_ERR_MEMORY;
    }
    channel->gossiper = *gossiper;
    const struct gossiper inner = {
        .ctx = channel,
        .unicast = on_unicast,
        .broadcast = on_broadcast,
        .complete = on_complete,
        .gossip = on_gossip,
        .merge = gossiper->merge != NULL ? on_merge : NULL,
    };
    enum weft_err err = wire_name_is_valid(span_of_text(name))
                            ? core_channel_open(node_core(node->node), name, &inner, node_clock())
                            : WEFT_ERR_INVALID;
    if (err != WEFT_OK) {
        free(channel);
        return err;
    }
    (void)snprintf(channel->name, sizeof(channel->name), "%s", name);
    channel->next = node->channels;
    node->channels = channel;
    node_touch(node->node);
    return WEFT_OK;
}

void weft_node_channel_close(struct weft_node *node, const char *name) {
    core_channel_close(node_core(node->node), name);
    struct channel **at = &node->channels;
    while (*at != NULL && strcmp((*at)->name, name) != 0) {
        at = &(*at)->next;
    }
    struct channel *channel = *at;
    if (channel != NULL) {
        *at = channel->next;
        free(channel);
    }
}

enum weft_err weft_node_gossip(struct weft_node *node, const char *channel, const void *data,
                               size_t len) {
    node_touch(node->node);
    return len > WEFT_PAYLOAD_MAX ? WEFT_ERR_INVALID
                                  : core_channel_gossip(node_core(node->node), channel,
                                                        span_of(data, len), node_clock());
}

enum weft_err weft_node_broadcast(struct weft_node *node, const char *channel, const void *data,
                                  size_t len) {
    node_touch(node->node);
    return core_channel_broadcast(node_core(node->node), channel, span_of(data, len), node_clock());
}

enum weft_err weft_node_unicast(struct weft_node *node, const char *channel,
                                const struct weft_peer_id *peer, const void *data, size_t len) {
    node_touch(node->node);
    return core_channel_unicast(node_core(node->node), channel, peer, span_of(data, len),
                                node_clock());
}

struct peer_walk {
    void (*each)(void *ctx, const struct weft_peer *peer);
    void *ctx;
};

static void on_peer(void *ctx, const struct core_peer_view *view) {
    const struct peer_walk *walk = ctx;
    char name[WEFT_NAME_MAX + 1];
    (void)span_to_text(view->body.name, name, sizeof(name));
    const struct weft_peer peer = {
        .id = view->id,
        .name = name,
        .is_self = view->is_self,
        .is_reachable = view->is_self || view->path.is_reachable,
        .hops = view->path.hops,
        .cost_us = view->path.cost_us,
    };
    walk->each(walk->ctx, &peer);
}

void weft_node_each_peer(struct weft_node *node,
                         void (*each)(void *ctx, const struct weft_peer *peer), void *ctx) {
    struct peer_walk walk = {.each = each, .ctx = ctx};
    core_each_peer(node_core(node->node), on_peer, &walk);
}
