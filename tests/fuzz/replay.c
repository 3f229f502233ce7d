/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a fuzz target over the files and folders named: the corpora as ordinary tests, without
 * libFuzzer, under any compiler.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fuzz/fuzz.h"

#define INPUT_BYTES_MAX ((size_t)1 << 20)

static bool run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(INPUT_BYTES_MAX);
    if (file == NULL || bytes == NULL) {
        (void)fprintf(stderr, "%s: cannot be read\n", path);
        exit(1);
    }
    size_t len = fread(bytes, 1, INPUT_BYTES_MAX, file);
    (void)fclose(file);
    /* Of the input's own size, so that ASan sees a read one byte past its end. */
    uint8_t *exact = malloc(len > 0 ? len : 1);
    if (exact == NULL) {
        exit(1);
    }
    memcpy(exact, bytes, len);
    free(bytes);
    (void)printf("%s\n", path);
    (void)fflush(stdout);
    bool is_good = LLVMFuzzerTestOneInput(exact, len) == 0;
    free(exact);
    return is_good;
}

static size_t run_folder(const char *path) {
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort);
    size_t ran = 0;
    for (int i = 0; i < count; i++) {
        char file[4096];
        (void)snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        ran += entries[i]->d_name[0] != '.' && run_file(file);
        free(entries[i]);
    }
    free(entries);
    return ran;
}

int main(int argc, char *argv[]) {
    size_t ran = 0;
    for (int i = 1; i < argc; i++) {
        struct stat facts;
        bool is_folder = stat(argv[i], &facts) == 0 && S_ISDIR(facts.st_mode);
        ran += is_folder ? run_folder(argv[i]) : (size_t)run_file(argv[i]);
    }
    (void)printf("%zu inputs\n", ran);
    return ran > 0 ? 0 : 1; /* an empty corpus is a mistake */
}
