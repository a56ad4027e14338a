#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What needs hours: a million power cuts with fresh seeds, a million operations
# on families of volumes, ten thousand group snapshots of an ordered writer, both
# models at length, five hundred kills, a month of backups, one under a guest that writes (25 GB in
# $TMPDIR), hundreds of faults of the network.  SOAK=10 does a tenth of it.  Prints its seeds.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
share=${SOAK:-100}
seed=${SEED:-$(date +%s)}
passed=0 failed=0

step() {
    echo "== $*"
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

echo "seed $seed, $share % of the whole"
step "$build/tests/sim/run" soak "$((10000 * share))" "$seed"
step "$build/tests/sim/run" model "$((10000 * share))" "$seed"
step "$build/tests/sim/run" pairs "$((100 * share))" "$seed"
step "$build/tests/model/run" birth "$((3 * share))" 1500 none "$seed"
step "$build/tests/model/run" crash "$((2 * share))" 100 none "$seed"
KILL_ROUNDS=$((5 * share)) step python3 tests/integration/kill9.py
step python3 tests/backup/days.py "$((30 * share / 100 + 1))" "$((2 * share))" "$seed"
step python3 tests/integration/faults.py "$((3 * share))" "$seed"
step python3 tests/backup/guest_days.py 20 "$((30 * share / 100 + 1))"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
