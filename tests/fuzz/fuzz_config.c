/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration: the input as a YAML file, or, if it begins with "--", as flags, one a line.
 * What is refused says why, in one sentence, and with one of the two exit statuses.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "fuzz/fuzz.h"
#include "node/config.h"

#define INPUT_BYTES_MAX 65536
#define FLAGS_MAX 64

/* Arrays, since argv and environ are not const. */
static char program[] = "weftd";
static char config_flag[] = "--config";
static char home[] = "HOME=/nonexistent";
static char *const environment[] = {home, NULL};

static void try_load(int argc, char *argv[]) {
    struct config config;
    struct config_error error = {.exit_status = 0};
    enum weft_err err = config_load(argc, argv, environment, &config, &error);
    if (err == WEFT_OK) {
        ASSERT(config.listen_count <= CONFIG_LISTEN_MAX && config.seed_count <= CONFIG_SEEDS_MAX);
        ASSERT(config.wants_help || config.wants_version || config.degree >= 1);
        config_fini(&config);
        return;
    }
    ASSERT(err == WEFT_ERR_INVALID || err == WEFT_ERR_MEMORY);
    ASSERT(error.text[0] != '\0' && memchr(error.text, 0, sizeof error.text) != NULL);
    ASSERT(error.exit_status == CONFIG_EXIT_USAGE || error.exit_status == CONFIG_EXIT_INVALID);
}

static void try_file(const uint8_t *data, size_t size) {
    char path[64];
    int fd = memfd_create("weft.yaml", MFD_CLOEXEC);
    ASSERT(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    char *argv[] = {program, config_flag, path, NULL};
    try_load(3, argv);
    (void)close(fd);
}

/* A flag that names a file would make the result depend on the machine. */
static bool names_a_file(const char *flag) {
    return strncmp(flag, "--config", strlen("--config")) == 0;
}

static void try_flags(const uint8_t *data, size_t size) {
    char text[INPUT_BYTES_MAX + 1];
    char *argv[FLAGS_MAX + 2] = {program};
    int argc = 1;
    memcpy(text, data, size);
    text[size] = '\0';
    for (char *line = text; line < text + size && argc <= FLAGS_MAX; line += strlen(line) + 1) {
        line[strcspn(line, "\n")] = '\0';
        if (names_a_file(line)) {
            return;
        }
        argv[argc++] = line;
    }
    try_load(argc, argv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > INPUT_BYTES_MAX) {
        return 0;
    }
    if (size >= 2 && data[0] == '-' && data[1] == '-') {
        try_flags(data, size);
    } else {
        try_file(data, size);
    }
    return 0;
}
