/* SPDX-License-Identifier: Apache-2.0 */
#include "invite/invite.h"

#include <sodium.h>
#include <string.h>

#include "base/check.h"

struct weft_peer_id invite_peer_id(const struct invite *invite) {
    ASSERT(invite != NULL);
    uint8_t digest[crypto_generichash_BYTES];
    struct weft_peer_id id;
    (void)crypto_generichash(digest, sizeof digest, invite->key.bytes, sizeof invite->key.bytes,
                             NULL, 0);
    memcpy(id.bytes, digest, sizeof id.bytes);
    return id;
}
