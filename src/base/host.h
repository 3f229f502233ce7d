/* SPDX-License-Identifier: Apache-2.0
 *
 * All that the core may ask of the world while it runs: random bytes, and somebody to tell what
 * happened. Everything else goes in as an input and comes out as an action.
 */
#ifndef BASE_HOST_H
#define BASE_HOST_H

#include "weft/types.h"

enum trace_level {
    TRACE_ERROR, /* an operator must act */
    TRACE_WARN,  /* degraded */
    TRACE_INFO,  /* a state changed */
    TRACE_DEBUG, /* everything else, never per packet */
};

struct trace_event {
    enum trace_level level;
    const char *name;   /* stable, such as "peer-up" */
    const char *detail; /* "key=value key=value"; borrowed for the call; never a secret */
};

struct host {
    void *ctx;
    void (*random)(void *ctx, uint8_t *out, size_t len);       /* keys, nonces, seeds */
    void (*trace)(void *ctx, const struct trace_event *event); /* may be NULL */
    /* Whether events of a level are of any use; may be NULL: then all are. No decision depends on
     * it, and it may change. */
    bool (*is_traced)(void *ctx, enum trace_level level);
};

void host_random(const struct host *host, void *out, size_t len);

/* For whoever would have to look up much for an event. */
bool host_is_traced(const struct host *host, enum trace_level level);

/* Formats the detail and hands the event to host->trace. Anything a peer can trigger must be rate
 * limited by the caller. Details are cut at 500 bytes. */
__attribute__((format(printf, 4, 5))) void trace(const struct host *host, enum trace_level level,
                                                 const char *name, const char *format, ...);

#endif
