/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile peers: insiders with valid keys whose core is honest and whose host is not. What the core
 * sends passes through here and may be altered, held back or dropped; and frames of the liar's own
 * making are put between, at bounded rates.
 *
 *   core --ACTION_SEND--> drop? flip? hold back? --> net
 *                              forge, replay, flood, garbage --^
 *
 * All from the seed. shared/hostile.md names who was hurt by which.
 */
#ifndef SIM_LIAR_H
#define SIM_LIAR_H

#include "sim/world.h"

/* What a liar sends of its own: as much as a link of 100 Mbit/s carries. */
#define LIAR_BYTES_PER_S ((uint64_t)12500000)

struct liars;

struct liars *liars_new(struct world *world);
void liars_free(struct liars *liars);
/* `lies`: of enum lie_kind; 0: honest again, and what was held back is let go. */
void liars_set(struct liars *liars, uint32_t node, uint32_t lies);
/* When somebody next wants to speak; WEFT_NEVER: nobody. */
weft_ns liars_deadline(const struct liars *liars);
/* Those who are due speak. Outside of the world's callbacks. */
void liars_speak(struct liars *liars);
/* How often a lie was told. */
uint64_t liars_told(const struct liars *liars, enum lie_kind lie);

#endif
