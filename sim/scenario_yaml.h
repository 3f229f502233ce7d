/* SPDX-License-Identifier: Apache-2.0
 *
 * A scenario's text as a tree of YAML nodes, with the line of each, and how errors about it are
 * said. Knows nothing of scenarios.
 */
#ifndef SIM_SCENARIO_YAML_H
#define SIM_SCENARIO_YAML_H

#include <yaml.h>

#include "sim/scenario.h"

/* Bounds of what is read at all: a scenario is a page, an explicit topology a few thousand lines.
 */
#define SCENARIO_FILE_BYTES_MAX (1U << 20)
#define SCENARIO_DEPTH_MAX 8
#define SCENARIO_PATH_MAX 160

struct scan {
    yaml_document_t document;
    const char *file; /* for messages */
    struct scenario_error *error;
};

/* One node and where it stands: "faults[2].at". */
struct spot {
    struct scan *scan;
    const yaml_node_t *node;
    char path[SCENARIO_PATH_MAX];
};

/* Reads the text into scan->document, to scan_close. The text is one mapping, at most
 * SCENARIO_DEPTH_MAX deep, without anchors, aliases and tags, each key a text and given once.
 * WEFT_ERR_INVALID (the error is set). */
WEFT_MUST_CHECK enum weft_err scan_open(struct scan *scan, const char *text, size_t len);
void scan_close(struct scan *scan);

struct spot spot_root(struct scan *scan);

/* Sets the error to "FILE:LINE: PATH: ..." and returns WEFT_ERR_INVALID. */
__attribute__((format(printf, 2, 3))) enum weft_err spot_fail(const struct spot *spot,
                                                              const char *format, ...);

/* "a mapping", "a list", "a single value". */
const char *spot_kind(const struct spot *spot);

/* A single value's text; NULL for another node. */
const char *spot_text(const struct spot *spot);

/* The value of a mapping's key; false if there is none, or no mapping. */
bool spot_child(const struct spot *spot, const char *key, struct spot *out);

/* A list's elements, or a mapping's pairs in the order of the file; false past the end. */
size_t spot_count(const struct spot *spot);
bool spot_item(const struct spot *spot, size_t index, struct spot *out);
bool spot_pair(const struct spot *spot, size_t index, const char **key, struct spot *out);

/* The spot of a path such as "faults[2].at"; as much of it as there is. */
struct spot spot_find(struct scan *scan, const char *path);

#endif
