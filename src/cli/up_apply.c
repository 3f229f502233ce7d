/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/up.h"

#include <string.h>

#include "cli/clock.h"

/* The inviter becomes a seed, kept over restarts, and must answer with its own key. */
static int join(struct up *up) {
    json_t *answer = NULL;
    int status =
        cli_ask(up->cli, "POST", "/v1/join", json_pack("{s:s}", "token", up->token), &answer);
    json_decref(answer);
    return status;
}

static bool has_own_endpoint(const json_t *endpoints, const char *address) {
    size_t index;
    json_t *endpoint;
    json_array_foreach(endpoints, index, endpoint) {
        if (field_is(endpoint, "self") && strcmp(field_text(endpoint, "address"), address) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether this node offers that already: then asking again is no mistake. */
static bool is_exported(const json_t *services, const struct forward *service,
                        const char *address) {
    size_t index;
    json_t *row;
    json_array_foreach(services, index, row) {
        if (forward_is_of(service, row, "name") &&
            has_own_endpoint(json_object_get(row, "endpoints"), address)) {
            return true;
        }
    }
    return false;
}

static int export_one(struct up *up, const char *text) {
    struct forward service = {0};
    json_t *services = NULL;
    json_t *answer = NULL;
    size_t len = strcspn(text, "=");
    const char *address = text + len + 1;
    if (len >= sizeof(service.name)) {
        return cli_fail(CLI_USAGE, "--export: the name is too long");
    }
    memcpy(service.name, text, len);
    int status = cli_get(up->cli, "/v1/services", &services);
    if (status == CLI_GOOD && !is_exported(services, &service, address)) {
        status =
            cli_ask(up->cli, "POST", "/v1/services",
                    json_pack("{s:s,s:s}", "name", service.name, "endpoint", address), &answer);
        json_decref(answer);
    }
    json_decref(services);
    return status;
}

/* A daemon that we started got its exports as flags. */
static int apply_exports(struct up *up) {
    int status = CLI_GOOD;
    for (size_t i = 0; i < up->export_count && !up->is_started && status == CLI_GOOD; i++) {
        status = export_one(up, up->exports[i]);
    }
    return status;
}

static const json_t *find_row(const json_t *rows, const struct forward *wanted, const char *key) {
    size_t index;
    json_t *row;
    json_array_foreach(rows, index, row) {
        if (forward_is_of(wanted, row, key)) {
            return row;
        }
    }
    return NULL;
}

/* Whether what listens already is what is wanted. */
static bool serves(const struct up *up, const struct forward *wanted, const json_t *row) {
    return row != NULL && (up->is_started || wanted->is_any_port ||
                           strcmp(field_text(row, "address"), wanted->listen) == 0);
}

static void set_address(struct up_forward *forward, const char *address) {
    (void)snprintf(forward->address, sizeof(forward->address), "%s", address);
}

static int forward_one(struct up *up, const json_t *rows, struct up_forward *forward) {
    const json_t *row = find_row(rows, &forward->wanted, "service");
    json_t *answer = NULL;
    if (serves(up, &forward->wanted, row) && field_text(row, "error")[0] == '\0') {
        set_address(forward, field_text(row, "address"));
        return CLI_GOOD;
    }
    int status = forward_ask(up->cli, &forward->wanted, &answer);
    if (status == CLI_GOOD) {
        set_address(forward, field_text(answer, "address"));
    }
    json_decref(answer);
    return status;
}

static int apply_forwards(struct up *up) {
    json_t *rows = NULL;
    int status = up->forward_count > 0 ? cli_get(up->cli, "/v1/forwards", &rows) : CLI_GOOD;
    for (size_t i = 0; i < up->forward_count && status == CLI_GOOD; i++) {
        status = forward_one(up, rows, &up->forwards[i]);
    }
    json_decref(rows);
    return status;
}

static bool has_link(struct up *up) {
    json_t *status = NULL;
    bool is_there = cli_peek(up->cli, "/v1/status", &status) &&
                    field_number(json_object_get(status, "links"), "established") > 0;
    json_decref(status);
    return is_there;
}

/* What is known was perhaps offered before we were gone, by a node that is not in reach. */
static bool has_fresh_endpoint(const json_t *row) {
    size_t index;
    json_t *endpoint;
    json_array_foreach(json_object_get(row, "endpoints"), index, endpoint) {
        if (strcmp(field_text(endpoint, "state"), "fresh") == 0) {
            return true;
        }
    }
    return false;
}

/* The first service that no node in reach offers, or NULL; whether any node did ever. */
static const struct forward *find_missing(struct up *up, bool *is_known) {
    json_t *services = NULL;
    const struct forward *missing = NULL;
    bool has_answer = cli_peek(up->cli, "/v1/services", &services);
    for (size_t i = 0; i < up->forward_count && missing == NULL; i++) {
        const struct forward *wanted = &up->forwards[i].wanted;
        const json_t *row = has_answer ? find_row(services, wanted, "name") : NULL;
        missing = has_fresh_endpoint(row) ? NULL : wanted;
        *is_known = row != NULL;
    }
    json_decref(services);
    return missing;
}

/* What keeps a link from coming up, from the daemon's own table. */
static int say_no_link(struct up *up) {
    json_t *links = NULL;
    size_t index;
    json_t *link;
    (void)cli_fail(CLI_TIMEOUT, "no link with the mesh within %d s; the daemon goes on trying",
                   UP_MS_MAX / 1000);
    if (cli_peek(up->cli, "/v1/links", &links)) {
        json_array_foreach(links, index, link) {
            const char *error = field_text(link, "error");
            cli_say("  %s: %s", field_text(link, "address"),
                    error[0] != '\0' ? error : field_text(link, "state"));
        }
    }
    json_decref(links);
    return CLI_TIMEOUT;
}

/* Whether the daemon is still there to be waited for. */
static bool is_alive(struct up *up) {
    return !up->is_started || !daemon_has_ended(&up->daemon);
}

static int wait_link(struct up *up) {
    struct waiting waiting = waiting_until(up->deadline_ms);
    while (!has_link(up)) {
        if (!is_alive(up)) {
            return daemon_failed(&up->daemon);
        }
        if (!waiting_step(&waiting)) {
            return say_no_link(up);
        }
    }
    return CLI_GOOD;
}

static int say_missing(const struct forward *missing, bool is_known) {
    return cli_fail(CLI_TIMEOUT, "%s %s; the forward stays, and works as soon as one %s",
                    is_known ? "no node in reach offers" : "no node is known to offer",
                    missing->name, is_known ? "is" : "does");
}

static int wait_services(struct up *up) {
    struct waiting waiting = waiting_until(up->deadline_ms);
    bool is_known = false;
    const struct forward *missing = find_missing(up, &is_known);
    while (missing != NULL) {
        if (!is_alive(up)) {
            return daemon_failed(&up->daemon);
        }
        if (!waiting_step(&waiting)) {
            return say_missing(missing, is_known);
        }
        missing = find_missing(up, &is_known);
    }
    return CLI_GOOD;
}

int up_apply(struct up *up) {
    int status = up->token != NULL ? join(up) : CLI_GOOD;
    status = status == CLI_GOOD ? apply_exports(up) : status;
    status = status == CLI_GOOD ? apply_forwards(up) : status;
    status = status == CLI_GOOD && up->token != NULL ? wait_link(up) : status;
    status = status == CLI_GOOD && up->forward_count > 0 ? wait_services(up) : status;
    return status;
}
