/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of subcommands: a new one is a row here, a declaration in commands.h and a cmd_*.c.
 */
#include "cli/commands.h"

#include <string.h>

const struct flag cli_common_flags[] = {
    {"--control", 0, "SOCKET", "the daemon's control socket (WEFT_CONTROL)"},
    {"--state", 0, "DIR", "the daemon's state folder (WEFT_STATE)"},
    {"--json", 0, NULL, "print JSON, one document"},
    {"--help", 'h', NULL, "print this"},
    {"--version", 0, NULL, "print the version"},
    {NULL, 0, NULL, NULL},
};

static const struct flag up_flags[] = {
    {"--export", 0, "NAME=HOST:PORT",
     "offer what listens there; NAME/udp over UDP; may be repeated"},
    {"--join", 0, "TOKEN", "join the mesh of an invitation; \"-\" reads it from stdin"},
    {"--forward", 0, "NAME[=[ADDR:]PORT]",
     "a local port that leads to it; NAME/udp over UDP; may be repeated"},
    {"--foreground", 0, NULL, "stay, log to stderr, stop on Ctrl-C"},
    {"--name", 0, "NAME", "what this node is called (default: the host's name)"},
    {"--listen", 0, "[ADDR]:PORT", "where peers dial (default: port 9338); may be repeated"},
    {"--seed", 0, "[ID@]HOST[:PORT]", "a peer to dial; may be repeated"},
    {"--service", 0, "NAME=HOST:PORT", "the same as --export"},
    {"--config", 0, "FILE", "see weftd(8), as for the flags below"},
    {"--secret-file", 0, "FILE", "the mesh secret (default: DIR/secret)"},
    {"--discovery", 0, "on|off", "off dials only seeds"},
    {"--degree", 0, "N", "how many links to keep"},
    {"--share-ports", 0, "on|off", "forwards share their ports with other daemons here"},
    {"--heartbeat", 0, "DURATION", "how often to probe links, or \"fast\""},
    {"--http", 0, "ADDR:PORT", "answer metrics and health there"},
    {"--log-level", 0, "L", "error, warn, info or debug"},
    {"--log-format", 0, "text|json", "how the log is written"},
    {NULL, 0, NULL, NULL},
};

static const struct flag status_flags[] = {
    {"--check", 0, "live|ready", "print one word; exit status 0 if so, 5 if not, 3 if no daemon"},
    {NULL, 0, NULL, NULL},
};

static const struct flag forward_flags[] = {
    {"--remove", 0, "NAME", "stop listening for that service"},
    {NULL, 0, NULL, NULL},
};

static const struct flag topology_flags[] = {
    {"--dot", 0, NULL, "print a graph for Graphviz: weft topology --dot | dot -Tsvg"},
    {NULL, 0, NULL, NULL},
};

static const struct flag events_flags[] = {
    {"--follow", 'f', NULL, "go on with what happens, until Ctrl-C"},
    {"--since", 0, "N", "only events numbered beyond N"},
    {NULL, 0, NULL, NULL},
};

static const struct flag probe_flags[] = {
    {"--timeout", 0, "SECONDS", "how long to wait (default: 5)"},
    {NULL, 0, NULL, NULL},
};

const struct command cli_commands[] = {
    {"up",
     "up [--export NAME=HOST:PORT]... [--join TOKEN] [--forward NAME[=[ADDR:]PORT]]... [FLAG]...",
     "start the daemon: found a mesh or join one",
     "Starts weftd in the background and waits until it is ready. Without --join it prints the\n"
     "command that invites another machine; with --join it waits for a link with the mesh. For\n"
     "each --forward it waits until a node in reach offers it, then prints where it is. If the "
     "daemon\n"
     "runs already, exports, forwards and the invitation are applied to it.",
     up_flags, 0, 0, cmd_up},
    {"down", "down", "leave the mesh properly and wait until the daemon has gone",
     "Peers are told first, so that nothing on its way is lost.", NULL, 0, 0, cmd_down},
    {"status", "status [--check live|ready]", "who I am, how I am, and what is unhealthy",
     "The verdict is healthy, degraded (something is wrong, but the mesh is there), isolated (no\n"
     "link), quarantined (our key is in use elsewhere) or leaving. What is unhealthy comes with "
     "its\n"
     "cause and what happens next.",
     status_flags, 0, 0, cmd_status},
    {"watch", "watch", "the status and the links, live", "q or Ctrl-C ends it.", NULL, 0, 0,
     cmd_watch},
    {"links", "links", "every link, and every address that is dialled",
     "Rates are averages since the link came up; \"watch\" has those of the moment.", NULL, 0, 0,
     cmd_links},
    {"peers", "peers", "every node of the mesh",
     "A name that more than one node claims is marked \"name clash\": use ids for those.", NULL, 0,
     0, cmd_peers},
    {"routes", "routes", "the next hop to every node",
     "Only nodes that can be reached have a route.", NULL, 0, 0, cmd_routes},
    {"services", "services", "every service of the mesh, and who offers it",
     "An endpoint is fresh while its node is in the mesh, stale when it was only heard of before: "
     "its\n"
     "node is gone, or restarted a moment ago.",
     NULL, 0, 0, cmd_services},
    {"service", "service add NAME=HOST:PORT\nservice remove NAME[=HOST:PORT]",
     "offer a service to the mesh, or withdraw it",
     "What is added is kept over restarts. HOST:PORT is dialled from this machine. NAME/udp is a\n"
     "service over UDP, another one than NAME.",
     NULL, 2, 2, cmd_service},
    {"forward", "forward\nforward NAME [PORT|ADDR:PORT]\nforward --remove NAME",
     "open a local port that leads to a service",
     "Without a name it lists them. Without a port the system chooses one; without an address it "
     "is\n"
     "127.0.0.1. A forward is kept over restarts. NAME/udp leads to a service over UDP.",
     forward_flags, 0, 2, cmd_forward},
    {"topology", "topology [--dot]", "every link of the mesh, as far as it is known",
     "One line a node, with its neighbours and what the links to them cost.", topology_flags, 0, 0,
     cmd_topology},
    {"ping", "ping PEER", "ask a peer for an answer, end to end",
     "PEER is a name, an id, or any unique beginning of one.", probe_flags, 1, 1, cmd_ping},
    {"trace", "trace PEER|SERVICE", "the path to a peer or a service, hop by hop",
     "Round trips are from here to each hop.", NULL, 1, 1, cmd_trace},
    {"events", "events [-f] [--since N]", "what happened",
     "With --json: an array, or with -f one object a line.", events_flags, 0, 0, cmd_events},
    {"invite", "invite\ninvite show TOKEN", "print an invitation, or what is in one",
     "An invitation holds the mesh secret: whoever has it can join. \"show\" prints what else is "
     "in\n"
     "one, without the secret; the token \"-\" is read from stdin.",
     NULL, 0, 2, cmd_invite},
    {"secret", "secret", "print a fresh mesh secret",
     "For the file that --secret-file names (mode 0600), the same on every node of a mesh.", NULL,
     0, 0, cmd_secret},
    {"stop", "stop", "tell the daemon to leave, without waiting", "\"down\" waits.", NULL, 0, 0,
     cmd_stop},
    {"version", "version", "this program's version and the daemon's",
     "The daemon's is left out if none answers.", NULL, 0, 0, cmd_version},
    {"help", "help [COMMAND]", "say how a command is used", "Without a command: list them.", NULL,
     0, 1, cmd_help},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, NULL},
};

const struct command *cli_find_command(const char *name) {
    for (const struct command *command = cli_commands; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0) {
            return command;
        }
    }
    return NULL;
}
