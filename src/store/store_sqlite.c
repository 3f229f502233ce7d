/* SPDX-License-Identifier: Apache-2.0
 *
 * A store in one SQLite file. The writer thread owns the one connection that writes, in WAL mode;
 * each walk opens a connection of its own, read-only, so that it neither waits for a commit nor
 * shares anything with the writer.
 *
 * synchronous=NORMAL: a commit survives the death of the process at once and a power cut after the
 * sync, a checkpoint, which the writer runs half a second later or when somebody flushes. So the
 * many small commits cost no fsync each. A batch that holds the incarnation is committed with
 * synchronous=FULL.
 * Source: https://www.sqlite.org/wal.html, sections 2.3 and 3.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "store/rows.h"
#include "store/schema.h"
#include "store/writer.h"

#define BUSY_WAIT_MS 2000 /* for an operator's sqlite3 shell; nobody else holds the file */
#define CORRUPT_MAX 1000  /* damaged databases kept; beyond, opening fails */

struct sqlite {
    struct store_config config;
    char *path;
    sqlite3 *db; /* the writer thread's, once that runs */
    struct rows rows;
    struct writer *writer;
};

static void tell(const struct store_config *config, enum trace_level level, const char *name,
                 const char *detail) {
    if (config->report != NULL) {
        struct trace_event event = {.level = level, .name = name, .detail = detail};
        config->report(config->report_ctx, &event);
    }
}

/* Writing. All on the writer thread. */

static int exec(sqlite3 *db, const char *sql) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

struct batch_facts {
    bool has_incarnation;
    bool has_event;
};

static struct batch_facts facts_of(const struct store_op *ops) {
    struct batch_facts facts = {.has_event = false};
    for (; ops != NULL; ops = ops->next) {
        facts.has_incarnation = facts.has_incarnation || ops->row.table == STORE_INCARNATION;
        facts.has_event = facts.has_event || ops->row.table == STORE_EVENT;
    }
    return facts;
}

static int trim_events(sqlite3 *db) {
    char sql[120];
    (void)snprintf(sql, sizeof sql,
                   "DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - %d",
                   STORE_EVENTS_MAX);
    return exec(db, sql);
}

static int apply_all(struct sqlite *self, const struct store_op *ops, bool has_event) {
    int result = SQLITE_OK;
    for (; result == SQLITE_OK && ops != NULL; ops = ops->next) {
        result = rows_apply(&self->rows, ops);
    }
    if (result == SQLITE_OK && has_event) {
        result = trim_events(self->db);
    }
    return result;
}

static int fail_on_demand(const struct sqlite *self) {
    return self->config.fault == NULL ? SQLITE_OK : self->config.fault(self->config.fault_ctx);
}

/* The message for a result; an injected one is not the connection's own. */
static int explain(const struct sqlite *self, int result, char error[STORE_TEXT_BYTES]) {
    if (result != SQLITE_OK) {
        const char *text = (result & 0xff) == (sqlite3_errcode(self->db) & 0xff)
                               ? sqlite3_errmsg(self->db)
                               : sqlite3_errstr(result);
        (void)snprintf(error, STORE_TEXT_BYTES, "%s (%s)", text, self->path);
    }
    return result;
}

static int sink_commit(void *ctx, const struct store_op *ops, char error[STORE_TEXT_BYTES]) {
    struct sqlite *self = ctx;
    struct batch_facts facts = facts_of(ops);
    int result = exec(self->db, facts.has_incarnation ? "PRAGMA synchronous=FULL"
                                                      : "PRAGMA synchronous=NORMAL");
    if (result == SQLITE_OK) {
        result = exec(self->db, "BEGIN IMMEDIATE");
    }
    if (result == SQLITE_OK) {
        result = apply_all(self, ops, facts.has_event);
    }
    if (result == SQLITE_OK) {
        result = fail_on_demand(self);
    }
    if (result == SQLITE_OK) {
        result = exec(self->db, "COMMIT");
    }
    (void)explain(self, result, error);
    if (result != SQLITE_OK && sqlite3_get_autocommit(self->db) == 0) {
        (void)exec(self->db, "ROLLBACK");
    }
    return result;
}

static int sink_sync(void *ctx, char error[STORE_TEXT_BYTES]) {
    struct sqlite *self = ctx;
    int result = sqlite3_wal_checkpoint_v2(self->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (result == SQLITE_BUSY) {
        result = SQLITE_OK; /* somebody else's checkpoint does the same */
    }
    return explain(self, result, error);
}

/* The back end. */

static enum weft_err backend_put(void *ctx, struct store_op *op) {
    struct sqlite *self = ctx;
    return writer_put(self->writer, op);
}

static enum weft_err backend_flush(void *ctx) {
    struct sqlite *self = ctx;
    return writer_flush(self->writer);
}

static bool backend_error(void *ctx, char out[STORE_TEXT_BYTES]) {
    struct sqlite *self = ctx;
    return writer_error(self->writer, out);
}

static void backend_counters(void *ctx, struct store_counters *out) {
    struct sqlite *self = ctx;
    writer_counters(self->writer, out);
}

static int open_connection(const char *path, int flags, sqlite3 **db) {
    int result = sqlite3_open_v2(path, db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (result == SQLITE_OK) {
        (void)sqlite3_extended_result_codes(*db, 1);
        (void)sqlite3_busy_timeout(*db, BUSY_WAIT_MS);
        /* KiB: the daemon is to stay small. It may write to no folder but its own: no files in
         * /tmp.
         */
        result = exec(*db, "PRAGMA cache_size=-256; PRAGMA temp_store=MEMORY");
    }
    return result;
}

static enum weft_err backend_each(void *ctx, enum store_table table, size_t max,
                                  void (*each)(void *ctx, const struct store_row *row),
                                  void *each_ctx) {
    struct sqlite *self = ctx;
    sqlite3 *db = NULL;
    int result = open_connection(self->path, SQLITE_OPEN_READONLY, &db);
    if (result == SQLITE_OK) {
        result = rows_each(db, table, max, each, each_ctx);
    }
    sqlite3_close(db);
    return result == SQLITE_NOMEM ? WEFT_ERR_MEMORY : result == SQLITE_OK ? WEFT_OK : WEFT_ERR_IO;
}

/* Accepts half-built objects. */
static void sqlite_free(struct sqlite *self) {
    writer_stop(self->writer);
    rows_fini(&self->rows);
    sqlite3_close(self->db);
    free(self->path);
    free(self);
}

static void backend_close(void *ctx) {
    sqlite_free(ctx);
}

static const struct store_backend sqlite_backend = {
    .put = backend_put,
    .flush = backend_flush,
    .each = backend_each,
    .error = backend_error,
    .counters = backend_counters,
    .close = backend_close,
};

/* Opening. */

/* Makes the file ours alone before SQLite sees it; its -wal and -shm files inherit the mode. */
static enum weft_err make_file(const char *path, char error[STORE_TEXT_BYTES]) {
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || fchmod(file, 0600) != 0) {
        (void)snprintf(error, STORE_TEXT_BYTES, "cannot open %s: %s", path, strerror(errno));
        if (file >= 0) {
            (void)close(file);
        }
        return WEFT_ERR_IO;
    }
    (void)close(file);
    return WEFT_OK;
}

static int first_problem(void *ctx, int columns, char **values, char **names) {
    char *problem = ctx;
    if (columns > 0 && problem[0] == '\0') {
        (void)snprintf(problem, STORE_TEXT_BYTES, "%s", values[0] == NULL ? "?" : values[0]);
    }
    (void)names;
    return 0;
}

/* Reads every page once: some 50 ms for 20 MB. */
static enum weft_err check_pages(sqlite3 *db, const char *path, char error[STORE_TEXT_BYTES]) {
    char problem[STORE_TEXT_BYTES] = "";
    int result = sqlite3_exec(db, "PRAGMA quick_check(1)", first_problem, problem, NULL);
    if (result == SQLITE_OK && strcmp(problem, "ok") == 0) {
        return WEFT_OK;
    }
    (void)snprintf(error, STORE_TEXT_BYTES, "%.200s: %.250s", path,
                   result == SQLITE_OK ? problem : sqlite3_errmsg(db));
    return result == SQLITE_OK ? WEFT_ERR_MALFORMED : schema_err_of(result);
}

static enum weft_err open_database(struct sqlite *self, char error[STORE_TEXT_BYTES]) {
    enum weft_err err = make_file(self->path, error);
    if (err != WEFT_OK) {
        return err;
    }
    int result = open_connection(self->path, SQLITE_OPEN_READWRITE, &self->db);
    if (result == SQLITE_OK) {
        result = exec(self->db, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0");
    }
    if (result != SQLITE_OK) {
        (void)snprintf(error, STORE_TEXT_BYTES, "%s: %s", self->path, sqlite3_errmsg(self->db));
        return schema_err_of(result);
    }
    err = check_pages(self->db, self->path, error);
    if (err != WEFT_OK) {
        return err;
    }
    struct schema schema = schema_current();
    return schema_apply(self->db, &schema, self->path, error);
}

/* Renames PATH<suffix> to PATH.corrupt-N<suffix>; true if it is out of the way. */
static bool move_one(const char *path, int number, const char *suffix) {
    char from[4200];
    char to[4300];
    (void)snprintf(from, sizeof from, "%s%s", path, suffix);
    (void)snprintf(to, sizeof to, "%s.corrupt-%d%s", path, number, suffix);
    return rename(from, to) == 0 || errno == ENOENT;
}

/* The first number that no damaged database has yet; 0 when there are too many. */
static int free_number(const char *path) {
    for (int number = 1; number <= CORRUPT_MAX; number++) {
        char name[4300];
        (void)snprintf(name, sizeof name, "%s.corrupt-%d", path, number);
        if (access(name, F_OK) != 0) {
            return number;
        }
    }
    return 0;
}

static enum weft_err move_aside(struct sqlite *self, char error[STORE_TEXT_BYTES]) {
    char detail[2 * STORE_TEXT_BYTES];
    sqlite3_close(self->db);
    self->db = NULL;
    int number = free_number(self->path);
    if (number == 0 || !move_one(self->path, number, "") || !move_one(self->path, number, "-wal") ||
        !move_one(self->path, number, "-shm")) {
        (void)snprintf(error, STORE_TEXT_BYTES, "%s is damaged and cannot be moved aside: %s",
                       self->path, strerror(errno));
        return WEFT_ERR_IO;
    }
    (void)snprintf(detail, sizeof detail, "file=%s moved_to=%s.corrupt-%d error=\"%s\"", self->path,
                   self->path, number, error);
    tell(&self->config, TRACE_ERROR, "store-corrupt", detail);
    return WEFT_OK;
}

static enum weft_err start_writer(struct sqlite *self) {
    struct writer_config config = {
        .sink = {.ctx = self, .commit = sink_commit, .sync = sink_sync},
        .queue_max = self->config.queue_max == 0 ? STORE_QUEUE_MAX : self->config.queue_max,
        .queue_bytes_max = self->config.queue_bytes_max == 0 ? STORE_QUEUE_BYTES_MAX
                                                             : self->config.queue_bytes_max,
        .report_ctx = self->config.report_ctx,
        .report = self->config.report,
    };
    self->rows.db = self->db;
    return writer_start(&config, &self->writer);
}

static enum weft_err sqlite_new(const struct store_config *config, struct sqlite **out) {
    struct sqlite *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return WEFT_ERR_MEMORY;
    }
    self->config = *config;
    self->path = strdup(config->path);
    self->config.path = self->path;
    if (self->path == NULL) {
        free(self);
        return WEFT_ERR_MEMORY;
    }
    *out = self;
    return WEFT_OK;
}

/* Opens the file, moving it aside once if it is damaged, and starts the thread. */
static enum weft_err sqlite_open(struct sqlite *self, char error[STORE_TEXT_BYTES]) {
    enum weft_err err = open_database(self, error);
    if (err == WEFT_ERR_MALFORMED) {
        err = move_aside(self, error);
        if (err == WEFT_OK) {
            err = open_database(self, error);
        }
    }
    if (err == WEFT_OK) {
        err = start_writer(self);
    }
    return err;
}

enum weft_err store_open(const struct store_config *config, struct store **out,
                         char error[STORE_TEXT_BYTES]) {
    ASSERT(config != NULL && config->path != NULL && strlen(config->path) < 4096);
    (void)snprintf(error, STORE_TEXT_BYTES, "%s: out of memory", config->path);
    struct sqlite *self = NULL;
    struct store *store = calloc(1, sizeof *store);
    enum weft_err err = store == NULL ? WEFT_ERR_MEMORY : sqlite_new(config, &self);
    if (err == WEFT_OK) {
        err = sqlite_open(self, error);
    }
    if (err != WEFT_OK) {
        if (self != NULL) {
            sqlite_free(self);
        }
        free(store);
        return err == WEFT_ERR_MALFORMED ? WEFT_ERR_IO : err;
    }
    error[0] = '\0';
    *store = (struct store){.backend = &sqlite_backend, .self = self};
    *out = store;
    return WEFT_OK;
}
