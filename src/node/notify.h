/* SPDX-License-Identifier: Apache-2.0
 *
 * What a service manager wants to hear: one datagram of NAME=VALUE lines to the socket that
 * $NOTIFY_SOCKET names. Without the variable all of this does nothing. A message that cannot be
 * sent is dropped: the daemon does not depend on who watches it.
 *
 * Source: sd_notify(3) and systemd.service(5), Type=notify-reload.
 */
#ifndef NODE_NOTIFY_H
#define NODE_NOTIFY_H

#include "base/time.h"

struct notify {
    int fd;           /* connected; -1: nobody listens */
    weft_ns watchdog; /* how often to say that we live: half of what we are given; 0: not asked */
};

/* Takes $NOTIFY_SOCKET ("/path", or "@name" for an abstract one), $WATCHDOG_USEC and $WATCHDOG_PID
 * from `environment`. */
void notify_init(struct notify *notify, char *const environment[]);
void notify_fini(struct notify *notify);

/* Sends the lines, each but the last ended by '\n'. */
__attribute__((format(printf, 2, 3))) void notify_say(const struct notify *notify,
                                                      const char *format, ...);

#endif
