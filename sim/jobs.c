/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "sim/must.h"

struct job {
    pid_t process; /* 0: a free place */
    uint64_t tag;
    int answer; /* the pipe's end to read */
    FILE *said;
};

struct jobs {
    struct job *all;
    size_t max;
    size_t running;
    uint64_t cpu_seconds;
};

struct jobs *jobs_new(size_t max, uint64_t cpu_seconds) {
    ASSERT(max > 0);
    struct jobs *jobs = must(calloc(1, sizeof(*jobs)));
    jobs->all = must(calloc(max, sizeof(jobs->all[0])));
    jobs->max = max;
    jobs->cpu_seconds = cpu_seconds;
    return jobs;
}

static void forget(struct jobs *jobs, struct job *job) {
    (void)close(job->answer);
    (void)fclose(job->said);
    *job = (struct job){0};
    jobs->running--;
}

void jobs_free(struct jobs *jobs) {
    if (jobs == NULL) {
        return;
    }
    for (size_t i = 0; i < jobs->max; i++) {
        if (jobs->all[i].process != 0) {
            (void)kill(jobs->all[i].process, SIGKILL);
            (void)waitpid(jobs->all[i].process, NULL, 0);
            forget(jobs, &jobs->all[i]);
        }
    }
    free(jobs->all);
    free(jobs);
}

size_t jobs_max_default(void) {
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (size_t)count : 1;
}

bool jobs_have_room(const struct jobs *jobs) {
    return jobs->running < jobs->max;
}

/* An end of the world for the simulator: there is no process, no pipe or no file to be had. */
static void must_be(bool is_good, const char *what) {
    if (!is_good) {
        perror(what);
        exit(MUST_EXIT_STATUS);
    }
}

/* The child's life. */
_Noreturn static void work_off(const struct jobs *jobs, int answer_out, FILE *said,
                               size_t (*work)(void *ctx, uint8_t answer[JOBS_ANSWER_BYTES]),
                               void *ctx) {
    uint8_t answer[JOBS_ANSWER_BYTES];
    struct rlimit limit = {jobs->cpu_seconds, jobs->cpu_seconds + 5};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setrlimit(RLIMIT_CPU, &limit);
    (void)dup2(fileno(said), STDERR_FILENO);
    size_t len = work(ctx, answer);
    ASSERT(len <= sizeof(answer));
    exit(write(answer_out, answer, len) == (ssize_t)len ? 0 : MUST_EXIT_STATUS);
}

void jobs_start(struct jobs *jobs, uint64_t tag,
                size_t (*work)(void *ctx, uint8_t answer[JOBS_ANSWER_BYTES]), void *ctx) {
    ASSERT(jobs_have_room(jobs));
    struct job *job = jobs->all;
    int ends[2];
    while (job->process != 0) {
        job++;
    }
    (void)fflush(stdout); /* else the child has it too */
    (void)fflush(stderr);
    FILE *said = tmpfile();
    must_be(said != NULL, "weft-sim: tmpfile");
    must_be(pipe2(ends, O_CLOEXEC) == 0, "weft-sim: pipe");
    pid_t process = fork();
    must_be(process >= 0, "weft-sim: fork");
    if (process == 0) {
        work_off(jobs, ends[1], said, work, ctx);
    }
    (void)close(ends[1]);
    *job = (struct job){.process = process, .tag = tag, .answer = ends[0], .said = said};
    jobs->running++;
}

static void describe(int status, char *out, size_t size) {
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU) {
        (void)snprintf(out, size, "ran out of its processor time");
    } else if (WIFSIGNALED(status)) {
        (void)snprintf(out, size, "killed by signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    } else {
        (void)snprintf(out, size, "exit status %d", WEXITSTATUS(status));
    }
}

/* The end of what a job said, without a line end. */
static void read_said(FILE *said, char out[JOBS_SAID_BYTES]) {
    (void)fseek(said, 0, SEEK_END);
    long size = ftell(said);
    long from = size > JOBS_SAID_BYTES - 1 ? size - (JOBS_SAID_BYTES - 1) : 0;
    (void)fseek(said, from, SEEK_SET);
    size_t len = fread(out, 1, JOBS_SAID_BYTES - 1, said);
    while (len > 0 && out[len - 1] == '\n') {
        len--;
    }
    out[len] = '\0';
}

static struct job *find(const struct jobs *jobs, pid_t process) {
    for (size_t i = 0; i < jobs->max; i++) {
        if (jobs->all[i].process == process) {
            return &jobs->all[i];
        }
    }
    return NULL;
}

/* Waits for one of ours. */
static struct job *wait_one(const struct jobs *jobs, int *status) {
    struct job *job = NULL;
    while (job == NULL) {
        pid_t process = waitpid(-1, status, 0);
        must_be(process > 0 || errno == EINTR, "weft-sim: waitpid");
        job = process > 0 ? find(jobs, process) : NULL;
    }
    return job;
}

bool jobs_wait(struct jobs *jobs, struct job_end *out) {
    int status = 0;
    if (jobs->running == 0) {
        return false;
    }
    struct job *job = wait_one(jobs, &status);
    ssize_t len = read(job->answer, out->answer, sizeof(out->answer));
    out->tag = job->tag;
    out->answer_bytes = len > 0 ? (size_t)len : 0;
    out->is_good = WIFEXITED(status) && WEXITSTATUS(status) == 0 && len > 0;
    describe(status, out->how, sizeof(out->how));
    read_said(job->said, out->said);
    forget(jobs, job);
    return true;
}
