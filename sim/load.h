/* SPDX-License-Identifier: Apache-2.0
 *
 * What the nodes' applications do: broadcasts and unicasts on a channel, services that come and go,
 * streams whose every byte is checked. Times what arrives and counts what does not.
 */
#ifndef SIM_LOAD_H
#define SIM_LOAD_H

#include "sim/world.h"

struct load;

/* Becomes the world's application. */
struct load *load_new(struct world *world);
void load_free(struct load *load);
/* t=0 is now: the loads of the scenario begin. */
void load_begin(struct load *load);
/* No new work; what runs may end. */
void load_end(struct load *load);
/* Streams and acknowledged messages that have not ended yet; what is frozen for want of a path. */
size_t load_unfinished(const struct load *load);
/* The same of those whose ends `does_count` says yes to; NULL: all. */
typedef bool load_ends_fn(void *ctx, uint32_t client, uint32_t server);
size_t load_unfinished_of(const struct load *load, load_ends_fn *does_count, void *ctx);
/* The first breach: bytes that differ from those written, a message delivered twice ...; false when
 * there is none. The text is the load's. */
bool load_breach(const struct load *load, const char **invariant, const char **detail);
/* Writes what was missed, ratios and the like into the metrics, at the end. */
void load_report(struct load *load);

#endif
