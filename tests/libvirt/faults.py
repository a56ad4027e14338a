# SPDX-License-Identifier: LGPL-2.1-or-later
"""varved is stopped, hangs, or is killed and started again in each step that libvirt
takes: libvirtd answers for other pools, the pool stays active, what was there is as it
was, and each step is done or not done.
"""
import os
import random
import signal
import subprocess
import time

from claims import claim, claim_equal
from libvirtd import Libvirtd
from volumes import MIB, Bench, write_bytes

SEED = int(os.environ.get("SEED", "0")) or random.randrange(1, 1 << 31)
# what others wait for at most, while a pool's varved hangs
RESPONSIVE_S = 5
# no step takes longer, whatever is the matter
STEP_S = 60

STEPS = {
    "info": ("vol-info", "golden"),
    "refresh": ("pool-refresh", "vms"),
    "create": ("vol-create-as", "vms", "new", "8M"),
    "clone": ("vol-clone", "golden", "new", "--pool", "vms"),
    "resize": ("vol-resize", "spare", "16M"),
    "delete": ("vol-delete", "spare"),
    "wipe": ("vol-wipe", "spare", "--algorithm", "trim"),
    "upload": ("vol-upload", "spare", "UP", "--pool", "vms"),
    "download": ("vol-download", "golden", "DOWN", "--pool", "vms"),
    "list": ("vol-list", "vms", "--details"),
}
# those that say what was, when varved says nothing
NEWS_ONLY = ("info", "refresh", "list")


class Faults:
    def __init__(self, bench):
        self.bench, self.varved, self.daemon = bench, bench.varved, bench.libvirtd
        self.image = os.urandom(4 * MIB)
        self.varved.first_portal = None  # it stays where it is
        bench.virsh("pool-start", "vms")
        bench.virsh("vol-create-as", "vms", "golden", "8M")
        bench.upload("golden", self.image)
        bench.virsh("pool-create-as", "other", "dir", "--target", bench.directory)
        write_bytes(bench, os.urandom(6 * MIB))

    def fresh(self):
        """Of the volumes only golden and an empty one, spare, stay."""
        self.bench.virsh("pool-refresh", "vms")
        for name in ("spare", "new"):
            if any(n.startswith(name + ":") for n in self.bench.names()):
                self.bench.virsh("vol-delete", name, "--delete-snapshots")
        for lun in self.bench.luns():  # made, and not exported
            if lun != "vms/golden":
                self.varved.varve("lun", "delete", lun, "--now")
        self.bench.virsh("vol-create-as", "vms", "spare", "8M")

    def command(self, step):
        files = {"UP": self.bench.directory / "bytes", "DOWN": self.bench.directory / "d"}
        return self.daemon.command(*(files.get(a, a) for a in STEPS[step]))

    def begin(self, step):
        return subprocess.Popen(self.command(step), env=self.daemon.environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def others(self):
        """How long others wait for libvirtd, at most."""
        longest = 0.0
        for arguments in (["pool-info", "other"], ["vol-list", "other"],
                          ["pool-list", "--all"]):
            begun = time.monotonic()
            self.daemon.virsh(*arguments)
            longest = max(longest, time.monotonic() - begun)
        return longest

    def whole(self, text):
        """All is as it was, or as it was to be."""
        bench = self.bench
        bench.virsh("pool-refresh", "vms")
        claim_equal(f"{text}: the pool is active", bench.pool_info()["State"], "running")
        exports = {f"{e['name'][4:]}:0:0:{e['lun']}" for e in self.varved.varve(
            "export", "list", "--host", "kvm1")["items"]}
        claim_equal(f"{text}: libvirt and varved have the same", set(bench.names()),
                    exports)
        claim(f"{text}: golden is as it was", bench.download(
            "golden", "--length", str(len(self.image))) == self.image)


def step_without(faults, step, state, signal_number):
    """A step while varved is in a state."""
    text = f"{step}, varved {state}"
    faults.fresh()
    if signal_number == signal.SIGTERM:
        faults.varved.stop()
    else:
        faults.varved.process.send_signal(signal_number)
    process = faults.begin(step)
    waited = faults.others()
    try:
        said, _ = process.communicate(timeout=STEP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
        claim(f"{text}: it ends", False)
    claim(f"{text}: libvirtd answers others", waited < RESPONSIVE_S, f"{waited:.2f} s")
    if step in NEWS_ONLY:
        claim(f"{text}: it says what was", process.returncode == 0, said)
    else:
        claim(f"{text}: it fails, and says why", process.returncode != 0
              and "error:" in said, said)
    if signal_number == signal.SIGTERM:
        faults.varved.start()
    else:
        faults.varved.process.send_signal(signal.SIGCONT)
    faults.whole(text)


def step_with_kill(faults, step, random_seconds):
    """varved is killed at some moment of a step, and started at once."""
    text = f"{step}, varved killed"
    faults.fresh()
    process = faults.begin(step)
    time.sleep(random_seconds)
    faults.varved.kill()
    faults.varved.start()
    try:
        process.communicate(timeout=STEP_S)
        claim(f"{text}: it ends", True)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        claim(f"{text}: it ends", False)
    faults.whole(text)


def restart_without(faults):
    """libvirtd is restarted while varved is away, and while it hangs."""
    faults.fresh()
    faults.varved.stop()
    claim("libvirtd starts without varved", faults.daemon.restart() < 10)
    claim_equal("with the pool active", faults.bench.pool_info()["State"], "running")
    faults.varved.start()
    faults.whole("after a start without varved")
    faults.varved.process.send_signal(signal.SIGSTOP)
    seconds = faults.daemon.restart()
    claim("libvirtd starts while varved hangs", seconds < 15, f"{seconds:.1f} s")
    claim_equal("the pool is active then, too", faults.bench.pool_info()["State"],
                "running")
    faults.varved.process.send_signal(signal.SIGCONT)
    faults.whole("after a start while varved hung")
    faults.bench.virsh("pool-destroy", "vms")
    faults.varved.stop()
    said = faults.daemon.refused("pool-start", "vms")
    # who forwards its socket takes the connection, and ends it
    reason = "closed the connection" if faults.bench.forward else "varved is not running"
    claim("a pool does not start without varved, and says why", reason in said, said)
    faults.varved.start()
    faults.bench.virsh("pool-start", "vms")
    faults.whole("after a start that failed")


def slow_transfer(faults):
    """Who sends and takes slowly does not lose the session, which varved drops when it
    is silent for two seconds."""
    varved, bench = faults.varved, faults.bench
    faults.fresh()
    varved.stop()
    (varved.directory / "varve.conf").write_text(
        "[iscsi]\nnop_seconds = 1\nnop_timeout_seconds = 1\n")
    varved.start()
    data = os.urandom(2 * MIB)
    pipe = bench.directory / "pipe"
    os.mkfifo(pipe)
    upload = subprocess.Popen(
        faults.daemon.command("vol-upload", "spare", pipe, "--pool", "vms"),
        env=faults.daemon.environment, stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True)
    with open(pipe, "wb", buffering=0) as file:
        file.write(data[:1000])
        time.sleep(4)
        file.write(data[1000:])
    _, said = upload.communicate(timeout=STEP_S)
    claim("a slow upload", upload.returncode == 0, said)
    download = subprocess.Popen(
        faults.daemon.command("vol-download", "spare", pipe, "--pool", "vms"),
        env=faults.daemon.environment, stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True)
    with open(pipe, "rb", buffering=0) as file:
        got = file.read(1000)
        time.sleep(4)
        while piece := file.read(MIB):
            got += piece
    _, said = download.communicate(timeout=STEP_S)
    claim("and a slow download", download.returncode == 0, said)
    claim("have all data", got[:len(data)] == data and len(got) == 8 * MIB)
    sessions = [s["session"] for s in varved.varve("session", "list")["items"]]
    claim_equal("and leave no session", sessions, [])


def cut_transfer(faults):
    """varved is killed in the middle of a transfer: an error, no short success."""
    bench = faults.bench
    faults.fresh()
    for verb, mode, reason in (("vol-upload", "wb", "cannot write"),
                               ("vol-download", "rb", "cannot read")):
        pipe = bench.directory / verb
        os.mkfifo(pipe)
        process = subprocess.Popen(
            faults.daemon.command(verb, "spare", pipe, "--pool", "vms"),
            env=faults.daemon.environment, stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        with open(pipe, mode, buffering=0) as file:
            try:
                file.write(bytes(MIB)) if mode == "wb" else file.read(1000)
                faults.varved.kill()
                file.write(bytes(4 * MIB)) if mode == "wb" else file.read()
            except BrokenPipeError:
                pass
        _, said = process.communicate(timeout=STEP_S)
        claim(f"{verb}, cut: it fails, and says why",
              process.returncode != 0 and reason in said, said)
        faults.varved.start()
        faults.whole(f"{verb}, cut")


def faults(directory, varved):
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    with Libvirtd(directory / "l") as daemon:
        story = Faults(Bench(directory, varved, daemon, chap=True))
        for step in STEPS:
            step_without(story, step, "stopped", signal.SIGTERM)
            step_without(story, step, "hung", signal.SIGSTOP)
            step_with_kill(story, step, chance.random() * 0.15)
        restart_without(story)
        cut_transfer(story)
        slow_transfer(story)
        claim("libvirtd was there all the time", daemon.process.poll() is None)
        claim_equal("no sanitizer has complained", daemon.sanitizer_reports(), "")
