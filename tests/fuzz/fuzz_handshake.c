/* SPDX-License-Identifier: Apache-2.0
 *
 * The link handshake against somebody who has the mesh secret and a key, and says in its messages
 * what the script says: other preambles, other paddings, hellos that are none, keys that it has not
 * proven. Bits are flipped and bytes cut off, messages come in pieces and twice, allocations fail.
 *
 * Whoever comes through has proven a key that is not ours; nobody gets more bytes than he sent.
 */
#include "base/check.h"
#include "fuzz/fuzz.h"
#include "fuzz/insider.h"
#include "link/guard.h"
#include "support/failing_alloc.h"

#define PATTERN "XXpsk0+psk3"
#define MESSAGE_BYTES_MAX 2048

enum payload {
    PAYLOAD_HELLO,  /* a good one */
    PAYLOAD_FIELDS, /* a hello whose fields are the script's */
    PAYLOAD_RAW,    /* bytes of the script */
    PAYLOAD_OTHER,  /* a good one, but of another key */
    PAYLOAD_COUNT,
};

enum change {
    CHANGE_NONE,
    CHANGE_FLIP,
    CHANGE_CUT,
    CHANGE_LENGTH, /* its two bytes of length are the script's */
    CHANGE_COUNT,
};

struct bout {
    struct wire_reader script;
    struct fuzz_node victim;
    struct fuzz_node other;
    struct guard *guard;
    struct handshake *hs;
    struct noise_handshake *noise; /* the other's side */
    enum link_role role;           /* the victim's */
    struct inbuf in;
    struct link_fault fault;
    enum handshake_result result;
    size_t bytes_in;  /* to the victim */
    size_t bytes_out; /* from it */
    uint8_t preamble[HANDSHAKE_PREAMBLE_BYTES];
    uint8_t message[MESSAGE_BYTES_MAX];
};

/* ---- what the other says ---- */

static struct span hello_of(struct bout *bout, uint8_t *bytes) {
    static const char *const addresses[] = {"192.0.2.1:9338", "[2001:db8::1]:9338"};
    enum payload choice = (enum payload)(wire_read_u8(&bout->script) % PAYLOAD_COUNT);
    struct wire_hello hello = bout->other.shared.hello;
    struct wire_writer writer = wire_writer_of(bytes, WIRE_HELLO_BYTES_MAX);
    if (choice == PAYLOAD_RAW) {
        return fuzz_take(&bout->script, 1000);
    }
    if (choice == PAYLOAD_FIELDS) {
        hello.version_min = wire_read_u8(&bout->script);
        hello.version_max = wire_read_u8(&bout->script);
        hello.features = wire_read_u64(&bout->script);
        hello.incarnation = wire_read_u64(&bout->script);
        hello.area = wire_read_u16(&bout->script);
    }
    if (choice == PAYLOAD_OTHER) {
        hello.key.bytes[wire_read_u8(&bout->script) % WEFT_KEY_BYTES] ^= 1;
    }
    wire_hello_encode(&writer, &hello, addresses, 2);
    return wire_writer_view(&writer);
}

/* False when memory is short for it. */
static bool noise_begin(struct bout *bout) {
    static const char label[] = "weft link 1";
    const struct link_shared *shared = &bout->other.shared;
    uint8_t prologue[64];
    uint8_t psks[2][WEFT_KEY_BYTES];
    struct wire_writer writer = wire_writer_of(prologue, sizeof prologue);
    wire_write_bytes(&writer, span_of_text(label));
    wire_write_bytes(&writer, span_of(bout->preamble, sizeof bout->preamble));
    wire_write_bytes(&writer, span_of(shared->mesh_id, sizeof shared->mesh_id));
    memcpy(psks[0], shared->psk, WEFT_KEY_BYTES);
    memcpy(psks[1], shared->psk, WEFT_KEY_BYTES);
    struct noise_config config = {.pattern = PATTERN,
                                  .is_initiator = bout->role == LINK_ACCEPTED,
                                  .prologue = wire_writer_view(&writer),
                                  .local_static = &bout->other.identity.link_static,
                                  .psks = (const uint8_t(*)[WEFT_KEY_BYTES])psks,
                                  .psk_count = 2};
    memset(config.ephemeral_secret, 77, sizeof config.ephemeral_secret);
    return noise_handshake_new(&config, &bout->noise) == WEFT_OK;
}

/* Puts the next message around a payload at `at`; returns where it ends. */
static size_t message_put(struct bout *bout, size_t at, struct span payload) {
    size_t len = sizeof bout->message - at - 2;
    if (noise_handshake_write(bout->noise, payload, bout->message + at + 2, &len) != WEFT_OK) {
        return at;
    }
    bout->message[at] = (uint8_t)(len >> 8);
    bout->message[at + 1] = (uint8_t)len;
    return at + 2 + len;
}

static size_t change_bytes(struct bout *bout, size_t at, size_t len) {
    switch ((enum change)(wire_read_u8(&bout->script) % CHANGE_COUNT)) {
    case CHANGE_FLIP:
        bout->message[wire_read_u16(&bout->script) % len] ^= (uint8_t)(1 + at % 2);
        break;
    case CHANGE_CUT:
        return wire_read_u16(&bout->script) % len;
    case CHANGE_LENGTH:
        bout->message[at] = wire_read_u8(&bout->script);
        bout->message[at + 1] = wire_read_u8(&bout->script);
        break;
    case CHANGE_NONE:
    case CHANGE_COUNT:
        break;
    }
    return len;
}

/* ---- what the victim makes of it ---- */

static void judge(struct bout *bout) {
    ASSERT(bout->result != HANDSHAKE_FAULT || bout->fault.text != NULL);
    if (bout->result == HANDSHAKE_DONE) {
        uint8_t key[WEFT_KEY_BYTES];
        const uint8_t *proven = noise_handshake_remote_static(bout->hs->noise);
        ASSERT(identity_link_key(&bout->hs->hello.key, key) == WEFT_OK);
        ASSERT(proven != NULL && noise_equal(proven, key, sizeof key));
        ASSERT(!weft_peer_id_equal(&bout->hs->peer, &bout->victim.identity.id));
        ASSERT(bout->hs->version >= WIRE_VERSION_MIN && bout->hs->version <= WIRE_VERSION_MAX);
        ASSERT(wire_name_is_valid(bout->hs->hello.name));
    }
}

/* Gives the victim bytes in pieces; what is left when it has enough stays. */
static void give(struct bout *bout, size_t len) {
    size_t chunk = 1 + (size_t)wire_read_u8(&bout->script) * 16;
    size_t done = 0;
    while (done < len && bout->result == HANDSHAKE_WAIT) {
        size_t room = 0;
        size_t left = LINK_HANDSHAKE_BYTES_MAX - inbuf_view(&bout->in).len;
        size_t part = len - done < chunk ? len - done : chunk;
        if (left == 0) {
            return;
        }
        part = part < left ? part : left;
        uint8_t *space = inbuf_space(&bout->in, part, LINK_HANDSHAKE_BYTES_MAX, &room);
        if (space == NULL) {
            return;
        }
        part = part < room ? part : room;
        memcpy(space, bout->message + done, part);
        inbuf_done(&bout->in, part);
        done += part;
        bout->result = handshake_read(bout->hs, &bout->victim.shared, &bout->in, &bout->fault);
        judge(bout);
    }
    bout->bytes_in += done;
    struct span out = handshake_pending(bout->hs);
    fuzz_touch(out);
    ASSERT(bout->role == LINK_DIALLED || bout->bytes_out + out.len <= bout->bytes_in);
}

/* Takes what the victim says as far as it can be read. */
static bool hear(struct bout *bout, size_t skip) {
    uint8_t plain[LINK_HANDSHAKE_BYTES_MAX];
    size_t len = sizeof plain;
    struct span out = handshake_pending(bout->hs);
    bout->bytes_out += out.len;
    bout->hs->out_done = bout->hs->out_len;
    return out.len > skip + 2 &&
           noise_handshake_read(bout->noise, span_of(out.data + skip + 2, out.len - skip - 2),
                                plain, &len) == WEFT_OK;
}

static void dial_it(struct bout *bout) {
    static const uint8_t padding[1000];
    uint8_t hello[WIRE_HELLO_BYTES_MAX];
    memcpy(bout->preamble, "weft\x01\x01", sizeof bout->preamble);
    for (uint8_t i = wire_read_u8(&bout->script) % 4; i > 0; i--) {
        bout->preamble[wire_read_u8(&bout->script) % sizeof bout->preamble] =
            wire_read_u8(&bout->script);
    }
    size_t padded = wire_read_u16(&bout->script);
    padded = padded == 0 ? 842 : padded % sizeof padding;
    if (!noise_begin(bout)) {
        return;
    }
    memcpy(bout->message, bout->preamble, sizeof bout->preamble);
    size_t len = message_put(bout, sizeof bout->preamble, span_of(padding, padded));
    give(bout, change_bytes(bout, sizeof bout->preamble, len));
    if (hear(bout, 0)) {
        give(bout, change_bytes(bout, 0, message_put(bout, 0, hello_of(bout, hello))));
    }
}

static void answer_it(struct bout *bout) {
    uint8_t hello[WIRE_HELLO_BYTES_MAX];
    memcpy(bout->preamble, bout->hs->out, sizeof bout->preamble);
    if (noise_begin(bout) && hear(bout, sizeof bout->preamble)) {
        give(bout, change_bytes(bout, 0, message_put(bout, 0, hello_of(bout, hello))));
        (void)hear(bout, 0);
    }
}

static void run(struct bout *bout, bool has_expected, bool is_expected) {
    const struct weft_peer_id *expected =
        is_expected ? &bout->other.identity.id : &bout->victim.identity.id;
    bout->result = HANDSHAKE_WAIT;
    bout->bytes_in = bout->bytes_out = 0;
    if (handshake_new(&bout->victim.shared, bout->role, has_expected ? expected : NULL,
                      &bout->hs) != WEFT_OK) {
        return;
    }
    if (bout->role == LINK_ACCEPTED) {
        dial_it(bout);
    } else {
        answer_it(bout);
    }
    (void)failing_alloc_disarm();
    noise_handshake_free(bout->noise);
    handshake_free(bout->hs);
    inbuf_fini(&bout->in);
    bout->noise = NULL;
    bout->hs = NULL;
    bout->in = (struct inbuf){.block = NULL};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct bout bout;
    struct guard_config guard;
    memset(&bout, 0, sizeof bout);
    bout.script = wire_reader_of(span_of(data, size));
    uint8_t flags = wire_read_u8(&bout.script);
    fuzz_node_init(&bout.victim, 1);
    fuzz_node_init(&bout.other, (flags & 1) != 0 ? 1 : 66); /* itself, or somebody else */
    if ((flags & 2) != 0) {                                 /* who does not know the secret */
        bout.other.shared.psk[0] ^= 1;
    }
    guard_config_defaults(&guard);
    ASSERT(guard_new(&guard, &bout.guard) == WEFT_OK);
    bout.victim.shared.guard = bout.guard;
    bout.role = (flags & 4) != 0 ? LINK_DIALLED : LINK_ACCEPTED;
    failing_alloc_arm(wire_read_u8(&bout.script) % 8);
    run(&bout, (flags & 8) != 0, (flags & 16) != 0);
    (void)failing_alloc_disarm();
    if ((flags & 32) != 0) { /* the same ephemeral key again: replayed */
        run(&bout, false, false);
    }
    guard_free(bout.guard);
    identity_fini(&bout.victim.identity);
    identity_fini(&bout.other.identity);
    return 0;
}
