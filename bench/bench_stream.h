/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream between two end nodes, for bench_micro and the test hot_path.
 */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

#define BENCH_PIECE_BYTES ((uint64_t)61440)

/* Two cores that know each other, the link between them, and a stream from the first to the second
 * that has moved so much that its windows and all pools have grown. One at a time. */
void bench_stream_begin(void);
/* Moves so many pieces of 60 KB from one core's application to the other's. */
void bench_stream_move(unsigned long count);
void bench_stream_end(void);

/* Node `node` offers a service by this name over TCP. */
struct mesh;
void bench_offer(struct mesh *mesh, unsigned node, const char *name);

#endif
