/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of one folder, checked before they are believed and written so that a power cut leaves the
 * old one or the new one.
 */
#include "node/statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

#define PATH_BYTES 4096
#define KEY_FILE_BYTES_MAX 1024 /* a comment line and 64 digits are far less */

__attribute__((format(printf, 3, 4))) static enum weft_err fail(char *error, enum weft_err err,
                                                                const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error, STATEDIR_TEXT_BYTES, format, arguments);
    va_end(arguments);
    return err;
}

/* The system refused to `what` the path; errno says why. */
static enum weft_err fail_system(char *error, const char *what, const char *path) {
    return fail(error, WEFT_ERR_IO, "cannot %s %.500s: %s", what, path, strerror(errno));
}

bool statedir_path(const struct statedir *dir, const char *name, char *out, size_t size) {
    ASSERT(dir != NULL && dir->path != NULL);
    int len = snprintf(out, size, "%s/%s", dir->path, name);
    return len >= 0 && (size_t)len < size;
}

/* The folder. */

/* Makes the folders on the way to the last one. What exists is left as it is. */
static enum weft_err make_parents(const char *path, char *error) {
    char parent[PATH_BYTES];
    if ((size_t)snprintf(parent, sizeof parent, "%s", path) >= sizeof parent) {
        return fail(error, WEFT_ERR_INVALID, "the path %.100s... is too long", path);
    }
    for (char *slash = strchr(parent + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(parent, 0700) != 0 && errno != EEXIST) {
            return fail_system(error, "make the folder", parent);
        }
        *slash = '/';
    }
    return WEFT_OK;
}

/* Whether only its owner, who must be us, can use what the facts describe. */
static enum weft_err check_private(const char *what, const char *path, const struct stat *facts,
                                   char *error) {
    unsigned mode = (unsigned)facts->st_mode & 07777;
    if (facts->st_uid != geteuid()) {
        return fail(error, WEFT_ERR_INVALID, "the %s %.500s belongs to user %u, not to user %u",
                    what, path, (unsigned)facts->st_uid, (unsigned)geteuid());
    }
    if ((mode & 077) != 0) {
        return fail(error, WEFT_ERR_INVALID,
                    "the %s %.500s has mode %04o: others may have read it; expected %s: check who "
                    "did, then chmod go= %.200s",
                    what, path, mode, S_ISDIR(facts->st_mode) ? "0700" : "0600", path);
    }
    return WEFT_OK;
}

static enum weft_err check_folder(const char *path, char *error) {
    struct stat facts;
    if (stat(path, &facts) != 0) {
        return fail_system(error, "look at the state folder", path);
    }
    if (!S_ISDIR(facts.st_mode)) {
        return fail(error, WEFT_ERR_INVALID, "%.500s is not a folder", path);
    }
    return check_private("state folder", path, &facts, error);
}

enum weft_err statedir_make(const char *path, char error[STATEDIR_TEXT_BYTES]) {
    ASSERT(path != NULL && error != NULL);
    enum weft_err err = make_parents(path, error);
    if (err == WEFT_OK && mkdir(path, 0700) != 0 && errno != EEXIST) {
        err = fail_system(error, "make the state folder", path);
    }
    return err == WEFT_OK ? check_folder(path, error) : err;
}

/* The lock. Its file stays: removing it would let two daemons hold two files of one name. */

static enum weft_err refuse_locked(int lock, const char *path, char *error) {
    char text[32] = "";
    ssize_t len = pread(lock, text, sizeof text - 1, 0);
    text[len > 0 ? strspn(text, "0123456789") : 0] = '\0';
    return fail(error, WEFT_ERR_EXISTS,
                "another weftd (process %s) runs on the state folder %.500s",
                text[0] == '\0' ? "unknown" : text, path);
}

static enum weft_err write_pid(int lock, const char *path, char *error) {
    char text[32];
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(lock, 0) != 0 || pwrite(lock, text, (size_t)len, 0) != len) {
        return fail_system(error, "write the lock in", path);
    }
    return WEFT_OK;
}

static enum weft_err take_lock(struct statedir *dir, char *error) {
    char path[PATH_BYTES];
    if (!statedir_path(dir, "lock", path, sizeof path)) {
        return fail(error, WEFT_ERR_INVALID, "the path %.100s... is too long", dir->path);
    }
    dir->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (dir->lock < 0) {
        return fail_system(error, "open", path);
    }
    if (flock(dir->lock, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK ? refuse_locked(dir->lock, dir->path, error)
                                    : fail_system(error, "lock", path);
    }
    return write_pid(dir->lock, dir->path, error);
}

enum weft_err statedir_open(const char *path, struct statedir *out,
                            char error[STATEDIR_TEXT_BYTES]) {
    ASSERT(path != NULL && out != NULL && error != NULL);
    struct statedir dir = {.lock = -1};
    enum weft_err err = statedir_make(path, error);
    if (err != WEFT_OK) {
        return err;
    }
    dir.path = strdup(path);
    err = dir.path == NULL ? fail(error, WEFT_ERR_MEMORY, "out of memory") : take_lock(&dir, error);
    if (err != WEFT_OK) {
        statedir_close(&dir);
        return err;
    }
    *out = dir;
    return WEFT_OK;
}

void statedir_close(struct statedir *dir) {
    ASSERT(dir != NULL);
    if (dir->lock > 0) {
        (void)close(dir->lock);
    }
    free(dir->path);
    *dir = (struct statedir){.lock = -1};
}

/* Key files: lines that begin with '#', then 64 hexadecimal digits. */

static enum weft_err read_key_text(int file, const char *what, const char *path,
                                   char text[KEY_FILE_BYTES_MAX + 1], char *error) {
    struct stat facts;
    if (fstat(file, &facts) != 0) {
        return fail_system(error, "read", path);
    }
    if (!S_ISREG(facts.st_mode)) {
        return fail(error, WEFT_ERR_INVALID, "the %s %.500s is not a file", what, path);
    }
    enum weft_err err = check_private(what, path, &facts, error);
    if (err != WEFT_OK) {
        return err;
    }
    ssize_t len = read(file, text, KEY_FILE_BYTES_MAX);
    if (len < 0) {
        return fail_system(error, "read", path);
    }
    text[len] = '\0';
    return WEFT_OK;
}

/* Skips comment lines and blanks, reads the digits, allows blanks after them. */
static bool parse_key(const char *text, uint8_t out[WEFT_KEY_BYTES]) {
    uint8_t key[WEFT_KEY_BYTES];
    size_t len = 0;
    const char *end = NULL;
    text += strspn(text, " \t\r\n");
    while (*text == '#') {
        text += strcspn(text, "\n");
        text += strspn(text, " \t\r\n");
    }
    size_t digits = strspn(text, "0123456789abcdefABCDEF");
    bool is_key = digits == sizeof key * 2 &&
                  sodium_hex2bin(key, sizeof key, text, digits, NULL, &len, &end) == 0 &&
                  text[digits + strspn(text + digits, " \t\r\n")] == '\0';
    if (is_key) {
        memcpy(out, key, sizeof key);
    }
    sodium_memzero(key, sizeof key);
    return is_key;
}

static enum weft_err read_key(const char *what, const char *path, uint8_t out[WEFT_KEY_BYTES],
                              char *error) {
    char text[KEY_FILE_BYTES_MAX + 1];
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file < 0) {
        bool is_missing = errno == ENOENT;
        (void)fail_system(error, "read", path);
        return is_missing ? WEFT_ERR_NOT_FOUND : WEFT_ERR_IO;
    }
    enum weft_err err = read_key_text(file, what, path, text, error);
    (void)close(file);
    if (err == WEFT_OK && !parse_key(text, out)) {
        err = fail(error, WEFT_ERR_MALFORMED,
                   "the %s %.500s is damaged: expected comment lines, then 64 hexadecimal digits",
                   what, path);
    }
    sodium_memzero(text, sizeof text);
    return err;
}

static bool write_all(int file, const char *text) {
    size_t len = strlen(text);
    return write(file, text, len) == (ssize_t)len && fsync(file) == 0;
}

/* Syncs the folder that holds the path, so that the name is durable too. */
static bool sync_folder(const char *path) {
    char folder[PATH_BYTES];
    (void)snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL) {
        (void)snprintf(folder, sizeof folder, ".");
    } else {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_synced = file >= 0 && fsync(file) == 0;
    if (file >= 0) {
        (void)close(file);
    }
    return is_synced;
}

/* Writes `text` under a temporary name, then gives it its own: link, not rename, so that a file
 * that appeared meanwhile is not replaced. */
static enum weft_err place_file(const char *path, const char *text, char *error) {
    char temporary[PATH_BYTES];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.new", path) >= sizeof temporary) {
        return fail(error, WEFT_ERR_INVALID, "the path %.100s... is too long", path);
    }
    (void)unlink(temporary); /* of a life that ended in the middle */
    int file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) {
        return fail_system(error, "write", path);
    }
    bool is_written = write_all(file, text);
    is_written = close(file) == 0 && is_written && link(temporary, path) == 0;
    enum weft_err err = is_written ? WEFT_OK : fail_system(error, "write", path);
    (void)unlink(temporary);
    if (err == WEFT_OK && !sync_folder(path)) {
        err = fail_system(error, "sync the folder of", path);
    }
    return err;
}

static enum weft_err write_key(const char *comment, const char *path,
                               const uint8_t key[WEFT_KEY_BYTES], char *error) {
    char digits[WEFT_KEY_BYTES * 2 + 1];
    char text[KEY_FILE_BYTES_MAX];
    (void)sodium_bin2hex(digits, sizeof digits, key, WEFT_KEY_BYTES);
    (void)snprintf(text, sizeof text, "# %s\n%s\n", comment, digits);
    enum weft_err err = place_file(path, text, error);
    sodium_memzero(digits, sizeof digits);
    sodium_memzero(text, sizeof text);
    return err;
}

static void draw(uint8_t out[WEFT_KEY_BYTES]) {
    randombytes_buf(out, WEFT_KEY_BYTES);
}

enum weft_err statedir_identity(const struct statedir *dir, struct identity *out,
                                char error[STATEDIR_TEXT_BYTES]) {
    ASSERT(dir != NULL && out != NULL);
    char path[PATH_BYTES];
    uint8_t seed[IDENTITY_SEED_BYTES];
    if (!statedir_path(dir, "identity", path, sizeof path)) {
        return fail(error, WEFT_ERR_INVALID, "the path %.100s... is too long", dir->path);
    }
    enum weft_err err = read_key("identity", path, seed, error);
    if (err == WEFT_ERR_NOT_FOUND) {
        draw(seed);
        err = write_key("weft identity: this node's private key; never copy it to another node",
                        path, seed, error);
    }
    if (err == WEFT_OK) {
        identity_from_seed(out, seed);
    }
    sodium_memzero(seed, sizeof seed);
    return err;
}

enum weft_err statedir_read_secret(const char *path, uint8_t out[WEFT_KEY_BYTES],
                                   char error[STATEDIR_TEXT_BYTES]) {
    ASSERT(path != NULL && out != NULL);
    return read_key("secret file", path, out, error);
}

enum weft_err statedir_write_secret(const char *path, const uint8_t secret[WEFT_KEY_BYTES],
                                    char error[STATEDIR_TEXT_BYTES]) {
    ASSERT(path != NULL && secret != NULL);
    uint8_t present[WEFT_KEY_BYTES];
    enum weft_err err = read_key("secret file", path, present, error);
    if (err == WEFT_ERR_NOT_FOUND) {
        return write_key("weft mesh secret: who has it can join the mesh", path, secret, error);
    }
    bool is_same = err == WEFT_OK && sodium_memcmp(present, secret, sizeof present) == 0;
    sodium_memzero(present, sizeof present);
    if (err == WEFT_OK && !is_same) {
        return fail(error, WEFT_ERR_EXISTS,
                    "%.500s holds the secret of another mesh: leave that one first by removing the "
                    "file, or choose another state folder",
                    path);
    }
    return err;
}

void statedir_make_secret(uint8_t out[WEFT_KEY_BYTES]) {
    ASSERT(out != NULL);
    draw(out);
}
