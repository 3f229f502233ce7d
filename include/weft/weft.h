/* SPDX-License-Identifier: Apache-2.0
 *
 * All of libweft's public headers, and the version.
 */
#ifndef WEFT_WEFT_H
#define WEFT_WEFT_H

#include "weft/err.h"
#include "weft/node.h"
#include "weft/types.h"

#define WEFT_VERSION_MAJOR 0
#define WEFT_VERSION_MINOR 1
#define WEFT_VERSION_PATCH 0

/* The version of the library in use, "0.1.0". */
const char *weft_version(void);

#endif
