/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets up real links to a daemon and tears them down, many in one process:
 *
 *   link_flood PORT COUNT AT_ONCE PEERS < SECRET
 *
 * COUNT links in all to 127.0.0.1:PORT, AT_ONCE of them up together, from PEERS different
 * identities (at least AT_ONCE: a second link of the same peer would replace the first). SECRET is
 * the daemon's secret file. Half of the links say CLOSE, the others just hang up. Prints how many
 * came up; exit status 0 when that is all. Dials from 127.x.y.1, forty links from each, because a
 * daemon admits no more than fifty at once from one /24.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/time.h"
#include "link/link.h"

#define AT_ONCE_MAX 512
#define LINKS_PER_ADDRESS 40
#define PATIENCE_S 10

struct flood {
    uint16_t port;
    uint32_t peers;
    uint32_t serial; /* links begun so far */
    uint32_t net;    /* the first /24 dialled from; drawn, as another run's may be spent */
    uint8_t secret[WEFT_KEY_BYTES];
};

/* One end of a link; with it all that the link borrows. */
struct end {
    struct identity identity;
    struct host host;
    struct link_shared shared;
    struct link *link;
    int fd;
};

static weft_ns clock_now(void) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (weft_ns)now.tv_sec * NS_PER_S + (weft_ns)now.tv_nsec;
}

static void draw(void *ctx, uint8_t *out, size_t len) {
    (void)ctx;
    ASSERT(getrandom(out, len, 0) == (ssize_t)len);
}

static void end_init(struct end *end, const struct flood *flood) {
    uint8_t seed[IDENTITY_SEED_BYTES] = "link flood";
    uint32_t peer = flood->serial % flood->peers;
    memcpy(seed + sizeof(seed) - sizeof(peer), &peer, sizeof(peer));
    *end = (struct end){.host = {.random = draw}, .fd = -1};
    identity_from_seed(&end->identity, seed);
    link_shared_init(&end->shared, flood->secret);
    end->shared.identity = &end->identity;
    end->shared.host = &end->host;
    end->shared.hello.key = end->identity.key;
    end->shared.hello.name = span_of_text("flood");
    end->shared.hello.incarnation = 1 + flood->serial;
    end->shared.hello.instance = 1 + flood->serial;
}

static void end_fini(struct end *end) {
    link_free(end->link);
    identity_fini(&end->identity);
    if (end->fd >= 0) {
        (void)close(end->fd);
    }
}

static int dial(const struct flood *flood) {
    uint32_t group = flood->serial / LINKS_PER_ADDRESS;
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(flood->port)};
    from.sin_addr.s_addr = htonl((127U << 24) | ((flood->net + group) % 65535 + 1) << 8 | 1U);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(fd >= 0);
    ASSERT(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
    if (bind(fd, (const struct sockaddr *)&from, sizeof(from)) == 0 &&
        connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0) {
        return fd;
    }
    perror("link_flood: connect");
    (void)close(fd);
    return -1;
}

static bool put_all(struct end *end, struct span bytes) {
    while (bytes.len > 0) {
        ssize_t put = send(end->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (put <= 0) {
            return false;
        }
        bytes = span_of(bytes.data + put, bytes.len - (size_t)put);
    }
    return true;
}

static bool flush(struct end *end) {
    struct span span;
    while (link_write_spans(end->link, clock_now(), &span, 1) == 1) {
        if (!put_all(end, span)) {
            return false;
        }
        link_write_done(end->link, span.len);
    }
    return true;
}

static bool read_some(struct end *end) {
    size_t len = 0;
    uint8_t *space = link_read_space(end->link, &len);
    ssize_t got = space != NULL ? recv(end->fd, space, len, 0) : -1;
    if (space != NULL) {
        link_read_done(end->link, got > 0 ? (size_t)got : 0, clock_now());
    }
    return got > 0;
}

/* Takes what there is to take. False when the link is down. */
static bool take_events(struct end *end) {
    struct link_event event;
    while (link_next_event(end->link, clock_now(), &event)) {
        if (event.kind == LINK_EVENT_DOWN) {
            (void)fprintf(stderr, "link_flood: %s\n", event.detail);
            return false;
        }
    }
    return true;
}

static bool bring_up(struct end *end, struct flood *flood) {
    end_init(end, flood);
    end->fd = dial(flood);
    flood->serial++;
    if (end->fd < 0 || link_new(&end->shared, LINK_DIALLED, NULL, clock_now(), &end->link)) {
        return false;
    }
    bool is_well = flush(end);
    while (is_well && !link_is_up(end->link)) {
        is_well = read_some(end) && take_events(end) && flush(end);
    }
    return is_well;
}

static void tear_down(struct end *end, bool says_close) {
    if (says_close && end->link != NULL && link_is_up(end->link)) {
        link_close(end->link, WIRE_CLOSE_BYE, "enough");
        (void)flush(end);
    }
    end_fini(end);
}

/* Waits until the daemon has answered: its half of the handshake is then done too. */
static uint32_t run_batch(struct flood *flood, struct end *ends, uint32_t count) {
    uint32_t up = 0;
    for (uint32_t i = 0; i < count; i++) {
        up += bring_up(&ends[i], flood) ? 1 : 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (ends[i].link != NULL && link_is_up(ends[i].link)) {
            (void)read_some(&ends[i]);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        tear_down(&ends[i], i % 2 == 0);
    }
    return up;
}

static bool read_secret(uint8_t out[WEFT_KEY_BYTES]) {
    char line[256];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (line[0] == '#') {
            continue;
        }
        for (size_t i = 0; i < WEFT_KEY_BYTES; i++) {
            const char digits[3] = {line[2 * i], line[2 * i + 1], '\0'};
            out[i] = (uint8_t)strtoul(digits, NULL, 16);
        }
        return strlen(line) >= (size_t)2 * WEFT_KEY_BYTES;
    }
    return false;
}

int main(int argc, char **argv) {
    struct flood flood = {.serial = 0};
    if (argc != 5 || !read_secret(flood.secret) || noise_setup() != WEFT_OK) {
        (void)fprintf(stderr, "usage: link_flood PORT COUNT AT_ONCE PEERS < SECRET\n");
        return 2;
    }
    flood.port = (uint16_t)strtoul(argv[1], NULL, 10);
    uint32_t count = (uint32_t)strtoul(argv[2], NULL, 10);
    uint32_t at_once = (uint32_t)strtoul(argv[3], NULL, 10);
    flood.peers = (uint32_t)strtoul(argv[4], NULL, 10);
    ASSERT(at_once >= 1 && at_once <= AT_ONCE_MAX && flood.peers >= at_once);
    struct end *ends = calloc(at_once, sizeof(*ends));
    ASSERT(ends != NULL);
    draw(NULL, (uint8_t *)&flood.net, 2);
    uint32_t up = 0;
    while (flood.serial < count) {
        uint32_t left = count - flood.serial;
        up += run_batch(&flood, ends, left < at_once ? left : at_once);
    }
    free(ends);
    (void)printf("%u links\n", up);
    return up == count ? 0 : 1;
}
