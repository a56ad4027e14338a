#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# varved beside who else has the kernel's target: tcmu-runner, which serves a device of
# its own by the same interface, and targetcli, whose administrator saves, clears and
# restores all there is.
# kind: peers
# smoke: no
# timeout: 900
# memory: 1536
# disks: 1024
. /share/lib.sh
. /share/configfs.sh
. /share/varved.sh
. /share/peers.sh
way=loop

load_modules virtio_blk sd_mod sg
ok "varved starts" start_varved
ok "a pool is made on a disk" varve -y pool create vms /dev/vda
ok "a LUN is made" varve lun create vms/a --size 128M
ok "another" varve lun create vms/b --size 128M
way_start
ram_disk 200 /mnt

mkdir -p /etc/rtslib-fb-target
saved=/share/saved.json
targetcli() { timeout 200 /usr/bin/targetcli "$@" 2>/share/targetcli.txt; }
state() { value state export list; }

note "tcmu-runner"
truncate -s 128M /mnt/runner
ok "there is a bus" start_bus
ok "tcmu-runner starts" start_runner
ok "it serves a device of its own" runner_device runner /mnt/runner 134217728
lio_loop user_5/runner 2
theirs=$(disk_of_serial runner)
ok "its disk comes ($theirs)" test -b "$theirs"
ok "ours comes beside it" way_add vms/a
ours=$(disk_of vms/a)
ok "($ours)" test -b "$ours"
ok "what is written to it is read" fio_verify "$ours" 32m

# both COMMAND...: what is written to both disks meanwhile is read
both() {
    local name=$1 first second
    shift
    fio_verify "$ours" 48m --bs=16k --rate=4m --verify_backlog=256 >/tmp/ours 2>&1 &
    first=$!
    fio_verify "$theirs" 48m --bs=16k --rate=4m --verify_backlog=256 >/tmp/theirs 2>&1 &
    second=$!
    sleep 1
    ok "$name" "$@"
    run wait $first
    cp /tmp/ours /tmp/out
    if [ $status = 0 ]; then passes "... our disk does not mind"; else fails "... our disk minds"; fi
    run wait $second
    cp /tmp/theirs /tmp/out
    if [ $status = 0 ]; then passes "... nor does theirs"; else fails "... theirs minds"; fi
}

killed() {
    kill -9 "$varved_pid"
    wait "$varved_pid" 2>/dev/null
    varved --guard
    sleep 2
    start_varved
}

another() {
    way_add vms/b && disk_of vms/b && way_remove vms/b
}

both "varved is killed, guarded and run anew" killed
both "another export comes and goes" another

note "targetcli"
far=iqn.2026-01.org.example:far
ok "a host far away" varve host add far --iqn $far --chap-generate --mutual
ok "sees a LUN by the kernel's iSCSI" varve export add vms/b --host far --carrier tcmu
iqn=$(value iqn export list vms/b)
ok "it lists what there is" targetcli ls
cp /tmp/out /share/targetcli-ls.txt
ok "their device and its disk" grep -q 'user/runner' /share/targetcli-ls.txt
ok "and our disk" grep -q "user/$(value uuid lun show vms/a)" /share/targetcli-ls.txt
ok "our target and its host" sh -c "grep -q ' $iqn ' /share/targetcli-ls.txt && grep -q $far /share/targetcli-ls.txt"
ok "saveconfig" targetcli saveconfig $saved
# It may end half-way, as something is there again that it took: ours.
run targetcli clearconfig confirm=True
ok "what clearconfig took is back at once: varved has heard of it" within 20 disk_of vms/a
ok "so is the target" within 20 test -e "$lio/iscsi/$iqn/tpgt_1/acls/$far/lun_0/lnk"
ours=$(disk_of vms/a)
equal "it says so" "$(state | sort -u)" served
ok "with what was in it ($ours)" fio_verify "$ours" 32m
refused "restoreconfig does not take ours for its own" targetcli restoreconfig $saved
ok "which it says" grep -q 'exist not restoring' /share/targetcli.txt
equal "ours is still served" "$(state | sort -u)" served
ok "and the same disk" fio_verify "$ours" 32m
note "a restored configuration, and nothing of ours in the kernel"
ok "our export goes" way_remove vms/a
ok "the other too" varve export remove vms/b --host far
ok "clearconfig" targetcli clearconfig confirm=True
refused "takes theirs away" sh -c "ls -d $lio/core/user_*/runner"
run targetcli restoreconfig $saved # of ours, tcmu-runner says that it has no such device
ok "restoreconfig makes theirs" sh -c "ls -d $lio/core/user_*/runner"
refused "and not ours" sh -c "ls -d $lio/core/user_*/$(value uuid lun show vms/a)"
note "$(cat /share/targetcli.txt /tmp/out | grep -v -i warn | tr '\n' ' ')"
ok "ours is exported again" way_add vms/a
equal "and served" "$(state)" served
ours=$(disk_of vms/a)
ok "what is written to it is read ($ours)" fio_verify "$ours" 32m
ok "it goes" way_remove vms/a
refused "with its device" sh -c "ls -d $lio/core/user_86/*-*"
refused "and its port" sh -c "ls -d $lio/loopback/naa.1000*"

note "end"
ok "theirs is cleared" targetcli clearconfig confirm=True
ok "tcmu-runner stops" stop_runner
ok "varved stops" stop_varved
ok "the pool is sound" varve rescue check /dev/vda
refused "the kernel has nothing to complain of" sh -c "dmesg | grep -E 'BUG|WARNING|hung|Call Trace'"
finish
