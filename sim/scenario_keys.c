/* SPDX-License-Identifier: Apache-2.0
 *
 * Every key of a scenario file. docs/simulation.md says the same in words.
 */
#include "sim/scenario_parse.h"

#include "base/time.h"

#define BIT(kind) (1U << (kind))
#define IN(type, member) .offset = offsetof(struct type, member)
#define TIME(low) .kind = FIELD_TIME, .min = (low), .max = SCENARIO_TIME_MAX
#define STREAM_BYTES_MAX (UINT64_C(1) << 40)
#define BUFFER_BYTES_MIN 4096
#define BUFFER_BYTES_MAX (UINT64_C(1) << 30)
#define RATE_MIN 1000
#define RATE_MAX UINT64_C(12500000000) /* 100 Gbit/s */
#define DEGREE_MAX 512

const struct choice TOPOLOGY_KINDS[] = {
    {"line", TOPOLOGY_LINE},
    {"ring", TOPOLOGY_RING},
    {"star", TOPOLOGY_STAR},
    {"grid", TOPOLOGY_GRID},
    {"tree", TOPOLOGY_TREE},
    {"full", TOPOLOGY_FULL},
    {"random-regular", TOPOLOGY_RANDOM_REGULAR},
    {"small-world", TOPOLOGY_SMALL_WORLD},
    {"scale-free", TOPOLOGY_SCALE_FREE},
    {"sites", TOPOLOGY_SITES},
    {"seed", TOPOLOGY_SEED},
    {"halves", TOPOLOGY_HALVES},
    {"list", TOPOLOGY_LIST},
    {NULL, 0},
};

const struct choice FAULT_KINDS[] = {
    {"crash", FAULT_CRASH},     {"power", FAULT_POWER},   {"leave", FAULT_LEAVE},
    {"pause", FAULT_PAUSE},     {"slow", FAULT_SLOW},     {"cut", FAULT_CUT},
    {"silence", FAULT_SILENCE}, {"mute", FAULT_ONE_WAY},  {"partition", FAULT_PARTITION},
    {"flap", FAULT_FLAP},       {"loss", FAULT_LOSS},     {"delay", FAULT_DELAY},
    {"clock", FAULT_CLOCK},     {"memory", FAULT_MEMORY}, {"disk", FAULT_DISK},
    {"liar", FAULT_LIAR},       {"heal", FAULT_HEAL},     {NULL, 0},
};

const struct choice LOAD_KINDS[] = {
    {"broadcast", LOAD_BROADCAST},
    {"unicast", LOAD_UNICAST},
    {"services", LOAD_SERVICES},
    {"streams", LOAD_STREAMS},
    {NULL, 0},
};

static const struct choice SHAPES[] = {
    {"upload", SHAPE_UPLOAD}, {"download", SHAPE_DOWNLOAD}, {"echo", SHAPE_ECHO},
    {"ping", SHAPE_PING},     {"bulk", SHAPE_BULK},         {NULL, 0},
};

static const struct choice LIES[] = {
    {"flip", LIE_FLIP},   {"forge", LIE_FORGE}, {"replay", LIE_REPLAY},   {"reorder", LIE_REORDER},
    {"flood", LIE_FLOOD}, {"drop", LIE_DROP},   {"garbage", LIE_GARBAGE}, {NULL, 0},
};

static const struct choice MODES[] = {
    {"safety", CHAOS_SAFETY},
    {"liveness", CHAOS_LIVENESS},
    {NULL, 0},
};

/* Bits of struct scenario_chaos.kinds: every kind but the one that ends them. */
static const struct choice CHAOS_KINDS[] = {
    {"crash", BIT(FAULT_CRASH)},
    {"power", BIT(FAULT_POWER)},
    {"leave", BIT(FAULT_LEAVE)},
    {"pause", BIT(FAULT_PAUSE)},
    {"slow", BIT(FAULT_SLOW)},
    {"cut", BIT(FAULT_CUT)},
    {"silence", BIT(FAULT_SILENCE)},
    {"mute", BIT(FAULT_ONE_WAY)},
    {"partition", BIT(FAULT_PARTITION)},
    {"flap", BIT(FAULT_FLAP)},
    {"loss", BIT(FAULT_LOSS)},
    {"delay", BIT(FAULT_DELAY)},
    {"clock", BIT(FAULT_CLOCK)},
    {"memory", BIT(FAULT_MEMORY)},
    {"disk", BIT(FAULT_DISK)},
    {"liar", BIT(FAULT_LIAR)},
    {NULL, 0},
};

static const struct field TOPOLOGY_FIELDS[] = {
    {.key = "degree",
     .kind = FIELD_COUNT,
     IN(scenario_topology, degree),
     .min = 1,
     .max = DEGREE_MAX,
     .kinds = BIT(TOPOLOGY_TREE) | BIT(TOPOLOGY_RANDOM_REGULAR) | BIT(TOPOLOGY_SMALL_WORLD) |
              BIT(TOPOLOGY_SCALE_FREE) | BIT(TOPOLOGY_HALVES)},
    {.key = "rewired",
     .kind = FIELD_SHARE,
     IN(scenario_topology, rewired_ppm),
     .kinds = BIT(TOPOLOGY_SMALL_WORLD)},
    {.key = "seeds",
     .kind = FIELD_COUNT,
     IN(scenario_topology, seeds),
     .min = 1,
     .max = 64,
     .kinds = BIT(TOPOLOGY_SEED)},
    {.key = "hubs",
     .kind = FIELD_COUNT,
     IN(scenario_topology, hubs),
     .min = 1,
     .max = DEGREE_MAX,
     .kinds = BIT(TOPOLOGY_SITES)},
    {.key = "site-nodes",
     .kind = FIELD_COUNT,
     IN(scenario_topology, site_nodes),
     .min = 1,
     .max = 64,
     .kinds = BIT(TOPOLOGY_SITES)},
    {.key = "uplinks",
     .kind = FIELD_COUNT,
     IN(scenario_topology, site_uplinks),
     .min = 1,
     .max = 64,
     .kinds = BIT(TOPOLOGY_SITES)},
    {.key = "bridges",
     .kind = FIELD_COUNT,
     IN(scenario_topology, bridges),
     .min = 1,
     .max = 1000,
     .kinds = BIT(TOPOLOGY_HALVES)},
    {.key = "edges", .kind = FIELD_OWN, .read = edges_read, .kinds = BIT(TOPOLOGY_LIST)},
    {.key = NULL},
};

enum weft_err topology_read(const struct spot *spot, void *object) {
    struct scenario_topology *topology = &((struct scenario *)object)->topology;
    static const struct field KIND = {.key = "kind",
                                      .kind = FIELD_CHOICE,
                                      IN(scenario_topology, kind),
                                      .choices = TOPOLOGY_KINDS};
    struct spot kind;
    if (!spot_child(spot, "kind", &kind)) {
        return spot_fail(spot, "expected 'kind', such as {kind: ring}");
    }
    enum weft_err err = value_read(&kind, &KIND, topology);
    if (err != WEFT_OK) {
        return err;
    }
    topology->degree = topology->kind == TOPOLOGY_TREE ? 2 : topology->degree;
    return fields_read_of(spot, TOPOLOGY_FIELDS, TOPOLOGY_KINDS, (uint32_t)topology->kind, "kind",
                          topology);
}

const struct field QUALITY_FIELDS[] = {
    {.key = "delay",
     .kind = FIELD_TIME_RANGE,
     IN(scenario_quality, delay_ns),
     .max = 60 * NS_PER_S},
    {.key = "jitter", .kind = FIELD_TIME, IN(scenario_quality, jitter_ns), .max = 60 * NS_PER_S},
    {.key = "rate",
     .kind = FIELD_RATE,
     IN(scenario_quality, rate),
     .min = RATE_MIN,
     .max = RATE_MAX},
    {.key = "loss", .kind = FIELD_SHARE, IN(scenario_quality, loss_ppm)},
    {.key = "buffer",
     .kind = FIELD_BYTES,
     IN(scenario_quality, buffer),
     .min = BUFFER_BYTES_MIN,
     .max = BUFFER_BYTES_MAX},
    {.key = NULL},
};

static const struct field FORM_FIELDS[] = {
    {.key = "within", TIME(NS_PER_MS), IN(scenario, form_within_ns)},
    {.key = "quiet", TIME(0), IN(scenario, quiet_ns)},
    {.key = "start-within", TIME(0), IN(scenario, start_within_ns)},
    {.key = "warm", .kind = FIELD_SWITCH, IN(scenario, is_warm)},
    {.key = NULL},
};

static const struct field CHAOS_FIELDS[] = {
    {.key = "mode", .kind = FIELD_CHOICE, IN(scenario_chaos, mode), .choices = MODES},
    {.key = "every", TIME(NS_PER_MS), IN(scenario_chaos, every_ns)},
    {.key = "until", TIME(NS_PER_MS), IN(scenario_chaos, until_ns)},
    {.key = "kinds", .kind = FIELD_FLAGS, IN(scenario_chaos, kinds), .choices = CHAOS_KINDS},
    {.key = "core", .kind = FIELD_SHARE, IN(scenario_chaos, core_ppm), .min = 1},
    {.key = NULL},
};

const struct field SCENARIO_FIELDS[] = {
    {.key = "name", .kind = FIELD_NAME, IN(scenario, name)},
    {.key = "about", .kind = FIELD_TEXT, IN(scenario, about)},
    {.key = "targets", .kind = FIELD_TEXT, IN(scenario, targets)},
    {.key = "suite-seeds", .kind = FIELD_COUNT, IN(scenario, suite_seeds), .max = 1000},
    {.key = "nodes", .kind = FIELD_COUNT, IN(scenario, nodes), .min = 1, .max = SCENARIO_NODES_MAX},
    {.key = "topology", .kind = FIELD_OWN, .read = topology_read},
    {.key = "discovery", .kind = FIELD_SWITCH, IN(scenario, has_discovery)},
    {.key = "degree", .kind = FIELD_COUNT, IN(scenario, degree), .min = 1, .max = DEGREE_MAX},
    {.key = "heartbeat", TIME(10 * NS_PER_MS), IN(scenario, heartbeat_ns)},
    {.key = "hold", TIME(NS_PER_MS), IN(scenario, hold_ns)},
    {.key = "fade", TIME(NS_PER_S), IN(scenario, fade_ns)},
    {.key = "link", .kind = FIELD_OWN, .read = link_read},
    {.key = "uplink",
     .kind = FIELD_GROUP,
     IN(scenario, uplink),
     .fields = QUALITY_FIELDS}, /* after link, whose values are its defaults */
    {.key = "cpu", .kind = FIELD_TIME, IN(scenario, cpu_ns), .max = NS_PER_S},
    {.key = "form", .kind = FIELD_GROUP, .fields = FORM_FIELDS},
    {.key = "run", TIME(NS_PER_MS), IN(scenario, run_ns)},
    {.key = "rest", TIME(0), IN(scenario, rest_ns)},
    {.key = "load", .kind = FIELD_OWN, .read = loads_read},
    {.key = "faults", .kind = FIELD_OWN, .read = faults_read},
    {.key = "chaos", .kind = FIELD_GROUP, IN(scenario, chaos), .fields = CHAOS_FIELDS},
    {.key = "expect", .kind = FIELD_OWN, .read = expects_read},
    {.key = NULL},
};

#define SENT (BIT(LOAD_BROADCAST) | BIT(LOAD_UNICAST) | BIT(LOAD_STREAMS))
#define ADDRESSED (BIT(LOAD_UNICAST) | BIT(LOAD_STREAMS))

const struct field LOAD_FIELDS[] = {
    {.key = "from", .kind = FIELD_PICK, IN(scenario_load, who), .kinds = SENT},
    {.key = "of", .kind = FIELD_PICK, IN(scenario_load, who), .kinds = BIT(LOAD_SERVICES)},
    {.key = "to", .kind = FIELD_PICK, IN(scenario_load, to), .kinds = ADDRESSED},
    {.key = "shape",
     .kind = FIELD_CHOICE,
     IN(scenario_load, shape),
     .choices = SHAPES,
     .kinds = BIT(LOAD_STREAMS)},
    {.key = "count", .kind = FIELD_COUNT_LONG, IN(scenario_load, count), .max = 1000000000},
    {.key = "bytes",
     .kind = FIELD_BYTE_RANGE,
     IN(scenario_load, bytes),
     .min = 1,
     .max = STREAM_BYTES_MAX,
     .kinds = SENT},
    {.key = "every", TIME(NS_PER_US), IN(scenario_load, every_ns)},
    {.key = "at", TIME(0), IN(scenario_load, at_ns)},
    {.key = "until", TIME(NS_PER_MS), IN(scenario_load, until_ns)},
    {.key = "rate-after",
     TIME(NS_PER_MS),
     IN(scenario_load, rate_after_ns),
     .kinds = BIT(LOAD_STREAMS)},
    {.key = "at-a-time",
     .kind = FIELD_COUNT_LONG,
     IN(scenario_load, streams),
     .min = 1,
     .max = 100000,
     .kinds = BIT(LOAD_STREAMS)},
    {.key = "before-form",
     .kind = FIELD_SWITCH,
     IN(scenario_load, is_before_form),
     .kinds = BIT(LOAD_SERVICES)},
    {.key = NULL},
};

#define LASTING (~(BIT(FAULT_HEAL) | BIT(FAULT_CLOCK)))
#define BETWEEN (BIT(FAULT_CUT) | BIT(FAULT_SILENCE) | BIT(FAULT_ONE_WAY))

const struct field FAULT_FIELDS[] = {
    {.key = "at", TIME(0), IN(scenario_fault, at_ns)},
    {.key = "for", TIME(NS_PER_US), IN(scenario_fault, span_ns), .kinds = LASTING},
    {.key = "every", TIME(NS_PER_US), IN(scenario_fault, every_ns)},
    {.key = "times",
     .kind = FIELD_COUNT_LONG,
     IN(scenario_fault, count),
     .min = 1,
     .max = 1000000,
     .kinds = ~BIT(FAULT_FLAP)},
    {.key = "with", .kind = FIELD_PICK, IN(scenario_fault, to), .kinds = BETWEEN},
    {.key = "share",
     .kind = FIELD_SHARE,
     IN(scenario_fault, ppm),
     .min = 1,
     .kinds = BIT(FAULT_LOSS) | BIT(FAULT_MEMORY)},
    {.key = "factor",
     .kind = FIELD_COUNT,
     IN(scenario_fault, factor),
     .min = 2,
     .max = 100000,
     .kinds = BIT(FAULT_SLOW)},
    {.key = "by", TIME(NS_PER_US), IN(scenario_fault, delay_ns), .kinds = BIT(FAULT_DELAY)},
    {.key = "ahead", TIME(NS_PER_MS), IN(scenario_fault, jump_ns), .kinds = BIT(FAULT_CLOCK)},
    {.key = "lies",
     .kind = FIELD_FLAGS,
     IN(scenario_fault, lies),
     .choices = LIES,
     .kinds = BIT(FAULT_LIAR)},
    {.key = "wipe",
     .kind = FIELD_SWITCH,
     IN(scenario_fault, loses_state),
     .kinds = BIT(FAULT_CRASH) | BIT(FAULT_POWER)},
    {.key = "seen",
     .kind = FIELD_SWITCH,
     IN(scenario_fault, is_seen),
     .kinds = BIT(FAULT_PARTITION)},
    {.key = "one-way",
     .kind = FIELD_SWITCH,
     IN(scenario_fault, is_one_way),
     .kinds = BIT(FAULT_PARTITION) | BIT(FAULT_LOSS)},
    {.key = NULL},
};
