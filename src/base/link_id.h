/* SPDX-License-Identifier: Apache-2.0
 *
 * Names one link of one node: drawn by the host, never reused while the node runs.
 */
#ifndef BASE_LINK_ID_H
#define BASE_LINK_ID_H

#include <stdbool.h>
#include <stdint.h>

struct link_id {
    uint64_t value; /* 0 is no link */
};

enum link_role {
    LINK_DIALLED,
    LINK_ACCEPTED,
};

static inline bool link_id_equal(struct link_id a, struct link_id b) {
    return a.value == b.value;
}

#endif
