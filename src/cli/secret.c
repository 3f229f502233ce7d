/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define DIGITS (2 * (size_t)WEFT_KEY_BYTES)
#define FILE_BYTES_MAX 1024 /* what a person may have added as comments */

static const char comment[] = "# The secret of a weft mesh: whoever reads it can join.\n";

void secret_wipe(void *memory, size_t size) {
    explicit_bzero(memory, size);
}

enum weft_err secret_make(uint8_t out[WEFT_KEY_BYTES]) {
    ssize_t got = getrandom(out, WEFT_KEY_BYTES, 0);
    return got == WEFT_KEY_BYTES ? WEFT_OK : WEFT_ERR_IO;
}

void secret_format(const uint8_t secret[WEFT_KEY_BYTES], char out[SECRET_TEXT_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    char *to = out + sizeof(comment) - 1;
    memcpy(out, comment, sizeof(comment));
    for (size_t i = 0; i < WEFT_KEY_BYTES; i++) {
        *to++ = digits[secret[i] >> 4];
        *to++ = digits[secret[i] & 15];
    }
    *to++ = '\n';
    *to = '\0';
}

/* Of a hexadecimal digit; the bit that it sets tells lower case from upper and is set in 0 to 9. */
static unsigned digit_of(char character) {
    unsigned lower = (unsigned char)character | 0x20u;
    return lower <= '9' ? lower - '0' : lower - 'a' + 10;
}

/* The 64 digits on the first line that is neither blank nor a comment; nothing may follow. */
static bool parse(const char *text, uint8_t out[WEFT_KEY_BYTES]) {
    text += strspn(text, " \t\r\n");
    while (*text == '#') {
        text += strcspn(text, "\n");
        text += strspn(text, " \t\r\n");
    }
    size_t len = strspn(text, "0123456789abcdefABCDEF");
    const char *rest = text + len;
    if (len != DIGITS || rest[strspn(rest, " \t\r\n")] != '\0') {
        return false;
    }
    for (size_t i = 0; i < WEFT_KEY_BYTES; i++) {
        out[i] = (uint8_t)(digit_of(text[2 * i]) << 4 | digit_of(text[(2 * i) + 1]));
    }
    return true;
}

/* Compares with the file that is there. */
static enum weft_err compare(const char *path, const uint8_t secret[WEFT_KEY_BYTES]) {
    char text[FILE_BYTES_MAX];
    uint8_t found[WEFT_KEY_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    int why = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (len < 0) {
        errno = why;
        return why == ENOENT ? WEFT_ERR_NOT_FOUND : WEFT_ERR_IO;
    }
    text[len] = '\0';
    enum weft_err err = parse(text, found) ? WEFT_OK : WEFT_ERR_MALFORMED;
    if (err == WEFT_OK && memcmp(found, secret, sizeof(found)) != 0) {
        err = WEFT_ERR_EXISTS;
    }
    secret_wipe(text, sizeof(text));
    secret_wipe(found, sizeof(found));
    return err;
}

static bool write_whole(int fd, const char *text) {
    size_t len = strlen(text);
    return write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
}

/* A file of its own, then linked to its name: link fails where rename would replace. */
static enum weft_err write_new(const char *path, const char *text) {
    char temporary[PATH_MAX];
    int len = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
    if (len < 0 || (size_t)len >= sizeof(temporary)) {
        errno = ENAMETOOLONG;
        return WEFT_ERR_IO;
    }
    int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
    if (fd < 0) {
        return WEFT_ERR_IO;
    }
    bool is_good = write_whole(fd, text) && link(temporary, path) == 0;
    int why = errno;
    (void)close(fd);
    (void)unlink(temporary);
    errno = why;
    return is_good ? WEFT_OK : WEFT_ERR_IO;
}

enum weft_err secret_write(const char *path, const uint8_t secret[WEFT_KEY_BYTES]) {
    char text[SECRET_TEXT_BYTES];
    enum weft_err err = compare(path, secret);
    if (err != WEFT_ERR_NOT_FOUND) {
        return err;
    }
    secret_format(secret, text);
    err = write_new(path, text);
    secret_wipe(text, sizeof(text));
    return err;
}
