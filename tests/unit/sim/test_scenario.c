/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/time.h"
#include "sim/scenario.h"

#define MESH "name: x\nnodes: 10\ntopology: {kind: ring}\n"
#define SITES "name: x\nnodes: 12\ntopology: {kind: sites, hubs: 4, site-nodes: 2}\n"

static struct scenario *parsed(const char *text) {
    struct scenario *scenario = NULL;
    struct scenario_error error = {""};
    cr_assert_eq(scenario_parse(text, strlen(text), "f.yaml", &scenario, &error), WEFT_OK, "%s\n%s",
                 error.text, text);
    return scenario;
}

/* Refused, and the message says so. */
static void refused(const char *text, const char *wanted) {
    struct scenario *scenario = NULL;
    struct scenario_error error = {""};
    cr_assert_eq(scenario_parse(text, strlen(text), "f.yaml", &scenario, &error), WEFT_ERR_INVALID,
                 "taken: %s", text);
    cr_expect(strstr(error.text, wanted) != NULL, "'%s' lacks '%s'", error.text, wanted);
    cr_expect_eq(strncmp(error.text, "f.yaml:", 7), 0, "%s", error.text);
    cr_expect_null(scenario);
}

Test(scenario, says_no_more_than_it_must_and_defaults_the_rest) {
    struct scenario *scenario = parsed(MESH);
    cr_expect_str_eq(scenario->name, "x");
    cr_expect_str_eq(scenario->about, "");
    cr_expect_str_eq(scenario->targets, "");
    cr_expect_str_eq(scenario->file, "f.yaml");
    cr_expect(scenario->has_discovery);
    cr_expect_eq(scenario->degree, 8);
    cr_expect_eq(scenario->heartbeat_ns, NS_PER_S);
    cr_expect_eq(scenario->hold_ns, 60 * NS_PER_S);
    cr_expect_eq(scenario->link.delay_ns.low, 10 * NS_PER_MS);
    cr_expect_eq(scenario->link.rate, 0);
    cr_expect_eq(scenario->link.buffer, 262144);
    cr_expect_eq(scenario->form_within_ns, 60 * NS_PER_S);
    cr_expect_eq(scenario->run_ns, 60 * NS_PER_S);
    cr_expect_eq(scenario->rest_ns, 30 * NS_PER_S);
    cr_expect_eq(scenario->chaos.mode, CHAOS_NONE);
    cr_expect_eq(scenario->load_count + scenario->fault_count + scenario->expect_count, 0);
    scenario_free(scenario);
    scenario_free(NULL);
}

Test(scenario, reads_every_key_at_the_top) {
    struct scenario *scenario = parsed(
        "name: all-keys\nabout: One.\ntargets: A1 A2\nsuite-seeds: 3\nnodes: 12\n"
        "topology: {kind: sites, hubs: 4, site-nodes: 2, uplinks: 1}\n"
        "discovery: off\ndegree: 5\nheartbeat: 200ms\nhold: 30s\nfade: 10min\n"
        "uplink: {rate: 10Mbit}\n" /* before link, and yet after it */
        "link: {delay: 1..50ms, jitter: 2ms, rate: 1Gbit, loss: 0.5%, buffer: 64KiB}\n"
        "cpu: 20us\nform: {within: 2min, quiet: 1s, start-within: 10s, warm: on}\n"
        "run: 70s\nrest: 0\n"
        "chaos: {mode: liveness, every: 500ms, until: 60s, kinds: [crash, cut], core: 50%}\n");
    cr_expect_eq(scenario->suite_seeds, 3);
    cr_expect_str_eq(scenario->targets, "A1 A2");
    cr_expect_eq(scenario->topology.hubs, 4);
    cr_expect_eq(scenario->topology.site_uplinks, 1);
    cr_expect_not(scenario->has_discovery);
    cr_expect_eq(scenario->heartbeat_ns, 200 * NS_PER_MS);
    cr_expect_eq(scenario->fade_ns, 600 * NS_PER_S);
    cr_expect_eq(scenario->link.delay_ns.high, 50 * NS_PER_MS);
    cr_expect_eq(scenario->link.loss_ppm, 5000);
    cr_expect_eq(scenario->link.rate, 125000000);
    cr_expect_eq(scenario->uplink.rate, 1250000);
    cr_expect_eq(scenario->uplink.jitter_ns, 2 * NS_PER_MS);
    cr_expect_eq(scenario->uplink.buffer, 65536);
    cr_expect_eq(scenario->cpu_ns, 20 * NS_PER_US);
    cr_expect_eq(scenario->quiet_ns, NS_PER_S);
    cr_expect_eq(scenario->start_within_ns, 10 * NS_PER_S);
    cr_expect(scenario->is_warm);
    cr_expect_eq(scenario->rest_ns, 0);
    cr_expect_eq(scenario->chaos.mode, CHAOS_LIVENESS);
    cr_expect_eq(scenario->chaos.kinds, (1U << FAULT_CRASH) | (1U << FAULT_CUT));
    cr_expect_eq(scenario->chaos.core_ppm, 500000);
    scenario_free(scenario);
}

Test(scenario, reads_loads) {
    struct scenario *scenario = parsed(
        MESH "load:\n"
             "  - broadcast: {from: 5, count: 12, every: 1s, bytes: 100..200}\n"
             "  - services: {of: all, count: 2, before-form: true}\n"
             "  - streams: {from: [1, 3], to: 5..6, shape: echo, bytes: 1KiB..1MiB, at-a-time: 4}\n"
             "  - unicast: {at: 5s, until: 10s}\n"
             "  - streams: {shape: bulk, rate-after: 2s}\n");
    const struct scenario_load *loads = scenario->loads;
    cr_assert_eq(scenario->load_count, 5);
    cr_expect_eq(loads[0].kind, LOAD_BROADCAST);
    cr_expect_eq(loads[0].who.kind, PICK_COUNT);
    cr_expect_eq(loads[0].who.count, 5);
    cr_expect_eq(loads[0].count, 12);
    cr_expect_eq(loads[0].bytes.high, 200);
    cr_expect_eq(loads[1].who.kind, PICK_ALL);
    cr_expect(loads[1].is_before_form);
    cr_expect_eq(loads[2].shape, SHAPE_ECHO);
    cr_expect_eq(loads[2].streams, 4);
    cr_expect_eq(loads[2].who.list_count, 2);
    cr_expect_eq(loads[2].to.kind, PICK_LIST);
    cr_expect_eq(loads[2].to.list[1], 6);
    cr_expect_eq(loads[2].bytes.high, 1048576);
    cr_expect_eq(loads[3].every_ns, NS_PER_S);
    cr_expect_eq(loads[3].until_ns, 10 * NS_PER_S);
    cr_expect_eq(loads[4].rate_after_ns, 2 * NS_PER_S);
    cr_expect_str_eq(load_kind_name(LOAD_STREAMS), "streams");
    scenario_free(scenario);
}

Test(scenario, reads_faults) {
    struct scenario *scenario =
        parsed(MESH "faults:\n"
                    "  - {at: 10s, crash: 3, for: 20s, wipe: true, every: 5s, times: 4}\n"
                    "  - {at: 1s, partition: 50%, for: 1min, seen: true}\n"
                    "  - {at: 1s, silence: [3, 4], with: [7], for: 3s}\n"
                    "  - {at: 1s, deaf: 2}\n"
                    "  - {at: 1s, mute: [2], with: [5]}\n"
                    "  - {at: 1s, flap: [0], every: 10ms, for: 60s}\n"
                    "  - {at: 1s, loss: all, share: 30%, one-way: true}\n"
                    "  - {at: 1s, slow: 1, factor: 7}\n"
                    "  - {at: 1s, clock: 1}\n"
                    "  - {at: 1s, liar: 1, lies: [forge, flood]}\n"
                    "  - {at: 1s, liar: 1}\n"
                    "  - {at: 1s, delay: 1, by: 200ms}\n"
                    "  - {at: 60s, heal: all}\n");
    const struct scenario_fault *faults = scenario->faults;
    cr_assert_eq(scenario->fault_count, 13);
    cr_expect(faults[0].loses_state && faults[0].count == 4);
    cr_expect_eq(faults[0].every_ns, 5 * NS_PER_S);
    cr_expect_eq(faults[1].who.ppm, 500000);
    cr_expect(faults[1].is_seen && !faults[1].is_one_way);
    cr_expect_eq(faults[2].to.list[0], 7);
    cr_expect_eq(faults[3].kind, FAULT_ONE_WAY);
    cr_expect_eq(faults[3].who.kind, PICK_ALL);
    cr_expect_eq(faults[3].to.count, 2);
    cr_expect_eq(faults[4].who.list[0], 2);
    cr_expect_eq(faults[5].span_ns, 60 * NS_PER_S);
    cr_expect(faults[6].is_one_way && faults[6].ppm == 300000);
    cr_expect_eq(faults[7].factor, 7);
    cr_expect_eq(faults[8].jump_ns, 3600 * NS_PER_S);
    cr_expect_eq(faults[9].lies, (uint32_t)(LIE_FORGE | LIE_FLOOD));
    cr_expect_eq(faults[10].lies, 127);
    cr_expect_eq(faults[11].delay_ns, 200 * NS_PER_MS);
    cr_expect_eq(faults[12].kind, FAULT_HEAL);
    scenario_free(scenario);
}

Test(scenario, every_kind_of_fault_has_a_name_that_can_be_written) {
    for (int kind = 0; kind < FAULT_KIND_COUNT; kind++) {
        char text[300];
        const char *name = fault_kind_name((enum fault_kind)kind);
        (void)snprintf(text, sizeof text, MESH "faults: [{at: 1s, %s: 1%s%s}]", name,
                       kind == FAULT_LOSS || kind == FAULT_MEMORY ? ", share: 1%" : "",
                       kind == FAULT_FLAP    ? ", every: 1s, for: 5s"
                       : kind == FAULT_DELAY ? ", by: 1s"
                                             : "");
        struct scenario *scenario = parsed(text);
        cr_expect_eq((int)scenario->faults[0].kind, kind, "%s", name);
        scenario_free(scenario);
    }
    cr_expect_str_eq(fault_kind_name(FAULT_KIND_COUNT), "?");
}

Test(scenario, every_kind_of_topology_has_a_name_that_can_be_written) {
    for (int kind = 0; kind < TOPOLOGY_KIND_COUNT; kind++) {
        char text[300];
        const char *name = topology_kind_name((enum topology_kind)kind);
        (void)snprintf(text, sizeof text, "name: x\nnodes: 20\ntopology: {kind: %s%s}", name,
                       kind == TOPOLOGY_SITES  ? ", hubs: 2"
                       : kind == TOPOLOGY_LIST ? ", edges: [[1, 0]]}\nnodes2: {a: 1"
                                               : "");
        if (kind != TOPOLOGY_LIST) {
            struct scenario *scenario = parsed(text);
            cr_expect_eq((int)scenario->topology.kind, kind, "%s", name);
            scenario_free(scenario);
        }
    }
    struct scenario *list = parsed("name: x\nnodes: 2\ntopology: {kind: list, edges: [[1, 0]]}");
    cr_expect_eq(list->topology.edges[0].a, 1);
    scenario_free(list);
}

static struct scenario_pick pick_of(const char *text, uint32_t *list, size_t max) {
    char all[300];
    (void)snprintf(all, sizeof all, SITES "faults: [{at: 1s, crash: %s}]", text);
    struct scenario *scenario = parsed(all);
    struct scenario_pick pick = scenario->faults[0].who;
    for (size_t i = 0; i < pick.list_count && i < max; i++) {
        list[i] = pick.list[i];
    }
    scenario_free(scenario);
    return pick;
}

Test(scenario, reads_picks) {
    uint32_t list[12];
    cr_expect_eq(pick_of("all", list, 12).kind, PICK_ALL);
    cr_expect_eq(pick_of("hubs", list, 12).kind, PICK_HUBS);
    cr_expect_eq(pick_of("sites", list, 12).kind, PICK_SITES);
    cr_expect_eq(pick_of("3", list, 12).count, 3);
    cr_expect_eq(pick_of("12.5%", list, 12).ppm, 125000);
    struct scenario_pick pick = pick_of("2 of sites", list, 12);
    cr_expect(pick.kind == PICK_COUNT && pick.among == PICK_SITES && pick.count == 2);
    pick = pick_of("50% of 2..5", list, 12);
    cr_expect(pick.kind == PICK_PPM && pick.among == PICK_LIST && pick.list_count == 4);
    pick = pick_of("[7, 1, 3..5]", list, 12);
    cr_expect(pick.kind == PICK_LIST && pick.list_count == 5);
    cr_expect(list[0] == 1 && list[1] == 3 && list[3] == 5 && list[4] == 7, "not in order");
    cr_expect_eq(pick_of("'0..11'", list, 12).list_count, 12);
}

Test(scenario, refuses_picks_that_mean_nothing) {
    static const char *const WRONG[] = {"0",      "0%",         "101%",      "some",      "[]",
                                        "[12]",   "[1, 1]",     "[1, 0..3]", "5..3",      "11..12",
                                        "13",     "9 of sites", "5 of",      "of hubs",   "2 of 3",
                                        "{a: 1}", "-1",         "[[1]]",     "5 of hubs", "''"};
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        char text[300];
        (void)snprintf(text, sizeof text, SITES "faults:\n  - {at: 1s, crash: %s}\n", WRONG[i]);
        refused(text, "f.yaml:5: faults[0].crash");
    }
    refused(MESH "load: [{broadcast: {from: hubs}}]", "load[0].broadcast.from: hubs and sites");
}

Test(scenario, names_file_line_and_key_of_an_error) {
    refused("name: x\nnodes: 10\ntopology:\n  kind: ring\nrun: 5\n",
            "f.yaml:5: run: expected a time, such as 300ms, 5s or 10min, not '5'");
    refused(MESH "link:\n  delay: 1ms\n  loss: 200%\n", "f.yaml:6: link.loss: expected a share");
    refused(MESH "load:\n  - broadcast:\n      bytes: x\n", "f.yaml:6: load[0].broadcast.bytes:");
}

Test(scenario, suggests_what_was_meant) {
    refused(MESH "topologie: {}\n", "f.yaml:4: topologie: unknown key; did you mean 'topology'?");
    refused(MESH "load: [{broadcast: {form: 5}}]", "did you mean 'from'?");
    refused(MESH "load: [{broadcast: {zebra: 5}}]", "expected one of from, count, bytes, every");
    refused("name: x\nnodes: 3\ntopology: {kind: rings}", "did you mean 'ring'?");
    refused("name: x\nnodes: 3\ntopology: {kind: zzzzzzz}", "expected one of line, ring, star");
    refused(MESH "chaos: {mode: safety, until: 1s, kinds: [crush]}", "did you mean 'crash'?");
}

Test(scenario, refuses_keys_that_mean_nothing_to_a_kind) {
    refused(MESH "faults: [{at: 1s, crash: 1, factor: 5}]",
            "faults[0].factor: means nothing to 'crash'; expected one of at, for, every, times, "
            "wipe");
    refused(MESH "load: [{broadcast: {to: 5}}]", "means nothing to 'broadcast'");
    refused("name: x\nnodes: 5\ntopology: {kind: ring, degree: 3}", "means nothing to 'ring'");
    refused(MESH "faults: [{at: 1s, crash: 1, cut: 1}]", "expected one fault");
    refused(MESH "faults: [{at: 1s, deaf: 1, cut: 1}]", "expected one fault");
    refused(MESH "faults: [{at: 1s}]", "expected one fault");
    refused(MESH "load: [{zebra: {}}]", "expected one of broadcast, unicast");
    refused(MESH "load: [{unicast: {}, broadcast: {}}]", "expected one of broadcast, unicast");
}

Test(scenario, checks_every_range) {
    refused("name: x\nnodes: 20001\ntopology: {kind: ring}", "nodes: expected 1 to 20000");
    refused("name: x\nnodes: 0\ntopology: {kind: ring}", "nodes: expected 1 to 20000");
    refused(MESH "heartbeat: 9ms", "heartbeat: expected 10ms to 2678400s, not '9ms'");
    refused(MESH "link: {delay: 1ms..61s}", "link.delay: expected 0 to 60s");
    refused(MESH "link: {rate: 999B/s}", "link.rate: expected 1000B/s to 12500000000B/s");
    refused(MESH "link: {buffer: 100}", "link.buffer: expected 4096 to");
    refused(MESH "faults: [{at: 1s, slow: 1, factor: 1}]", "faults[0].factor: expected 2 to");
    refused(MESH "faults: [{at: 1s, loss: 1, share: 0}]", "faults[0].share: expected more than 0");
    refused(MESH "load: [{unicast: {bytes: 60000}}]", "expected at most 48KiB a message");
    refused(MESH "discovery: maybe", "discovery: expected true or false, on or off");
    refused("name: X\nnodes: 3\ntopology: {kind: ring}", "name: expected a name of letters");
}

Test(scenario, checks_what_several_keys_say_together) {
    refused("nodes: 3\ntopology: {kind: ring}", "expected 'name'");
    refused("name: x\ntopology: {kind: ring}", "expected 'nodes'");
    refused("name: x\nnodes: 3", "expected 'topology'");
    refused("name: x\nnodes: 3\ntopology: {degree: 3}", "topology: expected 'kind'");
    refused("name: x\nnodes: 5\ntopology: {kind: random-regular, degree: 3}",
            "f.yaml:3: topology: no such graph");
    refused("name: x\nnodes: 3000\ntopology: {kind: full}", "at most 2000 nodes");
    refused("name: x\nnodes: 3\ntopology: {kind: list, edges: [[0, 1]]}", "no such graph");
    refused(MESH "run: 10s\nfaults: [{at: 11s, crash: 1}]", "faults[0]: begins after");
    refused(MESH "faults: [{at: 1s, crash: 1, times: 3}]", "expected 'every' with 'times'");
    refused(MESH "faults: [{at: 1s, crash: 1, every: 3s}]", "expected 'times' with 'every'");
    refused(MESH "faults: [{at: 1s, flap: 1, every: 3s}]", "expected 'every' and 'for'");
    refused(MESH "faults: [{at: 1s, delay: 1}]", "expected 'by'");
    refused(MESH "faults: [{at: 1s, loss: 1}]", "expected a 'share', such as 'share: 5%'");
    refused(MESH "load: [{broadcast: {at: 61s}}]", "begins after the run's end");
    refused(MESH "load: [{broadcast: {at: 6s, until: 5s}}]", "expected 'until' after 'at'");
    refused(MESH "load: [{broadcast: {count: 0}}]", "expected 'every'");
    refused(MESH "load: [{streams: {shape: echo, rate-after: 1s}}]", "expected 'shape: bulk'");
    refused(MESH "load: [{services: {before-form: true, at: 1s}}]", "either 'before-form' or 'at'");
    refused(MESH "chaos: {until: 1s}", "expected 'mode'");
    refused(MESH "chaos: {mode: safety, until: 61s}", "chaos.until: expected 'until' within");
    refused(MESH "form: {within: 5s, start-within: 6s}", "form.start-within: expected less");
    refused("name: x\nnodes: 10\ntopology: {kind: seed}\nform: {warm: on}",
            "form.warm: expected a topology whose links are its seeds");
}

Test(scenario, reads_expectations) {
    struct scenario *scenario =
        parsed(MESH "expect:\n  - broadcast.missed == 0\n  - broadcast.redundancy <= 0.10\n"
                    "  - broadcast.latency.p99 < 300ms\n  - traffic.seed_bytes >= 20MB\n"
                    "  - stream.rate.min > 90Mbit\n  - stream.resent_share <= 0.1%\n");
    const struct scenario_expect *expects = scenario->expects;
    cr_assert_eq(scenario->expect_count, 6);
    cr_expect_str_eq(expects[0].text, "broadcast.missed == 0");
    cr_expect_str_eq(expects[0].metric, "broadcast.missed");
    cr_expect_eq(expects[0].op, EXPECT_EQUAL);
    cr_expect(expects[1].unit == EXPECT_PLAIN && expects[1].value == 100000);
    cr_expect(expects[2].unit == EXPECT_NS && expects[2].value == 300000000);
    cr_expect_eq(expects[2].op, EXPECT_LESS);
    cr_expect(expects[3].unit == EXPECT_BYTES && expects[3].value == 20000000);
    cr_expect_eq(expects[3].op, EXPECT_AT_LEAST);
    cr_expect(expects[4].op == EXPECT_MORE && expects[4].value == 11250000);
    cr_expect(expects[5].unit == EXPECT_PPM && expects[5].value == 1000);
    scenario_free(scenario);
}

Test(scenario, refuses_expectations_that_cannot_be_asked) {
    static const char *const WRONG[] = {"x",        "x ==",    "x = 0",   "== 0",     "x == y",
                                        "x == 0 0", "x. == 0", ".x == 0", "x 0",      "X == 0",
                                        "x <== 3",  "[1]",     "x == -1", "x == 5 ms"};
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        char text[300];
        (void)snprintf(text, sizeof text, MESH "expect:\n  - %s\n", WRONG[i]);
        refused(text, "f.yaml:5: expect[0]: expected");
    }
}

Test(scenario, refuses_yaml_that_is_more_than_a_plain_tree) {
    refused("name: &a x\n", "f.yaml:1: expected no anchor");
    refused(MESH "about: *a\n", "");
    refused("name: !t x\n", "expected no tag");
    refused("link: &a {delay: 1ms}\nuplink: *a\n", "expected no anchor");
    refused(MESH "---\nname: y\n", "f.yaml:4: expected one document");
    refused(MESH "nodes: 11\n", "f.yaml:4: nodes: given twice");
    refused("[1, 2]", "expected a mapping of keys");
    refused("", "expected a mapping of keys");
    refused("# nothing\n", "expected a mapping of keys");
    refused("name: [x\n", "expected YAML");
    refused("name: \"a\\0b\"\n", "expected no NUL");
    refused("{[1]: 2}", "expected a key that is a text");
    refused("a: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", "nested too deeply");
    refused(MESH "load: 5", "load: expected a list, not a single value");
    refused(MESH "link: [1]", "link: expected a mapping, not a list");
}

Test(scenario, refuses_texts_beyond_its_bounds) {
    size_t len = (1U << 20) + 1;
    char *text = malloc(len + 1);
    memset(text, '#', len);
    text[len] = '\0';
    refused(text, "expected at most 1 MiB");
    size_t used = 0;
    for (int i = 0; i < 70; i++) {
        used += (size_t)snprintf(text + used, len - used, "k%d: 1\n", i);
    }
    refused(text, "expected fewer keys");
    used = (size_t)snprintf(text, len, MESH "about: ");
    memset(text + used, 'a', 700);
    text[used + 700] = '\0';
    refused(text, "about: expected a text of at most 600");
    free(text);
}

/* Cut short, or with a byte changed, a file is taken or refused with a message, never more. */
Test(scenario, survives_any_damage) {
    static const char TEXT[] =
        "name: x\nnodes: 12\ntopology: {kind: sites, hubs: 4, site-nodes: 2}\n"
        "load:\n  - streams: {from: [1, 3..5], to: hubs, bytes: 1KiB..1MiB}\n"
        "faults:\n  - {at: 1s, crash: 10% of sites, for: 5s}\nexpect:\n  - a.b <= 3ms\n";
    uint8_t seed[32] = {7};
    struct rng rng;
    rng_init(&rng, seed);
    for (size_t i = 0; i < 3000; i++) {
        char text[sizeof TEXT];
        struct scenario *scenario = NULL;
        struct scenario_error error = {""};
        memcpy(text, TEXT, sizeof TEXT);
        size_t len = i < sizeof TEXT ? i : sizeof TEXT - 1;
        for (size_t j = 0; i >= sizeof TEXT && j < 1 + i % 3; j++) {
            text[rng_below(&rng, len)] = (char)rng_below(&rng, 256);
        }
        enum weft_err err = scenario_parse(text, len, "f", &scenario, &error);
        cr_assert(err == WEFT_OK || (err == WEFT_ERR_INVALID && error.text[0] != '\0'));
        scenario_free(scenario);
    }
}

Test(scenario, a_file_that_is_not_there_is_said_so) {
    struct scenario *scenario = NULL;
    struct scenario_error error = {""};
    cr_expect_eq(scenario_read("/nonexistent/x.yaml", &scenario, &error), WEFT_ERR_NOT_FOUND);
    cr_expect(strstr(error.text, "/nonexistent/x.yaml: cannot be read") != NULL);
    cr_expect_eq(scenario_read("/", &scenario, &error), WEFT_ERR_INVALID);
}
