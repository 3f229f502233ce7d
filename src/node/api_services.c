/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry and the local ports: shown, added, removed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/api.h"
#include "node/config_parse.h"
#include "node/resolve.h"

struct registry {
    struct node *node;
    json_t *rows;
};

/* For how long a stale provider has been out of reach; null for a fresh one. */
static json_t *provider_age(const struct core_provider *provider) {
    if (provider->state == SERVICE_FRESH) {
        return json_null();
    }
    return json_integer((json_int_t)(provider->absence / NS_PER_S));
}

static json_t *provider_endpoint(const struct registry *registry,
                                 const struct core_provider *provider,
                                 const struct wire_endpoint *endpoint) {
    return json_pack("{s:o,s:o,s:o,s:s,s:i,s:b,s:o,s:I}", "peer", api_id(&provider->peer),
                     "peer_name", api_peer_name(registry->node, &provider->peer), "address",
                     api_span(endpoint->address), "state",
                     provider->state == SERVICE_FRESH ? "fresh" : "stale", "weight",
                     (int)endpoint->weight, "self", provider->is_self ? 1 : 0, "age_s",
                     provider_age(provider), "cost_us", (json_int_t)provider->cost_us);
}

static const char *protocol_name(uint8_t protocol) {
    return protocol == WIRE_PROTOCOL_UDP ? "udp" : "tcp";
}

/* The row of this service: providers of one service come one after the other. */
static json_t *row_of(struct registry *registry, const char *name_space, const char *name,
                      uint8_t protocol) {
    size_t count = json_array_size(registry->rows);
    json_t *last = count > 0 ? json_array_get(registry->rows, count - 1) : NULL;
    if (last != NULL && strcmp(json_string_value(json_object_get(last, "name")), name) == 0 &&
        strcmp(json_string_value(json_object_get(last, "namespace")), name_space) == 0 &&
        strcmp(json_string_value(json_object_get(last, "protocol")), protocol_name(protocol)) ==
            0) {
        return last;
    }
    json_t *row = json_pack("{s:s,s:s,s:s,s:[]}", "name", name, "namespace", name_space, "protocol",
                            protocol_name(protocol), "endpoints");
    (void)json_array_append_new(registry->rows, row);
    return row;
}

static void service_row(void *ctx, const char *name_space, const char *name,
                        const struct core_provider *provider) {
    struct registry *registry = ctx;
    json_t *row = row_of(registry, name_space, name, provider->body.protocol);
    struct wire_list list = provider->body.endpoints;
    struct wire_endpoint endpoint;
    while (wire_list_next_endpoint(&list, &endpoint)) {
        (void)json_array_append_new(json_object_get(row, "endpoints"),
                                    provider_endpoint(registry, provider, &endpoint));
    }
}

void api_get_services(const struct api_request *request) {
    struct registry registry = {.node = request->node, .rows = json_array()};
    core_each_service(request->node->core, service_row, &registry);
    api_reply(request, HTTP_OK, registry.rows);
}

/* A service as the body or the path names it. */
struct api_name {
    char name_space[WEFT_NAME_MAX + 1];
    char name[WEFT_NAME_MAX + 1];
    uint8_t protocol;
};

static void reply_service(const struct api_request *request, const struct api_name *is) {
    const struct own_service *service =
        node_service_find(request->node, is->name_space, is->name, is->protocol);
    json_t *endpoints = json_array();
    for (size_t i = 0; service != NULL && i < service->endpoint_count; i++) {
        (void)json_array_append_new(endpoints, json_string(service->endpoints[i].address));
    }
    api_reply(request, HTTP_OK,
              json_pack("{s:s,s:s,s:s,s:o}", "name", is->name, "namespace", is->name_space,
                        "protocol", protocol_name(is->protocol), "endpoints", endpoints));
}

static void reply_failure(const struct api_request *request, enum weft_err err, const char *what) {
    bool is_transient = err == WEFT_ERR_MEMORY || err == WEFT_ERR_FULL;
    int ours = err == WEFT_ERR_IO ? HTTP_INTERNAL : HTTP_BADREQUEST;
    api_error(request, is_transient ? HTTP_SERVUNAVAIL : ours, weft_err_name(err), "%s: %s", what,
              err == WEFT_ERR_IO ? strerror(errno) : weft_err_name(err));
}

static bool is_endpoint(const char *text) {
    char host[256];
    char port[8];
    char *end = port;
    if (strlen(text) > WEFT_ENDPOINT_MAX || !wire_text_is_printable(span_of_text(text)) ||
        strchr(text, ' ') != NULL || !resolve_split(text, host, port)) {
        return false;
    }
    unsigned long number = strtoul(port, &end, 10);
    return *end == '\0' && number >= 1 && number <= 65535;
}

/* The service that the body or the path names; false after an error was answered. */
static bool take_name(const struct api_request *request, const char *text, struct api_name *out) {
    if (text != NULL &&
        config_parse_service_name(text, out->name_space, out->name, &out->protocol)) {
        return true;
    }
    api_error(request, HTTP_BADREQUEST, "invalid",
              "expected a service name, NAME or NAMESPACE/NAME, with /udp behind it if it is "
              "reached over UDP; names are 1 to %d letters, digits, '-', '_', '.'",
              WEFT_NAME_MAX);
    return false;
}

static void add_service(const struct api_request *request, const json_t *body) {
    struct api_name is;
    const char *given = api_text(request, body, "name", true);
    if (given == NULL || !take_name(request, given, &is)) {
        return;
    }
    const char *other = api_text(request, body, "namespace", false);
    if (other != NULL && !span_to_text(span_of_text(other), is.name_space, sizeof(is.name_space))) {
        api_error(request, HTTP_BADREQUEST, "invalid", "namespace: too long");
        return;
    }
    const char *endpoint = api_text(request, body, "endpoint", true);
    if (endpoint == NULL) {
        return;
    }
    if (!is_endpoint(endpoint)) {
        api_error(request, HTTP_BADREQUEST, "invalid",
                  "endpoint: expected HOST:PORT such as 127.0.0.1:8080, not '%.80s'", endpoint);
        return;
    }
    enum weft_err err =
        node_service_add(request->node, is.name_space, is.name, is.protocol, endpoint, OWN_ADDED);
    if (err != WEFT_OK) {
        reply_failure(request, err, "the service was not added");
        return;
    }
    reply_service(request, &is);
}

void api_post_service(const struct api_request *request) {
    json_t *body = api_body(request);
    if (body != NULL) {
        add_service(request, body);
        json_decref(body);
    }
}

void api_delete_service(const struct api_request *request) {
    struct api_name is;
    struct evkeyvalq query = {0};
    if (!take_name(request, request->tail, &is)) {
        return;
    }
    (void)evhttp_parse_query_str(request->query != NULL ? request->query : "", &query);
    const char *endpoint = evhttp_find_header(&query, "endpoint");
    enum weft_err err =
        node_service_remove(request->node, is.name_space, is.name, is.protocol, endpoint);
    if (err == WEFT_ERR_NOT_FOUND) {
        api_error(request, HTTP_NOTFOUND, "not-found", "this node does not offer %s%s%s",
                  request->tail, endpoint != NULL ? " at " : "", endpoint != NULL ? endpoint : "");
    } else if (err != WEFT_OK) {
        reply_failure(request, err, "the service was not removed");
    } else {
        reply_service(request, &is);
    }
    evhttp_clear_headers(&query);
}

/* What the proxy knows of each forward that listens. */
struct forward_counts {
    const struct own_forward *wanted;
    size_t connections;
    uint64_t accepted;
    uint64_t failed;
};

static void forward_count(void *ctx, const struct proxy_forward_view *view) {
    struct forward_counts *counts = ctx;
    if (view->protocol == (enum proxy_protocol)counts->wanted->protocol &&
        strcmp(view->name, counts->wanted->name) == 0 &&
        strcmp(view->name_space, counts->wanted->name_space) == 0) {
        counts->connections = view->connections;
        counts->accepted = view->accepted;
        counts->failed = view->failed;
    }
}

void api_get_forwards(const struct api_request *request) {
    json_t *rows = json_array();
    const struct own_forward *forward = request->node->forwards;
    for (; forward != NULL; forward = forward->next) {
        struct forward_counts counts = {.wanted = forward};
        proxy_each_forward(request->node->proxy, forward_count, &counts);
        (void)json_array_append_new(
            rows,
            json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:s,s:s}", "service", forward->name,
                      "namespace", forward->name_space, "protocol",
                      protocol_name(forward->protocol), "address",
                      forward->bound[0] != '\0' ? forward->bound : forward->address, "connections",
                      (json_int_t)counts.connections, "accepted", (json_int_t)counts.accepted,
                      "failed", (json_int_t)counts.failed, "error", forward->error, "last_failure",
                      forward->failure != NULL ? forward->failure : ""));
    }
    api_reply(request, HTTP_OK, rows);
}

static bool is_literal(const char *host) {
    uint8_t bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* "8080", ":8080" and "ADDR:8080" to "ADDR:PORT"; false for anything else. */
static bool listen_address(const char *text, char out[WEFT_ENDPOINT_MAX + 1]) {
    char host[256];
    char port[8];
    const char *only = text[0] == ':' ? text + 1 : text;
    bool is_port = only[0] != '\0' && strspn(only, "0123456789") == strlen(only);
    int len = snprintf(out, WEFT_ENDPOINT_MAX + 1, is_port ? "127.0.0.1:%s" : "%s",
                       is_port ? only : text);
    return len > 0 && len <= WEFT_ENDPOINT_MAX && resolve_split(out, host, port) &&
           is_literal(host) && strspn(port, "0123456789") == strlen(port) &&
           strtoul(port, NULL, 10) <= 65535;
}

static void refuse_listen(const struct api_request *request, const char *given) {
    api_error(request, HTTP_BADREQUEST, "invalid",
              "listen: expected [ADDR:]PORT such as 8080 or [::1]:8080, not '%.80s'", given);
}

static void add_forward(const struct api_request *request, const json_t *body) {
    struct api_name is;
    char address[WEFT_ENDPOINT_MAX + 1];
    const char *given = api_text(request, body, "service", true);
    if (given == NULL || !take_name(request, given, &is)) {
        return;
    }
    const char *listen = api_text(request, body, "listen", false);
    if (!listen_address(listen != NULL ? listen : "127.0.0.1:0", address)) {
        refuse_listen(request, listen);
        return;
    }
    enum weft_err err =
        node_forward_add(request->node, is.name_space, is.name, is.protocol, address, OWN_ADDED);
    if (err == WEFT_ERR_EXISTS || (err == WEFT_ERR_IO && errno == EADDRINUSE)) {
        api_error(request, 409, "conflict", "%s is in use", address);
    } else if (err == WEFT_ERR_INVALID) {
        refuse_listen(request, address);
    } else if (err != WEFT_OK) {
        reply_failure(request, err, address);
    } else {
        const struct own_forward *made =
            node_forward_find(request->node, is.name_space, is.name, is.protocol);
        api_reply(request, HTTP_OK,
                  json_pack("{s:s,s:s,s:s,s:s}", "service", is.name, "namespace", is.name_space,
                            "protocol", protocol_name(is.protocol), "address",
                            made != NULL ? made->bound : ""));
    }
}

void api_post_forward(const struct api_request *request) {
    json_t *body = api_body(request);
    if (body != NULL) {
        add_forward(request, body);
        json_decref(body);
    }
}

void api_delete_forward(const struct api_request *request) {
    struct api_name is;
    if (!take_name(request, request->tail, &is)) {
        return;
    }
    enum weft_err err = node_forward_remove(request->node, is.name_space, is.name, is.protocol);
    if (err == WEFT_ERR_NOT_FOUND) {
        api_error(request, HTTP_NOTFOUND, "not-found", "no forward of %s", request->tail);
    } else if (err != WEFT_OK) {
        reply_failure(request, err, "the forward was not removed");
    } else {
        api_reply(request, HTTP_OK, json_pack("{s:s}", "service", is.name));
    }
}
