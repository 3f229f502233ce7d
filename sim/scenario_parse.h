/* SPDX-License-Identifier: Apache-2.0
 *
 * How the keys of a scenario file become fields of struct scenario: tables of keys
 * (scenario_keys.c), one reader for each kind of value (scenario_value.c), the walk over both
 * (scenario_parse.c), and what must hold between several keys (scenario_check.c).
 */
#ifndef SIM_SCENARIO_PARSE_H
#define SIM_SCENARIO_PARSE_H

#include "sim/scenario_yaml.h"

#define SCENARIO_TEXT_MAX 600
#define SCENARIO_LOADS_MAX 64
#define SCENARIO_FAULTS_MAX 1000
#define SCENARIO_EXPECTS_MAX 200
#define SCENARIO_EDGES_MAX 200000
/* A run of a month is a slip. */
#define SCENARIO_TIME_MAX (UINT64_C(31) * 86400 * 1000000000)

/* A word and what it stands for. Lists end with a NULL word. */
struct choice {
    const char *word;
    uint32_t value;
};

enum field_kind {
    FIELD_NAME,       /* char[SCENARIO_NAME_MAX + 1] */
    FIELD_TEXT,       /* char *, owned */
    FIELD_COUNT,      /* uint32_t */
    FIELD_COUNT_LONG, /* uint64_t */
    FIELD_TIME,       /* uint64_t, ns */
    FIELD_TIME_RANGE, /* struct range */
    FIELD_BYTES,      /* uint64_t */
    FIELD_BYTE_RANGE, /* struct range */
    FIELD_RATE,       /* uint64_t, bytes a second */
    FIELD_SHARE,      /* uint32_t, millionths */
    FIELD_SWITCH,     /* bool */
    FIELD_CHOICE,     /* an enum, or anything of four bytes */
    FIELD_FLAGS,      /* uint32_t; a word, "all", or a list of words */
    FIELD_PICK,       /* struct scenario_pick */
    FIELD_GROUP,      /* a mapping, of `fields`; offset is of the struct they are in */
    FIELD_OWN,        /* whatever `read` makes of it */
};

/* One key: what it takes, where it goes. Tables end with a NULL key. */
struct field {
    const char *key;
    enum field_kind kind;
    uint32_t kinds; /* bit K set: only for faults, loads, topologies of kind K; 0: for all */
    size_t offset;
    uint64_t min; /* of numbers, times and sizes; ranges at both ends */
    uint64_t max;
    const struct choice *choices;
    const struct field *fields;
    enum weft_err (*read)(const struct spot *spot, void *object);
};

/* The tables. */
extern const struct field SCENARIO_FIELDS[];
extern const struct field QUALITY_FIELDS[];
extern const struct field FAULT_FIELDS[];
extern const struct field LOAD_FIELDS[];
extern const struct choice TOPOLOGY_KINDS[];
extern const struct choice FAULT_KINDS[]; /* "deaf" is no kind of its own: see scenario_parse.c */
extern const struct choice LOAD_KINDS[];

/* Reads one value. The kinds of scenario_value.c; not GROUP and OWN. */
WEFT_MUST_CHECK enum weft_err value_read(const struct spot *spot, const struct field *field,
                                         void *object);
/* Reads a pick: all, hubs, sites, 10, 5%, 3..7, [1, 4, 10..19], "10 of 0..99", "5% of sites". */
WEFT_MUST_CHECK enum weft_err pick_read(const struct spot *spot, struct scenario_pick *out);
/* Reads "METRIC OP LIMIT". */
WEFT_MUST_CHECK enum weft_err expect_read(const struct spot *spot, struct scenario_expect *out);

/* Reads the keys of a mapping into an object, in the order of the table, and refuses others. */
WEFT_MUST_CHECK enum weft_err fields_read(const struct spot *spot, const struct field *fields,
                                          void *object);
/* The same where some keys are for some kinds only. `skip`, unless NULL, is a key that was read. */
WEFT_MUST_CHECK enum weft_err fields_read_of(const struct spot *spot, const struct field *fields,
                                             const struct choice *kinds, uint32_t kind,
                                             const char *skip, void *object);

/* Readers of FIELD_OWN. */
enum weft_err topology_read(const struct spot *spot, void *object);
enum weft_err edges_read(const struct spot *spot, void *object);
enum weft_err link_read(const struct spot *spot, void *object);
enum weft_err loads_read(const struct spot *spot, void *object);
enum weft_err faults_read(const struct spot *spot, void *object);
enum weft_err expects_read(const struct spot *spot, void *object);

/* What one key alone cannot be asked: that picks name nodes that are there, that the topology can
 * be made, that things happen within the run. */
WEFT_MUST_CHECK enum weft_err scenario_check(struct scan *scan, const struct scenario *scenario);

/* A scenario with the defaults of docs/simulation.md, to scenario_free. */
struct scenario *scenario_new(const char *file);

#endif
