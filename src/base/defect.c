/* SPDX-License-Identifier: Apache-2.0 */
#include "base/defect.h"

#include <string.h>

/* An empty file would not be C; without the option there is only the header's inline answer. */
#ifdef WEFT_DEFECTS

enum defect_id defect_chosen = DEFECT_NONE;

/* The first row is what a search of a binary looks for. */
static const struct defect rows[DEFECT_COUNT] = {{"none", "weft planted defects are compiled in"},
#define DEFECT_ROW(id, name, what) {name, what},
                                                 DEFECT_LIST(DEFECT_ROW)
#undef DEFECT_ROW
};

bool defect_choose(const char *name) {
    for (size_t i = 0; i < DEFECT_COUNT; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            defect_chosen = (enum defect_id)i;
            return true;
        }
    }
    return false;
}

size_t defect_list(const struct defect **out) {
    *out = rows + 1;
    return DEFECT_COUNT - 1;
}

#endif
