/* SPDX-License-Identifier: Apache-2.0
 *
 * How many bytes the program has allocated, for tests of what is left behind.
 */
#ifndef TEST_STREAM_HEAP_H
#define TEST_STREAM_HEAP_H

#include <malloc.h>

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static inline size_t heap_bytes(void) {
    if (__sanitizer_get_current_allocated_bytes != NULL) {
        return __sanitizer_get_current_allocated_bytes();
    }
    return mallinfo2().uordblks;
}

#endif
