/* SPDX-License-Identifier: Apache-2.0
 *
 * Ping and trace: pongs of the peers themselves, end to end. A trace asks each peer on the present
 * path, so its round trips are from here to each hop.
 */
#include <stdio.h>
#include <stdlib.h>

#include "node/api.h"
#include "node/config_parse.h"

#define TIMEOUT_DEFAULT_MS 5000
#define TIMEOUT_MAX_MS 60000

static void probe_free(struct probe *probe) {
    if (probe->timeout != NULL) {
        event_free(probe->timeout);
    }
    free(probe);
}

static void probe_unlink(struct control *control, struct probe *probe) {
    struct probe **at = &control->probes;
    while (*at != probe) {
        at = &(*at)->next;
    }
    *at = probe->next;
}

static json_t *hop_of(const struct probe *probe, size_t index) {
    return json_pack("{s:o,s:o,s:o}", "id", api_id(&probe->hops[index].peer), "name",
                     api_peer_name(probe->node, &probe->hops[index].peer), "rtt_ms",
                     probe->hops[index].has_answer ? api_ms(probe->hops[index].rtt) : json_null());
}

/* Answers with what there is, and forgets the probe. */
static void probe_end(struct probe *probe) {
    probe_unlink(probe->node->control, probe);
    if (probe->is_trace) {
        json_t *path = json_array();
        for (size_t i = 0; i < probe->hop_count; i++) {
            (void)json_array_append_new(path, hop_of(probe, i));
        }
        api_reply_http(probe->http, HTTP_OK,
                       json_pack("{s:s,s:o}", "target", probe->target, "path", path));
    } else if (probe->answered == probe->hop_count) {
        api_reply_http(probe->http, HTTP_OK, hop_of(probe, 0));
    } else {
        api_error_http(probe->http, 504, "timeout", "the peer did not answer in time");
    }
    probe_free(probe);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    probe_end(arg);
}

void node_control_pong(struct node *node, uint64_t token, weft_ns now) {
    struct probe *probe = node->control != NULL ? node->control->probes : NULL;
    while (probe != NULL &&
           (token < probe->first_token || token - probe->first_token >= probe->hop_count)) {
        probe = probe->next;
    }
    if (probe == NULL || probe->hops[token - probe->first_token].has_answer) {
        return;
    }
    probe->hops[token - probe->first_token].has_answer = true;
    probe->hops[token - probe->first_token].rtt = time_since(probe->started, now);
    probe->answered++;
    if (probe->answered == probe->hop_count) {
        probe_end(probe);
    }
}

static struct probe *probe_new(const struct api_request *request, const char *target,
                               unsigned timeout_ms) {
    struct probe *probe = calloc(1, sizeof(*probe));
    const struct timeval limit = {.tv_sec = timeout_ms / 1000,
                                  .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
    if (probe == NULL) {
        return NULL;
    }
    probe->node = request->node;
    probe->http = request->http;
    probe->started = node_clock();
    (void)snprintf(probe->target, sizeof(probe->target), "%s", target);
    probe->timeout = event_new(request->node->base, -1, 0, on_timeout, probe);
    if (probe->timeout == NULL || event_add(probe->timeout, &limit) != 0) {
        probe_free(probe);
        return NULL;
    }
    probe->next = request->control->probes;
    request->control->probes = probe;
    return probe;
}

/* Asks every hop; ourselves answer at once, and whoever cannot be asked never does. */
static void probe_begin(const struct api_request *request, struct probe *probe) {
    struct node *node = request->node;
    probe->first_token = request->control->token_next;
    request->control->token_next += probe->hop_count;
    for (size_t i = 0; i < probe->hop_count; i++) {
        if (weft_peer_id_equal(&probe->hops[i].peer, &node->keys->identity.id)) {
            probe->hops[i].has_answer = true;
            probe->answered++;
        } else if (core_ping(node->core, &probe->hops[i].peer, probe->first_token + i,
                             node_clock()) != WEFT_OK) {
            continue;
        }
    }
    if (probe->answered == probe->hop_count) {
        probe_end(probe);
    }
}

/* Finds the peer; false after an error was answered. */
static bool find_peer(const struct api_request *request, const char *text,
                      struct weft_peer_id *out) {
    enum weft_err err = core_resolve_peer(request->node->core, text, out);
    if (err == WEFT_ERR_EXISTS) {
        api_error(request, 409, "ambiguous", "more than one peer fits %s; give more of its id",
                  text);
    } else if (err != WEFT_OK) {
        api_error(request, HTTP_NOTFOUND, "not-found", "no peer is known as %s", text);
    }
    return err == WEFT_OK;
}

static unsigned timeout_of(const json_t *body) {
    json_int_t given = json_integer_value(json_object_get(body, "timeout_ms"));
    if (given < 1) {
        return TIMEOUT_DEFAULT_MS;
    }
    return given > TIMEOUT_MAX_MS ? TIMEOUT_MAX_MS : (unsigned)given;
}

static void ping(const struct api_request *request, const json_t *body) {
    struct weft_peer_id peer;
    const char *text = api_text(request, body, "peer", true);
    if (text == NULL || !find_peer(request, text, &peer)) {
        return;
    }
    struct probe *probe = probe_new(request, text, timeout_of(body));
    if (probe == NULL) {
        api_error(request, HTTP_SERVUNAVAIL, "memory", "out of memory");
        return;
    }
    probe->hop_count = 1;
    probe->hops[0].peer = peer;
    probe_begin(request, probe);
}

/* A peer, else the nearest node that offers a service of that name. */
static bool find_target(const struct api_request *request, const char *text,
                        struct weft_peer_id *out) {
    char name_space[WEFT_NAME_MAX + 1];
    char name[WEFT_NAME_MAX + 1];
    uint8_t protocol = 0;
    struct core_provider provider;
    if (core_resolve_peer(request->node->core, text, out) == WEFT_ERR_NOT_FOUND &&
        config_parse_service_name(text, name_space, name, &protocol) &&
        core_providers(request->node->core, name_space, name, protocol, &provider, 1) == 1) {
        *out = provider.peer;
        return true;
    }
    return find_peer(request, text, out);
}

static void trace_to(const struct api_request *request, const json_t *body) {
    struct weft_peer_id peer;
    struct weft_peer_id path[PROBE_HOPS_MAX + 1];
    const char *text = api_text(request, body, "target", true);
    if (text == NULL || !find_target(request, text, &peer)) {
        return;
    }
    size_t count = core_trace_path(request->node->core, &peer, path, PROBE_HOPS_MAX + 1);
    if (count == 0) {
        api_error(request, HTTP_NOTFOUND, "unreachable", "there is no path to %s now", text);
        return;
    }
    struct probe *probe = probe_new(request, text, timeout_of(body));
    if (probe == NULL) {
        api_error(request, HTTP_SERVUNAVAIL, "memory", "out of memory");
        return;
    }
    probe->is_trace = true;
    probe->hop_count = count;
    for (size_t i = 0; i < count; i++) {
        probe->hops[i].peer = path[i];
    }
    probe_begin(request, probe);
}

void api_post_ping(const struct api_request *request) {
    json_t *body = api_body(request);
    if (body != NULL) {
        ping(request, body);
        json_decref(body);
    }
}

void api_post_trace(const struct api_request *request) {
    json_t *body = api_body(request);
    if (body != NULL) {
        trace_to(request, body);
        json_decref(body);
    }
}

void api_probes_free(struct control *control) {
    while (control->probes != NULL) {
        struct probe *probe = control->probes;
        control->probes = probe->next;
        api_error_http(probe->http, HTTP_SERVUNAVAIL, "stopping", "the daemon stops");
        probe_free(probe);
    }
}
