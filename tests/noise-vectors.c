/* SPDX-License-Identifier: Apache-2.0
 *
 * noise-vectors [-v] FILE...: runs public Noise test vectors (the JSON format of cacophony and
 * snow, tests/vectors/README.md) against src/noise, both roles, every handshake and transport
 * ciphertext bit for bit.
 *
 * Prints a line per failure (per vector with -v), then "N of N" and "skipped M". Exit status 0 only
 * if every vector that was run passed and at least one was run; 1 if not; 2 on a usage error or a
 * file that cannot be read. A vector is skipped, with its reason under -v, only if its protocol
 * name is outside what weft speaks; one with a broken field fails.
 */
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "noise/aead.h"
#include "noise/handshake.h"

#define SUFFIX "_25519_ChaChaPoly_BLAKE2b"
#define PREFIX "Noise_"
#define PATTERN_TEXT_MAX 64
#define BUFFER_BYTES (NOISE_MESSAGE_BYTES_MAX + AEAD_TAG_BYTES)

struct tally {
    bool is_verbose;
    size_t run;
    size_t passed;
    size_t skipped;
    size_t hashes_given;
    size_t hashes_same;
};

/* One side of one vector. */
struct party {
    struct noise_config config;
    uint8_t prologue[BUFFER_BYTES];
    struct noise_keypair local_static;
    uint8_t remote_static[WEFT_KEY_BYTES];
    uint8_t psks[NOISE_PSK_MAX][WEFT_KEY_BYTES];
    struct noise_handshake *handshake;
    struct aead *send;
    struct aead *receive;
    struct noise_keys keys;
};

struct run {
    struct party parties[2]; /* initiator, responder */
    uint64_t counters[2];    /* transport messages so far, by sender */
    bool is_one_way;
    uint8_t payload[BUFFER_BYTES];
    uint8_t expected[BUFFER_BYTES];
    uint8_t actual[BUFFER_BYTES];
    uint8_t opened[BUFFER_BYTES];
};

/* Decodes a hex field. False if it is not hex or too long; *len is what it held. */
static bool decode_hex(const json_t *value, uint8_t *out, size_t room, size_t *len) {
    const char *text = json_string_value(value);
    const char *end = NULL;
    if (text == NULL || sodium_hex2bin(out, room, text, strlen(text), NULL, len, &end) != 0) {
        return false;
    }
    return *end == '\0';
}

/* "init" and "static" make the field "init_static". */
static const json_t *field_of(const json_t *vector, const char *side, const char *name) {
    char key[64];
    snprintf(key, sizeof(key), "%s_%s", side, name);
    return json_object_get(vector, key);
}

static bool decode_key(const json_t *value, uint8_t out[WEFT_KEY_BYTES]) {
    size_t len = 0;
    return decode_hex(value, out, WEFT_KEY_BYTES, &len) && len == WEFT_KEY_BYTES;
}

/* Absent is fine: the handshake itself refuses a config that lacks what its pattern needs. */
static bool load_static(struct party *party, const json_t *vector, const char *side) {
    const json_t *local = field_of(vector, side, "static");
    const json_t *remote = field_of(vector, side, "remote_static");
    if (local != NULL) {
        if (!decode_key(local, party->local_static.secret)) {
            return false;
        }
        crypto_scalarmult_base(party->local_static.public, party->local_static.secret);
        party->config.local_static = &party->local_static;
    }
    if (remote != NULL) {
        party->config.remote_static = party->remote_static;
        return decode_key(remote, party->remote_static);
    }
    return true;
}

/* A list under "psks", or the older single "psk". */
static bool load_psks(struct party *party, const json_t *vector, const char *side) {
    const json_t *list = field_of(vector, side, "psks");
    const json_t *single = field_of(vector, side, "psk");
    size_t count = list != NULL ? json_array_size(list) : (size_t)(single != NULL);
    if (count > NOISE_PSK_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!decode_key(list != NULL ? json_array_get(list, i) : single, party->psks[i])) {
            return false;
        }
    }
    party->config.psks = (const uint8_t(*)[WEFT_KEY_BYTES])party->psks;
    party->config.psk_count = count;
    return true;
}

/* Some sets leave out fields that a side never uses: a one-way responder has no ephemeral key. */
static bool load_prologue_and_ephemeral(struct party *party, const json_t *vector,
                                        const char *side) {
    const json_t *prologue = field_of(vector, side, "prologue");
    const json_t *ephemeral = field_of(vector, side, "ephemeral");
    size_t len = 0;
    if (prologue != NULL && !decode_hex(prologue, party->prologue, sizeof(party->prologue), &len)) {
        return false;
    }
    party->config.prologue = span_of(party->prologue, len);
    memset(party->config.ephemeral_secret, 0x55, WEFT_KEY_BYTES);
    return ephemeral == NULL || decode_key(ephemeral, party->config.ephemeral_secret);
}

static const char *load_party(struct party *party, const json_t *vector, const char *side) {
    if (!load_prologue_and_ephemeral(party, vector, side) || !load_static(party, vector, side) ||
        !load_psks(party, vector, side)) {
        return "a field is not as the format says";
    }
    if (noise_handshake_new(&party->config, &party->handshake) != WEFT_OK) {
        return "the handshake refused the vector's keys";
    }
    return NULL;
}

static void party_fini(struct party *party) {
    noise_handshake_free(party->handshake);
    aead_free(party->send);
    aead_free(party->receive);
}

/* Loads one message; NULL, or what is wrong. */
static const char *load_message(struct run *run, const json_t *message, size_t *payload_len,
                                size_t *expected_len) {
    if (!decode_hex(json_object_get(message, "payload"), run->payload, NOISE_MESSAGE_BYTES_MAX,
                    payload_len) ||
        !decode_hex(json_object_get(message, "ciphertext"), run->expected, BUFFER_BYTES,
                    expected_len)) {
        return "a message is not hex";
    }
    return NULL;
}

static bool is_same(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len) {
    return a_len == b_len && memcmp(a, b, a_len) == 0;
}

static const char *run_handshake_message(struct run *run, size_t sender, size_t payload_len,
                                         size_t expected_len) {
    struct party *from = &run->parties[sender];
    struct party *to = &run->parties[1 - sender];
    size_t len = sizeof(run->actual);
    struct span payload = span_of(run->payload, payload_len);
    if (noise_handshake_write(from->handshake, payload, run->actual, &len) != WEFT_OK) {
        return "handshake write refused";
    }
    if (!is_same(run->actual, len, run->expected, expected_len)) {
        return "handshake ciphertext differs";
    }
    len = sizeof(run->opened);
    struct span message = span_of(run->expected, expected_len);
    if (noise_handshake_read(to->handshake, message, run->opened, &len) != WEFT_OK) {
        return "handshake read refused";
    }
    return is_same(run->opened, len, run->payload, payload_len) ? NULL
                                                                : "handshake payload differs";
}

static const char *run_transport_message(struct run *run, size_t sender, size_t payload_len,
                                         size_t expected_len) {
    uint64_t counter = run->counters[sender]++;
    struct span empty = span_of(NULL, 0);
    memcpy(run->actual, run->payload, payload_len);
    aead_seal(run->parties[sender].send, counter, empty, run->actual, payload_len);
    if (!is_same(run->actual, payload_len + AEAD_TAG_BYTES, run->expected, expected_len)) {
        return "transport ciphertext differs";
    }
    if (aead_open(run->parties[1 - sender].receive, counter, empty, run->expected, expected_len) !=
        WEFT_OK) {
        return "transport open refused";
    }
    return memcmp(run->expected, run->payload, payload_len) == 0 ? NULL
                                                                 : "transport payload differs";
}

/* Moves both sides from the handshake to transport. */
static const char *start_transport(struct run *run) {
    for (size_t i = 0; i < 2; i++) {
        struct party *party = &run->parties[i];
        noise_handshake_split(party->handshake, &party->keys);
        party->send = aead_new(AEAD_CHACHA20_POLY1305, party->keys.send);
        party->receive = aead_new(AEAD_CHACHA20_POLY1305, party->keys.receive);
        if (party->send == NULL || party->receive == NULL) {
            return "out of memory";
        }
    }
    bool is_same_hash =
        memcmp(run->parties[0].keys.hash, run->parties[1].keys.hash, WEFT_KEY_BYTES) == 0;
    return is_same_hash ? NULL : "the sides' handshake hashes differ";
}

/* Some sets give a handshake hash. It is compared and counted but fails nothing: cacophony's
 * published files hold the hash from before the last message (its NN vectors show it), not the
 * final one that the specification means. */
static void count_hash(struct tally *tally, const struct run *run, const json_t *vector) {
    const json_t *given = json_object_get(vector, "handshake_hash");
    uint8_t hash[2 * WEFT_KEY_BYTES];
    size_t len = 0;
    if (given == NULL) {
        return;
    }
    tally->hashes_given++;
    if (decode_hex(given, hash, sizeof(hash), &len) && len == sizeof(hash) &&
        memcmp(hash, run->parties[0].keys.hash, WEFT_KEY_BYTES) == 0) {
        tally->hashes_same++;
    }
}

static const char *run_message(struct run *run, const json_t *vector, size_t index) {
    size_t payload_len = 0;
    size_t expected_len = 0;
    size_t sender = run->is_one_way ? 0 : index % 2;
    const json_t *message = json_array_get(json_object_get(vector, "messages"), index);
    const char *fault = load_message(run, message, &payload_len, &expected_len);
    if (fault != NULL) {
        return fault;
    }
    if (run->parties[0].send != NULL) {
        return run_transport_message(run, sender, payload_len, expected_len);
    }
    fault = run_handshake_message(run, sender, payload_len, expected_len);
    if (fault == NULL && noise_handshake_is_done(run->parties[sender].handshake)) {
        fault = start_transport(run);
    }
    return fault;
}

static const char *run_messages(struct run *run, const json_t *vector) {
    size_t count = json_array_size(json_object_get(vector, "messages"));
    const char *fault = NULL;
    for (size_t i = 0; i < count && fault == NULL; i++) {
        fault = run_message(run, vector, i);
    }
    if (fault == NULL && run->parties[0].send == NULL) {
        return "the vector ends before the handshake does";
    }
    return fault;
}

/* NULL if the vector holds, else what does not. */
static const char *run_vector(struct run *run, const json_t *vector, const char *pattern) {
    const char *fault = NULL;
    const char *const sides[2] = {"init", "resp"};
    memset(run, 0, sizeof(*run));
    run->is_one_way = strcspn(pattern, "p") == 1; /* N, K, X: one letter before any "psk" */
    for (size_t i = 0; i < 2 && fault == NULL; i++) {
        run->parties[i].config.pattern = pattern;
        run->parties[i].config.is_initiator = i == 0;
        fault = load_party(&run->parties[i], vector, sides[i]);
    }
    if (fault == NULL) {
        fault = run_messages(run, vector);
    }
    party_fini(&run->parties[0]);
    party_fini(&run->parties[1]);
    return fault;
}

/* Whether weft has the pattern, asked with every key that one could need. */
static bool is_pattern_known(const char *pattern) {
    static const uint8_t psks[NOISE_PSK_MAX][WEFT_KEY_BYTES];
    struct noise_keypair pair = {.secret = {9}};
    crypto_scalarmult_base(pair.public, pair.secret);
    for (size_t count = 0; count <= NOISE_PSK_MAX; count++) {
        struct noise_handshake *handshake = NULL;
        struct noise_config config = {.pattern = pattern,
                                      .local_static = &pair,
                                      .remote_static = pair.public,
                                      .psks = psks,
                                      .psk_count = count};
        enum weft_err err = noise_handshake_new(&config, &handshake);
        noise_handshake_free(handshake);
        if (err == WEFT_OK) {
            return true;
        }
    }
    return false;
}

/* NULL and the pattern's name, or why weft does not run this protocol. */
static const char *pattern_of(const char *name, char pattern[PATTERN_TEXT_MAX]) {
    size_t len = strlen(name);
    size_t around = strlen(PREFIX) + strlen(SUFFIX);
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0) {
        return "not a protocol name of revision 34";
    }
    if (len <= around || strcmp(name + len - strlen(SUFFIX), SUFFIX) != 0) {
        return "other Diffie-Hellman, cipher or hash";
    }
    if (!span_to_text(span_of(name + strlen(PREFIX), len - around), pattern, PATTERN_TEXT_MAX) ||
        !is_pattern_known(pattern)) {
        return "pattern not in the table";
    }
    return NULL;
}

/* cacophony's older files say "name" for "protocol_name". */
static const char *name_of(const json_t *vector) {
    const char *name = json_string_value(json_object_get(vector, "protocol_name"));
    if (name == NULL) {
        name = json_string_value(json_object_get(vector, "name"));
    }
    return name != NULL ? name : "";
}

static void count_vector(struct tally *tally, struct run *run, const json_t *vector) {
    const char *name = name_of(vector);
    char pattern[PATTERN_TEXT_MAX];
    const char *reason = pattern_of(name, pattern);
    if (reason == NULL && json_is_true(json_object_get(vector, "fallback"))) {
        reason = "fallback";
    }
    if (reason != NULL) {
        tally->skipped++;
        if (tally->is_verbose) {
            printf("SKIP %s: %s\n", name, reason);
        }
        return;
    }
    const char *fault = run_vector(run, vector, pattern);
    tally->run++;
    tally->passed += fault == NULL;
    if (fault == NULL) {
        count_hash(tally, run, vector);
    }
    if (fault != NULL) {
        printf("FAIL %s: %s\n", name, fault);
    } else if (tally->is_verbose) {
        printf("PASS %s\n", name);
    }
}

/* False if the file is not JSON of the format. */
static bool count_file(struct tally *tally, struct run *run, const char *path) {
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    const json_t *vectors = json_object_get(root, "vectors");
    if (!json_is_array(vectors)) {
        fprintf(stderr, "noise-vectors: %s: %s\n", path,
                root == NULL ? error.text : "no list called \"vectors\"");
        json_decref(root);
        return false;
    }
    for (size_t i = 0; i < json_array_size(vectors); i++) {
        count_vector(tally, run, json_array_get(vectors, i));
    }
    json_decref(root);
    return true;
}

int main(int argc, char **argv) {
    struct tally tally = {0};
    int first = 1;
    if (argc > 1 && strcmp(argv[1], "-v") == 0) {
        tally.is_verbose = true;
        first = 2;
    }
    struct run *run = calloc(1, sizeof(*run));
    if (first >= argc || run == NULL || noise_setup() != WEFT_OK) {
        fprintf(stderr, "usage: noise-vectors [-v] FILE...\n");
        free(run);
        return 2;
    }
    bool is_readable = true;
    for (int i = first; i < argc; i++) {
        is_readable = count_file(&tally, run, argv[i]) && is_readable;
    }
    free(run);
    if (tally.hashes_given > 0) {
        printf("handshake hash as given in %zu of %zu\n", tally.hashes_same, tally.hashes_given);
    }
    printf("%zu of %zu\nskipped %zu\n", tally.passed, tally.run, tally.skipped);
    if (!is_readable) {
        return 2;
    }
    return tally.run > 0 && tally.passed == tally.run ? 0 : 1;
}
