# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that is frozen for a snapshot: Debian's kernel with ext4 on a volume of varve,
a program that writes to it without end, and QEMU's guest agent; frozen by the hook of
packaging/quiesce.d through policy/quiesce.c, as a policy's worker does it.  What dies in
the midst of that is covered at every step by tests/unit/policy.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

from claims import claim, claim_equal
from guest import Guests, boot_image, wait_for
from libvirtd import BUILD, Libvirtd
from volumes import Bench

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
DRIVER = BUILD / "tests/quiesce/run"
SCRIPT = """
modprobe -a virtio_pci virtio_blk virtio_console ext4
until [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 /dev/vda /mnt && echo "guest: mounted"
mkdir -p /var/run
for port in /sys/class/virtio-ports/*; do
    [ "$(cat $port/name)" != org.qemu.guest_agent.0 ] || agent=/dev/${port##*/}
done
qemu-ga -m virtio-serial -p "$agent" -t /run &
i=0
while :; do
    i=$((i + 1))
    echo "$i and so on, and on, and on" >>/mnt/file$((i % 40))
    mv /mnt/file$((i % 40)) /mnt/moved 2>/dev/null
    mv /mnt/moved /mnt/file$((i % 40))
    sync
    echo "guest: wrote $i."
done
"""


def prepare():
    subprocess.run([TOP / "tests/guest/build.sh", "agent"], check=True)


class Frozen(Guests):
    """Guests with an agent, and who freezes them."""

    def __init__(self, bench):
        super().__init__(bench)
        self.records = bench.directory / "records"
        self.hook = bench.directory / "quiesce.d/libvirt"
        self.hook.parent.mkdir()
        shutil.copy(TOP / "packaging/quiesce.d/libvirt", self.hook)
        self.hook.chmod(0o755)
        self.settings(f"uri = {self.uri}\n")

    def settings(self, text):
        pathlib.Path(str(self.hook) + ".conf").write_text(text)

    def initrd(self):
        """That of all such guests, and the script behind it."""
        own = self.bench.directory / "own"
        own.mkdir()
        (own / "script").write_text(SCRIPT)
        archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=own,
                                 input=b"script\n", stdout=subprocess.PIPE, check=True)
        path = self.bench.directory / "initrd"
        path.write_bytes((BUILD / "guest/agent.cpio").read_bytes() + archive.stdout)
        return path

    def define_linux(self, name, volume):
        path = self.bench.directory / f"{name}.xml"
        path.write_text(f"""<domain type='qemu'>
  <name>{name}</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{BUILD / 'guest/vmlinux'}</kernel><initrd>{self.initrd()}</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on</cmdline></os>
  <cpu mode='maximum'/>
  <devices>
    <emulator>{self.daemon.programs()}/qemu-system-x86_64</emulator>
    {self.disk(volume, 'vda', 'virtio')}
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'><source path='{self.serial(name)}'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
  </devices>
</domain>""")
        self.virsh("define", path)

    def wrote(self, name):
        """How often the guest says that it has."""
        found = re.findall(r"guest: wrote (\d+)\.", self.serial(name).read_text(
            errors="replace"))
        return int(found[-1]) if found else 0

    def goes_on(self, name):
        before = self.wrote(name)
        return wait_for(lambda: self.wrote(name) > before + 3, 120)

    def status(self, name):
        """Of the file systems, as the agent says it; "": it says nothing."""
        said = self.daemon.virsh("qemu-agent-command", name,
                                 '{"execute": "guest-fsfreeze-status"}', uri=self.uri)
        return json.loads(said)["return"]

    def about(self, *names):
        varve = self.bench.varved.varve
        return {"policy": "nightly", "snapshot": "tue", "luns": [
            dict(varve("lun", "show", name)["item"], exports=[
                e for e in varve("export", "list")["items"] if e["name"] == name])
            for name in names]}

    def freeze(self, *names, budget=60000):
        """A worker, and what it says first."""
        worker = subprocess.Popen(
            [DRIVER, "freeze", self.hook, self.records, str(budget)],
            env=self.daemon.environment, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        worker.stdin.write(json.dumps(self.about(*names)) + "\n")
        worker.stdin.flush()
        return worker, json.loads(worker.stdout.readline())

    def thaw(self, worker):
        worker.stdin.write("thaw\n")
        worker.stdin.flush()
        said = json.loads(worker.stdout.readline())
        worker.wait()
        return said

    def image(self, snap):
        path = self.bench.directory / "image"
        self.bench.varved.varve("snap", "read", snap, "--to", path, "--overwrite")
        return path


def needs_recovery(image):
    said = subprocess.run(["dumpe2fs", "-h", image], capture_output=True, text=True,
                          check=True).stdout
    return "needs_recovery" in said


def is_clean(image):
    """Read alone: nothing is replayed first."""
    return subprocess.run(["e2fsck", "-fn", image], capture_output=True).returncode == 0


def starts(guests):
    bench = guests.bench
    bench.virsh("vol-create-as", "vms", "web01", "64M")
    image = bench.directory / "ext4"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", image, "64M"], check=True)
    bench.virsh("vol-upload", "web01", image, "--pool", "vms")
    guests.define_linux("web01", "web01:0:0:0")
    guests.virsh("start", "web01")
    claim("a guest writes to ext4 on a volume",
          "guest: wrote 3." in guests.said("web01", "guest: wrote 3.", 180))

    def answers():
        try:
            return guests.status("web01") == "thawed"
        except Exception:  # not yet
            return False
    claim("and its agent answers", wait_for(answers, 60))


def snapshots(guests):
    varve = guests.bench.varved.varve
    varve("snap", "create", "vms/web01@crash")
    worker, said = guests.freeze("vms/web01")
    claim_equal("it is frozen", said, {"frozen": True})
    claim_equal("as its agent says", guests.status("web01"), "frozen")
    varve("snap", "create", "vms/web01@fs")
    said = guests.thaw(worker)
    claim("and thawed", said.get("held") and said["consistency"] == "fs", said)
    claim("it writes again", guests.goes_on("web01"))
    varve("snap", "set", "vms/web01@fs", "--consistency", said.get("consistency", "crash"))
    image = guests.image("vms/web01@crash")
    claim("a snapshot without a freeze has a journal to be replayed", needs_recovery(image))
    image = guests.image("vms/web01@fs")
    claim("one of a frozen guest has none", not needs_recovery(image))
    claim("and is a clean file system as it is", is_clean(image))
    claim_equal("which it says", [s["consistency"] for s in varve(
        "snap", "list", "vms/web01")["items"]], ["crash", "fs"])


def everybody_dies(guests):
    """The worker, its keeper and the keeper's deputy."""
    worker, said = guests.freeze("vms/web01")
    claim_equal("frozen again", said, {"frozen": True})
    keeper = children(worker.pid)
    pids = [worker.pid, *keeper, *(p for k in keeper for p in children(k))]
    claim_equal("by three processes", len(pids), 3)
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    worker.wait()
    wait_for(lambda: not any(lives(pid) for pid in pids))
    claim_equal("it stays frozen when all of them are killed",
                guests.status("web01"), "frozen")
    done = subprocess.run([DRIVER, "thaw", guests.records], text=True,
                          env=guests.daemon.environment, capture_output=True)
    claim("and is thawed when varved starts", done.returncode == 0, done.stdout)
    claim("it writes again", guests.goes_on("web01"))
    claim_equal("no record is left", list(guests.records.iterdir()), [])


def worker_dies(guests):
    worker, said = guests.freeze("vms/web01")
    claim_equal("frozen once more", said, {"frozen": True})
    worker.kill()
    worker.wait()
    claim("it is thawed when its worker is killed", guests.goes_on("web01"))
    worker, said = guests.freeze("vms/web01", budget=8000)
    claim("and when the budget is over", said == {"frozen": True}
          and guests.goes_on("web01"), said)
    said = guests.thaw(worker)
    claim("which the worker is told", said.get("held") is False
          and said["consistency"] == "crash", said)


def libvirtd_dies(guests):
    """It is thawed as soon as there is one again."""
    worker, said = guests.freeze("vms/web01")
    claim_equal("frozen", said, {"frozen": True})
    guests.daemon.process.kill()
    guests.daemon.process.wait()
    worker.stdin.write("thaw\n")
    worker.stdin.flush()
    time.sleep(0.5)  # some tries in vain, or none: it is the same
    guests.daemon.start()
    worker.stdout.readline()
    worker.wait()
    claim("libvirtd killed in the midst is outlived", guests.goes_on("web01"))


def refusals(guests):
    bench = guests.bench
    bench.virsh("vol-create-as", "vms", "old01", "8M")
    bench.upload("old01", boot_image(bench.directory, "old"))
    guests.define("old01", "old01:0:0:1")
    guests.boots("old01", "old", "a guest without an agent runs")
    _, said = guests.freeze("vms/web01", "vms/old01")
    problem = said.get("problem", {"code": "", "why": ""})
    claim("it cannot be frozen, and is named", problem["code"] == "quiesce.not-frozen"
          and "old01: it cannot be frozen" in problem["why"], said)
    claim("the other one writes", guests.goes_on("web01"))
    guests.virsh("destroy", "old01")
    _, said = guests.freeze("vms/old01")
    claim("nor is one that was turned off taken for clean",
          "not known to have been shut down" in said.get("problem", {}).get("why", ""), said)


def put_hook(guests, directory):
    """varved's workers find libvirtd by its socket."""
    shutil.copytree(guests.hook.parent, directory / "quiesce.d")
    socket = guests.daemon.environment["XDG_RUNTIME_DIR"] + "/libvirt/libvirt-sock"
    (directory / "quiesce.d/libvirt.conf").write_text(
        f"uri = qemu+unix:///session?socket={socket}\n")


def policy(guests, varved):
    put_hook(guests, varved.directory)
    varved.varve("policy", "create", "nightly", "vms/web01", "--at", "yearly 12-31 23:00",
                 "--keep", "last=9", "--quiesce", "libvirt", "--freeze-budget", "60s")
    varved.varve("policy", "run", "nightly")
    claim("a policy's run thaws it", guests.goes_on("web01"))
    snap = varved.varve("snap", "list", "vms/web01")["items"][-1]
    claim("its snapshot says that it was frozen", snap["consistency"] == "fs"
          and "nightly-" in snap["name"], snap)
    image = guests.image(snap["name"])
    claim("and it is clean", not needs_recovery(image) and is_clean(image))


def policy_dies(guests, varved):
    """All that a run is made of, as soon as it has begun to freeze."""
    with subprocess.Popen([BUILD / "varve", "--connect",
                           f"unix:{varved.directory}/varve.sock", "policy", "run",
                           "nightly"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as run:
        pids = []

        def found():
            pids[:] = family(varved.pid)
            return len(pids) == 3
        claim("a run freezes with three processes", wait_for(found))
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in reversed(pids):
                os.kill(pid, number)
        run.wait()
    claim("varved thaws what a killed run has left", guests.goes_on("web01"))
    records = varved.directory / "quiesce"
    claim("and no record is left", wait_for(
        lambda: not [p for p in records.iterdir() if p.suffix == ".json"]))


def family(pid):
    """A worker of varved's, its keeper and the keeper's deputy, when there are."""
    pids = []
    for name in ("varve-policy", "varve-keeper", "varve-deputy"):
        found = [child for child in children(pid) if name_of(child) == name]
        if not found:
            return []
        pids.append(pid := found[0])
    return pids


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def children(pid):
    return [int(p.name) for p in pathlib.Path("/proc").iterdir()
            if p.name.isdigit() and parent(int(p.name)) == pid]


def stat(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ["X", "0"]
    return text.rsplit(")", 1)[1].split()


def parent(pid):
    return int(stat(pid)[1])


def lives(pid):
    return stat(pid)[0] not in "ZX"


def quiesce(directory, varved):
    directory.chmod(0o755)
    with Libvirtd(directory / "l") as daemon:
        bench = Bench(directory, varved, daemon)
        bench.virsh("pool-start", "vms")
        guests = Frozen(bench)
        try:
            starts(guests)
            snapshots(guests)
            everybody_dies(guests)
            worker_dies(guests)
            refusals(guests)
            policy(guests, varved)
            policy_dies(guests, varved)
            libvirtd_dies(guests)
        finally:
            for name in guests.virsh("list", "--name").split():
                guests.virsh("destroy", name)
