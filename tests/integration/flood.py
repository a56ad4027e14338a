#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Peers that have not logged in cannot hurt those that have: ten thousand silent
connections, half-open logins that stop in the middle of a PDU, and senders of
garbage.  Memory stays bounded, an initiator reads and a new one logs in meanwhile.
"""
# timeout: 240
import os
import pathlib
import resource
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from claims import claim, main

CONNECTIONS = 10000
IQN = "iqn.2026-01.local.test:flood"


def resident_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("no VmRSS")


def reads(url):
    done = subprocess.run(["iscsi-inq", "-i", IQN, url], capture_output=True, timeout=20)
    return done.returncode == 0


def connect(address, count, first_bytes):
    """Opens count connections and sends first_bytes on each; those that varved
    has closed in the meantime stay in the list, as a rude peer would keep them."""
    held = []
    for _ in range(count):
        peer = socket.socket()
        peer.settimeout(5)
        try:
            peer.connect(address)
            if first_bytes:
                peer.sendall(first_bytes)
        except OSError:
            pass
        held.append(peer)
    return held


def story(varved, directory):
    varved.varve("pool", "create", "p", directory + "/pool.img", "--size", "256M")
    varved.varve("host", "add", "h", "--iqn", IQN, "--no-chap")
    url = varved.lun("p/l", "64M", "h")
    host, port = varved.portal().rsplit(":", 1)
    address = (host, int(port))
    claim("an initiator reads before the flood", reads(url))

    qemu = subprocess.Popen(
        ["qemu-img", "bench", "-c", "200000", "-d", "4", "-s", "4k",
         "--image-opts", f"driver=iscsi,transport=tcp,portal={host}:{port},"
         f"target={url.split('/')[3]},lun={url.split('/')[4]},initiator-name={IQN}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    time.sleep(0.5)
    before = resident_kib(varved.pid)

    login = bytes([0x43, 0x87]) + bytes(2) + bytes([0, 0, 0x20, 0]) + bytes(40)
    kinds = {"silent": b"", "half a header": login[:20],
             "a login whose text never comes": login,
             "garbage": os.urandom(4096)}
    held = []
    try:
        for name, first_bytes in kinds.items():
            held += connect(address, CONNECTIONS // len(kinds), first_bytes)
            claim(f"others are served while {len(held)} hang on ({name})", reads(url))
        grown = resident_kib(varved.pid) - before
        claim("memory is bounded", grown < 64 * 1024, f"+{grown} KiB")
        out, _ = qemu.communicate(timeout=120)
        claim("the session from before was not disturbed", qemu.returncode == 0,
              out.decode()[-200:].strip())
    finally:
        for peer in held:
            peer.close()
        if qemu.poll() is None:
            qemu.kill()
            qemu.wait()
    claim("and reads afterwards", reads(url))
    claim("varved ends orderly", varved.stop() == 0)


def flood(directory, varved):
    resource.setrlimit(resource.RLIMIT_NOFILE, (HARD, HARD))
    story(varved, str(directory))


if __name__ == "__main__":
    HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if HARD < CONNECTIONS + 100:
        print(f"this machine allows {HARD} open files, {CONNECTIONS} are needed")
        sys.exit(77)
    main(flood)
