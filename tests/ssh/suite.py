#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""varve backup send --to-ssh through OpenSSH: an sshd with a configuration and keys of its own, that
ssh runs as its proxy, so that nothing listens anywhere.  Cut off with either end of ssh killed.

Needs root: the sshd has a mount namespace, in which the user that it drops its privileges to is
known.  What tests/integration/pipe.py claims without ssh is not claimed again.
"""
import os
import pathlib
import signal
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP))
sys.path.insert(0, str(TOP / "integration"))
from backup import IQN, MIB, Lun, code_of, varve_process
from claims import claim, claim_equal, main
from pipe import Far, descendants
from varved import BUILD, Varved

SSHD = TOP.parent / "build/deps/sshd"


class Ssh(Far):
    """The other varved by ssh."""

    def __init__(self, varved, lun, other, copy, directory):
        super().__init__(varved, lun, other, copy)
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                            directory / key], check=True)
        (directory / "passwd").write_text(
            pathlib.Path("/etc/passwd").read_text()
            + "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n")
        (directory / "sshd_config").write_text(
            f"HostKey {directory}/host\nAuthorizedKeysFile {directory}/user.pub\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            "PermitRootLogin prohibit-password\nLogLevel ERROR\n")
        (directory / "known").write_text(
            "nas2 " + (directory / "host.pub").read_text())
        library = next(SSHD.glob("usr/lib/*/libwrap.so.0")).parent
        serve = directory / "serve"
        serve.write_text(
            f"#!/bin/sh\nexport LD_LIBRARY_PATH={library}\n"
            f"exec unshare -m sh -c 'mount --bind {directory}/passwd /etc/passwd && "
            "mount -t tmpfs none /run && mkdir /run/sshd && "
            f"exec {SSHD}/usr/sbin/sshd -i -f {directory}/sshd_config'\n")
        serve.chmod(0o755)
        self.command = (f"ssh -F none -o BatchMode=yes -i {directory}/user "
                        f"-o UserKnownHostsFile={directory}/known -o ProxyCommand={serve}")

    def arguments(self, snap):
        far = f"VARVE_CONNECT=unix:{self.other.directory}/varve.sock {BUILD}/varve"
        return ["backup", "send", f"{self.lun}@{snap}", "--to-ssh", "root@nas2", "--ssh-command",
                self.command, "--to-varve", far, "--to", self.copy, "--checkpoint", "2M"]


def killed(far, snap, name):
    """One of ssh's processes, at the first checkpoint."""
    process = varve_process(far.varved, *far.arguments(snap))
    while far.marked() == 0 and process.poll() is None:
        pass
    for pid in descendants(process.pid):
        try:
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except FileNotFoundError:
            continue
        if command.startswith(name):
            os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=100)
    return process.returncode


def story(directory, varved):
    with Varved(directory / "other") as other:
        for server, pool in ((varved, "vms"), (other, "tank")):
            server.varve("pool", "create", pool, server.directory / f"{pool}.pool",
                         "--size", "1G")
            server.varve("host", "add", "h", "--iqn", IQN, "--no-chap")
        lun = Lun(varved, "vms/web01", 64 * MIB)
        far = Ssh(varved, lun.name, other, "tank/web01", directory)
        lun.write(20, 1024)
        lun.snap("mon")
        claim_equal("all of it goes through ssh", far.send("mon")["kind"], "full")
        for snap, name in (("tue", b"ssh\0"), ("wed", b"sshd: root")):
            lun.write(20, 1024)
            lun.snap(snap)
            claim(f"{name[:4].decode().strip(chr(0))} is killed, and that is said",
                  killed(far, snap, name) == 7)
            claim("the same command goes on", far.send(snap)["resumed"])
        claim("every day of it is what it was",
              all(far.is_same(snap) for snap in ("mon", "tue", "wed")))
        (directory / "known").write_text("")
        claim_equal("a machine that is not known is not sent to",
                    code_of(varved, *far.arguments("mon")), "backup.pipe")


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("it needs root")
        sys.exit(77)
    main(story)
