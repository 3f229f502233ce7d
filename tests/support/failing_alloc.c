/* SPDX-License-Identifier: Apache-2.0
 *
 * The linker sends each wrapped call to __wrap_NAME and keeps the original as __real_NAME.
 */
#include "support/failing_alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* More allocations than any one tested call makes. */
#define STEPS_MAX 1000000

/* The state is a thread's own, so that a store's writer thread does not eat a test's failure. */
static _Thread_local uint64_t calls_left; /* 0: not armed, or spent */
static _Thread_local bool has_failed;

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

/* Counts one call; true if it is the one to fail. */
static bool must_fail(void) {
    if (calls_left == 0) {
        return false;
    }
    calls_left--;
    if (calls_left > 0) {
        return false;
    }
    has_failed = true;
    errno = ENOMEM;
    return true;
}

void failing_alloc_arm(uint64_t nth) {
    calls_left = nth;
    has_failed = false;
}

bool failing_alloc_disarm(void) {
    calls_left = 0;
    return has_failed;
}

bool failing_alloc_step(uint64_t nth) {
    bool was_last = nth > 1 && !failing_alloc_disarm();
    if (was_last) {
        return false;
    }
    if (nth > STEPS_MAX) {
        abort();
    }
    failing_alloc_arm(nth);
    return true;
}

void *__wrap_malloc(size_t size) {
    return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return must_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
    return must_fail() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text) {
    return must_fail() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t len) {
    return must_fail() ? NULL : __real_strndup(text, len);
}
