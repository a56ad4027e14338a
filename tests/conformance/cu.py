#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""iscsi-test-cu, a judge no one here wrote, against varve: one run per family on a
fresh LUN, each result compared with tests/conformance/expected.txt.

    cu.py --block-size 512|4096 [--full] [--chap] [--digest] [--family F]...

A skipped test counts as passed in CUnit's own summary and in its exit status, so
the text is read: the lines between "Test: NAME ..." and the next one.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from varved import Varved

INITIATOR = "iqn.2007-10.com.github:sahlberg:libiscsi:iscsi-test"
LIMIT = 30  # seconds a family may take; the longest takes 2


# Families whose tests are run one by one: a reset makes a unit attention (SAM-5
# 6.3.3), which the next test of the family takes for an error of its own.
ONE_BY_ONE = {"Reserve6"}


# It provokes errors, and its helper logs each as FAILED before the test asserts that
# there was one: here CUnit's word counts.
PROVOKES = {"iSCSIDataSnInvalid"}


def listed(pattern):
    out = subprocess.run(["iscsi-test-cu", "--list"], capture_output=True,
                         text=True).stdout
    return re.findall(pattern, out, re.M)


def families():
    return sorted(set(listed(r"^ALL\.([A-Za-z0-9]+)\b")))


def runs_of(family):
    if family in ONE_BY_ONE:
        return listed(rf"^ALL\.({family}\.\w+)$")
    return [family]


def parse(text):
    """{test: "pass" | "fail" | "skip: reason" | "unfinished"}"""
    results = {}
    parts = re.split(r"^\s*Test: (\S+?) ?\.\.\.", text, flags=re.M)
    for name, body in zip(parts[1::2], parts[2::2]):
        # what follows "passed" is the clean-up of the suite
        during, passed, _ = body.partition("passed")
        skip = re.search(r"\[SKIPPED\] *(.*)", during)
        if name in PROVOKES:
            during = during.replace("[FAILED]", "")
        if "FAILED" in during:
            results[name] = "fail"
        elif skip:
            results[name] = "skip: " + skip.group(1).strip()
        else:
            results[name] = "pass" if passed else "unfinished"
    return results


def run_family(family, urls, options):
    try:
        done = subprocess.run(
            ["iscsi-test-cu", "--dataloss", "--allow-sanitize", "-f", "-v", "-t",
             f"ALL.{family}", *urls], capture_output=True, timeout=LIMIT,
            env=options.environment)
        text, status = done.stdout + done.stderr, done.returncode
    except subprocess.TimeoutExpired as stopped:
        text, status = (stopped.stdout or b"") + (stopped.stderr or b""), 124
    text = text.decode(errors="replace")
    if options.verbose:
        print(text)
    results = parse(text)
    if status not in (0, 1) or not results:
        results = results or {"(whole)": "unfinished"}
        last = list(results)[-1]
        results[last] = f"unfinished (exit {status})"
    return results


def expectations(block_size):
    """{FAMILY.TEST: outcome} for LUNs of that block size; what is missing: pass."""
    table = {}
    for line in (HERE / "expected.txt").read_text().splitlines():
        fields = line.partition("#")[0].split(None, 2)
        if fields:
            name, _, only = fields[0].partition("@")
            if only in ("", str(block_size)):
                table[name] = fields[1]
    return table


def judge(name, result, table):
    """None if as expected, else what is wrong."""
    outcome = table.get(name, "pass")
    if result.startswith(outcome):
        return None
    return f"{name}: expected {outcome}, got {result}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--block-size", type=int, default=512)
    parser.add_argument("--full", action="store_true", help="write the LUN first")
    parser.add_argument("--family", action="append")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    options.environment = dict(os.environ)
    table, wrong, totals = expectations(options.block_size), [], {}
    with tempfile.TemporaryDirectory() as directory, \
            Varved(directory + "/varved") as varved:
        varved.varve("pool", "create", "cu", directory + "/pool.img", "--size", "4G")
        for number, iqn in enumerate((INITIATOR, INITIATOR + "-2")):
            varved.varve("host", "add", f"cu{number}", "--iqn", iqn, "--no-chap")
        for family in options.family or families():
            name = f"cu/{family.lower()}"
            url = varved.lun(name, "64M", "cu0", options.block_size)
            varved.varve("export", "add", name, "--host", "cu1", "--lun",
                         url.rpartition("/")[2])
            if options.full:
                subprocess.run(["qemu-img", "bench", "-w", "-f", "raw", "-s", "1M", "-S",
                                "1M", "-c", "64", url], check=True, capture_output=True)
            results = {}
            for part in runs_of(family):
                results.update(run_family(part, [url], options))
            for test, result in results.items():
                test = f"{family}.{test}"
                word = result.split(":")[0].split(" ")[0]
                totals[word] = totals.get(word, 0) + 1
                verdict = judge(test, result, table)
                print(f"{'     ' if verdict is None else 'WRONG'} {test:45} {result}",
                      flush=True)
                if verdict:
                    wrong.append(verdict)
            for host in ("cu0", "cu1"):
                varved.varve("export", "remove", name, "--host", host)
            varved.varve("lun", "delete", name)
        stopped = varved.stop()
    if stopped != 0:
        wrong.append(f"varved ended with status {stopped}")
    print("\n".join(wrong))
    good = sum(totals.values()) - len(wrong)
    print("judged: " + ", ".join(f"{v} {k}" for k, v in sorted(totals.items())))
    print(f"{good} passed, {len(wrong)} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
