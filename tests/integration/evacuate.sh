#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A device of a pool is emptied while a LUN is written, varved is killed in the
# middle, and the device taken out; then the pool serves without its file.
# Power cuts at every write are the simulator's.
. "$(dirname "$0")/lib.sh"
requires varved varve jq qemu-io qemu-img
start_varved
a=$dir/a.pool b=$dir/b.pool c=$dir/c.pool
varve pool create vms "$a" "$b" --size 600M >/dev/null
varve lun create vms/a --size 800M >/dev/null
varve host add h --iqn iqn.2008-11.org.linux-kvm --no-chap >/dev/null
url=$(lun_url vms/a)

state_of() { varve --json device list vms |
    jq -r --arg path "$1" '.items[] | select(.device == $path) | .state'; }
used_of() { varve --json device list vms |
    jq -r --arg path "$1" '.items[] | select(.device == $path) | .used'; }

# A host that goes on, also after varved was away: round after round over 65
# places, each acknowledged and flushed; the last whole round is in $dir/round.
places() { seq 0 64; }
write_rounds() {
    local round=1 place commands
    while [ -e "$dir/writing" ]; do
        commands=()
        for place in $(places); do
            commands+=(-c "write -q -P $((round % 250 + 1)) $((place * 9))M 64k")
        done
        if qemu-io -f raw "${commands[@]}" -c flush "$url" >/dev/null 2>&1; then
            echo "$round" >"$dir/round"
            round=$((round + 1))
        else
            sleep 0.1
        fi
    done
}

begin_writing() {
    echo 0 >"$dir/round"
    touch "$dir/writing"
    write_rounds &
    writer=$!
}

end_writing() {
    rm -f "$dir/writing"
    wait "$writer"
}

# Each place holds the last whole round.
rounds_are_there() {
    local last place
    last=$(cat "$dir/round")
    for place in $(places); do
        qemu-io -f raw -c "read -P $((last % 250 + 1)) $((place * 9))M 64k" "$url" |
            grep -q "Pattern verification failed" || continue
        echo "$((place * 9))M does not hold round $last"
        return 1
    done
}

rest_is_there() { ! qemu-io -f raw -c "read -P 0x77 700M 64M" "$url" |
    grep "Pattern verification failed"; }

claim "a LUN is filled" \
    lun_io "$url" "write -P 0x66 0 600M" "write -P 0x77 700M 64M" flush
claim_equal "both devices are in use" "$(state_of "$a"), $(state_of "$b")" \
    "in use, in use"
claim_exit 8 "too little room for all of it is refused" \
    varve device evacuate vms "$a"
claim_text "with the figures" "MiB are on it"
claim_exit 4 "an unknown device is" varve device evacuate vms "$c"
claim_exit 5 "one in use is not removed" varve device remove vms "$a"
claim_text "and the way is said" "varve device evacuate vms $a"
claim_exit 5 "a device it has already is not added" varve pool grow vms "$b"
claim_text "but may be made larger" "truncate -s SIZE $b"
claim "a third device joins" varve pool grow vms "$c" --size 1G

claim "emptying begins" varve device evacuate vms "$a" --no-wait
claim_equal "and is told" "$(state_of "$a")" evacuating
claim_text "by the pool too" "$a" "$(varve --plain -o leaving pool show vms)"
claim_text "and as a job" evacuate- "$(varve job list)"
claim "it is cancelled" varve device evacuate vms "$a" --cancel
claim_equal "and the device is in use again" "$(state_of "$a")" "in use"
claim_exit 5 "which is no thing to be cancelled" \
    varve device evacuate vms "$a" --cancel

begin_writing
sleep 0.3
claim "emptying begins anew, under writes" \
    varve device evacuate vms "$a" --no-wait
sleep 0.2
before=$(state_of "$a")
kill_varved
claim_equal "varved was killed in the middle of it" "$before" evacuating
claim "the killed pool is sound" varve rescue check "$a" "$b" "$c"
claim_text "which rescue dump says" '"evacuating"' \
    "$(varve rescue dump "$a" "$b" "$c" | jq -c .)"
at_kill=$(cat "$dir/round")
start_varved
claim "what was not written since is there" rest_is_there
for _ in $(seq 300); do
    [ "$(state_of "$a")" != evacuating ] &&
        [ "$(cat "$dir/round")" -gt "$at_kill" ] && break
    sleep 0.2
done
end_writing
claim_equal "it has gone on by itself, to the end" "$(state_of "$a")" empty
claim_equal "nothing is on it" "$(used_of "$a")" 0
claim "writes went on when varved was back" \
    test "$(cat "$dir/round")" -gt "$at_kill"
claim "and the last is there" rounds_are_there
claim "as is the rest" rest_is_there

claim "it may be removed, says a dry run" \
    varve device remove vms "$a" --dry-run
claim "it is removed" varve device remove vms "$a"
claim_exit 4 "and is no device any more" varve device remove vms "$a"
claim_equal "two are left" \
    "$(varve --json device list vms | jq -r '[.items[].number] | join(" ")')" "1 2"
kill_varved
rm "$a"
claim "the pool is sound without its file" varve rescue check "$b" "$c"
start_varved
claim "and serves without it" rounds_are_there
claim "all of it" rest_is_there
claim "nothing is amiss" varve health
claim "a new device may have its name" varve pool grow vms "$a" --size 1G
claim_equal "and gets a number of its own" \
    "$(varve --json device list vms | jq -r '[.items[].number] | join(" ")')" "1 2 3"
finish
