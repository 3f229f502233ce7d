/* SPDX-License-Identifier: Apache-2.0
 *
 * Circular doubly linked lists threaded through their items: adding and removing cannot fail, and
 * an item knows whether it is in a list. Zeroed links are in none.
 */
#ifndef STREAM_LIST_H
#define STREAM_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

/* The item that embeds a link. */
#define LIST_OWNER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void list_init(struct list *head) {
    head->next = head;
    head->prev = head;
}

static inline bool list_is_linked(const struct list *link) {
    return link->next != NULL;
}

static inline bool list_is_empty(const struct list *head) {
    return head->next == head;
}

static inline struct list *list_first(const struct list *head) {
    return list_is_empty(head) ? NULL : head->next;
}

/* Takes a link out of its list; nothing happens if it is in none. */
static inline void list_remove(struct list *link) {
    if (list_is_linked(link)) {
        link->prev->next = link->next;
        link->next->prev = link->prev;
        *link = (struct list){.next = NULL};
    }
}

/* Adds at the tail; nothing happens if the link is in a list already. */
static inline void list_push(struct list *head, struct list *link) {
    if (!list_is_linked(link)) {
        link->next = head;
        link->prev = head->prev;
        head->prev->next = link;
        head->prev = link;
    }
}

#endif
