/* SPDX-License-Identifier: Apache-2.0
 *
 * Preloaded into a program, it shows it another time of day: so many seconds on as the file
 * $CLOCK_SHIFT holds, eight bytes of this machine's order, read at each look. The monotonic clock
 * is left alone, as it is where somebody sets the time.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift;
static int (*real_clock_gettime)(clockid_t clock, struct timespec *out);

__attribute__((constructor)) static void set_up(void) {
    const char *path = getenv("CLOCK_SHIFT");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *found = dlsym(RTLD_NEXT, "clock_gettime");
    __builtin_memcpy(&real_clock_gettime, &found, sizeof found);
    if (fd >= 0) {
        void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
        shift = page != MAP_FAILED ? page : NULL;
        (void)close(fd);
    }
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    int result = real_clock_gettime(clock, out);
    if (result == 0 && shift != NULL &&
        (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        out->tv_sec += *shift;
    }
    return result;
}

int gettimeofday(struct timeval *out, void *zone) {
    struct timespec now;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return result;
}

time_t time(time_t *out) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}
