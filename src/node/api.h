/* SPDX-License-Identifier: Apache-2.0
 *
 * The control API (docs/api.md): what the handlers share. A handler answers every request exactly
 * once, at once or later; a request whose client has gone is answered all the same and dropped by
 * evhttp.
 */
#ifndef NODE_API_H
#define NODE_API_H

#include <event2/http.h>
#include <jansson.h>

#include "node/internal.h"

#define PROBE_HOPS_MAX WIRE_HOPS_MAX

struct api_request {
    struct node *node;
    struct control *control;
    struct evhttp_request *http;
    bool is_local;     /* on the Unix socket */
    const char *tail;  /* of a path that ends in a name: decoded, else empty */
    const char *query; /* raw, or NULL */
};

/* A ping, or a trace: one token for each hop, from first_token on. */
struct probe {
    struct node *node;
    struct evhttp_request *http;
    struct event *timeout;
    bool is_trace;
    char target[2 * WEFT_NAME_MAX + 2];
    uint64_t first_token;
    size_t hop_count;
    size_t answered;
    weft_ns started;
    struct {
        struct weft_peer_id peer;
        bool has_answer;
        weft_ns rtt;
    } hops[PROBE_HOPS_MAX + 1];
    struct probe *next;
};

struct follower {
    struct evhttp_request *http;
    bool is_gone;
    struct follower *next;
};

struct control {
    struct node *node;
    struct evhttp *local;
    struct evhttp *public;
    char *path; /* of the socket, once it is ours */
    uint64_t token_next;
    struct probe *probes;
    struct follower *followers;
    size_t follower_count;
    struct event *look; /* whether followers are still there */
};

/* Answers with JSON; takes the value. NULL becomes a 500. */
void api_reply(const struct api_request *request, int status, json_t *value);
void api_reply_http(struct evhttp_request *http, int status, json_t *value);
__attribute__((format(printf, 4, 5))) void api_error(const struct api_request *request, int status,
                                                     const char *kind, const char *format, ...);
void api_error_http(struct evhttp_request *http, int status, const char *kind, const char *message);
/* The body as a JSON object, or NULL after an error was answered. The caller's to decref. */
json_t *api_body(const struct api_request *request);
/* A text of the object; NULL after an error was answered, or if it is missing and not required. */
const char *api_text(const struct api_request *request, const json_t *object, const char *key,
                     bool is_required);
json_t *api_ms(weft_ns span);
json_t *api_seconds(weft_ns span);
json_t *api_id(const struct weft_peer_id *id);
json_t *api_span(struct span text);
/* The name a peer gives itself, "" if unknown. */
json_t *api_peer_name(const struct node *node, const struct weft_peer_id *id);
/* Resident memory of this process, 0 if unknown. */
uint64_t api_rss_bytes(void);

/* api_status.c */
void api_get_status(const struct api_request *request);
void api_get_version(const struct api_request *request);
void api_get_health(const struct api_request *request);
void api_get_ready(const struct api_request *request);
/* api_view.c */
void api_get_links(const struct api_request *request);
void api_get_peers(const struct api_request *request);
void api_get_routes(const struct api_request *request);
void api_get_topology(const struct api_request *request);
/* api_services.c */
void api_get_services(const struct api_request *request);
void api_get_forwards(const struct api_request *request);
void api_post_service(const struct api_request *request);
void api_delete_service(const struct api_request *request);
void api_post_forward(const struct api_request *request);
void api_delete_forward(const struct api_request *request);
/* api_admin.c */
void api_get_invite(const struct api_request *request);
void api_post_join(const struct api_request *request);
void api_post_stop(const struct api_request *request);
/* api_probe.c */
void api_post_ping(const struct api_request *request);
void api_post_trace(const struct api_request *request);
void api_probes_free(struct control *control);
/* api_events.c */
void api_get_events(const struct api_request *request);
void api_followers_tell(struct control *control, const struct node_event *event);
void api_followers_free(struct control *control);
/* metrics.c */
void api_get_metrics(const struct api_request *request);

#endif
