#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes docs/conformance.md from what the judges say: iscsi-test-cu runs against varve
with 512 and 4096 byte blocks and against Debian's tgt, the same way (cu.py).

    make conformance    or  tests/conformance/report.py [--quick]

Not part of make test, which judges varve against expected.txt; this is the page that
people read, with a peer beside it.
"""
import argparse
import collections
import os
import pathlib
import re
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PAGE = HERE.parent.parent / "docs/conformance.md"
sys.path.insert(0, str(HERE))
import cu

RUNS = {"varve 512": ("varve", 512), "varve 4096": ("varve", 4096), "tgt 512": ("tgt", 512)}

HEAD = """# Conformance

What varve has of the standards, and who says so. Made by `make conformance`; do not edit.

The judge that no one here wrote is `iscsi-test-cu` of libiscsi 1.19 (Debian 12), with data
loss allowed, each family on a fresh LUN of 64 MiB; families that need two paths get two
portals, the one for write protection an export that may not be written. A test that is
skipped counts as a pass in its own summary; here it does not. Debian's tgt 1.0.85 (rdwr
backend, thin provisioning on) was judged the same way in the same run.
"""

QUICK = """
Sanitize.Reset, which takes minutes, was left out of this run (`--quick`): it is not counted.
"""


def judged(target, block_size, slow):
    options = argparse.Namespace(family=None, full=False, slow=slow, sanitize=True, verbose=False,
                                 environment=dict(os.environ))
    with tempfile.TemporaryDirectory() as directory:
        one = cu.TARGETS[target](directory, block_size)
        try:
            return dict(cu.run_all(one, options))
        finally:
            one.stop()


def word(result):
    return result.split(":")[0].split(" ")[0]


def counts(results):
    of = collections.Counter(map(word, results.values()))
    return of["pass"], of["fail"] + of["unfinished"], of["skip"]


def of_family(results, family):
    return {test: result for test, result in results.items()
            if test == family or test.startswith(family + ".")}


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def summary(runs):
    rows = [(name, *map(str, counts(results))) for name, results in runs.items()]
    return table(("target, block size", "passed", "failed", "skipped"), rows)


def cell(results, families):
    passed = failed = skipped = 0
    for family in families:
        p, f, s = counts(of_family(results, family))
        passed, failed, skipped = passed + p, failed + f, skipped + s
    bad = [f"{failed} failed"] * (failed > 0) + [f"{skipped} skipped"] * (skipped > 0)
    return ", ".join([f"{passed} passed"] * (passed > 0) + bad) or "-"


def feature_row(line, runs):
    feature, peers, judges = (part.strip() for part in line.split("|"))
    if judges.startswith("- "):
        return feature, "**no**: " + judges[2:], "", "", peers
    names = [judge.strip() for judge in judges.split(",")]
    families = [name[3:] for name in names if name.startswith("cu:")]
    ours = [f"`{name}`" for name in names if not name.startswith("cu:")]
    who = ", ".join(["iscsi-test-cu"] * bool(families) + ours)
    both = [cell(runs[name], families) if families else "" for name in ("varve 512", "tgt 512")]
    return feature, who, both[0], both[1], peers


def features(runs):
    text, rows = "", []
    for line in (HERE / "features.txt").read_text().splitlines():
        if line.startswith("## "):
            text += section(rows)
            text += f"\n{line}\n\n"
            rows = []
        elif line and not line.startswith("#"):
            rows.append(feature_row(line, runs))
    return text + section(rows)


def section(rows):
    heads = ("feature", "judges", "varve", "tgt", "other peers, by their code")
    return table(heads, rows) if rows else ""


def reasons():
    """{FAMILY.TEST[@BLOCK-SIZE]: why it does not pass}"""
    lines = (HERE / "expected.txt").read_text().splitlines()
    fields = [line.split(None, 2) for line in lines if line and not line.startswith("#")]
    return {name: (outcome, why) for name, outcome, why in fields}


def shortfalls(runs):
    """What expected.txt gives a reason for, tests of one family and reason in one row."""
    rows = collections.OrderedDict()
    for name, (outcome, why) in reasons().items():
        test, _, size = name.partition("@")
        family, _, one = test.partition(".")
        rows.setdefault((family, size, outcome, why), []).append(one)
    lines = [(family + (f", {size} bytes" if size else ""), ", ".join(tests), outcome, why)
             for (family, size, outcome, why), tests in rows.items()]
    return table(("family", "tests", "outcome", "why"), lines)


def main():
    quick = "--quick" in sys.argv[1:]
    runs = {name: judged(*run, not quick) for name, run in RUNS.items()}
    page = HEAD + (QUICK if quick else "") + "\n" + summary(runs) + features(runs)
    page += "\n## What does not pass, and why\n\n" + shortfalls(runs)
    page += """
Judges of the second column that begin with `wire/`, `unit/`, `fuzz/` or `story` are varve's
own (`tests/`), run by `make test`: transcripts of the wire, unit tests, fuzzers over
their corpora, and stories with a real varved.
"""
    PAGE.write_text(re.sub(r"\n{3,}", "\n\n", page))
    print(summary(runs))
    print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
