#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The peer: LIO's own fileio backstore, as a disk of the host's own (tcm_loop) and by
# iSCSI with CHAP to the kernel's initiator.  What holds here holds without varve, so
# a guest suite that fails where this one passes has found something.
# smoke: no
# timeout: 300
. /share/lib.sh
. /share/configfs.sh
iqn=iqn.2026-01.org.example:lio
portal=127.0.0.1:3261
serial=f11e10000001

ok "a file system in memory" ram_disk 200 /mnt
lio_start target_core_file
note "modules"
ok "a fileio backstore is made" lio_fileio a /mnt/a 134217728 $serial
ok "it is a disk of the host's own" lio_loop fileio_0/a 1
loop=$(disk_of_serial $serial)
ok "which comes ($loop)" test -b "$loop"
equal "with its size" "$(disk_bytes "$loop")" 134217728
ok "it is exported by iSCSI" lio_iscsi fileio_0/a $iqn $portal guest a-secret-of-12
ok "iscsid starts" start_iscsid
ok "discovery is answered" iscsiadm -m discovery -t st -p $portal
ok "its target is known" iscsi_node $iqn $portal guest a-wrong-secret
refused "a wrong secret does not log in" iscsi_login $iqn $portal
iscsi_setting $iqn $portal node.session.auth.password a-secret-of-12
ok "the secret does" iscsi_login $iqn $portal
disk=$(disk_of_serial $serial 2 | grep -vx "$loop")
ok "its disk comes ($disk)" test -b "$disk"

size=16m
all && size=96m
note "fio"
ok "tcm_loop: what is written is read" fio_verify "$loop" $size
ok "iSCSI: what is written is read" fio_verify "$disk" $size
ok "both are one LUN" cmp -n 16777216 "$loop" "$disk"

note "log out"
ok "it logs out" iscsi_logout $iqn $portal
ok "its disk goes" within 20 test ! -b "$disk"
lio_iscsi_open $iqn
families=ALL.ReadCapacity16
all && families="ALL.ReadCapacity16 ALL.Inquiry ALL.Read10 ALL.Write10 ALL.Unmap ALL.ProutReserve"
for family in $families; do
    run timeout 120 iscsi-test-cu -d --test="$family" iscsi://$portal/$iqn/0
    cp /tmp/out "/share/lio-$family.txt"
    ok "iscsi-test-cu judges it: $family" grep -q "asserts" "/share/lio-$family.txt"
    note "$(sed -n 's/ *\(asserts.*\)/\1/p' "/share/lio-$family.txt")"
done

note "teardown"
ok "the target goes" lio_iscsi_remove $iqn
ok "the host's disk goes" lio_loop_remove 1
ok "the backstore goes" lio_backstore_remove fileio_0/a
ok "nothing is left" umount /mnt
refused "and the kernel has nothing to say of it" sh -c "dmesg | grep -E 'BUG|WARNING|hung|Call Trace'"
finish
