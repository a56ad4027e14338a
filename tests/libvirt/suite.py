#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""All that is tested of varve's part of libvirt, each story in a process of its own.

    tests/libvirt/suite.py [--list] [STORY...]

A story is a kind of libvirtd and what is done with it:
    session-...    a user's libvirtd
    system-...     root's, in a mount namespace of its own (needs root)
    ...-asan       with the plugin, and varved, of the build BUILD-asan
    ...-forwarded  through a control socket that is 20 ms away and breaks often
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE))

STORIES = {
    # name: (module, function); its name says how it runs, too
    "session-volumes": ("volumes", "volumes"),
    "session-volumes-asan": ("volumes", "volumes"),
    "session-volumes-forwarded": ("volumes", "volumes"),
    "system-volumes": ("volumes", "volumes"),
    "session-stock": ("stock", "without_plugin"),
    "session-loader": ("stock", "loader"),
    "session-faults": ("faults", "faults"),
    "session-faults-asan": ("faults", "faults"),
    "session-faults-forwarded": ("faults", "faults"),
    "session-scale": ("scale", "scale"),
    "session-scale-forwarded": ("scale", "scale"),
    "session-guest": ("guest", "guest"),
    "session-guest-asan": ("guest", "guest"),
    "session-guest-forwarded": ("guest", "guest"),
    "session-quiesce": ("quiesce", "quiesce"),
}


def run_here(name):
    """In this process, which becomes what the story needs, and ends."""
    import importlib

    import claims
    import libvirtd
    module, function = STORIES[name]
    # before it is another user's, who may not be able to read Python's modules, or write
    # into the build
    story = getattr(importlib.import_module(module), function)
    getattr(sys.modules[module], "prepare", lambda: None)()
    if name.startswith("system"):
        libvirtd.private_root()
    else:
        libvirtd.become_nobody()
    claims.main(story)


def run(name):
    """Its passed, failed and skipped, and what it said."""
    environment = dict(os.environ)
    build = os.environ.get("BUILD", "build")
    if "forwarded" in name:
        environment["LIBVIRT_FORWARDED"] = "1"
    if "asan" in name:
        environment["BUILD"] = build + "-asan"
        environment["LIBVIRT_ASAN"] = subprocess.run(
            ["gcc", "-print-file-name=libasan.so"], capture_output=True,
            text=True, check=True).stdout.strip()
    if name.startswith("system") and os.geteuid() != 0:
        return 0, 0, 1, "not root\n"
    done = subprocess.run([sys.executable, __file__, "--here", name],
                          env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    counts = re.findall(r"^(\d+) passed, (\d+) failed$", done.stdout, re.M)
    passed, failed = map(int, counts[-1]) if counts else (0, 1)
    if done.returncode != 0 and failed == 0:
        failed = 1
    return passed, failed, 0, done.stdout


def main():
    parser = argparse.ArgumentParser(description="test varve's part of libvirt")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    parser.add_argument("stories", nargs="*", help="parts of their names")
    options = parser.parse_args()
    if options.here:
        run_here(options.here)
    names = [n for n in STORIES if not options.stories
             or any(s == n or s in n and s not in STORIES for s in options.stories)]
    if options.list:
        print("\n".join(names))
        return 0
    total = [0, 0, 0]
    for name in names:
        begun = time.monotonic()
        *counts, said = run(name)
        total = [a + b for a, b in zip(total, counts)]
        word = "FAIL" if counts[1] else "skip" if counts[2] else "ok"
        print(f"{word:4} {name}: {counts[0]} passed, {counts[1]} failed "
              f"({time.monotonic() - begun:.1f} s)", flush=True)
        if counts[1]:
            print("\n".join("     | " + line for line in said.splitlines()
                            if not line.startswith("ok ")), flush=True)
    print("%u passed, %u failed%s" % (
        total[0], total[1], f", {total[2]} skipped" if total[2] else ""))
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main())
