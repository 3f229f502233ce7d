/* SPDX-License-Identifier: Apache-2.0
 *
 * Before a node can be somebody: the lock on its folder, its key, the mesh's secret, the store, and
 * an incarnation that no earlier life used, on disk before anybody hears of it.
 */
#include "node/start.h"

#include <stdio.h>
#include <stdlib.h>

_Static_assert(NODE_TEXT_BYTES >= STATEDIR_TEXT_BYTES, "an error of the folder fits");
_Static_assert(NODE_TEXT_BYTES >= STORE_TEXT_BYTES, "an error of the store fits");

static enum weft_err start_log(struct node *node, const struct node_options *options) {
    if (options->log == NULL) {
        return WEFT_OK;
    }
    node->log = log_new(options->log, node->config.log_level, node->config.log_format);
    return node->log != NULL ? WEFT_OK : WEFT_ERR_MEMORY;
}

/* What is wrong with the folder's contents is the operator's to mend. */
static enum weft_err as_invalid(enum weft_err err) {
    return err == WEFT_ERR_MALFORMED ? WEFT_ERR_INVALID : err;
}

/* Reads the secret; makes one if there is none and no file was named. */
static enum weft_err read_secret(struct node *node, char *error) {
    char path[4096];
    const char *named = node->config.secret_file;
    if (named == NULL && !statedir_path(&node->statedir, "secret", path, sizeof(path))) {
        (void)snprintf(error, NODE_TEXT_BYTES, "%s: the path is too long", node->config.state);
        return WEFT_ERR_INVALID;
    }
    enum weft_err err =
        statedir_read_secret(named != NULL ? named : path, node->keys->secret, error);
    if (err == WEFT_ERR_NOT_FOUND && named == NULL) {
        statedir_make_secret(node->keys->secret);
        return statedir_write_secret(path, node->keys->secret, error);
    }
    return err == WEFT_ERR_NOT_FOUND ? WEFT_ERR_INVALID : as_invalid(err);
}

static enum weft_err take_secret(struct node *node, const struct node_options *options,
                                 char *error) {
    if (options->has_secret) {
        memcpy(node->keys->secret, options->secret, sizeof(node->keys->secret));
        return WEFT_OK;
    }
    return read_secret(node, error);
}

static enum weft_err open_folder(struct node *node, const struct node_options *options,
                                 char *error) {
    enum weft_err err = statedir_open(node->config.state, &node->statedir, error);
    if (err != WEFT_OK) {
        node->statedir = (struct statedir){.lock = -1};
        return as_invalid(err);
    }
    err = as_invalid(statedir_identity(&node->statedir, &node->keys->identity, error));
    return err == WEFT_OK ? take_secret(node, options, error) : err;
}

/* What the writer thread has to tell, on its way to the loop's. */
struct report {
    struct node *node;
    enum trace_level level;
    char name[64];
    char detail[STORE_TEXT_BYTES];
};

static void on_report(void *ctx) {
    struct report *report = ctx;
    node_event(report->node, &(struct trace_event){
                                 .level = report->level,
                                 .name = report->name,
                                 .detail = report->detail,
                             });
    free(report);
}

static void hear_store(void *ctx, const struct trace_event *event) {
    struct report *report = calloc(1, sizeof(*report));
    if (report == NULL) {
        return;
    }
    report->node = ctx;
    report->level = event->level;
    (void)snprintf(report->name, sizeof(report->name), "%s", event->name);
    (void)snprintf(report->detail, sizeof(report->detail), "%s", event->detail);
    const struct post post = {.call = on_report, .drop = free, .ctx = report};
    if (node_post_owned(ctx, &post) != WEFT_OK) {
        free(report);
    }
}

static enum weft_err open_store(struct node *node, char *error) {
    char path[4096];
    if (!statedir_path(&node->statedir, "store.db", path, sizeof(path))) {
        (void)snprintf(error, NODE_TEXT_BYTES, "%s: the path is too long", node->config.state);
        return WEFT_ERR_INVALID;
    }
    const struct store_config config = {.path = path, .report_ctx = node, .report = hear_store};
    return store_open(&config, &node->store, error);
}

/* A new life: greater than any before, and kept before it is used. */
static enum weft_err begin_life(struct node *node, char *error) {
    enum weft_err err = store_load_incarnation(node->store, &node->incarnation);
    if (err == WEFT_OK) {
        node->incarnation++;
        err = store_save_incarnation(node->store, node->incarnation);
    }
    if (err != WEFT_OK) {
        char why[STORE_TEXT_BYTES];
        bool has_text = store_error(node->store, why);
        (void)snprintf(error, NODE_TEXT_BYTES, "cannot keep the incarnation: %s",
                       has_text ? why : weft_err_name(err));
    }
    return err;
}

static enum weft_err start_ephemeral(struct node *node, const struct node_options *options) {
    uint8_t seed[IDENTITY_SEED_BYTES];
    host_random(&node->host, seed, sizeof(seed));
    identity_from_seed(&node->keys->identity, seed);
    noise_wipe(seed, sizeof(seed));
    memcpy(node->keys->secret, options->secret, sizeof(node->keys->secret));
    return store_open_memory(&node->store);
}

enum weft_err node_start_state(struct node *node, const struct node_options *options, char *error) {
    enum weft_err err = start_log(node, options);
    if (err != WEFT_OK) {
        return err;
    }
    if (options->is_ephemeral) {
        err = start_ephemeral(node, options);
    } else {
        err = open_folder(node, options, error);
        if (err == WEFT_OK) {
            err = open_store(node, error);
        }
    }
    if (err == WEFT_OK) {
        node_events_load(node);
        err = begin_life(node, error);
    }
    return err;
}

void node_stop_state(struct node *node) {
    struct store *store = node->store;
    node->store = NULL;
    store_close(store);
    if (node->statedir.lock >= 0) {
        statedir_close(&node->statedir);
    }
    log_free(node->log);
    node->log = NULL;
}

void node_reload_log(struct node *node) {
    if (node->log != NULL) {
        log_set(node->log, node->config.log_level, node->config.log_format);
    }
}
