# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Linux's own target by configfs alone, for scripts inside a guest; after lib.sh.
# A backstore is a directory below core/, given as fileio_0/a.
lio=/sys/kernel/config/target

lio_start() {
    mount_configfs
    load_modules target_core_mod "$@" tcm_loop iscsi_target_mod sd_mod sg
    mkdir -p /var/target/pr # without it no reservation is registered
}

# lio_fileio NAME FILE BYTES SERIAL [OPTION]: 512-byte blocks, O_DSYNC but with
# fd_buffered_io=1
lio_fileio() {
    mkdir -p "$lio/core/fileio_0/$1"
    echo "fd_dev_name=$2,fd_dev_size=$3${5:+,$5}" >"$lio/core/fileio_0/$1/control"
    echo "$4" >"$lio/core/fileio_0/$1/wwn/vpd_unit_serial"
    echo 1 >"$lio/core/fileio_0/$1/enable"
    echo 1 >"$lio/core/fileio_0/$1/attrib/emulate_tpu"
    echo 1 >"$lio/core/fileio_0/$1/attrib/emulate_tpws"
}

# lio_loop BACKSTORE NUMBER: a disk of this host's own
lio_loop() {
    local tpg=$lio/loopback/naa.500140500000000$2/tpgt_1
    mkdir -p "$tpg/lun/lun_0"
    echo "naa.500140510000000$2" >"$tpg/nexus"
    ln -s "$lio/core/$1" "$tpg/lun/lun_0/$2"
}

lio_loop_remove() {
    local wwn=$lio/loopback/naa.500140500000000$1
    rm "$wwn/tpgt_1/lun/lun_0/$1"
    echo NULL >"$wwn/tpgt_1/nexus"
    rmdir "$wwn/tpgt_1/lun/lun_0" "$wwn/tpgt_1" "$wwn"
}

# lio_iscsi BACKSTORE IQN PORTAL USER SECRET: for this host's initiator, with CHAP
lio_iscsi() {
    local tpg=$lio/iscsi/$2/tpgt_1 acl
    acl=$tpg/acls/$(guest_iqn)
    mkdir -p "$tpg/np/$3" "$tpg/lun/lun_0" "$acl/lun_0"
    ln -s "$lio/core/$1" "$tpg/lun/lun_0/backstore"
    ln -s "$tpg/lun/lun_0" "$acl/lun_0/lun"
    echo 1 >"$tpg/attrib/authentication"
    printf %s "$4" >"$acl/auth/userid" # a line's end would be part of it
    printf %s "$5" >"$acl/auth/password"
    echo 1 >"$tpg/enable"
}

# lio_iscsi_open IQN: also to initiators nobody told it of, without CHAP
lio_iscsi_open() {
    local tpg=$lio/iscsi/$1/tpgt_1 name
    echo 0 >"$tpg/attrib/authentication"
    for name in generate_node_acls cache_dynamic_acls; do echo 1 >"$tpg/attrib/$name"; done
    echo 0 >"$tpg/attrib/demo_mode_write_protect"
}

lio_iscsi_remove() {
    local tpg=$lio/iscsi/$1/tpgt_1 acl
    acl=$tpg/acls/$(guest_iqn)
    echo 0 >"$tpg/enable"
    rm "$acl/lun_0/lun" "$tpg/lun/lun_0/backstore"
    rmdir "$acl/lun_0" "$acl" "$tpg/lun/lun_0" "$tpg"/np/* "$tpg" "$lio/iscsi/$1"
}

lio_backstore_remove() { rmdir "$lio/core/$1"; }
