#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# varve doctor says what this machine lacks, with and without varved.  What it
# says where the kernel has a target is covered by tests/guest/suites/tcmu_life.sh.
. "$(dirname "$0")/lib.sh"
requires varved varve jq python3

# found CODE [SEVERITY]: what it said under that code
found() {
    jq -r --arg code "$1" --arg severity "${2:-}" \
        '.items[] | select(.code == $code and ($severity == "" or .severity == $severity)) | .what' \
        "$dir/said"
}
# examine [OPTION...]: its findings to $dir/said
examine() {
    run varve --json doctor "$@"
    cp "$dir/out" "$dir/said"
}

examine
claim_equal "without varved it ends as with findings" "$status" 9
claim_text "which it says" "varved is not running" "$(found daemon.not-running error)"
claim "with what starts it" jq -e --arg fix "varved --dir $dir" \
    '.items[] | select(.code == "daemon.not-running") | .fix == $fix' "$dir/said"
claim_text "the kernel is named" "$(uname -r)" "$(found kernel.version note)"
claim_text "io_uring can be used" "can be used" "$(found kernel.io-uring note)"

start_varved
chmod 700 "$dir"
examine
claim_text "with varved it says so" "varve.sock" "$(found daemon.running note)"
claim_text "and that the state is its own" "alone" "$(found state.rights note)"
chmod 755 "$dir"
chmod 644 "$dir/varve.db"
examine
claim_text "a directory that is open is found" "open to others" "$(found state.rights warning)"
claim_text "and secrets in it" "CHAP secrets" "$(found state.rights error)"
claim "each with what mends it" jq -e \
    '[.items[] | select(.severity != "note" and .code == "state.rights") | .fix | startswith("chmod ")] | length == 2 and all' \
    "$dir/said"
chmod 700 "$dir"
chmod 600 "$dir/varve.db"

printf '[threads]\nreactors = 2\nbuffers = 32M\n' >"$dir/varve.conf"
examine
claim_text "locked memory is told as configured" "64 MiB" "$(found memory.locked)"

# a port that somebody has: named in varve.conf, as the kernel's is not there
python3 - "$dir/port" <<'END2' &
import socket, sys, time
s = socket.create_server(("127.0.0.1", 0))
with open(sys.argv[1] + ".new", "w") as f:
    f.write(str(s.getsockname()[1]))
import os
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(120)
END2
holder=$!
cleanup "kill $holder 2>/dev/null"
for _ in $(seq 200); do
    [ ! -e "$dir/port" ] || break
    sleep 0.05
done
printf '[lio]\nportals = 127.0.0.1:%s\n' "$(cat "$dir/port")" >"$dir/varve.conf"
examine --carrier tcmu
claim_text "a port that is taken is found" "$(cat "$dir/port")" "$(found port.taken warning)"
printf '[lio]\nportals = %s\n' "$portal" >"$dir/varve.conf"
examine --carrier tcmu
claim_text "and one that varved itself has" "varved listens" "$(found port.varved error)"
printf '[lio]\nportals = nowhere\n' >"$dir/varve.conf"
examine
claim_text "a wrong configuration is told by its line" "varve.conf:2" "$(found config.wrong error)"
rm "$dir/varve.conf"

if [ -d /sys/module/target_core_user ]; then
    finish
fi
examine
claim_text "modules that nobody wants are a note" "module target_core_user is not" \
    "$(found kernel.module note)"
claim_equal "and no more" "$(found kernel.module error)" ""
for carrier in tcmu tcmu-loop; do
    examine --carrier $carrier
    claim_equal "carrier $carrier wants them" "$status" 9
    claim_text "and says so" "module target_core_user is not" "$(found kernel.module error)"
done
claim_equal "each finding has what mends it" \
    "$(jq '[.items[] | select(.severity != "note" and .fix == "")] | length' "$dir/said")" 0

claim_exit 9 "people read it as health" varve doctor --carrier tcmu
claim_text "with the line that mends it" "  fix: "
claim_exit 2 "another carrier is none" varve doctor --carrier fc
finish
