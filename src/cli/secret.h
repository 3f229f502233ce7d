/* SPDX-License-Identifier: Apache-2.0
 *
 * The mesh secret as the daemon keeps it in STATE/secret: a comment line, then 64 hexadecimal
 * digits, in a file for its owner alone.
 */
#ifndef CLI_SECRET_H
#define CLI_SECRET_H

#include "weft/types.h"

#define SECRET_TEXT_BYTES 256

/* Draws a fresh one from the system. WEFT_ERR_IO. */
WEFT_MUST_CHECK enum weft_err secret_make(uint8_t out[WEFT_KEY_BYTES]);

/* Writes the contents of the file. Wipe both after use. */
void secret_format(const uint8_t secret[WEFT_KEY_BYTES], char out[SECRET_TEXT_BYTES]);

/* Writes the file (0600), whole or not at all. WEFT_OK if the same secret is there already,
 * WEFT_ERR_EXISTS if another is, WEFT_ERR_MALFORMED if what is there is none, WEFT_ERR_IO with
 * errno. */
WEFT_MUST_CHECK enum weft_err secret_write(const char *path, const uint8_t secret[WEFT_KEY_BYTES]);

/* Overwrites memory that held one. */
void secret_wipe(void *memory, size_t size);

#endif
