# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# For stories: a private directory, varved in it on a port of the kernel's
# choice, and claims that are counted.  A story sources this file first:
#
#	. "$(dirname "$0")/lib.sh"
#	requires varved varve qemu-img
#	start_varved
#	claim "a pool is made" varve pool create lab "$dir/lab.pool" --size 1G
#	finish
#
# Only processes that the story started are ever signalled, by their pid.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
BUILD=${BUILD:-$top/build}
case $BUILD in /*) ;; *) BUILD=$top/$BUILD ;; esac
# short: the path of a Unix socket has at most 107 bytes
dir=$(mktemp -d "${TMPDIR:-/tmp}/v.XXXXXX")
export NO_COLOR=1 TZ=UTC LC_ALL=C
export VARVE_CONNECT="unix:$dir/varve.sock"
varved_pid=
passed=0
failed=0
cleanups=()

# Ends the story as skipped when a program is missing.
requires() {
    local program
    for program; do
        if [ -x "$BUILD/$program" ]; then continue; fi
        if ! command -v "$program" >/dev/null; then
            echo "$program is not there: make deps, make"
            exit 1
        fi
    done
}

# cleanup COMMAND: runs at the end, the last first.
cleanup() { cleanups=("$1" "${cleanups[@]}"); }

at_end() {
    local status=$? command
    for command in "${cleanups[@]}"; do eval "$command"; done
    [ -z "$varved_pid" ] || kill_varved
    rm -rf "$dir"
    exit "$status"
}
trap at_end EXIT
trap 'exit 130' INT TERM

varve() { "$BUILD/varve" "$@"; }

# start_varved [OPTION...]: until it answers; the portal is in $portal.  It is
# $varved_program, if that is set.
start_varved() {
    local tries
    [ $# -gt 0 ] || set -- --portal 127.0.0.1:0
    "${varved_program:-$BUILD/varved}" --dir "$dir" "$@" >>"$dir/stderr.txt" 2>&1 </dev/null &
    varved_pid=$!
    for tries in $(seq 200); do
        if varve version >/dev/null 2>&1; then
            portal=$(varve --plain -o address portal list | head -n 1)
            return 0
        fi
        kill -0 "$varved_pid" 2>/dev/null || break
        sleep 0.05
    done
    echo "varved did not start ($tries tries):"
    tail -n 30 "$dir/stderr.txt"
    exit 1
}

# Asks varved to stop; its exit status.
stop_varved() {
    kill -TERM "$varved_pid"
    local status=0
    wait "$varved_pid" || status=$?
    varved_pid=
    return "$status"
}

kill_varved() {
    kill -KILL "$varved_pid" 2>/dev/null
    wait "$varved_pid" 2>/dev/null
    varved_pid=
}

# lun_url NAME [OPTION...]: exports it to the host h and prints where it is
lun_url() {
    local name=$1
    shift
    varve --json export add "$name" --host h "$@" |
        jq -r "\"iscsi://$portal/\" + .item.iqn + \"/\" + (.item.lun | tostring)"
}

# lun_io URL COMMAND...: qemu-io's commands on a LUN
lun_io() {
    local url=$1 command arguments=()
    shift
    for command; do arguments+=(-c "$command"); done
    qemu-io -f raw "${arguments[@]}" "$url"
}

ok() {
    passed=$((passed + 1))
    echo "ok   $1"
}

not_ok() {
    failed=$((failed + 1))
    echo "FAIL $1"
    sed 's/^/     | /' "$dir/out" "$dir/err" 2>/dev/null
}

# run COMMAND...: output to $out, errors to $err, its status to $status.
run() {
    status=0
    "$@" >"$dir/out" 2>"$dir/err" </dev/null || status=$?
    out=$(cat "$dir/out")
    err=$(cat "$dir/err")
}

# claim TEXT COMMAND...: it succeeds.
claim() {
    local text=$1
    shift
    run "$@"
    if [ "$status" = 0 ]; then ok "$text"; else not_ok "$text (exit $status)"; fi
}

# claim_exit CODE TEXT COMMAND...: it ends with CODE.
claim_exit() {
    local code=$1 text=$2
    shift 2
    run "$@"
    if [ "$status" = "$code" ]; then ok "$text"
    else not_ok "$text (exit $status, not $code)"; fi
}

# claim_text TEXT NEEDLE [HAYSTACK]: of the last run's output and errors.
claim_text() {
    case ${3-$out$'\n'$err} in
    *"$2"*) ok "$1" ;;
    *) not_ok "$1: no '$2'" ;;
    esac
}

# claim_equal TEXT A B
claim_equal() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1: '$2' is not '$3'"; fi
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ] || exit 1
    exit 0
}
