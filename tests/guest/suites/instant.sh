#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# One instant for LUNs of both carriers: a program writes a number to a disk of
# varved's own target, then the same number to one of the kernel's, and so on.
# Whenever a snapshot of their group is taken, the second has the number of the
# first, or the one before.
# smoke: no
# timeout: 400
# disks: 1024
. /share/lib.sh
. /share/varved.sh

load_modules virtio_blk sd_mod sg
ok "varved starts" start_varved
ok "a pool is made on a disk" varve -y pool create vms /dev/vda
for lun in a b; do ok "LUN $lun" varve lun create vms/$lun --size 64M; done
iscsi_start
kernel_target
ok "one goes out by varved's own target" iscsi_add vms/a
ok "the other by the kernel's" loop_add vms/b
a=$(disk_of vms/a)
b=$(disk_of vms/b)
ok "two disks ($a, $b)" test -b "$a" -a -b "$b"
ok "a group of both" varve group create pair vms/a vms/b

# put DISK NUMBER, get DISK: its first block
put() { printf '%-512s' "$2" | dd of="$1" bs=512 count=1 oflag=direct conv=notrunc 2>/dev/null; }
get() { dd if="$1" bs=512 count=1 iflag=direct 2>/dev/null | tr -d ' \0'; }

put "$a" 0
put "$b" 0
(
    n=0
    while [ ! -e /tmp/enough ]; do
        n=$((n + 1))
        put "$a" $n && put "$b" $n || echo "$n" >/tmp/writer-failed
    done
) &
writer=$!
# written MORE THAN: the writer is at work, and has got beyond that number
written() { [ "$(get "$a")" -gt "$1" ]; }

rounds=5
all && rounds=20
for i in $(seq $rounds); do
    before=$(get "$a")
    within 20 written "$before"
    ok "snapshot $i of the group" varve snap create --group pair @s$i
done
touch /tmp/enough
wait $writer
ok "no write failed" test ! -e /tmp/writer-failed

last=0
for i in $(seq $rounds); do
    ok "its LUNs go out" eval "iscsi_add vms/a@s$i && loop_add vms/b@s$i"
    x=$(get "$(disk_of "vms/a@s$i")")
    y=$(get "$(disk_of "vms/b@s$i")")
    ok "at $i: $x and $y" test -n "$x" -a -n "$y" -a \( "$x" = "$y" -o "$x" = "$((y + 1))" \)
    last=$x
done
ok "the writer was at work meanwhile" test "$last" -ge "$rounds"
finish
