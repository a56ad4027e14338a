# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Who else serves LUNs by the kernel's target: tcmu-runner with its file handler, for
# guests of the kind "peers"; after lib.sh and configfs.sh.

# start_runner: until it takes devices
start_runner() {
    mkdir -p /etc/tcmu /var/log /run
    tcmu-runner >>/share/runner.txt 2>&1 </dev/null &
    runner_pid=$!
    within 30 grep -q 'handler.*file\|Inotify' /var/log/tcmu-runner.log
}

stop_runner() {
    kill "$runner_pid"
    wait "$runner_pid"
}

# runner_device NAME FILE BYTES: user_5/NAME, which tcmu-runner serves from that file
runner_device() {
    local device=$lio/core/user_5/$1
    mkdir -p "$device"
    echo "dev_config=file/$2,dev_size=$3,hw_block_size=512" >"$device/control"
    echo "$1" >"$device/wwn/vpd_unit_serial"
    timeout 60 sh -c "echo 1 >$device/enable"
}
