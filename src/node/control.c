/* SPDX-License-Identifier: Apache-2.0
 *
 * The control API's plumbing: the Unix socket (0600), the optional read-only port, and the table
 * of requests. Everything it answers is in api_*.c.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "node/api.h"

#define BODY_BYTES_MAX 65536
#define HEADER_BYTES_MAX 16384
#define IDLE_TIMEOUT_S 60
#define BACKLOG 64
#define ACCEPT_PAUSE_US 100000

struct route {
    const char *path;
    void (*handle)(const struct api_request *request);
    enum evhttp_cmd_type method;
    bool has_tail; /* the path ends in "/" and a name follows */
    bool is_public;
};

static const struct route routes[] = {
    {"/v1/status", api_get_status, EVHTTP_REQ_GET, false, true},
    {"/v1/links", api_get_links, EVHTTP_REQ_GET, false, true},
    {"/v1/peers", api_get_peers, EVHTTP_REQ_GET, false, true},
    {"/v1/routes", api_get_routes, EVHTTP_REQ_GET, false, true},
    {"/v1/services", api_get_services, EVHTTP_REQ_GET, false, true},
    {"/v1/topology", api_get_topology, EVHTTP_REQ_GET, false, true},
    {"/v1/forwards", api_get_forwards, EVHTTP_REQ_GET, false, true},
    {"/v1/events", api_get_events, EVHTTP_REQ_GET, false, true},
    {"/v1/version", api_get_version, EVHTTP_REQ_GET, false, true},
    {"/metrics", api_get_metrics, EVHTTP_REQ_GET, false, true},
    {"/healthz", api_get_health, EVHTTP_REQ_GET, false, true},
    {"/readyz", api_get_ready, EVHTTP_REQ_GET, false, true},
    {"/v1/invite", api_get_invite, EVHTTP_REQ_GET, false, false},
    {"/v1/services", api_post_service, EVHTTP_REQ_POST, false, false},
    {"/v1/services/", api_delete_service, EVHTTP_REQ_DELETE, true, false},
    {"/v1/forwards", api_post_forward, EVHTTP_REQ_POST, false, false},
    {"/v1/forwards/", api_delete_forward, EVHTTP_REQ_DELETE, true, false},
    {"/v1/ping", api_post_ping, EVHTTP_REQ_POST, false, false},
    {"/v1/trace", api_post_trace, EVHTTP_REQ_POST, false, false},
    {"/v1/join", api_post_join, EVHTTP_REQ_POST, false, false},
    {"/v1/stop", api_post_stop, EVHTTP_REQ_POST, false, false},
};

void api_reply_http(struct evhttp_request *http, int status, json_t *value) {
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(value);
    struct evbuffer *body = evbuffer_new();
    if (text == NULL || body == NULL) {
        status = HTTP_INTERNAL;
    } else {
        (void)evbuffer_add_printf(body, "%s\n", text);
    }
    struct evkeyvalq *headers = evhttp_request_get_output_headers(http);
    (void)evhttp_add_header(headers, "Content-Type", "application/json");
    (void)evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_send_reply(http, status, NULL, body);
    if (body != NULL) {
        evbuffer_free(body);
    }
    free(text);
}

void api_reply(const struct api_request *request, int status, json_t *value) {
    api_reply_http(request->http, status, value);
}

void api_error_http(struct evhttp_request *http, int status, const char *kind,
                    const char *message) {
    api_reply_http(http, status, json_pack("{s:s,s:s}", "error", kind, "message", message));
}

void api_error(const struct api_request *request, int status, const char *kind, const char *format,
               ...) {
    char message[512];
    va_list list;
    va_start(list, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): false when it is given several files */
    (void)vsnprintf(message, sizeof(message), format, list);
    va_end(list);
    api_error_http(request->http, status, kind, message);
}

json_t *api_body(const struct api_request *request) {
    struct evbuffer *input = evhttp_request_get_input_buffer(request->http);
    size_t len = evbuffer_get_length(input);
    const char *bytes = len > 0 ? (const char *)evbuffer_pullup(input, -1) : "";
    json_error_t error;
    json_t *body = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(body)) {
        json_decref(body);
        api_error(request, HTTP_BADREQUEST, "invalid", "the body must be a JSON object%s%s",
                  error.text[0] != '\0' ? ": " : "", error.text);
        return NULL;
    }
    return body;
}

const char *api_text(const struct api_request *request, const json_t *object, const char *key,
                     bool is_required) {
    const json_t *value = json_object_get(object, key);
    if (json_is_string(value)) {
        return json_string_value(value);
    }
    if (is_required) {
        api_error(request, HTTP_BADREQUEST, "invalid", "%s: expected a text", key);
    }
    return NULL;
}

json_t *api_ms(weft_ns span) {
    weft_ns whole_us = span / NS_PER_US; /* finer is noise */
    return json_real((double)whole_us / 1000.0);
}

json_t *api_seconds(weft_ns span) {
    weft_ns whole_ms = span / NS_PER_MS;
    return json_real((double)whole_ms / 1000.0);
}

json_t *api_id(const struct weft_peer_id *id) {
    char text[WEFT_PEER_ID_TEXT];
    weft_peer_id_format(id, text);
    return json_string(text);
}

json_t *api_span(struct span text) {
    json_t *value = json_stringn(text.len > 0 ? (const char *)text.data : "", text.len);
    return value != NULL ? value : json_string("");
}

json_t *api_peer_name(const struct node *node, const struct weft_peer_id *id) {
    struct core_peer_view view;
    bool is_known = core_find_peer(node->core, id, &view);
    return is_known ? api_span(view.body.name) : json_string("");
}

static const struct route *find_route(enum evhttp_cmd_type method, const char *path,
                                      bool *is_path_known) {
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        const struct route *route = &routes[i];
        size_t len = strlen(route->path);
        bool fits = route->has_tail ? strncmp(path, route->path, len) == 0 && path[len] != '\0'
                                    : strcmp(path, route->path) == 0;
        *is_path_known = *is_path_known || fits;
        if (fits && route->method == method) {
            return route;
        }
    }
    return NULL;
}

static void dispatch(struct api_request *request, enum evhttp_cmd_type method, const char *path) {
    bool is_path_known = false;
    method = method == EVHTTP_REQ_HEAD ? EVHTTP_REQ_GET : method;
    const struct route *route = find_route(method, path, &is_path_known);
    if (route == NULL && !is_path_known) {
        api_error(request, HTTP_NOTFOUND, "not-found", "no such path; see docs/api.md");
    } else if (route == NULL) {
        api_error(request, HTTP_BADMETHOD, "method", "this path does not take that method");
    } else if (!route->is_public && !request->is_local) {
        api_error(request, HTTP_BADMETHOD, "method", "only on the Unix socket");
    } else {
        char *tail = route->has_tail ? evhttp_uridecode(path + strlen(route->path), 0, NULL) : NULL;
        request->tail = tail != NULL ? tail : "";
        route->handle(request);
        free(tail);
    }
}

static void on_request(struct evhttp_request *http, struct control *control, bool is_local) {
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(http);
    const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
    struct api_request request = {
        .node = control->node,
        .control = control,
        .http = http,
        .is_local = is_local,
        .query = uri != NULL ? evhttp_uri_get_query(uri) : NULL,
    };
    dispatch(&request, evhttp_request_get_command(http), path != NULL ? path : "/");
    node_touch(control->node);
}

static void on_local(struct evhttp_request *http, void *ctx) {
    on_request(http, ctx, true);
}

static void on_public(struct evhttp_request *http, void *ctx) {
    on_request(http, ctx, false);
}

static void on_resume(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    (void)evconnlistener_enable(arg);
}

/* Out of descriptors: libevent would try again and again. */
static void on_accept_error(struct evconnlistener *listener, void *ctx) {
    const struct timeval after = {.tv_usec = ACCEPT_PAUSE_US};
    (void)ctx; /* evhttp's own */
    if (event_base_once(evconnlistener_get_base(listener), -1, EV_TIMEOUT, on_resume, listener,
                        &after) == 0) {
        (void)evconnlistener_disable(listener);
    }
}

static bool pause_on_errors(struct evhttp_bound_socket *bound) {
    if (bound == NULL) {
        return false;
    }
    evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(bound), on_accept_error);
    return true;
}

static struct evhttp *http_new(struct control *control,
                               void (*on)(struct evhttp_request *http, void *ctx)) {
    struct evhttp *http = evhttp_new(control->node->base);
    if (http == NULL) {
        return NULL;
    }
    evhttp_set_max_body_size(http, BODY_BYTES_MAX);
    evhttp_set_max_headers_size(http, HEADER_BYTES_MAX);
    evhttp_set_timeout(http, IDLE_TIMEOUT_S);
    evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
                                         EVHTTP_REQ_DELETE);
    evhttp_set_gencb(http, on, control);
    return http;
}

/* Removes a socket that nobody answers on; anything else there is left alone. */
static bool clear_stale(const struct sockaddr_un *address, char *error) {
    struct stat info;
    if (lstat(address->sun_path, &info) != 0) {
        return true;
    }
    if (!S_ISSOCK(info.st_mode)) {
        (void)snprintf(error, NODE_TEXT_BYTES,
                       "control socket %s: a file that is no socket is there", address->sun_path);
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool is_alive =
        fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
                    errno == EAGAIN || errno == EINPROGRESS);
    if (fd >= 0) {
        (void)close(fd);
    }
    if (is_alive) {
        (void)snprintf(error, NODE_TEXT_BYTES, "control socket %s: another weftd answers on it",
                       address->sun_path);
        return false;
    }
    (void)unlink(address->sun_path);
    return true;
}

/* Binds with mode 0600 from the first moment; the descriptor, or -1 with the error filled in. */
static int bind_local(const char *path, char *error) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        (void)snprintf(error, NODE_TEXT_BYTES,
                       "control socket %s: the path is %zu bytes long, at most %zu are possible; "
                       "--control takes a shorter one",
                       path, strlen(path), sizeof(address.sun_path) - 1);
        return -1;
    }
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (!clear_stale(&address, error)) {
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(0177);
    bool is_bound = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    int why = errno;
    (void)umask(before);
    if (is_bound && listen(fd, BACKLOG) == 0) {
        return fd;
    }
    (void)snprintf(error, NODE_TEXT_BYTES, "control socket %s: %s", path, strerror(why));
    if (fd >= 0) {
        (void)close(fd);
    }
    return -1;
}

static enum weft_err start_local(struct control *control, char *error) {
    const char *path = control->node->config.control;
    int fd = bind_local(path, error);
    if (fd < 0) {
        return WEFT_ERR_IO;
    }
    control->path = strdup(path);
    control->local = http_new(control, on_local);
    if (control->path == NULL || control->local == NULL ||
        !pause_on_errors(evhttp_accept_socket_with_handle(control->local, fd))) {
        (void)close(fd);
        return WEFT_ERR_MEMORY;
    }
    return WEFT_OK;
}

static enum weft_err start_public(struct control *control, char *error) {
    const struct config_address *at = &control->node->config.http;
    const char *host = at->host[0] != '\0' ? at->host : "127.0.0.1";
    control->public = http_new(control, on_public);
    if (control->public == NULL) {
        return WEFT_ERR_MEMORY;
    }
    if (!pause_on_errors(evhttp_bind_socket_with_handle(control->public, host, at->port))) {
        (void)snprintf(error, NODE_TEXT_BYTES, "cannot listen on %s:%u for --http: %s", host,
                       (unsigned)at->port, strerror(errno));
        return WEFT_ERR_IO;
    }
    return WEFT_OK;
}

enum weft_err node_control_start(struct node *node, char *error) {
    struct control *control = calloc(1, sizeof(*control));
    if (control == NULL) {
        return WEFT_ERR_MEMORY;
    }
    control->node = node;
    control->token_next = 1;
    node->control = control;
    enum weft_err err = node->is_embedded ? WEFT_OK : start_local(control, error);
    if (err == WEFT_OK && node->config.has_http) {
        err = start_public(control, error);
    }
    return err;
}

void node_control_event(struct node *node, const struct node_event *event) {
    if (node->control != NULL) {
        api_followers_tell(node->control, event);
    }
}

void node_control_stop(struct node *node) {
    struct control *control = node->control;
    if (control == NULL) {
        return;
    }
    node->control = NULL;
    api_probes_free(control);
    api_followers_free(control);
    if (control->path != NULL) {
        (void)unlink(control->path);
    }
    if (control->local != NULL) {
        evhttp_free(control->local);
    }
    if (control->public != NULL) {
        evhttp_free(control->public);
    }
    free(control->path);
    free(control);
}
