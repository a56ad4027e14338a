# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything that virsh can do with a pool and its volumes, each with what must be
there afterwards: what libvirt says of it, and what varved says.  Used by the slice in
tests/integration/libvirt.py, and by tests/libvirt/suite.py for all kinds of libvirtd.
"""
import os
import xml.etree.ElementTree

from claims import claim, claim_equal
from forward import Forward
from libvirtd import Libvirtd, pool_xml

INITIATOR = "iqn.2008-11.org.linux-kvm"
SECRET = "6d1ae8a6-bd3c-4b0a-9a4c-0a5b7f0d1e2f"
MIB = 1 << 20


class Bench:
    """A libvirtd, a varved with a pool vms, and the pool defined in libvirt."""

    def __init__(self, directory, varved, daemon, chap=False):
        self.directory, self.varved, self.libvirtd = directory, varved, daemon
        varved.varve("pool", "create", "vms", directory / "vms.pool", "--size", "1G")
        chap_options = ["--chap-generate"] if chap else ["--no-chap"]
        host = varved.varve("host", "add", "kvm1", "--iqn", INITIATOR,
                            *chap_options)["item"]
        self.iqn = varved.varve("pool", "list")["items"][0]["iqn"]
        socket, self.forward = varved.directory / "varve.sock", None
        if os.environ.get("LIBVIRT_FORWARDED"):
            # 20 ms away, and each fifth connection breaks in an answer
            self.forward = Forward(directory / "f.sock", socket, delay=0.02, breaks=5)
            socket = self.forward.path
        daemon.settings(f"# ours\n{self.iqn} = unix://{socket}\n")
        if chap:
            self.secret(host["secret"])
        self.libvirtd.define("pool", pool_xml(
            "vms", varved.portal(), self.iqn, INITIATOR,
            "kvm1" if chap else None, SECRET))

    def secret(self, value):
        uri = self.libvirtd.uri("secret")
        definition = write(self, f"<secret ephemeral='no' private='yes'><uuid>{SECRET}"
                           "</uuid><usage type='iscsi'><target>varve-kvm1</target>"
                           "</usage></secret>")
        self.libvirtd.virsh("secret-define", definition, uri=uri)
        self.libvirtd.virsh("secret-set-value", SECRET, "--file",
                            write_bytes(self, value.encode()), "--plain", uri=uri)

    def virsh(self, *arguments, **options):
        return self.libvirtd.virsh(*arguments, **options)

    def refused(self, text, needle, *arguments, **options):
        said = self.libvirtd.refused(*arguments, **options)
        claim(text, needle in said, "" if needle in said else said or "it was done")

    def info(self, what, name):
        lines = self.virsh(f"{what}-info", "--bytes", name).splitlines()
        pairs = [line.split(":", 1) for line in lines if ":" in line]
        values = {key.strip(): value.strip() for key, value in pairs}
        return {key: int(value.split()[0]) if value.split()[0].isdigit() else value
                for key, value in values.items()}

    def pool_info(self):
        return self.info("pool", "vms")

    def vol_info(self, name):
        return self.info("vol", name)

    def xml(self, name):
        return xml.etree.ElementTree.fromstring(self.virsh("vol-dumpxml", name))

    def names(self):
        return [line.split()[0] for line in self.virsh("vol-list", "vms").splitlines()
                if line.strip()]

    def lun(self, name):
        return self.varved.varve("lun", "show", f"vms/{name}")["item"]

    def luns(self):
        return sorted(lun["name"] for lun in self.varved.varve("lun", "list")["items"])

    def path(self, number):
        return f"ip-{self.varved.portal()}-iscsi-{self.iqn}/{number}"

    def upload(self, name, data, *options):
        (self.directory / "up").write_bytes(data)
        self.virsh("vol-upload", name, self.directory / "up", "--pool", "vms", *options)

    def download(self, name, *options):
        down = self.directory / "down"
        self.virsh("vol-download", name, down, "--pool", "vms", *options)
        return down.read_bytes()


def pool(bench):
    claim_equal("a pool that is defined is not active",
                bench.pool_info()["State"], "inactive")
    bench.refused("refused: to delete it for all hosts", "pool-undefine",
                  "pool-delete", "vms")
    bench.virsh("pool-build", "vms")
    bench.virsh("pool-start", "vms")
    bench.virsh("pool-autostart", "vms")
    info = bench.pool_info()
    ours = bench.varved.varve("pool", "show", "vms")["item"]
    claim_equal("it starts", info["State"], "running")
    claim_equal("and does by itself", info["Autostart"], "yes")
    claim_equal("its numbers are the pool's own",
                [info[k] for k in ("Capacity", "Allocation", "Available")],
                [ours[k] for k in ("size", "allocated", "free")])
    claim_equal("it is empty, LUN 0 or not", bench.names(), [])


def create(bench):
    bench.virsh("vol-create-as", "vms", "web01", "20M")
    claim_equal("a new volume has its LUN in its name", bench.names(), ["web01:0:0:0"])
    claim_equal("and is a LUN", bench.lun("web01")["size"], 20 * MIB)
    claim_equal("by its short name, too", bench.vol_info("web01"),
                {"Name": "web01:0:0:0", "Type": "network", "Capacity": 20 * MIB,
                 "Allocation": 0})
    definition = bench.xml("web01")
    claim_equal("its key is short", definition.findtext("key"), "web01")
    claim_equal("its path is what QEMU takes", definition.findtext("target/path"),
                bench.path(0))
    claim_equal("it has no parent", definition.find("backingStore"), None)
    details = bench.virsh("vol-list", "vms", "--details").split()
    claim_equal("the list has details", details[:2] + details[3:5],
                ["web01:0:0:0", bench.path(0), "20.00", "MiB"])
    bench.virsh("vol-create-as", "vms", "given:0:0:7", "4097")
    claim("a number that was given is taken", "given:0:0:7" in bench.names())
    claim_equal("a size is rounded up", bench.lun("given")["size"], 8192)
    bench.virsh("vol-create-as", "vms", "all", "8M", "--allocation", "8M")
    claim_equal("what is allocated in full is reserved", bench.lun("all")["reserve"], 8 * MIB)
    claim_equal("what is not is thin", bench.lun("web01")["reserve"], None)


def refusals(bench):
    before = bench.names(), bench.luns()
    for text, needle, *arguments in [
            ("a name that is there", "web01", "vol-create-as", "vms", "web01", "1M"),
            ("a number that is taken", "taken", "vol-create-as", "vms", "x:0:0:7", "1M"),
            ("a name that is none", "no name of a volume", "vol-create-as", "vms",
             "a b", "1M"),
            ("a snapshot", "varve snap create", "vol-create-as", "vms", "web01@x", "1M"),
            ("more than there can be", "multiple of",
             "vol-create-as", "vms", "huge", "300T"),
            ("a number that is none", "no name of a volume", "vol-create-as", "vms",
             "x:0:0:99999", "1M"),
            ("a parent that is none", "to make a clone of", "vol-create", "vms",
             write(bench, "<volume><name>x</name><capacity>4096</capacity>"
                   "<backingStore><path>/dev/null</path></backingStore></volume>")),
            ("encryption", "encrypt", "vol-create", "vms",
             write(bench, "<volume><name>x</name><capacity>4096</capacity><target>"
                   "<encryption format='luks'/></target></volume>")),
    ]:
        bench.refused(f"refused: {text}", needle, *arguments)
    claim_equal("and nothing came of it", (bench.names(), bench.luns()), before)


def write(bench, text):
    path = bench.directory / f"{abs(hash(text))}.xml"
    path.write_text(text)
    return path


def resize(bench):
    bench.virsh("vol-resize", "web01", "32M")
    claim_equal("a volume grows", bench.vol_info("web01")["Capacity"], 32 * MIB)
    bench.virsh("vol-resize", "web01", "8M", "--delta")
    claim_equal("by some", bench.lun("web01")["size"], 40 * MIB)
    bench.refused("it does not shrink by mistake", "shrink", "vol-resize", "web01", "16M")
    bench.virsh("vol-resize", "web01", "32M", "--shrink")
    claim_equal("but when it is meant", bench.lun("web01")["size"], 32 * MIB)
    bench.refused("not to part of a block", "multiple of 4 KiB", "vol-resize", "web01",
                  str(40 * MIB + 512))
    bench.virsh("vol-resize", "given", "1M", "--allocate")
    claim_equal("with --allocate all is reserved", bench.lun("given")["reserve"], MIB)
    bench.refused("not more than there is", "", "vol-resize", "given", "100G",
                  "--allocate")


def data(bench):
    image = os.urandom(3 * MIB + 12345)
    bench.upload("web01", image)
    claim_equal("what was uploaded is downloaded",
                bench.download("web01", "--length", str(len(image))) == image, True)
    claim_equal("and what it takes is seen", bench.vol_info("web01")["Allocation"],
                bench.lun("web01")["live"])
    claim("it takes that", 3 * MIB <= bench.lun("web01")["live"] <= 4 * MIB)
    patch = b"patch" * 1000
    bench.upload("web01", patch, "--offset", "1234567", "--length", str(len(patch)))
    expected = image[:1234567] + patch + image[1234567 + len(patch):]
    claim("at any offset", bench.download("web01", "--length", str(len(image))) == expected)
    claim("of any length", bench.download(
        "web01", "--offset", "1234000", "--length", "7001") == expected[1234000:1241001])
    claim("to its end", len(bench.download("web01")) == 32 * MIB)
    bench.refused("refused: more than there is room for", "more bytes came",
                  "vol-upload", "given", write_bytes(bench, os.urandom(MIB + 1)))
    bench.refused("refused: less than was said", "is short", "vol-upload",
                  "given", write_bytes(bench, b"x" * 1000), "--length", "2000")
    bench.refused("refused: past the end", "past the volume's end", "vol-download",
                  "given", bench.directory / "down", "--offset", str(2 * MIB))
    return expected


def write_bytes(bench, content):
    (bench.directory / "bytes").write_bytes(content)
    return bench.directory / "bytes"


def clones(bench, expected):
    bench.virsh("vol-clone", "web01", "web02", "--pool", "vms")
    claim("a clone has what its origin has",
          bench.download("web02", "--length", str(len(expected))) == expected)
    claim_equal("without a copy", bench.lun("web02")["exclusive"], 0)
    claim_equal("and says whose it is", bench.xml("web02").findtext("backingStore/path"),
                bench.xml("web01").findtext("target/path"))
    bench.virsh("vol-create-as", "vms", "web03", "64M", "--backing-vol", "web01")
    claim_equal("so does one that is larger", (
        bench.lun("web03")["size"], bench.xml("web03").findtext("backingStore/path")),
        (64 * MIB, bench.xml("web01").findtext("target/path")))
    path = write(bench, "<volume><name>web04</name><capacity>0</capacity></volume>")
    bench.virsh("vol-create-from", "vms", path, "web02", "--inputpool", "vms")
    claim("and one of a clone, by vol-create-from",
          bench.download("web04", "--length", str(len(expected))) == expected)
    claim_equal("whose parent is the clone",
                bench.xml("web04").findtext("backingStore/path"),
                bench.xml("web02").findtext("target/path"))
    bench.refused("refused: a clone by a name that is there", "web02", "vol-clone",
                  "web01", "web02", "--pool", "vms")
    bench.upload("web02", b"other")
    claim("what is written to a clone stays there",
          bench.download("web01", "--length", "5") == expected[:5])
    foreign = bench.directory / "foreign"
    foreign.mkdir()
    bench.virsh("pool-create-as", "foreign", "dir", "--target", foreign)
    bench.virsh("vol-create-as", "foreign", "raw", "1M")
    path = write(bench, "<volume><name>raw</name><capacity>0</capacity></volume>")
    bench.refused("refused: a clone of another pool's", "vol-upload", "vol-create-from",
                  "vms", path, "raw", "--inputpool", "foreign")
    claim_equal("of which nothing stays", [n for n in bench.luns() if "raw" in n]
                + [n for n in bench.names() if "raw" in n], [])
    bench.virsh("vol-create-as", "vms", "raw", "1M")
    claim("and its name can be used", "vms/raw" in bench.luns())
    bench.virsh("pool-destroy", "foreign")


def wipe(bench):
    bench.virsh("vol-wipe", "web04", "--algorithm", "trim")
    claim_equal("trimming gives back what it took", bench.vol_info("web04")["Allocation"], 0)
    claim("and leaves zeros", set(bench.download("web04", "--length", "4096")) == {0})
    bench.virsh("vol-wipe", "web03")
    claim_equal("so does wiping", bench.vol_info("web03")["Allocation"], 0)
    bench.refused("refused: wiping what snapshots keep", "snapshots of", "vol-wipe", "web01")
    bench.refused("refused: wiping by magnetism", "not supported", "vol-wipe", "web02",
                  "--algorithm", "gutmann")


def snapshots(bench):
    bench.varved.varve("snap", "create", "vms/given@mon")
    export = bench.varved.varve("export", "add", "vms/given@mon", "--host", "kvm1")
    number = export["item"]["lun"]
    bench.virsh("pool-refresh", "vms")
    name = f"given@mon:0:0:{number}"
    claim("a snapshot that is exported is a volume", name in bench.names())
    claim_equal("which is read", len(bench.download(name)), MIB)
    bench.refused("and not written", "", "vol-upload", name, write_bytes(bench, b"x"))
    bench.refused("nor deleted", "it is a snapshot", "vol-delete", name, "--pool", "vms")
    bench.virsh("vol-create-as", "vms", "of-mon", "1M", "--backing-vol", name)
    claim_equal("a clone is made of it", bench.lun("of-mon")["parent"], "vms/given@mon")
    claim_equal("and shows it", bench.xml("of-mon").findtext("backingStore/path"),
                bench.path(number))
    bench.virsh("vol-delete", "of-mon")
    bench.varved.varve("export", "remove", "vms/given@mon", "--host", "kvm1")


def other_changes(bench):
    bench.varved.varve("lun", "create", "vms/elsewhere", "--size", "4M")
    bench.varved.varve("export", "add", "vms/elsewhere", "--host", "kvm1", "--lun", "99")
    bench.virsh("pool-refresh", "vms")
    claim("what others made is seen after a refresh", "elsewhere:0:0:99" in bench.names())
    bench.varved.varve("host", "add", "kvm2", "--iqn", INITIATOR + ":2", "--no-chap")
    bench.varved.varve("export", "add", "vms/elsewhere", "--host", "kvm2", "--lun", "99")
    bench.refused("refused: to delete what another host has", "kvm2", "vol-delete",
                  "elsewhere")
    bench.varved.varve("export", "remove", "vms/elsewhere", "--host", "kvm2")
    bench.virsh("vol-delete", "elsewhere")
    claim("then it is deleted", "vms/elsewhere" not in bench.luns())
    bench.varved.varve("trash", "restore", "vms/elsewhere")
    claim("into the trash, from where it can come back", "vms/elsewhere" in bench.luns())


def delete(bench):
    bench.refused("refused: to delete what has snapshots by mistake",
                  "--delete-snapshots", "vol-delete", "web01")
    claim("it is there still, and its host has it", "kvm1" in bench.lun("web01")["hosts"])
    bench.virsh("vol-delete", "web02", "--delete-snapshots")
    bench.virsh("vol-delete", "web03")
    bench.virsh("vol-delete", "web04")
    snaps = bench.varved.varve("snap", "list", "vms/web01")["items"]
    claim_equal("the snapshots of clones go with them", [s["name"] for s in snaps], [])
    bench.virsh("vol-delete", "web01")
    claim("it is deleted", "vms/web01" not in bench.luns())
    claim_equal("as is seen", [n for n in bench.names() if n.startswith("web")], [])
    bench.refused("refused: to delete it twice", "web01", "vol-delete", "web01",
                  "--pool", "vms")


def restart(bench):
    before = bench.names()
    bench.libvirtd.restart()
    claim_equal("after a restart of libvirtd it is active", bench.pool_info()["State"],
                "running")
    claim_equal("with its volumes", bench.names(), before)
    bench.virsh("vol-create-as", "vms", "after", "1M")
    claim("and takes more", "vms/after" in bench.luns())
    bench.virsh("pool-destroy", "vms")
    claim_equal("it stops", bench.pool_info()["State"], "inactive")
    bench.libvirtd.boot()
    claim_equal("and is started when the machine is", bench.pool_info()["State"], "running")
    bench.virsh("pool-destroy", "vms")
    bench.virsh("pool-undefine", "vms")
    claim("it is forgotten", "vms" not in bench.virsh("pool-list", "--all"))
    claim("its LUNs are not", "vms/after" in bench.luns())


def run(bench):
    claim("varve's plugin is in libvirtd", "varve-pool-" in bench.libvirtd.maps())
    pool(bench)
    create(bench)
    refusals(bench)
    resize(bench)
    expected = data(bench)
    clones(bench, expected)
    wipe(bench)
    snapshots(bench)
    other_changes(bench)
    delete(bench)
    restart(bench)
    claim_equal("no sanitizer has complained", bench.libvirtd.sanitizer_reports(), "")


def volumes(directory, varved):
    with Libvirtd(directory / "l") as daemon:
        bench = Bench(directory, varved, daemon, chap=True)
        run(bench)
        if bench.forward:
            claim("connections broke meanwhile", bench.forward.broken >= 10,
                  bench.forward.broken)
