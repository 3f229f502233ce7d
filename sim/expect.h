/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether what a scenario expects of a metric came true.
 */
#ifndef SIM_EXPECT_H
#define SIM_EXPECT_H

#include "sim/metrics.h"
#include "sim/scenario.h"

#define EXPECT_TEXT_MAX 240

/* Whether it holds now. `*reached` is what the metric says, in its base unit, and `*is_known` is
 * whether there is such a metric and the limit fits its unit; if not, the expectation does not hold
 * and *reached is 0. A distribution without a sample is not known but for its .count and .sum: what
 * was never measured proves nothing. */
bool expect_holds(const struct scenario_expect *expect, const struct metrics *metrics,
                  int64_t *reached, bool *is_known);

/* The verdict for people: "12.3 ms", or why it cannot be said: "no metric of that name; did you
 * mean ...?", "no sample", "expected a time such as 300ms". */
void expect_explain(const struct scenario_expect *expect, const struct metrics *metrics,
                    char out[EXPECT_TEXT_MAX]);

#endif
