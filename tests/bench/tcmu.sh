#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# In the guest of tests/bench/tcmu.py: the same jobs of fio at a disk of tcm_loop, whose
# LUN is served by LIO's buffered fileio, by tcmu-runner's file handler, and by varve.
# What is behind each is a file on one ext4 in memory, written in full.  The floor is a
# handler that does nothing (tcmu_floor.c).  What fio says goes to
# /share/NAME-SCHEDULER-JOB.json: jobs run with the scheduler that Linux gives such a
# disk and with none, for its own work is a quarter of all.
. /share/lib.sh
. /share/configfs.sh
. /share/varved.sh
. /share/peers.sh
way=loop
size=67108864
milliseconds=${milliseconds:-500}

ok "a file system in memory" ram_disk 768 /mnt
lio_start target_core_file target_core_user

prepare_fileio() {
    truncate -s $size /mnt/fileio
    lio_fileio bench /mnt/fileio $size fileio fd_buffered_io=1
    lio_loop fileio_0/bench 1
}

prepare_runner() {
    truncate -s $size /mnt/runner
    start_runner
    runner_device runner /mnt/runner $size
    lio_loop user_5/runner 2
}

prepare_varve() {
    start_varved
    varve -y pool create bench /mnt/pool --size 512M
    varve lun create bench/varve --size $((size >> 20))M
    way_start
    way_add bench/varve
}

# Nothing behind it: what the kernel's part alone costs.
prepare_floor() {
    mkdir -p "$lio/core/user_5/floor"
    echo "dev_config=floor/,dev_size=$size,hw_block_size=512,nl_reply_supported=-1" \
        >"$lio/core/user_5/floor/control"
    echo 1 >"$lio/core/user_5/floor/enable"
    /share/tcmu_floor "/dev/$(uio_of user/5/floor)" $size &
    lio_loop user_5/floor 3
}

serial_of_peer() {
    case $1 in
    varve) serial_of bench/varve ;;
    *) echo "$1" ;;
    esac
}

# uio_of NAME: which has the ring of the device
uio_of() { basename "$(dirname "$(grep -l "tcm-$1" /sys/class/uio/*/name)")"; }

# job PEER DISK NAME RW BS DEPTH
job() {
    fio --name=job --filename="$2" --direct=1 --ioengine=libaio --rw="$4" --bs="$5" \
        --iodepth="$6" --time_based --runtime="${milliseconds}ms" --randrepeat=1 --norandommap \
        --output-format=json >"/share/$1-$scheduler-$3.json"
}

every_job() {
    job "$1" "$2" rr1 randread 4k 1
    job "$1" "$2" rw1 randwrite 4k 1
    job "$1" "$2" rr16 randread 4k 16
    job "$1" "$2" rw16 randwrite 4k 16
    job "$1" "$2" sr4 read 128k 4
    job "$1" "$2" sw4 write 128k 4
}

measure() {
    local disk
    disk=$(disk_of_serial "$(serial_of_peer "$1")")
    ok "$1: a disk ($disk)" test -b "$disk"
    ok "$1: is written" fio --name=fill --filename="$disk" --direct=1 --ioengine=libaio \
        --rw=write --bs=256k --iodepth=4 --refill_buffers
    for scheduler in mq-deadline none; do
        echo $scheduler >"/sys/block/${disk#/dev/}/queue/scheduler"
        every_job "$1" "$disk"
    done
}

for peer in ${peers:-fileio runner floor varve}; do
    ok "$peer: is there" "prepare_$peer"
    note "$peer"
    measure "$peer"
done
finish
