#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Who may have how much: where a pool warns and stops.  What the engine does in
# a full pool, under load and over power cuts, is tests/sim's and
# tests/unit/snapshot's.
# timeout: 120
. "$(dirname "$0")/lib.sh"
requires varved varve jq qemu-io
start_varved
iqn=iqn.2008-11.org.linux-kvm # what qemu-io calls itself
varve pool create vms "$dir/vms.pool" --size 512M >/dev/null
varve host add h --iqn "$iqn" --no-chap >/dev/null

value() { varve --plain -o "$1" "${@:2}"; }

# ---- where a pool warns

claim "a LUN is made" varve lun create vms/a --size 400M
a=$(lun_url vms/a)
claim "and holds some" lun_io "$a" "write 0 64M" flush
claim_equal "the pool is well" "$(value level pool show vms)" normal
claim "it is to warn from 10% on" varve pool set vms --warn-at 10%
claim_equal "and does at once" "$(value level pool show vms)" warn
claim_exit 9 "health says so" varve health
claim_text "by its code" "[pool.filling]"
claim "and to stop at 12%" varve pool set vms --stop-at 12%
claim_equal "it is past that too" "$(value level pool show vms)" stop
claim_exit 2 "it cannot stop before it warns" varve pool set vms --stop-at 9%
claim_exit 2 "nor with 0%" varve pool set vms --warn-at 0%
claim_exit 2 "something is to be set" varve pool set vms
kill_varved
start_varved
claim_equal "a killed varved has not forgotten" \
    "$(varve --json pool show vms | jq -c '.item | [.warn_at, .stop_at, .level]')" \
    '[10,12,"stop"]'
claim "as it was" varve pool set vms --warn-at 80% --stop-at 95%
claim_equal "all is well again" "$(value level pool show vms)" normal
finish
