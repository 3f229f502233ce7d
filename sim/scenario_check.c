/* SPDX-License-Identifier: Apache-2.0
 *
 * What must hold between several keys of a scenario.
 */
#include "sim/scenario_parse.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "sim/topology.h"

/* Links of a full mesh grow with the square: this many nodes have two million. */
#define FULL_NODES_MAX 2000
/* What the load makes of messages (sim/load_message.c): one frame holds it with all headers. */
#define MESSAGE_BYTES_MAX 49152

struct check {
    struct scan *scan;
    const struct scenario *scenario;
};

static enum weft_err fail(const struct check *check, const char *path, const char *text) {
    struct spot spot = spot_find(check->scan, path);
    return spot_fail(&spot, "%s", text);
}

/* Picks. */

static size_t pool_size(const struct scenario *scenario, const struct scenario_pick *pick,
                        enum pick_kind kind) {
    switch (kind) {
    case PICK_LIST:
        return pick->list_count;
    case PICK_HUBS:
        return scenario->topology.hubs;
    case PICK_SITES:
        return scenario->nodes - scenario->topology.hubs;
    case PICK_ALL:
    case PICK_COUNT:
    case PICK_PPM:
        break;
    }
    return scenario->nodes;
}

static enum weft_err check_pick(const struct check *check, const char *path,
                                const struct scenario_pick *pick) {
    const struct scenario *scenario = check->scenario;
    bool is_drawn = pick->kind == PICK_COUNT || pick->kind == PICK_PPM;
    enum pick_kind pool = is_drawn ? pick->among : pick->kind;
    bool needs_sites = pool == PICK_HUBS || pool == PICK_SITES;
    if (needs_sites && scenario->topology.kind != TOPOLOGY_SITES) {
        return fail(check, path, "hubs and sites are only there with 'topology: {kind: sites}'");
    }
    if (pool == PICK_LIST && pick->list[pick->list_count - 1] >= scenario->nodes) {
        return fail(check, path, "names a node that is not there; they count from 0");
    }
    if (pick->kind == PICK_COUNT && pick->count > pool_size(scenario, pick, pool)) {
        return fail(check, path, "more than there are");
    }
    return WEFT_OK;
}

static enum weft_err check_pick_at(const struct check *check, const char *list, size_t index,
                                   const char *key, const struct scenario_pick *pick) {
    char path[SCENARIO_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s[%zu].%s", list, index, key);
    return check_pick(check, path, pick);
}

/* Loads. */

static const char *load_problem(const struct scenario *scenario, const struct scenario_load *load) {
    bool is_message = load->kind == LOAD_BROADCAST || load->kind == LOAD_UNICAST;
    if (load->at_ns > scenario->run_ns) {
        return "begins after the run's end";
    }
    if (load->until_ns != 0 && load->until_ns <= load->at_ns) {
        return "expected 'until' after 'at'";
    }
    if (is_message && load->bytes.high > MESSAGE_BYTES_MAX) {
        return "expected at most 48KiB a message";
    }
    if (is_message && load->count == 0 && load->every_ns == 0) {
        return "expected 'every', or a 'count'";
    }
    if (load->rate_after_ns != 0 && load->shape != SHAPE_BULK) {
        return "expected 'shape: bulk' with 'rate-after'";
    }
    if (load->kind == LOAD_SERVICES && load->count == 0) {
        return "expected a 'count' of services";
    }
    if (load->kind == LOAD_SERVICES && load->is_before_form && load->at_ns != 0) {
        return "expected either 'before-form' or 'at'";
    }
    return NULL;
}

static enum weft_err check_load(const struct check *check, size_t index) {
    const struct scenario_load *load = &check->scenario->loads[index];
    const char *problem = load_problem(check->scenario, load);
    const char *kind = load_kind_name(load->kind);
    char path[SCENARIO_PATH_MAX];
    char key[40];
    (void)snprintf(path, sizeof path, "load[%zu].%s", index, kind);
    if (problem != NULL) {
        return fail(check, path, problem);
    }
    (void)snprintf(key, sizeof key, "%s.%s", kind, load->kind == LOAD_SERVICES ? "of" : "from");
    enum weft_err err = check_pick_at(check, "load", index, key, &load->who);
    if (err == WEFT_OK) {
        (void)snprintf(key, sizeof key, "%s.to", kind);
        err = check_pick_at(check, "load", index, key, &load->to);
    }
    return err;
}

/* Faults. */

static const char *missing_of(const struct scenario_fault *fault) {
    bool has_share = fault->kind == FAULT_LOSS || fault->kind == FAULT_MEMORY;
    if (has_share && fault->ppm == 0) {
        return "expected a 'share', such as 'share: 5%'";
    }
    if (fault->kind == FAULT_DELAY && fault->delay_ns == 0) {
        return "expected 'by', such as 'by: 200ms'";
    }
    if (fault->kind == FAULT_FLAP && (fault->every_ns == 0 || fault->span_ns == 0)) {
        return "expected 'every' and 'for': a reset each 'every' as long as 'for'";
    }
    if (fault->count > 1 && fault->every_ns == 0) {
        return "expected 'every' with 'times'";
    }
    return NULL;
}

static const char *fault_problem(const struct scenario *scenario,
                                 const struct scenario_fault *fault) {
    if (fault->at_ns > scenario->run_ns) {
        return "begins after the run's end";
    }
    if (fault->kind != FAULT_FLAP && fault->every_ns != 0 && fault->count == 1) {
        return "expected 'times' with 'every'";
    }
    return missing_of(fault);
}

static enum weft_err check_fault(const struct check *check, size_t index) {
    const struct scenario_fault *fault = &check->scenario->faults[index];
    const char *problem = fault_problem(check->scenario, fault);
    char path[SCENARIO_PATH_MAX];
    if (problem != NULL) {
        (void)snprintf(path, sizeof path, "faults[%zu]", index);
        return fail(check, path, problem);
    }
    enum weft_err err =
        check_pick_at(check, "faults", index, fault_kind_name(fault->kind), &fault->who);
    return err == WEFT_OK ? check_pick_at(check, "faults", index, "with", &fault->to) : err;
}

/* The rest. */

static const char *graph_wanted(const struct scenario *scenario) {
    switch (scenario->topology.kind) {
    case TOPOLOGY_RANDOM_REGULAR:
        return "no such graph: expected a degree of at least 2 and less than 'nodes', and nodes x "
               "degree to be even";
    case TOPOLOGY_SMALL_WORLD:
        return "no such graph: expected an even degree of less than 'nodes'";
    case TOPOLOGY_SCALE_FREE:
        return "no such graph: expected a degree of less than 'nodes'";
    case TOPOLOGY_SITES:
        return "no such graph: expected 'nodes' to be hubs + sites x site-nodes, and at most as "
               "many uplinks as hubs";
    case TOPOLOGY_HALVES:
        return "no such graph: expected an even number of nodes, at most half as many bridges, and "
               "a degree that each half can have";
    case TOPOLOGY_LIST:
        return "no such graph: expected edges that join all nodes, each once";
    case TOPOLOGY_LINE:
    case TOPOLOGY_RING:
    case TOPOLOGY_STAR:
    case TOPOLOGY_GRID:
    case TOPOLOGY_TREE:
    case TOPOLOGY_FULL:
    case TOPOLOGY_SEED:
    case TOPOLOGY_KIND_COUNT:
        break;
    }
    return "no such graph";
}

static enum weft_err check_topology(const struct check *check) {
    const struct scenario *scenario = check->scenario;
    struct plan plan = {0};
    if (scenario->topology.kind == TOPOLOGY_FULL && scenario->nodes > FULL_NODES_MAX) {
        return fail(check, "topology", "expected at most 2000 nodes in a full mesh");
    }
    if (plan_make(scenario, 1, &plan) != WEFT_OK) {
        return fail(check, "topology", graph_wanted(scenario));
    }
    plan_fini(&plan);
    return WEFT_OK;
}

static enum weft_err check_chaos(const struct check *check) {
    const struct scenario_chaos *chaos = &check->scenario->chaos;
    struct spot spot;
    struct spot root = spot_root(check->scan);
    if (!spot_child(&root, "chaos", &spot)) {
        return WEFT_OK;
    }
    if (chaos->mode == CHAOS_NONE) {
        return fail(check, "chaos", "expected 'mode': safety or liveness");
    }
    if (chaos->until_ns == 0 || chaos->until_ns > check->scenario->run_ns) {
        return fail(check, "chaos.until", "expected 'until' within the run");
    }
    return WEFT_OK;
}

static enum weft_err check_required(const struct check *check) {
    const struct scenario *scenario = check->scenario;
    if (scenario->name[0] == '\0') {
        return fail(check, "", "expected 'name'");
    }
    if (scenario->nodes == 0) {
        return fail(check, "", "expected 'nodes'");
    }
    struct spot root = spot_root(check->scan);
    struct spot topology;
    if (!spot_child(&root, "topology", &topology)) {
        return fail(check, "", "expected 'topology', such as {kind: random-regular, degree: 8}");
    }
    if (scenario->start_within_ns > scenario->form_within_ns) {
        return fail(check, "form.start-within", "expected less than 'within'");
    }
    return scenario->is_warm && scenario->topology.kind == TOPOLOGY_SEED
               ? fail(check, "form.warm", "expected a topology whose links are its seeds")
               : WEFT_OK;
}

enum weft_err scenario_check(struct scan *scan, const struct scenario *scenario) {
    ASSERT(scan != NULL && scenario != NULL);
    struct check check = {.scan = scan, .scenario = scenario};
    enum weft_err err = check_required(&check);
    if (err == WEFT_OK) {
        err = check_topology(&check);
    }
    for (size_t i = 0; i < scenario->load_count && err == WEFT_OK; i++) {
        err = check_load(&check, i);
    }
    for (size_t i = 0; i < scenario->fault_count && err == WEFT_OK; i++) {
        err = check_fault(&check, i);
    }
    return err == WEFT_OK ? check_chaos(&check) : err;
}
