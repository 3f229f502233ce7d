/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers with units, short enough for a column of a table.
 */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#define FORMAT_BYTES 32

struct format {
    char text[FORMAT_BYTES];
};

/* "0 B", "999 B", "1.5 kB", "300 MB": powers of 1,000. */
struct format format_bytes(double bytes);
/* The same for a second: "1.5 kB/s". */
struct format format_rate(double bytes_per_s);
/* "0.12 ms", "1.5 ms", "230 ms", "1.2 s". */
struct format format_ms(double ms);
/* The two largest units: "45 s", "3 min 12 s", "2 h 5 min", "3 d 4 h". */
struct format format_duration(double seconds);

#endif
