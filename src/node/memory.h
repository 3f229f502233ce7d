/* SPDX-License-Identifier: Apache-2.0
 *
 * How much memory this process may use, so that what it keeps for others is bounded by what there
 * is: a daemon that buffers more than its cgroup allows is killed with all its streams, one that
 * knows stops reading from those who send.
 */
#ifndef NODE_MEMORY_H
#define NODE_MEMORY_H

#include <stdint.h>

/* The least of: the machine's memory, the address space's limit, and that of each cgroup that we
 * are in (versions 1 and 2). Reads files: call it before the sandbox. */
uint64_t memory_limit(void);

/* What of that the buffers of streams may take, in MiB: half, within 8 to 512. */
uint32_t memory_buffers_mib(uint64_t limit);

/* The limit that one cgroup line of /proc/self/cgroup leads to, below `root` (/sys/fs/cgroup): the
 * least of the group's and of those above it; UINT64_MAX if none is set. */
uint64_t memory_cgroup_limit(const char *root, const char *line);

#endif
