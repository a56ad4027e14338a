#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# CHAP, one way and mutual, as varve sets it up in the kernel's target: judged by
# open-iscsi and by libiscsi, with the right and with wrong secrets on both sides.
# smoke: no
# timeout: 300
# disks: 512
. /share/lib.sh
. /share/varved.sh
portal=127.0.0.1:3261
judge=iqn.2026-01.org.example:judge

load_modules virtio_blk sd_mod sg
ok "varved starts" start_varved
ok "a pool is made on a disk" varve -y pool create vms /dev/vda
ok "a LUN is made" varve lun create vms/a --size 64M
kernel_target
start_iscsid
umask 077
printf %s secret-of-the-host >/tmp/host.secret
printf %s secret-of-the-target >/tmp/target.secret
for host in "guest $guest_iqn" "judge $judge"; do
    ok "host ${host% *}, mutual" varve host add "${host% *}" --iqn "${host#* }" \
        --chap-user it --chap-file /tmp/host.secret \
        --mutual-user we --mutual-chap-file /tmp/target.secret
    ok "sees the LUN" varve export add vms/a --host "${host% *}" --carrier tcmu
done
iqn=$(value iqn export list vms/a | head -n 1)
note "$(cd "/sys/kernel/config/target/iscsi/$iqn/tpgt_1/acls/$judge/auth" && grep -H . userid userid_mutual authenticate_target | tr '\n' ' ')"

# ---- open-iscsi

# login OUR-SECRET THEIR-SECRET: with what the target is to prove itself by; - for none
login() {
    iscsiadm -m node -T "$iqn" -p $portal -o delete 2>/dev/null
    iscsi_node "$iqn" $portal it "$1" || return
    if [ "$2" != - ]; then
        iscsi_setting "$iqn" $portal node.session.auth.username_in we
        iscsi_setting "$iqn" $portal node.session.auth.password_in "$2"
    fi
    iscsi_login "$iqn" $portal
}

ok "open-iscsi: each proves itself" login secret-of-the-host secret-of-the-target
ok "it is a session" iscsi_logout "$iqn" $portal
refused "a target with another secret is refused" login secret-of-the-host secret-of-another
refused "so is a host" login secret-of-another- secret-of-the-target
ok "it may do without a proof of the target's" login secret-of-the-host -
ok "it is a session" iscsi_logout "$iqn" $portal

# ---- libiscsi

# inq USER SECRET TARGET-USER TARGET-SECRET
inq() {
    iscsi-inq -i $judge \
        "iscsi://$1%$2@$portal/$iqn/0?target_user=$3&target_password=$4"
}

ok "libiscsi: each proves itself" inq it secret-of-the-host we secret-of-the-target
cat /tmp/out >>/share/libiscsi.txt
refused "a target with another secret is refused" inq it secret-of-the-host we secret-of-another
cat /tmp/out >>/share/libiscsi.txt
refused "so is a target of another name" inq it secret-of-the-host they secret-of-the-target
refused "and a host with another secret" inq it secret-of-another- we secret-of-the-target
note "$(tr '\n' ' ' </share/libiscsi.txt)"

# Nobody has proved himself at the kernel's discovery, as it asks nobody: who insists on
# the target's proof does not take its answer.
refused "libiscsi: discovery proves nothing" iscsi-ls -i $judge \
    "iscsi://it%secret-of-the-host@$portal?target_user=we&target_password=secret-of-the-target"
cp /tmp/out /share/discovery.txt
ok "which is what it says" grep -q 'did not return CHAP_N' /share/discovery.txt
ok "without that it is answered" iscsi-ls -i $judge "iscsi://it%secret-of-the-host@$portal"

# What varve makes itself, as it says it.
ok "secrets that varve made" varve host set judge --chap-generate --mutual
varve --plain -o secret,mutual-secret host set judge --chap-generate --mutual >/tmp/made
secret=$(cut -f1 /tmp/made)
mutual=$(cut -f2 /tmp/made)
user=$(value mutual-user host show judge)
for i in 1 2 3 4 5 6 7 8; do
    ok "each proves itself by them ($i)" inq it "$secret" "$user" "$mutual"
done

# ---- the end

ok "mutual no more" varve host set judge --no-mutual
ok "libiscsi: the host alone proves itself" \
    iscsi-inq -i $judge "iscsi://it%$secret@$portal/$iqn/0"
refused "and is refused with another secret" \
    iscsi-inq -i $judge "iscsi://it%secret-of-another-@$portal/$iqn/0"
refused "libiscsi takes no target then that does not prove itself" \
    inq it "$secret" "$user" "$mutual"
ok "the exports go" varve export remove vms/a --host judge --force
ok "both" varve export remove vms/a --host guest --force
refused "no secret is in the log" grep -E 'secret-of' /share/varved.txt
ok "varved stops" stop_varved
note "$(dmesg | grep -i chap | tail -n 20 | tr '\n' '|')"
refused "the kernel has nothing to complain of" sh -c "dmesg | grep -E 'BUG|WARNING|hung|Call Trace'"
finish
