/* SPDX-License-Identifier: Apache-2.0
 *
 * Which ids the OPENs of a peer had: each opens one stream, however often it is repeated or late.
 * A window tells of the newest 8,192. An OPEN that was lost comes again up to seconds later, and
 * by then more than that may have opened: of older ids those are kept that never did.
 */
#ifndef STREAM_OPENED_H
#define STREAM_OPENED_H

#include "stream/keys.h"

/* Beyond, the one missing longest is taken for opened. Of 8,192 opens in the window 1.5 % may be
 * lost and late; all are looked through for each open (1 KiB). */
#define OPENED_MISSING_MAX 128

struct opened_ids {
    struct replay_window window;
    uint64_t missing[OPENED_MISSING_MAX]; /* left the window without an OPEN */
    size_t missing_count;
};

bool opened_is_new(const struct opened_ids *opened, uint64_t number);

/* A new one opens. Cost: at most OPENED_MISSING_MAX numbers are looked at. */
void opened_mark(struct opened_ids *opened, uint64_t number);

#endif
