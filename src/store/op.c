/* SPDX-License-Identifier: Apache-2.0
 *
 * Deep copies of rows: measure, allocate once, then move every text and span into the tail.
 */
#include "store/op.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define TEXTS_MAX 4

/* The texts and byte strings of a row, wherever it keeps them. */
struct fields {
    const char **texts[TEXTS_MAX];
    size_t text_count;
    struct span *spans[2];
    size_t span_count;
};

static struct fields fields_of(struct store_row *row) {
    switch (row->table) {
    case STORE_RECORD:
        return (struct fields){.spans = {&row->record.key, &row->record.encoded}, .span_count = 2};
    case STORE_SERVICE:
        return (struct fields){.texts = {&row->service.name_space, &row->service.name,
                                         &row->service.origin, &row->lines},
                               .text_count = 4};
    case STORE_FORWARD:
        return (struct fields){
            .texts = {&row->forward.name_space, &row->forward.name, &row->forward.address},
            .text_count = 3};
    case STORE_SEED:
        return (struct fields){.texts = {&row->seed.endpoint}, .text_count = 1};
    case STORE_EVENT:
        return (struct fields){.texts = {&row->event.name, &row->event.detail}, .text_count = 2};
    case STORE_INCARNATION:
        break;
    }
    return (struct fields){.text_count = 0};
}

/* What identifies a row: up to two byte strings; none for an event. */
static size_t key_parts_of(const struct store_row *row, struct span parts[2]) {
    switch (row->table) {
    case STORE_RECORD:
        parts[0] = span_of(row->record.place, sizeof row->record.place);
        return 1;
    case STORE_SERVICE:
        parts[0] = span_of_text(row->service.name_space);
        parts[1] = span_of_text(row->service.name);
        return 2;
    case STORE_FORWARD:
        parts[0] = span_of_text(row->forward.name_space);
        parts[1] = span_of_text(row->forward.name);
        return 2;
    case STORE_SEED:
        parts[0] = span_of_text(row->seed.endpoint);
        return 1;
    case STORE_INCARNATION:
    case STORE_EVENT:
        break;
    }
    return 0;
}

static void texts_not_null(struct fields *fields) {
    for (size_t i = 0; i < fields->text_count; i++) {
        if (*fields->texts[i] == NULL) {
            *fields->texts[i] = "";
        }
    }
}

static size_t fields_bytes(const struct fields *fields) {
    size_t bytes = 0;
    for (size_t i = 0; i < fields->text_count; i++) {
        bytes += strlen(*fields->texts[i]) + 1;
    }
    for (size_t i = 0; i < fields->span_count; i++) {
        bytes += fields->spans[i]->len;
    }
    return bytes;
}

static uint8_t *copy_bytes(uint8_t *tail, const void *data, size_t len) {
    if (len > 0) {
        memcpy(tail, data, len);
    }
    return tail + len;
}

/* Moves what the fields point to into the tail; returns where it ends. */
static uint8_t *fields_move(const struct fields *fields, uint8_t *tail) {
    for (size_t i = 0; i < fields->text_count; i++) {
        const char *text = *fields->texts[i];
        *fields->texts[i] = (const char *)tail;
        tail = copy_bytes(tail, text, strlen(text) + 1);
    }
    for (size_t i = 0; i < fields->span_count; i++) {
        struct span old = *fields->spans[i];
        *fields->spans[i] = span_of(tail, old.len);
        tail = copy_bytes(tail, old.data, old.len);
    }
    return tail;
}

/* A key is the table, then its parts, each but the last ended by a NUL: no two rows share one. */
static struct span key_write(const struct store_row *row, uint8_t *tail) {
    struct span parts[2];
    size_t count = key_parts_of(row, parts);
    uint8_t *end = tail;
    *end++ = (uint8_t)row->table;
    for (size_t i = 0; i < count; i++) {
        end = copy_bytes(end, parts[i].data, parts[i].len);
        *end++ = 0;
    }
    return span_of(tail, row->table == STORE_EVENT ? 0 : (size_t)(end - tail));
}

static size_t key_bytes(const struct store_row *row) {
    struct span parts[2];
    size_t bytes = 1;
    for (size_t i = 0, count = key_parts_of(row, parts); i < count; i++) {
        bytes += parts[i].len + 1;
    }
    return bytes;
}

struct store_op *op_new(const struct store_row *row, bool is_removal) {
    ASSERT(row != NULL);
    struct store_row borrowed = *row;
    struct fields fields = fields_of(&borrowed);
    texts_not_null(&fields);
    size_t bytes = sizeof(struct store_op) + fields_bytes(&fields) + key_bytes(&borrowed);
    struct store_op *op = malloc(bytes);
    if (op == NULL) {
        return NULL;
    }
    *op = (struct store_op){.is_removal = is_removal, .bytes = bytes, .row = borrowed};
    fields = fields_of(&op->row);
    uint8_t *tail = fields_move(&fields, (uint8_t *)(op + 1));
    op->key = key_write(&op->row, tail);
    return op;
}

void op_free(struct store_op *op) {
    free(op);
}

void op_free_all(struct store_op *first) {
    while (first != NULL) {
        struct store_op *next = first->next;
        op_free(first);
        first = next;
    }
}
