/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of what holds. It is short, even in chaos; what is asked for each parcel about a node
 * (loss, delay) is kept per node and worked out again when the list changes.
 */
#include "sim/weather.h"

#include <string.h>

#include "base/check.h"
#include "sim/must.h"

enum spell_kind {
    SPELL_BETWEEN,
    SPELL_AROUND,
    SPELL_LOSS,
    SPELL_DELAY,
};

struct spell {
    uint64_t number;
    enum spell_kind kind;
    enum net_fault_kind what; /* BETWEEN, AROUND */
    uint32_t a;               /* the node of LOSS and DELAY */
    uint32_t b;
    bool *is_in_side; /* AROUND */
    bool is_both;
    uint32_t ppm;
    weft_ns delay;
};

struct hardship {
    uint32_t loss_out_ppm;
    uint32_t loss_in_ppm;
    weft_ns delay;
};

struct weather {
    uint32_t node_count;
    uint64_t number_last;
    struct spell *spells; /* in the order they began */
    size_t count;
    size_t size;
    size_t path_count; /* of them BETWEEN and AROUND */
    struct hardship *nodes;
};

struct weather *weather_new(uint32_t node_count) {
    struct weather *weather = must(calloc(1, sizeof(*weather)));
    weather->node_count = node_count;
    weather->nodes = must(calloc(node_count, sizeof(*weather->nodes)));
    return weather;
}

void weather_free(struct weather *weather) {
    if (weather == NULL) {
        return;
    }
    weather_end_all(weather);
    free(weather->spells);
    free(weather->nodes);
    free(weather);
}

static struct spell *spell_add(struct weather *weather, enum spell_kind kind) {
    if (weather->count == weather->size) {
        weather->size = weather->size > 0 ? 2 * weather->size : 16;
        weather->spells = must(realloc(weather->spells, weather->size * sizeof(struct spell)));
    }
    struct spell *spell = &weather->spells[weather->count++];
    *spell = (struct spell){.number = ++weather->number_last, .kind = kind};
    return spell;
}

/* LOSS and DELAY of one node, from all spells. */
static void node_settle(struct weather *weather, uint32_t node) {
    struct hardship worst = {0};
    for (size_t i = 0; i < weather->count; i++) {
        const struct spell *spell = &weather->spells[i];
        if (spell->a != node) {
            continue;
        }
        if (spell->kind == SPELL_LOSS) {
            worst.loss_out_ppm = spell->ppm > worst.loss_out_ppm ? spell->ppm : worst.loss_out_ppm;
            bool is_in = spell->is_both && spell->ppm > worst.loss_in_ppm;
            worst.loss_in_ppm = is_in ? spell->ppm : worst.loss_in_ppm;
        } else if (spell->kind == SPELL_DELAY) {
            worst.delay = spell->delay > worst.delay ? spell->delay : worst.delay;
        }
    }
    weather->nodes[node] = worst;
}

uint64_t weather_begin_between(struct weather *weather, enum net_fault_kind kind, uint32_t a,
                               uint32_t b) {
    struct spell *spell = spell_add(weather, SPELL_BETWEEN);
    spell->what = kind;
    spell->a = a;
    spell->b = b;
    weather->path_count++;
    return spell->number;
}

uint64_t weather_begin_around(struct weather *weather, enum net_fault_kind kind,
                              const bool *is_in_side, bool is_both) {
    struct spell *spell = spell_add(weather, SPELL_AROUND);
    spell->what = kind;
    spell->is_both = is_both;
    spell->is_in_side = must(malloc(weather->node_count * sizeof(bool)));
    memcpy(spell->is_in_side, is_in_side, weather->node_count * sizeof(bool));
    weather->path_count++;
    return spell->number;
}

uint64_t weather_begin_loss(struct weather *weather, uint32_t node, uint32_t ppm, bool is_both) {
    struct spell *spell = spell_add(weather, SPELL_LOSS);
    spell->a = node;
    spell->ppm = ppm;
    spell->is_both = is_both;
    uint64_t number = spell->number;
    node_settle(weather, node);
    return number;
}

uint64_t weather_begin_delay(struct weather *weather, uint32_t node, weft_ns delay) {
    struct spell *spell = spell_add(weather, SPELL_DELAY);
    spell->a = node;
    spell->delay = delay;
    uint64_t number = spell->number;
    node_settle(weather, node);
    return number;
}

static void spell_remove(struct weather *weather, size_t at) {
    struct spell gone = weather->spells[at];
    memmove(&weather->spells[at], &weather->spells[at + 1],
            (weather->count - at - 1) * sizeof(struct spell));
    weather->count--;
    free(gone.is_in_side);
    if (gone.kind == SPELL_BETWEEN || gone.kind == SPELL_AROUND) {
        weather->path_count--;
    } else {
        node_settle(weather, gone.a);
    }
}

void weather_end(struct weather *weather, uint64_t fault) {
    for (size_t i = 0; i < weather->count; i++) {
        if (weather->spells[i].number == fault) {
            spell_remove(weather, i);
            return;
        }
    }
}

void weather_end_all(struct weather *weather) {
    while (weather->count > 0) {
        spell_remove(weather, weather->count - 1);
    }
}

/* Whether a spell stands in the way from a to b. */
static bool is_in_the_way(const struct spell *spell, uint32_t a, uint32_t b) {
    if (spell->kind == SPELL_BETWEEN) {
        bool is_back = spell->what == NET_CUT && spell->a == b && spell->b == a;
        return (spell->a == a && spell->b == b) || is_back;
    }
    if (spell->kind != SPELL_AROUND || spell->is_in_side[a] == spell->is_in_side[b]) {
        return false;
    }
    return spell->what == NET_CUT || spell->is_both || spell->is_in_side[a];
}

static bool any_in_the_way(const struct weather *weather, enum net_fault_kind kind, uint32_t a,
                           uint32_t b) {
    for (size_t i = 0; weather->path_count > 0 && i < weather->count; i++) {
        const struct spell *spell = &weather->spells[i];
        if (spell->what == kind && is_in_the_way(spell, a, b)) {
            return true;
        }
    }
    return false;
}

bool weather_is_silent(const struct weather *weather, uint32_t a, uint32_t b) {
    return any_in_the_way(weather, NET_SILENCE, a, b);
}

bool weather_is_cut(const struct weather *weather, uint32_t a, uint32_t b) {
    return any_in_the_way(weather, NET_CUT, a, b);
}

uint32_t weather_loss_ppm(const struct weather *weather, uint32_t a, uint32_t b) {
    uint32_t out = weather->nodes[a].loss_out_ppm;
    uint32_t in = weather->nodes[b].loss_in_ppm;
    return out > in ? out : in;
}

weft_ns weather_delay(const struct weather *weather, uint32_t a, uint32_t b) {
    return weather->nodes[a].delay + weather->nodes[b].delay;
}
