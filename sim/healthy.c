/* SPDX-License-Identifier: Apache-2.0
 *
 * Who was called dead without being so, from what the cores say of links and peers in their trace.
 */
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "sim/check_internal.h"

/* A node that was paused is a reason to be taken for dead until its peers' patience is over, and
 * this long. */
#define PAUSE_GRACE (10 * NS_PER_S)

/* Cuts out what follows "key=" up to the next space. */
static bool value_of(const char *detail, const char *key, char *out, size_t size) {
    const char *at = detail == NULL ? NULL : strstr(detail, key);
    if (at == NULL) {
        return false;
    }
    at += strlen(key);
    size_t len = strcspn(at, " ");
    if (len >= size) {
        return false;
    }
    memcpy(out, at, len);
    out[len] = '\0';
    return true;
}

static bool peer_of(const struct checks *checks, const struct trace_event *event, uint32_t *out) {
    char text[WEFT_PEER_ID_TEXT];
    struct weft_peer_id id;
    return value_of(event->detail, "id=", text, sizeof text) &&
           weft_peer_id_parse(text, &id) == WEFT_OK && world_find_node(checks->world, &id, out);
}

/* The sentinel stands for all healthy nodes: the first that no fault was ever about. */
static bool is_sentinel(struct checks *checks, uint32_t node) {
    while (checks->sentinel < checks->node_count - 1 &&
           !check_is_healthy(checks, checks->sentinel)) {
        checks->sentinel++;
    }
    return node == checks->sentinel && check_is_healthy(checks, node);
}

/* Once everything healed a faulty node comes back, as it should. */
static bool is_healed(const struct checks *checks) {
    weft_ns run_ns = world_scenario(checks->world)->run_ns;
    return world_now(checks->world) >= time_after(checks->begun_at, run_ns);
}

static void reach_changed(struct checks *checks, uint32_t node, const struct trace_event *event,
                          bool is_lost) {
    uint32_t peer = 0;
    if (!checks->has_begun || !check_is_healthy(checks, node) || !peer_of(checks, event, &peer)) {
        return;
    }
    if (is_sentinel(checks, node) && !is_healed(checks)) {
        checks->nodes[peer].changes++;
        checks->nodes[peer].changed_at = world_now(checks->world);
    }
    if (is_lost && check_is_healthy(checks, peer) && check_is_live(checks, peer) &&
        company_is_joined(checks, node, peer)) {
        checks->healthy_removed++;
    }
}

/* Neither stopped nor lately was. */
static bool is_awake(const struct checks *checks, uint32_t node) {
    const struct node_watch *it = &checks->nodes[node];
    bool is_slow = (faults_of(checks->faults, node) >> FAULT_SLOW & 1U) != 0;
    return check_is_live(checks, node) && !is_slow &&
           (it->paused_at == 0 ||
            time_since(it->paused_at, world_now(checks->world)) > PAUSE_GRACE);
}

/* A link was given up for want of any sign of life. */
static void gave_up(struct checks *checks, uint32_t node, const struct trace_event *event) {
    char name[WEFT_NAME_MAX + 1];
    unsigned long other = 0;
    if (!value_of(event->detail, "peer=node-", name, sizeof name)) {
        return;
    }
    other = strtoul(name, NULL, 10);
    if (other >= checks->node_count || !is_awake(checks, node) ||
        !is_awake(checks, (uint32_t)other) || company_is_cut(checks, node, (uint32_t)other)) {
        return;
    }
    checks->false_downs++;
    checks->healthy_down +=
        check_is_healthy(checks, node) && check_is_healthy(checks, (uint32_t)other) ? 1 : 0;
}

void healthy_traced(struct checks *checks, uint32_t node, const struct trace_event *event) {
    if (strcmp(event->name, "peer-up") == 0) {
        reach_changed(checks, node, event, false);
    } else if (strcmp(event->name, "peer-down") == 0) {
        reach_changed(checks, node, event, true);
    } else if (strcmp(event->name, "link-silent") == 0) {
        gave_up(checks, node, event);
    }
}

void healthy_report(struct checks *checks) {
    struct metrics *metrics = checks->metrics;
    struct metric *changes = metrics_distribution(metrics, "faulty.changes", UNIT_COUNT);
    struct metric *settled = metrics_distribution(metrics, "faulty.settled", UNIT_NS);
    const struct fault_done *done = NULL;
    weft_ns since = faults_done(checks->faults, &done) > 0 ? done[0].at : checks->begun_at;
    for (uint32_t i = 0; i < checks->node_count; i++) {
        if (!check_is_healthy(checks, i)) {
            metric_sample(changes, checks->nodes[i].changes);
            metric_sample(settled, (int64_t)time_since(since, checks->nodes[i].changed_at));
        }
    }
    metric_set(metrics_counter(metrics, "converge.unfinished", UNIT_COUNT),
               (int64_t)checks->converge.pending_count);
    metric_set(metrics_counter(metrics, "false_downs", UNIT_COUNT), (int64_t)checks->false_downs);
    metric_set(metrics_counter(metrics, "false_downs.rate", UNIT_PPM),
               checks->link_seconds == 0
                   ? 0
                   : (int64_t)(checks->false_downs * 1000000 / checks->link_seconds));
    metric_set(metrics_counter(metrics, "links.healthy_down", UNIT_COUNT),
               (int64_t)checks->healthy_down);
    metric_set(metrics_counter(metrics, "healthy.removed", UNIT_COUNT),
               (int64_t)checks->healthy_removed);
}
