/* SPDX-License-Identifier: Apache-2.0
 *
 * An allocator that fails when told to: malloc, calloc, realloc, strdup and strndup, as called by
 * code of this project, reach here first (linker option --wrap; link weft_failing_alloc). Calls
 * made inside shared libraries are not seen. Each thread counts for itself.
 *
 *   FAILING_ALLOC_EACH(nth) {
 *       struct thing *thing = thing_new();
 *       bool has_failed = failing_alloc_disarm();
 *       cr_assert_eq(thing == NULL, has_failed);
 *       thing_free(thing);
 *   }
 *
 * runs the block with the first allocation failing, then the second, and so on, and last once with
 * none failing, because the block asked for fewer.
 */
#ifndef SUPPORT_FAILING_ALLOC_H
#define SUPPORT_FAILING_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

/* Of the allocations of this thread from now on the nth (from 1) fails, once. */
void failing_alloc_arm(uint64_t nth);

/* Ends that; whether the failure happened since it was armed. Harmless to repeat. */
bool failing_alloc_disarm(void);

/* Arms `nth` and returns true, unless the run before it already came through without a failure.
 * Aborts at a million: a block that asks for that many is not ending. */
bool failing_alloc_step(uint64_t nth);

#define FAILING_ALLOC_EACH(nth) for (uint64_t nth = 1; failing_alloc_step(nth); nth++)

#endif
