/* SPDX-License-Identifier: Apache-2.0
 *
 * The text is read twice: once as events, to refuse what is too deep or refers to other parts of
 * itself, and once as a document.
 */
#include "sim/scenario_yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "sim/must.h"

/* Of one mapping; each is compared with all before it. More than any of ours has. */
#define KEYS_MAX 64

static enum weft_err fail_at(struct scan *scan, size_t line, const char *path, const char *text) {
    (void)snprintf(scan->error->text, sizeof scan->error->text, "%.120s:%zu: %s%s%s", scan->file,
                   line, path, path[0] == '\0' ? "" : ": ", text);
    return WEFT_ERR_INVALID;
}

enum weft_err spot_fail(const struct spot *spot, const char *format, ...) {
    char text[sizeof spot->scan->error->text];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args); /* NOLINT(clang-analyzer-valist.*): started */
    va_end(args);
    return fail_at(spot->scan, spot->node->start_mark.line + 1, spot->path, text);
}

/* The first reading. */

static void parser_over(yaml_parser_t *parser, const char *text, size_t len) {
    if (yaml_parser_initialize(parser) == 0) {
        must(NULL);
    }
    yaml_parser_set_input_string(parser, (const unsigned char *)text, len);
}

static enum weft_err fail_yaml(struct scan *scan, const yaml_parser_t *parser) {
    char text[160];
    const char *problem = parser->problem == NULL ? "cannot be read" : parser->problem;
    (void)snprintf(text, sizeof text, "expected YAML: %.140s", problem);
    return fail_at(scan, parser->problem_mark.line + 1, "", text);
}

static const char *refusal_of_scalar(const yaml_event_t *event) {
    if (event->data.scalar.anchor != NULL) {
        return "expected no anchor (&name)";
    }
    if (event->data.scalar.tag != NULL) {
        return "expected no tag (!name)";
    }
    size_t len = strlen((const char *)event->data.scalar.value);
    return len == event->data.scalar.length ? NULL : "expected no NUL in a text";
}

static const char *refusal_of_group(const unsigned char *anchor, const unsigned char *tag,
                                    unsigned *depth) {
    (*depth)++;
    if (*depth > SCENARIO_DEPTH_MAX) {
        return "nested too deeply";
    }
    if (anchor != NULL) {
        return "expected no anchor (&name)";
    }
    return tag == NULL ? NULL : "expected no tag (!name)";
}

/* What is wrong with an event, or NULL. */
static const char *refusal_of(const yaml_event_t *event, unsigned *depth, unsigned *documents) {
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return "expected no alias (*name)";
    case YAML_SCALAR_EVENT:
        return refusal_of_scalar(event);
    case YAML_MAPPING_START_EVENT:
        return refusal_of_group(event->data.mapping_start.anchor, event->data.mapping_start.tag,
                                depth);
    case YAML_SEQUENCE_START_EVENT:
        return refusal_of_group(event->data.sequence_start.anchor, event->data.sequence_start.tag,
                                depth);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        (*depth)--;
        return NULL;
    case YAML_DOCUMENT_START_EVENT:
        (*documents)++;
        return *documents > 1 ? "expected one document, not a second" : NULL;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
    return NULL;
}

static enum weft_err check_events(struct scan *scan, yaml_parser_t *parser) {
    unsigned depth = 0;
    unsigned documents = 0;
    bool is_end = false;
    while (!is_end) {
        yaml_event_t event;
        if (yaml_parser_parse(parser, &event) == 0) {
            return fail_yaml(scan, parser);
        }
        const char *refusal = refusal_of(&event, &depth, &documents);
        size_t line = event.start_mark.line + 1;
        is_end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        if (refusal != NULL) {
            return fail_at(scan, line, "", refusal);
        }
    }
    return WEFT_OK;
}

/* The second. */

static const yaml_node_t *node_at(struct scan *scan, int index) {
    return yaml_document_get_node(&scan->document, index);
}

static const char *key_at(struct scan *scan, const yaml_node_pair_t *pair) {
    const yaml_node_t *key = node_at(scan, pair->key);
    return key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value : NULL;
}

/* Whether an earlier pair of the mapping has the key of this one. */
static bool is_repeated(struct scan *scan, const yaml_node_t *mapping,
                        const yaml_node_pair_t *pair) {
    const char *key = key_at(scan, pair);
    for (yaml_node_pair_t *earlier = mapping->data.mapping.pairs.start; earlier < pair; earlier++) {
        if (strcmp(key, key_at(scan, earlier)) == 0) {
            return true;
        }
    }
    return false;
}

/* Refuses keys that are no texts, and keys given twice. */
static enum weft_err check_mapping(struct scan *scan, const yaml_node_t *mapping) {
    yaml_node_pair_t *start = mapping->data.mapping.pairs.start;
    if (mapping->data.mapping.pairs.top - start > KEYS_MAX) {
        return fail_at(scan, mapping->start_mark.line + 1, "", "expected fewer keys");
    }
    for (yaml_node_pair_t *pair = start; pair < mapping->data.mapping.pairs.top; pair++) {
        const char *key = key_at(scan, pair);
        size_t line = node_at(scan, pair->key)->start_mark.line + 1;
        if (key == NULL) {
            return fail_at(scan, line, "", "expected a key that is a text");
        }
        if (is_repeated(scan, mapping, pair)) {
            return fail_at(scan, line, key, "given twice; expected it once");
        }
    }
    return WEFT_OK;
}

static enum weft_err check_document(struct scan *scan) {
    const yaml_node_t *root = yaml_document_get_root_node(&scan->document);
    if (root == NULL || root->type != YAML_MAPPING_NODE) {
        return fail_at(scan, 1, "", "expected a mapping of keys, such as 'name: ...'");
    }
    enum weft_err err = WEFT_OK;
    for (yaml_node_t *node = scan->document.nodes.start;
         node < scan->document.nodes.top && err == WEFT_OK; node++) {
        if (node->type == YAML_MAPPING_NODE) {
            err = check_mapping(scan, node);
        }
    }
    return err;
}

static enum weft_err load_document(struct scan *scan, const char *text, size_t len) {
    yaml_parser_t parser;
    parser_over(&parser, text, len);
    enum weft_err err = WEFT_OK;
    if (yaml_parser_load(&parser, &scan->document) == 0) {
        err = fail_yaml(scan, &parser);
    }
    yaml_parser_delete(&parser);
    if (err == WEFT_OK) {
        err = check_document(scan);
        if (err != WEFT_OK) {
            yaml_document_delete(&scan->document);
        }
    }
    return err;
}

enum weft_err scan_open(struct scan *scan, const char *text, size_t len) {
    ASSERT(scan->file != NULL && scan->error != NULL && (text != NULL || len == 0));
    yaml_parser_t parser;
    if (len > SCENARIO_FILE_BYTES_MAX) {
        return fail_at(scan, 1, "", "expected at most 1 MiB");
    }
    parser_over(&parser, text, len);
    enum weft_err err = check_events(scan, &parser);
    yaml_parser_delete(&parser);
    return err == WEFT_OK ? load_document(scan, text, len) : err;
}

void scan_close(struct scan *scan) {
    yaml_document_delete(&scan->document);
}

/* Walking. */

struct spot spot_root(struct scan *scan) {
    return (struct spot){.scan = scan, .node = yaml_document_get_root_node(&scan->document)};
}

const char *spot_kind(const struct spot *spot) {
    switch (spot->node->type) {
    case YAML_MAPPING_NODE:
        return "a mapping";
    case YAML_SEQUENCE_NODE:
        return "a list";
    case YAML_SCALAR_NODE:
        return "a single value";
    case YAML_NO_NODE:
        break;
    }
    return "nothing";
}

const char *spot_text(const struct spot *spot) {
    if (spot->node->type != YAML_SCALAR_NODE) {
        return NULL;
    }
    return (const char *)spot->node->data.scalar.value;
}

size_t spot_count(const struct spot *spot) {
    const yaml_node_t *node = spot->node;
    if (node->type == YAML_SEQUENCE_NODE) {
        return (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    }
    if (node->type == YAML_MAPPING_NODE) {
        return (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    }
    return 0;
}

bool spot_item(const struct spot *spot, size_t index, struct spot *out) {
    if (spot->node->type != YAML_SEQUENCE_NODE || index >= spot_count(spot)) {
        return false;
    }
    struct spot item = {.scan = spot->scan};
    item.node = node_at(spot->scan, spot->node->data.sequence.items.start[index]);
    (void)snprintf(item.path, sizeof item.path, "%.130s[%zu]", spot->path, index);
    *out = item;
    return true;
}

bool spot_pair(const struct spot *spot, size_t index, const char **key, struct spot *out) {
    if (spot->node->type != YAML_MAPPING_NODE || index >= spot_count(spot)) {
        return false;
    }
    const yaml_node_pair_t *pair = &spot->node->data.mapping.pairs.start[index];
    struct spot value = {.scan = spot->scan, .node = node_at(spot->scan, pair->value)};
    *key = key_at(spot->scan, pair);
    (void)snprintf(value.path, sizeof value.path, "%.100s%s%.40s", spot->path,
                   spot->path[0] == '\0' ? "" : ".", *key);
    *out = value;
    return true;
}

bool spot_child(const struct spot *spot, const char *key, struct spot *out) {
    const char *name = NULL;
    struct spot value;
    for (size_t i = 0; spot_pair(spot, i, &name, &value); i++) {
        if (strcmp(name, key) == 0) {
            *out = value;
            return true;
        }
    }
    return false;
}

/* Moves along the first step of the path; false at its end or where the text lacks it. */
static bool take_step(struct spot *spot, const char **path) {
    char key[64];
    const char *at = *path;
    if (at[0] == '[') {
        size_t index = strtoul(at + 1, NULL, 10);
        *path = at + strcspn(at, "]") + 1;
        return spot_item(spot, index, spot);
    }
    at += at[0] == '.' ? 1 : 0;
    size_t len = strcspn(at, ".[");
    (void)snprintf(key, sizeof key, "%.*s", (int)len, at);
    *path = at + len;
    return len > 0 && spot_child(spot, key, spot);
}

struct spot spot_find(struct scan *scan, const char *path) {
    struct spot spot = spot_root(scan);
    while (path[0] != '\0' && take_step(&spot, &path)) {
    }
    return spot;
}
