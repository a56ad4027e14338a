#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# docs/backup-api.md as a tool's author reads it: its example keeps an image over
# three days, and what the page says of pages, bases and sizes.  varve's own
# backups are in backup.py.
. "$(dirname "$0")/lib.sh"
requires varved varve jq python3 qemu-img qemu-io
start_varved
varve pool create vms "$dir/vms.pool" --size 256M >/dev/null
varve lun create vms/web01 --size 64M >/dev/null
varve host add h --iqn iqn.2008-11.org.linux-kvm --no-chap >/dev/null
web=$(lun_url vms/web01)
example=$top/docs/examples/backup.py
copies=0

# image_of SNAP: all of it, read by an initiator
image_of() {
    local url
    url=$(lun_url "vms/web01@$1" --ttl 1h)
    qemu-img convert -f raw -O raw "$url" "$dir/$1.raw"
    varve export remove "vms/web01@$1" --host h --force >/dev/null
}
# kept TEXT [BASE] SNAP: the example brings the image there
kept() {
    local text=$1 snap=${*: -1}
    shift
    image_of "${snap#@}"
    claim "$text" python3 "$example" "$dir/varve.sock" "$dir/${snap#@}.raw" \
        vms/web01 "$@" "$dir/image"
    claim "byte for byte" cmp "$dir/image" "$dir/${snap#@}.raw"
    copies=$((copies + 1))
}

: >"$dir/image"
lun_io "$web" "write -P 1 0 8M" "write -P 2 32M 1M" flush >/dev/null
varve snap create vms/web01@mon >/dev/null
kept "the example makes a full copy" @mon
lun_io "$web" "write -P 3 4M 128k" "discard 32M 1M" "write -P 4 63M 1M" flush >/dev/null
varve snap create vms/web01@tue >/dev/null
kept "brings it to the next day" @mon @tue
varve lun resize vms/web01 +16M >/dev/null
lun_io "$web" "write -P 5 70M 64k" "write -P 6 1M 4k" flush >/dev/null
varve snap create vms/web01@wed >/dev/null
kept "also when the LUN has grown" @tue @wed
claim_equal "three days were compared" "$copies" 3
claim_exit 1 "what is not there is an error" \
    python3 "$example" "$dir/varve.sock" /dev/null vms/web01 @sun @wed "$dir/image"
claim_text "by its code" "snap.not-found"

# ---- what the page says

diff_of() { varve --json snap diff "$@" | jq -c '[.items[] | [.offset, .length, .kind]]'; }
whole=$(diff_of vms/web01@mon @wed)
paged='[]' cursor=0 pages=0
while [ "$cursor" != null ]; do
    varve --json snap diff vms/web01@mon @wed --limit 1 --cursor "$cursor" >"$dir/page"
    paged=$(jq -c --argjson before "$paged" \
        '$before + [.items[] | [.offset, .length, .kind]]' "$dir/page")
    cursor=$(jq .cursor "$dir/page")
    pages=$((pages + 1))
done
claim_equal "pages of one extent are the whole" "$paged" "$whole"
claim "which took several" test "$pages" -gt 3
claim_equal "there and back are the same places" \
    "$(diff_of vms/web01@wed @mon | jq -c '[.[] | select(.[0] < 67108864) | .[0:2]]')" \
    "$(jq -c '[.[] | select(.[0] < 67108864) | .[0:2]]' <<<"$whole")"
varve bookmark create vms/web01@mon monday >/dev/null
varve -y snap delete vms/web01@mon >/dev/null
claim_equal "a bookmark tells no less" "$(jq -cn --argjson exact "$whole" \
    --argjson more "$(diff_of vms/web01 @wed --since monday)" '
    [$exact[] as [$at, $length] |
     any($more[]; .[0] <= $at and .[0] + .[1] >= $at + $length)] | all')" true
lun_url vms/web01@tue --ttl 1h >/dev/null
claim_exit 5 "what is exported stays" varve -y snap delete vms/web01@tue
claim "its time is said anew" varve --json export set vms/web01@tue --host h --ttl 2h
claim_equal "and counts from now" "$(jq '(.item.expires | fromdate) - now | . > 7100 and . <= 7200' <<<"$out")" true
claim "or ends at once" varve export set vms/web01@tue --host h --ttl 1s
for _ in $(seq 100); do
    [ -z "$(varve --plain export list vms/web01@tue)" ] && break
    sleep 0.1
done
claim "and lets go of the snapshot" varve -y snap delete vms/web01@tue
finish
