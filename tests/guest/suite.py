#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs suites inside guests (tests/guest/suites/), one guest each, and counts their
claims.

    tests/guest/suite.py [--smoke] [--list] [NAME...]

A suite is a shell script with these in its head, where the numbers here do not do:
    # timeout: 300        seconds for all of it; for make test: # smoke: 120, or no
    # memory: 1024        MiB
    # disks: 64 64        MiB of each virtio disk: vda, vdb, ...
    # processors: 1
    # kind: target        of guest (build.sh)
What a failed one leaves is in $BUILD/guest/failed/NAME.
"""
import argparse
import pathlib
import re
import shutil
import sys
import tempfile
import time

import guest

SUITES = guest.HERE / "suites"


def numbers(text, name, default):
    match = re.search(rf"^# {name}: ([\d ]+)$", text, re.M)
    return [int(n) for n in match.group(1).split()] if match else default


def kind(text):
    match = re.search(r"^# kind: (\w+)$", text, re.M)
    return match.group(1) if match else "target"


def run(name, part):
    """What its claims came to: how many held, and how many did not."""
    text = (SUITES / f"{name}.sh").read_text()
    timeout = numbers(text, "timeout", [300])
    if part == "smoke":
        timeout = numbers(text, "smoke", timeout)
    with tempfile.TemporaryDirectory(prefix="guest-") as directory:
        share = guest.share_of(directory)
        for suite in SUITES.glob("*.sh"):
            shutil.copy(suite, share / f"suite_{suite.name}")
        (share / "suite.sh").write_text(text)
        result = guest.run(
            directory, f"part={part}\n. /share/suite.sh\n", kind=kind(text), name=name,
            seconds=timeout[0],
            memory=numbers(text, "memory", [1024])[0],
            processors=numbers(text, "processors", [1])[0],
            disks=[mib << 20 for mib in numbers(text, "disks", [])])
        claims = share / "claims"
        return judge(name, result, claims.read_text() if claims.exists() else "")


def judge(name, result, claims):
    print(re.sub(r"^not ok ", "FAIL ", re.sub(r"^ok ", "ok   ", claims, flags=re.M),
                 flags=re.M), end="")
    passed = len(re.findall(r"^ok ", claims, re.M))
    failed = len(re.findall(r"^not ok ", claims, re.M))
    if result.code is None or result.code != 0 and not failed:
        failed += 1
        print(f"FAIL {name} did not end\n" + "\n".join(result.console.splitlines()[-40:]))
    if failed:
        print(f"kept in {guest.BUILD / 'guest/failed' / name}")
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description="run suites in guests")
    parser.add_argument("--smoke", action="store_true", help="the part for make test")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    known = sorted(p.stem for p in SUITES.glob("*.sh"))
    if options.list:
        print("\n".join(known))
        return 0
    totals = [0, 0]
    for name in options.names or known:
        begun = time.monotonic()
        passed, failed = run(name, "smoke" if options.smoke else "all")
        totals = [totals[0] + passed, totals[1] + failed]
        print(f"# guest {name}: {time.monotonic() - begun:.1f} s", flush=True)
    print(f"{totals[0]} passed, {totals[1]} failed")
    return 1 if totals[1] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main())
