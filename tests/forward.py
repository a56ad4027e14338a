# SPDX-License-Identifier: LGPL-2.1-or-later
"""A forwarded Unix socket, as ssh -L gives one: what comes is handed on late, and
some connections break in the middle.  Connections that break are those whose number
is a multiple of `breaks`, after `after` bytes of what the server answers."""
import os
import pathlib
import socket
import threading
import time


class Forward:
    def __init__(self, path, to, delay=0.0, breaks=0, after=40):
        self.path, self.to, self.delay = pathlib.Path(path), str(to), delay
        self.breaks, self.after, self.count, self.broken = breaks, after, 0, 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        os.chmod(path, 0o666)
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self.to)
            except OSError:  # ssh takes the connection, and ends it then
                client.close()
                continue
            most = self.after if self.breaks and self.count % self.breaks == 0 else None
            threading.Thread(target=self.hand_on, daemon=True,
                             args=(client, server, None)).start()
            threading.Thread(target=self.hand_on, daemon=True,
                             args=(server, client, most)).start()

    def hand_on(self, source, target, most):
        left = most
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                time.sleep(self.delay)
                target.sendall(data if left is None else data[:left])
                if left is not None and len(data) >= left:
                    self.broken += 1
                    break
                left = left if left is None else left - len(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.path.unlink(missing_ok=True)
