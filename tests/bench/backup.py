#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""make bench-backup: what a backup costs beside reading the same snapshot by libiscsi alone.

    plain       iscsi-perf, 256 KiB in order, 64 in flight
    read        varve snap read to nowhere: the same, through varve's own reader
    full        varve backup create --since full, as small as can be made meanwhile
    level 1     the same with --level 1, however long it takes
    increment   of 1 % of it, changed at random 64 KiB at a time
    verify      of the full one, by what the LUN has

over loopback as fast as it is, and (root, and tc) as fast as networks are: in a network namespace
of its own, with a token bucket at its loopback; there without what has nothing to do with that.  Of
several kinds of data:

    half        every second MiB is text of few words, the others are random
    random      cannot be compressed
    text        of few words: zstd's slowest
    usr         an ext4 file system with files of /usr
    sparse      a tenth of it is written

Rounds alternate; medians.  CPU is in seconds for a GiB of the LUN: of the client (user and system)
and of varved.  The pool goes to BENCH_DIR (a directory in /tmp), the backups to BENCH_TO (the same): their
disks are part of what is measured.  BENCH_MIB, BENCH_ROUNDS, BENCH_NETS and BENCH_KINDS choose less,
or more.

Ends with 1 where a full backup is slower than GOAL times a plain read.
"""
import os
import pathlib
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from varved import BUILD, Varved

GOAL = 0.8
MIB = 1 << 20
SIZE = int(os.environ.get("BENCH_MIB", "2048"))
DIRECTORY = os.environ.get("BENCH_DIR")
TO = os.environ.get("BENCH_TO", DIRECTORY)
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
# what Ethernet leaves of its rate to TCP, and of what data
NETS = {"loopback": (None, ["half", "random", "text", "usr", "sparse"]),
        "10GbE": ("9.4gbit", ["half", "random", "text", "usr"]),
        "2.5GbE": ("2.35gbit", ["half", "usr"]),
        "1GbE": ("0.94gbit", ["usr"])}
IQN = "iqn.2008-11.org.linux-kvm"
rng = random.Random(1)


def chosen(name, otherwise):
    return os.environ[name].split(",") if name in os.environ else list(otherwise)


# ---- data ----

def text_of(length):
    words = [rng.randbytes(6) for _ in range(400)]
    return b" ".join(rng.choice(words) for _ in range(length // 7 + 1))[:length]


def usr_image(path):
    """Files of /usr, in the order of their names, in an ext4 that they almost fill."""
    left = SIZE * MIB * 85 // 100
    with tempfile.TemporaryDirectory(dir=DIRECTORY) as tree:
        for at, directories, names in os.walk("/usr"):
            directories.sort()
            to = pathlib.Path(tree, at[1:])
            to.mkdir(parents=True, exist_ok=True)
            for name in sorted(names):
                source = pathlib.Path(at, name)
                if not source.is_symlink() and source.is_file():
                    left -= source.stat().st_size + 4096
                    if left > 0:
                        shutil.copy(source, to / name)
            if left <= 0:
                break
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-d", tree, path, f"{SIZE}M"],
                       check=True)


def image_of(kind, path):
    if kind == "usr":
        return usr_image(path)
    random_64 = [rng.randbytes(MIB) for _ in range(64)]
    text_64 = [text_of(MIB)] * 64 if kind != "random" else []
    every = {"half": lambda n: random_64[n % 64] if n % 2 else text_64[n % 64],
             "random": lambda n: random_64[n % 64], "text": lambda n: text_64[n % 64],
             "sparse": lambda n: text_64[n % 64] if n % 10 == 0 else None}[kind]
    with open(path, "wb") as file:
        for number in range(SIZE):
            if every(number) is not None:
                file.seek(number * MIB)
                file.write(every(number))
        file.truncate(SIZE * MIB)
    return None


def change(url):
    commands = []
    for _ in range(SIZE * 16 // 100):
        commands += ["-c", f"write -P {rng.randint(1, 255)} {rng.randrange(SIZE * 16) * 64}k 64k"]
    subprocess.run(["qemu-io", "-f", "raw", *commands, "-c", "flush", url], check=True,
                   stdout=subprocess.DEVNULL)


# ---- measuring ----

def cpu_of(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(command, varved, **options):
    """Seconds, CPU seconds of it, and of varved meanwhile; its output."""
    before, target = resource.getrusage(resource.RUSAGE_CHILDREN), cpu_of(varved.pid)
    begun = time.monotonic()
    done = subprocess.run([str(c) for c in command], check=True, **options)
    seconds, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return (seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            cpu_of(varved.pid) - target, done)


def plain(url, varved):
    """The same, of as much as the LUN has, by iscsi-perf."""
    seconds, client, target, done = measured(
        ["iscsi-perf", "-i", IQN, "-m", "64", "-b", "512", "-t", "4", url], varved,
        capture_output=True, text=True)
    rate = float(re.findall(r"average \d+ \((\d+) MB/s\)", done.stdout)[-1])
    luns = rate * seconds / SIZE
    return SIZE / rate, client / luns, target / luns


def commands(name, to, everything):
    """What is measured beside a plain read, in that order."""
    full = ["backup", "create", f"{name}@mon", "--since", "full", "--to"]
    yield "full", [*full, f"{to}/full"]
    yield "level 1", [*full, f"{to}/level 1", "--level", "1"]
    if everything:
        yield "read", ["snap", "read", f"{name}@mon"]
        yield "verify", ["backup", "verify", f"{to}/full"]
        yield "increment", ["backup", "create", f"{name}@tue", "--to", f"{to}/full"]


def measure_kind(kind, directory, varved, everything):
    name = f"vms/{kind}"
    url = varved.lun(name, f"{SIZE}M", "h")
    image = directory / "image"
    image_of(kind, image)
    subprocess.run(["qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, url], check=True)
    image.unlink()
    varved.varve("snap", "create", f"{name}@mon")
    change(url)
    varved.varve("snap", "create", f"{name}@tue")
    export = varved.varve("export", "add", f"{name}@mon", "--host", "h")["item"]
    mon = f"iscsi://{varved.portal()}/{export['iqn']}/{export['lun']}"
    varve = [BUILD / "varve", "--connect", f"unix:{directory}/varve.sock", "-q"]
    samples, sizes = {}, {}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="v.", dir=TO) as to:
            samples.setdefault("plain", []).append(plain(mon, varved))
            for what, command in commands(name, to, everything):
                samples.setdefault(what, []).append(
                    measured([*varve, *command], varved, stdout=subprocess.DEVNULL)[:3])
                if pathlib.Path(to, what).is_dir():
                    sizes.setdefault(what, []).append(
                        sum(f.stat().st_size for f in pathlib.Path(to, what).iterdir())
                        / SIZE / MIB)
    return ({what: [statistics.median(s[i] for s in rows) for i in range(3)]
             for what, rows in samples.items()},
            {what: statistics.median(rows) for what, rows in sizes.items()})


# ---- what came of it ----

def show(net, kind, figures, sizes):
    base = figures["plain"][0]
    for what, (seconds, client, target) in figures.items():
        size = f"   {sizes[what]:.2f} of its size" if what in sizes else ""
        print(f"{net:8} {kind:7} {what:10} {SIZE / seconds:7.0f} MiB/s   {base / seconds:5.2f} of plain"
              f"   CPU client {client * 1024 / SIZE:5.2f} varved {target * 1024 / SIZE:5.2f}{size}",
              flush=True)


def measure(net):
    missed = 0
    directory = pathlib.Path(tempfile.mkdtemp(prefix="v.", dir=DIRECTORY))
    try:
        for kind in chosen("BENCH_KINDS", NETS[net][1]):
            place = directory / kind
            with Varved(place) as varved:
                varved.varve("pool", "create", "vms", place / "vms.pool", "--size",
                             f"{SIZE * 3 // 2 + 256}M", "--preallocate")
                varved.varve("host", "add", "h", "--iqn", IQN, "--no-chap")
                figures, sizes = measure_kind(kind, place, varved, NETS[net][0] is None)
            shutil.rmtree(place)
            show(net, kind, figures, sizes)
            ratio = figures["plain"][0] / figures["full"][0]
            missed += ratio < GOAL
            print(f"{'ok  ' if ratio >= GOAL else 'FAIL'} {net} {kind}: a full backup at {ratio:.2f} "
                  f"of a plain read, goal {GOAL}; load {os.getloadavg()[0]:.1f}", flush=True)
    finally:
        shutil.rmtree(directory)
    return missed


def in_namespace(net):
    """measure(), where loopback is no faster than that."""
    script = (f"ip link set lo up && tc qdisc add dev lo root tbf rate {NETS[net][0]} burst 4mb "
              'latency 50ms && exec "$@"')
    command = ["unshare", "-n", "sh", "-c", script, "sh", sys.executable, __file__, net]
    return subprocess.run(command, check=False).returncode


def can_limit():
    return os.geteuid() == 0 and all(map(shutil.which, ("unshare", "ip", "tc")))


def main():
    if len(sys.argv) > 1:
        return measure(sys.argv[1])
    print(f"{SIZE} MiB, medians of {ROUNDS}, {os.cpu_count()} processors; load "
          f"{os.getloadavg()[0]:.1f}", flush=True)
    missed = 0
    for net in chosen("BENCH_NETS", NETS):
        if NETS[net][0] is None:
            missed += measure(net)
        elif can_limit():
            missed += in_namespace(net)
        else:
            print(f"skip {net}: needs root, unshare, ip and tc", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
