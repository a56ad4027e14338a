#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# make demo: a varved of its own, a pool in a sparse file, a thin LUN, a host with
# CHAP, and the lines that connect to it.  Needs no root, listens on 127.0.0.1
# only, and leaves varved running in the background.
#
# Run again, it replaces its own earlier varved and goes on with the same pool.
# Everything is in one directory, DEMO_DIR; the last lines say how to stop varved
# and what to remove.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
dir=${DEMO_DIR:-${TMPDIR:-/tmp}/varve-demo-$(id -u)}
pidfile=$dir/varved.pid
# what qemu-img and QEMU without -name call themselves
initiator=iqn.2008-11.org.linux-kvm
export NO_COLOR=1 VARVE_CONNECT="unix:$dir/varve.sock"

die() { printf 'demo: %s\n' "$*" >&2; exit 1; }
say() { printf '\n# %s\n' "$*"; }
varve() { "$BUILD/varve" "$@"; }
show() {
    printf '$ %s\n' "$*"
    "$@"
}

# The directory must be ours alone: others may write to /tmp.
make_directory() {
    [ -d "$dir" ] || mkdir -m 700 "$dir" || die "cannot make $dir"
    if [ -L "$dir" ] || [ ! -O "$dir" ]; then die "$dir is not yours"; fi
    chmod 700 "$dir"
}

# Is that process the varved of this directory?  A pid alone proves nothing.
is_ours() {
    [ -r "/proc/$1/cmdline" ] || return 1
    tr '\0' '\n' <"/proc/$1/cmdline" | {
        read -r program && read -r option && read -r where
        case $program in */varved) ;; *) exit 1 ;; esac
        [ "$option" = --dir ] && [ "$where" = "$dir" ]
    }
}

stop_earlier() {
    local pid i
    [ -r "$pidfile" ] || return 0
    pid=$(cat "$pidfile")
    case $pid in '' | *[!0-9]*) rm -f "$pidfile"; return 0 ;; esac
    if ! is_ours "$pid"; then rm -f "$pidfile"; return 0; fi
    say "stopping the varved of an earlier demo, pid $pid"
    kill "$pid"
    for i in $(seq 300); do
        is_ours "$pid" || break
        sleep 0.1
    done
    is_ours "$pid" && die "it does not stop ($i tries); its log: $dir/varved.log"
    rm -f "$pidfile"
}

start_varved() {
    local pid i
    # a portal of an earlier demo is kept; the first gets a free port
    set -- --portal 127.0.0.1:0
    [ ! -e "$dir/varve.db" ] || set --
    setsid "$BUILD/varved" --dir "$dir" "$@" </dev/null >>"$dir/stderr.txt" 2>&1 &
    pid=$!
    echo "$pid" >"$pidfile"
    for i in $(seq 200); do
        varve version >/dev/null 2>&1 && return
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    tail -n 20 "$dir/stderr.txt" >&2
    die "varved did not start ($i tries)"
}

# Where libiscsi finds the secret: nothing of it in argv.
with_secret() {
    LIBISCSI_CHAP_USERNAME=demo LIBISCSI_CHAP_PASSWORD=$(cat "$dir/demo.secret") \
        "$@"
}

make_things() {
    varve pool show demo >/dev/null 2>&1 ||
        show varve pool create demo "$dir/demo.pool" --size 10G
    varve lun show demo/disk1 >/dev/null 2>&1 ||
        show varve lun create demo/disk1 --size 100G
    if ! varve host show demo >/dev/null 2>&1; then
        # QEMU takes the file as it is: no newline
        (umask 077 && head -c 12 /dev/urandom | base64 | tr -d '\n' \
            >"$dir/demo.secret")
        show varve host add demo --iqn "$initiator" --chap-file "$dir/demo.secret"
    fi
    [ -n "$(varve --plain export list --host demo)" ] ||
        show varve export add demo/disk1 --host demo
}

# An initiator reads the LUN, or the demo has failed.
verify() {
    if command -v iscsi-inq >/dev/null; then
        with_secret iscsi-inq -i "$initiator" "$url" >"$dir/inq.txt" ||
            die "iscsi-inq cannot reach $url"
        say "iscsi-inq logs in with CHAP and reads"
        grep -E '^(Vendor|Product)' "$dir/inq.txt"
    fi
    if command -v qemu-img >/dev/null &&
        qemu-img --help | grep -q '^Supported formats:.* iscsi'; then
        say "qemu-img logs in with CHAP and reads"
        with_secret qemu-img info "$url" | grep -E '^(file format|virtual size)'
    fi
}

make_directory
stop_earlier
say "varved --dir $dir"
start_varved
make_things
portal=$(varve --plain -o address portal list | head -n 1)
row=$(varve --plain -o iqn,lun export list --host demo | head -n 1)
url=iscsi://$portal/${row%$'\t'*}/${row#*$'\t'}
verify

say "the LUN is thin: size is promised, live is what was written"
show varve lun list

say "the lines below read the secret from a file; here it is in"
echo "cd $dir"
say "connect QEMU"
varve host connect demo --for qemu
say "connect the kernel's initiator (open-iscsi), as root"
varve host connect demo --for open-iscsi
say "connect libvirt's stock iscsi-direct pool"
varve host connect demo --for libvirt

say "varved goes on in the background, pid $(cat "$pidfile"); talk to it:"
echo "export VARVE_CONNECT=$VARVE_CONNECT"
say "stop it:"
echo "kill $(cat "$pidfile")"
say "remove all of it, once it is stopped:"
echo "rm -r $dir"
