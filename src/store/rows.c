/* SPDX-License-Identifier: Apache-2.0
 *
 * A table of statements, and beside it how each table's row is bound and read.
 */
#include "store/rows.h"

#include <string.h>

#include "base/check.h"

struct statements {
    const char *save;
    const char *remove;
    const char *select;
};

static const struct statements statements[STORE_TABLE_COUNT] = {
    [STORE_INCARNATION] = {.save =
                               "INSERT INTO meta(key, value) VALUES ('incarnation', ?1)"
                               " ON CONFLICT(key) DO UPDATE SET value = max(value, excluded.value)",
                           .remove = "DELETE FROM meta WHERE key = 'incarnation'",
                           .select = "SELECT value FROM meta WHERE key = 'incarnation' LIMIT ?1"},
    [STORE_RECORD] =
        {.save = "INSERT OR REPLACE INTO record(place, kind, owner, key, encoded, last_live)"
                 " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
         .remove = "DELETE FROM record WHERE place = ?1",
         .select = "SELECT place, kind, owner, key, encoded, last_live FROM record"
                   " ORDER BY place LIMIT ?1"},
    [STORE_SERVICE] =
        {.save = "INSERT OR REPLACE INTO service(namespace, name, protocol, endpoints, origin)"
                 " VALUES (?1, ?2, ?3, ?4, ?5)",
         .remove = "DELETE FROM service WHERE namespace = ?1 AND name = ?2",
         .select = "SELECT namespace, name, protocol, endpoints, origin FROM service"
                   " ORDER BY namespace, name LIMIT ?1"},
    [STORE_FORWARD] = {.save = "INSERT OR REPLACE INTO forward(namespace, name, address, port)"
                               " VALUES (?1, ?2, ?3, ?4)",
                       .remove = "DELETE FROM forward WHERE namespace = ?1 AND name = ?2",
                       .select = "SELECT namespace, name, address, port FROM forward"
                                 " ORDER BY namespace, name LIMIT ?1"},
    [STORE_SEED] =
        {.save = "INSERT OR REPLACE INTO seed(endpoint, peer, last_seen) VALUES (?1, ?2, ?3)",
         .remove = "DELETE FROM seed WHERE endpoint = ?1",
         .select = "SELECT endpoint, peer, last_seen FROM seed ORDER BY endpoint LIMIT ?1"},
    [STORE_EVENT] = {.save = "INSERT INTO event(time_ms, level, name, detail)"
                             " VALUES (?1, ?2, ?3, ?4)",
                     .remove = "DELETE FROM event",
                     .select = "SELECT id, time_ms, level, name, detail FROM (SELECT * FROM event"
                               " ORDER BY id DESC LIMIT ?1) ORDER BY id"},
};

void rows_fini(struct rows *rows) {
    for (size_t i = 0; i < STORE_TABLE_COUNT; i++) {
        sqlite3_finalize(rows->save[i]);
        sqlite3_finalize(rows->remove[i]);
        rows->save[i] = NULL;
        rows->remove[i] = NULL;
    }
}

/* The values of one statement, bound from the left; the op outlives the step, so nothing is copied.
 * Values are below 2^63 or wall clock times, which fit. */
struct binder {
    sqlite3_stmt *statement;
    int index;
    int result;
};

static void keep_result(struct binder *binder, int result) {
    if (binder->result == SQLITE_OK) {
        binder->result = result;
    }
}

static void bind_number(struct binder *binder, uint64_t value) {
    keep_result(binder, sqlite3_bind_int64(binder->statement, ++binder->index, (int64_t)value));
}

static void bind_text(struct binder *binder, const char *text) {
    keep_result(binder,
                sqlite3_bind_text(binder->statement, ++binder->index, text, -1, SQLITE_STATIC));
}

static void bind_blob(struct binder *binder, struct span bytes) {
    const void *data = bytes.len == 0 ? "" : (const void *)bytes.data; /* NULL would bind as NULL */
    keep_result(binder, sqlite3_bind_blob64(binder->statement, ++binder->index, data, bytes.len,
                                            SQLITE_STATIC));
}

/* What identifies the row: a removal binds only this. */
static void bind_key(struct binder *binder, const struct store_row *row) {
    switch (row->table) {
    case STORE_RECORD:
        bind_blob(binder, span_of(row->record.place, sizeof row->record.place));
        break;
    case STORE_SERVICE:
        bind_text(binder, row->service.name_space);
        bind_text(binder, row->service.name);
        break;
    case STORE_FORWARD:
        bind_text(binder, row->forward.name_space);
        bind_text(binder, row->forward.name);
        break;
    case STORE_SEED:
        bind_text(binder, row->seed.endpoint);
        break;
    case STORE_INCARNATION:
    case STORE_EVENT:
        break;
    }
}

static void bind_record(struct binder *binder, const struct store_record *record) {
    bind_number(binder, record->kind);
    bind_blob(binder, span_of(record->owner.bytes, sizeof record->owner.bytes));
    bind_blob(binder, record->key);
    bind_blob(binder, record->encoded);
    bind_number(binder, record->last_live_s);
}

static void bind_seed(struct binder *binder, const struct store_seed *seed) {
    if (seed->is_peer_known) {
        bind_blob(binder, span_of(seed->peer.bytes, sizeof seed->peer.bytes));
    } else {
        binder->index++; /* stays NULL */
    }
    bind_number(binder, seed->last_seen_s);
}

static void bind_event(struct binder *binder, const struct store_event *event) {
    bind_number(binder, event->time_ms);
    bind_number(binder, (uint64_t)event->level);
    bind_text(binder, event->name);
    bind_text(binder, event->detail);
}

/* All that follows the key. */
static void bind_rest(struct binder *binder, const struct store_row *row) {
    switch (row->table) {
    case STORE_INCARNATION:
        bind_number(binder, row->incarnation);
        break;
    case STORE_RECORD:
        bind_record(binder, &row->record);
        break;
    case STORE_SERVICE:
        bind_number(binder, row->service.protocol);
        bind_text(binder, row->lines);
        bind_text(binder, row->service.origin);
        break;
    case STORE_FORWARD:
        bind_text(binder, row->forward.address);
        bind_number(binder, row->forward.port);
        break;
    case STORE_SEED:
        bind_seed(binder, &row->seed);
        break;
    case STORE_EVENT:
        bind_event(binder, &row->event);
        break;
    }
}

static int prepare(sqlite3 *db, const char *sql, sqlite3_stmt **statement) {
    if (*statement != NULL) {
        return SQLITE_OK;
    }
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
}

int rows_apply(struct rows *rows, const struct store_op *op) {
    ASSERT(rows != NULL && op != NULL);
    const struct statements *sql = &statements[op->row.table];
    sqlite3_stmt **statement =
        op->is_removal ? &rows->remove[op->row.table] : &rows->save[op->row.table];
    int result = prepare(rows->db, op->is_removal ? sql->remove : sql->save, statement);
    if (result != SQLITE_OK) {
        return result;
    }
    struct binder binder = {.statement = *statement};
    bind_key(&binder, &op->row);
    if (!op->is_removal) {
        bind_rest(&binder, &op->row);
    }
    if (binder.result == SQLITE_OK) {
        (void)sqlite3_step(*statement); /* reset repeats its result */
        binder.result = sqlite3_reset(*statement);
    }
    sqlite3_clear_bindings(*statement);
    return binder.result;
}

/* The columns of one row, read from the left; pointers live until the next step. */
struct scanner {
    sqlite3_stmt *statement;
    int index;
    bool is_bad;
};

static uint64_t scan_number(struct scanner *scanner, uint64_t max) {
    int64_t value = sqlite3_column_int64(scanner->statement, scanner->index++);
    scanner->is_bad = scanner->is_bad || value < 0 || (uint64_t)value > max;
    return (uint64_t)value;
}

static const char *scan_text(struct scanner *scanner) {
    const char *text = (const char *)sqlite3_column_text(scanner->statement, scanner->index++);
    scanner->is_bad = scanner->is_bad || text == NULL;
    return text == NULL ? "" : text;
}

static struct span scan_blob(struct scanner *scanner) {
    int column = scanner->index++;
    const void *data = sqlite3_column_blob(scanner->statement, column);
    return span_of(data, (size_t)sqlite3_column_bytes(scanner->statement, column));
}

/* A blob of exactly `len` bytes. */
static void scan_exact(struct scanner *scanner, void *out, size_t len) {
    struct span bytes = scan_blob(scanner);
    if (bytes.len != len) {
        scanner->is_bad = true;
        return;
    }
    memcpy(out, bytes.data, len);
}

static void scan_record(struct scanner *scanner, struct store_record *record) {
    scan_exact(scanner, record->place, sizeof record->place);
    record->kind = (uint16_t)scan_number(scanner, UINT16_MAX);
    scan_exact(scanner, record->owner.bytes, sizeof record->owner.bytes);
    record->key = scan_blob(scanner);
    record->encoded = scan_blob(scanner);
    record->last_live_s = scan_number(scanner, INT64_MAX);
}

static void scan_service(struct scanner *scanner, struct store_row *row) {
    row->service.name_space = scan_text(scanner);
    row->service.name = scan_text(scanner);
    row->service.protocol = (uint8_t)scan_number(scanner, UINT8_MAX);
    row->lines = scan_text(scanner);
    row->service.origin = scan_text(scanner);
}

static void scan_forward(struct scanner *scanner, struct store_forward *forward) {
    forward->name_space = scan_text(scanner);
    forward->name = scan_text(scanner);
    forward->address = scan_text(scanner);
    forward->port = (uint16_t)scan_number(scanner, UINT16_MAX);
}

static void scan_seed(struct scanner *scanner, struct store_seed *seed) {
    seed->endpoint = scan_text(scanner);
    seed->is_peer_known = sqlite3_column_type(scanner->statement, scanner->index) != SQLITE_NULL;
    if (seed->is_peer_known) {
        scan_exact(scanner, seed->peer.bytes, sizeof seed->peer.bytes);
    } else {
        scanner->index++;
    }
    seed->last_seen_s = scan_number(scanner, INT64_MAX);
}

static void scan_event(struct scanner *scanner, struct store_event *event) {
    event->id = scan_number(scanner, INT64_MAX);
    event->time_ms = scan_number(scanner, INT64_MAX);
    event->level = (enum trace_level)scan_number(scanner, TRACE_DEBUG);
    event->name = scan_text(scanner);
    event->detail = scan_text(scanner);
}

/* False for a row that this program cannot have written. */
static bool scan_row(sqlite3_stmt *statement, struct store_row *row) {
    struct scanner scanner = {.statement = statement};
    switch (row->table) {
    case STORE_INCARNATION:
        row->incarnation = scan_number(&scanner, INT64_MAX);
        break;
    case STORE_RECORD:
        scan_record(&scanner, &row->record);
        break;
    case STORE_SERVICE:
        scan_service(&scanner, row);
        break;
    case STORE_FORWARD:
        scan_forward(&scanner, &row->forward);
        break;
    case STORE_SEED:
        scan_seed(&scanner, &row->seed);
        break;
    case STORE_EVENT:
        scan_event(&scanner, &row->event);
        break;
    }
    return !scanner.is_bad;
}

int rows_each(sqlite3 *db, enum store_table table, size_t max,
              void (*each)(void *ctx, const struct store_row *row), void *ctx) {
    ASSERT(db != NULL && each != NULL);
    sqlite3_stmt *query = NULL;
    int result = sqlite3_prepare_v2(db, statements[table].select, -1, &query, NULL);
    if (result != SQLITE_OK) {
        return result;
    }
    int64_t limit = max > INT64_MAX ? INT64_MAX : (int64_t)max;
    (void)sqlite3_bind_int64(query, 1, limit); /* cannot fail: a number, and the index exists */
    while (sqlite3_step(query) == SQLITE_ROW) {
        struct store_row row = {.table = table};
        if (scan_row(query, &row)) {
            each(ctx, &row);
        }
    }
    return sqlite3_finalize(query); /* what the last step met */
}
