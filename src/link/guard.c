/* SPDX-License-Identifier: Apache-2.0
 *
 * The guard at the door. Short of memory it refuses: strangers wait, links that stand do not.
 */
#include "link/guard.h"

#include <stdlib.h>

#include "base/bucket.h"
#include "base/check.h"
#include "link/recent.h"

#define EPHEMERALS_MAX 4096  /* first messages remembered: over 6 minutes at one prefix's rate */
#define EVICT_AFTER NS_PER_S /* an honest handshake is through sooner */
#define FAULT_EVERY (60 * NS_PER_S)
#define PREFIX_BYTES_MAX 7

enum fault_value { FAULT_COUNT, FAULT_LOGGED_COUNT, FAULT_LOGGED_AT };
#define PREFIX_READY 0 /* the bucket's one number */

struct half_open {
    struct link_id link;
    weft_ns since;
    uint8_t prefix[PREFIX_BYTES_MAX];
    uint16_t crowd; /* how many of its prefix there are, itself included */
};

/* First messages, each by a keyed hash of 8 bytes: whole keys in a table cost 1 MiB, these 32 KiB.
 * By chance one handshake in 2^52 is taken for a replay and dialled again; nobody can arrange it.
 */
struct seen {
    uint64_t tags[EPHEMERALS_MAX]; /* a ring: the oldest makes room */
    size_t count;
    size_t next;
};

struct guard {
    struct guard_config config;
    struct half_open *half_open; /* the oldest first */
    size_t half_open_count;
    size_t half_open_most; /* so far */
    struct recent prefixes;
    struct recent faults;
    struct seen ephemerals;
};

void guard_config_defaults(struct guard_config *config) {
    *config = (struct guard_config){
        .half_open_max = 256, .prefixes_max = 4096, .prefix_burst = 50, .prefix_rate = 10};
}

static enum weft_err tables_init(struct guard *guard) {
    const struct guard_config *config = &guard->config;
    enum weft_err err = recent_init(&guard->prefixes, config->prefixes_max, &config->hash_key);
    if (err == WEFT_OK) {
        err = recent_init(&guard->faults, config->prefixes_max, &config->hash_key);
    }
    return err;
}

enum weft_err guard_new(const struct guard_config *config, struct guard **out) {
    ASSERT(config->half_open_max >= 1 && config->prefixes_max >= 1);
    ASSERT(config->prefix_rate >= 1 && config->prefix_burst >= 1);
    struct guard *guard = calloc(1, sizeof *guard);
    if (guard == NULL) {
        return WEFT_ERR_MEMORY;
    }
    guard->config = *config;
    guard->half_open = calloc(config->half_open_max, sizeof *guard->half_open);
    enum weft_err err = guard->half_open == NULL ? WEFT_ERR_MEMORY : tables_init(guard);
    if (err != WEFT_OK) {
        guard_free(guard);
        return err;
    }
    *out = guard;
    return WEFT_OK;
}

void guard_free(struct guard *guard) {
    if (guard != NULL) {
        recent_fini(&guard->prefixes);
        recent_fini(&guard->faults);
        free(guard->half_open);
        free(guard);
    }
}

/* The IPv4 address inside a mapped IPv6 one (::ffff:a.b.c.d), else the address itself: a socket for
 * both families gives the former, and all of IPv4 must not share one /48. */
static struct span address_plain(struct span address) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    ASSERT(address.len == 4 || address.len == 16);
    if (address.len == 16 && memcmp(address.data, mapped, sizeof mapped) == 0) {
        return span_of(address.data + sizeof mapped, 4);
    }
    return address;
}

/* IPv4 /24 or IPv6 /48, told apart by the first byte. */
static struct span prefix_of(struct span address, uint8_t out[PREFIX_BYTES_MAX]) {
    struct span plain = address_plain(address);
    size_t len = plain.len == 4 ? 3 : 6;
    out[0] = plain.len == 4 ? 4 : 6;
    memcpy(out + 1, plain.data, len);
    return span_of(out, 1 + len);
}

static bool has_token(struct guard *guard, struct span address, weft_ns now) {
    uint8_t key[PREFIX_BYTES_MAX];
    bool is_new = false;
    struct recent_entry *entry = recent_touch(&guard->prefixes, prefix_of(address, key), &is_new);
    if (entry == NULL) {
        return false;
    }
    struct bucket bucket = {.ready = entry->values[PREFIX_READY]};
    bool is_taken =
        bucket_take(&bucket, 1, guard->config.prefix_rate, guard->config.prefix_burst, now);
    entry->values[PREFIX_READY] = bucket.ready;
    return is_taken;
}

/* Adds to the crowd of a prefix; how many it was before. */
static uint16_t crowd_add(struct guard *guard, const uint8_t prefix[PREFIX_BYTES_MAX], int change) {
    uint16_t crowd = 0;
    for (size_t i = 0; i < guard->half_open_count; i++) {
        struct half_open *other = &guard->half_open[i];
        if (memcmp(other->prefix, prefix, PREFIX_BYTES_MAX) == 0) {
            crowd = other->crowd;
            other->crowd = (uint16_t)(other->crowd + change);
        }
    }
    return crowd;
}

static void half_open_remove(struct guard *guard, size_t index) {
    (void)crowd_add(guard, guard->half_open[index].prefix, -1);
    guard->half_open_count--;
    memmove(&guard->half_open[index], &guard->half_open[index + 1],
            (guard->half_open_count - index) * sizeof *guard->half_open);
}

/* Who is to go for one whose prefix has `crowd` already: the oldest, if it had its time; else the
 * oldest of the largest crowd, if that stays the larger one. SIZE_MAX: nobody. */
static size_t half_open_yielding(const struct guard *guard, uint16_t crowd, weft_ns now) {
    size_t most = 0;
    if (time_since(guard->half_open[0].since, now) > EVICT_AFTER) {
        return 0;
    }
    for (size_t i = 1; i < guard->half_open_count; i++) {
        most = guard->half_open[i].crowd > guard->half_open[most].crowd ? i : most;
    }
    return guard->half_open[most].crowd > crowd + 1 ? most : SIZE_MAX;
}

/* Makes room at the bound. */
static bool half_open_yield(struct guard *guard, uint16_t crowd, weft_ns now,
                            struct link_id *evict) {
    if (guard->half_open_count < guard->config.half_open_max) {
        return true;
    }
    size_t index = half_open_yielding(guard, crowd, now);
    if (index == SIZE_MAX) {
        return false;
    }
    *evict = guard->half_open[index].link;
    half_open_remove(guard, index);
    return true;
}

enum guard_verdict guard_knock(struct guard *guard, struct span address, struct link_id link,
                               weft_ns now, struct link_id *evict) {
    struct half_open newcomer = {.link = link, .since = now};
    (void)prefix_of(address, newcomer.prefix);
    *evict = (struct link_id){.value = 0};
    if (!has_token(guard, address, now)) {
        return GUARD_TOO_FAST;
    }
    if (!half_open_yield(guard, crowd_add(guard, newcomer.prefix, 0), now, evict)) {
        return GUARD_FULL;
    }
    newcomer.crowd = (uint16_t)(crowd_add(guard, newcomer.prefix, 1) + 1);
    guard->half_open[guard->half_open_count++] = newcomer;
    if (guard->half_open_count > guard->half_open_most) {
        guard->half_open_most = guard->half_open_count;
    }
    return GUARD_ADMIT;
}

void guard_settled(struct guard *guard, struct link_id link) {
    for (size_t i = 0; i < guard->half_open_count; i++) {
        if (link_id_equal(guard->half_open[i].link, link)) {
            half_open_remove(guard, i);
            return;
        }
    }
}

static bool seen_has(const struct seen *seen, uint64_t tag) {
    for (size_t i = 0; i < seen->count; i++) {
        if (seen->tags[i] == tag) {
            return true;
        }
    }
    return false;
}

static void seen_add(struct seen *seen, uint64_t tag) {
    seen->tags[seen->next] = tag;
    seen->next = (seen->next + 1) % EPHEMERALS_MAX;
    seen->count += seen->count < EPHEMERALS_MAX ? 1 : 0;
}

bool guard_is_replay(struct guard *guard, const uint8_t ephemeral[32]) {
    uint64_t tag = hash_keyed(&guard->config.hash_key, span_of(ephemeral, 32));
    if (seen_has(&guard->ephemerals, tag)) {
        return true;
    }
    seen_add(&guard->ephemerals, tag);
    return false;
}

bool guard_fault(struct guard *guard, struct span address, weft_ns now, uint64_t *count) {
    bool is_new = false;
    struct recent_entry *entry = recent_touch(&guard->faults, address_plain(address), &is_new);
    if (entry == NULL) {
        *count = 1;
        return false;
    }
    uint64_t *values = entry->values;
    *count = ++values[FAULT_COUNT];
    bool is_doubled = values[FAULT_COUNT] >= 2 * values[FAULT_LOGGED_COUNT];
    bool is_due = is_new || (is_doubled && time_since(values[FAULT_LOGGED_AT], now) >= FAULT_EVERY);
    if (is_due) {
        values[FAULT_LOGGED_COUNT] = values[FAULT_COUNT];
        values[FAULT_LOGGED_AT] = now;
    }
    return is_due;
}

size_t guard_half_open_count(const struct guard *guard) {
    return guard->half_open_count;
}

size_t guard_half_open_most(const struct guard *guard) {
    return guard->half_open_most;
}
