#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""varve backup send: days of a LUN to another pool and to another varved.  Every snapshot of the
copy is compared, byte for byte, with the one it was made of; after kills, after somebody wrote
to the copy, and after the LUN grew and shrank.
"""
# timeout: 120
import filecmp
import os
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from backup import IQN, MIB, Lun, code_of, image_of, varve_process
from claims import claim, claim_equal, main
from varved import Varved

KILLS = int(os.environ.get("KILL_ROUNDS", "6"))
rng = random.Random(int(os.environ.get("SEED", "3")))


class Pair:
    """A LUN of one varved, and its copy, maybe of another."""

    def __init__(self, varved, lun, other, copy):
        self.varved, self.lun, self.other, self.copy = varved, lun, other, copy
        self.connect = [] if other is varved else [
            "--to-connect", f"unix:{other.directory}/varve.sock"]

    def arguments(self, snap):
        return ["backup", "send", f"{self.lun}@{snap}", "--to", self.copy, *self.connect]

    def send(self, snap):
        return self.varved.varve(*self.arguments(snap))["item"]

    def is_same(self, snap):
        ours, theirs = self.varved.directory / "ours", self.varved.directory / "theirs"
        image_of(self.varved, f"{self.lun}@{snap}", ours)
        image_of(self.other, f"{self.copy}@{snap}", theirs)
        return filecmp.cmp(ours, theirs, shallow=False)


def snaps_of(varved, lun):
    return [s["name"].split("@")[1] for s in varved.varve("snap", "list", lun)["items"]]


def days(lun, pairs):
    lun.write(20, 256)
    lun.snap("mon")
    for pair in pairs:
        claim_equal("the first time everything is sent", pair.send("mon")["kind"], "full")
    lun.changed()
    lun.write(8, 16)
    lun.snap("tue")
    pairs[0].varved.varve("snap", "set", f"{lun.name}@tue", "--consistency", "fs")
    changed = lun.changed()
    for pair in pairs:
        item = pair.send("tue")
        claim("then what has changed", item["kind"] == "increment" and item["base"] == "mon"
              and item["read"] <= 1.05 * changed)
        claim("both days are what they were", pair.is_same("mon") and pair.is_same("tue"))
        claim_equal("and as frozen", [s["consistency"] for s in pair.other.varve(
            "snap", "list", pair.copy)["items"]], ["crash", "fs"])
        claim_equal("once is enough", pair.send("tue")["read"], 0)
        claim_equal("nothing else is left", snaps_of(pair.other, pair.copy), ["mon", "tue"])


def sizes(lun, pair):
    pair.varved.varve("lun", "resize", lun.name, "+16M")
    lun.size += 16 * MIB
    lun.write(6, 16)
    lun.snap("grown")
    pair.send("grown")
    claim("the copy has grown with it", pair.is_same("grown"))
    pair.varved.varve("lun", "resize", lun.name, "40M", "--shrink")
    lun.size = 40 * MIB
    lun.snap("small")
    pair.send("small")
    claim("and shrunk", pair.is_same("small"))
    claim("and has all days still", all(pair.is_same(s) for s in ("mon", "tue", "grown")))


def written_by_somebody(lun, pair):
    """What a copy has that was never sent goes."""
    export = pair.other.varve("export", "add", pair.copy, "--host", "h")["item"]
    stranger = Lun.__new__(Lun)
    stranger.__dict__.update(lun.__dict__)
    stranger.url = f"iscsi://{pair.other.portal()}/{export['iqn']}/{export['lun']}"
    stranger.write(5, 32)
    pair.other.varve("export", "remove", pair.copy, "--host", "h")
    lun.write(5, 8)
    lun.snap("after")
    claim_equal("a copy that was written to is sent to all the same",
                pair.send("after")["kind"], "increment")
    claim("and is a copy again", pair.is_same("after"))


def kills(lun, pair):
    """Anywhere; then the same command ends it."""
    killed, wrong = 0, []
    for number in range(KILLS):
        snap = f"kill{number}"
        lun.write(10, 200)
        lun.snap(snap)
        process = varve_process(pair.varved, *pair.arguments(snap))
        time.sleep(rng.random() * 0.25)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        # a day is left out now and then
        if number % 3 == 2:
            continue
        pair.send(snap)
        if not pair.is_same(snap):
            wrong.append(snap)
    # one that is never given again leaves its export for its quarter of an hour
    pair.send(snap)
    claim_equal(f"after {killed} kills the copy is one", wrong, [])
    claim("and every day of it", all(
        pair.is_same(s) for s in snaps_of(pair.other, pair.copy)))


def killed_at_first(lun, pair):
    """A new copy has its name when it is whole."""
    for _ in range(3):
        process = varve_process(pair.varved, *pair.arguments("kill0"))
        time.sleep(rng.random() * 0.2)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        names = [l["name"] for l in pair.other.varve("lun", "list")["items"]]
        if pair.copy in names:
            break
    pair.send("kill0")
    claim("a first one that was killed is begun again", pair.is_same("kill0"))


def killed_at_a_mark(lun, pair):
    """It goes on from there."""
    lun.write(12, 1024)
    lun.snap("marked")
    total = pair.varved.varve("-n", *pair.arguments("marked"))["item"]["data"]
    arguments = [*pair.arguments("marked"), "--checkpoint", "2M"]
    process = varve_process(pair.varved, *arguments)
    marks = []
    while not marks and process.poll() is None:
        marks = [s for s in snaps_of(pair.other, pair.copy) if s.startswith("part-")]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if not claim("one is killed at a checkpoint", process.returncode == -signal.SIGKILL):
        return
    item = pair.varved.varve(*arguments)["item"]
    claim("and goes on there", item["resumed"] and item["read"] <= total - 2 * MIB,
          f"{item['read']} of {total}")
    claim("and the copy is one", pair.is_same("marked"))
    claim("without checkpoints", not any(
        s.startswith(("part-", "unfinished-")) for s in snaps_of(pair.other, pair.copy)))


def refusals(varved, lun, pair):
    varved.varve("lun", "create", "standby/stranger", "--size", "8M")
    claim_equal("a LUN that is no copy is left alone", code_of(
        varved, "backup", "send", f"{lun.name}@mon", "--to", "standby/stranger"),
        "backup.no-copy")
    lun.snap("taken")
    pair.other.varve("snap", "create", f"{pair.copy}@taken")
    claim_equal("a snapshot of the copy's own is left alone", code_of(
        varved, *pair.arguments("taken")), "backup.exists")
    claim_equal("a name that is no LUN's is said", code_of(
        varved, "backup", "send", f"{lun.name}@mon", "--to", "nowhere"), "request.argument")


def story(directory, varved):
    with Varved(directory / "other") as other:
        for server, pool in ((varved, "vms"), (varved, "standby"), (other, "remote")):
            server.varve("pool", "create", pool, server.directory / f"{pool}.pool",
                         "--size", "512M")
        for server in (varved, other):
            server.varve("host", "add", "h", "--iqn", IQN, "--no-chap")
        lun = Lun(varved, "vms/web01", 64 * MIB)
        near = Pair(varved, lun.name, varved, "standby/web01")
        far = Pair(varved, lun.name, other, "remote/web01")
        days(lun, [near, far])
        sizes(lun, far)
        written_by_somebody(lun, far)
        kills(lun, far)
        killed_at_a_mark(lun, far)
        killed_at_first(lun, Pair(varved, lun.name, other, "remote/second"))
        refusals(varved, lun, far)
        claim_equal("no host is left", [h["name"] for server in (varved, other)
                                        for h in server.varve("host", "list")["items"]
                                        if not h["name"].startswith("backup-") or h["luns"]],
                    ["h", "h"])


if __name__ == "__main__":
    main(story)
