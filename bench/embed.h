/* SPDX-License-Identifier: Apache-2.0
 *
 * The node inside a program that measures it. Public headers only.
 */
#ifndef BENCH_EMBED_H
#define BENCH_EMBED_H

#include <weft/weft.h>

/* Of the arguments NAME SECRET-HEX LISTEN [SEED]; NULL after having said why. */
struct weft_node *embed_node(int argc, char **argv);

#endif
