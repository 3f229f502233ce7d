/* SPDX-License-Identifier: Apache-2.0
 *
 * The link handshake (docs/protocol.md, "Links"): Noise XXpsk0+psk3, three messages of a 2-byte
 * length and their bytes, the first behind a preamble of magic and version range.
 *
 *    dialler                                             acceptor
 *      "weft" min max | 898 - 8 bytes: e, psk0, padding  -->  opens only with the mesh secret
 *                     <-- message 2: e, ee, s, es, hello      never longer than what came in
 *      message 3: s, se, psk3, hello                     -->  up
 *
 * The preamble and the mesh id are in the prologue, so that nothing of them can be changed on the
 * way. Both sides check that the hello's Ed25519 key converts to the static key that was proven.
 */
#ifndef LINK_HANDSHAKE_H
#define LINK_HANDSHAKE_H

#include "link/link.h"
#include "link/record.h"
#include "noise/handshake.h"

#define HANDSHAKE_PREAMBLE_BYTES 6

struct handshake {
    struct noise_handshake *noise;
    enum link_role role;
    bool has_expected;
    struct weft_peer_id expected;
    size_t out_len;  /* bytes of `out` to send ... */
    size_t out_done; /* ... and how many of them went */
    uint8_t preamble[HANDSHAKE_PREAMBLE_BYTES];
    uint8_t version;          /* chosen, once done */
    struct weft_peer_id peer; /* proven, once done */
    struct wire_hello hello;  /* the peer's; points into hello_bytes */
    uint8_t hello_bytes[WIRE_HELLO_BYTES_MAX];
    uint8_t out[LINK_HANDSHAKE_BYTES_MAX];
};

enum handshake_result {
    HANDSHAKE_WAIT, /* for more bytes */
    HANDSHAKE_DONE, /* the peer is proven; `out` may still hold message 3 */
    HANDSHAKE_FAULT,
};

/* `expected` is who must answer, or NULL. A dialler's message 1 is in `out` at once.
 * WEFT_ERR_MEMORY, or what the crypto refuses. */
WEFT_MUST_CHECK enum weft_err handshake_new(const struct link_shared *shared, enum link_role role,
                                            const struct weft_peer_id *expected,
                                            struct handshake **out);
/* Wipes. Takes NULL. */
void handshake_free(struct handshake *hs);

/* Takes the next message off `in` when it has come. */
enum handshake_result handshake_read(struct handshake *hs, const struct link_shared *shared,
                                     struct inbuf *in, struct link_fault *fault);

static inline struct span handshake_pending(const struct handshake *hs) {
    return span_of(hs->out + hs->out_done, hs->out_len - hs->out_done);
}

#endif
