#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two paths to a LUN, by portals of two groups: what a host is told of them, what the
administrator makes of them, what the host does when its path fails, and that all of it
is there after SIGKILL.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from claims import claim_equal as claim, main
from initiators import Initiator
from varved import Failed

IQN = "iqn.2026-01.x:host"
CHANGED = "check 6 2a 06"
STANDBY, UNAVAILABLE = "check 2 04 0b", "check 2 04 0c"


class Paths:
    def __init__(self, directory, varved):
        self.varved = varved
        varved.varve("pool", "create", "vms", directory / "vms.pool", "--size", "256M")
        varved.varve("host", "add", "host", "--iqn", IQN, "--no-chap")
        self.urls = [varved.lun("vms/disk", "64M", "host")]
        varved.first_portal = None  # the portals stay where they are
        varved.varve("portal", "add", "127.0.0.1:0", "--group", "2")
        self.addresses = [p["address"] for p in varved.varve("portal", "list")["items"]]
        first, second = self.addresses
        self.urls.append(self.urls[0].replace(first, second))
        self.nodes = []
        self.login()

    def login(self):
        for node in self.nodes:
            node.kill()
        self.nodes = [Initiator(url, IQN, 1) for url in self.urls]
        return self.nodes

    def kill(self):
        self.varved.kill()
        self.varved.start()
        return self.login()

    def set(self, group, access, *more):
        self.varved.varve("portal", "set", self.addresses[group - 1], "--access", access,
                          *more)

    def states(self, node):
        """What REPORT TARGET PORT GROUPS says: {group: (state, status code)}."""
        data = self.nodes[node].take("a30a00000000000000ff0000", 255)
        return {data[at + 3]: (data[at], data[at + 5]) for at in range(4, len(data), 12)}

    def stpg(self, node, group, state):
        return self.nodes[node].send(
            f"a40a00000000000000080000 out 00000000{state:02x}00{group:04x}")

    def noted(self):
        return [f["what"] for f in self.varved.varve("health")["items"]
                if f["code"] == "lun.path"]

    def hear(self):
        return [node.hear() for node in self.nodes]


def told(paths):
    claim("a host sees both groups, active", paths.states(0), {1: (0, 0), 2: (0, 0)})
    claim("by either path", paths.states(1), paths.states(0))
    pages = [node.take("12018300ff00", 255) for node in paths.nodes]
    groups = [page[page.index(bytes.fromhex("01150004")) + 7] for page in pages]
    claim("each path says which it is", groups, [1, 2])
    claim("it writes by both", [n.write() for n in paths.nodes], ["good", "good"])


def administered(paths):
    paths.set(2, "standby")
    claim("a group in standby: both paths hear of it", paths.hear(), [CHANGED, CHANGED])
    claim("one is ready, one is not", paths.hear(), ["good", STANDBY])
    claim("which does not write", paths.nodes[1].write(), STANDBY)
    claim("it is told as done by the server", paths.states(1), {1: (0, 0), 2: (2, 2)})
    a, b = paths.kill()
    claim("after SIGKILL the same", [a.write(), b.write()], ["good", STANDBY])
    try:
        paths.set(1, "unavailable")
        claim("the last path is kept", 0, 5)
    except Failed as failed:
        claim("the last path is kept", failed.status, 5)
    claim("nobody hears of that", paths.hear(), ["good", STANDBY])


def failed_over(paths):
    claim("a host that lost its path takes the other", paths.stpg(1, 2, 0), "good")
    claim("and writes", paths.nodes[1].write(), "good")
    claim("the other path hears of it", paths.nodes[0].hear(), CHANGED)
    claim("it is told as done by a host", paths.states(0)[2], (0, 1))
    claim("and by health", paths.noted(),
          ["vms/disk: portal group 2 is optimized since a host said so"])
    a, b = paths.kill()
    claim("after SIGKILL it still has it", b.write(), "good")
    log = paths.varved.log()
    claim("the log says who did it",
          "vms/disk: portal group 2 is optimized, by an initiator" in log, True)
    paths.set(2, "standby")
    claim("the administrator's next word counts again",
          [n.hear() for n in (a, b)] + [b.write()], [CHANGED, CHANGED, STANDBY])
    claim("and health has nothing to say", paths.noted(), [])


def cut_off(paths):
    paths.set(2, "unavailable")
    paths.hear()
    claim("what is unavailable a host does not take", paths.stpg(1, 2, 0),
          "check 4 67 0a")
    claim("nor writes by", paths.nodes[1].write(), UNAVAILABLE)
    claim("nor does it give up its last path", paths.stpg(0, 1, 2), "check 5 26 00")
    paths.set(1, "standby", "--force")
    claim("by force the administrator cuts all off",
          [paths.hear()] + [paths.hear()],
          [[CHANGED, CHANGED], [STANDBY, UNAVAILABLE]])
    paths.set(1, "optimized")
    paths.hear()
    claim("and gives it back", paths.nodes[0].write(), "good")


def removed(paths):
    paths.varved.varve("portal", "remove", paths.addresses[1])
    claim("its session goes on and hears of it, as others do", paths.hear(),
          [CHANGED, CHANGED])
    claim("a group without a portal is gone", list(paths.states(0)), [1])
    claim("and writes", paths.nodes[1].write(), "good")
    claim("and finds itself", list(paths.states(1)), [1, 2])


def story(directory, varved):
    paths = Paths(directory, varved)
    for part in (told, administered, failed_over, cut_off, removed):
        part(paths)
    for node in paths.nodes:
        node.kill()
    claim("varved stops", varved.stop(), 0)


if __name__ == "__main__":
    main(story)
