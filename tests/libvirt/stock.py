# SPDX-License-Identifier: LGPL-2.1-or-later
"""What works with a stock libvirt, by the lines that varve host connect prints; and
what the loader makes of whatever is missing or wrong: libvirtd starts always, stock
pools go on, and the log has one line that says what is not used, and why.
"""
import shutil
import socket
import subprocess
import threading

from claims import claim, claim_equal
from libvirtd import BACKENDS, LOADER, STOCK, Libvirtd, pool_xml
from varved import BUILD

INITIATOR = "iqn.2008-11.org.linux-kvm"
VERSION = next(BUILD.glob("libvirt/varve-pool-*.so")).name


def host(varved, directory, *options):
    varved.varve("pool", "create", "vms", directory / "vms.pool", "--size", "256M")
    varved.varve("host", "add", "kvm1", "--iqn", INITIATOR, *options)
    varved.varve("lun", "create", "vms/web01", "--size", "16M")
    varved.varve("export", "add", "vms/web01", "--host", "kvm1")
    return varved.varve("pool", "list")["items"][0]["iqn"]


def names(daemon):
    return [line.split()[0] for line in daemon.virsh("vol-list", "vms").splitlines()
            if line.strip()]


def without_plugin(directory, varved):
    host(varved, directory, "--chap-generate")
    lines = varved.varve("host", "connect", "kvm1", "--for", "libvirt",
                         "--show-secret")["item"]["lines"]
    with Libvirtd(directory / "l", loader=None) as daemon:
        claim("without the plugin", "varve-pool-" not in daemon.maps())
        environment = dict(daemon.environment,
                           VIRSH_DEFAULT_CONNECT_URI=daemon.uri("qemu"))
        pasted = subprocess.run(["bash", "-e"], input="\n".join(lines), text=True,
                                env=environment, capture_output=True, check=False)
        claim("the lines of host connect can be pasted", pasted.returncode == 0,
              pasted.stderr)
        claim_equal("the pool has the LUN", names(daemon), ["unit:0:0:0"])
        varved.varve("lun", "create", "vms/web02", "--size", "16M")
        varved.varve("export", "add", "vms/web02", "--host", "kvm1")
        daemon.virsh("pool-refresh", "vms")
        claim_equal("and one that is made, after a refresh", names(daemon),
                    ["unit:0:0:0", "unit:0:0:1"])
        path = daemon.virsh("vol-path", "unit:0:0:1", "--pool", "vms").strip()
        claim("by its path", path.endswith("-lun-1"), path)
        daemon.restart()
        claim_equal("and is there after a restart", len(names(daemon)), 2)
        said = daemon.refused("vol-create-as", "vms", "x", "1M")
        claim("which makes no volumes", "not support volume creation" in said, said)


def said_by_loader(daemon):
    return [line for line in (daemon.directory / "stderr").read_text().splitlines()
            if line.startswith("varve's libvirt plugin: ")]


def modules(directory, **files):
    """A directory with the loader, and the files: names to what is copied, or text."""
    directory.mkdir()
    shutil.copy(LOADER, directory / STOCK)
    for name, content in files.items():
        if isinstance(content, str):
            (directory / name).write_text(content)
        else:
            shutil.copy(content, directory / name)
    return directory / STOCK


def start_stock(daemon, definition):
    """The pool through the stock module; True: it works."""
    daemon.define("pool", definition)
    daemon.virsh("pool-start", "vms")
    return names(daemon) == ["unit:0:0:0"]


def one_line(text, daemon, *needles):
    lines = said_by_loader(daemon)
    claim(f"{text}: one line", len(lines) == 1
          and all(needle in lines[0] for needle in needles), lines)


def broken_modules(directory, definition):
    backend = BUILD / "libvirt" / VERSION
    cases = {
        "another version's backend": ({"varve-pool-9.9.9.so": backend}, VERSION),
        "no backend": ({}, VERSION),
        "a backend that is none": ({VERSION: "garbage"}, VERSION),
        "a backend that is half": (
            {VERSION: BACKENDS / "libvirt_storage_backend_mpath.so"},
            "varve_pool_register"),
    }
    for number, (text, (files, needle)) in enumerate(cases.items()):
        loader = modules(directory / f"m{number}", **files)
        with Libvirtd(directory / f"l{number}", loader=loader) as daemon:
            one_line(text, daemon, "stock iscsi-direct pools go on", needle)
            claim(f"{text}: stock pools go on", start_stock(daemon, definition))


def no_stock_module(directory, definition):
    with Libvirtd(directory / "ls", stock=False) as daemon:
        one_line("no stock module", daemon, "no iscsi-direct pools", STOCK + ".stock")
        claim("no stock module: other pools go on", daemon.virsh(
            "pool-create-as", "other", "dir", "--target", directory) is not None)
        said = daemon.refused("pool-create", write(directory, definition))
        claim("no stock module: an iscsi-direct pool is refused",
              "missing backend" in said, said)


def write(directory, text):
    (directory / "pool.xml").write_text(text)
    return directory / "pool.xml"


def warnings(daemon):
    return [line for line in daemon.log.read_text().splitlines()
            if ": warning :" in line and "pool vms" in line]


def bad_settings(directory, definition):
    with Libvirtd(directory / "lc", settings="nonsense\n") as daemon:
        claim("bad settings: it is treated as a stock pool",
              start_stock(daemon, definition))
        claim("bad settings: the log says the line",
              any("line 1 is not of the form IQN = URL" in w for w in warnings(daemon)),
              warnings(daemon))
        daemon.settings("")
        daemon.virsh("pool-destroy", "vms")
        daemon.settings_path.unlink()
        daemon.settings_path.mkdir()
        daemon.virsh("pool-start", "vms")
        claim("unreadable settings: the log says so", any(
            "cannot read the settings" in w and "directory" in w
            for w in warnings(daemon)), warnings(daemon))
        daemon.settings_path.rmdir()
        daemon.virsh("pool-destroy", "vms")
        daemon.settings("iqn.2026-01.*: = unix:///x\niqn.2026-01.* = ftp://nas\n")
        said = daemon.refused("pool-start", "vms")
        claim("an address that is none is said", "'ftp://nas' is not an address" in said,
              said)


class Garbage:
    """What answers every line with what is no answer."""

    def __init__(self, path, answer):
        self.answer = answer
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            peer, _ = self.listener.accept()
            try:
                while peer.recv(65536):
                    peer.sendall(self.answer)
            except OSError:
                pass
            peer.close()


def garbage_from_the_endpoint(directory, definition, iqn):
    answers = [b"HTTP/1.1 200 OK\r\n\r\n", b"{}\n", b'{"id":1,"result":{"items":7}}\n',
               b"\0" * 4096 + b"\n", b'{"id":1,"result":{"items":[{"iqn":"'
               + iqn.encode() + b'","name":"' + b"x" * 5000 + b'"}]}}\n']
    for number, answer in enumerate(answers):
        path = directory / f"g{number}"
        Garbage(path, answer)
        with Libvirtd(directory / f"lg{number}",
                      settings=f"{iqn} = unix://{path}\n") as daemon:
            daemon.define("pool", definition)
            said = daemon.refused("pool-start", "vms")
            claim(f"garbage {number}: the pool does not start, and it is said why",
                  "varved" in said, said)
            claim(f"garbage {number}: libvirtd goes on", daemon.virsh("pool-list", "--all"))


def loader(directory, varved):
    iqn = host(varved, directory, "--no-chap")
    definition = pool_xml("vms", varved.portal(), iqn, INITIATOR)
    broken_modules(directory, definition)
    no_stock_module(directory, definition)
    bad_settings(directory, definition)
    garbage_from_the_endpoint(directory, definition, iqn)
