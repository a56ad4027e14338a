#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# varved's own target and the kernel's initiator beyond the everyday: what they negotiate,
# resets, and a varved that is stopped or killed under load, which the initiator bridges.
# Only in make test-guest: waiting for recovery takes minutes of an emulated machine.
# smoke: no
# timeout: 600
# disks: 2048
. /share/lib.sh
. /share/varved.sh

# every login anew, with these settings: NAME VALUE...
session_with() {
    while [ $# -gt 0 ]; do
        iscsi_setting "$iqn" "$portal" "$1" "$2" || return
        shift 2
    done
    iscsi_login "$iqn" "$portal"
    a=$(disk_of vms/a)
}

# negotiated NAME...: as the kernel has it
negotiated() {
    local name
    for name; do cat /sys/class/iscsi_connection/*/"$name" /sys/class/iscsi_session/*/"$name"; done \
        2>/dev/null | tr '\n' ' '
}

# under_load NAME COMMAND...: fio goes on meanwhile, and finds what it wrote
under_load() {
    local name=$1 fio
    shift
    fio_verify "$a" 96m --bsrange=4k-64k --rate=8m >/tmp/fio 2>&1 &
    fio=$!
    sleep 2
    ok "$name" "$@"
    ok "... and fio had not ended" kill -0 $fio
    wait $fio
    status=$?
    cp /tmp/fio /tmp/out
    if [ $status = 0 ]; then passes "... and finds what it wrote"; else fails "... and finds what it wrote"; fi
}

restart_varved() {
    stop_varved
    sleep "$1"
    start_varved
}

kill_varved() {
    kill -9 "$varved_pid"
    wait "$varved_pid" 2>/dev/null
    sleep "$1"
    start_varved
}

load_modules virtio_blk sd_mod sg
ok "varved starts" start_varved
ok "a pool" varve -y pool create vms /dev/vda
ok "a LUN" varve lun create vms/a --size 512M
way_start
ok "a session" way_add vms/a
iqn=$(iscsiadm -m session | sed -n '1s/.* \(iqn[^ ]*\).*/\1/p')
a=$(disk_of vms/a)
note "as they come: $(negotiated header_digest data_digest initial_r2t immediate_data \
    first_burst_len max_burst_len max_recv_dlength max_xmit_dlength erl)"

note "digests"
iscsi_logout "$iqn" "$portal"
ok "with digests" session_with node.conn[0].iscsi.HeaderDigest CRC32C \
    node.conn[0].iscsi.DataDigest CRC32C
equal "they are used" "$(negotiated header_digest data_digest)" "1 1 "
ok "what is written is read" fio_verify "$a" 32m
iscsi_logout "$iqn" "$portal"
note "bursts"
ok "without unsolicited data, in short bursts" session_with \
    node.conn[0].iscsi.HeaderDigest None node.conn[0].iscsi.DataDigest None \
    node.session.iscsi.InitialR2T Yes node.session.iscsi.ImmediateData No \
    node.session.iscsi.FirstBurstLength 4096 node.session.iscsi.MaxBurstLength 8192 \
    node.conn[0].iscsi.MaxRecvDataSegmentLength 1024
equal "they are used" "$(negotiated initial_r2t immediate_data max_burst_len)" "1 0 8192 "
ok "what is written is read" fio_verify "$a" 16m
iscsi_logout "$iqn" "$portal"
ok "with the first burst alone unsolicited" session_with \
    node.session.iscsi.InitialR2T No node.session.iscsi.ImmediateData No \
    node.session.iscsi.FirstBurstLength 65536 node.session.iscsi.MaxBurstLength 262144 \
    node.conn[0].iscsi.MaxRecvDataSegmentLength 262144
ok "what is written is read" fio_verify "$a" 32m
iscsi_logout "$iqn" "$portal"
iscsi_setting "$iqn" "$portal" node.session.iscsi.ImmediateData Yes
ok "as it comes again" session_with node.session.iscsi.MaxBurstLength 1048576

note "resets"
under_load "a LUN reset" sg_reset -d "$a"
under_load "a target reset" sg_reset -t "$a"

note "restarts"
under_load "varved is stopped and started" restart_varved 3
under_load "varved is killed and started" kill_varved 1
under_load "at once again" kill_varved 0
note "$(varve health | tr '\n' ' ')"

note "end"
ok "it logs out" iscsi_logout "$iqn" "$portal"
refused "the kernel has seen no error of a disk" sh -c \
    "dmesg | grep -E 'BUG|WARNING|hung|Call Trace|I/O error|Sense Key'"
ok "varved stops" stop_varved
ok "the pool is sound" varve rescue check /dev/vda
finish
