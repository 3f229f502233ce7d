/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/library.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/must.h"

#define SUFFIX ".yaml"

static bool is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool is_file(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && !S_ISDIR(status.st_mode);
}

/* The folder the program stands in. */
static bool program_folder(char out[LIBRARY_PATH_BYTES]) {
    ssize_t len = readlink("/proc/self/exe", out, LIBRARY_PATH_BYTES - 1);
    if (len <= 0) {
        return false;
    }
    out[len] = '\0';
    char *slash = strrchr(out, '/');
    if (slash == NULL) {
        return false;
    }
    *slash = '\0';
    return true;
}

/* Whether there is such a folder, seen from the program's. */
static bool is_beside(const char *program, const char *tail, char out[LIBRARY_PATH_BYTES]) {
    int len = snprintf(out, LIBRARY_PATH_BYTES, "%s/%s", program, tail);
    return len > 0 && len < LIBRARY_PATH_BYTES && is_folder(out);
}

bool library_folder(char out[LIBRARY_PATH_BYTES]) {
    /* As the source tree, then its build folders, then an installation has it. */
    static const char *const tails[] = {"../../../sim/scenarios", "../../sim/scenarios",
                                        "../share/weft/scenarios"};
    char program[LIBRARY_PATH_BYTES];
    const char *wanted = getenv("WEFT_SCENARIOS");
    if (wanted != NULL && wanted[0] != '\0') {
        (void)snprintf(out, LIBRARY_PATH_BYTES, "%s", wanted);
        return is_folder(out);
    }
    (void)snprintf(out, LIBRARY_PATH_BYTES, "sim/scenarios");
    if (is_folder(out)) {
        return true;
    }
    bool is_found = false;
    for (size_t i = 0; program_folder(program) && !is_found && i < sizeof(tails) / sizeof(tails[0]);
         i++) {
        is_found = is_beside(program, tails[i], out);
    }
    return is_found;
}

bool library_find(const char *file, char out[LIBRARY_PATH_BYTES]) {
    char folder[LIBRARY_PATH_BYTES];
    if (is_file(file)) {
        (void)snprintf(out, LIBRARY_PATH_BYTES, "%s", file);
        return true;
    }
    if (strchr(file, '/') != NULL || !library_folder(folder)) {
        return false;
    }
    int len = snprintf(out, LIBRARY_PATH_BYTES, "%s/%s" SUFFIX, folder, file);
    return len > 0 && len < LIBRARY_PATH_BYTES && is_file(out);
}

static bool is_scenario(const char *name) {
    size_t len = strlen(name);
    size_t suffix = strlen(SUFFIX);
    return name[0] != '.' && len > suffix && strcmp(name + len - suffix, SUFFIX) == 0;
}

static int compare_paths(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *join(const char *folder, const char *name) {
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = must(malloc(size));
    (void)snprintf(path, size, "%s/%s", folder, name);
    return path;
}

size_t library_list(char ***out) {
    char folder[LIBRARY_PATH_BYTES];
    char **paths = NULL;
    size_t count = 0;
    DIR *open = library_folder(folder) ? opendir(folder) : NULL;
    const struct dirent *entry = open != NULL ? readdir(open) : NULL;
    for (; entry != NULL; entry = readdir(open)) {
        if (is_scenario(entry->d_name)) {
            paths = must(realloc(paths, (count + 1) * sizeof(paths[0])));
            paths[count] = join(folder, entry->d_name);
            count++;
        }
    }
    if (open != NULL) {
        (void)closedir(open);
    }
    if (count > 0) {
        qsort(paths, count, sizeof(paths[0]), compare_paths);
    }
    *out = paths;
    return count;
}

void library_free(char **paths, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(paths[i]);
    }
    free(paths);
}
