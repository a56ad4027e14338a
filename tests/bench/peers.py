# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the benches measure, and with what: targets with fully written LUNs, fio
with its libiscsi engine, CPU time and pinning."""
import functools
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from varved import TOP, Varved

TICK = os.sysconf("SC_CLK_TCK")
FIO_IQN = "iqn.2019-04.org.fio:fio"


def run(*command, **keywords):
    done = subprocess.run([str(c) for c in command], text=True, capture_output=True,
                          **keywords)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(done.args)}: exit {done.returncode}: "
                           f"{done.stderr[-2000:]}")
    return done.stdout


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def pin(pid, cpus):
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cpus)


class Peer:
    name = ""
    pid = None

    def stop(self):
        pass


class Raw(Peer):
    name = "raw"

    def __init__(self, directory, size):
        self.path = directory / "raw.img"
        fill_file(self.path, size)

    def fio(self):
        return ["--ioengine=io_uring", "--direct=1", f"--filename={self.path}"]


class Tgt(Peer):
    name = "tgt"

    def __init__(self, directory, size):
        path, self.port = directory / "tgt.img", free_port()
        fill_file(path, size)
        control = free_port()
        self.environment = dict(os.environ, TGT_IPC_SOCKET=str(directory / "tgt.sock"))
        self.process = subprocess.Popen(
            ["tgtd", "-f", "-C", str(control % 32768), "--iscsi",
             f"portal=127.0.0.1:{self.port}"], env=self.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid, self.control = self.process.pid, str(control % 32768)
        time.sleep(1)
        iqn = "iqn.2026-01.local.tgt:bench"
        self.admin("--mode", "target", "--op", "new", "--tid", "1", "-T", iqn)
        self.admin("--mode", "logicalunit", "--op", "new", "--tid", "1", "--lun", "1",
                   "-b", path, "--bstype", "aio")  # always O_DIRECT
        self.admin("--mode", "target", "--op", "bind", "--tid", "1", "-I", "ALL")
        self.url = f"iscsi://127.0.0.1:{self.port}/{iqn}/1"

    def admin(self, *arguments):
        run("tgtadm", "-C", self.control, "--lld", "iscsi", *arguments,
            env=self.environment)

    def fio(self):
        return ["--ioengine=libiscsi", "--filename=" + self.url.replace(":", "\\:")]

    def stop(self):
        self.process.kill()  # it does not end on SIGTERM while a target exists
        self.process.wait()


class Varve(Peer):
    name = "varve"

    def __init__(self, directory, size, spare_gib=0):
        self.varved = Varved(directory / "varved")
        self.pid = self.varved.pid
        gib = size >> 30
        self.varved.varve("pool", "create", "bench", directory / "pool.img",
                          "--size", f"{2 * gib + 2 + spare_gib}G")
        self.varved.varve("host", "add", "fio", "--iqn", FIO_IQN, "--no-chap")
        self.url = self.varved.lun("bench/full", f"{gib}G", "fio")
        self.hole_url = self.varved.lun("bench/hole", f"{gib}G", "fio")
        fill_url(self.url)

    def fio(self, url=None):
        return ["--ioengine=libiscsi",
                "--filename=" + (url or self.url).replace(":", "\\:")]

    def stop(self):
        self.varved.stop()


@functools.cache
def fio():
    return run(TOP / "tests/bench/fio.sh").strip()


def fio_run(arguments, cpus):
    command = ["taskset", "-c", cpus] if cpus else []
    out = run(*command, fio(), "--name=job", "--output-format=json",
              "--randrepeat=0", "--norandommap=1", "--thread=1", *arguments)
    return json.loads(out[out.index("{"):])["jobs"][0]


def fill_file(path, size):
    run("fallocate", "-l", size, path)
    fio_run(["--ioengine=io_uring", "--direct=1", f"--filename={path}", "--rw=write",
             "--bs=1m", "--iodepth=8", f"--size={size}", "--refill_buffers=1"], None)


def fill_url(url):
    fio_run(["--ioengine=libiscsi", "--filename=" + url.replace(":", "\\:"),
             "--rw=write", "--bs=1m", "--iodepth=8", "--refill_buffers=1"], None)


def load():
    return pathlib.Path("/proc/loadavg").read_text().split()[0]
