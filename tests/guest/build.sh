#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The machine that tests boot in QEMU where this kernel has no SCSI: Debian's own
# kernel, and a root of busybox with the modules that tests ask for.  Made anew
# in seconds when something it is made of has changed.
#
#   build.sh     makes $BUILD/guest/vmlinuz and initrd.cpio
set -eu
cd "$(dirname "$0")/../.."
kernel=build/deps/kernel
guest=${BUILD:-build}/guest
modules="virtio_pci virtio_blk virtio_scsi sd_mod sg ext4"
programs="modprobe ddpt ddptctl $(dpkg -L sg3-utils | sed -n 's|^/usr/bin/||p')"

tests/deps.sh kernel
exec 9>"$guest.lock" # two tests may come at once
flock 9
[ "$guest/initrd.cpio" -nt tests/guest/build.sh ] &&
    [ "$guest/initrd.cpio" -nt tests/guest/init ] &&
    [ "$guest/initrd.cpio" -nt "$kernel/version" ] && exit
version=$(cat $kernel/version)
root=$guest/root
rm -rf "$guest"
mkdir -p "$root"/{bin,sbin,dev,proc,sys,tmp,run,mnt,lib64}
mkdir -p "$root/lib/modules/$version"

# A program and the libraries it is linked to.
copy() {
    local file
    mkdir -p "$root$(dirname "$1")"
    cp -L "$1" "$root$1"
    ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | while read -r file; do
        [ -e "$root$file" ] && continue
        mkdir -p "$root$(dirname "$file")"
        cp -L "$file" "$root$file"
    done
}

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
cp /bin/busybox "$root/bin/busybox"
for program in $programs; do
    copy "$(readlink -f "$(command -v "$program")")"
done
ln -s "$(readlink -f "$(command -v modprobe)")" "$root/sbin/modprobe"
install -m 755 tests/guest/init "$root/init"
cp $kernel/boot/vmlinuz-"$version" "$guest/vmlinuz"
(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc --quiet) >"$guest/initrd.new"
mv "$guest/initrd.new" "$guest/initrd.cpio"
