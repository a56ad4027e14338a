#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What destroys data asks for the name to be typed; secrets are asked for
# without being shown.  Terminals are those of script(1).
. "$(dirname "$0")/lib.sh"
requires varved varve script
start_varved
varve pool create vms "$dir/vms.pool" --size 256M >/dev/null
varve lun create vms/a --size 1G >/dev/null

claim_exit 10 "without a terminal nothing is deleted" varve lun delete vms/a --now
claim_text "and it says how" "varve lun delete vms/a --now --yes"
claim "it is still there" varve lun show vms/a
claim_exit 4 "varved is asked first" varve lun delete vms/b --now

# on_terminal INPUT COMMAND: its output to $out, its status to $status
on_terminal() {
    status=0
    # the pause lets the question come first, as with people
    { sleep 0.5; printf '%s\n' "$1"; sleep 0.5; } |
        script -qec "$2" /dev/null >"$dir/out" 2>&1 || status=$?
    out=$(cat "$dir/out")
    err=
}
on_terminal vms/b "$BUILD/varve lun delete vms/a --now"
claim_equal "another name ends it" "$status" 10
claim_text "the question names the LUN" "Type vms/a"
claim "it is still there" varve lun show vms/a
on_terminal vms/a "$BUILD/varve lun delete vms/a --now"
claim_equal "its name deletes it" "$status" 0
claim_exit 4 "it is gone" varve lun show vms/a

varve lun create vms/c --size 1G >/dev/null
claim_exit 10 "without a terminal no reservation is broken" varve lun release vms/c
claim "with --yes it is" varve lun release vms/c --yes
claim "what the trash can bring back is not asked about" varve lun delete vms/c
claim_text "and it says how it comes back" "varve trash restore vms/c"
claim_exit 10 "what is deleted from there is" varve trash delete vms/c
claim_exit 10 "as is all of it" varve trash empty vms
claim "--yes is enough" varve trash empty vms --yes

on_terminal correct-horse-battery \
    "$BUILD/varve host add h --iqn iqn.2026-01.org.example:h --chap"
claim_equal "a secret is asked for" "$status" 0
case $out in *correct-horse*) not_ok "the secret was shown" ;;
*) ok "and not shown" ;; esac
claim "the host has CHAP" varve --plain -o auth host show h
claim_equal "by that secret" "$out" chap
claim_exit 2 "without a terminal there is a hint" \
    setsid -w "$BUILD/varve" host add i --iqn iqn.2026-01.org.example:i --chap
claim_text "to the file" "--chap-file"
finish
