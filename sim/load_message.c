/* SPDX-License-Identifier: Apache-2.0
 *
 * Broadcasts and unicasts. Each says who sent it, its number and when, and is filled with bytes
 * that follow from those, so that what arrives is checked against what was sent.
 *
 *    magic(4) kind(4) origin(4) to(4) number(8) sent_at(8) | fill ...
 */
#include <string.h>

#include "base/check.h"
#include "sim/load_parts.h"

#define HEADER_BYTES 32U
#define MESSAGE_BYTES_LIMIT ((uint64_t)48 * 1024)
#define MAGIC 0x57534d31U
#define KIND_BROADCAST 1U
#define KIND_UNICAST 2U

/* How many unicasts of one sender are watched: as many as it sends in this time. */
#define UNICAST_WATCH (60 * NS_PER_S)
#define UNICASTS_MIN 16U
#define UNICASTS_MAX 4096U

/* A unicast is owed to a node that was up for so long before it was sent and so long after. */
#define LIVE_BEFORE (5 * NS_PER_S)
#define LIVE_AFTER (10 * NS_PER_S)

/* Whom a broadcast after the last fault has reached is asked so long after it was sent:
 * what repair brings later does not count. */
#define JUDGED_AFTER NS_PER_S

/* What is not there after so long is lost; younger ones are on their way. */
#define LOST_AFTER (5 * NS_PER_S)

struct message {
    uint32_t kind;
    uint32_t origin;
    uint32_t to;
    uint64_t number;
    weft_ns sent_at;
};

/* splitmix64: what a key means at word `word`. */
static uint64_t word_at(uint64_t key, uint64_t word) {
    uint64_t z = key + (word + 1) * 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

void load_fill(uint64_t key, uint64_t offset, uint8_t *out, size_t len) {
    for (size_t i = 0; i < len;) {
        uint64_t at = offset + i;
        uint64_t word = word_at(key, at / 8);
        for (unsigned byte = (unsigned)(at % 8); byte < 8 && i < len; byte++) {
            out[i++] = (uint8_t)(word >> (8 * byte));
        }
    }
}

static void encode(const struct message *message, uint8_t *out, size_t len) {
    struct wire_writer writer = wire_writer_of(out, HEADER_BYTES);
    wire_write_u32(&writer, MAGIC);
    wire_write_u32(&writer, message->kind);
    wire_write_u32(&writer, message->origin);
    wire_write_u32(&writer, message->to);
    wire_write_u64(&writer, message->number);
    wire_write_u64(&writer, message->sent_at);
    load_fill(message->number ^ message->sent_at, 0, out + HEADER_BYTES, len - HEADER_BYTES);
}

static bool decode(struct span payload, struct message *out) {
    uint8_t expected[MESSAGE_BYTES_LIMIT];
    struct wire_reader reader = wire_reader_of(payload);
    bool is_ours = wire_read_u32(&reader) == MAGIC;
    out->kind = wire_read_u32(&reader);
    out->origin = wire_read_u32(&reader);
    out->to = wire_read_u32(&reader);
    out->number = wire_read_u64(&reader);
    out->sent_at = wire_read_u64(&reader);
    if (!is_ours || payload.len < HEADER_BYTES || payload.len > MESSAGE_BYTES_LIMIT) {
        return false;
    }
    encode(out, expected, payload.len);
    return memcmp(expected, payload.data, payload.len) == 0;
}

/* The message of an honest sender as it arrived at `node`, or a breach. */
static bool take(struct load_node *node, const struct weft_peer_id *source, struct span payload,
                 uint32_t kind, struct message *out) {
    struct load *load = node->load;
    bool is_right = decode(payload, out) && out->kind == kind && out->origin < load->node_count &&
                    weft_peer_id_equal(world_id(load->world, out->origin), source);
    uint32_t origin = UINT32_MAX;
    bool is_known = world_find_node(load->world, source, &origin);
    /* What a liar says in its own name is its own, whatever it is. */
    if (!is_right && !(is_known && load_has_lied(load, origin))) {
        load_break(load, "nothing is delivered that was not sent",
                   "node %u was given a %s of node %u that it did not send (%zu bytes)",
                   node->index, kind == KIND_BROADCAST ? "broadcast" : "unicast", origin,
                   payload.len);
    }
    return is_right;
}

static size_t size_of(uint64_t bytes) {
    uint64_t len = bytes < HEADER_BYTES ? HEADER_BYTES : bytes;
    return (size_t)(len > MESSAGE_BYTES_LIMIT ? MESSAGE_BYTES_LIMIT : len);
}

/* --- broadcasts --- */

static struct broadcast *broadcast_at(struct load *load, uint64_t serial) {
    return &load->messages.broadcasts[serial % BROADCASTS_MAX];
}

static void broadcast_clear(struct broadcast *broadcast) {
    node_set_fini(&broadcast->got);
    node_set_fini(&broadcast->owed);
    *broadcast = (struct broadcast){0};
}

/* Nobody looks after this one any more. */
static void broadcast_close(struct broadcast *broadcast) {
    if (broadcast->serial != 0 && broadcast->owed.count > 0) {
        metric_add(broadcast->load->messages.missed, broadcast->owed.count);
    }
    broadcast_clear(broadcast);
}

static bool is_live(const struct load *load, uint32_t node) {
    return load_node_runs(load, node) && !world_is_liar(load->world, node);
}

/* What a broadcast after the last fault came to: of the others that have lived since before it was
 * sent, how many have it. */
static void judge(void *ctx) {
    struct broadcast *broadcast = ctx;
    struct load *load = broadcast->load;
    if (load == NULL || broadcast->judge_at != world_now(load->world)) {
        return; /* gone meanwhile */
    }
    int64_t live = 0;
    int64_t reached = 0;
    for (uint32_t i = 0; i < load->node_count; i++) {
        if (i != broadcast->origin && is_live(load, i) &&
            load->nodes[i].up_since <= broadcast->sent_at) {
            live++;
            reached += node_set_has(&broadcast->got, i) ? 1 : 0;
        }
    }
    struct messages *messages = &load->messages;
    if (!messages->has_first) {
        messages->has_first = true;
        metric_set(metrics_counter(load->metrics, "broadcast.first.reached", UNIT_PPM),
                   live > 0 ? reached * 1000000 / live : 0);
    }
    if (reached < live) {
        messages->whole_at = 0;
    } else if (messages->whole_at == 0) {
        messages->whole_at = broadcast->last_at;
    }
}

static weft_ns last_fault_at(const struct load *load) {
    return time_after(load->begun_at, load->messages.first_after);
}

static void judge_later(struct load *load, struct broadcast *broadcast) {
    if (broadcast->sent_at >= last_fault_at(load)) {
        broadcast->judge_at = time_after(broadcast->sent_at, JUDGED_AFTER);
        world_at(load->world, broadcast->judge_at, judge, broadcast);
    }
}

static struct broadcast *broadcast_open(struct load *load, uint32_t origin) {
    struct messages *messages = &load->messages;
    messages->serial++;
    struct broadcast *broadcast = broadcast_at(load, messages->serial);
    broadcast_close(broadcast);
    *broadcast = (struct broadcast){.load = load,
                                    .serial = messages->serial,
                                    .origin = origin,
                                    .sent_at = world_now(load->world)};
    node_set_init(&broadcast->got, load->node_count);
    node_set_init(&broadcast->owed, load->node_count);
    truth_look(load);
    for (uint32_t i = 0; i < load->node_count; i++) {
        if (i != origin && truth_joins(load, origin, i)) {
            (void)node_set_add(&broadcast->owed, i);
        }
    }
    (void)node_set_add(&broadcast->got, origin);
    return broadcast;
}

void message_broadcast(struct load *load, struct load_node *node, uint64_t bytes) {
    uint8_t payload[MESSAGE_BYTES_LIMIT];
    struct broadcast *broadcast = broadcast_open(load, node->index);
    size_t len = size_of(bytes);
    const struct message message = {.kind = KIND_BROADCAST,
                                    .origin = node->index,
                                    .number = broadcast->serial,
                                    .sent_at = broadcast->sent_at};
    encode(&message, payload, len);
    enum weft_err err =
        core_channel_broadcast(world_core(load->world, node->index), LOAD_CHANNEL,
                               span_of(payload, len), world_node_now(load->world, node->index));
    if (err != WEFT_OK) {
        broadcast_clear(broadcast); /* short of memory: its application was told */
        return;
    }
    metric_add(load->messages.sent, 1);
    judge_later(load, broadcast);
}

/* One that was owed has come. */
static void settle(struct broadcast *broadcast, uint32_t node, weft_ns now) {
    if (node_set_remove(&broadcast->owed, node) && broadcast->owed.count == 0 &&
        !broadcast->is_complete) {
        broadcast->is_complete = true;
        metric_sample(broadcast->load->messages.complete, (int64_t)(now - broadcast->sent_at));
    }
}

static void broadcast_arrived(struct load_node *node, const struct message *message) {
    struct load *load = node->load;
    struct messages *messages = &load->messages;
    struct broadcast *broadcast = broadcast_at(load, message->number);
    weft_ns now = world_now(load->world);
    if (broadcast->serial != message->number) {
        metric_add(messages->late, 1);
        return;
    }
    if (!node_set_add(&broadcast->got, node->index)) {
        load_break(load, "each broadcast is delivered at most once",
                   "node %u was given broadcast %llu of node %u again", node->index,
                   (unsigned long long)message->number, message->origin);
        return;
    }
    broadcast->last_at = now;
    metric_add(messages->delivered, 1);
    metric_sample(messages->latency, (int64_t)(now - broadcast->sent_at));
    metric_sample(messages->hops, node->hops);
    settle(broadcast, node->index, now);
}

static bool on_broadcast(void *ctx, const struct weft_peer_id *source, struct span payload) {
    struct load_node *node = ctx;
    struct message message;
    world_callback_enter(node->load->world);
    if (take(node, source, payload, KIND_BROADCAST, &message)) {
        broadcast_arrived(node, &message);
    }
    world_callback_exit(node->load->world);
    return true;
}

/* --- unicasts --- */

static struct unicast *unicast_at(struct load_node *node, uint64_t number) {
    return &node->unicasts[number & (node->unicast_size - 1)];
}

/* Whether both ends of it lived long enough before and after for it to have to arrive. */
static bool was_live(const struct load_node *node, weft_ns sent_at) {
    bool was_up =
        node->up_since != WEFT_NEVER && time_after(node->up_since, LIVE_BEFORE) <= sent_at;
    return was_up && node->lied_at == 0 &&
           (node->is_up || node->down_at > time_after(sent_at, LIVE_AFTER));
}

static void unicast_close(struct load_node *node, struct unicast *unicast) {
    struct messages *messages = &node->load->messages;
    if (unicast->number != 0 && !unicast->has_arrived) {
        const struct load_node *to = &node->load->nodes[unicast->to];
        metric_add(messages->unicast_lost, unicast->is_fresh ? 0 : 1);
        bool is_owed = was_live(node, unicast->sent_at) && was_live(to, unicast->sent_at);
        messages->unicast_eligible += is_owed ? 1 : 0;
    }
    *unicast = (struct unicast){0};
}

static bool is_fresh(const struct load *load, const struct load_node *node) {
    return node->up_since == WEFT_NEVER ||
           time_after(node->up_since, LIVE_BEFORE) > world_now(load->world);
}

void message_unicast(struct load *load, struct load_node *node, uint32_t to, uint64_t bytes) {
    uint8_t payload[MESSAGE_BYTES_LIMIT];
    size_t len = size_of(bytes);
    struct unicast *unicast = unicast_at(node, ++node->number);
    unicast_close(node, unicast);
    *unicast =
        (struct unicast){.number = node->number,
                         .sent_at = world_now(load->world),
                         .to = to,
                         .is_fresh = is_fresh(load, node) || is_fresh(load, &load->nodes[to])};
    const struct message message = {.kind = KIND_UNICAST,
                                    .origin = node->index,
                                    .to = to,
                                    .number = node->number,
                                    .sent_at = unicast->sent_at};
    encode(&message, payload, len);
    enum weft_err err = core_channel_unicast(world_core(load->world, node->index), LOAD_CHANNEL,
                                             world_id(load->world, to), span_of(payload, len),
                                             world_node_now(load->world, node->index));
    if (err == WEFT_ERR_FULL || err == WEFT_ERR_MEMORY) {
        metric_add(load->messages.unicast_refused, 1);
        *unicast = (struct unicast){0};
        return;
    }
    /* One to a node that the sender does not know is lost all the same. */
    metric_add(load->messages.unicast_sent, 1);
}

static void unicast_arrived(struct load_node *node, const struct message *message) {
    struct load *load = node->load;
    struct messages *messages = &load->messages;
    struct load_node *origin = &load->nodes[message->origin];
    if (origin->unicast_size == 0 || message->number > origin->number ||
        message->to != node->index) {
        load_break(load, "nothing is delivered that was not sent",
                   "node %u was given unicast %llu of node %u to node %u", node->index,
                   (unsigned long long)message->number, message->origin, message->to);
        return;
    }
    struct unicast *unicast = unicast_at(origin, message->number);
    if (unicast->number != message->number) {
        return; /* counted as lost already */
    }
    if (unicast->has_arrived) {
        load_break(load, "each unicast is delivered at most once",
                   "node %u was given unicast %llu of node %u again", node->index,
                   (unsigned long long)message->number, message->origin);
        return;
    }
    unicast->has_arrived = true;
    messages->unicast_eligible++;
    messages->unicast_eligible_arrived++;
    metric_add(messages->unicast_arrived, 1);
    metric_sample(messages->unicast_latency, (int64_t)(world_now(load->world) - unicast->sent_at));
}

static void on_unicast(void *ctx, const struct weft_peer_id *source, struct span payload) {
    struct load_node *node = ctx;
    struct message message;
    world_callback_enter(node->load->world);
    if (take(node, source, payload, KIND_UNICAST, &message)) {
        unicast_arrived(node, &message);
    }
    world_callback_exit(node->load->world);
}

static uint32_t ring_size_for(const struct scenario_load *spec) {
    uint64_t wanted = spec->every_ns != 0 ? UNICAST_WATCH / spec->every_ns : spec->count;
    uint32_t size = UNICASTS_MIN;
    while (size < wanted && size < UNICASTS_MAX) {
        size *= 2;
    }
    return size;
}

void messages_prepare(struct load *load, const struct scenario_load *spec, struct load_node *node) {
    uint32_t size = spec->kind == LOAD_UNICAST ? ring_size_for(spec) : 0;
    (void)load;
    if (size > node->unicast_size) {
        ASSERT(node->number == 0);
        free(node->unicasts);
        node->unicasts = must(calloc(size, sizeof(*node->unicasts)));
        node->unicast_size = size;
    }
}

/* --- all messages --- */

void messages_init(struct load *load) {
    struct messages *messages = &load->messages;
    struct metrics *metrics = load->metrics;
    messages->broadcasts = must(calloc(BROADCASTS_MAX, sizeof(*messages->broadcasts)));
    messages->first_after = scenario_last_fault(load->scenario);
    messages->sent = metrics_counter(metrics, "broadcast.sent", UNIT_COUNT);
    messages->delivered = metrics_counter(metrics, "broadcast.delivered", UNIT_COUNT);
    messages->missed = metrics_counter(metrics, "broadcast.missed", UNIT_COUNT);
    messages->late = metrics_counter(metrics, "broadcast.late", UNIT_COUNT);
    messages->latency = metrics_distribution(metrics, "broadcast.latency", UNIT_NS);
    messages->hops = metrics_distribution(metrics, "broadcast.hops", UNIT_COUNT);
    messages->complete = metrics_distribution(metrics, "broadcast.complete", UNIT_NS);
    messages->whole = metrics_distribution(metrics, "broadcast.whole", UNIT_NS);
    messages->unicast_sent = metrics_counter(metrics, "unicast.sent", UNIT_COUNT);
    messages->unicast_arrived = metrics_counter(metrics, "unicast.arrived", UNIT_COUNT);
    messages->unicast_lost = metrics_counter(metrics, "unicast.lost", UNIT_COUNT);
    messages->unicast_refused = metrics_counter(metrics, "unicast.refused", UNIT_COUNT);
    messages->unicast_latency = metrics_distribution(metrics, "unicast.latency", UNIT_NS);
}

void messages_fini(struct load *load) {
    for (size_t i = 0; i < BROADCASTS_MAX; i++) {
        broadcast_clear(&load->messages.broadcasts[i]);
    }
    free(load->messages.broadcasts);
}

void messages_node_started(struct load *load, struct load_node *node, struct core *core) {
    const struct gossiper gossiper = {
        .ctx = node, .unicast = on_unicast, .broadcast = on_broadcast};
    enum weft_err err =
        core_channel_open(core, LOAD_CHANNEL, &gossiper, world_node_now(load->world, node->index));
    if (err != WEFT_OK) {
        metric_add(metrics_counter(load->metrics, "load.not_opened", UNIT_COUNT), 1);
    }
}

void messages_forget_node(struct load *load, uint32_t node) {
    for (size_t i = 0; i < BROADCASTS_MAX; i++) {
        struct broadcast *broadcast = &load->messages.broadcasts[i];
        if (broadcast->serial != 0) {
            (void)node_set_remove(&broadcast->owed, node);
            (void)node_set_remove(&broadcast->got, node); /* its next life may be given it */
        }
    }
}

/* A live node that has it and is connected with one that lacks it owes it to that one. */
static uint32_t holder_of(const struct load *load, const struct broadcast *broadcast) {
    for (uint32_t i = 0; i < load->node_count; i++) {
        if (node_set_has(&broadcast->got, i) && truth_joins(load, i, i)) {
            return i;
        }
    }
    return UINT32_MAX;
}

static void look_at(const struct load *load, struct broadcast *broadcast) {
    uint32_t holder = truth_joins(load, broadcast->origin, broadcast->origin)
                          ? broadcast->origin
                          : holder_of(load, broadcast);
    for (uint32_t i = 0; i < load->node_count; i++) {
        if (node_set_has(&broadcast->owed, i) &&
            (holder == UINT32_MAX || !truth_joins(load, holder, i))) {
            (void)node_set_remove(&broadcast->owed, i);
        }
    }
}

void messages_look(struct load *load) {
    for (size_t i = 0; i < BROADCASTS_MAX; i++) {
        struct broadcast *broadcast = &load->messages.broadcasts[i];
        if (broadcast->serial != 0 && broadcast->owed.count > 0) {
            look_at(load, broadcast);
        }
    }
}

static void close_broadcasts(struct load *load, weft_ns upto) {
    for (size_t i = 0; i < BROADCASTS_MAX; i++) {
        struct broadcast *broadcast = &load->messages.broadcasts[i];
        if (broadcast->sent_at <= upto) {
            broadcast_close(broadcast);
        }
    }
}

static void close_unicasts(struct load_node *node, weft_ns upto) {
    for (uint32_t i = 0; i < node->unicast_size; i++) {
        if (node->unicasts[i].sent_at <= upto) {
            unicast_close(node, &node->unicasts[i]);
        }
    }
}

void messages_report(struct load *load) {
    struct messages *messages = &load->messages;
    weft_ns now = world_now(load->world);
    weft_ns upto = now > LOST_AFTER ? now - LOST_AFTER : 0;
    close_broadcasts(load, upto);
    for (uint32_t i = 0; i < load->node_count; i++) {
        close_unicasts(&load->nodes[i], upto);
    }
    if (messages->whole_at != 0) {
        metric_sample(messages->whole,
                      (int64_t)time_since(last_fault_at(load), messages->whole_at));
    }
    uint64_t eligible = messages->unicast_eligible;
    if (eligible > 0) {
        metric_set(metrics_counter(load->metrics, "unicast.arrived_share", UNIT_PPM),
                   (int64_t)(messages->unicast_eligible_arrived * 1000000 / eligible));
    }
}
