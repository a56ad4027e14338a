# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that libvirt starts, in QEMU by TCG, from volumes of varve: they boot from
them and write to them.  The guest is a boot sector (boot.S): that an operating system
runs on such a disk is covered by the guests of tests/guest.
"""
import pathlib
import subprocess
import time

from claims import claim, claim_equal
from libvirtd import Libvirtd, VirshFailed, pool_xml
from volumes import INITIATOR, MIB, Bench

HERE = pathlib.Path(__file__).resolve().parent


def boot_image(directory, label):
    """The bytes of a disk that boots and says label."""
    built = directory / "boot"
    subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-Wl,-Ttext=0x7c00,-e,_start",
                    "-Wl,--build-id=none,--oformat=binary,-m,elf_i386",
                    "-o", built, HERE / "boot.S"], check=True)
    sector = built.read_bytes()
    assert len(sector) == 512 and sector[510:] == b"\x55\xaa"
    return sector + bytes(512) + label.encode().ljust(512, b"\0")


class Guests:
    def __init__(self, bench):
        self.bench, self.daemon = bench, bench.libvirtd
        self.uri = self.daemon.uri("qemu")

    def virsh(self, *arguments, **options):
        return self.daemon.virsh(*arguments, uri=self.uri, **options)

    def serial(self, name):
        return self.bench.directory / f"{name}.serial"

    def disk(self, volume, target, bus):
        return (f"<disk type='volume' device='disk'>"
                f"<driver name='qemu' type='raw' discard='unmap'/>"
                f"<source pool='vms' volume='{volume}'/>"
                f"<target dev='{target}' bus='{bus}'/></disk>")

    def define(self, name, volume):
        path = self.bench.directory / f"{name}.xml"
        path.write_text(f"""<domain type='qemu'>
  <name>{name}</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os>
  <devices>
    <emulator>{self.daemon.programs()}/qemu-system-x86_64</emulator>
    {self.disk(volume, 'vda', 'virtio')}
    <controller type='scsi' model='virtio-scsi'/>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'><source path='{self.serial(name)}'/></serial>
  </devices>
</domain>""")
        self.virsh("define", path)

    def said(self, name, what, seconds=60):
        """Waits until the guest has said it; what it said."""
        end = time.monotonic() + seconds
        text = ""
        while what not in text and time.monotonic() < end:
            time.sleep(0.05)
            if self.serial(name).exists():
                text = self.serial(name).read_text(errors="replace")
        return text

    def boots(self, name, label, text):
        self.virsh("start", name)
        said = self.said(name, "written")
        claim(text, f"{label} written" in said, said[-200:])

    def sessions(self):
        items = self.bench.varved.varve("session", "list")["items"]
        return len([s for s in items if s["target"]])

    def block(self, name, target):
        lines = self.virsh("domblkinfo", name, target).splitlines()
        return dict(line.replace(" ", "").split(":") for line in lines if line.strip())


def wait_for(truth, seconds=30):
    end = time.monotonic() + seconds
    while not truth() and time.monotonic() < end:
        time.sleep(0.05)
    return truth()


def boot(guests):
    bench = guests.bench
    bench.virsh("vol-create-as", "vms", "web01", "20M")
    bench.upload("web01", boot_image(bench.directory, "golden"))
    guests.define("web01", "web01:0:0:0")
    guests.boots("web01", "golden", "a guest boots from a volume")
    claim("and writes to it", bench.download(
        "web01", "--offset", "512", "--length", "6") == b"golden")
    claim_equal("by a session of its own", guests.sessions(), 1)


def in_use(guests):
    bench = guests.bench
    bench.refused("a volume that a guest has is not deleted", "in use", "vol-delete",
                  "web01")
    claim("it is there still", "kvm1" in bench.lun("web01")["hosts"])
    bench.refused("nor shrunk", "in use", "vol-resize", "web01", "8M", "--shrink")
    bench.virsh("vol-create-as", "vms", "idle", "8M")
    bench.virsh("vol-delete", "idle")
    claim("one that no guest has is deleted meanwhile", "vms/idle" not in bench.luns())


def hotplug(guests):
    bench = guests.bench
    bench.virsh("vol-create-as", "vms", "data01", "8M")
    path = bench.directory / "hotplug.xml"
    path.write_text(guests.disk("data01:0:0:1", "sda", "scsi"))
    guests.virsh("attach-device", "web01", path)
    claim_equal("a disk is plugged in", guests.block("web01", "sda")["Capacity"],
                str(8 * MIB))
    claim_equal("by another session of the same host", guests.sessions(), 2)
    bench.refused("and is not deleted then", "in use", "vol-delete", "data01")
    guests.virsh("detach-device", "web01", path)
    claim("it is unplugged", wait_for(lambda: "sda" not in guests.virsh(
        "domblklist", "web01") and guests.sessions() == 1))


def grow(guests):
    bench = guests.bench
    bench.virsh("vol-resize", "web01", "32M")
    guests.virsh("blockresize", "web01", "vda", "32M")
    claim_equal("a disk grows under its guest", guests.block("web01", "vda")["Capacity"],
                str(32 * MIB))


def clone(guests):
    bench = guests.bench
    bench.virsh("vol-clone", "web01", "web02", "--pool", "vms")
    name = bench.xml("web02").findtext("name")
    bench.upload("web02", b"cloned\0", "--offset", "1024")
    guests.define("web02", name)
    guests.boots("web02", "cloned", "a clone of a running guest's disk boots")
    claim("and changes nothing of the guest's", bench.download(
        "web01", "--offset", "512", "--length", "6") == b"golden")
    bench.varved.varve("snap", "create", "vms/web01@now")
    bench.varved.varve("lun", "clone", "vms/web01@now", "vms/web03")
    bench.varved.varve("export", "add", "vms/web03", "--host", "kvm1", "--lun", "30")
    bench.virsh("pool-refresh", "vms")
    guests.define("web03", "web03:0:0:30")
    guests.boots("web03", "golden", "so does one of a snapshot that varve made")


def install(guests, name, disk):
    made = subprocess.run(
        ["virt-install", "--connect", guests.uri, "--name", name, "--memory", "32",
         "--disk", disk + ",bus=virtio", "--import", "--osinfo",
         "detect=off,require=off", "--graphics", "none", "--network", "none",
         "--noautoconsole", "--virt-type", "qemu", "--machine", "pc",
         "--serial", f"file,path={guests.serial(name)}"],
        env=guests.daemon.environment, capture_output=True, text=True, check=False)
    claim(f"virt-install --disk {disk.split('=')[0]}=", made.returncode == 0,
          made.stderr[-500:])
    claim("and its guest boots", "cloned written" in guests.said(name, "written"))


def virt_install(guests):
    """By vol= virt-install 4.1 forgets the initiator's name, so that QEMU takes one that
    varved does not know, and calls the secret of CHAP 'chap', which libvirt refuses."""
    bench = guests.bench
    name = bench.xml("web02").findtext("name")
    guests.virsh("destroy", "web02")
    guests.virsh("undefine", "web02")
    install(guests, "installed", f"source.pool=vms,source.volume={name},type=volume")
    guests.virsh("destroy", "installed")
    guests.virsh("undefine", "installed")
    install(guests, "vol", f"vol=vms/{name},"
            f"xpath1.set=./source/initiator/iqn/@name={INITIATOR},"
            "xpath2.set=./auth/secret/@type=iscsi")


def other_pool(guests):
    bench, varved = guests.bench, guests.bench.varved
    varved.varve("host", "add", "open", "--iqn", INITIATOR + ":open", "--no-chap")
    varved.varve("export", "add", "vms/web02", "--host", "open")
    bench.libvirtd.define("pool", pool_xml(
        "open", varved.portal(), bench.iqn, INITIATOR + ":open"))
    bench.virsh("pool-start", "open")
    claim_equal("a key that is another pool's has its pool's name before it",
                bench.virsh("vol-key", bench.xml("web02").findtext("name"), "--pool",
                            "open").strip(), "open/web02")
    bench.refused("what two hosts have neither deletes", "exported to host",
                  "vol-delete", "open/web02")
    bench.virsh("pool-destroy", "open")
    varved.varve("export", "remove", "vms/web02", "--host", "open")


def by_hand(guests):
    """QEMU without libvirt, by the lines that varve host connect prints."""
    bench = guests.bench
    for name in ("vms/other", "vms/data01"):  # what is not to boot
        bench.varved.varve("export", "remove", name, "--host", "kvm1")
    lines = bench.varved.varve("host", "connect", "kvm1", "--for", "qemu",
                               "--show-secret")["item"]["lines"]
    serial = guests.serial("by-hand")
    script = "\n".join([lines[0], "exec qemu-system-x86_64 -nodefaults -display none "
                        f"-m 32 -serial file:{serial} \\", *lines[1:]])
    with subprocess.Popen(["bash", "-ec", script], cwd=bench.directory,
                          stdin=subprocess.DEVNULL) as qemu:
        said = guests.said("by-hand", "written")
        claim("a guest boots by the lines of host connect",
              "written" in said, said)
        claim_equal("with both disks of the host", guests.sessions(),
                    len(bench.varved.varve("export", "list", "--host", "kvm1")["items"]))
        qemu.kill()
    claim("which end with it", wait_for(lambda: guests.sessions() == 0))


def after(guests):
    bench = guests.bench
    for name in ("web01", "web03", "vol"):
        guests.virsh("destroy", name)
    claim("with its guest its session ends", wait_for(lambda: guests.sessions() == 0))
    bench.virsh("vol-delete", "web01", "--delete-snapshots")
    claim("and the volume can be deleted", "vms/web01" not in bench.luns())
    guests.virsh("start", "vol")
    serial = guests.said("vol", "written")
    claim("a clone needs nothing of what is deleted", "cloned written" in serial)
    try:
        guests.virsh("start", "web01")
        claim("a guest without its volume does not start", False)
    except VirshFailed as failed:
        claim("a guest without its volume does not start", "web01:0:0:0" in failed.text,
              failed.text)
    bench.virsh("vol-create-as", "vms", "other", "8M")
    claim("though its number is another's now", "other:0:0:0" in bench.names())
    try:
        guests.virsh("start", "web01")
        claim("and does not get that", False)
    except VirshFailed as failed:
        claim("and does not get that", "web01:0:0:0" in failed.text, failed.text)
    guests.virsh("destroy", "vol")
    by_hand(guests)


def guest(directory, varved):
    directory.chmod(0o755)
    with Libvirtd(directory / "l") as daemon:
        bench = Bench(directory, varved, daemon, chap=True)
        bench.virsh("pool-start", "vms")
        guests = Guests(bench)
        try:
            boot(guests)
            in_use(guests)
            hotplug(guests)
            grow(guests)
            clone(guests)
            virt_install(guests)
            other_pool(guests)
            after(guests)
        finally:
            for name in guests.virsh("list", "--name").split():
                guests.virsh("destroy", name)
        claim_equal("no sanitizer has complained", daemon.sanitizer_reports(), "")
