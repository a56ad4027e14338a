#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""varved is killed with SIGKILL again and again under fio, and nothing that was
acknowledged is lost: the promise to a guest that stays up meanwhile.

fio writes and verifies through QEMU's NBD bridge, whose iSCSI initiator logs in
again by itself, so that one fio run lives through all kills: LUN 0 with FUA on
each write, LUN 1 with a write cache and an fsync every few writes, LUN 2 with a
write cache and none.  Since a kill is not a power cut, all three must verify.
After the last round: `varve rescue check` is clean.

Does not cover power loss: the simulator (tests/sim) does.
"""
# timeout: 900
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from varved import BUILD, Varved

ROUNDS = int(os.environ.get("KILL_ROUNDS", "50"))  # make soak: 500
SIZE = 96  # MiB of each LUN
# QEMU's initiator name is fixed by its -iscsi option or made from its own name
HOST_IQN = "iqn.2008-11.org.linux-kvm:kill9"
LUNS = {"fua": "writethrough", "fsync": "writeback", "cached": "writeback"}


def bridge(directory, name, url, cache):
    sock = directory / f"{name}.nbd"
    process = subprocess.Popen(
        ["qemu-nbd", "--persistent", "--shared=4", f"--cache={cache}",
         "--discard=unmap", "-k", str(sock), "--image-opts",
         "driver=iscsi,transport=tcp,portal={portal},target={iqn},lun={lun},"
         "initiator-name={host}".format(host=HOST_IQN, **url)],
        stdout=subprocess.DEVNULL, stderr=open(directory / f"{name}.err", "w"))
    for _ in range(200):
        if process.poll() is not None:
            break
        if sock.exists():
            return process, sock
        time.sleep(0.05)
    raise RuntimeError(f"qemu-nbd for {name}: " + (directory / f"{name}.err").read_text())


def fio(directory, name, sock):
    sync = ["--fsync=16"] if name == "fsync" else []
    return subprocess.Popen(
        ["fio", f"--name={name}", "--ioengine=nbd", f"--uri=nbd+unix:///?socket={sock}",
         "--rw=randwrite", "--bsrange=4k-64k", "--iodepth=8", f"--size={SIZE}M",
         "--verify=crc32c", "--do_verify=1", "--verify_fatal=1", "--verify_backlog=64",
         "--time_based=1", "--runtime=3600", "--randrepeat=0", "--group_reporting",
         *sync],
        cwd=directory, stdout=open(directory / f"{name}.fio", "w"),
        stderr=subprocess.STDOUT)


def parts(url):
    portal, iqn, lun = url.removeprefix("iscsi://").split("/")
    return {"portal": portal, "iqn": iqn, "lun": lun}


def sessions_come(varved, count):
    for _ in range(600):
        if len(varved.varve("session", "list")["items"]) >= count:
            return True
        time.sleep(0.05)
    return False


def main():
    with tempfile.TemporaryDirectory() as text:
        directory = pathlib.Path(text)
        with Varved(directory / "varved") as varved:
            return rounds(directory, varved)


def rounds(directory, varved):
    varved.varve("pool", "create", "kill", directory / "pool.img", "--size", "1G")
    varved.varve("host", "add", "qemu", "--iqn", HOST_IQN, "--no-chap")
    bridges, jobs, slowest, failed = [], {}, 0.0, []
    # the portal stays where it is over the restarts
    varved.first_portal = None
    try:
        for name, cache in LUNS.items():
            url = parts(varved.lun(f"kill/{name}", f"{SIZE}M", "qemu"))
            process, sock = bridge(directory, name, url, cache)
            bridges.append(process)
            jobs[name] = fio(directory, name, sock)
        for number in range(1, ROUNDS + 1):
            if not sessions_come(varved, len(LUNS)):
                failed.append(f"round {number}: the initiators did not log in again")
                break
            time.sleep(0.05 * (number % 9))
            varved.kill()
            slowest = max(slowest, varved.start())
            dead = [n for n, j in jobs.items() if j.poll() is not None]
            if dead:
                failed.append(f"round {number}: fio ended on {', '.join(dead)}")
                break
        sessions_come(varved, len(LUNS))
        time.sleep(1)  # some verified I/O at the end
        for name, job in jobs.items():
            if job.poll() is None:
                job.send_signal(signal.SIGINT)
            if job.wait(60) not in (0, 128):
                text = (directory / f"{name}.fio").read_text()[:2000]
                failed.append(f"fio on {name} ended with {job.returncode}:\n{text}")
            elif "err= 0" not in (directory / f"{name}.fio").read_text():
                failed.append(f"fio on {name}: "
                              + (directory / f"{name}.fio").read_text()[-2000:])
    finally:
        for process in [*jobs.values(), *bridges]:
            if process.poll() is None:
                process.kill()
            process.wait()
    varved.kill()
    check = subprocess.run([str(BUILD / "varve"), "rescue", "check",
                            str(directory / "pool.img")], capture_output=True, text=True)
    if check.returncode != 0:
        failed.append(f"rescue check: exit {check.returncode}\n{check.stdout}{check.stderr}")
    print(f"{ROUNDS} kills, slowest restart to serving {slowest:.2f} s")
    if slowest > 10:
        failed.append("a restart took over 10 s")
    print("\n".join(failed))
    print(f"{3 - min(3, len(failed))} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
