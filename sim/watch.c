/* SPDX-License-Identifier: Apache-2.0
 *
 * Records that others hold were sent by their owners, byte for byte; versions go forward; links are
 * with whom the network says; what a core holds is within its bounds.
 *
 * A record is genuine when its owner put it on a link. Who replaces or invents one has to send
 * bytes that the owner never sent, and the first honest node that keeps them shows it.
 */
#include <inttypes.h>
#include <string.h>

#include "base/time.h"
#include "sim/check_internal.h"

/* (node, owner) pairs whose versions are watched. */
#define PAIRS_MAX ((uint32_t)1 << 20)

/* Bounds of one node as its headers promise them. */
#define RECORDS_MAX 65536 /* gossip/recordset.h */
#define PEERS_MAX 16384   /* core.h */
#define SESSIONS_MAX 4096 /* stream/streams.h */
#define STREAMS_MAX 65536
/* core.c: links_max (512), and as many on their way in and out */
#define LINKS_MAX (2 * 512 + 64)

void watch_init(struct checks *checks) {
    uint32_t most = PAIRS_MAX / (checks->node_count + 1);
    most = most < 16 ? 16 : most;
    checks->watched_nodes = most < checks->node_count ? most : checks->node_count;
    seen_init(&checks->genuine, WEFT_NEVER, SIZE_MAX);
    seen_init(&checks->own, WEFT_NEVER, SIZE_MAX);
    seen_init(&checks->versions, WEFT_NEVER, SIZE_MAX);
    checks->sample_in = 1;
}

void watch_fini(struct checks *checks) {
    seen_fini(&checks->genuine);
    seen_fini(&checks->own);
    seen_fini(&checks->versions);
}

static uint64_t place_hash(const struct checks *checks, uint32_t node, uint16_t kind,
                           const struct weft_public_key *owner, struct span key) {
    uint64_t hash = seen_hash(kind, owner->bytes, sizeof owner->bytes);
    hash = seen_mix(hash, seen_hash(0, key.data, key.len));
    return seen_mix(hash, (uint64_t)checks->nodes[node].life << 32 | node);
}

/* A version of one record, as somebody has it. */
struct version {
    uint64_t key; /* place_hash */
    const struct weft_peer_id *owner;
    uint64_t incarnation;
    uint64_t version;
};

/* Compares with the version known and remembers the new one; the entry's a is the incarnation, b
 * the version. */
static void version_take(struct checks *checks, struct seen *seen, uint32_t node,
                         const struct version *found) {
    bool is_new = false;
    struct seen_entry *entry = seen_add(seen, found->key, world_now(checks->world), &is_new);
    check_saw(checks, CHECK_VERSIONS);
    if (found->incarnation < entry->a ||
        (found->incarnation == entry->a && found->version < entry->b)) {
        char text[WEFT_PEER_ID_TEXT];
        weft_peer_id_format(found->owner, text);
        check_break(checks, CHECK_VERSIONS,
                    "node %u: record of %s went back: expected at least %" PRIu64 ".%" PRIu64
                    ", found %" PRIu64 ".%" PRIu64,
                    node, text, entry->a, entry->b, found->incarnation, found->version);
    }
    entry->a = found->incarnation;
    entry->b = found->version;
}

/* The head of a fingerprint: a cryptographic hash of all of a record's bytes. */
static uint64_t number_of(const uint8_t fingerprint[32]) {
    uint64_t number = 0;
    memcpy(&number, fingerprint, sizeof number);
    return number;
}

static void own_sent(struct checks *checks, uint32_t node, struct span encoded) {
    struct wire_record record;
    bool is_new = false;
    if (wire_record_decode(encoded, &record) != WEFT_OK) {
        check_break(checks, CHECK_ORIGIN, "node %u: its own record is malformed", node);
        return;
    }
    uint8_t fingerprint[32];
    record_fingerprint(encoded, fingerprint);
    (void)seen_add(&checks->genuine, number_of(fingerprint), world_now(checks->world), &is_new);
    checks->told += is_new && checks->has_begun ? 1 : 0;
    const struct version version = {
        .key = place_hash(checks, node, record.kind, &record.owner, record.key),
        .owner = world_id(checks->world, node),
        .incarnation = record.incarnation,
        .version = record.version,
    };
    version_take(checks, &checks->own, node, &version);
}

/* Where a record's owner stands: kind(2) flags(1) key length(1) key owner(32). */
static bool is_of(struct span encoded, const struct weft_public_key *key) {
    if (encoded.len < 4) {
        return false;
    }
    size_t at = (size_t)4 + encoded.data[3];
    return encoded.len >= at + sizeof key->bytes &&
           memcmp(encoded.data + at, key->bytes, sizeof key->bytes) == 0;
}

void watch_records_sent(struct checks *checks, uint32_t node, struct span body) {
    const struct weft_public_key *key = &world_identity(checks->world, node)->key;
    struct wire_reader reader = wire_reader_of(body);
    struct span encoded;
    if (!check_is_honest(checks, node)) {
        return;
    }
    while (!wire_reader_done(&reader) && wire_records_next(&reader, &encoded) == WEFT_OK) {
        if (is_of(encoded, key)) {
            own_sent(checks, node, encoded);
        }
    }
}

/* A node and a frame of deltas that it sends. */
struct deltas_sent {
    struct checks *checks;
    uint32_t node;
    struct span body;
};

/* What a delta makes of a record of ours is the present one: it was made of that just now. */
static void own_delta_sent(void *ctx, struct record *record, bool is_live) {
    const struct deltas_sent *sent = ctx;
    struct wire_reader reader = wire_reader_of(sent->body);
    struct wire_delta delta;
    (void)is_live;
    if (memmem(sent->body.data, sent->body.len, record->place, sizeof delta.name) == NULL) {
        return; /* as nearly always: most frames tell of others */
    }
    while (wire_reader_more(&reader) && wire_deltas_next(&reader, &delta) == WEFT_OK) {
        if (memcmp(delta.name, record->place, sizeof delta.name) == 0) {
            own_sent(sent->checks, sent->node, record->encoded);
        }
    }
}

void watch_deltas_sent(struct checks *checks, uint32_t node, struct span body) {
    struct deltas_sent sent = {checks, node, body};
    if (check_is_honest(checks, node)) {
        recordset_each_of(core_records(world_core(checks->world, node)),
                          world_id(checks->world, node), own_delta_sent, &sent);
    }
}

static void check_genuine(struct checks *checks, uint32_t node, uint32_t owner,
                          const struct record *record) {
    check_saw(checks, CHECK_ORIGIN);
    if (seen_find(&checks->genuine, number_of(record->fingerprint)) == NULL) {
        check_break(checks, CHECK_ORIGIN,
                    "node %u: took a record of kind %u of node %u, version %" PRIu64 ".%" PRIu64
                    ", that node %u never sent",
                    node, record->kind, owner, record->incarnation, record->version, owner);
    }
}

void watch_saved(struct checks *checks, uint32_t node, const struct record *record,
                 bool is_forgotten) {
    uint32_t owner = 0;
    bool is_ours = world_find_node(checks->world, &record->owner, &owner);
    if (!check_is_honest(checks, node)) {
        return;
    }
    if (is_ours && !is_forgotten && owner != node && check_is_honest(checks, owner)) {
        check_genuine(checks, node, owner, record);
    }
    if (node >= checks->watched_nodes) {
        return;
    }
    const struct version version = {
        .key = place_hash(checks, node, record->kind, &record->owner_key, record->key),
        .owner = &record->owner,
        .incarnation = record->incarnation,
        .version = record->version,
    };
    if (!is_forgotten) {
        version_take(checks, &checks->versions, node, &version);
        return;
    }
    struct seen_entry *entry = seen_find(&checks->versions, version.key);
    if (entry != NULL) { /* what was forgotten may begin anew */
        entry->a = 0;
        entry->b = 0;
    }
}

static void bound(struct checks *checks, uint32_t node, const char *what, uint64_t found,
                  uint64_t most) {
    if (found > most) {
        check_break(checks, CHECK_BOUNDS,
                    "node %u: %s: expected at most %" PRIu64 ", found %" PRIu64, node, what, most,
                    found);
    }
}

void watch_status(struct checks *checks, uint32_t node, const struct core_status *status) {
    check_saw(checks, CHECK_BOUNDS);
    bound(checks, node, "records", status->records, RECORDS_MAX);
    bound(checks, node, "peers known", status->peers_known, PEERS_MAX);
    bound(checks, node, "peers reached", status->peers_reachable, status->peers_known);
    bound(checks, node, "links", status->links, LINKS_MAX);
    bound(checks, node, "streams", status->streams.open, STREAMS_MAX);
    bound(checks, node, "sessions", status->streams.sessions, SESSIONS_MAX);
}

void watch_link(struct checks *checks, uint32_t node, const struct core_link_view *view,
                uint32_t other) {
    char text[WEFT_PEER_ID_TEXT];
    check_saw(checks, CHECK_FOREIGN);
    if (other == ORACLE_NONE || !weft_peer_id_equal(&view->peer, world_id(checks->world, other))) {
        weft_peer_id_format(&view->peer, text);
        check_break(checks, CHECK_FOREIGN,
                    "node %u: link %" PRIu64 " is held by %s, expected the key of node %d", node,
                    view->link.value, text, other == ORACLE_NONE ? -1 : (int)other);
    }
}

/* What the network says of one node's links. */
struct ends {
    struct link_id wanted;
    uint32_t other;
};

static void match(void *ctx, struct link_id link, uint32_t other) {
    struct ends *ends = ctx;
    ends->other = link_id_equal(link, ends->wanted) ? other : ends->other;
}

struct link_walk {
    struct checks *checks;
    uint32_t node;
};

static void look(void *ctx, const struct core_link_view *view) {
    const struct link_walk *walk = ctx;
    struct ends ends = {.wanted = view->link, .other = ORACLE_NONE};
    world_each_link(walk->checks->world, walk->node, match, &ends);
    watch_link(walk->checks, walk->node, view, ends.other);
}

void watch_links(struct checks *checks, uint32_t node) {
    struct link_walk walk = {.checks = checks, .node = node};
    core_each_link(world_core(checks->world, node), look, &walk);
}

/* The gap to the next close look is drawn, so that no rhythm of the mesh hides from it. */
void watch_stepped(struct checks *checks, uint32_t node) {
    struct core_status status;
    if (--checks->sample_in > 0) {
        return;
    }
    checks->sample_in = 1 + rng_below(&checks->rng, 2 * (64 + (uint64_t)checks->node_count / 4));
    if (!check_is_live(checks, node) || !check_is_honest(checks, node)) {
        return;
    }
    core_get_status(world_core(checks->world, node), &status);
    watch_status(checks, node, &status);
    watch_links(checks, node);
}
