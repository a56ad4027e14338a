#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The plugin as it is installed, in a private root: the loader takes the stock
# module's place and gives it back.  That libvirtd loads it is covered by libvirt.py.
. "$(dirname "$0")/lib.sh"
requires varve dpkg-divert

name=libvirt_storage_backend_iscsi-direct.so
modules=$dir/usr/lib/x86_64-linux-gnu/libvirt/storage-backend
claim "it is installed" make -s -C "$top" BUILD="$BUILD" DESTDIR="$dir" PREFIX=/usr \
    install-plugin
plugin() { sh "$dir/usr/sbin/varve-libvirt-plugin" "$@" --root "$dir"; }
claim_exit 1 "without libvirt's module there is nothing to do" plugin enable
claim_text "which is said" "is not installed"
for dpkg in no yes; do
    mkdir -p "$modules"
    echo stock >"$modules/$name"
    [ $dpkg = no ] || mkdir -p "$dir/var/lib/dpkg"
    claim "it is enabled (dpkg: $dpkg)" plugin enable
    claim "twice is once" plugin enable
    claim_equal "the loader is in the stock module's place" \
        "$(readlink "$modules/$name")" "/usr/lib/varve/libvirt/$name"
    claim_equal "which is beside it" "$(cat "$modules/$name.stock")" stock
    claim "its status" plugin status
    claim_text "is that" enabled
    if [ $dpkg = yes ]; then
        claim_text "dpkg knows" "$name.stock" \
            "$(dpkg-divert --root "$dir" --list "*$name")"
    fi
    claim "it is disabled" plugin disable
    claim_equal "the stock module is back" "$(cat "$modules/$name")" stock
    claim "and nothing else is there" test ! -e "$modules/$name.stock"
done
claim "the example's settings are comments" sh -c "! grep -v '^#' '$dir/etc/varve/libvirt.conf'"
echo mine >"$dir/etc/varve/libvirt.conf"
make -s -C "$top" BUILD="$BUILD" DESTDIR="$dir" PREFIX=/usr install-plugin
claim_equal "an administrator's settings are left alone" \
    "$(cat "$dir/etc/varve/libvirt.conf")" mine
finish
