/* SPDX-License-Identifier: Apache-2.0
 *
 * weftd: reads the configuration, runs one node, turns signals into calls.
 *
 *   SIGHUP            reads the configuration again; a bad one changes nothing
 *   SIGTERM, SIGINT   a planned leave of at most 5 s; the second one exits at once
 *
 * Exit status: 0 left properly, 1 failed, 2 usage, 78 configuration.
 */
#include <event2/event.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/time.h"
#include "node/node.h"

#define LEAVE_PATIENCE (5 * NS_PER_S)
#define SIGNALS_MAX 3

extern char **environ;

struct program {
    int argc;
    char **argv;
    struct node *node;
    struct event *signals[SIGNALS_MAX];
    size_t signal_count;
};

static void on_stop(evutil_socket_t number, short what, void *arg) {
    struct program *program = arg;
    (void)number;
    (void)what;
    node_leave(program->node, LEAVE_PATIENCE);
}

static void on_hangup(evutil_socket_t number, short what, void *arg) {
    struct program *program = arg;
    struct config config;
    struct config_error error;
    (void)number;
    (void)what;
    if (config_load(program->argc, program->argv, environ, &config, &error) != WEFT_OK) {
        node_reload_refused(program->node, error.text);
        return;
    }
    node_reload(program->node, &config);
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
        !watch(program, SIGHUP, on_hangup)) {
        (void)fprintf(stderr, "weftd: cannot watch signals\n");
        return EXIT_FAILURE;
    }
    hold_hangup(SIG_UNBLOCK);
    say_ready(program->node);
    node_run(program->node);
    for (size_t i = 0; i < program->signal_count; i++) {
        event_free(program->signals[i]);
    }
    return node_has_left(program->node) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int start(struct program *program, struct config *config) {
    char error[NODE_TEXT_BYTES];
    struct node_options options = {.config = config, .log = stderr};
    enum weft_err err = node_new(&options, &program->node, error);
    if (err != WEFT_OK) {
        (void)fprintf(stderr, "weftd: %s\n", error);
        return err == WEFT_ERR_INVALID || err == WEFT_ERR_VERSION ? CONFIG_EXIT_INVALID
                                                                  : EXIT_FAILURE;
    }
    int status = run(program);
    node_free(program->node);
    return status;
}

/* A daemon that idles in a few megabytes: one heap, given back early. */
static void be_small(void) {
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_TRIM_THRESHOLD, 256 * 1024);
    (void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
}

/* libevent's own warnings are no events of ours: what matters of them we report ourselves. */
static void ignore_libevent(int severity, const char *message) {
    (void)severity;
    (void)message;
}

int main(int argc, char **argv) {
    struct program program = {.argc = argc, .argv = argv};
    struct config config;
    struct config_error error;
    hold_hangup(SIG_BLOCK);
    be_small();
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
    return start(&program, &config);
}
