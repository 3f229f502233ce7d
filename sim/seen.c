/* SPDX-License-Identifier: Apache-2.0
 *
 * Two generations of open addressing; what is touched moves to the young one.
 */
#include "sim/seen.h"

#include <string.h>

#include "base/time.h"
#include "sim/must.h"

#define SIZE_FIRST 64

void seen_init(struct seen *seen, weft_ns keep, size_t count_max) {
    *seen = (struct seen){.keep = keep, .count_max = count_max};
}

void seen_fini(struct seen *seen) {
    free(seen->young.entries);
    free(seen->old.entries);
    *seen = (struct seen){0};
}

/* SplitMix64's finaliser (Steele, Lea, Flood 2014). */
static uint64_t finish(uint64_t word) {
    word ^= word >> 30;
    word *= 0xbf58476d1ce4e5b9;
    word ^= word >> 27;
    word *= 0x94d049bb133111eb;
    return word ^ word >> 31;
}

uint64_t seen_mix(uint64_t a, uint64_t b) {
    return finish(a * 0x9e3779b97f4a7c15 + b + 1);
}

uint64_t seen_hash(uint64_t salt, const void *bytes, size_t len) {
    const uint8_t *at = bytes;
    uint64_t hash = seen_mix(salt, len);
    for (; len >= sizeof hash; len -= sizeof hash, at += sizeof hash) {
        uint64_t word = 0;
        memcpy(&word, at, sizeof word);
        hash = seen_mix(hash, word);
    }
    uint64_t rest = 0;
    if (len > 0) {
        memcpy(&rest, at, len);
    }
    return seen_mix(hash, rest);
}

/* Where a key is, or would be put. The table is never full. */
static struct seen_entry *place_of(const struct seen_slots *slots, uint64_t key) {
    size_t at = (size_t)key & (slots->size - 1);
    while (slots->entries[at].key != 0 && slots->entries[at].key != key) {
        at = (at + 1) & (slots->size - 1);
    }
    return &slots->entries[at];
}

static struct seen_entry *slots_find(const struct seen_slots *slots, uint64_t key) {
    if (slots->size == 0) {
        return NULL;
    }
    struct seen_entry *entry = place_of(slots, key);
    return entry->key == key ? entry : NULL;
}

static void slots_grow(struct seen_slots *slots) {
    struct seen_slots grown = {.size = slots->size == 0 ? SIZE_FIRST : 2 * slots->size,
                               .count = slots->count};
    grown.entries = must(calloc(grown.size, sizeof *grown.entries));
    for (size_t i = 0; i < slots->size; i++) {
        if (slots->entries[i].key != 0) {
            *place_of(&grown, slots->entries[i].key) = slots->entries[i];
        }
    }
    free(slots->entries);
    *slots = grown;
}

static uint64_t key_of(uint64_t key) {
    return key == 0 ? 1 : key;
}

struct seen_entry *seen_find(const struct seen *seen, uint64_t key) {
    struct seen_entry *entry = slots_find(&seen->young, key_of(key));
    return entry != NULL ? entry : slots_find(&seen->old, key_of(key));
}

static void turn(struct seen *seen, weft_ns now) {
    free(seen->old.entries);
    seen->old = seen->young;
    seen->young = (struct seen_slots){0};
    seen->turned_at = now;
}

struct seen_entry *seen_add(struct seen *seen, uint64_t key, weft_ns now, bool *is_new) {
    key = key_of(key);
    struct seen_entry *entry = slots_find(&seen->young, key);
    *is_new = false;
    if (entry != NULL) {
        return entry;
    }
    if (seen->young.count >= seen->count_max || time_since(seen->turned_at, now) > seen->keep) {
        turn(seen, now);
    }
    if (2 * (seen->young.count + 1) > seen->young.size) {
        slots_grow(&seen->young);
    }
    const struct seen_entry *known = slots_find(&seen->old, key);
    entry = place_of(&seen->young, key);
    *entry = known != NULL ? *known : (struct seen_entry){.key = key};
    *is_new = known == NULL;
    seen->young.count++;
    return entry;
}
