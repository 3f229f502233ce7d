/* SPDX-License-Identifier: Apache-2.0
 *
 * Damping: how long a new link to a peer must last before the mesh is told of it. A peer that is
 * out of everybody's sight and back, again and again, costs every node a computation each time.
 * After the second such loss its links are on trial: up, and used for what keeps record sets
 * equal, but in nobody's graph until they have lasted.
 *
 *   losses in the last ten minutes   a new link is told of
 *   none                             at once
 *   one                              after 1.5 s and a beat in time: one reboot or one cut is
 *                                    nothing
 *   two or more                      when it has lasted 30 s without missing a beat
 *
 * So a node that flaps costs the mesh two changes, and then two more each time its links last for
 * half a minute, however fast it flaps.
 *
 * Counted by node, not by pair: a bad node dials ever other peers, and each would forgive it anew.
 * No word of anybody about anybody else is needed, for every node sees the same signed words and
 * can tell a peer that is lost from a mesh that is torn. A loss counts only when
 *
 *   - the peer is reached no more, though it did not say that it leaves;
 *   - it goes *alone*: more than three in four that it lists are still reached and deny the link
 *     (after Rapid: a cut needs several observers). Of a torn mesh the far part lists itself;
 *   - it had at least three links a little earlier: one that hangs on one or two is at the mercy of
 *     those, and would lose what little it has.
 *
 * So nobody can have an honest node suppressed without being all of its neighbours, or keeping
 * their words from us; its links that last are told of as long as they do. And a peer that others
 * are behind, who are not reached and not damped themselves, is on no trial: they need it.
 *
 * Why not RFC 2439's penalty with a half-life: it punishes whoever tells of changes, and with path
 * vectors one flap is heard as many (Mao et al. 2002, "Route flap damping exacerbates Internet
 * routing convergence"). With link states one loss is one, so that losses can just be counted.
 *
 * Bound: DAMPING_PEERS_MAX peers; at it the one quiet for longest is forgotten, that is forgiven.
 */
#ifndef ROUTER_DAMPING_H
#define ROUTER_DAMPING_H

#include "base/time.h"
#include "weft/types.h"

/* Bad nodes are few: hundreds at once are an event of the mesh. 10 KB. */
#define DAMPING_PEERS_MAX 256
/* How long a loss counts. Long: while a peer is damped nobody sees how it fares. */
#define DAMPING_MEMORY_NS (600 * NS_PER_S)
/* After one loss: longer than the connections of a flapping node live, and until a beat has come,
 * which is late on most links that lose four fifths of what they send (A8: with 100 ms one seed in
 * six took 72 s). */
#define DAMPING_SHORT_NS (NS_PER_S + NS_PER_S / 2)
/* After two: longer than a node lives that hears for 20 s and then does not (A7), and no longer
 * than half of what streams wait for a path. */
#define DAMPING_LONG_NS (30 * NS_PER_S)
/* Links that a peer must have had for its loss to count, and until when it remembers them. */
#define DAMPING_LINKS_MIN 3
#define DAMPING_THINNED_NS (30 * NS_PER_S)

/* What is remembered of a peer. */
struct damping_entry {
    struct weft_peer_id peer;
    weft_ns at;         /* of its last loss; of a peer without any: when it was noted */
    weft_ns thinned_at; /* when it last came to list fewer than DAMPING_LINKS_MIN; 0: never */
    uint32_t losses;
};

struct damping {
    struct damping_entry *entries;
    size_t count;
    size_t size;
};

/* What is known of a peer that is reached no more. */
struct damping_loss {
    uint32_t listed;  /* links that its last word lists */
    uint32_t denying; /* of those: far ends that are reached and do not list it */
    bool is_leaving;  /* as it said */
};

/* Takes zeroed memory. */
void damping_fini(struct damping *damping);

/* A peer's word lists fewer links than DAMPING_LINKS_MIN now, and did not before. */
void damping_thinned(struct damping *damping, const struct weft_peer_id *peer, weft_ns now);

/* A peer is reached no more; whether that counts. Short of memory it does not. */
bool damping_lost(struct damping *damping, const struct weft_peer_id *peer,
                  const struct damping_loss *loss, weft_ns now);

/* The losses of a peer that were counted meant nothing. */
void damping_forgive(struct damping *damping, const struct weft_peer_id *peer);

/* How long a new link to a peer must last before it is told of. Cost: a walk of the table. */
weft_ns damping_trial(const struct damping *damping, const struct weft_peer_id *peer, weft_ns now);

#endif
