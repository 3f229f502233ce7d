/* SPDX-License-Identifier: Apache-2.0
 *
 * Sockets, handshake and records of the attacker.
 */
#include "hostile/insider.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

#define DIAL_MS 10000
#define STUCK_MS 30000
#define DEAF_MS 1000

static void draw(void *ctx, uint8_t *out, size_t len) {
    (void)ctx;
    ssize_t got = getrandom(out, len, 0);
    ASSERT(got == (ssize_t)len);
}

weft_ns insider_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (weft_ns)now.tv_sec * 1000000000 + (weft_ns)now.tv_nsec;
}

void insider_init(struct insider *insider) {
    memset(insider, 0, sizeof *insider);
    insider->fd = -1;
    insider->host.random = draw;
    (void)snprintf(insider->name, sizeof insider->name, "attacker");
    uint8_t seed[32];
    draw(NULL, seed, sizeof seed);
    insider_secret(insider, seed);
    insider_identity(insider, seed);
}

void insider_identity(struct insider *insider, const uint8_t seed[32]) {
    identity_from_seed(&insider->identity, seed);
    insider->shared.identity = &insider->identity;
}

void insider_secret(struct insider *insider, const uint8_t secret[32]) {
    link_shared_init(&insider->shared, secret);
    insider->shared.identity = &insider->identity;
    insider->shared.host = &insider->host;
    insider->shared.hello.name = span_of_text(insider->name);
    insider->shared.hello.incarnation = 1;
    insider->shared.hello.instance = 7;
}

void insider_hang_up(struct insider *insider) {
    if (insider->fd >= 0) {
        (void)close(insider->fd);
    }
    aead_free(insider->seal);
    aead_free(insider->open);
    insider->seal = insider->open = NULL;
    insider->fd = -1;
    insider->sealed = insider->opened = 0;
    insider->in_len = 0;
    insider->bytes_in = insider->bytes_out = 0;
    insider->kept_count = 0;
    insider->close_reason = 0;
    insider->is_down = false;
    memset(insider->heard, 0, sizeof insider->heard);
    (void)snprintf(insider->why, sizeof insider->why, "-");
}

static bool down(struct insider *insider, const char *why) {
    if (!insider->is_down) {
        insider->is_down = true;
        (void)snprintf(insider->why, sizeof insider->why, "%s", why);
    }
    return false;
}

/* ---- records heard ---- */

static void close_heard(struct insider *insider, struct span body) {
    struct wire_close message;
    char text[201];
    if (wire_close_decode(body, &message) == WEFT_OK) {
        insider->close_reason = message.reason;
        (void)span_to_text(message.text, text, sizeof text);
        down(insider, text);
    }
}

static size_t payload_bytes(const struct wire_frame *frame) {
    struct wire_carrier carrier;
    bool is_carrier =
        frame->kind == WIRE_CARRIER && wire_carrier_decode(frame->body, &carrier) == WEFT_OK;
    return is_carrier ? carrier.length : 0;
}

/* Hands out the frames of an open record; returns the bytes of payload behind it, or -1 when they
 * have not come yet. With `is_counting` nothing is handed out. */
static ssize_t walk(struct insider *insider, struct span plain, struct span behind,
                    bool is_counting) {
    struct wire_reader frames = wire_reader_of(plain);
    size_t used = 0;
    while (wire_reader_more(&frames)) {
        struct wire_frame frame;
        if (wire_frame_next(&frames, &frame) != WEFT_OK) {
            break;
        }
        size_t len = payload_bytes(&frame);
        if (used + len > behind.len) {
            return -1;
        }
        struct span payload = span_of(behind.data + used, len);
        used += len;
        if (is_counting) {
            continue;
        }
        insider->heard[frame.kind]++;
        if (frame.kind == WIRE_CLOSE) {
            close_heard(insider, frame.body);
        } else if (insider->on_frame != NULL) {
            insider->on_frame(insider->ctx, &frame, payload);
        }
    }
    return (ssize_t)used;
}

static void drop(struct insider *insider, size_t len) {
    memmove(insider->in, insider->in + len, insider->in_len - len);
    insider->in_len -= len;
}

/* Keeps the first records, as they came. */
static void keep(struct insider *insider, struct span record) {
    if (insider->kept_count < INSIDER_KEPT && record.len <= INSIDER_KEPT_BYTES) {
        memcpy(insider->kept[insider->kept_count], record.data, record.len);
        insider->kept_len[insider->kept_count++] = record.len;
    }
}

/* Takes one record off what came, if it is whole. A copy is opened, so that it may be tried again
 * when its payload has come too. */
static bool record_take(struct insider *insider) {
    static uint8_t plain[65536];
    const struct span nothing = {.data = NULL, .len = 0};
    size_t length = insider->in_len < 2 ? 0 : (size_t)insider->in[0] << 8 | insider->in[1];
    if (insider->in_len < 2 || insider->in_len < 2 + length || insider->is_down) {
        return false;
    }
    memcpy(plain, insider->in + 2, length);
    if (aead_open(insider->open, insider->opened, nothing, plain, length) != WEFT_OK) {
        return down(insider, "a record of theirs does not open");
    }
    struct span opened = span_of(plain, length - AEAD_TAG_BYTES);
    struct span behind = span_of(insider->in + 2 + length, insider->in_len - 2 - length);
    ssize_t used = walk(insider, opened, behind, true);
    if (used < 0) {
        return false;
    }
    insider->opened++;
    keep(insider, span_of(insider->in, 2 + length));
    (void)walk(insider, opened, behind, false);
    drop(insider, 2 + length + (size_t)used);
    return true;
}

/* Reads what is there. */
static bool take(struct insider *insider) {
    size_t room = sizeof insider->in - insider->in_len;
    ssize_t got = recv(insider->fd, insider->in + insider->in_len, room, MSG_DONTWAIT);
    if (got == 0) {
        return down(insider, "they hung up");
    }
    if (got < 0) {
        return errno == EAGAIN || errno == EINTR || down(insider, strerror(errno));
    }
    insider->in_len += (size_t)got;
    insider->bytes_in += (uint64_t)got;
    while (insider->open != NULL && record_take(insider)) {
    }
    return !insider->is_down;
}

static unsigned await(const struct insider *insider, unsigned events, int ms) {
    struct pollfd wanted = {.fd = insider->fd, .events = (short)events};
    bool is_ready = poll(&wanted, 1, ms) > 0;
    bool is_broken = is_ready && (wanted.revents & (POLLERR | POLLHUP)) != 0;
    return is_broken ? events : (is_ready ? (unsigned)wanted.revents : 0);
}

bool insider_listen(struct insider *insider, unsigned ms) {
    weft_ns end = insider_now() + (weft_ns)ms * 1000000;
    do {
        weft_ns now = insider_now();
        int left = now < end ? (int)((end - now + 999999) / 1000000) : 0;
        if (insider->is_down || insider->fd < 0) {
            return false;
        }
        if (await(insider, POLLIN, left) != 0 && !take(insider)) {
            return false;
        }
    } while (insider_now() < end);
    return true;
}

/* Writes once; *done counts on. */
static bool put_some(struct insider *insider, struct span bytes, size_t *done) {
    ssize_t put =
        send(insider->fd, bytes.data + *done, bytes.len - *done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put < 0 && errno != EAGAIN && errno != EINTR) {
        int error = errno;
        (void)take(insider); /* their reason may still be there */
        return down(insider, strerror(error));
    }
    *done += put > 0 ? (size_t)put : 0;
    insider->bytes_out += put > 0 ? (uint64_t)put : 0;
    return true;
}

bool insider_send_raw(struct insider *insider, struct span bytes) {
    const unsigned wanted = insider->is_deaf ? POLLOUT : POLLIN | POLLOUT;
    size_t done = 0;
    while (done < bytes.len && !insider->is_down && insider->fd >= 0) {
        unsigned ready = await(insider, wanted, insider->is_deaf ? DEAF_MS : STUCK_MS) & wanted;
        if (ready == 0) {
            return down(insider, "they do not read");
        }
        bool is_up = (ready & POLLOUT) == 0 || put_some(insider, bytes, &done);
        if (!is_up || ((ready & POLLIN) != 0 && !take(insider))) {
            return false;
        }
    }
    return !insider->is_down;
}

struct span insider_seal(struct insider *insider, struct span plain) {
    static uint8_t record[2 + 65535];
    const struct span nothing = {.data = NULL, .len = 0};
    if (insider->seal == NULL || plain.len > INSIDER_PLAIN_MAX) {
        return nothing;
    }
    size_t length = plain.len + AEAD_TAG_BYTES;
    record[0] = (uint8_t)(length >> 8);
    record[1] = (uint8_t)length;
    memcpy(record + 2, plain.data, plain.len);
    aead_seal(insider->seal, insider->sealed++, nothing, record + 2, plain.len);
    return span_of(record, 2 + length);
}

bool insider_send(struct insider *insider, struct span plain, struct span payload) {
    struct span record = insider_seal(insider, plain);
    return record.len > 0 && insider_send_raw(insider, record) &&
           (payload.len == 0 || insider_send_raw(insider, payload));
}

/* ---- the handshake ---- */

static bool connect_to(struct insider *insider, const char *host, uint16_t port,
                       const char *source) {
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in here = {.sin_family = AF_INET};
    insider->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_sound = insider->fd >= 0 && inet_pton(AF_INET, host, &there.sin_addr) == 1;
    if (is_sound && source != NULL) {
        is_sound = inet_pton(AF_INET, source, &here.sin_addr) == 1 &&
                   bind(insider->fd, (const struct sockaddr *)&here, sizeof here) == 0;
    }
    return is_sound && connect(insider->fd, (const struct sockaddr *)&there, sizeof there) == 0;
}

static bool keys_take(struct insider *insider, const struct handshake *hs) {
    struct noise_keys keys;
    noise_handshake_split(hs->noise, &keys);
    insider->seal = aead_new(AEAD_CHACHA20_POLY1305, keys.send);
    insider->open = aead_new(AEAD_CHACHA20_POLY1305, keys.receive);
    insider->victim = hs->peer;
    insider->victim_key = hs->hello.key;
    return insider->seal != NULL && insider->open != NULL;
}

/* Runs the handshake to its end; false with `why` set. */
static bool shake(struct insider *insider, struct handshake *hs) {
    weft_ns end = insider_now() + (weft_ns)DIAL_MS * 1000000;
    enum handshake_result result = HANDSHAKE_WAIT;
    struct link_fault fault = {.text = "timeout"};
    while (result == HANDSHAKE_WAIT && insider_now() < end) {
        struct span out = handshake_pending(hs);
        if (!insider_send_raw(insider, out)) {
            return false;
        }
        hs->out_done += out.len;
        (void)await(insider, POLLIN, 100);
        if (!take(insider)) {
            return false;
        }
        struct inbuf in = {.data = insider->in, .size = sizeof insider->in, .end = insider->in_len};
        result = handshake_read(hs, &insider->shared, &in, &fault);
        drop(insider, in.begin);
    }
    if (result != HANDSHAKE_DONE) {
        return down(insider, fault.text);
    }
    return insider_send_raw(insider, handshake_pending(hs)) && keys_take(insider, hs);
}

bool insider_dial(struct insider *insider, const char *host, uint16_t port, const char *source) {
    struct handshake *hs = NULL;
    insider_hang_up(insider);
    if (!connect_to(insider, host, port, source)) {
        return down(insider, strerror(errno));
    }
    if (handshake_new(&insider->shared, LINK_DIALLED, NULL, &hs) != WEFT_OK) {
        return down(insider, "no handshake can be begun");
    }
    bool is_up = shake(insider, hs);
    handshake_free(hs);
    while (is_up && record_take(insider)) {
    }
    return is_up && !insider->is_down;
}

/* ---- making frames ---- */

void insider_frame(struct wire_writer *writer, uint8_t kind, struct span body) {
    wire_write_u8(writer, kind);
    wire_write_u8(writer, 0);
    wire_write_u16(writer, (uint16_t)body.len);
    wire_write_bytes(writer, body);
}

void insider_record(struct wire_writer *writer, const struct identity *owner,
                    const struct wire_record *fields) {
    uint8_t signature[SIGNATURE_BYTES];
    struct wire_record own = *fields;
    size_t begin = writer->len;
    own.owner = owner->key;
    wire_record_encode_unsigned(writer, &own);
    identity_sign(owner, "weft record 1", span_of(writer->data + begin, writer->len - begin),
                  signature);
    wire_write_bytes(writer, span_of(signature, sizeof signature));
}
