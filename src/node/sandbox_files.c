/* SPDX-License-Identifier: Apache-2.0
 *
 * Landlock: which files weftd may open from now on. A rule is about the folder that a path names at
 * the start and all below it, so files may be replaced under way, as editors and network managers
 * do. Looking at names and attributes stays free, as do sockets.
 *
 * Source: Documentation/userspace-api/landlock.rst of Linux 6.12 (ABI 6).
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "node/sandbox.h"

/* Of later versions than Debian 12's headers know. */
#define ACCESS_TRUNCATE ((uint64_t)1 << 14)  /* version 3 */
#define ACCESS_IOCTL_DEV ((uint64_t)1 << 15) /* version 5 */
#define SCOPE_SIGNAL ((uint64_t)1 << 1)      /* version 6 */

struct ruleset_attributes {
    uint64_t files;
    uint64_t net;    /* version 4: ports; any port may be dialled or forwarded, so unused */
    uint64_t scoped; /* version 6 */
};

#define READ_FILE ((uint64_t)LANDLOCK_ACCESS_FS_READ_FILE)
#define READ (READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define PLACE_SOCKET ((uint64_t)LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE)
#define WRITE_FILE (LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE)
#define KEEP (READ | WRITE_FILE | PLACE_SOCKET | LANDLOCK_ACCESS_FS_MAKE_REG)
#define EVERYTHING (((uint64_t)1 << 16) - 1)

struct rules {
    int ruleset;
    uint64_t handled; /* what this kernel knows */
};

/* The bits that a kernel of this version takes. */
static uint64_t known_by(long version) {
    uint64_t known = EVERYTHING;
    if (version < 5) {
        known &= ~ACCESS_IOCTL_DEV;
    }
    if (version < 3) {
        known &= ~ACCESS_TRUNCATE;
    }
    if (version < 2) {
        known &= ~(uint64_t)LANDLOCK_ACCESS_FS_REFER;
    }
    return known;
}

static size_t attributes_size(long version) {
    size_t fields = version >= 6 ? 3 : version >= 4 ? 2 : 1;
    return fields * sizeof(uint64_t);
}

static bool rules_new(struct rules *rules) {
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) {
        return false;
    }
    rules->handled = known_by(version);
    const struct ruleset_attributes attributes = {.files = rules->handled,
                                                  .scoped = version >= 6 ? SCOPE_SIGNAL : 0};
    rules->ruleset =
        (int)syscall(SYS_landlock_create_ruleset, &attributes, attributes_size(version), 0);
    return rules->ruleset >= 0;
}

/* Whether there is a rule for it now; what does not exist needs none. */
static bool allow(const struct rules *rules, const char *path, uint64_t access) {
    int file = open(path, O_PATH | O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    const struct landlock_path_beneath_attr rule = {.allowed_access = access & rules->handled,
                                                    .parent_fd = file};
    long failed =
        syscall(SYS_landlock_add_rule, rules->ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    (void)close(file);
    return failed == 0;
}

static bool allow_folder_of(const struct rules *rules, const char *path, uint64_t access) {
    char folder[PATH_MAX];
    size_t len = strlen(path);
    if (len >= sizeof folder) {
        return false;
    }
    memcpy(folder, path, len + 1);
    char *slash = strrchr(folder, '/');
    if (slash == NULL) {
        memcpy(folder, ".", 2);
    } else {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    return allow(rules, folder, access);
}

/* A file that may be replaced, or be a symbolic link to one that may. */
static void allow_replaced(const struct rules *rules, const char *path) {
    char *target = realpath(path, NULL);
    (void)allow_folder_of(rules, path, READ_FILE);
    if (target != NULL) {
        (void)allow_folder_of(rules, target, READ_FILE);
    }
    free(target);
}

/* For names (look-ups, and the libraries that glibc loads for them), time zones, and numbers about
 * ourselves. */
static void allow_system(const struct rules *rules) {
    static const char *const read_only[] = {"/etc",
                                            "/usr",
                                            "/lib",
                                            "/lib64",
                                            "/proc/self",
                                            "/sys/devices/system/cpu",
                                            "/run/systemd/resolve",
                                            "/run/NetworkManager",
                                            "/run/resolvconf",
                                            "/run/nscd",
                                            "/dev/urandom",
                                            "/dev/random"};
    for (size_t i = 0; i < sizeof read_only / sizeof read_only[0]; i++) {
        bool is_device = strncmp(read_only[i], "/dev/", 5) == 0;
        (void)allow(rules, read_only[i], is_device ? READ_FILE : READ);
    }
    (void)allow(rules, "/dev/null", READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE);
    allow_replaced(rules, "/etc/resolv.conf");
#ifdef WEFT_SANITIZED
    /* Its runtime looks at itself when it reports. */
    (void)allow(rules, "/proc", READ);
    allow_replaced(rules, "/proc/self/exe");
#endif
}

bool sandbox_files(const struct config *config) {
    struct rules rules;
    if (!rules_new(&rules)) {
        return false;
    }
    allow_system(&rules);
    if (config->file != NULL) {
        allow_replaced(&rules, config->file);
    }
    if (config->secret_file != NULL) {
        (void)allow(&rules, config->secret_file, READ_FILE);
    }
    /* Without its folder it could not run: rather no fence than that one. */
    bool is_in_force = allow(&rules, config->state, KEEP) &&
                       allow_folder_of(&rules, config->control, PLACE_SOCKET) &&
                       syscall(SYS_landlock_restrict_self, rules.ruleset, 0) == 0;
    (void)close(rules.ruleset);
    return is_in_force;
}
