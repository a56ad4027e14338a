#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Speed against peers, as ratios of alternating runs on one machine.

    make bench            or  tests/bench/run.py [--seconds 8] [--rounds 3]
                                 [--place disk|shm] [--only JOB,...]

Peers: varve (a thin LUN in a pool in a file), tgt (Debian's, bs-type aio on a
file, O_DIRECT) and the raw file (fio's io_uring, O_DIRECT).  The initiator is
fio's libiscsi engine, pinned to CPU 0; the target is pinned to CPU 1; QD1 is
not pinned.  Every LUN and file is fully written before it is measured, each
peer has its own, and the peers take turns in every round; figures are medians.
CPU is utime+stime of the target process (for the raw file: of fio) per I/O.
Nothing here decides a test: it prints tables and writes DIR/bench.json.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from peers import Raw, Tgt, Varve, cpu_seconds, fio_run, load, pin, run
from varved import BUILD, TOP

#        name     rw          bs      qd  pinned
JOBS = {
    "rr32": ("randread", "4k", 32, True),
    "rw32": ("randwrite", "4k", 32, True),
    "mix32": ("randrw", "4k", 32, True),
    "sr8": ("read", "128k", 8, True),
    "sw8": ("write", "128k", 8, True),
    "rr1": ("randread", "4k", 1, False),
    "rw1": ("randwrite", "4k", 1, False),
}


def measure(peer, job, seconds, size, extra=()):
    rw, bs, depth, pinned = JOBS[job]
    if peer.pid:
        pin(peer.pid, {1} if pinned else {0, 1})
    before = cpu_seconds(peer.pid) if peer.pid else 0
    result = fio_run([*peer.fio(), f"--rw={rw}", f"--bs={bs}", f"--iodepth={depth}",
                      "--time_based=1", f"--runtime={seconds}", f"--size={size}",
                      *extra], "0" if pinned else None)
    sides = [result["read"], result["write"]]
    ios = sum(s["total_ios"] for s in sides)
    wall = max(s["runtime"] for s in sides) / 1000
    if peer.pid:
        cpu = cpu_seconds(peer.pid) - before
    else:
        cpu = (result["usr_cpu"] + result["sys_cpu"]) / 100 * wall
    busiest = max(sides, key=lambda s: s["total_ios"])
    return {"iops": ios / wall, "cpu_us": cpu / ios * 1e6,
            "p99_us": busiest["clat_ns"].get("percentile", {}).get("99.000000", 0) / 1000}


def first_write(varve, seconds, size):
    """4 KiB random writes at QD32 into holes, each block once at most."""
    out = {}
    for name, url in (("hole", varve.hole_url), ("overwrite", varve.url)):
        pin(varve.pid, {1})
        result = fio_run([*varve.fio(url), "--rw=randwrite", "--bs=4k", "--iodepth=32",
                          f"--io_size={size // 4}", "--norandommap=0", f"--size={size}",
                          f"--runtime={seconds}"], "0")
        out[name] = result["write"]["iops"]
    return out


def budget(place, row):
    """Where the time of one read goes, and what is out of any target's reach:
    the raw file's latency and a round trip of TCP (pingpong.c) come first."""
    raw, varve = (1e6 / row[name]["iops"] for name in ("raw", "varve"))
    for mode in ("sleep", "spin"):
        trip = statistics.median(
            float(run(BUILD / "tests/bench/pingpong", mode, 1)) for _ in range(3))
        print(f"{place} rr1 raw {raw:.1f}us + TCP ({mode}) {trip:.1f}us = "
              f"{raw + trip:.1f}us, {raw / (raw + trip):.2f} of raw; "
              f"varve {varve:.1f}us, {raw / varve:.2f}", flush=True)


def bench(place, base, options, results):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="varve-bench-", dir=base))
    size = options.gib << 30
    peers = []
    try:
        for kind in (Raw, Tgt, Varve):
            peers.append(kind(directory, size))
        rows = results.setdefault(place, {})
        for job in options.only:
            samples = {p.name: [] for p in peers}
            for _ in range(options.rounds):
                for peer in peers:
                    samples[peer.name].append(measure(peer, job, options.seconds, size))
            rows[job] = {name: {key: statistics.median(s[key] for s in runs)
                                for key in runs[0]} for name, runs in samples.items()}
            show(place, job, rows[job])
            if job == "rr1":
                budget(place, rows[job])
        results[place]["first_write"] = first_write(peers[-1], options.seconds, size)
        hole = results[place]["first_write"]
        print(f"{place} first write to a hole: {hole['hole'] / 1000:.1f}k, overwrite "
              f"{hole['overwrite'] / 1000:.1f}k, ratio {hole['hole'] / hole['overwrite']:.2f}",
              flush=True)
        before = cpu_seconds(peers[-1].pid)
        time.sleep(5)
        idle = cpu_seconds(peers[-1].pid) - before
        results[place]["idle_cpu"] = idle
        print(f"{place} idle CPU of varved in 5 s: {idle:.2f} s", flush=True)
    finally:
        for peer in peers:
            peer.stop()
        shutil.rmtree(directory, ignore_errors=True)


def show(place, job, row):
    cells = "  ".join(f"{name} {c['iops'] / 1000:7.1f}k {c['cpu_us']:6.1f}us"
                      for name, c in row.items())
    varve, tgt, raw = row["varve"], row["tgt"], row["raw"]
    print(f"{place} {job:6} {cells}  varve/tgt iops {varve['iops'] / tgt['iops']:.2f} "
          f"cpu {varve['cpu_us'] / tgt['cpu_us']:.2f}  varve/raw "
          f"{varve['iops'] / raw['iops']:.2f}  load {load()}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="varve against its peers")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gib", type=int, default=2, help="size of each LUN")
    parser.add_argument("--place", action="append", choices=["disk", "shm"])
    parser.add_argument("--only", type=lambda t: t.split(","), default=list(JOBS))
    parser.add_argument("--disk", default=str(TOP / "build"))
    options = parser.parse_args()
    places = {"disk": options.disk, "shm": "/dev/shm"}
    results = {}
    print("kernel " + os.uname().release + ", load " + load(), flush=True)
    for place in options.place or places:
        bench(place, places[place], options, results)
    path = BUILD / "bench.json"
    path.write_text(json.dumps(results, indent=1))
    print(f"figures: {path}")


if __name__ == "__main__":
    sys.exit(main())
