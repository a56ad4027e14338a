# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# For scripts inside a guest of the kind "target": claims that are counted, and how a
# storage host is set up.  suite.py puts it into the guest's share and gives the script
# $part: smoke (what fits in make test) or all.
#
#   . /share/lib.sh
#   load_modules sd_mod brd ext4
#   ok "the disk is there" test -b /dev/ram0
#   finish
#
# Claims are also written to /share/claims, as kernel messages tear the console's lines.
set -u
part=${part:-all}
export LC_ALL=C NO_COLOR=1 TZ=UTC
passed=0
failed=0

says() {
    echo "$1"
    echo "$1" >>/share/claims
}

# known_fault WHERE: the next claim does not hold, by a fault that WHERE tells of.  If it
# does, that is a failure, so that a fault that was mended is noticed.
known_fault() { fault=$1; }
fault=

passes() {
    if [ -n "$fault" ]; then
        local was=$fault
        fault=
        fails "$1" "it holds, in spite of $was"
        return
    fi
    passed=$((passed + 1))
    says "ok $1"
}

# fails NAME [WHY]: a claim that does not hold, and what the last command said
fails() {
    if [ -n "$fault" ]; then
        passed=$((passed + 1))
        says "ok $1: no, as $fault says"
        fault=
        return
    fi
    failed=$((failed + 1))
    says "not ok $1${2:+: $2}"
    [ ! -s /tmp/out ] || tail -n 20 /tmp/out | sed 's/^/    | /' | tee -a /share/claims
}

# run COMMAND...: its output to /tmp/out, its status to $status
run() {
    status=0
    "$@" >/tmp/out 2>&1 </dev/null || status=$?
}

# ok NAME COMMAND...: it succeeds
ok() {
    local name=$1
    shift
    run "$@"
    if [ "$status" = 0 ]; then passes "$name"; else fails "$name" "exit $status"; fi
}

# refused NAME COMMAND...: it does not
refused() {
    local name=$1
    shift
    run "$@"
    if [ "$status" != 0 ]; then passes "$name"; else fails "$name" "it was not"; fi
}

# equal NAME A B
equal() {
    : >/tmp/out
    if [ "$2" = "$3" ]; then passes "$1"; else fails "$1" "'$2' is not '$3'"; fi
}

# within SECONDS COMMAND...: it succeeds, now or later
within() {
    local end
    end=$(($(date +%s) + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 0.1
    done
}

# In smoke, only what is in it; where the guest's time went is in the results.
all() { [ "$part" = all ]; }
note() { says "# $(cut -d' ' -f1 /proc/uptime) s: $*"; }

finish() {
    note "end"
    exit $((failed > 0))
}

# ---- the host ----

load_modules() { modprobe -a "$@"; }

mount_configfs() {
    load_modules configfs
    grep -q " /sys/kernel/config configfs " /proc/mounts || mount -t configfs none /sys/kernel/config
}

# ram_disk MEBIBYTES DIRECTORY: a file system in memory that takes O_DIRECT, which tmpfs
# of 6.1 does not
ram_disk() {
    modprobe ext4 && modprobe brd rd_nr=1 rd_size=$(($1 * 1024)) &&
    mkfs.ext4 -q -E nodiscard /dev/ram0 && mkdir -p "$2" && mount -t ext4 /dev/ram0 "$2"
}

start_iscsid() {
    load_modules iscsi_tcp
    mkdir -p /run/lock/iscsi /var/lock/iscsi
    iscsid -f >/share/iscsid.log 2>&1 &
    within 20 iscsiadm -m iface -o show >/dev/null 2>&1
}

# fio_verify DISK SIZE [OPTION...]: what is written is read back, with checksums
fio_verify() {
    local disk=$1 size=$2
    shift 2
    fio --name=verify --filename="$disk" --size="$size" --direct=1 --ioengine=libaio \
        --iodepth=32 --rw=randwrite --bsrange=4k-1m --verify=crc32c \
        --verify_fatal=1 --randrepeat=0 "$@"
}

# ---- disks ----

# disks_of_serial SERIAL: the SCSI disks whose unit serial number that is
disks_of_serial() {
    local device
    for device in /sys/block/sd*; do
        grep -qs "$1" "$device/device/vpd_pg80" && echo "/dev/${device##*/}"
    done
    return 0
}

# disk_of_serial SERIAL [COUNT]: waits until there are so many of them
disk_of_serial() {
    within 20 eval "[ \$(disks_of_serial '$1' | wc -l) -ge ${2:-1} ]" || return 1
    disks_of_serial "$1"
}

disk_bytes() { blockdev --getsize64 "$1"; }

# what the disk's SCSI device says it is: HOST:CHANNEL:ID:LUN
scsi_of() { basename "$(readlink -f "/sys/block/${1#/dev/}/device")"; }

# ---- the kernel's iSCSI initiator ----

guest_iqn() { sed -n 's/^InitiatorName=//p' /etc/iscsi/initiatorname.iscsi; }

iscsi_setting() {
    iscsiadm -m node -T "$1" -p "$2" -o update -n "$3" -v "$4"
}

# iscsi_node IQN PORTAL [USER SECRET]: open-iscsi knows the target from now on
iscsi_node() {
    iscsiadm -m node -T "$1" -p "$2" -o new || return
    [ $# -gt 2 ] || return 0
    iscsi_setting "$1" "$2" node.session.auth.authmethod CHAP
    iscsi_setting "$1" "$2" node.session.auth.username "$3"
    iscsi_setting "$1" "$2" node.session.auth.password "$4"
}

iscsi_login() {
    iscsi_setting "$1" "$2" node.session.initial_login_retry_max 1
    timeout 60 iscsiadm -m node -T "$1" -p "$2" --login
}

iscsi_logout() { timeout 60 iscsiadm -m node -T "$1" -p "$2" --logout; }
