/* SPDX-License-Identifier: Apache-2.0
 *
 * The subcommands of weft-sim and what they share. Data goes to stdout, talk to stderr.
 */
#ifndef SIM_COMMANDS_H
#define SIM_COMMANDS_H

#include "sim/flags.h"
#include "sim/scenario.h"

/* The exit statuses: scripts depend on them. */
enum sim_exit {
    SIM_GOOD = 0,
    SIM_BROKEN = 1, /* an invariant or an expectation did not hold */
    SIM_USAGE = 2,
    SIM_FILE = 74,   /* an output could not be written */
    SIM_CONFIG = 78, /* the scenario cannot be read or makes no sense */
};

struct command {
    const char *name;
    const char *usage; /* without "weft-sim" */
    const char *summary;
    const char *help; /* a paragraph */
    const struct flag *flags;
    size_t words_min;
    size_t words_max;
    int (*run)(const struct flags *flags);
};

/* One table a subcommand. */
extern const struct command cmd_run;
extern const struct command cmd_sweep;
extern const struct command cmd_list;
extern const struct command cmd_bench;

/* Prints "weft-sim: ..." to stderr; returns `status`. */
__attribute__((format(printf, 2, 3))) int sim_fail(int status, const char *format, ...);

/* A row of the table of flags in builds with planted defects (base/defect.h), nothing in others. */
#ifdef WEFT_DEFECTS
#define SIM_DEFECT_FLAG {"--defect", "NAME", "plant a defect (list --defects)"},
#define SIM_DEFECTS_FLAG {"--defects", NULL, "show the defects that can be planted"},
#else
#define SIM_DEFECT_FLAG
#define SIM_DEFECTS_FLAG
#endif

/* Plants the defect that was asked for, if one was. SIM_GOOD, or what was wrong was said. */
int sim_choose_defect(const struct flags *flags);
int sim_list_defects(void);

/* Reads the scenario that FILE means. SIM_GOOD and *out, the caller's to scenario_free, or what was
 * wrong was said. */
int sim_read_scenario(const char *file, struct scenario **out);

/* Reads a flag's whole number, at least `low`; `fallback` if it was not given. False if what was
 * given is none, and that was said. */
bool sim_number(const struct flags *flags, const char *name, uint64_t low, uint64_t fallback,
                uint64_t *out);

#endif
