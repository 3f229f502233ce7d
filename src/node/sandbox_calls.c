/* SPDX-License-Identifier: Apache-2.0
 *
 * Seccomp: the system calls of a daemon that runs. What is not listed fails as on a kernel that
 * lacks it (ENOSYS), for which the C library has a second way; what only an intruder would call
 * ends the process.
 */
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <linux/netlink.h>
#include <linux/sockios.h>

#include "node/sandbox.h"

#define CALL(name) SCMP_SYS(name)
#define SOCKET_TYPE 0xf /* the rest of the argument is SOCK_NONBLOCK and SOCK_CLOEXEC */

static const int allowed[] = {
    /* sockets, pipes and waiting */
    CALL(accept4),
    CALL(bind),
    CALL(connect),
    CALL(getpeername),
    CALL(getsockname),
    CALL(getsockopt),
    CALL(listen),
    CALL(recvfrom),
    CALL(recvmmsg),
    CALL(recvmsg),
    CALL(sendmmsg),
    CALL(sendmsg),
    CALL(sendto),
    CALL(setsockopt),
    CALL(shutdown),
    CALL(pipe2),
    CALL(splice),
    CALL(read),
    CALL(readv),
    CALL(write),
    CALL(writev),
    CALL(epoll_create1),
    CALL(epoll_ctl),
    CALL(epoll_pwait),
    CALL(epoll_pwait2),
    CALL(epoll_wait),
    CALL(eventfd2),
    CALL(poll),
    CALL(ppoll),
    CALL(timerfd_create),
    CALL(timerfd_settime),
    /* files: which of them is Landlock's business */
    CALL(access),
    CALL(close),
    CALL(faccessat),
    CALL(faccessat2),
    CALL(fallocate),
    CALL(fchmod),
    CALL(fchown),
    CALL(fcntl),
    CALL(fdatasync),
    CALL(flock),
    CALL(fstat),
    CALL(fsync),
    CALL(ftruncate),
    CALL(getcwd),
    CALL(getdents64),
    CALL(link),
    CALL(linkat),
    CALL(lseek),
    CALL(lstat),
    CALL(newfstatat),
    CALL(open),
    CALL(openat),
    CALL(pread64),
    CALL(pwrite64),
    CALL(readlink),
    CALL(readlinkat),
    CALL(rename),
    CALL(renameat),
    CALL(renameat2),
    CALL(stat),
    CALL(statx),
    CALL(umask),
    CALL(unlink),
    CALL(unlinkat),
    /* memory, threads, time, signals, chance */
    CALL(brk),
    CALL(madvise),
    CALL(membarrier),
    CALL(mlock),
    CALL(mremap),
    CALL(munlock),
    CALL(munmap),
    CALL(futex),
    CALL(get_robust_list),
    CALL(rseq),
    CALL(set_robust_list),
    CALL(set_tid_address),
    CALL(sched_getaffinity),
    CALL(sched_yield),
    CALL(clock_getres),
    CALL(clock_gettime),
    CALL(clock_nanosleep),
    CALL(gettimeofday),
    CALL(nanosleep),
    CALL(time),
    CALL(getrandom),
    CALL(restart_syscall),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(rt_sigtimedwait),
    CALL(sigaltstack),
    CALL(tgkill),
    CALL(exit),
    CALL(exit_group),
    /* who we are */
    CALL(getegid),
    CALL(geteuid),
    CALL(getgid),
    CALL(getpid),
    CALL(getrusage),
    CALL(gettid),
    CALL(getuid),
    CALL(sysinfo),
    CALL(uname),
};

static const int fatal[] = {
    CALL(execve),
    CALL(execveat),
    CALL(fork),
    CALL(vfork),
    CALL(ptrace),
    CALL(process_vm_readv),
    CALL(process_vm_writev),
    CALL(kexec_load),
    CALL(init_module),
    CALL(finit_module),
    CALL(bpf),
    CALL(mount),
    CALL(umount2),
    CALL(pivot_root),
    CALL(chroot),
    CALL(setns),
    CALL(unshare),
    CALL(keyctl),
    CALL(add_key),
    CALL(setuid),
    CALL(setgid),
    CALL(setreuid),
    CALL(setresuid),
};

static bool add_all(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count) {
    bool is_added = true;
    for (size_t i = 0; i < count; i++) {
        is_added = is_added && seccomp_rule_add(filter, action, calls[i], 0) == 0;
    }
    return is_added;
}

static bool allow_if(scmp_filter_ctx filter, int call, struct scmp_arg_cmp condition) {
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, condition) == 0;
}

/* TCP, UDP (for names), local sockets, and asking the kernel for our addresses; no raw packets. */
static bool allow_sockets(scmp_filter_ctx filter) {
    static const unsigned families[] = {AF_INET, AF_INET6, AF_UNIX};
    static const unsigned types[] = {SOCK_STREAM, SOCK_DGRAM};
    bool is_added =
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(socket), 2, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK),
                         SCMP_A2(SCMP_CMP_EQ, NETLINK_ROUTE)) == 0;
    for (size_t i = 0; i < 6; i++) {
        is_added = is_added &&
                   seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(socket), 2,
                                    SCMP_A0(SCMP_CMP_EQ, families[i / 2]),
                                    SCMP_A1(SCMP_CMP_MASKED_EQ, SOCKET_TYPE, types[i % 2])) == 0;
    }
    return is_added;
}

/* Memory is writable or executable, not both and not one after the other: mapping a library is
 * possible, running what was written is not. */
static bool allow_memory(scmp_filter_ctx filter) {
    const unsigned both = PROT_WRITE | PROT_EXEC;
    return allow_if(filter, CALL(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, both, 0)) &&
           allow_if(filter, CALL(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, both, PROT_WRITE)) &&
           allow_if(filter, CALL(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, both, PROT_EXEC)) &&
           allow_if(filter, CALL(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/* Threads but no processes (clone3 hides its flags in memory, so it is not to be had), the ioctls
 * of libevent, stdio, scoped addresses and sockets, and reading limits but not setting them. */
static bool allow_the_rest(scmp_filter_ctx filter) {
    static const unsigned long requests[] = {FIONREAD,     FIONBIO,  TCGETS,
                                             SIOCGIFINDEX, SIOCOUTQ, SIOCOUTQNSD};
    bool is_added =
        allow_if(filter, CALL(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)) &&
        allow_if(filter, CALL(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0));
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        is_added = is_added && allow_if(filter, CALL(ioctl), SCMP_A1(SCMP_CMP_EQ, requests[i]));
    }
    return is_added;
}

bool sandbox_calls(void) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (filter == NULL) {
        return false;
    }
    bool is_in_force =
        seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0 &&
        seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0 &&
        add_all(filter, SCMP_ACT_ALLOW, allowed, sizeof allowed / sizeof allowed[0]) &&
        add_all(filter, SCMP_ACT_KILL_PROCESS, fatal, sizeof fatal / sizeof fatal[0]) &&
        allow_sockets(filter) && allow_memory(filter) && allow_the_rest(filter) &&
        seccomp_load(filter) == 0;
    seccomp_release(filter);
    return is_in_force;
}
