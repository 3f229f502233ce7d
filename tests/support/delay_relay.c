/* SPDX-License-Identifier: Apache-2.0
 *
 * A TCP relay that makes links long: what arrives on one side leaves on the other a fixed time
 * later, and no faster than a rate. For tests on machines whose kernel has no netem.
 *
 *   delay_relay DELAY_US RATE BUFFER LISTEN=TARGET ...     addresses as 10.0.0.1:9338, RATE in
 *                                                          bytes a second, 0: no limit
 *
 *   socket -> [ chunk, due at +delay | chunk | end ] -> [ output ] -> socket
 *
 * Prints "ready" once it listens. Each way holds at most BUFFER bytes (give or take one read), then
 * it reads no more until some have left: the sender is slowed, nothing is lost. An end of one
 * direction travels like data, and the other direction goes on. A connection's first bytes wait a
 * round trip longer, for that is what the handshake of a connection through here did not take.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_US UINT64_C(1000)
#define ROUTES_MAX 128
#define READ_BYTES ((size_t)16 * 1024) /* at once: what a way may hold beyond its bound */

struct relay {
    struct event_base *base;
    uint64_t delay_ns;
    uint64_t rate; /* bytes a second; 0: no limit */
    size_t buffer;
};

struct route {
    const struct relay *relay;
    struct sockaddr_storage target;
    int target_len;
};

/* What waits for its time; the last of a way has no bytes: the end. */
struct chunk {
    uint64_t due;
    struct evbuffer *bytes;
    struct chunk *next;
};

/* One direction. */
struct way {
    struct pair *pair;
    struct bufferevent *from;
    struct bufferevent *to;
    struct chunk *head;
    struct chunk *tail;
    size_t waiting;   /* bytes in chunks */
    uint64_t free_at; /* when the wire has sent all that was put on it */
    struct event *timer;
    bool has_ended;  /* nothing more comes */
    bool was_closed; /* the end is being written, or was */
    bool is_over;    /* and is out */
};

struct pair {
    const struct route *route;
    struct way ways[2]; /* from the dialler, to the dialler */
    struct event *begin;
};

static uint64_t now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void *must(void *made) {
    if (made == NULL) {
        (void)fprintf(stderr, "delay_relay: out of memory\n");
        exit(70);
    }
    return made;
}

static void arm(struct event *timer, uint64_t after) {
    const struct timeval wait = {.tv_sec = (time_t)(after / NS_PER_S),
                                 .tv_usec = (suseconds_t)(after % NS_PER_S / NS_PER_US)};
    (void)event_add(timer, &wait);
}

static void chunk_free(struct chunk *chunk) {
    evbuffer_free(chunk->bytes);
    free(chunk);
}

static void way_fini(struct way *way) {
    while (way->head != NULL) {
        struct chunk *chunk = way->head;
        way->head = chunk->next;
        chunk_free(chunk);
    }
    if (way->timer != NULL) {
        event_free(way->timer);
    }
    if (way->from != NULL) {
        bufferevent_free(way->from);
    }
}

/* Each socket is the `from` of one way, which frees it. */
static void pair_free(struct pair *pair) {
    if (pair->begin != NULL) {
        event_free(pair->begin);
    }
    way_fini(&pair->ways[0]);
    way_fini(&pair->ways[1]);
    free(pair);
}

static size_t held(const struct way *way) {
    return way->waiting + evbuffer_get_length(bufferevent_get_output(way->to));
}

static void look_at_room(struct way *way) {
    if (way->has_ended) {
        return;
    }
    if (held(way) >= way->pair->route->relay->buffer) {
        (void)bufferevent_disable(way->from, EV_READ);
    } else {
        (void)bufferevent_enable(way->from, EV_READ);
    }
}

static bool pair_free_if_over(struct pair *pair) {
    if (!pair->ways[0].is_over || !pair->ways[1].is_over) {
        return false;
    }
    pair_free(pair);
    return true;
}

/* Ends the way if its end was due and all is written; true if the pair is gone with it. */
static bool way_close(struct way *way) {
    if (!way->was_closed || way->is_over ||
        evbuffer_get_length(bufferevent_get_output(way->to)) > 0) {
        return false;
    }
    (void)shutdown(bufferevent_getfd(way->to), SHUT_WR);
    way->is_over = true;
    return pair_free_if_over(way->pair);
}

/* Hands over what is due and arms the timer for the next. */
static void way_pump(struct way *way) {
    uint64_t now = now_ns();
    while (way->head != NULL && way->head->due <= now) {
        struct chunk *chunk = way->head;
        way->head = chunk->next;
        way->tail = way->head != NULL ? way->tail : NULL;
        size_t len = evbuffer_get_length(chunk->bytes);
        way->waiting -= len;
        way->was_closed = way->was_closed || len == 0;
        (void)bufferevent_write_buffer(way->to, chunk->bytes);
        chunk_free(chunk);
    }
    if (way->head != NULL) {
        arm(way->timer, way->head->due - now + NS_PER_US); /* rounded up */
    }
    if (!way_close(way)) {
        look_at_room(way);
    }
}

static void on_due(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    way_pump(arg);
}

/* Puts all that was read, or an end, in line. */
static void way_put(struct way *way, struct evbuffer *input) {
    const struct relay *relay = way->pair->route->relay;
    struct chunk *chunk = must(calloc(1, sizeof(*chunk)));
    chunk->bytes = must(evbuffer_new());
    size_t len = input != NULL ? evbuffer_get_length(input) : 0;
    uint64_t sent = now_ns();
    if (relay->rate > 0) {
        sent = way->free_at > sent ? way->free_at : sent;
        sent += len * NS_PER_S / relay->rate;
        way->free_at = sent;
    }
    if (input != NULL) {
        (void)evbuffer_add_buffer(chunk->bytes, input);
    }
    chunk->due = sent + relay->delay_ns;
    way->waiting += len;
    if (way->tail != NULL) {
        way->tail->next = chunk;
    } else {
        way->head = chunk;
    }
    way->tail = chunk;
    way_pump(way);
}

static struct way *way_from(struct pair *pair, const struct bufferevent *socket) {
    return &pair->ways[pair->ways[0].from == socket ? 0 : 1];
}

static void on_read(struct bufferevent *from, void *arg) {
    struct evbuffer *input = bufferevent_get_input(from);
    if (evbuffer_get_length(input) > 0) {
        way_put(way_from(arg, from), input);
    }
}

/* Written out: there is room again, or all is over. */
static void on_written(struct bufferevent *to, void *arg) {
    struct pair *pair = arg;
    struct way *way = &pair->ways[pair->ways[0].to == to ? 0 : 1];
    if (!way_close(way)) {
        look_at_room(way);
    }
}

/* Nobody listens there: the dialler hears of it as it would have without us. */
static void refuse(struct pair *pair) {
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(bufferevent_getfd(pair->ways[0].from), SOL_SOCKET, SO_LINGER, &now,
                     sizeof(now));
    pair_free(pair);
}

static void connected(struct pair *pair) {
    event_free(pair->begin);
    pair->begin = NULL;
    look_at_room(&pair->ways[0]);
    look_at_room(&pair->ways[1]);
}

/* One side ended, or broke. The other hears of it when an end would arrive; to one that broke
 * nothing more is written. */
static void ended(struct pair *pair, unsigned side, bool is_broken) {
    struct way *way = &pair->ways[side];
    if (is_broken) {
        pair->ways[1 - side].is_over = true;
    }
    if (!way->has_ended) {
        way->has_ended = true;
        way_put(way, NULL);
    } else {
        (void)pair_free_if_over(pair);
    }
}

static void on_event(struct bufferevent *socket, short what, void *arg) {
    struct pair *pair = arg;
    bool is_broken = (what & BEV_EVENT_ERROR) != 0;
    if ((what & BEV_EVENT_CONNECTED) != 0) {
        connected(pair);
    } else if (pair->begin != NULL) {
        refuse(pair);
    } else {
        (void)bufferevent_disable(socket, EV_READ);
        ended(pair, socket == pair->ways[0].from ? 0 : 1, is_broken);
    }
}

/* What the kernel holds for us is part of the wire too: where that is slow it must be little, or it
 * would be a queue of seconds. Before a connection, whose window follows from it. */
static void hold_little(const struct relay *relay, evutil_socket_t fd) {
    const int bytes = (int)relay->buffer;
    if (relay->rate > 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    }
}

static void on_begin(evutil_socket_t fd, short what, void *arg) {
    struct pair *pair = arg;
    const struct sockaddr *target = (const struct sockaddr *)&pair->route->target;
    const int yes = 1;
    (void)fd;
    (void)what;
    evutil_socket_t out = socket(target->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    hold_little(pair->route->relay, out);
    (void)bufferevent_setfd(pair->ways[1].from, out);
    if (bufferevent_socket_connect(pair->ways[1].from, target, pair->route->target_len) != 0) {
        refuse(pair);
        return;
    }
    (void)setsockopt(bufferevent_getfd(pair->ways[1].from), IPPROTO_TCP, TCP_NODELAY, &yes,
                     sizeof(yes));
}

static void way_init(struct way *way, struct pair *pair, struct bufferevent *from,
                     struct bufferevent *to) {
    *way = (struct way){.pair = pair, .from = from, .to = to};
    way->timer = must(event_new(pair->route->relay->base, -1, 0, on_due, way));
    bufferevent_setcb(from, on_read, on_written, on_event, pair);
    (void)bufferevent_set_max_single_read(from, READ_BYTES);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer,
                      int len, void *arg) {
    const struct route *route = arg;
    struct event_base *base = route->relay->base;
    const int yes = 1;
    (void)listener;
    (void)peer;
    (void)len;
    struct pair *pair = must(calloc(1, sizeof(*pair)));
    const int options =
        BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS; /* never in our own calls */
    struct bufferevent *near = must(bufferevent_socket_new(base, fd, options));
    struct bufferevent *far = must(bufferevent_socket_new(base, -1, options));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    pair->route = route;
    way_init(&pair->ways[0], pair, near, far);
    way_init(&pair->ways[1], pair, far, near);
    (void)bufferevent_disable(near, EV_READ);
    pair->begin = must(event_new(base, -1, 0, on_begin, pair));
    arm(pair->begin, 2 * route->relay->delay_ns);
}

/* Listens for one LISTEN=TARGET; false if it is none, or cannot be. */
static bool listen_for(const struct relay *relay, char *text, struct route *route) {
    struct sockaddr_storage listen = {0};
    int listen_len = sizeof(listen);
    char *split = strchr(text, '=');
    route->relay = relay;
    route->target_len = sizeof(route->target);
    if (split == NULL) {
        return false;
    }
    *split = '\0';
    if (evutil_parse_sockaddr_port(text, (struct sockaddr *)&listen, &listen_len) != 0 ||
        evutil_parse_sockaddr_port(split + 1, (struct sockaddr *)&route->target,
                                   &route->target_len) != 0) {
        return false;
    }
    struct evconnlistener *listener = evconnlistener_new_bind(
        relay->base, on_accept, route, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 128,
        (struct sockaddr *)&listen, listen_len);
    if (listener != NULL) {
        hold_little(relay, evconnlistener_get_fd(listener));
    }
    return listener != NULL;
}

static struct event_base *precise_base(void) {
    struct event_config *config = must(event_config_new());
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    struct event_base *base = must(event_base_new_with_config(config));
    event_config_free(config);
    return base;
}

int main(int argc, char **argv) {
    if (argc < 5 || argc > 4 + ROUTES_MAX) {
        (void)fprintf(stderr, "usage: delay_relay DELAY_US RATE BUFFER LISTEN=TARGET ...\n");
        return 2;
    }
    struct relay relay = {.base = precise_base(),
                          .delay_ns = strtoull(argv[1], NULL, 10) * NS_PER_US,
                          .rate = strtoull(argv[2], NULL, 10),
                          .buffer = strtoull(argv[3], NULL, 10)};
    struct route routes[ROUTES_MAX] = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    for (int i = 4; i < argc; i++) {
        if (!listen_for(&relay, argv[i], &routes[i - 4])) {
            (void)fprintf(stderr, "delay_relay: %s: %s\n", argv[i], strerror(errno));
            return 1;
        }
    }
    (void)puts("ready");
    (void)fflush(stdout);
    return event_base_dispatch(relay.base) == 0 ? 0 : 1;
}
