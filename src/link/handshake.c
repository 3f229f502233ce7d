/* SPDX-License-Identifier: Apache-2.0
 *
 * The handshake's messages, one function for each. Lengths are checked as soon as they are there,
 * so that garbage is refused without waiting for the rest of it.
 */
#include "link/handshake.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/time.h"

#define PATTERN "XXpsk0+psk3"
#define LENGTH_BYTES 2
#define HEAD_BYTES (HANDSHAKE_PREAMBLE_BYTES + LENGTH_BYTES)

/* What the messages are besides their payloads: keys of 32 bytes, tags of 16. */
#define OVERHEAD_1 (32 + 16)
#define OVERHEAD_2 (32 + 32 + 16 + 16)
#define OVERHEAD_3 (32 + 16 + 16)

/* With its preamble message 1 is as long as the longest message 2, so that the acceptor never
 * answers with more bytes than it got (T17). */
#define PADDING (LENGTH_BYTES + OVERHEAD_2 + WIRE_HELLO_BYTES_MAX - HEAD_BYTES - OVERHEAD_1)

_Static_assert(HEAD_BYTES + OVERHEAD_1 + PADDING <= LINK_HANDSHAKE_BYTES_MAX, "C4: message 1");
_Static_assert(LENGTH_BYTES + OVERHEAD_2 + WIRE_HELLO_BYTES_MAX <= LINK_HANDSHAKE_BYTES_MAX,
               "C4: message 2");

static const uint8_t MAGIC[4] = {'w', 'e', 'f', 't'};

static enum handshake_result faulty(struct link_fault *fault, enum weft_err err, const char *text) {
    *fault = (struct link_fault){.err = err, .text = text};
    return HANDSHAKE_FAULT;
}

/* ---- making one ---- */

void link_shared_init(struct link_shared *shared, const uint8_t secret[32]) {
    uint8_t hash[32];
    *shared = (struct link_shared){.rekey_after = 120 * NS_PER_S,
                                   .keys_max = 180 * NS_PER_S,
                                   .rekey_records = (uint64_t)1 << 32};
    shared->hello.version_min = WIRE_VERSION_MIN;
    shared->hello.version_max = WIRE_VERSION_MAX;
    noise_hash("weft mesh id", span_of(secret, 32), hash);
    memcpy(shared->mesh_id, hash, sizeof shared->mesh_id);
    noise_derive(secret, "weft link psk", shared->psk);
}

static enum weft_err noise_start(struct handshake *hs, const struct link_shared *shared) {
    static const char label[] = "weft link 1";
    uint8_t prologue[sizeof label - 1 + HANDSHAKE_PREAMBLE_BYTES + sizeof shared->mesh_id];
    struct wire_writer writer = wire_writer_of(prologue, sizeof prologue);
    wire_write_bytes(&writer, span_of_text(label));
    wire_write_bytes(&writer, span_of(hs->preamble, sizeof hs->preamble));
    wire_write_bytes(&writer, span_of(shared->mesh_id, sizeof shared->mesh_id));
    uint8_t psks[2][WEFT_KEY_BYTES];
    memcpy(psks[0], shared->psk, WEFT_KEY_BYTES);
    memcpy(psks[1], shared->psk, WEFT_KEY_BYTES);
    struct noise_config config = {.pattern = PATTERN,
                                  .is_initiator = hs->role == LINK_DIALLED,
                                  .prologue = wire_writer_view(&writer),
                                  .local_static = &shared->identity->link_static,
                                  .psks = (const uint8_t(*)[WEFT_KEY_BYTES])psks,
                                  .psk_count = 2};
    host_random(shared->host, config.ephemeral_secret, sizeof config.ephemeral_secret);
    enum weft_err err = noise_handshake_new(&config, &hs->noise);
    noise_wipe(&config, sizeof config);
    noise_wipe(psks, sizeof psks);
    return err;
}

/* Appends the next message with its length to `out`. */
static enum weft_err message_write(struct handshake *hs, struct span payload) {
    ASSERT(hs->out_len + LENGTH_BYTES <= sizeof hs->out);
    uint8_t *place = hs->out + hs->out_len;
    size_t len = sizeof hs->out - hs->out_len - LENGTH_BYTES;
    enum weft_err err = noise_handshake_write(hs->noise, payload, place + LENGTH_BYTES, &len);
    place[0] = (uint8_t)(len >> 8);
    place[1] = (uint8_t)len;
    hs->out_len += err == WEFT_OK ? LENGTH_BYTES + len : 0;
    return err;
}

static enum weft_err message_1_write(struct handshake *hs, const struct link_shared *shared) {
    static const uint8_t padding[PADDING] = {0};
    memcpy(hs->preamble, MAGIC, sizeof MAGIC);
    hs->preamble[4] = shared->hello.version_min;
    hs->preamble[5] = shared->hello.version_max;
    memcpy(hs->out, hs->preamble, sizeof hs->preamble);
    hs->out_len = sizeof hs->preamble;
    enum weft_err err = noise_start(hs, shared);
    if (err != WEFT_OK) {
        return err;
    }
    return message_write(hs, span_of(padding, sizeof padding));
}

/* A message whose payload is our hello. */
static enum weft_err hello_write(struct handshake *hs, const struct link_shared *shared) {
    uint8_t bytes[WIRE_HELLO_BYTES_MAX];
    struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
    struct wire_hello hello = shared->hello;
    hello.key = shared->identity->key;
    wire_hello_encode(&writer, &hello, shared->addresses, shared->address_count);
    ASSERT(!writer.has_failed);
    if (hs->out_done == hs->out_len) {
        hs->out_done = hs->out_len = 0;
    }
    return message_write(hs, wire_writer_view(&writer));
}

enum weft_err handshake_new(const struct link_shared *shared, enum link_role role,
                            const struct weft_peer_id *expected, struct handshake **out) {
    struct handshake *hs = calloc(1, sizeof *hs);
    if (hs == NULL) {
        return WEFT_ERR_MEMORY;
    }
    hs->role = role;
    hs->has_expected = expected != NULL;
    if (expected != NULL) {
        hs->expected = *expected;
    }
    enum weft_err err = role == LINK_DIALLED ? message_1_write(hs, shared) : WEFT_OK;
    if (err != WEFT_OK) {
        handshake_free(hs);
        return err;
    }
    *out = hs;
    return WEFT_OK;
}

void handshake_free(struct handshake *hs) {
    if (hs != NULL) {
        noise_handshake_free(hs->noise);
        noise_wipe(hs, sizeof *hs);
        free(hs);
    }
}

/* ---- reading ---- */

/* The message behind `skip` bytes, when all of it has come; its length must lie in the range. */
static enum handshake_result message_find(const struct inbuf *in, size_t skip, size_t overhead,
                                          struct span *out, struct link_fault *fault) {
    struct span bytes = inbuf_view(in);
    if (bytes.len < skip + LENGTH_BYTES) {
        return HANDSHAKE_WAIT;
    }
    size_t length = (size_t)bytes.data[skip] << 8 | bytes.data[skip + 1];
    size_t length_max =
        skip > 0 ? LINK_HANDSHAKE_BYTES_MAX - HEAD_BYTES : overhead + WIRE_HELLO_BYTES_MAX;
    if (length < overhead || length > length_max) {
        return faulty(fault, WEFT_ERR_MALFORMED, "a handshake message of an impossible length");
    }
    if (bytes.len < skip + LENGTH_BYTES + length) {
        return HANDSHAKE_WAIT;
    }
    *out = span_of(bytes.data + skip + LENGTH_BYTES, length);
    return HANDSHAKE_DONE;
}

/* The preamble, as far as it has come. */
static enum handshake_result preamble_check(struct handshake *hs, const struct inbuf *in,
                                            struct link_fault *fault) {
    struct span bytes = inbuf_view(in);
    size_t len = bytes.len < sizeof MAGIC ? bytes.len : sizeof MAGIC;
    if (len > 0 && memcmp(bytes.data, MAGIC, len) != 0) {
        return faulty(fault, WEFT_ERR_MALFORMED, "not weft's preamble");
    }
    if (bytes.len < HANDSHAKE_PREAMBLE_BYTES) {
        return HANDSHAKE_WAIT;
    }
    memcpy(hs->preamble, bytes.data, HANDSHAKE_PREAMBLE_BYTES);
    if (hs->preamble[4] == 0 || hs->preamble[4] > hs->preamble[5]) {
        return faulty(fault, WEFT_ERR_MALFORMED, "a preamble with an impossible range of versions");
    }
    return HANDSHAKE_DONE;
}

static bool is_replay(const struct link_shared *shared, const uint8_t *ephemeral) {
    return shared->guard != NULL && guard_is_replay(shared->guard, ephemeral);
}

/* Message 1 is here: proves that its sender knows the mesh secret, not that it was sent just now.
 */
static enum handshake_result message_1_take(struct handshake *hs, const struct link_shared *shared,
                                            struct span message, struct link_fault *fault) {
    if (noise_start(hs, shared) != WEFT_OK) {
        return faulty(fault, WEFT_ERR_MEMORY, "out of memory");
    }
    size_t len = sizeof hs->out; /* nothing is in it yet */
    if (noise_handshake_read(hs->noise, message, hs->out, &len) != WEFT_OK) {
        return faulty(fault, WEFT_ERR_AUTH, "the dialler does not know the mesh secret");
    }
    if (is_replay(shared, message.data)) {
        return faulty(fault, WEFT_ERR_AUTH, "a first message that was sent before");
    }
    enum weft_err err = hello_write(hs, shared);
    if (err != WEFT_OK || hs->out_len > HEAD_BYTES + message.len) {
        hs->out_len = 0;
        return faulty(fault, err != WEFT_OK ? err : WEFT_ERR_MALFORMED,
                      "a first message shorter than its answer");
    }
    return HANDSHAKE_WAIT;
}

static enum handshake_result message_1_read(struct handshake *hs, const struct link_shared *shared,
                                            struct inbuf *in, struct link_fault *fault) {
    struct span message;
    enum handshake_result result = preamble_check(hs, in, fault);
    if (result == HANDSHAKE_DONE) {
        result = message_find(in, HANDSHAKE_PREAMBLE_BYTES, OVERHEAD_1, &message, fault);
    }
    if (result == HANDSHAKE_DONE) {
        in->begin += HEAD_BYTES + message.len;
        result = message_1_take(hs, shared, message, fault);
    }
    return result;
}

/* Whether the hello's key is the one that the handshake proved (T7). */
static bool is_proven(const struct handshake *hs) {
    uint8_t key[WEFT_KEY_BYTES];
    const uint8_t *proven = noise_handshake_remote_static(hs->noise);
    return proven != NULL && identity_link_key(&hs->hello.key, key) == WEFT_OK &&
           noise_equal(key, proven, sizeof key);
}

/* The dialler's hello must repeat the range that its preamble stated. */
static bool is_range_kept(const struct handshake *hs) {
    return hs->role == LINK_DIALLED ||
           (hs->hello.version_min == hs->preamble[4] && hs->hello.version_max == hs->preamble[5]);
}

/* The highest version both speak; 0 when there is none. */
static uint8_t version_choose(const struct wire_hello *ours, const struct wire_hello *theirs) {
    uint8_t version =
        ours->version_max < theirs->version_max ? ours->version_max : theirs->version_max;
    return version >= ours->version_min && version >= theirs->version_min ? version : 0;
}

static enum handshake_result hello_judge(struct handshake *hs, const struct link_shared *shared,
                                         struct link_fault *fault) {
    if (!is_proven(hs)) {
        return faulty(fault, WEFT_ERR_AUTH, "the hello's key is not the one that was proven");
    }
    hs->peer = peer_id_of_key(&hs->hello.key);
    if (weft_peer_id_equal(&hs->peer, &shared->identity->id)) {
        return faulty(fault, WEFT_ERR_REFUSED, "self: the other side has our own key");
    }
    if (hs->has_expected && !weft_peer_id_equal(&hs->peer, &hs->expected)) {
        return faulty(fault, WEFT_ERR_AUTH, "somebody else than expected answered");
    }
    if (!is_range_kept(hs)) {
        return faulty(fault, WEFT_ERR_MALFORMED, "hello and preamble differ in versions");
    }
    hs->version = version_choose(&shared->hello, &hs->hello);
    if (hs->version == 0) {
        return faulty(fault, WEFT_ERR_VERSION, "no wire version in common");
    }
    return HANDSHAKE_DONE;
}

/* Message 2 or 3: the peer's hello. */
static enum handshake_result hello_read(struct handshake *hs, struct inbuf *in, size_t overhead,
                                        struct link_fault *fault) {
    struct span message;
    enum handshake_result result = message_find(in, 0, overhead, &message, fault);
    if (result != HANDSHAKE_DONE) {
        return result;
    }
    in->begin += LENGTH_BYTES + message.len;
    size_t len = sizeof hs->hello_bytes;
    if (noise_handshake_read(hs->noise, message, hs->hello_bytes, &len) != WEFT_OK) {
        return faulty(fault, WEFT_ERR_AUTH, "a handshake message that does not open");
    }
    if (wire_hello_decode(span_of(hs->hello_bytes, len), &hs->hello) != WEFT_OK) {
        return faulty(fault, WEFT_ERR_MALFORMED, "a hello that is not one");
    }
    return HANDSHAKE_DONE;
}

enum handshake_result handshake_read(struct handshake *hs, const struct link_shared *shared,
                                     struct inbuf *in, struct link_fault *fault) {
    if (hs->noise == NULL) {
        enum handshake_result result = message_1_read(hs, shared, in, fault);
        if (hs->noise == NULL || result != HANDSHAKE_WAIT) {
            return result;
        }
    }
    size_t overhead = hs->role == LINK_DIALLED ? OVERHEAD_2 : OVERHEAD_3;
    enum handshake_result result = hello_read(hs, in, overhead, fault);
    if (result == HANDSHAKE_DONE) {
        result = hello_judge(hs, shared, fault);
    }
    if (result == HANDSHAKE_DONE && hs->role == LINK_DIALLED) {
        enum weft_err err = hello_write(hs, shared);
        return err == WEFT_OK ? result : faulty(fault, err, "no message 3 can be made");
    }
    return result;
}
