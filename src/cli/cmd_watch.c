/* SPDX-License-Identifier: Apache-2.0
 *
 * The status and the links, drawn again every second on the terminal's second screen. Whatever ends
 * it, the terminal is as it was: signals are read like input, so nothing ends it half-way.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "cli/clock.h"
#include "cli/commands.h"
#include "cli/links.h"
#include "cli/status.h"

#define REFRESH_MS 1000
#define KEY_INTERRUPT 3 /* Ctrl-C, which comes as a byte */
#define LINK_ROWS_MIN 5 /* below the status: a blank line, the titles, three links */

struct watch {
    struct cli *cli;
    json_t *links; /* of the last picture, for rates */
    int64_t drawn_ms;
    int signals;
};

/* Cuts lines at the screen's edge: a wrapped one would push the top away. Colours take no room. */
static void print_cut(const char *text, size_t columns) {
    size_t width = 0;
    for (; *text != '\0'; text++) {
        if (*text == '\033') {
            size_t len = strcspn(text, "m");
            (void)printf("%.*sm", (int)len, text);
            text += len;
        } else if (*text == '\n') {
            (void)fputs("\033[K\r\n", stdout);
            width = 0;
        } else {
            width += ((unsigned char)*text & 0xc0) != 0x80 ? 1 : 0;
            (void)(width <= columns ? putchar(*text) : 0);
        }
    }
}

static void compose(struct watch *watch, FILE *out, const json_t *status, const json_t *links) {
    struct status_space space = status_space_of(watch->cli->has_colour);
    size_t rows = space.rows;
    space.has_more = true;
    double seconds = (double)(clock_ms() - watch->drawn_ms) / 1000;
    space.rows = rows > 15 + LINK_ROWS_MIN ? rows - LINK_ROWS_MIN : rows;
    size_t used = status_print(out, status, &space);
    if (used + 3 <= rows && json_array_size(links) > 0) {
        (void)fputc('\n', out);
        links_print(out, links, watch->links, seconds, space.has_colour, rows - used - 2);
    }
}

static void show(const char *text) {
    struct status_space space = status_space_of(false);
    (void)fputs("\033[H", stdout);
    print_cut(text, space.columns);
    (void)fputs("\033[J", stdout);
    (void)fflush(stdout);
}

/* Fetches and draws one picture; without a daemon the screen says so, and it goes on. */
static void draw(struct watch *watch) {
    json_t *status = NULL;
    json_t *links = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *out = text_keep(open_memstream(&text, &size));
    if (cli_peek(watch->cli, "/v1/status", &status) && cli_peek(watch->cli, "/v1/links", &links)) {
        compose(watch, out, status, links);
        json_decref(watch->links);
        watch->links = links;
        watch->drawn_ms = clock_ms();
    } else {
        text_line(out, "No daemon answers on %s; trying again.", watch->cli->control);
    }
    (void)fclose(out);
    show(text_keep(text));
    json_decref(status);
    free(text);
}

static bool is_quit(char key) {
    return key == 'q' || key == 'Q' || key == KEY_INTERRUPT || key == 4;
}

/* Waits for a key, a signal or the next picture; false to end. */
static bool wait_for_next(const struct watch *watch) {
    struct pollfd watched[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                               {.fd = watch->signals, .events = POLLIN}};
    char key = 0;
    int ready = poll(watched, 2, REFRESH_MS);
    if (ready < 0) {
        return errno == EINTR;
    }
    if (watched[1].revents != 0) {
        return false;
    }
    return watched[0].revents == 0 || (read(STDIN_FILENO, &key, 1) == 1 && !is_quit(key));
}

/* SIGWINCH is not among them: the size is asked before each picture. */
static int block_signals(sigset_t *before) {
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &signals, before);
    return signalfd(-1, &signals, SFD_CLOEXEC);
}

static int run(struct watch *watch) {
    struct termios before;
    if (tcgetattr(STDIN_FILENO, &before) != 0) {
        return cli_fail(CLI_FAILED, "the terminal: %s", strerror(errno));
    }
    struct termios raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    (void)fputs("\033[?1049h\033[?25l", stdout); /* the second screen, no cursor */
    do {
        draw(watch);
    } while (wait_for_next(watch));
    (void)fputs("\033[?25h\033[?1049l", stdout);
    (void)fflush(stdout);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
    return CLI_GOOD;
}

int cmd_watch(struct cli *cli) {
    struct watch watch = {.cli = cli};
    sigset_t before;
    json_t *status = NULL;
    if (cli->is_json) {
        return cli_usage(cli, "watch draws on a terminal; \"weft --json status\" prints JSON");
    }
    if (isatty(STDIN_FILENO) != 1 || isatty(STDOUT_FILENO) != 1) {
        return cli_usage(cli, "watch needs a terminal; \"weft events -f\" does not");
    }
    int result = cli_get(cli, "/v1/status", &status);
    json_decref(status);
    if (result != CLI_GOOD) {
        return result;
    }
    watch.signals = block_signals(&before);
    result = watch.signals >= 0 ? run(&watch) : cli_fail(CLI_FAILED, "%s", strerror(errno));
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (watch.signals >= 0) {
        (void)close(watch.signals);
    }
    json_decref(watch.links);
    return result;
}
