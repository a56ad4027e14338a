#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# SIGUSR2: the varved that is installed now takes over, in the same process, and
# one that would not start does not.  What that is for LUNs that the kernel
# exports is in tests/guest/suites/tcmu_life.sh.
. "$(dirname "$0")/lib.sh"
requires varved varve jq qemu-io
varved_program=$dir/bin/varved
mkdir "$dir/bin"
cp "$BUILD/varved" "$varved_program"
start_varved
varve pool create vms "$dir/vms.pool" --size 512M >/dev/null
varve lun create vms/a --size 1G >/dev/null
varve host add h --iqn iqn.2008-11.org.linux-kvm --no-chap >/dev/null
url=$(lun_url vms/a)
before=$(varve config export)
pid=$varved_pid

count() { grep -c -e "$1" "$dir/varved.log"; }
# until TEXT is in the log COUNT times
wait_log() {
    local tries
    for tries in $(seq 400); do
        [ "$(count "$1")" -lt "$2" ] || return 0
        sleep 0.05
    done
    echo "not $2 times after $tries tries: $1"
    return 1
}

# install COMMAND...: what it prints is the program from now on
install_program() {
    "$@" >"$dir/bin/new"
    chmod 755 "$dir/bin/new"
    mv "$dir/bin/new" "$varved_program"
}

claim "data is written and flushed" lun_io "$url" "write -P 0x11 0 1M" flush
lun_io "$url" "write -P 0x33 4M 64M" flush >"$dir/io" 2>&1 &
writer=$!
install_program cat "$BUILD/varved"
claim "another is installed, and this one is gone from its place" \
    sh -c "readlink /proc/$pid/exe | grep deleted"
for i in 1 2 3; do
    kill -USR2 "$pid"
    claim "it takes over ($i)" wait_log ' serves, ' $((i + 1))
done
claim "in the same process" kill -0 "$pid"
claim_equal "and is the one that is installed" "$(readlink "/proc/$pid/exe")" "$varved_program"
claim_equal "all is as it was" "$(varve config export)" "$before"
claim_equal "on the same portal" "$(varve --plain -o address portal list)" "$portal"
claim "who wrote meanwhile has logged in again, and lost nothing" wait "$writer"
claim "the data is there" lun_io "$url" "read -P 0x11 0 1M" "read -P 0x33 4M 64M"

install_program printf '#!/bin/sh\necho no good >&2\nexit 1\n'
kill -USR2 "$pid"
claim "one that does not start is not taken" wait_log 'does not take over: --check-config fails' 1
claim "and this one serves on" lun_io "$url" "read -P 0x11 0 1M"
install_program printf 'no program'
kill -USR2 "$pid"
claim "nor what is no program" wait_log 'does not take over: it cannot be run' 1
rm "$varved_program"
kill -USR2 "$pid"
claim "nor one that is not there" wait_log 'does not take over: it cannot be run' 2
install_program cat "$BUILD/varved"
echo 'nonsense' >"$dir/varve.conf"
kill -USR2 "$pid"
claim "nor with a configuration that is none" wait_log '--check-config fails' 2
rm "$dir/varve.conf"
claim "and this one serves on" lun_io "$url" "read -P 0x11 0 1M"
claim_equal "which is still the first that was asked for" "$(count ' serves, ')" 4

kill -USR2 "$pid"
wait_log 'takes over$' 4
claim "told to stop while another takes over" stop_varved
claim "it has stopped, and the pool is clean" varve rescue check "$dir/vms.pool"
finish
