/* SPDX-License-Identifier: Apache-2.0
 *
 * Local ports that lead to services: wanted by the configuration or added through the control API.
 * One that cannot listen at the start does not stop the daemon: it is a problem in the status.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/internal.h"
#include "node/resolve.h"

#define FAILURE_QUIET (60 * NS_PER_S)

struct own_forward *node_forward_find(struct node *node, const char *name_space, const char *name,
                                      uint8_t protocol) {
    for (struct own_forward *forward = node->forwards; forward != NULL; forward = forward->next) {
        if (forward->protocol == protocol && strcmp(forward->name, name) == 0 &&
            strcmp(forward->name_space, name_space) == 0) {
            return forward;
        }
    }
    return NULL;
}

static void address_text(const struct config_address *address, char out[WEFT_ENDPOINT_MAX + 1]) {
    const char *host = address->host[0] != '\0' ? address->host : "::";
    (void)snprintf(out, WEFT_ENDPOINT_MAX + 1, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u",
                   host, (unsigned)address->port);
}

static enum weft_err keep(struct node *node, const struct own_forward *forward) {
    char host[256];
    char port[8];
    if (!resolve_split(forward->address, host, port)) {
        return WEFT_ERR_INVALID;
    }
    const struct stored_name name = node_stored_name(forward->name, forward->protocol);
    const struct store_forward stored = {
        .name_space = forward->name_space,
        .name = name.text,
        .address = host,
        .port = (uint16_t)strtoul(port, NULL, 10),
    };
    return store_save_forward(node->store, &stored);
}

static struct own_forward *forward_new(struct node *node, const char *name_space, const char *name,
                                       uint8_t protocol) {
    struct own_forward *forward = calloc(1, sizeof(*forward));
    if (forward == NULL) {
        return NULL;
    }
    (void)snprintf(forward->name_space, sizeof(forward->name_space), "%s", name_space);
    (void)snprintf(forward->name, sizeof(forward->name), "%s", name);
    forward->protocol = protocol;
    struct own_forward **at = &node->forwards;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = forward;
    return forward;
}

static void forward_drop(struct node *node, struct own_forward *forward) {
    struct own_forward **at = &node->forwards;
    while (*at != forward) {
        at = &(*at)->next;
    }
    *at = forward->next;
    free(forward);
}

static const char *why_text(enum weft_err err, int error) {
    return err == WEFT_ERR_IO ? strerror(error) : weft_err_name(err);
}

static void on_retry(evutil_socket_t fd, short what, void *arg);

/* Some address was taken: looks again soon, and only then. */
static void retry_later(struct node *node) {
    const struct timeval after = {.tv_sec = FORWARD_RETRY_S};
    if (node->forward_retry == NULL) {
        node->forward_retry = event_new(node->base, -1, 0, on_retry, node);
    }
    if (node->forward_retry != NULL) {
        (void)event_add(node->forward_retry, &after);
    }
}

/* Listens at forward->address; notes the outcome in the forward. */
static enum weft_err open_forward(struct node *node, struct own_forward *forward) {
    char bound[WEFT_ENDPOINT_MAX + 1] = "";
    enum weft_err err =
        proxy_add_forward(node->proxy, forward->name_space, forward->name,
                          (enum proxy_protocol)forward->protocol, forward->address, bound);
    int error = errno;
    if (err != WEFT_OK) {
        bool is_news = strcmp(forward->error, why_text(err, error)) != 0;
        (void)snprintf(forward->error, sizeof(forward->error), "%s", why_text(err, error));
        trace(&node->host, is_news ? TRACE_WARN : TRACE_DEBUG, "forward-failed",
              "service=%s/%s address=%s why=\"%s\"", forward->name_space, forward->name,
              forward->address, forward->error);
        errno = error;
        return err;
    }
    forward->error[0] = '\0';
    (void)snprintf(forward->bound, sizeof(forward->bound), "%s", bound);
    trace(&node->host, TRACE_INFO, "forward", "service=%s/%s address=%s", forward->name_space,
          forward->name, forward->bound);
    return WEFT_OK;
}

enum weft_err node_forward_add(struct node *node, const char *name_space, const char *name,
                               uint8_t protocol, const char *address, unsigned origin) {
    if (!wire_name_is_valid(span_of_text(name_space)) || !wire_name_is_valid(span_of_text(name)) ||
        strlen(address) > WEFT_ENDPOINT_MAX) {
        return WEFT_ERR_INVALID;
    }
    struct own_forward *known = node_forward_find(node, name_space, name, protocol);
    struct own_forward before = known != NULL ? *known : (struct own_forward){0};
    struct own_forward *forward =
        known != NULL ? known : forward_new(node, name_space, name, protocol);
    if (forward == NULL) {
        return WEFT_ERR_MEMORY;
    }
    (void)snprintf(forward->address, sizeof(forward->address), "%s", address);
    enum weft_err err = open_forward(node, forward);
    int error = errno;
    if (err != WEFT_OK && known != NULL) {
        *forward = before;
    } else if (err != WEFT_OK) {
        forward_drop(node, forward);
    } else {
        /* What the kernel chose is kept, so that the port is the same after a restart. */
        forward->origins |= origin;
        (void)snprintf(forward->address, sizeof(forward->address), "%s", forward->bound);
        err = origin == OWN_ADDED ? keep(node, forward) : WEFT_OK;
    }
    errno = error;
    return err;
}

enum weft_err node_forward_remove(struct node *node, const char *name_space, const char *name,
                                  uint8_t protocol) {
    struct own_forward *forward = node_forward_find(node, name_space, name, protocol);
    if (forward == NULL) {
        return WEFT_ERR_NOT_FOUND;
    }
    enum weft_err err = WEFT_OK;
    if (forward->bound[0] != '\0') {
        err = proxy_remove_forward(node->proxy, name_space, name, (enum proxy_protocol)protocol);
    }
    const struct stored_name stored = node_stored_name(name, protocol);
    enum weft_err kept = store_forget_forward(node->store, name_space, stored.text);
    forward_drop(node, forward);
    return err != WEFT_OK ? err : kept;
}

static const char *failure_text(enum wire_reset_reason reason) {
    switch (reason) {
    case WIRE_RESET_NONE:
        return "no node in reach offers it";
    case WIRE_RESET_NO_SERVICE:
        return "its node does not offer it any more";
    case WIRE_RESET_CONNECT_FAILED:
        return "its node cannot connect to it";
    case WIRE_RESET_REFUSED:
        return "its node has no room for another connection";
    case WIRE_RESET_TIMEOUT:
        return "no path to its node";
    case WIRE_RESET_RESTARTED:
    case WIRE_RESET_STOPPING:
        return "its node was stopped";
    case WIRE_RESET_APPLICATION:
    case WIRE_RESET_PROTOCOL:
    case WIRE_RESET_UNKNOWN_STREAM:
        return "its node reset the connection";
    }
    return "its node gave a reason that is not known here";
}

void node_forward_failed(struct node *node, const char *name_space, const char *name,
                         uint8_t protocol, enum wire_reset_reason reason) {
    struct own_forward *forward = node_forward_find(node, name_space, name, protocol);
    if (forward == NULL) {
        return;
    }
    weft_ns now = node_clock();
    bool is_told = protocol == WIRE_PROTOCOL_UDP && forward->failure == failure_text(reason) &&
                   time_since(forward->failure_told, now) < FAILURE_QUIET;
    forward->failure = failure_text(reason);
    if (is_told) {
        return;
    }
    forward->failure_told = now;
    trace(&node->host, TRACE_WARN, "forward-refused", "service=%s/%s why=\"%s\"", name_space, name,
          forward->failure);
}

static void on_retry(evutil_socket_t fd, short what, void *arg) {
    struct node *node = arg;
    (void)fd;
    (void)what;
    for (struct own_forward *forward = node->forwards; forward != NULL; forward = forward->next) {
        if (forward->bound[0] == '\0' && open_forward(node, forward) != WEFT_OK) {
            retry_later(node);
        }
    }
}

/* Wanted whether or not it can listen now. */
static void want(struct node *node, const struct config_forward *wanted, unsigned origin) {
    char address[WEFT_ENDPOINT_MAX + 1];
    struct own_forward *forward =
        node_forward_find(node, wanted->name_space, wanted->name, wanted->protocol);
    if (forward != NULL && origin == OWN_ADDED) {
        return; /* the configuration's word is newer */
    }
    address_text(&wanted->listen, address);
    bool is_new = forward == NULL;
    forward =
        is_new ? forward_new(node, wanted->name_space, wanted->name, wanted->protocol) : forward;
    if (forward == NULL) {
        return;
    }
    bool has_moved = is_new || strcmp(forward->address, address) != 0;
    forward->origins |= origin;
    (void)snprintf(forward->address, sizeof(forward->address), "%s", address);
    if ((has_moved || forward->bound[0] == '\0') && open_forward(node, forward) != WEFT_OK) {
        forward->bound[0] = '\0';
        retry_later(node);
    }
}

static void want_configured(struct node *node) {
    for (size_t i = 0; i < node->config.forward_count; i++) {
        want(node, &node->config.forwards[i], OWN_CONFIGURED);
    }
}

static void load_one(void *ctx, const struct store_forward *stored) {
    struct config_forward wanted = {.listen.port = stored->port};
    struct stored_name name;
    (void)snprintf(name.text, sizeof(name.text), "%s", stored->name);
    wanted.protocol = node_stored_protocol(&name);
    (void)snprintf(wanted.name_space, sizeof(wanted.name_space), "%s", stored->name_space);
    (void)snprintf(wanted.name, sizeof(wanted.name), "%s", name.text);
    (void)snprintf(wanted.listen.host, sizeof(wanted.listen.host), "%s", stored->address);
    want(ctx, &wanted, OWN_ADDED);
}

void node_forwards_init(struct node *node) {
    want_configured(node);
    enum weft_err err = store_each_forward(node->store, load_one, node);
    if (err != WEFT_OK) {
        trace(&node->host, TRACE_ERROR, "store-unreadable", "what=forwards why=%s",
              weft_err_name(err));
    }
}

static bool is_configured(const struct node *node, const struct own_forward *forward) {
    for (size_t i = 0; i < node->config.forward_count; i++) {
        const struct config_forward *wanted = &node->config.forwards[i];
        if (wanted->protocol == forward->protocol && strcmp(wanted->name, forward->name) == 0 &&
            strcmp(wanted->name_space, forward->name_space) == 0) {
            return true;
        }
    }
    return false;
}

void node_forwards_reload(struct node *node) {
    struct own_forward *next = NULL;
    for (struct own_forward *forward = node->forwards; forward != NULL; forward = next) {
        next = forward->next;
        bool was_configured = (forward->origins & OWN_CONFIGURED) != 0;
        if (!was_configured || is_configured(node, forward)) {
            continue;
        }
        forward->origins &= ~(unsigned)OWN_CONFIGURED;
        if (forward->origins == 0 && node_forward_remove(node, forward->name_space, forward->name,
                                                         forward->protocol) != WEFT_OK) {
            trace(&node->host, TRACE_WARN, "forward-not-removed", "what=reload");
        }
    }
    want_configured(node);
}

void node_forwards_free(struct node *node) {
    if (node->forward_retry != NULL) {
        event_free(node->forward_retry);
    }
    while (node->forwards != NULL) {
        forward_drop(node, node->forwards);
    }
}
