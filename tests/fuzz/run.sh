#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Fuzzes each parser for FUZZ_SECONDS (default 600) under ASan and UBSan with
# libFuzzer, starting from its corpus; a finding is kept in build-fuzz/findings.
# FUZZ_SAN=tsan: under TSan instead, in build-fuzz-tsan.
#
#   tests/fuzz/run.sh [NAME...]      FUZZ_SECONDS=60 tests/fuzz/run.sh pdu
set -u
cd "$(dirname "$0")/../.." || exit 1

seconds=${FUZZ_SECONDS:-600}
san=${FUZZ_SAN:-asan}
build=$PWD/build-fuzz
[ "$san" = asan ] || build=$build-$san
# The fuzzer's own counters are written by all threads; the linker has no name of
# theirs for a report but this one.  Everything else ends the run.
mkdir -p "$build"
echo 'race:__TMC_END__' >"$build/tsan.supp"
export TSAN_OPTIONS="suppressions=$build/tsan.supp halt_on_error=1 ${TSAN_OPTIONS:-}"
out=$build/findings
names=${*:-$(for f in tests/fuzz/*_fuzz.c; do basename "$f" _fuzz.c; done)}
mkdir -p "$out"

passed=0 failed=0
for name in $names; do
    make -s CC=clang SAN="$san" FUZZ=1 BUILD="$build" \
        "$build/tests/fuzz/${name}_fuzz" || exit 1
    mkdir -p "$build/corpus/$name"
    echo "fuzzing $name for $seconds s"
    if "$build/tests/fuzz/${name}_fuzz" -max_total_time="$seconds" \
        -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
        -artifact_prefix="$out/$name-" "$build/corpus/$name" \
        "tests/fuzz/corpus/$name" > "$build/$name.log" 2>&1; then
        passed=$((passed + 1))
        grep -E 'number_of_executed_units|average_exec' "$build/$name.log"
    else
        failed=$((failed + 1))
        tail -n 40 "$build/$name.log"
        echo "repeat: $build/tests/fuzz/${name}_fuzz $out/$name-..."
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
