/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and signatures over libsodium. Everything follows from the 32-byte seed.
 */
#include "noise/identity.h"

#include <sodium.h>

#include "base/check.h"

_Static_assert(IDENTITY_SEED_BYTES == crypto_sign_SEEDBYTES, "Ed25519 seed");
_Static_assert(SIGNATURE_BYTES == crypto_sign_BYTES, "Ed25519 signature");
_Static_assert(WEFT_KEY_BYTES == crypto_sign_PUBLICKEYBYTES, "Ed25519 public key");

enum weft_err noise_setup(void) {
    return sodium_init() < 0 ? WEFT_ERR_IO : WEFT_OK;
}

void identity_from_seed(struct identity *identity, const uint8_t seed[IDENTITY_SEED_BYTES]) {
    ASSERT(identity != NULL && seed != NULL);
    crypto_sign_seed_keypair(identity->key.bytes, identity->sign_secret, seed);
    identity->id = peer_id_of_key(&identity->key);
    crypto_sign_ed25519_sk_to_curve25519(identity->link_static.secret, identity->sign_secret);
    crypto_scalarmult_base(identity->link_static.public, identity->link_static.secret);
}

void identity_fini(struct identity *identity) {
    ASSERT(identity != NULL);
    noise_wipe(identity, sizeof(*identity));
}

struct weft_peer_id peer_id_of_key(const struct weft_public_key *key) {
    uint8_t digest[32];
    struct weft_peer_id id;
    crypto_generichash(digest, sizeof(digest), key->bytes, sizeof(key->bytes), NULL, 0);
    memcpy(id.bytes, digest, sizeof(id.bytes));
    return id;
}

/* libsodium refuses points off the curve, of small order and outside the main subgroup. */
enum weft_err identity_link_key(const struct weft_public_key *key, uint8_t out[WEFT_KEY_BYTES]) {
    uint8_t converted[WEFT_KEY_BYTES];
    if (crypto_sign_ed25519_pk_to_curve25519(converted, key->bytes) != 0) {
        return WEFT_ERR_AUTH;
    }
    memcpy(out, converted, sizeof(converted));
    return WEFT_OK;
}

/* What a signature covers, in one piece: Ed25519 reads its message twice, and libsodium wants it
 * contiguous. On the stack, so that signing cannot fail for want of memory. */
struct signed_bytes {
    size_t len;
    uint8_t data[SIGNED_DOMAIN_MAX + 1 + SIGNED_BYTES_MAX];
};

static void signed_bytes_join(struct signed_bytes *joined, const char *domain,
                              struct span message) {
    size_t domain_len = strlen(domain);
    ASSERT(domain_len <= SIGNED_DOMAIN_MAX && message.len <= SIGNED_BYTES_MAX);
    memcpy(joined->data, domain, domain_len + 1);
    if (message.len > 0) {
        memcpy(joined->data + domain_len + 1, message.data, message.len);
    }
    joined->len = domain_len + 1 + message.len;
}

void identity_sign(const struct identity *identity, const char *domain, struct span message,
                   uint8_t out[SIGNATURE_BYTES]) {
    struct signed_bytes joined;
    signed_bytes_join(&joined, domain, message);
    crypto_sign_detached(out, NULL, joined.data, joined.len, identity->sign_secret);
}

bool identity_verify(const struct weft_public_key *key, const char *domain, struct span message,
                     const uint8_t signature[SIGNATURE_BYTES]) {
    if (message.len > SIGNED_BYTES_MAX) {
        return false; /* nobody can have signed it */
    }
    struct signed_bytes joined;
    signed_bytes_join(&joined, domain, message);
    return crypto_sign_verify_detached(signature, joined.data, joined.len, key->bytes) == 0;
}

void noise_hash(const char *domain, struct span message, uint8_t out[32]) {
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, 32);
    crypto_generichash_update(&state, (const uint8_t *)domain, strlen(domain) + 1);
    crypto_generichash_update(&state, message.data, message.len);
    crypto_generichash_final(&state, out, 32);
}

void noise_derive(const uint8_t secret[32], const char *domain, uint8_t out[32]) {
    crypto_generichash(out, 32, (const uint8_t *)domain, strlen(domain), secret, 32);
}

enum weft_err identity_shared_key(const struct identity *identity,
                                  const uint8_t remote[WEFT_KEY_BYTES], const char *domain,
                                  uint8_t out[32]) {
    uint8_t shared[WEFT_KEY_BYTES];
    if (crypto_scalarmult(shared, identity->link_static.secret, remote) != 0) {
        return WEFT_ERR_AUTH;
    }
    noise_derive(shared, domain, out);
    noise_wipe(shared, sizeof shared);
    return WEFT_OK;
}

void noise_mac(const uint8_t key[32], struct span message, uint8_t *out, size_t len) {
    ASSERT(len >= crypto_generichash_BYTES_MIN && len <= crypto_generichash_BYTES_MAX);
    crypto_generichash(out, len, message.data, message.len, key, 32);
}

void noise_wipe(void *memory, size_t len) {
    sodium_memzero(memory, len);
}

bool noise_equal(const void *a, const void *b, size_t len) {
    return sodium_memcmp(a, b, len) == 0;
}
