#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""varve backup send and receive, through a pipe to another varved that is reached by nothing
else: days of a LUN, cut off anywhere, with everybody killed in turn, with flipped bits and far
ends that are none.  Every snapshot of the copy is compared, byte for byte.

In place of ssh a script runs its command here; ssh itself: tests/ssh.  Not covered: a network
that is gone and does not say so.
"""
# timeout: 240
import filecmp
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from backup import IQN, MIB, Lun, code_of, image_of, last_line, varve_process
from claims import claim, claim_equal, main
from varved import BUILD, Varved

KILLS = int(os.environ.get("KILL_ROUNDS", "8"))
rng = random.Random(int(os.environ.get("SEED", "5")))
MARK_MIB = 2
MARK = MARK_MIB * MIB
# what is written and not marked yet: one checkpoint, and what lies in pipes and in zstd
SLACK = 2 * MIB


class Far:
    """A LUN here, its copy there, and a script that stands for ssh."""

    def __init__(self, varved, lun, other, copy):
        self.varved, self.lun, self.other, self.copy = varved, lun, other, copy
        self.script = varved.directory / "far"
        self.between("")

    def between(self, filter_, command='sh -c "$3"'):
        """What goes there is filtered first.  $3 is what ssh would have run there."""
        self.script.write_text(
            f"#!/bin/bash\n[ $# = 3 ] && [ $1 = -- ] && [ $2 = nas2 ] || exit 99\n"
            f"export VARVE_CONNECT=unix:{self.other.directory}/varve.sock PATH={BUILD}:$PATH\n"
            f"{filter_}{command}\n")
        self.script.chmod(0o755)

    def arguments(self, snap):
        return ["backup", "send", f"{self.lun}@{snap}", "--to-ssh", "nas2", "--ssh-command",
                self.script, "--to", self.copy, "--checkpoint", f"{MARK_MIB}M"]

    def send(self, snap):
        return self.varved.varve(*self.arguments(snap))["item"]

    def fails(self, snap):
        return code_of(self.varved, *self.arguments(snap))

    def is_same(self, snap):
        ours, theirs = self.varved.directory / "ours", self.varved.directory / "theirs"
        image_of(self.varved, f"{self.lun}@{snap}", ours)
        image_of(self.other, f"{self.copy}@{snap}", theirs)
        return filecmp.cmp(ours, theirs, shallow=False)

    def snaps(self):
        return [s["name"].split("@")[1]
                for s in self.other.varve("snap", "list", self.copy)["items"]]

    def marked(self):
        """How far the one that was cut short is, in the image."""
        for name in (self.copy, f"{self.copy}.receiving"):
            try:
                snaps = self.other.varve("snap", "list", name)["items"]
            except Exception:  # pylint: disable=broad-except
                continue
            return max([int(s["name"].rsplit("-", 1)[1]) for s in snaps
                        if "@part-" in s["name"]], default=0)
        return 0


def days(lun, far):
    lun.write(20, 256)
    lun.snap("mon")
    far.varved.varve("snap", "set", f"{lun.name}@mon", "--consistency", "fs")
    before = far.varved.varve("-n", *far.arguments("mon"))["item"]
    claim("a dry run says what would be sent, and makes nothing", before["kind"] == "full"
          and before["read"] == 0 and far.other.varve("lun", "list")["items"] == [])
    claim_equal("the first time everything is sent", far.send("mon")["kind"], "full")
    lun.changed()
    lun.write(8, 64)
    lun.snap("tue")
    item = far.send("tue")
    claim("then what has changed", item["kind"] == "increment" and item["base"] == "mon"
          and item["read"] <= 1.05 * lun.changed())
    claim("both days are what they were", far.is_same("mon") and far.is_same("tue"))
    claim_equal("and as consistent", [
        far.other.varve("snap", "show", f"{far.copy}@{snap}")["item"]["consistency"]
        for snap in ("mon", "tue")], ["fs", "crash"])
    claim_equal("once is enough", far.send("tue")["read"], 0)
    claim_equal("nothing else is left", far.snaps(), ["mon", "tue"])


def cut_off(lun, far):
    """The network takes so many bytes, and no more; then the same command."""
    wrong, again = [], []
    for number in range(3):
        snap = f"cut{number}"
        lun.write(6, 1024)
        lun.snap(snap)
        total = far.varved.varve("-n", *far.arguments(snap))["item"]["data"]
        left = total
        for _ in range(3):
            cut = rng.randrange(left)
            far.between(f"stdbuf -o0 head -c {cut} | ")
            code = far.fails(snap)
            if code != "backup.pipe":
                wrong.append((snap, cut, code))
            far.between("")
            now = far.varved.varve("-n", *far.arguments(snap))["item"]["data"]
            if now > left - cut + MARK + SLACK:
                again.append((left, cut, now))
            left = now
        item = far.send(snap)
        if not far.is_same(snap) or item["read"] > left:
            wrong.append(snap)
    claim_equal("what is cut off is said, and the same command ends it", wrong, [])
    claim_equal("no more than a checkpoint is sent again", again, [])


def new_and_cut_off(far):
    """A new copy, too, and it has its name when it is whole."""
    new = Far(far.varved, far.lun, far.other, "tank/second")
    total = new.varved.varve("-n", *new.arguments("tue"))["item"]["data"]
    new.between(f"stdbuf -o0 head -c {total // 2} | ")
    claim_equal("a new one is cut off", new.fails("tue"), "backup.pipe")
    names = [l["name"] for l in new.other.varve("lun", "list")["items"]]
    claim("it has no name yet", "tank/second" not in names)
    new.between("")
    item = new.send("tue")
    claim("and goes on", item["resumed"] and item["read"] <= total // 2 + MARK + SLACK,
          item["read"])
    claim("and is one", new.is_same("tue") and new.snaps() == ["tue"])


def written_by_somebody(lun, far):
    """What a copy has that was never sent goes, also between two halves."""
    lun.write(6, 1024)
    lun.snap("half")
    total = far.varved.varve("-n", *far.arguments("half"))["item"]["data"]
    far.between(f"stdbuf -o0 head -c {total // 2} | ")
    far.fails("half")
    mark = far.marked()
    export = far.other.varve("export", "add", far.copy, "--host", "h")["item"]
    url = f"iscsi://{far.other.portal()}/{export['iqn']}/{export['lun']}"
    subprocess.run(["qemu-io", "-f", "raw", "-c", "write -P 9 0 1M", "-c", f"write -P 9 {mark} 1M",
                    "-c", "flush", url], check=True, stdout=subprocess.DEVNULL)
    far.other.varve("export", "remove", far.copy, "--host", "h")
    far.between("")
    item = far.send("half")
    claim("what somebody wrote in the middle of it is rolled back",
          mark > 0 and item["resumed"] and far.is_same("half"))


def children(pid):
    return [int(c) for c in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descendants(pid):
    try:
        own = children(pid)
    except FileNotFoundError:
        return []
    return own + [d for c in own for d in descendants(c)]


def victim(far, process, who):
    """The process of that name, as soon as there is one."""
    while process.poll() is None:
        for pid in descendants(process.pid):
            try:
                command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except FileNotFoundError:
                continue
            if who == "ssh" and os.fsencode(far.script) in command:
                return pid
            if who == "receiver" and command[:3] == [b"varve", b"backup", b"receive"]:
                return pid
    return None


def kill_one(far, process, who):
    if who in ("here", "there"):
        varved = far.varved if who == "here" else far.other
        varved.kill()
        varved.start()
        return
    pid = process.pid if who == "sender" else victim(far, process, who)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def kills(lun, far):
    """Whoever takes part, anywhere; then the same command ends it."""
    wrong, more = [], []
    whos = ["sender", "receiver", "ssh", "here", "there"]
    for number in range(KILLS):
        snap, who = f"kill{number}", whos[number % len(whos)]
        lun.write(8, 512)
        lun.snap(snap)
        before = far.varved.varve("-n", *far.arguments(snap))["item"]["data"]
        process = varve_process(far.varved, *far.arguments(snap))
        time.sleep(rng.random() * 0.3)
        kill_one(far, process, who)
        process.communicate(timeout=100)
        # who lost the sender ends by himself
        item = far.send(snap)
        if item["read"] > before:
            more.append((who, item["read"], before))
        if not far.is_same(snap):
            wrong.append((snap, who))
    claim_equal("whoever is killed, the copy is one", wrong, [])
    claim_equal("and no more is sent than there was", more, [])
    claim("and older days of it", all(far.is_same(s) for s in rng.sample(far.snaps(), 3)))
    claim("no checkpoint is left", not any(s.startswith("part-") for s in far.snaps()))


def two_at_once(lun, far):
    """The one that begins last goes on; the first says so, and harms nothing."""
    lun.write(8, 1024)
    lun.snap("both")
    first = varve_process(far.varved, *far.arguments("both"))
    while far.marked() == 0 and first.poll() is None:
        pass
    receiver = victim(far, first, "receiver")
    if not claim("the first is at work", receiver is not None):
        return
    os.kill(receiver, signal.SIGSTOP)
    item = far.send("both")
    os.kill(receiver, signal.SIGCONT)
    answer = last_line(first)
    claim("the second goes on where the first was", item["resumed"] and far.is_same("both"))
    claim("the first is told", answer["kind"] == "error"
          and answer["error"]["code"] in ("backup.busy", "backup.lun-io"), answer)
    claim("nothing of it is left", far.is_same("both") and not any(
        s.startswith(("part-", "unfinished-")) for s in far.snaps()))


def stream_of(far, snap, path, *options):
    """varve backup send --to - into a file."""
    with open(path, "wb") as out:
        subprocess.run(
            [BUILD / "varve", "--connect", f"unix:{far.varved.directory}/varve.sock", "backup",
             "send", f"{far.lun}@{snap}", "--to", "-", "--checkpoint", f"{MARK_MIB}M", *options],
            stdout=out, check=True)
    return bytearray(path.read_bytes())


def receive(far, stream, copy):
    """varve backup receive of a file: its item, and its code."""
    with open(stream, "rb") as source:
        done = subprocess.run(
            [BUILD / "varve", "--connect", f"unix:{far.other.directory}/varve.sock", "--json",
             "backup", "receive", copy], stdin=source, capture_output=True, text=True,
            check=False, timeout=100)
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return answer.get("item"), answer.get("error", {}).get("code", "")


def one_way(far, directory):
    """Nobody answers: a file is as good as a pipe."""
    by_hand = Far(far.varved, far.lun, far.other, "tank/by-hand")
    stream = directory / "stream"
    for snap, options in (("mon", []), ("tue", ["--since", "mon"])):
        stream_of(far, snap, stream, *options)
        item, code = receive(far, stream, by_hand.copy)
        claim(f"{snap} comes through a pipe by hand", code == "" and by_hand.is_same(snap), code)
        claim("twice is once", receive(far, stream, by_hand.copy)[1] == "")
        unpacked = subprocess.run(["zstd", "-dqc", stream], check=True, capture_output=True).stdout
        claim("to unzstd it is an RBD difference and nothing else",
              unpacked[:13] == b"rbd diff v1\n" + (b"f" if options else b"t")
              and unpacked[-1:] == b"e")
    stream_of(far, "cut0", stream, "--since", "tue")
    claim_equal("a copy that has not the base is left alone",
                receive(far, stream, "tank/other")[1], "backup.base")
    stream_of(far, "cut0", stream)
    claim_equal("and one that is there is not sent all",
                receive(far, stream, by_hand.copy)[1], "backup.exists")
    claim_equal("a base that is not there is said", code_of(
        far.varved, "backup", "send", f"{far.lun}@tue", "--since", "nothing", "--to", "-"),
        "backup.base")
    claim("what there is is what there was",
          by_hand.is_same("mon") and by_hand.is_same("tue") and by_hand.snaps() == ["mon", "tue"])


def flipped_bits(far, directory):
    """One bit anywhere behind the offer; what was marked before it is what was sent."""
    stream, copy = directory / "stream", Far(far.varved, far.lun, far.other, "tank/flipped")
    whole = stream_of(far, "mon", stream)
    head = 8 + int.from_bytes(whole[4:8], "little")
    codes = []
    for _ in range(8):
        data, at = whole[:], rng.randrange(head, len(whole))
        data[at] ^= 1 << rng.randrange(8)
        stream.write_bytes(data)
        codes.append(receive(far, stream, copy.copy)[1])
    claim("a flipped bit is found, wherever it is",
          set(codes) <= {"backup.damaged", "backup.pipe"}, codes)
    stream.write_bytes(whole)
    claim("and nothing of it stays",
          receive(far, stream, copy.copy)[1] == "" and copy.is_same("mon"))


def far_ends_that_are_none(lun, far):
    lun.write(2, 16)
    lun.snap("none")
    for what, command in {"one that has no varve": "exit 127",
                          "one that is not reached": "exit 255",
                          "one that greets": "echo Welcome to nas2; cat >/dev/null",
                          "one that never stops": "yes | head -c 10000000",
                          "one that says that it is long":
                              r"printf '\x56\x2a\x4d\x18\xff\xff\xff\xff'; cat >/dev/null",
                          "one of another version":
                              r"""printf '\x56\x2a\x4d\x18\x10\0\0\0{"varve_pipe":2}'""",
                          "one that makes up a base":
                              r"""printf '\x56\x2a\x4d\x18\x3b\0\0\0"""
                              r"""{"varve_pipe":1,"agreed":{"there":false,"offset":99999999}}'""",
                          }.items():
        far.between("", command)
        claim_equal(f"{what} is said", far.fails("none"), "backup.pipe")
    far.between("", 'eval "${3/tank/nowhere}"')
    claim_equal("what varved refuses there is said here", far.fails("none"), "pool.not-found")
    far.between("")
    for host in ("-oProxyCommand=true", ""):
        claim_equal(f"{host!r} is no host", code_of(
            far.varved, "backup", "send", f"{lun.name}@none", "--to-ssh", host, "--ssh-command",
            far.script, "--to", far.copy), "backup.host")
    evil = f"tank/x'; touch {far.script}.evil; '"
    code = code_of(far.varved, "backup", "send", f"{lun.name}@none", "--to-ssh", "nas2",
                   "--ssh-command", far.script, "--to", evil)
    claim("what a copy is called is no command there", code == "request.argument"
          and not pathlib.Path(f"{far.script}.evil").exists(), code)
    far.send("none")
    claim("and the copy is one still", far.is_same("none"))


def story(directory, varved):
    with Varved(directory / "other") as other:
        for server, pool in ((varved, "vms"), (other, "tank")):
            server.varve("pool", "create", pool, server.directory / f"{pool}.pool",
                         "--size", "1G")
            server.varve("host", "add", "h", "--iqn", IQN, "--no-chap")
        lun = Lun(varved, "vms/web01", 48 * MIB)
        far = Far(varved, lun.name, other, "tank/web01")
        days(lun, far)
        cut_off(lun, far)
        new_and_cut_off(far)
        written_by_somebody(lun, far)
        one_way(far, directory)
        flipped_bits(far, directory)
        far_ends_that_are_none(lun, far)
        two_at_once(lun, far)
        kills(lun, far)
        claim_equal("no host is left", [h["name"] for server in (varved, other)
                                        for h in server.varve("host", "list")["items"]
                                        if not h["name"].startswith("backup-") or h["luns"]],
                    ["h", "h"])


if __name__ == "__main__":
    main(story)
