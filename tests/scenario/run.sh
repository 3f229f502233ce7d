#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sweeps one scenario: run.sh MODE SCENARIO SEEDS
#
#   frames       the simulator as it is used
#   bytes        over real encrypted links
#   no-sharing   each node with records and graph of its own
#   sanitized    frames, by the build under test (ASan and UBSan in the preset dev): slow
#
# All but the last use the release build if there is one: speed buys seeds.
set -eu
mode=$1
scenario=$2
seeds=$3
release=$(dirname "$0")/../../build/release/bin/weft-sim
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
# shellcheck disable=SC2086
exec "$sim" sweep "$scenario" --seeds "$seeds" --jobs 1 --keep-going --cpu 500 --quiet $flag
