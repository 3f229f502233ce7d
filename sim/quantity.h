/* SPDX-License-Identifier: Apache-2.0
 *
 * The quantities that people write: 300ms, 5s, 10min, 1MiB, 100Mbit, 0.5%, 1..50ms. Decimal
 * fractions are read as integers all the way; what does not come out whole is refused, not rounded.
 * Each function returns false for what it does not accept and leaves `out` alone then.
 */
#ifndef SIM_QUANTITY_H
#define SIM_QUANTITY_H

#include "weft/types.h"

/* A span of values; a single value has low == high. */
struct range;

/* "42": decimal digits, nothing else, at most `max`. */
bool quantity_count(const char *text, uint64_t max, uint64_t *out);

/* "300ms": ns, us, ms, s, min, h, d; a bare "0" too. Nanoseconds, below 2^62. */
bool quantity_time(const char *text, uint64_t *out);

/* "100", "100B", "1.5KB", "1MiB", "2GB": KB, MB, GB are powers of 1,000; KiB, MiB, GiB of 1,024. */
bool quantity_bytes(const char *text, uint64_t *out);

/* "100Mbit", "1Gbit", "64Kbit", "900bit" (a second), or bytes with "/s": "1.5KB/s". Bytes a second.
 */
bool quantity_rate(const char *text, uint64_t *out);

/* "0.5%", "80%", "0.005": a share of 0 to 1, in millionths. */
bool quantity_share(const char *text, uint32_t *out);

/* "0.10", "42": a number in millionths, of at most 10^12 before the point. */
bool quantity_millionths(const char *text, uint64_t *out);

/* "1..50ms", "1ms..50ms", "20ms"; low <= high. A low end without unit has the unit of the high. */
bool quantity_time_range(const char *text, struct range *out);
/* The same of bytes: "1KiB..1MiB". */
bool quantity_bytes_range(const char *text, struct range *out);

#endif
