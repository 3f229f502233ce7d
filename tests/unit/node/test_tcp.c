/* SPDX-License-Identifier: Apache-2.0
 *
 * What one link may take of a turn of the loop: bytes read, frames taken, bytes written. A whole
 * node in a thread; the calls that it makes to read and to write are noted here, turn by turn.
 */
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "link/sendq.h"
#include "node/internal.h"
#include "unit/link/pair.h"

#define SECRET 1
#define STALLS_MAX 30 /* mostly one is enough for a whole turn's bytes to wait */
#define WATCHED_TURNS 200
#define CALLS_MAX 65536
#define ONE_READ ((size_t)256 * 1024)
#define ONE_WRITE ((size_t)512 * 1024)
#define WAITING (READ_BUDGET + 2 * ONE_READ) /* more than a turn takes */
#define WAITING_MS 10000                     /* until it waits, at most */
#define UNKNOWN_KIND 200
#define UNKNOWN_BYTES 12

/* A read or a write of the node. */
struct call {
    uint64_t turn;
    int fd;
    size_t len;
};

struct calls {
    struct call of[CALLS_MAX];
    size_t count;
};

static struct calls reads;
static struct calls writes;
static size_t stalled_at[STALLS_MAX]; /* reads until then */
static size_t stall_count;
static uint64_t turn;
static pthread_t loop;
static atomic_bool is_watched; /* by the loop's thread alone, as all that follows */
static unsigned turns_left;
static sem_t watch_end;
static atomic_bool is_swallowed; /* what the node writes: then the kernel takes all there is */

static void note(struct calls *calls, int fd, ssize_t len) {
    if (is_watched && pthread_equal(pthread_self(), loop) && len > 0 && calls->count < CALLS_MAX) {
        calls->of[calls->count++] = (struct call){.turn = turn, .fd = fd, .len = (size_t)len};
    }
}

/* In place of the C library's. */
ssize_t recv(int fd, void *out, size_t len, int flags) {
    ssize_t got = syscall(SYS_recvfrom, fd, out, len, flags, NULL, NULL);
    note(&reads, fd, got);
    return got;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    ssize_t put = 0;
    if (is_swallowed && pthread_equal(pthread_self(), loop)) {
        for (size_t i = 0; i < message->msg_iovlen; i++) {
            put += (ssize_t)message->msg_iov[i].iov_len;
        }
    } else {
        put = syscall(SYS_sendmsg, fd, message, flags);
    }
    note(&writes, fd, put);
    return put;
}

/* Each begins a turn. */
int epoll_wait(int fd, struct epoll_event *events, int max, int timeout) {
    turn += pthread_equal(pthread_self(), loop) ? 1 : 0;
    return (int)syscall(SYS_epoll_pwait, fd, events, max, timeout, NULL, 0);
}

static weft_ns clock_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (weft_ns)now.tv_sec * NS_PER_S + (weft_ns)now.tv_nsec;
}

/* Bytes of one descriptor in one turn, at most. */
static size_t most_in_a_turn(const struct calls *calls) {
    size_t most = 0;
    for (size_t i = 0; i < calls->count; i++) {
        size_t sum = 0;
        for (size_t j = i; j < calls->count && calls->of[j].turn == calls->of[i].turn; j++) {
            sum += calls->of[j].fd == calls->of[i].fd ? calls->of[j].len : 0;
        }
        most = sum > most ? sum : most;
    }
    return most;
}

/* ---- the node ---- */

static void *run(void *ctx) {
    node_run(ctx);
    return NULL;
}

static struct node *node_start(void) {
    char weft[] = "weft", name_flag[] = "--name", name[] = "node", listen_flag[] = "--listen";
    char listen[] = "127.0.0.1:0", home[] = "HOME=/nonexistent";
    char *const flags[] = {weft, name_flag, name, listen_flag, listen, NULL};
    char *const environment[] = {home, NULL};
    struct config config;
    struct config_error error;
    cr_assert_eq(config_load(5, flags, environment, &config, &error), WEFT_OK, "%s", error.text);
    struct node_options options = {
        .config = &config, .is_embedded = true, .is_ephemeral = true, .has_secret = true};
    memset(options.secret, SECRET, sizeof options.secret);
    char why[NODE_TEXT_BYTES];
    struct node *node = NULL;
    cr_assert_eq(node_new(&options, &node, why), WEFT_OK, "%s", why);
    cr_assert_eq(pthread_create(&loop, NULL, run, node), 0);
    return node;
}

static void break_off(void *ctx) {
    node_break(ctx);
}

static void node_stop(struct node *node) {
    cr_assert_eq(node_post(node, break_off, node), WEFT_OK);
    (void)pthread_join(loop, NULL);
    node_free(node);
}

/* Has the loop make turns, whether or not its sockets have something for them, until the watch is
 * over. */
static void linger(void *ctx) {
    struct node *node = ctx;
    if (--turns_left > 0) {
        cr_assert_eq(node_post(node, linger, node), WEFT_OK);
        return;
    }
    is_watched = false;
    cr_assert_eq(sem_post(&watch_end), 0);
}

/* Until more than a turn may take waits in the socket: poll counts less than that as nothing. */
static void fill_up(const struct tcp *tcp) {
    int waiting = (int)WAITING;
    struct pollfd socket = {.fd = tcp->fd, .events = POLLIN};
    cr_assert_eq(setsockopt(tcp->fd, SOL_SOCKET, SO_RCVLOWAT, &waiting, sizeof waiting), 0);
    cr_assert_eq(poll(&socket, 1, WAITING_MS), 1);
    waiting = 1;
    cr_assert_eq(setsockopt(tcp->fd, SOL_SOCKET, SO_RCVLOWAT, &waiting, sizeof waiting), 0);
}

/* The loop stands still while its sockets fill; what it does next is watched. */
static void stall(void *ctx) {
    struct node *node = ctx;
    for (struct map_entry *entry = map_first(node->links); entry != NULL; entry = map_next(entry)) {
        fill_up(map_value(entry));
    }
    stalled_at[stall_count++] = reads.count;
    is_watched = true;
    linger(node);
}

/* Has `call` made, which begins a watch, and waits until that is over. */
static void watch(struct node *node, void (*call)(void *ctx)) {
    turns_left = WATCHED_TURNS;
    cr_assert_eq(sem_init(&watch_end, 0, 0), 0);
    cr_assert_eq(node_post(node, call, node), WEFT_OK);
    cr_assert_eq(sem_wait(&watch_end), 0);
}

/* ---- who sends without an end ---- */

struct flooder {
    struct end end;
    int fd;
    struct frame *frame;
    struct frame *payload; /* NULL: frames of class control */
    atomic_bool is_over;
    pthread_t thread;
};

static int dial(const char *address) {
    struct sockaddr_in to = {.sin_family = AF_INET};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Reads what there is; false at the end. */
static bool take(struct flooder *flooder, int flags) {
    struct link *link = flooder->end.link;
    struct link_event event;
    size_t len = 0;
    uint8_t *space = link_read_space(link, &len);
    ssize_t got = space != NULL ? recv(flooder->fd, space, len, flags) : 0;
    if (space != NULL) {
        link_read_done(link, got > 0 ? (size_t)got : 0, clock_now());
    }
    while (link_next_event(link, clock_now(), &event)) {
    }
    return got > 0 || (got < 0 && errno == EAGAIN);
}

static bool put(struct flooder *flooder) {
    struct span span;
    while (link_write_spans(flooder->end.link, clock_now(), &span, 1) == 1) {
        ssize_t sent = send(flooder->fd, span.data, span.len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        link_write_done(flooder->end.link, (size_t)sent);
    }
    return true;
}

static bool fill(struct flooder *flooder) {
    enum weft_err err = WEFT_OK;
    for (int i = 0; i < 64 && err == WEFT_OK; i++) {
        err = link_send(flooder->end.link, flooder->frame, flooder->payload,
                        flooder->payload != NULL ? WIRE_CLASS_STREAM : WIRE_CLASS_CONTROL, 1,
                        clock_now());
    }
    return err == WEFT_OK;
}

static void *flood(void *ctx) {
    struct flooder *flooder = ctx;
    while (!flooder->is_over && fill(flooder) && put(flooder) && take(flooder, MSG_DONTWAIT)) {
    }
    return NULL;
}

/* Says nothing of its own. */
static void *hear(void *ctx) {
    struct flooder *flooder = ctx;
    while (!flooder->is_over && take(flooder, 0)) {
    }
    return NULL;
}

static void flooder_start(struct flooder *flooder, uint8_t seed, const struct node *node) {
    flooder->fd = dial(node_listening(node, 0));
    end_init(&flooder->end, seed, SECRET);
    end_open(&flooder->end, LINK_DIALLED, NULL, clock_now());
    cr_assert(put(flooder));
    while (!link_is_up(flooder->end.link)) {
        cr_assert(take(flooder, 0) && put(flooder));
    }
    cr_assert_eq(
        pthread_create(&flooder->thread, NULL, flooder->frame != NULL ? flood : hear, flooder), 0);
}

static void flooder_stop(struct flooder *flooder) {
    flooder->is_over = true;
    (void)shutdown(flooder->fd, SHUT_RDWR);
    (void)pthread_join(flooder->thread, NULL);
    (void)close(flooder->fd);
    frame_unref(flooder->frame);
    frame_unref(flooder->payload);
    end_fini(&flooder->end);
}

static struct flooder one;
static struct flooder other;

/* ---- the tests ---- */

/* Of the turn in which it stood still and the next one: both had something to read, and were. */
static void check_shares(size_t first) {
    uint64_t until = reads.of[first].turn + 2;
    size_t i = first;
    while (i < reads.count && reads.of[i].turn < until && reads.of[i].fd == reads.of[first].fd) {
        i++;
    }
    cr_assert(i < reads.count && reads.of[i].turn < until, "one was read, the other waited");
}

Test(tcp_turn, a_link_that_says_much_leaves_the_other_its_turn) {
    struct node *node = node_start();
    one.frame = carrier_of(1, 60000);
    other.frame = carrier_of(2, 60000);
    one.payload = payload_of(60000, 1);
    other.payload = payload_of(60000, 2);
    flooder_start(&one, 2, node);
    flooder_start(&other, 3, node);
    while (stall_count < STALLS_MAX && most_in_a_turn(&reads) < READ_BUDGET) {
        watch(node, stall);
    }
    node_stop(node);
    flooder_stop(&one);
    flooder_stop(&other);
    size_t most = most_in_a_turn(&reads);
    cr_assert_geq(most, READ_BUDGET, "so much waited that the budget ended it");
    cr_assert_leq(most, READ_BUDGET + ONE_READ);
    for (size_t i = 0; i < stall_count; i++) {
        check_shares(stalled_at[i]);
    }
}

static uint64_t frames_of(const struct call *read) {
    return read->len / (WIRE_FRAME_HEADER_BYTES + UNKNOWN_BYTES + 1);
}

/* Whether a read, and not the last, held work for many turns. */
static bool was_read_much(void) {
    for (size_t i = 0; i + 1 < reads.count; i++) {
        if (frames_of(&reads.of[i]) > 4 * WORK_BUDGET) {
            return true;
        }
    }
    return false;
}

/* Frames that are asked for nothing are cheap to say. */
Test(tcp_turn, a_link_that_says_what_is_dear_to_hear_gives_each_turn_a_little) {
    struct node *node = node_start();
    one.frame = frame_of(UNKNOWN_KIND, UNKNOWN_BYTES, 1);
    flooder_start(&one, 2, node);
    while (stall_count < STALLS_MAX && !was_read_much()) {
        watch(node, stall);
    }
    node_stop(node);
    flooder_stop(&one);
    cr_assert(was_read_much());
    for (size_t i = 0; i + 1 < reads.count; i++) {
        uint64_t frames = frames_of(&reads.of[i]);
        uint64_t turns = reads.of[i + 1].turn - reads.of[i].turn;
        cr_assert_geq((turns + 1) * WORK_BUDGET, frames, "%llu frames in %llu turns",
                      (unsigned long long)frames, (unsigned long long)turns);
    }
}

#define BUSY_NS (300 * NS_PER_US) /* three times the shortest span of the timer */
static unsigned busy_turns;
static unsigned turns_until_timer; /* 0: not in any of them */

/* Gives every turn of the watch more to do than the timer waits, and always more for the next. */
static void be_busy(void *ctx) {
    struct node *node = ctx;
    weft_ns end = clock_now() + BUSY_NS;
    if (timers_deadline(&node->timers) > 1 && turns_until_timer == 0) {
        turns_until_timer = busy_turns;
    }
    while (clock_now() < end) {
    }
    if (++busy_turns < WATCHED_TURNS) {
        cr_assert_eq(node_post(node, be_busy, node), WEFT_OK);
    } else {
        cr_assert_eq(sem_post(&watch_end), 0);
    }
}

/* A link's timer is due already when the clock is set for it. */
static void begin_late(void *ctx) {
    struct node *node = ctx;
    struct tcp *tcp = map_value(map_first(node->links));
    timers_arm(&node->timers, &tcp->timer, 1);
    be_busy(node);
}

Test(tcp_turn, what_is_due_is_done_though_the_loop_never_rests) {
    struct node *node = node_start();
    flooder_start(&other, 3, node);
    watch(node, begin_late);
    node_stop(node);
    flooder_stop(&other);
    cr_assert_eq(busy_turns, WATCHED_TURNS);
    cr_assert(turns_until_timer > 0 && turns_until_timer < 5, "after %u turns", turns_until_timer);
}

/* As much as the link's queue takes; and the kernel takes all of that. */
static void pour(void *ctx) {
    struct node *node = ctx;
    struct tcp *tcp = map_value(map_first(node->links));
    struct frame *frame = carrier_of(1, 60000);
    struct frame *payload = payload_of(60000, 1);
    is_swallowed = true;
    is_watched = true;
    while (link_room(tcp->link, WIRE_CLASS_STREAM) > 2 * payload->len) {
        cr_assert_eq(link_send(tcp->link, frame, payload, WIRE_CLASS_STREAM, 1, clock_now()),
                     WEFT_OK);
    }
    frame_unref(frame);
    frame_unref(payload);
    tcp_mark_dirty(tcp);
    linger(node);
}

Test(tcp_turn, what_waits_for_one_link_is_written_in_several_turns) {
    struct node *node = node_start();
    flooder_start(&one, 2, node);
    for (int i = 0; i < STALLS_MAX && most_in_a_turn(&writes) < WRITE_BUDGET; i++) {
        watch(node, pour); /* at first the node may lack the last of the handshake */
    }
    node_stop(node);
    flooder_stop(&one);
    size_t most = most_in_a_turn(&writes);
    cr_assert_geq(most, WRITE_BUDGET, "so much waited that the budget ended it");
    cr_assert_leq(most, WRITE_BUDGET + ONE_WRITE);
}

static size_t culprit_count;
static struct core_culprit culprit;

/* The link's queue is as full as if its peer had long read nothing, and then something is to be
 * sent that has to go: answers to heartbeats. */
static void choke(void *ctx) {
    struct node *node = ctx;
    struct tcp *tcp = map_value(map_first(node->links));
    const uint8_t ask[] = {WIRE_HEARTBEAT, 0, 0, 21, WIRE_HEARTBEAT_ANSWER, [24] = 0};
    struct wire_reader reader = wire_reader_of(span_of(ask, sizeof ask));
    struct wire_frame beat;
    if (!tcp->is_up) { /* the node lacks the last of the handshake */
        cr_assert_eq(node_post(node, choke, node), WEFT_OK);
        return;
    }
    struct frame *frame = frame_copy(span_of(ask, sizeof ask));
    cr_assert_eq(wire_frame_next(&reader, &beat), WEFT_OK);
    while (link_room(tcp->link, WIRE_CLASS_CONTROL) >= SENDQ_ITEM_BYTES + frame->len) {
        cr_assert_eq(link_send(tcp->link, frame, NULL, WIRE_CLASS_CONTROL, 0, clock_now()),
                     WEFT_OK);
    }
    frame_unref(frame);
    for (int i = 0; i < 4; i++) { /* room tells a little less than there is */
        core_link_frame(node->core, tcp->id, &beat, (struct loan){0}, node_clock());
    }
    node_touch(node);
    linger(node);
}

static void look(void *ctx) {
    struct node *node = ctx;
    culprit_count = core_culprits(node->core, &culprit, 1);
    linger(node);
}

Test(tcp_slow, who_does_not_read_is_let_go_and_named) {
    struct node *node = node_start();
    flooder_start(&other, 3, node);
    const struct weft_peer_id peer = other.end.identity.id;
    watch(node, choke);
    watch(node, look);
    node_stop(node);
    flooder_stop(&other);
    cr_assert_eq(culprit_count, 1);
    cr_assert(weft_peer_id_equal(&culprit.peer, &peer));
    cr_assert_str_eq(culprit.detail, "does not read what it is sent");
}
