#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A portal sends hosts to another one, for real initiators (libiscsi, by
# iscsi-inq and QEMU), and over a restart.  What goes over the wire for whom is
# covered by tests/wire/redirect.wire.
. "$(dirname "$0")/lib.sh"
requires varved varve jq iscsi-inq qemu-io
start_varved
iqn=iqn.2026-01.io.varve:story
varve pool create vms "$dir/vms.pool" --size 512M >/dev/null
varve lun create vms/a --size 1G >/dev/null
varve host add h --iqn "$iqn" --no-chap >/dev/null
varve --json export add vms/a --host h >"$dir/export"
target=$(jq -r '"\(.item.iqn)/\(.item.lun)"' "$dir/export")
other=$(varve --json portal add 127.0.0.1:0 | jq -r .item.address)
inquire() { iscsi-inq -i "$iqn" "iscsi://$portal/$target" </dev/null 2>&1; }

claim "the portal serves" inquire
claim "it sends hosts away" varve portal redirect "$portal" --to 127.0.0.1:1
claim_exit 10 "where nobody is" inquire
claim "it sends them to another portal" \
    varve portal redirect "$portal" --to "$other"
claim "they follow" inquire
claim_text "to the LUN" "Vendor:VARVE"

stop_varved
start_varved
claim_equal "a restart changes nothing" \
    "$(varve --plain -o address,redirect portal list | head -n 1)" \
    "$portal	$other"
qemu-io -c "sleep 60000" --image-opts "driver=iscsi,transport=tcp,portal=$portal,\
target=${target%/*},lun=${target##*/},initiator-name=$iqn" >/dev/null 2>&1 &
qemu=$!
cleanup "kill $qemu 2>/dev/null"
for _ in $(seq 200); do
    came=$(varve --plain -o portal session list)
    [ -z "$came" ] || break
    sleep 0.05
done
claim_equal "QEMU is at the other portal" "$came" "$other"

claim_exit 2 "not to itself" varve portal redirect "$portal" --to "$portal"
claim_exit 2 "not to any address" varve portal redirect "$portal" --to 0.0.0.0
claim_exit 2 "not nowhere" varve portal redirect "$portal"
claim_exit 4 "not from where none is" \
    varve portal redirect 127.0.0.1:1 --to "$other"
claim "for good" varve portal redirect "$portal" --to "$other" --permanent
claim_exit 10 "libiscsi follows no such redirection" inquire
claim_text "but knows it" "moved permanently"
claim "and ends" varve portal redirect "$portal" --off
claim "the portal serves again" inquire
claim_equal "and says so" \
    "$(varve --json portal list | jq -c '[.items[] | .redirect]')" '[null,null]'
finish
