/* SPDX-License-Identifier: Apache-2.0
 *
 * The event stream: one JSON object a line, what is kept first, then, with follow, what happens. A
 * client that does not read is dropped at a bound; the others and the daemon do not notice.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "node/api.h"

#define FOLLOWER_BYTES_MAX ((size_t)256 * 1024) /* waiting for one client */
#define LOOK_S 5                                /* between looks at whether followers are there */

static json_t *time_text(uint64_t time_ms) {
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts = {0};
    char day[32];
    char text[48];
    (void)gmtime_r(&seconds, &parts);
    (void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(text, sizeof(text), "%s.%03uZ", day, (unsigned)(time_ms % 1000));
    return json_string(text);
}

/* "key=value key=\"a value\"" as an object. */
static json_t *detail_of(const char *detail) {
    char key[LOG_KEY_BYTES];
    char value[LOG_VALUE_BYTES];
    json_t *object = json_object();
    while (log_next_field(&detail, key, value)) {
        (void)json_object_set_new(object, key, json_string(value));
    }
    return object;
}

static void add_line(struct evbuffer *out, const struct node_event *event) {
    json_t *line = json_pack("{s:I,s:o,s:s,s:s,s:o}", "seq", (json_int_t)event->seq, "time",
                             time_text(event->time_ms), "level", log_level_name(event->level),
                             "event", event->name, "detail", detail_of(event->detail));
    char *text = line != NULL ? json_dumps(line, JSON_COMPACT) : NULL;
    if (text != NULL) {
        (void)evbuffer_add_printf(out, "%s\n", text);
    }
    free(text);
    json_decref(line);
}

static struct bufferevent *connection_of(const struct follower *follower) {
    struct evhttp_connection *connection = evhttp_request_get_connection(follower->http);
    return connection != NULL ? evhttp_connection_get_bufferevent(connection) : NULL;
}

/* Whether the client hung up. evhttp does not look while it writes an answer. */
static bool has_hung_up(const struct follower *follower) {
    struct bufferevent *connection = connection_of(follower);
    char byte = 0;
    return connection == NULL ||
           recv(bufferevent_getfd(connection), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static bool is_slow(const struct follower *follower) {
    struct bufferevent *connection = connection_of(follower);
    return connection == NULL ||
           evbuffer_get_length(bufferevent_get_output(connection)) > FOLLOWER_BYTES_MAX;
}

/* Takes the gone ones off the list, then ends their answers: what evhttp does then may come back.
 */
static void reap(struct control *control) {
    struct follower **at = &control->followers;
    while (*at != NULL) {
        struct follower *follower = *at;
        if (!follower->is_gone) {
            at = &follower->next;
            continue;
        }
        *at = follower->next;
        control->follower_count--;
        struct evhttp_connection *connection = evhttp_request_get_connection(follower->http);
        if (connection != NULL) {
            evhttp_connection_free(connection); /* frees the request too */
        } else {
            evhttp_send_reply_end(follower->http);
        }
        free(follower);
    }
    if (control->followers == NULL && control->look != NULL) {
        (void)event_del(control->look);
    }
}

static void on_look(evutil_socket_t fd, short what, void *arg) {
    struct control *control = arg;
    (void)fd;
    (void)what;
    for (struct follower *follower = control->followers; follower != NULL;
         follower = follower->next) {
        follower->is_gone = follower->is_gone || has_hung_up(follower) || is_slow(follower);
    }
    reap(control);
}

void api_followers_tell(struct control *control, const struct node_event *event) {
    struct evbuffer *line = control->followers != NULL ? evbuffer_new() : NULL;
    for (struct follower *follower = control->followers; follower != NULL && line != NULL;
         follower = follower->next) {
        if (follower->is_gone || is_slow(follower)) {
            follower->is_gone = true; /* freed at the next look, never within somebody's event */
            continue;
        }
        add_line(line, event);
        evhttp_send_reply_chunk(follower->http, line);
        (void)evbuffer_drain(line, evbuffer_get_length(line));
    }
    if (line != NULL) {
        evbuffer_free(line);
    }
}

/* Arms the look for the first follower. */
static bool start_looking(struct control *control) {
    const struct timeval period = {.tv_sec = LOOK_S};
    if (control->look == NULL) {
        control->look = event_new(control->node->base, -1, EV_PERSIST, on_look, control);
    }
    return control->look != NULL && event_add(control->look, &period) == 0;
}

static void follow(const struct api_request *request, struct evbuffer *kept) {
    struct control *control = request->control;
    struct follower *follower = calloc(1, sizeof(*follower));
    if (follower == NULL || control->follower_count >= FOLLOWERS_MAX || !start_looking(control)) {
        free(follower);
        api_error(request, HTTP_SERVUNAVAIL, "full", "too many clients follow the events");
        return;
    }
    follower->http = request->http;
    follower->next = control->followers;
    control->followers = follower;
    control->follower_count++;
    evhttp_send_reply_start(request->http, HTTP_OK, NULL);
    if (evbuffer_get_length(kept) > 0) {
        evhttp_send_reply_chunk(request->http, kept);
    }
}

static uint64_t number_of(const struct evkeyvalq *query, const char *key) {
    const char *text = evhttp_find_header(query, key);
    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

void api_get_events(const struct api_request *request) {
    struct evkeyvalq query = {0};
    (void)evhttp_parse_query_str(request->query != NULL ? request->query : "", &query);
    uint64_t since = number_of(&query, "since");
    bool wants_more = number_of(&query, "follow") != 0;
    evhttp_clear_headers(&query);
    struct evbuffer *kept = evbuffer_new();
    if (kept == NULL) {
        api_error(request, HTTP_SERVUNAVAIL, "memory", "out of memory");
        return;
    }
    const struct node_event *event = node_event_at(request->node, 0);
    for (size_t i = 0; event != NULL; event = node_event_at(request->node, ++i)) {
        if (event->seq > since) {
            add_line(kept, event);
        }
    }
    (void)evhttp_add_header(evhttp_request_get_output_headers(request->http), "Content-Type",
                            "application/x-ndjson");
    if (wants_more) {
        follow(request, kept);
    } else {
        evhttp_send_reply(request->http, HTTP_OK, NULL, kept);
    }
    evbuffer_free(kept);
}

void api_followers_free(struct control *control) {
    for (struct follower *follower = control->followers; follower != NULL;
         follower = follower->next) {
        follower->is_gone = true;
    }
    reap(control);
    if (control->look != NULL) {
        event_free(control->look);
    }
}
