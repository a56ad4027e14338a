# SPDX-License-Identifier: LGPL-2.1-or-later
"""A varved of one's own for tests and benches: in a private directory, on a port
of the kernel's choice, spoken to through the varve command line as users do."""
import json
import os
import pathlib
import signal
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = (TOP / os.environ.get("BUILD", "build")).resolve()


class Failed(Exception):
    """varve ended with an error; .status and .text say which."""

    def __init__(self, command, status, text):
        super().__init__(f"{' '.join(command)}: exit {status}: {text.strip()}")
        self.status, self.text = status, text


class Varved:
    def __init__(self, directory, portal="127.0.0.1:0", options=(), program=None):
        self.directory = pathlib.Path(directory)
        self.program = program or BUILD / "varved"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.options, self.first_portal = list(options), portal
        self.before = []  # of its command line: what it is started by
        self.process = None
        self.start()

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        """Returns the seconds until it answers on its control socket."""
        begun = time.monotonic()
        portal = ["--portal", self.first_portal] if self.first_portal else []
        with open(self.directory / "stderr.txt", "a") as errors:
            self.process = subprocess.Popen(
                [*self.before, str(self.program), "--dir", str(self.directory), *portal,
                 *self.options], stdout=errors, stderr=errors,
                stdin=subprocess.DEVNULL)
        while True:
            try:
                self.varve("version")
                return time.monotonic() - begun
            except Failed:
                if self.process.poll() is not None or time.monotonic() - begun > 30:
                    raise RuntimeError("varved did not start: " + self.log()) from None
                time.sleep(0.005)

    def log(self):
        return (self.directory / "stderr.txt").read_text()[-4000:]

    def varve(self, *arguments):
        command = [str(BUILD / "varve"), "--connect",
                   f"unix:{self.directory}/varve.sock", "--json", "--yes",
                   *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL)
        if done.returncode not in (0, 9):
            raise Failed(command, done.returncode, done.stdout + done.stderr)
        # long work says how far it is, a line each time, and then its answer
        lines = done.stdout.strip().splitlines()
        return json.loads(lines[-1]) if lines else {}

    def portal(self):
        return self.varve("portal", "list")["items"][0]["address"]

    def lun(self, name, size, host, block_size=512, export=()):
        """Makes a LUN, exports it to host, returns its iscsi:// URL."""
        self.varve("lun", "create", name, "--size", size, "--block-size", block_size)
        export = self.varve("export", "add", name, "--host", host, *export)["item"]
        return f"iscsi://{self.portal()}/{export['iqn']}/{export['lun']}"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds=30):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise RuntimeError("varved did not stop: " + self.log()) from None
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()
