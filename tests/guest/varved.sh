# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# varved inside a guest, and what makes a disk of one of its LUNs; after lib.sh.
# A way is all that differs between the carriers, so that one suite judges each:
#
#   way_start        once, when the pool is there
#   way_add LUN      exports it; the disk comes by its serial number
#   way_remove LUN   and takes it away
#
# The ways: iscsi (varved's own portal, the kernel's initiator), loop (carrier
# tcmu-loop: a disk of the host itself), tcmu (the kernel's target and initiator).
way=${way:-iscsi}
ring=${ring:-native} # its driver of the kernel's devices: native, libtcmu

# libtcmu_fault ISSUE: of tcmu-runner; the next claim does not hold if that is the ring
libtcmu_fault() {
    if [ "$ring" = libtcmu ]; then known_fault "tcmu-runner's issue $1"; fi
}

varved_dir=/tmp/varved
export VARVE_CONNECT=unix:$varved_dir/varve.sock
varved_portals="127.0.0.1:3260 127.0.0.1:3270"
lio_portals=0.0.0.0:3261

# start_varved: until it answers
start_varved() {
    local portal options=
    for portal in $varved_portals; do options="$options --portal $portal"; done
    mkdir -p "$varved_dir"
    cat >"$varved_dir/varve.conf" <<CONF
[threads]
reactors = 1
buffers = 16M
[pool]
cache = 32M
[lio]
ring = $ring
portals = $lio_portals
CONF
    # shellcheck disable=SC2086 # a list of words
    varved --dir "$varved_dir" $options >>/share/varved.txt 2>&1 </dev/null &
    varved_pid=$!
    within 30 varve version >/dev/null 2>&1
}

stop_varved() {
    kill "$varved_pid"
    wait "$varved_pid"
}

# value COLUMN COMMAND...: what varve says of one thing
value() { varve --plain -o "$@"; }

serial_of() {
    case $1 in
    *@*) value serial snap show "$1" ;;
    *) value serial lun show "$1" ;;
    esac
}

# disk_of LUN: its disk, once it is there
disk_of() { disk_of_serial "$(serial_of "$1")"; }

way_start() { "${way}_start"; }
way_add() { "${way}_add" "$@"; }
way_remove() { "${way}_remove" "$@"; }

# add_guest: the kernel's initiator as a host, with a secret of varved's making
add_guest() {
    start_iscsid
    varve --plain -o secret host add guest --iqn "$(guest_iqn)" --chap-generate >/tmp/guest.secret
}

# ---- varved's own portal, with CHAP; as varve host connect says it is done ----

portal=${varved_portals%% *}

iscsi_start() { add_guest; }

# All of a pool's LUNs are in one session: the second one is found by looking again.
iscsi_add() {
    varve export add "$1" --host guest
    if iscsiadm -m session 2>/dev/null | grep -q "$portal"; then
        iscsiadm -m session --rescan
    else
        (cd /tmp && varve --plain host connect guest --for open-iscsi | sh -ex)
    fi
}

# The kernel keeps a disk that is gone until it is told; the session stays.
iscsi_remove() {
    local disk
    for disk in $(disks_of_serial "$(serial_of "$1")"); do
        echo 1 >"/sys/block/${disk#/dev/}/device/delete"
    done
    varve export remove "$1" --host guest --force
}

# ---- a disk of this host's own, by the kernel's target ----

kernel_target() {
    mount_configfs
    load_modules target_core_mod target_core_user tcm_loop iscsi_target_mod crc32c_generic md5
}

loop_start() { kernel_target; }
loop_add() { varve export add "$1" --host localhost --carrier tcmu-loop; }
loop_remove() { varve export remove "$1" --host localhost; }

# ---- the kernel's target and initiator ----

tcmu_start() {
    kernel_target
    add_guest
}

tcmu_add() {
    local iqn
    varve export add "$1" --host guest --carrier tcmu || return
    if iscsiadm -m session 2>/dev/null | grep -q 3261; then
        iscsiadm -m session --rescan
        return
    fi
    iqn=$(value iqn export list "$1")
    iscsi_node "$iqn" 127.0.0.1:3261 guest "$(cat /tmp/guest.secret)" &&
        iscsi_login "$iqn" 127.0.0.1:3261
}

# With its last LUN the target goes: who is logged in logs out first.
tcmu_remove() {
    if [ "$(varve --plain -o name export list --host guest | wc -l)" = 1 ]; then
        timeout 60 iscsiadm -m session --logout
    fi
    iscsi_remove "$@"
}
