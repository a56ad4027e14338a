#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What snapshots cost, measured on a served LUN.

    make bench-snapshots  or  tests/bench/snapshots.py [--gib 2] [--seconds 8]
                                 [--snapshots 1000] [--disk DIR] [--only STEP,...]

    load     4 KiB random write QD32 while snapshots are taken ten a second
    deep     random reads with so many snapshots, against before, same layout
    after    random write right after a snapshot, against overwrite; device
             bytes per byte from /proc/PID/io; a qcow2 overlay beside it, by
             NBD (qemu-storage-daemon), against its own overwrite
    space    24 snapshots, 2 % of the LUN in scattered 4 KiB writes after each
    delete   a wholly diverged snapshot is deleted under random writes
    delete_big  the same with 100 GiB, of which the map is synthetic
    clones   500 clones of one snapshot, which is deleted with its LUN

The LUN is fully written first; figures are of one run, ratios within it.
Nothing here decides a test.  Writes DIR/bench-snapshots.json.
"""
import argparse
import concurrent.futures
import json
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from peers import Varve, cpu_seconds, fill_file, fio_run, load, pin, run
from varved import BUILD

GiB = 1 << 30


class Control:
    """The control socket, kept open: a process for each snapshot would be load."""

    def __init__(self, varved):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(varved.directory / "varve.sock"))
        self.file = self.socket.makefile("rw")

    def ask(self, method, **params):
        self.file.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method,
                                    "params": params}) + "\n")
        self.file.flush()
        answer = json.loads(self.file.readline())
        if "error" in answer:
            raise RuntimeError(f"{method} {params}: {answer['error']}")
        return answer["result"]

    def pool(self):
        return self.ask("pool.show", pool="bench")["item"]

    def lun(self, name="bench/full"):
        return self.ask("lun.show", lun=name)["item"]


def written_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("write_bytes"):
            return int(line.split()[1])
    raise RuntimeError("no write_bytes")


def fio_job(peer, rw, *extra):
    pin(peer.pid, {1})
    before = cpu_seconds(peer.pid)
    side = fio_run([*peer.fio(), f"--rw={rw}", "--bs=4k", "--iodepth=32", *extra],
                   "0")["read" if rw == "randread" else "write"]
    percentile = side["clat_ns"].get("percentile", {})
    return {"iops": side["iops"], "p99.9_us": percentile.get("99.900000", 0) / 1000,
            "max_us": side["clat_ns"]["max"] / 1000, "bytes": side["io_bytes"],
            "cpu_us": (cpu_seconds(peer.pid) - before) / side["total_ios"] * 1e6}


def timed(peer, rw, seconds, size):
    return fio_job(peer, rw, "--time_based=1", f"--runtime={seconds}", f"--size={size}")


def say(text):
    print(f"{text}  load {load()}", flush=True)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def wait_jobs(control):
    while control.ask("job.list")["items"]:
        time.sleep(0.05)


def delete_snapshots(control):
    for snap in control.ask("snap.list")["items"]:
        control.ask("snap.delete", snap=snap["name"])
    wait_jobs(control)


def beside(measure, side):
    """What both come to: measure() here, and side() on a thread meanwhile."""
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        other = thread.submit(side)
        return measure(), other.result()


# ---- steps ----

def step_load(peer, control, options):
    size = options.gib * GiB
    base = timed(peer, "randwrite", options.seconds, size)

    def take():
        mine, begun, steps, late = Control(peer.varved), time.monotonic(), [], []
        for i in range(options.snapshots):
            time.sleep(max(0, begun + i / 10 - time.monotonic()))
            asked = time.monotonic()
            mine.ask("snap.create", names=[f"bench/full@s{i:04}"])
            late.append(time.monotonic() - asked)
            steps.append(mine.pool()["snapshot_step_ns"] / 1000)
        return steps, late

    under, (steps, late) = beside(
        lambda: timed(peer, "randwrite", options.snapshots / 10, size), take)
    say(f"load: {len(steps)} snapshots at 10/s under 4 KiB random write QD32: step median "
        f"{statistics.median(steps):.0f} us, p99.9 {percentile(steps, 0.999):.0f} us, max "
        f"{max(steps):.0f} us; answered in median {statistics.median(late) * 1000:.1f} ms, max "
        f"{max(late) * 1000:.0f} ms; {under['iops'] / 1000:.1f}k IOPS against "
        f"{base['iops'] / 1000:.1f}k without, p99.9 {under['p99.9_us']:.0f} us against "
        f"{base['p99.9_us']:.0f} us")
    return {"base": base, "under": under, "step_us": steps}


def step_deep(peer, control, options):
    """Nothing is written between the snapshots: the layout stays what it was."""
    size = options.gib * GiB
    delete_snapshots(control)
    samples = {"flat": [], "deep": []}
    for _ in range(options.rounds):
        samples["flat"].append(timed(peer, "randread", options.seconds, size))
        for i in range(options.snapshots):
            control.ask("snap.create", names=[f"bench/full@d{i:04}"])
        samples["deep"].append(timed(peer, "randread", options.seconds, size))
        delete_snapshots(control)
    flat, deep, cpu, cpu_deep = (
        statistics.median(row[key] for row in samples[k])
        for key in ("iops", "cpu_us") for k in ("flat", "deep"))
    say(f"deep: random read QD32 {deep / 1000:.1f}k IOPS {options.snapshots} snapshots deep, "
        f"{flat / 1000:.1f}k before, ratio {deep / flat:.3f}; CPU of varved {cpu_deep:.2f} us "
        f"each, {cpu:.2f} us before, ratio {cpu_deep / cpu:.3f}")
    return samples


def step_after(peer, control, options):
    size = options.gib * GiB
    delete_snapshots(control)
    once = [f"--io_size={size // 4}", f"--size={size}", "--norandommap=0"]
    rows = {"overwrite": [], "after": []}
    for i in range(options.rounds):
        rows["overwrite"].append(fio_job(peer, "randwrite", *once))
        control.ask("snap.create", names=[f"bench/full@a{i}"])
        before = written_bytes(peer.pid)
        row = fio_job(peer, "randwrite", *once)
        run("sync", "-f", peer.varved.directory)
        row["device_bytes"] = (written_bytes(peer.pid) - before) / row["bytes"]
        rows["after"].append(row)
        delete_snapshots(control)
    over, after = (statistics.median(r["iops"] for r in rows[k]) for k in rows)
    device = statistics.median(r["device_bytes"] for r in rows["after"])
    say(f"after: random write QD32 {after / 1000:.1f}k IOPS right after a snapshot, overwrite "
        f"{over / 1000:.1f}k, ratio {after / over:.2f}; device bytes per byte {device:.2f}")
    rows["qcow2"] = qcow2(peer.varved.directory, size, options)
    return rows


def qcow2(directory, size, options):
    """The same step on a fully written qcow2 image and an overlay of it."""
    base, overlay = directory / "base.qcow2", directory / "overlay.qcow2"
    raw = directory / "base.raw"
    fill_file(raw, size)
    run("qemu-img", "convert", "-O", "qcow2", raw, base)
    raw.unlink()
    run("qemu-img", "create", "-f", "qcow2", "-b", base, "-F", "qcow2", overlay)
    iops = {}
    try:
        for name, path in (("overwrite", base), ("after", overlay)):
            sock = directory / f"{name}.nbd"
            daemon = subprocess.Popen(
                ["qemu-storage-daemon", "--blockdev",
                 f"driver=qcow2,node-name=n,file.driver=file,file.filename={path},"
                 "file.cache.direct=on,file.aio=io_uring" +
                 (",backing.file.cache.direct=on,backing.file.aio=io_uring"
                  ",backing.driver=qcow2,backing.file.driver=file"
                  f",backing.file.filename={base}" if path == overlay else ""),
                 "--nbd-server", f"addr.type=unix,addr.path={sock}",
                 "--export", "type=nbd,id=e,node-name=n,name=n,writable=on"])
            try:
                while not sock.exists() and daemon.poll() is None:
                    time.sleep(0.05)
                pin(daemon.pid, {1})
                out = run("taskset", "-c", "0", "fio", "--name=job", "--ioengine=nbd",
                          f"--uri=nbd+unix:///n?socket={sock}", "--rw=randwrite", "--bs=4k",
                          "--iodepth=32", f"--io_size={size // 4}", f"--size={size}",
                          "--norandommap=0", "--randrepeat=0", "--thread=1",
                          "--output-format=json")
                iops[name] = json.loads(out[out.index("{"):])["jobs"][0]["write"]["iops"]
            finally:
                daemon.terminate()
                daemon.wait()
    finally:
        base.unlink()
        overlay.unlink()
    say(f"after: qcow2 {iops['after'] / 1000:.1f}k IOPS in a fresh overlay, overwrite "
        f"{iops['overwrite'] / 1000:.1f}k, ratio {iops['after'] / iops['overwrite']:.2f} (by NBD)")
    return iops


def step_space(peer, control, options):
    size = options.gib * GiB
    delete_snapshots(control)
    before = control.pool()
    for hour in range(24):
        control.ask("snap.create", names=[f"bench/full@h{hour:02}"])
        fio_job(peer, "randwrite", f"--io_size={size // 50}", f"--size={size}",
                "--norandommap=0")
    lun, after = control.lun(), control.pool()
    used = lun["live"] + lun["snap_held"]
    meta = after["metadata"] - before["metadata"]
    say(f"space: 24 snapshots, 2 % scattered 4 KiB writes each: {used / size:.2f} x the LUN "
        f"(1 + 24 x 2 % = 1.48), metadata +{meta / size:.3f} x")
    delete_snapshots(control)
    return {"used": used / size, "metadata": meta / size}


def step_delete(peer, control, options):
    size = options.gib * GiB
    delete_snapshots(control)
    control.ask("snap.create", names=["bench/full@old"])
    fio_job(peer, "randwrite", f"--io_size={size}", f"--size={size}", "--norandommap=0")
    held = control.lun()["snap_held"]
    alone = timed(peer, "randwrite", options.seconds, size)

    def delete():
        mine, begun = Control(peer.varved), time.monotonic()
        mine.ask("snap.delete", snap="bench/full@old")
        answered = time.monotonic() - begun
        wait_jobs(mine)
        return answered, time.monotonic() - begun

    under, took = beside(lambda: timed(peer, "randwrite", options.seconds, size), delete)
    say(f"delete: a snapshot holding {held / GiB:.1f} GiB: answered in {took[0] * 1000:.0f} ms, "
        f"gone in {took[1]:.1f} s; {under['iops'] / 1000:.1f}k IOPS meanwhile (in "
        f"{options.seconds} s), {alone['iops'] / 1000:.1f}k before, ratio "
        f"{under['iops'] / alone['iops']:.2f}")
    return {"alone": alone, "under": under, "seconds": took}


def windows(log):
    """fio's log of IOPS: (seconds since its begin, IOPS) for each window."""
    rows = (line.split(",") for line in log.read_text().splitlines())
    return [(int(row[0]) / 1000, int(row[1])) for row in rows]


def mean_between(rows, begin, end):
    inside = [iops for at, iops in rows if begin <= at <= end]
    return statistics.mean(inside) if inside else 0


def step_delete_big(peer, control, options):
    """A snapshot of 100 GiB that shares nothing; its map is synthetic, the file sparse."""
    directory = peer.varved.directory.parent
    run(BUILD / "tests/scale/run", "keep", "100G", directory)
    peer.varved.varve("pool", "import", directory / "scale.pool")
    export = peer.varved.varve("export", "add", "scale/lun", "--host", "fio")["item"]
    url = f"iscsi://{peer.varved.portal()}/{export['iqn']}/{export['lun']}"
    job = [*peer.fio(url), f"--size={options.gib}g"]
    fio_run([*job, "--rw=write", "--bs=1m", "--iodepth=8"], None)
    log, lead = directory / "big", 3

    def delete():
        mine = Control(peer.varved)
        time.sleep(lead)
        begun = time.monotonic()
        mine.ask("snap.delete", snap="scale/lun@base")
        wait_jobs(mine)
        return time.monotonic() - begun

    pin(peer.pid, {1})
    _, took = beside(lambda: fio_run(
        [*job, "--rw=randwrite", "--bs=4k", "--iodepth=32", "--time_based=1", "--runtime=30",
         f"--write_iops_log={log}", "--log_avg_msec=100"], "0"), delete)
    rows = windows(directory / "big_iops.1.log")
    # fio takes up to a second to begin: its clock is a little behind ours
    under = mean_between(rows, lead, lead + took)
    after = mean_between(rows, lead + took + 1, 30)
    say(f"delete of 100 GiB that nothing shares: gone in {took:.1f} s; "
        f"{under / 1000:.1f}k IOPS meanwhile, {after / 1000:.1f}k after it, "
        f"ratio {under / after:.2f}")
    return {"seconds": took, "under": under, "after": after}


def step_clones(peer, control, options):
    delete_snapshots(control)
    control.ask("lun.create", name="bench/golden", size=GiB)
    control.ask("snap.create", names=["bench/golden@v1"])
    begun = time.monotonic()
    for i in range(500):
        control.ask("lun.clone", snap="bench/golden@v1", name=f"bench/c{i:03}")
    made = time.monotonic() - begun
    begun = time.monotonic()
    control.ask("lun.delete", lun="bench/golden")
    gone = time.monotonic() - begun
    say(f"clones: 500 made in {made:.1f} s; their golden image deleted in {gone * 1000:.0f} ms")
    return {"made": made, "deleted": gone}


STEPS = {"load": step_load, "deep": step_deep, "after": step_after, "space": step_space,
         "delete": step_delete, "delete_big": step_delete_big, "clones": step_clones}


def main():
    parser = argparse.ArgumentParser(description="what snapshots cost")
    parser.add_argument("--gib", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--snapshots", type=int, default=1000)
    parser.add_argument("--disk", default=str(BUILD))
    parser.add_argument("--only", type=lambda t: t.split(","), default=list(STEPS))
    options = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="varve-bench-", dir=options.disk))
    peer = None
    try:
        # each snapshot holds what is written in a tenth of a second
        peer = Varve(directory, options.gib * GiB, options.snapshots // 40)
        control, results = Control(peer.varved), {}
        for name in options.only:
            results[name] = STEPS[name](peer, control, options)
    finally:
        if peer is not None:
            peer.stop()
        shutil.rmtree(directory, ignore_errors=True)
    path = BUILD / "bench-snapshots.json"
    path.write_text(json.dumps(results, indent=1))
    print(f"figures: {path}")


if __name__ == "__main__":
    sys.exit(main())
