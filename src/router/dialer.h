/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection maker: which links are worth having. It keeps links to seeds and, with discovery
 * on, to addresses that peer records teach, until the node has its target degree; it backs off from
 * what fails and trims what is too much (after HyParView: a bounded active set, a larger list of
 * candidates, part random for robustness, part near for latency, some old for safety against
 * capture).
 *
 *   candidate --dial--> dialling --up--> linked --down--> waiting (back-off) --> candidate
 *                          |  failed                          ^
 *                          +----------------------------------+
 *
 * Back-off: 250 ms doubling to 30 s, with jitter, reset when a link has lived 10 s; 10 and 40 ms
 * before that for a seed that has not answered yet. A seed is never given up; a learned address is
 * forgotten with its peer's record. A seed that no path leads to may be the other side of a
 * partition: its back-off ends at 3 s, or at 1 s for each such seed, and with discovery at 10 ms
 * for each node that is reached, if that is more. While a mesh forms, half the degree is dialled at
 * once and the rest in turns of 2 s, for the others dial too. A node that lost several links at
 * once, a quarter of what it had, is in another case: others did too, and the mesh hangs together
 * by what is left. For 3 s its turns are short.
 *
 * Bounds: candidates_max addresses; at most 4 dials under way; at most 20 dials a second, and
 * for 3 s after such a fall 8 under way, 16 at once and 40 a second after; among
 * learned candidates at most 2 links per IPv4 /24 or IPv6 /48 unless configured or local (loopback,
 * private): a cap against sybils (T19). Learned addresses that are not literals are left out.
 *
 * A learned peer with several addresses is tried at each before the back-off grows. With links
 * enough, a candidate that no path reaches is dialled every 10 s: the other half of a partition
 * that has healed, if nobody has a seed there.
 */
#ifndef ROUTER_DIALER_H
#define ROUTER_DIALER_H

#include "base/host.h"
#include "base/link_id.h"
#include "router/router.h"

struct dialer;

struct dialer_config {
    struct weft_peer_id self;
    const struct host *host; /* seeds the choices; outlives the dialer */
    uint32_t degree;         /* target number of links: 8; meshes up to degree + 1 are full */
    uint32_t links_max;    /* beyond it a link is refused, unless a newcomer's (see dialer_admit) */
    bool may_discover;     /* dial learned addresses, not only seeds */
    size_t candidates_max; /* 1,024 */
};

/* A link to make. */
struct dial {
    uint64_t token; /* names the attempt in dialer_failed and dialer_link_up */
    char endpoint[WEFT_ENDPOINT_MAX + 1];
    bool is_peer_known;
    struct weft_peer_id peer; /* who must answer, if known */
};

WEFT_MUST_CHECK enum weft_err dialer_new(const struct dialer_config *config, struct dialer **out);
void dialer_free(struct dialer *dialer);

/* Adds an endpoint to keep a link to, "host:port", host name or literal. `peer` may be NULL: who
 * answers there is learned. WEFT_ERR_EXISTS, WEFT_ERR_FULL, WEFT_ERR_INVALID. */
WEFT_MUST_CHECK enum weft_err dialer_add_seed(struct dialer *dialer, const char *endpoint,
                                              const struct weft_peer_id *peer);
/* Removes a seed (SIGHUP); its link stays up. */
void dialer_remove_seed(struct dialer *dialer, const char *endpoint);

/* Whether dialer_learn would make anything of what a peer's record lists: of one that it knows
 * always, of others while it has room, then of one in eight. Asked once for each record. */
bool dialer_wants(struct dialer *dialer, const struct weft_peer_id *peer);
/* A peer's record lists these addresses: candidates (replaces its former ones). */
void dialer_learn(struct dialer *dialer, const struct weft_peer_id *peer,
                  const struct wire_peer_body *body, weft_ns now);
void dialer_forget(struct dialer *dialer, const struct weft_peer_id *peer);

/* An attempt failed before it was a link. */
void dialer_failed(struct dialer *dialer, const struct router *router, uint64_t token,
                   const char *why, weft_ns now);

/* A link is up. `token` is 0 for one that the other side dialled. A seed that turns out to be a
 * peer we are linked to already counts as kept up by that link. */
void dialer_link_up(struct dialer *dialer, struct link_id link, const struct weft_peer_id *peer,
                    uint64_t token, weft_ns now);
/* A link is down. `is_deliberate`: we trimmed it or it was a duplicate: no hurry to have it back.
 */
void dialer_link_down(struct dialer *dialer, struct link_id link, bool is_deliberate, weft_ns now);

/* How far a linked peer is; favours near ones when trimming. */
void dialer_cost(struct dialer *dialer, struct link_id link, uint32_t cost_us);

/* Whether most links were lost at once, seconds ago: the mesh fell, and all make new links now. */
bool dialer_is_hurried(const struct dialer *dialer, weft_ns now);
/* Until when; in the past if not. */
weft_ns dialer_hurried_until(const struct dialer *dialer);

/* Whether a link that `peer` dialled may stay. Not, with discovery on, if we have as many as are
 * borne and the peer has half of its own without us: it finds another. Below links_max otherwise
 * always; at it, a newcomer (one that has no other two-way link in the graph) is admitted, and the
 * most dispensable link is trimmed. */
bool dialer_admit(struct dialer *dialer, const struct router *router,
                  const struct weft_peer_id *peer);

/* Whether a link to a seed that we dialled is not needed, now that we know who answers there: we
 * have links enough, and the seed is reached without. Asked before dialer_link_up. */
bool dialer_only_asked(const struct dialer *dialer, const struct router *router, uint64_t token,
                       const struct weft_peer_id *peer);

/* Takes the next link to make now; false when there is none. */
bool dialer_next_dial(struct dialer *dialer, const struct router *router, weft_ns now,
                      struct dial *out);

/* Takes the next link to close as surplus: more than degree (with slack: above degree + 4, down to
 * degree), older than 5 s, not a seed's (unless above links_max), the far end has at least `degree`
 * other links or more than we have, and router_can_spare. The side with the smaller peer id acts,
 * so that not both trim. Of a crowd (above 2 * (degree + 4)) up to 32 go at a time, from 1 s on, to
 * whom more than half of their degree is left. Keeps some random, some near, some old. false when
 * there is none. */
bool dialer_next_trim(struct dialer *dialer, const struct router *router, weft_ns now,
                      struct link_id *out);

/* When dialer_next_dial or _trim may have something next. */
weft_ns dialer_deadline(const struct dialer *dialer);

/* One row for `weft status` and `weft links`: a target without a link. */
struct dialer_target {
    const char *endpoint; /* borrowed until the next call that changes the dialer */
    bool is_seed;
    bool is_dialling;
    bool is_peer_known;
    struct weft_peer_id peer;
    uint32_t failure_count; /* in a row */
    weft_ns retry_at;       /* WEFT_NEVER while dialling */
    const char *error;      /* why the last attempt failed, "" if none did; borrowed */
};
/* Walks the targets that have no link, seeds first: index 0, 1, 2 ...; false past the end.
 * Learned candidates are listed only if they are being dialled or have failed. */
bool dialer_target_at(const struct dialer *dialer, size_t index, struct dialer_target *out);

#endif
