/* SPDX-License-Identifier: Apache-2.0
 *
 * The faults that are in force between nodes: who cannot reach whom, who loses what, who is slow.
 * Each is begun under a number and ended by it; while several hold, the worst counts.
 */
#ifndef SIM_WEATHER_H
#define SIM_WEATHER_H

#include "sim/net.h"

struct weather;

struct weather *weather_new(uint32_t node_count);
void weather_free(struct weather *weather);

/* As net.h. */
uint64_t weather_begin_between(struct weather *weather, enum net_fault_kind kind, uint32_t a,
                               uint32_t b);
uint64_t weather_begin_around(struct weather *weather, enum net_fault_kind kind,
                              const bool *is_in_side, bool is_both);
uint64_t weather_begin_loss(struct weather *weather, uint32_t node, uint32_t ppm, bool is_both);
uint64_t weather_begin_delay(struct weather *weather, uint32_t node, weft_ns delay);
void weather_end(struct weather *weather, uint64_t fault);
void weather_end_all(struct weather *weather);

/* Whether a packet of `a` gets to `b` at all; and whether connections between them are reset. */
bool weather_is_silent(const struct weather *weather, uint32_t a, uint32_t b);
bool weather_is_cut(const struct weather *weather, uint32_t a, uint32_t b);
/* Of segments from a to b, besides the path's own. */
uint32_t weather_loss_ppm(const struct weather *weather, uint32_t a, uint32_t b);
weft_ns weather_delay(const struct weather *weather, uint32_t a, uint32_t b);

#endif
