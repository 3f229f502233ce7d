/* SPDX-License-Identifier: Apache-2.0
 *
 * The protocol is small enough to be spoken without libsystemd.
 */
#include "node/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_BYTES 1024

static const char *variable_of(char *const environment[], const char *name) {
    size_t len = strlen(name);
    for (; environment != NULL && *environment != NULL; environment++) {
        if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=') {
            return *environment + len + 1;
        }
    }
    return NULL;
}

/* A connected socket, or -1. '@' stands for the zero byte that begins an abstract name, which has
 * no zero at its end. */
static int connect_to(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    if (len < 2 || len >= sizeof address.sun_path || (name[0] != '/' && name[0] != '@')) {
        return -1;
    }
    memcpy(address.sun_path, name, len);
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    socklen_t size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/' ? 1 : 0));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, size) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* Microseconds between two signs of life, unless they are another process's to give. */
static uint64_t watchdog_us(char *const environment[]) {
    const char *patience = variable_of(environment, "WATCHDOG_USEC");
    const char *whose = variable_of(environment, "WATCHDOG_PID");
    if (patience == NULL || (whose != NULL && strtol(whose, NULL, 10) != (long)getpid())) {
        return 0;
    }
    return strtoull(patience, NULL, 10);
}

void notify_init(struct notify *notify, char *const environment[]) {
    const char *name = variable_of(environment, "NOTIFY_SOCKET");
    *notify = (struct notify){.fd = name != NULL ? connect_to(name) : -1};
    if (notify->fd >= 0) {
        uint64_t patience = watchdog_us(environment);
        notify->watchdog = patience < UINT64_MAX / NS_PER_US ? patience * NS_PER_US / 2 : 0;
    }
}

void notify_fini(struct notify *notify) {
    if (notify->fd >= 0) {
        (void)close(notify->fd);
    }
    notify->fd = -1;
}

void notify_say(const struct notify *notify, const char *format, ...) {
    char message[MESSAGE_BYTES];
    if (notify->fd < 0) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (len > 0 && (size_t)len < sizeof message) {
        (void)send(notify->fd, message, (size_t)len, MSG_NOSIGNAL);
    }
}
