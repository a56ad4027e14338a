#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is set of a LUN while hosts have it: what they see of it and are told, what
is refused, that it outlives SIGKILL; limits, under which commands wait and are done
in the end; and how long commands took, as counts.

Limits are so low that what waits would do so for minutes: nothing here depends on
how fast the machine is.
"""
# timeout: 120
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from claims import claim, claim_equal, main
from initiators import Initiator
from varved import Failed

NAMES = {"a": "iqn.2026-01.x:node-a", "b": "iqn.2026-01.x:node-b"}
LUN = "vms/web01"
READ_1M = "28000000000000080000 in 1048576"
READ = "28000000000000000100 in 512"
WRITE = "2a000000000000000100 out " + "77" * 512
FLUSH = "35000000000000000000"
READY = "000000000000"


class Host(Initiator):
    def vpd(self, page):
        data = bytes.fromhex(self.send(f"1201{page:02x}00ff00 in 255").split()[1])
        return data[4:4 + data[3]]

    def inquiry(self):
        data = bytes.fromhex(self.send("120000006000 in 96").split()[1])
        return data[8:36].decode()


class Story:
    def __init__(self, directory, varved):
        self.varved = varved
        varved.varve("pool", "create", "vms", directory / "vms.pool", "--size", "256M")
        for name, iqn in NAMES.items():
            varved.varve("host", "add", name, "--iqn", iqn, "--no-chap")
        self.url = varved.lun(LUN, "64M", "a")
        varved.varve("export", "add", LUN, "--host", "b")
        varved.first_portal = None  # the portal stays where it is

    def login(self, *names):
        return [Host(self.url, NAMES[name]) for name in names]

    def set(self, *options):
        return self.varved.varve("lun", "set", LUN, *options)["item"]

    def refused(self, *options):
        try:
            self.set(*options)
        except Failed as failure:
            return failure.status
        return 0

    def show(self):
        return self.varved.varve("lun", "show", LUN)["item"]

    def wait_for(self, member, value):
        """Until the LUN has that: what it has in the end."""
        for _ in range(1000):
            if self.show()[member] == value:
                break
            time.sleep(0.01)
        return self.show()[member]

    def counts(self, *what):
        rows = self.varved.varve(*what)["items"]
        claim_equal("the buckets hold what is counted",
                    [sum(count for _, count in row["buckets"]) for row in rows],
                    [row["count"] for row in rows])
        return {row["operation"]: row["count"] for row in rows}


def identity(story):
    a, b = story.login("a", "b")
    naa, uuid = a.vpd(0x83)[:12], story.show()["uuid"]
    claim_equal("the serial number is the uuid", a.vpd(0x80).decode(), uuid)
    story.set("--vendor", "ACME", "--product", "Rocket", "--revision", "7",
              "--rotation", "7200")
    for host in (a, b):
        claim_equal("a host is told", host.send(READY), "check 6 3f 03")
        claim_equal("once", host.send(READY), "good")
        claim_equal("and sees it", host.inquiry(), "ACME    Rocket          7   ")
    claim_equal("the rotation rate too", a.vpd(0xb1)[:2].hex(), "1c20")
    claim_equal("a serial number is not changed under a session",
                story.refused("--serial", "S1"), 5)
    claim_equal("nor is it write protected", story.refused("--read-only", "on"), 5)
    story.set("--write-cache", "off")
    claim_equal("of the cache they are told", a.send(READY), "check 6 2a 01")
    claim_equal("and see that it is off",
                int(a.send("1a000800ff00 in 255").split()[1][28:30], 16) & 4, 0)
    a.end(), b.end()
    claim_equal("they log out", story.wait_for("sessions", 0), 0)
    claim_equal("then it is write protected", story.refused("--read-only", "on"), 0)
    claim_equal("and gets a serial number", story.refused("--serial", "S1"), 0)
    story.varved.kill()
    story.varved.start()
    (a,) = story.login("a")
    claim_equal("a killed varved has not forgotten", a.vpd(0x80).decode(), "S1")
    claim_equal("what it is called", a.inquiry(), "ACME    Rocket          7   ")
    claim_equal("its name is what it was", a.vpd(0x83)[:12], naa)
    claim("with the serial number beside it", b"ACME    S1" in a.vpd(0x83))
    claim_equal("and it takes no writes", a.send(WRITE), "check 7 27 00")
    story.set("--read-only", "off", "--write-cache", "on")
    claim_equal("of that they are told", a.send(READY), "check 6 2a 01")
    claim_equal("now it does", a.send(WRITE), "good")
    a.end()


def limits(story):
    a, b = story.login("a", "b")
    written = story.counts("lun", "stats", LUN)["write"]
    story.set("--bps", "4K")
    claim_equal("what fits no bucket goes when that is full", a.send(READ_1M)[:4], "good")
    a.start(READ)
    claim_equal("the next one waits", story.wait_for("throttled", 1), 1)
    claim_equal("what is not about data does not", b.send(READY), "good")
    claim_equal("nor a flush", b.send(FLUSH), "good")
    b.start(WRITE)
    claim_equal("another host's write waits as well", story.wait_for("throttled", 2), 2)
    a.kill()
    claim_equal("with its host's session it goes", story.wait_for("sessions", 1), 1)
    claim_equal("that of the other stays",
                story.counts("lun", "stats", LUN)["write"], written)
    story.set("--bps", "none")
    claim_equal("and is done when the limit goes", b.answer(), "good")
    claim_equal("as one write more",
                story.counts("lun", "stats", LUN)["write"], written + 1)
    story.set("--iops", "1000", "--iops-burst", "1", "--bps", "8K")
    story.varved.kill()
    story.varved.start()
    item = story.show()
    claim_equal("limits outlive a kill", [item[m] for m in
                ("iops", "iops_burst", "bps", "bps_burst")], [1000, 1, 8192, None])
    (a,) = story.login("a")
    claim_equal("and are obeyed", [a.send(READ_1M)[:4], a.start(READ)], ["good", None])
    claim_equal("at once", story.wait_for("throttled", 1), 1)
    story.set("--bps", "none")
    claim_equal("a change is for who waits", a.answer()[:4], "good")
    claim_equal("many are done under a limit",
                [a.send(READ)[:4] for _ in range(50)].count("good"), 50)
    story.set("--iops", "none")
    claim_equal("a limit that goes takes its burst along", story.show()["iops_burst"], None)
    a.end(), b.kill()


def statistics(story):
    story.varved.kill()
    story.varved.start()
    claim_equal("a restart begins anew",
                set(story.counts("lun", "stats", LUN).values()), {0})
    (a,) = story.login("a")
    before = story.counts("lun", "stats", LUN)
    for command, times in ((READ, 7), (WRITE, 5), (FLUSH, 3), (READY, 2)):
        for _ in range(times):
            a.send(command)
    after = story.counts("lun", "stats", LUN)
    claim_equal("each command is counted where it belongs",
                {name: after[name] - before[name] for name in after},
                {"read": 7, "write": 5, "flush": 3, "unmap": 0, "other": 2, "all": 17})
    session = story.varved.varve("session", "list")["items"][0]
    claim_equal("and for its session",
                story.counts("session", "stats", session["session"])["read"], 7)
    for item in (session, story.show()):
        claim("the figures are in order",
              0 <= item["p50"] <= item["p99"] <= item["p999"] <= item["max"])
    a.end()


def story_of(directory, varved):
    story = Story(directory, varved)
    identity(story)
    limits(story)
    statistics(story)


if __name__ == "__main__":
    main(story_of)
