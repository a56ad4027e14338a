#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two initiators fight for a LUN with persistent reservations, as the nodes of a
cluster do: through preempt, abort, lost paths, SIGKILL and restarts of varved, a
database that cannot be written, and an administrator who steps in.

What an initiator was told by GOOD status is there after a kill at any moment: each
round of the fight at the end kills varved right after a status, and compares with
what the standard makes of the commands that were answered.
"""
# timeout: 300
import os
import pathlib
import random
import sqlite3
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from claims import claim_equal as claim, main
from initiators import Initiator
from varved import Failed

ROUNDS = int(os.environ.get("FIGHT_ROUNDS", "40"))
SEED = int(os.environ.get("SEED", "0")) or random.randrange(1, 1 << 31)
NAMES = {"a": "iqn.2026-01.x:node-a", "b": "iqn.2026-01.x:node-b"}
ACTIONS = ["register", "reserve", "release", "clear", "preempt", "abort", "ignore"]
WE, EA, WERO, EARO, WEAR, EAAR = 1, 3, 5, 6, 7, 8
APTPL = 1


class Node(Initiator):
    def out(self, action, key=0, action_key=0, kind=0, flags=0):
        number = ACTIONS.index(action)
        data = (key.to_bytes(8, "big") + action_key.to_bytes(8, "big")
                + bytes([0, 0, 0, 0, flags, 0, 0, 0]))
        return self.send(f"5f{number:02x}{kind:02x}00000000001800 out {data.hex()}")

    def status(self):
        """{"keys": sorted keys, "type": reservation, "holder": its key or 0}"""
        keys = bytes.fromhex(self.send("5e0000000000000fff00 in 4095").split()[1])
        held = bytes.fromhex(self.send("5e0100000000000fff00 in 4095").split()[1])
        found = [int.from_bytes(keys[i:i + 8], "big") for i in range(8, len(keys), 8)]
        return {"keys": sorted(found), "type": held[21] if len(held) > 8 else 0,
                "holder": int.from_bytes(held[8:16], "big") if len(held) > 8 else 0}


class Story:
    def __init__(self, directory, varved):
        self.varved, self.directory, self.nodes = varved, directory, {}
        varved.varve("pool", "create", "vms", directory / "vms.pool", "--size", "256M")
        for name, iqn in NAMES.items():
            varved.varve("host", "add", name, "--iqn", iqn, "--no-chap")
        self.url = varved.lun("vms/quorum", "64M", "a")
        varved.varve("export", "add", "vms/quorum", "--host", "b")
        varved.first_portal = None  # the portal stays where it is

    def login(self, *names, qualifier=1):
        for name in names:
            if name in self.nodes:
                self.nodes[name].kill()
            self.nodes[name] = Node(self.url, NAMES[name], qualifier)
        return [self.nodes[name] for name in names]

    def kill_varved(self):
        self.varved.kill()
        self.varved.start()
        return self.login("a", "b")

    def rows(self):
        database = sqlite3.connect(self.varved.directory / "varve.db")
        count = database.execute("SELECT count(*) FROM registrations").fetchone()[0]
        database.close()
        return count

    def reservations(self):
        items = self.varved.varve("lun", "reservations", "vms/quorum")["items"]
        return sorted((i["host"], i["key"], i["holds"], i["survives"], i["logged_in"])
                      for i in items)


def preempt_and_abort(story):
    a, b = story.login("a", "b")
    claim("a registers, to outlive a restart", a.out("register", 0, 0xa, 0, APTPL), "good")
    claim("b registers", b.out("register", 0, 0xb, 0, APTPL), "good")
    claim("a reserves", a.out("reserve", 0xa, 0, WE), "good")
    claim("a writes", a.write(), "good")
    claim("b does not", b.write(), "conflict")
    claim("b may read", b.read(), "good")
    claim("the administrator sees it", story.reservations(),
          [("a", "0xa", "write-exclusive", True, True), ("b", "0xb", None, True, True)])
    claim("b preempts a and aborts its tasks", b.out("abort", 0xb, 0xa, EA), "good")
    claim("a hears of it", a.hear(), "check 6 2a 05")
    claim("a neither writes", a.write(), "conflict")
    claim("nor reads", a.read(), "conflict")
    claim("b does", b.write(), "good")
    claim("what there is", b.status(), {"keys": [0xb], "type": EA, "holder": 0xb})


def lost_paths(story):
    a, b = story.nodes["a"], story.nodes["b"]
    b.kill()
    claim("b lost its path, its reservation holds", a.write(), "conflict")
    other, = story.login("b", qualifier=2)
    claim("another port of b is another nexus", other.write(), "conflict")
    b, = story.login("b")
    claim("b comes back as who it was", b.write(), "good")
    tsih = [s["session"] for s in story.varved.varve("session", "list")["items"]
            if s["host"] == "b"]
    for session in tsih:
        story.varved.varve("session", "drop", session)
    b, = story.login("b")
    claim("and after a dropped session, too", b.write(), "good")


def restarts(story):
    a, b = story.kill_varved()
    claim("after SIGKILL a is kept away still", a.write(), "conflict")
    claim("and b is the holder", b.status(),
          {"keys": [0xb], "type": EA, "holder": 0xb})
    claim("varved stops", story.varved.stop(), 0)
    story.varved.start()
    a, b = story.login("a", "b")
    claim("after a stop a is kept away still", a.write(), "conflict")
    claim("b writes", b.write(), "good")
    claim("b gives it up", b.out("clear", 0xb), "good")
    claim("nothing is left in the database", story.rows(), 0)
    claim("b registers without APTPL", b.out("register", 0, 0xb), "good")
    claim("and reserves", b.out("reserve", 0xb, 0, WE), "good")
    claim("a does not write", a.write(), "conflict")
    claim("nothing goes to the database", story.rows(), 0)
    a, b = story.kill_varved()
    claim("a power loss ends that", a.write(), "good")
    claim("nobody is registered", b.status(), {"keys": [], "type": 0, "holder": 0})


def unwritable(story):
    a, b = story.nodes["a"], story.nodes["b"]
    claim("a registers", a.out("register", 0, 0xa, 0, APTPL), "good")
    database = sqlite3.connect(story.varved.directory / "varve.db", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    claim("with the database locked, a reservation fails",
          a.out("reserve", 0xa, 0, EA), "check 4 44 00")
    claim("I/O goes on", b.write(), "good")
    database.execute("ROLLBACK")
    database.close()
    claim("and has not happened", a.status(), {"keys": [0xa], "type": 0, "holder": 0})
    claim("then it can be had", a.out("reserve", 0xa, 0, EA), "good")


def administrator(story):
    a, b = story.nodes["a"], story.nodes["b"]
    claim("b is kept away", b.write(), "conflict")
    dry = story.varved.varve("lun", "release", "vms/quorum", "--dry-run")["item"]
    claim("a dry run says what would go", (dry["released"], dry["registrations"]),
          ("exclusive-access", 1))
    none = story.varved.varve("lun", "release", "vms/quorum", "--host", "b")["item"]
    claim("b has nothing to be taken",
          (none["released"], none["registrations"]), (None, 0))
    claim("still kept away", b.write(), "conflict")
    gone = story.varved.varve("lun", "release", "vms/quorum")["item"]
    claim("the administrator breaks it", (gone["released"], gone["registrations"]),
          ("exclusive-access", 1))
    claim("b writes", b.write(), "good")
    claim("a hears of it", a.hear(), "check 6 2a 03")
    claim("nothing is left", story.reservations(), [])
    claim("neither in the database", story.rows(), 0)
    claim("RESERVE of SPC-2 is seen", a.send("160000000000"), "good")
    claim("by the administrator", story.reservations(),
          [("a", None, "reserve", False, True)])
    claim("and keeps b away", b.hear(), "conflict")
    story.varved.varve("lun", "release", "vms/quorum", "--host", "a")
    claim("until it is broken", b.hear(), "good")
    try:
        story.varved.varve("lun", "release", "vms/nothing")
        claim("no such LUN is told", 0, 4)
    except Failed as failed:
        claim("no such LUN is told", failed.status, 4)


def exports(story):
    a, b = story.nodes["a"], story.nodes["b"]
    for node, key in ((a, 0xa), (b, 0xb)):
        node.out("register", 0, key, 0, APTPL)
    claim("a reserves", a.out("reserve", 0xa, 0, EARO), "good")
    story.varved.varve("export", "remove", "vms/quorum", "--host", "a", "--force")
    claim("a LUN that is taken from a host takes its reservation along", b.hear(),
          "check 6 2a 04")
    claim("the other's registration stays", b.status(),
          {"keys": [0xb], "type": 0, "holder": 0})
    claim("in the database, too", story.rows(), 1)
    claim("b reserves", b.out("reserve", 0xb, 0, EA), "good")
    story.varved.varve("lun", "rename", "vms/quorum", "vms/disk")
    claim("a new name of the LUN changes nothing", b.write(), "good")
    story.varved.varve("lun", "rename", "vms/disk", "vms/quorum")
    story.varved.varve("host", "set", "b", "--iqn", "iqn.2026-01.x:other")
    claim("a new initiator name has nothing of the old", story.reservations(), [])
    claim("in the database, too", story.rows(), 0)
    story.varved.varve("host", "set", "b", "--iqn", NAMES["b"])
    b, = story.login("b")
    claim("b registers again", b.out("register", 0, 0xb, 0, APTPL), "good")
    claim("which is kept", story.rows(), 1)
    story.varved.varve("export", "remove", "vms/quorum", "--host", "b", "--force")
    claim("the last export takes all along", story.rows(), 0)
    claim("the LUN can go", story.varved.varve("lun", "delete", "vms/quorum")
          ["item"]["name"], "vms/quorum")
    for node in story.nodes.values():
        node.kill()
    story.nodes = {}


class Model:
    """What the standard makes of one command; None: it is not GOOD."""

    def __init__(self):
        self.keys, self.type, self.holder = {}, 0, None

    def state(self):
        shown = self.type if self.type else 0
        key = self.keys[self.holder] if self.type and self.type < WEAR else 0
        return {"keys": sorted(self.keys.values()), "type": shown, "holder": key}

    def holds(self, who):
        return self.type and (self.type >= WEAR or self.holder == who) \
            and who in self.keys

    def leave(self, who):
        del self.keys[who]
        if not self.keys or (self.type and self.type < WEAR and self.holder == who):
            self.type = 0

    def apply(self, who, action, action_key, kind):
        """Returns whether it is GOOD."""
        if action == "ignore":
            if action_key:
                self.keys[who] = action_key
            elif who in self.keys:
                self.leave(who)
            return True
        if who not in self.keys:
            return False
        if action == "reserve":
            if not self.type:
                self.type, self.holder = kind, who
                return True
            return bool(self.holds(who) and self.type == kind)
        if action == "release":
            if self.holds(who):
                if self.type != kind:
                    return False
                self.type = 0
            return True
        if action == "clear":
            self.keys, self.type = {}, 0
            return True
        return self.preempt(who, action_key, kind)

    def preempt(self, who, action_key, kind):
        everyone = self.type >= WEAR
        if action_key == 0 and not everyone:
            return False
        means = [w for w, k in self.keys.items() if action_key in (0, k)]
        takes = bool(self.type) and (action_key == 0 if everyone
                                     else self.keys[self.holder] == action_key)
        if not means:
            return False
        for other in means:
            if other == who and (takes or everyone):
                continue
            self.leave(other)
        if takes:
            self.type, self.holder = kind, who
        return True


def one_move(rng, model, nodes):
    who = rng.choice("ab")
    action = rng.choice(["ignore", "ignore", "reserve", "reserve", "release", "clear",
                         "preempt", "abort"])
    kind = model.type if model.type and rng.random() < 0.6 \
        else rng.choice([WE, EA, WERO, EARO, WEAR, EAAR])
    action_key = rng.choice([0, *range(1, 5)]) if rng.random() < 0.5 \
        else rng.choice(list(model.keys.values()) or [1])
    good = model.apply(who, action, action_key, kind)
    key = nodes[who].key
    for _ in range(4):  # unit attentions come first
        answer = nodes[who].out(action, key, action_key, kind, APTPL
                                if action == "ignore" else 0)
        if not answer.startswith("check 6"):
            break
    return (who, action, action_key, kind), answer == "good", good


def fight(story):
    rng = random.Random(SEED)
    print(f"SEED={SEED} repeats this fight", flush=True)
    story.url = story.varved.lun("vms/fight", "64M", "a")
    story.varved.varve("export", "add", "vms/fight", "--host", "b")
    model, moves, wrong = Model(), 0, []
    story.login("a", "b")
    for number in range(ROUNDS):
        for _ in range(rng.randrange(1, 8)):
            for who, node in story.nodes.items():
                node.key = model.keys.get(who, 0)
            move, got, expected = one_move(rng, model, story.nodes)
            moves += 1
            if got != expected:
                wrong.append(f"round {number}: {move} was {got}, not {expected}")
        a, b = story.kill_varved()
        for node in (a, b):
            if node.status() != model.state():
                wrong.append(f"round {number}: {node.status()}, not {model.state()}")
        if wrong:
            break
    claim(f"{moves} commands and {ROUNDS} kills right after a status", wrong, [])


def story(directory, varved):
    nodes = Story(directory, varved)
    for part in (preempt_and_abort, lost_paths, restarts, unwritable,
                 administrator, exports, fight):
        part(nodes)
    for node in nodes.nodes.values():
        node.kill()
    claim("varved stops", varved.stop(), 0)


if __name__ == "__main__":
    main(story)
