/* SPDX-License-Identifier: Apache-2.0
 *
 * A doubly linked list with a table of its newest entries. An op that the table had no memory for
 * is still written, only never merged.
 */
#include "store/queue.h"

#include "base/check.h"

enum weft_err queue_init(struct queue *queue, size_t count_max, size_t bytes_max,
                         const struct hash_key *key) {
    ASSERT(queue != NULL && count_max > 0 && bytes_max > 0);
    *queue = (struct queue){.count_max = count_max, .bytes_max = bytes_max};
    queue->by_key = map_new(count_max, key);
    return queue->by_key == NULL ? WEFT_ERR_MEMORY : WEFT_OK;
}

void queue_fini(struct queue *queue) {
    op_free_all(queue->first);
    map_free(queue->by_key);
    *queue = (struct queue){.count = 0};
}

static void link_last(struct queue *queue, struct store_op *op) {
    op->previous = queue->last;
    op->next = NULL;
    if (queue->last == NULL) {
        queue->first = op;
    } else {
        queue->last->next = op;
    }
    queue->last = op;
}

static void link_first(struct queue *queue, struct store_op *op) {
    op->previous = NULL;
    op->next = queue->first;
    if (queue->first == NULL) {
        queue->last = op;
    } else {
        queue->first->previous = op;
    }
    queue->first = op;
}

static void unlink_op(struct queue *queue, struct store_op *op) {
    if (op->previous == NULL) {
        queue->first = op->next;
    } else {
        op->previous->next = op->next;
    }
    if (op->next == NULL) {
        queue->last = op->previous;
    } else {
        op->next->previous = op->previous;
    }
}

static void account(struct queue *queue, const struct store_op *op) {
    queue->count++;
    queue->bytes += op->bytes;
}

/* Takes an op off the books and frees it. */
static void release(struct queue *queue, struct store_op *op) {
    queue->count--;
    queue->bytes -= op->bytes;
    op_free(op);
}

static bool has_room(const struct queue *queue, const struct store_op *op,
                     const struct store_op *old) {
    size_t count = queue->count - (old == NULL ? 0 : 1);
    size_t bytes = queue->bytes - (old == NULL ? 0 : old->bytes);
    return count < queue->count_max && op->bytes <= queue->bytes_max - bytes;
}

static struct store_op *find(const struct queue *queue, const struct store_op *op) {
    return op->key.len == 0 ? NULL : map_find(queue->by_key, op->key);
}

/* Enters the op as its key's newest; failing that, it is merely never merged. */
static void enter(struct queue *queue, struct store_op *op) {
    if (op->key.len > 0 && map_add(queue->by_key, op->key, op) != WEFT_OK) {
        DEBUG_ASSERT(map_find(queue->by_key, op->key) == NULL);
    }
}

enum weft_err queue_put(struct queue *queue, struct store_op *op) {
    ASSERT(queue != NULL && op != NULL);
    struct store_op *old = find(queue, op);
    if (!has_room(queue, op, old)) {
        queue->refused++;
        op_free(op);
        return WEFT_ERR_FULL;
    }
    if (old != NULL) {
        map_remove(queue->by_key, old->key);
        unlink_op(queue, old);
        release(queue, old);
        queue->merged++;
    }
    account(queue, op);
    link_last(queue, op);
    enter(queue, op);
    return WEFT_OK;
}

struct store_op *queue_take(struct queue *queue) {
    struct store_op *taken = queue->first;
    for (struct store_op *op = taken; op != NULL; op = op->next) {
        if (op->key.len > 0) {
            map_remove(queue->by_key, op->key);
        }
    }
    queue->first = NULL;
    queue->last = NULL;
    return taken;
}

size_t queue_done(struct queue *queue, struct store_op *taken) {
    size_t count = 0;
    while (taken != NULL) {
        struct store_op *next = taken->next;
        release(queue, taken);
        taken = next;
        count++;
    }
    return count;
}

void queue_put_back(struct queue *queue, struct store_op *taken) {
    struct store_op *op = taken;
    while (op != NULL && op->next != NULL) {
        op = op->next;
    }
    while (op != NULL) { /* newest first, each before what stands there */
        struct store_op *previous = op->previous;
        if (find(queue, op) != NULL) {
            queue->merged++;
            release(queue, op);
        } else {
            link_first(queue, op);
            enter(queue, op);
        }
        op = previous;
    }
}
