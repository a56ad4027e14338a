#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The hook that freezes KVM guests (packaging/quiesce.d/libvirt) with a stand-in for
libvirt: which guests it takes, what it says of those it cannot freeze, and that it thaws
exactly what it froze.  Real guests are those of tests/libvirt.  And the example of a hook
for a database, as a worker runs it."""
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))

from claims import claim, claim_equal, held  # noqa: E402
from varved import BUILD  # noqa: E402

HOOK = TOP / "packaging/quiesce.d/libvirt"
IQN = "iqn.2026-01.lan.nas1:vms"
NAA = "3f2e1d0c4b5a6978"
SERIAL = "0b7f8a52-5f6e-4d35-9a41-3b1f6a0c9d11"
LOCAL = "qemu:///system"
KVM1 = "qemu+ssh://kvm1/system"
DIRECT = (f"<pool type='iscsi-direct'><source><device path='{IQN}'/></source></pool>")
KERNEL = (f"<pool type='iscsi'><source><device path='{IQN}'/></source></pool>")
ABOUT = {"policy": "nightly", "snapshot": "tue", "luns": [
    {"name": "vms/web01", "naa": "naa." + NAA, "serial": SERIAL,
     "exports": [{"iqn": IQN, "lun": 1, "host": "kvm1"}]}]}


def domain(name, *sources, agent="connected", **more):
    disks = "".join(f"<disk>{source}<target dev='vda'/></disk>" for source in sources)
    channel = (f"<channel type='unix'><target type='virtio' state='{agent}' "
               "name='org.qemu.guest_agent.0'/></channel>" if agent else "")
    return dict(name=name, xml=f"<domain><devices>{disks}{channel}</devices></domain>",
                **more)


def block(path):
    return f"<source dev='{path}'/>"


def network(number):
    return f"<source protocol='iscsi' name='{IQN}/{number}'><host name='nas1'/></source>"


class World:
    def __init__(self, directory, domains, conf="", pools=None, others=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(dir=directory))
        self.path = self.directory / "world"
        self.hook = self.directory / "libvirt"
        self.hook.symlink_to(HOOK)
        (self.directory / "libvirt.conf").write_text(conf)
        world = {LOCAL: {"domains": {f"u{n}": d for n, d in enumerate(domains)},
                         "pools": pools or {}}}
        world.update(others or {})
        self.write(world)

    def write(self, world):
        self.path.write_text(json.dumps(world))

    def read(self):
        return json.loads(self.path.read_text())

    def run(self, verb, about=None, limit=60000):
        return subprocess.run(
            ["/usr/bin/env", "python3", HOOK, verb], text=True, capture_output=True,
            input=json.dumps(about or ABOUT),
            env=dict(os.environ, PYTHONPATH=str(HERE / "stand_in"),
                     PYTHONDONTWRITEBYTECODE="1", LIBVIRT_WORLD=str(self.path),
                     VARVE_STATE=str(self.directory / "state"), VARVE_HOOK=str(self.hook),
                     VARVE_LIMIT_MS=str(limit)))

    def log(self, verb):
        path = pathlib.Path(str(self.path) + ".log")
        lines = path.read_text().splitlines() if path.exists() else []
        return sorted(line.split()[1] for line in lines if line.split()[0] == verb)

    def frozen(self):
        return sorted(d["name"] for host in self.read().values()
                      for d in host["domains"].values() if d.get("frozen"))


def found(directory):
    """However a guest's disk is called, it is the LUN's; and no other is."""
    by = "/dev/disk/by-path/ip-10.0.0.10:3260-iscsi-"
    ours = {
        "wwn": block(f"/dev/disk/by-id/wwn-0x{NAA}"),
        "part": block(f"/dev/disk/by-id/wwn-0x{NAA}-part2"),
        "scsi": block(f"/dev/disk/by-id/scsi-3{NAA.upper()}"),
        "mpath": block(f"/dev/mapper/3{NAA}"),
        "serial": block(f"/dev/disk/by-id/scsi-SVARVE_thin_{SERIAL}"),
        "path": block(f"{by}{IQN}-lun-1"),
        "net": network(1),
        "direct": "<source pool='vms' volume='web01:0:0:1'/>",
        "stock": "<source pool='vms' volume='unit:0:0:1'/>",
        "kernel": "<source pool='by-kernel' volume='unit:0:0:1'/>",
        "below": "<source file='/var/top.qcow2'/><backingStore>"
                 f"{network(1)}</backingStore>",
    }
    others = {
        "lun-10": block(f"{by}{IQN}-lun-10"),
        "net-11": network(11),
        "net-0": f"<source protocol='iscsi' name='{IQN}'/>",
        "iqn": block(f"{by}{IQN}2-lun-1"),
        "wwn-other": block("/dev/disk/by-id/wwn-0x3f2e1d0c4b5a6979"),
        "volume": "<source pool='vms' volume='web01:0:0:2'/>",
        "pool": "<source pool='gone' volume='web01:0:0:1'/>",
        "rbd": f"<source protocol='rbd' name='{IQN}/1'/>",
        "empty": "",
    }
    pools = {"vms": {"xml": DIRECT, "volumes": {}},
             "by-kernel": {"xml": KERNEL, "volumes": {
                 "unit:0:0:1": f"{by}{IQN}-lun-1"}}}
    world = World(directory, [domain(name, source) for name, source in
                              {**ours, **others}.items()], pools=pools)
    done = world.run("freeze")
    claim_equal("the guests of a LUN are found by all its names",
                world.frozen(), sorted(ours))
    claim("that is said", done.returncode == 0 and done.stdout == "fs\n",
          done.stdout + done.stderr)
    claim_equal("and they are thawed", world.run("thaw").returncode, 0)
    claim_equal("all of them", (world.frozen(), world.log("thaw")), ([], sorted(ours)))


def refusals(directory):
    web = network(1)
    cases = [
        ("a guest that can have no agent", [domain("web01", web, agent=None)],
         "web01: it cannot be frozen: give it the channel org.qemu.guest_agent.0"),
        ("one whose agent does not run", [domain("web01", web, agent="disconnected")],
         "web01: it cannot be frozen: its agent does not run; install qemu-guest-agent"),
        ("one whose agent cannot freeze", [domain("web01", web, fault="fails")],
         "web01: failed to freeze /srv"),
        ("one whose agent has nothing to freeze", [domain("web01", web, files=0)],
         "web01: it has no file system"),
        ("one that is paused", [domain("web01", web, state=3)],
         "web01: it is neither running nor shut down"),
        ("one that was turned off", [domain("web01", web, state=5, reason=2)],
         "web01: it is off, and not known to have been shut down"),
        ("one of which nobody knows how it ended",
         [domain("web01", web, state=5, reason=0)], "web01: it is off, and not known"),
        ("a LUN that no guest has", [domain("db01", network(2))],
         f"no guest at {LOCAL} has vms/web01"),
    ]
    for text, domains, needle in cases:
        world = World(directory, domains)
        done = world.run("freeze")
        claim(f"refused: {text}", done.returncode == 1 and needle in done.stderr
              and done.stdout == "", done.stdout + done.stderr)
        world.run("thaw")
        claim_equal("nothing is frozen then", world.frozen(), [])
    world = World(directory, [], conf="uri = qemu+ssh://gone/system\n")
    claim("a libvirt that cannot be reached is named",
          "qemu+ssh://gone/system: cannot connect" in world.run("freeze").stderr)
    world = World(directory, [], conf="url = x\n")
    claim("a setting that is none is shown",
          "libvirt.conf:1: neither uri" in world.run("freeze").stderr)


def hangs(directory):
    """At once, for each costs the time it is given, which is to be enough for the rest."""
    guest = World(directory, [domain("web01", network(1), fault="hangs")])
    host = World(directory, [domain("web01", network(1))],
                 conf=f"uri = {LOCAL}\nuri = {KVM1}\n",
                 others={KVM1: {"domains": {}, "answers": False}})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        runs = [pool.submit(world.run, "freeze", limit=8000) for world in (guest, host)]
    claim("a guest that hangs is named", "web01: no answer in time"
          in runs[0].result().stderr, runs[0].result().stderr)
    claim("so is a libvirt that does not answer", f"{KVM1}: no answer in time"
          in runs[1].result().stderr, runs[1].result().stderr)
    guest.run("thaw")
    claim_equal("what has hung is thawed", guest.frozen(), [])


def off(directory):
    """Those that are shut down need nothing; those that have come and gone neither."""
    world = World(directory, [domain("web01", network(1), state=5, reason=1),
                              domain("gone", network(1), fault="gone")])
    done = world.run("freeze")
    claim("a guest that was shut down needs no freeze",
          (done.returncode, done.stdout) == (0, "fs\n"), done.stderr)
    claim_equal("and none is asked", (world.log("freeze"), world.run("thaw").returncode),
                ([], 0))


def some_fail(directory):
    world = World(directory, [domain("web01", network(1)),
                              domain("web02", network(1), fault="fails")])
    claim_equal("one of two that cannot be frozen is enough",
                world.run("freeze").returncode, 1)
    world.run("thaw")
    claim_equal("the other is thawed", world.frozen(), [])
    world = World(directory, [domain("web01", network(1)),
                              domain("web02", network(1), agent=None)])
    world.run("freeze")
    claim_equal("one that has no agent is known before any is frozen",
                (world.log("freeze"), world.run("thaw").returncode), ([], 0))


def app(directory):
    domains = [domain("db01", network(1)), domain("db02", network(1))]
    for names, level in (("db01", "fs"), ("db01, db02", "app")):
        world = World(directory, domains, conf=f"# ours\napp = {names}\n")
        claim_equal(f"{level}, if programs are frozen in {names}",
                    world.run("freeze").stdout, f"{level}\n")


def thaws(directory):
    world = World(directory, [domain("web01", network(1), fault="thaw-once"),
                              domain("web02", network(1)), domain("db01", network(2))])
    world.run("freeze")
    done = world.run("thaw")
    claim("a thaw that fails is said", done.returncode == 1
          and "web01: the agent is slow" in done.stderr, done.stderr)
    claim_equal("the others are thawed all the same", world.frozen(), ["web01"])
    claim_equal("again: those that are left", world.run("thaw").returncode, 0)
    claim_equal("and those alone", world.log("thaw"), ["web01", "web01", "web02"])
    claim_equal("the agent may take its time again",
                world.log("timeout").count("web02"), 3)
    world = World(directory, [domain("web01", network(1))])
    world.run("freeze")
    changed = world.read()
    changed[LOCAL]["domains"]["u0"]["frozen"] = 1
    world.write(changed)
    claim_equal("one that was thawed in part before is told", world.run("thaw").returncode, 3)
    claim_equal("what never was frozen is no trouble",
                World(directory, []).run("thaw").returncode, 0)


def moved(directory):
    """A guest that went to another host is frozen there."""
    there = {KVM1: {"domains": {}}}
    conf = f"uri = {LOCAL}\nuri = {KVM1}\n"
    world = World(directory, [domain("web01", network(1))], conf=conf, others=there)
    world.run("freeze")
    changed = world.read()
    changed[KVM1]["domains"]["u0"] = dict(changed[LOCAL]["domains"]["u0"])
    changed[LOCAL]["domains"]["u0"].update(state=5, reason=4, frozen=0)
    world.write(changed)
    claim_equal("it is thawed where it is now",
                (world.run("thaw").returncode, world.frozen()), (0, []))
    claim_equal("and frozen there the next time, though its old host has it off",
                (world.run("freeze").stdout, world.log("freeze")), ("fs\n", ["web01"] * 2))
    changed = world.read()
    del changed[KVM1]["domains"]["u0"]
    world.write(changed)
    claim_equal("one that has ended is thawed, but was not frozen to the end",
                world.run("thaw").returncode, 3)


class Shop:
    """A database that is frozen by the example, as a worker does it, and then by a hook
    that freezes nothing but may fail."""

    def __init__(self, directory):
        self.directory = pathlib.Path(tempfile.mkdtemp(dir=directory))
        self.path = self.directory / "shop.db"
        self.hook = self.directory / "database"
        shutil.copy(TOP / "docs/examples/quiesce-database", self.hook)
        self.then = self.directory / "then"
        self.then.write_text("#!/bin/sh\ncd ${0%/*}; [ $1 = thaw ] || [ ! -e fails ] || exit 1\n"
                             "echo fs\n")
        for program in (self.hook, self.then):
            program.chmod(0o755)
        (self.directory / "database.conf").write_text(
            f"database = {self.path}\nthen = {self.then}\n")
        self.database().execute("PRAGMA journal_mode = WAL")
        self.database().execute("CREATE TABLE sold (thing TEXT)")

    def database(self):
        return sqlite3.connect(self.path, isolation_level=None, timeout=0)

    def sells(self):
        try:
            self.database().execute("INSERT INTO sold VALUES ('a book')")
            return True
        except sqlite3.OperationalError:
            return False

    def freeze(self):
        worker = subprocess.Popen(
            [BUILD / "tests/quiesce/run", "freeze", self.hook, self.directory / "records",
             "60000"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        worker.stdin.write(json.dumps(ABOUT) + "\n")
        worker.stdin.flush()
        return worker, json.loads(worker.stdout.readline())

    def thaw(self, worker):
        worker.stdin.write("thaw\n")
        worker.stdin.flush()
        said = json.loads(worker.stdout.readline())
        worker.wait()
        return said

    def holder(self):
        return int(next((self.directory / "records").glob(".*.state")).read_text())


def database(directory):
    """The example of a database (docs/examples)."""
    shop = Shop(directory)
    connection = shop.database()  # keeps the log that is written ahead
    connection.execute("INSERT INTO sold VALUES ('a lamp')")
    claim("a database with a log to be replayed",
          pathlib.Path(f"{shop.path}-wal").stat().st_size > 0)
    worker, said = shop.freeze()
    claim_equal("is frozen by the example", said, {"frozen": True})
    claim("nobody writes to it", not shop.sells())
    shutil.copy(shop.path, shop.directory / "copy.db")
    copied = sqlite3.connect(shop.directory / "copy.db").execute(
        "SELECT thing FROM sold").fetchall()
    claim_equal("its file alone has all of it", copied, [("a lamp",)])
    said = shop.thaw(worker)
    claim("it is thawed, and was frozen throughout", said.get("held")
          and said["consistency"] == "app", said)
    claim("and sells again", wait_for(shop.sells))
    worker, said = shop.freeze()
    os.kill(shop.holder(), signal.SIGKILL)
    said = shop.thaw(worker)
    claim("a lock that was lost is told", said.get("held") is False, said)
    (shop.directory / "fails").touch()
    worker, said = shop.freeze()
    claim_equal("when the other hook fails it is not frozen", said["problem"]["code"],
                "quiesce.not-frozen")
    worker.wait()
    (shop.directory / "fails").unlink()
    claim("and sells again", wait_for(shop.sells))
    claim("no record is left", wait_for(
        lambda: list((shop.directory / "records").iterdir()) == []))


def wait_for(truth, seconds=60):
    end = time.monotonic() + seconds
    while not truth() and time.monotonic() < end:
        time.sleep(0.02)
    return truth()


def main():
    with tempfile.TemporaryDirectory() as directory:
        for story in (found, refusals, hangs, off, some_fail, app, thaws, moved, database):
            story(directory)
    print(f"{sum(held)} passed, {len(held) - sum(held)} failed")
    sys.exit(0 if held and all(held) else 1)


main()
