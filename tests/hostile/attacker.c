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
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostile/insider.h"
#include "stream/datagrams.h"

#define WORDS_MAX 9
#define LINE_MAX_BYTES ((size_t)1 << 20)
#define OPEN_AT_ONCE 64
#define CALM_TURNS 20
#define FLOWS_MAX 1000000
#define CALM_MS 50

struct attacker {
    struct insider insider;
    struct streams *streams; /* made when first needed */
    uint8_t session_psk[WEFT_KEY_BYTES];
    char *words[WORDS_MAX];
    size_t word_count;
    uint64_t reconnects; /* so far: a network that was used up is not used again */
    uint64_t phantoms;   /* invented so far */
    unsigned copies;     /* how often a packet is sent: a relay that repeats what it carries */
    uint8_t bytes[2][LINE_MAX_BYTES / 2];
};

static uint64_t number(const struct attacker *attacker, size_t index) {
    const char *word = index < attacker->word_count ? attacker->words[index] : "0";
    return strtoull(word, NULL, 0);
}

static int digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0;
}

/* The bytes of a hexadecimal word; "-" and a missing word are empty. `slot` says where they go. */
static struct span hex(struct attacker *attacker, size_t index, size_t slot) {
    const char *word = index < attacker->word_count ? attacker->words[index] : "-";
    uint8_t *out = attacker->bytes[slot];
    size_t len = strcmp(word, "-") == 0 ? 0 : strlen(word) / 2;
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(digit(word[2 * i]) << 4 | digit(word[2 * i + 1]));
    }
    return span_of(out, len);
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
    insider_secret(&attacker->insider, hex(attacker, 1, 0).data);
    (void)printf("ok\n");
}

static void do_identity(struct attacker *attacker) {
    char id[WEFT_PEER_ID_TEXT];
    insider_identity(&attacker->insider, hex(attacker, 1, 0).data);
    weft_peer_id_format(&attacker->insider.identity.id, id);
    (void)printf("ok %s ", id);
    say_hex("key", span_of(attacker->insider.identity.key.bytes, WEFT_KEY_BYTES));
}

/* From now on the hello names a key that the handshake does not prove (T7). */
static void do_claim(struct attacker *attacker) {
    memcpy(attacker->insider.identity.key.bytes, hex(attacker, 1, 0).data, WEFT_KEY_BYTES);
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
    if (insider_dial(&attacker->insider, attacker->words[1], (uint16_t)number(attacker, 2),
                     source)) {
        weft_peer_id_format(&attacker->insider.victim, id);
        (void)printf("up %s\n", id);
    } else {
        (void)printf("down %s\n", attacker->insider.why);
    }
}

static void do_frame(struct attacker *attacker) {
    struct span plain = hex(attacker, 1, 0);
    bool is_up = insider_send(&attacker->insider, plain, hex(attacker, 2, 1));
    (void)printf("%s\n", is_up ? "ok" : "down");
}

static void do_raw(struct attacker *attacker) {
    bool is_up = insider_send_raw(&attacker->insider, hex(attacker, 1, 0));
    (void)printf("%s\n", is_up ? "ok" : "down");
}

static void do_seal(struct attacker *attacker) {
    say_hex("sealed", insider_seal(&attacker->insider, hex(attacker, 1, 0)));
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
    uint64_t count = number(attacker, 1);
    weft_ns end = insider_now() + number(attacker, 2) * 1000000;
    struct span plain = hex(attacker, 3, 0);
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
    uint64_t count = number(attacker, 1);
    weft_ns end = insider_now() + number(attacker, 2) * 1000000;
    struct span plain = hex(attacker, 3, 0);
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
    (void)insider_listen(&attacker->insider, (unsigned)number(attacker, 1));
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
                                        .cost_us = (uint32_t)number(attacker, 1)};
    struct wire_record fields = {.kind = WIRE_RECORD_PEER,
                                 .incarnation = number(attacker, 2),
                                 .version = number(attacker, 3)};
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
    identity_from_seed(other, hex(attacker, index, 0).data);
    return other;
}

static void do_record(struct attacker *attacker) {
    static uint8_t bytes[WIRE_RECORD_OVERHEAD + WIRE_RECORD_KEY_MAX + WIRE_RECORD_BODY_MAX];
    struct identity other;
    const struct identity *owner = signer(attacker, 7, &other);
    const struct wire_record fields = {.kind = (uint16_t)number(attacker, 1),
                                       .flags = (uint8_t)number(attacker, 2),
                                       .key = hex(attacker, 3, 0),
                                       .incarnation = number(attacker, 4),
                                       .version = number(attacker, 5),
                                       .body = hex(attacker, 6, 1)};
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
                                     .sequence = number(attacker, 1),
                                     .incarnation = number(attacker, 2),
                                     .channel = span_of_text(attacker->words[3]),
                                     .payload = hex(attacker, 4, 1),
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
    uint64_t count = number(attacker, 1);
    weft_ns end = insider_now() + number(attacker, 2) * 1000000;
    uint64_t batch = number(attacker, 3);
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

/* ---- streams ---- */

static void hear_packet(void *ctx, const struct wire_frame *frame, struct span payload) {
    struct attacker *attacker = ctx;
    struct wire_unicast unicast;
    struct wire_carrier carrier;
    weft_ns now = insider_now();
    if (frame->kind == WIRE_UNICAST && wire_unicast_decode(frame->body, &unicast) == WEFT_OK) {
        streams_packet(attacker->streams, &unicast.source, loan_of(unicast.packet), false, now);
    } else if (frame->kind == WIRE_CARRIER &&
               wire_carrier_decode(frame->body, &carrier) == WEFT_OK) {
        streams_packet(attacker->streams, &carrier.source, loan_of(payload), false, now);
    }
}

static bool streams_ready(struct attacker *attacker, struct span secret) {
    if (attacker->streams != NULL) {
        return true;
    }
    struct streams_config config;
    streams_config_defaults(&config);
    config.identity = &attacker->insider.identity;
    config.host = &attacker->insider.host;
    noise_derive(secret.data, "weft session psk", attacker->session_psk);
    config.psk = attacker->session_psk;
    config.incarnation = 1;
    config.instance = 7;
    config.flows_max = FLOWS_MAX; /* so that none of ours is ended */
    attacker->insider.on_frame = hear_packet;
    attacker->insider.ctx = attacker;
    return streams_new(&config, &attacker->streams) == WEFT_OK;
}

static void send_packet(struct attacker *attacker, const struct stream_packet *packet) {
    struct insider *insider = &attacker->insider;
    static uint8_t plain[INSIDER_PLAIN_MAX];
    const struct span nothing = {.data = NULL, .len = 0};
    struct wire_writer writer = wire_writer_of(plain, sizeof plain);
    const struct wire_unicast unicast = {.travel = {.hops = WIRE_HOPS_MAX},
                                         .source = insider->identity.id,
                                         .destination = packet->destination,
                                         .packet = frame_view(packet->frame)};
    size_t begin = wire_frame_begin(&writer, WIRE_UNICAST, 0);
    wire_unicast_encode(&writer, &unicast);
    wire_frame_end(&writer, begin);
    for (unsigned i = 0; i < attacker->copies; i++) {
        (void)insider_send(insider, wire_writer_view(&writer), nothing);
    }
}

/* Lets the streams say and hear what they have. */
static void streams_pump(struct attacker *attacker) {
    struct stream_packet packet;
    struct stream_event event;
    weft_ns now = insider_now();
    streams_tick(attacker->streams, now);
    while (streams_next_packet(attacker->streams, now, &packet)) {
        send_packet(attacker, &packet);
        frame_unref(packet.frame);
    }
    (void)insider_listen(&attacker->insider, 0);
    while (streams_next_event(attacker->streams, &event)) {
        if (event.kind == STREAM_EVENT_MESSAGE) {
            frame_unref(event.payload);
        } else if (event.kind == STREAM_EVENT_RESET || event.kind == STREAM_EVENT_REFUSED) {
            streams_release(attacker->streams, event.stream);
        }
    }
}

static uint64_t open_some(struct attacker *attacker, const struct wire_part_open *service) {
    struct stream_id ids[OPEN_AT_ONCE];
    struct insider *insider = &attacker->insider;
    uint64_t count = 0;
    while (count < OPEN_AT_ONCE &&
           streams_open(attacker->streams, &insider->victim, &insider->victim_key, service,
                        insider_now(), &ids[count]) == WEFT_OK) {
        count++;
    }
    streams_pump(attacker);
    for (uint64_t i = 0; i < count; i++) {
        streams_reset(attacker->streams, ids[i], WIRE_RESET_APPLICATION, insider_now());
    }
    streams_pump(attacker);
    return count;
}

/* opens COUNT MS SERVICE SECRET */
static void do_opens(struct attacker *attacker) {
    struct insider *insider = &attacker->insider;
    uint64_t count = number(attacker, 1);
    weft_ns end = insider_now() + number(attacker, 2) * 1000000;
    uint64_t sent = 0;
    if (!streams_ready(attacker, hex(attacker, 4, 0))) {
        (void)printf("down no streams\n");
        return;
    }
    const struct wire_part_open service = {.protocol = WIRE_PROTOCOL_TCP,
                                           .name_space = span_of_text("default"),
                                           .name = span_of_text(attacker->words[3])};
    streams_route(attacker->streams, &insider->victim, STREAM_ROUTE_CHANGED, insider_now());
    while (sent < count && insider_now() < end && !insider->is_down) {
        sent += open_some(attacker, &service);
    }
    for (unsigned i = 0; i < CALM_TURNS && !insider->is_down; i++) { /* the last resets arrive */
        streams_pump(attacker);
        (void)insider_listen(insider, CALM_MS);
    }
    (void)printf("sent %llu\n", (unsigned long long)sent);
}

static uint64_t flow_some(struct attacker *attacker, const struct datagram_service *service) {
    struct insider *insider = &attacker->insider;
    struct datagram_event event;
    struct flow_id flow;
    uint64_t count = 0;
    while (count < OPEN_AT_ONCE &&
           datagrams_open(attacker->streams, &insider->victim, &insider->victim_key, service,
                          insider_now(), &flow) == WEFT_OK) {
        datagrams_send(attacker->streams, flow, span_of_text("x"), insider_now());
        count++;
    }
    streams_pump(attacker);
    while (datagrams_next_event(attacker->streams, &event)) {
        frame_unref(event.payload);
    }
    return count;
}

/* flows COUNT MS SERVICE SECRET */
static void do_flows(struct attacker *attacker) {
    struct insider *insider = &attacker->insider;
    uint64_t count = number(attacker, 1);
    weft_ns end = insider_now() + number(attacker, 2) * 1000000;
    uint64_t sent = 0;
    if (!streams_ready(attacker, hex(attacker, 4, 0))) {
        (void)printf("down no streams\n");
        return;
    }
    const struct datagram_service service = {.name_space = span_of_text("default"),
                                             .name = span_of_text(attacker->words[3])};
    streams_route(attacker->streams, &insider->victim, STREAM_ROUTE_CHANGED, insider_now());
    while (sent < count && insider_now() < end && !insider->is_down) {
        sent += flow_some(attacker, &service);
    }
    for (unsigned i = 0; i < CALM_TURNS && !insider->is_down; i++) {
        streams_pump(attacker);
        (void)insider_listen(insider, CALM_MS);
    }
    (void)printf("sent %llu\n", (unsigned long long)sent);
}

/* ---- outside ---- */

static bool knock_once(const struct sockaddr_in *here, const struct sockaddr_in *there) {
    static const char garbage[] = "GET / HTTP/1.0\r\n\r\n";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct linger at_once = {.l_onoff = 1};
    if (fd < 0) {
        return false;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once); /* no TIME_WAIT */
    bool is_through = bind(fd, (const struct sockaddr *)here, sizeof *here) == 0 &&
                      connect(fd, (const struct sockaddr *)there, sizeof *there) == 0;
    if (is_through) {
        (void)send(fd, garbage, sizeof garbage, MSG_NOSIGNAL);
    }
    (void)close(fd);
    return is_through;
}

static void do_knock(struct attacker *attacker) {
    struct sockaddr_in there = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)number(attacker, 2))};
    weft_ns end = insider_now() + number(attacker, 4) * 1000000;
    uint64_t count = 0;
    uint64_t tried = 0;
    (void)inet_pton(AF_INET, attacker->words[1], &there.sin_addr);
    while (insider_now() < end) {
        struct sockaddr_in here = {.sin_family = AF_INET};
        char text[INET_ADDRSTRLEN];
        (void)snprintf(text, sizeof text, "%s.%u", attacker->words[3], (unsigned)(1 + tried % 250));
        (void)inet_pton(AF_INET, text, &here.sin_addr);
        tried++;
        count += knock_once(&here, &there) ? 1 : 0;
    }
    (void)printf("sent %llu tried %llu\n", (unsigned long long)count, (unsigned long long)tried);
}

#define LINKS_A_NETWORK 40 /* fewer than its bucket holds */

static void do_reconnect(struct attacker *attacker) {
    uint64_t count = number(attacker, 3);
    uint64_t made = 0;
    for (uint64_t i = 0; i < count; i++) {
        char source[INET_ADDRSTRLEN];
        uint64_t network = attacker->reconnects++ / LINKS_A_NETWORK;
        (void)snprintf(source, sizeof source, "127.%u.%u.1", (unsigned)(100 + network / 250),
                       (unsigned)(1 + network % 250));
        bool is_up = insider_dial(&attacker->insider, attacker->words[1],
                                  (uint16_t)number(attacker, 2), source);
        made += is_up ? 1 : 0;
    }
    insider_hang_up(&attacker->insider);
    (void)printf("made %llu\n", (unsigned long long)made);
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
