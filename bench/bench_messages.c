/* SPDX-License-Identifier: Apache-2.0
 *
 * Two of these send each other messages over a channel, for rows M11 and M12 (bench/messages.py).
 * Built on the public library alone.
 *
 *   bench_messages NAME SECRET-HEX LISTEN [SEED]
 *
 * reads commands on stdin and writes lines on stdout:
 *
 *   (at start)          listening ADDR:PORT
 *   peer NAME           peer NAME               once a node of that name is reached
 *   flood COUNT SIZE    flood RECEIVED US       how many of them came, in what time, as it saw it
 *   ping COUNT SIZE     ping P50-US P99-US      one after the other
 *
 * A message is answered only if it asks for it: the last of a flood, and a ping.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft/weft.h>

#include "embed.h"

#define CHANNEL "bench"
#define NS_PER_S 1000000000ULL
#define COUNT_MAX ((size_t)100000000)
#define ASK_AGAIN_NS (NS_PER_S / 2) /* messages may be lost, the last of a flood too */

enum kind {
    KIND_DATA,   /* counted */
    KIND_END,    /* to be answered by a REPORT */
    KIND_REPORT, /* number: how many DATA came since the last REPORT; ns: within what time */
    KIND_PING,
    KIND_PONG,
};

struct message {
    uint64_t kind;
    uint64_t number;
    uint64_t ns;
};

enum task {
    TASK_NONE,
    TASK_PEER,
    TASK_FLOOD,
    TASK_PING,
};

struct bench {
    struct weft_node *node;
    pthread_mutex_t lock; /* of the command below, which the reader hands over */
    char command[64];
    enum task task;
    char name[64]; /* of the peer */
    struct weft_peer_id peer;
    uint64_t left; /* messages still to send, or pings to be answered */
    uint64_t count;
    size_t size;
    uint64_t asked_ns; /* when END went out; 0: not yet */
    uint64_t ping_ns;
    uint32_t *samples; /* of pings, in ns */
    /* what came in */
    uint64_t received;
    uint64_t first_ns;
    uint64_t last_ns;
    struct weft_peer_id answer_to;
    struct message answer;
    uint8_t bytes[WEFT_PAYLOAD_MAX];
};

static uint64_t clock_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void post(struct bench *bench, void (*call)(void *ctx)) {
    if (weft_node_post(bench->node, call, bench) != WEFT_OK) {
        (void)fprintf(stderr, "bench_messages: the node takes no calls\n");
        exit(EXIT_FAILURE);
    }
}

static enum weft_err say(struct bench *bench, const struct weft_peer_id *to,
                         const struct message *message, size_t size) {
    memcpy(bench->bytes, message, sizeof(*message));
    return weft_node_unicast(bench->node, CHANNEL, to, bench->bytes, size);
}

/* ---- floods ---- */

static void flood_on(void *ctx) {
    struct bench *bench = ctx;
    struct message message = {.kind = KIND_DATA};
    enum weft_err err = WEFT_OK;
    while (bench->left > 0 && err == WEFT_OK) {
        err = say(bench, &bench->peer, &message, bench->size);
        bench->left -= err == WEFT_OK ? 1 : 0;
    }
    if (bench->left > 0) {
        post(bench, flood_on); /* full: what is queued goes out in between */
        return;
    }
    uint64_t now = clock_ns();
    if (bench->task == TASK_FLOOD && now - bench->asked_ns > ASK_AGAIN_NS) {
        message.kind = KIND_END;
        err = say(bench, &bench->peer, &message, sizeof(message));
        bench->asked_ns = err == WEFT_OK ? now : 0;
        if (err != WEFT_OK) {
            post(bench, flood_on);
        }
    }
}

static void take_report(struct bench *bench, const struct message *message) {
    if (bench->task == TASK_FLOOD) {
        bench->task = TASK_NONE;
        printf("flood %llu %.0f\n", (unsigned long long)message->number, (double)message->ns / 1e3);
    }
}

/* ---- pings ---- */

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void ping_on(void *ctx) {
    struct bench *bench = ctx;
    const struct message message = {.kind = KIND_PING, .number = bench->left};
    bench->ping_ns = clock_ns();
    if (say(bench, &bench->peer, &message, bench->size) != WEFT_OK) {
        post(bench, ping_on);
    }
}

static void take_pong(struct bench *bench, const struct message *message) {
    if (bench->task != TASK_PING || message->number != bench->left) {
        return;
    }
    bench->samples[--bench->left] = (uint32_t)(clock_ns() - bench->ping_ns);
    if (bench->left > 0) {
        post(bench, ping_on);
        return;
    }
    bench->task = TASK_NONE;
    qsort(bench->samples, bench->count, sizeof(*bench->samples), compare);
    printf("ping %.1f %.1f\n", bench->samples[bench->count / 2] / 1e3,
           bench->samples[bench->count * 99 / 100] / 1e3);
}

/* ---- what comes ---- */

static void answer_on(void *ctx) {
    struct bench *bench = ctx;
    if (say(bench, &bench->answer_to, &bench->answer, sizeof(bench->answer)) == WEFT_ERR_FULL) {
        post(bench, answer_on);
    }
}

static void answer(struct bench *bench, const struct weft_peer_id *to, struct message message) {
    bench->answer_to = *to;
    bench->answer = message;
    post(bench, answer_on);
}

static void count_one(struct bench *bench) {
    bench->last_ns = clock_ns();
    bench->first_ns = bench->received == 0 ? bench->last_ns : bench->first_ns;
    bench->received++;
}

static void on_unicast(void *ctx, const struct weft_peer_id *source, const void *data, size_t len) {
    struct bench *bench = ctx;
    struct message message;
    if (len < sizeof(message)) {
        return;
    }
    memcpy(&message, data, sizeof(message));
    switch ((enum kind)message.kind) {
    case KIND_DATA:
        count_one(bench);
        break;
    case KIND_END:
        answer(bench, source,
               (struct message){.kind = KIND_REPORT,
                                .number = bench->received,
                                .ns = bench->last_ns - bench->first_ns});
        bench->received = 0;
        break;
    case KIND_REPORT:
        take_report(bench, &message);
        break;
    case KIND_PING:
        answer(bench, source, (struct message){.kind = KIND_PONG, .number = message.number});
        break;
    case KIND_PONG:
        take_pong(bench, &message);
        break;
    }
}

static bool on_broadcast(void *ctx, const struct weft_peer_id *source, const void *data,
                         size_t len) {
    (void)ctx;
    (void)source;
    (void)data;
    (void)len;
    return false;
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

/* ---- commands ---- */

static void match_peer(void *ctx, const struct weft_peer *peer) {
    struct bench *bench = ctx;
    if (bench->task == TASK_PEER && peer->is_reachable && !peer->is_self && peer->name != NULL &&
        strcmp(peer->name, bench->name) == 0) {
        bench->peer = peer->id;
        bench->task = TASK_NONE;
        printf("peer %s\n", bench->name);
    }
}

static void look(void *ctx) {
    struct bench *bench = ctx;
    weft_node_each_peer(bench->node, match_peer, bench);
    if (bench->task == TASK_FLOOD && bench->left == 0) {
        flood_on(bench);
    }
}

static void begin(void *ctx) {
    struct bench *bench = ctx;
    unsigned long long count = 0;
    unsigned long long size = 0;
    char verb[8] = "";
    (void)pthread_mutex_lock(&bench->lock);
    if (sscanf(bench->command, "peer %63s", bench->name) == 1) {
        bench->task = TASK_PEER;
    } else if (sscanf(bench->command, "%7s %llu %llu", verb, &count, &size) == 3 && count > 0 &&
               count <= COUNT_MAX && size >= sizeof(struct message) && size <= WEFT_PAYLOAD_MAX) {
        bench->task = strcmp(verb, "ping") == 0 ? TASK_PING : TASK_FLOOD;
        bench->count = bench->left = count;
        bench->size = (size_t)size;
    }
    (void)pthread_mutex_unlock(&bench->lock);
    if (bench->task == TASK_PING) {
        free(bench->samples);
        bench->samples = calloc(count, sizeof(*bench->samples));
        ping_on(bench);
    } else if (bench->task == TASK_FLOOD) {
        bench->asked_ns = 0;
        flood_on(bench);
    }
}

static void *read_commands(void *ctx) {
    struct bench *bench = ctx;
    char line[sizeof(bench->command)];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        (void)pthread_mutex_lock(&bench->lock);
        memcpy(bench->command, line, sizeof(line));
        (void)pthread_mutex_unlock(&bench->lock);
        post(bench, begin);
    }
    exit(EXIT_SUCCESS);
}

/* What has no event of its own: a peer that is not there yet, a report that was lost. */
static void *look_again(void *ctx) {
    struct bench *bench = ctx;
    const struct timespec pause = {.tv_nsec = 10000000};
    for (;;) {
        (void)nanosleep(&pause, NULL);
        post(bench, look);
    }
    return NULL;
}

static int run(struct bench *bench) {
    const struct weft_gossiper gossiper = {.ctx = bench,
                                           .unicast = on_unicast,
                                           .broadcast = on_broadcast,
                                           .complete = on_complete,
                                           .gossip = on_gossip};
    pthread_t reader;
    pthread_t looker;
    if (weft_node_channel_open(bench->node, CHANNEL, &gossiper) != WEFT_OK ||
        pthread_create(&reader, NULL, read_commands, bench) != 0 ||
        pthread_create(&looker, NULL, look_again, bench) != 0) {
        return EXIT_FAILURE;
    }
    printf("listening %s\n", weft_node_listening(bench->node, 0));
    weft_node_run(bench->node);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    static struct bench bench = {.lock = PTHREAD_MUTEX_INITIALIZER};
    bench.node = embed_node(argc, argv);
    if (bench.node == NULL) {
        return EXIT_FAILURE;
    }
    int status = run(&bench);
    weft_node_free(bench.node);
    return status;
}
