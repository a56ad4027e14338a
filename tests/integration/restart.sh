#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# varved stops, is killed, starts again: everything is served as before, without
# a command.  What happens to data under load is covered by kill9.py.
. "$(dirname "$0")/lib.sh"
requires varved varve jq qemu-io
start_varved
iqn=iqn.2008-11.org.linux-kvm
varve pool create vms "$dir/vms.pool" --size 512M >/dev/null
varve lun create vms/a --size 1G >/dev/null
varve host add h --iqn "$iqn" --no-chap >/dev/null
varve --json export add vms/a --host h >"$dir/export"
url="iscsi://$portal/$(jq -r .item.iqn "$dir/export")/$(jq -r .item.lun "$dir/export")"
before=$(varve config export)
first_portal=$portal

claim "data is written and flushed" \
    qemu-io -f raw -c "write -P 0x11 0 1M" -c flush "$url"
claim "varved stops with 0" stop_varved
claim_exit 7 "and is away" varve lun list
claim "the pool is clean" varve rescue check "$dir/vms.pool"
start_varved
claim_equal "the portal is the same" "$portal" "$first_portal"
claim_equal "all is as it was" "$(varve config export)" "$before"
claim "the data is there" qemu-io -f raw -c "read -P 0x11 0 1M" "$url"
claim_text "all of it" "read 1048576/1048576"

claim "more data is written and flushed" \
    qemu-io -f raw -c "write -P 0x22 1M 1M" -c flush "$url"
kill_varved
claim "the killed pool is sound" varve rescue check "$dir/vms.pool"
begun=$(date +%s%N)
start_varved
took=$((($(date +%s%N) - begun) / 1000000))
claim "it serves within 2 s ($took ms)" test "$took" -lt 2000
claim "the data is there" \
    qemu-io -f raw -c "read -P 0x11 0 1M" -c "read -P 0x22 1M 1M" "$url"
claim_equal "all is as it was" "$(varve config export)" "$before"

claim_exit 5 "the pool is locked while it is open" varve rescue check "$dir/vms.pool"
claim "the pool moves out" sh -c "'$BUILD/varve' export remove vms/a --host h &&
    '$BUILD/varve' pool remove vms"
claim_exit 4 "and is unknown" varve pool show vms
claim "and comes back with its LUN" varve pool import "$dir/vms.pool"
claim "which has its name" varve lun show vms/a

claim "varved stops" stop_varved
mv "$dir/vms.pool" "$dir/away.pool"
start_varved
claim_exit 9 "a pool that is missing is a finding" varve health
claim_text "by its name" vms
mv "$dir/away.pool" "$dir/vms.pool"
claim "mended, it opens without a restart" varve pool open vms
claim "and serves" varve lun show vms/a
finish
