/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a process that broke its own rules: say which rule and where, then leave a core.
 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *claim, const char *file, int line) {
    (void)fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, claim);
    abort();
}
