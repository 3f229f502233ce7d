/* SPDX-License-Identifier: Apache-2.0
 *
 * Layers: defaults, file, environment, flags, in that order onto one struct; then what is still
 * open is filled in and what must fit together is checked.
 */
#include "node/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "node/config_parse.h"
#include "node/config_settings.h"

static const char usage[] =
    "usage: weftd [FLAG]...\n"
    "\n"
    "Every flag has a variable and a key in the configuration file (weft.yaml(5)); flags win over\n"
    "variables, variables over the file.\n"
    "\n"
    "  --config FILE              WEFT_CONFIG       read this YAML file\n"
    "  --name NAME                WEFT_NAME         what to be called; default: the host's name\n"
    "  --listen [ADDR]:PORT ...   WEFT_LISTEN       accept links here; default: [::]:9338\n"
    "  --seed [PEER@]HOST[:PORT]  WEFT_SEED         join the mesh through this peer\n"
    "  --secret-file FILE         WEFT_SECRET_FILE  the mesh secret; default: STATE/secret\n"
    "  --state DIR                WEFT_STATE        key and store; default: /var/lib/weft as "
    "root,\n"
    "                                               else ~/.local/state/weft\n"
    "  --control SOCKET           WEFT_CONTROL      default: STATE/control.sock\n"
    "  --service NAME=HOST:PORT   WEFT_SERVICE      offer this to the mesh; NAME/udp over UDP\n"
    "  --forward NAME=[ADDR:]PORT WEFT_FORWARD      a local port for a service of the mesh\n"
    "  --discovery on|off         WEFT_DISCOVERY    off: dial seeds only; default: on\n"
    "  --share-ports on|off       WEFT_SHARE_PORTS  forwards share their ports with other daemons\n"
    "                                               of this machine that do; default: off\n"
    "  --degree N                 WEFT_DEGREE       links to keep in a large mesh; default: 8\n"
    "  --heartbeat DURATION       WEFT_HEARTBEAT    such as 1s (the default), 200ms, fast\n"
    "  --http ADDR:PORT           WEFT_HTTP         metrics and status, read-only; default: off\n"
    "  --log-level LEVEL          WEFT_LOG_LEVEL    error, warn, info (the default), debug\n"
    "  --log-format text|json     WEFT_LOG_FORMAT   default: text\n"
    "  --sandbox on|off           WEFT_SANDBOX      off: for debugging; default: on\n"
    "  --help, --version\n"
    "\n"
    "Lists in variables are separated by commas.\n";

const char *config_usage(void) {
    return usage;
}

void config_fini(struct config *config) {
    ASSERT(config != NULL);
    free(config->file);
    free(config->listen);
    free(config->seeds);
    free(config->secret_file);
    free(config->state);
    free(config->control);
    free(config->services);
    free(config->forwards);
    free(config->labels);
    memset(config, 0, sizeof *config);
}

static void set_defaults(struct config *config) {
    *config = (struct config){
        .may_discover = true,
        .degree = 8,
        .heartbeat = NS_PER_S,
        .log_level = TRACE_INFO,
        .log_format = CONFIG_LOG_TEXT,
        .is_sandboxed = true,
        .links_max = 512,
        .streams_max = 65536,
        .peers_max = 16384,
        .flows_max = 8192,
        .flow_idle = 120 * NS_PER_S,
        .flow_unanswered = 30 * NS_PER_S,
    };
}

static void set_origin(struct config_loader *loader, const char *prefix, const char *name) {
    (void)snprintf(loader->origin, sizeof loader->origin, "%s%.200s", prefix, name);
}

static enum weft_err fail_memory(struct config_loader *loader) {
    (void)config_fail(loader, "out of memory");
    return WEFT_ERR_MEMORY;
}

static enum weft_err fail_usage(struct config_loader *loader, const char *reason,
                                const char *suggestion) {
    (void)config_fail(loader, "%s%s%s%s", reason, suggestion == NULL ? "" : "; did you mean --",
                      suggestion == NULL ? "" : suggestion, suggestion == NULL ? "" : "?");
    loader->error->exit_status = CONFIG_EXIT_USAGE;
    return WEFT_ERR_INVALID;
}

/* Flags. */

/* One flag taken from argv: "--name VALUE" or "--name=VALUE". */
struct flag {
    char name[64];
    const char *value; /* NULL: there was none */
    int used;          /* arguments taken */
};

static struct flag flag_at(int argc, char *const argv[], int index) {
    struct flag flag = {.used = 1};
    const char *text = argv[index];
    if (strncmp(text, "--", 2) == 0) {
        text += 2;
    }
    size_t len = strcspn(text, "=");
    (void)snprintf(flag.name, sizeof flag.name, "%.*s", len > 63 ? 63 : (int)len, text);
    if (text[len] == '=') {
        flag.value = text + len + 1;
    } else if (index + 1 < argc) {
        flag.value = argv[index + 1];
        flag.used = 2;
    }
    return flag;
}

static enum weft_err refuse_flag(struct config_loader *loader, const char *argument,
                                 const char *name) {
    const char *candidates[64] = {"config", "help", "version"};
    size_t count = 3;
    for (size_t i = 0; i < config_setting_count() && count < 64; i++) {
        if (config_setting_at(i)->flag != NULL) {
            candidates[count++] = config_setting_at(i)->flag;
        }
    }
    set_origin(loader, "", argument);
    if (strncmp(argument, "--", 2) != 0) {
        return fail_usage(loader, "expected a flag; weftd --help lists them", NULL);
    }
    const char *likely = config_suggest(name, candidates, count);
    return fail_usage(
        loader, likely == NULL ? "unknown flag; weftd --help lists them" : "unknown flag", likely);
}

/* Applies one flag. The first pass, before the file is read, only looks for --config, --help and
 * --version; it also finds unknown flags, so that they are reported before anything else. */
enum pass {
    PASS_FIRST,
    PASS_APPLY,
};

static enum weft_err take_flag(struct config_loader *loader, const char *argument,
                               const struct flag *flag, enum pass pass) {
    const struct config_setting *setting = config_setting_by_flag(flag->name);
    bool is_config = strcmp(flag->name, "config") == 0;
    if (strncmp(argument, "--", 2) != 0 || (!is_config && setting == NULL)) {
        return refuse_flag(loader, argument, flag->name);
    }
    set_origin(loader, "--", flag->name);
    if (flag->value == NULL) {
        return fail_usage(loader, "expected a value after it", NULL);
    }
    if (pass == PASS_APPLY) {
        return is_config ? WEFT_OK : config_apply(loader, setting, flag->value);
    }
    if (is_config) {
        loader->file = flag->value;
    }
    return WEFT_OK;
}

static bool is_one_of(const char *text, const char *a, const char *b) {
    return strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

static enum weft_err take_flags(struct config_loader *loader, int argc, char *const argv[],
                                enum pass pass) {
    enum weft_err err = WEFT_OK;
    loader->layer = CONFIG_LAYER_FLAG;
    for (int i = 1; err == WEFT_OK && i < argc;) {
        if (is_one_of(argv[i], "--help", "-h")) {
            loader->config->wants_help = true;
            return WEFT_OK;
        }
        if (is_one_of(argv[i], "--version", "-V")) {
            loader->config->wants_version = true;
            return WEFT_OK;
        }
        struct flag flag = flag_at(argc, argv, i);
        err = take_flag(loader, argv[i], &flag, pass);
        i += flag.used;
    }
    return err;
}

/* The environment. */

/* A variable's value; NULL when unset or empty. */
static const char *variable_of(char *const environment[], const char *name) {
    size_t len = strlen(name);
    for (; environment != NULL && *environment != NULL; environment++) {
        if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=') {
            return (*environment)[len + 1] == '\0' ? NULL : *environment + len + 1;
        }
    }
    return NULL;
}

static enum weft_err apply_commas(struct config_loader *loader,
                                  const struct config_setting *setting, const char *value) {
    enum weft_err err = WEFT_OK;
    char *copy = strdup(value);
    if (copy == NULL) {
        return fail_memory(loader);
    }
    char *rest = copy;
    while (err == WEFT_OK && rest != NULL) {
        err = config_apply(loader, setting, strsep(&rest, ","));
    }
    free(copy);
    return err;
}

static enum weft_err take_environment(struct config_loader *loader, char *const environment[]) {
    enum weft_err err = WEFT_OK;
    loader->layer = CONFIG_LAYER_ENVIRONMENT;
    for (size_t i = 0; err == WEFT_OK && i < config_setting_count(); i++) {
        const struct config_setting *setting = config_setting_at(i);
        const char *value = variable_of(environment, setting->variable);
        if (value == NULL) {
            continue;
        }
        set_origin(loader, "", setting->variable);
        err = setting->shape == CONFIG_SCALAR ? config_apply(loader, setting, value)
                                              : apply_commas(loader, setting, value);
    }
    return err;
}

/* What is still open after all layers. */

static enum weft_err join_path(struct config_loader *loader, const char *folder, const char *rest,
                               char **out) {
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, rest) >= sizeof path) {
        return config_fail(loader, "the path is too long");
    }
    *out = strdup(path);
    return *out == NULL ? fail_memory(loader) : WEFT_OK;
}

static enum weft_err default_state(struct config_loader *loader, char *const environment[]) {
    const char *home = variable_of(environment, "HOME");
    const char *state_home = variable_of(environment, "XDG_STATE_HOME");
    set_origin(loader, "", "state");
    if (geteuid() == 0) {
        return join_path(loader, "/var/lib", "weft", &loader->config->state);
    }
    if (state_home != NULL && state_home[0] == '/') {
        return join_path(loader, state_home, "weft", &loader->config->state);
    }
    if (home == NULL) {
        return config_fail(loader, "expected --state, since HOME is not set");
    }
    return join_path(loader, home, ".local/state/weft", &loader->config->state);
}

static void default_name(struct config *config) {
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    host[strcspn(host, ".")] = '\0';
    config_name_from(host, config->name);
}

static enum weft_err fill_in(struct config_loader *loader, char *const environment[]) {
    struct config *config = loader->config;
    enum weft_err err = WEFT_OK;
    loader->layer = CONFIG_LAYER_DEFAULT;
    set_origin(loader, "", "defaults");
    if (loader->file != NULL) {
        config->file = strdup(loader->file);
        err = config->file == NULL ? fail_memory(loader) : WEFT_OK;
    }
    if (config->name[0] == '\0') {
        default_name(config);
    }
    if (err == WEFT_OK && config->listen_count == 0) {
        err = config_apply(loader, config_setting_by_key("listen"), "9338");
    }
    if (err == WEFT_OK && config->state == NULL) {
        err = default_state(loader, environment);
    }
    if (err == WEFT_OK && config->control == NULL) {
        err = join_path(loader, config->state, "control.sock", &config->control);
    }
    return err;
}

static enum weft_err check_whole(struct config_loader *loader) {
    const struct config *config = loader->config;
    struct sockaddr_un socket_name;
    if (strlen(config->control) >= sizeof socket_name.sun_path) {
        set_origin(loader, "", "control");
        return config_fail(loader, "expected a path of at most %zu characters, not '%.200s'",
                           sizeof socket_name.sun_path - 1, config->control);
    }
    if (config->degree > config->links_max) {
        set_origin(loader, "", "degree");
        return config_fail(loader, "expected at most limits.links (%u), not %u", config->links_max,
                           config->degree);
    }
    return WEFT_OK;
}

static enum weft_err take_layers(struct config_loader *loader, int argc, char *const argv[],
                                 char *const environment[]) {
    struct config *config = loader->config;
    enum weft_err err = take_flags(loader, argc, argv, PASS_FIRST);
    if (err != WEFT_OK || config->wants_help || config->wants_version) {
        return err;
    }
    if (loader->file == NULL) {
        loader->file = variable_of(environment, "WEFT_CONFIG");
    }
    if (loader->file != NULL) {
        err = config_read_file(loader, loader->file);
    }
    if (err == WEFT_OK) {
        err = take_environment(loader, environment);
    }
    if (err == WEFT_OK) {
        err = take_flags(loader, argc, argv, PASS_APPLY);
    }
    if (err == WEFT_OK) {
        err = fill_in(loader, environment);
    }
    return err == WEFT_OK ? check_whole(loader) : err;
}

enum weft_err config_load(int argc, char *const argv[], char *const environment[],
                          struct config *out, struct config_error *error) {
    ASSERT(out != NULL && error != NULL);
    struct config config;
    set_defaults(&config);
    struct config_loader loader = {.config = &config, .error = error};
    *error = (struct config_error){.exit_status = CONFIG_EXIT_INVALID};
    enum weft_err err = take_layers(&loader, argc, argv, environment);
    if (err != WEFT_OK) {
        config_fini(&config);
        return err;
    }
    *out = config;
    return WEFT_OK;
}
