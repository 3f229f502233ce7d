/* SPDX-License-Identifier: Apache-2.0
 *
 * Healed partitions: how long until all record sets are equal again, and what the links between the
 * former sides had to carry until then.
 */
#include "base/time.h"
#include "sim/check_internal.h"
#include "sim/must.h"

void heal_init(struct checks *checks) {
    struct heal *heal = &checks->heal;
    heal->sides = must(calloc((size_t)checks->node_count + 1, sizeof *heal->sides));
    seen_init(&heal->bridges, WEFT_NEVER, SIZE_MAX);
    checks->heal_time = metrics_distribution(checks->metrics, "heal.equal_time", UNIT_NS);
    checks->heal_bytes = metrics_distribution(checks->metrics, "heal.link_bytes", UNIT_BYTES);
}

void heal_fini(struct checks *checks) {
    seen_fini(&checks->heal.bridges);
    free(checks->heal.sides);
}

/* The sides are those that links join at this moment. */
void heal_begin(struct checks *checks, weft_ns since) {
    struct heal *heal = &checks->heal;
    heal->since = since;
    heal->is_waiting = true;
    heal->cursor = 0;
    heal->bytes_max = 0;
    company_sides(checks, heal->sides);
    seen_fini(&heal->bridges);
    seen_init(&heal->bridges, WEFT_NEVER, SIZE_MAX);
}

/* Both directions of a link are one bridge. */
void heal_sent(struct checks *checks, uint32_t node, uint32_t to, uint64_t bytes) {
    struct heal *heal = &checks->heal;
    bool is_new = false;
    if (!heal->is_waiting || heal->sides[node] == heal->sides[to]) {
        return;
    }
    uint64_t pair = node < to ? (uint64_t)node << 32 | to : (uint64_t)to << 32 | node;
    struct seen_entry *entry =
        seen_add(&heal->bridges, seen_mix(pair, 0), world_now(checks->world), &is_new);
    entry->a += bytes;
    heal->bytes_max = entry->a > heal->bytes_max ? entry->a : heal->bytes_max;
}

/* The node that differed is asked first next time. */
static bool are_equal(struct checks *checks) {
    struct heal *heal = &checks->heal;
    const uint32_t *parts = checks->converge.parts;
    company_could_be(checks);
    for (uint32_t i = 0; i < checks->node_count; i++) {
        uint32_t node = heal->cursor;
        if (check_is_live(checks, node) &&
            core_records_digest(world_core(checks->world, node)) !=
                core_records_digest(world_core(checks->world, parts[node]))) {
            return false;
        }
        heal->cursor = (node + 1) % checks->node_count;
    }
    return true;
}

bool heal_poll(struct checks *checks) {
    struct heal *heal = &checks->heal;
    if (heal->is_waiting && are_equal(checks)) {
        weft_ns took = time_since(heal->since, world_now(checks->world));
        metric_sample(checks->heal_time, (int64_t)took);
        metric_sample(checks->heal_bytes, (int64_t)heal->bytes_max);
        heal->is_waiting = false;
    }
    return heal->is_waiting;
}
