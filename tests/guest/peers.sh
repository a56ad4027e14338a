# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Who else serves LUNs by the kernel's target: tcmu-runner with its file handler, for
# guests of the kind "peers"; after lib.sh and configfs.sh.

# start_bus: targetcli and tcmu-runner talk by it
start_bus() {
    mkdir -p /run/dbus
    dbus-daemon --system --fork
}

# start_runner: until it takes devices
start_runner() {
    : >/var/log/tcmu-runner.log
    tcmu-runner >>/share/runner.txt 2>&1 </dev/null &
    runner_pid=$!
    within 30 grep -q 'Handler file is registered' /var/log/tcmu-runner.log
}

# Its disks first: what still wants something of them would wait for ever.
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
    # a runner that has just started says EAGAIN
    within 30 timeout 60 sh -c "echo 1 >$device/enable"
}
