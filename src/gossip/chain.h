/* SPDX-License-Identifier: Apache-2.0
 *
 * A circular, doubly linked list threaded through the structs it holds: adding cannot fail and
 * walks go in the order of adding.
 */
#ifndef GOSSIP_CHAIN_H
#define GOSSIP_CHAIN_H

#include <stdbool.h>
#include <stddef.h>

struct chain {
    struct chain *prev;
    struct chain *next;
};

/* The struct of `type` whose `member` the link is. */
#define CHAIN_OF(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void chain_init(struct chain *chain) {
    chain->prev = chain;
    chain->next = chain;
}

static inline bool chain_is_empty(const struct chain *chain) {
    return chain->next == chain;
}

/* Adds at the end. */
static inline void chain_append(struct chain *head, struct chain *link) {
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

/* Takes a link out; one that is in no chain (initialised) stays so. */
static inline void chain_remove(struct chain *link) {
    link->prev->next = link->next; /* NOLINT(clang-analyzer-unix.Malloc): see below */
    link->next->prev = link->prev; /* NOLINT(clang-analyzer-unix.Malloc): see below */
    chain_init(link);
}

/* The analyzer does not follow that in a chain of one prev and next are the same head, keeps a
 * removed link for reachable, and so takes its neighbours for freed. */

#endif
