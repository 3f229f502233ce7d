/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry: a view of the records of kind SERVICE by name. Records whose key or body is not
 * what we know stay in the set and are passed on; here they do not appear.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/internal.h"

#define SERVICE_KEY_BYTES (WIRE_RECORD_KEY_MAX + 1) /* and a NUL */

/* Providers are about as near while what lies between is a quarter and what a busy machine makes of
 * ways that cost nothing. */
#define EQUALS_SHARE 4
#define EQUALS_US 1000

static bool split_key(struct span key, struct service *out) {
    struct wire_service_key parts;
    bool is_key = wire_service_key_split(key, &parts) &&
                  span_to_text(parts.name_space, out->name_space, sizeof(out->name_space)) &&
                  span_to_text(parts.name, out->name, sizeof(out->name));
    out->protocol = parts.protocol;
    return is_key;
}

static struct service *service_make(struct core *core, struct span key) {
    struct service *service = calloc(1, sizeof(*service));
    enum weft_err err = service == NULL ? WEFT_ERR_MEMORY : WEFT_OK;
    if (err == WEFT_OK) {
        err = split_key(key, service) ? map_add(core->services, key, service) : WEFT_ERR_MALFORMED;
    }
    if (err == WEFT_ERR_MEMORY) {
        core_lacked_memory(core);
    }
    if (err != WEFT_OK) {
        free(service);
        return NULL;
    }
    return service;
}

static void service_drop(struct core *core, struct service *service, struct span key,
                         size_t index) {
    struct record *gone = service->providers[index];
    service->provider_count--;
    memmove(service->providers + index, service->providers + index + 1,
            (service->provider_count - index) * sizeof(struct record *));
    if (service->provider_count == 0) {
        (void)map_remove(core->services, key);
        free(service->providers);
        free(service);
    }
    record_unref(gone);
}

void core_service_forget(struct core *core, const struct record *record) {
    struct service *service = map_find(core->services, record->key);
    if (service == NULL) {
        return;
    }
    for (size_t i = 0; i < service->provider_count; i++) {
        if (weft_peer_id_equal(&service->providers[i]->owner, &record->owner)) {
            service_drop(core, service, record->key, i);
            return;
        }
    }
}

static void service_add(struct core *core, struct record *record) {
    struct service *service = map_find(core->services, record->key);
    if (service == NULL) {
        service = service_make(core, record->key);
    }
    if (service == NULL) {
        return;
    }
    size_t bytes = (service->provider_count + 1) * sizeof(struct record *);
    struct record **grown = realloc(service->providers, bytes);
    if (grown == NULL) {
        core->frames_dropped[CORE_DROP_MEMORY]++;
        core_lacked_memory(core);
        if (service->provider_count == 0) {
            (void)map_remove(core->services, record->key);
            free(service);
        }
        return;
    }
    service->providers = grown;
    service->providers[service->provider_count++] = record_ref(record);
}

void core_service_record(struct core *core, struct record *record) {
    struct wire_service_body body;
    struct wire_service_key key;
    core_service_forget(core, record);
    if (!record->is_tombstone && wire_service_body_decode(record->body, &body) == WEFT_OK &&
        wire_service_key_split(record->key, &key) && key.protocol != 0 &&
        body.protocol == key.protocol) {
        service_add(core, record);
    }
}

void core_services_free(struct core *core) {
    struct map_entry *entry = core->services != NULL ? map_first(core->services) : NULL;
    for (; entry != NULL; entry = map_next(entry)) {
        struct service *service = map_value(entry);
        for (size_t i = 0; i < service->provider_count; i++) {
            record_unref(service->providers[i]);
        }
        free(service->providers);
        free(service);
    }
    map_free(core->services);
}

/* Whether it is the word of a former life, kept until the present one has had time to say it again.
 */
static bool is_former(const struct core *core, const struct record *record) {
    return record->incarnation <
           recordset_incarnation(gossip_records(core->gossip), &record->owner);
}

static struct core_provider provider_of(const struct core *core, const struct record *record) {
    struct router_path path = router_path_to(core->router, &record->owner);
    struct core_provider provider = {
        .peer = record->owner,
        .is_self = weft_peer_id_equal(&record->owner, &core->config.identity->id),
        .cost_us = path.cost_us,
    };
    provider.absence = provider.is_self ? 0
                                        : recordset_absence(gossip_records(core->gossip),
                                                            &record->owner, core->now);
    bool is_fresh = provider.is_self || (path.is_reachable && !is_former(core, record));
    provider.state = is_fresh ? SERVICE_FRESH : SERVICE_STALE;
    enum weft_err err = wire_service_body_decode(record->body, &provider.body);
    ASSERT(err == WEFT_OK); /* it decoded when it entered the registry */
    return provider;
}

static int by_preference(const void *a, const void *b) {
    const struct core_provider *one = a;
    const struct core_provider *two = b;
    if (one->is_self != two->is_self) {
        return one->is_self ? -1 : 1;
    }
    if (one->state != two->state) {
        return one->state < two->state ? -1 : 1;
    }
    if (one->cost_us != two->cost_us) {
        return one->cost_us < two->cost_us ? -1 : 1;
    }
    return weft_peer_id_compare(&one->peer, &two->peer);
}

static size_t format_key(const char *name_space, const char *name, uint8_t protocol,
                         char out[SERVICE_KEY_BYTES]) {
    int len = snprintf(out, SERVICE_KEY_BYTES, "%s/%s%s", name_space, name,
                       protocol == WIRE_PROTOCOL_UDP ? "/udp" : "");
    return len > 0 && (size_t)len < SERVICE_KEY_BYTES ? (size_t)len : 0;
}

static const struct service *service_find(const struct core *core, const char *name_space,
                                          const char *name, uint8_t protocol) {
    char key[SERVICE_KEY_BYTES];
    size_t len = format_key(name_space, name, protocol, key);
    return len > 0 ? map_find(core->services, span_of(key, len)) : NULL;
}

/* Sorts all providers of a service; the caller frees. NULL when out of memory. */
static struct core_provider *sorted_providers(const struct core *core,
                                              const struct service *service) {
    struct core_provider *all = calloc(service->provider_count, sizeof(*all));
    if (all == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < service->provider_count; i++) {
        all[i] = provider_of(core, service->providers[i]);
    }
    qsort(all, service->provider_count, sizeof(*all), by_preference);
    return all;
}

size_t core_providers(const struct core *core, const char *name_space, const char *name,
                      uint8_t protocol, struct core_provider *out, size_t max) {
    const struct service *service = service_find(core, name_space, name, protocol);
    struct core_provider *all = service != NULL ? sorted_providers(core, service) : NULL;
    if (all == NULL) {
        return 0;
    }
    size_t count = service->provider_count < max ? service->provider_count : max;
    memcpy(out, all, count * sizeof(*out));
    free(all);
    return count;
}

/* How many, from `first` on, are about as near as that one and no worse. */
static size_t count_equals(const struct core_provider *providers, size_t first, size_t count) {
    const struct core_provider *best = &providers[first];
    weft_ns far_us = best->cost_us + best->cost_us / EQUALS_SHARE + EQUALS_US;
    size_t i = first;
    while (i < count && providers[i].state == best->state && providers[i].cost_us <= far_us) {
        i++;
    }
    return i - first;
}

size_t core_providers_in_turn(struct core *core, const char *name_space, const char *name,
                              uint8_t protocol, struct core_provider *out, size_t max) {
    size_t count = core_providers(core, name_space, name, protocol, out, max);
    size_t first = count > 0 && out[0].is_self ? 1 : 0;
    size_t equals = first < count ? count_equals(out, first, count) : 0;
    if (equals > 1) {
        size_t at = first + core->turns++ % equals;
        struct core_provider chosen = out[at];
        memmove(out + first + 1, out + first, (at - first) * sizeof(*out));
        out[first] = chosen;
    }
    return count;
}

static int by_name(const void *a, const void *b) {
    const struct service *const *one = a;
    const struct service *const *two = b;
    int order = strcmp((*one)->name_space, (*two)->name_space);
    order = order != 0 ? order : strcmp((*one)->name, (*two)->name);
    return order != 0 ? order : (int)(*one)->protocol - (int)(*two)->protocol;
}

typedef void each_service(void *ctx, const char *name_space, const char *name,
                          const struct core_provider *provider);

static void show_service(const struct core *core, const struct service *service, each_service *each,
                         void *ctx) {
    struct core_provider *all = sorted_providers(core, service);
    for (size_t i = 0; all != NULL && i < service->provider_count; i++) {
        each(ctx, service->name_space, service->name, &all[i]);
    }
    free(all);
}

void core_each_service(const struct core *core, each_service *each, void *ctx) {
    size_t count = 0;
    const struct service **all = calloc(map_count(core->services) + 1, sizeof(struct service *));
    if (all == NULL) {
        return;
    }
    for (struct map_entry *entry = map_first(core->services); entry != NULL;
         entry = map_next(entry)) {
        all[count++] = map_value(entry);
    }
    qsort(all, count, sizeof(struct service *), by_name);
    for (size_t i = 0; i < count; i++) {
        show_service(core, all[i], each, ctx);
    }
    free(all);
}

static bool is_protocol(uint8_t protocol) {
    return protocol == WIRE_PROTOCOL_TCP || protocol == WIRE_PROTOCOL_UDP;
}

static bool names_are_valid(const char *name_space, const char *name) {
    return wire_name_is_valid(span_of_text(name_space)) && wire_name_is_valid(span_of_text(name));
}

enum weft_err core_offer(struct core *core, const char *name_space, const char *name,
                         const struct core_offer *offer, weft_ns now) {
    core_enter(core, now);
    uint8_t body[WIRE_RECORD_BODY_MAX];
    char key[SERVICE_KEY_BYTES];
    if (!names_are_valid(name_space, name) || !is_protocol(offer->protocol) ||
        offer->endpoint_count == 0 || offer->endpoint_count > WIRE_ENDPOINTS_MAX) {
        return WEFT_ERR_INVALID;
    }
    struct wire_writer writer = wire_writer_of(body, sizeof(body));
    wire_service_body_encode(&writer, offer->protocol, offer->endpoints, offer->endpoint_count);
    struct span encoded = wire_writer_view(&writer);
    struct wire_service_body decoded;
    if (wire_service_body_decode(encoded, &decoded) != WEFT_OK) {
        return WEFT_ERR_INVALID;
    }
    size_t len = format_key(name_space, name, offer->protocol, key);
    return gossip_publish(core->gossip, WIRE_RECORD_SERVICE, span_of(key, len), encoded, now);
}

enum weft_err core_withdraw(struct core *core, const char *name_space, const char *name,
                            uint8_t protocol, weft_ns now) {
    core_enter(core, now);
    char key[SERVICE_KEY_BYTES];
    if (!names_are_valid(name_space, name)) {
        return WEFT_ERR_INVALID;
    }
    if (DEFECT(WITHDRAWAL_UNTOLD)) {
        return WEFT_OK;
    }
    size_t len = format_key(name_space, name, protocol, key);
    return gossip_withdraw(core->gossip, WIRE_RECORD_SERVICE, span_of(key, len), now);
}
