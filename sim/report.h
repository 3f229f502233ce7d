/* SPDX-License-Identifier: Apache-2.0
 *
 * The report: one HTML page that shows a run, with all it needs inside (docs/simulation.md, "The
 * report"). The page is the same for every run; the run's JSON is put into it as data:
 *
 *    page_head | <script type="application/json"> JSON </script> | page_tail
 */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include "base/span.h"
#include "weft/err.h"

/* Writes the page for a run to `path`, replacing what was there.
 *
 * result_json   one JSON text in UTF-8, as result.c makes it; borrowed for the call. Not parsed:
 *               each `<` (which JSON allows inside strings only) is written as \u003c, so that no
 *               name in it can end the element it stands in.
 *
 * WEFT_ERR_IO: the file could not be made or written whole (errno says more); what was written of
 * it is left. Cost: linear in the JSON and the page (about 350 KB). */
WEFT_MUST_CHECK enum weft_err report_write(const char *path, struct span result_json);

#endif
