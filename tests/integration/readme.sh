#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# README's command blocks, literally: each ```sh block behind a line
# "<!-- run -->" is run as it stands, in order, in one shell, at the top of a
# source tree whose build/ is this build.  Each command must succeed.  And the
# output that README shows for `make demo` has the lines of a real one.
# timeout: 300
. "$(dirname "$0")/lib.sh"
requires varved varve make python3
unset VARVE_CONNECT

# a tree like a fresh clone's, without copying it
mkdir "$dir/src"
for entry in "$top"/* "$top"/.ci; do
    case $entry in */build | */build-*) ;; *) ln -s "$entry" "$dir/src/" ;; esac
done
ln -s "$BUILD" "$dir/src/build"
export DEMO_DIR=$dir/demo TMPDIR=$dir
unset BUILD MAKEFLAGS MAKELEVEL

cat >"$dir/blocks.py" <<'END'
import re, sys
text = open(sys.argv[1]).read()
blocks = re.findall(r"<!-- run -->\n```sh\n(.*?)```", text, re.S)
for number, block in enumerate(blocks, 1):
    print(f"echo '=== block {number}'")
    print(block)
print("echo '=== end'")
# what the blocks leave in the background
print("jobs -p >pids; kill $(cat pids) 2>/dev/null; wait")
END
python3 "$dir/blocks.py" "$top/README.md" >"$dir/blocks.sh"
cleanup '[ ! -e "$DEMO_DIR/varved.pid" ] || kill -TERM "$(cat "$DEMO_DIR/varved.pid")" 2>/dev/null'

cd "$dir/src" || exit 1
claim "every command of every block succeeds" bash -e "$dir/blocks.sh"
printed=$out
claim_text "to the last" "=== end"
count=$(grep -c "^echo '=== block" "$dir/blocks.sh")
claim "there are blocks to run ($count)" test "$count" -ge 3

# README shows a real demo: ports, pids, directories and secrets aside
normal() {
    sed -E 's/127\.0\.0\.1:[0-9]+/127.0.0.1:PORT/g; s/\bpid [0-9]+/pid PID/g
        s/^kill [0-9]+/kill PID/; s#(/[^ ]*)?/(varve-)?demo(-[0-9]+)?/#DIR/#g
        s#(/[^ ]*)?/(varve-)?demo(-[0-9]+)?$#DIR#
        s/serial=[^ ]*/serial=SERIAL/; s/port=.[0-9]+./port=PORT/
        s#iqn\.2026-01\.[^: ]*:#iqn.2026-01.HERE:#g
        s#<source>[^<]*#<source>#; s/ +/ /g; s/^ //; s/ $//' | sed '/^$/d'
}
sed -n '/^=== block 1$/,/^=== block 2$/p' <<<"$printed" |
    sed -n '/^# varved --dir/,$p' | sed '/^=== block/d' | normal >"$dir/real"
sed -n '/^<!-- demo output -->$/,/^<!-- end -->$/p' "$top/README.md" |
    sed '/^<!--/d; /^```/d' | normal >"$dir/shown"
claim "README shows what make demo prints" diff "$dir/shown" "$dir/real"
finish
