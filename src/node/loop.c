/* SPDX-License-Identifier: Apache-2.0
 *
 * The turn of the loop: inputs feed the core during the turn, one pump at its end drains it. One
 * timer serves the core and every link.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/frame_pool.h"
#include "node/internal.h"

/* Draining leads to writing, writing to room, room to more to drain. After so many rounds the
 * other sockets get their turn. */
#define PUMP_ROUNDS_MAX 16

/* The timer never fires more often than this, whatever deadline the core names. */
#define TIMER_MIN (100 * NS_PER_US)

#define TRIM_INTERVAL NS_PER_S /* longer than bulk pauses */

weft_ns node_clock(void) {
    struct timespec now;
    int failed = clock_gettime(CLOCK_MONOTONIC, &now);
    ASSERT(failed == 0);
    return (weft_ns)now.tv_sec * NS_PER_S + (weft_ns)now.tv_nsec;
}

uint64_t node_wall_ms(void) {
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    ASSERT(failed == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Only sets the clock for what is due sooner: mostly a deadline moves away as traffic flows, and a
 * call at the former time, to find nothing due, is cheaper than one system call a turn. What is due
 * as soon as the clock may go off leaves it alone: set anew it would forget that it went off, and
 * in a loop that never rests it would not be seen to for as long as that lasts. */
static void arm_timer(struct node *node) {
    weft_ns deadline = time_min(core_deadline(node->core), timers_deadline(&node->timers));
    if (deadline >= node->timer_at) {
        return;
    }
    weft_ns soonest = time_after(node_clock(), TIMER_MIN);
    weft_ns at = deadline > soonest ? deadline : soonest;
    if (at >= node->timer_at) {
        return;
    }
    const struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(at / NS_PER_S), .tv_nsec = (long)(at % NS_PER_S)}};
    int failed = timerfd_settime(node->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    ASSERT(failed == 0);
    node->timer_at = at;
}

/* Performs all actions there are; whether there was any. */
static bool drain(struct node *node) {
    struct action action;
    bool had_any = false;
    while (core_next_action(node->core, &action)) {
        had_any = true;
        node_perform(node, &action);
        action_release(&action);
    }
    return had_any;
}

static void on_pump(evutil_socket_t fd, short what, void *arg) {
    struct node *node = arg;
    (void)fd;
    (void)what;
    node->is_pumping = true;
    bool is_more = true;
    for (unsigned round = 0; round < PUMP_ROUNDS_MAX && is_more; round++) {
        is_more = drain(node);
        is_more = tcp_flush_dirty(node) || is_more;
    }
    node->is_pumping = false;
    node->is_touched = false;
    tcp_reap(node);
    node_dials_reap(node);
    if (is_more) {
        node_touch(node);
    }
    arm_timer(node);
}

void node_touch(struct node *node) {
    if (node->is_touched || node->is_pumping) {
        return;
    }
    node->is_touched = true;
    event_active(node->pump, EV_TIMEOUT, 0);
}

/* As the core does with its own pool: when it has to wake anyway. */
static void trim(struct node *node, weft_ns now) {
    if (node->trim_at <= now) {
        frame_pool_trim(node->blocks);
        node->trim_at = time_after(now, TRIM_INTERVAL);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    struct node *node = arg;
    (void)fd;
    (void)what;
    weft_ns now = node_clock();
    node->timer_at = WEFT_NEVER;
    if (core_deadline(node->core) <= now) {
        core_tick(node->core, now);
    }
    tcp_tick(node);
    trim(node, now);
    node_touch(node);
}

/* Makes the calls that were posted until now; what they post themselves has its turn after the
 * sockets had theirs. */
static void take_posts(struct node *node) {
    struct post post;
    pthread_mutex_lock(&node->posts_lock);
    size_t count = node->posts.count;
    pthread_mutex_unlock(&node->posts_lock);
    for (; count > 0; count--) {
        pthread_mutex_lock(&node->posts_lock);
        bool has_one = ring_pop(&node->posts, &post);
        pthread_mutex_unlock(&node->posts_lock);
        ASSERT(has_one); /* nobody else takes any */
        post.call(post.ctx);
    }
    node_touch(node);
}

static void on_wake(evutil_socket_t fd, short what, void *arg) {
    uint64_t count = 0;
    (void)what;
    if (read(fd, &count, sizeof(count)) >= 0 || errno == EAGAIN) {
        take_posts(arg);
    }
}

static void on_again(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    take_posts(arg);
}

enum weft_err node_post(struct node *node, void (*call)(void *ctx), void *ctx) {
    return node_post_owned(node, &(struct post){.call = call, .ctx = ctx});
}

enum weft_err node_post_owned(struct node *node, const struct post *post) {
    const uint64_t one = 1;
    const struct timeval at_once = {0};
    pthread_mutex_lock(&node->posts_lock);
    enum weft_err err = ring_push(&node->posts, post);
    bool is_ours = node->is_running && pthread_equal(node->thread, pthread_self()) != 0;
    pthread_mutex_unlock(&node->posts_lock);
    if (err == WEFT_OK && is_ours) { /* the loop's own thread need not be woken */
        return event_add(node->again, &at_once) == 0 ? WEFT_OK : WEFT_ERR_MEMORY;
    }
    if (err == WEFT_OK && write(node->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN) {
        return WEFT_ERR_IO;
    }
    return err;
}

static struct event_base *base_new(void) {
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return NULL;
    }
    /* One thread owns the loop; others knock through the eventfd. */
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

enum weft_err node_loop_init(struct node *node) {
    ring_init(&node->posts, sizeof(struct post), POSTS_MAX);
    node->timer_at = WEFT_NEVER;
    node->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    node->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (node->wake_fd < 0 || node->timer_fd < 0) {
        return WEFT_ERR_IO;
    }
    node->base = base_new();
    if (node->base == NULL) {
        return WEFT_ERR_MEMORY;
    }
    /* Edge-triggered: it fires once each time it was set, and need not be read. */
    node->timer =
        event_new(node->base, node->timer_fd, EV_READ | EV_PERSIST | EV_ET, on_timer, node);
    node->pump = event_new(node->base, -1, 0, on_pump, node);
    node->wake = event_new(node->base, node->wake_fd, EV_READ | EV_PERSIST, on_wake, node);
    node->again = event_new(node->base, -1, 0, on_again, node);
    if (node->timer == NULL || node->pump == NULL || node->wake == NULL || node->again == NULL ||
        event_add(node->timer, NULL) != 0 || event_add(node->wake, NULL) != 0) {
        return WEFT_ERR_MEMORY;
    }
    return WEFT_OK;
}

static void event_drop(struct event *event) {
    if (event != NULL) {
        event_free(event);
    }
}

static void close_fd(int fd) {
    if (fd >= 0) {
        (void)close(fd);
    }
}

void node_loop_fini(struct node *node) {
    event_drop(node->timer);
    event_drop(node->pump);
    event_drop(node->wake);
    event_drop(node->again);
    if (node->base != NULL) {
        event_base_free(node->base);
    }
    close_fd(node->wake_fd);
    close_fd(node->timer_fd);
    struct post post;
    while (node->posts.count > 0 && ring_pop(&node->posts, &post)) {
        if (post.drop != NULL) {
            post.drop(post.ctx);
        }
    }
    timers_fini(&node->timers);
    ring_fini(&node->posts);
}

/* Splice and writev know no MSG_NOSIGNAL: a program that runs a node must not die of a socket that
 * the other side has closed. What came of it meanwhile is taken before the signal is let in again.
 */
static void dispatch_unsignalled(struct node *node) {
    const struct timespec at_once = {0};
    sigset_t broken;
    sigset_t before;
    (void)sigemptyset(&broken);
    (void)sigaddset(&broken, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &broken, &before);
    (void)event_base_dispatch(node->base);
    if (sigismember(&before, SIGPIPE) == 0) {
        (void)sigtimedwait(&broken, NULL, &at_once);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void set_running(struct node *node, bool is_running) {
    pthread_mutex_lock(&node->posts_lock);
    node->thread = pthread_self();
    node->is_running = is_running;
    pthread_mutex_unlock(&node->posts_lock);
}

void node_run(struct node *node) {
    set_running(node, true);
    node_touch(node);
    if (node->is_embedded) {
        dispatch_unsignalled(node);
    } else {
        (void)event_base_dispatch(node->base); /* the daemon ignores SIGPIPE */
    }
    set_running(node, false);
}

void node_break(struct node *node) {
    (void)event_base_loopbreak(node->base);
}
