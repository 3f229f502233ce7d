/* SPDX-License-Identifier: Apache-2.0
 *
 * Sockets of links. Reading goes straight into the link's buffer and never waits for writing;
 * writing takes what the link seals on demand, at the end of the turn, many records to a call. The
 * kernel holds little that is unsent (TCP_NOTSENT_LOWAT), so that what is urgent still overtakes.
 *
 *   open --tcp_close--> closing --CLOSE written--> lingering --their end, or 1 s--> dead
 *     +-------------- fault, end of file, handshake refused --------------------------^
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "node/internal.h"

#define LINGER NS_PER_S
#define SPANS_MAX 64                  /* of one sendmsg */
#define ROOM_STEP ((size_t)64 * 1024) /* smaller changes of room are not told */

struct link_id node_link_draw(struct node *node) {
    return (struct link_id){.value = ++node->link_next};
}

static struct span id_span(const struct link_id *id) {
    return span_of(&id->value, sizeof(id->value));
}

/* Mostly the one asked for before: what a turn sends goes over few links. */
struct tcp *tcp_find(struct node *node, struct link_id id) {
    if (node->link_found == NULL || !link_id_equal(node->link_found->id, id)) {
        node->link_found = map_find(node->links, id_span(&id));
    }
    return node->link_found;
}

static void arm(struct tcp *tcp) {
    weft_ns deadline =
        tcp->state == TCP_STATE_OPEN ? link_deadline(tcp->link) : time_after(tcp->since, LINGER);
    timers_arm(&tcp->node->timers, &tcp->timer, deadline);
}

void tcp_mark_dirty(struct tcp *tcp) {
    if (tcp->is_dirty || tcp->state == TCP_STATE_DEAD) {
        return;
    }
    tcp->is_dirty = true;
    tcp->dirty_next = tcp->node->dirty;
    tcp->node->dirty = tcp;
    node_touch(tcp->node);
}

static void event_drop(struct event **event) {
    if (*event != NULL) {
        event_free(*event);
        *event = NULL;
    }
}

static void settle(struct tcp *tcp) {
    if (!tcp->is_settled) {
        tcp->is_settled = true;
        guard_settled(tcp->node->guard, tcp->id);
    }
}

/* Tells the core, once, that the link it knows of is no more. */
static void tell_down(struct tcp *tcp, const char *why) {
    weft_ns now = node_clock();
    if (tcp->is_up) {
        tcp->is_up = false;
        core_link_down(tcp->node->core, tcp->id, now);
    } else if (tcp->dial_token != 0) {
        core_dial_failed(tcp->node->core, tcp->dial_token, why, now);
    }
    tcp->dial_token = 0;
    node_touch(tcp->node);
}

void tcp_kill(struct tcp *tcp, const char *why) {
    struct node *node = tcp->node;
    if (tcp->state == TCP_STATE_DEAD) {
        return;
    }
    tcp->state = TCP_STATE_DEAD;
    settle(tcp);
    tell_down(tcp, why);
    event_drop(&tcp->on_read);
    event_drop(&tcp->on_write);
    event_drop(&tcp->on_owed);
    timers_disarm(&node->timers, &tcp->timer);
    (void)map_remove(node->links, id_span(&tcp->id));
    node->link_found = NULL;
    (void)close(tcp->fd);
    tcp->fd = -1;
    node->tcp_count--;
    tcp->dead_next = node->dead;
    node->dead = tcp;
    node_touch(node);
}

/* The handshake failed. Who came from outside is shown in the status, too. */
static void report_fault(struct tcp *tcp, const char *why) {
    uint64_t count = 0;
    struct span address = span_of(tcp->address, tcp->address_len);
    bool is_due = tcp->role == LINK_DIALLED
                      ? guard_fault(tcp->node->guard, address, node_clock(), &count)
                      : node_stranger(tcp->node, address, tcp->remote, why, &count);
    if (is_due) {
        trace(&tcp->node->host, TRACE_WARN, "handshake-failed",
              "remote=%s direction=%s count=%llu why=\"%s\"", tcp->remote,
              tcp->role == LINK_DIALLED ? "out" : "in", (unsigned long long)count, why);
    }
}

static void lost(struct tcp *tcp, const char *why) {
    if (tcp->state == TCP_STATE_OPEN && !tcp->is_up) {
        report_fault(tcp, why);
    } else if (tcp->is_up) {
        trace(&tcp->node->host, TRACE_DEBUG, "link-lost", "remote=%s why=\"%s\"", tcp->remote, why);
    }
    tcp_kill(tcp, why);
}

/* The link holds our CLOSE: it goes out, then the socket ends. */
static void begin_closing(struct tcp *tcp) {
    tcp->state = TCP_STATE_CLOSING;
    tcp->since = node_clock();
    arm(tcp);
    tcp_mark_dirty(tcp);
}

void tcp_close(struct tcp *tcp, enum wire_close_reason reason, const char *text) {
    if (tcp->state == TCP_STATE_OPEN) {
        link_close(tcp->link, reason, text);
        begin_closing(tcp);
    }
}

static void tell_room(struct tcp *tcp, weft_ns now) {
    size_t room[WIRE_CLASS_COUNT];
    for (int class = 0; class < WIRE_CLASS_COUNT; class ++) {
        room[class] = link_room(tcp->link, (enum wire_class) class);
    }
    memcpy(tcp->room_told, room, sizeof(room));
    core_link_room(tcp->node->core, tcp->id, room, now);
}

/* Whether the core's idea of the room is so wrong that it should be told. It counts down what it
 * sends itself, so it is always too low, never too high. */
static bool is_room_news(const struct tcp *tcp, size_t written) {
    return tcp->is_up && tcp->state == TCP_STATE_OPEN &&
           (written >= ROOM_STEP || !tcp->wants_write);
}

static void on_up(struct tcp *tcp, const struct link_event *event, weft_ns now) {
    char name[WEFT_NAME_MAX + 1];
    (void)span_to_text(event->hello.name, name, sizeof(name));
    const struct core_link_info info = {
        .role = tcp->role,
        .dial_token = tcp->dial_token,
        .key = event->hello.key,
        .name = name,
        .incarnation = event->hello.incarnation,
        .instance = event->hello.instance,
        .remote = tcp->remote,
    };
    settle(tcp);
    tcp->is_up = true;
    tcp->since = now;
    core_link_up(tcp->node->core, tcp->id, &info, now);
    tell_room(tcp, now);
}

/* A peer that broke the protocol: named, and told why before the end. */
static void on_broken(struct tcp *tcp, const struct link_event *event, weft_ns now) {
    core_link_broken(tcp->node->core, tcp->id, event->err, now);
    trace(&tcp->node->host, TRACE_DEBUG, "link-broken", "remote=%s why=\"%s\"", tcp->remote,
          event->detail);
    begin_closing(tcp);
}

static void on_down(struct tcp *tcp, const struct link_event *event, weft_ns now) {
    if (tcp->is_up && event->close_reason != 0) {
        core_link_bye(tcp->node->core, tcp->id, (enum wire_close_reason)event->close_reason, now);
    }
    if (tcp->is_up && tcp->state == TCP_STATE_OPEN && link_wants_write(tcp->link)) {
        on_broken(tcp, event, now);
    } else {
        lost(tcp, event->detail);
    }
}

/* What it costs to take a frame, about, in units of 5 us. In a megabyte there may be a quarter of a
 * million frames that are asked for nothing, or five thousand signatures to check. */
static size_t work_of(const struct wire_frame *frame) {
    switch (frame->kind) {
    case WIRE_HEARTBEAT:
    case WIRE_UNICAST:
    case WIRE_GOSSIP:
    case WIRE_CARRIER:
        return 1;
    case WIRE_BROADCAST:
        return 16;
    default:
        return 1 + frame->body.len / 16;
    }
}

/* Takes events as long as there is work left in the budget; whether it took all there were. The
 * rest is left for the next turn: whoever sends what is cheap to say and dear to hear keeps the
 * other links waiting for a few milliseconds, not for its whole megabyte. */
static bool take_events(struct tcp *tcp, weft_ns now, size_t *work) {
    const struct timeval at_once = {0};
    struct link_event event;
    while (tcp->state != TCP_STATE_DEAD) {
        if (*work == 0) {
            (void)event_add(tcp->on_owed, &at_once);
            return false;
        }
        if (!link_next_event(tcp->link, now, &event)) {
            return true;
        }
        switch (event.kind) {
        case LINK_EVENT_UP:
            on_up(tcp, &event, now);
            break;
        case LINK_EVENT_FRAME:
            *work -= *work < work_of(&event.frame) ? *work : work_of(&event.frame);
            core_link_frame(tcp->node->core, tcp->id, &event.frame, event.payload, now);
            break;
        case LINK_EVENT_DOWN:
            on_down(tcp, &event, now);
            break;
        }
    }
    return true;
}

/* Discards what the other side still says, until its end. */
static void read_lingering(struct tcp *tcp) {
    uint8_t scrap[4096];
    ssize_t got = recv(tcp->fd, scrap, sizeof(scrap), 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        tcp_kill(tcp, "closed");
    }
}

/* Reads once; returns how many bytes, 0 when there is nothing more now. */
static size_t read_some(struct tcp *tcp, weft_ns now, bool *is_full) {
    size_t len = 0;
    uint8_t *space = link_read_space(tcp->link, &len);
    if (space == NULL) {
        lost(tcp, "out of memory");
        return 0;
    }
    ssize_t got = recv(tcp->fd, space, len, 0);
    int error = errno;
    link_read_done(tcp->link, got > 0 ? (size_t)got : 0, now);
    if (got > 0) {
        *is_full = (size_t)got == len;
        return (size_t)got;
    }
    if (got == 0) {
        lost(tcp, "the other side hung up");
    } else if (error != EAGAIN && error != EINTR) {
        lost(tcp, strerror(error));
    }
    return 0;
}

/* Reads and takes what came, what the turn before owes first. */
static void on_readable(evutil_socket_t fd, short what, void *arg) {
    struct tcp *tcp = arg;
    struct node *node = tcp->node;
    (void)fd;
    (void)what;
    if (tcp->state == TCP_STATE_LINGERING) {
        read_lingering(tcp);
        return;
    }
    weft_ns now = node_clock();
    size_t total = 0;
    size_t work = WORK_BUDGET;
    bool is_full = true;
    while (take_events(tcp, now, &work) && is_full && total < READ_BUDGET &&
           tcp->state < TCP_STATE_LINGERING) {
        is_full = false;
        total += read_some(tcp, now, &is_full);
    }
    if (tcp->state == TCP_STATE_DEAD) {
        return;
    }
    if (tcp->is_up && (total > 0 || work < WORK_BUDGET)) {
        core_link_alive(node->core, tcp->id, now);
    }
    arm(tcp);
    if (link_wants_write(tcp->link)) {
        tcp_mark_dirty(tcp);
    }
    node_touch(node);
}

/* Writes once; returns how many bytes went, 0 when the kernel takes no more or nothing is left. */
static size_t write_some(struct tcp *tcp, weft_ns now) {
    struct span spans[SPANS_MAX];
    struct iovec vectors[SPANS_MAX];
    size_t count = link_write_spans(tcp->link, now, spans, SPANS_MAX);
    for (size_t i = 0; i < count; i++) {
        union {
            const uint8_t *from;
            void *to;
        } bytes = {.from = spans[i].data}; /* sendmsg does not write, whatever its type says */
        vectors[i] = (struct iovec){.iov_base = bytes.to, .iov_len = spans[i].len};
    }
    const struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};
    ssize_t put = count > 0 ? sendmsg(tcp->fd, &message, MSG_NOSIGNAL) : 0;
    if (put < 0 && errno != EAGAIN && errno != EINTR) {
        lost(tcp, strerror(errno));
        return 0;
    }
    tcp->wants_write = put < 0;
    if (put <= 0) {
        return 0;
    }
    link_write_done(tcp->link, (size_t)put);
    return (size_t)put;
}

static void end_writing(struct tcp *tcp) {
    tell_down(tcp, "closed");
    (void)shutdown(tcp->fd, SHUT_WR);
    tcp->state = TCP_STATE_LINGERING;
    tcp->since = node_clock();
}

/* Whether the core was told something. */
static bool flush(struct tcp *tcp) {
    weft_ns now = node_clock();
    size_t total = 0;
    size_t put = 1;
    tcp->wants_write = false;
    while (put > 0 && total < WRITE_BUDGET && tcp->state < TCP_STATE_LINGERING) {
        put = write_some(tcp, now);
        total += put;
    }
    if (tcp->state == TCP_STATE_DEAD) {
        return true;
    }
    if (link_wants_write(tcp->link)) {
        tcp->wants_write = true;
        tcp_note_blocked(tcp, now);
        (void)event_add(tcp->on_write, NULL);
    } else if (tcp->state == TCP_STATE_CLOSING) {
        end_writing(tcp);
        arm(tcp);
        return true;
    }
    arm(tcp);
    if (!is_room_news(tcp, total) || total == 0) {
        return false;
    }
    tell_room(tcp, now);
    return true;
}

bool tcp_flush_dirty(struct node *node) {
    bool was_told = false;
    while (node->dirty != NULL) {
        struct tcp *tcp = node->dirty;
        node->dirty = tcp->dirty_next;
        tcp->is_dirty = false;
        if (tcp->state < TCP_STATE_LINGERING && !event_pending(tcp->on_write, EV_WRITE, NULL)) {
            was_told = flush(tcp) || was_told;
        }
    }
    return was_told;
}

static void on_writable(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    tcp_fit_unsent(arg, node_clock());
    tcp_mark_dirty(arg);
}

void tcp_tick(struct node *node) {
    struct timer *due;
    while ((due = timers_pop(&node->timers, node_clock())) != NULL) {
        weft_ns now = node_clock(); /* what the link before told the core was told later */
        struct tcp *tcp = due->owner;
        if (tcp->state != TCP_STATE_OPEN) {
            tcp_kill(tcp, "closed");
            continue;
        }
        size_t work = WORK_BUDGET;
        link_tick(tcp->link, now);
        (void)take_events(tcp, now, &work);
        if (tcp->state == TCP_STATE_DEAD) {
            continue;
        }
        arm(tcp);
        tcp_mark_dirty(tcp);
    }
}

static void tcp_free(struct tcp *tcp) {
    link_free(tcp->link);
    event_drop(&tcp->on_read);
    event_drop(&tcp->on_write);
    event_drop(&tcp->on_owed);
    if (tcp->fd >= 0) {
        (void)close(tcp->fd);
    }
    free(tcp);
}

void tcp_reap(struct node *node) {
    while (node->dead != NULL) {
        struct tcp *tcp = node->dead;
        if (tcp->is_dirty) {
            (void)tcp_flush_dirty(node); /* takes the dead off the other list */
            node_touch(node);
        }
        node->dead = tcp->dead_next;
        tcp_free(tcp);
    }
}

void tcp_free_all(struct node *node) {
    if (node->links == NULL) {
        return;
    }
    struct map_entry *entry = map_first(node->links);
    while (entry != NULL) {
        struct tcp *tcp = map_value(entry);
        entry = map_next(entry);
        tcp_free(tcp);
    }
    while (node->dead != NULL) {
        struct tcp *tcp = node->dead;
        node->dead = tcp->dead_next;
        tcp_free(tcp);
    }
    map_free(node->links);
}

/* Fills in all that can fail; tcp_free takes what was built. */
static enum weft_err build(struct tcp *tcp, const struct tcp_source *source) {
    struct node *node = tcp->node;
    weft_ns now = node_clock();
    enum weft_err err =
        link_new(&node->keys->shared, source->role, source->expected, now, &tcp->link);
    if (err != WEFT_OK) {
        return err;
    }
    tcp->on_read = event_new(node->base, tcp->fd, EV_READ | EV_PERSIST, on_readable, tcp);
    tcp->on_write = event_new(node->base, tcp->fd, EV_WRITE, on_writable, tcp);
    tcp->on_owed = event_new(node->base, -1, 0, on_readable, tcp);
    if (tcp->on_read == NULL || tcp->on_write == NULL || tcp->on_owed == NULL ||
        event_add(tcp->on_read, NULL) != 0) {
        return WEFT_ERR_MEMORY;
    }
    err = timers_reserve(&node->timers, node->tcp_count + 1);
    return err != WEFT_OK ? err : map_add(node->links, id_span(&tcp->id), tcp);
}

enum weft_err tcp_start(struct node *node, const struct tcp_source *source) {
    struct tcp *tcp = calloc(1, sizeof(*tcp));
    if (tcp == NULL) {
        (void)close(source->fd);
        return WEFT_ERR_MEMORY;
    }
    tcp->node = node;
    tcp->id = source->id.value != 0 ? source->id : node_link_draw(node);
    tcp->fd = source->fd;
    tcp->role = source->role;
    tcp->timer.owner = tcp;
    tcp->is_settled = source->role == LINK_DIALLED; /* the guard counts those who knock */
    tcp->address_len = tcp_address_bytes(source->remote, tcp->address);
    tcp_address_text(source->remote, tcp->remote);
    tcp_set_options(node, tcp);
    enum weft_err err = build(tcp, source);
    if (err != WEFT_OK) {
        tcp_free(tcp);
        return err;
    }
    node->tcp_count++;
    tcp->dial_token = source->dial_token;
    tcp->since = node_clock();
    arm(tcp);
    tcp_mark_dirty(tcp);
    return WEFT_OK;
}
