#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# varve rescue on pools that a killed process left (tests/golden): what is
# extracted is what was written, damage costs what it hits, the devices stay as
# they are, and a repair can be taken back.  What check finds and repair mends is
# the matter of tests/unit/snapshot.
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

# snapshots, and metadata in two copies: what version 0.2 wrote
newer=$top/tests/golden/v0.2
xz -dc "$newer/log.0.xz" >"$dir/log-2.0"
for lun in a a@one b@was c; do
    claim "$lun of version 0.2 is extracted" \
        varve rescue extract "$dir/log-2.0" "golden/$lun" --to "$dir/2.raw"
    claim_equal "$lun is what was written and logged" "$(sum "$dir/2.raw")" \
        "$(sed -n "s/^sha256 $lun //p" "$newer/log.txt")"
    rm -f "$dir/2.raw"
done
claim "its mirrors are printed" sh -c "'$BUILD/varve' rescue dump '$dir/log-2.0' |
    jq -e '[.regions[].class] | index(\"mirror\")' >/dev/null"

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
claim_exit 9 "a repair leaves what it cannot mend" \
    varve rescue check "$dir/luns.0" --repair

# pages of maps of alpha's are lost: a leaf, whose 4 MiB read as errors then,
# and before it the page above the leaf, which its child makes anew
spoil() { # page, which: its address by dump
    local address=$2 place
    place=$(varve rescue dump "$1" |
        jq ".regions[] | select(.index == $((address / 512))) | .device_region")
    dd if=/dev/zero of="$1" bs=4096 count=1 conv=notrunc status=none \
        seek=$((256 + place * 512 + address % 512))
}
xz -dc "$golden/luns.0.xz" >"$dir/luns.0"
inner=$(varve rescue dump "$dir/luns.0" --version 1 |
    jq '[.map[] | select(.page == "inner")][-1].address')
spoil "$dir/luns.0" "$inner"
before=$(sum "$dir/luns.0")
claim_exit 2 "--scan belongs to --repair" varve rescue check "$dir/luns.0" --scan
claim "a check of it names the scan" \
    sh -c "'$BUILD/varve' rescue check '$dir/luns.0' | grep -q -- '--repair --scan'"
claim_exit 9 "a repair alone leaves it" varve rescue check "$dir/luns.0" --repair
claim "a scan finds what the page named" varve rescue check "$dir/luns.0" \
    --repair --scan --to "$dir/scanned"
claim_equal "nothing was written to the pool" "$(sum "$dir/luns.0")" "$before"
claim "the copy is sound" varve rescue check "$dir/scanned"
for lun in alpha beta; do
    rm -f "$dir/scanned.raw"
    claim "$lun is whole" \
        varve rescue extract "$dir/scanned" "golden/$lun" --to "$dir/scanned.raw"
    claim_equal "$lun holds what it held" \
        "$(sum "$dir/scanned.raw")" "$(sum_of luns "$lun")"
done
spoil "$dir/luns.0" "$page"
claim_exit 9 "of a leaf that is gone, too, what is lost is said" \
    sh -c "'$BUILD/varve' rescue check '$dir/luns.0' --repair --scan \
        --undo '$dir/scan.undo' >'$dir/said'; exit=\$?; cat '$dir/said'; exit \$exit"
claim "by LUN and bytes" grep -q "alpha.*bytes .* are lost" "$dir/said"
claim "what is left is sound" varve rescue check "$dir/luns.0"
claim_exit 9 "what is lost reads as an error" \
    varve rescue extract "$dir/luns.0" golden/alpha --to "$dir/lost.raw"
rm -f "$dir/beta.raw"
claim "and nothing else does" \
    varve rescue extract "$dir/luns.0" golden/beta --to "$dir/beta.raw"
claim_equal "it holds what it held" "$(sum "$dir/beta.raw")" "$(sum_of luns beta)"

# no superblock is left: the newest checkpoint is found, without the log
for lun in one two; do
    claim "$lun is extracted as of the checkpoint" varve rescue extract --no-log \
        "$dir/two-devices.0" "$dir/two-devices.1" "golden/$lun" --to "$dir/$lun.was"
done
for device in 0 1; do
    for block in 32 48; do
        dd if=/dev/zero of="$dir/two-devices.$device" bs=4096 count=1 \
            conv=notrunc status=none seek=$block
    done
done
claim_exit 9 "a pool without a superblock is said" \
    varve rescue check "$dir/two-devices.0" "$dir/two-devices.1"
claim_exit 9 "and beyond a mere repair" varve rescue check --repair \
    "$dir/two-devices.0" "$dir/two-devices.1"
claim_exit 9 "a scan makes one, and says that the log is lost" varve rescue check \
    "$dir/two-devices.0" "$dir/two-devices.1" --repair --scan --to "$dir/super"
claim "the pool is sound" varve rescue check "$dir/super.0" "$dir/super.1"
for lun in one two; do
    claim "$lun is there" varve rescue extract "$dir/super.0" "$dir/super.1" \
        "golden/$lun" --to "$dir/$lun.now"
    claim_equal "as it was at the checkpoint" \
        "$(sum "$dir/$lun.now")" "$(sum "$dir/$lun.was")"
done

# the bitmap is lost: it is made anew, and that is taken back
xz -dc "$golden/luns.0.xz" >"$dir/luns.0"
bitmap=$(varve rescue dump "$dir/luns.0" | jq '.super.bitmap.ptr.address')
place=$(varve rescue dump "$dir/luns.0" |
    jq ".regions[] | select(.index == $((bitmap / 512))) | .device_region")
dd if=/dev/zero of="$dir/luns.0" bs=4096 count=1 conv=notrunc status=none \
    seek=$((256 + place * 512 + bitmap % 512))
before=$(sum "$dir/luns.0")
claim_exit 9 "a lost bitmap is found" varve rescue check "$dir/luns.0"
claim "what a repair would leave is said" varve rescue check "$dir/luns.0" --repair
claim "a copy is repaired" varve rescue check "$dir/luns.0" --repair --to "$dir/copy"
claim "the copy is sound" varve rescue check "$dir/copy"
claim_equal "nothing was written to the pool" "$(sum "$dir/luns.0")" "$before"
claim_exit 2 "--undo and --to exclude each other" varve rescue check \
    "$dir/luns.0" --repair --to "$dir/copy2" --undo "$dir/undo2"
claim_exit 2 "--to belongs to --repair" \
    varve rescue check "$dir/luns.0" --to "$dir/copy2"
claim "the pool is repaired in place" \
    varve rescue check "$dir/luns.0" --repair --undo "$dir/undo"
claim "it is sound" varve rescue check "$dir/luns.0"
claim "it has what it had" \
    varve rescue extract "$dir/luns.0" golden/beta --to "$dir/beta2.raw"
claim_equal "to the last byte" "$(sum "$dir/beta2.raw")" "$(sum_of luns beta)"
claim_exit 1 "an undo file of another pool is refused" \
    varve rescue undo "$dir/log.0" --from "$dir/undo"
claim "the repair is taken back" varve rescue undo "$dir/luns.0" --from "$dir/undo"
claim_equal "the pool is as it was before" "$(sum "$dir/luns.0")" "$before"
head -c 9000 "$dir/undo" >"$dir/torn"
claim_exit 1 "an undo file that is torn is refused" \
    varve rescue undo "$dir/luns.0" --from "$dir/torn"
finish
