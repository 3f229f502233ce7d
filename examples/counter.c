/* SPDX-License-Identifier: Apache-2.0
 *
 * An increment-only counter that all peers agree on, over a gossip channel.
 *
 * The state is a map from peer to how far that peer has counted; the total is their sum. Each peer
 * only raises its own entry, and merging takes the larger of two entries: so it does not matter in
 * which order, how late or how often states arrive (a G-counter; Shapiro et al. 2011).
 *
 *   counter NAME SECRET-HEX LISTEN [SEED...]
 *
 * reads commands on stdin: "add N", "total", "quit"; and prints "listening ADDR:PORT" once and
 * "total N" on each change.
 *
 *   cc counter.c $(pkg-config --cflags --libs weft) -lpthread -o counter
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/weft.h>

#define CHANNEL "counter"
#define PEERS_MAX 1024 /* entries of 24 bytes: well below WEFT_PAYLOAD_MAX */
#define ENTRY_BYTES (WEFT_PEER_ID_BYTES + 8)

struct entry {
    struct weft_peer_id peer;
    uint64_t count;
};

struct counter {
    struct weft_node *node;
    struct entry entries[PEERS_MAX];
    size_t entry_count;
};

static uint64_t total(const struct counter *counter) {
    uint64_t sum = 0;
    for (size_t i = 0; i < counter->entry_count; i++) {
        sum += counter->entries[i].count;
    }
    return sum;
}

static void show(const struct counter *counter) {
    printf("total %llu\n", (unsigned long long)total(counter));
    fflush(stdout);
}

/* Takes the larger count; whether it was news. */
static bool raise_entry(struct counter *counter, const struct entry *seen) {
    for (size_t i = 0; i < counter->entry_count; i++) {
        struct entry *known = &counter->entries[i];
        if (!weft_peer_id_equal(&known->peer, &seen->peer)) {
            continue;
        }
        if (known->count >= seen->count) {
            return false;
        }
        known->count = seen->count;
        return true;
    }
    if (counter->entry_count == PEERS_MAX) {
        return false;
    }
    counter->entries[counter->entry_count++] = *seen;
    return true;
}

/* On the wire: peer id, then the count, big-endian. */
static void put(uint8_t *out, const struct entry *entry) {
    memcpy(out, entry->peer.bytes, WEFT_PEER_ID_BYTES);
    for (int i = 0; i < 8; i++) {
        out[WEFT_PEER_ID_BYTES + i] = (uint8_t)(entry->count >> (56 - 8 * i));
    }
}

static struct entry get(const uint8_t *bytes) {
    struct entry entry = {.count = 0};
    memcpy(entry.peer.bytes, bytes, WEFT_PEER_ID_BYTES);
    for (int i = 0; i < 8; i++) {
        entry.count = entry.count << 8 | bytes[WEFT_PEER_ID_BYTES + i];
    }
    return entry;
}

static struct weft_bytes encode(const struct entry *entries, size_t count) {
    struct weft_bytes bytes = {.data = count > 0 ? malloc(count * ENTRY_BYTES) : NULL};
    for (size_t i = 0; bytes.data != NULL && i < count; i++) {
        put((uint8_t *)bytes.data + i * ENTRY_BYTES, &entries[i]);
        bytes.len += ENTRY_BYTES;
    }
    return bytes;
}

static struct weft_bytes on_complete(void *ctx) {
    const struct counter *counter = ctx;
    return encode(counter->entries, counter->entry_count);
}

/* Merges what a neighbour knows and passes on only what was news to us. */
static struct weft_bytes on_gossip(void *ctx, const void *data, size_t len) {
    struct counter *counter = ctx;
    struct entry news[PEERS_MAX];
    size_t count = 0;
    for (size_t at = 0; at + ENTRY_BYTES <= len && count < PEERS_MAX; at += ENTRY_BYTES) {
        struct entry seen = get((const uint8_t *)data + at);
        if (raise_entry(counter, &seen)) {
            news[count++] = seen;
        }
    }
    if (count > 0) {
        show(counter);
    }
    return encode(news, count);
}

/* Two states that wait for a slow link: the newer holds what changed, so both are needed. Entries
 * may repeat; the receiver takes the larger. */
static struct weft_bytes on_merge(void *ctx, const void *older, size_t older_len, const void *newer,
                                  size_t newer_len) {
    (void)ctx;
    struct weft_bytes both = {.data = NULL};
    if (older_len + newer_len > WEFT_PAYLOAD_MAX) {
        return both; /* only the newer then; the next complete state heals the rest */
    }
    both.data = malloc(older_len + newer_len);
    if (both.data != NULL) {
        memcpy(both.data, older, older_len);
        memcpy((uint8_t *)both.data + older_len, newer, newer_len);
        both.len = older_len + newer_len;
    }
    return both;
}

/* What the thread that reads stdin wants done on the node's own. */
struct command {
    struct counter *counter;
    uint64_t add;
};

static void add_now(void *ctx) {
    struct command *command = ctx;
    struct counter *counter = command->counter;
    struct entry mine = {.peer = *weft_node_id(counter->node), .count = command->add};
    for (size_t i = 0; i < counter->entry_count; i++) {
        if (weft_peer_id_equal(&counter->entries[i].peer, &mine.peer)) {
            mine.count += counter->entries[i].count;
        }
    }
    free(command);
    raise_entry(counter, &mine);
    show(counter);
    uint8_t bytes[ENTRY_BYTES];
    put(bytes, &mine);
    if (weft_node_gossip(counter->node, CHANNEL, bytes, sizeof(bytes)) != WEFT_OK) {
        fprintf(stderr, "counter: could not gossip; neighbours will learn with the next state\n");
    }
}

static void show_now(void *ctx) {
    show(ctx);
}

static void post_add(struct counter *counter, const char *text) {
    struct command *command = malloc(sizeof(*command));
    if (command == NULL) {
        return;
    }
    *command = (struct command){.counter = counter, .add = strtoull(text, NULL, 10)};
    if (weft_node_post(counter->node, add_now, command) != WEFT_OK) {
        free(command);
    }
}

static void *read_commands(void *ctx) {
    struct counter *counter = ctx;
    char line[128];
    while (fgets(line, sizeof(line), stdin) != NULL && strncmp(line, "quit", 4) != 0) {
        if (strncmp(line, "add ", 4) == 0) {
            post_add(counter, line + 4);
        } else if (weft_node_post(counter->node, show_now, counter) != WEFT_OK) {
            fprintf(stderr, "counter: busy\n");
        }
    }
    while (weft_node_stop(counter->node, 1000000000) == WEFT_ERR_FULL) {
        continue;
    }
    return NULL;
}

static bool parse_secret(const char *hex, uint8_t out[WEFT_KEY_BYTES]) {
    for (size_t i = 0; i < WEFT_KEY_BYTES; i++) {
        const char digits[3] = {hex[2 * i], hex[2 * i] != '\0' ? hex[2 * i + 1] : '\0', '\0'};
        char *end = NULL;
        out[i] = (uint8_t)strtoul(digits, &end, 16);
        if (end != digits + 2) {
            return false;
        }
    }
    return hex[2 * WEFT_KEY_BYTES] == '\0';
}

static int run(struct counter *counter) {
    const struct weft_gossiper gossiper = {
        .ctx = counter, .complete = on_complete, .gossip = on_gossip, .merge = on_merge};
    pthread_t reader;
    if (weft_node_channel_open(counter->node, CHANNEL, &gossiper) != WEFT_OK ||
        pthread_create(&reader, NULL, read_commands, counter) != 0) {
        return EXIT_FAILURE;
    }
    printf("listening %s\n", weft_node_listening(counter->node, 0));
    fflush(stdout);
    weft_node_run(counter->node);
    pthread_join(reader, NULL);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    uint8_t secret[WEFT_KEY_BYTES];
    char why[WEFT_NODE_TEXT];
    if (argc < 4 || !parse_secret(argv[2], secret)) {
        fprintf(stderr, "usage: counter NAME SECRET-HEX LISTEN [SEED...]\n");
        return 2;
    }
    const char *const listen[] = {argv[3]};
    const struct weft_node_config config = {
        .name = argv[1],
        .secret = secret,
        .listen = listen,
        .listen_count = 1,
        .seeds = (const char *const *)argv + 4,
        .seed_count = (size_t)argc - 4,
        .is_quiet = true,
    };
    struct counter *counter = calloc(1, sizeof(*counter));
    if (counter == NULL || weft_node_new(&config, &counter->node, why) != WEFT_OK) {
        fprintf(stderr, "counter: %s\n", counter != NULL ? why : "out of memory");
        free(counter);
        return EXIT_FAILURE;
    }
    int status = run(counter);
    weft_node_free(counter->node);
    free(counter);
    return status;
}
