/* SPDX-License-Identifier: Apache-2.0
 *
 * What we tell the mesh to dial: each listener's address, and for a wildcard those of all
 * interfaces. Interfaces come and go on the edge, so a wildcard is looked at again every few
 * seconds; a node that listens on plain addresses never wakes for it.
 */
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/internal.h"

#define LOOK_AGAIN_S 5

struct address_list {
    char texts[WIRE_ADDRESSES_MAX][WEFT_ENDPOINT_MAX + 1];
    size_t count;
};

static void add(struct address_list *list, const char *text) {
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->texts[i], text) == 0) {
            return;
        }
    }
    if (list->count < WIRE_ADDRESSES_MAX && strlen(text) <= WIRE_ADDRESS_MAX) {
        (void)snprintf(list->texts[list->count++], sizeof(list->texts[0]), "%s", text);
    }
}

/* Whether others could reach the interface address; link-local ones need a scope and are left out.
 */
static bool is_usable(const struct ifaddrs *entry, bool wants_loopback) {
    if (entry->ifa_addr == NULL || (entry->ifa_flags & IFF_UP) == 0 ||
        ((entry->ifa_flags & IFF_LOOPBACK) != 0) != wants_loopback) {
        return false;
    }
    if (entry->ifa_addr->sa_family == AF_INET) {
        return true;
    }
    struct sockaddr_in6 six;
    if (entry->ifa_addr->sa_family != AF_INET6) {
        return false;
    }
    memcpy(&six, entry->ifa_addr, sizeof(six));
    return !IN6_IS_ADDR_LINKLOCAL(&six.sin6_addr);
}

static void add_interface(struct address_list *list, const struct ifaddrs *entry, uint16_t port) {
    char text[WEFT_ENDPOINT_MAX + 1];
    struct sockaddr_storage address = {0};
    if (entry->ifa_addr->sa_family == AF_INET) {
        struct sockaddr_in four;
        memcpy(&four, entry->ifa_addr, sizeof(four));
        four.sin_port = htons(port);
        memcpy(&address, &four, sizeof(four));
    } else {
        struct sockaddr_in6 six;
        memcpy(&six, entry->ifa_addr, sizeof(six));
        six.sin6_port = htons(port);
        memcpy(&address, &six, sizeof(six));
    }
    tcp_address_text((const struct sockaddr *)&address, text);
    add(list, text);
}

/* Those of one family. */
static void add_family(struct address_list *list, const struct ifaddrs *all, int family,
                       const struct listener *listener, bool wants_loopback) {
    for (const struct ifaddrs *entry = all; entry != NULL; entry = entry->ifa_next) {
        if (is_usable(entry, wants_loopback) && entry->ifa_addr->sa_family == family) {
            add_interface(list, entry, listener->port);
        }
    }
}

/* IPv4 first, then IPv6, of those interfaces that are (or are not) loopback. */
static void add_interfaces(struct address_list *list, const struct listener *listener,
                           bool wants_loopback) {
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0) {
        return;
    }
    add_family(list, all, AF_INET, listener, wants_loopback);
    if (listener->family == AF_INET6) {
        add_family(list, all, AF_INET6, listener, wants_loopback);
    }
    freeifaddrs(all);
}

static void gather(const struct node *node, struct address_list *list) {
    for (size_t i = 0; i < node->listener_count; i++) {
        if (node->listeners[i].is_wildcard) {
            add_interfaces(list, &node->listeners[i], false);
        } else {
            add(list, node->listeners[i].bound);
        }
    }
    for (size_t i = 0; i < node->listener_count && list->count == 0; i++) {
        add_interfaces(list, &node->listeners[i], true);
    }
}

static bool is_as_before(const struct node *node, const struct address_list *list) {
    bool is_same = node->address_count == list->count;
    for (size_t i = 0; i < list->count && is_same; i++) {
        is_same = strcmp(node->addresses[i], list->texts[i]) == 0;
    }
    return is_same;
}

static void forget(struct node *node) {
    for (size_t i = 0; i < node->address_count; i++) {
        free(node->addresses[i]);
    }
    node->address_count = 0;
}

static void take(struct node *node, const struct address_list *list) {
    forget(node);
    for (size_t i = 0; i < list->count; i++) {
        char *copy = strdup(list->texts[i]);
        if (copy != NULL) {
            node->addresses[node->address_count++] = copy;
        }
    }
    node->keys->shared.addresses = (const char *const *)node->addresses;
    node->keys->shared.address_count = (uint32_t)node->address_count;
}

static void on_watch(evutil_socket_t fd, short what, void *arg) {
    struct node *node = arg;
    struct address_list list = {0};
    (void)fd;
    (void)what;
    gather(node, &list);
    if (is_as_before(node, &list)) {
        return;
    }
    take(node, &list);
    trace(&node->host, TRACE_INFO, "addresses-changed", "count=%zu first=%s", node->address_count,
          node->address_count > 0 ? node->addresses[0] : "-");
    core_set_addresses(node->core, (const char *const *)node->addresses,
                       (uint32_t)node->address_count, node_clock());
    node_touch(node);
}

static bool has_wildcard(const struct node *node) {
    for (size_t i = 0; i < node->listener_count; i++) {
        if (node->listeners[i].is_wildcard) {
            return true;
        }
    }
    return false;
}

void node_addresses_init(struct node *node) {
    struct address_list list = {0};
    gather(node, &list);
    take(node, &list);
    if (!has_wildcard(node)) {
        return;
    }
    const struct timeval period = {.tv_sec = LOOK_AGAIN_S};
    node->watch = event_new(node->base, -1, EV_PERSIST, on_watch, node);
    if (node->watch != NULL) {
        (void)event_add(node->watch, &period);
    }
}

void node_addresses_fini(struct node *node) {
    if (node->watch != NULL) {
        event_free(node->watch);
    }
    forget(node);
}
