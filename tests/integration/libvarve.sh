#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# libvarve as others use it: installed, found by pkg-config, linked by a program
# that is the manual's own example, with nothing exported but what the header
# declares.  What its calls do is covered by its unit tests.
. "$(dirname "$0")/lib.sh"
requires varved varve gcc pkg-config nm readelf

prefix=$dir/usr
claim "it is installed" make -s -C "$top" BUILD="$BUILD" PREFIX="$prefix" \
    SYSCONFDIR="$dir/etc" install-libvarve
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
# from a literal block of the manual to the next
example() {
    sed -n '/^# EXAMPLES/,/^# SEE/p' "$top/docs/man/libvarve.3.scd" |
        sed -n '/^```/,/^```/{/^```/!p}' | sed 's/\\\\n/\\n/'
}
example >"$dir/example.c"
# shellcheck disable=SC2046 # a list of words
claim "the manual's example compiles without a warning" \
    gcc -Wall -Wextra -Werror -o "$dir/example" "$dir/example.c" \
    $(pkg-config --cflags --libs libvarve)
claim_text "it is linked to the library's name with its version" \
    "[libvarve.so.1]" "$(readelf -d "$dir/example")"

declared() {
    sed -n 's/^.*\b\(varve_[a-z_]*\)(.*/\1/p' "$prefix/include/varve.h" |
        grep -v closep | sort -u
}
exported() { nm -D --defined-only "$prefix/lib/libvarve.so" | sed -n 's/.* T \(.*\)@@VARVE_1$/\1/p' | sort; }
claim_equal "it exports what the header declares" "$(exported)" "$(declared)"
claim_equal "and nothing else" "$(nm -D --defined-only "$prefix/lib/libvarve.so" | grep -c ' T ')" \
    "$(declared | wc -l)"
claim "the header is C++ too" sh -c "echo '#include <varve.h>' |
    g++ -fsyntax-only -Wall -Werror -I'$prefix/include' -x c++ -"

export LD_LIBRARY_PATH=$prefix/lib
claim_exit 1 "without varved the example fails" "$dir/example"
claim_text "and says why" "varved is not running"
start_varved
varve pool create vms "$dir/vms.pool" --size 64M >/dev/null
varve lun create vms/web01 --size 16M >/dev/null
claim "with varved it lists" "$dir/example"
claim_equal "its LUNs" "$out" vms/web01
finish
