/* SPDX-License-Identifier: Apache-2.0
 *
 * An application for `scripts/bench tunnel`: asks, connects, waits or drinks as told, and prints
 * one line of figures. It uses sockets only, the same against a tunnel and against plain TCP.
 *
 *   ping HOST PORT SECONDS          requests one after the other over one connection
 *   connect HOST PORT SECONDS N     N at a time: connect, one request, its answer, the end
 *   hold HOST PORT N                N connections that say nothing, until standard input ends
 *   drink HOST PORT SECONDS         reads all that comes; the longest pause in it
 *   source PORT                     serves drinkers: endless bytes
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX ((size_t)2000000)
#define PARALLEL_MAX 1024
#define EVENTS_MAX 256
#define NS_PER_S INT64_C(1000000000)

static const char ASK[] = "GET / HTTP/1.1\r\nHost: weft\r\n\r\n";
static const char ASK_ONCE[] = "GET / HTTP/1.1\r\nHost: weft\r\nConnection: close\r\n\r\n";

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(EXIT_FAILURE);
}

static struct sockaddr_in address_of(const char *host, const char *port) {
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    struct sockaddr_in address;
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        fail(host);
    }
    memcpy(&address, found->ai_addr, sizeof address);
    freeaddrinfo(found);
    return address;
}

static int dial(const struct sockaddr_in *address, int flags) {
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    const int one = 1;
    if (fd < 0) {
        fail("socket");
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
        errno != EINPROGRESS) {
        fail("connect");
    }
    return fd;
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* ---- ping ---- */

/* Reads one answer; its length was learned from the first. */
static size_t answer_take(int fd, size_t expected) {
    char answer[4096];
    size_t len = 0;
    do {
        ssize_t got = recv(fd, answer + len, sizeof answer - len, 0);
        if (got <= 0) {
            fail("recv");
        }
        len += (size_t)got;
    } while (len < expected);
    return len;
}

static void ping(const struct sockaddr_in *address, int64_t span) {
    uint32_t *samples = malloc(SAMPLES_MAX * sizeof *samples);
    int fd = dial(address, 0);
    size_t count = 0;
    size_t expected = 0;
    if (samples == NULL) {
        fail("malloc");
    }
    int64_t before = now_ns();
    const int64_t end = before + span;
    while (before < end && count < SAMPLES_MAX) {
        if (send(fd, ASK, sizeof ASK - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof ASK - 1)) {
            fail("send");
        }
        expected = answer_take(fd, expected);
        int64_t after = now_ns();
        samples[count++] = (uint32_t)(after - before);
        before = after;
    }
    qsort(samples, count, sizeof *samples, compare);
    size_t middle = count / 2;
    size_t late = count * 99 / 100;
    printf("requests=%zu p50_us=%.1f p99_us=%.1f\n", count, samples[middle] / 1e3,
           samples[late] / 1e3);
    free(samples);
}

/* ---- connect ---- */

struct visit {
    int fd;
    bool is_asked;
    bool is_answered;
};

static void visit_begin(int poll, struct visit *visit, const struct sockaddr_in *address) {
    *visit = (struct visit){.fd = dial(address, SOCK_NONBLOCK)};
    struct epoll_event event = {.events = EPOLLOUT, .data = {.ptr = visit}};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, visit->fd, &event) != 0) {
        fail("epoll_ctl");
    }
}

/* Goes on with one visit; whether it is over. */
static bool visit_go_on(int poll, struct visit *visit) {
    char answer[4096];
    if (!visit->is_asked) {
        struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = visit}};
        visit->is_asked = true;
        (void)send(visit->fd, ASK_ONCE, sizeof ASK_ONCE - 1, MSG_NOSIGNAL);
        (void)epoll_ctl(poll, EPOLL_CTL_MOD, visit->fd, &event);
        return false;
    }
    ssize_t got = recv(visit->fd, answer, sizeof answer, 0);
    visit->is_answered = visit->is_answered || got > 0;
    return got == 0 || (got < 0 && errno != EAGAIN);
}

/* What came of a visit. */
struct tally {
    unsigned long done;
    unsigned long failed;
};

static void visits_turn(int poll, const struct sockaddr_in *address, struct tally *tally) {
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(poll, events, EVENTS_MAX, 100);
    for (int i = 0; i < count; i++) {
        struct visit *visit = events[i].data.ptr;
        if (visit_go_on(poll, visit)) {
            tally->done += visit->is_answered ? 1 : 0;
            tally->failed += visit->is_answered ? 0 : 1;
            close(visit->fd);
            visit_begin(poll, visit, address);
        }
    }
}

static void visits(const struct sockaddr_in *address, int64_t span, int parallel) {
    struct visit visits[PARALLEL_MAX];
    struct tally tally = {0};
    int poll = epoll_create1(0);
    const int64_t begun = now_ns();
    for (int i = 0; i < parallel; i++) {
        visit_begin(poll, &visits[i], address);
    }
    while (now_ns() - begun < span) {
        visits_turn(poll, address, &tally);
    }
    double seconds = (double)(now_ns() - begun) / 1e9;
    printf("connections=%lu failed=%lu per_s=%.0f\n", tally.done, tally.failed,
           (double)tally.done / seconds);
}

/* ---- hold ---- */

#define HOLD_ANSWER_S 10 /* a tunnel that is full does not answer at all */

/* Each has its answer, so that it is known to stand all the way, and then says nothing. */
static void hold(const struct sockaddr_in *address, int count) {
    char byte;
    for (int i = 0; i < count; i++) {
        int fd = dial(address, 0);
        const struct timeval limit = {.tv_sec = HOLD_ANSWER_S};
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        if (send(fd, ASK, sizeof ASK - 1, MSG_NOSIGNAL) < 0) {
            fail("send");
        }
        answer_take(fd, 1);
    }
    printf("held=%d\n", count);
    (void)fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
}

/* ---- drink and source ---- */

static void drink(const struct sockaddr_in *address, int64_t span) {
    static char bytes[262144];
    int fd = dial(address, 0);
    uint64_t total = 0;
    int64_t longest = 0;
    int64_t last = now_ns();
    const int64_t end = last + span;
    const struct timeval patience = {.tv_sec = 10};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    while (last < end) {
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        int64_t now = now_ns();
        if (got <= 0) {
            printf("bytes=%llu died=1\n", (unsigned long long)total);
            return;
        }
        longest = now - last > longest && total > 0 ? now - last : longest;
        total += (uint64_t)got;
        last = now;
    }
    printf("bytes=%llu stall_ms=%.1f\n", (unsigned long long)total, (double)longest / 1e6);
}

static void pour(int fd) {
    static char bytes[262144];
    while (send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) > 0) {
    }
    exit(EXIT_SUCCESS);
}

static void source(const char *port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    const int one = 1;
    struct sockaddr_in address = address_of("0.0.0.0", port);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 16) != 0) {
        fail("listen");
    }
    (void)signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int drinker = accept(fd, NULL, NULL);
        if (drinker >= 0 && fork() == 0) {
            pour(drinker);
        }
        close(drinker);
    }
}

static int usage(void) {
    (void)fprintf(stderr, "usage: bench_traffic ping|drink HOST PORT SECONDS | connect HOST PORT "
                          "SECONDS N | hold HOST PORT N | source PORT\n");
    return 2;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "source") == 0) {
        source(argv[2]);
    }
    if (argc < 5) {
        return usage();
    }
    struct sockaddr_in address = address_of(argv[2], argv[3]);
    int64_t span = (int64_t)(strtod(argv[4], NULL) * 1e9);
    long parallel = argc > 5 ? strtol(argv[5], NULL, 10) : 1;
    if (strcmp(argv[1], "ping") == 0) {
        ping(&address, span);
    } else if (strcmp(argv[1], "connect") == 0 && parallel >= 1 && parallel <= PARALLEL_MAX) {
        visits(&address, span, (int)parallel);
    } else if (strcmp(argv[1], "hold") == 0) {
        hold(&address, (int)strtol(argv[4], NULL, 10));
    } else if (strcmp(argv[1], "drink") == 0) {
        drink(&address, span);
    } else {
        return usage();
    }
    return EXIT_SUCCESS;
}
