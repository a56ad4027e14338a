# SPDX-License-Identifier: LGPL-2.1-or-later
"""tests/initiator for stories in Python: one session, commands in hex."""
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

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(30)
