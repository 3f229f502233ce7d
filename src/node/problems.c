/* SPDX-License-Identifier: Apache-2.0
 *
 * What is unhealthy, why, and what happens next: the lines an operator reads first. Everything here
 * is derived when asked; nothing is kept.
 */
#include <stdarg.h>
#include <stdio.h>

#include "node/internal.h"

#define TARGETS_LOOKED_AT 256
#define DAMPED_LOOKED_AT 64

/* What the mesh needs at most to hear of a new link; one that nobody counts after that is on trial
 * at its other end. */
#define LINK_COUNTED_NS (5 * NS_PER_S)

/* How long after the last spoilt packet it is shown. */
#define SPOILT_SHOWN_NS (600 * NS_PER_S)

struct problem_list {
    struct problem *out;
    size_t count;
    size_t max;
};

/* The next free entry, or NULL when the list is full. */
static struct problem *take(struct problem_list *list) {
    if (list->count == list->max) {
        return NULL;
    }
    struct problem *problem = &list->out[list->count++];
    memset(problem, 0, sizeof(*problem));
    return problem;
}

__attribute__((format(printf, 3, 4))) static void say(char *out, size_t size, const char *format,
                                                      ...) {
    va_list arguments;
    va_start(arguments, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): false when it is given several files */
    (void)vsnprintf(out, size, format, arguments);
    va_end(arguments);
}

#define SAY(field, ...) say(field, sizeof(field), __VA_ARGS__)

static void add_clone(const struct core_status *status, struct problem_list *list) {
    struct problem *problem = status->is_clone_seen ? take(list) : NULL;
    if (problem == NULL) {
        return;
    }
    SAY(problem->what, "this node's key is also in use elsewhere");
    SAY(problem->cause, "a copied state folder: the other one is at %s", status->clone_addresses);
    SAY(problem->next, "%s",
        status->is_quarantined
            ? "give this one a new state folder; it stays off the mesh and looks again each minute"
            : "give the other one a new state folder; it was told to stay off the mesh");
}

/* The name of a peer, or its id if it has none that we know. */
static void put_name(struct node *node, const struct weft_peer_id *peer,
                     char out[WEFT_NAME_MAX + 1]) {
    struct core_peer_view view;
    if (!core_find_peer(node->core, peer, &view) ||
        !span_to_text(view.body.name, out, WEFT_NAME_MAX + 1)) {
        weft_peer_id_format(peer, out);
    }
}

static void add_spoilt(struct node *node, const struct core_status *status,
                       struct problem_list *list) {
    char source[WEFT_NAME_MAX + 1];
    char by[WEFT_NAME_MAX + 1];
    weft_ns at = status->spoilt.at;
    bool is_recent = at != 0 && time_since(at, node_clock()) < SPOILT_SHOWN_NS;
    struct problem *problem = is_recent ? take(list) : NULL;
    if (problem == NULL) {
        return;
    }
    put_name(node, &status->spoilt.source, source);
    put_name(node, &status->spoilt.by, by);
    SAY(problem->what, "packets for this node were altered, repeated or made up on their way");
    SAY(problem->cause,
        "%llu so far, the last in the name of %s over %s: by it, one behind it or the network "
        "between",
        (unsigned long long)status->streams.packets_spoilt, source, by);
    SAY(problem->next, "refused, and sent again where missing; who stands between: weft trace %s",
        source);
}

static void add_store(struct node *node, struct problem_list *list) {
    char error[STORE_TEXT_BYTES];
    struct problem *problem = store_error(node->store, error) ? take(list) : NULL;
    if (problem == NULL) {
        return;
    }
    SAY(problem->what, "the store cannot be written");
    SAY(problem->cause, "%s", error);
    SAY(problem->next, "make room or mend the disk; what waits is kept in memory and tried again");
}

static void add_isolation(const struct core_status *status, bool has_targets,
                          struct problem_list *list) {
    bool is_alone = status->links == 0 && (has_targets || status->peers_known > 0);
    struct problem *problem = is_alone && !status->is_leaving ? take(list) : NULL;
    if (problem == NULL) {
        return;
    }
    SAY(problem->what, "no link to any other node");
    SAY(problem->cause, "%s", has_targets ? "no known address answers" : "no address is known");
    SAY(problem->next, "%s",
        has_targets ? "see the addresses below; each is tried again" : "give it a --seed");
}

static void add_target(const struct dialer_target *target, weft_ns now, struct problem_list *list) {
    bool is_bad = target->failure_count > 0 && target->is_seed;
    struct problem *problem = is_bad ? take(list) : NULL;
    if (problem == NULL) {
        return;
    }
    SAY(problem->what, "no link to seed %s", target->endpoint);
    SAY(problem->cause, "%s (%u tries)", target->error, (unsigned)target->failure_count);
    if (target->is_dialling) {
        SAY(problem->next, "trying again now");
    } else {
        SAY(problem->next, "tried again in %.1f s",
            (double)time_since(now, target->retry_at) / (double)NS_PER_S);
    }
}

static void add_targets(struct node *node, struct problem_list *list) {
    struct dialer_target target;
    weft_ns now = node_clock();
    for (size_t i = 0; i < TARGETS_LOOKED_AT && core_target_at(node->core, i, &target); i++) {
        add_target(&target, now, list);
    }
}

static double seconds_between(weft_ns from, weft_ns to) {
    return (double)time_since(from, to) / (double)NS_PER_S;
}

static void note_oldest(void *ctx, const struct core_link_view *view) {
    weft_ns *since = ctx;
    *since = time_min(*since, view->up_since);
}

/* We may be the one that comes and goes: nobody tells us so, but no link of ours leads anywhere. */
static void add_own_trial(struct node *node, const struct core_status *status,
                          struct problem_list *list) {
    weft_ns since = WEFT_NEVER;
    weft_ns now = node_clock();
    core_each_link(node->core, note_oldest, &since);
    bool is_shunned = status->links > 0 && status->peers_reachable == 0 && !status->is_leaving &&
                      time_since(since, now) > LINK_COUNTED_NS;
    struct problem *problem = is_shunned ? take(list) : NULL;
    if (problem == NULL) {
        return;
    }
    SAY(problem->what, "links are up, but no peer counts its own to this node");
    SAY(problem->cause,
        "this node was lost repeatedly, as they see it; a link that lasts %d s counts",
        (int)(DAMPING_LONG_NS / NS_PER_S));
    SAY(problem->next, "the oldest has lasted %.0f s; what breaks them is the thing to mend",
        seconds_between(since, now));
}

static void say_damped(const struct core_damped *damped, weft_ns now, struct problem *problem) {
    SAY(problem->cause,
        "was lost %u times, each within %d minutes of the one before, last %.0f s ago; its links "
        "count again after lasting %d s",
        (unsigned)damped->losses, (int)(DAMPING_MEMORY_NS / NS_PER_S / 60),
        seconds_between(damped->lost_at, now), (int)(DAMPING_LONG_NS / NS_PER_S));
    if (damped->trial_until != 0) {
        SAY(problem->next, "in reach in %.0f s if the link to it lasts",
            seconds_between(now, damped->trial_until));
    } else {
        SAY(problem->next, "no link to it from here; in reach when one of anybody's has lasted");
    }
}

static void add_damped(struct node *node, struct problem_list *list) {
    struct core_damped damped[DAMPED_LOOKED_AT];
    struct core_peer_view view;
    size_t count = core_damped(node->core, damped, DAMPED_LOOKED_AT);
    for (size_t i = 0; i < count; i++) {
        char id[WEFT_PEER_ID_TEXT];
        struct problem *problem = take(list);
        if (problem == NULL) {
            return;
        }
        weft_peer_id_format(&damped[i].peer, id);
        if (core_find_peer(node->core, &damped[i].peer, &view)) {
            SAY(problem->what, "%.*s (%s) comes and goes", (int)view.body.name.len,
                (const char *)view.body.name.data, id);
        } else {
            SAY(problem->what, "%s comes and goes", id);
        }
        say_damped(&damped[i], node_clock(), problem);
    }
}

/* What the providers of a service are for whoever connects to its forward now. */
enum offer { OFFER_NONE, OFFER_STALE, OFFER_FRESH };

static enum offer offer_of(struct node *node, const struct own_forward *forward) {
    struct core_provider best; /* the first is */
    if (core_providers(node->core, forward->name_space, forward->name, forward->protocol, &best,
                       1) == 0) {
        return OFFER_NONE;
    }
    return best.state == SERVICE_FRESH ? OFFER_FRESH : OFFER_STALE;
}

static void say_forward(const struct own_forward *forward, enum offer offer,
                        struct problem *problem) {
    const struct stored_name name = node_stored_name(forward->name, forward->protocol);
    SAY(problem->what, "forward of %s does not work", name.text);
    if (forward->bound[0] == '\0') {
        SAY(problem->cause, "cannot listen on %s: %s", forward->address, forward->error);
        SAY(problem->next, "free the address or choose another; tried again every %d s",
            FORWARD_RETRY_S);
    } else if (offer == OFFER_STALE) {
        SAY(problem->cause, "no node that offers the service is in reach");
        SAY(problem->next, "%s",
            forward->protocol == WIRE_PROTOCOL_UDP
                ? "datagrams are dropped until one comes back"
                : "connections wait a while for one to come back");
    } else {
        SAY(problem->cause, "no node that we know offers the service");
        SAY(problem->next, "%s",
            forward->protocol == WIRE_PROTOCOL_UDP ? "datagrams are dropped until one does"
                                                   : "connections are refused until one does");
    }
}

static void add_forwards(struct node *node, struct problem_list *list) {
    for (const struct own_forward *forward = node->forwards; forward != NULL;
         forward = forward->next) {
        enum offer offer = offer_of(node, forward);
        bool is_bad = forward->bound[0] == '\0' || offer != OFFER_FRESH;
        struct problem *problem = is_bad ? take(list) : NULL;
        if (problem != NULL) {
            say_forward(forward, offer, problem);
        }
    }
}

static void add_clash(void *ctx, const struct core_peer_view *view) {
    struct problem_list *list = ctx;
    char id[WEFT_PEER_ID_TEXT];
    struct problem *problem = view->is_name_clash ? take(list) : NULL;
    if (problem == NULL) {
        return;
    }
    weft_peer_id_format(&view->id, id);
    SAY(problem->what, "the name %.*s is claimed by more than one node", (int)view->body.name.len,
        (const char *)view->body.name.data);
    SAY(problem->cause, "one of them is %s", id);
    SAY(problem->next, "give each its own --name; until then use ids");
}

size_t node_problems(struct node *node, struct problem *out, size_t max) {
    struct problem_list list = {.out = out, .max = max};
    struct core_status status;
    struct dialer_target target;
    core_get_status(node->core, &status);
    add_clone(&status, &list);
    add_isolation(&status, core_target_at(node->core, 0, &target), &list);
    add_store(node, &list);
    add_spoilt(node, &status, &list);
    add_own_trial(node, &status, &list);
    add_targets(node, &list);
    add_damped(node, &list);
    add_forwards(node, &list);
    core_each_peer(node->core, add_clash, &list);
    return list.count;
}

const char *node_verdict(struct node *node) {
    struct core_status status;
    struct dialer_target target;
    struct problem problem;
    core_get_status(node->core, &status);
    if (status.is_leaving) {
        return "leaving";
    }
    if (status.is_quarantined) {
        return "quarantined";
    }
    bool knows_others = core_target_at(node->core, 0, &target) || status.peers_known > 0;
    if (status.links == 0 && knows_others) {
        return "isolated";
    }
    return node_problems(node, &problem, 1) > 0 ? "degraded" : "healthy";
}

void node_describe(struct node *node, char out[NODE_STATUS_BYTES]) {
    struct core_status status;
    core_get_status(node->core, &status);
    (void)snprintf(out, NODE_STATUS_BYTES, "%s: %zu links, %zu of %zu peers in reach, %llu streams",
                   node_verdict(node), status.links, status.peers_reachable, status.peers_known,
                   (unsigned long long)status.streams.open);
}
