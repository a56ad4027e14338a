#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# varve host connect where LUNs have several carriers.  This kernel has no target,
# so what it would export is written into the database; that hosts can connect by
# such lines is not covered here.
. "$(dirname "$0")/lib.sh"
requires varved varve jq sqlite3

printf '[lio]\nportals = 0.0.0.0:3261, 10.0.0.10:3262\n' >"$dir/varve.conf"
start_varved
varve pool create vms "$dir/vms.pool" --size 256M >/dev/null
for lun in own kernels local; do varve lun create vms/$lun --size 16M >/dev/null; done
varve host add kvm1 --iqn iqn.2008-11.org.linux-kvm --chap-generate >/dev/null
varve host add localhost --iqn iqn.2026-01.io.varve:this --no-chap >/dev/null
varve export add vms/own --host kvm1 >/dev/null
varve export add vms/kernels --host kvm1 --lun 7 >/dev/null
varve export add vms/local --host localhost >/dev/null
target=$(varve --plain -o iqn export list vms/own)
claim_exit 2 "a disk of this machine cannot be read-only by its export" \
    varve export add vms/own --host localhost --carrier tcmu-loop --read-only
claim_text "but by its LUN" "varve lun set vms/own --read-only on"

stop_varved
carrier_of() { sqlite3 "$dir/varve.db" "UPDATE exports SET carrier = '$2' WHERE lun_uuid = '$1'"; }
start_varved
kernels=$(varve --plain -o uuid lun show vms/kernels)
local=$(varve --plain -o uuid lun show vms/local)
stop_varved
carrier_of "$kernels" tcmu
carrier_of "$local" tcmu-loop
start_varved

claim_equal "the kernel's target has a name of its own" \
    "$(varve --plain -o iqn export list vms/kernels)" "$target:tcmu"
claim "open-iscsi" varve host connect kvm1 --for open-iscsi
claim_text "logs in to varved" "-T $target -p $portal --login"
claim_text "and to the kernel, at the address that is one" \
    "-T $target:tcmu -p 10.0.0.10:3262 --login"
claim_text "with the secret" "-T $target:tcmu -p 10.0.0.10:3262 -o update -n node.session.auth.password"
claim_equal "each once" "$(grep -c -- --login <<<"$out")" 2
claim "qemu" varve host connect kvm1 --for qemu
claim_text "has both disks" "portal=$portal,target=$target,lun=0,"
claim_text "each by its carrier" "portal=10.0.0.10:3262,target=$target:tcmu,lun=7,"
claim "libvirt" varve host connect kvm1 --for libvirt
claim_text "has a pool for each target" "<name>vms-tcmu</name>"
claim_text "at its port" "<host name='10.0.0.10' port='3262'/>"
claim_text "by its name" "<device path='$target:tcmu'/>"
claim_text "beside varved's" "<name>vms</name>"

claim_exit 5 "nobody connects to a disk of this machine" \
    varve host connect localhost --for open-iscsi
claim_text "by its code" "[host.this-machine]"
claim_text "it says which it is" "vms/local is $(varve --plain -o disk export list vms/local)"

stop_varved
printf '[lio]\nportals = 0.0.0.0:3261\n' >"$dir/varve.conf"
start_varved
claim "all addresses become the machine's name" varve host connect kvm1 --for open-iscsi
claim_text "as for varved's own" "-T $target:tcmu -p $(hostname):3261 --login"
finish
