#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What a host sees of a disk that varved serves through the kernel when varved is
# killed, stopped, halted or run anew, when somebody tampers with the kernel's
# target, and of commands that are odd.  The disk is tcm_loop's: nothing but the
# kernel is between it and varved.
# timeout: 900
# smoke: 120
# disks: 1024
. /share/lib.sh
. /share/varved.sh
way=loop
core=/sys/kernel/config/target/core

# says_so NAME PATTERN: the last command did
says_so() {
    cp /tmp/out /tmp/said
    ok "$1" grep -qi "$2" /tmp/said
}

load_modules virtio_blk sd_mod sg
ok "varved starts" start_varved
ok "a pool is made on a disk" varve -y pool create vms /dev/vda
ok "a LUN is made" varve lun create vms/a --size 256M
refused "without the kernel's modules it is not exported so" way_add vms/a
says_so "which says what is missing" configfs
refused "the doctor finds it" varve doctor --carrier tcmu-loop
says_so "and says what mends it" 'modprobe target_core_user'
way_start
ok "with them it is" way_add vms/a
run varve doctor
says_so "the doctor finds them" 'note: module tcm_loop is loaded'
ok "and nothing that is missing of them" sh -c "! grep -E '^(error|warning).*kernel[.]' /tmp/said"
a=$(disk_of vms/a)
ok "its disk comes ($a)" test -b "$a"
equal "by the ring that was asked for" "$(grep -q libtcmu "/proc/$varved_pid/maps" && echo libtcmu || echo native)" "$ring"
refused "another carrier is refused" varve export add vms/a --host localhost --carrier tcmu
uuid=$(value uuid lun show vms/a)

# ---- varved goes away

size=16m
all && size=64m

# The kernel does not hold on to what waits: no process sleeps for good.
no_hung() { ! ps -o stat,comm | awk '$1 ~ /^D/ { print; found = 1 } END { exit !found }'; }

# under_load NAME COMMAND...: nothing that fio wrote is lost, and it sees no error
under_load() {
    local name=$1 pid
    shift
    fio_verify "$a" $size --bs=16k --rate=4m --verify_backlog=256 >/tmp/fio 2>&1 &
    pid=$!
    sleep 1
    "$@"
    run wait "$pid"
    cp /tmp/fio /tmp/out
    if [ "$status" = 0 ]; then passes "$name"; else fails "$name" "fio: $status"; fi
}

killed() {
    kill -9 "$varved_pid"
    wait "$varved_pid" 2>/dev/null
    [ "$2" = alone ] || varved --guard
    sleep "$1"
    start_varved
}

stopped() {
    kill "$varved_pid"
    wait "$varved_pid"
    sleep "$1"
    start_varved
}

# Another takes over, in the same process.
starts() { grep -c ' serves, ' $varved_dir/varved.log; }
upgraded() {
    local before
    before=$(starts)
    kill -USR2 "$varved_pid"
    within 30 eval "[ \$(starts) -gt $before ]"
}

# of commands that did not end with GOOD: also what was sent again after BUSY
errors_of() { cat "/sys/block/${1#/dev/}/device/ioerr_cnt"; }

halted() {
    kill -STOP "$varved_pid"
    sleep "$1"
    kill -CONT "$varved_pid"
}

note "killed"
under_load "it is killed, and back after 2 s" killed 2 guarded
under_load "it is stopped, and started again" stopped 1
errors=$(errors_of "$a")
refused "the kernel has sent commands again so far" test $((errors)) = 0
under_load "another takes over" upgraded
if all; then
    for i in 2 3 4 5; do under_load "and another ($i)" upgraded; done
fi
equal "in the same process, so often" "$(starts)" "$(all && echo 8 || echo 4)"
libtcmu_fault 704
equal "no command has heard of it" "$(errors_of "$a")" "$errors"
if all; then
    under_load "nobody guards its devices meanwhile" killed 2 alone
    under_load "it is away for 10 s" killed 10 guarded
    under_load "it is away for 45 s" killed 45 guarded
    under_load "it is halted for 60 s" halted 60
    for i in 1 2 3 4 5; do under_load "it is killed once more ($i)" killed 0 guarded; done
fi
ok "nothing hangs" no_hung
equal "the disk has been the same all the time" "$(disk_of vms/a)" "$a"

# COMPARE AND WRITE, one after the other, each on what the one before has left: one
# that was done and is sent again must not find its own.
step_block() { yes "step $1" | head -c 512; }
steps() {
    local i=0
    step_block 0 | dd of="$a" bs=512 seek=8 oflag=direct conv=notrunc 2>/dev/null
    while [ -e /tmp/stepping ]; do
        (step_block $i && step_block $((i + 1))) >/tmp/step
        sg_compare_and_write --in=/tmp/step --lba=8 --num=1 "$a" || return
        i=$((i + 1))
        echo $i >/tmp/steps
    done
}
if all; then
    note "compare and write"
    : >/tmp/stepping
    steps >/tmp/stepped 2>&1 &
    stepper=$!
    for i in $(seq 10); do
        sleep 0.$i
        killed 0 guarded
    done
    rm /tmp/stepping
    run wait $stepper
    cp /tmp/stepped /tmp/out
    equal "each step was made once ($(cat /tmp/steps) of them)" $status 0
fi

# ---- somebody tampers

note "tampering"
tpg=$(echo /sys/kernel/config/target/loopback/naa.*/tpgt_1)
run rm "$tpg"/lun/lun_0/*
ok "somebody takes the disk away" sh -c "! test -b $a || ! dd if=$a of=/dev/null bs=4096 count=1"
ok "the next change" varve lun create vms/b --size 64M
ok "and export" way_add vms/b
a=$(disk_of vms/a)
ok "bring it back ($a)" dd if="$a" of=/dev/null bs=1M count=16
mkdir -p $core/user_7/foreign
echo dev_config=other/x,dev_size=16777216,nl_reply_supported=-1 >$core/user_7/foreign/control
echo 1 >$core/user_7/foreign/enable
ok "a device of another program" way_remove vms/b
ok "is left alone" test -d $core/user_7/foreign
ok "and ours goes when it is not exported" test ! -d "$core/user_86/$(value uuid lun show vms/b)"

# ---- nobody is there

note "released"
refused "while varved runs it does not let go of them" varved --release
kill -9 "$varved_pid"
wait "$varved_pid" 2>/dev/null
varved --guard
ok "when it is dead what it exported can be taken away" timeout 120 varved --release
ok "all of it" sh -c "! ls -d $core/user_86/* /sys/kernel/config/target/loopback/naa.* 2>/dev/null"
ok "with the disk" test ! -b "$a"
ok "and once more is no failure" varved --release
ok "varved comes back" start_varved
a=$(disk_of vms/a)
ok "with the disk" dd if="$a" of=/dev/null bs=1M count=16

# ---- odd commands

ended() { ! kill -0 "$1"; }

# only_page FILE: a VPD page, and zeros
only_page() {
    local length
    length=$((4 + 0x$(od -An -tx1 -j 2 -N 2 "$1" | tr -d ' ')))
    test "$(wc -c <"$1")" -ge "$length" &&
        test "$(tail -c "+$((length + 1))" "$1" | tr -d '\0' | wc -c)" = 0
}

note "commands"
sg=$a
ok "INQUIRY of 36 bytes" sg_raw -r 36 "$sg" 12 00 00 00 24 00
run sg_raw -r 4k "$sg" 12 01 83 10 00 00
libtcmu_fault 709
says_so "a VPD page in a large buffer is no longer than it is" 'Received [0-9]\{2,3\} bytes'
run sg_raw -r 4k -o /tmp/vpd "$sg" 12 01 83 10 00 00
ok "and nothing that was written is behind it" only_page /tmp/vpd

sg_raw --timeout=3600 "$sg" c1 00 00 00 00 00 00 00 00 00 >/tmp/vendor 2>&1 </dev/null &
vendor=$!
libtcmu_fault 704
ok "a vendor's operation code is answered" within 20 ended "$vendor"
if [ "$ring" = libtcmu ]; then
    ring=native
    killed 0 guarded
    ok "varved's own ring answers what waits" within 20 ended "$vendor"
    ring=libtcmu
    library=$(readlink -f /lib/*/libtcmu.so.2)
    mount --bind /dev/null "$library"
    killed 0 guarded
    ok "without the library varved runs" varve version
    run within 20 sh -c "varve --plain -o state export list vms/a | grep 'shared library'"
    ok "and says what is missing" test "$status" = 0
    umount "$library"
    killed 0 guarded
fi
ok "by refusing it" grep -qi 'invalid command operation' /tmp/vendor
ok "WRITE SAME without data" sg_raw "$sg" 93 01 00 00 00 00 00 00 00 00 00 00 00 08 00 00
ok "COMPARE AND WRITE" sh -c "head -c 1024 /dev/zero >/tmp/caw; sg_compare_and_write --in=/tmp/caw --lba=0 --num=1 $sg"
ok "UNMAP" sg_unmap --force --lba=0 --num=8 "$sg"
# A host gives up a command that waits for the limits of its LUN, for minutes.  libtcmu
# is not told: there it is done first.
if [ "$ring" = native ]; then
    ok "a limit" varve lun set vms/a --bps 4K
    run dd if="$sg" of=/dev/null bs=1M count=1 iflag=direct
    run timeout 60 sg_raw -t 2 -r 4k "$sg" 28 00 00 00 00 00 00 00 08 00
    equal "what is aborted ends" $((status != 0 && status < 124)) 1
    ok "the limit goes" varve lun set vms/a --bps 0
    ok "and the disk is read" dd if="$sg" of=/dev/null bs=1M count=1 iflag=direct
fi
ok "thresholds, caching, control: MODE SENSE" sg_modes -a "$sg"
ok "reservations are the kernel's" sh -c "sg_persist --out --register --param-sark=0xa $sg && sg_persist -k $sg | grep -qi 0xa"
ok "and go" sg_persist --out --clear --param-rk=0xa "$sg"

if all; then
    note "many"
    ok "100 LUNs" sh -c 'for i in $(seq 100); do varve lun create vms/m$i --size 16M || exit; done'
    ok "are exported" sh -c 'for i in $(seq 100); do
        varve export add vms/m$i --host localhost --carrier tcmu-loop || exit; done'
    ok "each is a disk" test "$(find /sys/block -name 'sd*' | wc -l)" -ge 101
    under_load "varved is run anew under them" killed 1 guarded
    ok "and they go" sh -c 'for i in $(seq 100); do
        varve export remove vms/m$i --host localhost || exit; done'
fi

note "end"
ok "the export goes" way_remove vms/a
ok "and its device" test ! -d "$core/user_86/$uuid"
ok "varved stops" stop_varved
ok "the pool is sound" varve rescue check /dev/vda
refused "the kernel has nothing to complain of" sh -c \
    "dmesg | grep -E 'BUG|WARNING|hung|Call Trace|I/O error'"
finish
