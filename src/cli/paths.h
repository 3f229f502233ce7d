/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the daemon keeps its state and where its control socket is: the daemon's own rules.
 */
#ifndef CLI_PATHS_H
#define CLI_PATHS_H

#include <stdbool.h>

/* The state folder: `given`, else WEFT_STATE, else /var/lib/weft for root, else
 * $XDG_STATE_HOME/weft, else ~/.local/state/weft. The caller's to free; NULL if there is no HOME.
 */
char *paths_state(const char *given);

/* The control socket: `given`, else WEFT_CONTROL, else control.sock in `state`; where `state` is
 * the system's and has none, that of weft.service. The caller's to free. */
char *paths_control(const char *given, const char *state);

/* DIR/NAME. The caller's to free. */
char *paths_join(const char *dir, const char *name);

/* Makes the folder and what is above it: the folder itself for nobody else (0700). False with
 * errno. */
bool paths_make_folder(const char *path);

/* The program `name` beside this one, else `name` itself, for a search along PATH. The caller's to
 * free. */
char *paths_sibling(const char *name);

#endif
