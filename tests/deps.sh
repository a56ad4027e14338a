#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Installs what building and testing varve needs on Debian 12.  Quick when it is
# all there.  Headers that Debian ships in no -dev package (libtcmu's, libvirt's
# storage backend interface) are unpacked from Debian's own source packages into
# build/deps/, through a private apt configuration made of this machine's own
# mirrors: no system file is changed.
#
#   deps.sh          packages and source headers
#   deps.sh source NAME...   only unpack these source packages (the bench: fio)
#   deps.sh libvirt          also what only make test-libvirt needs
#   deps.sh kernel           only unpack Debian's kernel, which guests boot
#   deps.sh peers            only unpack what else serves LUNs by LIO: tcmu-runner, targetcli
#   deps.sh sshd             only unpack OpenSSH's server
#   deps.sh ceph             packages, and those of a Ceph of one node
#   deps.sh recipes          packages, and restic, borg, Prometheus
set -eu
cd "$(dirname "$0")/.."
deps=$PWD/build/deps

build_packages="build-essential pkg-config clang liburing-dev libisal-dev
    uuid-dev libjansson-dev libsqlite3-dev libinih-dev libgnutls28-dev
    libiscsi-dev libzstd-dev
    libsystemd-dev systemtap-sdt-dev uthash-dev scdoc
    libvirt-dev libglib2.0-dev libxml2-dev"
test_packages="libcmocka-dev libiscsi-bin qemu-utils
    qemu-block-extra qemu-system-common
    qemu-system-x86 busybox-static kmod cpio fuse3 fio e2fsprogs zstd libnbd-bin openssl gnutls-bin sg3-utils ddpt python3 jq sqlite3 bash-completion
    clang-format tgt util-linux dmsetup open-iscsi libtcmu2
    libvirt-daemon libvirt-clients libvirt-daemon-driver-qemu
    libvirt-daemon-driver-storage-iscsi-direct"
ceph_packages="ceph-mon ceph-osd ceph-common"
recipe_packages="restic borgbackup prometheus prometheus-node-exporter"
source_packages="tcmu libvirt"
peer_packages="tcmu-runner libtcmu2 libnl-3-200 libnl-genl-3-200
    targetcli-fb python3-configshell-fb python3-rtslib-fb python3-gi python3-six
    python3-pyudev python3-pyparsing gir1.2-glib-2.0 libgirepository-1.0-1
    python3.11-minimal libpython3.11-minimal libpython3.11-stdlib
    dbus-daemon dbus-system-bus-common libdbus-1-3 libapparmor1 libaudit1 libcap-ng0 libexpat1"

say() { printf '%s\n' "$*"; }
die() { say "deps: $*" >&2; exit 1; }

missing() {
    for p in $1; do
        dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null |
            grep -qx installed || printf '%s ' "$p"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "run as root, or install these packages: $want"
    fi
}

# tgt's and tcmu's init scripts would start daemons that nobody asked for.
without_services() {
    if [ -e /usr/sbin/policy-rc.d ] || [ -d /run/systemd/system ]; then
        "$@"
        return
    fi
    as_root sh -c 'printf "#!/bin/sh\nexit 101\n" > /usr/sbin/policy-rc.d
                   chmod 755 /usr/sbin/policy-rc.d'
    local rc=0
    "$@" || rc=$?
    as_root rm -f /usr/sbin/policy-rc.d
    return $rc
}

install_packages() {
    want=$(missing "$build_packages $test_packages")
    [ -n "$want" ] || return 0
    command -v apt-get >/dev/null || die "not Debian; it needs: $want"
    say "installing: $want"
    as_root apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    without_services as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $want >/dev/null
    want=$(missing "$build_packages $test_packages")
    [ -z "$want" ] || die "could not install: $want"
}

# The machine's Debian mirrors, as deb-src, in a directory of our own.
private_apt() {
    mkdir -p "$deps/apt/parts" "$deps/apt/lists/partial" "$deps/apt/cache/archives/partial"
    rm -f "$deps"/apt/parts/*
    for f in /etc/apt/sources.list.d/*.sources; do
        if ! grep -q debian "$f" 2>/dev/null; then continue; fi
        sed 's/^Types:.*/Types: deb-src/' "$f" \
            > "$deps/apt/parts/$(basename "$f")"
    done
    for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -e "$f" ] || continue
        sed -n 's/^deb \(.*debian.*\)/deb-src \1/p' "$f" \
            > "$deps/apt/parts/$(basename "$f" .list).list"
    done
}

apt_source() {
    apt-get -qq -o Dir::Etc::sourcelist=/dev/null \
        -o Dir::Etc::sourceparts="$deps/apt/parts" \
        -o Dir::State::lists="$deps/apt/lists" \
        -o Dir::Cache="$deps/apt/cache" \
        -o APT::Sandbox::User=root -o Acquire::Retries=3 "$@"
}

unpack_sources() {
    local todo=
    for s in "$@"; do
        [ -d "$deps/src/$s" ] || todo="$todo $s"
    done
    [ -n "$todo" ] || return 0
    private_apt
    apt_source update
    for s in $todo; do
        say "unpacking Debian's source of $s"
        rm -rf "$deps/tmp" && mkdir -p "$deps/tmp" "$deps/src"
        (cd "$deps/tmp" && apt_source source --download-only "$s" >/dev/null &&
            dpkg-source --no-check -x ./*.dsc tree >/dev/null 2>&1) ||
            die "cannot fetch or unpack the source package of $s"
        mv "$deps/tmp/tree" "$deps/src/$s"
    done
    rm -rf "$deps/tmp"
}

fetch_kernel() {
    local package
    package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: //p' | head -1)
    [ -n "$package" ] && apt-get download -qq -o APT::Sandbox::User=root "$package"
}

# Debian's kernel, not installed: what it needs to run in QEMU, of its modules all
# but those for hardware that no guest has.  kernel/version is there when it is whole.
unpack_kernel() {
    local version
    [ ! -e "$deps/kernel/version" ] || return 0
    say "unpacking Debian's kernel"
    rm -rf "$deps/kernel" && mkdir -p "$deps/kernel/tmp"
    (cd "$deps/kernel/tmp" && { fetch_kernel || { as_root apt-get update -qq && fetch_kernel; }; }) ||
        die "cannot fetch Debian's kernel"
    dpkg-deb --fsys-tarfile "$deps"/kernel/tmp/*.deb | tar -x -C "$deps/kernel" \
        --exclude='*/kernel/sound' --exclude='*/kernel/drivers/gpu' \
        --exclude='*/kernel/drivers/media' --exclude='*/kernel/drivers/net/*' \
        ./boot ./lib/modules
    rm -rf "$deps/kernel/tmp"
    version=$(ls "$deps/kernel/lib/modules")
    depmod -b "$deps/kernel" "$version"
    printf '%s\n' "$version" >"$deps/kernel/version"
}

fetch_peers() {
    # shellcheck disable=SC2086 # a list of words
    apt-get download -qq -o APT::Sandbox::User=root $peer_packages
}

# Debian's packages, not installed: this machine is to have no second LIO daemon.  Of
# tcmu-runner's handlers the one for files is an example in its source, in no package.
# peers/whole is there when it is.
unpack_peers() {
    local deb
    [ ! -e "$deps/peers/whole" ] || return 0
    unpack_sources tcmu
    say "unpacking tcmu-runner and targetcli"
    rm -rf "$deps/peers" && mkdir -p "$deps/peers/tmp"
    (cd "$deps/peers/tmp" && { fetch_peers || { as_root apt-get update -qq && fetch_peers; }; }) ||
        die "cannot fetch tcmu-runner and targetcli"
    for deb in "$deps"/peers/tmp/*.deb; do dpkg-deb -x "$deb" "$deps/peers"; done
    rm -rf "$deps/peers/tmp" "$deps"/peers/usr/share/{doc,man,locale,lintian}
    (cd "$deps"/peers/usr/lib/*/tcmu-runner && gcc -shared -fPIC -O2 -std=gnu99 -w \
        -I"$deps/src/tcmu" -I"$deps/src/tcmu/ccan" "$deps/src/tcmu/file_example.c" \
        -o handler_file.so)
    ln -s python3.11 "$deps/peers/usr/bin/python3"
    touch "$deps/peers/whole"
}

fetch_sshd() {
    apt-get download -qq -o APT::Sandbox::User=root openssh-server libwrap0
}

# Not installed: this machine is to have no second door.  sshd/whole is there when it is.
unpack_sshd() {
    local deb
    [ ! -e "$deps/sshd/whole" ] || return 0
    say "unpacking OpenSSH's server"
    rm -rf "$deps/sshd" && mkdir -p "$deps/sshd/tmp"
    (cd "$deps/sshd/tmp" && { fetch_sshd || { as_root apt-get update -qq && fetch_sshd; }; }) ||
        die "cannot fetch openssh-server"
    for deb in "$deps"/sshd/tmp/*.deb; do dpkg-deb -x "$deb" "$deps/sshd"; done
    rm -rf "$deps/sshd/tmp"
    touch "$deps/sshd/whole"
}

if [ "${1:-}" = sshd ]; then
    want=$(missing openssh-client)
    [ -z "$want" ] || as_root apt-get install -y -qq --no-install-recommends $want >/dev/null
    unpack_sshd
    exit
fi
if [ "${1:-}" = kernel ]; then
    unpack_kernel
    exit
fi
if [ "${1:-}" = peers ]; then
    unpack_peers
    exit
fi
if [ "${1:-}" = source ]; then
    shift
    unpack_sources "$@"
    exit
fi
case ${1:-} in
libvirt) test_packages="$test_packages virtinst python3-libvirt qemu-guest-agent" ;;
ceph) test_packages="$test_packages $ceph_packages" ;;
recipes) test_packages="$test_packages $recipe_packages" ;;
esac
if [ "${1:-}" = ceph ] || [ "${1:-}" = recipes ]; then
    install_packages
    exit
fi
install_packages
# shellcheck disable=SC2086
unpack_sources $source_packages
unpack_kernel
