#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backups, and what can come between: the command is killed, varved is killed and comes back, the
network breaks, is silent or has no route for a while, the control connection breaks or is
silent.  Each at a random point of the work, counted in bytes that have passed (what works on
files alone is killed at a random time).  Whatever it was, the same command ends it, and every byte is
compared with what another initiator (qemu-img) read.

    faults.py [POINTS] [SEED]       soak.sh has hundreds

What the network has to be is a part of this process (tests/forward.py), in a network namespace
where one may be made; there the route is taken away, too.
"""
# timeout: 120
import filecmp
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from backup import IQN, MIB, Lun, image_of, stream_of
from claims import claim, claim_equal, main
from forward import Forward
from varved import BUILD

POINTS = int(sys.argv[1]) if len(sys.argv) > 1 else 10
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else 11
ALONE = "FAULTS_ALONE"  # in a namespace of one's own
DAYS = ["mon", "tue", "wed"]
rng = random.Random(SEED)

# How a command may end that a fault came to: what it says then.
SAID = ("backup.lun-io", "daemon.lost", "daemon.not-running", "daemon.timeout")


def route(state):
    subprocess.run(["ip", "link", "set", "lo", state], check=True)


class Scene:
    def __init__(self, directory, varved):
        self.directory, self.varved = directory, varved
        self.network = Forward("127.0.0.1:0", varved.portal())
        self.control = Forward(directory / "control", varved.directory / "varve.sock")
        self.backups, self.images = directory / "backups", directory / "images"
        self.target, self.out = directory / "target", directory / "out"
        self.threads = []
        self.make()

    def make(self):
        varved = self.varved
        for pool in ("vms", "standby"):
            varved.varve("pool", "create", pool, self.directory / f"{pool}.pool", "--size", "512M")
        varved.varve("host", "add", "h", "--iqn", IQN, "--no-chap")
        lun = Lun(varved, "vms/web01", 32 * MIB)
        self.images.mkdir()
        for number, day in enumerate(DAYS):
            lun.write(8 if number else 30, 128 if number else 512)
            lun.snap(day)
            varved.varve("backup", "create", f"vms/web01@{day}", "--to", self.backups,
                         "--checkpoint", "1M")
            image_of(varved, f"vms/web01@{day}", self.images / day)

    def command(self, *arguments, options=()):
        return subprocess.Popen(
            [str(BUILD / "varve"), "--connect", f"unix:{self.control.path}", "--json", "--yes",
             *options, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)

    def later(self, seconds, action):
        thread = threading.Timer(seconds, action)
        thread.start()
        self.threads.append(thread)

    def rest(self):
        """What was to come back is back."""
        for thread in self.threads:
            thread.join()
        self.threads = []

    def same(self, name, day):
        """Is the LUN or snapshot what that day's snapshot is?"""
        self.out.unlink(missing_ok=True)
        image_of(self.varved, name, self.out)
        return filecmp.cmp(self.out, self.images / day, shallow=False)

    def restores(self, directory, day):
        self.out.unlink(missing_ok=True)
        self.varved.varve("backup", "restore", directory, "--at", day, "--to", self.out)
        return filecmp.cmp(self.out, self.images / day, shallow=False)

    def forget_lun(self, name):
        self.varved.varve("lun", "delete", name, "--now")


# ---- what is done: what there has to be before, the command, and whether its bytes are right


class Create:
    network = True

    def __init__(self, scene):
        self.scene, self.day = scene, rng.choice(DAYS)
        self.increment = self.day != "mon" and rng.random() < 0.5
        shutil.rmtree(scene.target, ignore_errors=True)
        if self.increment:  # all that is older is there
            scene.target.mkdir()
            for path in scene.backups.iterdir():
                if path.name[0] == "0" and int(path.name[:6]) <= DAYS.index(self.day):
                    shutil.copy(path, scene.target)

    def arguments(self):
        return ["backup", "create", f"vms/web01@{self.day}", "--to", self.scene.target,
                "--checkpoint", "1M", "--portal", self.scene.network.address]

    def right(self, item):
        listed = {i["name"]: i for i in self.scene.varved.varve(
            "backup", "list", self.scene.backups)["items"]}
        return (self.scene.restores(self.scene.target, self.day)
                and (not self.increment or stream_of(self.scene.target, item) == stream_of(
                    self.scene.backups, listed[self.day]))
                and not list(self.scene.target.glob("partial*")))

    def end(self):
        pass


class Restore:
    """To a LUN."""
    network = True

    def __init__(self, scene):
        self.scene, self.day = scene, rng.choice(DAYS)

    def arguments(self):
        return ["backup", "restore", self.scene.backups, "--at", self.day, "--to", "vms/back",
                "--portal", self.scene.network.address]

    def right(self, _):
        return self.scene.same("vms/back", self.day)

    def end(self):
        self.scene.forget_lun("vms/back")


class Send:
    """The first one, or one more."""
    network = True

    def __init__(self, scene):
        self.scene, self.day = scene, rng.choice(DAYS)
        if self.day != "mon" and rng.random() < 0.5:
            scene.varved.varve("backup", "send", "vms/web01@mon", "--to", "standby/web01")

    def arguments(self):
        return ["backup", "send", f"vms/web01@{self.day}", "--to", "standby/web01", "--portal",
                self.scene.network.address, "--to-portal", self.scene.network.address]

    def right(self, _):
        return (self.scene.same("standby/web01", self.day)
                and self.scene.same(f"standby/web01@{self.day}", self.day))

    def end(self):
        self.scene.forget_lun("standby/web01")


class Read:
    network = True

    def __init__(self, scene):
        self.scene, self.day = scene, rng.choice(DAYS)
        scene.target = scene.directory / "read"
        scene.target.unlink(missing_ok=True)

    def arguments(self):
        return ["snap", "read", f"vms/web01@{self.day}", "--to", self.scene.target, "--portal",
                self.scene.network.address]

    def right(self, _):
        return filecmp.cmp(self.scene.target, self.scene.images / self.day, shallow=False)

    def end(self):
        self.scene.target.unlink()
        self.scene.target = self.scene.directory / "target"


class RestoreFile:
    network = False

    def __init__(self, scene):
        self.scene, self.day = scene, rng.choice(DAYS)
        self.to = scene.directory / "restored"

    def arguments(self):
        return ["backup", "restore", self.scene.backups, "--at", self.day, "--to", self.to]

    def right(self, _):
        return filecmp.cmp(self.to, self.scene.images / self.day, shallow=False)

    def end(self):
        self.to.unlink()


class Fewer:
    """prune and merge: of a copy.  Also before it is done again all that is listed restores."""
    network = False

    def __init__(self, scene):
        self.scene = scene
        shutil.rmtree(scene.target, ignore_errors=True)
        shutil.copytree(scene.backups, scene.target)
        self.prune = rng.random() < 0.5
        self.kept = rng.choice([["wed"], ["tue", "wed"]])
        self.calm = True

    def arguments(self):
        if self.prune:
            return ["backup", "prune", self.scene.target, "--keep", f"last={len(self.kept)}"]
        return ["backup", "merge", self.scene.target, "--to", self.kept[0]]

    def listed(self):
        return [i["name"] for i in self.scene.varved.varve(
            "backup", "list", self.scene.target)["items"]]

    def whole_between(self):
        names = self.listed()
        return set(self.kept) <= set(names) and all(
            self.scene.restores(self.scene.target, name) for name in names)

    def right(self, _):
        kept, listed = self.kept, self.listed()
        if not self.prune:
            # killed when it had merged them, it does not know any more what it was to remove
            kept = DAYS[DAYS.index(kept[0]):]
            listed = listed if self.calm else listed[-len(kept):]
        return (listed == kept and self.whole_between() and self.scene.varved.varve(
            "backup", "verify", self.scene.target)["items"] == [])

    def end(self):
        pass


WORK = [Create, Restore, Send, Read, RestoreFile, Fewer]


# ---- what comes between: begun where the bytes have passed; what a command may not outlive


def kill(_, process):
    process.send_signal(signal.SIGKILL)


def varved_dies(scene, _):
    scene.varved.kill()
    scene.later(rng.random() * 0.3, scene.varved.start)


def network_breaks(scene, _):
    scene.network.cut()


def network_is_silent(scene, _):
    """And connections that were silent are lost, or go on."""
    scene.network.hold()
    lost = rng.random() < 0.5

    def come_back():
        if lost:
            scene.network.cut()
        scene.network.go()
    scene.later(rng.random(), come_back)


def no_route(scene, _):
    route("down")
    scene.later(rng.random(), lambda: route("up"))


def control_breaks(scene, _):
    scene.control.cut()


def control_is_silent(scene, _):
    scene.control.hold()
    scene.later(rng.random(), scene.control.go)


FAULTS = [kill, varved_dies, network_breaks, network_is_silent, control_breaks, control_is_silent]
if ALONE in os.environ:
    FAULTS.append(no_route)


class Tally:
    def __init__(self):
        self.landed, self.outlived, self.wrong = {}, {}, []
        self.calm = {}  # what passes, of each kind of work, when nothing comes between

    def measure(self, scene):
        """Of each kind of work: bytes through the network and the control, and seconds."""
        for work_class in WORK:
            work = work_class(scene)
            for line in (scene.network, scene.control):
                line.trip(1 << 60, None)
            begun = time.monotonic()
            process = scene.command(*work.arguments())
            answer = last_line(process)
            self.calm[work_class] = [line.untrip()[0] for line in (
                scene.network, scene.control)] + [time.monotonic() - begun]
            if process.returncode != 0 or not work.right(answer.get("item")):
                self.wrong.append((work_class.__name__, "calm", answer))
            work.end()

    def point(self, scene, work_class, fault):
        work, name = work_class(scene), (work_class.__name__, fault.__name__)
        process = scene.command(*work.arguments())
        landed = self.strike(scene, work_class, fault, process)
        answer = last_line(process)
        landed = landed()
        scene.rest()
        if process.returncode == 0:
            self.outlived[name[1]] = self.outlived.get(name[1], 0) + landed
        elif process.returncode != -signal.SIGKILL and answer["error"]["code"] not in SAID:
            self.wrong.append((*name, answer))
        if process.returncode != 0:
            work.calm = False
            if work_class is Fewer and not work.whole_between():
                self.wrong.append((*name, "something was lost"))
            process = scene.command(*work.arguments())
            answer = last_line(process)
        if not (process.returncode == 0 or had_ended(answer)) or not work.right(
                answer.get("item")):
            self.wrong.append((*name, process.returncode, answer))
        self.landed[name] = self.landed.get(name, 0) + landed
        work.end()

    def strike(self, scene, work_class, fault, process):
        """Arms it; what is returned tells whether it struck while there was work."""
        network, control, seconds = self.calm[work_class]
        if not work_class.network:
            time.sleep(rng.random() * seconds)
            fault(scene, process)
            return lambda: process.returncode == -signal.SIGKILL
        talks = fault.__name__.startswith("control") or rng.random() < 0.2
        line, most = (scene.control, control) if talks else (scene.network, network)
        line.trip(rng.randrange(1, most), lambda: fault(scene, process))
        return lambda: not line.untrip()[1]


def had_ended(answer):
    """It was killed when what it restored had its name already, which it has when it is whole."""
    return answer["error"]["code"] == "backup.target-exists"


def last_line(process):
    try:
        out, error = process.communicate(timeout=100)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return {"error": {"code": "it hung"}}
    lines = out.strip().splitlines()
    return json.loads(lines[-1]) if lines else {"error": {"code": "nothing was said", "why": error}}


def random_points(scene):
    tally = Tally()
    tally.measure(scene)
    pairs = [(w, f) for w in WORK for f in FAULTS if w.network or f is kill]
    rng.shuffle(pairs)
    tries = 0
    while sum(tally.landed.values()) < POINTS and tries < 3 * POINTS:
        tally.point(scene, *pairs[tries % len(pairs)])
        tries += 1
    for work in WORK:
        print("     " + work.__name__ + ": " + ", ".join(
            f"{count} {fault}" for (name, fault), count in sorted(tally.landed.items())
            if name == work.__name__))
    claim(f"{sum(tally.landed.values())} of {tries} points struck during the work",
          sum(tally.landed.values()) >= POINTS)
    claim("each ended with the same bytes", tally.wrong == [], tally.wrong or "")
    print("     outlived without being given again: " + ", ".join(
        f"{count} {fault}" for fault, count in sorted(tally.outlived.items())))


def long_outages(scene):
    """What lasts is said, by the name of the portal, and the same command goes on."""
    for work_class in WORK[:len(WORK) if POINTS > 20 else 2]:
        if not work_class.network:
            continue
        work, line = work_class(scene), scene.network
        line.trip(400 << 10, line.hold)
        process = scene.command(*work.arguments(), options=["--timeout", "2s"])
        answer = last_line(process)
        name = work_class.__name__
        claim_equal(f"{name}: a network that stays silent ends it",
                    (process.returncode, answer["error"]["code"]), (1, "backup.lun-io"))
        claim("which says the portal", scene.network.address in str(answer["error"]),
              answer["error"])
        line.cut()
        line.go()
        process = scene.command(*work.arguments())
        answer = last_line(process)
        claim("and the same command ends it", process.returncode == 0 and work.right(
            answer["item"]), answer if process.returncode else "")
        work.end()


def its_machine_dies(scene):
    """varved comes back after a start of its machine: what was acknowledged and not flushed may
    be lost then, so what is written to a LUN is not taken for done."""
    other = scene.directory / "boot_id"
    other.write_text("00000000-0000-4000-8000-000000000001\n")
    before = ["unshare", "-m", "sh", "-c",
              f'mount --bind {other} /proc/sys/kernel/random/boot_id && exec "$0" "$@"']
    for work_class in (Restore, Send):
        def machine_dies():
            scene.varved.kill()
            scene.varved.before = before
            scene.varved.start()
        work = work_class(scene)
        scene.network.trip(400 << 10, machine_dies)
        process = scene.command(*work.arguments())
        answer = last_line(process)
        name = work_class.__name__
        claim(f"{name}: a machine that lost its power ends it",
              process.returncode == 1 and "started anew" in str(answer), answer)
        process = scene.command(*work.arguments())
        answer = last_line(process)
        claim("and the same command ends it", process.returncode == 0 and work.right(
            answer["item"]), answer if process.returncode else "")
        work.end()
        scene.varved.kill()
        scene.varved.before = []
        scene.varved.start()


def story(directory, varved):
    print(f"{POINTS} points, seed {SEED}" + ("" if ALONE in os.environ else
                                             ", without a namespace for the network"))
    scene = Scene(directory, varved)
    long_outages(scene)
    its_machine_dies(scene)
    random_points(scene)
    claim("all backups are as they were written",
          varved.varve("backup", "verify", scene.backups, "--deep")["items"] == [])
    claim_equal("nobody is left logged in", [
        (h["name"], h["luns"]) for h in varved.varve("host", "list")["items"] if h["luns"]],
        [("h", 1)])


def alone():
    """In a network of one's own, where that may be made."""
    probe = ["unshare", "-n", "ip", "link", "set", "lo", "up"]
    if ALONE in os.environ:
        route("up")
    elif subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        os.environ[ALONE] = "1"
        os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])


if __name__ == "__main__":
    alone()
    main(story)
