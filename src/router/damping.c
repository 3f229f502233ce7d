/* SPDX-License-Identifier: Apache-2.0
 *
 * A short table of peers, walked from end to end: it is asked when a link comes up.
 */
#include "router/damping.h"

#include <stdlib.h>
#include <string.h>

#include "base/defect.h"

#define ENTRIES_FIRST 8

void damping_fini(struct damping *damping) {
    free(damping->entries);
    *damping = (struct damping){0};
}

static struct damping_entry *entry_find(const struct damping *damping,
                                        const struct weft_peer_id *peer) {
    for (size_t i = 0; i < damping->count; i++) {
        if (weft_peer_id_equal(&damping->entries[i].peer, peer)) {
            return &damping->entries[i];
        }
    }
    return NULL;
}

static bool is_remembered(const struct damping_entry *entry, weft_ns now) {
    return time_since(entry->at, now) < DAMPING_MEMORY_NS;
}

static struct damping_entry *entry_quietest(const struct damping *damping) {
    struct damping_entry *quietest = &damping->entries[0];
    for (size_t i = 1; i < damping->count; i++) {
        quietest = damping->entries[i].at < quietest->at ? &damping->entries[i] : quietest;
    }
    return quietest;
}

/* A place for a new entry: one that is forgotten, one more, or that of the quietest. NULL when
 * memory is short. */
static struct damping_entry *entry_make(struct damping *damping, weft_ns now) {
    struct damping_entry *quietest = damping->count > 0 ? entry_quietest(damping) : NULL;
    bool is_full = damping->count == DAMPING_PEERS_MAX;
    if (quietest != NULL && (is_full || !is_remembered(quietest, now))) {
        return quietest;
    }
    if (damping->count == damping->size) {
        size_t size = damping->size == 0 ? ENTRIES_FIRST : 2 * damping->size;
        struct damping_entry *entries = realloc(damping->entries, size * sizeof *entries);
        if (entries == NULL) {
            return NULL;
        }
        damping->entries = entries;
        damping->size = size;
    }
    return &damping->entries[damping->count++];
}

/* The entry of a peer, an empty one if nothing of it is remembered; NULL when memory is short. */
static struct damping_entry *entry_take(struct damping *damping, const struct weft_peer_id *peer,
                                        weft_ns now) {
    struct damping_entry *entry = entry_find(damping, peer);
    if (entry == NULL) {
        entry = entry_make(damping, now);
        if (entry == NULL) {
            return NULL;
        }
        *entry = (struct damping_entry){.peer = *peer, .at = now};
    }
    if (!is_remembered(entry, now)) {
        entry->losses = 0;
    }
    return entry;
}

void damping_thinned(struct damping *damping, const struct weft_peer_id *peer, weft_ns now) {
    struct damping_entry *entry = entry_take(damping, peer, now);
    if (entry != NULL) {
        entry->thinned_at = now;
        entry->at = entry->losses == 0 ? now : entry->at;
    }
}

static bool was_well_linked(const struct damping_entry *entry, const struct damping_loss *loss,
                            weft_ns now) {
    return loss->listed >= DAMPING_LINKS_MIN ||
           (entry != NULL && entry->thinned_at != 0 &&
            time_since(entry->thinned_at, now) < DAMPING_THINNED_NS);
}

bool damping_lost(struct damping *damping, const struct weft_peer_id *peer,
                  const struct damping_loss *loss, weft_ns now) {
    bool is_alone = 4 * (uint64_t)loss->denying > 3 * (uint64_t)loss->listed;
    if (loss->is_leaving || !is_alone || !was_well_linked(entry_find(damping, peer), loss, now) ||
        DEFECT(FLAPS_UNCOUNTED)) {
        return false;
    }
    struct damping_entry *entry = entry_take(damping, peer, now);
    if (entry == NULL) {
        return false;
    }
    entry->losses += entry->losses < UINT32_MAX ? 1 : 0;
    entry->at = now;
    return true;
}

void damping_forgive(struct damping *damping, const struct weft_peer_id *peer) {
    struct damping_entry *entry = entry_find(damping, peer);
    if (entry != NULL) {
        entry->losses = 0;
    }
}

weft_ns damping_trial(const struct damping *damping, const struct weft_peer_id *peer, weft_ns now) {
    const struct damping_entry *entry = entry_find(damping, peer);
    if (entry == NULL || entry->losses == 0 || !is_remembered(entry, now)) {
        return 0;
    }
    return entry->losses == 1 ? DAMPING_SHORT_NS : DAMPING_LONG_NS;
}
