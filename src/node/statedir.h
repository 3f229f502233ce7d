/* SPDX-License-Identifier: Apache-2.0
 *
 * The state folder: one node's identity, mesh secret, store and lock. Everything in it is for its
 * owner alone; a folder or secret that others can read is refused rather than repaired, since it
 * may have been read already.
 *
 *   STATE/            0700
 *     identity        0600   the Ed25519 seed
 *     secret          0600   the mesh secret, unless secret_file says otherwise
 *     store.db        0600   store/store.h
 *     lock            0600   held while a daemon runs; holds its process id
 *     control.sock    0600
 *
 * identity and secret are a comment line, then 64 hexadecimal digits. They are written to a
 * temporary file, synced, renamed, and the folder synced: after a power cut there is the old file
 * or the new.
 */
#ifndef NODE_STATEDIR_H
#define NODE_STATEDIR_H

#include "noise/identity.h"
#include "weft/types.h"

#define STATEDIR_TEXT_BYTES 1024

struct statedir {
    char *path;
    int lock; /* the file descriptor that holds the lock */
};

/* Makes the folder (and missing parents, 0700) if need be, and checks it. Errors as statedir_open,
 * which does it too. */
WEFT_MUST_CHECK enum weft_err statedir_make(const char *path, char error[STATEDIR_TEXT_BYTES]);

/* Makes the folder (and missing parents, 0700) if need be, checks it and takes the lock.
 *
 * WEFT_ERR_INVALID   others can read it, it is not a folder, or it is not ours
 * WEFT_ERR_EXISTS    another daemon runs on it; the text has its process id
 * WEFT_ERR_IO        the system refused; WEFT_ERR_MEMORY
 *
 * On an error the text is a sentence that names the path. */
WEFT_MUST_CHECK enum weft_err statedir_open(const char *path, struct statedir *out,
                                            char error[STATEDIR_TEXT_BYTES]);

/* Lets the lock go. Takes zeroed memory whose lock is -1 or 0. */
void statedir_close(struct statedir *dir);

/* Reads the identity, or makes one at first start. Errors as above; WEFT_ERR_MALFORMED for a file
 * that is not an identity: it is never replaced. */
WEFT_MUST_CHECK enum weft_err statedir_identity(const struct statedir *dir, struct identity *out,
                                                char error[STATEDIR_TEXT_BYTES]);

/* Reads the mesh secret from `path`. WEFT_ERR_NOT_FOUND if there is no such file, WEFT_ERR_INVALID
 * if others can read it, WEFT_ERR_MALFORMED. Wipe it with noise_wipe. */
WEFT_MUST_CHECK enum weft_err statedir_read_secret(const char *path, uint8_t out[WEFT_KEY_BYTES],
                                                   char error[STATEDIR_TEXT_BYTES]);

/* Writes a mesh secret (0600). WEFT_ERR_EXISTS if another secret is there: it is never replaced;
 * the same one is fine. */
WEFT_MUST_CHECK enum weft_err statedir_write_secret(const char *path,
                                                    const uint8_t secret[WEFT_KEY_BYTES],
                                                    char error[STATEDIR_TEXT_BYTES]);

/* Draws a fresh secret. */
void statedir_make_secret(uint8_t out[WEFT_KEY_BYTES]);

/* Writes "PATH/name"; false if it is longer than `size`. */
bool statedir_path(const struct statedir *dir, const char *name, char *out, size_t size);

#endif
