/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder for one test, and what its store reported.
 */
#ifndef TEST_STORE_SUPPORT_H
#define TEST_STORE_SUPPORT_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/store.h"

struct scratch {
    char folder[64];
    char path[96]; /* folder/store.db */
    struct store_config config;
    pthread_mutex_t lock; /* guards what follows: reports come from the writer */
    unsigned failing;     /* how often each event was reported */
    unsigned recovered;
    unsigned corrupt;
    char detail[1024]; /* of the last */
    atomic_int fault;  /* what commits fail with; 0: they do not */
    atomic_int commits;
};

/* A fresh folder in TMPDIR; config reports and faults here. */
void scratch_init(struct scratch *scratch);
/* Removes the folder and all in it. */
void scratch_fini(struct scratch *scratch);

unsigned scratch_failing(struct scratch *scratch);
unsigned scratch_recovered(struct scratch *scratch);
unsigned scratch_corrupt(struct scratch *scratch);

/* Opens, and fails the test if that does. */
struct store *scratch_open(struct scratch *scratch);

/* Whether folder/name is there. */
bool scratch_has(const struct scratch *scratch, const char *name);

/* A record with recognisable contents. */
struct store_record record_of(uint32_t number, uint64_t version, uint8_t bytes[64]);

/* How many records are stored, and the version of the last. */
struct tally {
    size_t count;
    uint64_t version;
};
void tally_record(void *ctx, const struct store_record *record);

#endif
