/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/scenario.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "sim/must.h"
#include "sim/scenario_parse.h"

#define HOUR (3600 * NS_PER_S)

static const char *word_of(const struct choice *choices, uint32_t value) {
    for (; choices->word != NULL; choices++) {
        if (choices->value == value) {
            return choices->word;
        }
    }
    return "?";
}

const char *fault_kind_name(enum fault_kind kind) {
    return word_of(FAULT_KINDS, (uint32_t)kind);
}

const char *topology_kind_name(enum topology_kind kind) {
    return word_of(TOPOLOGY_KINDS, (uint32_t)kind);
}

const char *load_kind_name(enum load_kind kind) {
    return word_of(LOAD_KINDS, (uint32_t)kind);
}

static void set_network_defaults(struct scenario *scenario) {
    scenario->topology.degree = 8;
    scenario->topology.rewired_ppm = 100000;
    scenario->topology.seeds = 1;
    scenario->topology.site_nodes = 1;
    scenario->topology.site_uplinks = 2;
    scenario->topology.bridges = 1;
    scenario->link.delay_ns = (struct range){.low = 10 * NS_PER_MS, .high = 10 * NS_PER_MS};
    scenario->link.buffer = 262144;
    scenario->uplink = scenario->link;
}

struct scenario *scenario_new(const char *file) {
    struct scenario *scenario = must(calloc(1, sizeof(*scenario)));
    scenario->file = must(strdup(file));
    scenario->about = must(strdup(""));
    scenario->targets = must(strdup(""));
    scenario->has_discovery = true;
    scenario->degree = 8;
    scenario->heartbeat_ns = NS_PER_S;
    scenario->hold_ns = 60 * NS_PER_S;
    scenario->fade_ns = 24 * HOUR;
    scenario->form_within_ns = 60 * NS_PER_S;
    scenario->quiet_ns = 5 * NS_PER_S;
    scenario->run_ns = 60 * NS_PER_S;
    scenario->rest_ns = 30 * NS_PER_S;
    scenario->chaos.every_ns = NS_PER_S;
    scenario->chaos.kinds = ((1U << FAULT_HEAL) - 1);
    scenario->chaos.core_ppm = 600000;
    set_network_defaults(scenario);
    return scenario;
}

void scenario_free(struct scenario *scenario) {
    if (scenario == NULL) {
        return;
    }
    for (size_t i = 0; i < scenario->load_count; i++) {
        free(scenario->loads[i].who.list);
        free(scenario->loads[i].to.list);
    }
    for (size_t i = 0; i < scenario->fault_count; i++) {
        free(scenario->faults[i].who.list);
        free(scenario->faults[i].to.list);
    }
    free(scenario->loads);
    free(scenario->faults);
    free(scenario->expects);
    free(scenario->topology.edges);
    free(scenario->about);
    free(scenario->targets);
    free(scenario->file);
    free(scenario);
}

enum weft_err scenario_parse(const char *text, size_t len, const char *file, struct scenario **out,
                             struct scenario_error *error) {
    ASSERT(file != NULL && out != NULL && error != NULL);
    struct scan scan = {.file = file, .error = error};
    enum weft_err err = scan_open(&scan, text, len);
    if (err != WEFT_OK) {
        return err;
    }
    struct scenario *scenario = scenario_new(file);
    struct spot root = spot_root(&scan);
    err = fields_read(&root, SCENARIO_FIELDS, scenario);
    if (err == WEFT_OK) {
        err = scenario_check(&scan, scenario);
    }
    scan_close(&scan);
    if (err != WEFT_OK) {
        scenario_free(scenario);
        return err;
    }
    *out = scenario;
    return WEFT_OK;
}

/* Reads at most one byte more than is allowed, so that scan_open sees that it is too much. */
static enum weft_err read_stream(FILE *stream, const char *file, struct scenario **out,
                                 struct scenario_error *error) {
    char *text = must(malloc(SCENARIO_FILE_BYTES_MAX + 1));
    size_t len = fread(text, 1, SCENARIO_FILE_BYTES_MAX + 1, stream);
    enum weft_err err = WEFT_OK;
    if (ferror(stream) != 0) {
        (void)snprintf(error->text, sizeof error->text, "%.200s: cannot be read: %s", file,
                       strerror(errno));
        err = WEFT_ERR_INVALID;
    } else {
        err = scenario_parse(text, len, file, out, error);
    }
    free(text);
    return err;
}

enum weft_err scenario_read(const char *file, struct scenario **out, struct scenario_error *error) {
    ASSERT(file != NULL && out != NULL && error != NULL);
    FILE *stream = fopen(file, "re");
    if (stream == NULL) {
        (void)snprintf(error->text, sizeof error->text, "%.200s: cannot be read: %s", file,
                       strerror(errno));
        return WEFT_ERR_NOT_FOUND;
    }
    enum weft_err err = read_stream(stream, file, out, error);
    (void)fclose(stream);
    return err;
}

weft_ns scenario_last_fault(const struct scenario *scenario) {
    weft_ns last = scenario->chaos.mode != CHAOS_NONE ? scenario->chaos.until_ns : 0;
    for (size_t i = 0; i < scenario->fault_count; i++) {
        const struct scenario_fault *fault = &scenario->faults[i];
        uint64_t again = fault->count > 1 && fault->kind != FAULT_FLAP
                             ? (fault->count - 1) * fault->every_ns
                             : 0;
        weft_ns at = time_after(fault->at_ns, again);
        last = at > last ? at : last;
    }
    return last;
}
