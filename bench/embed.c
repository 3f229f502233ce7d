/* SPDX-License-Identifier: Apache-2.0
 *
 * The node inside a program that measures it.
 */
#include "embed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_hex(const char *text, uint8_t *out, size_t len) {
    if (strlen(text) != 2 * len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        const char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
        char *end = NULL;
        out[i] = (uint8_t)strtoul(digits, &end, 16);
        if (*end != '\0') {
            return false;
        }
    }
    return true;
}

struct weft_node *embed_node(int argc, char **argv) {
    uint8_t secret[WEFT_KEY_BYTES];
    char why[WEFT_NODE_TEXT];
    struct weft_node *node = NULL;
    if (argc < 4 || argc > 5 || !read_hex(argv[2], secret, sizeof(secret))) {
        (void)fprintf(stderr, "usage: %s NAME SECRET-HEX LISTEN [SEED]\n", argv[0]);
        return NULL;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    const char *listen[] = {argv[3]};
    const char *seeds[] = {argc > 4 ? argv[4] : NULL};
    const struct weft_node_config config = {.name = argv[1],
                                            .secret = secret,
                                            .listen = listen,
                                            .listen_count = 1,
                                            .seeds = seeds,
                                            .seed_count = argc > 4 ? 1 : 0,
                                            .is_quiet = true};
    if (weft_node_new(&config, &node, why) != WEFT_OK) {
        (void)fprintf(stderr, "%s: %s\n", argv[0], why);
        return NULL;
    }
    return node;
}
