/* SPDX-License-Identifier: Apache-2.0
 *
 * Who a node is: one Ed25519 key pair, its X25519 form (the Noise static key) and the peer id.
 */
#ifndef NOISE_IDENTITY_H
#define NOISE_IDENTITY_H

#include "base/span.h"
#include "weft/types.h"

#define IDENTITY_SEED_BYTES 32
#define SIGNATURE_BYTES 64
#define SIGNED_BYTES_MAX 65535 /* a signed message: what one record can carry */
#define SIGNED_DOMAIN_MAX 64   /* a domain, without NUL */

/* Key pair of X25519. Wipe with noise_wipe. */
struct noise_keypair {
    uint8_t secret[WEFT_KEY_BYTES];
    uint8_t public[WEFT_KEY_BYTES];
};

struct identity {
    struct weft_peer_id id;
    struct weft_public_key key;       /* Ed25519 */
    uint8_t sign_secret[64];          /* Ed25519, libsodium's form: seed, then public key */
    struct noise_keypair link_static; /* the X25519 form of the same key */
};

/* Sets libsodium up; call once before anything else in this folder. Idempotent. */
WEFT_MUST_CHECK enum weft_err noise_setup(void);

/* Derives everything from a 32-byte seed; the seed is what the state folder stores. */
void identity_from_seed(struct identity *identity, const uint8_t seed[IDENTITY_SEED_BYTES]);

/* Wipes the secrets. Takes zeroed memory. */
void identity_fini(struct identity *identity);

/* First 16 bytes of BLAKE2b-256 of the key. */
struct weft_peer_id peer_id_of_key(const struct weft_public_key *key);

/* The X25519 form of an Ed25519 key. WEFT_ERR_AUTH if it is not a point of the main subgroup. */
WEFT_MUST_CHECK enum weft_err identity_link_key(const struct weft_public_key *key,
                                                uint8_t out[WEFT_KEY_BYTES]);

/* Ed25519 over domain || 0x00 || message; the domain (a literal) keeps signatures of one purpose
 * from being shown for another. Asserts message.len <= SIGNED_BYTES_MAX. */
void identity_sign(const struct identity *identity, const char *domain, struct span message,
                   uint8_t out[SIGNATURE_BYTES]);

/* Whether the signature is the key's over the same domain and message. False for a message longer
 * than SIGNED_BYTES_MAX. */
bool identity_verify(const struct weft_public_key *key, const char *domain, struct span message,
                     const uint8_t signature[SIGNATURE_BYTES]);

/* BLAKE2b-256 of domain || 0x00 || message, for fingerprints and names; not for keys. */
void noise_hash(const char *domain, struct span message, uint8_t out[32]);

/* A 32-byte key derived from a 32-byte secret: BLAKE2b keyed with the secret over the domain. */
void noise_derive(const uint8_t secret[32], const char *domain, uint8_t out[32]);

/* A 32-byte key that only the two owners of these keys can make, for one purpose: the X25519 of
 * both, derived. WEFT_ERR_AUTH if the remote key is of small order. Cost: a Diffie-Hellman. */
WEFT_MUST_CHECK enum weft_err identity_shared_key(const struct identity *identity,
                                                  const uint8_t remote[WEFT_KEY_BYTES],
                                                  const char *domain, uint8_t out[32]);

/* A MAC of 16 to 64 bytes: BLAKE2b keyed with `key`. */
void noise_mac(const uint8_t key[32], struct span message, uint8_t *out, size_t len);

/* Overwrites memory in a way the compiler may not leave out. */
void noise_wipe(void *memory, size_t len);

/* Compares in constant time. */
bool noise_equal(const void *a, const void *b, size_t len);

#endif
