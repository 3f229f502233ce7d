/* SPDX-License-Identifier: Apache-2.0
 *
 * Who I am and how I am.
 */
#include <openssl/crypto.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "noise/aead.h"
#include "node/api.h"

#define PROBLEMS_SHOWN 64
#define CULPRITS_SHOWN 16
#define SESSIONS_SHOWN 64
#define TARGETS_COUNTED 1024

uint64_t api_rss_bytes(void) {
    char line[128];
    FILE *file = fopen("/proc/self/statm", "re");
    bool has_line = file != NULL && fgets(line, sizeof(line), file) != NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    if (!has_line) {
        return 0;
    }
    char *end = line;
    (void)strtoull(line, &end, 10);
    return strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static json_t *links_of(const struct node *node, const struct core_status *status) {
    struct dialer_target target;
    json_int_t connecting = 0;
    json_int_t failed = 0;
    for (size_t i = 0; i < TARGETS_COUNTED && core_target_at(node->core, i, &target); i++) {
        connecting += target.is_dialling ? 1 : 0;
        failed += !target.is_dialling && target.failure_count > 0 ? 1 : 0;
    }
    return json_pack("{s:I,s:I,s:I}", "established", (json_int_t)status->links, "connecting",
                     connecting, "failed", failed);
}

static json_t *listen_of(const struct node *node) {
    json_t *list = json_array();
    for (size_t i = 0; i < node->listener_count; i++) {
        (void)json_array_append_new(list, json_string(node->listeners[i].bound));
    }
    return list;
}

static json_t *advertised_of(const struct node *node) {
    json_t *list = json_array();
    for (size_t i = 0; i < node->address_count; i++) {
        (void)json_array_append_new(list, json_string(node->addresses[i]));
    }
    return list;
}

static json_t *problems_of(struct node *node) {
    json_t *list = json_array();
    struct problem *problems = calloc(PROBLEMS_SHOWN, sizeof(*problems));
    size_t count = problems != NULL ? node_problems(node, problems, PROBLEMS_SHOWN) : 0;
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(list,
                                    json_pack("{s:s,s:s,s:s}", "what", problems[i].what, "cause",
                                              problems[i].cause, "next", problems[i].next));
    }
    free(problems);
    return list;
}

static json_t *culprits_of(const struct node *node) {
    struct core_culprit culprits[CULPRITS_SHOWN];
    json_t *list = json_array();
    size_t count = core_culprits(node->core, culprits, CULPRITS_SHOWN);
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(
            list, json_pack("{s:o,s:o,s:s,s:I}", "peer", api_id(&culprits[i].peer), "name",
                            api_peer_name(node, &culprits[i].peer), "detail", culprits[i].detail,
                            "count", (json_int_t)culprits[i].count));
    }
    return list;
}

/* Who came from outside and was not let in. */
static json_t *strangers_of(const struct node *node) {
    json_t *list = json_array();
    for (size_t i = 0; i < node->stranger_count; i++) {
        const struct stranger *stranger = &node->strangers[i];
        (void)json_array_append_new(
            list, json_pack("{s:s,s:s,s:I,s:o}", "remote", stranger->remote, "why", stranger->why,
                            "count", (json_int_t)stranger->count, "age_s",
                            api_seconds(time_since(stranger->at, node_clock()))));
    }
    return list;
}

struct sessions {
    const struct node *node;
    json_t *list;
    size_t count;
    weft_ns now;
};

static void session_row(void *ctx, const struct streams_session_view *view) {
    struct sessions *sessions = ctx;
    sessions->count++;
    if (sessions->count > SESSIONS_SHOWN) {
        return;
    }
    (void)json_array_append_new(
        sessions->list, json_pack("{s:o,s:o,s:s,s:o,s:o,s:I}", "peer", api_id(&view->peer), "name",
                                  api_peer_name(sessions->node, &view->peer), "cipher",
                                  aead_cipher_name(view->cipher), "age_s",
                                  api_seconds(time_since(view->since, sessions->now)), "keys_age_s",
                                  api_seconds(time_since(view->keys_since, sessions->now)),
                                  "streams", (json_int_t)view->streams));
}

/* With whom there are keys end to end. Each agreed on its own cipher, the worse end's. */
static void add_sessions(const struct node *node, json_t *answer) {
    struct sessions sessions = {.node = node, .list = json_array(), .now = node_clock()};
    streams_each_session(core_streams(node->core), session_row, &sessions);
    (void)json_object_set_new(answer, "sessions", sessions.list);
    (void)json_object_set_new(answer, "session_count", json_integer((json_int_t)sessions.count));
}

static json_t *streams_of(const struct core_status *status) {
    return json_pack("{s:I,s:I,s:I}", "open", (json_int_t)status->streams.open, "opened",
                     (json_int_t)status->streams.opened, "resumed",
                     (json_int_t)status->streams.resumed);
}

static json_t *datagrams_of(const struct core_status *status) {
    const struct datagrams_counters *counters = &status->datagrams;
    return json_pack("{s:I,s:I,s:I,s:I,s:I}", "flows", (json_int_t)counters->flows, "opened",
                     (json_int_t)counters->opened, "sent", (json_int_t)counters->sent, "received",
                     (json_int_t)counters->received, "dropped", (json_int_t)counters->dropped);
}

static json_t *dropped_of(const struct node *node, const struct core_status *status) {
    uint64_t no_room = status->frames_dropped[CORE_DROP_NO_ROOM] + node->frames_refused;
    return json_pack("{s:I,s:I,s:I,s:I,s:I}", "no_route",
                     (json_int_t)status->frames_dropped[CORE_DROP_NO_ROUTE], "no_hops",
                     (json_int_t)status->frames_dropped[CORE_DROP_NO_HOPS], "no_room",
                     (json_int_t)no_room, "late", (json_int_t)node->datagrams_late, "memory",
                     (json_int_t)status->frames_dropped[CORE_DROP_MEMORY]);
}

static json_t *identity_of(struct node *node, const struct core_status *status) {
    return json_pack("{s:o,s:s,s:s,s:I,s:I,s:s}", "id", api_id(&status->id), "name",
                     node->config.name, "version", WEFT_VERSION, "incarnation",
                     (json_int_t)status->incarnation, "uptime_s",
                     (json_int_t)(time_since(node->started, node_clock()) / NS_PER_S), "verdict",
                     node_verdict(node));
}

void api_get_status(const struct api_request *request) {
    struct node *node = request->node;
    struct core_status status;
    core_get_status(node->core, &status);
    json_t *answer = identity_of(node, &status);
    json_t *rest =
        json_pack("{s:o,s:o,s:o,s:{s:I,s:I},s:I,s:o,s:I}", "links", links_of(node, &status),
                  "streams", streams_of(&status), "datagrams", datagrams_of(&status), "peers",
                  "reachable", (json_int_t)status.peers_reachable, "known",
                  (json_int_t)status.peers_known, "services", (json_int_t)status.services, "listen",
                  listen_of(node), "rss_bytes", (json_int_t)api_rss_bytes());
    json_t *more = json_pack(
        "{s:s,s:o,s:o,s:s?,s:s?,s:s?,s:I,s:o,s:o,s:o,s:I,s:o,s:I}", "cipher",
        aead_cipher_name(aead_preferred()), "provider",
        json_sprintf("libcrypto %s, libsodium %s if small", OpenSSL_version(OPENSSL_VERSION_STRING),
                     sodium_version_string()),
        "addresses", advertised_of(node), "control", request->control->path, "state",
        node->is_ephemeral ? NULL : node->config.state, "sandbox",
        node->sandbox[0] != '\0' ? node->sandbox : NULL, "degree", (json_int_t)node->config.degree,
        "problems", problems_of(node), "culprits", culprits_of(node), "strangers",
        strangers_of(node), "forwarded", (json_int_t)status.frames_forwarded, "dropped",
        dropped_of(node, &status), "connections", (json_int_t)proxy_connection_count(node->proxy));
    if (json_object_update(answer, rest) != 0 || json_object_update(answer, more) != 0) {
        json_decref(answer);
        answer = NULL;
    }
    json_decref(rest);
    json_decref(more);
    add_sessions(node, answer);
    api_reply(request, HTTP_OK, answer);
}

void api_get_version(const struct api_request *request) {
    api_reply(request, HTTP_OK, json_pack("{s:s}", "version", WEFT_VERSION));
}

void api_get_health(const struct api_request *request) {
    api_reply(request, HTTP_OK, json_pack("{s:b}", "live", 1));
}

void api_get_ready(const struct api_request *request) {
    const char *verdict = node_verdict(request->node);
    bool is_ready = strcmp(verdict, "isolated") != 0 && strcmp(verdict, "quarantined") != 0 &&
                    strcmp(verdict, "leaving") != 0;
    api_reply(request, is_ready ? HTTP_OK : HTTP_SERVUNAVAIL,
              json_pack("{s:b,s:s}", "ready", is_ready ? 1 : 0, "verdict", verdict));
}
