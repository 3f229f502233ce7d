/* SPDX-License-Identifier: Apache-2.0
 *
 * A new configuration for a node that runs. What can change under way does; the rest is named in
 * the log, so that nobody believes it took effect.
 */
#include <string.h>

#include "node/internal.h"

static bool has_seed(const struct config *config, const char *endpoint) {
    for (size_t i = 0; i < config->seed_count; i++) {
        if (strcmp(config->seeds[i].endpoint, endpoint) == 0) {
            return true;
        }
    }
    return false;
}

static void reload_seeds(struct node *node, const struct config *before) {
    for (size_t i = 0; i < before->seed_count; i++) {
        if (!has_seed(&node->config, before->seeds[i].endpoint)) {
            core_remove_seed(node->core, before->seeds[i].endpoint);
        }
    }
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

static bool same_text(const char *a, const char *b) {
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_addresses(const struct config *a, const struct config *b) {
    bool is_same = a->listen_count == b->listen_count;
    for (size_t i = 0; i < a->listen_count && is_same; i++) {
        is_same = strcmp(a->listen[i].host, b->listen[i].host) == 0 &&
                  a->listen[i].port == b->listen[i].port;
    }
    return is_same;
}

static bool same_labels(const struct config *a, const struct config *b) {
    bool is_same = a->label_count == b->label_count;
    for (size_t i = 0; i < a->label_count && is_same; i++) {
        is_same = strcmp(a->labels[i].key, b->labels[i].key) == 0 &&
                  strcmp(a->labels[i].value, b->labels[i].value) == 0;
    }
    return is_same;
}

static void warn_unless(struct node *node, bool is_same, const char *key) {
    if (!is_same) {
        trace(&node->host, TRACE_WARN, "reload-needs-restart", "key=%s", key);
    }
}

static void name_the_rest(struct node *node, const struct config *before) {
    const struct config *now = &node->config;
    warn_unless(node, strcmp(before->name, now->name) == 0, "name");
    warn_unless(node, same_addresses(before, now), "listen");
    warn_unless(node, same_text(before->secret_file, now->secret_file), "secret-file");
    warn_unless(node, same_text(before->state, now->state), "state");
    warn_unless(node, same_text(before->control, now->control), "control");
    warn_unless(node, same_labels(before, now), "labels");
    warn_unless(node, before->may_discover == now->may_discover, "discovery");
    warn_unless(node, before->are_ports_shared == now->are_ports_shared, "share_ports");
    warn_unless(node, before->degree == now->degree, "degree");
    warn_unless(node, before->heartbeat == now->heartbeat, "heartbeat");
    warn_unless(node, before->has_http == now->has_http && before->http.port == now->http.port,
                "http");
    warn_unless(node, before->is_sandboxed == now->is_sandboxed, "sandbox");
    warn_unless(node,
                before->links_max == now->links_max && before->streams_max == now->streams_max &&
                    before->peers_max == now->peers_max && before->flows_max == now->flows_max &&
                    before->buffers_mib == now->buffers_mib,
                "limits");
    warn_unless(node,
                before->flow_idle == now->flow_idle &&
                    before->flow_unanswered == now->flow_unanswered,
                "udp");
}

/* What needs a restart keeps its old value, so that the status tells what is in force. */
static void keep_in_force(struct config *now, struct config *before) {
    struct config fresh = *now;
    *now = *before;
    now->file = fresh.file;
    now->seeds = fresh.seeds;
    now->seed_count = fresh.seed_count;
    now->services = fresh.services;
    now->service_count = fresh.service_count;
    now->forwards = fresh.forwards;
    now->forward_count = fresh.forward_count;
    now->log_level = fresh.log_level;
    now->log_format = fresh.log_format;
    fresh.file = before->file;
    fresh.seeds = before->seeds;
    fresh.seed_count = before->seed_count;
    fresh.services = before->services;
    fresh.service_count = before->service_count;
    fresh.forwards = before->forwards;
    fresh.forward_count = before->forward_count;
    *before = fresh; /* to be freed by the caller */
}

void node_reload(struct node *node, struct config *config) {
    struct config before = node->config;
    node->config = *config;
    *config = (struct config){0};
    name_the_rest(node, &before);
    reload_seeds(node, &before);
    keep_in_force(&node->config, &before);
    config_fini(&before);
    node_services_reload(node);
    node_forwards_reload(node);
    node_reload_log(node);
    trace(&node->host, TRACE_INFO, "reloaded", "file=%s",
          node->config.file != NULL ? node->config.file : "-");
    node_touch(node);
}

void node_reload_refused(struct node *node, const char *why) {
    trace(&node->host, TRACE_ERROR, "reload-refused", "why=\"%s\"", why);
}
