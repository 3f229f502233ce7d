/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/clock.h"

#define TAIL_BYTES 4096 /* of the log, at most this much is looked at */
#define TAIL_LINES 10

static bool open_log(struct daemon *daemon, int *out) {
    struct stat info;
    int fd = open(daemon->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fstat(fd, &info) != 0) {
        (void)cli_fail(CLI_FAILED, "%s: %s", daemon->log_path, strerror(errno));
        return false;
    }
    daemon->log_start = info.st_size;
    *out = fd;
    return true;
}

/* In the child: descriptors, session and signals as a daemon needs them. `log` is -1 in the
 * foreground: then it dies with us, and its line of readiness is talk. In the background nobody
 * waits for that line, and it does not belong between events in JSON. */
static bool settle_child(int log) {
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (log < 0) {
        return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0;
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    return null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 &&
           dup2(log, STDERR_FILENO) >= 0 && setsid() >= 0;
}

/* Never returns: executes, or sends errno through the pipe, which a successful exec closes. */
_Noreturn static void become_daemon(const struct daemon_plan *plan, int log, int report) {
    if (settle_child(log)) {
        (void)execvp(plan->program, plan->argv);
    }
    int why = errno;
    (void)!write(report, &why, sizeof(why));
    _exit(127);
}

/* 0 when the child executes its program, else why not. */
static int read_report(int fd) {
    int why = 0;
    ssize_t len = read(fd, &why, sizeof(why));
    while (len < 0 && errno == EINTR) {
        len = read(fd, &why, sizeof(why));
    }
    return len == (ssize_t)sizeof(why) ? why : 0;
}

static int fork_daemon(const struct daemon_plan *plan, struct daemon *daemon, int log) {
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) {
        return errno;
    }
    daemon->pid = fork();
    if (daemon->pid == 0) {
        become_daemon(plan, log, report[1]);
    }
    int why = daemon->pid < 0 ? errno : 0;
    (void)close(report[1]);
    why = why == 0 ? read_report(report[0]) : why;
    (void)close(report[0]);
    return why;
}

bool daemon_start(const struct daemon_plan *plan, struct daemon *out) {
    int log = -1;
    *out = (struct daemon){.log_path = plan->log_path};
    if (plan->log_path != NULL && !open_log(out, &log)) {
        return false;
    }
    int why = fork_daemon(plan, out, log);
    if (log >= 0) {
        (void)close(log);
    }
    if (why != 0) {
        (void)cli_fail(CLI_FAILED, "%s: %s (weftd is looked for beside weft, then along PATH)",
                       plan->program, strerror(why));
    }
    return why == 0;
}

bool daemon_has_ended(struct daemon *daemon) {
    if (!daemon->has_ended && waitpid(daemon->pid, &daemon->wait_status, WNOHANG) == daemon->pid) {
        daemon->has_ended = true;
    }
    return daemon->has_ended;
}

static int exit_of(int wait_status) {
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : CLI_FAILED;
}

/* Where the last lines begin. */
static const char *last_lines(const char *text, size_t len) {
    size_t lines = 0;
    while (len > 0 && lines <= TAIL_LINES) {
        len--;
        lines += text[len] == '\n' ? 1 : 0;
    }
    return len > 0 ? text + len + 1 : text;
}

static void say_lines(char *text) {
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        bool is_last = text[len] == '\0';
        text[len] = '\0';
        cli_say("  %s", text);
        text += len + (is_last ? 0 : 1);
    }
}

static void say_tail(const struct daemon *daemon) {
    char text[TAIL_BYTES + 1];
    struct stat info;
    int fd = open(daemon->log_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        return;
    }
    off_t start = info.st_size - TAIL_BYTES;
    start = start > daemon->log_start ? start : daemon->log_start;
    ssize_t len = pread(fd, text, TAIL_BYTES, start);
    (void)close(fd);
    if (len > 0) {
        text[len] = '\0';
        say_lines(text + (last_lines(text, (size_t)len) - text));
    }
}

int daemon_failed(const struct daemon *daemon) {
    int status = exit_of(daemon->wait_status);
    if (WIFSIGNALED(daemon->wait_status)) {
        (void)cli_fail(CLI_FAILED, "weftd did not start: killed by signal %d (%s)",
                       WTERMSIG(daemon->wait_status), strsignal(WTERMSIG(daemon->wait_status)));
    } else {
        (void)cli_fail(CLI_FAILED, "weftd did not start (exit status %d)%s", status,
                       daemon->log_path != NULL ? "; it said:" : "");
    }
    if (daemon->log_path != NULL) {
        say_tail(daemon);
        cli_say("The whole log is in %s", daemon->log_path);
    }
    return status == CLI_CONFIG || status == CLI_USAGE ? status : CLI_FAILED;
}

void daemon_terminate(const struct daemon *daemon) {
    if (daemon->pid > 0 && !daemon->has_ended) {
        (void)kill(daemon->pid, SIGTERM);
    }
}

int daemon_wait(struct daemon *daemon) {
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGCHLD);
    while (!daemon_has_ended(daemon)) {
        siginfo_t info;
        int number = sigwaitinfo(&signals, &info);
        /* What the terminal sends, it sends to the daemon too. */
        if (number > 0 && number != SIGCHLD && info.si_code != SI_KERNEL) {
            (void)kill(daemon->pid, number);
        }
    }
    return exit_of(daemon->wait_status);
}

static int connect_to(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

pid_t daemon_pid_of(const char *socket_path) {
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);
    int fd = connect_to(socket_path);
    if (fd < 0) {
        return -1;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        peer.pid = 0; /* in another namespace of process ids it is 0 anyway */
    }
    (void)close(fd);
    return peer.pid;
}

/* For a process that cannot be watched: until nobody answers on its socket. */
static bool wait_silent(const char *socket_path, long deadline_ms) {
    struct waiting waiting = waiting_until(deadline_ms);
    while (daemon_pid_of(socket_path) >= 0) {
        if (!waiting_step(&waiting)) {
            return false;
        }
    }
    return true;
}

bool daemon_wait_gone(const char *socket_path, pid_t pid, long deadline_ms) {
    int fd = pid > 0 ? pidfd_open(pid, 0) : -1;
    if (fd < 0) {
        return (pid > 0 && errno == ESRCH) || wait_silent(socket_path, deadline_ms);
    }
    struct pollfd watched = {.fd = fd, .events = POLLIN};
    int64_t left_ms = deadline_ms - clock_ms();
    int ready = poll(&watched, 1, left_ms > 0 ? (int)left_ms : 0);
    (void)close(fd);
    return ready > 0;
}
