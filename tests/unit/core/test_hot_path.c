/* SPDX-License-Identifier: Apache-2.0
 *
 * What is not done for each packet of a busy stream: write a log or any text, ask for the time, set
 * a timer, hash a string, allocate. The functions that would do it are counted (linker option
 * --wrap) while two end nodes move 60 KB after 60 KB, each with its core and its link.
 */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../../bench/bench_stream.h"
#include "base/hash.h"
#include "base/host.h"
#include "base/timers.h"

#define PIECES 800UL

static struct {
    unsigned long traces;
    unsigned long texts;
    unsigned long clocks;
    unsigned long timers;
    unsigned long hashes;
    unsigned long allocations;
    size_t hashed_max; /* bytes of the longest key */
} seen;

void __wrap_trace(const struct host *host, enum trace_level level, const char *name,
                  const char *format, ...);
void __wrap_trace(const struct host *host, enum trace_level level, const char *name,
                  const char *format, ...) {
    (void)host;
    (void)level;
    (void)name;
    (void)format;
    seen.traces++;
}

void __real_timers_arm(struct timers *timers, struct timer *timer, weft_ns deadline);
void __wrap_timers_arm(struct timers *timers, struct timer *timer, weft_ns deadline);
void __wrap_timers_arm(struct timers *timers, struct timer *timer, weft_ns deadline) {
    seen.timers++;
    __real_timers_arm(timers, timer, deadline);
}

uint64_t __real_hash_keyed(const struct hash_key *key, struct span bytes);
uint64_t __wrap_hash_keyed(const struct hash_key *key, struct span bytes);
uint64_t __wrap_hash_keyed(const struct hash_key *key, struct span bytes) {
    seen.hashes++;
    seen.hashed_max = bytes.len > seen.hashed_max ? bytes.len : seen.hashed_max;
    return __real_hash_keyed(key, bytes);
}

int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out) {
    seen.clocks++;
    return __real_clock_gettime(clock, out);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size) {
    seen.allocations++;
    return __real_malloc(size);
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size) {
    seen.allocations++;
    return __real_calloc(count, size);
}

void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size) {
    seen.allocations++;
    return __real_realloc(block, size);
}

/* All four ways in which the compiler may call for text. */
int __real_vsnprintf(char *out, size_t size, const char *format, va_list arguments);
int __wrap_vsnprintf(char *out, size_t size, const char *format, va_list arguments);
int __wrap_vsnprintf(char *out, size_t size, const char *format, va_list arguments) {
    seen.texts++;
    return __real_vsnprintf(out, size, format, arguments);
}

int __wrap___vsnprintf_chk(char *out, size_t size, int flag, size_t room, const char *format,
                           va_list arguments);
int __wrap___vsnprintf_chk(char *out, size_t size, int flag, size_t room, const char *format,
                           va_list arguments) {
    (void)flag;
    (void)room;
    seen.texts++;
    return __real_vsnprintf(out, size, format, arguments);
}

int __wrap_snprintf(char *out, size_t size, const char *format, ...);
int __wrap_snprintf(char *out, size_t size, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    seen.texts++;
    int len = __real_vsnprintf(out, size, format, arguments);
    va_end(arguments);
    return len;
}

int __wrap___snprintf_chk(char *out, size_t size, int flag, size_t room, const char *format, ...);
int __wrap___snprintf_chk(char *out, size_t size, int flag, size_t room, const char *format, ...) {
    va_list arguments;
    (void)flag;
    (void)room;
    va_start(arguments, format);
    seen.texts++;
    int len = __real_vsnprintf(out, size, format, arguments);
    va_end(arguments);
    return len;
}

/* The hooks are in place: setting up does all of it. And then none, but for what belongs to the
 * passing of time: a tenth of a millisecond a turn of four packets, so 20 ms in all. */
Test(hot_path, a_packet_costs_no_log_clock_timer_allocation_or_hash_of_a_string) {
    bench_stream_begin();
    cr_expect_gt(seen.traces, 0);
    cr_expect_gt(seen.texts, 0);
    cr_expect_gt(seen.timers, 0);
    cr_expect_gt(seen.allocations, 0);
    cr_expect_gt(seen.hashed_max, 16);
    memset(&seen, 0, sizeof(seen));
    bench_stream_move(PIECES);
    cr_expect_eq(seen.traces, 0);
    cr_expect_eq(seen.texts, 0);
    cr_expect_eq(seen.clocks, 0);
    cr_expect_leq(seen.timers, PIECES / 50);
    cr_expect_leq(seen.hashed_max, 16, "ids, as they are");
    cr_expect_leq(seen.hashes, 5 * PIECES, "%lu", seen.hashes);
    cr_expect_leq(seen.allocations, PIECES / 100, "%lu", seen.allocations);
    bench_stream_end();
}
