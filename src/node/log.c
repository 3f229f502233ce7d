/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines from events. Formatting is a pure function; one fwrite puts a line out.
 */
#include "node/log.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"

#define DETAIL_BYTES 1024
#define CLOSING_BYTES 4 /* room that a cut line keeps for "}\n" and a NUL */

struct log {
    FILE *stream;
    enum trace_level level;
    enum config_log_format format;
};

struct log *log_new(FILE *stream, enum trace_level level, enum config_log_format format) {
    ASSERT(stream != NULL);
    struct log *log = calloc(1, sizeof *log);
    if (log != NULL) {
        *log = (struct log){.stream = stream, .level = level, .format = format};
    }
    return log;
}

void log_free(struct log *log) {
    free(log);
}

void log_set(struct log *log, enum trace_level level, enum config_log_format format) {
    ASSERT(log != NULL);
    log->level = level;
    log->format = format;
}

const char *log_level_name(enum trace_level level) {
    switch (level) {
    case TRACE_ERROR:
        return "error";
    case TRACE_WARN:
        return "warn";
    case TRACE_INFO:
        return "info";
    case TRACE_DEBUG:
        break;
    }
    return "debug";
}

/* Splitting a detail. */

/* Copies one character of a quoted or bare value if there is room. */
static void keep(char *out, size_t size, size_t *len, char character) {
    if (*len + 1 < size) {
        out[(*len)++] = character;
    }
}

/* Reads the value that `text` stands at; returns what follows it. */
static const char *read_value(const char *text, char *out, size_t size) {
    size_t len = 0;
    bool is_quoted = *text == '"';
    const char end = is_quoted ? '"' : ' ';
    text += is_quoted ? 1 : 0;
    while (*text != '\0' && *text != end) {
        if (is_quoted && text[0] == '\\' && text[1] != '\0') {
            text++;
        }
        keep(out, size, &len, *text++);
    }
    out[len] = '\0';
    return is_quoted && *text == '"' ? text + 1 : text;
}

/* Keys are ours, but a value that a peer wrote may look like one. What is no letter, digit, '_',
 * '-' or '.' becomes '_', so that keys that differ also differ after escaping. */
static void copy_key(const char *text, size_t len, char key[LOG_KEY_BYTES]) {
    size_t kept = len < LOG_KEY_BYTES ? len : LOG_KEY_BYTES - 1;
    for (size_t i = 0; i < kept; i++) {
        unsigned lower = (unsigned char)text[i] | 0x20u;
        bool is_plain = (lower >= 'a' && lower <= 'z') || (text[i] >= '0' && text[i] <= '9') ||
                        text[i] == '-' || text[i] == '.';
        key[i] = '_';
        if (is_plain) {
            key[i] = text[i];
        }
    }
    key[kept] = '\0';
}

bool log_next_field(const char **detail, char key[LOG_KEY_BYTES], char value[LOG_VALUE_BYTES]) {
    ASSERT(detail != NULL);
    const char *text = *detail == NULL ? "" : *detail;
    text += strspn(text, " ");
    if (*text == '\0') {
        *detail = text;
        return false;
    }
    size_t len = strcspn(text, "= \"");
    bool has_key = text[len] == '=' && len > 0;
    copy_key(has_key ? text : "note", has_key ? len : 4, key);
    if (text[0] == '=') { /* a value without a key */
        has_key = true;
    }
    *detail = read_value(has_key ? text + len + 1 : text, value, LOG_VALUE_BYTES);
    return true;
}

/* Lines. */

struct line {
    char *out;
    size_t len;
    size_t size; /* what may be used: LOG_LINE_BYTES less the room for the closing */
    bool is_cut;
};

static void add(struct line *line, const char *bytes, size_t len) {
    if (line->is_cut || len > line->size - line->len) {
        line->is_cut = true;
        return;
    }
    memcpy(line->out + line->len, bytes, len);
    line->len += len;
}

static void add_text(struct line *line, const char *text) {
    add(line, text, strlen(text));
}

/* How many bytes of well-formed UTF-8 beyond ASCII begin here; 0 if they are not that. C1 controls
 * count as not: terminals obey them. */
static size_t utf8_len(const unsigned char *text) {
    size_t len = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool is_overlong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
    bool is_outside = (text[0] == 0xed && text[1] > 0x9f) || (text[0] == 0xf4 && text[1] > 0x8f);
    bool is_control = text[0] == 0xc2 && text[1] < 0xa0;
    return is_overlong || is_outside || is_control ? 0 : len;
}

/* One character, escaped if it is a control or not UTF-8; returns how many bytes it took. */
static size_t add_character(struct line *line, const char *text) {
    const unsigned char *bytes = (const unsigned char *)text;
    char escape[8];
    if (bytes[0] >= 0x20 && bytes[0] < 0x7f) {
        add(line, text, 1);
        return 1;
    }
    size_t len = bytes[0] < 0x80 ? 0 : utf8_len(bytes);
    if (len > 0) {
        add(line, text, len);
        return len;
    }
    (void)snprintf(escape, sizeof escape, "\\u%04x", bytes[0]);
    add_text(line, escape);
    return 1;
}

static void add_escaped(struct line *line, const char *text) {
    while (*text != '\0') {
        text += add_character(line, text);
    }
}

static void add_json(struct line *line, const char *text) {
    add_text(line, "\"");
    while (*text != '\0') {
        if (*text == '"' || *text == '\\') {
            add_text(line, "\\");
        }
        text += add_character(line, text);
    }
    add_text(line, "\"");
}

/* ,"key":"value" or nothing at all. */
static void add_json_field(struct line *line, const char *key, const char *value) {
    size_t before = line->len;
    add_text(line, line->len == 1 ? "" : ",");
    add_json(line, key);
    add_text(line, ":");
    add_json(line, value);
    if (line->is_cut) {
        line->len = before;
    }
}

/* A key that an event's detail may not take: those of the line itself, and those used before. */
static bool is_taken(const char *key, const char *detail, const char *upto) {
    static const char *const own[] = {"time", "level", "event"};
    char other[LOG_KEY_BYTES];
    char value[LOG_VALUE_BYTES];
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (strcmp(key, own[i]) == 0) {
            return true;
        }
    }
    while (detail < upto && log_next_field(&detail, other, value)) {
        if (detail < upto && strcmp(key, other) == 0) {
            return true;
        }
    }
    return false;
}

static void add_json_detail(struct line *line, const char *detail) {
    char key[LOG_KEY_BYTES];
    char value[LOG_VALUE_BYTES];
    const char *rest = detail;
    while (log_next_field(&rest, key, value)) {
        if (!is_taken(key, detail, rest)) {
            add_json_field(line, key, value);
        }
    }
}

static void format_time(uint64_t time_ms, char out[64]) {
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts = {.tm_mday = 1};
    char date[32];
    (void)gmtime_r(&seconds, &parts);
    (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(out, 64, "%s.%03uZ", date, (unsigned)(time_ms % 1000));
}

static void format_text(struct line *line, const char *stamp, const struct trace_event *event) {
    add_text(line, stamp);
    add_text(line, " ");
    add_text(line, log_level_name(event->level));
    add_text(line, " ");
    add_escaped(line, event->name);
    if (event->detail != NULL && event->detail[0] != '\0') {
        add_text(line, " ");
        add_escaped(line, event->detail);
    }
}

static void format_json(struct line *line, const char *stamp, const struct trace_event *event) {
    add_text(line, "{");
    add_json_field(line, "time", stamp);
    add_json_field(line, "level", log_level_name(event->level));
    add_json_field(line, "event", event->name);
    if (event->detail != NULL) {
        add_json_detail(line, event->detail);
    }
    line->is_cut = false; /* the closing has its room */
    line->size += CLOSING_BYTES - 2;
    add_text(line, "}");
}

size_t log_format_line(enum config_log_format format, uint64_t time_ms,
                       const struct trace_event *event, char out[LOG_LINE_BYTES]) {
    ASSERT(event != NULL && event->name != NULL);
    char stamp[64];
    struct line line = {.out = out, .size = LOG_LINE_BYTES - CLOSING_BYTES};
    format_time(time_ms, stamp);
    if (format == CONFIG_LOG_JSON) {
        format_json(&line, stamp, event);
    } else {
        format_text(&line, stamp, event);
    }
    out[line.len++] = '\n';
    out[line.len] = '\0';
    return line.len;
}

static uint64_t wall_clock_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void log_event(struct log *log, const struct trace_event *event) {
    ASSERT(log != NULL && event != NULL);
    char line[LOG_LINE_BYTES];
    if (event->level > log->level) {
        return;
    }
    size_t len = log_format_line(log->format, wall_clock_ms(), event, line);
    (void)fwrite(line, 1, len, log->stream); /* a log that cannot be written has nobody to tell */
    (void)fflush(log->stream);
}

void log_write(struct log *log, enum trace_level level, const char *name, const char *format, ...) {
    char detail[DETAIL_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    log_event(log, &(struct trace_event){.level = level, .name = name, .detail = detail});
}

/* The limit. */

void log_limit_init(struct log_limit *limit, uint32_t burst, weft_ns period) {
    ASSERT(limit != NULL && burst >= 1 && period >= 1);
    *limit = (struct log_limit){.burst = burst, .period = period};
}

/* The entry of a name, a fresh one, or the last, which those share that found no room. */
static struct log_limit_entry *entry_of(struct log_limit *limit, const char *name) {
    size_t i = 0;
    while (i + 1 < LOG_LIMIT_NAMES && limit->entries[i].name != NULL &&
           strcmp(limit->entries[i].name, name) != 0) {
        i++;
    }
    if (limit->entries[i].name == NULL) {
        limit->entries[i].name = name;
    }
    return &limit->entries[i];
}

bool log_limit_pass(struct log_limit *limit, const char *name, weft_ns now, uint64_t *hidden) {
    ASSERT(limit != NULL && name != NULL && hidden != NULL);
    struct log_limit_entry *entry = entry_of(limit, name);
    weft_ns start = entry->ready > now ? entry->ready : now;
    if (start - now > (limit->burst - 1) * limit->period) {
        entry->hidden++;
        return false;
    }
    entry->ready = time_after(start, limit->period);
    *hidden = entry->hidden;
    entry->hidden = 0;
    return true;
}
