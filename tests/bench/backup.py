#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""make bench-backup: what a backup costs beside reading the same snapshot by libiscsi alone.

    plain       iscsi-perf, 256 KiB in order, 64 in flight
    read        varve snap read to nowhere: the same, through varve's own reader
    full        varve backup create --since full
    increment   of 1 % of it, changed at random 64 KiB at a time

Rounds alternate; medians.  Half of the data can be compressed, 3 to 1.  CPU is that of the
client alone (user and system).  Files go to BENCH_DIR (a directory in /tmp): their disk is part
of what is measured.
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

MIB = 1 << 20
SIZE = int(os.environ.get("BENCH_MIB", "2048"))
ROUNDS = 3
rng = random.Random(1)
IQN = "iqn.2008-11.org.linux-kvm"


def fill(url, directory):
    """Every second MiB is text of few words."""
    words = [rng.randbytes(6) for _ in range(400)]
    part = directory / "part"
    with open(part, "wb") as file:
        for number in range(64):
            text = b" ".join(rng.choice(words) for _ in range(160000))[:MIB]
            file.write(rng.randbytes(MIB) if number % 2 else text)
    commands = [c for at in range(0, SIZE, 64) for c in ("-c", f"write -s {part} {at}M 64M")]
    subprocess.run(["qemu-io", "-f", "raw", *commands, "-c", "flush", url], check=True,
                   stdout=subprocess.DEVNULL)


def change(url):
    commands = []
    for _ in range(SIZE * 16 // 100):
        commands += ["-c", f"write -P {rng.randint(1, 255)} {rng.randrange(SIZE * 16) * 64}k 64k"]
    subprocess.run(["qemu-io", "-f", "raw", *commands, "-c", "flush", url], check=True,
                   stdout=subprocess.DEVNULL)


def measured(command, **options):
    """Seconds, and CPU seconds."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([str(c) for c in command], check=True, **options)
    seconds, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def plain(url):
    """MiB/s by iscsi-perf."""
    out = subprocess.run(["iscsi-perf", "-i", IQN, "-m", "64", "-b", "512", "-t", "5", url],
                         check=True, capture_output=True, text=True).stdout
    return float(re.findall(r"average \d+ \((\d+) MB/s\)", out)[-1])


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="v.", dir=os.environ.get("BENCH_DIR")))
    rates = {"plain": [], "read": [], "full": [], "increment": []}
    cpus = {"read": [], "full": [], "increment": []}
    try:
        with Varved(directory) as varved:
            varved.varve("pool", "create", "vms", directory / "vms.pool", "--size",
                         f"{2 * SIZE}M", "--preallocate")
            varved.varve("host", "add", "h", "--iqn", IQN, "--no-chap")
            url = varved.lun("vms/web01", f"{SIZE}M", "h")
            fill(url, directory)
            varved.varve("snap", "create", "vms/web01@mon")
            change(url)
            varved.varve("snap", "create", "vms/web01@tue")
            export = varved.varve("export", "add", "vms/web01@mon", "--host", "h")["item"]
            mon = f"iscsi://{varved.portal()}/{export['iqn']}/{export['lun']}"
            varve = [BUILD / "varve", "--connect", f"unix:{directory}/varve.sock", "-q"]
            for number in range(ROUNDS):
                rates["plain"].append(plain(mon))
                backups = directory / f"backups{number}"
                for name, command, options in (
                        ("read", ["snap", "read", "vms/web01@mon"],
                         {"stdout": subprocess.DEVNULL}),
                        ("full", ["backup", "create", "vms/web01@mon", "--to", backups], {}),
                        ("increment", ["backup", "create", "vms/web01@tue", "--to", backups],
                         {})):
                    seconds, cpu = measured([*varve, *command], **options)
                    rates[name].append(SIZE / seconds)
                    cpus[name].append(cpu * 1024 / SIZE)
                shutil.rmtree(backups)
    finally:
        shutil.rmtree(directory)
    base = statistics.median(rates["plain"])
    print(f"{SIZE} MiB, medians of {ROUNDS}; load {os.getloadavg()[0]:.1f}")
    for name, values in rates.items():
        rate = statistics.median(values)
        cpu = f"   {statistics.median(cpus[name]):.2f} CPU s/GiB" if name in cpus else ""
        print(f"{name:10} {rate:7.0f} MiB/s of the LUN   {rate / base:6.2f} of plain{cpu}")


if __name__ == "__main__":
    main()
