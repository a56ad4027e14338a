#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""make soak: a month of a LUN with ext4 on it.  Every day files come and go, a snapshot is taken
and backed up, older snapshots go, backups are pruned; the backup is killed at its marks, the
prune and the restore anywhere.  Every day restores to what its snapshot held, compared whole
with what qemu-img read, and e2fsck finds nothing wrong with it.

    days.py [DAYS] [KILLS] [SEED]
"""
import filecmp
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE.parent / "integration"))
import backup as stories
from claims import claim, main

MIB = 1 << 20
BLOCK = 4096
DAYS = int(sys.argv[1]) if len(sys.argv) > 1 else 30
KILLS = int(sys.argv[2]) if len(sys.argv) > 2 else 200
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else int(time.time())
SIZE = 256 * MIB
KEPT = 7
rng = random.Random(SEED)


class Ext4:
    """A file system in a file, whose changed blocks are written to the LUN."""

    def __init__(self, varved):
        self.directory = varved.directory
        self.now, self.before = self.directory / "now", self.directory / "before"
        self.url = varved.lun("vms/web01", f"{SIZE // MIB}M", "h")
        for path in (self.now, self.before):
            with open(path, "wb") as file:
                file.truncate(SIZE)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "4096", self.now], check=True)
        self.names = []

    def day(self, number):
        source = self.directory / "file"
        script = []
        for one in range(rng.randint(3, 12)):
            name = f"f{number}_{one}"
            source_n = self.directory / f"file{one}"
            source_n.write_bytes(rng.randbytes(rng.randint(1, 2 * MIB)))
            script.append(f"write {source_n} {name}")
            self.names.append(name)
        while len(self.names) > 60 or rng.random() < 0.5 and len(self.names) > 5:
            script.append(f"rm {self.names.pop(rng.randrange(len(self.names)))}")
        source.write_text("\n".join(script) + "\n")
        subprocess.run(["debugfs", "-w", "-f", source, self.now], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.push()

    def push(self):
        commands = []
        with open(self.now, "rb") as now, open(self.before, "rb") as before:
            for at in range(0, SIZE, 256 * 1024):
                if now.read(256 * 1024) != before.read(256 * 1024):
                    part = self.directory / f"part{at}"
                    now.seek(at)
                    part.write_bytes(now.read(256 * 1024))
                    commands += ["-c", f"write -s {part} {at} 256k"]
        subprocess.run(["qemu-io", "-f", "raw", *commands, "-c", "flush", self.url],
                       check=True, stdout=subprocess.DEVNULL)
        for part in self.directory.glob("part*"):
            part.unlink()
        shutil.copyfile(self.now, self.before)


def kill_somewhere(process, seconds):
    """Killed at some time up to that; False: it had ended."""
    time.sleep(rng.random() * seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def backed_up(varved, snap, directory, kills):
    """With so many kills at its marks; how many there were."""
    for count in range(kills):
        process = stories.varve_process(varved, "backup", "create", snap, "--to", directory,
                                        "--checkpoint", "1M")
        if not stories.kill_at_mark(process, directory):
            return count
    stories.create(varved, snap, directory)
    return kills


def story(directory, varved):
    print(f"{DAYS} days, {KILLS} kills, seed {SEED}")
    varved.varve("pool", "create", "vms", directory / "vms.pool", "--size", "2G")
    varved.varve("host", "add", "h", "--iqn", stories.IQN, "--no-chap")
    disk, backups, images = Ext4(varved), directory / "web01", directory / "images"
    images.mkdir()
    kills, wrong, unclean, out = 0, [], [], directory / "restored"
    for number in range(DAYS):
        day = f"day{number:02}"
        disk.day(number)
        varved.varve("snap", "create", f"vms/web01@{day}")
        kills += backed_up(varved, f"vms/web01@{day}", backups, 1 + KILLS // (3 * DAYS))
        stories.create(varved, f"vms/web01@{day}", backups)
        stories.image_of(varved, f"vms/web01@{day}", images / day)
        if number % 3:
            varved.varve("snap", "delete", f"vms/web01@{day}")
        for _ in range(KILLS // (3 * DAYS)):
            kills += kill_somewhere(stories.varve_process(
                varved, "backup", "prune", backups, "--keep", f"last={KEPT}"), 0.3)
            kills += kill_somewhere(stories.varve_process(
                varved, "backup", "restore", backups, "--to", out), 0.3)
        varved.varve("backup", "prune", backups, "--keep", f"last={KEPT}")
        kept = [i["name"] for i in varved.varve("backup", "list", backups)["items"]]
        if kept != [f"day{n:02}" for n in range(max(0, number + 1 - KEPT), number + 1)]:
            wrong.append(kept)
        for name in kept:
            out.unlink(missing_ok=True)
            varved.varve("backup", "restore", backups, "--at", name, "--to", out)
            if not filecmp.cmp(out, images / name, shallow=False):
                wrong.append(name)
        if subprocess.run(["e2fsck", "-fn", out], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode != 0:
            unclean.append(day)
        if number >= KEPT:
            (images / f"day{number - KEPT:02}").unlink(missing_ok=True)
        print(f"{day}: {kills} kills, {len(wrong)} wrong", flush=True)
    claim("what is kept restored to what its snapshot held, every day", wrong == [], wrong or "")
    claim("and was clean", unclean == [], unclean or "")
    claim(f"{kills} kills", kills > 0)
    claim("everything is as it was written",
          varved.varve("backup", "verify", backups)["items"] == [])


if __name__ == "__main__":
    main(story)
