/* SPDX-License-Identifier: Apache-2.0
 *
 * The record set's insides (owners, strangers, who went when, what is evicted) against a naive
 * model that searches arrays, under bounds so tight that each of them is met all the time; and what
 * the set costs in memory.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#include "gossip/places.h"
#include "gossip/pool.h"
#include "kit.h"

#define SERVICE 2
#define OWNERS 40
#define KEYS 7 /* 0: the peer record */
#define RECORDS_MAX 60
#define STRANGERS_MAX 25
#define OWNER_RECORDS_MAX 5
#define OWNER_BYTES_MAX 1000

enum state { ABSENT, STRANGER, GONE, LIVE };

struct note {
    uint32_t key;
    uint64_t incarnation;
    uint64_t version;
    size_t bytes;
    uint64_t heard; /* when, among all that was heard */
};

struct person {
    enum state state;
    weft_ns since;
    weft_ns before;
    uint64_t left; /* when, among all that left */
    struct note notes[KEYS];
    size_t count;
};

struct model {
    struct person people[OWNERS];
    uint64_t clock; /* of heard and left */
    size_t count;
    size_t evicted;
};

static struct note *note_of(struct person *person, uint32_t key) {
    for (size_t i = 0; i < person->count; i++) {
        if (person->notes[i].key == key) {
            return &person->notes[i];
        }
    }
    return NULL;
}

static uint64_t present_of(struct person *person) {
    const struct note *peer = note_of(person, 0);
    return peer != NULL ? peer->incarnation : 0;
}

static size_t bytes_of(const struct person *person) {
    size_t bytes = 0;
    for (size_t i = 0; i < person->count; i++) {
        bytes += person->notes[i].bytes;
    }
    return bytes;
}

static void vanish_if_idle(struct person *person) {
    if (person->state != LIVE && person->count == 0) {
        *person = (struct person){.state = ABSENT};
    }
}

static void erase(struct model *model, struct person *person, const struct note *note) {
    size_t index = (size_t)(note - person->notes);
    person->count--;
    memmove(person->notes + index, person->notes + index + 1,
            (person->count - index) * sizeof *note);
    model->count--;
}

/* The peer record goes before the others, which stand in the order they came. */
static void insert(struct model *model, struct person *person, struct note note) {
    size_t index = note.key == 0 ? 0 : person->count;
    memmove(person->notes + index + 1, person->notes + index,
            (person->count - index) * sizeof note);
    person->notes[index] = note;
    person->count++;
    model->count++;
}

static size_t stranger_count(const struct model *model) {
    size_t count = 0;
    for (size_t i = 0; i < OWNERS; i++) {
        count += model->people[i].state == STRANGER ? model->people[i].count : 0;
    }
    return count;
}

static bool evict(struct model *model, const struct note *spared) {
    struct person *who = NULL;
    struct note *oldest = NULL;
    for (size_t i = 0; i < OWNERS; i++) {
        struct person *person = &model->people[i];
        for (size_t j = 0; person->state == STRANGER && j < person->count; j++) {
            struct note *note = &person->notes[j];
            if (note != spared && (oldest == NULL || note->heard < oldest->heard)) {
                who = person;
                oldest = note;
            }
        }
    }
    if (oldest == NULL) {
        return false;
    }
    erase(model, who, oldest);
    vanish_if_idle(who);
    model->evicted++;
    return true;
}

static bool room(struct model *model, size_t extra, bool is_stranger, const struct note *spared) {
    while (model->count + extra > RECORDS_MAX ||
           (is_stranger && stranger_count(model) + extra > STRANGERS_MAX)) {
        if (!evict(model, spared)) {
            return false;
        }
    }
    return true;
}

static void appear(struct model *model, struct person *person, weft_ns now) {
    if (person->state == ABSENT) {
        *person = (struct person){.state = STRANGER, .since = now, .left = model->clock++};
    }
}

static enum recordset_verdict model_add(struct model *model, struct person *person,
                                        struct note note, weft_ns now) {
    if (note.key != 0 && note.incarnation < present_of(person)) {
        return RECORDSET_OLDER;
    }
    if (person->count + 1 > OWNER_RECORDS_MAX || bytes_of(person) + note.bytes > OWNER_BYTES_MAX ||
        !room(model, 1, person->state <= STRANGER, NULL)) {
        return RECORDSET_REFUSED;
    }
    appear(model, person, now);
    insert(model, person, note);
    return RECORDSET_ADDED;
}

static enum recordset_verdict model_put(struct model *model, struct person *person,
                                        struct note note, weft_ns now) {
    struct note *known = note_of(person, note.key);
    note.heard = model->clock++;
    model->evicted = 0;
    if (known == NULL) {
        return model_add(model, person, note, now);
    }
    if (note.incarnation == known->incarnation && note.version == known->version) {
        return RECORDSET_SAME;
    }
    if (note.incarnation < known->incarnation ||
        (note.incarnation == known->incarnation && note.version < known->version)) {
        return RECORDSET_OLDER;
    }
    size_t more = note.bytes > known->bytes ? note.bytes - known->bytes : 0;
    if (bytes_of(person) + more > OWNER_BYTES_MAX) {
        return RECORDSET_REFUSED;
    }
    *known = note;
    return RECORDSET_UPDATED;
}

static void model_set_live(struct model *model, struct person *person, bool is_live, weft_ns now) {
    if (is_live) {
        person->state = LIVE;
    } else if (person->state == LIVE) {
        person->state = GONE;
        person->since = now;
        person->before = 0;
        person->left = model->clock++;
        vanish_if_idle(person);
    }
}

static void model_vouch(struct model *model, struct person *person, weft_ns now) {
    appear(model, person, now);
    person->state = person->state == STRANGER ? GONE : person->state;
}

static void model_set_absence(struct person *person, weft_ns absence) {
    if ((person->state == STRANGER || person->state == GONE) &&
        (person->before == 0 || absence < person->before)) {
        person->before = absence;
    }
}

static void model_drop(struct model *model, struct person *person, uint64_t incarnation) {
    for (size_t i = person->count; i > 0; i--) {
        const struct note *note = &person->notes[i - 1];
        if (incarnation == 0 || (note->key != 0 && note->incarnation < incarnation)) {
            erase(model, person, note);
        }
    }
    vanish_if_idle(person);
}

static void ignore(void *ctx, struct record *record) {
    (void)ctx;
    (void)record;
}

struct reading {
    struct person *person;
    size_t index;
};

static void compare_note(void *ctx, struct record *record, bool is_live) {
    struct reading *reading = ctx;
    cr_assert_lt(reading->index, reading->person->count);
    const struct note *note = &reading->person->notes[reading->index++];
    uint32_t key = 0;
    memcpy(&key, record->encoded.data + 8, sizeof key);
    cr_assert_eq(key, note->key);
    cr_assert_eq(record->version, note->version);
    cr_assert_eq(record->incarnation, note->incarnation);
    cr_assert_eq(is_live, reading->person->state == LIVE);
}

static void compare_person(const struct recordset *set, struct model *model, uint32_t index,
                           weft_ns now) {
    struct person *person = &model->people[index];
    struct weft_peer_id id = kit_owner(index);
    struct reading reading = {.person = person};
    bool is_away = person->state == STRANGER || person->state == GONE;
    recordset_each_of(set, &id, compare_note, &reading);
    cr_assert_eq(reading.index, person->count);
    cr_assert_eq(recordset_owner_count(set, &id), person->count);
    cr_assert_eq(recordset_is_live(set, &id), person->state == LIVE);
    cr_assert_eq(recordset_is_stranger(set, &id), person->state <= STRANGER);
    cr_assert_eq(recordset_incarnation(set, &id), present_of(person));
    cr_assert_eq(recordset_absence(set, &id, now),
                 is_away ? now - person->since + person->before : 0);
    for (uint32_t key = 0; key < KEYS; key++) {
        struct span text = key == 0 ? span_of(NULL, 0) : span_of(&key, 4);
        const struct note *note = note_of(person, key);
        const struct record *found = recordset_find(set, key == 0 ? 1 : SERVICE, &id, text);
        cr_assert_eq(found != NULL, note != NULL);
        cr_assert(found == NULL || found->version == note->version);
        cr_assert(found == NULL || recordset_at(set, recordset_slot_of(set, found)) == found);
    }
}

static void count_each(void *ctx, struct record *record, bool is_live) {
    size_t *counts = ctx;
    (void)record;
    counts[is_live ? 1 : 0]++;
}

/* Who has been gone for longest; OWNERS if all are live. */
static uint32_t longest_gone(const struct model *model) {
    uint32_t found = OWNERS;
    for (uint32_t i = 0; i < OWNERS; i++) {
        const struct person *person = &model->people[i];
        bool is_away = person->state == STRANGER || person->state == GONE;
        if (is_away && (found == OWNERS || person->left < model->people[found].left)) {
            found = i;
        }
    }
    return found;
}

static void compare(const struct recordset *set, struct model *model, weft_ns now) {
    size_t in_state[LIVE + 1] = {0};
    size_t live_owners = 0;
    size_t bytes = 0;
    for (uint32_t i = 0; i < OWNERS; i++) {
        compare_person(set, model, i, now);
        in_state[model->people[i].state] += model->people[i].count;
        live_owners += model->people[i].state == LIVE ? 1 : 0;
        bytes += bytes_of(&model->people[i]);
    }
    size_t walked[2] = {0};
    recordset_each(set, count_each, walked);
    cr_assert_eq(recordset_count(set), model->count);
    cr_assert_eq(walked[0] + walked[1], model->count);
    cr_assert_eq(walked[1], in_state[LIVE]);
    cr_assert_eq(recordset_stale_count(set), in_state[GONE]);
    cr_assert_eq(recordset_live_owner_count(set), live_owners);
    cr_assert_eq(recordset_bytes(set), bytes);
    weft_ns since = 0;
    struct weft_peer_id id;
    uint32_t longest = longest_gone(model);
    struct weft_peer_id expected = kit_owner(longest);
    cr_assert_eq(recordset_gone_since(set, &since, &id), longest < OWNERS);
    cr_assert(longest == OWNERS || weft_peer_id_equal(&id, &expected));
    cr_assert(longest == OWNERS || since == model->people[longest].since);
}

static void random_put(struct recordset *set, struct model *model, struct rng *rng, weft_ns now) {
    uint32_t owner = (uint32_t)rng_below(rng, OWNERS);
    struct note note = {.key = (uint32_t)rng_below(rng, KEYS),
                        .incarnation = 1 + rng_below(rng, 3) + now / 20000,
                        .version = 1 + rng_below(rng, 4),
                        .bytes = 40 + rng_below(rng, 300)};
    struct record *record = kit_shaped(owner, note.key == 0 ? 1 : SERVICE, note.key,
                                       note.incarnation, note.version, note.bytes);
    enum recordset_verdict expected = model_put(model, &model->people[owner], note, now);
    cr_assert_eq(recordset_put(set, record, now), expected, "at %d", (int)now);
    record_unref(record);
    size_t evicted = 0;
    bool is_taken = rng_below(rng, 2) == 0; /* else the next put releases them */
    while (is_taken && (record = recordset_next_evicted(set)) != NULL) {
        evicted++;
        record_unref(record);
    }
    cr_assert(!is_taken || evicted == model->evicted);
}

static void random_move(struct recordset *set, struct model *model, struct rng *rng, weft_ns now) {
    uint32_t owner = (uint32_t)rng_below(rng, OWNERS);
    struct person *person = &model->people[owner];
    struct weft_peer_id id = kit_owner(owner);
    bool is_live = rng_below(rng, 3) == 0;
    switch (rng_below(rng, 10)) {
    case 0:
        recordset_vouch(set, &id, now);
        model_vouch(model, person, now);
        break;
    case 1:
        recordset_set_absence(set, &id, now / 3);
        model_set_absence(person, now / 3);
        break;
    case 2:
    case 3:
    case 4:
    case 5:
        recordset_drop_owner(set, &id, ignore, NULL);
        if (person->state != LIVE) {
            model_drop(model, person, 0);
        }
        break;
    case 6:
        (void)recordset_drop_former(set, &id, UINT64_MAX, ignore, NULL);
        if (present_of(person) != 0) {
            model_drop(model, person, present_of(person));
        }
        break;
    default:
        recordset_set_live(set, &id, is_live, now);
        model_set_live(model, person, is_live, now);
    }
}

static struct recordset_config tight_bounds(void) {
    return (struct recordset_config){.hash_key = {{7}},
                                     .records_max = RECORDS_MAX,
                                     .owner_records_max = OWNER_RECORDS_MAX,
                                     .owner_bytes_max = OWNER_BYTES_MAX,
                                     .stranger_records_max = STRANGERS_MAX};
}

Test(set, agrees_with_a_naive_model_when_every_bound_is_met_all_the_time) {
    struct recordset_config config = tight_bounds();
    struct recordset *set = NULL;
    struct model model = {0};
    struct rng rng = kit_rng(kit_seed());
    size_t evicted = 0;
    cr_assert_eq(recordset_new(&config, &set), WEFT_OK);
    for (weft_ns now = 1; now < 60000; now++) {
        if (rng_below(&rng, 5) == 0) {
            random_move(set, &model, &rng, now);
        } else {
            random_put(set, &model, &rng, now);
            evicted += model.evicted;
        }
        if (now % 7 == 0) {
            compare(set, &model, now);
        }
    }
    fprintf(stderr, "evicted %zu, refused %zu\n", evicted, (size_t)recordset_refused_count(set));
    cr_assert_gt(evicted, 1000);
    cr_assert_gt(recordset_refused_count(set), 100);
    recordset_free(set);
}

/* Bytes of this process's heap in use. */
#if defined(__SANITIZE_ADDRESS__)
size_t __sanitizer_get_current_allocated_bytes(void);
static size_t heap_bytes(void) {
    return __sanitizer_get_current_allocated_bytes();
}
#else
static size_t heap_bytes(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}
#endif

#define MANY 10000
#define BYTES_PER_RECORD_MAX 29
/* The table of owners: each set's own, or one for all sets of a process. */
#define BYTES_PER_OWNER_MAX 36
#define BYTES_FIXED_MAX (20 * 1024)
#define BYTES_PER_GONE_MAX 100

static struct record *many[MANY];

static void make_many(void) {
    for (uint32_t i = 0; i < MANY; i++) {
        many[i] = kit_shaped(i, 1, 0, 1, 1, 64);
    }
}

static void free_many(void) {
    for (uint32_t i = 0; i < MANY; i++) {
        record_unref(many[i]);
    }
}

static void set_all_live(struct recordset *set, bool is_live, weft_ns now) {
    for (uint32_t i = 0; i < MANY; i++) {
        recordset_set_live(set, &many[i]->owner, is_live, now);
    }
}

Test(set, a_settled_record_costs_little_besides_itself) {
    struct recordset_config config = kit_bounds();
    struct recordset *set = NULL;
    struct peer_table peers;
    peer_table_init(&peers, &config.hash_key, MANY);
    config.peers = &peers;
    make_many();
    for (uint32_t i = MANY; i > 0; i--) { /* as another set heard of them */
        cr_assert_neq(peer_table_take(&peers, &many[i - 1]->owner), PEER_TABLE_NONE);
    }
    size_t before = heap_bytes();
    cr_assert_eq(recordset_new(&config, &set), WEFT_OK);
    size_t fixed = heap_bytes() - before;
    for (uint32_t i = 0; i < MANY; i++) {
        cr_assert_eq(recordset_put(set, many[i], 0), RECORDSET_ADDED);
        recordset_set_live(set, &many[i]->owner, true, 0);
    }
    size_t settled = heap_bytes() - before;
    set_all_live(set, false, 1);
    size_t gone = heap_bytes() - before;
    set_all_live(set, true, 2);
    size_t back = heap_bytes() - before;
    fprintf(stderr, "set of %d: empty %zu, a settled record %.1f, one of an owner gone %.1f\n",
            MANY, fixed, (double)(settled - fixed) / MANY, (double)(gone - fixed) / MANY);
    cr_assert_leq(fixed, BYTES_FIXED_MAX);
    cr_assert_leq(settled - fixed, (size_t)MANY * BYTES_PER_RECORD_MAX);
    cr_assert_leq(gone - fixed, (size_t)MANY * BYTES_PER_GONE_MAX);
    cr_assert_eq(back, settled, "what only absent owners need is given back");
    recordset_free(set);
    size_t empty = heap_bytes();
    config.peers = NULL;
    cr_assert_eq(recordset_new(&config, &set), WEFT_OK);
    for (uint32_t i = 0; i < MANY; i++) {
        cr_assert_eq(recordset_put(set, many[i], 0), RECORDSET_ADDED);
        recordset_set_live(set, &many[i]->owner, true, 0);
    }
    cr_assert_leq(heap_bytes() - empty, settled + (size_t)MANY * BYTES_PER_OWNER_MAX);
    recordset_free(set);
    peer_table_fini(&peers);
    free_many();
}

#define LINKS 8
#define BYTES_OF_A_GOSSIP_MAX (24 * 1024)

Test(set, a_gossip_that_knows_nobody_costs_little) {
    struct solo solo;
    const struct hash_key key = {{1}};
    struct record_pool *pool = record_pool_new(&key, 100);
    memset(&solo, 0, sizeof solo);
    kit_identity(1, &solo.identity);
    solo.rng = kit_rng(1);
    solo.host = kit_host(&solo.rng);
    solo.now = 1;
    struct gossip_config config = solo_config(&solo, 1, 1);
    config.pool = pool;
    size_t before = heap_bytes();
    cr_assert_eq(gossip_new(&config, &solo.gossip), WEFT_OK);
    solo_publish(&solo, "name", 1);
    for (uint32_t i = 0; i < LINKS; i++) {
        solo_link(&solo, 1 + i, 2 + i);
    }
    cr_assert_eq(solo_events(&solo, GOSSIP_RECORD), 1);
    (void)solo_outputs(&solo, 1, WIRE_RECORDS);
    size_t bytes = heap_bytes() - before;
    fprintf(stderr, "gossip of %d links: %zu bytes\n", LINKS, bytes);
    cr_assert_leq(bytes, BYTES_OF_A_GOSSIP_MAX);
    solo_fini(&solo);
    record_pool_free(pool);
}

Test(set, takes_bounds_beyond_what_it_can_name_for_what_it_can) {
    struct recordset_config config = kit_bounds();
    struct recordset *set = NULL;
    config.records_max = 4000000; /* of a daemon that is told to expect a million peers */
    config.stranger_records_max = 1000000;
    cr_assert_eq(recordset_new(&config, &set), WEFT_OK);
    for (uint32_t i = 0; i < 70000; i++) {
        struct record *record = kit_shaped(i, 1, 0, 1, 1, 100);
        cr_assert_eq(recordset_put(set, record, i), RECORDSET_ADDED);
        record_unref(record);
    }
    cr_assert_eq(recordset_count(set), 65534, "those heard of longest ago went");
    struct weft_peer_id first = kit_owner(0);
    struct weft_peer_id last = kit_owner(69999);
    cr_assert_eq(recordset_owner_count(set, &first), 0);
    cr_assert_eq(recordset_owner_count(set, &last), 1);
    recordset_free(set);
}

Test(set, one_with_many_records_is_found_by_key_and_goes_at_once) {
    struct recordset_config config = kit_bounds();
    struct recordset *set = NULL;
    struct weft_peer_id id = kit_owner(1);
    cr_assert_eq(recordset_new(&config, &set), WEFT_OK);
    recordset_set_live(set, &id, true, 0);
    for (uint32_t key = 0; key < 1000; key++) {
        struct record *record = kit_shaped(1, key == 500 ? 1 : SERVICE, key, 1, 1, 64);
        cr_assert_eq(recordset_put(set, record, 0), RECORDSET_ADDED);
        record_unref(record);
    }
    cr_assert_eq(recordset_live_count(set), 1000);
    for (uint32_t key = 0; key < 1000; key++) {
        const struct record *found =
            key == 500 ? recordset_find(set, 1, &id, span_of(NULL, 0))
                       : recordset_find(set, SERVICE, &id, span_of(&key, sizeof key));
        cr_assert_not_null(found);
    }
    uint32_t other = 1000;
    cr_assert_null(recordset_find(set, SERVICE, &id, span_of(&other, sizeof other)));
    recordset_set_live(set, &id, false, 0);
    recordset_drop_owner(set, &id, ignore, NULL);
    cr_assert_eq(recordset_count(set), 0);
    recordset_free(set);
}

#define PLACES 600

/* Draws places of one bucket: evenly, or most of them crowded at either end, some alike at first.
 */
static void draw_place(struct rng *rng, int how, uint8_t place[32]) {
    memset(place, how == 2 && rng_below(rng, 40) > 0 ? 0xff : 0, 32);
    place[0] = 7;
    for (int i = how == 0 || rng_below(rng, 40) == 0 ? 1 : 4; i < (how == 0 ? 32 : 10); i++) {
        place[i] = (uint8_t)rng_next(rng);
    }
}

static int by_place(const void *a, const void *b) {
    return memcmp(a, b, 32);
}

static void find_places(struct rng *rng, int how) {
    static struct record records[PLACES];
    static struct slot slots[PLACES];
    uint8_t sorted[PLACES][32];
    struct places places = {0};
    for (uint32_t i = 0; i < PLACES; i++) {
        draw_place(rng, how, records[i].place);
        slots[i] = (struct slot){.record = &records[i]};
        cr_assert(places_add(&places, slots, i));
        memcpy(sorted[i], records[i].place, 32);
    }
    qsort(sorted, PLACES, 32, by_place);
    for (uint32_t i = 0; i < PLACES; i++) {
        uint32_t at = places.buckets[7].slots[i];
        cr_assert_arr_eq(records[at].place, sorted[i], 32, "how %d, place %u", how, i);
        cr_assert_eq(places_find(&places, slots, records[i].place), i);
        uint8_t other[32];
        draw_place(rng, how, other);
        if (bsearch(other, sorted, PLACES, 32, by_place) == NULL) {
            cr_assert_eq(places_find(&places, slots, other), SLOT_NONE);
        }
    }
    places_fini(&places);
}

Test(places, are_found_however_they_lie) {
    struct rng rng;
    uint8_t seed[32] = {0};
    uint64_t number = kit_seed();
    memcpy(seed, &number, sizeof number);
    rng_init(&rng, seed);
    for (int how = 0; how < 3; how++) {
        find_places(&rng, how);
    }
}
