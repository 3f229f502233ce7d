/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that runs out. malloc, calloc, realloc, strdup and strndup, as called by the project's own
 * code, come here first (linker option --wrap) and fail as often as was asked for. The one variable
 * of the simulator that lives as long as the process: malloc has no context to keep it in.
 */
#include <errno.h>
#include <string.h>

#include "sim/world_internal.h"

#define MILLION 1000000

static struct {
    uint32_t ppm;
    struct rng *rng;
    unsigned shield_depth; /* callbacks of the simulator's that run inside a core's call */
} refusal;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);

void memory_refuse(uint32_t ppm, struct rng *rng) {
    refusal.ppm = ppm;
    refusal.rng = rng;
}

void world_callback_enter(struct world *world) {
    (void)world;
    refusal.shield_depth++;
}

void world_callback_exit(struct world *world) {
    (void)world;
    ASSERT(refusal.shield_depth > 0);
    refusal.shield_depth--;
}

static bool is_refused(void) {
    if (refusal.ppm == 0 || refusal.shield_depth > 0 ||
        rng_below(refusal.rng, MILLION) >= refusal.ppm) {
        return false;
    }
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size) {
    return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return is_refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
    return is_refused() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text) {
    return is_refused() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t len) {
    return is_refused() ? NULL : __real_strndup(text, len);
}
