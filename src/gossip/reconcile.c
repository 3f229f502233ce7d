/* SPDX-License-Identifier: Apache-2.0
 *
 * When to compare sets with a neighbour (sync.h says how). At link up; when digests have differed
 * for a while with nothing on its way; once a minute with a random neighbour. Of the two ends of a
 * link the one with the smaller id begins, the other only if that one does not.
 */
#include "gossip/internal.h"

#include "base/check.h"

#define DIFFER_NS (300 * NS_PER_MS)     /* pushes settle within this */
#define SETTLED_NS (400 * NS_PER_MS)    /* without a change here, and nothing is moving */
#define DIFFER_MAX_NS (3 * NS_PER_S)    /* with changes all the time it never settles: then one */
#define MOVING_GAP_NS (2 * NS_PER_S)    /* neighbour at a time is asked, who has what all have */
#define YIELD_NS (700 * NS_PER_MS)      /* how much longer the larger id waits */
#define STALE_WAIT_NS (250 * NS_PER_MS) /* routes first: they make what is stale live again */
#define STALE_MANY 16
#define RUN_NS (5 * NS_PER_S) /* a reconciliation is over after this */
#define HEARD_NS NS_PER_S     /* do not begin while the other side is at it */
#define RETRY_NS (100 * NS_PER_MS)

/* Who has just got its first link is told everything by that neighbour, and needs it only once:
 * meanwhile others are not asked, nor answered. If what they have differs their heartbeats show it.
 */
#define NEWCOMER_NS (2 * NS_PER_S)
#define BEING_TOLD_NS (500 * NS_PER_MS) /* since the last word of that neighbour */
#define TOLD_MIN 16                     /* records; less may be all that another newcomer has */

/* Records of our own that a new neighbour is told before anything is compared, in one frame: by the
 * first its routes find the link. While a life is young they are told to those too who are in the
 * mesh already: these may know nothing of it but that it began. */
#define OWN_AT_ONCE_MAX 32
#define YOUNG_NS (5 * NS_PER_S)

/* Of a larger set than this a crowded node gives each newcomer a sample of that many records ... */
#define SAMPLE_OF 128
#define SAMPLE_RECORDS 16
/* ... and complete states at this rate, one in five seconds and two at once: thousands that join
 * through one seed tell each other. */
#define CROWD_BULK_COST 5
#define CROWD_BULK_RATE 1
#define CROWD_BULK_BURST 10

bool reconcile_is_running(const struct gossip_link *link, weft_ns now) {
    return link->sync_until > now;
}

/* Whether another neighbour is telling a newcomer, us, everything. */
static bool is_being_told(const struct gossip *gossip, const struct gossip_link *except,
                          weft_ns now) {
    if (time_since(gossip->first_up_at, now) >= NEWCOMER_NS) {
        return false;
    }
    for (size_t i = 0; i < gossip->links.count; i++) {
        const struct gossip_link *link = gossip->links.items[i];
        if (link != except && reconcile_is_running(link, now) && link->sync_taken >= TOLD_MIN &&
            time_since(link->sync_word_at, now) < BEING_TOLD_NS) {
            return true;
        }
    }
    return false;
}

static bool is_first(const struct gossip *gossip, const struct gossip_link *link) {
    return weft_peer_id_compare(&gossip->config.identity->id, &link->peer) < 0;
}

static void arm_sync(struct gossip *gossip, struct gossip_link *link, weft_ns when) {
    link->sync_at = time_min(link->sync_at, when);
    gossip_arm_links(gossip, link->sync_at);
}

static void sync_run(struct gossip_link *link, weft_ns now) {
    if (!reconcile_is_running(link, now)) {
        link->sync_taken = 0;
    }
    link->sync_until = time_after(now, RUN_NS);
}

static void sync_send(struct gossip *gossip, struct gossip_link *link, struct frame *frame) {
    gossip->counters.sync_frames++;
    gossip->counters.sync_bytes += frame != NULL ? frame->len : 0;
    output_control(gossip, link, frame);
}

static void begin(struct gossip *gossip, struct gossip_link *link, weft_ns now) {
    struct making making = output_begin(gossip, WIRE_SYNC);
    sync_begin(gossip->set, rng_next(&gossip->rng), &making.writer);
    gossip->counters.sync_begun++;
    sync_run(link, now);
    link->sync_at = WEFT_NEVER;
    link->sync_word_at = now;
    sync_send(gossip, link, output_end(&making));
}

struct own_words {
    struct gossip *gossip;
    struct gossip_link *link;
    bool has_peer; /* the neighbour hears of our peer record's change anyhow */
    size_t count;
};

static void pend_own(void *ctx, struct record *record, bool is_live) {
    struct own_words *words = ctx;
    bool is_told = words->has_peer && record->kind == WIRE_RECORD_PEER;
    if (is_live && !is_told && words->count < OWN_AT_ONCE_MAX) {
        words->count++;
        (void)spread_pend(words->gossip, words->link, recordset_slot_of(words->gossip->set, record),
                          PEND_WHOLE);
    }
}

static bool is_young(struct gossip *gossip, weft_ns now) {
    gossip->joined_at = gossip->joined_at == 0 ? now : gossip->joined_at;
    return time_since(gossip->joined_at, now) < YOUNG_NS;
}

void reconcile_link_up(struct gossip *gossip, struct gossip_link *link, weft_ns now) {
    bool is_live = recordset_is_live(gossip->set, &link->peer);
    struct own_words words = {.gossip = gossip, .link = link, .has_peer = is_live};
    if (is_young(gossip, now) || !is_live) {
        recordset_each_of(gossip->set, &gossip->config.identity->id, pend_own, &words);
    }
    if (is_live) {
        return; /* another way to one whom the mesh has: if sets differ, heartbeats show it */
    }
    bool is_return = recordset_stale_count(gossip->set) > STALE_MANY;
    bool is_ours = is_first(gossip, link) && !is_being_told(gossip, link, now);
    weft_ns wait = (is_return ? STALE_WAIT_NS : 0) + (is_ours ? 0 : YIELD_NS);
    arm_sync(gossip, link, time_after(now, wait));
    if (wait == 0) {
        begin(gossip, link, now);
    }
}

void gossip_digest_heard(struct gossip *gossip, struct link_id id, uint64_t digest, weft_ns now) {
    struct gossip_link *link = gossip_link_of(gossip, id);
    if (link == NULL) {
        return;
    }
    link->digest = digest;
    link->digest_at = now;
    if (digest == recordset_digest(gossip->set)) {
        link->differs_since = 0;
        link->sync_at = WEFT_NEVER;
        link->sync_until = 0;
        spread_unpend_all(link);
        return;
    }
    if (link->differs_since == 0) {
        link->differs_since = now;
    }
    weft_ns wait = DIFFER_NS + (is_first(gossip, link) ? 0 : YIELD_NS);
    weft_ns due = time_after(link->differs_since, wait);
    arm_sync(gossip, link, due > now ? due : now);
}

/* Whether the moment is bad: then when to look again (WEFT_NEVER: at the next heartbeat). */
static bool must_wait(struct gossip *gossip, const struct gossip_link *link, weft_ns now,
                      weft_ns *when) {
    bool is_heard = link->sync_heard_at != 0 && time_since(link->sync_heard_at, now) < HEARD_NS;
    size_t owed = link->pending.set_count + link->noted.set_count + link->control.count;
    if (owed > 0 || is_heard) {
        *when = time_after(now, RETRY_NS);
        return true;
    }
    bool is_moving =
        link->differs_since != 0 && link->digest_at != 0 &&
        (gossip->changed_at > link->digest_at || time_since(gossip->changed_at, now) < SETTLED_NS);
    if (!is_moving) {
        return false;
    }
    *when = WEFT_NEVER;
    bool is_turn = gossip->moving_at == 0 || time_since(gossip->moving_at, now) >= MOVING_GAP_NS;
    if (time_since(link->differs_since, now) < DIFFER_MAX_NS || !is_turn) {
        return true;
    }
    gossip->moving_at = now;
    return false;
}

static void link_tick(struct gossip *gossip, struct gossip_link *link, weft_ns now) {
    if (link->sync_at > now) {
        gossip_arm_links(gossip, link->sync_at);
        return;
    }
    weft_ns when;
    if (must_wait(gossip, link, now, &when)) {
        link->sync_at = when;
        gossip_arm_links(gossip, when);
        return;
    }
    begin(gossip, link, now);
}

void reconcile_tick(struct gossip *gossip, weft_ns now) {
    for (size_t i = 0; i < gossip->links.count; i++) {
        link_tick(gossip, gossip->links.items[i], now);
    }
}

/* Links that are being given more than a little now. */
static size_t bulk_links(const struct gossip *gossip, const struct gossip_link *except,
                         weft_ns now) {
    size_t count = 0;
    for (size_t i = 0; i < gossip->links.count; i++) {
        const struct gossip_link *link = gossip->links.items[i];
        bool is_bulk = link->bulk_until > now && link->pending.set_count > BULK_RECORDS;
        count += is_bulk && link != except ? 1 : 0;
    }
    return count;
}

struct giving {
    struct gossip *gossip;
    struct gossip_link *link;
    size_t left;
    bool is_cut;
    bool is_sample; /* a reservoir (Vitter 1985) of what would be given, given at the end */
    size_t seen;
    size_t slots[SAMPLE_RECORDS];
};

static void give(void *ctx, struct record *record) {
    struct giving *giving = ctx;
    size_t slot = recordset_slot_of(giving->gossip->set, record);
    giving->seen++;
    if (giving->is_sample) {
        uint64_t place = giving->seen <= SAMPLE_RECORDS
                             ? giving->seen - 1
                             : rng_below(&giving->gossip->rng, giving->seen);
        if (place < SAMPLE_RECORDS) {
            giving->slots[place] = slot;
        }
        return;
    }
    if (giving->left == 0) {
        giving->is_cut = true;
        return;
    }
    giving->left--;
    (void)spread_pend(giving->gossip, giving->link, slot, PEND_BULK);
}

/* Whether what is given must be a sample: the digests go on to differ, so that the rest follows, if
 * nobody else gives it. */
static bool must_sample(struct gossip *gossip, struct gossip_link *link, weft_ns now) {
    struct bucket bulks = gossip->bulks;
    return gossip->links.count > CROWD_LINKS && recordset_live_count(gossip->set) > SAMPLE_OF &&
           !pace_is_dependent(gossip, link, now) &&
           !bucket_take(&bulks, CROWD_BULK_COST, CROWD_BULK_RATE, CROWD_BULK_BURST, now);
}

/* Gives the sample, or accounts for a complete state. */
static void giving_end(struct giving *giving, weft_ns now) {
    struct gossip *gossip = giving->gossip;
    size_t count = giving->seen < SAMPLE_RECORDS ? giving->seen : SAMPLE_RECORDS;
    for (size_t i = 0; giving->is_sample && i < count; i++) {
        (void)spread_pend(gossip, giving->link, giving->slots[i], PEND_BULK);
    }
    if (!giving->is_sample && giving->seen > SAMPLE_RECORDS) {
        (void)bucket_take(&gossip->bulks, CROWD_BULK_COST, CROWD_BULK_RATE, CROWD_BULK_BURST, now);
    }
}

static struct giving giving_to(struct gossip *gossip, struct gossip_link *link, weft_ns now) {
    struct giving giving = {.gossip = gossip,
                            .link = link,
                            .left = BULK_RECORDS,
                            .is_sample = must_sample(gossip, link, now)};
    if (bulk_links(gossip, link, now) < BULK_LINKS_MAX) {
        giving.left = SIZE_MAX;
        link->bulk_until = time_after(now, RUN_NS);
    }
    return giving;
}

enum weft_err reconcile_hear(struct gossip *gossip, struct gossip_link *link, struct span body,
                             weft_ns now) {
    struct wire_sync sync;
    struct sync_result result;
    enum weft_err err = wire_sync_decode(body, &sync);
    if (err != WEFT_OK) {
        return err;
    }
    if (!reconcile_is_running(link, now) && is_being_told(gossip, link, now)) {
        return WEFT_OK;
    }
    sync_run(link, now);
    link->sync_heard_at = now;
    link->sync_word_at = now;
    struct giving giving = giving_to(gossip, link, now);
    struct making making = output_begin(gossip, WIRE_SYNC);
    err = sync_answer(gossip->set, &sync, &making.writer, give, &giving, &result);
    giving_end(&giving, now);
    if (err != WEFT_OK) {
        return err;
    }
    if (result.has_answer) {
        sync_send(gossip, link, output_end(&making));
    }
    if (giving.is_cut) {
        arm_sync(gossip, link, time_after(now, HEARD_NS + RETRY_NS));
    }
    return WEFT_OK;
}
