#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The machines that tests boot in QEMU where this kernel has no SCSI: Debian's own
# kernel, and a root of busybox with the modules and programs that tests ask for.
# Made anew in seconds when something it is made of has changed.
#
#   build.sh [KIND]   makes $BUILD/guest/vmlinux and $BUILD/guest/KIND.cpio
#
#   agent    virtio disks, and QEMU's guest agent, for libvirt
#   scsi     SCSI disks from outside, and the tools for them; 20 MB
#   target   a whole storage host: LIO with TCMU, the kernel's iSCSI initiator, varved
#   peers    the same, with tcmu-runner, its file handler and targetcli
#
# The kernel is unpacked here: Debian's is XZ, which costs the emulated machine two
# seconds at each boot.  So is the root: no compression.
set -eu
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
kernel=build/deps/kernel
guest=$build/guest
kind=${1:-scsi}
common_modules="virtio_pci virtio_blk sd_mod sg ext4"
served=
common_programs="modprobe ddpt ddptctl $(dpkg -L sg3-utils | sed -n 's|^/usr/bin/||p')"

case $kind in
agent)
    modules="virtio_pci virtio_blk virtio_console ext4 crc32c_generic"
    programs="modprobe qemu-ga"
    ;;
scsi)
    modules="$common_modules virtio_scsi"
    programs=$common_programs
    ;;
target | peers)
    modules="$common_modules 9p 9pnet_virtio brd configfs xfs
        target_core_mod target_core_user target_core_file target_core_iblock
        tcm_loop iscsi_target_mod scsi_transport_iscsi iscsi_tcp
        scsi_dh_alua dm_mod dm_multipath dm_round_robin crc32c_generic"
    programs="$common_programs bash fio mkfs.ext4 e2fsck
        resize2fs fstrim fsfreeze blkdiscard blockdev dd lsblk dmsetup
        iscsid iscsiadm iscsi-inq iscsi-ls iscsi-readcapacity16 iscsi-test-cu"
    # they come in the share; here their libraries, and what varved loads if it is told to
    served="$build/varved $build/varve $(ldconfig -p | sed -n '/libtcmu\.so\.2 /s/.* => //p')"
    ;;
*)
    echo "build.sh: no kind of guest is called '$kind'" >&2
    exit 2
    ;;
esac
tree= # whole packages, unpacked
if [ "$kind" = peers ]; then
    tree=build/deps/peers
    programs="$programs strace"
fi

mkdir -p "$build"
tests/deps.sh kernel
[ "$kind" != peers ] || tests/deps.sh peers
exec 9>"$guest.lock" # two tests may come at once
flock 9
mkdir -p "$guest"
version=$(cat $kernel/version)
root=$guest/$kind

# up_to_date FILE SOURCE...
up_to_date() {
    local file=$1 source
    shift
    for source; do
        [ "$file" -nt "$source" ] || return 1
    done
}

# Debian's bzImage has the kernel behind its loader, as one stream of XZ.
unpack_kernel() {
    python3 - "$kernel/boot/vmlinuz-$version" "$guest/vmlinux.new" <<'PYTHON'
import lzma
import pathlib
import sys
image = pathlib.Path(sys.argv[1]).read_bytes()
stream = image[image.index(b"\xfd7zXZ\0"):]
pathlib.Path(sys.argv[2]).write_bytes(lzma.LZMADecompressor().decompress(stream))
PYTHON
    mv "$guest/vmlinux.new" "$guest/vmlinux"
}

# where_is PROGRAM...: their files, whatever leads to them
where_is() {
    local program
    for program; do readlink -f "$(command -v "$program")"; done
}

# libraries FILE...: what they are linked to, and those that are libraries
libraries() {
    { ldd "$@" 2>/dev/null | sed -n 's/.*[[:space:]]\(\/[^ ]*\) (.*/\1/p'
      printf '%s\n' "$@" | sed -n '/\.so\./p'; } | sort -u
}

# What of the packages may be linked to something.
tree_objects() {
    [ -z "$tree" ] || find "$tree" -type f \( -name '*.so*' -o -path '*/bin/*' \)
}

copy_tree() {
    [ -z "$tree" ] || cp -a "$tree"/{etc,lib,usr} "$root/"
}

copy_programs() {
    local program file
    for program in $programs; do
        file=$(where_is "$program")
        mkdir -p "$root$(dirname "$file")"
        cp -L "$file" "$root$file"
        [ "$(basename "$file")" = "$program" ] || ln -sf "$file" "$root/sbin/$program"
    done
    # shellcheck disable=SC2046,SC2086 # lists of words
    libraries $(where_is $programs) $served $(tree_objects) >"$guest/$kind.libraries"
    while read -r file; do
        mkdir -p "$root$(dirname "$file")"
        cp -L "$file" "$root$file"
    done <"$guest/$kind.libraries"
}

copy_modules() {
    local module file to
    mkdir -p "$root/lib/modules/$version"
    for module in $modules; do
        modprobe -d "$kernel" -S "$version" --show-depends "$module" |
            sed -n 's/^insmod \([^ ]*\).*/\1/p'
    done | sort -u | while read -r file; do
        to=$root/lib/modules/${file#*/lib/modules/}
        mkdir -p "$(dirname "$to")"
        cp "$file" "$to"
    done
    cp $kernel/lib/modules/"$version"/modules.{builtin,order,builtin.modinfo} \
        "$root/lib/modules/$version/"
    depmod -b "$root" "$version"
}

# What open-iscsi finds on any host.  Its own daemon is started by hand.
configure() {
    mkdir -p "$root"/etc/iscsi "$root"/var/{lib,log,lock,target/pr}
    ln -s /run "$root/var/run"
    echo 'root:x:0:0:root:/tmp:/bin/sh' >"$root/etc/passwd"
    echo 'messagebus:x:100:100::/:/bin/sh' >>"$root/etc/passwd" # dbus-daemon's, which peers talk by
    echo 'root:x:0:' >"$root/etc/group"
    echo '127.0.0.1 localhost' >"$root/etc/hosts"
    echo 'InitiatorName=iqn.2026-01.org.example:guest' \
        >"$root/etc/iscsi/initiatorname.iscsi"
    cp /etc/mke2fs.conf "$root/etc/"
    grep -v '^iscsid.startup' /etc/iscsi/iscsid.conf >"$root/etc/iscsi/iscsid.conf"
}

make_image() {
    rm -rf "$root"
    mkdir -p "$root"/{bin,sbin,dev,proc,sys,tmp,run,mnt,share,lib64}
    copy_modules
    cp /bin/busybox "$root/bin/busybox"
    copy_tree
    copy_programs
    case $kind in
    target | peers) configure ;;
    esac
    install -m 755 tests/guest/init "$root/init"
    (cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc --quiet) >"$guest/$kind.new"
    rm -rf "$root"
    mv "$guest/$kind.new" "$guest/$kind.cpio"
}

# served's libraries, too
has_libraries() {
    # shellcheck disable=SC2086 # a list of words
    [ -z "$(libraries $served | comm -23 - "$guest/$kind.libraries")" ]
}

up_to_date "$guest/vmlinux" "$kernel/version" || unpack_kernel
if ! up_to_date "$guest/$kind.cpio" tests/guest/build.sh tests/guest/init \
    "$kernel/version" || ! has_libraries; then
    make_image
fi
