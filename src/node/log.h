/* SPDX-License-Identifier: Apache-2.0
 *
 * The log: one line an event, to stderr or any stream.
 *
 *   text   2026-11-20T21:00:00.123Z info peer-up peer=abcd link=3
 *   json
 * {"time":"2026-11-20T21:00:00.123Z","level":"info","event":"peer-up","peer":"abcd","link":"3"}
 *
 * A detail is "key=value key=value"; a value with spaces stands in double quotes, with \" and \\
 * inside. Control characters and bytes that are not UTF-8 are escaped, so that no peer can write a
 * line, a colour or a terminal command of its own. Nothing here looks for secrets: events never
 * hold any.
 *
 * Each line is one write, so threads may log at the same time.
 */
#ifndef NODE_LOG_H
#define NODE_LOG_H

#include <stdio.h>

#include "base/host.h"
#include "base/time.h"
#include "node/config.h"

#define LOG_LINE_BYTES 4096 /* longer lines are cut; details end at 500 bytes before that */

struct log;

/* Borrows the stream. NULL when out of memory. */
struct log *log_new(FILE *stream, enum trace_level level, enum config_log_format format);
/* Takes NULL; leaves the stream open. */
void log_free(struct log *log);

/* After a reload. Not to be called while another thread logs. */
void log_set(struct log *log, enum trace_level level, enum config_log_format format);

/* Writes the event, stamped with the wall clock now, unless it is below the level. */
void log_event(struct log *log, const struct trace_event *event);

/* The same, formatting the detail. */
__attribute__((format(printf, 4, 5))) void log_write(struct log *log, enum trace_level level,
                                                     const char *name, const char *format, ...);

#define log_error(log, name, ...) log_write(log, TRACE_ERROR, name, __VA_ARGS__)
#define log_warn(log, name, ...) log_write(log, TRACE_WARN, name, __VA_ARGS__)
#define log_info(log, name, ...) log_write(log, TRACE_INFO, name, __VA_ARGS__)
#define log_debug(log, name, ...) log_write(log, TRACE_DEBUG, name, __VA_ARGS__)

/* "error", "warn", "info", "debug". */
const char *log_level_name(enum trace_level level);

/* Formats one line with its line feed into `out` and returns its length; what does not fit is cut,
 * in JSON at the end of a field. `time_ms` is wall clock, since 1970. Pure. */
size_t log_format_line(enum config_log_format format, uint64_t time_ms,
                       const struct trace_event *event, char out[LOG_LINE_BYTES]);

/* Walks "key=value" pairs: takes the next off `detail`, unquoted into the two buffers (cut to fit);
 * false at the end. A word without '=' is the value of the key "note"; odd characters of a key
 * become '_'. */
#define LOG_KEY_BYTES 64
#define LOG_VALUE_BYTES 512
bool log_next_field(const char **detail, char key[LOG_KEY_BYTES], char value[LOG_VALUE_BYTES]);

/* Limits the events that a peer can trigger: of each name `burst` at once, then one a `period`. */
#define LOG_LIMIT_NAMES 64 /* names that are told apart; further ones share the last place */
struct log_limit_entry {
    const char *name; /* a literal */
    weft_ns ready;
    uint64_t hidden;
};
struct log_limit {
    struct log_limit_entry entries[LOG_LIMIT_NAMES];
    uint32_t burst;
    weft_ns period;
};

/* burst >= 1, period >= 1. */
void log_limit_init(struct log_limit *limit, uint32_t burst, weft_ns period);

/* Whether this event may be logged now; then *hidden is how many of its name were not since the
 * last that was, to be shown as "hidden=N". `name` must outlive the limit: events' names are
 * literals. */
bool log_limit_pass(struct log_limit *limit, const char *name, weft_ns now, uint64_t *hidden);

#endif
