/* SPDX-License-Identifier: Apache-2.0
 *
 * What a core refuses, drops or gives up, and what it says then: wrong arguments, links it has no
 * place for, frames without room, a leave, a quarantine, records of the store.
 */
#include <criterion/criterion.h>

#include "unit/core/victim.h"

static struct victim victim;

static void setup(void) {
    victim_init(&victim);
    victim_start(&victim);
}

static void teardown(void) {
    victim_fini(&victim);
}

TestSuite(core_refusals, .init = setup, .fini = teardown);

static enum weft_err offer(const char *name, const char *address, uint32_t count) {
    struct wire_endpoint endpoints[WIRE_ENDPOINTS_MAX + 1];
    for (size_t i = 0; i <= WIRE_ENDPOINTS_MAX; i++) {
        endpoints[i] = (struct wire_endpoint){.address = span_of_text(address), .weight = 1};
    }
    const struct core_offer offered = {
        .protocol = WIRE_PROTOCOL_TCP, .endpoints = endpoints, .endpoint_count = count};
    enum weft_err err = core_offer(victim.core, "default", name, &offered, victim.now);
    victim_drain(&victim);
    return err;
}

static enum weft_err open_stream(const char *name, uint8_t protocol) {
    struct stream_id stream;
    enum weft_err err =
        core_stream_open(victim.core, "default", name, protocol, victim.now, &stream);
    victim_drain(&victim);
    return err;
}

Test(core_refusals, an_offer_must_have_a_name_and_endpoints_that_can_be_sent) {
    cr_assert_eq(offer("-web", "127.0.0.1:80", 1), WEFT_ERR_INVALID);
    cr_assert_eq(offer("", "127.0.0.1:80", 1), WEFT_ERR_INVALID);
    cr_assert_eq(offer("web", "127.0.0.1:80", 0), WEFT_ERR_INVALID);
    cr_assert_eq(offer("web", "127.0.0.1:80", WIRE_ENDPOINTS_MAX + 1), WEFT_ERR_INVALID);
    cr_assert_eq(offer("web", "", 1), WEFT_ERR_INVALID);
    cr_assert_eq(victim_status(&victim).services, 0);
    cr_assert_eq(offer("web", "127.0.0.1:80", WIRE_ENDPOINTS_MAX), WEFT_OK);
    cr_assert_eq(victim_status(&victim).services, 1);
    cr_assert_eq(core_withdraw(victim.core, "default", "we b", WIRE_PROTOCOL_TCP, victim.now),
                 WEFT_ERR_INVALID);
    cr_assert_eq(core_withdraw(victim.core, "default", "web", WIRE_PROTOCOL_TCP, victim.now),
                 WEFT_OK);
    victim_drain(&victim);
    cr_assert_eq(victim_status(&victim).services, 0);
}

Test(core_refusals, a_stream_needs_a_valid_name_another_node_and_its_protocol) {
    cr_assert_eq(open_stream("we b", WIRE_PROTOCOL_TCP), WEFT_ERR_INVALID);
    cr_assert_eq(offer("web", "127.0.0.1:80", 1), WEFT_OK);
    cr_assert_eq(open_stream("web", WIRE_PROTOCOL_TCP), WEFT_ERR_NOT_FOUND, "only we offer it");
    victim_join(&victim, 5, 0, 100);
    victim_service_record(&victim, 5, 0, "default/web");
    cr_assert_eq(open_stream("web", WIRE_PROTOCOL_UDP), WEFT_ERR_NOT_FOUND);
    cr_assert_eq(open_stream("web", WIRE_PROTOCOL_TCP), WEFT_OK);
    cr_assert_eq(victim_status(&victim).streams.open, 1);
}

static bool take_broadcast(void *ctx, const struct weft_peer_id *source, struct span payload) {
    (void)ctx, (void)source, (void)payload;
    return true;
}

static void count_unicast(void *ctx, const struct weft_peer_id *source, struct span payload) {
    size_t *count = ctx;
    (void)source;
    *count += payload.len;
}

Test(core_refusals, a_message_goes_to_whom_we_know_and_to_ourselves) {
    size_t got = 0;
    const struct gossiper gossiper = {
        .ctx = &got, .unicast = count_unicast, .broadcast = take_broadcast};
    const struct span text = span_of_text("four");
    const struct weft_peer_id *self = victim_peer(&victim, VICTIM_SELF);
    cr_assert_eq(core_channel_unicast(victim.core, "c", self, text, victim.now),
                 WEFT_ERR_NOT_FOUND);
    cr_assert_eq(core_channel_open(victim.core, "c", &gossiper, victim.now), WEFT_OK);
    cr_assert_eq(core_channel_unicast(victim.core, "c", self, text, victim.now), WEFT_OK);
    cr_assert_eq(got, 4);
    cr_assert_eq(core_channel_unicast(victim.core, "c", victim_peer(&victim, 0), text, victim.now),
                 WEFT_ERR_NOT_FOUND);
    core_channel_close(victim.core, "c");
    cr_assert_eq(core_channel_broadcast(victim.core, "c", text, victim.now), WEFT_ERR_NOT_FOUND);
}

Test(core_refusals, a_ping_answers_itself_and_says_when_there_is_no_path) {
    cr_assert_eq(core_ping(victim.core, victim_peer(&victim, VICTIM_SELF), 7, victim.now), WEFT_OK);
    victim_drain(&victim);
    cr_assert_eq(victim.pong, 7);
    victim_join(&victim, 5, 0, 100);
    core_link_down(victim.core, link_of(5), victim.now);
    victim_wait(&victim, NS_PER_S);
    cr_assert_eq(core_ping(victim.core, victim_peer(&victim, 0), 8, victim.now),
                 WEFT_ERR_UNREACHABLE);
}

static void unicast_to(uint64_t link, size_t destination, uint8_t hops) {
    uint8_t body[128];
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    const struct wire_unicast unicast = {.travel = {.hops = hops},
                                         .source = *victim_peer(&victim, 0),
                                         .destination = *victim_peer(&victim, destination),
                                         .packet = span_of_text("packet")};
    wire_unicast_encode(&writer, &unicast);
    victim_frame(&victim, link, WIRE_UNICAST, wire_writer_view(&writer), (struct span){0});
}

static void carrier_to(uint64_t link, size_t destination, uint8_t class) {
    uint8_t body[64];
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    const struct wire_carrier carrier = {.travel = {.hops = 4},
                                         .source = *victim_peer(&victim, 0),
                                         .destination = *victim_peer(&victim, destination),
                                         .class = class,
                                         .length = 6};
    wire_carrier_encode(&writer, &carrier);
    victim_frame(&victim, link, WIRE_CARRIER, wire_writer_view(&writer), span_of_text("packet"));
}

Test(core_refusals, a_relay_forwards_while_there_is_room_and_then_drops_and_counts) {
    const size_t none[WIRE_CLASS_COUNT] = {1 << 20, 0, 0};
    victim_join(&victim, 5, 0, 100);
    victim_join(&victim, 6, 1, 100);
    unicast_to(5, 1, 4);
    carrier_to(5, 1, WIRE_CLASS_STREAM);
    cr_assert_eq(victim_status(&victim).frames_forwarded, 2);
    cr_assert_eq(victim.sent_on.value, 6);
    core_link_room(victim.core, link_of(6), none, victim.now);
    unicast_to(5, 1, 4);
    carrier_to(5, 1, WIRE_CLASS_MESSAGE);
    cr_assert_eq(victim_status(&victim).frames_forwarded, 2);
    cr_assert_eq(victim_status(&victim).frames_dropped[CORE_DROP_NO_ROOM], 2);
    carrier_to(5, 1, WIRE_CLASS_STREAM);
    cr_assert_eq(victim_status(&victim).frames_forwarded, 3, "the queue knows who is to give way");
    unicast_to(5, 1, 0);
    cr_assert_eq(victim_status(&victim).frames_dropped[CORE_DROP_NO_HOPS], 1);
    unicast_to(5, 3, 4);
    cr_assert_eq(victim_status(&victim).frames_dropped[CORE_DROP_NO_ROUTE], 1);
    cr_assert_eq(victim.close_count, 0, "none of it is the sender's fault");
}

Test(core_refusals, a_frame_does_not_go_back_to_the_neighbour_it_came_from) {
    victim_join(&victim, 5, 0, 100);
    victim_join(&victim, 6, 1, 100);
    unicast_to(5, 0, 4);
    carrier_to(5, 0, WIRE_CLASS_STREAM);
    cr_assert_eq(victim_status(&victim).frames_forwarded, 0);
    cr_assert_eq(victim_status(&victim).frames_dropped[CORE_DROP_NO_ROUTE], 2);
    unicast_to(6, 0, 4);
    cr_assert_eq(victim_status(&victim).frames_forwarded, 1);
    cr_assert_eq(victim.close_count, 0, "it has not heard of a change yet, or we have not");
}

Test(core_refusals, a_carrier_may_not_travel_as_control_or_in_a_class_unknown) {
    static const uint8_t classes[] = {WIRE_CLASS_CONTROL, WIRE_CLASS_COUNT, 255};
    for (uint64_t i = 0; i < 3; i++) {
        victim_up(&victim, 20 + i, i, LINK_ACCEPTED);
        carrier_to(20 + i, VICTIM_SELF, classes[i]);
        cr_assert_eq(victim.close_count, i + 1);
        cr_assert_eq(victim.close_reason, WIRE_CLOSE_PROTOCOL);
    }
}

Test(core_refusals, frames_for_a_link_that_is_gone_or_closing_are_nobodys) {
    victim_up(&victim, 5, 0, LINK_ACCEPTED);
    core_link_bye(victim.core, link_of(5), WIRE_CLOSE_BYE, victim.now);
    core_link_bye(victim.core, link_of(5), WIRE_CLOSE_BYE, victim.now);
    unicast_to(5, 3, 4);
    unicast_to(77, 3, 4);
    core_link_down(victim.core, link_of(77), victim.now);
    core_link_alive(victim.core, link_of(77), victim.now);
    cr_assert_eq(victim_status(&victim).frames_dropped[CORE_DROP_NO_ROUTE], 0);
    cr_assert_eq(victim.close_count, 0);
}

/* Under one interval at a time: the link speaks of itself, whatever its frames say. */
Test(core_refusals, any_byte_is_a_sign_of_life_and_silence_closes) {
    victim_up(&victim, 5, 0, LINK_ACCEPTED);
    for (unsigned i = 0; i < 10; i++) {
        victim_wait(&victim, NS_PER_S);
        core_link_alive(victim.core, link_of(5), victim.now);
    }
    cr_assert_eq(victim.close_count, 0);
    victim_wait(&victim, 4 * NS_PER_S);
    cr_assert_eq(victim.close_count, 1);
    cr_assert_eq(victim.close_reason, WIRE_CLOSE_SILENT);
}

Test(core_refusals, a_leaving_node_withdraws_says_bye_and_takes_no_new_link) {
    cr_assert_eq(offer("web", "127.0.0.1:80", 1), WEFT_OK);
    victim_join(&victim, 5, 0, 100);
    core_leave(victim.core, 5 * NS_PER_S, victim.now);
    core_leave(victim.core, 60 * NS_PER_S, victim.now);
    victim_drain(&victim);
    cr_assert(victim_status(&victim).is_leaving);
    cr_assert_eq(victim_status(&victim).services, 0);
    victim_up(&victim, 6, 1, LINK_ACCEPTED);
    cr_assert_eq(victim.closed.value, 6);
    cr_assert_eq(victim.close_reason, WIRE_CLOSE_BYE);
    core_link_down(victim.core, link_of(6), victim.now);
    victim_wait(&victim, 400 * NS_PER_MS);
    cr_assert_eq(victim.closed.value, 5);
    cr_assert_not(victim.has_left);
    core_link_down(victim.core, link_of(5), victim.now);
    victim_wait(&victim, 100 * NS_PER_MS);
    cr_assert(victim.has_left);
}

Test(core_refusals, a_leave_waits_for_streams_but_no_longer_than_its_patience) {
    victim_join(&victim, 5, 0, 100);
    victim_service_record(&victim, 5, 0, "default/web");
    cr_assert_eq(open_stream("web", WIRE_PROTOCOL_TCP), WEFT_OK);
    core_leave(victim.core, 2 * NS_PER_S, victim.now);
    victim_wait(&victim, 1900 * NS_PER_MS);
    cr_assert_eq(victim.close_count, 0);
    victim_wait(&victim, 200 * NS_PER_MS);
    cr_assert_eq(victim.close_reason, WIRE_CLOSE_BYE);
    victim_wait(&victim, NS_PER_S); /* the link never says that it is down */
    cr_assert(victim.has_left);
}

static void clone_speaks(uint64_t instance, uint64_t incarnation) {
    uint8_t body[256];
    static const char *const addresses[] = {"198.51.100.1:9338", "198.51.100.2:9338"};
    const struct wire_peer_source source = {.name = "victim",
                                            .software = "test",
                                            .instance = instance,
                                            .addresses = addresses,
                                            .address_count = 2};
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    wire_peer_body_encode(&writer, &source);
    victim_record(&victim, 5, VICTIM_SELF,
                  &(struct wire_record){.kind = WIRE_RECORD_PEER,
                                        .incarnation = incarnation,
                                        .version = 1000,
                                        .body = wire_writer_view(&writer)});
}

static void meet_clone(uint64_t instance) {
    victim_up(&victim, 5, 0, LINK_ACCEPTED);
    for (unsigned i = 0; i < 4 && !victim_status(&victim).is_clone_seen; i++) {
        clone_speaks(instance, victim_status(&victim).incarnation + 1);
        victim_wait(&victim, 1100 * NS_PER_MS);
    }
    cr_assert(victim_status(&victim).is_clone_seen);
    cr_assert_str_eq(victim_status(&victim).clone_addresses, "198.51.100.1:9338,198.51.100.2:9338");
}

Test(core_refusals, the_larger_of_two_instances_leaves_the_mesh_for_a_minute) {
    meet_clone(VICTIM_INSTANCE - 1);
    cr_assert(victim_status(&victim).is_quarantined);
    cr_assert_eq(victim.close_reason, WIRE_CLOSE_BYE);
    core_link_down(victim.core, link_of(5), victim.now);
    size_t closed = victim.close_count;
    victim_up(&victim, 6, 1, LINK_ACCEPTED);
    cr_assert_eq(victim.close_count, closed + 1);
    cr_assert_eq(victim.close_reason, WIRE_CLOSE_BYE);
    core_link_down(victim.core, link_of(6), victim.now);
    victim_wait(&victim, 61 * NS_PER_S);
    cr_assert_not(victim_status(&victim).is_quarantined);
    victim_up(&victim, 7, 1, LINK_ACCEPTED);
    cr_assert_eq(victim.close_count, closed + 1, "it looks again");
}

Test(core_refusals, who_is_closed_for_its_clone_goes_at_once) {
    victim_up(&victim, 5, 0, LINK_ACCEPTED);
    clone_speaks(VICTIM_INSTANCE - 1, victim_status(&victim).incarnation + 1);
    cr_assert_not(victim_status(&victim).is_clone_seen);
    core_link_bye(victim.core, link_of(5), WIRE_CLOSE_CLONE, victim.now);
    victim_wait(&victim, NS_PER_MS);
    cr_assert(victim_status(&victim).is_quarantined);
}

Test(core_refusals, the_smaller_of_two_instances_stays) {
    meet_clone(VICTIM_INSTANCE + 1);
    cr_assert_not(victim_status(&victim).is_quarantined);
    cr_assert_eq(victim_status(&victim).links, 1);
}

Test(core_refusals, a_full_node_refuses_whom_it_reaches_otherwise_and_admits_a_newcomer) {
    const size_t both[] = {VICTIM_SELF, 1};
    const size_t first[] = {0};
    victim_fini(&victim);
    victim_init(&victim);
    victim.config.links_max = 1;
    victim_start(&victim);
    victim_join(&victim, 5, 0, 100);
    victim_peer_record(&victim, 5, 0, both, 2, 100);
    victim_peer_record(&victim, 5, 1, first, 1, 100);
    victim_wait(&victim, NS_PER_S);
    cr_assert_eq(victim_status(&victim).peers_reachable, 2);
    size_t closed = victim.close_count;
    victim_up(&victim, 6, 1, LINK_ACCEPTED);
    cr_assert_eq(victim.close_count, closed + 1);
    cr_assert_eq(victim.closed.value, 6);
    cr_assert_eq(victim.close_reason, WIRE_CLOSE_FULL);
    core_link_down(victim.core, link_of(6), victim.now);
    victim_up(&victim, 7, 2, LINK_ACCEPTED);
    cr_assert(victim.closed.value != 7, "who has no other way in is admitted");
}

Test(core_refusals, what_was_saved_is_loaded_as_stale_and_nonsense_is_not) {
    struct core_provider provider;
    struct victim next;
    victim_join(&victim, 5, 0, 100);
    victim_service_record(&victim, 5, 0, "default/web");
    victim_init(&next);
    victim_start(&next);
    core_load_record(next.core, span_of_text("nonsense"), 0, next.now);
    cr_assert_str_eq(next.traced, "record-not-loaded");
    for (size_t i = 0; i < victim.kept_count; i++) {
        core_load_record(next.core, victim.kept[i]->encoded, 5 * NS_PER_S, next.now);
    }
    victim_drain(&next);
    cr_assert_eq(core_providers(next.core, "default", "web", WIRE_PROTOCOL_TCP, &provider, 1), 1);
    cr_assert_eq(provider.state, SERVICE_STALE);
    cr_assert_eq(provider.absence, 5 * NS_PER_S);
    victim_wait(&next, next.config.fade_after);
    cr_assert_eq(core_providers(next.core, "default", "web", WIRE_PROTOCOL_TCP, &provider, 1), 0);
    cr_assert_geq(next.forgotten_count, 2, "the service and its owner");
    victim_fini(&next);
}

Test(core_refusals, labels_and_addresses_beyond_the_limits_are_not_told) {
    static const char *const labels[] = {"rack", "7", "site", "north"};
    static const char *const many[] = {"h:1", "h:2", "h:3", "h:4", "h:5",
                                       "h:6", "h:7", "h:8", "h:9"};
    struct core_peer_view view;
    victim_fini(&victim);
    victim_init(&victim);
    victim.config.labels = labels;
    victim.config.label_count = 2;
    victim_start(&victim);
    core_set_addresses(victim.core, many, 9, victim.now);
    victim_wait(&victim, NS_PER_S);
    cr_assert(core_find_peer(victim.core, victim_peer(&victim, VICTIM_SELF), &view));
    cr_assert_eq(view.body.addresses.count, WIRE_ADDRESSES_MAX);
    cr_assert_eq(view.body.labels.count, 2);
    struct span key;
    struct span value;
    cr_assert(wire_list_next_label(&view.body.labels, &key, &value));
    cr_assert(span_equal(key, span_of_text("rack")) && span_equal(value, span_of_text("7")));
}
