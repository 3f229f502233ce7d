/* SPDX-License-Identifier: Apache-2.0
 *
 * write_report OUT.html <run.json: what `weft-sim run --report` does at its end, for runs of any
 * kind.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sim/report.h"

#define JSON_BYTES_MAX (64U << 20) /* more than any sample needs */

int main(int argc, char **argv) {
    if (argc != 2) {
        (void)fputs("usage: write_report OUT.html <run.json\n", stderr);
        return 2;
    }
    char *json = malloc(JSON_BYTES_MAX);
    if (json == NULL) {
        return 1;
    }
    size_t len = fread(json, 1, JSON_BYTES_MAX, stdin);
    enum weft_err err = len == 0 ? WEFT_ERR_MALFORMED : report_write(argv[1], span_of(json, len));
    free(json);
    if (err != WEFT_OK) {
        (void)fprintf(stderr, "write_report: %s\n", weft_err_name(err));
    }
    return err == WEFT_OK ? 0 : 1;
}
