/* SPDX-License-Identifier: Apache-2.0
 *
 * A budget that neighbours share: a token bucket of which none takes more than it leaves to the
 * others. What one took is halved each second, so that one alone has nearly all of it, and who
 * takes little finds something however many names the peers behind another neighbour go by.
 *
 * The 64 neighbours that took most have accounts, as one member may send over all who pass it on.
 * Another one gets the account of who took least, with what stands in it (Metwally, Agrawal and El
 * Abbadi, Space-Saving, 2005): with fewer at a time that is nothing, and with more nobody gains by
 * coming over many links in turn. Those who take all they can together took between one and two
 * seconds' worth lately, so that a 64th of a second's is always left for one who did not.
 */
#ifndef STREAM_BUDGET_H
#define STREAM_BUDGET_H

#include "base/bucket.h"
#include "weft/types.h"

#define BUDGET_ACCOUNTS 64 /* 20 bytes each; to look through all is little beside a handshake */

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
