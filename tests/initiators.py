# SPDX-License-Identifier: LGPL-2.1-or-later
"""An initiator for Python stories: one session by tests/initiator, which takes commands
as hex and answers "good BYTES", "check KEY ASC ASCQ", "conflict" or "lost"."""
import subprocess

from varved import BUILD


class Initiator:
    def __init__(self, url, name, qualifier=1):
        self.process = subprocess.Popen(
            [str(BUILD / "tests/initiator/run"), url, name, str(qualifier)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        self.ready = self.process.stdout.readline().strip()

    def start(self, line):
        """Gives the command; its outcome is answer()'s."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self):
        return self.process.stdout.readline().strip() or "lost"

    def send(self, line):
        try:
            self.start(line)
        except BrokenPipeError:
            return "lost"
        return self.answer()

    def take(self, cdb, length=4095):
        """Data-In of a command that has to be GOOD."""
        answer = self.send(f"{cdb} in {length}").split()
        if answer[0] != "good":
            raise AssertionError(f"{cdb}: {' '.join(answer)}")
        return bytes.fromhex(answer[1]) if len(answer) > 1 else b""

    def write(self):
        return self.send("2a000000000000000100 out " + "77" * 512)

    def read(self):
        return self.send("28000000000000000100 in 512").split()[0]

    def hear(self):
        return self.send("000000000000")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(30)
