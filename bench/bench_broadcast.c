/* SPDX-License-Identifier: Apache-2.0
 *
 * One of many nodes that broadcast to each other, for row M10 (bench/broadcast.py starts 50). Built
 * on the public library alone.
 *
 *   bench_broadcast NAME SECRET-HEX [SEED]
 *
 * reads commands on stdin and writes lines on stdout, each with times of the machine's monotonic
 * clock, which all processes share:
 *
 *   (at start)      listening ADDR:PORT
 *   form COUNT      formed                  once COUNT other nodes are reachable
 *   send NUMBER     got NUMBER LATENCY-US   printed by each of the others that gets it
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <time.h>

#include <weft/weft.h>

#include "embed.h"

#define CHANNEL "bench"
#define FORM_CHECK_NS 5000000 /* between two looks at who is reachable */
#define NS_PER_S 1000000000ULL

struct bench {
    struct weft_node *node;
    size_t reachable_count;
    _Atomic size_t wanted_count; /* "formed" is said when so many are reachable; 0: not asked */
};

struct message {
    uint64_t number;
    uint64_t sent_ns;
};

/* What the thread that reads stdin wants done on the node's own. */
struct command {
    struct bench *bench;
    uint64_t number;
};

static uint64_t clock_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static bool on_broadcast(void *ctx, const struct weft_peer_id *source, const void *data,
                         size_t len) {
    struct message message;
    (void)ctx;
    (void)source;
    if (len != sizeof(message)) {
        return false;
    }
    uint64_t now = clock_ns();
    memcpy(&message, data, sizeof(message));
    printf("got %llu %llu\n", (unsigned long long)message.number,
           (unsigned long long)(now - message.sent_ns) / 1000);
    return true;
}

static void on_unicast(void *ctx, const struct weft_peer_id *source, const void *data, size_t len) {
    (void)ctx;
    (void)source;
    (void)data;
    (void)len;
}

static struct weft_bytes on_complete(void *ctx) {
    (void)ctx;
    return (struct weft_bytes){.data = NULL};
}

static struct weft_bytes on_gossip(void *ctx, const void *data, size_t len) {
    (void)ctx;
    (void)data;
    (void)len;
    return (struct weft_bytes){.data = NULL};
}

static void send_now(void *ctx) {
    struct command *command = ctx;
    const struct message message = {.number = command->number, .sent_ns = clock_ns()};
    if (weft_node_broadcast(command->bench->node, CHANNEL, &message, sizeof(message)) != WEFT_OK) {
        printf("refused %llu\n", (unsigned long long)message.number);
    }
    free(command);
}

static void count_peer(void *ctx, const struct weft_peer *peer) {
    struct bench *bench = ctx;
    bench->reachable_count += peer->is_reachable && !peer->is_self ? 1 : 0;
}

static void look(void *ctx) {
    struct bench *bench = ctx;
    bench->reachable_count = 0;
    weft_node_each_peer(bench->node, count_peer, bench);
    if (bench->wanted_count > 0 && bench->reachable_count >= bench->wanted_count) {
        bench->wanted_count = 0;
        printf("formed\n");
    }
}

static void post_command(struct bench *bench, void (*call)(void *ctx), uint64_t number) {
    struct command *command = calloc(1, sizeof(*command));
    if (command == NULL) {
        return;
    }
    *command = (struct command){.bench = bench, .number = number};
    if (weft_node_post(bench->node, call, command) != WEFT_OK) {
        free(command);
    }
}

/* Looks at who is reachable, at a pace that costs little, until they are all there. */
static void *watch(void *ctx) {
    struct bench *bench = ctx;
    const struct timespec pause = {.tv_nsec = FORM_CHECK_NS};
    enum weft_err err = WEFT_OK;
    while (bench->wanted_count > 0 && (err == WEFT_OK || err == WEFT_ERR_FULL)) {
        (void)nanosleep(&pause, NULL);
        err = weft_node_post(bench->node, look, bench);
    }
    return NULL;
}

static void *read_commands(void *ctx) {
    struct bench *bench = ctx;
    pthread_t watcher;
    char line[64];
    bool is_watching = false;
    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (strncmp(line, "send ", 5) == 0) {
            post_command(bench, send_now, strtoull(line + 5, NULL, 10));
        } else if (strncmp(line, "form ", 5) == 0) {
            bench->wanted_count = (size_t)strtoull(line + 5, NULL, 10);
            is_watching = is_watching || pthread_create(&watcher, NULL, watch, bench) == 0;
        }
    }
    exit(EXIT_SUCCESS);
}

static int run(struct bench *bench) {
    const struct weft_gossiper gossiper = {.ctx = bench,
                                           .unicast = on_unicast,
                                           .broadcast = on_broadcast,
                                           .complete = on_complete,
                                           .gossip = on_gossip};
    pthread_t reader;
    if (weft_node_channel_open(bench->node, CHANNEL, &gossiper) != WEFT_OK ||
        pthread_create(&reader, NULL, read_commands, bench) != 0) {
        return EXIT_FAILURE;
    }
    printf("listening %s\n", weft_node_listening(bench->node, 0));
    weft_node_run(bench->node);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    struct bench bench = {0};
    bench.node = embed_node(argc, argv);
    if (bench.node == NULL) {
        return EXIT_FAILURE;
    }
    int status = run(&bench);
    weft_node_free(bench.node);
    return status;
}
