#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""make test-ceph: what Ceph makes of varve's backups.

A one-node cluster (a monitor and an OSD that keeps its objects in memory, no manager) runs in
a private directory on 127.0.0.1.  Days of a LUN are backed up; `rbd import-diff` takes each
backup, and what it makes of it is compared, byte for byte, with what the snapshot held; so are
increments that `rbd merge-diff` made one of, and those that varve did.
"""
import filecmp
import os
import pathlib
import random
import socket
import subprocess
import sys
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from claims import claim, main

MIB = 1 << 20
SEED = int(os.environ.get("SEED", "5"))
rng = random.Random(SEED)
DAYS = 5

CONFIG = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{port}]
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data = {dir}/mon
osd data = {dir}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
keyring = {dir}/keyring
admin socket = {dir}/$name.asok
log file = {dir}/$name.log
pid file =
run dir = {dir}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Ceph:
    def __init__(self, directory):
        self.directory, self.fsid = directory, str(uuid.uuid4())
        self.daemons = []
        directory.mkdir()
        (directory / "mon").mkdir()
        (directory / "osd").mkdir()
        self.port = free_port()
        (directory / "ceph.conf").write_text(
            CONFIG.format(fsid=self.fsid, port=self.port, dir=directory))

    def run(self, program, *arguments, **options):
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.run([program, "--conf", self.directory / "ceph.conf",
                               *map(str, arguments)], check=True,
                              stderr=subprocess.PIPE, timeout=120, **options).stdout

    def daemon(self, program, name):
        self.daemons.append(subprocess.Popen(
            [program, "--conf", self.directory / "ceph.conf", "-f", "-i", name],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def start(self):
        subprocess.run(["monmaptool", "--create", "--fsid", self.fsid, "--addv", "a",
                        f"[v2:127.0.0.1:{self.port}]", self.directory / "monmap"],
                       check=True, stdout=subprocess.DEVNULL)
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", self.directory / "monmap")
        self.daemon("ceph-mon", "a")
        name = str(uuid.uuid4())
        self.run("ceph", "osd", "new", name)
        self.run("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", name)
        self.run("ceph", "osd", "crush", "add", "osd.0", "1.0", "host=here", "root=default")
        self.daemon("ceph-osd", "0")
        self.run("ceph", "osd", "pool", "create", "rbd", "8")
        for _ in range(300):
            if b'"num_up_osds":1' in self.run("ceph", "osd", "stat", "-f", "json"):
                return
            time.sleep(0.1)
        raise RuntimeError("the OSD did not come up")

    def stop(self):
        for daemon in reversed(self.daemons):
            daemon.kill()
            daemon.wait()


def write(url, directory, size):
    """Data, zeros and nothing, at random."""
    noise = directory / "noise"
    noise.write_bytes(rng.randbytes(2 * MIB))
    commands = []
    for _ in range(12):
        length = 4096 * rng.randint(1, 512)
        offset = 4096 * rng.randrange((size - length) // 4096)
        verb = f"write -s {noise}" if rng.random() < 0.7 else "discard"
        commands += ["-c", f"{verb} {offset} {length}"]
    subprocess.run(["qemu-io", "-f", "raw", *commands, "-c", "flush", url], check=True,
                   stdout=subprocess.DEVNULL)


def back_up_days(varved, directory):
    """Items of the backups; the image of each day is in directory."""
    size, items = 64 * MIB, []
    url = varved.lun("vms/web01", "64M", "h")
    for number in range(DAYS):
        day = f"day{number}"
        write(url, directory, size)
        if number == 2:
            size += 16 * MIB
            varved.varve("lun", "resize", "vms/web01", "+16M")
        varved.varve("snap", "create", f"vms/web01@{day}")
        items.append(varved.varve("backup", "create", f"vms/web01@{day}", "--to",
                                  directory / "web01")["item"])
        varved.varve("snap", "read", f"vms/web01@{day}", "--to", directory / f"{day}.raw")
    return items


def unpack(directory, item):
    out = directory / (item["name"] + ".diff")
    with open(out, "wb") as file:
        subprocess.run(["zstd", "-dqc", directory / "web01" / item["file"]], check=True,
                       stdout=file)
    return out


def equals(ceph, spec, image, directory):
    out = directory / "exported"
    out.unlink(missing_ok=True)
    ceph.run("rbd", "export", "--no-progress", spec, out)
    return filecmp.cmp(out, image, shallow=False)


def import_diff(ceph, path, image):
    ceph.run("rbd", "import-diff", "--no-progress", path, image)


def story(directory, varved):
    print(f"seed {SEED}: SEED={SEED} make test-ceph")
    varved.varve("pool", "create", "vms", directory / "vms.pool", "--size", "1G")
    varved.varve("host", "add", "h", "--iqn", "iqn.2008-11.org.linux-kvm", "--no-chap")
    items = back_up_days(varved, directory)
    ceph = Ceph(directory / "ceph")
    try:
        ceph.start()
        judge(ceph, varved, directory, items)
    finally:
        ceph.stop()


def judge(ceph, varved, directory, items):
    diffs = [unpack(directory, item) for item in items]
    ceph.run("rbd", "create", "--size", "64M", "rbd/web01")
    for item, diff in zip(items, diffs):
        import_diff(ceph, diff, "rbd/web01")
        claim(f"rbd import-diff takes the {item['kind']} of {item['name']}, and the image "
              "equals the snapshot", equals(ceph, "rbd/web01", directory /
                                            f"{item['name']}.raw", directory))
    claim("all days are its snapshots", all(
        equals(ceph, f"rbd/web01@{i['name']}", directory / f"{i['name']}.raw", directory)
        for i in items))

    merged = diffs[0]
    for number, diff in enumerate(diffs[1:]):
        out = directory / f"merged{number}"
        ceph.run("rbd", "merge-diff", "--no-progress", merged, diff, out)
        merged = out
    ceph.run("rbd", "create", "--size", "64M", "rbd/theirs")
    import_diff(ceph, merged, "rbd/theirs")
    claim("rbd merge-diff makes one of all of them, which is the last",
          equals(ceph, "rbd/theirs", directory / f"{items[-1]['name']}.raw", directory))

    varved.varve("backup", "merge", directory / "web01", "--from", "day1", "--to", "day3")
    ours = varved.varve("backup", "list", directory / "web01")["items"]
    claim("varve merges three of them", [i["name"] for i in ours] == ["day0", "day3", "day4"])
    ceph.run("rbd", "create", "--size", "64M", "rbd/ours")
    for item in ours:
        import_diff(ceph, unpack(directory, item), "rbd/ours")
        claim(f"with what varve merged rbd makes {item['name']}",
              equals(ceph, "rbd/ours", directory / f"{item['name']}.raw", directory))


if __name__ == "__main__":
    main(story)
