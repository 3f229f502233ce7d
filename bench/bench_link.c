/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes a second through two links in one process, sealing and opening included, one copy between
 * them in place of the kernel: 60 KB carriers, whose payload links do not seal, and 100-byte
 * frames, which they do. Not a test: prints a line for each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/time.h"
#include "pair.h"

#define RUN_NS ((weft_ns)2 * NS_PER_S)
#define FRAMES_AT_ONCE 512

static weft_ns clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (weft_ns)now.tv_sec * NS_PER_S + (weft_ns)now.tv_nsec;
}

static void run(const char *name, struct peer *a, struct peer *b, uint16_t carried, int batch) {
    struct frame *frame = pair_frame(carried);
    struct frame *payload = pair_payload(carried);
    uint64_t bytes = 0;
    weft_ns start = clock_now();
    weft_ns now = start;
    while (now - start < RUN_NS) {
        for (int i = 0; i < batch; i++) {
            enum wire_class class = carried > 0 ? WIRE_CLASS_STREAM : WIRE_CLASS_MESSAGE;
            enum weft_err err = link_send(a->link, frame, payload, class, 7, 0);
            ASSERT(err == WEFT_OK);
        }
        bytes += pair_carry(a, b);
        now = clock_now();
    }
    double seconds = (double)(now - start) / 1e9;
    double unit = carried > 0 ? carried : 96;
    printf("%-16s %6.2f GB/s %10.0f frames/s\n", name, (double)bytes / seconds / 1e9,
           (double)bytes / unit / seconds);
    frame_unref(frame);
    frame_unref(payload);
}

int main(void) {
    static struct peer a;
    static struct peer b;
    if (noise_setup() != WEFT_OK) {
        return EXIT_FAILURE;
    }
    pair_init(&a, &b);
    run("carrier 60000", &a, &b, 60000, 32);
    run("carrier 1400", &a, &b, 1400, 512);
    run("frame 100", &a, &b, 0, FRAMES_AT_ONCE);
    link_free(a.link);
    link_free(b.link);
    return EXIT_SUCCESS;
}
