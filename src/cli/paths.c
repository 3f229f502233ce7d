/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/paths.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/text.h"

/* Where the daemon of the system keeps its things, and where weft.service puts its socket. */
#define SYSTEM_STATE "/var/lib/weft"
#define SYSTEM_CONTROL "/run/weft/control.sock"

char *paths_join(const char *dir, const char *name) {
    char *path = NULL;
    return asprintf(&path, "%s/%s", dir, name) > 0 ? path : text_keep(NULL);
}

/* The variable's value, NULL if it is empty too. */
static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

char *paths_state(const char *given) {
    const char *dir = given != NULL ? given : variable("WEFT_STATE");
    const char *xdg = variable("XDG_STATE_HOME");
    const char *home = variable("HOME");
    if (dir == NULL && geteuid() == 0) {
        dir = SYSTEM_STATE;
    }
    if (dir != NULL) {
        return text_keep(strdup(dir));
    }
    if (xdg != NULL && xdg[0] == '/') {
        return paths_join(xdg, "weft");
    }
    return home != NULL ? paths_join(home, ".local/state/weft") : NULL;
}

char *paths_control(const char *given, const char *state) {
    const char *path = given != NULL ? given : variable("WEFT_CONTROL");
    if (path != NULL) {
        return text_keep(strdup(path));
    }
    char *own = paths_join(state, "control.sock");
    if (strcmp(state, SYSTEM_STATE) == 0 && access(own, F_OK) != 0 &&
        access(SYSTEM_CONTROL, F_OK) == 0) {
        free(own);
        return text_keep(strdup(SYSTEM_CONTROL));
    }
    return own;
}

static bool make_one(const char *path, mode_t mode) {
    return mkdir(path, mode) == 0 || errno == EEXIST;
}

bool paths_make_folder(const char *path) {
    char *copy = text_keep(strdup(path));
    bool is_good = true;
    for (char *slash = strchr(copy + 1, '/'); is_good && slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        is_good = make_one(copy, 0755);
        *slash = '/';
    }
    is_good = is_good && make_one(path, 0700);
    free(copy);
    return is_good;
}

char *paths_sibling(const char *name) {
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (len > 0) {
        self[len] = '\0';
        char *slash = strrchr(self, '/');
        *(slash != NULL ? slash : self) = '\0';
        char *path = paths_join(self, name);
        if (access(path, X_OK) == 0) {
            return path;
        }
        free(path);
    }
    return text_keep(strdup(name));
}
