#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --dry-run: varved checks all of a change and makes none of it.
. "$(dirname "$0")/lib.sh"
requires varved varve
start_varved
varve pool create vms "$dir/vms.pool" --size 256M >/dev/null
varve lun create vms/a --size 1G >/dev/null
varve host add h --iqn iqn.2026-01.org.example:h --no-chap >/dev/null
before=$(varve config export)

claim "a pool is not made" varve -n pool create two "$dir/two.pool" --size 1G
claim_text "and that is said" "nothing was changed"
claim_exit 1 "nor its file" test -e "$dir/two.pool"
claim "a LUN is not made" varve -n lun create vms/b --size 1G
claim "a LUN is not grown" varve -n lun resize vms/a +1G
claim "a LUN is not renamed" varve -n lun rename vms/a vms/c
claim "a LUN is not deleted, and nobody is asked" varve -n lun delete vms/a
claim "a host is not added" \
    varve -n host add i --iqn iqn.2026-01.org.example:i --chap-generate
claim "a host is not removed" varve -n host remove h
claim "a LUN is not exported" varve -n export add vms/a --host h
claim "a pool warns where it did" varve -n pool set vms --warn-at 50%
claim "reservations are not broken, and nobody is asked" varve -n lun release vms/a
claim "a portal is not added" varve -n portal add 127.0.0.1:0
claim "a pool is not removed" varve -n pool remove vms

claim_exit 5 "what would fail, fails" varve -n lun create vms/a --size 1G
claim_exit 4 "by the same code" varve -n lun delete vms/b
claim_exit 2 "looking has no dry run" varve -n lun list
claim_equal "all is as it was" "$(varve config export)" "$before"
finish
