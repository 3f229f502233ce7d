/* SPDX-License-Identifier: Apache-2.0
 *
 * Planted defects on the command line: of builds that have some, and of no other.
 */
#include <stdio.h>

#include "base/defect.h"
#include "sim/commands.h"

int sim_choose_defect(const struct flags *flags) {
    const char *name = flags_value(flags, "--defect");
    if (name != NULL && !defect_choose(name)) {
        return sim_fail(SIM_USAGE, "--defect: there is no defect \"%s\"; try list --defects", name);
    }
    return SIM_GOOD;
}

int sim_list_defects(void) {
    const struct defect *defects = NULL;
    size_t count = defect_list(&defects);
    for (size_t i = 0; i < count; i++) {
        (void)printf("%-22s %s\n", defects[i].name, defects[i].what);
    }
    return SIM_GOOD;
}
