/* SPDX-License-Identifier: Apache-2.0
 *
 * weftd: reads the configuration, runs one node, turns signals into calls.
 *
 *   SIGHUP            reads the configuration again; a bad one changes nothing
 *   SIGTERM, SIGINT   a planned leave of at most 5 s; the second one exits at once
 *
 * It also limits its process (node/sandbox.h) and tells a service manager how it is
 * (node/notify.h).
 *
 * Exit status: 0 left properly, 1 failed, 2 usage, 78 configuration.
 */
#include <event2/event.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/time.h"
#include "node/memory.h"
#include "node/node.h"
#include "node/notify.h"
#include "node/sandbox.h"
#include "node/statedir.h"

#define LEAVE_PATIENCE (5 * NS_PER_S)
#define SIGNALS_MAX 3
#define DESCRIPTORS_WANTED 65536
#define STATUS_PERIOD (10 * NS_PER_S) /* where no watchdog asks more often */

/* Bulk traffic allocates and frees a few hundred blocks of 60 KB a turn. What is free at the end of
 * the heap stays ours up to this, or each turn takes page faults for all of it again: up to 160,000
 * a GB were seen with 256 KB. It is given back when there was time to see that it is not needed. */
#define HEAP_KEPT (16 * 1024 * 1024)
#define HEAP_FREE_MAX ((size_t)1024 * 1024) /* less than this is not worth giving back */
#define HEAP_LOOK_S 5

extern char **environ;

struct program {
    int argc;
    char **argv;
    struct node *node;
    struct event *signals[SIGNALS_MAX];
    size_t signal_count;
    uint32_t buffers_mib; /* measured */
    struct notify notify;
    struct event *beat;
    struct event *heap_timer;
};

static void say_status(const struct program *program, const char *first) {
    char status[NODE_STATUS_BYTES];
    if (program->notify.fd >= 0) {
        node_describe(program->node, status);
        notify_say(&program->notify, "%sSTATUS=%s", first, status);
    }
}

/* From inside the loop: one that hangs is not vouched for. */
static void on_beat(evutil_socket_t number, short what, void *arg) {
    const struct program *program = arg;
    (void)number;
    (void)what;
    say_status(program, program->notify.watchdog > 0 ? "WATCHDOG=1\n" : "");
}

static bool start_beat(struct program *program) {
    if (program->notify.fd < 0) {
        return true;
    }
    weft_ns period = program->notify.watchdog > 0 ? program->notify.watchdog : STATUS_PERIOD;
    const struct timeval every = {.tv_sec = (time_t)(period / NS_PER_S),
                                  .tv_usec = (suseconds_t)(period % NS_PER_S / NS_PER_US)};
    program->beat = event_new(node_event_base(program->node), -1, EV_PERSIST, on_beat, program);
    return program->beat != NULL && event_add(program->beat, &every) == 0;
}

static void on_stop(evutil_socket_t number, short what, void *arg) {
    struct program *program = arg;
    (void)number;
    (void)what;
    notify_say(&program->notify, "STOPPING=1\nSTATUS=leaving the mesh");
    node_leave(program->node, LEAVE_PATIENCE);
}

/* By the memory there was at the start, unless the operator said. */
static void measure_buffers(const struct program *program, struct config *config) {
    if (config->buffers_mib == 0) {
        config->buffers_mib = program->buffers_mib;
    }
}

static void reload(struct program *program) {
    struct config config;
    struct config_error error;
    if (config_load(program->argc, program->argv, environ, &config, &error) != WEFT_OK) {
        node_reload_refused(program->node, error.text);
        return;
    }
    measure_buffers(program, &config);
    node_reload(program->node, &config);
}

static void on_hangup(evutil_socket_t number, short what, void *arg) {
    struct program *program = arg;
    struct timespec now;
    (void)number;
    (void)what;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    notify_say(&program->notify, "RELOADING=1\nMONOTONIC_USEC=%llu",
               (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
    reload(program);
    say_status(program, "READY=1\n");
}

/* Gives back to the system what a burst has left; within a lasting one it costs a few hundred
 * faults each time. */
static void on_heap_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    (void)arg;
    if (mallinfo2().fordblks > HEAP_FREE_MAX) {
        (void)malloc_trim(0);
    }
}

static bool watch_heap(struct program *program) {
    const struct timeval often = {.tv_sec = HEAP_LOOK_S};
    program->heap_timer =
        event_new(node_event_base(program->node), -1, EV_PERSIST, on_heap_timer, NULL);
    return program->heap_timer != NULL && event_add(program->heap_timer, &often) == 0;
}

static bool watch(struct program *program, int number,
                  void (*on)(evutil_socket_t number, short what, void *arg)) {
    struct event *event = evsignal_new(node_event_base(program->node), number, on, program);
    if (event == NULL || event_add(event, NULL) != 0) {
        return false;
    }
    program->signals[program->signal_count++] = event;
    return true;
}

/* While the node is made nobody could heed a reload, and what is not heeded kills: it waits. */
static void hold_hangup(int how) {
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(how, &set, NULL);
}

/* The one line that scripts wait for. */
static void say_ready(const struct node *node) {
    char id[WEFT_PEER_ID_TEXT];
    weft_peer_id_format(node_id(node), id);
    (void)printf("ready name=%s id=%s listen=", node_name(node), id);
    for (size_t i = 0; node_listening(node, i) != NULL; i++) {
        (void)printf("%s%s", i > 0 ? "," : "", node_listening(node, i));
    }
    (void)printf(" control=%s\n", node_control_path(node));
    (void)fflush(stdout);
}

static int run(struct program *program) {
    if (!watch(program, SIGTERM, on_stop) || !watch(program, SIGINT, on_stop) ||
        !watch(program, SIGHUP, on_hangup) || !start_beat(program) || !watch_heap(program)) {
        (void)fprintf(stderr, "weftd: cannot watch signals\n");
        return EXIT_FAILURE;
    }
    hold_hangup(SIG_UNBLOCK);
    say_ready(program->node);
    say_status(program, "READY=1\n");
    node_run(program->node);
    notify_say(&program->notify, "STOPPING=1");
    for (size_t i = 0; i < program->signal_count; i++) {
        event_free(program->signals[i]);
    }
    if (program->beat != NULL) {
        event_free(program->beat);
    }
    event_free(program->heap_timer);
    return node_has_left(program->node) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int refuse(enum weft_err err, const char *error) {
    (void)fprintf(stderr, "weftd: %s\n", error);
    return err == WEFT_ERR_INVALID || err == WEFT_ERR_VERSION ? CONFIG_EXIT_INVALID : EXIT_FAILURE;
}

/* What the process may no longer do; less than was to be is worth a warning. */
static void say_sandbox(const struct program *program, unsigned parts) {
    char text[SANDBOX_TEXT_BYTES];
    sandbox_text(parts, text);
    node_set_sandbox(program->node, parts == sandbox_expected() ? TRACE_INFO : TRACE_WARN, text);
}

static int start(struct program *program, struct config *config) {
    char error[NODE_TEXT_BYTES];
    bool is_sandboxed = config->is_sandboxed;
    program->buffers_mib = memory_buffers_mib(memory_limit());
    measure_buffers(program, config);
    struct node_options options = {.config = config, .log = stderr};
    enum weft_err err = is_sandboxed ? statedir_make(config->state, error) : WEFT_OK;
    if (err != WEFT_OK) {
        config_fini(config);
        return refuse(err, error);
    }
    unsigned parts = is_sandboxed ? sandbox_begin(config) : 0;
    err = node_new(&options, &program->node, error);
    if (err != WEFT_OK) {
        return refuse(err, error);
    }
    if (is_sandboxed) {
        say_sandbox(program, parts | sandbox_finish());
    } else {
        node_set_sandbox(program->node, TRACE_WARN, "off");
    }
    int status = run(program);
    node_free(program->node);
    return status;
}

/* A daemon that idles in a few megabytes: one heap, given back by on_heap_timer. False when
 * OpenSSL cannot be used. */
static bool be_small(void) {
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
    (void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    /* No openssl.cnf: what it may load is half a megabyte, and the cipher is ours to choose. */
    return OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1;
}

/* libevent's own warnings are no events of ours: what matters of them we report ourselves. */
static void ignore_libevent(int severity, const char *message) {
    (void)severity;
    (void)message;
}

/* Each link, stream and flow has a descriptor, and what the shell allows is mostly 1,024. */
static void raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* else it has to do with what there is */
    }
}

int main(int argc, char **argv) {
    struct program program = {.argc = argc, .argv = argv};
    struct config config;
    struct config_error error;
    hold_hangup(SIG_BLOCK);
    if (!be_small()) {
        (void)fputs("weftd: libcrypto does not start\n", stderr);
        return EXIT_FAILURE;
    }
    raise_descriptors();
    event_set_log_callback(ignore_libevent);
    (void)signal(SIGPIPE, SIG_IGN);
    if (config_load(argc, argv, environ, &config, &error) != WEFT_OK) {
        (void)fprintf(stderr, "weftd: %s\n", error.text);
        return error.exit_status;
    }
    if (config.wants_help || config.wants_version) {
        (void)fputs(config.wants_help ? config_usage() : "weftd " WEFT_VERSION "\n", stdout);
        config_fini(&config);
        return EXIT_SUCCESS;
    }
    notify_init(&program.notify, environ);
    int status = start(&program, &config);
    notify_fini(&program.notify);
    return status;
}
