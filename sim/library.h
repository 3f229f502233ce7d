/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the scenarios are that can be asked for by name: $WEFT_SCENARIOS; sim/scenarios of the
 * source tree around the working folder or the program; share/weft/scenarios beside an installed
 * program.
 */
#ifndef SIM_LIBRARY_H
#define SIM_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#define LIBRARY_PATH_BYTES 4096

/* The folder; false when there is none. */
bool library_folder(char out[LIBRARY_PATH_BYTES]);

/* The file that FILE means: itself if it is there, else NAME.yaml in the folder. False if neither
 * is. */
bool library_find(const char *file, char out[LIBRARY_PATH_BYTES]);

/* Paths of all files NAME.yaml in the folder, sorted; the caller's to free with library_free. */
size_t library_list(char ***out);
void library_free(char **paths, size_t count);

#endif
