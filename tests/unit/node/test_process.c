/* SPDX-License-Identifier: Apache-2.0
 *
 * The sandbox and the service manager's socket. What is given up is given up for good, so each
 * attempt is a child's.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/memory.h"
#include "node/notify.h"
#include "node/sandbox.h"

#define CANNOT_ENTER 99

static char folder[] = "/tmp/weft-process-XXXXXX";
static char state[64];
static char config_file[64];
static char elsewhere[64];
static struct config config;

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

static void set_up(void) {
    char path[64];
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(state, sizeof state, "%s/state", folder);
    (void)snprintf(path, sizeof path, "%s/etc", folder);
    (void)snprintf(config_file, sizeof config_file, "%s/etc/weft.yaml", folder);
    (void)snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", folder);
    cr_assert_eq(mkdir(state, 0700), 0);
    cr_assert_eq(mkdir(path, 0700), 0);
    write_file(config_file, "name: a\n");
    write_file(elsewhere, "not for us\n");
    config = (struct config){.state = state, .control = config_file, .file = config_file};
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *place) {
    (void)facts;
    (void)kind;
    (void)place;
    return remove(path);
}

static void tear_down(void) {
    (void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(process, .init = set_up, .fini = tear_down);

static bool enter_calls(void) {
    return sandbox_calls();
}

static bool enter_files(void) {
    return sandbox_files(&config);
}

/* What `attempt` returned in a child that entered first: its errno or 0; minus the signal that
 * ended it. A kernel that has no such fence skips the test. */
static int in(bool (*enter)(void), int (*attempt)(void)) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        _exit(enter() ? attempt() : CANNOT_ENTER);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        return -WTERMSIG(status);
    }
    if (WEXITSTATUS(status) == CANNOT_ENTER) {
        cr_skip_test("this kernel has no such fence");
    }
    return WEXITSTATUS(status);
}

static int result(bool is_good) {
    return is_good ? 0 : errno;
}

/* Calls. */

static int run_a_program(void) {
    char *const arguments[] = {(char[]){"true"}, NULL};
    return result(execv("/bin/true", arguments) == 0);
}

static int make_a_process(void) {
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    return result(child > 0);
}

static int raw_socket(void) {
    return result(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0);
}

static int packet_socket(void) {
    return result(socket(AF_PACKET, SOCK_DGRAM, 0) >= 0);
}

static int tcp_socket(void) {
    return result(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) >= 0);
}

static int writable_code(void) {
    return result(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                       -1, 0) != MAP_FAILED);
}

static int written_code(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? 1 : result(mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0);
}

static void *nothing(void *argument) {
    return argument;
}

static int make_a_thread(void) {
    pthread_t thread;
    return pthread_create(&thread, NULL, nothing, NULL) == 0 ? pthread_join(thread, NULL) : EAGAIN;
}

Test(process, a_program_that_is_run_ends_the_process) {
    cr_assert_eq(in(enter_calls, run_a_program), -SIGSYS);
}

Test(process, no_process_is_made) {
    cr_assert_neq(in(enter_calls, make_a_process), 0);
}

Test(process, only_sockets_of_our_kinds_are_made) {
    cr_assert_eq(in(enter_calls, raw_socket), ENOSYS);
    cr_assert_eq(in(enter_calls, packet_socket), ENOSYS);
    cr_assert_eq(in(enter_calls, tcp_socket), 0);
}

Test(process, memory_is_not_both_written_and_run) {
    cr_assert_eq(in(enter_calls, writable_code), ENOSYS);
    cr_assert_eq(in(enter_calls, written_code), ENOSYS);
}

Test(process, threads_still_begin) {
    cr_assert_eq(in(enter_calls, make_a_thread), 0);
}

/* Files. */

static int can_open(const char *path, int flags) {
    return result(open(path, flags | O_CLOEXEC, 0600) >= 0);
}

static int read_elsewhere(void) {
    return can_open(elsewhere, O_RDONLY);
}

static int write_beside_the_state(void) {
    char path[80];
    (void)snprintf(path, sizeof path, "%s/new", folder);
    return can_open(path, O_WRONLY | O_CREAT);
}

static int write_the_configuration(void) {
    return can_open(config_file, O_WRONLY);
}

static int read_the_configuration(void) {
    return can_open(config_file, O_RDONLY);
}

static int read_names(void) {
    return can_open("/etc/hosts", O_RDONLY);
}

static int keep_state(void) {
    char made[80];
    char named[80];
    (void)snprintf(made, sizeof made, "%s/made", state);
    (void)snprintf(named, sizeof named, "%s/named", state);
    int file = open(made, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return result(file >= 0 && write(file, "x", 1) == 1 && ftruncate(file, 0) == 0 &&
                  rename(made, named) == 0 && unlink(named) == 0);
}

static int link_out_of_the_state(void) {
    char inside[80];
    char outside[80];
    (void)snprintf(inside, sizeof inside, "%s/inside", state);
    (void)snprintf(outside, sizeof outside, "%s/outside", folder);
    int err = can_open(inside, O_WRONLY | O_CREAT);
    return err != 0 ? 1 : result(rename(inside, outside) == 0);
}

Test(process, files_elsewhere_are_out_of_reach) {
    cr_assert_eq(in(enter_files, read_elsewhere), EACCES);
    cr_assert_eq(in(enter_files, write_beside_the_state), EACCES);
    cr_assert_eq(in(enter_files, write_the_configuration), EACCES);
    cr_assert_neq(in(enter_files, link_out_of_the_state), 0);
}

Test(process, its_own_files_stay_in_reach) {
    cr_assert_eq(in(enter_files, read_the_configuration), 0);
    cr_assert_eq(in(enter_files, read_names), 0);
    cr_assert_eq(in(enter_files, keep_state), 0);
}

/* Dumps. */

static int allow_dumps(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0 ? 0
                                                                                             : 1;
}

Test(process, no_core_file_is_written) {
    cr_assert_eq(in(sandbox_no_dumps, allow_dumps), 0);
}

Test(process, the_parts_in_force_are_told_by_name) {
    char text[SANDBOX_TEXT_BYTES];
    sandbox_text(SANDBOX_ALL, text);
    cr_assert_str_eq(text, "privileges,dumps,files,calls");
    sandbox_text(SANDBOX_FILES, text);
    cr_assert_str_eq(text, "files");
    sandbox_text(0, text);
    cr_assert_str_eq(text, "none");
}

/* Memory. */

static void make_group(const char *path, const char *file, const char *limit) {
    char whole[192];
    (void)snprintf(whole, sizeof whole, "%s/%s", folder, path);
    cr_assert(mkdir(whole, 0700) == 0 || errno == EEXIST);
    (void)snprintf(whole, sizeof whole, "%s/%s/%s", folder, path, file);
    write_file(whole, limit);
}

Test(process, the_least_limit_along_a_cgroup_counts) {
    make_group("a", "memory.max", "max\n");
    make_group("a/b", "memory.max", "100000000\n");
    make_group("a/b/c", "memory.max", "200000000\n");
    cr_assert_eq(memory_cgroup_limit(folder, "0::/a/b/c\n"), 100000000);
    cr_assert_eq(memory_cgroup_limit(folder, "0::/a\n"), UINT64_MAX);
    cr_assert_eq(memory_cgroup_limit(folder, "0::/gone/gone\n"), UINT64_MAX);
    cr_assert_eq(memory_cgroup_limit(folder, "0::/\n"), UINT64_MAX);
    for (const char *const *line = (const char *const[]){"", "0", "0:", "0::", "1:cpu:/a/b", NULL};
         *line != NULL; line++) {
        cr_assert_eq(memory_cgroup_limit(folder, *line), UINT64_MAX, "%s", *line);
    }
}

Test(process, version_1_of_cgroups_and_a_path_of_the_hosts_are_understood) {
    make_group("memory", "memory.limit_in_bytes", "50000000\n");
    cr_assert_eq(memory_cgroup_limit(folder, "4:memory:/docker/0123\n"), 50000000);
    cr_assert_eq(memory_cgroup_limit(folder, "4:memory:/\n"), 50000000);
}

Test(process, buffers_take_half_of_what_there_is) {
    const uint64_t mib = 1024 * 1024;
    cr_assert_eq(memory_buffers_mib(48 * mib), 24);
    cr_assert_eq(memory_buffers_mib(10 * mib), 8);
    cr_assert_eq(memory_buffers_mib(UINT64_MAX), 512);
    cr_assert_gt(memory_limit(), mib);
}

/* The service manager. */

/* A socket that hears; `name` begins with '@' for an abstract one. */
static int listen_at(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    memcpy(address.sun_path, name, len);
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                 0);
    return fd;
}

static void expect_heard(int fd, const char *expected) {
    char heard[256] = "";
    ssize_t len = recv(fd, heard, sizeof heard - 1, 0);
    cr_assert_geq(len, 0, "nothing was said");
    cr_assert_str_eq(heard, expected);
}

static void expect_said(const char *name) {
    char variable[128];
    char *const environment[] = {(char[]){"HOME=/"}, variable, NULL};
    struct notify notify;
    int fd = listen_at(name);
    (void)snprintf(variable, sizeof variable, "NOTIFY_SOCKET=%s", name);
    notify_init(&notify, environment);
    notify_say(&notify, "READY=1\nSTATUS=%d links", 3);
    expect_heard(fd, "READY=1\nSTATUS=3 links");
    cr_assert_eq(notify.watchdog, 0);
    notify_fini(&notify);
    (void)close(fd);
}

Test(process, a_service_manager_hears_one_datagram) {
    char path[80];
    (void)snprintf(path, sizeof path, "%s/notify", folder);
    expect_said(path);
}

Test(process, an_abstract_socket_is_as_good) {
    char name[80];
    (void)snprintf(name, sizeof name, "@weft-test-%ld", (long)getpid());
    expect_said(name);
}

Test(process, without_a_manager_nothing_is_said) {
    char *const environments[][2] = {
        {NULL, NULL},
        {(char[]){"NOTIFY_SOCKET="}, NULL},
        {(char[]){"NOTIFY_SOCKET=relative"}, NULL},
        {(char[]){"NOTIFY_SOCKET=/nobody/listens/here"}, NULL},
    };
    for (size_t i = 0; i < 4; i++) {
        struct notify notify;
        notify_init(&notify, environments[i]);
        cr_assert_lt(notify.fd, 0);
        notify_say(&notify, "READY=1");
        notify_fini(&notify);
    }
}

static weft_ns watchdog_of(const char *patience, long whose) {
    char socket_name[64];
    char socket_variable[80];
    char patience_variable[80];
    char whose_variable[80];
    char *const environment[] = {socket_variable, patience_variable, whose_variable, NULL};
    struct notify notify;
    (void)snprintf(socket_name, sizeof socket_name, "@weft-watch-%ld", (long)getpid());
    (void)snprintf(socket_variable, sizeof socket_variable, "NOTIFY_SOCKET=%s", socket_name);
    (void)snprintf(patience_variable, sizeof patience_variable, "WATCHDOG_USEC=%s", patience);
    (void)snprintf(whose_variable, sizeof whose_variable, "WATCHDOG_PID=%ld", whose);
    int fd = listen_at(socket_name);
    notify_init(&notify, environment);
    weft_ns watchdog = notify.watchdog;
    notify_fini(&notify);
    (void)close(fd);
    return watchdog;
}

Test(process, the_watchdog_is_told_twice_as_often_as_it_asks) {
    cr_assert_eq(watchdog_of("3000000", (long)getpid()), 1500 * NS_PER_MS);
    cr_assert_eq(watchdog_of("3000000", (long)getpid() + 1), 0); /* another process's */
    cr_assert_eq(watchdog_of("18446744073709551615", (long)getpid()), 0);
}
