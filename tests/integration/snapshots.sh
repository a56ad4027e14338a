#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The second day of an admin: snapshots before changes, clones to try things,
# rolling back, getting back what was deleted, and what a backup asks for.  What
# an initiator reads is looked at, not only what varve says.  Snapshots under
# load and power cuts are covered elsewhere (tests/sim, tests/model).
# timeout: 300
. "$(dirname "$0")/lib.sh"
requires varved varve jq qemu-io iscsi-inq
start_varved
iqn=iqn.2008-11.org.linux-kvm # what qemu-io calls itself
varve pool create vms "$dir/vms.pool" --size 2G >/dev/null
varve lun create vms/web01 --size 1G >/dev/null
varve lun create vms/db01 --size 1G >/dev/null
varve host add h --iqn "$iqn" --no-chap >/dev/null

# reads TEXT URL PATTERN OFFSET LENGTH; -r: a snapshot is write protected
reads() {
    run qemu-io -r -f raw -c "read -P $3 $4 $5" "$2"
    case $out in
    *"verification failed"* | *"read failed"*) not_ok "$1" ;;
    *"read "*) ok "$1" ;;
    *) not_ok "$1" ;;
    esac
}
value() { varve --plain -o "$1" "${@:2}"; }

web=$(lun_url vms/web01)
db=$(lun_url vms/db01)

# ---- a snapshot keeps what was

claim "data is written" lun_io "$web" "write -P 0x11 0 4M" "write -P 0x12 100M 64k" flush
claim "a snapshot is taken" varve snap create vms/web01@mon
claim_equal "it maps what the LUN maps" "$(value live snap show vms/web01@mon)" 4259840
claim "the LUN changes" lun_io "$web" "write -P 0x21 1M 1M" "discard 100M 64k" flush
mon=$(lun_url vms/web01@mon)
reads "the LUN has what was written" "$web" 0x21 1M 1M
reads "and what was not touched" "$web" 0x11 0 1M
reads "and zeros where it was trimmed" "$web" 0 100M 64k
reads "the snapshot has what was before" "$mon" 0x11 0 4M
reads "also what was trimmed since" "$mon" 0x12 100M 64k
run qemu-io -f raw -c "write -P 0x33 0 4k" "$mon"
claim "the snapshot cannot be written" test "$status" -ne 0
reads "and it was not" "$mon" 0x11 0 4M
claim_equal "it has a serial number of its own" \
    "$(value serial snap show vms/web01@mon)" \
    "$(iscsi-inq -i "$iqn" -e 1 -c 128 "$mon" | sed -n 's/.*Unit Serial Number:\[\(.*\)\]/\1/p')"
claim_exit 5 "what is exported is not deleted" varve -y snap delete vms/web01@mon
claim_text "by its code" "[snap.exported]"
claim_exit 5 "nor with its LUN" varve lun delete vms/web01
claim "the export ends" varve export remove vms/web01@mon --host h

# ---- differences

claim "another snapshot" varve snap create vms/web01@tue
claim "what differs is told" varve snap diff vms/web01@mon @tue
claim_equal "exactly" "$out" "1048576 1048576 data
104857600 65536 zero"
claim "also as JSON" varve --json snap diff vms/web01@mon @tue
claim_equal "one object" "$(jq -c '[.items[] | [.offset, .length, .kind]]' <<<"$out")" \
    '[[1048576,1048576,"data"],[104857600,65536,"zero"]]'
claim "a page at a time" varve --json snap diff vms/web01@mon @tue --limit 1
cursor=$(jq .cursor <<<"$out")
claim "and the next" varve --json snap diff vms/web01@mon @tue --limit 1 --cursor "$cursor"
claim_equal "goes on there" "$(jq .items[0].offset <<<"$out")" 104857600
claim "from nothing" varve snap diff vms/web01 @tue
claim_equal "all data there is" "$out" "0 4194304 data"
claim "a bookmark" varve bookmark create vms/web01@mon monday
claim "its snapshot is deleted" varve -y snap delete vms/web01@mon
claim "and what changed after it is still told" \
    varve snap diff vms/web01 @tue --since monday
claim_text "never too little" "data"
claim_text "zeros too" "zero"
claim_exit 4 "another bookmark is not there" varve snap diff vms/web01 --since friday
claim_exit 5 "strangers do not compare" sh -c "
    '$BUILD/varve' snap create vms/db01@x >/dev/null &&
    '$BUILD/varve' snap diff vms/web01@tue vms/db01@x"
claim_text "by its code" "[snap.other-family]"

# ---- clones

claim "a clone is made" varve lun clone vms/web01@tue vms/web01-test
claim_equal "of the snapshot" "$(value parent lun show vms/web01-test)" vms/web01@tue
claim_equal "which knows" "$(value clones snap show vms/web01@tue)" vms/web01-test
claim_equal "for nothing" "$(value exclusive lun show vms/web01-test)" 0
test=$(lun_url vms/web01-test)
reads "it holds what the snapshot holds" "$test" 0x21 1M 1M
claim "it is written" lun_io "$test" "write -P 0x44 0 1M" flush
reads "and has it" "$test" 0x44 0 1M
reads "its origin does not" "$web" 0x11 0 1M

# ---- rolling back

claim "something goes wrong" lun_io "$web" "write -P 0x66 0 8M" flush
# a session that stays: qemu-io waits for commands
mkfifo "$dir/commands"
qemu-io -f raw "$web" <"$dir/commands" >/dev/null 2>&1 &
guest=$!
exec 9>"$dir/commands"
for _ in $(seq 100); do
    [ -n "$(varve --plain -o host session list)" ] && break
    sleep 0.05
done
claim_exit 5 "a LUN in use is not rolled back" varve lun rollback vms/web01@tue
claim_text "the refusal names the host" "it is in use by host h"
claim_text "says why" "old blocks in its cache"
claim_text "and one way out" "iscsiadm -m node"
claim_text "and the other" "varve lun clone vms/web01@tue vms/web01-old"
claim_exit 5 "nor as a dry run" varve -n lun rollback vms/web01@tue
claim_exit 5 "nor is it deleted" varve lun delete vms/web01
echo quit >&9
exec 9>&-
wait "$guest"
claim "a dry run says what would be" varve -n lun rollback vms/web01@tue --keep broken
claim_text "kept" "vms/web01@broken"
claim_exit 4 "and keeps nothing" varve snap show vms/web01@broken
claim "it is rolled back" varve lun rollback vms/web01@tue --keep broken
reads "the LUN is what it was" "$web" 0x21 1M 1M
reads "all of it" "$web" 0 4M 4M
claim "what was wrong can be looked at" varve lun clone vms/web01@broken vms/look
reads "it is all there" "$(lun_url vms/look)" 0x66 0 8M
claim "a larger LUN is rolled back to a smaller one" sh -c "
    '$BUILD/varve' lun resize vms/web01 +1G && '$BUILD/varve' lun rollback vms/web01@tue"
claim_equal "and has its size" "$(value size lun show vms/web01)" 1073741824
claim_equal "for its host too" "$(qemu-io -f raw -c length "$web")" "1 GiB"

# ---- holds

claim "a hold" varve snap hold vms/web01@tue
claim_exit 5 "keeps it" varve -y snap delete vms/web01@tue
claim_text "and says so" "varve snap release vms/web01@tue"
claim "a release" varve snap release vms/web01@tue

# ---- what was frozen

claim "one that was made while nothing was written" \
    varve snap create vms/web01@frozen --consistency fs
claim_equal "says so" "$(value consistency snap show vms/web01@frozen)" fs
claim "a bookmark of it" varve bookmark create vms/web01@frozen was-frozen
claim_equal "marks its epoch" "$(varve --json bookmark list vms/web01 |
    jq '.items[] | select(.name == "was-frozen") | .epoch')" \
    "$(value epoch snap show vms/web01@frozen)"
claim "and no more, when the freeze had not held" \
    varve snap set vms/web01@frozen --consistency crash
claim_equal "says so too" "$(value consistency snap show vms/web01@frozen)" crash
claim_exit 2 "there is nothing else to say" \
    varve snap set vms/web01@frozen --consistency warm
claim "it goes" varve -y snap delete vms/web01@frozen

# ---- groups

claim "a group" varve group create shop vms/web01 vms/db01
lun_io "$web" "write -P 0x71 0 64k" flush >/dev/null
lun_io "$db" "write -P 0x72 0 64k" flush >/dev/null
claim "is kept at one instant" varve snap create --group shop @night
lun_io "$web" "write -P 0x81 0 64k" flush >/dev/null
lun_io "$db" "write -P 0x82 0 64k" flush >/dev/null
reads "this one" "$(lun_url vms/web01@night)" 0x71 0 64k
reads "and that" "$(lun_url vms/db01@night)" 0x72 0 64k
claim_exit 5 "all or nothing" varve snap create vms/db01 vms/web01 @tue
claim_exit 4 "none was made" varve snap show vms/db01@tue

# ---- the trash

for name in vms/web01-test vms/look vms/web01@night vms/db01@night vms/db01; do
    varve export remove "$name" --host h >/dev/null
done
claim "a LUN goes to the trash" varve lun delete vms/db01
claim_exit 4 "its name is free" varve lun show vms/db01
claim "and can be taken" varve lun create vms/db01 --size 1G
claim_exit 5 "so it cannot come back under it" varve trash restore vms/db01
claim_text "and says how" "--as"
claim "it comes back under another" varve trash restore vms/db01 --as db01-old
reads "with its data" "$(lun_url vms/db01-old)" 0x82 0 64k
reads "and its snapshots" "$(lun_url vms/db01-old@night)" 0x72 0 64k

# ---- standing alone

claim "a clone is flattened" varve lun flatten vms/web01-test
claim_text "to its end" "done"
claim_equal "and is none any more" "$(value parent lun show vms/web01-test)" ""
claim "its origin goes" varve -y snap delete vms/web01@tue
reads "and it has its data" "$(lun_url vms/web01-test)" 0x44 0 1M
reads "all of it" "iscsi://$portal/$(varve --json export list vms/web01-test |
    jq -r '.items[0] | .iqn + "/" + (.lun | tostring)')" 0x21 1M 1M

# ---- a time limit

claim "an export for a second" \
    varve export add vms/db01-old@x --host h --ttl 1s
for _ in $(seq 100); do
    [ "$(value host export list vms/db01-old@x)" = "" ] && break
    sleep 0.1
done
claim_equal "ends by itself" "$(value host export list vms/db01-old@x)" ""
hosts() { value name host list | tr '\n' ' '; }
claim "hosts for a second" varve host add passing --iqn iqn.2026-01.org.example:passing \
    --no-chap --ttl 1s
varve host add reading --iqn iqn.2026-01.org.example:reading --no-chap --ttl 1s >/dev/null
claim_equal "which are none of the configuration" "$(varve config export | grep -c reading)" 0
claim "one of them with a LUN" varve export add vms/db01-old@x --host reading
for _ in $(seq 100); do
    case $(hosts) in *passing*) sleep 0.1 ;; *) break ;; esac
done
claim_equal "stays for as long as it has that" "$(hosts)" "h reading "
varve export set vms/db01-old@x --host reading --ttl 1s >/dev/null
for _ in $(seq 100); do
    case $(hosts) in *reading*) sleep 0.1 ;; *) break ;; esac
done
claim_equal "and goes with it" "$(hosts)" "h "

# ---- names, restarts, the whole

claim_equal "names are completed" "$(varve completion words -- snap show vms/web01@n)" \
    vms/web01@night
claim_equal "also their ends" "$(varve completion words -- snap diff vms/web01@night @b)" @broken
# bash ends a word at @, too, and replaces only what is behind it
claim_equal "by bash too" "$(PATH=$BUILD:$PATH bash --norc --noprofile -c '
    compopt() { :; }
    source <(varve completion bash)
    COMP_LINE="varve snap show vms/web01@n" COMP_POINT=27
    _varve
    echo "${COMPREPLY[*]}"')" night
before=$(varve --json snap list | jq .items)
groups=$(varve --json group list | jq .items)
kill_varved
start_varved
claim_equal "a kill changes nothing" "$(varve --json snap list | jq .items)" "$before"
claim_equal "nor groups" "$(varve --json group list | jq .items)" "$groups"
reads "snapshots are served again" "$(varve --json export list vms/db01-old@night |
    jq -r "\"iscsi://$portal/\" + .items[0].iqn + \"/\" + (.items[0].lun | tostring)")" 0x72 0 64k

# ---- answers are of the schema

cat >"$dir/schema.py" <<'END'
import json, subprocess, sys
varve = sys.argv[1]
def ask(*words):
    done = subprocess.run([varve, "--json", *words], capture_output=True, text=True)
    return json.loads(done.stdout)
methods = ask("api", "schema")["item"]["document"]["methods"]
kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool,
         "array": list, "null": type(None), "object": dict}
bad = []
def check(answer):
    if answer["kind"] == "error":
        bad.append(answer["error"]["what"])
        return 0
    schema = methods[answer["kind"]]["result"]["properties"]
    bad.extend(m for m in answer if m not in schema)
    items = answer.get("items", [answer.get("item")])
    columns = (schema["items"]["items"] if "items" in schema else schema["item"])
    for item in items:
        for member, value in item.items():
            if member == "notes":
                continue
            types = columns["properties"].get(member, {}).get("type", [])
            if not any(isinstance(value, kinds[t]) for t in types):
                bad.append(f"{answer['kind']} {member} {value!r}")
    return len(items)
count = sum(check(ask(*command.split())) for command in sys.stdin.read().splitlines())
print(count, "items", bad)
sys.exit(bool(bad) or count < 20)
END
cat >"$dir/asked" <<'END'
pool list
lun list
lun show vms/web01
snap list
snap show vms/web01@night
snap diff vms/web01@night --limit 5
bookmark list
group list
group show shop
export list
trash list
job list
top
health
-n lun delete vms/db01
-n lun clone vms/web01@night vms/new
-n lun rollback vms/web01@broken
-n snap create vms/web01@new
-n snap delete vms/web01@night
END
claim "answers have what the schema says" sh -c \
    "python3 '$dir/schema.py' '$BUILD/varve' <'$dir/asked'"

# ---- giving space back

for row in $(varve --plain -o name export list); do
    varve export remove "$row" --host h --force >/dev/null
done
for lun in $(varve --plain -o name lun list); do
    claim "$lun is deleted for good" varve -y lun delete "$lun" --now
done
claim_equal "nothing is in the trash" "$(varve --plain trash list)" ""
for _ in $(seq 200); do
    [ "$(value allocated pool show vms)" = 0 ] && break
    sleep 0.1
done
claim_equal "all space is free again" "$(value allocated pool show vms)" 0
claim "varved stops" stop_varved
claim "the pool has no findings" varve rescue check "$dir/vms.pool"
finish
