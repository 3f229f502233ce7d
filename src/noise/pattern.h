/* SPDX-License-Identifier: Apache-2.0
 *
 * Handshake patterns as data: the table of Noise rev 34 (sections 7.4, 7.5, 18.1) and the psk
 * modifiers of section 9, compiled into token lists. Private to this folder: handshake.c is its
 * only caller.
 */
#ifndef NOISE_PATTERN_H
#define NOISE_PATTERN_H

#include "weft/types.h"

#define PATTERN_MESSAGES_MAX 4 /* X1N, X1K, X1K1, X1X, X1X1 */
#define PATTERN_TOKENS_MAX 8   /* at most 6 (IXpsk2), one for the end, one to spare */

enum noise_token {
    TOKEN_END = 0,
    TOKEN_E,
    TOKEN_S,
    TOKEN_EE,
    TOKEN_ES,
    TOKEN_SE,
    TOKEN_SS,
    TOKEN_PSK,
};

/* One handshake, ready to run. Messages alternate, the initiator's first. */
struct noise_pattern {
    enum noise_token messages[PATTERN_MESSAGES_MAX][PATTERN_TOKENS_MAX]; /* to TOKEN_END */
    size_t message_count;
    size_t psk_count;
    bool knows_initiator; /* pre-message: the responder has the initiator's static key */
    bool knows_responder; /* pre-message: the initiator has the responder's static key */
};

/* Compiles a name such as "NN" or "XXpsk0+psk3". Modifiers stand in rising order, each once.
 * WEFT_ERR_INVALID for a name that is not in the table, a modifier that the pattern has no message
 * for, or more than NOISE_PSK_MAX modifiers. */
WEFT_MUST_CHECK enum weft_err noise_pattern_parse(const char *name, struct noise_pattern *out);

/* Whether the initiator (or the responder) needs a static key pair of its own. */
bool noise_pattern_needs_static(const struct noise_pattern *pattern, bool is_initiator);

#endif
