/* SPDX-License-Identifier: Apache-2.0
 *
 * The report's page with its libraries inlined (sim/page/page.html), cut where a run's JSON goes.
 * The bytes are made at build time by embed.cmake.
 */
#ifndef SIM_PAGE_PAGE_H
#define SIM_PAGE_PAGE_H

#include <stddef.h>

extern const unsigned char page_head[];
extern const size_t page_head_size;
extern const unsigned char page_tail[];
extern const size_t page_tail_size;

#endif
