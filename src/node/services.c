/* SPDX-License-Identifier: Apache-2.0
 *
 * Services of our own: those of the configuration and those added through the control API, which
 * the store keeps. An endpoint may come from both; it goes when both have let go of it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "node/internal.h"

struct own_service *node_service_find(struct node *node, const char *name_space, const char *name,
                                      uint8_t protocol) {
    for (struct own_service *service = node->services; service != NULL; service = service->next) {
        if (service->protocol == protocol && strcmp(service->name, name) == 0 &&
            strcmp(service->name_space, name_space) == 0) {
            return service;
        }
    }
    return NULL;
}

static struct own_endpoint *find_endpoint(struct own_service *service, const char *address) {
    for (size_t i = 0; i < service->endpoint_count; i++) {
        if (strcmp(service->endpoints[i].address, address) == 0) {
            return &service->endpoints[i];
        }
    }
    return NULL;
}

/* Tells the mesh what the service is now. */
static enum weft_err announce(struct node *node, const struct own_service *service) {
    struct wire_endpoint endpoints[STORE_ENDPOINTS_MAX];
    node_touch(node);
    if (service->endpoint_count == 0) {
        return core_withdraw(node->core, service->name_space, service->name, service->protocol,
                             node_clock());
    }
    for (size_t i = 0; i < service->endpoint_count; i++) {
        endpoints[i] = (struct wire_endpoint){
            .address = span_of_text(service->endpoints[i].address),
            .health = WIRE_HEALTH_UNKNOWN,
            .weight = 100,
        };
    }
    const struct core_offer offer = {
        .protocol = service->protocol,
        .endpoints = endpoints,
        .endpoint_count = (uint32_t)service->endpoint_count,
    };
    return core_offer(node->core, service->name_space, service->name, &offer, node_clock());
}

struct stored_name node_stored_name(const char *name, uint8_t protocol) {
    struct stored_name stored;
    (void)snprintf(stored.text, sizeof(stored.text), "%s%s", name,
                   protocol == WIRE_PROTOCOL_UDP ? "/udp" : "");
    return stored;
}

uint8_t node_stored_protocol(struct stored_name *name) {
    char *slash = strchr(name->text, '/');
    if (slash == NULL) {
        return WIRE_PROTOCOL_TCP;
    }
    *slash = '\0';
    return WIRE_PROTOCOL_UDP;
}

/* Keeps in the store what was added through the API, and only that. */
static enum weft_err keep(struct node *node, const struct own_service *service) {
    const struct stored_name name = node_stored_name(service->name, service->protocol);
    const char *endpoints[STORE_ENDPOINTS_MAX];
    uint32_t count = 0;
    for (size_t i = 0; i < service->endpoint_count; i++) {
        if ((service->endpoints[i].origins & OWN_ADDED) != 0) {
            endpoints[count++] = service->endpoints[i].address;
        }
    }
    if (count == 0) {
        return store_forget_service(node->store, service->name_space, name.text);
    }
    const struct store_service stored = {
        .name_space = service->name_space,
        .name = name.text,
        .protocol = service->protocol,
        .endpoints = endpoints,
        .endpoint_count = count,
        .origin = "cli",
    };
    return store_save_service(node->store, &stored);
}

static struct own_service *service_new(struct node *node, const char *name_space, const char *name,
                                       uint8_t protocol) {
    struct own_service *service = calloc(1, sizeof(*service));
    if (service == NULL) {
        return NULL;
    }
    (void)snprintf(service->name_space, sizeof(service->name_space), "%s", name_space);
    (void)snprintf(service->name, sizeof(service->name), "%s", name);
    service->protocol = protocol;
    struct own_service **at = &node->services;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = service;
    node->service_count++;
    return service;
}

static void service_drop(struct node *node, struct own_service *service) {
    struct own_service **at = &node->services;
    while (*at != service) {
        at = &(*at)->next;
    }
    *at = service->next;
    node->service_count--;
    free(service);
}

static enum weft_err put_endpoint(struct own_service *service, const char *endpoint,
                                  unsigned origin) {
    struct own_endpoint *known = find_endpoint(service, endpoint);
    if (known != NULL) {
        known->origins |= origin;
        return WEFT_OK;
    }
    if (service->endpoint_count == STORE_ENDPOINTS_MAX) {
        return WEFT_ERR_FULL;
    }
    struct own_endpoint *fresh = &service->endpoints[service->endpoint_count++];
    (void)snprintf(fresh->address, sizeof(fresh->address), "%s", endpoint);
    fresh->origins = origin;
    return WEFT_OK;
}

static enum weft_err tell(struct node *node, const struct own_service *service) {
    enum weft_err err = announce(node, service);
    if (err != WEFT_OK) {
        trace(&node->host, TRACE_ERROR, "service-not-announced", "service=%s/%s why=%s",
              service->name_space, service->name, weft_err_name(err));
    }
    return err;
}

enum weft_err node_service_add(struct node *node, const char *name_space, const char *name,
                               uint8_t protocol, const char *endpoint, unsigned origin) {
    if (!wire_name_is_valid(span_of_text(name_space)) || !wire_name_is_valid(span_of_text(name)) ||
        strlen(endpoint) > WEFT_ENDPOINT_MAX) {
        return WEFT_ERR_INVALID;
    }
    struct own_service *service = node_service_find(node, name_space, name, protocol);
    if (service == NULL && node->service_count >= OWN_SERVICES_MAX) {
        return WEFT_ERR_FULL;
    }
    service = service != NULL ? service : service_new(node, name_space, name, protocol);
    if (service == NULL) {
        return WEFT_ERR_MEMORY;
    }
    enum weft_err err = put_endpoint(service, endpoint, origin);
    if (err == WEFT_OK) {
        err = tell(node, service);
    }
    if (err == WEFT_OK && origin == OWN_ADDED) {
        err = keep(node, service);
    }
    if (service->endpoint_count == 0) {
        service_drop(node, service);
    }
    return err;
}

static void cut_endpoint(struct own_service *service, size_t index) {
    service->endpoint_count--;
    memmove(&service->endpoints[index], &service->endpoints[index + 1],
            (service->endpoint_count - index) * sizeof(service->endpoints[0]));
}

enum weft_err node_service_remove(struct node *node, const char *name_space, const char *name,
                                  uint8_t protocol, const char *endpoint) {
    struct own_service *service = node_service_find(node, name_space, name, protocol);
    if (service == NULL || (endpoint != NULL && find_endpoint(service, endpoint) == NULL)) {
        return WEFT_ERR_NOT_FOUND;
    }
    for (size_t i = service->endpoint_count; i > 0; i--) {
        if (endpoint == NULL || strcmp(service->endpoints[i - 1].address, endpoint) == 0) {
            cut_endpoint(service, i - 1);
        }
    }
    enum weft_err err = tell(node, service);
    if (err == WEFT_OK) {
        err = keep(node, service);
    }
    if (service->endpoint_count == 0) {
        service_drop(node, service);
    }
    return err;
}

static void load_one(void *ctx, const struct store_service *stored) {
    struct node *node = ctx;
    struct stored_name name;
    (void)snprintf(name.text, sizeof(name.text), "%s", stored->name);
    uint8_t protocol = node_stored_protocol(&name);
    struct own_service *service = node_service_find(node, stored->name_space, name.text, protocol);
    if (node->service_count >= OWN_SERVICES_MAX) {
        return;
    }
    service =
        service != NULL ? service : service_new(node, stored->name_space, name.text, protocol);
    for (uint32_t i = 0; service != NULL && i < stored->endpoint_count; i++) {
        if (put_endpoint(service, stored->endpoints[i], OWN_ADDED) != WEFT_OK) {
            return;
        }
    }
}

static void put_one(struct node *node, const struct config_service *wanted) {
    struct own_service *service =
        node_service_find(node, wanted->name_space, wanted->name, wanted->protocol);
    service = service != NULL
                  ? service
                  : service_new(node, wanted->name_space, wanted->name, wanted->protocol);
    for (uint32_t i = 0; service != NULL && i < wanted->endpoint_count; i++) {
        if (put_endpoint(service, wanted->endpoints[i], OWN_CONFIGURED) != WEFT_OK) {
            trace(&node->host, TRACE_WARN, "service-endpoint-refused",
                  "service=%s/%s why=\"too many endpoints\"", wanted->name_space, wanted->name);
        }
    }
}

static void put_configured(struct node *node) {
    for (size_t i = 0; i < node->config.service_count; i++) {
        put_one(node, &node->config.services[i]);
    }
}

static void tell_all(struct node *node) {
    struct own_service *next = NULL;
    for (struct own_service *service = node->services; service != NULL; service = next) {
        next = service->next;
        if (tell(node, service) == WEFT_OK && service->endpoint_count == 0) {
            service_drop(node, service);
        }
    }
}

enum weft_err node_services_init(struct node *node) {
    put_configured(node);
    enum weft_err err = store_each_service(node->store, load_one, node);
    tell_all(node);
    return err;
}

static void forget_configured(struct own_service *service) {
    for (size_t i = service->endpoint_count; i > 0; i--) {
        service->endpoints[i - 1].origins &= ~(unsigned)OWN_CONFIGURED;
        if (service->endpoints[i - 1].origins == 0) {
            cut_endpoint(service, i - 1);
        }
    }
}

void node_services_reload(struct node *node) {
    for (struct own_service *service = node->services; service != NULL; service = service->next) {
        forget_configured(service);
    }
    put_configured(node);
    tell_all(node);
}

void node_services_free(struct node *node) {
    while (node->services != NULL) {
        service_drop(node, node->services);
    }
}
