/* SPDX-License-Identifier: Apache-2.0
 *
 * What the operator wants: defaults, then one YAML file, then WEFT_* in the environment, then
 * flags; the later wins. Single values and lists (listen, seeds) are replaced as a whole; tables
 * (services, forwards, labels) are joined by name.
 *
 * Every error names where the value came from (file and line, variable or flag), the key, and what
 * was expected. Reading never changes anything outside the struct, so a reload that fails leaves
 * the running configuration as it was.
 */
#ifndef NODE_CONFIG_H
#define NODE_CONFIG_H

#include "base/host.h"
#include "base/time.h"
#include "weft/types.h"

#define CONFIG_TEXT_BYTES 1024
#define CONFIG_EXIT_USAGE 2    /* a flag that does not exist or lacks its value */
#define CONFIG_EXIT_INVALID 78 /* EX_CONFIG */
#define CONFIG_DEFAULT_NAMESPACE "default"

/* Bounds on what one configuration may list: far beyond use, so that a wrong file cannot ask for
 * unbounded memory. */
#define CONFIG_LISTEN_MAX 8 /* WIRE_ADDRESSES_MAX: what a node may advertise */
#define CONFIG_SEEDS_MAX 256
#define CONFIG_SERVICES_MAX 256
#define CONFIG_FORWARDS_MAX 256
#define CONFIG_LABELS_MAX 16    /* WIRE_LABELS_MAX */
#define CONFIG_ENDPOINTS_MAX 16 /* WIRE_ENDPOINTS_MAX */
#define CONFIG_FILE_BYTES_MAX 1048576

/* "host:port" taken apart: host without brackets, or empty for every address. */
struct config_address {
    char host[256];
    uint16_t port;
};

/* A service of ours: what this node dials when somebody in the mesh opens it. */
struct config_service {
    char name_space[WEFT_NAME_MAX + 1];
    char name[WEFT_NAME_MAX + 1];
    uint8_t protocol; /* enum wire_protocol */
    char endpoints[CONFIG_ENDPOINTS_MAX][WEFT_ENDPOINT_MAX + 1];
    uint32_t endpoint_count;
};

/* A local port that leads to a service of the mesh. */
struct config_forward {
    char name_space[WEFT_NAME_MAX + 1];
    char name[WEFT_NAME_MAX + 1];
    uint8_t protocol;             /* enum wire_protocol */
    struct config_address listen; /* host "127.0.0.1" unless given; port 0: the kernel chooses */
};

struct config_seed {
    char endpoint[WEFT_ENDPOINT_MAX + 1]; /* "host:port", "[v6]:port" */
    bool is_peer_known;
    struct weft_peer_id peer; /* who must answer: written PEER@HOST:PORT */
};

struct config_label {
    char key[WEFT_NAME_MAX + 1];
    char value[WEFT_NAME_MAX + 1];
};

enum config_log_format {
    CONFIG_LOG_TEXT,
    CONFIG_LOG_JSON,
};

struct config {
    char *file; /* the YAML file that was read, or NULL */
    char name[WEFT_NAME_MAX + 1];
    struct config_address *listen;
    size_t listen_count;
    struct config_seed *seeds;
    size_t seed_count;
    char *secret_file; /* NULL: the state folder's own */
    char *state;
    char *control;
    struct config_service *services;
    size_t service_count;
    struct config_forward *forwards;
    size_t forward_count;
    struct config_label *labels; /* sorted by key */
    size_t label_count;
    bool may_discover;
    bool are_ports_shared; /* those of forwards, with other daemons of this machine */
    uint32_t degree;       /* 1 .. links_max */
    weft_ns heartbeat;     /* 50 ms .. 60 s */
    bool has_http;
    struct config_address http; /* loopback unless the operator says otherwise */
    enum trace_level log_level;
    enum config_log_format log_format;
    bool is_sandboxed; /* node/sandbox.h */
    uint32_t links_max;
    uint32_t streams_max;
    uint32_t peers_max;
    uint32_t flows_max;      /* of datagrams: 16 .. 65,536 */
    weft_ns flow_idle;       /* a flow ends after such a silence: 1 s .. 24 h */
    weft_ns flow_unanswered; /* and sooner while nobody answered */
    uint32_t buffers_mib;    /* for streams; 0: nobody said, and the host decides (node/memory.h) */
    bool wants_help;         /* --help was given: nothing else was checked */
    bool wants_version;      /* --version likewise */
};

/* Why a configuration was refused. */
struct config_error {
    char text[CONFIG_TEXT_BYTES]; /* one sentence: "weft.yaml:3: degree: expected ..." */
    int exit_status;              /* CONFIG_EXIT_USAGE or CONFIG_EXIT_INVALID */
};

/* Reads all layers. argv[0] is skipped; `environment` is as environ: NAME=VALUE texts, NULL-ended.
 * WEFT_ERR_INVALID with the error filled in, WEFT_ERR_MEMORY (filled in too). `out` needs no
 * initialisation and is written only on success; fini it then. */
WEFT_MUST_CHECK enum weft_err config_load(int argc, char *const argv[], char *const environment[],
                                          struct config *out, struct config_error *error);

/* Frees what the struct owns. Takes zeroed memory. */
void config_fini(struct config *config);

/* The text of --help: every flag with its variable and key. */
const char *config_usage(void);

#endif
