#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A backup tool against varve's API: backup.py SOCKET DISK POOL/LUN [@BASE] @SNAP FILE

Brings FILE, a raw image of the LUN as it was at BASE (an empty file without one), to
what the LUN was at SNAP.  DISK is where SNAP is read: a device or file."""
import json
import socket
import sys

PIECE = 1 << 20


class Varve:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.lines = self.socket.makefile("r", encoding="utf-8")

    def ask(self, method, **params):
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self.socket.sendall(json.dumps(call).encode() + b"\n")
        answer = json.loads(self.lines.readline())
        if "error" in answer:
            sys.exit(f"{answer['error']['data']['code']}: {answer['error']['message']}")
        return answer["result"]

    def diff(self, lun, base, snap):
        """(offset, length, kind) of each extent, however many pages it takes."""
        cursor = 0
        while cursor is not None:  # a page may be empty and not the last
            page = self.ask("snap.diff", cursor=cursor, limit=4096, to=snap, **{"from": lun + base})
            for extent in page["items"]:
                yield extent["offset"], extent["length"], extent["kind"]
            cursor = page["cursor"]


path, disk, lun, *base, snap, image = sys.argv[1:]
varve = Varve(path)
with open(disk, "rb") as source, open(image, "r+b") as target:
    target.truncate(varve.ask("snap.show", snap=lun + snap)["item"]["size"])
    for offset, length, kind in varve.diff(lun, "".join(base), snap):
        for at in range(offset, offset + length, PIECE):
            size = min(PIECE, offset + length - at)
            source.seek(at)
            target.seek(at)
            target.write(source.read(size) if kind == "data" else bytes(size))
