/* SPDX-License-Identifier: Apache-2.0
 *
 * The YAML file: a document tree walked by hand, so that every error names its line and key. The
 * walk is as deep as our keys are, whatever the document nests or refers back to.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <yaml.h>

#include "base/check.h"
#include "node/config_parse.h"
#include "node/config_settings.h"

struct reader {
    struct config_loader *loader;
    yaml_document_t *document;
    const char *path;
};

/* Origin is "FILE:LINE: KEY", the key left out where there is none. */
static void set_origin(struct reader *reader, const yaml_node_t *node, const char *key) {
    (void)snprintf(reader->loader->origin, sizeof reader->loader->origin, "%.250s:%zu%s%.200s",
                   reader->path, node->start_mark.line + 1, key[0] == '\0' ? "" : ": ", key);
}

static const char *kind_of(const yaml_node_t *node) {
    switch (node->type) {
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

/* A scalar's text, or NULL for another node or a text with a NUL inside. */
static const char *text_of(const yaml_node_t *node) {
    if (node->type != YAML_SCALAR_NODE) {
        return NULL;
    }
    const char *text = (const char *)node->data.scalar.value;
    return strlen(text) == node->data.scalar.length ? text : NULL;
}

static yaml_node_t *node_at(struct reader *reader, int index) {
    return yaml_document_get_node(reader->document, index);
}

/* Whether an earlier pair of the mapping has the same key; its node if so. */
static const yaml_node_t *earlier_key(struct reader *reader, const yaml_node_t *mapping,
                                      const yaml_node_pair_t *pair) {
    const char *key = text_of(node_at(reader, pair->key));
    for (yaml_node_pair_t *other = mapping->data.mapping.pairs.start; other < pair; other++) {
        const yaml_node_t *node = node_at(reader, other->key);
        if (strcmp(text_of(node), key) == 0) { /* checked when its turn was */
            return node;
        }
    }
    return NULL;
}

/* Handles one pair: `path` is the key with the groups it stands in. */
typedef enum weft_err pair_handler(struct reader *reader, const char *path, const yaml_node_t *key,
                                   const yaml_node_t *value);

static enum weft_err walk_pair(struct reader *reader, const yaml_node_t *mapping,
                               const yaml_node_pair_t *pair, const char *prefix,
                               pair_handler *handle) {
    char path[300];
    const yaml_node_t *key = node_at(reader, pair->key);
    const char *text = text_of(key);
    set_origin(reader, key, prefix);
    if (text == NULL) {
        return config_fail(reader->loader, "expected a key that is a text, not %s", kind_of(key));
    }
    (void)snprintf(path, sizeof path, "%s%s%.150s", prefix, prefix[0] == '\0' ? "" : ".", text);
    set_origin(reader, key, path);
    const yaml_node_t *earlier = earlier_key(reader, mapping, pair);
    if (earlier != NULL) {
        return config_fail(reader->loader, "given twice, first in line %zu; expected it once",
                           earlier->start_mark.line + 1);
    }
    return handle(reader, path, key, node_at(reader, pair->value));
}

static enum weft_err walk_mapping(struct reader *reader, const yaml_node_t *mapping,
                                  const char *prefix, pair_handler *handle) {
    enum weft_err err = WEFT_OK;
    for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
         err == WEFT_OK && pair < mapping->data.mapping.pairs.top; pair++) {
        err = walk_pair(reader, mapping, pair, prefix, handle);
    }
    return err;
}

/* Applies a scalar, or each scalar of a list; `name` goes before each as "NAME=" unless NULL. */
static enum weft_err apply_one(struct reader *reader, const struct config_setting *setting,
                               const char *path, const char *name, const yaml_node_t *node) {
    char pair[1024];
    const char *text = text_of(node);
    set_origin(reader, node, path);
    if (text == NULL) {
        return config_fail(reader->loader, "expected %s, not %s", setting->expected, kind_of(node));
    }
    if (name == NULL) {
        return config_apply(reader->loader, setting, text);
    }
    if ((size_t)snprintf(pair, sizeof pair, "%s=%s", name, text) >= sizeof pair ||
        strchr(name, '=') != NULL) {
        return config_fail(reader->loader, "expected %s", setting->expected);
    }
    return config_apply(reader->loader, setting, pair);
}

static enum weft_err apply_each(struct reader *reader, const struct config_setting *setting,
                                const char *path, const char *name, const yaml_node_t *node) {
    if (node->type != YAML_SEQUENCE_NODE) {
        return apply_one(reader, setting, path, name, node);
    }
    enum weft_err err = WEFT_OK;
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         err == WEFT_OK && item < node->data.sequence.items.top; item++) {
        err = apply_one(reader, setting, path, name, node_at(reader, *item));
    }
    return err;
}

/* A service written out: {endpoints: ..., protocol: ...}. */

static const yaml_node_t *child_of(struct reader *reader, const yaml_node_t *mapping,
                                   const char *name) {
    for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
         pair < mapping->data.mapping.pairs.top; pair++) {
        const char *text = text_of(node_at(reader, pair->key));
        if (text != NULL && strcmp(text, name) == 0) {
            return node_at(reader, pair->value);
        }
    }
    return NULL;
}

static enum weft_err check_service_key(struct reader *reader, const char *path,
                                       const yaml_node_t *key, const yaml_node_t *value) {
    const char *text = text_of(key);
    (void)path;
    (void)value;
    if (strcmp(text, "endpoints") == 0 || strcmp(text, "protocol") == 0) {
        return WEFT_OK;
    }
    return config_fail(reader->loader, "unknown key; expected endpoints or protocol");
}

static enum weft_err apply_service_mapping(struct reader *reader,
                                           const struct config_setting *setting, const char *path,
                                           const char *name, const yaml_node_t *mapping) {
    enum weft_err err = walk_mapping(reader, mapping, path, check_service_key);
    if (err != WEFT_OK) {
        return err;
    }
    const yaml_node_t *endpoints = child_of(reader, mapping, "endpoints");
    const yaml_node_t *protocol = child_of(reader, mapping, "protocol");
    set_origin(reader, mapping, path);
    if (endpoints == NULL ||
        (endpoints->type == YAML_SEQUENCE_NODE &&
         endpoints->data.sequence.items.start == endpoints->data.sequence.items.top)) {
        return config_fail(reader->loader, "expected endpoints: a HOST:PORT or a list of them");
    }
    err = apply_each(reader, setting, path, name, endpoints);
    if (err != WEFT_OK || protocol == NULL) {
        return err;
    }
    set_origin(reader, protocol, path);
    const char *text = text_of(protocol);
    return config_apply_protocol(reader->loader, name, text == NULL ? kind_of(protocol) : text);
}

static enum weft_err apply_service_pair(struct reader *reader, const char *path,
                                        const yaml_node_t *key, const yaml_node_t *value) {
    const struct config_setting *setting = config_setting_by_key("services");
    if (value->type == YAML_MAPPING_NODE) {
        return apply_service_mapping(reader, setting, path, text_of(key), value);
    }
    return apply_each(reader, setting, path, text_of(key), value);
}

static enum weft_err apply_forward_pair(struct reader *reader, const char *path,
                                        const yaml_node_t *key, const yaml_node_t *value) {
    return apply_one(reader, config_setting_by_key("forwards"), path, text_of(key), value);
}

static enum weft_err apply_label_pair(struct reader *reader, const char *path,
                                      const yaml_node_t *key, const yaml_node_t *value) {
    return apply_one(reader, config_setting_by_key("labels"), path, text_of(key), value);
}

static pair_handler *table_handler(const char *key) {
    if (strcmp(key, "services") == 0) {
        return apply_service_pair;
    }
    return strcmp(key, "forwards") == 0 ? apply_forward_pair : apply_label_pair;
}

static enum weft_err apply_setting(struct reader *reader, const struct config_setting *setting,
                                   const yaml_node_t *value) {
    switch (setting->shape) {
    case CONFIG_SCALAR:
        return apply_one(reader, setting, setting->key, NULL, value);
    case CONFIG_LIST:
        return apply_each(reader, setting, setting->key, NULL, value);
    case CONFIG_TABLE:
        break;
    }
    if (value->type != YAML_MAPPING_NODE) {
        return config_fail(reader->loader,
                           "expected a mapping of names, each to a value as in %s; "
                           "not %s",
                           setting->expected, kind_of(value));
    }
    return walk_mapping(reader, value, setting->key, table_handler(setting->key));
}

/* Unknown keys. Candidates are the keys of the same group, or all keys and groups at the top. */
static enum weft_err refuse_key(struct reader *reader, const char *path) {
    const char *candidates[64] = {"log", "limits", "udp"};
    size_t count = strchr(path, '.') == NULL ? 3 : 0;
    for (size_t i = 0; i < config_setting_count() && count < 64; i++) {
        const char *key = config_setting_at(i)->key;
        bool is_inner = strchr(key, '.') != NULL;
        if (is_inner == (strchr(path, '.') != NULL)) {
            candidates[count++] = key;
        }
    }
    const char *likely = config_suggest(path, candidates, count);
    if (likely != NULL) {
        return config_fail(reader->loader, "unknown key; did you mean '%s'?", likely);
    }
    return config_fail(reader->loader, "unknown key; expected one that weft.yaml(5) names");
}

static enum weft_err apply_group_pair(struct reader *reader, const char *path,
                                      const yaml_node_t *key, const yaml_node_t *value) {
    const struct config_setting *setting = config_setting_by_key(path);
    (void)key;
    return setting == NULL ? refuse_key(reader, path) : apply_setting(reader, setting, value);
}

static bool is_group(const char *path) {
    return strcmp(path, "log") == 0 || strcmp(path, "limits") == 0 || strcmp(path, "udp") == 0;
}

static enum weft_err apply_top_pair(struct reader *reader, const char *path, const yaml_node_t *key,
                                    const yaml_node_t *value) {
    if (!is_group(path)) {
        bool is_dotted = strchr(path, '.') != NULL;
        return is_dotted ? refuse_key(reader, path) : apply_group_pair(reader, path, key, value);
    }
    if (value->type != YAML_MAPPING_NODE) {
        return config_fail(reader->loader, "expected a mapping, not %s", kind_of(value));
    }
    return walk_mapping(reader, value, path, apply_group_pair);
}

/* The file as a whole. */

static enum weft_err fail_yaml(struct reader *reader, const yaml_parser_t *parser) {
    struct config_loader *loader = reader->loader;
    (void)snprintf(loader->origin, sizeof loader->origin, "%.250s:%zu", reader->path,
                   parser->problem_mark.line + 1);
    if (parser->error == YAML_MEMORY_ERROR) {
        (void)config_fail(loader, "out of memory");
        return WEFT_ERR_MEMORY;
    }
    return config_fail(loader, "expected YAML: %s",
                       parser->problem == NULL ? "cannot be read" : parser->problem);
}

static enum weft_err apply_document(struct reader *reader) {
    const yaml_node_t *root = yaml_document_get_root_node(reader->document);
    if (root == NULL) {
        return WEFT_OK; /* nothing but comments */
    }
    set_origin(reader, root, "");
    if (root->type != YAML_MAPPING_NODE) {
        bool is_empty = root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0;
        return is_empty ? WEFT_OK
                        : config_fail(reader->loader, "expected a mapping of keys, not %s",
                                      kind_of(root));
    }
    return walk_mapping(reader, root, "", apply_top_pair);
}

/* Loads and applies the next document; *is_end if there is none. */
static enum weft_err next_document(struct reader *reader, yaml_parser_t *parser, bool *is_end) {
    yaml_document_t document;
    if (yaml_parser_load(parser, &document) == 0) {
        return fail_yaml(reader, parser);
    }
    reader->document = &document;
    *is_end = yaml_document_get_root_node(&document) == NULL;
    enum weft_err err = apply_document(reader);
    yaml_document_delete(&document);
    reader->document = NULL;
    return err;
}

static enum weft_err refuse_second(struct reader *reader, yaml_parser_t *parser) {
    yaml_document_t document;
    if (yaml_parser_load(parser, &document) == 0) {
        return fail_yaml(reader, parser);
    }
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    enum weft_err err = WEFT_OK;
    if (root != NULL) {
        set_origin(reader, root, "");
        err = config_fail(reader->loader, "expected one document, not a second");
    }
    yaml_document_delete(&document);
    return err;
}

static enum weft_err read_stream(struct reader *reader, FILE *file) {
    yaml_parser_t parser;
    bool is_end = false;
    if (yaml_parser_initialize(&parser) == 0) {
        (void)config_fail(reader->loader, "out of memory");
        return WEFT_ERR_MEMORY;
    }
    yaml_parser_set_input_file(&parser, file);
    enum weft_err err = next_document(reader, &parser, &is_end);
    if (err == WEFT_OK && !is_end) {
        err = refuse_second(reader, &parser);
    }
    yaml_parser_delete(&parser);
    return err;
}

static enum weft_err check_file(struct config_loader *loader, FILE *file) {
    struct stat facts;
    if (file == NULL || fstat(fileno(file), &facts) != 0) {
        return config_fail(loader, "cannot be read: %s", strerror(errno));
    }
    if (!S_ISREG(facts.st_mode)) {
        return config_fail(loader, "expected a file");
    }
    if (facts.st_size > CONFIG_FILE_BYTES_MAX) {
        return config_fail(loader, "expected at most %d bytes", CONFIG_FILE_BYTES_MAX);
    }
    return WEFT_OK;
}

enum weft_err config_read_file(struct config_loader *loader, const char *path) {
    ASSERT(loader != NULL && path != NULL);
    struct reader reader = {.loader = loader, .path = path};
    loader->layer = CONFIG_LAYER_FILE;
    (void)snprintf(loader->origin, sizeof loader->origin, "%.250s", path);
    FILE *file = fopen(path, "re");
    enum weft_err err = check_file(loader, file);
    if (err == WEFT_OK) {
        err = read_stream(&reader, file);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return err;
}
