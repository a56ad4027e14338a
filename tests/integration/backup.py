#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""varve backup over some days of one LUN: every day restores to what its snapshot held,
compared byte for byte with what another initiator (qemu-img) read; reading no more than
what changed; kills, flipped bits, a full disk, a wrong base, two at once.

    backup.py [DAYS] [SEED]         soak.sh runs more days and kills

Speed is measured by tests/bench, Ceph's opinion of the files is asked by tests/ceph.
"""
# timeout: 120
import filecmp
import hashlib
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from claims import claim, main
from varved import BUILD

MIB = 1 << 20
BLOCK = 4096
DAYS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else 7
rng = random.Random(SEED)
IQN = "iqn.2008-11.org.linux-kvm"
os.environ["TZ"] = "UTC"


class Lun:
    """What a host writes to it, and which blocks that changes."""

    def __init__(self, varved, name, size):
        self.varved, self.name, self.size = varved, name, size
        self.url = varved.lun(name, f"{size // MIB}M", "h")
        self.noise = varved.directory / "noise"
        self.data, self.zero = set(), set()

    def write(self, count, largest):
        commands = []
        self.noise.write_bytes(rng.randbytes(largest * BLOCK))
        for _ in range(count):
            blocks = rng.randint(1, largest)
            first = rng.randrange(self.size // BLOCK - blocks)
            touched = set(range(first, first + blocks))
            if rng.random() < 0.8:
                command = f"write -s {self.noise} {first * BLOCK} {blocks * BLOCK}"
                self.data, self.zero = self.data | touched, self.zero - touched
            else:
                command = f"discard {first * BLOCK} {blocks * BLOCK}"
                self.data, self.zero = self.data - touched, self.zero | touched
            commands += ["-c", command]
        subprocess.run(["qemu-io", "-f", "raw", *commands, "-c", "flush", self.url],
                       check=True, stdout=subprocess.DEVNULL)

    def snap(self, day):
        self.varved.varve("snap", "create", f"{self.name}@{day}")

    def changed(self):
        """Bytes of data that changed since the last call."""
        bytes_ = len(self.data) * BLOCK
        self.data, self.zero = set(), set()
        return bytes_


def image_of(varved, snap, path):
    """All of a snapshot, by qemu-img."""
    export = varved.varve("export", "add", snap, "--host", "h", "--ttl", "10m")["item"]
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "raw",
                    f"iscsi://{varved.portal()}/{export['iqn']}/{export['lun']}", path],
                   check=True)
    varved.varve("export", "remove", snap, "--host", "h")


def varve_process(varved, *arguments, before=None):
    return subprocess.Popen(
        [str(BUILD / "varve"), "--connect", f"unix:{varved.directory}/varve.sock", "--json",
         "--yes", *map(str, arguments)], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=before)


def last_line(process):
    out, _ = process.communicate(timeout=100)
    return json.loads(out.strip().splitlines()[-1])


def code_of(varved, *arguments):
    """The code that a command ends with; "": none."""
    answer = last_line(varve_process(varved, *arguments))
    return answer["error"]["code"] if answer["kind"] == "error" else ""


def create(varved, snap, to, *options):
    return varved.varve("backup", "create", snap, "--to", to, *options)["item"]


def restores(varved, directory, days, images):
    """The days that restore to another image than they had."""
    wrong = []
    for day in days:
        out = varved.directory / "restored"
        out.unlink(missing_ok=True)
        varved.varve("backup", "restore", directory, "--at", day, "--to", out)
        if not filecmp.cmp(out, images / day, shallow=False):
            wrong.append(day)
    return wrong


def marks(directory):
    """Changes whenever a running backup makes a mark."""
    try:
        return (directory / "partial.json").stat().st_ino
    except FileNotFoundError:
        return None


def kill_at_mark(process, directory):
    """Kills it after its next mark; False: it had ended before."""
    seen = marks(directory)
    while process.poll() is None:
        if marks(directory) not in (None, seen):
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return process.returncode == -signal.SIGKILL
        time.sleep(0.0005)
    return False


def stream_of(directory, item):
    return subprocess.run(["zstd", "-dqc", directory / item["file"]], check=True,
                          stdout=subprocess.PIPE).stdout


# ---- stories


def days_of_a_lun(varved, lun, directory, images):
    """Returns the names of the days."""
    days, excess, kinds, modes = [], [], [], set()
    for number in range(DAYS):
        day = f"day{number:02}"
        lun.write(6 if number else 20, 16 if number else 512)
        lun.snap(day)
        item = create(varved, f"{lun.name}@{day}", directory)
        changed = lun.changed()
        exact = number > 0 and days[-1] in kept
        excess.append(item["read"] / changed if exact and changed else 0)
        kinds.append(item["kind"])
        image_of(varved, f"{lun.name}@{day}", images / day)
        # every other day only a bookmark is left of
        kept = {day}
        if number % 2:
            varved.varve("snap", "delete", f"{lun.name}@{day}")
            kept = set()
        modes.add(len(kept))
        days.append(day)
    claim("the first is full, all others are increments",
          kinds == ["full"] + ["increment"] * (DAYS - 1))
    claim("snapshots and bookmarks were both stood on", modes == {0, 1})
    claim(f"no more than 1.05 of what changed was read ({max(excess):.3f})",
          max(excess) <= 1.05)
    claim("one bookmark is left",
          len(varved.varve("bookmark", "list", lun.name)["items"]) == 1)
    claim("no host and no export is",
          [h["name"] for h in varved.varve("host", "list")["items"]] == ["h"])
    claim("every day restores to what its snapshot held",
          restores(varved, directory, days, images) == [])
    return days


def the_same_snapshot_again(varved, lun, directory, day):
    before = sorted(os.listdir(directory))
    item = create(varved, f"{lun.name}@{day}", directory)
    claim("what is backed up is not backed up again",
          item["read"] == 0 and sorted(os.listdir(directory)) == before)


def kills(varved, lun, directory, images):
    """A backup that is killed at its marks, against one that was not."""
    lun.write(40, 512)
    lun.snap("killed")
    snap = f"{lun.name}@killed"
    calm = create(varved, snap, varved.directory / "calm", "--since", "full")
    killed = varved.directory / "killed"
    count = 0
    while count < 5:
        process = varve_process(varved, "backup", "create", snap, "--to", killed,
                                "--checkpoint", "1M")
        if not kill_at_mark(process, killed):
            break
        count += 1
    item = create(varved, snap, killed)
    claim(f"a backup that was killed {count} times went on", count > 0 and item["resumed"])
    claim("and read what was missing", item["read"] < calm["read"])
    claim("its stream is that of one that was not, byte for byte",
          stream_of(killed, item) == stream_of(varved.directory / "calm", calm))
    image_of(varved, snap, images / "killed")
    claim("it restores", restores(varved, killed, ["killed"], images) == [])
    claim("and is what its snapshot holds",
          varved.varve("backup", "verify", killed, "--deep")["items"] == [])
    create(varved, snap, directory)


def interrupted(varved, lun):
    """Ctrl-C leaves nothing behind but what can be gone on with."""
    snap = f"{lun.name}@killed"
    for attempt in range(20):  # it may be done before it hears of it
        directory = varved.directory / f"interrupted-{attempt}"
        process = varve_process(varved, "backup", "create", snap, "--to", directory,
                                "--checkpoint", "1M", "--since", "full")
        while marks(directory) is None and process.poll() is None:
            time.sleep(0.0005)
        process.send_signal(signal.SIGINT)
        process.communicate()
        if process.returncode != 0:
            break
    claim("one that is interrupted says so", process.returncode == 130)
    claim("takes its host away",
          [h["name"] for h in varved.varve("host", "list")["items"]] == ["h"])
    claim("and is gone on with", create(varved, snap, directory)["resumed"])


def varved_dies(varved, lun):
    """The server is killed and comes back while a backup reads."""
    snap, directory = f"{lun.name}@killed", varved.directory / "shaken"
    process = varve_process(varved, "backup", "create", snap, "--to", directory,
                            "--checkpoint", "1M", "--since", "full")
    while marks(directory) is None and process.poll() is None:
        time.sleep(0.0005)
    varved.kill()
    varved.start()
    answer = last_line(process)
    if answer["kind"] == "error":
        claim("a backup whose server dies says so", answer["error"]["code"].startswith(
            ("daemon.", "backup.lun-io", "server.")))
        create(varved, snap, directory)
    else:
        claim("a backup outlives its server", True)
    claim("and ends with the same", varved.varve(
        "backup", "verify", directory, "--deep")["items"] == [])


def flipped_bits(varved, directory, count):
    missed = []
    files = sorted(p for p in directory.iterdir() if p.suffix in (".zst", ".json"))
    for _ in range(count):
        path = rng.choice(files)
        whole = path.read_bytes()
        bit = rng.randrange(8 * len(whole))
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        found = varved.varve("backup", "verify", directory)["items"]
        if not any(f["severity"] == "damage" for f in found):
            missed.append((path.name, bit))
        path.write_bytes(whole)
    claim(f"{count} flipped bits were found", missed == [])
    claim("and nothing is wrong without them",
          varved.varve("backup", "verify", directory)["items"] == [])


def missing_files(varved, directory):
    away = varved.directory / "away"
    manifest = next(directory.glob("000002-*.json"))
    shutil.move(manifest, away)
    claim("a manifest that is missing is found", any(
        f["code"] == "backup.chain" for f in varved.varve("backup", "verify", directory)["items"]))
    claim("what stands on it is not restored", code_of(
        varved, "backup", "restore", directory, "--to", varved.directory / "no") == "backup.chain")
    claim("nothing is removed meanwhile", code_of(
        varved, "backup", "prune", directory, "--keep", "last=1") == "backup.chain")
    shutil.move(away, manifest)


def damaged_restore(varved, directory, day):
    stream = next(directory.glob("000001-*.zst"))
    whole = stream.read_bytes()
    stream.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    out = varved.directory / "no"
    claim("what is damaged is not restored", code_of(
        varved, "backup", "restore", directory, "--at", day, "--to", out) == "backup.damaged")
    claim("nor left under its name", not out.exists())
    claim("nor as a LUN", code_of(varved, "backup", "restore", directory, "--at", day,
                                  "--to", "vms/no") == "backup.damaged"
          and "vms/no" not in [l["name"] for l in varved.varve("lun", "list")["items"]])
    stream.write_bytes(whole)


def full_disk(varved, lun):
    """A limit of file sizes is met as a full disk is."""
    snap, directory = f"{lun.name}@killed", varved.directory / "full"

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (6 * MIB, 6 * MIB))

    process = varve_process(varved, "backup", "create", snap, "--to", directory, "--since",
                            "full", "--checkpoint", "1M", before=limit)
    claim("a full disk is said", last_line(process)["error"]["code"] == "backup.no-space"
          and process.returncode == 8)
    item = create(varved, snap, directory)
    claim("with room it goes on where it was", item["resumed"])
    claim("to what it has to be",
          varved.varve("backup", "verify", directory, "--deep")["items"] == [])


def wrong_bases(varved, lun, directory):
    varved.varve("lun", "create", "vms/other", "--size", "8M")
    varved.varve("snap", "create", "vms/other@killed2")
    claim("another LUN's directory is refused", code_of(
        varved, "backup", "create", "vms/other@killed2", "--to", directory) == "backup.other-lun")
    lun.snap("next")
    snap = f"{lun.name}@next"
    claim("a base that is not there is refused", code_of(
        varved, "backup", "create", snap, "--to", directory, "--since", "sunday")
        == "backup.not-found")
    claim("one that cannot be compared with is refused", code_of(
        varved, "backup", "create", snap, "--to", directory, "--since", "day01")
        == "backup.base")
    varved.varve("snap", "delete", f"{lun.name}@killed")
    varved.varve("snap", "create", f"{lun.name}@killed")
    claim("a name that means another snapshot is refused", code_of(
        varved, "backup", "create", f"{lun.name}@killed", "--to", directory) == "backup.exists")
    claim("a snapshot that is not there is said", code_of(
        varved, "backup", "create", f"{lun.name}@gone", "--to", directory) == "snap.not-found")


def two_at_once(varved, lun):
    process = varve_process(varved, "backup", "create", f"{lun.name}@next", "--to",
                            varved.directory / "two", "--checkpoint", "1M", "--since", "full")
    while marks(varved.directory / "two") is None and process.poll() is None:
        time.sleep(0.0005)
    process.send_signal(signal.SIGSTOP)
    claim("it still runs", process.poll() is None)
    claim("a second one is refused", code_of(
        varved, "backup", "create", f"{lun.name}@next", "--to", varved.directory / "two")
        == "backup.busy")
    claim("nothing is removed under it", code_of(
        varved, "backup", "prune", varved.directory / "two", "--keep", "last=1")
        == "backup.busy")
    process.send_signal(signal.SIGCONT)
    claim("the first one ends well", last_line(process)["kind"] == "backup.create")


def full_again(varved, lun, directory):
    """Without snapshots and bookmarks there is nothing to compare with."""
    for name in [b["name"] for b in varved.varve("bookmark", "list", lun.name)["items"]]:
        varved.varve("bookmark", "delete", lun.name, name)
    for snap in [s["name"] for s in varved.varve("snap", "list", lun.name)["items"]]:
        if not snap.endswith("@next"):
            varved.varve("snap", "delete", snap)
    dry = varved.varve("-n", "backup", "create", f"{lun.name}@next", "--to", directory)["item"]
    claim("a dry run says that it will be full", dry["kind"] == "full")
    item = create(varved, f"{lun.name}@next", directory)
    claim("it is full again and says why",
          item["kind"] == "full" and "no bookmark" in item["full_because"])


def targets(varved, directory, images, day):
    out = varved.directory / "piped"
    with open(out, "wb") as pipe:
        subprocess.run(f"'{BUILD}/varve-backup' restore {directory} --at {day} --to - | cat",
                       shell=True, check=True, stdout=pipe)
    claim("it restores to a pipe", filecmp.cmp(out, images / day, shallow=False))
    with open(out, "wb") as file:
        subprocess.run([BUILD / "varve", "backup", "restore", directory, "--at", day, "--to",
                        "-"], check=True, stdout=file)
    claim("to a file that is standard output", filecmp.cmp(out, images / day, shallow=False))
    claim("with holes in it", out.stat().st_blocks * 512 < out.stat().st_size)
    claim("a file that is there is left alone", code_of(
        varved, "backup", "restore", directory, "--to", out) == "backup.target-exists")
    varved.varve("backup", "restore", directory, "--at", day, "--to", out, "--overwrite")
    claim("unless it is to be replaced", filecmp.cmp(out, images / day, shallow=False))
    varved.varve("backup", "restore", directory, "--at", day, "--to", "vms/back")
    varved.varve("snap", "create", "vms/back@all")
    image_of(varved, "vms/back@all", out)
    claim("it restores to a LUN", filecmp.cmp(out, images / day, shallow=False))
    claim("which must not be there", code_of(
        varved, "backup", "restore", directory, "--to", "vms/back") == "backup.target-exists")
    with open(out, "wb") as pipe:
        subprocess.run(f"'{BUILD}/varve' --connect unix:{varved.directory}/varve.sock "
                       "snap read vms/back@all | cat", shell=True, check=True, stdout=pipe)
    claim("a snapshot is read to a pipe", filecmp.cmp(out, images / day, shallow=False))


def large_blocks(varved):
    """A LUN keeps its logical block: partition tables count in it.  It may be renamed."""
    url = varved.lun("vms/large-blocks", "8M", "h", block_size=4096)
    subprocess.run(["qemu-io", "-f", "raw", "-c", "write -P 5 1M 1M", "-c", "flush", url],
                   check=True, stdout=subprocess.DEVNULL)
    varved.varve("snap", "create", "vms/large-blocks@a")
    backups = varved.directory / "large-blocks"
    create(varved, "vms/large-blocks@a", backups)
    varved.varve("lun", "rename", "vms/large-blocks", "vms/renamed")
    varved.varve("backup", "restore", backups, "--to", "vms/large-back")
    claim("a LUN has its logical block again", varved.varve(
        "lun", "show", "vms/large-back")["item"]["block_size"] == 4096)
    claim("a snapshot of a LUN that was renamed is compared with", varved.varve(
        "backup", "verify", backups, "--deep")["items"] == [])
    subprocess.run(["qemu-io", "-f", "raw", "-c", "write -P 6 1M 4k", "-c", "flush", url],
                   check=True, stdout=subprocess.DEVNULL)
    varved.varve("snap", "create", "vms/renamed@b", "--consistency", "app")
    claim("and backed up to the same directory",
          create(varved, "vms/renamed@b", backups)["kind"] == "increment")
    claim("each backup says how consistent it is", ["crash", "app"] == [
        item["consistency"] for item in varved.varve("backup", "list", backups)["items"]])


def deep_finds(varved, lun, day):
    """A backup that is sound and says something else than its snapshot."""
    other = varved.directory / "other-data"
    create(varved, f"{lun.name}@{day}", other, "--since", "full")
    manifest, stream = next(other.glob("*.json")), next(other.glob("*.zst"))
    raw = bytearray(subprocess.run(["zstd", "-dqc", stream], check=True,
                                   stdout=subprocess.PIPE).stdout)
    raw[-2000] ^= 1
    stream.write_bytes(subprocess.run(["zstd", "-qc"], input=raw, check=True,
                                      stdout=subprocess.PIPE).stdout)
    text = json.loads(manifest.read_text())
    claim("a manifest has the epoch of its snapshot", text["epoch"] ==
          varved.varve("snap", "show", f"{lun.name}@{day}")["item"]["epoch"] > 0)
    text.pop("sum")
    text["file_bytes"] = stream.stat().st_size
    text["sha256"] = hashlib.sha256(stream.read_bytes()).hexdigest()
    dump = lambda: json.dumps(text, indent=2, sort_keys=True) + "\n"
    text["sum"] = hashlib.sha256(dump().encode()).hexdigest()
    manifest.write_text(dump())
    claim("a backup whose sums were made anew passes as it is",
          varved.varve("backup", "verify", other)["items"] == [])
    claim("but not beside its snapshot", [f["code"] for f in varved.varve(
        "backup", "verify", other, "--deep")["items"]] == ["backup.differs"])
    varved.kill()
    # its socket may outlive it by a moment: then the connection ends without an answer
    claim("without varved nothing is compared, and that is said", code_of(
        varved, "backup", "verify", other, "--deep") in ("daemon.not-running", "daemon.lost"))
    varved.start()


def block_device(varved, directory, images, day):
    """A loop device that is full of something else, where root may have one."""
    file = varved.directory / "device"
    size = (images / day).stat().st_size
    file.write_bytes(b"\xff" * (size + MIB))
    done = subprocess.run(["losetup", "-f", "--show", file], capture_output=True, text=True,
                          check=False)
    device = done.stdout.strip()
    if done.returncode != 0:
        print("     no loop device, so no block device was restored to:", done.stderr.strip())
        return
    try:
        claim("a block device is left alone", code_of(
            varved, "backup", "restore", directory, "--to", device) == "backup.target-exists")
        varved.varve("backup", "restore", directory, "--at", day, "--to", device, "--overwrite")
        with open(device, "rb") as restored:
            claim("unless it is to be overwritten: then it has the image, zeros too",
                  restored.read(size) == (images / day).read_bytes())
            claim("and behind it what it had", restored.read() == b"\xff" * MIB)
        holder = os.open(device, os.O_RDONLY | os.O_EXCL)
        claim("one that is in use is left alone", code_of(
            varved, "backup", "restore", directory, "--to", device, "--overwrite")
            == "backup.target-busy")
        os.close(holder)
        varved.varve("lun", "create", "vms/large", "--size", "80M")
        varved.varve("snap", "create", "vms/large@all")
        create(varved, "vms/large@all", varved.directory / "large")
        claim("one that is too small is, too", code_of(
            varved, "backup", "restore", varved.directory / "large", "--to", device,
            "--overwrite") == "backup.target-small")
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def merging(varved, directory, images, days):
    """By copies of the directory, as it was before any of it went."""
    copy = varved.directory / "merged"
    shutil.copytree(directory, copy)
    middle = varved.varve("backup", "merge", copy, "--from", days[1], "--to", days[3])["item"]
    claim("several become one", middle["base"] == days[0])
    left = [d for d in days if d not in days[1:3]]
    claim("the others restore as before", restores(varved, copy, left, images) == [])
    dry = varved.varve("-n", "backup", "prune", copy, "--keep", "last=2")["items"]
    claim("a dry run of prune removes nothing", len(dry) == len(left)
          and len(varved.varve("backup", "list", copy)["items"]) == len(left))
    varved.varve("backup", "prune", copy, "--keep", "last=2")
    listed = varved.varve("backup", "list", copy)["items"]
    claim("prune keeps what its rule says", [i["name"] for i in listed] == days[-2:])
    claim("on a full one", listed[0]["kind"] == "full")
    claim("which restore as before", restores(varved, copy, days[-2:], images) == [])
    claim("and nothing is damaged or stray",
          varved.varve("backup", "verify", copy)["items"] == [])


def killed_prunes(varved, directory, images, days, count):
    """Killed anywhere, each backup that is listed restores; again, it ends."""
    wrong = []
    for _ in range(count):
        copy = varved.directory / "pruned"
        shutil.copytree(directory, copy)
        process = varve_process(varved, "backup", "prune", copy, "--keep", "last=2")
        time.sleep(rng.random() * 0.06)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        there = [i["name"] for i in varved.varve("backup", "list", copy)["items"]]
        wrong += restores(varved, copy, there, images)
        varved.varve("backup", "prune", copy, "--keep", "last=2")
        there = [i["name"] for i in varved.varve("backup", "list", copy)["items"]]
        wrong += restores(varved, copy, there, images)
        if there != days[-2:] or varved.varve("backup", "verify", copy)["items"]:
            wrong.append(there)
        shutil.rmtree(copy)
    claim(f"{count} prunes that were killed lost nothing", wrong == [])


def story(directory, varved):
    print(f"{DAYS} days, seed {SEED}")
    varved.varve("pool", "create", "vms", directory / "vms.pool", "--size", "1G")
    varved.varve("host", "add", "h", "--iqn", IQN, "--no-chap")
    lun = Lun(varved, "vms/web01", 64 * MIB)
    backups, images = directory / "web01", directory / "images"
    images.mkdir()
    days = days_of_a_lun(varved, lun, backups, images)
    the_same_snapshot_again(varved, lun, backups, days[-1] if DAYS % 2 else days[-2])
    flipped_bits(varved, backups, 12)
    missing_files(varved, backups)
    damaged_restore(varved, backups, days[-1])
    targets(varved, backups, images, days[-1])
    large_blocks(varved)
    last = days[-1] if DAYS % 2 else days[-2]
    deep_finds(varved, lun, last)
    block_device(varved, backups, images, days[-1])
    merging(varved, backups, images, days)
    killed_prunes(varved, backups, images, days, 2)
    kills(varved, lun, backups, images)
    interrupted(varved, lun)
    varved_dies(varved, lun)
    full_disk(varved, lun)
    wrong_bases(varved, lun, backups)
    two_at_once(varved, lun)
    full_again(varved, lun, backups)
    claim("after all of it everything is as it was written",
          varved.varve("backup", "verify", backups)["items"] == [])
    claim("varved stops", varved.stop() == 0)


if __name__ == "__main__":
    main(story)
