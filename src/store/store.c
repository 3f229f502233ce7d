/* SPDX-License-Identifier: Apache-2.0
 *
 * The typed face of a store: each call becomes a row for the back end, each row a typed item.
 */
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "store/op.h"

static enum weft_err store_put(struct store *store, const struct store_row *row, bool is_removal) {
    ASSERT(store != NULL);
    struct store_op *op = op_new(row, is_removal);
    return op == NULL ? WEFT_ERR_MEMORY : store->backend->put(store->self, op);
}

static enum weft_err store_save(struct store *store, const struct store_row *row) {
    return store_put(store, row, false);
}

static enum weft_err store_forget(struct store *store, const struct store_row *row) {
    return store_put(store, row, true);
}

void store_close(struct store *store) {
    if (store == NULL) {
        return;
    }
    store->backend->close(store->self);
    free(store);
}

enum weft_err store_save_incarnation(struct store *store, uint64_t incarnation) {
    if (incarnation > INT64_MAX) {
        return WEFT_ERR_INVALID; /* SQLite's integers are signed, the wire's bound is the same */
    }
    struct store_row row = {.table = STORE_INCARNATION, .incarnation = incarnation};
    enum weft_err err = store_save(store, &row);
    return err == WEFT_OK ? store_flush(store) : err;
}

static void keep_incarnation(void *ctx, const struct store_row *row) {
    *(uint64_t *)ctx = row->incarnation;
}

enum weft_err store_load_incarnation(struct store *store, uint64_t *out) {
    uint64_t incarnation = 0;
    enum weft_err err =
        store->backend->each(store->self, STORE_INCARNATION, 1, keep_incarnation, &incarnation);
    if (err == WEFT_OK) {
        *out = incarnation;
    }
    return err;
}

enum weft_err store_save_record(struct store *store, const struct store_record *record) {
    ASSERT(record != NULL);
    return store_save(store, &(struct store_row){.table = STORE_RECORD, .record = *record});
}

enum weft_err store_forget_record(struct store *store, const uint8_t place[STORE_PLACE_BYTES]) {
    struct store_row row = {.table = STORE_RECORD};
    memcpy(row.record.place, place, sizeof row.record.place);
    return store_forget(store, &row);
}

/* How long the endpoints are when joined; 0 if there are too few or many, or one cannot be kept. */
static size_t endpoints_bytes(const struct store_service *service) {
    size_t bytes = 0;
    if (service->endpoint_count < 1 || service->endpoint_count > STORE_ENDPOINTS_MAX) {
        return 0;
    }
    for (uint32_t i = 0; i < service->endpoint_count; i++) {
        size_t len = strlen(service->endpoints[i]);
        if (len < 1 || len > WEFT_ENDPOINT_MAX || strchr(service->endpoints[i], '\n') != NULL) {
            return 0;
        }
        bytes += len + 1;
    }
    return bytes;
}

enum weft_err store_save_service(struct store *store, const struct store_service *service) {
    ASSERT(service != NULL);
    char lines[STORE_ENDPOINTS_MAX * (WEFT_ENDPOINT_MAX + 1)];
    size_t bytes = endpoints_bytes(service);
    if (bytes == 0) {
        return WEFT_ERR_INVALID;
    }
    char *end = lines;
    for (uint32_t i = 0; i < service->endpoint_count; i++) {
        size_t len = strlen(service->endpoints[i]);
        memcpy(end, service->endpoints[i], len);
        end[len] = '\n';
        end += len + 1;
    }
    end[-1] = '\0';
    struct store_row row = {.table = STORE_SERVICE, .service = *service, .lines = lines};
    row.service.endpoints = NULL;
    return store_save(store, &row);
}

enum weft_err store_forget_service(struct store *store, const char *name_space, const char *name) {
    return store_forget(store,
                        &(struct store_row){.table = STORE_SERVICE,
                                            .service = {.name_space = name_space, .name = name}});
}

enum weft_err store_save_forward(struct store *store, const struct store_forward *forward) {
    ASSERT(forward != NULL);
    return store_save(store, &(struct store_row){.table = STORE_FORWARD, .forward = *forward});
}

enum weft_err store_forget_forward(struct store *store, const char *name_space, const char *name) {
    return store_forget(store,
                        &(struct store_row){.table = STORE_FORWARD,
                                            .forward = {.name_space = name_space, .name = name}});
}

enum weft_err store_save_seed(struct store *store, const struct store_seed *seed) {
    ASSERT(seed != NULL);
    return store_save(store, &(struct store_row){.table = STORE_SEED, .seed = *seed});
}

enum weft_err store_forget_seed(struct store *store, const char *endpoint) {
    return store_forget(store,
                        &(struct store_row){.table = STORE_SEED, .seed = {.endpoint = endpoint}});
}

enum weft_err store_add_event(struct store *store, const struct store_event *event) {
    ASSERT(event != NULL);
    return store_save(store, &(struct store_row){.table = STORE_EVENT, .event = *event});
}

/* One struct for all five walks: which callback is set follows from the table asked for. */
struct each {
    void *ctx;
    void (*record)(void *ctx, const struct store_record *record);
    void (*service)(void *ctx, const struct store_service *service);
    void (*forward)(void *ctx, const struct store_forward *forward);
    void (*seed)(void *ctx, const struct store_seed *seed);
    void (*event)(void *ctx, const struct store_event *event);
};

/* Splits the lines again, in a copy on the stack: a row of a damaged file may hold anything. */
static void each_service(const struct each *each, const struct store_row *row) {
    char lines[STORE_ENDPOINTS_MAX * (WEFT_ENDPOINT_MAX + 1)];
    const char *endpoints[STORE_ENDPOINTS_MAX];
    struct store_service service = row->service;
    if (!span_to_text(span_of_text(row->lines), lines, sizeof lines)) {
        return;
    }
    service.endpoints = endpoints;
    service.endpoint_count = 0;
    char *rest = lines;
    while (rest != NULL && service.endpoint_count < STORE_ENDPOINTS_MAX) {
        endpoints[service.endpoint_count++] = strsep(&rest, "\n");
    }
    each->service(each->ctx, &service);
}

static void each_row(void *ctx, const struct store_row *row) {
    const struct each *each = ctx;
    switch (row->table) {
    case STORE_INCARNATION:
        break;
    case STORE_RECORD:
        each->record(each->ctx, &row->record);
        break;
    case STORE_SERVICE:
        each_service(each, row);
        break;
    case STORE_FORWARD:
        each->forward(each->ctx, &row->forward);
        break;
    case STORE_SEED:
        each->seed(each->ctx, &row->seed);
        break;
    case STORE_EVENT:
        each->event(each->ctx, &row->event);
        break;
    }
}

static enum weft_err store_each(struct store *store, enum store_table table, size_t max,
                                struct each each) {
    ASSERT(store != NULL);
    return store->backend->each(store->self, table, max, each_row, &each);
}

enum weft_err store_each_record(struct store *store,
                                void (*each)(void *ctx, const struct store_record *record),
                                void *ctx) {
    return store_each(store, STORE_RECORD, SIZE_MAX, (struct each){.ctx = ctx, .record = each});
}

enum weft_err store_each_service(struct store *store,
                                 void (*each)(void *ctx, const struct store_service *service),
                                 void *ctx) {
    return store_each(store, STORE_SERVICE, SIZE_MAX, (struct each){.ctx = ctx, .service = each});
}

enum weft_err store_each_forward(struct store *store,
                                 void (*each)(void *ctx, const struct store_forward *forward),
                                 void *ctx) {
    return store_each(store, STORE_FORWARD, SIZE_MAX, (struct each){.ctx = ctx, .forward = each});
}

enum weft_err store_each_seed(struct store *store,
                              void (*each)(void *ctx, const struct store_seed *seed), void *ctx) {
    return store_each(store, STORE_SEED, SIZE_MAX, (struct each){.ctx = ctx, .seed = each});
}

enum weft_err store_each_event(struct store *store, size_t max,
                               void (*each)(void *ctx, const struct store_event *event),
                               void *ctx) {
    return store_each(store, STORE_EVENT, max, (struct each){.ctx = ctx, .event = each});
}

enum weft_err store_flush(struct store *store) {
    ASSERT(store != NULL);
    return store->backend->flush(store->self);
}

bool store_error(struct store *store, char out[STORE_TEXT_BYTES]) {
    ASSERT(store != NULL);
    return store->backend->error(store->self, out);
}

void store_get_counters(struct store *store, struct store_counters *out) {
    ASSERT(store != NULL);
    store->backend->counters(store->self, out);
}
