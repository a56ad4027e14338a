# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many volumes, and many at once: all of them are there.  How long it takes is measured
by tests/bench/libvirt.py.
"""
import subprocess
import time

from claims import claim, claim_equal
from libvirtd import Libvirtd
from volumes import MIB, Bench

VOLUMES = 200
AT_ONCE = 8


def many(bench, count=VOLUMES):
    """LUNs by varve's command line, as another host or an administrator makes them."""
    for number in range(count):
        bench.varved.varve("lun", "create", f"vms/vm{number:03}", "--size", "1G")
        bench.varved.varve("export", "add", f"vms/vm{number:03}", "--host", "kvm1")


def refresh(bench):
    """Seconds of virsh pool-refresh, the start of virsh included."""
    begun = time.monotonic()
    bench.virsh("pool-refresh", "vms")
    return time.monotonic() - begun


def clone_at_once(bench, origin, prefix, count=AT_ONCE):
    """Seconds until all are there; how many virsh say so."""
    begun = time.monotonic()
    processes = [subprocess.Popen(
        bench.libvirtd.command("vol-clone", origin, f"{prefix}{number}", "--pool", "vms"),
        env=bench.libvirtd.environment, stdin=subprocess.DEVNULL)
        for number in range(count)]
    good = sum(process.wait() == 0 for process in processes)
    return time.monotonic() - begun, good


def scale(directory, varved):
    with Libvirtd(directory / "l") as daemon:
        bench = Bench(directory, varved, daemon)
        bench.virsh("pool-start", "vms")
        many(bench)
        seconds = refresh(bench)
        claim_equal(f"all of {VOLUMES} volumes are there ({seconds:.2f} s)",
                    len(bench.names()), VOLUMES)
        claim_equal("each once", len(set(bench.names())), VOLUMES)
        details = bench.virsh("vol-list", "vms", "--details").strip().splitlines()
        claim_equal("with details", len(details), VOLUMES)
        bench.virsh("vol-create-as", "vms", "golden", "20G")
        bench.upload("golden", b"golden" * 1000)
        seconds, good = clone_at_once(bench, "golden", "clone")
        claim_equal(f"{AT_ONCE} clones at once are made ({seconds:.2f} s)", good, AT_ONCE)
        numbers = [n.rsplit(":", 1)[1] for n in bench.names()]
        claim_equal("each with a number of its own", len(set(numbers)), len(numbers))
        claim("all with its data", all(
            bench.download(f"clone{n}", "--length", "6000") == b"golden" * 1000
            for n in range(AT_ONCE)))
        claim_equal("and its size", {bench.lun(f"clone{n}")["size"] for n in range(AT_ONCE)},
                    {20 << 10 << 20})
        results = [subprocess.Popen(
            daemon.command("vol-create-as", "vms", "one", "1M"),
            env=daemon.environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(AT_ONCE)]
        claim_equal("of many by one name one is made",
                    sum(process.wait() == 0 for process in results), 1)
        claim_equal("once", [bench.lun("one")["size"]], [MIB])
