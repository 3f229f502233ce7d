/* SPDX-License-Identifier: Apache-2.0
 *
 * Key sets and their replay windows.
 */
#include "stream/keys.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/defect.h"
#include "noise/identity.h"

bool replay_is_new(const struct replay_window *window, uint64_t number) {
    if (number == UINT64_MAX) {
        return false; /* the window would have no next one */
    }
    if (number >= window->next || DEFECT(REPLAY_UNCHECKED)) {
        return true;
    }
    if (window->next - number > REPLAY_WINDOW_PACKETS) {
        return false;
    }
    uint64_t word = window->words[number / 64 % REPLAY_WORDS];
    return ((word >> (number % 64)) & 1) == 0;
}

bool replay_was_seen(const struct replay_window *window, uint64_t number) {
    return number < window->next && window->next - number <= REPLAY_WINDOW_PACKETS &&
           !replay_is_new(window, number);
}

/* Empties the words between the old highest number and the new one. */
static void slide(struct replay_window *window, uint64_t number) {
    uint64_t from = window->next == 0 ? 0 : (window->next - 1) / 64 + 1;
    uint64_t to = number / 64;
    if (to - from >= REPLAY_WORDS && to >= from) {
        from = to - REPLAY_WORDS + 1;
    }
    for (uint64_t word = from; word <= to; word++) {
        window->words[word % REPLAY_WORDS] = 0;
    }
    window->next = number + 1;
}

void replay_mark(struct replay_window *window, uint64_t number) {
    ASSERT(replay_is_new(window, number));
    if (number >= window->next) {
        slide(window, number);
    }
    window->words[number / 64 % REPLAY_WORDS] |= (uint64_t)1 << (number % 64);
}

struct session_keys *keys_new(struct session *session, uint32_t local_index) {
    struct session_keys *keys = calloc(1, sizeof *keys);
    if (keys != NULL) {
        keys->session = session;
        keys->local_index = local_index;
    }
    return keys;
}

void keys_free(struct session_keys *keys) {
    if (keys == NULL) {
        return;
    }
    noise_handshake_free(keys->handshake);
    frame_unref(keys->said);
    aead_free(keys->send);
    aead_free(keys->receive);
    free(keys);
}

enum weft_err keys_finish(struct session_keys *keys, enum aead_cipher cipher, weft_ns now) {
    ASSERT(keys->handshake != NULL && noise_handshake_is_done(keys->handshake));
    struct noise_keys split;
    noise_handshake_split(keys->handshake, &split);
    noise_handshake_free(keys->handshake);
    keys->handshake = NULL;
    keys->cipher = cipher;
    keys->made_at = now;
    keys->send = aead_new(cipher, split.send);
    keys->receive = aead_new(cipher, split.receive);
    noise_wipe(&split, sizeof split);
    return keys->send != NULL && keys->receive != NULL ? WEFT_OK : WEFT_ERR_MEMORY;
}
