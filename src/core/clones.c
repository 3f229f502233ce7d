/* SPDX-License-Identifier: Apache-2.0
 *
 * One key in two places (T18), seen from beside and from within. Both can compute the rule: of the
 * two instances the larger one leaves the mesh.
 *
 * A neighbour sees another instance come over: a restart, as far as it knows, and it closes the old
 * link. If the old instance comes back it lives too; from then on the neighbour keeps the smaller
 * one, so that routes change over once and at most once back. Whoever it closes it gives the
 * other's peer record, which only their key can have signed: so the closed one knows at once.
 */
#include <stdio.h>

#include "core/internal.h"

/* Where the link's instance is remembered; REPLACED_MAX: it is not. */
static size_t replaced_find(const struct core *core, const struct core_link *link) {
    size_t at = 0;
    while (at < REPLACED_MAX && (core->replaced[at].instance != link->instance ||
                                 !weft_peer_id_equal(&core->replaced[at].peer, &link->peer))) {
        at++;
    }
    return at;
}

bool core_clone_keeps_older(const struct core *core, const struct core_link *older,
                            const struct core_link *newer) {
    size_t at = replaced_find(core, newer);
    return at < REPLACED_MAX && time_since(core->replaced[at].at, core->now) < CLONE_MEMORY &&
           older->instance < newer->instance;
}

static void note_replaced(struct core *core, const struct core_link *link) {
    size_t at = replaced_find(core, link);
    if (at == REPLACED_MAX) {
        at = core->replaced_next;
        core->replaced_next = (at + 1) % REPLACED_MAX;
    }
    core->replaced[at] =
        (struct core_replaced){.peer = link->peer, .instance = link->instance, .at = core->now};
}

/* The peer record of the instance that is kept, if it has come. */
static void send_proof(struct core *core, struct core_link *link, const struct core_link *kept) {
    struct wire_peer_body body;
    const struct record *record = recordset_find(gossip_records(core->gossip), WIRE_RECORD_PEER,
                                                 &kept->peer, (struct span){0});
    if (record == NULL || wire_peer_body_decode(record->body, &body) != WEFT_OK ||
        body.instance != kept->instance) {
        return;
    }
    struct frame *frame = frame_new(WIRE_FRAME_HEADER_BYTES + 2 + record->encoded.len);
    if (frame != NULL) {
        struct wire_writer writer = wire_writer_of(frame->data, frame->size);
        size_t begin = wire_frame_begin(&writer, WIRE_RECORDS, 0);
        wire_write_u16(&writer, (uint16_t)record->encoded.len);
        wire_write_bytes(&writer, record->encoded);
        wire_frame_end(&writer, begin);
        frame->len = (uint32_t)wire_writer_view(&writer).len;
    }
    core_send(core, link, frame, NULL, WIRE_CLASS_CONTROL, 0);
}

/* Told when it looks again, not while it tries to come back at first. */
static void trace_refused(const struct core *core, const struct core_link *link) {
    size_t at = replaced_find(core, link);
    if (at < REPLACED_MAX && time_since(core->replaced[at].at, core->now) > QUARANTINE / 2) {
        trace(&core->host, TRACE_WARN, "clone-refused", "peer=%s remote=%s", link->name,
              link->remote);
    }
}

/* Whether one of two instances was replaced before, and came back. */
static bool is_proven(const struct core *core, const struct core_link *one,
                      const struct core_link *two) {
    return replaced_find(core, one) < REPLACED_MAX || replaced_find(core, two) < REPLACED_MAX;
}

void core_clone_close(struct core *core, struct core_link *link, const struct core_link *kept) {
    if (!link->is_closing) {
        if (is_proven(core, link, kept)) {
            damping_forgive(&core->damping, &link->peer); /* routes changed over: nobody flaps */
        }
        trace_refused(core, link);
        note_replaced(core, link);
        send_proof(core, link, kept);
        core_link_close(core, link, WIRE_CLOSE_CLONE, "your key lives in another place too");
    }
}

/* The addresses of the other, for the operator. */
static void note_clone(struct core *core, const struct wire_peer_body *body) {
    struct wire_list list = body->addresses;
    struct span address;
    size_t used = 0;
    core->clone_addresses[0] = '\0';
    while (wire_list_next_text(&list, &address) &&
           used + address.len + 2 < sizeof(core->clone_addresses)) {
        used += (size_t)snprintf(core->clone_addresses + used, sizeof(core->clone_addresses) - used,
                                 "%s%.*s", used > 0 ? "," : "", (int)address.len,
                                 (const char *)address.data);
    }
}

/* Both can compute the rule: of the two instances the larger one leaves the mesh. */
void core_clone_seen(struct core *core, const struct record *other) {
    struct wire_peer_body body;
    if (wire_peer_body_decode(other->body, &body) != WEFT_OK) {
        return;
    }
    note_clone(core, &body);
    core->clone_seen_at = core->now;
    bool is_ours_to_go = core->config.instance > body.instance;
    trace(&core->host, TRACE_ERROR, "clone", "here=%s there=%s quarantined=%s",
          core->address_count > 0 ? core->addresses[0] : "-", core->clone_addresses,
          is_ours_to_go ? "here" : "there");
    if (is_ours_to_go && core->quarantine_until == 0) {
        core->quarantine_until = time_after(core->now, QUARANTINE);
        core_links_close_all(core, WIRE_CLOSE_BYE, "my key lives in two places");
    }
}
