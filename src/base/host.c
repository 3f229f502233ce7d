/* SPDX-License-Identifier: Apache-2.0
 *
 * The two questions the core may put to its host.
 */
#include "base/host.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

/* Long enough for every event that exists, short enough to live on the stack. */
#define DETAIL_BYTES_MAX 500

void host_random(const struct host *host, void *out, size_t len) {
    ASSERT(host->random != NULL);
    host->random(host->ctx, out, len);
}

bool host_is_traced(const struct host *host, enum trace_level level) {
    return host->trace != NULL && (host->is_traced == NULL || host->is_traced(host->ctx, level));
}

void trace(const struct host *host, enum trace_level level, const char *name, const char *format,
           ...) {
    ASSERT(name != NULL && format != NULL);
    if (!host_is_traced(host, level)) {
        return;
    }
    char detail[DETAIL_BYTES_MAX + 1];
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): false when it is given several files */
    int len = vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    if (len < 0) {
        detail[0] = '\0'; /* a wide character that the locale does not have */
    }
    host->trace(host->ctx, &(struct trace_event){.level = level, .name = name, .detail = detail});
}
