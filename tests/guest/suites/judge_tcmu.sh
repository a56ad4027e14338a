#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# iscsi-test-cu through the kernel's iSCSI target, at a LUN of varve and at a file of
# LIO's own fileio: what is the kernel's in front of both is the same, so where
# varve does worse it is varve.  Failed asserts are counted, family by family.
# smoke: no
# timeout: 1200
# disks: 1024
. /share/lib.sh
. /share/configfs.sh
. /share/varved.sh
judge=iqn.2007-10.com.github:sahlberg:libiscsi:iscsi-test
peer=iqn.2026-01.org.example:peer

load_modules virtio_blk sd_mod sg
ok "varved starts" start_varved
ok "a pool is made on a disk" varve -y pool create vms /dev/vda
ok "a LUN is made" varve lun create vms/a --size 64M
kernel_target
lio_start target_core_file
ok "a host" varve host add judge --iqn "$judge" --no-chap
ok "and a second one" varve host add judge2 --iqn "$judge-2" --no-chap
ok "the LUN is exported" varve export add vms/a --host judge --carrier tcmu
ok "to both" varve export add vms/a --host judge2 --carrier tcmu
ours=iscsi://127.0.0.1:3261/$(value iqn export list vms/a | head -n 1)/0

ram_disk 200 /mnt/ram
truncate -s 64M /mnt/ram/file
lio_fileio peer /mnt/ram/file 67108864 f11e10000002
lio_iscsi fileio_0/peer $peer 127.0.0.1:3262 user secretsecret
lio_iscsi_open $peer
theirs=iscsi://127.0.0.1:3262/$peer/0

# failures FAMILY URL: failed asserts; "hung", or "none" where nothing was run
failures() {
    timeout 60 iscsi-test-cu -d -n -t "ALL.$1" "$2" >/tmp/out 2>&1 </dev/null
    [ $? != 124 ] || { echo hung; return; }
    awk '$1 == "asserts" { print $5; found = 1 } END { if (!found) print "none" }' /tmp/out
}

# GetLBAStatus: fileio has none; UnmapSingle asks for a block that is not the first of
# its physical block and expects the answer to begin there (docs/conformance.md).
differs=" GetLBAStatus "

for family in CompareAndWrite ExtendedCopy GetLBAStatus Inquiry Mandatory ModeSense6 NoMedia \
    OrWrite Prefetch10 Prefetch16 PrinReadKeys PrinServiceactionRange PrinReportCapabilities \
    ProutRegister ProutReserve ProutClear ProutPreempt Read6 Read10 Read12 Read16 ReadCapacity10 \
    ReadCapacity16 ReadOnly ReceiveCopyResults ReportSupportedOpcodes Reserve6 StartStopUnit \
    TestUnitReady Unmap Verify10 Verify12 Verify16 Write10 Write12 Write16 WriteAtomic16 \
    WriteSame10 WriteSame16 WriteVerify10 WriteVerify12 WriteVerify16; do
    theirs_failed=$(failures $family "$theirs")
    ours_failed=$(failures $family "$ours")
    note "$family: failed asserts: varve $ours_failed, fileio $theirs_failed"
    cp /tmp/out "/share/judge-$family.txt"
    case $differs in *" $family "*) continue ;; esac
    case $family:$ours_failed in Inquiry:[02]) libtcmu_fault 709 ;; esac # two asserts, no more
    if [ "$ours_failed" = 0 ] || [ "$ours_failed" = "$theirs_failed" ] ||
        { [ "$theirs_failed" = hung ] && [ "$ours_failed" != hung ]; } ||
        { [ "$ours_failed" -lt "$theirs_failed" ]; } 2>/dev/null; then
        passes "$family"
    else
        : >/tmp/out
        fails "$family" "varve $ours_failed, fileio $theirs_failed"
    fi
done

ok "the exports go" varve export remove vms/a --host judge2 --force
ok "all" varve export remove vms/a --host judge --force
ok "varved stops" stop_varved
refused "the kernel has nothing to complain of" sh -c "dmesg | grep -E 'BUG|hung|Call Trace'"
finish
