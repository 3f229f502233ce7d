/* SPDX-License-Identifier: Apache-2.0
 *
 * When a liar lies, and with what: the hook in what its core sends, and the clock of what it makes
 * up itself (lies.c).
 */
#include "sim/liar.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bucket.h"
#include "base/check.h"
#include "base/timers.h"
#include "sim/lies.h"
#include "sim/must.h"

#define KEPT_MAX 64 /* frames a liar remembers, to send again */
#define HELD_MAX 16 /* frames it holds back at a time */
#define LINKS_MAX 64
#define BURST_MAX 8 /* frames it makes of one kind each time it speaks */
#define FLIP_SHARE 8
#define SEALED_FLIP_SHARE 64 /* of chunks: each costs the liar a link */
#define HOLD_SHARE 4
#define PERIOD_MIN (5 * NS_PER_MS)
#define PERIOD_DOUBLINGS 7 /* up to 640 ms, drawn for each liar */
#define LIE_COUNT 7
#define PING_TOKENS ((uint64_t)1 << 62) /* nobody else's */

/* A frame that was the liar's to send. */
struct kept {
    struct link_id link;
    struct frame *frame;
    struct frame *payload;
    enum wire_class class;
};

struct teller {
    uint32_t node;
    uint32_t lies; /* 0: honest now */
    struct rng rng;
    struct timer timer;
    weft_ns period;
    struct bucket budget;
    uint64_t ping_last;
    struct kept kept[KEPT_MAX];
    size_t kept_count;
    struct kept held[HELD_MAX];
    size_t held_count;
};

struct link_list {
    struct link_id links[LINKS_MAX];
    uint32_t others[LINKS_MAX];
    size_t count;
};

struct liars {
    struct world *world;
    struct teller **tellers; /* by node; NULL: never lied */
    struct timers timers;
    struct rng rng;
    struct strangers *strangers; /* made when first needed */
    uint64_t told[LIE_COUNT];
    struct metric *metrics[LIE_COUNT];
};

static const char *const lie_names[LIE_COUNT] = {
    "lie.flip", "lie.forge", "lie.replay", "lie.reorder", "lie.flood", "lie.drop", "lie.garbage"};

struct liars *liars_new(struct world *world) {
    struct liars *liars = must(calloc(1, sizeof(*liars)));
    liars->world = world;
    liars->tellers = must(calloc(world_node_count(world), sizeof(struct teller *)));
    world_rng(world, "liars", &liars->rng);
    return liars;
}

static void kept_drop(struct kept *kept) {
    frame_unref(kept->frame);
    frame_unref(kept->payload);
    *kept = (struct kept){0};
}

static void teller_forget(struct teller *teller) {
    for (size_t i = 0; i < teller->kept_count; i++) {
        kept_drop(&teller->kept[i]);
    }
    for (size_t i = 0; i < teller->held_count; i++) {
        kept_drop(&teller->held[i]);
    }
    teller->kept_count = 0;
    teller->held_count = 0;
}

void liars_free(struct liars *liars) {
    if (liars == NULL) {
        return;
    }
    for (uint32_t node = 0; node < world_node_count(liars->world); node++) {
        if (liars->tellers[node] != NULL) {
            teller_forget(liars->tellers[node]);
            free(liars->tellers[node]);
        }
    }
    strangers_free(liars->strangers);
    timers_fini(&liars->timers);
    free(liars->tellers);
    free(liars);
}

static size_t index_of(enum lie_kind lie) {
    size_t index = 0;
    while (index < LIE_COUNT && (1U << index) != (uint32_t)lie) {
        index++;
    }
    ASSERT(index < LIE_COUNT);
    return index;
}

uint64_t liars_told(const struct liars *liars, enum lie_kind lie) {
    return liars->told[index_of(lie)];
}

static void count(struct liars *liars, enum lie_kind lie) {
    size_t i = index_of(lie);
    if (liars->metrics[i] == NULL) {
        liars->metrics[i] = metrics_counter(world_metrics(liars->world), lie_names[i], UNIT_COUNT);
    }
    liars->told[i]++;
    metric_add(liars->metrics[i], 1);
}

/* ---- what the core sends ---- */

static struct kept kept_of(const struct action *action) {
    return (struct kept){
        .link = action->link,
        .frame = frame_ref(action->frame),
        .payload = action->payload != NULL ? frame_ref(action->payload) : NULL,
        .class = action->class,
    };
}

/* A random one of those remembered makes room. */
static void remember(struct teller *teller, const struct action *action) {
    size_t place = teller->kept_count;
    if (place == KEPT_MAX) {
        place = rng_below(&teller->rng, KEPT_MAX);
        kept_drop(&teller->kept[place]);
    } else {
        teller->kept_count++;
    }
    teller->kept[place] = kept_of(action);
}

/* A carrier's bit is mostly its payload's. */
static void flip(struct teller *teller, struct action *action) {
    bool is_payload = action->payload != NULL && rng_below(&teller->rng, 4) != 0;
    struct frame **at = is_payload ? &action->payload : &action->frame;
    struct frame *flipped = lie_flip(*at, !is_payload, &teller->rng);
    frame_unref(*at);
    *at = flipped;
}

static bool wants(struct teller *teller, enum lie_kind lie, uint64_t share) {
    return (teller->lies & (uint32_t)lie) != 0 && rng_below(&teller->rng, share) == 0;
}

static bool on_send(void *ctx, uint32_t node, uint32_t to, struct action *action) {
    struct liars *liars = ctx;
    struct teller *teller = liars->tellers[node];
    (void)to;
    bool is_others = lie_is_of_others(action->frame, world_identity(liars->world, node));
    if ((teller->lies & LIE_REPLAY) != 0) {
        remember(teller, action);
    }
    if (is_others && wants(teller, LIE_DROP, 1)) {
        count(liars, LIE_DROP);
        return false;
    }
    if (is_others && wants(teller, LIE_FLIP, FLIP_SHARE)) {
        count(liars, LIE_FLIP);
        flip(teller, action);
    }
    if (teller->held_count < HELD_MAX && wants(teller, LIE_REORDER, HOLD_SHARE)) {
        count(liars, LIE_REORDER);
        teller->held[teller->held_count++] = kept_of(action);
        return false;
    }
    return true;
}

/* Byte mode: between two honest links this would be the network's doing; it must not open. */
static void on_bytes(void *ctx, uint32_t node, uint32_t to, uint8_t *data, size_t len) {
    struct liars *liars = ctx;
    struct teller *teller = liars->tellers[node];
    (void)to;
    if (wants(teller, LIE_FLIP, SEALED_FLIP_SHARE)) {
        uint64_t bit = rng_below(&teller->rng, 8 * len);
        data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        count(liars, LIE_FLIP);
    }
}

/* ---- what the liar makes up ---- */

static void list_link(void *ctx, struct link_id link, uint32_t other) {
    struct link_list *list = ctx;
    if (list->count < LINKS_MAX) {
        list->links[list->count] = link;
        list->others[list->count++] = other;
    }
}

static bool has_link(const struct link_list *list, struct link_id link) {
    for (size_t i = 0; i < list->count; i++) {
        if (link_id_equal(list->links[i], link)) {
            return true;
        }
    }
    return false;
}

/* Takes the references; false when the budget is spent. */
static bool inject(struct liars *liars, struct teller *teller, struct link_id link,
                   const struct kept *what) {
    uint64_t bytes = what->frame->len + (what->payload != NULL ? what->payload->len : 0U);
    if (!bucket_take(&teller->budget, bytes, LIAR_BYTES_PER_S, LIAR_BYTES_PER_S / 10,
                     world_now(liars->world))) {
        frame_unref(what->frame);
        frame_unref(what->payload);
        return false;
    }
    world_inject(liars->world, teller->node, link, what->frame, what->payload, what->class);
    return true;
}

/* Lets go what was held back, the last first. */
static void release(struct liars *liars, struct teller *teller, const struct link_list *list) {
    while (teller->held_count > 0) {
        struct kept *held = &teller->held[--teller->held_count];
        if (has_link(list, held->link)) {
            world_inject(liars->world, teller->node, held->link, held->frame, held->payload,
                         held->class);
            *held = (struct kept){0};
        } else {
            kept_drop(held);
        }
    }
}

static void replay(struct liars *liars, struct teller *teller, struct link_id link) {
    if (teller->kept_count == 0) {
        return;
    }
    struct kept again = teller->kept[rng_below(&teller->rng, teller->kept_count)];
    (void)frame_ref(again.frame);
    if (again.payload != NULL) {
        (void)frame_ref(again.payload);
    }
    if (inject(liars, teller, link, &again)) {
        count(liars, LIE_REPLAY);
    }
}

static struct lie make(const struct lie_teller *maker, enum lie_kind lie) {
    if (lie == LIE_FORGE) {
        return lie_forge(maker);
    }
    return lie == LIE_FLOOD ? lie_flood(maker) : lie_garbage(maker);
}

static void invent(struct liars *liars, struct teller *teller, const struct link_list *list,
                   enum lie_kind lie) {
    size_t at = rng_below(&teller->rng, list->count);
    const struct lie_teller maker = {.world = liars->world,
                                     .node = teller->node,
                                     .to = list->others[at],
                                     .rng = &teller->rng,
                                     .strangers = liars->strangers};
    struct lie made = make(&maker, lie);
    const struct kept what = {.frame = made.frame, .payload = made.payload, .class = made.class};
    if (what.frame != NULL && inject(liars, teller, list->links[at], &what)) {
        count(liars, lie);
    }
}

struct service_found {
    char name_space[WEFT_NAME_MAX + 1];
    char name[WEFT_NAME_MAX + 1];
    uint8_t protocol;
    uint64_t seen; /* services walked so far */
    struct rng *rng;
};

/* Keeps one of all, each as likely. */
static void find_service(void *ctx, const char *name_space, const char *name,
                         const struct core_provider *provider) {
    struct service_found *found = ctx;
    if (provider->is_self || rng_below(found->rng, ++found->seen) != 0) {
        return;
    }
    (void)snprintf(found->name_space, sizeof(found->name_space), "%s", name_space);
    (void)snprintf(found->name, sizeof(found->name), "%s", name);
    found->protocol = provider->body.protocol;
}

/* A stream that is reset as soon as it is opened. */
static bool open_and_reset(struct liars *liars, struct teller *teller, struct core *core) {
    struct service_found found = {.rng = &teller->rng};
    struct stream_id stream;
    weft_ns now = world_node_now(liars->world, teller->node);
    core_each_service(core, find_service, &found);
    if (found.name[0] == '\0' || core_stream_open(core, found.name_space, found.name,
                                                  found.protocol, now, &stream) != WEFT_OK) {
        return false;
    }
    core_stream_reset(core, stream, WIRE_RESET_APPLICATION, now);
    return true;
}

/* Sessions, whose keys only the core has. */
static void flood_sessions(struct liars *liars, struct teller *teller) {
    struct core *core = world_core(liars->world, teller->node);
    uint32_t to = (uint32_t)rng_below(&teller->rng, world_node_count(liars->world));
    bool was_told = false;
    if (rng_below(&teller->rng, 2) == 0) {
        was_told = open_and_reset(liars, teller, core);
    } else if (to != teller->node) {
        was_told = core_ping(core, world_id(liars->world, to), PING_TOKENS + ++teller->ping_last,
                             world_node_now(liars->world, teller->node)) == WEFT_OK;
    }
    if (was_told) {
        count(liars, LIE_FLOOD);
    }
    world_pump(liars->world, teller->node);
}

static void flood(struct liars *liars, struct teller *teller, const struct link_list *list) {
    size_t burst = 1 + rng_below(&teller->rng, BURST_MAX);
    for (size_t i = 0; i < burst; i++) {
        invent(liars, teller, list, LIE_FLOOD);
    }
    flood_sessions(liars, teller);
}

/* Forgeries and garbage cost the liar its link: now and then. */
static void speak(struct liars *liars, struct teller *teller) {
    struct link_list list = {.count = 0};
    if (world_node_state(liars->world, teller->node) != NODE_UP) {
        return;
    }
    world_each_link(liars->world, teller->node, list_link, &list);
    release(liars, teller, &list);
    if (list.count == 0) {
        return;
    }
    if (wants(teller, LIE_REPLAY, 1)) {
        replay(liars, teller, list.links[rng_below(&teller->rng, list.count)]);
    }
    if (wants(teller, LIE_FORGE, 4)) {
        invent(liars, teller, &list, LIE_FORGE);
    }
    if (wants(teller, LIE_GARBAGE, 4)) {
        invent(liars, teller, &list, LIE_GARBAGE);
    }
    if (wants(teller, LIE_FLOOD, 1)) {
        flood(liars, teller, &list);
    }
}

void liars_speak(struct liars *liars) {
    weft_ns now = world_now(liars->world);
    struct timer *timer;
    while ((timer = timers_pop(&liars->timers, now)) != NULL) {
        struct teller *teller = timer->owner;
        speak(liars, teller);
        timers_arm(&liars->timers, timer, now + 1 + rng_jitter(&teller->rng, teller->period));
    }
}

weft_ns liars_deadline(const struct liars *liars) {
    return timers_deadline(&liars->timers);
}

/* ---- who lies ---- */

static struct teller *teller_of(struct liars *liars, uint32_t node) {
    char label[32];
    if (liars->tellers[node] != NULL) {
        return liars->tellers[node];
    }
    struct teller *teller = must(calloc(1, sizeof(*teller)));
    (void)snprintf(label, sizeof(label), "liar %" PRIu32, node);
    world_rng(liars->world, label, &teller->rng);
    teller->node = node;
    teller->timer.owner = teller;
    teller->period = PERIOD_MIN << rng_below(&teller->rng, PERIOD_DOUBLINGS + 1);
    liars->tellers[node] = teller;
    return teller;
}

static void become_honest(struct liars *liars, struct teller *teller) {
    struct link_list list = {.count = 0};
    world_set_liar(liars->world, teller->node, NULL);
    timers_disarm(&liars->timers, &teller->timer);
    if (world_node_state(liars->world, teller->node) == NODE_UP) {
        world_each_link(liars->world, teller->node, list_link, &list);
    }
    release(liars, teller, &list);
    teller_forget(teller);
}

void liars_set(struct liars *liars, uint32_t node, uint32_t lies) {
    ASSERT(node < world_node_count(liars->world));
    struct teller *teller = teller_of(liars, node);
    const struct liar hook = {.ctx = liars, .send = on_send, .bytes = on_bytes};
    teller->lies = lies;
    if (lies == 0) {
        become_honest(liars, teller);
        return;
    }
    if (liars->strangers == NULL) {
        liars->strangers = strangers_new(&liars->rng);
    }
    if (timers_reserve(&liars->timers, world_node_count(liars->world)) != WEFT_OK) {
        (void)must(NULL);
    }
    world_set_liar(liars->world, node, &hook);
    timers_arm(&liars->timers, &teller->timer, world_now(liars->world) + 1);
}
