#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# 300 LUNs as disks of this machine: that they come, with what memory and time, that
# varved is run anew under them, that it sleeps while nobody wants anything, and that
# they go.
# smoke: no
# timeout: 1500
# memory: 3072
# disks: 1024
. /share/lib.sh
. /share/varved.sh
way=loop
many=300

now() { cut -d' ' -f1 /proc/uptime; }
# took NAME SINCE: what it took for each
took() { note "$1: $(echo "$2 $(now)" | awk -v n=$many '{ printf "%.1f s, %.0f ms each", $2 - $1, ($2 - $1) * 1000 / n }')"; }
kernel_kib() { awk '/^(MemFree|Cached|Buffers|AnonPages):/ { sum += $2 } END { print sum }' /proc/meminfo; }
disks() { find /sys/block -name 'sd*' | wc -l; }
each() { for i in $(seq $many); do eval "$1" || return; done; }

load_modules virtio_blk sd_mod sg
ok "varved starts" start_varved
ok "a pool is made on a disk" varve -y pool create vms /dev/vda
way_start
begun=$(now)
ok "$many LUNs" each 'varve lun create vms/m$i --size 16M'
took "made" "$begun"
begun=$(now)
before=$(kernel_kib)
ok "are exported" each 'varve export add vms/m$i --host localhost --carrier tcmu-loop'
took "exported" "$begun"
ok "each is a disk" within 60 sh -c "[ \$(find /sys/block -name 'sd*' | wc -l) = $many ]"
note "memory of the kernel: $(((before - $(kernel_kib)) / many)) KiB each"
note "memory of varved: $(awk '/^Vm(RSS|Size)/ { printf "%s %s KiB ", $1, $2 }' "/proc/$varved_pid/status")$(find "/proc/$varved_pid/fd" -type l | wc -l) descriptors"
a=$(disk_of vms/m1)
z=$(disk_of vms/m$many)

# ---- nobody wants anything

# How often each thread has gone to sleep: so each time ends that it was woken.
sleeps() {
    for task in "/proc/$varved_pid"/task/*; do
        echo "${task##*/} $(cat "$task/comm") $(awk '/^voluntary_ctxt_switches/ { print $2 }' "$task/status")"
    done
}
# woken COMMAND...: the threads that were meanwhile, and how often
woken() {
    sleeps >/tmp/sleeps
    "$@"
    sleeps | awk 'NR == FNR { before[$1] = $NF; next }
        $NF > before[$1] { printf "%s %d ", $2, $NF - before[$1] }' /tmp/sleeps -
}
ticks() { awk '{ print $14 + $15 }' "/proc/$varved_pid/stat"; }
# There is a round of housekeeping a minute, for which threads wake 20 times or so; what
# the last change left to do may come first.  What polls would be there each second.
asleep() {
    local i woken before
    for i in 1 2 3; do
        before=$(ticks)
        woken=$(woken sleep 60)
        note "woken in a minute: $woken, for $(($(ticks) - before)) ticks"
        [ "$(echo "$woken" | awk '{ for (i = 2; i <= NF; i += 2) sum += $i } END { print sum + 0 }')" -ge 60 ] ||
            return 0
    done
    return 1
}
ok "a read wakes it" test -n "$(woken dd if="$a" of=/dev/null bs=4096 count=1 iflag=direct)"
ok "nobody wants anything: it sleeps, but for its round of a minute" asleep

# ---- varved goes

killed() {
    kill -9 "$varved_pid"
    wait "$varved_pid" 2>/dev/null
    varved --guard
    begun=$(now)
    start_varved
    took "run anew, until it answers" "$begun"
}

for disk in $a $z; do
    fio_verify "$disk" 12m --bs=16k --rate=1m --verify_backlog=128 >"/tmp/fio-${disk#/dev/}" 2>&1 &
    pids="${pids:-} $!"
done
sleep 1
ok "varved is killed and run anew" killed
begun=$(now)
ok "the last disk answers" timeout 60 dd if="$z" of=/dev/null bs=4096 count=1 iflag=direct
took "until the last disk answers" "$begun"
for pid in $pids; do ok "what was written meanwhile is read" wait "$pid"; done
ok "each disk is still there" test "$(disks)" = $many
ok "and served" sh -c "[ \$(varve --plain -o state export list | grep -c served) = $many ]"

note "end"
begun=$(now)
ok "they go" each 'varve export remove vms/m$i --host localhost'
took "removed" "$begun"
equal "no disk is left" "$(disks)" 0
refused "nor a device" sh -c "ls -d /sys/kernel/config/target/core/user_86/*-*"
ok "varved stops" stop_varved
ok "the pool is sound" varve rescue check /dev/vda
refused "the kernel has nothing to complain of" sh -c \
    "dmesg | grep -E 'BUG|WARNING|hung|Call Trace|I/O error'"
finish
