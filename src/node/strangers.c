/* SPDX-License-Identifier: Apache-2.0
 *
 * Who came from outside and was not let in: the log names an address at its first fault and then
 * as their number doubles (guard_fault), the status names the last few.
 */
#include <string.h>

#include "node/internal.h"

/* Where the address stands in the list; its end, or the last place of a full one, if it is new. */
static size_t place_of(const struct node *node, struct span address) {
    size_t at = 0;
    while (at < node->stranger_count &&
           !span_equal(span_of(node->strangers[at].address, node->strangers[at].address_len),
                       address)) {
        at++;
    }
    return at < STRANGERS_MAX ? at : STRANGERS_MAX - 1;
}

bool node_stranger(struct node *node, struct span address, const char *remote, const char *why,
                   uint64_t *count) {
    ASSERT(address.len <= sizeof(node->strangers[0].address));
    bool is_due = guard_fault(node->guard, address, node_clock(), count);
    size_t at = place_of(node, address);
    node->stranger_count += at == node->stranger_count ? 1 : 0;
    memmove(node->strangers + 1, node->strangers, at * sizeof(node->strangers[0]));
    struct stranger *stranger = &node->strangers[0];
    *stranger = (struct stranger){.address_len = address.len, .count = *count, .at = node_clock()};
    memcpy(stranger->address, address.data, address.len);
    (void)snprintf(stranger->remote, sizeof(stranger->remote), "%s", remote);
    (void)snprintf(stranger->why, sizeof(stranger->why), "%s", why);
    return is_due;
}
