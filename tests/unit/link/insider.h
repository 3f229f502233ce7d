/* SPDX-License-Identifier: Apache-2.0
 *
 * An attacker with a valid key: dials a link with the parts of src/link and then seals what it
 * likes.
 */
#ifndef TESTS_UNIT_LINK_INSIDER_H
#define TESTS_UNIT_LINK_INSIDER_H

#include "link/handshake.h"
#include "link/rekey.h"
#include "unit/link/pair.h"

struct insider {
    struct end end; /* identity and secrets; its link is not used */
    struct rekey rekey;
    struct record_reader reader;
    struct inbuf in;
    struct aead *send;
    uint64_t counter;
    size_t read_done; /* of the victim's wire */
};

/* Dials `victim`, which is then up. */
void insider_up(struct insider *insider, struct end *victim, weft_ns now);
void insider_fini(struct insider *insider);

/* Seals `plain` and feeds it, then `payload_len` bytes behind it. */
void insider_send(struct insider *insider, struct end *victim, const void *plain, size_t len,
                  size_t payload_len, weft_ns now);

/* One frame of a kind with this body. */
void insider_frame(struct insider *insider, struct end *victim, uint8_t kind, uint8_t flags,
                   struct span body, weft_ns now);

/* Reads the victim's next frame; false when there is none. */
bool insider_read(struct insider *insider, struct end *victim, struct wire_frame *out, weft_ns now);

#endif
