/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory for the simulator itself: it protects nobody, so a refused allocation ends it at once with
 * a message, instead of being carried upwards through every call. Nodes under test are another
 * matter: their cores see refused memory as errors (sim/memory.c).
 */
#ifndef SIM_MUST_H
#define SIM_MUST_H

#include <stdio.h>
#include <stdlib.h>

#define MUST_EXIT_STATUS 70 /* EX_SOFTWARE of sysexits.h */

/* Returns its argument; ends the program if that is NULL. */
static inline void *must(void *pointer) {
    if (pointer == NULL) {
        (void)fputs("weft-sim: out of memory\n", stderr);
        exit(MUST_EXIT_STATUS);
    }
    return pointer;
}

#endif
