/* SPDX-License-Identifier: Apache-2.0
 *
 * THE table of settings: key in the file, flag, variable, what is expected, and the function that
 * applies one text to the configuration. All layers end here, so a value means the same whichever
 * way it came.
 */
#ifndef NODE_CONFIG_SETTINGS_H
#define NODE_CONFIG_SETTINGS_H

#include "node/config.h"

enum config_layer {
    CONFIG_LAYER_DEFAULT,
    CONFIG_LAYER_FILE,
    CONFIG_LAYER_ENVIRONMENT,
    CONFIG_LAYER_FLAG,
};

enum config_shape {
    CONFIG_SCALAR, /* one value; the later wins */
    CONFIG_LIST,   /* values of one layer add up, those of a later layer replace them */
    CONFIG_TABLE,  /* NAME=VALUE; joined by name */
};

/* One load in progress. */
struct config_loader {
    struct config *config;
    struct config_error *error;
    enum config_layer layer;
    const char *file; /* the YAML file to read, if any: of argv or the environment */
    char origin[512]; /* where the present value came from: "weft.yaml:3: listen", "--listen" */
    /* Which layer wrote the lists, and each service, last. */
    enum config_layer listen_layer;
    enum config_layer seeds_layer;
    uint8_t service_layers[CONFIG_SERVICES_MAX];
};

struct config_setting {
    const char *key;  /* in the file; a dot leads into a group */
    const char *flag; /* without the dashes, or NULL */
    const char *variable;
    enum config_shape shape;
    const char *expected; /* ends the sentence "expected ..." */
    /* WEFT_ERR_INVALID: not what is expected. WEFT_ERR_FULL: too many. WEFT_ERR_MEMORY. */
    enum weft_err (*apply)(struct config_loader *loader, const char *value);
};

size_t config_setting_count(void);
const struct config_setting *config_setting_at(size_t index);
const struct config_setting *config_setting_by_key(const char *key);
const struct config_setting *config_setting_by_flag(const char *flag);

/* Applies one value; fills the error in on failure. */
WEFT_MUST_CHECK enum weft_err config_apply(struct config_loader *loader,
                                           const struct config_setting *setting, const char *value);

/* Sets the protocol ("tcp", "udp") of a service that this layer has given endpoints by its name
 * alone. */
WEFT_MUST_CHECK enum weft_err config_apply_protocol(struct config_loader *loader,
                                                    const char *service, const char *protocol);

/* Fills the error in as "ORIGIN: ..."; returns WEFT_ERR_INVALID. */
__attribute__((format(printf, 2, 3))) enum weft_err config_fail(struct config_loader *loader,
                                                                const char *format, ...);

/* Reads the YAML file into the loader's configuration (layer CONFIG_LAYER_FILE). */
WEFT_MUST_CHECK enum weft_err config_read_file(struct config_loader *loader, const char *path);

#endif
