/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the attacker share: its state, the words of the line that it is told, and what
 * each part does. attacker.c has the language.
 */
#ifndef TESTS_HOSTILE_ATTACKER_H
#define TESTS_HOSTILE_ATTACKER_H

#include "hostile/insider.h"
#include "stream/streams.h"

#define WORDS_MAX 9
#define LINE_MAX_BYTES ((size_t)1 << 20)

struct attacker {
    struct insider insider;
    struct streams *streams; /* made when first needed */
    bool has_session;        /* with the victim: it answered what was sealed for it */
    uint8_t session_psk[WEFT_KEY_BYTES];
    char *words[WORDS_MAX];
    size_t word_count;
    uint64_t reconnects; /* so far: a network that was used up is not used again */
    uint64_t phantoms;   /* invented so far */
    unsigned copies;     /* how often a packet is sent: a relay that repeats what it carries */
    uint8_t bytes[2][LINE_MAX_BYTES / 2];
};

/* A word as a number; 0 when it is missing. */
uint64_t attacker_number(const struct attacker *attacker, size_t index);

/* The bytes of a hexadecimal word; "-" and a missing word are empty. `slot` (0 or 1) says where
 * they go, and they stay there until the slot is used again. */
struct span attacker_hex(struct attacker *attacker, size_t index, size_t slot);

/* When something that is to last as many milliseconds as that word says is over. */
weft_ns attacker_end(const struct attacker *attacker, size_t index);

/* attacker_streams.c: sessions with the victim, as a node has them. */
void do_opens(struct attacker *attacker);
void do_flows(struct attacker *attacker);

/* attacker_crowd.c: connections in numbers. */
void do_knock(struct attacker *attacker);
void do_reconnect(struct attacker *attacker);

#endif
