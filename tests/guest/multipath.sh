# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A LUN with two paths as one disk; after lib.sh and varved.sh.  The kernel's multipath
# by dmsetup alone: multipathd only chooses these words.

# wait_for PID FILE: it ended with 0; what it said is in FILE
wait_for() {
    wait "$1" || { cat "$2"; return 1; }
}

# multipath_make LUN: its two disks are /dev/dm-0, /dev/mapper/a, taken in turns
multipath_make() {
    local paths path table
    load_modules dm_multipath dm_round_robin
    paths=$(disk_of_serial "$(serial_of "$1")" 2) || return
    # shellcheck disable=SC2086 # a list of words
    set -- $paths
    table="0 $(blockdev --getsz "$1") multipath 1 queue_if_no_path 0 1 1 round-robin 0 2 1"
    for path in $paths; do table="$table $(cat "/sys/block/${path#/dev/}/dev") 16"; done
    dmsetup create --noudevsync a --table "$table"
}

# How many of its paths are in that state: A (active), F (failed)
multipath_count() { dmsetup status a | tr ' ' '\n' | grep -c "^$1\$"; }
multipath_has() { [ "$(multipath_count "$1")" = "$2" ]; }

# Paths are not tried again but by who asks.
multipath_reinstate() {
    local path
    for path in $(dmsetup table a | grep -o '\b[0-9]*:[0-9]* 16' | cut -d' ' -f1); do
        dmsetup message a 0 reinstate_path "$path" || return
    done
}

# path_goes NAME SIZE COMMAND...: under load, which does not see it
path_goes() {
    local name=$1 size=$2 fio
    shift 2
    fio_verify /dev/dm-0 "$size" >/tmp/fio 2>&1 &
    fio=$!
    sleep 2
    ok "$name" "$@"
    ok "... with commands on it" within 60 multipath_has F 1
    ok "... while fio was at work" kill -0 $fio
    ok "... which does not see it" wait_for $fio /tmp/fio
}
