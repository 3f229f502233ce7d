/* SPDX-License-Identifier: Apache-2.0
 *
 * Services that nodes offer for their own sake: "x17-3" of node 17. Each change has a number, told
 * as its endpoint's address, so that a registry shows how new it is.
 */
#include <string.h>

#include "base/check.h"
#include "sim/load_parts.h"

#define WITHDRAW_ONE_IN 4 /* of the changes; the next one offers it again */
#define KEY_BYTES 64
#define LIST_BASE 10
#define LOST_AFTER (10 * NS_PER_S) /* a change younger than this is on its way at the end */

static struct load_service *service_at(const struct load *load, uint32_t node, uint32_t index) {
    const struct services *services = &load->services;
    size_t at = services->first[node] + index;
    return at < services->first[node + 1] ? &services->all[at] : NULL;
}

static uint32_t count_of(const struct load *load, uint32_t node) {
    const struct services *services = &load->services;
    return (uint32_t)(services->first[node + 1] - services->first[node]);
}

/* How many services each node has, of all loads together. */
static void count_services(struct load *load) {
    struct services *services = &load->services;
    size_t *first = services->first;
    for (size_t i = 0; i < load->scenario->load_count; i++) {
        const struct scenario_load *spec = &load->scenario->loads[i];
        for (size_t at = 0; spec->kind == LOAD_SERVICES && at < load->specs[i].who_count; at++) {
            first[load->specs[i].who[at] + 1] += (size_t)(spec->count > 0 ? spec->count : 1);
        }
    }
    for (uint32_t i = 0; i < load->node_count; i++) {
        first[i + 1] += first[i];
    }
    services->count = first[load->node_count];
}

static void want_before_form(struct load *load) {
    for (size_t i = 0; i < load->scenario->load_count; i++) {
        const struct scenario_load *spec = &load->scenario->loads[i];
        if (spec->kind != LOAD_SERVICES || !spec->is_before_form) {
            continue;
        }
        for (size_t at = 0; at < load->specs[i].who_count; at++) {
            services_begin(load, spec, load->specs[i].who[at]);
        }
    }
}

void services_init(struct load *load) {
    struct services *services = &load->services;
    services->first = must(calloc((size_t)load->node_count + 1, sizeof(*services->first)));
    count_services(load);
    services->all = must(calloc(services->count + 1, sizeof(*services->all)));
    for (uint32_t node = 0; node < load->node_count; node++) {
        for (uint32_t index = 0; index < count_of(load, node); index++) {
            *service_at(load, node, index) = (struct load_service){.node = node, .index = index};
        }
    }
    services->latency = metrics_distribution(load->metrics, "service.latency", UNIT_NS);
    services->stale = metrics_counter(load->metrics, "service.stale", UNIT_COUNT);
    services->changes = metrics_counter(load->metrics, "service.changes", UNIT_COUNT);
    services->superseded = metrics_counter(load->metrics, "service.superseded", UNIT_COUNT);
    want_before_form(load);
}

void services_fini(struct load *load) {
    struct services *services = &load->services;
    for (size_t i = 0; i < services->count; i++) {
        node_set_fini(&services->all[i].owed);
    }
    free(services->all);
    free(services->first);
}

static void name_of(const struct load_service *service, char out[WEFT_NAME_MAX + 1]) {
    (void)snprintf(out, WEFT_NAME_MAX + 1, "x%u-%u", service->node, service->index);
}

/* "10.A.B.C:9" where A.B.C is the number. */
static void address_of(uint32_t number, char out[32]) {
    (void)snprintf(out, 32, "10.%u.%u.%u:9", number >> 16 & 0xffU, number >> 8 & 0xffU,
                   number & 0xffU);
}

/* Tells the node's core how the service is to be now. */
static bool tell(struct load *load, const struct load_service *service, struct core *core) {
    char name[WEFT_NAME_MAX + 1];
    char address[32];
    name_of(service, name);
    address_of(service->number, address);
    const struct wire_endpoint endpoint = {
        .address = span_of_text(address), .health = WIRE_HEALTH_GOOD, .weight = 1};
    const struct core_offer offer = {
        .protocol = LOAD_PROTOCOL, .endpoints = &endpoint, .endpoint_count = 1};
    weft_ns now = world_node_now(load->world, service->node);
    enum weft_err err = service->is_offered
                            ? core_offer(core, LOAD_NAME_SPACE, name, &offer, now)
                            : core_withdraw(core, LOAD_NAME_SPACE, name, WIRE_PROTOCOL_TCP, now);
    return err == WEFT_OK;
}

/* From now on every live node owes it to know this change. */
static void watch(struct load *load, struct load_service *service) {
    if (service->owed.count > 0) {
        metric_add(load->services.superseded, 1);
    }
    node_set_fini(&service->owed);
    node_set_init(&service->owed, load->node_count);
    service->changed_at = world_now(load->world);
    truth_look(load);
    for (uint32_t i = 0; i < load->node_count; i++) {
        if (i != service->node && truth_joins(load, service->node, i)) {
            (void)node_set_add(&service->owed, i);
        }
    }
}

static void change(struct load *load, struct load_service *service, bool is_offered) {
    service->number++;
    service->is_offered = is_offered;
    if (!tell(load, service, world_core(load->world, service->node))) {
        return; /* short of memory: its application was told */
    }
    metric_add(load->services.changes, 1);
    watch(load, service);
}

void services_begin(struct load *load, const struct scenario_load *spec, uint32_t node) {
    uint64_t wanted = spec->count > 0 ? spec->count : 1;
    for (uint32_t i = 0; i < count_of(load, node) && wanted > 0; i++) {
        struct load_service *service = service_at(load, node, i);
        if (service->is_wanted) {
            continue;
        }
        wanted--;
        service->is_wanted = true;
        service->is_offered = true;
        if (load->has_begun && load_node_runs(load, node)) {
            change(load, service, true);
        }
    }
    if (load->has_begun && load_node_runs(load, node)) {
        world_pump(load->world, node);
    }
}

void services_change(struct load *load, uint32_t node, struct rng *rng) {
    uint32_t count = count_of(load, node);
    struct load_service *service = service_at(load, node, (uint32_t)rng_below(rng, count));
    if (service->is_wanted) {
        change(load, service, !service->is_offered || rng_below(rng, WITHDRAW_ONE_IN) != 0);
    }
}

void services_node_started(struct load *load, struct load_node *node, struct core *core) {
    for (uint32_t i = 0; i < count_of(load, node->index); i++) {
        const struct load_service *service = service_at(load, node->index, i);
        if (service->is_wanted && service->is_offered && !tell(load, service, core)) {
            metric_add(metrics_counter(load->metrics, "load.not_offered", UNIT_COUNT), 1);
        }
    }
}

/* "sim/x17-3" of node 17, or NULL. */
static struct load_service *service_of_key(const struct load *load, uint32_t owner,
                                           struct span key) {
    char text[KEY_BYTES];
    char expected[WEFT_NAME_MAX + 1];
    if (!span_to_text(key, text, sizeof(text)) || strncmp(text, LOAD_NAME_SPACE "/x", 5) != 0) {
        return NULL;
    }
    const char *dash = strchr(text, '-');
    unsigned long index = dash != NULL ? strtoul(dash + 1, NULL, LIST_BASE) : UINT32_MAX;
    struct load_service *service =
        index < UINT32_MAX ? service_at(load, owner, (uint32_t)index) : NULL;
    if (service == NULL) {
        return NULL;
    }
    name_of(service, expected);
    return strcmp(strchr(text, '/') + 1, expected) == 0 ? service : NULL;
}

/* Whether a record is the service as it is now. */
static bool is_present(const struct load_service *service, const struct record *record) {
    char expected[32];
    struct wire_service_body body;
    struct wire_endpoint endpoint;
    if (record->is_tombstone || !service->is_offered) {
        return record->is_tombstone && !service->is_offered;
    }
    address_of(service->number, expected);
    return wire_service_body_decode(record->body, &body) == WEFT_OK &&
           wire_list_next_endpoint(&body.endpoints, &endpoint) &&
           span_equal(endpoint.address, span_of_text(expected));
}

static void settle(struct load *load, struct load_service *service, uint32_t node) {
    if (node_set_remove(&service->owed, node) && service->owed.count == 0) {
        metric_sample(load->services.latency,
                      (int64_t)(world_now(load->world) - service->changed_at));
        node_set_fini(&service->owed);
    }
}

void services_saved(struct load *load, uint32_t node, const struct record *record) {
    uint32_t owner = 0;
    if (load->services.count == 0 || !world_find_node(load->world, &record->owner, &owner)) {
        return;
    }
    struct load_service *service = service_of_key(load, owner, record->key);
    if (service != NULL && service->owed.count > 0 && is_present(service, record)) {
        settle(load, service, node);
    }
}

/* What is no longer owed is neither a success nor a failure. */
static void drop(struct load_service *service, uint32_t node) {
    if (node_set_remove(&service->owed, node) && service->owed.count == 0) {
        node_set_fini(&service->owed);
    }
}

void services_forget_node(struct load *load, uint32_t node) {
    for (size_t i = 0; i < load->services.count; i++) {
        drop(&load->services.all[i], node);
    }
    for (uint32_t i = 0; i < count_of(load, node); i++) {
        node_set_fini(&service_at(load, node, i)->owed); /* its next life says it again */
    }
}

static void look_at(const struct load *load, struct load_service *service) {
    for (uint32_t i = 0; i < load->node_count && service->owed.count > 0; i++) {
        if (node_set_has(&service->owed, i) && !truth_joins(load, service->node, i)) {
            drop(service, i);
        }
    }
}

void services_look(struct load *load) {
    for (size_t i = 0; i < load->services.count; i++) {
        look_at(load, &load->services.all[i]);
    }
}

void services_report(struct load *load) {
    const struct services *services = &load->services;
    weft_ns now = world_now(load->world);
    for (size_t i = 0; i < services->count; i++) {
        const struct load_service *service = &services->all[i];
        if (service->owed.count > 0 && time_after(service->changed_at, LOST_AFTER) <= now) {
            metric_add(services->stale, service->owed.count);
        }
    }
}
