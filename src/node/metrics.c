/* SPDX-License-Identifier: Apache-2.0
 *
 * The same numbers for Prometheus (text format 0.0.4).
 */
#include <event2/buffer.h>
#include <event2/event.h>

#include "node/api.h"

struct metric {
    const char *name;
    const char *type;
    const char *help;
    uint64_t value;
};

static void add(struct evbuffer *out, const struct metric *metrics, size_t count) {
    for (size_t i = 0; i < count; i++) {
        (void)evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", metrics[i].name,
                                  metrics[i].help, metrics[i].name, metrics[i].type,
                                  metrics[i].name, (unsigned long long)metrics[i].value);
    }
}

#define ADD(out, metrics) add(out, metrics, sizeof(metrics) / sizeof((metrics)[0]))

static void add_mesh(struct evbuffer *out, const struct core_status *status) {
    const struct metric metrics[] = {
        {"weft_links", "gauge", "Links that are up.", status->links},
        {"weft_peers_known", "gauge", "Peers known.", status->peers_known},
        {"weft_peers_reachable", "gauge", "Peers reachable.", status->peers_reachable},
        {"weft_services", "gauge", "Services known.", status->services},
        {"weft_records", "gauge", "Gossiped records held.", status->records},
        {"weft_route_computations_total", "counter", "Computations of all paths.",
         status->computations},
        {"weft_frames_forwarded_total", "counter", "Frames passed on for others.",
         status->frames_forwarded},
        {"weft_records_received_total", "counter", "Records received.", status->gossip.records_in},
        {"weft_records_new_total", "counter", "Records received that were new.",
         status->gossip.records_new},
        {"weft_records_refused_total", "counter", "Records refused.",
         status->gossip.records_refused},
    };
    ADD(out, metrics);
}

static void add_streams(struct evbuffer *out, const struct streams_counters *streams) {
    const struct metric metrics[] = {
        {"weft_streams_open", "gauge", "Streams open.", streams->open},
        {"weft_streams_opened_total", "counter", "Streams ever opened.", streams->opened},
        {"weft_streams_resumed_total", "counter", "Streams that outlived a path.",
         streams->resumed},
        {"weft_sessions", "gauge", "Sealed sessions with peers.", streams->sessions},
        {"weft_stream_bytes_sent_total", "counter", "Payload sent, first time.",
         streams->bytes_sent},
        {"weft_stream_bytes_received_total", "counter", "Payload received, first time.",
         streams->bytes_received},
        {"weft_stream_bytes_resent_total", "counter", "Payload sent again.", streams->bytes_resent},
        {"weft_packets_refused_total", "counter", "Session packets that did not open.",
         streams->packets_refused},
        {"weft_packets_spoilt_total", "counter",
         "Of those: altered, repeated or made up by who stands between.", streams->packets_spoilt},
    };
    ADD(out, metrics);
}

static void add_datagrams(struct evbuffer *out, const struct datagrams_counters *datagrams) {
    const struct metric metrics[] = {
        {"weft_flows", "gauge", "Flows of datagrams.", datagrams->flows},
        {"weft_flows_opened_total", "counter", "Flows ever opened.", datagrams->opened},
        {"weft_datagrams_sent_total", "counter", "Datagrams sent.", datagrams->sent},
        {"weft_datagrams_received_total", "counter", "Datagrams received.", datagrams->received},
        {"weft_datagrams_dropped_total", "counter", "Datagrams dropped at this end.",
         datagrams->dropped},
    };
    ADD(out, metrics);
}

static void add_host(struct evbuffer *out, struct node *node, uint64_t streams_timers) {
    struct store_counters store;
    store_get_counters(node->store, &store);
    const struct metric metrics[] = {
        {"weft_uptime_seconds", "gauge", "Seconds since the start.",
         time_since(node->started, node_clock()) / NS_PER_S},
        {"weft_resident_memory_bytes", "gauge", "Resident memory.", api_rss_bytes()},
        {"weft_timers", "gauge", "Timers armed: of links, sessions and streams.",
         node->timers.count + streams_timers},
        {"weft_events", "gauge", "Events that the loop waits for: sockets and other timers.",
         (uint64_t)event_base_get_num_events(node->base, EVENT_BASE_COUNT_ADDED)},
        {"weft_connections", "gauge", "Connections of applications.",
         proxy_connection_count(node->proxy)},
        {"weft_local_bytes_total", "counter",
         "Bytes between applications and services of this node.", proxy_local_bytes(node->proxy)},
        {"weft_handshakes", "gauge", "Handshakes of strangers under way.",
         guard_half_open_count(node->guard)},
        {"weft_handshakes_most", "gauge", "The most of them at once since the start.",
         guard_half_open_most(node->guard)},
        {"weft_store_waiting", "gauge", "Writes that wait for the disk.", store.waiting},
        {"weft_store_written_total", "counter", "Writes committed.", store.written},
        {"weft_store_refused_total", "counter", "Writes not taken.", store.refused},
        {"weft_store_failures_total", "counter", "Attempts to write that failed.", store.failures},
    };
    ADD(out, metrics);
}

static void add_drops(struct evbuffer *out, const struct node *node,
                      const struct core_status *status) {
    static const char *const reasons[] = {"no_route", "no_hops", "no_room", "memory"};
    (void)evbuffer_add_printf(out, "# HELP weft_frames_dropped_total Frames dropped.\n"
                                   "# TYPE weft_frames_dropped_total counter\n");
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        uint64_t refused = i == CORE_DROP_NO_ROOM ? node->frames_refused : 0;
        uint64_t dropped = status->frames_dropped[i] + refused;
        (void)evbuffer_add_printf(out, "weft_frames_dropped_total{reason=\"%s\"} %llu\n",
                                  reasons[i], (unsigned long long)dropped);
    }
    (void)evbuffer_add_printf(out, "weft_frames_dropped_total{reason=\"late\"} %llu\n",
                              (unsigned long long)node->datagrams_late);
}

void api_get_metrics(const struct api_request *request) {
    struct evbuffer *out = evbuffer_new();
    struct core_status status;
    if (out == NULL) {
        api_error(request, HTTP_SERVUNAVAIL, "memory", "out of memory");
        return;
    }
    core_get_status(request->node->core, &status);
    add_mesh(out, &status);
    add_streams(out, &status.streams);
    add_datagrams(out, &status.datagrams);
    add_host(out, request->node, status.streams.timers);
    add_drops(out, request->node, &status);
    (void)evhttp_add_header(evhttp_request_get_output_headers(request->http), "Content-Type",
                            "text/plain; version=0.0.4");
    evhttp_send_reply(request->http, HTTP_OK, NULL, out);
    evbuffer_free(out);
}
