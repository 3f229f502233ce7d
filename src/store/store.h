/* SPDX-License-Identifier: Apache-2.0
 *
 * What a node remembers over a restart: its incarnation, the records it knew, its own services and
 * forwards, seeds, and the last events. The private key is not here (node/statedir.h).
 *
 *   event loop          queue (bounded, one entry a key)         writer thread
 *   store_save_x  --->  [ a ][ b ][ c ]  --- mutex --->  one SQLite transaction a batch, then a
 * sync
 *
 * A save returns at once; it is on disk within a second. A save of a key that still waits replaces
 * the waiting one, so a record that changes often costs one write a batch. At the bound of the
 * queue a save of a new key is refused with WEFT_ERR_FULL and counted.
 *
 * When the disk is full, read-only or broken the store reports it once, keeps what waits, and tries
 * again with growing delay; store_error() says what is wrong meanwhile. Nothing here ever aborts on
 * what a disk does.
 *
 * Calls come from one thread, except that `report` may call store_add_event.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/host.h"
#include "base/span.h"
#include "weft/types.h"

#define STORE_TEXT_BYTES 512           /* an error text with its NUL; longer ones are cut */
#define STORE_PLACE_BYTES 32           /* a record's key: struct record.place */
#define STORE_ENDPOINTS_MAX 16         /* of one service; as the wire has it */
#define STORE_EVENTS_MAX 10000         /* the oldest beyond are deleted: some 2 MB on disk */
#define STORE_QUEUE_MAX 16384          /* writes that wait: a full set of records twice over */
#define STORE_QUEUE_BYTES_MAX 16777216 /* and their bytes */

struct store;

struct store_config {
    const char *path; /* the database file, such as STATE/store.db; copied */

    /* Tells of trouble and its end: "store-failing" once when writes begin to fail,
     * "store-recovered", "store-corrupt" when a broken database was moved aside. Called on the
     * writer thread or within store_open, without locks held. It must be thread-safe and may call
     * store_add_event, nothing else of this header. May be NULL. */
    void *report_ctx;
    void (*report)(void *ctx, const struct trace_event *event);

    /* For tests: called before each commit on the writer thread; a value other than 0 (an SQLite
     * result code) makes the commit fail with it. May be NULL. */
    void *fault_ctx;
    int (*fault)(void *ctx);

    size_t queue_max;       /* 0: STORE_QUEUE_MAX */
    size_t queue_bytes_max; /* 0: STORE_QUEUE_BYTES_MAX */
};

/* Opens or creates the database (mode 0600) and starts the writer.
 *
 * WEFT_ERR_VERSION   it was written by a newer weft; nothing was changed
 * WEFT_ERR_IO        it cannot be opened or created: permission, disk full, a folder that is
 * missing WEFT_ERR_MEMORY
 *
 * On an error `error` holds a sentence that names the file. A database that is not one, or is
 * damaged, is moved aside to PATH.corrupt-N and a fresh one is made: that is reported, not an
 * error. */
WEFT_MUST_CHECK enum weft_err store_open(const struct store_config *config, struct store **out,
                                         char error[STORE_TEXT_BYTES]);

/* A store that forgets everything when it is closed; no thread, no file. */
WEFT_MUST_CHECK enum weft_err store_open_memory(struct store **out);

/* Writes what waits, as far as the disk lets it in one attempt, and closes. Takes NULL. */
void store_close(struct store *store);

/* Returns once this incarnation (below 2^63) is on disk, synced: use it only then. It never goes
 * back: a smaller one than what is stored changes nothing. WEFT_ERR_IO if the disk refused now (it
 * stays queued), WEFT_ERR_INVALID, WEFT_ERR_FULL, WEFT_ERR_MEMORY. Blocks for one sync. */
WEFT_MUST_CHECK enum weft_err store_save_incarnation(struct store *store, uint64_t incarnation);
/* 0 when none was ever saved. */
WEFT_MUST_CHECK enum weft_err store_load_incarnation(struct store *store, uint64_t *out);

/* A record as it is gossiped. All that is pointed at is copied. */
struct store_record {
    uint8_t place[STORE_PLACE_BYTES];
    uint16_t kind;
    struct weft_peer_id owner;
    struct span key;      /* at most WIRE_RECORD_KEY_MAX bytes */
    struct span encoded;  /* signed; store_each_record's reader must verify it again */
    uint64_t last_live_s; /* wall clock, seconds since 1970: when its owner was last reachable */
};
/* All saves: WEFT_ERR_FULL, WEFT_ERR_MEMORY, or queued. All forgets likewise; forgetting what is
 * not there is fine. */
WEFT_MUST_CHECK enum weft_err store_save_record(struct store *store,
                                                const struct store_record *record);
WEFT_MUST_CHECK enum weft_err store_forget_record(struct store *store,
                                                  const uint8_t place[STORE_PLACE_BYTES]);

/* A service of our own that was added while running. */
struct store_service {
    const char *name_space;
    const char *name;
    uint8_t protocol;             /* enum wire_protocol */
    const char *const *endpoints; /* "host:port", without line breaks; WEFT_ERR_INVALID otherwise */
    uint32_t endpoint_count;      /* 1 .. STORE_ENDPOINTS_MAX */
    const char *origin;           /* who added it: "cli" */
};
WEFT_MUST_CHECK enum weft_err store_save_service(struct store *store,
                                                 const struct store_service *service);
WEFT_MUST_CHECK enum weft_err store_forget_service(struct store *store, const char *name_space,
                                                   const char *name);

/* A forward that was added while running: a local listener for a service. */
struct store_forward {
    const char *name_space;
    const char *name;
    const char *address; /* a literal to listen on */
    uint16_t port;
};
WEFT_MUST_CHECK enum weft_err store_save_forward(struct store *store,
                                                 const struct store_forward *forward);
WEFT_MUST_CHECK enum weft_err store_forget_forward(struct store *store, const char *name_space,
                                                   const char *name);

/* An address that led into the mesh once, learned or invited to, to dial after a restart. */
struct store_seed {
    const char *endpoint; /* "host:port" */
    bool is_peer_known;
    struct weft_peer_id peer; /* who must answer, if known; else zero */
    uint64_t last_seen_s;     /* wall clock: when it last answered; 0 never */
};
WEFT_MUST_CHECK enum weft_err store_save_seed(struct store *store, const struct store_seed *seed);
WEFT_MUST_CHECK enum weft_err store_forget_seed(struct store *store, const char *endpoint);

/* One line of the event log; the newest STORE_EVENTS_MAX are kept. Never merged: at the queue's
 * bound the event is refused and counted. */
struct store_event {
    uint64_t id;      /* increasing, given by the store; ignored when added */
    uint64_t time_ms; /* wall clock, milliseconds since 1970 */
    enum trace_level level;
    const char *name;
    const char *detail; /* "key=value key=value" */
};
WEFT_MUST_CHECK enum weft_err store_add_event(struct store *store, const struct store_event *event);

/* Walk what is stored, for the start; each item is borrowed for its call, which may not use the
 * store. Writes that still wait are not seen: call store_flush first where that matters. Records
 * and seeds come in the order of their keys, services and forwards by namespace and name.
 * WEFT_ERR_IO, WEFT_ERR_MEMORY; what was handed out before stays good. Blocks: a few ms for 10,000
 * records. */
WEFT_MUST_CHECK enum weft_err
store_each_record(struct store *store, void (*each)(void *ctx, const struct store_record *record),
                  void *ctx);
WEFT_MUST_CHECK enum weft_err
store_each_service(struct store *store,
                   void (*each)(void *ctx, const struct store_service *service), void *ctx);
WEFT_MUST_CHECK enum weft_err
store_each_forward(struct store *store,
                   void (*each)(void *ctx, const struct store_forward *forward), void *ctx);
WEFT_MUST_CHECK enum weft_err
store_each_seed(struct store *store, void (*each)(void *ctx, const struct store_seed *seed),
                void *ctx);
/* The newest `max` events, oldest first. */
WEFT_MUST_CHECK enum weft_err
store_each_event(struct store *store, size_t max,
                 void (*each)(void *ctx, const struct store_event *event), void *ctx);

/* Returns once everything saved so far is on disk and synced. One attempt at once, whatever the
 * back-off: WEFT_ERR_IO if the disk refuses; what waits stays queued. */
WEFT_MUST_CHECK enum weft_err store_flush(struct store *store);

/* Whether writes fail now; then the text says how, such as "disk I/O error (STATE/store.db)". The
 * text is empty otherwise. */
bool store_error(struct store *store, char out[STORE_TEXT_BYTES]);

struct store_counters {
    size_t waiting;    /* writes queued, those in the hands of the writer included */
    uint64_t written;  /* writes committed */
    uint64_t merged;   /* replaced by a newer one of the same key before they were written */
    uint64_t refused;  /* not taken: the queue was at its bound, or memory was short */
    uint64_t commits;  /* transactions */
    uint64_t failures; /* attempts that failed */
};
void store_get_counters(struct store *store, struct store_counters *out);

#endif
