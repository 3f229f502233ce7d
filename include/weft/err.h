/* SPDX-License-Identifier: Apache-2.0
 *
 * Operating errors: what peers, memory, disks and operators can cause. Programmer errors are
 * asserted instead (base/check.h) and never appear here.
 */
#ifndef WEFT_ERR_H
#define WEFT_ERR_H

/* A caller must look at the result. */
#define WEFT_MUST_CHECK __attribute__((warn_unused_result))

enum weft_err {
    WEFT_OK = 0,
    WEFT_ERR_MEMORY,      /* the allocator refused */
    WEFT_ERR_MALFORMED,   /* bytes that are not what the protocol says */
    WEFT_ERR_AUTH,        /* a key, tag or signature does not prove what it should */
    WEFT_ERR_VERSION,     /* no version in common, or state of a newer version */
    WEFT_ERR_FULL,        /* a queue, table or quota is at its bound */
    WEFT_ERR_EXISTS,      /* already there */
    WEFT_ERR_NOT_FOUND,   /* no such peer, service, stream, record or file */
    WEFT_ERR_STALE,       /* older than what is known already */
    WEFT_ERR_STATE,       /* not possible in the present state, such as writing after a close */
    WEFT_ERR_UNREACHABLE, /* no path to the peer */
    WEFT_ERR_REFUSED,     /* the other side said no */
    WEFT_ERR_TIMEOUT,     /* the time for it ran out */
    WEFT_ERR_INVALID,     /* an operator's value that cannot be used */
    WEFT_ERR_IO,          /* the operating system failed a call; errno says more */
};

/* A short, stable, lower-case name such as "malformed"; never NULL. */
const char *weft_err_name(enum weft_err err);

#endif
