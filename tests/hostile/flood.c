/* SPDX-License-Identifier: Apache-2.0
 *
 * Strangers in numbers, for the tests of what they may cost (C3, C4): one thread, one poll, as many
 * connections as descriptors allow.
 *
 *   hostile_flood HOST PORT PREFIX MODE RATE HELD MS
 *
 * Connects RATE times a second, at most HELD at a time, for MS milliseconds; from PREFIX.1 to
 * PREFIX.250 in turn if PREFIX is three numbers, from PREFIX.0.1 to PREFIX.15.15 if it is two. MODE
 * says what each does:
 *
 *   knock   sends garbage and closes at once
 *   hold    sends nothing and stays until it is closed
 *   slow    sends what could be a first message, a byte a second
 *   fill    sends the longest first message that there can be but for its last byte, and stays
 *
 * At the end, one line: tried, connected, closed by them, open at most, bytes out, bytes in, and
 * how long the longest was let stay.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HELD_MAX 20000
#define SOURCES 250
#define EVENTS_MAX 512

/* The preamble and the greatest length that a first message may have. */
static const uint8_t beginning[] = {'w', 'e', 'f', 't', 1, 1, 0x03, 0xf8};
static const char garbage[] = "GET / HTTP/1.0\r\n\r\n";

struct caller {
    int fd; /* -1: free */
    bool is_connected;
    uint64_t since_ms;
    uint64_t said; /* bytes */
    uint64_t heard;
};

struct flood {
    const char *mode;
    const char *prefix;
    struct sockaddr_in there;
    struct caller callers[HELD_MAX];
    size_t free[HELD_MAX];
    size_t free_count;
    size_t held_max;
    int poll;
    uint64_t tried, connected, closed, open_max, out, in, stayed_ms, more_out;
};

static uint64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool is_mode(const struct flood *flood, const char *mode) {
    return strcmp(flood->mode, mode) == 0;
}

static void hang_up(struct flood *flood, struct caller *caller, bool is_theirs) {
    uint64_t stayed = now_ms() - caller->since_ms;
    flood->closed += is_theirs && caller->is_connected ? 1 : 0;
    flood->stayed_ms =
        caller->is_connected && stayed > flood->stayed_ms ? stayed : flood->stayed_ms;
    flood->more_out += caller->heard > caller->said ? 1 : 0;
    (void)close(caller->fd);
    caller->fd = -1;
    flood->free[flood->free_count++] = (size_t)(caller - flood->callers);
}

static void say(struct flood *flood, struct caller *caller, const void *bytes, size_t len) {
    ssize_t put = send(caller->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put > 0) {
        caller->said += (uint64_t)put;
        flood->out += (uint64_t)put;
    }
}

/* The next byte of a first message that takes a quarter of an hour. */
static void say_one(struct flood *flood, struct caller *caller) {
    uint8_t next = caller->said < sizeof beginning ? beginning[caller->said] : 0;
    say(flood, caller, &next, 1);
}

static void say_much(struct flood *flood, struct caller *caller) {
    uint8_t much[1023] = {0};
    memcpy(much, beginning, sizeof beginning);
    say(flood, caller, much, sizeof much);
}

static void connected(struct flood *flood, struct caller *caller) {
    struct epoll_event wanted = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = caller};
    size_t open;
    caller->is_connected = true;
    flood->connected++;
    open = flood->held_max - flood->free_count;
    flood->open_max = open > flood->open_max ? open : flood->open_max;
    (void)epoll_ctl(flood->poll, EPOLL_CTL_MOD, caller->fd, &wanted);
    if (is_mode(flood, "knock")) {
        say(flood, caller, garbage, sizeof garbage - 1);
        hang_up(flood, caller, false);
    } else if (is_mode(flood, "slow")) {
        say_one(flood, caller);
    } else if (is_mode(flood, "fill")) {
        say_much(flood, caller);
    }
}

static void hear(struct flood *flood, struct caller *caller) {
    uint8_t bytes[4096];
    ssize_t got = recv(caller->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got > 0) {
        caller->heard += (uint64_t)got;
        flood->in += (uint64_t)got;
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        hang_up(flood, caller, true);
    }
}

static void on_event(struct flood *flood, struct caller *caller, uint32_t events) {
    int error = 0;
    socklen_t len = sizeof error;
    if (caller->fd < 0) {
        return;
    }
    if (!caller->is_connected) {
        (void)getsockopt(caller->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error != 0 || (events & EPOLLOUT) == 0) {
            hang_up(flood, caller, false);
        } else {
            connected(flood, caller);
        }
        return;
    }
    hear(flood, caller);
}

static void source_of(const struct flood *flood, char out[INET_ADDRSTRLEN]) {
    unsigned turn = (unsigned)(flood->tried % SOURCES);
    bool is_one_network = strchr(strchr(flood->prefix, '.') + 1, '.') != NULL;
    if (is_one_network) {
        (void)snprintf(out, INET_ADDRSTRLEN, "%s.%u", flood->prefix, 1 + turn);
    } else {
        (void)snprintf(out, INET_ADDRSTRLEN, "%s.%u.%u", flood->prefix, turn % 16,
                       1 + turn / 16 % 15);
    }
}

/* Begins one connection; false when there is no descriptor or no port for it now. */
static bool call(struct flood *flood) {
    struct sockaddr_in here = {.sin_family = AF_INET};
    const struct linger at_once = {.l_onoff = 1}; /* no TIME_WAIT: ports are few */
    char source[INET_ADDRSTRLEN];
    struct caller *caller = &flood->callers[flood->free[flood->free_count - 1]];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return false;
    }
    source_of(flood, source);
    (void)inet_pton(AF_INET, source, &here.sin_addr);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    flood->tried++;
    struct epoll_event wanted = {.events = EPOLLOUT, .data.ptr = caller};
    if (bind(fd, (const struct sockaddr *)&here, sizeof here) != 0 ||
        (connect(fd, (const struct sockaddr *)&flood->there, sizeof flood->there) != 0 &&
         errno != EINPROGRESS) ||
        epoll_ctl(flood->poll, EPOLL_CTL_ADD, fd, &wanted) != 0) {
        (void)close(fd);
        return false;
    }
    flood->free_count--;
    *caller = (struct caller){.fd = fd, .since_ms = now_ms()};
    return true;
}

/* Once a second: the slow say their byte, and who was not let in for 2 s is given up. */
static void each_second(struct flood *flood) {
    for (size_t i = 0; i < flood->held_max; i++) {
        struct caller *caller = &flood->callers[i];
        if (caller->fd < 0) {
            continue;
        }
        if (!caller->is_connected && now_ms() - caller->since_ms > 2000) {
            hang_up(flood, caller, false);
        } else if (caller->is_connected && is_mode(flood, "slow")) {
            say_one(flood, caller);
        }
    }
}

static void run(struct flood *flood, uint64_t rate, uint64_t ms) {
    struct epoll_event events[EVENTS_MAX];
    uint64_t begun = now_ms();
    uint64_t second = begun;
    for (uint64_t now = begun; now < begun + ms; now = now_ms()) {
        uint64_t owed = (now - begun + 1) * rate / 1000;
        for (size_t i = 0; i < EVENTS_MAX && flood->tried < owed && flood->free_count > 0; i++) {
            (void)call(flood);
        }
        int count = epoll_wait(flood->poll, events, EVENTS_MAX, 1);
        for (int i = 0; i < count; i++) {
            on_event(flood, events[i].data.ptr, events[i].events);
        }
        if (now >= second + 1000) {
            second = now;
            each_second(flood);
        }
    }
}

static void raise_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool set_up(struct flood *flood, char *argv[]) {
    raise_limit();
    flood->there = (struct sockaddr_in){.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10))};
    flood->prefix = argv[3];
    flood->mode = argv[4];
    flood->held_max = strtoul(argv[6], NULL, 10);
    flood->held_max = flood->held_max < HELD_MAX ? flood->held_max : HELD_MAX;
    flood->poll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < flood->held_max; i++) {
        flood->callers[i].fd = -1;
        flood->free[flood->free_count++] = i;
    }
    return flood->poll >= 0 && strchr(flood->prefix, '.') != NULL &&
           inet_pton(AF_INET, argv[1], &flood->there.sin_addr) == 1;
}

int main(int argc, char *argv[]) {
    struct flood *flood = calloc(1, sizeof *flood);
    if (argc != 8 || flood == NULL || !set_up(flood, argv)) {
        (void)fprintf(stderr, "usage: hostile_flood HOST PORT PREFIX MODE RATE HELD MS\n");
        free(flood);
        return 2;
    }
    (void)printf("begun\n");
    (void)fflush(stdout);
    run(flood, strtoull(argv[5], NULL, 10), strtoull(argv[7], NULL, 10));
    (void)printf("tried=%llu connected=%llu closed=%llu open_max=%llu out=%llu in=%llu "
                 "stayed_ms=%llu more_out=%llu\n",
                 (unsigned long long)flood->tried, (unsigned long long)flood->connected,
                 (unsigned long long)flood->closed, (unsigned long long)flood->open_max,
                 (unsigned long long)flood->out, (unsigned long long)flood->in,
                 (unsigned long long)flood->stayed_ms, (unsigned long long)flood->more_out);
    free(flood);
    return 0;
}
