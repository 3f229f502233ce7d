/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk over a scenario's text by the tables of scenario_keys.c.
 */
#include "sim/scenario_parse.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "sim/must.h"
#include "sim/quantity.h"
#include "sim/suggest.h"

#define KEYS_TEXT_MAX 200
#define CANDIDATES_MAX 48

/* What the keys of one mapping may be. */
struct mapping {
    const struct field *fields;
    const struct choice *kinds; /* words of the kinds, for messages; NULL: there are none */
    uint32_t kind;
    const char *skip; /* a key that was read already; NULL: none */
};

static bool is_for(const struct field *field, const struct mapping *mapping) {
    return mapping->kinds == NULL || field->kinds == 0 ||
           (field->kinds & (1U << mapping->kind)) != 0;
}

static const char *word_of(const struct choice *choices, uint32_t value) {
    for (; choices->word != NULL; choices++) {
        if (choices->value == value) {
            return choices->word;
        }
    }
    return "?";
}

/* Unknown keys, and known ones in the wrong place. */

static void list_keys(const struct mapping *mapping, char out[KEYS_TEXT_MAX]) {
    size_t used = 0;
    out[0] = '\0';
    for (const struct field *field = mapping->fields; field->key != NULL; field++) {
        size_t room = KEYS_TEXT_MAX - used;
        if (is_for(field, mapping) && strlen(field->key) + 3 < room) {
            (void)snprintf(&out[used], room, "%s%s", used == 0 ? "" : ", ", field->key);
            used += strlen(&out[used]);
        }
    }
}

static enum weft_err fail_unknown(const struct spot *value, const char *key,
                                  const struct mapping *mapping) {
    const char *candidates[CANDIDATES_MAX];
    char keys[KEYS_TEXT_MAX];
    size_t count = 0;
    for (const struct field *field = mapping->fields; field->key != NULL && count < CANDIDATES_MAX;
         field++) {
        if (is_for(field, mapping)) {
            candidates[count++] = field->key;
        }
    }
    const char *near = suggest_nearest(key, candidates, count);
    if (near != NULL) {
        return spot_fail(value, "unknown key; did you mean '%s'?", near);
    }
    list_keys(mapping, keys);
    return spot_fail(value, "unknown key; expected one of %s", keys);
}

static enum weft_err check_key(const struct spot *value, const char *key,
                               const struct mapping *mapping) {
    char keys[KEYS_TEXT_MAX];
    if (mapping->skip != NULL && strcmp(key, mapping->skip) == 0) {
        return WEFT_OK;
    }
    for (const struct field *field = mapping->fields; field->key != NULL; field++) {
        if (strcmp(key, field->key) == 0 && is_for(field, mapping)) {
            return WEFT_OK;
        }
        if (strcmp(key, field->key) == 0) {
            list_keys(mapping, keys);
            return spot_fail(value, "means nothing to '%s'; expected one of %s",
                             word_of(mapping->kinds, mapping->kind), keys);
        }
    }
    return fail_unknown(value, key, mapping);
}

static enum weft_err check_keys(const struct spot *spot, const struct mapping *mapping) {
    const char *key = NULL;
    struct spot value;
    enum weft_err err = WEFT_OK;
    for (size_t i = 0; err == WEFT_OK && spot_pair(spot, i, &key, &value); i++) {
        err = check_key(&value, key, mapping);
    }
    return err;
}

static enum weft_err read_field(const struct spot *value, const struct field *field, void *object) {
    if (field->kind == FIELD_OWN) {
        return field->read(value, object);
    }
    if (field->kind == FIELD_GROUP) {
        return fields_read(value, field->fields, (char *)object + field->offset);
    }
    return value_read(value, field, object);
}

static enum weft_err read_mapping(const struct spot *spot, const struct mapping *mapping,
                                  void *object) {
    if (spot->node->type != YAML_MAPPING_NODE) {
        return spot_fail(spot, "expected a mapping, not %s", spot_kind(spot));
    }
    enum weft_err err = check_keys(spot, mapping);
    for (const struct field *field = mapping->fields; err == WEFT_OK && field->key != NULL;
         field++) {
        struct spot value;
        if (is_for(field, mapping) && spot_child(spot, field->key, &value)) {
            err = read_field(&value, field, object);
        }
    }
    return err;
}

enum weft_err fields_read(const struct spot *spot, const struct field *fields, void *object) {
    struct mapping mapping = {.fields = fields};
    return read_mapping(spot, &mapping, object);
}

enum weft_err fields_read_of(const struct spot *spot, const struct field *fields,
                             const struct choice *kinds, uint32_t kind, const char *skip,
                             void *object) {
    struct mapping mapping = {.fields = fields, .kinds = kinds, .kind = kind, .skip = skip};
    return read_mapping(spot, &mapping, object);
}

/* The uplinks are as the links unless they are said to differ; the table puts `uplink` after. */
enum weft_err link_read(const struct spot *spot, void *object) {
    struct scenario *scenario = object;
    enum weft_err err = fields_read(spot, QUALITY_FIELDS, &scenario->link);
    scenario->uplink = scenario->link;
    return err;
}

/* Lists. */

static enum weft_err check_list(const struct spot *spot, size_t max) {
    if (spot->node->type != YAML_SEQUENCE_NODE) {
        return spot_fail(spot, "expected a list, not %s", spot_kind(spot));
    }
    return spot_count(spot) > max ? spot_fail(spot, "expected at most %zu", max) : WEFT_OK;
}

static enum weft_err read_edge(const struct spot *spot, struct scenario_edge *out) {
    struct spot a;
    struct spot b;
    uint64_t from = 0;
    uint64_t to = 0;
    bool is_pair = spot_count(spot) == 2 && spot_item(spot, 0, &a) && spot_item(spot, 1, &b) &&
                   spot_text(&a) != NULL && spot_text(&b) != NULL;
    if (!is_pair || !quantity_count(spot_text(&a), SCENARIO_NODES_MAX - 1, &from) ||
        !quantity_count(spot_text(&b), SCENARIO_NODES_MAX - 1, &to)) {
        return spot_fail(spot, "expected two nodes' numbers, such as [0, 1]: 0 dials 1");
    }
    *out = (struct scenario_edge){.a = (uint32_t)from, .b = (uint32_t)to};
    return WEFT_OK;
}

enum weft_err edges_read(const struct spot *spot, void *object) {
    struct scenario_topology *topology = object;
    enum weft_err err = check_list(spot, SCENARIO_EDGES_MAX);
    if (err != WEFT_OK) {
        return err;
    }
    struct spot item;
    topology->edges = must(calloc(spot_count(spot) + 1, sizeof(*topology->edges)));
    for (size_t i = 0; err == WEFT_OK && spot_item(spot, i, &item); i++) {
        err = read_edge(&item, &topology->edges[i]);
        topology->edge_count++;
    }
    return err;
}

/* The load: each element is {KIND: {...}}. */

static void set_load_defaults(struct scenario_load *load) {
    bool is_once = load->kind == LOAD_BROADCAST || load->kind == LOAD_SERVICES;
    bool is_stream = load->kind == LOAD_STREAMS;
    load->count = is_once ? 1 : 0;
    load->streams = 1;
    load->bytes = (struct range){.low = is_stream ? 65536 : 100, .high = is_stream ? 65536 : 100};
    load->every_ns = load->kind == LOAD_UNICAST ? UINT64_C(1000000000) : 0;
}

/* The one kind that is a key of the mapping; false if there is none or more. */
static bool find_kind(const struct spot *spot, const struct choice *kinds,
                      const struct choice **out, struct spot *value) {
    size_t found = 0;
    for (const struct choice *kind = kinds; kind->word != NULL; kind++) {
        struct spot child;
        if (spot_child(spot, kind->word, &child)) {
            *out = kind;
            *value = child;
            found++;
        }
    }
    return found == 1;
}

static enum weft_err read_load(const struct spot *spot, struct scenario_load *out) {
    const struct choice *kind = NULL;
    struct spot value;
    if (spot_count(spot) != 1 || !find_kind(spot, LOAD_KINDS, &kind, &value)) {
        return spot_fail(spot, "expected one of broadcast, unicast, services or streams, such as "
                               "'broadcast: {from: 5}'");
    }
    out->kind = (enum load_kind)kind->value;
    set_load_defaults(out);
    return fields_read_of(&value, LOAD_FIELDS, LOAD_KINDS, kind->value, NULL, out);
}

enum weft_err loads_read(const struct spot *spot, void *object) {
    struct scenario *scenario = object;
    enum weft_err err = check_list(spot, SCENARIO_LOADS_MAX);
    if (err != WEFT_OK) {
        return err;
    }
    struct spot item;
    scenario->loads = must(calloc(spot_count(spot) + 1, sizeof(*scenario->loads)));
    for (size_t i = 0; err == WEFT_OK && spot_item(spot, i, &item); i++) {
        scenario->load_count++;
        err = read_load(&item, &scenario->loads[i]);
    }
    return err;
}

/* The timeline: each element is {at: ..., KIND: WHO, ...}. */

static void set_fault_defaults(struct scenario_fault *fault) {
    fault->count = 1;
    fault->factor = fault->kind == FAULT_SLOW ? 100 : 0;
    fault->jump_ns = fault->kind == FAULT_CLOCK ? UINT64_C(3600000000000) : 0;
    fault->lies = fault->kind == FAULT_LIAR ? 2 * LIE_GARBAGE - 1 : 0;
}

/* "deaf: 10" is mute seen from the other end: nothing arrives at them. */
static void turn_round(struct scenario_fault *fault) {
    struct scenario_pick kept = fault->who;
    fault->who = fault->to;
    fault->to = kept;
}

static enum weft_err read_fault(const struct spot *spot, struct scenario_fault *out) {
    static const struct choice DEAF = {"deaf", FAULT_ONE_WAY};
    const struct choice *kind = NULL;
    struct spot who;
    bool is_deaf = spot_child(spot, DEAF.word, &who);
    bool has_kind = find_kind(spot, FAULT_KINDS, &kind, &who);
    if (is_deaf) {
        has_kind = kind == NULL && spot_child(spot, DEAF.word, &who);
        kind = &DEAF;
    }
    if (!has_kind) {
        return spot_fail(spot, "expected one fault, such as '{at: 10s, crash: 5%%, for: 20s}'; one "
                               "of crash, power, leave, pause, slow, cut, silence, mute, deaf, "
                               "partition, flap, loss, delay, clock, memory, disk, liar, heal");
    }
    out->kind = (enum fault_kind)kind->value;
    set_fault_defaults(out);
    enum weft_err err = pick_read(&who, &out->who);
    if (err == WEFT_OK) {
        err = fields_read_of(spot, FAULT_FIELDS, FAULT_KINDS, kind->value, kind->word, out);
    }
    if (err == WEFT_OK && is_deaf) {
        turn_round(out);
    }
    return err;
}

enum weft_err faults_read(const struct spot *spot, void *object) {
    struct scenario *scenario = object;
    enum weft_err err = check_list(spot, SCENARIO_FAULTS_MAX);
    if (err != WEFT_OK) {
        return err;
    }
    struct spot item;
    scenario->faults = must(calloc(spot_count(spot) + 1, sizeof(*scenario->faults)));
    for (size_t i = 0; err == WEFT_OK && spot_item(spot, i, &item); i++) {
        scenario->fault_count++;
        err = read_fault(&item, &scenario->faults[i]);
    }
    return err;
}

enum weft_err expects_read(const struct spot *spot, void *object) {
    struct scenario *scenario = object;
    enum weft_err err = check_list(spot, SCENARIO_EXPECTS_MAX);
    if (err != WEFT_OK) {
        return err;
    }
    struct spot item;
    scenario->expects = must(calloc(spot_count(spot) + 1, sizeof(*scenario->expects)));
    for (size_t i = 0; err == WEFT_OK && spot_item(spot, i, &item); i++) {
        scenario->expect_count++;
        err = expect_read(&item, &scenario->expects[i]);
    }
    return err;
}
