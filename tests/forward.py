# SPDX-License-Identifier: LGPL-2.1-or-later
"""What lies between a client and a server: a forwarded Unix socket, as ssh -L gives one, or a
network with a TCP port at each end.  It is late, breaks, and falls silent:

    delay        what comes is handed on so late
    breaks       connections whose number is a multiple of that break, after `after` bytes of
                 what the server answers
    trip()       does something when so many bytes have passed: in the middle of what is
                 handed on, which waits for it
    cut()        all connections end, TCP's by a reset
    hold(), go() nothing is accepted and nothing handed on, until go()
"""
import os
import pathlib
import select
import socket
import struct
import threading
import time

LOOK_SECONDS = 0.02


def endpoint(name):
    """"127.0.0.1:3260", or a path."""
    text = str(name)
    if "/" in text:
        return socket.AF_UNIX, text
    host, port = text.rsplit(":", 1)
    return socket.AF_INET, (host, int(port))


class Forward:
    def __init__(self, at, to, delay=0.0, breaks=0, after=40):
        """at: "127.0.0.1:0" is a port of the kernel's choice, which .address says."""
        family, where = endpoint(at)
        self.path = pathlib.Path(where) if family == socket.AF_UNIX else None
        self.to, self.delay = endpoint(to), delay
        self.breaks, self.after, self.count, self.broken = breaks, after, 0, 0
        self.passed, self.tripping, self.cuts = 0, None, 0
        self.lock, self.gate = threading.Lock(), threading.Event()
        self.gate.set()
        self.listener = socket.socket(family)
        self.listener.bind(where)
        if self.path:
            os.chmod(self.path, 0o666)
        else:
            self.address = "{}:{}".format(*self.listener.getsockname())
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def trip(self, bytes_, action):
        """Once, counted from now."""
        with self.lock:
            self.passed, self.tripping = 0, (bytes_, action)

    def untrip(self):
        """What has passed since; True: nothing had come of it."""
        with self.lock:
            armed, self.tripping = self.tripping is not None, None
            return self.passed, armed

    def cut(self):
        self.cuts += 1

    def hold(self):
        self.gate.clear()

    def go(self):
        self.gate.set()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.gate.wait()
            self.count += 1
            server = socket.socket(self.to[0])
            try:
                server.connect(self.to[1])
            except OSError:  # ssh takes the connection, and ends it then
                client.close()
                continue
            most = self.after if self.breaks and self.count % self.breaks == 0 else None
            left = [None, None]  # the last one out closes both
            for source, target, limit in ((client, server, None), (server, client, most)):
                threading.Thread(target=self.hand_on, daemon=True,
                                 args=(source, target, limit, left, self.cuts)).start()

    def hand_on(self, source, target, most, left, cuts):
        try:
            self.hand_all(source, target, most, cuts)
        except OSError:
            pass
        if self.cuts != cuts and self.path is None:
            # socket(7): closed with what lingers for no time, it is reset
            for end in (source, target):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            for end in (source, target):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        left.pop()
        if not left:
            source.close()
            target.close()

    def hand_all(self, source, target, most, cuts):
        while self.cuts == cuts:
            if not select.select([source], [], [], LOOK_SECONDS)[0]:
                continue
            data = source.recv(65536)
            if not data:
                return
            time.sleep(self.delay)
            if most is not None and len(data) >= most:
                target.sendall(data[:most])
                self.broken += 1
                return
            most = most if most is None else most - len(data)
            self.pass_on(data, target)

    def pass_on(self, data, target):
        with self.lock:
            before, self.passed = self.passed, self.passed + len(data)
            if self.tripping and self.passed >= self.tripping[0]:
                (at, action), self.tripping = self.tripping, None
                target.sendall(data[:at - before])
                data = data[at - before:]
                action()
        cuts = self.cuts
        self.gate.wait()
        if self.cuts == cuts:
            target.sendall(data)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        if self.path:
            self.path.unlink(missing_ok=True)
