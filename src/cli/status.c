/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/status.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/format.h"

#define ROWS_DEFAULT 24
#define COLUMNS_DEFAULT 80
#define COLUMNS_MIN 40
#define ROWS_MIN 10
#define NAME_SHOWN 32 /* of our own name, which may have 63 characters */

struct status_space status_space_of(bool has_colour) {
    struct status_space space = {ROWS_DEFAULT, COLUMNS_DEFAULT, has_colour, false};
    struct winsize size = {0};
    if (isatty(STDOUT_FILENO) == 1 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
        size.ws_row > 0 && size.ws_col > 0) {
        space.rows = size.ws_row < ROWS_MIN ? ROWS_MIN : size.ws_row;
        space.columns = size.ws_col < COLUMNS_MIN ? COLUMNS_MIN : size.ws_col;
        space.rows--; /* the prompt */
    }
    return space;
}

static enum text_style style_of(const char *verdict) {
    if (strcmp(verdict, "healthy") == 0) {
        return STYLE_GOOD;
    }
    return strcmp(verdict, "degraded") == 0 || strcmp(verdict, "leaving") == 0 ? STYLE_WARN
                                                                               : STYLE_BAD;
}

/* The first characters of a name, "..." behind them if there are more. */
static char *cut(const char *text, size_t columns) {
    char *clean = text_clean(text);
    size_t width = text_width(clean);
    size_t len = 0;
    if (width <= columns) {
        return clean;
    }
    for (size_t seen = 0; clean[len] != '\0'; len++) {
        seen += ((unsigned char)clean[len] & 0xc0) != 0x80 ? 1 : 0;
        if (seen > columns - 3) {
            break;
        }
    }
    memcpy(clean + len, "...", 4); /* what is cut off is at least four characters */
    return clean;
}

static void print_who(FILE *out, const json_t *status, const struct status_space *space) {
    const char *verdict = field_text(status, "verdict");
    char *name = cut(field_text(status, "name"), NAME_SHOWN);
    char *id = cut(field_text(status, "id"), 26);
    char *how = cut(verdict, 14);
    text_styled(out, space->has_colour, STYLE_BOLD, name);
    if (space->columns >= COLUMNS_DEFAULT) {
        (void)fprintf(out, " (%s)", id);
    }
    (void)fputs(" is ", out);
    text_styled(out, space->has_colour, style_of(verdict), how);
    (void)fputc('\n', out);
    free(name);
    free(id);
    free(how);
}

/* Version, age, memory, and where it listens. */
static void print_what(FILE *out, const json_t *status, const struct status_space *space) {
    char line[TEXT_LINE_BYTES];
    const json_t *listen = json_object_get(status, "listen");
    const char *first = json_string_value(json_array_get(listen, 0));
    (void)snprintf(line, sizeof(line), "weft %.20s, up %s, %s%s%.120s",
                   field_text(status, "version"),
                   format_duration(field_number(status, "uptime_s")).text,
                   format_bytes(field_number(status, "rss_bytes")).text,
                   first != NULL ? ", listens on " : "", first != NULL ? first : "");
    (void)text_wrapped(out, 0, space->columns, 1, line);
}

struct counted {
    const char *key;
    const char *word;
    bool is_always_shown;
};

static void print_counts(FILE *out, const json_t *status, const char *title, const char *object,
                         const struct counted *counts) {
    const json_t *values = json_object_get(status, object);
    const char *separator = "";
    (void)fprintf(out, "%-10s", title);
    for (; counts->key != NULL; counts++) {
        double value = field_number(values, counts->key);
        if (value > 0 || counts->is_always_shown) {
            (void)fprintf(out, "%s%.0f %s", separator, value, counts->word);
            separator = ", ";
        }
    }
    (void)fputc('\n', out);
}

static bool has_any(const json_t *values, const struct counted *counts) {
    for (; counts->key != NULL; counts++) {
        if (field_number(values, counts->key) > 0) {
            return true;
        }
    }
    return false;
}

/* A row of what the daemon dropped and why, ours and others'; how many rows: none if nothing was.
 */
static size_t print_dropped(FILE *out, const json_t *status) {
    static const struct counted reasons[] = {{"late", "late datagrams", false},
                                             {"no_room", "no room", false},
                                             {"no_route", "no route", false},
                                             {NULL, NULL, false}};
    if (!has_any(json_object_get(status, "dropped"), reasons)) {
        return 0;
    }
    print_counts(out, status, "dropped", "dropped", reasons);
    return 1;
}

/* The parts of the sandbox that are, or are not, in the daemon's list; `before` them if there are
 * any. */
static void print_parts(FILE *out, const char *in_force, bool is_in_force, const char *before) {
    static const char *const parts[][2] = {{"privileges", "privileges"},
                                           {"dumps", "dumps"},
                                           {"files", "files (Landlock)"},
                                           {"calls", "calls (seccomp)"}};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if ((strstr(in_force, parts[i][0]) != NULL) == is_in_force) {
            (void)fprintf(out, "%s%s", before, parts[i][1]);
            before = ", ";
        }
    }
}

/* A row of what the daemon keeps itself from; none for a node inside a program. How many rows. */
static size_t print_sandbox(FILE *out, const json_t *status, const struct status_space *space) {
    const char *in_force = field_text(status, "sandbox");
    if (in_force[0] == '\0') {
        return 0;
    }
    (void)fprintf(out, "%-10s", "sandbox");
    if (strcmp(in_force, "off") == 0 || strcmp(in_force, "none") == 0) {
        text_styled(out, space->has_colour, STYLE_WARN, in_force);
    } else {
        print_parts(out, in_force, true, "");
        print_parts(out, in_force, false, "; not ");
    }
    (void)fputc('\n', out);
    return 1;
}

/* How many rows it took. */
static size_t print_numbers(FILE *out, const json_t *status) {
    static const struct counted links[] = {{"established", "established", true},
                                           {"connecting", "connecting", false},
                                           {"failed", "failed", false},
                                           {NULL, NULL, false}};
    static const struct counted peers[] = {
        {"reachable", "reachable", true}, {"known", "known", true}, {NULL, NULL, false}};
    static const struct counted streams[] = {{"open", "open", true},
                                             {"opened", "opened so far", false},
                                             {"resumed", "resumed over another path", false},
                                             {NULL, NULL, false}};
    print_counts(out, status, "links", "links", links);
    print_counts(out, status, "peers", "peers", peers);
    (void)fprintf(out, "%-10s%.0f known\n", "services", field_number(status, "services"));
    static const struct counted datagrams[] = {{"flows", "flows", true},
                                               {"sent", "sent", false},
                                               {"received", "received", false},
                                               {"dropped", "dropped", false},
                                               {NULL, NULL, false}};
    print_counts(out, status, "streams", "streams", streams);
    size_t rows = 5;
    if (field_number(json_object_get(status, "datagrams"), "opened") != 0) {
        print_counts(out, status, "datagrams", "datagrams", datagrams);
        rows++;
    }
    char line[TEXT_LINE_BYTES];
    (void)snprintf(line, sizeof(line), "%-10s%.20s preferred, by %.60s", "sealing",
                   field_text(status, "cipher"), field_text(status, "provider"));
    (void)text_wrapped(out, 0, COLUMNS_DEFAULT, 1, line);
    return rows + print_dropped(out, status);
}

static size_t print_problem(FILE *out, const json_t *problem, const struct status_space *space) {
    char line[TEXT_LINE_BYTES];
    size_t rows = text_wrapped(out, 2, space->columns, 2, field_text(problem, "what"));
    (void)snprintf(line, sizeof(line), "cause: %.2000s", field_text(problem, "cause"));
    rows += text_wrapped(out, 4, space->columns, 2, line);
    (void)snprintf(line, sizeof(line), "next: %.2000s", field_text(problem, "next"));
    return rows + text_wrapped(out, 4, space->columns, 2, line);
}

/* Whose news was refused: a row each. */
static size_t print_culprit(FILE *out, const json_t *culprit, const struct status_space *space) {
    char line[TEXT_LINE_BYTES];
    struct peer_label label = label_of(field_text(culprit, "name"), field_text(culprit, "peer"));
    (void)snprintf(line, sizeof(line), "peer %.63s misbehaves: %.500s (%.0f times)", label.text,
                   field_text(culprit, "detail"), field_number(culprit, "count"));
    return text_wrapped(out, 2, space->columns, 2, line);
}

/* Prints one element of a list; returns how many lines it took. */
typedef size_t print_row(FILE *out, const json_t *row, const struct status_space *space);

/* A list of which the answer may hold a part only: `count` in all. */
struct listed {
    const json_t *rows;
    size_t count; /* not below the rows */
};

/* What does not fit is counted. One row is kept for saying so. */
static size_t print_left_out(FILE *out, const struct listed *list, size_t shown) {
    size_t rows = json_array_size(list->rows);
    if (shown == list->count) {
        return 0;
    }
    (void)fprintf(out, "  ... and %zu more: weft --json status", list->count - shown);
    if (rows < list->count) {
        (void)fprintf(out, " lists %zu", rows);
    }
    (void)fputc('\n', out);
    return 1;
}

static struct listed whole(const json_t *rows) {
    return (struct listed){.rows = rows, .count = json_array_size(rows)};
}

/* Prints as many rows of a list as fit into `room` lines, of which each takes at most `each`. */
static size_t print_list(FILE *out, const struct listed *list, print_row *print, size_t each,
                         const struct status_space *space) {
    size_t used = 0;
    size_t index = 0;
    /* Another row may follow only if it leaves the line that says how many are left out. */
    while (index < json_array_size(list->rows) && used + each + 1 <= space->rows) {
        used += print(out, json_array_get(list->rows, index), space);
        index++;
    }
    return used + print_left_out(out, list, index);
}

/* With whom data is sealed end to end, and by which cipher: a row each. */
static size_t print_session(FILE *out, const json_t *session, const struct status_space *space) {
    char line[TEXT_LINE_BYTES];
    struct peer_label label = label_of(field_text(session, "name"), field_text(session, "peer"));
    (void)snprintf(line, sizeof(line), "%.63s by %.30s, for %s, keys %s old", label.text,
                   field_text(session, "cipher"),
                   format_duration(field_number(session, "age_s")).text,
                   format_duration(field_number(session, "keys_age_s")).text);
    return text_wrapped(out, 2, space->columns, 2, line);
}

/* The whole list of small meshes; trouble comes first where there is not room for both. */
static size_t print_sessions(FILE *out, const json_t *status, const struct status_space *space) {
    double count = field_number(status, "session_count");
    if (count == 0 || space->rows < 4 || space->has_more) {
        return 0;
    }
    struct status_space room = *space;
    (void)fprintf(out, "\nSealed end to end, %.0f:\n", count);
    room.rows -= 2;
    struct listed list = whole(json_object_get(status, "sessions"));
    list.count = (size_t)count > list.count ? (size_t)count : list.count;
    return 2 + print_list(out, &list, print_session, 2, &room);
}

static size_t print_trouble(FILE *out, const json_t *status, const struct status_space *space) {
    struct listed problems = whole(json_object_get(status, "problems"));
    struct listed culprits = whole(json_object_get(status, "culprits"));
    bool has_culprits = culprits.count > 0;
    struct status_space room = *space;
    if (problems.count == 0 && !has_culprits) {
        return 0;
    }
    (void)fputc('\n', out);
    room.rows -= has_culprits ? 4 : 1;
    size_t used = 1 + print_list(out, &problems, print_problem, 6, &room);
    room.rows = space->rows - used;
    return used + print_list(out, &culprits, print_culprit, 2, &room);
}

/* The last who came from outside and was not let in: anybody may try, so it is no trouble, and
 * shown only where trouble leaves room. */
static size_t print_strangers(FILE *out, const json_t *status, const struct status_space *space) {
    const json_t *stranger = json_array_get(json_object_get(status, "strangers"), 0);
    if (stranger == NULL || space->rows < 6) {
        return 0;
    }
    char line[TEXT_LINE_BYTES];
    (void)snprintf(line, sizeof(line), "%.80s not let in, %s ago: %.90s (%.0f times)",
                   field_text(stranger, "remote"),
                   format_duration(field_number(stranger, "age_s")).text,
                   field_text(stranger, "why"), field_number(stranger, "count"));
    (void)fputc('\n', out);
    return 1 + text_wrapped(out, 2, space->columns, 3, line);
}

size_t status_print(FILE *out, const json_t *status, const struct status_space *space) {
    struct status_space room = *space;
    print_who(out, status, space);
    print_what(out, status, space);
    (void)fputc('\n', out);
    size_t used = 3 + print_numbers(out, status);
    used += print_sandbox(out, status, space);
    room.rows -= used;
    size_t trouble = print_trouble(out, status, &room);
    room.rows -= trouble < room.rows ? trouble : room.rows;
    size_t strangers = print_strangers(out, status, &room);
    room.rows -= strangers;
    return used + trouble + strangers + print_sessions(out, status, &room);
}
