#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# varve rescue on pools that a killed process left (tests/golden): what is
# extracted is what was written, damage costs what it hits, and the devices stay
# as they are.  What check finds is the matter of tests/unit/snapshot.
. "$(dirname "$0")/lib.sh"
requires varve xz sha256sum

golden=$top/tests/golden/v0.1
unpack() { xz -dc "$golden/$1.xz" >"$dir/$1"; }
sum_of() { sed -n "s/^sha256 $2 //p" "$golden/$1.txt"; }
sum() { sha256sum <"$1" | cut -d' ' -f1; }

unpack log.0
before=$(sum "$dir/log.0")
for lun in old new; do
    claim "$lun is extracted" \
        varve rescue extract "$dir/log.0" "golden/$lun" --to "$dir/$lun.raw"
    claim_equal "$lun is what was written and logged" \
        "$(sum "$dir/$lun.raw")" "$(sum_of log "$lun")"
done
claim_exit 5 "a file is never overwritten" \
    varve rescue extract "$dir/log.0" golden/old --to "$dir/old.raw"
claim_exit 4 "a LUN that is none is said" \
    varve rescue extract "$dir/log.0" golden/none --to "$dir/none.raw"
claim_exit 4 "a pool that is another is said" \
    varve rescue extract "$dir/log.0" other/old --to "$dir/none.raw"
claim_exit 2 "a name without a pool is said" \
    varve rescue extract "$dir/log.0" old --to "$dir/none.raw"
claim "nothing was made of them" test ! -e "$dir/none.raw"
claim "the checkpoint alone is extracted" \
    varve rescue extract "$dir/log.0" golden/new --no-log --to "$dir/no-log.raw"
claim "what the log has is not in it" sh -c "! tr -d '\\0' <'$dir/no-log.raw' | grep -q ."

unpack two-devices.0
unpack two-devices.1
for lun in one two; do
    claim "$lun of two devices, in any order, is extracted" varve rescue extract \
        "$dir/two-devices.1" "$dir/two-devices.0" "golden/$lun" --to "$dir/$lun.raw"
    claim_equal "$lun is what was written" \
        "$(sum "$dir/$lun.raw")" "$(sum_of two-devices "$lun")"
done

claim "the structures are printed" \
    sh -c "'$BUILD/varve' rescue dump '$dir/log.0' | jq -e '.versions | length == 2' >/dev/null"
claim "a map is printed" \
    sh -c "'$BUILD/varve' rescue dump '$dir/log.0' --version 1 | jq -e '.map | length > 4' >/dev/null"
claim_equal "the pool is as it was" "$(sum "$dir/log.0")" "$before"

# a page of the map of alpha is lost: its leaf
unpack luns.0
page=$(varve rescue dump "$dir/luns.0" --version 1 |
    jq '.map[] | select(.page == "leaf") | .address')
region=$((page / 512))
place=$(varve rescue dump "$dir/luns.0" |
    jq ".regions[] | select(.index == $region) | .device_region")
dd if=/dev/zero of="$dir/luns.0" bs=4096 count=1 conv=notrunc status=none \
    seek=$((256 + place * 512 + page % 512))
claim_exit 9 "damage is a finding" \
    varve rescue extract "$dir/luns.0" golden/alpha --to "$dir/alpha.raw"
claim_equal "what cannot be read is a hole" \
    "$(stat -c '%s %b' "$dir/alpha.raw")" "4194304 0"
claim "other LUNs are not hurt" \
    varve rescue extract "$dir/luns.0" golden/beta --to "$dir/beta.raw"
claim_equal "and hold what they held" "$(sum "$dir/beta.raw")" "$(sum_of luns beta)"
claim_exit 9 "check finds it too" varve rescue check "$dir/luns.0"
finish
