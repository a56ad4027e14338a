#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""varve through the kernel's TCMU beside its peers there, in instructions.

    make bench-tcmu       or  tests/bench/tcmu.py [--milliseconds 500] [--peers NAME,...]

A guest whose clock is the number of instructions executed, one to a nanosecond, runs
fio at a disk of tcm_loop (tests/bench/tcmu.sh): so IOPS are a billion through the
instructions of one I/O, kernel, initiator and target together.  That does not depend
on what else the host does, to 0.2 %.  It has no caches and one processor: it says
how long the way of a command is, not how fast.

The floor is a handler that does nothing (tcmu_floor.c): no daemon gets more out of the
kernel's part.  Ends with 1 where a goal is missed, whether or not the floor reaches it.
"""
import argparse
import json
import pathlib
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "guest"))
import guest

JOBS = ("rr1", "rw1", "rr16", "rw16", "sr4", "sw4")
#        job     peer      varve has at least so many times its IOPS
GOALS = (("rr1", "runner", 1.5), ("rw1", "runner", 1.5),
         ("rr16", "runner", 1.5), ("rw16", "runner", 1.5),
         ("rr16", "fileio", 0.75), ("rw16", "fileio", 0.75))
RATIOS = (("varve", "runner"), ("varve", "fileio"), ("varve", "floor"),
          ("floor", "runner"), ("floor", "fileio"))
SCHEDULERS = ("mq-deadline", "none")


def iops(share, peer, scheduler, job):
    text = (share / f"{peer}-{scheduler}-{job}.json").read_text()
    result = json.loads(text[text.index("{"):])["jobs"][0]
    return result["read"]["iops"] + result["write"]["iops"]


def table(figures):
    print("| | " + " | ".join(JOBS) + " |\n" + "|---" * (len(JOBS) + 1) + "|")
    for peer, row in figures.items():
        print(f"| {peer} | " + " | ".join(f"{row[job]:.0f}" for job in JOBS) + " |")
    for over, under in RATIOS:
        if over in figures and under in figures:
            print(f"| {over} / {under} | " + " | ".join(
                f"{figures[over][job] / figures[under][job]:.2f}" for job in JOBS) + " |")


def judge(figures):
    missed = 0
    for job, peer, goal in GOALS:
        if peer not in figures or "varve" not in figures:
            continue
        ratio = figures["varve"][job] / figures[peer][job]
        missed += ratio < goal
        print(f"{'ok  ' if ratio >= goal else 'FAIL'} {job}: {ratio:.2f} times {peer}, "
              f"goal {goal}" + (f"; the floor {figures['floor'][job] / figures[peer][job]:.2f}"
                                if "floor" in figures else ""))
    return missed


def main():
    parser = argparse.ArgumentParser(description="TCMU in instructions")
    parser.add_argument("--milliseconds", type=int, default=500, help="of each job, the guest's")
    parser.add_argument("--peers", default="fileio,runner,floor,varve")
    options = parser.parse_args()
    peers = options.peers.split(",")
    with tempfile.TemporaryDirectory(prefix="bench-tcmu-") as directory:
        share = guest.share_of(directory)
        if "floor" in peers:
            shutil.copy(guest.BUILD / "tests/bench/tcmu_floor", share)
        script = f"milliseconds={options.milliseconds} peers='{' '.join(peers)}'\n"
        script += (HERE / "tcmu.sh").read_text()
        result = guest.run(directory, script, kind="peers", name="bench-tcmu",
                           seconds=3000, memory=1536, icount=True)
        if result.code != 0:
            print(result.console[-4000:])
            return 1
        missed = 0
        for scheduler in SCHEDULERS:
            figures = {peer: {job: iops(share, peer, scheduler, job) for job in JOBS}
                       for peer in peers}
            print(f"scheduler {scheduler}, IOPS at 1 ns an instruction\n")
            table(figures)
            missed += judge(figures)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
