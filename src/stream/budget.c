/* SPDX-License-Identifier: Apache-2.0
 *
 * The budget that neighbours share.
 */
#include "stream/budget.h"

static void halve(struct budget *budget, weft_ns now) {
    weft_ns passed = time_since(budget->halved_at, now) / NS_PER_S;
    if (passed == 0) {
        return;
    }
    for (unsigned i = 0; i < BUDGET_ACCOUNTS; i++) {
        struct budget_account *account = &budget->accounts[i];
        account->taken = passed >= 32 ? 0 : account->taken >> passed;
    }
    budget->halved_at += passed * NS_PER_S;
}

static struct budget_account *account_of(struct budget *budget,
                                         const struct weft_peer_id *neighbour) {
    struct budget_account *least = &budget->accounts[0];
    for (unsigned i = 0; i < BUDGET_ACCOUNTS; i++) {
        struct budget_account *account = &budget->accounts[i];
        if (weft_peer_id_equal(&account->neighbour, neighbour)) {
            return account;
        }
        least = account->taken < least->taken ? account : least;
    }
    least->neighbour = *neighbour;
    return least;
}

bool budget_take(struct budget *budget, const struct weft_peer_id *neighbour, uint64_t rate,
                 uint64_t burst, weft_ns now) {
    halve(budget, now);
    struct budget_account *account = account_of(budget, neighbour);
    if (account->taken >= bucket_left(&budget->bucket, rate, burst, now)) {
        return false;
    }
    account->taken++;
    return bucket_take(&budget->bucket, 1, rate, burst, now);
}
