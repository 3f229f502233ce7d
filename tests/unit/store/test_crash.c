/* SPDX-License-Identifier: Apache-2.0
 *
 * SIGKILL in the middle of writes, again and again on one database: it opens each time, whole, and
 * the incarnation that was confirmed is there.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "support.h"

#define LIVES 50

/* One life: takes the next incarnation, tells the parent once that is confirmed, then writes until
 * it is killed. Never returns. */
_Noreturn static void live(struct scratch *scratch, int report) {
    uint64_t incarnation = 0;
    uint8_t bytes[64];
    struct store *store = scratch_open(scratch);
    if (store_load_incarnation(store, &incarnation) != WEFT_OK ||
        store_save_incarnation(store, incarnation + 1) != WEFT_OK) {
        _exit(1);
    }
    incarnation++;
    if (write(report, &incarnation, sizeof incarnation) != sizeof incarnation) {
        _exit(2);
    }
    for (uint32_t i = 0;; i++) {
        struct store_record record = record_of(i % 500, i, bytes);
        struct store_event event = {.time_ms = i, .name = "tick", .detail = "n=1"};
        if (store_save_record(store, &record) != WEFT_OK ||
            store_add_event(store, &event) != WEFT_OK ||
            (i % 16 == 0 && store_flush(store) != WEFT_OK)) {
            _exit(3);
        }
    }
}

/* Starts a life, waits for its word, lets it write for a while (a random amount of spinning, not of
 * sleep), kills it. Returns the incarnation it confirmed. */
static uint64_t run_life(struct scratch *scratch, struct rng *rng) {
    int ends[2];
    uint64_t confirmed = 0;
    int status = 0;
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0) {
        live(scratch, ends[1]);
    }
    (void)close(ends[1]);
    cr_assert_eq(read(ends[0], &confirmed, sizeof confirmed), sizeof confirmed);
    for (uint64_t spins = rng_below(rng, 3000000); spins > 0; spins--) {
        (void)rng_next(rng);
    }
    (void)kill(child, SIGKILL);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status));
    (void)close(ends[0]);
    return confirmed;
}

Test(store_crash, killed_in_the_middle_of_writes_nothing_is_corrupt, .timeout = 100) {
    struct scratch scratch;
    struct rng rng;
    scratch_init(&scratch);
    rng_init(&rng, (const uint8_t[32]){17});
    for (uint64_t life = 1; life <= LIVES; life++) {
        struct tally tally = {.count = 0};
        uint64_t incarnation = 0;
        cr_assert_eq(run_life(&scratch, &rng), life, "it never goes back and never repeats");
        struct store *store = scratch_open(&scratch); /* checks every page */
        cr_assert_eq(store_load_incarnation(store, &incarnation), WEFT_OK);
        cr_assert_eq(incarnation, life);
        cr_assert_eq(store_each_record(store, tally_record, &tally), WEFT_OK);
        store_close(store);
    }
    cr_assert_eq(scratch_corrupt(&scratch), 0);
    scratch_fini(&scratch);
}
