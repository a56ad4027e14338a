#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""iscsi-test-cu, a judge no one here wrote, against varve: one run per family on a
fresh LUN, each result compared with tests/conformance/expected.txt.

    cu.py --block-size 512|4096 [--full] [--slow] [--target varve|tgt] [--family F]...

A skipped test counts as passed in CUnit's own summary and in its exit status, so
the text is read: the lines between "Test: NAME ..." and the next one.
"""
import argparse
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from varved import Varved

INITIATOR = "iqn.2007-10.com.github:sahlberg:libiscsi:iscsi-test"
QEMU = "iqn.2008-11.org.linux-kvm"  # which fills LUNs
LIMIT = 30  # seconds a family may take; the longest takes 2
SLOW_LIMIT = 1800


# Families whose tests are run one by one: a reset makes a unit attention (SAM-5
# 6.3.3), which the next test of the family takes for an error of its own.
ONE_BY_ONE = {"Reserve6", "Sanitize"}

# It wants SANITIZE to take more than three seconds, so it gets a LUN with something on
# it, and 1 % of the time; and looks once a minute whether it is over.
SLOW = {"Sanitize.Reset"}
SLOW_PERCENT = 1


# Families that want two paths to the LUN: here two portals.
TWO_PATHS = {"MultipathIO"}

# Families that are for a LUN that may not be written.
READ_ONLY = {"ReadOnly"}


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
             f"ALL.{family}", *urls], capture_output=True, timeout=SLOW_LIMIT if family in SLOW else LIMIT,
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


class Varve:
    """A varved of its own, a fresh LUN for each family."""

    def __init__(self, directory, block_size):
        self.block_size = block_size
        config = pathlib.Path(directory, "varved", "varve.conf")
        config.parent.mkdir()
        # it sleeps for a minute and answers no ping meanwhile
        config.write_text(f"[pool]\nbackground_percent = {SLOW_PERCENT}\n"
                          "[iscsi]\nnop_seconds = 600\n")
        self.varved = varved = Varved(config.parent)
        varved.varve("pool", "create", "cu", directory + "/pool.img", "--size", "4G")
        for number, iqn in enumerate((INITIATOR, INITIATOR + "-2", QEMU)):
            varved.varve("host", "add", f"cu{number}", "--iqn", iqn, "--no-chap")
        self.second = varved.varve("portal", "add", "127.0.0.1:0")["item"]["address"]

    def lun(self, family):
        """The URLs to judge."""
        self.name = f"cu/{family.lower()}"
        url = self.varved.lun(self.name, "64M", "cu0", self.block_size,
                              ["--read-only"] if family in READ_ONLY else [])
        for host in ("cu1", "cu2"):
            self.varved.varve("export", "add", self.name, "--host", host, "--lun",
                              url.rpartition("/")[2])
        other = re.sub("//[^/]*", "//" + self.second, url)
        return [url, other] if family in TWO_PATHS else [url]

    def lun_end(self):
        for host in ("cu0", "cu1", "cu2"):
            self.varved.varve("export", "remove", self.name, "--host", host)
        self.varved.varve("lun", "delete", self.name)

    def stop(self):
        """Its exit status."""
        return self.varved.stop()


class Tgt:
    """Debian's tgt as a peer; its rdwr backend has the most commands."""

    def __init__(self, directory, block_size):
        self.directory, self.block_size, self.tid = directory, block_size, 0
        self.environment = dict(os.environ, TGT_IPC_SOCKET=directory + "/tgt.sock")
        ports = [free_port(), free_port()]
        self.control = str(ports[0] % 32768)
        self.addresses = [f"127.0.0.1:{port}" for port in ports]
        self.process = subprocess.Popen(
            ["tgtd", "-f", "-C", self.control, "--iscsi", f"portal={self.addresses[0]}"],
            env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)
        self.admin("--mode", "portal", "--op", "new", "--param",
                   f"portal={self.addresses[1]}")

    def admin(self, *arguments):
        subprocess.run(["tgtadm", "-C", self.control, "--lld", "iscsi", *arguments],
                       env=self.environment, check=True)

    def lun(self, family):
        self.tid += 1
        tid, path = str(self.tid), f"{self.directory}/{family}.img"
        iqn = f"iqn.2026-01.local.tgt:{family.lower()}"
        with open(path, "wb") as image:
            image.truncate(64 << 20)
        self.admin("--mode", "target", "--op", "new", "--tid", tid, "-T", iqn)
        self.admin("--mode", "logicalunit", "--op", "new", "--tid", tid, "--lun", "1",
                   "-b", path, "--bstype", "rdwr", "--blocksize", str(self.block_size))
        self.admin("--mode", "logicalunit", "--op", "update", "--tid", tid, "--lun", "1",
                   "--params", "thin_provisioning=1,readonly=%d" % (family in READ_ONLY))
        self.admin("--mode", "target", "--op", "bind", "--tid", tid, "-I", "ALL")
        urls = [f"iscsi://{address}/{iqn}/1" for address in self.addresses]
        return urls if family in TWO_PATHS else urls[:1]

    def lun_end(self):
        pass

    def stop(self):
        self.process.kill()  # it does not end on SIGTERM while a target exists
        self.process.wait()
        return 0


TARGETS = {"varve": Varve, "tgt": Tgt}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def fill(url):
    subprocess.run(["qemu-img", "bench", "-w", "-f", "raw", "-s", "1M", "-S", "1M", "-c",
                    "64", url], check=True, capture_output=True)


def run_all(target, options):
    """{FAMILY.TEST: result}, in the order they ran, and told on the way by yield."""
    for family in options.family or families():
        urls, results = target.lun(family), {}
        if options.full:
            fill(urls[0])
        for part in runs_of(family):
            if part in SLOW and not options.slow:
                continue
            if part in SLOW and not options.full:
                fill(urls[0])
            results.update(run_family(part, urls, options))
        for test, result in results.items():
            yield f"{family}.{test}", result
        target.lun_end()


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", choices=TARGETS, default="varve")
    parser.add_argument("--block-size", type=int, default=512)
    parser.add_argument("--full", action="store_true", help="write the LUN first")
    parser.add_argument("--slow", action="store_true", help="also what takes minutes")
    parser.add_argument("--family", action="append")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    options.environment = dict(os.environ)
    return options


def main():
    options = arguments()
    table, wrong, totals = expectations(options.block_size), [], {}
    with tempfile.TemporaryDirectory() as directory:
        target = TARGETS[options.target](directory, options.block_size)
        try:
            for test, result in run_all(target, options):
                word = result.split(":")[0].split(" ")[0]
                totals[word] = totals.get(word, 0) + 1
                verdict = judge(test, result, table)
                print(f"{'     ' if verdict is None else 'WRONG'} {test:45} {result}",
                      flush=True)
                if verdict:
                    wrong.append(verdict)
        finally:
            stopped = target.stop()
    if stopped != 0:
        wrong.append(f"varved ended with status {stopped}")
    print("\n".join(wrong))
    good = sum(totals.values()) - len(wrong)
    print("judged: " + ", ".join(f"{v} {k}" for k, v in sorted(totals.items())))
    print(f"{good} passed, {len(wrong)} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
