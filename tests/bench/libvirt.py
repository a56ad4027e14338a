#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long libvirt waits for varve, against limits and against the stock module:

    pool-refresh of 200 volumes            at most 0.5 s; stock: one login, and two
                                           commands for each LUN
    8 vol-clone at once of 20 GiB          at most 2 s in all

Medians of five; virsh's own start is in each figure.  The exit status says whether the
limits were held: on a busy machine that says little, so nothing gates by it.
"""
import pathlib
import statistics
import sys
import tempfile

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]),
                str(pathlib.Path(__file__).resolve().parents[1] / "libvirt")]
import libvirtd
import scale
from varved import Varved
from volumes import Bench

ROUNDS = 5
REFRESH_LIMIT_S, CLONE_LIMIT_S = 0.5, 2.0
held = []


def report(text, seconds, limit=None):
    median = statistics.median(seconds)
    within = limit is None or median <= limit
    held.append(within)
    print(f"{text:42} {median:6.3f} s  ({min(seconds):.3f} to {max(seconds):.3f})"
          + (f"  limit {limit} s: {'held' if within else 'MISSED'}" if limit else ""))


def measure(directory, varved, loader):
    with libvirtd.Libvirtd(directory / "l", loader=loader) as daemon:
        bench = Bench(directory, varved, daemon)
        scale.many(bench)
        bench.virsh("pool-start", "vms")
        name = "stock" if loader is None else "varve"
        report(f"pool-refresh, {scale.VOLUMES} volumes, {name}",
               [scale.refresh(bench) for _ in range(ROUNDS)],
               REFRESH_LIMIT_S if loader else None)
        if loader is None:
            return
        bench.virsh("vol-create-as", "vms", "golden", "20G")
        bench.upload("golden", b"golden" * 100000)
        rounds = [scale.clone_at_once(bench, "golden", f"r{n}-") for n in range(ROUNDS)]
        assert all(good == scale.AT_ONCE for _, good in rounds)
        report(f"{scale.AT_ONCE} vol-clone at once, 20 GiB",
               [seconds for seconds, _ in rounds], CLONE_LIMIT_S)


def main():
    libvirtd.become_nobody()
    for loader in (libvirtd.LOADER, None):
        with tempfile.TemporaryDirectory() as text:
            directory = pathlib.Path(text)
            with Varved(directory / "varved") as varved:
                measure(directory, varved, loader)
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
