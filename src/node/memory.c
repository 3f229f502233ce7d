/* SPDX-License-Identifier: Apache-2.0
 *
 * Source: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of Linux.
 */
#include "node/memory.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MIB ((uint64_t)1024 * 1024)
#define BUFFERS_MIB_MIN 8
#define BUFFERS_MIB_MAX 512
#define DEPTH_MAX 64 /* of cgroups in one another */

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* A file's number; UINT64_MAX for "max", no file, or anything else. */
static uint64_t read_number(const char *path) {
    char text[32] = "";
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return UINT64_MAX;
    }
    bool has_text = fgets(text, sizeof text, file) != NULL;
    (void)fclose(file);
    char *end = text;
    unsigned long long number = has_text ? strtoull(text, &end, 10) : 0;
    return end != text ? number : UINT64_MAX;
}

/* The group's limit and those above it: any of them may be the one that bites. In a container the
 * path may be the host's, of which only the root is there. */
static uint64_t limit_along(const char *folder, const char *group, const char *file) {
    char path[PATH_MAX];
    char at[PATH_MAX];
    uint64_t limit = UINT64_MAX;
    (void)snprintf(at, sizeof at, "%s", group);
    for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
        if ((size_t)snprintf(path, sizeof path, "%s%s/%s", folder, at, file) < sizeof path) {
            limit = least(limit, read_number(path));
        }
        char *slash = strrchr(at, '/');
        if (slash == NULL) {
            break;
        }
        *slash = '\0';
    }
    return limit;
}

/* "4:memory:/group" of version 1, "0::/group" of version 2. */
uint64_t memory_cgroup_limit(const char *root, const char *line) {
    char folder[PATH_MAX];
    char group[PATH_MAX];
    const char *controllers = strchr(line, ':');
    const char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL || path[1] != '/') {
        return UINT64_MAX;
    }
    size_t len = (size_t)(path - controllers - 1);
    bool is_two = len == 0;
    if (!is_two && (len != 6 || strncmp(controllers + 1, "memory", len) != 0)) {
        return UINT64_MAX;
    }
    (void)snprintf(folder, sizeof folder, "%s%s", root, is_two ? "" : "/memory");
    (void)snprintf(group, sizeof group, "%.*s", (int)strcspn(path + 1, "\n"), path + 1);
    if (strcmp(group, "/") == 0) {
        group[0] = '\0';
    }
    return limit_along(folder, group, is_two ? "memory.max" : "memory.limit_in_bytes");
}

static uint64_t cgroups_limit(void) {
    char line[PATH_MAX];
    uint64_t limit = UINT64_MAX;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        limit = least(limit, memory_cgroup_limit("/sys/fs/cgroup", line));
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return limit;
}

uint64_t memory_limit(void) {
    struct rlimit space;
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_bytes = sysconf(_SC_PAGESIZE);
    uint64_t limit = cgroups_limit();
    if (pages > 0 && page_bytes > 0) {
        limit = least(limit, (uint64_t)pages * (uint64_t)page_bytes);
    }
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) {
        limit = least(limit, space.rlim_cur);
    }
    return limit;
}

uint32_t memory_buffers_mib(uint64_t limit) {
    uint64_t mib = limit / 2 / MIB;
    mib = mib < BUFFERS_MIB_MIN ? BUFFERS_MIB_MIN : mib;
    return (uint32_t)least(mib, BUFFERS_MIB_MAX);
}
