#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A LUN of varved as a disk of Linux: what its file systems, its block layer and its
# SCSI midlayer make of it.  Which way the disk comes is one variable (varved.sh).
# The pool is on a virtio disk.
#
# Does not cover what a crash of varved does to the host.
# timeout: 600
# smoke: 180
# disks: 2048 256
. /share/lib.sh
. /share/varved.sh
. /share/multipath.sh

load_modules virtio_blk sd_mod sg ext4
ok "varved starts" start_varved
ok "a pool is made on a disk" varve -y pool create vms /dev/vda
ok "a LUN is made" varve lun create vms/a --size 256M
ok "and one of 4 KiB blocks" varve lun create vms/b --size 256M --block-size 4096
way_start
ok "a LUN is exported and logged in to" way_add vms/a
a=$(disk_of vms/a)
ok "its disk comes ($a)" test -b "$a"
ok "another LUN is exported" way_add vms/b
b=$(disk_of vms/b)
ok "its disk comes ($b)" test -b "$b"
queue=/sys/block/${a#/dev/}/queue
equal "with its size" "$(disk_bytes "$a")" 268435456
equal "and its blocks" "$(blockdev --getss "$b")" 4096
equal "Linux unmaps it" "$(cat "/sys/block/${a#/dev/}/device/scsi_disk"/*/provisioning_mode)" unmap
equal "by 4 KiB" "$(cat "$queue/discard_granularity")" 4096
equal "and has a write cache to flush" "$(cat "$queue/write_cache")" "write back"
equal "and gives it 1 MiB at once" "$(cat "$queue/max_sectors_kb")" 1024
note "$(cd "$queue" && grep -H . max_sectors_kb max_hw_sectors_kb optimal_io_size \
    minimum_io_size discard_max_bytes write_same_max_bytes write_zeroes_max_bytes \
    physical_block_size rotational fua | tr '\n' ' ')"

# restored_disk DISK: the backup of a snapshot ($s, with a file of $sum) on a block device that was
# full of something else
restored_disk() {
    local pid to="/tmp/backups --to $1"
    ok "a snapshot is backed up" varve backup create vms/a@s --to /tmp/backups
    tr '\0' '\377' </dev/zero | dd of="$1" bs=1M iflag=fullblock oflag=direct 2>/dev/null
    # shellcheck disable=SC2086 # a list of words
    refused "a block device is left alone" varve -y backup restore $to
    for pid in 1 2 3; do # and what is killed leaves it as it comes
        # shellcheck disable=SC2086
        varve -y backup restore $to --overwrite >/dev/null 2>&1 &
        pid=$!
        usleep $((RANDOM * 20))
        kill -9 $pid
        wait $pid
    done
    # shellcheck disable=SC2086
    ok "unless it may be overwritten, also after kills" varve -y backup restore $to --overwrite
    echo 3 >/proc/sys/vm/drop_caches
    ok "it has the image, zeros too" cmp "$s" "$1"
    ok "its file system is clean" e2fsck -fn "$1"
    ok "and mounts" mount -t ext4 -o ro "$1" /mnt/s
    equal "with its file" "$(md5sum </mnt/s/data)" "$sum"
    # shellcheck disable=SC2086
    refused "one that is mounted is left alone" varve -y backup restore $to --overwrite
    equal "which is said" "$(grep -c "is in use" /tmp/out)" 1
    umount /mnt/s
    modprobe brd rd_nr=1 rd_size=4096
    refused "one that is too small is, too" varve -y backup restore /tmp/backups --to /dev/ram0 \
        --overwrite
    equal "which is said" "$(grep -c "is too small" /tmp/out)" 1
    rm -r /tmp/backups
}

live() { value live lun show "$1"; }

# ---- raw

size=16m
all && size=128m
note "fio"
ok "4 KiB to 1 MiB, depth 32: what is written is read" fio_verify "$a" $size
ok "in 4 KiB blocks too" fio_verify "$b" $size
all && ok "in many jobs" fio_verify "$a" 16m --numjobs=4 --offset_increment=20m --group_reporting
ok "blkdiscard" blkdiscard "$a"
equal "gives all back" "$(live vms/a)" 0
ok "blkdiscard of the 4 KiB blocks" blkdiscard "$b"
equal "gives all back" "$(live vms/b)" 0
ok "and it reads as zeros" cmp -n 16777216 "$a" /dev/zero
ok "blkdiscard --zeroout" blkdiscard --zeroout --length 16M "$a"
ok "reads as zeros" cmp -n 16777216 "$a" /dev/zero

# ---- a file system

note "file system"
ok "a file system is made" mkfs.ext4 -q "$a"
mkdir -p /mnt/a /mnt/s
ok "and mounted" mount -t ext4 "$a" /mnt/a
before=$(live vms/a)
case $way in
loop) refused "while it is mounted the export does not go" way_remove vms/a ;;
tcmu) refused "nor under a session" varve export remove vms/a --host guest ;;
esac
ok "files are written" dd if=/dev/urandom of=/mnt/a/data bs=1M count=32 conv=fsync
written=$(live vms/a)
ok "they take space" test $((written - before)) -ge 33554432
sum=$(md5sum </mnt/a/data)
ok "it is frozen" fsfreeze -f /mnt/a
ok "a snapshot is taken" varve snap create vms/a@s
ok "it is thawed" fsfreeze -u /mnt/a
ok "the file is deleted" rm /mnt/a/data
sync # ext4 frees its blocks when the journal is written
ok "and trimmed" fstrim -v /mnt/a
trimmed=$(live vms/a)
ok "which gives its space back" test $((written - trimmed)) -ge 33000000
note "live: $before, written $written, trimmed $trimmed"
ok "the snapshot is exported" way_add vms/a@s
s=$(disk_of vms/a@s)
ok "its disk comes ($s)" test -b "$s"
equal "it is write protected" "$(blockdev --getro "$s")" 1
ok "its file system is clean" e2fsck -fn "$s"
ok "and mounts" mount -t ext4 -o ro "$s" /mnt/s
equal "with the file that was deleted" "$(md5sum </mnt/s/data)" "$sum"
ok "it is unmounted" umount /mnt/s
if [ "$way" = iscsi ] && all; then
    note "a block device is restored to"
    restored_disk /dev/vdb
fi
ok "the snapshot's export goes" way_remove vms/a@s

# ---- growing

note "growing"
ok "the LUN grows under the mounted file system" varve lun resize vms/a 512M
echo 1 >"/sys/block/${a#/dev/}/device/rescan"
equal "Linux sees it after a rescan" "$(disk_bytes "$a")" 536870912
ok "the file system grows with it" resize2fs "$a"
ok "to more than it had" test "$(df -m /mnt/a | awk 'END { print $2 }')" -gt 400
if all; then
    ok "what is written there is read" dd if=/dev/urandom of=/mnt/a/more bs=1M count=100 conv=fsync
    sum=$(md5sum </mnt/a/more)
    echo 3 >/proc/sys/vm/drop_caches
    equal "after the cache is dropped" "$(md5sum </mnt/a/more)" "$sum"
fi
ok "it is unmounted" umount /mnt/a
ok "e2fsck finds nothing" e2fsck -fn "$a"

# ---- two paths

two_paths() {
    local iqn second=${varved_portals##* }
    iqn=$(iscsiadm -m session | sed -n '1s/.* \(iqn[^ ]*\).*/\1/p')
    ok "the second portal knows the host" iscsi_node "$iqn" "$second" guest "$(cat /tmp/guest.secret)"
    ok "and lets it in" iscsi_login "$iqn" "$second"
    ok "the LUN's two paths are one disk" multipath_make vms/a
    ok "by both, what is written is read" fio_verify /dev/dm-0 32m
    path_goes "a path goes under load" 256m iscsi_logout "$iqn" "$second"
    ok "the two are no disk any more" dmsetup remove --noudevsync a
}

if [ "$way" = iscsi ] && all; then
    note "two paths"
    two_paths
fi

note "end"
ok "an export goes" way_remove vms/b
ok "the other too" way_remove vms/a
[ "$way" != iscsi ] || ok "it logs out" timeout 60 iscsiadm -m session --logout
refused "the kernel has nothing to complain of" sh -c \
    "dmesg | grep -E 'BUG|WARNING|hung|Call Trace|I/O error|Sense Key|detected conn error'"
ok "varved stops" stop_varved
ok "the pool is sound" varve rescue check /dev/vda
finish
