/* SPDX-License-Identifier: Apache-2.0
 *
 * The state folder: modes, the lock between processes, the files of keys.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/statedir.h"
#include "support/failing_alloc.h"

/* A fresh folder that holds the state folder `state` of a test. */
struct scratch {
    char base[64];
    char state[96];
    char error[STATEDIR_TEXT_BYTES];
};

static struct scratch scratch_new(void) {
    struct scratch scratch = {.base = "/tmp/weft-state-XXXXXX"};
    cr_assert_not_null(mkdtemp(scratch.base));
    (void)snprintf(scratch.state, sizeof scratch.state, "%s/state", scratch.base);
    cr_assert_eq(noise_setup(), WEFT_OK);
    return scratch;
}

static void scratch_end(const struct scratch *scratch) {
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", scratch->base);
    cr_assert_eq(system(command), 0);
}

static struct statedir opened(struct scratch *scratch) {
    struct statedir dir;
    cr_assert_eq(statedir_open(scratch->state, &dir, scratch->error), WEFT_OK, "%s",
                 scratch->error);
    return dir;
}

static unsigned mode_of(const char *path) {
    struct stat facts;
    cr_assert_eq(stat(path, &facts), 0, "%s", path);
    return (unsigned)facts.st_mode & 07777;
}

static void write_text(const char *path, const char *text, mode_t mode) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    cr_assert_geq(file, 0, "%s", path);
    cr_assert_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    cr_assert_eq(fchmod(file, mode), 0);
    (void)close(file);
}

Test(statedir, is_made_with_its_parents_for_its_owner_alone) {
    struct scratch scratch = scratch_new();
    (void)umask(0);
    (void)snprintf(scratch.state, sizeof scratch.state, "%s/a/b/c", scratch.base);
    struct statedir dir = opened(&scratch);
    char parent[96];
    (void)snprintf(parent, sizeof parent, "%s/a", scratch.base);
    cr_assert_eq(mode_of(scratch.state), 0700);
    cr_assert_eq(mode_of(parent), 0700);
    statedir_close(&dir);
    statedir_close(&dir); /* zeroed is fine */
    scratch_end(&scratch);
}

Test(statedir, a_folder_that_others_can_use_is_refused_with_path_and_mode) {
    static const mode_t modes[] = {0750, 0701, 0770, 0777, 0704};
    struct scratch scratch = scratch_new();
    struct statedir dir = {.lock = -5};
    cr_assert_eq(mkdir(scratch.state, 0700), 0);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        char mode[8];
        (void)snprintf(mode, sizeof mode, "%04o", (unsigned)modes[i]);
        cr_assert_eq(chmod(scratch.state, modes[i]), 0);
        cr_assert_eq(statedir_open(scratch.state, &dir, scratch.error), WEFT_ERR_INVALID);
        cr_assert_not_null(strstr(scratch.error, scratch.state), "%s", scratch.error);
        cr_assert_not_null(strstr(scratch.error, mode), "%s", scratch.error);
        cr_assert_eq(dir.lock, -5, "written on failure");
        cr_assert_eq(mode_of(scratch.state), modes[i], "not repaired: it may have been read");
    }
    scratch_end(&scratch);
}

Test(statedir, a_file_in_its_place_or_on_its_way_is_refused) {
    struct scratch scratch = scratch_new();
    struct statedir dir;
    char below[128];
    write_text(scratch.state, "x", 0600);
    cr_assert_eq(statedir_open(scratch.state, &dir, scratch.error), WEFT_ERR_INVALID);
    cr_assert_not_null(strstr(scratch.error, "is not a folder"), "%s", scratch.error);
    (void)snprintf(below, sizeof below, "%s/below", scratch.state);
    cr_assert_eq(statedir_open(below, &dir, scratch.error), WEFT_ERR_IO);
    cr_assert_not_null(strstr(scratch.error, scratch.state), "%s", scratch.error);
    scratch_end(&scratch);
}

Test(statedir, a_second_daemon_is_refused_with_the_first_ones_pid) {
    struct scratch scratch = scratch_new();
    int ready[2];
    int done[2];
    char byte = 0;
    cr_assert(pipe(ready) == 0 && pipe(done) == 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        struct statedir held;
        bool is_held = statedir_open(scratch.state, &held, scratch.error) == WEFT_OK;
        (void)close(done[1]);
        (void)!write(ready[1], "x", 1);
        (void)!read(done[0], &byte, 1);
        _exit(is_held ? 0 : 1);
    }
    (void)close(done[0]);
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    struct statedir dir;
    char pid[32];
    (void)snprintf(pid, sizeof pid, "process %ld)", (long)child);
    cr_assert_eq(statedir_open(scratch.state, &dir, scratch.error), WEFT_ERR_EXISTS);
    cr_assert_not_null(strstr(scratch.error, pid), "%s", scratch.error);
    cr_assert_not_null(strstr(scratch.error, scratch.state), "%s", scratch.error);
    (void)close(done[1]);
    int status = 1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    dir = opened(&scratch); /* the lock dies with its process, and needs no cleaning up */
    statedir_close(&dir);
    scratch_end(&scratch);
}

Test(statedir, the_identity_is_made_once_and_stays) {
    struct scratch scratch = scratch_new();
    struct identity first;
    struct identity second;
    char path[128];
    struct statedir dir = opened(&scratch);
    (void)umask(0);
    cr_assert_eq(statedir_identity(&dir, &first, scratch.error), WEFT_OK, "%s", scratch.error);
    cr_assert_eq(statedir_identity(&dir, &second, scratch.error), WEFT_OK, "%s", scratch.error);
    cr_assert_arr_eq(first.key.bytes, second.key.bytes, WEFT_KEY_BYTES);
    cr_assert(statedir_path(&dir, "identity", path, sizeof path));
    cr_assert_eq(mode_of(path), 0600);
    cr_assert(statedir_path(&dir, "identity.new", path, sizeof path));
    cr_assert_neq(access(path, F_OK), 0, "no temporary file stays");
    statedir_close(&dir);
    scratch_end(&scratch);
}

static void check_identity_refused(const char *text, mode_t mode, enum weft_err expected,
                                   const char *reason) {
    struct scratch scratch = scratch_new();
    struct identity identity;
    char path[128];
    char kept[200] = "";
    struct statedir dir = opened(&scratch);
    cr_assert(statedir_path(&dir, "identity", path, sizeof path));
    write_text(path, text, mode);
    cr_assert_eq(statedir_identity(&dir, &identity, scratch.error), expected, "%s", text);
    cr_assert_not_null(strstr(scratch.error, path), "%s", scratch.error);
    cr_assert_not_null(strstr(scratch.error, reason), "%s", scratch.error);
    FILE *file = fopen(path, "r");
    cr_assert_eq(fread(kept, 1, sizeof kept - 1, file), strlen(text));
    (void)fclose(file);
    cr_assert_str_eq(kept, text, "never replaced");
    statedir_close(&dir);
    scratch_end(&scratch);
}

#define DIGITS_60 "00112233445566778899aabbccddeeff00112233445566778899aabbccdd"

Test(statedir, a_damaged_or_readable_identity_is_refused_and_never_replaced) {
    check_identity_refused("", 0600, WEFT_ERR_MALFORMED, "damaged");
    check_identity_refused("# only a comment", 0600, WEFT_ERR_MALFORMED, "damaged");
    check_identity_refused(DIGITS_60 "eef\n", 0600, WEFT_ERR_MALFORMED, "damaged");
    check_identity_refused(DIGITS_60 "eeff0\n", 0600, WEFT_ERR_MALFORMED, "damaged");
    check_identity_refused(DIGITS_60 "eegg\n", 0600, WEFT_ERR_MALFORMED, "damaged");
    check_identity_refused(DIGITS_60 "eeff\nmore\n", 0600, WEFT_ERR_MALFORMED, "damaged");
    check_identity_refused(DIGITS_60 "eeff\n", 0640, WEFT_ERR_INVALID, "0640");
    check_identity_refused(DIGITS_60 "eeff\n", 0604, WEFT_ERR_INVALID, "0604");
}

Test(statedir, a_secret_comes_back_as_it_was_written) {
    struct scratch scratch = scratch_new();
    char path[128];
    uint8_t secret[WEFT_KEY_BYTES];
    uint8_t other[WEFT_KEY_BYTES];
    uint8_t read_back[WEFT_KEY_BYTES];
    (void)snprintf(path, sizeof path, "%s/secret", scratch.base);
    statedir_make_secret(secret);
    statedir_make_secret(other);
    cr_assert_arr_neq(secret, other, sizeof secret);
    cr_assert_eq(statedir_read_secret(path, read_back, scratch.error), WEFT_ERR_NOT_FOUND);
    cr_assert_not_null(strstr(scratch.error, path), "%s", scratch.error);
    cr_assert_eq(statedir_write_secret(path, secret, scratch.error), WEFT_OK, "%s", scratch.error);
    cr_assert_eq(mode_of(path), 0600);
    cr_assert_eq(statedir_read_secret(path, read_back, scratch.error), WEFT_OK);
    cr_assert_arr_eq(read_back, secret, sizeof secret);
    cr_assert_eq(statedir_write_secret(path, secret, scratch.error), WEFT_OK, "the same again");
    cr_assert_eq(statedir_write_secret(path, other, scratch.error), WEFT_ERR_EXISTS);
    cr_assert_not_null(strstr(scratch.error, "another mesh"), "%s", scratch.error);
    cr_assert_eq(statedir_read_secret(path, read_back, scratch.error), WEFT_OK);
    cr_assert_arr_eq(read_back, secret, sizeof secret, "not replaced");
    scratch_end(&scratch);
}

Test(statedir, a_secret_that_others_can_read_is_refused_with_path_and_mode) {
    struct scratch scratch = scratch_new();
    char path[128];
    uint8_t secret[WEFT_KEY_BYTES] = {9};
    (void)snprintf(path, sizeof path, "%s/secret", scratch.base);
    write_text(path, "# mine\n\n  " DIGITS_60 "EEFF \r\n\n", 0600);
    cr_assert_eq(statedir_read_secret(path, secret, scratch.error), WEFT_OK, "%s", scratch.error);
    cr_assert_eq(secret[31], 0xff);
    cr_assert_eq(chmod(path, 0644), 0);
    cr_assert_eq(statedir_read_secret(path, secret, scratch.error), WEFT_ERR_INVALID);
    cr_assert_not_null(strstr(scratch.error, path), "%s", scratch.error);
    cr_assert_not_null(strstr(scratch.error, "0644"), "%s", scratch.error);
    cr_assert_null(strstr(scratch.error, "0011"), "no secret in an error");
    cr_assert_eq(statedir_read_secret(scratch.base, secret, scratch.error), WEFT_ERR_INVALID);
    cr_assert_not_null(strstr(scratch.error, "is not a file"), "%s", scratch.error);
    scratch_end(&scratch);
}

Test(statedir, a_fifo_does_not_block_it) {
    struct scratch scratch = scratch_new();
    char path[128];
    uint8_t secret[WEFT_KEY_BYTES];
    (void)snprintf(path, sizeof path, "%s/secret", scratch.base);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_eq(statedir_read_secret(path, secret, scratch.error), WEFT_ERR_INVALID);
    scratch_end(&scratch);
}

Test(statedir, a_temporary_file_of_a_former_life_is_in_nobodys_way) {
    struct scratch scratch = scratch_new();
    struct identity identity;
    char path[128];
    struct statedir dir = opened(&scratch);
    cr_assert(statedir_path(&dir, "identity.new", path, sizeof path));
    write_text(path, "half", 0600);
    cr_assert_eq(statedir_identity(&dir, &identity, scratch.error), WEFT_OK, "%s", scratch.error);
    statedir_close(&dir);
    scratch_end(&scratch);
}

Test(statedir, paths_that_do_not_fit_are_found) {
    struct statedir dir = {.path = (char[]){"/abc"}};
    char out[10];
    cr_assert(statedir_path(&dir, "1234", out, sizeof out));
    cr_assert_str_eq(out, "/abc/1234");
    cr_assert_not(statedir_path(&dir, "12345", out, sizeof out));
    char path[5000];
    struct scratch scratch = scratch_new();
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    cr_assert_eq(statedir_open(path, &dir, scratch.error), WEFT_ERR_INVALID);
    scratch_end(&scratch);
}

Test(statedir, short_of_memory_it_leaks_nothing) {
    struct scratch scratch = scratch_new();
    FAILING_ALLOC_EACH(nth) {
        struct statedir dir = {.lock = -1};
        enum weft_err err = statedir_open(scratch.state, &dir, scratch.error);
        bool has_failed = failing_alloc_disarm();
        cr_assert_eq(err, has_failed ? WEFT_ERR_MEMORY : WEFT_OK);
        statedir_close(&dir);
    }
    scratch_end(&scratch);
}
