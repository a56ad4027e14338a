#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A LUN by two portals of the kernel's target, as two paths of the kernel's initiator
# and one disk: what a host sees of a path that is logged out of, of one that the
# network loses, and of a varved that is run anew under both.
# smoke: no
# timeout: 600
# disks: 1024
. /share/lib.sh
. /share/varved.sh
. /share/multipath.sh
way=tcmu
first=10.9.0.1:3261
second=10.9.0.2:3261
lio_portals="$first, $second"

address() { ip address "$1" "${2%:*}/32" dev lo; }
address add $first
address add $second

load_modules virtio_blk sd_mod sg
ok "varved starts" start_varved
ok "a pool is made on a disk" varve -y pool create vms /dev/vda
ok "a LUN is made" varve lun create vms/a --size 512M
way_start
ok "it is exported" varve export add vms/a --host guest --carrier tcmu
iqn=$(value iqn export list vms/a)
equal "by both portals" "$(value portals export list vms/a)" "$first,$second"
ok "discovery at one" eval "iscsiadm -m discovery -t st -p $first >/tmp/found"
ok "tells of both" sh -c "grep -q '^$first' /tmp/found && grep -q '^$second' /tmp/found"

for portal in $first $second; do
    ok "$portal is known" iscsi_node "$iqn" $portal guest "$(cat /tmp/guest.secret)"
    iscsi_setting "$iqn" $portal node.session.timeo.replacement_timeout 3
    iscsi_setting "$iqn" $portal node.conn[0].timeo.noop_out_interval 1
    iscsi_setting "$iqn" $portal node.conn[0].timeo.noop_out_timeout 2
    ok "and lets the host in" iscsi_login "$iqn" $portal
done
ok "the LUN's two paths are one disk" multipath_make vms/a
ok "by both, what is written is read" fio_verify /dev/dm-0 32m
for disk in $(disks_of_serial "$(serial_of vms/a)"); do
    ok "$disk has had its part" test "$(awk '{ print $5 }' "/sys/block/${disk#/dev/}/stat")" -ge 20
done

note "a path is lost"
path_goes "the network loses a path" 192m address del $second
ok "the network has it again" address add $second
ok "the session comes back by itself" within 60 sh -c \
    "[ \$(iscsiadm -m session -P1 | grep -c 'iSCSI Session State: LOGGED_IN') = 2 ]"
multipath_reinstate
ok "with both paths" multipath_has A 2
ok "by both, what is written is read" fio_verify /dev/dm-0 32m
ok "and none of them has failed" multipath_has A 2

note "varved goes"
again() {
    kill -9 "$varved_pid"
    wait "$varved_pid" 2>/dev/null
    varved --guard
    sleep 2
    start_varved
}
fio_verify /dev/dm-0 96m >/tmp/fio 2>&1 &
fio=$!
sleep 2
ok "varved is killed, and run anew" again
ok "fio does not see it" wait_for $fio /tmp/fio

note "a path is given up"
path_goes "a path is logged out of" 192m iscsi_logout "$iqn" $second

note "end"
ok "the two are no disk any more" dmsetup remove --noudevsync a
ok "the other logs out" iscsi_logout "$iqn" $first
ok "the export goes" varve export remove vms/a --host guest
refused "the kernel has nothing to complain of" sh -c "dmesg | grep -E 'BUG|WARNING|hung|Call Trace'"
ok "varved stops" stop_varved
ok "the pool is sound" varve rescue check /dev/vda
finish
