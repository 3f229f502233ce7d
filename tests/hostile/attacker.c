/* SPDX-License-Identifier: Apache-2.0
 *
 * An attacker inside the mesh (it has the secret and a key of its own) that does what a line of its
 * standard input says and answers each with one line. The Python tests beside it drive it; here is
 * only what needs keys or speed.
 *
 *   secret HEX | identity HEX | claim HEX       the mesh's; a seed; a key to name without having it
 *   mask                                        goes on where it meets its own key
 *   dial HOST PORT [SOURCE]                     up PEER | down WHY
 *   frame HEX [PAYLOAD]                         one sealed record of these bytes, this behind it
 *   raw HEX                                     bytes as they are
 *   seal HEX                                    sealed HEX: that record, not sent
 *   kept                                        kept HEX ...: records heard, as they came
 *   thrice                                      packets of sessions go out three times each
 *   repeat COUNT MS HEX                         one record again and again: sent COUNT
 *   deaf COUNT MS HEX                           the same without ever reading: sent COUNT
 *   listen MS                                   state ... and the frames heard by kind
 *   announce COST INCARNATION VERSION           our peer record, with a link to the victim
 *   record KIND FLAGS KEY INCARNATION VERSION BODY [SEED]     record HEX: signed
 *   broadcast SEQUENCE INCARNATION CHANNEL PAYLOAD [SEED]     body HEX: signed
 *   phantoms COUNT MS BATCH                     peer records of nodes invented anew: sent COUNT
 *   opens COUNT MS SERVICE                      streams opened and reset at once: sent COUNT
 *   flows COUNT MS SERVICE                      flows of one datagram each: sent COUNT
 *   reconnect HOST PORT COUNT                   links one after the other: made COUNT
 *   knock HOST PORT PREFIX MS                   connections with garbage, from PREFIX.1 to .250
 *   hangup
 */
#include "hostile/attacker.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"

uint64_t attacker_number(const struct attacker *attacker, size_t index) {
    const char *word = index < attacker->word_count ? attacker->words[index] : "0";
    return strtoull(word, NULL, 0);
}

static int digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0;
}

struct span attacker_hex(struct attacker *attacker, size_t index, size_t slot) {
    const char *word = index < attacker->word_count ? attacker->words[index] : "-";
    uint8_t *out = attacker->bytes[slot];
    size_t len = strcmp(word, "-") == 0 ? 0 : strlen(word) / 2;
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(digit(word[2 * i]) << 4 | digit(word[2 * i + 1]));
    }
    return span_of(out, len);
}

weft_ns attacker_end(const struct attacker *attacker, size_t index) {
    return insider_now() + attacker_number(attacker, index) * NS_PER_MS;
}

static void say_hex(const char *what, struct span bytes) {
    (void)printf("%s ", what);
    for (size_t i = 0; i < bytes.len; i++) {
        (void)printf("%02x", bytes.data[i]);
    }
    (void)printf("\n");
}

static void say_state(const struct insider *insider) {
    (void)printf("state up=%d reason=%u in=%llu out=%llu", !insider->is_down && insider->fd >= 0,
                 insider->close_reason, (unsigned long long)insider->bytes_in,
                 (unsigned long long)insider->bytes_out);
    for (size_t kind = 0; kind < INSIDER_KINDS; kind++) {
        if (insider->heard[kind] > 0) {
            (void)printf(" k%zu=%llu", kind, (unsigned long long)insider->heard[kind]);
        }
    }
    (void)printf(" why=%s\n", insider->why);
}

/* ---- keys and the link ---- */

static void do_secret(struct attacker *attacker) {
    insider_secret(&attacker->insider, attacker_hex(attacker, 1, 0).data);
    (void)printf("ok\n");
}

static void do_identity(struct attacker *attacker) {
    char id[WEFT_PEER_ID_TEXT];
    insider_identity(&attacker->insider, attacker_hex(attacker, 1, 0).data);
    weft_peer_id_format(&attacker->insider.identity.id, id);
    (void)printf("ok %s ", id);
    say_hex("key", span_of(attacker->insider.identity.key.bytes, WEFT_KEY_BYTES));
}

/* From now on the hello names a key that the handshake does not prove (T7). */
static void do_claim(struct attacker *attacker) {
    memcpy(attacker->insider.identity.key.bytes, attacker_hex(attacker, 1, 0).data, WEFT_KEY_BYTES);
    (void)printf("ok\n");
}

/* Forgets who it is, so that it goes on where it meets its own key. */
static void do_mask(struct attacker *attacker) {
    memset(attacker->insider.identity.id.bytes, 0, WEFT_PEER_ID_BYTES);
    (void)printf("ok\n");
}

static void do_dial(struct attacker *attacker) {
    char id[WEFT_PEER_ID_TEXT];
    const char *source = attacker->word_count > 3 ? attacker->words[3] : NULL;
    if (insider_dial(&attacker->insider, attacker->words[1], (uint16_t)attacker_number(attacker, 2),
                     source)) {
        weft_peer_id_format(&attacker->insider.victim, id);
        (void)printf("up %s\n", id);
    } else {
        (void)printf("down %s\n", attacker->insider.why);
    }
}

static void do_frame(struct attacker *attacker) {
    struct span plain = attacker_hex(attacker, 1, 0);
    bool is_up = insider_send(&attacker->insider, plain, attacker_hex(attacker, 2, 1));
    (void)printf("%s\n", is_up ? "ok" : "down");
}

static void do_raw(struct attacker *attacker) {
    bool is_up = insider_send_raw(&attacker->insider, attacker_hex(attacker, 1, 0));
    (void)printf("%s\n", is_up ? "ok" : "down");
}

static void do_seal(struct attacker *attacker) {
    say_hex("sealed", insider_seal(&attacker->insider, attacker_hex(attacker, 1, 0)));
}

static void do_kept(struct attacker *attacker) {
    const struct insider *insider = &attacker->insider;
    (void)printf("kept");
    for (size_t i = 0; i < insider->kept_count; i++) {
        (void)printf(" ");
        for (size_t k = 0; k < insider->kept_len[i]; k++) {
            (void)printf("%02x", insider->kept[i][k]);
        }
    }
    (void)printf("\n");
}

static void do_thrice(struct attacker *attacker) {
    attacker->copies = 3;
    (void)printf("ok\n");
}

static void do_repeat(struct attacker *attacker) {
    uint64_t count = attacker_number(attacker, 1);
    weft_ns end = attacker_end(attacker, 2);
    struct span plain = attacker_hex(attacker, 3, 0);
    const struct span nothing = {.data = NULL, .len = 0};
    uint64_t sent = 0;
    while (sent < count && insider_now() < end &&
           insider_send(&attacker->insider, plain, nothing)) {
        sent++;
    }
    (void)printf("sent %llu\n", (unsigned long long)sent);
}

/* Writes until nothing more goes, and stays for the rest of the time. */
static void do_deaf(struct attacker *attacker) {
    struct insider *insider = &attacker->insider;
    uint64_t count = attacker_number(attacker, 1);
    weft_ns end = attacker_end(attacker, 2);
    struct span plain = attacker_hex(attacker, 3, 0);
    uint64_t sent = 0;
    insider->is_deaf = true;
    while (sent < count && insider_now() < end && insider_send(insider, plain, (struct span){0})) {
        sent++;
    }
    weft_ns left = end > insider_now() ? end - insider_now() : 0;
    (void)poll(NULL, 0, (int)(left / 1000000));
    insider->is_deaf = false;
    (void)printf("sent %llu\n", (unsigned long long)sent);
}

static void do_listen(struct attacker *attacker) {
    (void)insider_listen(&attacker->insider, (unsigned)attacker_number(attacker, 1));
    say_state(&attacker->insider);
}

static void do_hangup(struct attacker *attacker) {
    insider_hang_up(&attacker->insider);
    (void)printf("ok\n");
}

/* ---- records ---- */

/* A peer record's body that lists one link. */
static struct span peer_body(uint8_t *bytes, size_t size, const char *name,
                             const struct wire_peer_link *links, uint32_t link_count) {
    const struct wire_peer_source source = {.name = name,
                                            .software = "attacker",
                                            .instance = 7,
                                            .links = links,
                                            .link_count = link_count};
    struct wire_writer writer = wire_writer_of(bytes, size);
    wire_peer_body_encode(&writer, &source);
    return wire_writer_view(&writer);
}

/* Appends a record to the body of a RECORDS frame. */
static void append_record(struct wire_writer *body, const struct identity *owner,
                          const struct wire_record *fields) {
    wire_write_u16(body, (uint16_t)(WIRE_RECORD_OVERHEAD + fields->key.len + fields->body.len));
    insider_record(body, owner, fields);
}

static bool send_records(struct insider *insider, struct span body) {
    static uint8_t plain[INSIDER_PLAIN_MAX];
    const struct span nothing = {.data = NULL, .len = 0};
    struct wire_writer writer = wire_writer_of(plain, sizeof plain);
    insider_frame(&writer, WIRE_RECORDS, body);
    return insider_send(insider, wire_writer_view(&writer), nothing);
}

static void do_announce(struct attacker *attacker) {
    struct insider *insider = &attacker->insider;
    uint8_t bytes[1024];
    uint8_t body[2048];
    const struct wire_peer_link link = {.peer = insider->victim,
                                        .cost_us = (uint32_t)attacker_number(attacker, 1)};
    struct wire_record fields = {.kind = WIRE_RECORD_PEER,
                                 .incarnation = attacker_number(attacker, 2),
                                 .version = attacker_number(attacker, 3)};
    fields.body = peer_body(bytes, sizeof bytes, insider->name, &link, 1);
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    append_record(&writer, &insider->identity, &fields);
    (void)printf("%s\n", send_records(insider, wire_writer_view(&writer)) ? "ok" : "down");
}

static const struct identity *signer(struct attacker *attacker, size_t index,
                                     struct identity *other) {
    if (index >= attacker->word_count) {
        return &attacker->insider.identity;
    }
    identity_from_seed(other, attacker_hex(attacker, index, 0).data);
    return other;
}

static void do_record(struct attacker *attacker) {
    static uint8_t bytes[WIRE_RECORD_OVERHEAD + WIRE_RECORD_KEY_MAX + WIRE_RECORD_BODY_MAX];
    struct identity other;
    const struct identity *owner = signer(attacker, 7, &other);
    const struct wire_record fields = {.kind = (uint16_t)attacker_number(attacker, 1),
                                       .flags = (uint8_t)attacker_number(attacker, 2),
                                       .key = attacker_hex(attacker, 3, 0),
                                       .incarnation = attacker_number(attacker, 4),
                                       .version = attacker_number(attacker, 5),
                                       .body = attacker_hex(attacker, 6, 1)};
    struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
    insider_record(&writer, owner, &fields);
    say_hex("record", wire_writer_view(&writer));
}

static void do_broadcast(struct attacker *attacker) {
    static uint8_t bytes[WIRE_BODY_BYTES_MAX];
    static const uint8_t blank[SIGNATURE_BYTES];
    struct identity other;
    const struct identity *source = signer(attacker, 5, &other);
    struct wire_broadcast message = {.travel = {.hops = WIRE_HOPS_MAX},
                                     .flags = WIRE_BROADCAST_FLOOD,
                                     .key = source->key,
                                     .sequence = attacker_number(attacker, 1),
                                     .incarnation = attacker_number(attacker, 2),
                                     .channel = span_of_text(attacker->words[3]),
                                     .payload = attacker_hex(attacker, 4, 1),
                                     .signature = span_of(blank, sizeof blank)};
    struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
    wire_broadcast_encode(&writer, &message);
    size_t unsigned_at = 4 + 1 + 8; /* travel, flags, digest */
    if (!writer.has_failed) {
        identity_sign(source, "weft broadcast 1",
                      span_of(bytes + unsigned_at, writer.len - unsigned_at - SIGNATURE_BYTES),
                      bytes + writer.len - SIGNATURE_BYTES);
    }
    say_hex("body", wire_writer_view(&writer));
}

/* A node nobody has seen, that claims a link to us. */
static void append_phantom(const struct insider *insider, struct wire_writer *body,
                           uint64_t index) {
    uint8_t seed[IDENTITY_SEED_BYTES] = {0xfa};
    uint8_t bytes[1024];
    char name[WEFT_NAME_MAX + 1];
    struct identity phantom;
    const struct wire_peer_link link = {.peer = insider->identity.id, .cost_us = 1};
    struct wire_record fields = {.kind = WIRE_RECORD_PEER, .incarnation = 1, .version = 1};
    memcpy(seed + 8, &index, sizeof index);
    identity_from_seed(&phantom, seed);
    (void)snprintf(name, sizeof name, "phantom-%llu", (unsigned long long)index);
    fields.body = peer_body(bytes, sizeof bytes, name, &link, 1);
    append_record(body, &phantom, &fields);
}

static void do_phantoms(struct attacker *attacker) {
    static uint8_t bytes[WIRE_BODY_BYTES_MAX];
    struct insider *insider = &attacker->insider;
    uint64_t count = attacker_number(attacker, 1);
    weft_ns end = attacker_end(attacker, 2);
    uint64_t batch = attacker_number(attacker, 3);
    uint64_t sent = 0;
    bool is_up = true;
    while (is_up && sent < count && insider_now() < end) {
        struct wire_writer body = wire_writer_of(bytes, sizeof bytes);
        for (uint64_t i = 0; i < batch; i++) {
            append_phantom(insider, &body, attacker->phantoms++);
        }
        is_up = send_records(insider, wire_writer_view(&body));
        sent += batch;
    }
    (void)printf("sent %llu\n", (unsigned long long)sent);
}

/* ---- the lines ---- */

static const struct command {
    const char *name;
    size_t words; /* at least, the name included */
    void (*run)(struct attacker *attacker);
} COMMANDS[] = {
    {"secret", 2, do_secret},
    {"identity", 2, do_identity},
    {"claim", 2, do_claim},
    {"mask", 1, do_mask},
    {"dial", 3, do_dial},
    {"frame", 2, do_frame},
    {"raw", 2, do_raw},
    {"seal", 2, do_seal},
    {"kept", 1, do_kept},
    {"thrice", 1, do_thrice},
    {"repeat", 4, do_repeat},
    {"listen", 2, do_listen},
    {"deaf", 4, do_deaf},
    {"announce", 4, do_announce},
    {"record", 7, do_record},
    {"broadcast", 5, do_broadcast},
    {"phantoms", 4, do_phantoms},
    {"flows", 5, do_flows},
    {"opens", 5, do_opens},
    {"knock", 5, do_knock},
    {"reconnect", 4, do_reconnect},
    {"hangup", 1, do_hangup},
};

static void split(struct attacker *attacker, char *line) {
    attacker->word_count = 0;
    char *rest = line;
    char *word = strsep(&rest, " \n");
    for (; word != NULL && attacker->word_count < WORDS_MAX; word = strsep(&rest, " \n")) {
        if (word[0] != '\0') {
            attacker->words[attacker->word_count++] = word;
        }
    }
}

static void run(struct attacker *attacker) {
    for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++) {
        if (attacker->word_count >= COMMANDS[i].words &&
            strcmp(attacker->words[0], COMMANDS[i].name) == 0) {
            COMMANDS[i].run(attacker);
            return;
        }
    }
    (void)printf("what?\n");
}

static void serve(struct attacker *attacker, char *line) {
    insider_init(&attacker->insider);
    attacker->copies = 1;
    while (fgets(line, (int)LINE_MAX_BYTES, stdin) != NULL) {
        split(attacker, line);
        run(attacker);
        (void)fflush(stdout);
    }
    insider_hang_up(&attacker->insider);
    streams_free(attacker->streams);
}

int main(void) {
    struct attacker *attacker = calloc(1, sizeof *attacker);
    char *line = malloc(LINE_MAX_BYTES);
    bool is_ready = attacker != NULL && line != NULL && noise_setup() == WEFT_OK;
    if (is_ready) {
        serve(attacker, line);
    }
    free(line);
    free(attacker);
    return is_ready ? 0 : 1;
}
