#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""House rules that a machine can check.

    include order   a layer includes itself and what is below it, by full path
    SPDX            every source file says its licence in its first lines
    wire and disk   every struct made of be*/le* fields has its size asserted
    words           nothing unfinished, no machine's paths
    format          clang-format agrees, where it is installed
"""
import pathlib
import re
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
# architecture: an include may only point down this list
LAYERS = ["base", "client", "backup", "policy", "backstores", "snapshot", "target/scsi",
          "target/iscsi", "target/tcmu", "target", "tools", "pool-plugin",
          "pool-plugin/libvirt", "tests"]
# they do not know each other (a LUN holds a backstore, whatever that is)
STRANGERS = {("target/scsi", "snapshot"), ("target/iscsi", "snapshot")}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
# any absolute path below a home or a work directory
FOREIGN = re.compile(r"(?<![\w.])/(home|root|work)/\w")

problems = []


def problem(path, line, text):
    problems.append(f"{path.relative_to(TOP)}:{line}: {text}")


def tracked(*patterns):
    out = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", *patterns],
        cwd=TOP, capture_output=True, text=True, check=True).stdout
    return [TOP / name for name in out.splitlines() if (TOP / name).is_file()]


def layer_of(path):
    name = str(path.relative_to(TOP).parent)
    for layer in LAYERS:
        if name == layer or layer == "tests" and name.startswith("tests"):
            return layer
    return None


def layer_of_include(name):
    parent = str(pathlib.PurePath(name).parent)
    return parent if parent in LAYERS else None


def check_includes(path, lines):
    mine = layer_of(path)
    if mine is None:
        return
    for number, line in enumerate(lines, 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not match:
            continue
        theirs = layer_of_include(match.group(1))
        if theirs is None:
            if mine != "tests":
                problem(path, number, f'include "{match.group(1)}" by its path '
                        "from the top")
            continue
        if (mine, theirs) in STRANGERS:
            problem(path, number, f"{mine} does not know {theirs}")
        if LAYERS.index(theirs) > LAYERS.index(mine):
            problem(path, number, f"{mine} may not include {theirs}: it is above")


STRUCT = re.compile(r"^struct (\w+) \{(.*?)^\}", re.S | re.M)
FIELD = re.compile(r"^\s+struct (?:be|le)(?:16|24|32|64)\s", re.M)


def check_wire_structs(path, text):
    if path.name == "endian.h":
        return
    for match in STRUCT.finditer(text):
        if not FIELD.search(match.group(2)):
            continue
        name = match.group(1)
        if not re.search(r"static_assert\(\s*sizeof\(struct %s\)" % name, text, re.I):
            problem(path, text[:match.start()].count("\n") + 1,
                    f"struct {name} is a wire or disk struct: assert its size")


def check_words(path, lines):
    for number, line in enumerate(lines, 1):
        if UNFINISHED.search(line) and path.name != "tidy.py":
            problem(path, number, "unfinished: " + line.strip()[:60])
        if FOREIGN.search(line) and path.name != "tidy.py":
            problem(path, number, "a path of one machine: " + line.strip()[:60])


def check_spdx(path, lines):
    if not any("SPDX-License-Identifier: LGPL-2.1-or-later" in line
               for line in lines[:4]):
        problem(path, 1, "no SPDX line")


def check_format(paths):
    tool = shutil.which("clang-format")
    if tool is None:
        return
    run = subprocess.run([tool, "--dry-run", "-Werror", *map(str, paths)],
                         cwd=TOP, capture_output=True, text=True)
    for name, line in re.findall(r"^(.+?):(\d+):\d+: error", run.stderr, re.M):
        problem(TOP / name, line, "clang-format -i would change it")
    if run.returncode != 0 and not problems:
        problem(paths[0], 1, run.stderr.strip()[:200])


def main():
    c_files = tracked("*.c", "*.h")
    for path in tracked("*.c", "*.h", "*.py", "*.sh", "Makefile", "*.def", "*.md"):
        text = path.read_text(errors="replace")
        lines = text.splitlines()
        check_words(path, lines)
        if path.suffix in (".c", ".h", ".py", ".sh"):
            check_spdx(path, lines)
        if path.suffix in (".c", ".h"):
            check_includes(path, lines)
            check_wire_structs(path, text)
    check_format(c_files)
    for line in problems:
        print(line)
    print(f"{len(c_files)} C files read, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
