/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations on what a node knows of a large mesh, so many times each: paths and record sets.
 */
#ifndef BENCH_KNOWN_H
#define BENCH_KNOWN_H

/* All paths of 1,000 nodes after one link's cost has changed. */
void bench_paths_changed(unsigned long count);

/* A router that knows nothing takes the words of 1,000 nodes and computes all paths. */
void bench_paths_all(unsigned long count);

/* Ten of 2,000 records are replaced in one of two equal sets; a reconciliation finds which, and the
 * other set takes them. */
void bench_sync(unsigned long count);

#endif
