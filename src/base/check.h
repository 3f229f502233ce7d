/* SPDX-License-Identifier: Apache-2.0
 *
 * Assertions for programmer errors, on in release builds too. Nothing a peer, an operator or the
 * operating system does may reach one: those are enum weft_err.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

/* Prints the claim and where it stands to stderr, then aborts. */
_Noreturn void check_failed(const char *claim, const char *file, int line);

#define ASSERT(claim) ((claim) ? (void)0 : check_failed(#claim, __FILE__, __LINE__))

/* For claims that cost more than the function they guard. */
#ifdef WEFT_DEBUG_ASSERT
#define DEBUG_ASSERT(claim) ASSERT(claim)
#else
#define DEBUG_ASSERT(claim) ((void)0)
#endif

#endif
