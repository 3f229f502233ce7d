/* SPDX-License-Identifier: Apache-2.0
 *
 * Buckets of places and the arithmetic modulo 2^256 of their fingerprints. A range is a run of
 * whole buckets (depth 0 to 2) or a run inside one bucket (deeper).
 */
#include "gossip/places.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define BUCKET_SIZE_FIRST 4 /* 24 bytes: what the smallest piece of memory holds */

static struct sum sum_of_bytes(const uint8_t bytes[32]) {
    uint64_t words[4];
    memcpy(words, bytes, sizeof words);
    return (struct sum){
        {be64toh(words[3]), be64toh(words[2]), be64toh(words[1]), be64toh(words[0])}};
}

void sum_to_bytes(const struct sum *sum, uint8_t out[32]) {
    for (int i = 0; i < 4; i++) {
        uint64_t word = htobe64(sum->limb[3 - i]);
        memcpy(out + (size_t)8 * (size_t)i, &word, sizeof word);
    }
}

static void sum_add(struct sum *sum, const struct sum *other) {
    uint64_t carry = 0;
    for (int i = 0; i < 4; i++) {
        uint64_t with_carry = sum->limb[i] + carry;
        carry = with_carry < carry;
        sum->limb[i] = with_carry + other->limb[i];
        carry += sum->limb[i] < with_carry;
    }
}

static void sum_subtract(struct sum *sum, const struct sum *other) {
    uint64_t borrow = 0;
    for (int i = 0; i < 4; i++) {
        uint64_t without = sum->limb[i] - borrow;
        borrow = without > sum->limb[i];
        sum->limb[i] = without - other->limb[i];
        borrow += sum->limb[i] > without;
    }
}

void places_fini(struct places *places) {
    for (int i = 0; i < PLACE_BUCKETS; i++) {
        free(places->buckets[i].slots);
    }
    memset(places, 0, sizeof *places);
}

static const uint8_t *place_at(const struct bucket_of_places *bucket, const struct slot *slots,
                               size_t index) {
    return slots[bucket->slots[index]].record->place;
}

/* They are numbers: the second byte of a place is the greater one's. */
static uint16_t *heads_of(const struct bucket_of_places *bucket) {
    return (uint16_t *)(bucket->slots + bucket->size);
}

static uint16_t head_of(const uint8_t place[32]) {
    return (uint16_t)(place[1] << 8 | place[2]);
}

static bool is_below(const struct bucket_of_places *bucket, const struct slot *slots, size_t index,
                     const uint8_t place[32]) {
    uint16_t head = heads_of(bucket)[index];
    if (head != head_of(place)) {
        return head < head_of(place);
    }
    const uint8_t *there = place_at(bucket, slots, index);
    uint64_t heads[2];
    memcpy(&heads[0], there, sizeof heads[0]);
    memcpy(&heads[1], place, sizeof heads[1]);
    return heads[0] != heads[1] ? be64toh(heads[0]) < be64toh(heads[1])
                                : memcmp(there, place, 32) < 0;
}

/* Where a place would be if those of the bucket lay evenly. */
static size_t bucket_guess(const struct bucket_of_places *bucket, const uint8_t place[32]) {
    uint64_t head;
    memcpy(&head, place, sizeof head);
    uint64_t share = be64toh(head) << 8 >> 32; /* the first byte is the bucket's */
    return (size_t)(share * bucket->count >> 32);
}

/* Places are hashes, so one is near where it would be if they lay evenly: steps from there double,
 * so that who makes places lie unevenly has us search no more than twice as long as by halving. The
 * index looked for is in low .. high then. */
static void bucket_window(const struct bucket_of_places *bucket, const struct slot *slots,
                          const uint8_t place[32], size_t *low, size_t *high) {
    size_t step = 1;
    *low = bucket_guess(bucket, place);
    *high = *low;
    if (*low < bucket->count && is_below(bucket, slots, *low, place)) {
        do {
            *low = *high + 1;
            *high = bucket->count - *low > step ? *low + step : bucket->count;
            step *= 2;
        } while (*high < bucket->count && is_below(bucket, slots, *high, place));
        return;
    }
    while (*low > 0 && !is_below(bucket, slots, *low - 1, place)) {
        *high = *low - 1;
        *low = *high > step ? *high - step : 0;
        step *= 2;
    }
}

/* The index of the first slot whose place is not below `place`. */
static size_t bucket_lower(const struct bucket_of_places *bucket, const struct slot *slots,
                           const uint8_t place[32]) {
    size_t low;
    size_t high;
    bucket_window(bucket, slots, place, &low, &high);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_below(bucket, slots, middle, place)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t places_find(const struct places *places, const struct slot *slots,
                     const uint8_t place[32]) {
    const struct bucket_of_places *bucket = &places->buckets[place[0]];
    size_t index = bucket_lower(bucket, slots, place);
    bool is_there = index < bucket->count && memcmp(place_at(bucket, slots, index), place, 32) == 0;
    return is_there ? bucket->slots[index] : SLOT_NONE;
}

uint32_t places_find_named(const struct places *places, const struct slot *slots,
                           const uint8_t *name, size_t len, size_t nth) {
    ASSERT(len >= 1 && len <= 32);
    uint8_t place[32] = {0};
    memcpy(place, name, len);
    const struct bucket_of_places *bucket = &places->buckets[place[0]];
    size_t index = bucket_lower(bucket, slots, place) + nth;
    bool is_there = index < bucket->count &&
                    (len < 3 || heads_of(bucket)[index] == head_of(place)) &&
                    memcmp(place_at(bucket, slots, index), name, len) == 0;
    return is_there ? bucket->slots[index] : SLOT_NONE;
}

void places_fetch_bucket(const struct places *places, const uint8_t *name) {
    __builtin_prefetch(&places->buckets[name[0]]);
}

void places_fetch_run(const struct places *places, const uint8_t *name) {
    const struct bucket_of_places *bucket = &places->buckets[name[0]];
    if (bucket->count > 0) {
        size_t guess = (size_t)name[1] * bucket->count >> 8;
        __builtin_prefetch(heads_of(bucket) + guess);
        __builtin_prefetch(bucket->slots + guess);
    }
}

/* Grows by a quarter: there are 256 buckets in each of 10,000 sets. */
static bool bucket_reserve(struct bucket_of_places *bucket) {
    if (bucket->count < bucket->size) {
        return true;
    }
    uint32_t size = bucket->size + bucket->size / 4 + BUCKET_SIZE_FIRST;
    uint32_t *slots = realloc(bucket->slots, size * (sizeof *slots + sizeof(uint16_t)));
    if (slots == NULL) {
        return false;
    }
    bucket->slots = slots;
    const uint16_t *heads = heads_of(bucket);
    bucket->size = size;
    memmove(heads_of(bucket), heads, bucket->count * sizeof *heads);
    return true;
}

bool places_add(struct places *places, const struct slot *slots, uint32_t slot) {
    const uint8_t *place = slots[slot].record->place;
    struct bucket_of_places *bucket = &places->buckets[place[0]];
    if (!bucket_reserve(bucket)) {
        return false;
    }
    size_t index = bucket_lower(bucket, slots, place);
    ASSERT(!slots[slot].is_counted);
    uint32_t *at = bucket->slots + index;
    uint16_t *head = heads_of(bucket) + index;
    memmove(at + 1, at, (bucket->count - index) * sizeof *at);
    memmove(head + 1, head, (bucket->count - index) * sizeof *head);
    *at = slot;
    *head = head_of(place);
    bucket->count++;
    return true;
}

void places_remove(struct places *places, struct slot *slots, uint32_t slot) {
    const uint8_t *place = slots[slot].record->place;
    struct bucket_of_places *bucket = &places->buckets[place[0]];
    size_t index = bucket_lower(bucket, slots, place);
    ASSERT(index < bucket->count && bucket->slots[index] == slot);
    places_set_counted(places, &slots[slot], false);
    uint32_t *at = bucket->slots + index;
    uint16_t *head = heads_of(bucket) + index;
    memmove(at, at + 1, (bucket->count - index - 1) * sizeof *at);
    memmove(head, head + 1, (bucket->count - index - 1) * sizeof *head);
    bucket->count--;
}

void places_set_counted(struct places *places, struct slot *slot, bool is_counted) {
    if (slot->is_counted == is_counted) {
        return;
    }
    struct bucket_of_places *bucket = &places->buckets[slot->record->place[0]];
    struct sum fingerprint = sum_of_bytes(slot->record->fingerprint);
    slot->is_counted = is_counted;
    if (is_counted) {
        sum_add(&bucket->sum, &fingerprint);
        sum_add(&places->total, &fingerprint);
        bucket->counted++;
        places->counted++;
    } else {
        sum_subtract(&bucket->sum, &fingerprint);
        sum_subtract(&places->total, &fingerprint);
        bucket->counted--;
        places->counted--;
    }
}

/* The index of the first slot not below a range. */
static size_t range_lower(const struct bucket_of_places *bucket, const struct slot *slots,
                          const uint8_t prefix[PLACE_PREFIX_BYTES]) {
    uint8_t lowest[32] = {0};
    memcpy(lowest, prefix, PLACE_PREFIX_BYTES);
    return bucket_lower(bucket, slots, lowest);
}

/* Whether the first `depth` nibbles of the place are those of the prefix. */
static bool is_in_range(const uint8_t place[32], const uint8_t prefix[PLACE_PREFIX_BYTES],
                        unsigned depth) {
    if (memcmp(place, prefix, depth / 2) != 0) {
        return false;
    }
    return depth % 2 == 0 || place[depth / 2] >> 4 == prefix[depth / 2] >> 4;
}

/* The first bucket of a range and how many buckets it spans. */
static void range_buckets(const uint8_t prefix[PLACE_PREFIX_BYTES], unsigned depth, size_t *first,
                          size_t *count) {
    ASSERT(depth <= WIRE_SYNC_DEPTH_MAX);
    *first = depth == 0 ? 0 : depth == 1 ? prefix[0] & 0xf0U : prefix[0];
    *count = depth == 0 ? PLACE_BUCKETS : depth == 1 ? 16 : 1;
}

/* Sums a run inside one bucket. */
static void range_walk(const struct bucket_of_places *bucket, const struct slot *slots,
                       const uint8_t prefix[PLACE_PREFIX_BYTES], unsigned depth, struct sum *sum,
                       size_t *count) {
    for (size_t i = range_lower(bucket, slots, prefix); i < bucket->count; i++) {
        const struct slot *slot = &slots[bucket->slots[i]];
        if (!is_in_range(slot->record->place, prefix, depth)) {
            return;
        }
        if (slot->is_counted) {
            struct sum fingerprint = sum_of_bytes(slot->record->fingerprint);
            sum_add(sum, &fingerprint);
            (*count)++;
        }
    }
}

void places_range(const struct places *places, const struct slot *slots,
                  const uint8_t prefix[PLACE_PREFIX_BYTES], unsigned depth, struct sum *sum,
                  size_t *count) {
    size_t first;
    size_t bucket_count;
    range_buckets(prefix, depth, &first, &bucket_count);
    memset(sum, 0, sizeof *sum);
    *count = 0;
    if (depth > 2) {
        range_walk(&places->buckets[first], slots, prefix, depth, sum, count);
        return;
    }
    for (size_t i = first; i < first + bucket_count; i++) {
        sum_add(sum, &places->buckets[i].sum);
        *count += places->buckets[i].counted;
    }
}

static void bucket_each(const struct bucket_of_places *bucket, const struct slot *slots,
                        const uint8_t prefix[PLACE_PREFIX_BYTES], unsigned depth,
                        void (*each)(void *ctx, struct record *record), void *ctx) {
    size_t from = depth > 2 ? range_lower(bucket, slots, prefix) : 0;
    for (size_t i = from; i < bucket->count; i++) {
        const struct slot *slot = &slots[bucket->slots[i]];
        if (depth > 2 && !is_in_range(slot->record->place, prefix, depth)) {
            return; /* else the range has the whole bucket */
        }
        if (slot->is_counted) {
            each(ctx, slot->record);
        }
    }
}

void places_each(const struct places *places, const struct slot *slots,
                 const uint8_t prefix[PLACE_PREFIX_BYTES], unsigned depth,
                 void (*each)(void *ctx, struct record *record), void *ctx) {
    size_t first;
    size_t bucket_count;
    range_buckets(prefix, depth, &first, &bucket_count);
    for (size_t i = first; i < first + bucket_count; i++) {
        bucket_each(&places->buckets[i], slots, prefix, depth, each, ctx);
    }
}
