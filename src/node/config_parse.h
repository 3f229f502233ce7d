/* SPDX-License-Identifier: Apache-2.0
 *
 * The texts that operators write, whether in a file, a variable or a flag. Each returns false for
 * what it does not accept and leaves `out` alone then.
 */
#ifndef NODE_CONFIG_PARSE_H
#define NODE_CONFIG_PARSE_H

#include "node/config.h"

/* A decimal number in [min, max], without sign or leading space. */
bool config_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* "200ms", "1s", "1.5s", "2m", "1h" or "fast" (200 ms). */
bool config_parse_duration(const char *text, weft_ns *out);

/* "on", "off", and what YAML says for them: true, false, yes, no. */
bool config_parse_switch(const char *text, bool *out);

/* "HOST:PORT", "[V6]:PORT"; also "HOST" and "[V6]" with `default_port`, unless that is 0. */
bool config_parse_endpoint(const char *text, uint16_t default_port, struct config_address *out);

/* What to listen on: as an endpoint, or ":PORT" or "PORT" for every address. Port 0 is allowed: the
 * kernel chooses. */
bool config_parse_listen(const char *text, const char *default_host, struct config_address *out);

/* Writes "host:port", the host in brackets if it has a colon. */
void config_format_address(const struct config_address *address, char out[WEFT_ENDPOINT_MAX + 1]);

/* "[PEER@]HOST[:PORT]"; PEER is a whole peer id. */
bool config_parse_seed(const char *text, struct config_seed *out);

/* "[NAMESPACE/]NAME[/PROTOCOL]": the default namespace, and TCP, unless given. PROTOCOL is tcp or
 * udp, and of several parts the last is one if it is so spelt: the service "udp" of the namespace
 * "lab" is lab/udp/tcp. */
bool config_parse_service_name(const char *text, char name_space[WEFT_NAME_MAX + 1],
                               char name[WEFT_NAME_MAX + 1], uint8_t *protocol);

/* Makes a valid node name of any text: other characters become '-', an empty one "node". */
void config_name_from(const char *text, char out[WEFT_NAME_MAX + 1]);

/* The candidate that `text` was probably meant to be, or NULL if none is close. */
const char *config_suggest(const char *text, const char *const *candidates, size_t count);

#endif
