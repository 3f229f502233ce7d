/* SPDX-License-Identifier: Apache-2.0
 *
 * The client of the control socket: libcurl over a Unix socket. The handle is kept, and with it the
 * connection, so that a command that polls pays for one connect.
 */
#include "weft/control.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/check.h"

#define URL_BYTES 4096       /* the longest path: a service's name and endpoint, escaped */
#define CONNECT_MS_MAX 5000L /* a Unix socket connects at once, or its backlog is full */

struct weft_control {
    CURL *curl;
    struct curl_slist *json_headers;
    char *socket_path;
    char error[CURL_ERROR_SIZE];
};

/* Bytes of one answer, or of the line that has not ended yet. */
struct sink {
    char *bytes;
    size_t len;
    size_t size;
    size_t len_max;
    enum weft_err err;
    CURL *curl; /* NULL: collect everything; else cut into lines */
    bool is_stopped;
    bool (*on_line)(void *ctx, const char *line);
    void *ctx;
};

static enum weft_err sink_reserve(struct sink *sink, size_t more) {
    if (more > sink->len_max - sink->len) {
        return WEFT_ERR_FULL;
    }
    size_t needed = sink->len + more + 1;
    if (needed <= sink->size) {
        return WEFT_OK;
    }
    size_t size = sink->size < 2048 ? 4096 : sink->size * 2;
    size = size < needed ? needed : size;
    char *bytes = realloc(sink->bytes, size);
    if (bytes == NULL) {
        return WEFT_ERR_MEMORY;
    }
    sink->bytes = bytes;
    sink->size = size;
    return WEFT_OK;
}

static size_t collect(char *bytes, size_t unit, size_t count, void *ctx) {
    struct sink *sink = ctx;
    size_t len = unit * count;
    sink->err = sink_reserve(sink, len);
    if (sink->err != WEFT_OK) {
        return 0;
    }
    memcpy(sink->bytes + sink->len, bytes, len);
    sink->len += len;
    sink->bytes[sink->len] = '\0';
    return len;
}

/* Hands over what ended, keeps the rest; false when the receiver has enough. */
static bool cut_lines(struct sink *sink) {
    char *start = sink->bytes;
    char *end = memchr(start, '\n', sink->len);
    while (end != NULL && !sink->is_stopped) {
        *end = '\0';
        sink->is_stopped = start < end && !sink->on_line(sink->ctx, start);
        start = end + 1;
        end = memchr(start, '\n', sink->len - (size_t)(start - sink->bytes));
    }
    sink->len -= (size_t)(start - sink->bytes);
    memmove(sink->bytes, start, sink->len);
    return !sink->is_stopped;
}

static size_t collect_lines(char *bytes, size_t unit, size_t count, void *ctx) {
    struct sink *sink = ctx;
    long status = 0;
    (void)curl_easy_getinfo(sink->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        sink->err = WEFT_ERR_REFUSED;
        return 0;
    }
    size_t len = collect(bytes, unit, count, ctx);
    return len == unit * count && cut_lines(sink) ? len : 0;
}

enum weft_err weft_control_new(const char *socket_path, struct weft_control **out) {
    ASSERT(socket_path != NULL && out != NULL);
    if (strlen(socket_path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
        return WEFT_ERR_INVALID;
    }
    struct weft_control *control = calloc(1, sizeof(*control));
    if (control == NULL) {
        return WEFT_ERR_MEMORY;
    }
    control->curl = curl_easy_init();
    control->socket_path = strdup(socket_path);
    control->json_headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (control->curl == NULL || control->socket_path == NULL || control->json_headers == NULL) {
        weft_control_free(control);
        return WEFT_ERR_MEMORY;
    }
    *out = control;
    return WEFT_OK;
}

void weft_control_free(struct weft_control *control) {
    if (control == NULL) {
        return;
    }
    curl_easy_cleanup(control->curl);
    curl_slist_free_all(control->json_headers);
    free(control->socket_path);
    free(control);
}

const char *weft_control_error(const struct weft_control *control) {
    return control->error;
}

static enum weft_err error_of(CURLcode code) {
    if (code == CURLE_OK) {
        return WEFT_OK;
    }
    if (code == CURLE_COULDNT_CONNECT) {
        return WEFT_ERR_UNREACHABLE;
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return WEFT_ERR_TIMEOUT;
    }
    return code == CURLE_OUT_OF_MEMORY ? WEFT_ERR_MEMORY : WEFT_ERR_IO;
}

static bool set_body(struct weft_control *control, const char *method, const char *body) {
    CURL *curl = control->curl;
    CURLcode code = curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    bool is_post = strcmp(method, "POST") == 0;
    if (code == CURLE_OK && (is_post || body != NULL)) {
        body = body != NULL ? body : "{}";
        code = curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        code = code == CURLE_OK ? curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body) : code;
        code = code == CURLE_OK ? curl_easy_setopt(curl, CURLOPT_HTTPHEADER, control->json_headers)
                                : code;
    }
    return code == CURLE_OK;
}

/* What every request has in common. No proxy and no redirect: the socket is the whole world. */
static bool set_target(struct weft_control *control, const char *path, long timeout_ms) {
    CURL *curl = control->curl;
    char url[URL_BYTES];
    int len = snprintf(url, sizeof(url), "http://weft%s", path);
    curl_easy_reset(curl);
    control->error[0] = '\0';
    return len > 0 && (size_t)len < sizeof(url) &&
           curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, control->socket_path) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, control->error) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS_MAX) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms) == CURLE_OK;
}

static bool set_sink(struct weft_control *control, struct sink *sink) {
    curl_write_callback write = sink->curl != NULL ? collect_lines : collect;
    return curl_easy_setopt(control->curl, CURLOPT_WRITEFUNCTION, write) == CURLE_OK &&
           curl_easy_setopt(control->curl, CURLOPT_WRITEDATA, sink) == CURLE_OK;
}

static enum weft_err ask(struct weft_control *control, struct sink *sink, int *http_status) {
    long status = 0;
    CURLcode code = curl_easy_perform(control->curl);
    (void)curl_easy_getinfo(control->curl, CURLINFO_RESPONSE_CODE, &status);
    *http_status = (int)status;
    if (sink->err != WEFT_OK) {
        return sink->err;
    }
    long why = 0;
    (void)curl_easy_getinfo(control->curl, CURLINFO_OS_ERRNO, &why);
    if (code == CURLE_COULDNT_CONNECT && why != 0) {
        (void)snprintf(control->error, sizeof(control->error), "%s", strerror((int)why));
    } else if (code != CURLE_OK && control->error[0] == '\0') {
        (void)snprintf(control->error, sizeof(control->error), "%s", curl_easy_strerror(code));
    }
    return sink->is_stopped ? WEFT_OK : error_of(code);
}

enum weft_err weft_control_ask(struct weft_control *control, const char *method, const char *path,
                               const char *body, long timeout_ms, struct weft_control_answer *out) {
    ASSERT(control != NULL && method != NULL && path != NULL && path[0] == '/' && out != NULL);
    struct sink sink = {.len_max = WEFT_CONTROL_ANSWER_BYTES_MAX};
    int http_status = 0;
    enum weft_err err = sink_reserve(&sink, 1);
    if (err != WEFT_OK) {
        return err;
    }
    sink.bytes[0] = '\0';
    if (!set_target(control, path, timeout_ms) || !set_body(control, method, body) ||
        !set_sink(control, &sink)) {
        free(sink.bytes);
        return WEFT_ERR_MEMORY;
    }
    err = ask(control, &sink, &http_status);
    if (err != WEFT_OK) {
        free(sink.bytes);
        return err;
    }
    *out = (struct weft_control_answer){http_status, sink.len, sink.bytes};
    return WEFT_OK;
}

void weft_control_answer_fini(struct weft_control_answer *answer) {
    free(answer->body);
    *answer = (struct weft_control_answer){0};
}

enum weft_err weft_control_follow(struct weft_control *control, const char *path,
                                  bool (*on_line)(void *ctx, const char *line), void *ctx) {
    ASSERT(control != NULL && path != NULL && path[0] == '/' && on_line != NULL);
    struct sink sink = {
        .len_max = WEFT_CONTROL_LINE_BYTES_MAX,
        .curl = control->curl,
        .on_line = on_line,
        .ctx = ctx,
    };
    int http_status = 0;
    if (!set_target(control, path, 0) || !set_sink(control, &sink)) {
        return WEFT_ERR_MEMORY;
    }
    enum weft_err err = ask(control, &sink, &http_status);
    free(sink.bytes);
    if (err == WEFT_OK && http_status != 200) {
        return WEFT_ERR_REFUSED;
    }
    return err == WEFT_ERR_FULL ? WEFT_ERR_MALFORMED : err;
}

char *weft_control_escape(const char *text) {
    char *escaped = curl_easy_escape(NULL, text, (int)strlen(text));
    char *copy = escaped != NULL ? strdup(escaped) : NULL;
    curl_free(escaped);
    return copy;
}
