#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# varved as a process: its options and configuration, that it is alone, what
# signals do, who may speak to it, and that sessions end in order.  That data
# survives is covered by restart.sh and kill9.py.
. "$(dirname "$0")/lib.sh"
requires varved varve jq qemu-io python3

# ---- options and configuration
claim "--help" "$BUILD/varved" --help
claim "--version" "$BUILD/varved" --version
claim_exit 2 "an unknown option" "$BUILD/varved" --what
claim_exit 2 "an address that is none" "$BUILD/varved" --dir "$dir" --portal nowhere
printf '[log]\nlevel = info\nlevle = debug\n' >"$dir/bad.conf"
claim_exit 2 "a bad configuration" "$BUILD/varved" --config "$dir/bad.conf" --check-config
claim_text "with its line" "bad.conf:3: there is no key 'levle'"
claim "the packaged configuration is good" \
    "$BUILD/varved" --config "$top/packaging/varve.conf" --check-config
claim "a guard that has nothing to hold" "$BUILD/varved" --guard
claim_exit 2 "a configuration that is not there" "$BUILD/varved" --config "$dir/none.conf"
claim_exit 1 "a directory that cannot be" "$BUILD/varved" --dir /dev/null/x

# ---- it is alone
start_varved
varve pool create vms "$dir/vms.pool" --size 256M >/dev/null
varve lun create vms/a --size 64M >/dev/null
iqn=iqn.2008-11.org.linux-kvm
varve host add h --iqn "$iqn" --no-chap >/dev/null
varve --json export add vms/a --host h >"$dir/export"
url="iscsi://$portal/$(jq -r .item.iqn "$dir/export")/0"
claim_exit 1 "a second varved in the directory" "$BUILD/varved" --dir "$dir"
claim_text "names the first" "another varved (pid $varved_pid) runs on"
mkdir "$dir/two"
"$BUILD/varved" --dir "$dir/two" --portal 127.0.0.1:0 >>"$dir/two.txt" 2>&1 &
second=$!
cleanup "kill -KILL $second 2>/dev/null"
for _ in $(seq 100); do
    if varve --connect "unix:$dir/two/varve.sock" version >/dev/null 2>&1; then break; fi
    sleep 0.05
done
claim_exit 5 "a second varved on the pool" \
    varve --connect "unix:$dir/two/varve.sock" pool import "$dir/vms.pool"
claim_text "by its code" pool.device-busy
claim "and it goes on" varve --connect "unix:$dir/two/varve.sock" pool list

# ---- signals
mv "$dir/varved.log" "$dir/varved.log.1"
kill -HUP "$varved_pid"
for _ in $(seq 100); do [ -e "$dir/varved.log" ] && break; sleep 0.05; done
claim "SIGHUP opens the log anew" test -e "$dir/varved.log"
claim "and nothing else" varve lun show vms/a
kill -TERM "$second"
wait "$second"
claim_equal "SIGTERM ends with 0" $? 0
claim_text "in order" "stopped" "$(tail -n 1 "$dir/two.txt")"
claim "the socket is gone" test ! -e "$dir/two/varve.sock"

# ---- with a session: it is asked to log out, and comes back
(for n in $(seq 100); do
    echo "write -P $((n % 250 + 1)) $((n * 64))k 64k"
    echo flush
    sleep 0.05
done) | qemu-io -f raw "$url" >"$dir/qemu.txt" 2>&1 &
guest=$!
cleanup "kill $guest 2>/dev/null"
for _ in $(seq 100); do
    [ "$(varve --plain -o session session list | wc -l)" -gt 0 ] && break
    sleep 0.05
done
claim_equal "the session is listed" "$(varve --json session list | jq -r '.items[0].host')" h
known=$(varve --json api schema | jq '.item.document.methods["session.list"].result
    .properties.items.items.properties | keys')
claim_equal "and has what the schema says" "$(varve --json session list |
    jq -c --argjson known "$known" '(.items[0] | keys) - $known')" "[]"
claim_exit 5 "its LUN is not deleted" varve --yes lun delete vms/a
claim_text "for the session" "in use by host h"
claim_exit 5 "nor shrunk" varve lun resize vms/a 32M --shrink
claim_exit 5 "nor taken away" varve export remove vms/a --host h
claim_text "with both ways out" "--force"
claim "but grown" varve lun resize vms/a +64M
session=$(varve --json session list | jq -r '.items[0].session')
claim "a session is dropped" varve session drop "$session"
sleep 0.5
claim "varved stops under a session" stop_varved
claim_text "in order" "stopped" "$(tail -n 1 "$dir/stderr.txt")"
claim "the pool is clean" varve rescue check "$dir/vms.pool"
start_varved
claim "the guest ends" wait "$guest"
claim "every write of it is there" grep -c "wrote 65536/65536" "$dir/qemu.txt"
claim_equal "all hundred" "$out" 100
claim "the last, too" qemu-io -f raw -c "read -P 101 6400k 64k" "$url"

# ---- portals
stop_varved
python3 - "${portal#*:}" "$dir/squats" <<'END' &
import pathlib, socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
pathlib.Path(sys.argv[2]).touch()
time.sleep(600)
END
squatter=$!
cleanup "kill $squatter 2>/dev/null"
until [ -e "$dir/squats" ] || ! kill -0 $squatter; do sleep 0.05; done
before=$portal
"$BUILD/varved" --dir "$dir" >>"$dir/stderr.txt" 2>&1 </dev/null &
varved_pid=$!
for _ in $(seq 200); do
    state=$(varve --plain -o state portal list 2>/dev/null)
    [ "$state" = listening ] && break
    sleep 0.05
done
claim_equal "a portal that took port 0 gets another port" "$state" listening
after=$(varve --plain -o address portal list)
claim "which is not the one that is taken" test "$before" != "$after"
kill "$squatter"
claim "varved stops" stop_varved
start_varved
claim_equal "and keeps it" "$portal" "$after"
url="iscsi://$portal/$(jq -r .item.iqn "$dir/export")/0"

# ---- who may speak to it
if [ "$(id -u)" = 0 ] && [ -x /usr/bin/python3 ]; then
    chmod 711 "$dir"
    ask='import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"lun.list\"}\n")
print(s.makefile().readline())'
    claim "anyone may knock" setpriv --reuid nobody --clear-groups \
        /usr/bin/python3 -c "$ask" "$dir/varve.sock"
    claim_text "but not read" request.not-allowed
    claim "the socket's owner may" python3 -c "$ask" "$dir/varve.sock"
    claim_text "read" vms/a
fi

# ---- a second signal does not wait
qemu-io -f raw -c "write 0 4k" -c "sleep 60000" "$url" >/dev/null 2>&1 &
idle=$!
cleanup "kill $idle 2>/dev/null"
for _ in $(seq 100); do
    [ "$(varve --plain -o session session list | wc -l)" -gt 0 ] && break
    sleep 0.05
done
kill -STOP "$idle" # it will not log out when asked
begun=$(date +%s%N)
kill -TERM "$varved_pid"
sleep 0.3
kill -TERM "$varved_pid"
wait "$varved_pid"
status=$?
varved_pid=
took=$((($(date +%s%N) - begun) / 1000000))
kill -CONT "$idle"
claim_equal "a second signal ends at once" "$status" 1
claim "within 2 s ($took ms)" test "$took" -lt 2000

# ---- the state database
printf 'PRAGMA user_version = 99;' | python3 -c '
import sqlite3, sys
d = sqlite3.connect(sys.argv[1]); d.executescript(sys.stdin.read()); d.close()' "$dir/varve.db"
claim_exit 1 "a database of a newer varve is refused" "$BUILD/varved" --dir "$dir"
claim_text "with what to do" "install that one again"
claim_equal "the database is private" "$(stat -c %a "$dir/varve.db")" 600
claim_exit 1 "no secret is in the log" grep -i secret "$dir/varved.log"
finish
