#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the tests, two at a time, and ends with "N passed, N failed, N skipped".

    tests/run.py [--build DIR] [--list] [--jobs N] [PATTERN...]

A job is one program: a unit test, a line of a tests/*/jobs file, a fuzzer over
its corpus, a shell story, or a suite in a guest.  Programs that print how many
of their claims passed are counted by those; others count as one.  Each job runs in an empty
directory of its own under a time limit that only catches hangs.  Exit status
77 is a skip, and the last line printed is its reason.

What is run where:
    plain   unit tests, simulator, models, stories with a real varved,
            guests of a real kernel
    asan    unit tests, wire transcripts, fuzz corpora (ASan and UBSan)
    tsan    unit tests of what has threads
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
TESTS = TOP / "tests"
VARIANTS = {"plain": "", "asan": "-asan", "tsan": "-tsan"}
TSAN_LAYERS = ("base", "target/iscsi", "target")


class Job:
    def __init__(self, name, command, timeout):
        self.name, self.command, self.timeout = name, command, timeout
        self.passed = self.failed = self.skipped = 0
        self.output, self.seconds, self.reason = "", 0.0, ""


def unit_jobs(build):
    for source in sorted((TESTS / "unit").rglob("*_test.c")):
        path = source.relative_to(TOP).with_suffix("")
        layer = str(path.parent.relative_to("tests/unit"))
        for variant, suffix in VARIANTS.items():
            if variant == "tsan" and layer not in TSAN_LAYERS:
                continue
            program = pathlib.Path(f"{build}{suffix}") / path
            yield Job(f"{variant} {path.relative_to('tests')}",
                      [str(program)], 300)


def listed_jobs(build):
    """tests/DIR/jobs: lines of VARIANT SECONDS ARGUMENTS..."""
    for listing in sorted(TESTS.glob("*/jobs")):
        directory = listing.parent.name
        for line in listing.read_text().splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            variant, seconds, *arguments = line.split()
            program = f"{build}{VARIANTS[variant]}/tests/{directory}/run"
            yield Job(f"{variant} {directory} {' '.join(arguments)}",
                      [program, *arguments], int(seconds))


def fuzz_jobs(build):
    for source in sorted((TESTS / "fuzz").glob("*_fuzz.c")):
        corpus = TESTS / "fuzz/corpus" / source.stem.removesuffix("_fuzz")
        yield Job(f"asan corpus {source.stem}",
                  [f"{build}-asan/tests/fuzz/{source.stem}", str(corpus)], 300)


def story_jobs():
    for directory in ("integration", "conformance"):
        scripts = [p for p in (TESTS / directory).iterdir()
                   if p.suffix in (".sh", ".py")]
        for script in sorted(scripts):
            if script.name in ("lib.sh", "cu.py", "report.py"):
                continue
            text = script.read_text()
            limit = re.search(r"^# timeout: (\d+)", text, re.M)
            program = sys.executable if script.suffix == ".py" else "bash"
            yield Job(f"story {directory}/{script.name}", [program, str(script)],
                      int(limit.group(1)) if limit else 120)


def guest_jobs():
    """What of tests/guest/suites fits here; make test-guest runs them whole."""
    for suite in sorted((TESTS / "guest/suites").glob("*.sh")):
        if re.search(r"^# smoke: no$", suite.read_text(), re.M):
            continue
        yield Job(f"guest {suite.stem}",
                  [sys.executable, str(TESTS / "guest/suite.py"), "--smoke", suite.stem], 300)


def all_jobs(build):
    yield Job("tidy", [sys.executable, str(TESTS / "tidy.py")], 120)
    yield from unit_jobs(build)
    yield from listed_jobs(build)
    yield from fuzz_jobs(build)
    yield from story_jobs()
    yield from guest_jobs()


def count(job, status):
    """The job's own figures where it gives them."""
    cmocka_ok = re.findall(r"\[  PASSED  \] (\d+) test", job.output)
    cmocka_bad = re.findall(r"\[  FAILED  \] .*?(\d+) test", job.output)
    cmocka_skip = re.findall(r"\[  SKIPPED \] .*?(\d+) test", job.output)
    own = re.findall(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$",
                     job.output, re.M)
    if own:
        job.passed = sum(int(p) for p, _, _ in own)
        job.failed = sum(int(f) for _, f, _ in own)
        job.skipped = sum(int(s or 0) for _, _, s in own)
    elif cmocka_ok:
        job.passed = sum(map(int, cmocka_ok))
        job.failed = sum(map(int, cmocka_bad))
        job.skipped = sum(map(int, cmocka_skip))
    elif status == 77:
        job.skipped = 1
    elif status == 0:
        job.passed = 1
    if status == 77:
        lines = job.output.strip().splitlines()
        job.reason = lines[-1] if lines else "no reason given"
    elif status != 0 and job.failed == 0:
        job.failed = 1


def end_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run_command(job, directory, environment):
    """What it printed, and its exit status; as a shell says it for what is not there."""
    try:
        process = subprocess.Popen(
            job.command, cwd=directory, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    except OSError as error:
        return f"{error}\n".encode(), 127
    try:
        output, _ = process.communicate(timeout=job.timeout)
        status = process.returncode
    except subprocess.TimeoutExpired:
        end_group(process)
        output, _ = process.communicate()
        output += f"\nstopped after {job.timeout} s\n".encode()
        status = 124
    end_group(process)
    return output, status


def run(job, build):
    directory = tempfile.mkdtemp(prefix="varve-test-")
    os.chmod(directory, 0o711)  # stories act as other users, too
    environment = dict(os.environ, TOP=str(TOP), BUILD=str(build), TMPDIR=directory,
                       ASAN_OPTIONS="abort_on_error=0:detect_leaks=1",
                       TSAN_OPTIONS="halt_on_error=1",
                       UBSAN_OPTIONS="print_stacktrace=1")
    start = time.monotonic()
    output, status = run_command(job, directory, environment)
    job.output = output.decode(errors="replace")
    job.seconds = time.monotonic() - start
    count(job, status)
    if status not in (0, 77):
        job.output += f"\n(exit status {status})"
    shutil.rmtree(directory, ignore_errors=True)
    return job


def report(job):
    word = "FAIL" if job.failed else "skip" if not job.passed else "ok"
    skipped = f", {job.skipped} skipped" if job.skipped else ""
    print(f"{word:4} {job.name}: {job.passed} passed, {job.failed} failed"
          f"{skipped} ({job.seconds:.1f} s)", flush=True)
    if job.reason:
        print(f"     {job.reason}", flush=True)
    if job.failed:
        tail = job.output.splitlines()[-60:]
        print("\n".join("     | " + line for line in tail), flush=True)


def main():
    parser = argparse.ArgumentParser(description="run varve's tests")
    parser.add_argument("--build", default=os.environ.get("BUILD", "build"))
    # many wait most of the time: for a guest, a restart, a timer
    parser.add_argument("--jobs", type=int, default=os.cpu_count() + 1)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("patterns", nargs="*", help="parts of job names")
    options = parser.parse_args()
    build = (TOP / options.build).resolve()
    jobs = [j for j in all_jobs(build) if not options.patterns
            or any(p in j.name for p in options.patterns)]
    if options.list:
        print("\n".join(j.name for j in jobs))
        return 0
    jobs.sort(key=lambda j: -j.timeout)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(run, job, build) for job in jobs]
        for future in concurrent.futures.as_completed(futures):
            report(future.result())
    passed, failed, skipped = (sum(getattr(j, what) for j in jobs)
                               for what in ("passed", "failed", "skipped"))
    if passed + failed == 0:
        print("no test ran")
        failed = 1
    print(f"{passed} passed, {failed} failed"
          + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
