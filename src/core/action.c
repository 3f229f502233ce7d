/* SPDX-License-Identifier: Apache-2.0 */
#include "core/action.h"

#include <stdlib.h>

#include "gossip/recordset.h"

void action_release(struct action *action) {
    frame_unref(action->frame);
    frame_unref(action->payload);
    record_unref(action->record);
    frame_unref(action->stream_event.payload);
    frame_unref(action->datagram_event.payload);
    free(action->endpoint);
    *action = (struct action){0};
}
