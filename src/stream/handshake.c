/* SPDX-License-Identifier: Apache-2.0
 *
 * Handshakes of sessions: Noise IKpsk0_25519_ChaChaPoly_BLAKE2b under a prologue that names both
 * ends, so that an answer cannot be moved to another pair. As in WireGuard a responder uses new
 * keys only once a packet sealed with them came: an INIT alone, which may be a replay, ends
 * nothing.
 */
#include "stream/flow.h"
#include "stream/session.h"

#include <string.h>

#include "base/check.h"
#include "stream/caller.h"
#include "stream/handshake.h"
#include "stream/hint.h"
#include "stream/stream.h"
#include "stream/window.h"

#define HELLO_BYTES_MAX 256
#define INIT_LIFE_SHIFT_MAX 3 /* 8 s: longer than any round trip on which a stream is of use */
#define ANSWER_SPACING                                                                             \
    (100 * NS_PER_MS) /* a tenth of that of INITs; who repeats them is not heeded */
#define CIPHER_BIT(cipher) ((uint8_t)(1U << (cipher)))

/* "weft session 1", then initiator and responder. */
struct prologue {
    uint8_t bytes[14 + 2 * WEFT_PEER_ID_BYTES];
};

static struct prologue prologue_of(const struct weft_peer_id *initiator,
                                   const struct weft_peer_id *responder) {
    struct prologue prologue;
    memcpy(prologue.bytes, "weft session 1", 14);
    memcpy(prologue.bytes + 14, initiator->bytes, WEFT_PEER_ID_BYTES);
    memcpy(prologue.bytes + 14 + WEFT_PEER_ID_BYTES, responder->bytes, WEFT_PEER_ID_BYTES);
    return prologue;
}

/* ChaCha20-Poly1305 always; AES-256-GCM where this machine does it well. */
static uint8_t ciphers_offered(void) {
    uint8_t bits = CIPHER_BIT(AEAD_CHACHA20_POLY1305);
    if (aead_preferred() == AEAD_AES_256_GCM) {
        bits |= CIPHER_BIT(AEAD_AES_256_GCM);
    }
    return bits;
}

/* AES-256-GCM if both ends prefer it. */
static enum aead_cipher cipher_chosen(uint8_t offered) {
    return (offered & ciphers_offered() & CIPHER_BIT(AEAD_AES_256_GCM)) != 0
               ? AEAD_AES_256_GCM
               : AEAD_CHACHA20_POLY1305;
}

static enum weft_err handshake_new(const struct streams *streams, const uint8_t *remote_static,
                                   const struct prologue *prologue, struct noise_handshake **out) {
    uint8_t psks[1][WEFT_KEY_BYTES];
    memcpy(psks[0], streams->config.psk, WEFT_KEY_BYTES);
    struct noise_config config = {
        .pattern = "IKpsk0",
        .is_initiator = remote_static != NULL,
        .prologue = span_of(prologue->bytes, sizeof prologue->bytes),
        .local_static = &streams->config.identity->link_static,
        .remote_static = remote_static,
        .psks = (const uint8_t(*)[WEFT_KEY_BYTES])psks,
        .psk_count = 1,
    };
    host_random(streams->config.host, config.ephemeral_secret, sizeof config.ephemeral_secret);
    enum weft_err err = noise_handshake_new(&config, out);
    noise_wipe(&config, sizeof config);
    noise_wipe(psks, sizeof psks);
    return err;
}

/* Our hello; `ciphers` as the message demands. */
static struct span hello_bytes(const struct session *session, uint8_t ciphers, uint8_t *out) {
    const struct streams *streams = session->streams;
    struct wire_session_hello hello = {.ciphers = ciphers,
                                       .epoch = streams->epoch,
                                       .key = streams->config.identity->key,
                                       .incarnation = streams->config.incarnation,
                                       .instance = streams->config.instance,
                                       .session = session->number};
    struct wire_writer writer = wire_writer_of(out, HELLO_BYTES_MAX);
    wire_session_hello_encode(&writer, &hello);
    ASSERT(!writer.has_failed);
    return wire_writer_view(&writer);
}

/* Says in the clear who asks, and proves it. */
static void sign_init(const struct session *session, struct wire_packet *packet) {
    const struct streams *streams = session->streams;
    const struct identity *identity = streams->config.identity;
    packet->init = (struct wire_init){.key = identity->key,
                                      .incarnation = streams->config.incarnation,
                                      .instance = streams->config.instance,
                                      .epoch = streams->epoch};
    caller_mac(session->caller, &identity->id, &session->id, packet, packet->init.mac);
}

/* A handshake packet whose Noise message carries our hello; NULL when that fails. */
static struct frame *handshake_frame(struct session_keys *keys, uint8_t type, uint8_t ciphers) {
    uint8_t hello[HELLO_BYTES_MAX];
    uint8_t message[HANDSHAKE_BYTES_MAX];
    size_t len = sizeof message;
    struct span payload = hello_bytes(keys->session, ciphers, hello);
    if (noise_handshake_write(keys->handshake, payload, message, &len) != WEFT_OK) {
        return NULL;
    }
    struct frame *frame = frame_new(HANDSHAKE_BYTES_MAX + WIRE_INIT_HEADER_BYTES);
    if (frame == NULL) {
        return NULL;
    }
    struct wire_packet packet = {.type = type,
                                 .sender_index = keys->local_index,
                                 .receiver_index = keys->remote_index,
                                 .rest = span_of(message, len)};
    if (type == WIRE_PACKET_INIT) {
        sign_init(keys->session, &packet);
    }
    struct wire_writer writer = wire_writer_of(frame->data, frame->size);
    wire_packet_encode(&writer, &packet);
    ASSERT(!writer.has_failed);
    frame->len = (uint32_t)writer.len;
    return frame;
}

/* A key set of a random index that is in the table; NULL when out of memory. */
static struct session_keys *keys_add(struct session *session) {
    struct streams *streams = session->streams;
    uint32_t index = 0;
    while (index == 0 || map_find(streams->indices, keys_index(&index)) != NULL) {
        host_random(streams->config.host, &index, sizeof index);
    }
    struct session_keys *keys = keys_new(session, index);
    if (keys != NULL && map_add(streams->indices, keys_index(&index), keys) != WEFT_OK) {
        keys_free(keys);
        return NULL;
    }
    return keys;
}

void handshake_drop_keys(struct session *session, struct session_keys **keys) {
    if (*keys != NULL) {
        (void)map_remove(session->streams->indices, keys_index(&(*keys)->local_index));
        keys_free(*keys);
        *keys = NULL;
    }
}

/* Asks anew, which makes the answer to what was asked before void. */
static void ask(struct session *session, weft_ns now) {
    struct streams *streams = session->streams;
    handshake_drop_keys(session, &session->pending);
    session->pending = keys_add(session);
    if (session->pending == NULL) {
        return;
    }
    struct session_keys *keys = session->pending;
    keys->is_initiator = true;
    struct prologue prologue = prologue_of(&streams->config.identity->id, &session->id);
    streams->epoch++;
    if (session->inits_made < UINT8_MAX) {
        session->inits_made++;
    }
    if (handshake_new(streams, session->link_key, &prologue, &keys->handshake) == WEFT_OK) {
        keys->said = handshake_frame(keys, WIRE_PACKET_INIT, ciphers_offered());
        keys->said_at = now;
    }
}

/* For how long an INIT is said again as it was: the first not at all, the next for 2, 4, 8 s. A
 * peer that forgot it (its table of sessions was full) takes it no second time, so a new one must
 * come soon; but a new one voids the answer under way, and how long that takes nobody knows yet. */
static weft_ns init_life(const struct session *session) {
    unsigned shift = session->inits_made - 1U;
    shift = shift < INIT_LIFE_SHIFT_MAX ? shift : INIT_LIFE_SHIFT_MAX;
    return session->inits_made < 2 ? 0 : NS_PER_S << shift;
}

/* Any copy of an INIT that arrives, and any copy of its answer, makes the keys: else news that come
 * faster than answers would void each of these. */
struct frame *session_build_init(struct session *session, weft_ns now) {
    session->is_init_due = false;
    session->init_at = now;
    struct session_keys *keys = session->pending;
    if (keys != NULL && keys->said != NULL && time_since(keys->said_at, now) < init_life(session)) {
        keys->is_repeated = true;
        return frame_ref(keys->said);
    }
    ask(session, now);
    keys = session->pending;
    return keys == NULL || keys->said == NULL ? NULL : frame_ref(keys->said);
}

struct frame *session_take_answer(struct session *session, weft_ns now) {
    struct session_keys *keys = session->next;
    if (keys == NULL || !keys->is_answer_due) {
        return NULL;
    }
    keys->is_answer_due = false;
    keys->said_at = now;
    return frame_ref(keys->said);
}

/* The peer runs as another instance than the one our streams were made with, or forgot the session
 * that they were in: it knows none of them any more, nor which it had taken already. */
static void note_instance(struct session *session, const struct session_keys *keys, weft_ns now) {
    bool has_restarted = session->instance != 0 && session->instance != keys->instance;
    bool has_forgotten = session->far_session != 0 && keys->far_session != session->far_session;
    session->instance = keys->instance;
    session->incarnation = keys->incarnation;
    session->far_session = keys->far_session;
    if (has_restarted || has_forgotten) {
        handshake_drop_keys(session, &session->previous); /* its late packets would open anew */
        stream_peer_restarted(session, now);
        flow_peer_restarted(session);
    }
}

/* New keys come into force; the ones before them still receive. */
static void promote(struct session *session, struct session_keys **from, weft_ns now) {
    struct session_keys *keys = *from;
    *from = NULL;
    frame_unref(keys->said);
    keys->said = NULL;
    keys->is_answer_due = false;
    handshake_drop_keys(session, &session->previous);
    session->previous = session->current;
    session->current = keys;
    session->inits_made = 0;
    session->is_wanted = false;
    session->is_init_due = false;
    session->init_tries = 0;
    session->used_at = now;
    timers_disarm(&session->streams->timers, &session->handshake_timer);
    note_instance(session, keys, now);
    handshake_arm_keys_timer(session, now);
    session_mind_hold(session, now);
    session_wake(session);
}

void session_confirm(struct session *session, struct session_keys *keys, weft_ns now) {
    session->used_at = now;
    if (keys != session->next) {
        return;
    }
    if (session->rtt == 0 && !keys->is_repeated) {
        window_measure(session, time_since(keys->made_at, now));
    }
    if (session->current != NULL && session->current->made_at > keys->made_at) {
        handshake_drop_keys(session, &session->previous); /* ours are newer: these receive only */
        session->previous = keys;
        session->next = NULL;
        return;
    }
    promote(session, &session->next, now);
}

/* An INIT, opened. */
struct init {
    struct noise_handshake *handshake;
    struct wire_session_hello hello;
};

/* T7, T8: the key in the hello must be the source's, and convert to the static key that the
 * handshake proved. The hello says again what stood in the clear. */
static bool is_proven(const struct init *init, const struct weft_peer_id *source,
                      const struct wire_init *claim) {
    uint8_t link_key[WEFT_KEY_BYTES];
    struct weft_peer_id id = peer_id_of_key(&init->hello.key);
    const uint8_t *remote = noise_handshake_remote_static(init->handshake);
    const struct wire_session_hello *hello = &init->hello;
    return remote != NULL && weft_peer_id_equal(&id, source) &&
           hello->incarnation == claim->incarnation && hello->instance == claim->instance &&
           hello->epoch == claim->epoch && identity_link_key(&hello->key, link_key) == WEFT_OK &&
           noise_equal(link_key, remote, sizeof link_key);
}

static bool read_init(const struct streams *streams, const struct weft_peer_id *source,
                      const struct wire_packet *packet, struct init *out) {
    uint8_t payload[HANDSHAKE_BYTES_MAX];
    size_t len = sizeof payload;
    struct prologue prologue = prologue_of(source, &streams->config.identity->id);
    return handshake_new(streams, NULL, &prologue, &out->handshake) == WEFT_OK &&
           noise_handshake_read(out->handshake, packet->rest, payload, &len) == WEFT_OK &&
           wire_session_hello_decode(span_of(payload, len), &out->hello) == WEFT_OK &&
           is_proven(out, source, &packet->init);
}

/* Both asked at about the same time: the smaller id's question counts. Once it had to be asked
 * anew, or has waited for a second, it may be lost each time, so the other's is answered too:
 * whichever exchange ends makes keys. */
static bool goes_first(const struct session *session, weft_ns now) {
    const struct session_keys *ours = session->pending;
    return ours != NULL && session->inits_made < 2 && time_since(ours->said_at, now) < NS_PER_S &&
           weft_peer_id_compare(&session->streams->config.identity->id, &session->id) < 0;
}

/* False when out of memory. */
static bool answer(struct session *session, struct init *init, const struct wire_packet *packet,
                   weft_ns now) {
    handshake_drop_keys(session, &session->next);
    session->next = keys_add(session);
    if (session->next == NULL) {
        return false;
    }
    struct session_keys *keys = session->next;
    enum aead_cipher cipher = cipher_chosen(init->hello.ciphers);
    keys->handshake = init->handshake;
    init->handshake = NULL;
    keys->remote_index = packet->sender_index;
    memcpy(keys->asked, packet->init.mac, sizeof keys->asked);
    keys->instance = init->hello.instance;
    keys->far_session = init->hello.session;
    keys->incarnation = init->hello.incarnation;
    struct frame *frame = handshake_frame(keys, WIRE_PACKET_RESPONSE, (uint8_t)cipher);
    if (frame == NULL || keys_finish(keys, cipher, now) != WEFT_OK) {
        frame_unref(frame);
        handshake_drop_keys(session, &session->next);
        return false;
    }
    keys->said = frame;
    keys->is_answer_due = true;
    session_wake(session);
    handshake_arm_keys_timer(session, now);
    return true;
}

/* False when short of memory or of places for sessions. */
static bool take_init(struct streams *streams, const struct weft_peer_id *source, struct init *init,
                      const struct wire_packet *packet, weft_ns now) {
    struct session *session = NULL;
    if (session_admit(streams, source, &init->hello.key, now, &session) != WEFT_OK) {
        return false;
    }
    if (goes_first(session, now)) {
        caller_not_answered(streams, source, &packet->init); /* should ours come to nothing */
        return true;
    }
    return answer(session, init, packet, now);
}

/* Whether this is the INIT that we answered last, and nobody used the keys yet: then the answer may
 * be lost. It is said again as it was, which is less than was asked. */
static bool is_answered(struct streams *streams, const struct weft_peer_id *source,
                        const struct wire_packet *packet, weft_ns now) {
    struct session *session = session_find(streams, source);
    struct session_keys *keys = session == NULL ? NULL : session->next;
    if (keys == NULL || keys->remote_index != packet->sender_index ||
        !noise_equal(keys->asked, packet->init.mac, sizeof keys->asked)) {
        return false;
    }
    if (!keys->is_answer_due && time_since(keys->said_at, now) >= ANSWER_SPACING) {
        keys->is_answer_due = true;
        keys->is_repeated = true;
        session_wake(session);
    }
    return true;
}

static void handle_init(struct streams *streams, const struct weft_peer_id *source,
                        const struct weft_peer_id *neighbour, const struct wire_packet *packet,
                        weft_ns now) {
    if (is_answered(streams, source, packet, now)) {
        return;
    }
    if (!caller_may_ask(streams, source, neighbour, packet, now)) {
        streams->counters.packets_refused++;
        return;
    }
    struct init init = {.handshake = NULL};
    if (!read_init(streams, source, packet, &init) ||
        !take_init(streams, source, &init, packet, now)) {
        streams->counters.packets_refused++;
        caller_not_answered(streams, source, &packet->init);
    }
    noise_handshake_free(init.handshake);
}

/* Reads the answer into the pending keys; false if it is none that we can use. */
static bool read_response(struct session *session, const struct wire_packet *packet, weft_ns now) {
    struct session_keys *keys = session->pending;
    struct wire_session_hello hello;
    uint8_t payload[HANDSHAKE_BYTES_MAX];
    size_t len = sizeof payload;
    if (noise_handshake_read(keys->handshake, packet->rest, payload, &len) != WEFT_OK ||
        wire_session_hello_decode(span_of(payload, len), &hello) != WEFT_OK ||
        !noise_equal(&hello.key, &session->key, sizeof hello.key)) {
        return false;
    }
    enum aead_cipher cipher = (enum aead_cipher)hello.ciphers;
    if (cipher != AEAD_CHACHA20_POLY1305 &&
        (cipher != AEAD_AES_256_GCM || cipher_chosen(CIPHER_BIT(cipher)) != cipher)) {
        return false;
    }
    keys->remote_index = packet->sender_index;
    keys->instance = hello.instance;
    keys->far_session = hello.session;
    keys->incarnation = hello.incarnation;
    return keys_finish(keys, cipher, now) == WEFT_OK;
}

static void handle_response(struct streams *streams, const struct weft_peer_id *source,
                            const struct wire_packet *packet, weft_ns now) {
    struct session_keys *keys = map_find(streams->indices, keys_index(&packet->receiver_index));
    struct session *session = keys == NULL ? NULL : keys->session;
    if (session == NULL || session->pending != keys || keys->handshake == NULL ||
        !weft_peer_id_equal(&session->id, source)) {
        streams->counters.packets_refused++;
        return;
    }
    if (!read_response(session, packet, now)) {
        streams->counters.packets_refused++;
        handshake_drop_keys(session, &session->pending); /* the timer tries again */
        return;
    }
    if (!keys->is_repeated) {
        window_measure(session, time_since(keys->said_at, now));
    }
    session->is_confirm_due = true;
    promote(session, &session->pending, now);
}

/* What was sealed for the former life nobody can open any more. */
static void drop_all_keys(struct session *session, weft_ns now) {
    handshake_drop_keys(session, &session->previous);
    handshake_drop_keys(session, &session->current);
    handshake_drop_keys(session, &session->next);
    handshake_drop_keys(session, &session->pending);
    session->is_wanted = false;
    session->is_init_due = false;
    session->init_tries = 0;
    timers_disarm(&session->streams->timers, &session->handshake_timer);
    handshake_arm_keys_timer(session, now);
}

void streams_peer_life(struct streams *streams, const struct weft_peer_id *peer,
                       uint64_t incarnation, uint64_t instance, weft_ns now) {
    struct session *session = session_find(streams, peer);
    if (session == NULL || session->instance == 0 || session->instance == instance ||
        incarnation <= session->incarnation) {
        return;
    }
    drop_all_keys(session, now);
    session->instance = 0; /* proven by the next handshake */
    session->far_session = 0;
    session->incarnation = incarnation;
    stream_peer_restarted(session, now);
    flow_peer_restarted(session);
    session_wake(session);
}

void session_handshake_packet(struct streams *streams, const struct weft_peer_id *source,
                              const struct weft_peer_id *neighbour,
                              const struct wire_packet *packet, weft_ns now) {
    switch ((enum wire_packet_type)packet->type) {
    case WIRE_PACKET_INIT:
        handle_init(streams, source, neighbour, packet, now);
        return;
    case WIRE_PACKET_RESPONSE:
        handle_response(streams, source, packet, now);
        return;
    case WIRE_PACKET_UNKNOWN:
        hint_heard(streams, source, packet, now);
        return;
    case WIRE_PACKET_SEALED:
        break;
    }
    ASSERT(packet->type == WIRE_PACKET_SEALED);
}
