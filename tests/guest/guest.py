# SPDX-License-Identifier: LGPL-2.1-or-later
"""A virtual machine that runs one script and goes off: Debian's kernel under QEMU,
without hardware virtualisation (build.sh).  Its drives are what QEMU can open, so
also iscsi:// URLs; it is talked to by QMP, and what it prints is read from its
serial line."""
import json
import os
import pathlib
import re
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
BUILD = TOP / os.environ.get("BUILD", "build")


class Guest:
    def __init__(self, directory, script, drives, memory=256):
        self.directory = pathlib.Path(directory)
        self.console = self.directory / "console"
        subprocess.run([HERE / "build.sh"], check=True)
        self.make_initrd(script)
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
             "-display", "none", "-machine", "q35", "-accel", "tcg,thread=multi",
             "-cpu", "max", "-smp", "1", "-m", str(memory),
             "-kernel", BUILD / "guest/vmlinuz", "-initrd", self.directory / "initrd",
             "-append", "console=ttyS0 quiet panic=-1 mitigations=off "
                        "random.trust_cpu=on",
             "-serial", f"file:{self.console}",
             "-qmp", f"unix:{self.directory}/qmp,server=on,wait=off", *drives],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(self.directory / "qemu.txt", "w"))
        self.events = []
        self.connect()

    def make_initrd(self, script):
        """That of all guests, and the script in an archive behind it."""
        own = self.directory / "own"
        own.mkdir()
        (own / "script").write_text(script)
        archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=own,
                                 input=b"script\n", stdout=subprocess.PIPE, check=True)
        (self.directory / "initrd").write_bytes(
            (BUILD / "guest/initrd.cpio").read_bytes() + archive.stdout)

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
