/* SPDX-License-Identifier: Apache-2.0
 *
 * One apply function a setting, and the table. Keep docs/man/weft.yaml.5 and docs/weft.yaml.example
 * beside it in step.
 */
#include "node/config_settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "node/config_parse.h"
#include "wire/record.h"

#define HEARTBEAT_MIN (50 * NS_PER_MS) /* below, a busy machine looks like a dead one */
#define HEARTBEAT_MAX (60 * NS_PER_S)
#define FLOWS_MIN 16
#define FLOWS_MAX 65536 /* what the proxy's tables hold */
#define SILENCE_MIN NS_PER_S
#define SILENCE_MAX (UINT64_C(86400) * NS_PER_S)
#define BUFFERS_MIB_MIN 8 /* below, a handful of streams would wait for each other */
#define BUFFERS_MIB_MAX 65536

enum weft_err config_fail(struct config_loader *loader, const char *format, ...) {
    char reason[CONFIG_TEXT_BYTES - sizeof loader->origin - 2];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    (void)snprintf(loader->error->text, sizeof loader->error->text, "%s: %s", loader->origin,
                   reason);
    loader->error->exit_status = CONFIG_EXIT_INVALID;
    return WEFT_ERR_INVALID;
}

/* Room for one element more; configurations are short, so one by one is enough. NULL, and *err, at
 * the bound or without memory; the list is as it was then. */
static void *grown(void *list, size_t count, size_t element_bytes, size_t max, enum weft_err *err) {
    if (count >= max) {
        *err = WEFT_ERR_FULL;
        return NULL;
    }
    void *larger = realloc(list, (count + 1) * element_bytes);
    *err = larger == NULL ? WEFT_ERR_MEMORY : WEFT_OK;
    return larger;
}

static enum weft_err set_text(char **field, const char *value) {
    if (value[0] == '\0') {
        return WEFT_ERR_INVALID;
    }
    char *copy = strdup(value);
    if (copy == NULL) {
        return WEFT_ERR_MEMORY;
    }
    free(*field);
    *field = copy;
    return WEFT_OK;
}

static enum weft_err set_number(uint32_t *field, const char *value, uint64_t max) {
    uint64_t number = 0;
    if (!config_parse_number(value, 1, max, &number)) {
        return WEFT_ERR_INVALID;
    }
    *field = (uint32_t)number;
    return WEFT_OK;
}

static enum weft_err apply_name(struct config_loader *loader, const char *value) {
    struct span name = span_of_text(value);
    if (!wire_name_is_valid(name) ||
        !span_to_text(name, loader->config->name, sizeof loader->config->name)) {
        return WEFT_ERR_INVALID;
    }
    return WEFT_OK;
}

static enum weft_err apply_listen(struct config_loader *loader, const char *value) {
    struct config *config = loader->config;
    struct config_address address;
    enum weft_err err = WEFT_OK;
    if (!config_parse_listen(value, "::", &address)) {
        return WEFT_ERR_INVALID;
    }
    if (loader->listen_layer != loader->layer) {
        config->listen_count = 0;
        loader->listen_layer = loader->layer;
    }
    struct config_address *list =
        grown(config->listen, config->listen_count, sizeof *list, CONFIG_LISTEN_MAX, &err);
    if (list != NULL) {
        config->listen = list;
        list[config->listen_count++] = address;
    }
    return err;
}

static enum weft_err apply_seed(struct config_loader *loader, const char *value) {
    struct config *config = loader->config;
    struct config_seed seed;
    enum weft_err err = WEFT_OK;
    if (!config_parse_seed(value, &seed)) {
        return WEFT_ERR_INVALID;
    }
    if (loader->seeds_layer != loader->layer) {
        config->seed_count = 0;
        loader->seeds_layer = loader->layer;
    }
    struct config_seed *list =
        grown(config->seeds, config->seed_count, sizeof *list, CONFIG_SEEDS_MAX, &err);
    if (list != NULL) {
        config->seeds = list;
        list[config->seed_count++] = seed;
    }
    return err;
}

static enum weft_err apply_secret_file(struct config_loader *loader, const char *value) {
    return set_text(&loader->config->secret_file, value);
}

static enum weft_err apply_state(struct config_loader *loader, const char *value) {
    return set_text(&loader->config->state, value);
}

static enum weft_err apply_control(struct config_loader *loader, const char *value) {
    return set_text(&loader->config->control, value);
}

/* Splits "NAME=VALUE" into a service's namespace, name and protocol, and the value; false if it is
 * not. */
static bool split_pair(const char *pair, char name_space[WEFT_NAME_MAX + 1],
                       char name[WEFT_NAME_MAX + 1], uint8_t *protocol, const char **value) {
    char left[2 * WEFT_NAME_MAX + 6];
    const char *equals = strchr(pair, '=');
    if (equals == NULL ||
        !span_to_text(span_of(pair, (size_t)(equals - pair)), left, sizeof left)) {
        return false;
    }
    *value = equals + 1;
    return config_parse_service_name(left, name_space, name, protocol);
}

static struct config_service *find_service(struct config *config, const char *name_space,
                                           const char *name, uint8_t protocol) {
    for (size_t i = 0; i < config->service_count; i++) {
        struct config_service *service = &config->services[i];
        if (service->protocol == protocol && strcmp(service->name_space, name_space) == 0 &&
            strcmp(service->name, name) == 0) {
            return service;
        }
    }
    return NULL;
}

/* The service of that name, without endpoints if a lower layer or nobody gave it any. */
static enum weft_err take_service(struct config_loader *loader, const char *name_space,
                                  const char *name, uint8_t protocol, struct config_service **out) {
    struct config *config = loader->config;
    struct config_service *service = find_service(config, name_space, name, protocol);
    if (service == NULL) {
        enum weft_err err = WEFT_OK;
        struct config_service *list =
            grown(config->services, config->service_count, sizeof *list, CONFIG_SERVICES_MAX, &err);
        if (list == NULL) {
            return err;
        }
        config->services = list;
        loader->service_layers[config->service_count] = CONFIG_LAYER_DEFAULT;
        service = &list[config->service_count++];
    }
    uint8_t *layer = &loader->service_layers[service - config->services];
    if (*layer != (uint8_t)loader->layer) {
        *layer = (uint8_t)loader->layer;
        *service = (struct config_service){.protocol = protocol};
        (void)snprintf(service->name_space, sizeof service->name_space, "%s", name_space);
        (void)snprintf(service->name, sizeof service->name, "%s", name);
    }
    *out = service;
    return WEFT_OK;
}

static enum weft_err apply_service(struct config_loader *loader, const char *value) {
    char name_space[WEFT_NAME_MAX + 1];
    char name[WEFT_NAME_MAX + 1];
    uint8_t protocol = 0;
    const char *endpoint = NULL;
    struct config_address address;
    struct config_service *service = NULL;
    if (!split_pair(value, name_space, name, &protocol, &endpoint) ||
        !config_parse_endpoint(endpoint, 0, &address)) {
        return WEFT_ERR_INVALID;
    }
    enum weft_err err = take_service(loader, name_space, name, protocol, &service);
    if (err != WEFT_OK) {
        return err;
    }
    if (service->endpoint_count >= CONFIG_ENDPOINTS_MAX) {
        return WEFT_ERR_FULL;
    }
    config_format_address(&address, service->endpoints[service->endpoint_count++]);
    return WEFT_OK;
}

enum weft_err config_apply_protocol(struct config_loader *loader, const char *service_name,
                                    const char *protocol) {
    char name_space[WEFT_NAME_MAX + 1];
    char name[WEFT_NAME_MAX + 1];
    uint8_t named = 0;
    struct config_service *service = NULL;
    if (config_parse_service_name(service_name, name_space, name, &named)) {
        service = find_service(loader->config, name_space, name, named);
    }
    bool is_udp = strcmp(protocol, "udp") == 0;
    if (service == NULL || (!is_udp && strcmp(protocol, "tcp") != 0)) {
        return config_fail(loader, "expected tcp or udp, not '%.100s'", protocol);
    }
    uint8_t meant = is_udp ? WIRE_PROTOCOL_UDP : WIRE_PROTOCOL_TCP;
    if (meant != named && find_service(loader->config, name_space, name, meant) != NULL) {
        return config_fail(loader, "%.150s is there already over %.100s", service_name, protocol);
    }
    service->protocol = meant;
    return WEFT_OK;
}

static struct config_forward *find_forward(struct config *config,
                                           const struct config_forward *forward) {
    for (size_t i = 0; i < config->forward_count; i++) {
        struct config_forward *other = &config->forwards[i];
        if (other->protocol == forward->protocol &&
            strcmp(other->name_space, forward->name_space) == 0 &&
            strcmp(other->name, forward->name) == 0) {
            return other;
        }
    }
    return NULL;
}

static enum weft_err apply_forward(struct config_loader *loader, const char *value) {
    struct config *config = loader->config;
    struct config_forward forward;
    const char *listen = NULL;
    if (!split_pair(value, forward.name_space, forward.name, &forward.protocol, &listen) ||
        !config_parse_listen(listen, "127.0.0.1", &forward.listen)) {
        return WEFT_ERR_INVALID;
    }
    enum weft_err err = WEFT_OK;
    struct config_forward *element = find_forward(config, &forward);
    if (element == NULL) {
        struct config_forward *list =
            grown(config->forwards, config->forward_count, sizeof *list, CONFIG_FORWARDS_MAX, &err);
        if (list == NULL) {
            return err;
        }
        config->forwards = list;
        element = &list[config->forward_count++];
    }
    *element = forward;
    return WEFT_OK;
}

static int compare_labels(const void *a, const void *b) {
    return strcmp(((const struct config_label *)a)->key, ((const struct config_label *)b)->key);
}

static enum weft_err apply_label(struct config_loader *loader, const char *value) {
    struct config *config = loader->config;
    const char *equals = strchr(value, '=');
    if (equals == NULL) {
        return WEFT_ERR_INVALID;
    }
    struct span text = span_of_text(equals + 1);
    if (!wire_name_is_valid(span_of(value, (size_t)(equals - value))) || text.len > WEFT_NAME_MAX ||
        !wire_text_is_printable(text)) {
        return WEFT_ERR_INVALID;
    }
    struct config_label label;
    (void)snprintf(label.key, sizeof label.key, "%.*s", (int)(equals - value), value);
    (void)snprintf(label.value, sizeof label.value, "%s", equals + 1);
    enum weft_err err = WEFT_OK;
    struct config_label *element =
        config->label_count == 0
            ? NULL
            : bsearch(&label, config->labels, config->label_count, sizeof label, compare_labels);
    if (element == NULL) {
        struct config_label *list =
            grown(config->labels, config->label_count, sizeof *list, CONFIG_LABELS_MAX, &err);
        if (list == NULL) {
            return err;
        }
        config->labels = list;
        element = &list[config->label_count++];
    }
    *element = label;
    qsort(config->labels, config->label_count, sizeof label, compare_labels);
    return WEFT_OK;
}

static enum weft_err apply_discovery(struct config_loader *loader, const char *value) {
    return config_parse_switch(value, &loader->config->may_discover) ? WEFT_OK : WEFT_ERR_INVALID;
}

static enum weft_err apply_share_ports(struct config_loader *loader, const char *value) {
    bool *is_on = &loader->config->are_ports_shared;
    return config_parse_switch(value, is_on) ? WEFT_OK : WEFT_ERR_INVALID;
}

static enum weft_err apply_degree(struct config_loader *loader, const char *value) {
    return set_number(&loader->config->degree, value, WIRE_LINKS_MAX);
}

static enum weft_err apply_heartbeat(struct config_loader *loader, const char *value) {
    weft_ns heartbeat = 0;
    if (!config_parse_duration(value, &heartbeat) || heartbeat < HEARTBEAT_MIN ||
        heartbeat > HEARTBEAT_MAX) {
        return WEFT_ERR_INVALID;
    }
    loader->config->heartbeat = heartbeat;
    return WEFT_OK;
}

static enum weft_err apply_http(struct config_loader *loader, const char *value) {
    bool is_off = strcmp(value, "off") == 0;
    if (!is_off && !config_parse_listen(value, "127.0.0.1", &loader->config->http)) {
        return WEFT_ERR_INVALID;
    }
    loader->config->has_http = !is_off;
    return WEFT_OK;
}

static enum weft_err apply_log_level(struct config_loader *loader, const char *value) {
    static const char *const names[] = {[TRACE_ERROR] = "error",
                                        [TRACE_WARN] = "warn",
                                        [TRACE_INFO] = "info",
                                        [TRACE_DEBUG] = "debug"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i]) == 0) {
            loader->config->log_level = (enum trace_level)i;
            return WEFT_OK;
        }
    }
    return WEFT_ERR_INVALID;
}

static enum weft_err apply_log_format(struct config_loader *loader, const char *value) {
    bool is_json = strcmp(value, "json") == 0;
    if (!is_json && strcmp(value, "text") != 0) {
        return WEFT_ERR_INVALID;
    }
    loader->config->log_format = is_json ? CONFIG_LOG_JSON : CONFIG_LOG_TEXT;
    return WEFT_OK;
}

static enum weft_err apply_sandbox(struct config_loader *loader, const char *value) {
    return config_parse_switch(value, &loader->config->is_sandboxed) ? WEFT_OK : WEFT_ERR_INVALID;
}

static enum weft_err apply_links_max(struct config_loader *loader, const char *value) {
    return set_number(&loader->config->links_max, value, WIRE_LINKS_MAX);
}

static enum weft_err apply_streams_max(struct config_loader *loader, const char *value) {
    return set_number(&loader->config->streams_max, value, 1000000);
}

static enum weft_err apply_peers_max(struct config_loader *loader, const char *value) {
    return set_number(&loader->config->peers_max, value, 1000000);
}

static enum weft_err apply_flows_max(struct config_loader *loader, const char *value) {
    uint64_t number = 0;
    if (!config_parse_number(value, FLOWS_MIN, FLOWS_MAX, &number)) {
        return WEFT_ERR_INVALID;
    }
    loader->config->flows_max = (uint32_t)number;
    return WEFT_OK;
}

static enum weft_err set_silence(weft_ns *field, const char *value) {
    weft_ns silence = 0;
    if (!config_parse_duration(value, &silence) || silence < SILENCE_MIN || silence > SILENCE_MAX) {
        return WEFT_ERR_INVALID;
    }
    *field = silence;
    return WEFT_OK;
}

static enum weft_err apply_flow_idle(struct config_loader *loader, const char *value) {
    return set_silence(&loader->config->flow_idle, value);
}

static enum weft_err apply_flow_unanswered(struct config_loader *loader, const char *value) {
    return set_silence(&loader->config->flow_unanswered, value);
}

static enum weft_err apply_buffers(struct config_loader *loader, const char *value) {
    uint64_t mib = 0;
    if (!config_parse_number(value, BUFFERS_MIB_MIN, BUFFERS_MIB_MAX, &mib)) {
        return WEFT_ERR_INVALID;
    }
    loader->config->buffers_mib = (uint32_t)mib;
    return WEFT_OK;
}

static const struct config_setting settings[] = {
    {"name", "name", "WEFT_NAME", CONFIG_SCALAR,
     "1 to 63 letters, digits, '-', '_' or '.', beginning with a letter, a digit or '_'",
     apply_name},
    {"listen", "listen", "WEFT_LISTEN", CONFIG_LIST,
     "[ADDR]:PORT such as [::]:9338 or 10.0.0.1:9338 (at most 8)", apply_listen},
    {"seeds", "seed", "WEFT_SEED", CONFIG_LIST,
     "[PEER@]HOST[:PORT] such as relay.example.org:9338 (at most 256)", apply_seed},
    {"secret_file", "secret-file", "WEFT_SECRET_FILE", CONFIG_SCALAR, "the path of a file",
     apply_secret_file},
    {"state", "state", "WEFT_STATE", CONFIG_SCALAR, "the path of a folder", apply_state},
    {"control", "control", "WEFT_CONTROL", CONFIG_SCALAR, "the path of a socket", apply_control},
    {"services", "service", "WEFT_SERVICE", CONFIG_TABLE,
     "NAME=HOST:PORT such as web=127.0.0.1:8080, or dns/udp=127.0.0.1:53 over UDP "
     "(at most 256, with 16 endpoints each)",
     apply_service},
    {"forwards", "forward", "WEFT_FORWARD", CONFIG_TABLE,
     "NAME=[ADDR:]PORT such as web=8080, or dns/udp=5353 over UDP (at most 256)", apply_forward},
    {"labels", NULL, "WEFT_LABELS", CONFIG_TABLE,
     "KEY=VALUE, the key a name, the value at most 63 printable characters (at most 16)",
     apply_label},
    {"discovery", "discovery", "WEFT_DISCOVERY", CONFIG_SCALAR, "on or off", apply_discovery},
    {"share_ports", "share-ports", "WEFT_SHARE_PORTS", CONFIG_SCALAR, "on or off",
     apply_share_ports},
    {"degree", "degree", "WEFT_DEGREE", CONFIG_SCALAR, "a number from 1 to 1024", apply_degree},
    {"heartbeat", "heartbeat", "WEFT_HEARTBEAT", CONFIG_SCALAR,
     "a duration from 50ms to 60s such as 1s, 200ms or fast", apply_heartbeat},
    {"http", "http", "WEFT_HTTP", CONFIG_SCALAR, "[ADDR:]PORT such as 127.0.0.1:9339, or off",
     apply_http},
    {"log.level", "log-level", "WEFT_LOG_LEVEL", CONFIG_SCALAR, "error, warn, info or debug",
     apply_log_level},
    {"log.format", "log-format", "WEFT_LOG_FORMAT", CONFIG_SCALAR, "text or json",
     apply_log_format},
    {"sandbox", "sandbox", "WEFT_SANDBOX", CONFIG_SCALAR, "on or off", apply_sandbox},
    {"limits.links", NULL, "WEFT_LIMITS_LINKS", CONFIG_SCALAR, "a number from 1 to 1024",
     apply_links_max},
    {"limits.streams", NULL, "WEFT_LIMITS_STREAMS", CONFIG_SCALAR, "a number from 1 to 1000000",
     apply_streams_max},
    {"limits.flows", NULL, "WEFT_LIMITS_FLOWS", CONFIG_SCALAR, "a number from 16 to 65536",
     apply_flows_max},
    {"udp.idle", NULL, "WEFT_UDP_IDLE", CONFIG_SCALAR, "a duration from 1s to 24h such as 120s",
     apply_flow_idle},
    {"udp.unanswered", NULL, "WEFT_UDP_UNANSWERED", CONFIG_SCALAR,
     "a duration from 1s to 24h such as 30s", apply_flow_unanswered},
    {"limits.peers", NULL, "WEFT_LIMITS_PEERS", CONFIG_SCALAR, "a number from 1 to 1000000",
     apply_peers_max},
    {"limits.buffers", NULL, "WEFT_LIMITS_BUFFERS", CONFIG_SCALAR,
     "a number of MiB from 8 to 65536", apply_buffers},
};

size_t config_setting_count(void) {
    return sizeof settings / sizeof settings[0];
}

const struct config_setting *config_setting_at(size_t index) {
    ASSERT(index < config_setting_count());
    return &settings[index];
}

const struct config_setting *config_setting_by_key(const char *key) {
    for (size_t i = 0; i < config_setting_count(); i++) {
        if (strcmp(settings[i].key, key) == 0) {
            return &settings[i];
        }
    }
    return NULL;
}

const struct config_setting *config_setting_by_flag(const char *flag) {
    for (size_t i = 0; i < config_setting_count(); i++) {
        if (settings[i].flag != NULL && strcmp(settings[i].flag, flag) == 0) {
            return &settings[i];
        }
    }
    return NULL;
}

enum weft_err config_apply(struct config_loader *loader, const struct config_setting *setting,
                           const char *value) {
    ASSERT(loader != NULL && setting != NULL && value != NULL);
    enum weft_err err = setting->apply(loader, value);
    if (err == WEFT_OK) {
        return WEFT_OK;
    }
    if (err == WEFT_ERR_MEMORY) {
        (void)config_fail(loader, "out of memory");
        return WEFT_ERR_MEMORY;
    }
    if (err == WEFT_ERR_FULL) {
        return config_fail(loader, "too many; expected %s", setting->expected);
    }
    return config_fail(loader, "expected %s, not '%.150s'", setting->expected, value);
}
