#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# tools/demo.sh: ends with a served LUN, can be run again, also after a kill, and
# stops by the line that it prints.
# timeout: 180
. "$(dirname "$0")/lib.sh"
requires varved varve qemu-io
unset VARVE_CONNECT
export DEMO_DIR=$dir/demo BUILD

demo_pid() { cat "$DEMO_DIR/varved.pid"; }
# every varved of the demo is the story's to end
pids=
demo() {
    "$top/tools/demo.sh" || return
    pids="$pids $(demo_pid)"
}
end_demos() {
    local pid
    for pid in $pids; do
        grep -qsF "$DEMO_DIR" "/proc/$pid/cmdline" && kill -KILL "$pid"
    done
}
cleanup end_demos
gone() {
    local i
    for i in $(seq 100); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    echo "still there after $i tries"
    return 1
}

claim "the demo ends well" demo
first=$out
claim_text "with lines for open-iscsi" "iscsiadm"
claim_text "and for libvirt" "<pool"
claim "varved is there" kill -0 "$(demo_pid)"
claim "nobody else may look into its directory" \
    test "$(stat -c %a "$DEMO_DIR")" = 700
case $first in *"$(cat "$DEMO_DIR/demo.secret")"*) not_ok "the secret was printed" ;;
*) ok "the secret was not printed" ;; esac

# QEMU's lines as they stand, in the process that has QEMU's block layer only
if command -v qemu-storage-daemon >/dev/null; then
    sed -n '/^-object/,/^-blockdev/{s/ \\$//;s/^-/--/;p}' <<<"$first" |
        tr '\n' ' ' >"$dir/lines"
    qemu_lines() {
        (cd "$DEMO_DIR" && timeout 20 xargs -a "$dir/lines" \
            qemu-storage-daemon --daemonize --pidfile "$dir/qsd.pid") &&
            kill "$(cat "$dir/qsd.pid")"
    }
    claim "QEMU's lines work as they stand" qemu_lines
fi

connect=$(sed -n 's/^export VARVE_CONNECT=//p' <<<"$first")
claim "the socket it names answers" varve --connect "$connect" lun show demo/disk1
portal=$(varve --connect "$connect" --plain -o address portal list)
export LIBISCSI_CHAP_USERNAME=demo
LIBISCSI_CHAP_PASSWORD=$(cat "$DEMO_DIR/demo.secret")
export LIBISCSI_CHAP_PASSWORD
url=iscsi://$portal/$(varve --connect "$connect" --plain -o iqn export list)/0
claim "a block is written" qemu-io -f raw -c "write -P 7 0 64k" -c flush "$url"

pid=$(demo_pid)
kill -KILL "$pid"
gone "$pid"
claim "after a kill it runs again" demo
claim "the block is there" qemu-io -f raw -c "read -P 7 0 64k" "$url"
pid=$(demo_pid)
claim "it replaces the varved that still runs" demo
again=$out
claim "the earlier one is gone" gone "$pid"
stop=$(grep '^kill [0-9]*$' <<<"$again")
claim_equal "the stop line names the new one" "$stop" "kill $(demo_pid)"
pid=$(demo_pid)
claim "the stop line stops it" sh -c "$stop"
claim "in time" gone "$pid"

echo $$ >"$DEMO_DIR/varved.pid"
claim "a pid of something else is not killed" demo
pid=$(demo_pid)
kill "$pid"
gone "$pid"
rm -f "$DEMO_DIR/varved.pid"
finish
