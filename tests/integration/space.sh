#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Who may have how much: where a pool warns and stops, and quotas of LUNs.  What the engine does in
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

# ---- quotas

claim "a LUN may hold 32M" varve lun create vms/q --size 400M --quota 32M
q=$(lun_url vms/q)
claim "it takes 24M" lun_io "$q" "write -P 1 0 24M" flush
claim_equal "which is told" "$(value quota,quota_left lun show vms/q)" "33554432	8388608"
claim "a snapshot costs nothing" varve snap create vms/q@a
claim_equal "of the quota too" "$(value quota_left lun show vms/q)" 8388608
claim "8M are written anew" lun_io "$q" "write -P 2 0 8M" flush
claim_equal "the quota is reached" "$(value quota_left lun show vms/q)" 0
run lun_io "$q" "write -P 3 100M 64k"
claim_text "more is refused" "No space left on device"
claim "what is there is written over" lun_io "$q" "write -P 3 0 8M" flush
claim "and read" lun_io "$q" "read -P 3 0 8M" "read -P 1 8M 16M"
claim "other LUNs go on" lun_io "$a" "write 64M 32M" flush
claim_exit 9 "health says so" varve health
claim_text "by its code" "[lun.quota-reached]"
claim_text "and what mends it" "varve lun set vms/q --quota SIZE"
claim_equal "the log has it" "$(grep -c 'vms/q: its quota is reached' "$dir/stderr.txt")" 1
claim "trimming goes on" lun_io "$q" "discard 0 4M" flush
claim "and gives room" lun_io "$q" "write -P 4 100M 4M" flush
claim "deleting the snapshot goes on" varve -y snap delete vms/q@a
for _ in $(seq 100); do
    [ -z "$(varve --plain -o kind job list)" ] && break
    sleep 0.05
done
claim_equal "and gives back what it held" "$(value quota_left lun show vms/q)" 8388608
claim "the quota is raised" varve lun set vms/q --quota 64M
kill_varved
start_varved
claim_equal "and stays" "$(value quota lun show vms/q)" 67108864
claim "the configuration has it" varve config export
claim_equal "as bytes" \
    "$(jq '.luns[] | select(.name == "vms/q") | .quota' <<<"$out")" 67108864
claim_exit 2 "a quota has a unit" varve lun set vms/q --quota 64
claim "or is none" varve lun set vms/q --quota none
claim_equal "which is shown" "$(varve --json lun show vms/q | jq -c '.item.quota')" null
# ---- reservations

claim "a LUN is sure of its 64M" varve lun create vms/sure --size 64M --reserve all
claim_equal "which are set aside" "$(value reserve,set_aside lun show vms/sure)" "67108864	67108864"
sure=$(lun_url vms/sure)
run lun_io "$a" "write 0 400M"
claim_text "another that wants it all does not get them" "No space left on device"
claim_exit 9 "health says so" varve health
claim_text "by its code" "[pool.set-aside]"
claim "it writes all it has" lun_io "$sure" "write -P 5 0 64M" flush
claim_equal "nothing more is set aside" "$(value set_aside lun show vms/sure)" 0
claim_exit 8 "a snapshot would have it set aside anew" varve snap create vms/sure@a
claim_text "which is too much" "set aside"
claim_exit 8 "and more cannot be reserved" varve lun set vms/a --reserve all
claim "space is made" lun_io "$a" "discard 0 200M" flush
claim "now it has its snapshot" varve snap create vms/sure@a
run lun_io "$a" "write 0 400M"
claim "and is written over, block by block" lun_io "$sure" "write -P 6 4k 32k" "write -P 6 36k 65500k" flush
claim "as is read" lun_io "$sure" "read -P 5 0 4k" "read -P 6 4k 65532k"
kill_varved
start_varved
claim_equal "a killed varved has not forgotten" "$(value reserve lun show vms/sure)" 67108864
claim_exit 2 "a reservation has a unit" varve lun set vms/sure --reserve 64
claim_exit 2 "something is to be set" varve lun set vms/sure
claim "it is given up" varve lun set vms/sure --reserve none
claim_equal "which is shown" "$(varve --json lun show vms/sure | jq -c '.item.reserve')" null

claim "varved stops" stop_varved
claim "the pool is sound" varve rescue check "$dir/vms.pool"
finish
