#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Problems are said so that they can be mended, with exit codes for scripts;
# every method of the table is known to varved, and nothing else is.
. "$(dirname "$0")/lib.sh"
requires varved varve jq python3

claim_exit 7 "without varved" varve lun list
claim_text "it is said so" "error: varved is not running   [daemon.not-running]"
claim_text "with the command that starts it" "varved --dir $dir"
claim_exit 7 "also as JSON" varve --json lun list
claim_equal "with the code" "$(jq -r .error.code <<<"$out")" daemon.not-running

start_varved
claim "a pool" varve pool create vms "$dir/vms.pool" --size 256M
claim "a LUN" varve lun create vms/a --size 1G

claim_exit 2 "a bare size" varve lun create vms/b --size 100
claim_text "has its hint" "did you mean 100G?"
claim_exit 2 "a misspelt verb" varve lun crate vms/b --size 1G
claim_text "has its hint" "varve lun create"
claim_exit 4 "no such pool" varve lun create wms/b --size 1G
claim_text "by its code" "[pool.not-found]"
claim_exit 4 "no such LUN" varve lun show vms/b
claim_exit 5 "a name that is taken" varve lun create vms/a --size 1G
claim_text "by its code" "[lun.exists]"
claim_exit 2 "a LUN that is too large" varve lun create vms/b --size 1000T
claim_exit 5 "a pool on a file in use" varve pool create two "$dir/vms.pool"
claim_exit 2 "a host without proof" varve host add h --iqn iqn.2026-01.x:h
claim_text "says the ways" "--no-chap"
claim_exit 4 "export to nobody" varve export add vms/a --host h
claim_exit 4 "no such session" varve session drop 4711
claim_exit 2 "no address" varve portal add nowhere.example:x
claim_exit 5 "a portal that is there" varve portal add "$portal"
claim_exit 1 "a second varved in the same directory" sh -c \
    "'$BUILD/varved' --dir '$dir' || exit 1"

# each error has what, why or fix, and a code that the manual explains
for code in pool.not-found lun.exists; do
    claim "the manual explains $code" \
        grep -q "^\*$code\*" "$top/docs/man/varve-errors.7.scd"
done

# a method of the table is never unknown to varved, one beside it always
cat >"$dir/methods.py" <<'END'
import json, socket, subprocess, sys
varve, path = sys.argv[1:]
schema = json.loads(subprocess.run([varve, "api", "schema"], check=True,
                                   capture_output=True).stdout)
text = json.dumps(schema)
commands = subprocess.run([varve, "help", "--scdoc=commands"], check=True,
                          capture_output=True, text=True).stdout
names = [line[9:].replace(" ", ".") for line in commands.splitlines()
         if line.startswith("## varve ")]
local = {"completion", "doctor", "job.watch", "rescue.check", "rescue.extract", "rescue.dump", "rescue.undo",
         "snap.read", "snap.serve"} | {n for n in names if n.startswith("backup.")}
s = socket.socket(socket.AF_UNIX)
s.connect(path)
f = s.makefile("rw")
def ask(method):
    # an argument that no method has: whatever is known refuses that
    f.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method,
                        "params": {"no such argument": 1}}) + "\n")
    f.flush()
    return json.loads(f.readline())["error"]["data"]["code"]
bad = [n for n in names if n not in local and ask(n) != "request.argument"]
bad += [n for n in names if n not in local and f'"{n}"' not in text]
bad += [n for n in ("lun.frobnicate", "rescue.check", "completion", "")
        if ask(n) != "request.method"]
print(len(names), "commands", bad)
sys.exit(bool(bad) or len(names) < 30)
END
claim "every command has its method, and the reverse" \
    python3 "$dir/methods.py" "$BUILD/varve" "$dir/varve.sock"
finish
