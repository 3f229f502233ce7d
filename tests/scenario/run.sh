#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sweeps one scenario: run.sh MODE SCENARIO SEEDS
#
#   frames       the simulator as it is used
#   bytes        over real encrypted links
#   no-sharing   each node with records and graph of its own
#   sanitized    frames, by the build under test (ASan and UBSan in the preset dev): slow
#
# SEEDS is A..B or one seed; those that unpinned.txt names are left out, and the file WEFT_LEFT_OUT is
# told which and why. All modes but the last use the release build if there is one: speed buys seeds.
# Exit status 0 only when all held, 77 when none was left.
set -eu
mode=$1
scenario=$2
seeds=$3
folder=$(dirname "$0")
release=$folder/../../build/release/bin/weft-sim
sim=$WEFT_SIM
flag=
case $mode in
frames) ;;
bytes) flag=--bytes ;;
no-sharing) flag=--no-sharing ;;
sanitized) release=$sim ;;
*) echo "run.sh: no mode \"$mode\"" >&2; exit 2 ;;
esac
[ ! -x "$release" ] || sim=$release

# The ranges that remain of $seeds, a line each.
ranges() {
    awk -v scenario="$scenario" -v seeds="$seeds" '
    function ends(text, out) { if (split(text, out, /\.\./) < 2) out[2] = out[1] }
    function flush() { if (low <= high) print low ".." high }
    /^[a-z]/ && $1 == scenario { ends($2, out); for (s = out[1]; s <= out[2]; s++) is_out[s] = 1 }
    END {
        ends(seeds, all)
        low = all[1] + 0
        for (s = all[1] + 0; s <= all[2] + 0; s++) {
            if (s in is_out) { high = s - 1; flush(); low = s + 1 }
        }
        high = all[2] + 0; flush()
    }' "$folder/unpinned.txt"
}

# A line for each line of unpinned.txt that takes seeds from $seeds.
tell_left_out() {
    awk -v scenario="$scenario" -v seeds="$seeds" -v mode="$mode" '
    function ends(text, out) { if (split(text, out, /\.\./) < 2) out[2] = out[1] }
    /^[a-z]/ && $1 == scenario {
        ends(seeds, all); ends($2, out)
        low = out[1] + 0 > all[1] + 0 ? out[1] + 0 : all[1] + 0
        high = out[2] + 0 < all[2] + 0 ? out[2] + 0 : all[2] + 0
        reason = $0; sub(/^[^ ]+ +[^ ]+ +/, "", reason)
        which = low == high ? "seed " low : "seeds " low ".." high
        if (low <= high) print "left out: " scenario " (" mode ") " which ": " reason
    }' "$folder/unpinned.txt"
}

told=$(tell_left_out)
if [ -n "$told" ]; then
    echo "$told"
    [ -z "${WEFT_LEFT_OUT:-}" ] || echo "$told" >>"$WEFT_LEFT_OUT"
fi
left=$(ranges)
[ -n "$left" ] || exit 77
status=0
for range in $left; do
    # shellcheck disable=SC2086
    "$sim" sweep "$scenario" --seeds "$range" --jobs 1 --keep-going --cpu 120 --quiet $flag || status=1
done
exit $status
