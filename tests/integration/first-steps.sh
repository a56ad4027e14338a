#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The first day of an admin: pool, LUN, host, export, and an initiator that
# writes and reads; grow, rename, take away, delete.  Data under load and power
# cuts are covered elsewhere (kill9.py, tests/sim).
. "$(dirname "$0")/lib.sh"
requires varved varve jq iscsi-ls iscsi-inq qemu-img qemu-io
start_varved
iqn=iqn.2026-01.org.example:kvm1

claim "a pool is made in a file" \
    varve pool create vms "$dir/vms.pool" --size 2G --warn-at 70%
claim "it is listed with its space" varve --plain -o name,luns,state pool list
claim_equal "its row" "$out" "vms	0	online"
claim "at least 90 % of a small pool is for data" \
    sh -c "[ \$('$BUILD/varve' --plain -o free pool list) -ge 1932735283 ]"
claim "a LUN larger than its pool is made" \
    varve lun create vms/web01 --size 100G
claim "its size is what was asked for" varve --plain -o size lun show vms/web01
claim_equal "in bytes" "$out" 107374182400

claim "a host is added and its secret printed" \
    varve --json host add kvm1 --iqn "$iqn" --chap-generate
secret=$(jq -r .item.secret <<<"$out")
claim "the secret is long enough" test ${#secret} -ge 12
claim "nobody is shown it again" varve --json host show kvm1
case $out in *"$secret"*) not_ok "host show has the secret" ;; *) ok "not in host show" ;; esac
case $(cat "$dir"/*.log "$dir/stderr.txt" 2>/dev/null) in
*"$secret"*) not_ok "the log has the secret" ;; *) ok "not in the log" ;; esac

claim "the LUN is exported" varve --json export add vms/web01 --host kvm1
target=$(jq -r .item.iqn <<<"$out")
number=$(jq -r .item.lun <<<"$out")
url="iscsi://$portal/$target/$number"
# libiscsi takes these instead of a secret in argv
export LIBISCSI_CHAP_USERNAME=kvm1 LIBISCSI_CHAP_PASSWORD=$secret

claim "discovery shows the target" iscsi-ls -i "$iqn" "iscsi://$portal"
claim_text "by its name" "$target"
claim "INQUIRY is answered" iscsi-inq -i "$iqn" "$url"
claim_text "with our vendor" "VARVE"

image="json:{\"driver\":\"raw\",\"file\":{\"driver\":\"iscsi\",
\"transport\":\"tcp\",\"portal\":\"$portal\",\"target\":\"$target\",
\"lun\":$number,\"initiator-name\":\"$iqn\",\"user\":\"kvm1\",
\"password-secret\":\"s\"}}"
printf %s "$secret" >"$dir/secret"
qemu_io() { qemu-io --object "secret,id=s,file=$dir/secret" "$@" "$image"; }
claim "QEMU writes" qemu_io -c "write -P 0x5a 1M 3M" -c flush
claim "and reads it back" qemu_io -c "read -P 0x5a 1M 3M"
claim_text "without a difference" "read 3145728/3145728"
claim "what was never written is zeros" qemu_io -c "read -P 0 64M 1M"
claim "live space is what was written" varve --plain -o live lun show vms/web01
claim_equal "to the block" "$out" 3145728
claim "QEMU discards" qemu_io -c "discard 1M 1M" -c flush
claim "live space shrinks" varve --plain -o live lun show vms/web01
claim_equal "by that" "$out" 2097152

export LIBISCSI_CHAP_PASSWORD=wrong-$secret
claim_exit 10 "a wrong secret is refused" sh -c "iscsi-inq -i '$iqn' '$url' || exit 10"
export LIBISCSI_CHAP_PASSWORD=$secret
claim_exit 10 "another initiator name is refused" \
    sh -c "iscsi-inq -i iqn.2026-01.org.example:eve '$url' || exit 10"

claim "the LUN grows" varve lun resize vms/web01 +50G
claim "to this" varve --plain -o size lun show vms/web01
claim_equal "150 GiB" "$out" 161061273600
claim_exit 5 "it does not shrink by mistake" varve lun resize vms/web01 10G
claim "it gets another name" varve lun rename vms/web01 vms/web02
claim "hosts see no difference" qemu_io -c "read -P 0x5a 2M 2M"

for program in qemu open-iscsi libvirt proxmox multipath; do
    claim "lines for $program" varve host connect kvm1 --for $program
    claim_text "have the target" "$target"
    case $out in *"$secret"*) not_ok "$program: the secret is in the lines" ;;
    *) ok "$program: without the secret" ;; esac
done

claim "names are completed" varve completion words -- lun show v
claim_equal "from varved" "$out" vms/web02
claim "sessions are listed" varve session list
claim "top is shown once" varve top
claim_text "with the LUN" vms/web02

claim_exit 5 "an exported LUN is not deleted" varve -y lun delete vms/web02
claim_text "and it says what to do" "varve export remove"
claim "the export is removed" varve export remove vms/web02 --host kvm1
claim "no data went with it" varve lun show vms/web02
claim "the LUN is deleted" varve -y lun delete vms/web02 --now
claim_exit 4 "it is gone" varve lun show vms/web02
claim "the host is removed" varve host remove kvm1
claim "the configuration is printed" varve config export
claim "it is JSON" sh -c "'$BUILD/varve' config export | jq -e .portals"
claim "varved stops" stop_varved
claim "the pool has no findings" varve rescue check "$dir/vms.pool"
claim_text "and says what it read" "pool vms"
finish
