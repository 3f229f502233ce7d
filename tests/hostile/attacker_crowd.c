/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections in numbers: of strangers who say nothing to the point, and of a member that comes and
 * goes.
 */
#include "hostile/attacker.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINKS_A_NETWORK 40 /* fewer than its bucket holds */

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

void do_knock(struct attacker *attacker) {
    struct sockaddr_in there = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)attacker_number(attacker, 2))};
    weft_ns end = attacker_end(attacker, 4);
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

void do_reconnect(struct attacker *attacker) {
    uint64_t count = attacker_number(attacker, 3);
    uint64_t made = 0;
    for (uint64_t i = 0; i < count; i++) {
        char source[INET_ADDRSTRLEN];
        uint64_t network = attacker->reconnects++ / LINKS_A_NETWORK;
        (void)snprintf(source, sizeof source, "127.%u.%u.1", (unsigned)(100 + network / 250),
                       (unsigned)(1 + network % 250));
        bool is_up = insider_dial(&attacker->insider, attacker->words[1],
                                  (uint16_t)attacker_number(attacker, 2), source);
        made += is_up ? 1 : 0;
    }
    insider_hang_up(&attacker->insider);
    (void)printf("made %llu\n", (unsigned long long)made);
}
