#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A pool is checked while it is served: guests write, snapshots come and go, and
# the check finds nothing; a damaged map is found without stopping anybody; and
# a pool can be removed, and varved stopped, in the midst of a check.  What check
# finds is the matter of tests/unit/snapshot, what it may not find that of
# tests/sim.
# timeout: 300
. "$(dirname "$0")/lib.sh"
requires varved varve jq xz qemu-io
cat >"$dir/varve.conf" <<END
[pool]
background_percent = 100
END
start_varved --config "$dir/varve.conf" --portal 127.0.0.1:0
varve pool create vms "$dir/vms.pool" --size 1G >/dev/null
varve lun create vms/web01 --size 512M >/dev/null
varve host add h --iqn iqn.2008-11.org.linux-kvm --no-chap >/dev/null
web=$(lun_url vms/web01)

# ---- with guests and administrators at work

guest() {
    local i=0 at commands
    while [ ! -e "$dir/stop" ]; do
        commands=()
        for at in $(seq 32); do
            i=$((i + 1))
            commands+=("write -P $((i % 255)) $((i * 7919 % 8000 * 64))k 4k")
        done
        lun_io "$web" "${commands[@]}" flush >/dev/null || break
    done
    echo $i >"$dir/written"
}
keeper() {
    local i=0
    while [ ! -e "$dir/stop" ]; do
        i=$((i + 1))
        varve snap create "vms/web01@s$i" >/dev/null || break
        [ $i -le 5 ] ||
            varve snap delete "vms/web01@s$((i - 5))" --yes >/dev/null || break
    done
    echo $i >"$dir/taken"
}
guest &
guest_pid=$!
keeper &
keeper_pid=$!
sleep 1
for round in 1 2 3 4 5; do
    claim "check $round finds nothing" varve pool check vms
    sleep 0.5
done
claim_text "it says what it has seen" "pool vms: 1 LUNs"
claim_text "and that it is sound" "no findings"
touch "$dir/stop"
wait "$guest_pid" "$keeper_pid"
claim "the guest went on" test "$(cat "$dir/written")" -gt 100
claim "snapshots were taken" test "$(cat "$dir/taken")" -gt 6

# ---- as a job

claim "a check is a job" varve pool check vms --no-wait
job=$(varve --plain -o job,kind job list | sed -n 's/\tcheck$//p')
claim "it can be watched" varve job watch "$job"
claim_text "and then says what it found" "no findings"
claim "its findings are JSON" \
    sh -c "'$BUILD/varve' --json job show '$job' | jq -e '.item.report.items == []' >/dev/null"
claim "a check answers in JSON" sh -c \
    "'$BUILD/varve' --json pool check vms | tail -n 1 | jq -e '.item.pool == \"vms\"' >/dev/null"
claim "nothing is done when it is only tried" varve pool check vms --dry-run
claim_exit 4 "a pool that is none is said" varve pool check none

# ---- damage: the leaf of a map, in a pool of one copy

xz -dc "$top/tests/golden/v0.1/luns.0.xz" >"$dir/luns.0"
page=$(varve rescue dump "$dir/luns.0" --version 1 |
    jq '.map[] | select(.page == "leaf") | .address')
place=$(varve rescue dump "$dir/luns.0" |
    jq ".regions[] | select(.index == $((page / 512))) | .device_region")
dd if=/dev/zero of="$dir/luns.0" bs=4096 count=1 conv=notrunc status=none \
    seek=$((256 + place * 512 + page % 512))
claim "the damaged pool is taken in" varve pool import "$dir/luns.0"
claim_exit 9 "its damage is found" varve pool check golden
claim_text "and named" "[meta.page]"
claim_exit 9 "as a table, too" varve --plain pool check golden
claim_text "in the columns of rescue check" "damage	meta.page"
job=$(varve --plain -o job,pool job list | sed -n 's/\tgolden$//p')
claim_exit 9 "it is known later" varve job watch "$job"
claim "other LUNs go on" varve lun create golden/more --size 1M
claim "the log says so" grep -q "golden: checked: .* damage" "$dir/stderr.txt"

# ---- an end in its midst: with a hundredth of the time it takes seconds

stop_varved
sed -i 's/= 100/= 1/' "$dir/varve.conf"
start_varved --config "$dir/varve.conf" --portal 127.0.0.1:0
varve pool check golden --no-wait >/dev/null
claim_exit 5 "one check at a time" varve pool check golden
claim "a pool is removed while it is checked" varve pool remove golden
varve pool check vms --no-wait >/dev/null
claim "varved stops while it checks" stop_varved
claim "and left all in order" varve rescue check "$dir/vms.pool"
finish
