# SPDX-License-Identifier: LGPL-2.1-or-later
"""A virtual machine that runs one script and goes off: Debian's kernel under QEMU,
without hardware virtualisation (build.sh).  Its drives are what QEMU can open, so
also iscsi:// URLs; it is talked to by QMP, and what it prints is read from its
serial line.  A directory may be shared with it: /share in the guest.

run() is all of that for a script that is alone with its guest."""
import collections
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
BUILD = TOP / os.environ.get("BUILD", "build")
FREE = ["-accel", "tcg,thread=multi", "-cpu", "max"]
# One instruction is one nanosecond of the guest's, however busy the host is.  With
# erms "rep movsb" would be one instruction for each byte.
ICOUNT = ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off",
          "-cpu", "max,-erms,-fsrm"]


class Guest:
    def __init__(self, directory, script, drives=(), memory=256, kind="scsi",
                 processors=1, share=None, icount=False):
        self.directory = pathlib.Path(directory)
        self.console = self.directory / "console"
        subprocess.run([HERE / "build.sh", kind], check=True)
        image = BUILD / f"guest/{kind}.cpio"
        append = ("console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable "
                  "no_timer_check random.trust_cpu=on")
        if share:
            self.fill(pathlib.Path(share), script)
            append += " guest.share"
            drives = [*drives, "-virtfs", f"local,path={share},mount_tag=share,"
                      "security_model=none,multidevs=remap"]
        else:
            image = self.make_initrd(script, image)
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
             "-display", "none", "-machine", "q35", *(ICOUNT if icount else FREE),
             "-smp", str(processors), "-m", str(memory),
             "-kernel", BUILD / "guest/vmlinux", "-initrd", image,
             "-append", append, "-serial", f"file:{self.console}",
             "-qmp", f"unix:{self.directory}/qmp,server=on,wait=off", *drives],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(self.directory / "qemu.txt", "w"))
        self.events = []
        self.connect()

    def make_initrd(self, script, image):
        """That of all guests, and the script in an archive behind it."""
        own = self.directory / "own"
        own.mkdir()
        (own / "script").write_text(script)
        archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=own,
                                 input=b"script\n", stdout=subprocess.PIPE, check=True)
        initrd = self.directory / "initrd"
        initrd.write_bytes(image.read_bytes() + archive.stdout)
        return initrd

    def fill(self, share, script):
        """The script and varve's programs, which change more often than the image."""
        (share / "bin").mkdir(exist_ok=True)
        for name in ("varved", "varve"):
            shutil.copy(BUILD / name, share / "bin")
        (share / "script").write_text(script)

    # ---- QMP ----

    def connect(self):
        self.socket, end = socket.socket(socket.AF_UNIX), time.monotonic() + 60
        while True:
            try:
                self.socket.connect(str(self.directory / "qmp"))
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(
                        "QEMU did not start: " +
                        (self.directory / "qemu.txt").read_text()) from None
                time.sleep(0.05)
        self.lines = self.socket.makefile("rw")
        self.read()  # its greeting
        self.ask("qmp_capabilities")

    def read(self):
        line = self.lines.readline()
        if not line:
            raise RuntimeError("QEMU is gone: " + self.said())
        return json.loads(line)

    def ask(self, command, **arguments):
        self.socket.settimeout(60)
        self.lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.lines.flush()
        while True:
            message = self.read()
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise RuntimeError(f"{command}: {message['error']['desc']}")
            else:
                return message["return"]

    def wait_event(self, name, seconds):
        """The next event of that name; others before it are forgotten."""
        self.socket.settimeout(seconds)
        while True:
            event = self.events.pop(0) if self.events else self.read()
            if event.get("event") == name:
                return event

    # ---- the console ----

    def said(self):
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def wait_end(self, seconds):
        """What /script ended with; None: it did not."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        match = re.search(r"guest: ended with (\d+)", self.said())
        return int(match.group(1)) if match else None

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


Result = collections.namedtuple("Result", "code console share")


def disk(directory, number, size):
    """What makes a file of that size the guest's next virtio disk: vda, vdb, ..."""
    path = pathlib.Path(directory) / f"disk{number}"
    with open(path, "wb") as file:
        file.truncate(size)
    return ["-drive", f"file={path},format=raw,if=none,id=d{number},cache=unsafe,"
            "discard=unmap", "-device", f"virtio-blk-pci,drive=d{number}"]


def share_of(directory):
    """directory/share, with what scripts for guests source."""
    share = pathlib.Path(directory) / "share"
    share.mkdir()
    for library in ("lib.sh", "configfs.sh", "varved.sh", "multipath.sh",
                    "peers.sh"):
        shutil.copy(HERE / library, share)
    return share


def run(directory, script, kind="target", name="guest", seconds=300, memory=1024,
        disks=(), processors=1, icount=False):
    """Runs script in a guest with directory/share as its /share, and new disks of
    these sizes in bytes; icount: with instructions as its clock.  Gives the script's exit
    status (None: it did not end), what the guest said, and the share.  Unless it ended
    with 0, all but the disks is kept in $BUILD/guest/failed/NAME."""
    directory = pathlib.Path(directory)
    share = directory / "share"
    share.mkdir(exist_ok=True)
    drives = [word for number, size in enumerate(disks)
              for word in disk(directory, number, size)]
    guest = Guest(directory, script, drives, memory, kind, processors, share,
                  icount)
    try:
        code = guest.wait_end(seconds)
    finally:
        guest.stop()
    kept = BUILD / "guest/failed" / name
    shutil.rmtree(kept, ignore_errors=True)
    if code != 0:
        kept.mkdir(parents=True)
        for artefact in ("console", "qemu.txt"):
            shutil.copy(directory / artefact, kept)
        shutil.copytree(share, kept / "share", ignore=shutil.ignore_patterns("bin"))
    return Result(code, guest.said(), share)
