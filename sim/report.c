/* SPDX-License-Identifier: Apache-2.0
 *
 * Puts a run's JSON into the page. See report.h.
 */
#include "sim/report.h"

#include <errno.h>
#include <stdio.h>

#include "base/check.h"
#include "sim/page/page.h"

/* JSON knows no `<` outside strings, and inside one this stands for the same character. Without a
 * `<` there is neither `</script` nor `<!--`. */
#define ESCAPED_LESS_THAN "\\u003c"

static void write_bytes(FILE *file, const void *data, size_t len) {
    if (len > 0) {
        (void)fwrite(data, 1, len, file); /* ferror is asked once, at the end */
    }
}

static void write_json(FILE *file, struct span json) {
    size_t start = 0;
    for (size_t i = 0; i < json.len; i++) {
        if (json.data[i] == '<') {
            write_bytes(file, json.data + start, i - start);
            write_bytes(file, ESCAPED_LESS_THAN, sizeof ESCAPED_LESS_THAN - 1);
            start = i + 1;
        }
    }
    if (start < json.len) {
        write_bytes(file, json.data + start, json.len - start);
    }
}

enum weft_err report_write(const char *path, struct span result_json) {
    ASSERT(path != NULL);
    ASSERT(result_json.len > 0);
    FILE *file = fopen(path, "wbe");
    if (file == NULL) {
        return WEFT_ERR_IO;
    }
    write_bytes(file, page_head, page_head_size);
    write_json(file, result_json);
    write_bytes(file, page_tail, page_tail_size);
    bool is_whole = ferror(file) == 0;
    int failure = errno;
    if (fclose(file) != 0) {
        return WEFT_ERR_IO;
    }
    errno = is_whole ? errno : failure; /* fclose may have changed it */
    return is_whole ? WEFT_OK : WEFT_ERR_IO;
}
