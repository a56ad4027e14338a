#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The lines of host connect for open-iscsi, multipath and Proxmox VE, run as they are
# printed: with Debian's own iscsiadm, which writes its records, in a mount namespace
# where /etc/iscsi and /etc/multipath are empty.  What needs the kernel (--login), and
# the programs that are not there (multipathd, pvesm), are scripts that note how they
# were called; what iscsid makes of its configuration is not covered.  Logging in by such records is covered by tests/guest, the lines for
# libvirt and QEMU by tests/libvirt.
. "$(dirname "$0")/lib.sh"
requires varved varve iscsiadm unshare
own_etc="
    mount -t tmpfs own '$dir/overlay'
    mkdir '$dir/overlay/up' '$dir/overlay/work'
    mount -t overlay own -o lowerdir=/etc,upperdir='$dir/overlay/up',workdir='$dir/overlay/work' /etc"
mkdir "$dir/overlay"
if ! unshare -m sh -ec "$own_etc" 2>/dev/null; then
    echo "it needs root, a mount namespace, and overlayfs"
    exit 77
fi

start_varved --portal 127.0.0.1:0 --portal 127.0.0.2:0
mapfile -t portals < <(varve --plain -o address portal list)
varve pool create vms "$dir/vms.pool" --size 256M >/dev/null
varve lun create vms/web01 --size 16M >/dev/null
iqn=iqn.1993-08.org.debian:01:5f2a
varve host add kvm1 --iqn $iqn --chap-generate --mutual >/dev/null
varve export add vms/web01 --host kvm1 >/dev/null
target=$(varve --plain -o iqn export list vms/web01)

mkdir "$dir/bin" "$dir/iscsi" "$dir/multipath" "$dir/home"
cat >"$dir/bin/iscsiadm" <<END
#!/bin/sh
case "\$*" in
*--login) echo "iscsiadm \$*" >>"$dir/called" ;;
*) exec $(command -v iscsiadm) "\$@" ;;
esac
END
for program in multipathd pvesm; do
    printf '#!/bin/sh\necho "%s $*" >>"%s/called"\n' $program "$dir" >"$dir/bin/$program"
done
chmod 755 "$dir"/bin/*
echo "InitiatorName=$iqn" >"$dir/initiatorname.iscsi"
printf 'node.startup = manual\n' >"$dir/iscsid.conf"

# pasted PROGRAM: in a directory with the secrets; what it leaves in $dir/iscsi
pasted() {
    rm -rf "$dir/iscsi" "$dir/multipath" "$dir/called"
    mkdir "$dir/iscsi" "$dir/multipath"
    cp "$dir/initiatorname.iscsi" "$dir/iscsid.conf" "$dir/iscsi"
    printf 'in-secret-of-kvm1' >"$dir/home/kvm1.secret"
    printf 'out-secret-of-varve' >"$dir/home/kvm1.mutual"
    varve host connect kvm1 --for "$1" >"$dir/lines" || return 1
    # /etc is an overlay there: no directory of it need be there, and none stays
    (cd "$dir/home" && unshare -m sh -ec "
        $own_etc
        mkdir -p /etc/iscsi /etc/multipath
        mount --bind '$dir/iscsi' /etc/iscsi
        mount --bind '$dir/multipath' /etc/multipath
        PATH=$dir/bin:\$PATH exec bash -e" <"$dir/lines")
}
records() { find "$dir/iscsi/nodes" -type f -exec cat {} +; }

claim "open-iscsi" pasted open-iscsi
claim_equal "finds the initiator's name right" "$(grep -c differs <<<"$out")" 0
claim_text "one record has the secret" "node.session.auth.password = in-secret-of-kvm1" "$(records)"
claim_text "and the other direction's" "node.session.auth.password_in = out-secret-of-varve" "$(records)"
claim_text "for the user" "node.session.auth.username = kvm1" "$(records)"
claim_text "by CHAP" "node.session.auth.authmethod = CHAP" "$(records)"
claim_text "at each start" "node.startup = automatic" "$(records)"
claim_equal "and is logged in to" "$(cat "$dir/called")" \
    "iscsiadm -m node -T $target -p ${portals[0]} --login"

claim "multipath" pasted multipath
claim_equal "logs in by both paths" "$(grep -- --login "$dir/called")" \
    "$(for p in "${portals[@]}"; do echo "iscsiadm -m node -T $target -p $p --login"; done)"
claim_equal "with a record of each" "$(records | grep -c in-secret-of-kvm1)" 2
claim_text "multipathd reads" "multipathd reconfigure" "$(cat "$dir/called")"
conf=$(cat "$dir/multipath/conf.d/varve.conf")
claim_text "a section for varve's disks" 'vendor "VARVE"' "$conf"
claim_equal "with its braces closed" "$(tr -cd '{' <<<"$conf" | wc -c)" "$(tr -cd '}' <<<"$conf" | wc -c)"

claim "proxmox" pasted proxmox
claim_equal "adds a storage" "$(cat "$dir/called")" \
    "pvesm add iscsi vms --portal ${portals[0]} --target $target --content images"
for use in discovery.sendtargets node.session; do
    claim_equal "iscsid.conf has the secret for $use" \
        "$(grep "^$use.auth." "$dir/iscsi/iscsid.conf")" "$use.auth.authmethod = CHAP
$use.auth.username = kvm1
$use.auth.password = in-secret-of-kvm1"
done
claim_text "and what it had" "node.startup = manual" "$(cat "$dir/iscsi/iscsid.conf")"

echo "InitiatorName=iqn.other" >"$dir/initiatorname.iscsi"
claim "a wrong initiator's name" pasted open-iscsi
claim_text "is said" "InitiatorName differs from $iqn"
finish
