/* SPDX-License-Identifier: Apache-2.0
 *
 * A budget that neighbours share: a token bucket of which none takes more than it leaves to the
 * others. What one took is halved each second, so that one alone has nearly all of it, and who
 * takes little finds something however many names the peers behind another neighbour go by.
 *
 * The 16 neighbours that took most have accounts. Another one gets the account of who took least,
 * with what stands in it (Metwally, Agrawal and El Abbadi, Space-Saving, 2005): with fewer at a
 * time that is nothing, and with more nobody gains by coming over many links in turn.
 */
#ifndef STREAM_BUDGET_H
#define STREAM_BUDGET_H

#include "base/bucket.h"
#include "weft/types.h"

#define BUDGET_ACCOUNTS 16

struct budget_account {
    struct weft_peer_id neighbour;
    uint32_t taken;
};

struct budget {
    struct bucket bucket;
    weft_ns halved_at;
    struct budget_account accounts[BUDGET_ACCOUNTS];
};

/* Takes one token for what came over a neighbour. rate >= 1, burst >= 1. */
bool budget_take(struct budget *budget, const struct weft_peer_id *neighbour, uint64_t rate,
                 uint64_t burst, weft_ns now);

#endif
