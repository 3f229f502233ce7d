/* SPDX-License-Identifier: Apache-2.0
 *
 * The rekeying's three steps. Keys exist only inside struct aead from the moment they are split,
 * and an old key is wiped when its successor takes over.
 */
#include "link/rekey.h"

#include "base/check.h"
#include "base/time.h"

#define PATTERN "KKpsk0"
#define MESSAGE_BYTES 48 /* an ephemeral key and a tag */

static bool faulty(struct link_fault *fault, enum weft_err err, const char *text) {
    *fault = (struct link_fault){.err = err, .text = text};
    return false;
}

void rekey_init(struct rekey *rekey, enum link_role role, const struct noise_keys *keys,
                const uint8_t remote_static[WEFT_KEY_BYTES], weft_ns now) {
    *rekey = (struct rekey){.role = role, .since = now};
    memcpy(rekey->hash, keys->hash, sizeof rekey->hash);
    memcpy(rekey->remote_static, remote_static, sizeof rekey->remote_static);
}

void rekey_fini(struct rekey *rekey) {
    noise_handshake_free(rekey->noise);
    aead_free(rekey->next_send);
    aead_free(rekey->next_receive);
    noise_wipe(rekey, sizeof *rekey);
}

static enum weft_err noise_start(const struct rekey *rekey, const struct link_shared *shared,
                                 struct noise_handshake **out) {
    static const char label[] = "weft rekey 1";
    uint8_t prologue[sizeof label - 1 + WEFT_KEY_BYTES];
    memcpy(prologue, label, sizeof label - 1);
    memcpy(prologue + sizeof label - 1, rekey->hash, WEFT_KEY_BYTES);
    uint8_t psks[1][WEFT_KEY_BYTES];
    memcpy(psks[0], shared->psk, WEFT_KEY_BYTES);
    struct noise_config config = {.pattern = PATTERN,
                                  .is_initiator = rekey->role == LINK_DIALLED,
                                  .prologue = span_of(prologue, sizeof prologue),
                                  .local_static = &shared->identity->link_static,
                                  .remote_static = rekey->remote_static,
                                  .psks = (const uint8_t(*)[WEFT_KEY_BYTES])psks,
                                  .psk_count = 1};
    host_random(shared->host, config.ephemeral_secret, sizeof config.ephemeral_secret);
    enum weft_err err = noise_handshake_new(&config, out);
    noise_wipe(&config, sizeof config);
    noise_wipe(psks, sizeof psks);
    return err;
}

/* The frame of a step, to go out as the next record's last. */
static void frame_make(struct rekey *rekey, uint8_t step, struct span message) {
    struct wire_writer writer = wire_writer_of(rekey->frame, sizeof rekey->frame);
    struct wire_rekey body = {.step = step, .message = message};
    size_t begin = wire_frame_begin(&writer, WIRE_REKEY, 0);
    wire_rekey_encode(&writer, &body);
    wire_frame_end(&writer, begin);
    ASSERT(!writer.has_failed);
    rekey->frame_len = wire_writer_view(&writer).len;
}

static enum weft_err message_make(struct rekey *rekey, struct noise_handshake *noise,
                                  uint8_t step) {
    uint8_t message[MESSAGE_BYTES];
    size_t len = sizeof message;
    struct span nothing = {.data = NULL, .len = 0};
    enum weft_err err = noise_handshake_write(noise, nothing, message, &len);
    if (err == WEFT_OK) {
        frame_make(rekey, step, span_of(message, len));
    }
    return err;
}

enum weft_err rekey_start(struct rekey *rekey, const struct link_shared *shared) {
    ASSERT(rekey->role == LINK_DIALLED);
    if (rekey->stage != REKEY_IDLE || rekey->frame_len > 0) {
        return WEFT_OK;
    }
    enum weft_err err = noise_start(rekey, shared, &rekey->noise);
    if (err == WEFT_OK) {
        err = message_make(rekey, rekey->noise, 1);
    }
    if (err == WEFT_OK) {
        rekey->stage = REKEY_WAIT_2;
    }
    return err;
}

/* A Noise message without payload. */
static bool message_read(struct noise_handshake *noise, struct span message,
                         struct link_fault *fault) {
    uint8_t payload[1];
    size_t len = sizeof payload;
    if (message.len != MESSAGE_BYTES ||
        noise_handshake_read(noise, message, payload, &len) != WEFT_OK) {
        return faulty(fault, WEFT_ERR_AUTH, "a rekeying message that does not open");
    }
    return true;
}

/* Both keys of a finished handshake, ready for use. */
static bool keys_make(struct rekey *rekey, const struct noise_handshake *noise,
                      struct link_fault *fault) {
    struct noise_keys keys;
    noise_handshake_split(noise, &keys);
    rekey->next_send = aead_new(AEAD_CHACHA20_POLY1305, keys.send);
    rekey->next_receive = aead_new(AEAD_CHACHA20_POLY1305, keys.receive);
    memcpy(rekey->hash, keys.hash, sizeof rekey->hash);
    noise_wipe(&keys, sizeof keys);
    bool is_made = rekey->next_send != NULL && rekey->next_receive != NULL;
    return is_made || faulty(fault, WEFT_ERR_MEMORY, "out of memory");
}

/* The record just read was the last under the old key. */
static void receive_switch(struct rekey *rekey, struct record_reader *reader, weft_ns now) {
    aead_free(reader->aead);
    reader->aead = rekey->next_receive;
    reader->counter = 0;
    rekey->next_receive = NULL;
    rekey->stage = REKEY_IDLE;
    rekey->since = now;
    rekey->count++;
}

/* Whether the present keys are fresh. New ones cost three Diffie-Hellmans: a peer may not ask for
 * them as often as it likes (T15). An honest dialler counts its time from our answer or later, and
 * has not seen more records than we. */
static bool is_fresh(const struct rekey *rekey, const struct link_shared *shared, weft_ns now) {
    return rekey->count > 0 &&
           time_since(rekey->answered, now) < shared->rekey_after / REKEY_FRESH &&
           rekey->records < shared->rekey_records / REKEY_FRESH;
}

/* Acceptor: answers message 1. */
static bool step_1(struct rekey *rekey, const struct link_shared *shared, struct span message,
                   struct link_fault *fault) {
    struct noise_handshake *noise = NULL;
    if (noise_start(rekey, shared, &noise) != WEFT_OK) {
        return faulty(fault, WEFT_ERR_MEMORY, "out of memory");
    }
    bool is_good = message_read(noise, message, fault);
    if (is_good && message_make(rekey, noise, 2) != WEFT_OK) {
        is_good = faulty(fault, WEFT_ERR_AUTH, "no answer can be made to a rekeying message");
    }
    is_good = is_good && keys_make(rekey, noise, fault);
    rekey->stage = REKEY_WAIT_3;
    noise_handshake_free(noise);
    return is_good;
}

/* Dialler: message 2 came; both keys are known. */
static bool step_2(struct rekey *rekey, struct span message, struct record_reader *reader,
                   weft_ns now, struct link_fault *fault) {
    if (!message_read(rekey->noise, message, fault) || !keys_make(rekey, rekey->noise, fault)) {
        return false;
    }
    noise_handshake_free(rekey->noise);
    rekey->noise = NULL;
    receive_switch(rekey, reader, now);
    frame_make(rekey, 3, span_of(NULL, 0));
    return true;
}

/* Whether this step is what this side waits for. */
static bool is_due(const struct rekey *rekey, uint8_t step) {
    switch (rekey->stage) {
    case REKEY_IDLE:
        return rekey->role == LINK_ACCEPTED && step == 1;
    case REKEY_WAIT_2:
        return step == 2 && rekey->frame_len == 0;
    case REKEY_WAIT_3:
        return step == 3 && rekey->frame_len == 0;
    }
    return false;
}

bool rekey_take(struct rekey *rekey, const struct link_shared *shared, struct span body,
                struct record_reader *reader, weft_ns now, struct link_fault *fault) {
    struct wire_rekey message;
    if (wire_rekey_decode(body, &message) != WEFT_OK || !is_due(rekey, message.step)) {
        return faulty(fault, WEFT_ERR_MALFORMED, "a rekeying step that is not due");
    }
    if (message.step != 1 && !record_is_drained(reader)) {
        return faulty(fault, WEFT_ERR_MALFORMED, "a rekeying step that is not its record's last");
    }
    if (message.step == 1 && is_fresh(rekey, shared, now)) {
        return faulty(fault, WEFT_ERR_MALFORMED, "a rekeying too soon after the last");
    }
    if (message.step == 1) {
        rekey->answered = now;
        return step_1(rekey, shared, message.message, fault);
    }
    if (message.step == 2) {
        return step_2(rekey, message.message, reader, now, fault);
    }
    receive_switch(rekey, reader, now);
    return true;
}

void rekey_sealed(struct rekey *rekey, struct record_writer *writer) {
    rekey->frame_len = 0;
    if (rekey->next_send != NULL) {
        aead_free(writer->aead);
        writer->aead = rekey->next_send;
        writer->counter = 0;
        rekey->next_send = NULL;
    }
}

weft_ns rekey_deadline(const struct rekey *rekey, const struct link_shared *shared) {
    bool starts =
        rekey->role == LINK_DIALLED && rekey->stage == REKEY_IDLE && rekey->frame_len == 0;
    return time_after(rekey->since, starts ? shared->rekey_after : shared->keys_max);
}
