#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Makes the images of the stories in VERSION/ that have none yet, with the
# programs in $BUILD, which must be those of that version: images that are there
# are never made again.
#
#   tests/golden/make.sh VERSION
set -eu
cd "$(dirname "$0")"
run=${BUILD:-../../build}/tests/golden/run
version=$1

for story in "$version"/*.txt; do
    stem=${story%.txt}
    [ ! -e "$stem.0.xz" ] || continue
    python3 hash.py "$story"
    "$run" play "$story" "$stem"
    xz -9e "$stem".[0-9]
done
