#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest's disk grows larger than its pool: QEMU pauses the guest, the admin adds
space, and the guest goes on as if nothing had been (docs/manual.md, "When a pool is
full").  The guest is a real one, under QEMU without hardware virtualisation; its disk
is a LUN by QEMU's own initiator, with werror=enospc as libvirt's error_policy.

Does not cover the kernel's initiator.
"""
# timeout: 600
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "guest"))
from claims import claim, claim_equal, held, main
from guest import Guest
from varved import BUILD

QEMU_IQN = "iqn.2008-11.org.linux-kvm"
BLOCKS = 120  # of 1 MiB, in a pool that takes about half of them

# Each block has its number, over and over; written around the page cache, so that
# the guest hears of each one, and read from the disk again.
SCRIPT = f"""
modprobe virtio_pci
modprobe virtio_blk
block() {{ yes "block $1 of the guest" | head -c 1048576; }}
i=0
while [ $i -lt {BLOCKS} ]; do
    block $i | dd of=/dev/vda bs=1M iflag=fullblock oflag=direct seek=$i conv=notrunc 2>/tmp/dd || {{
        cat /tmp/dd
        exit 1
    }}
    i=$((i + 1))
    echo "guest: $i written"
done
i=0
while [ $i -lt {BLOCKS} ]; do
    dd if=/dev/vda bs=1M iflag=direct skip=$i count=1 2>/dev/null >/tmp/is
    block $i >/tmp/should
    cmp /tmp/is /tmp/should || exit 2
    i=$((i + 1))
done
"""


def written(guest):
    return guest.said().count(" written")


def story(directory, varved):
    pool = directory / "a.pool"
    varved.varve("pool", "create", "vms", pool, "--size", "80M")
    varved.varve("host", "add", "qemu", "--iqn", QEMU_IQN, "--no-chap")
    url = varved.lun("vms/guest", "200M", "qemu")
    guest = Guest(directory, SCRIPT, [
        "-drive", f"file={url},format=raw,if=none,id=d,cache=none,werror=enospc,rerror=report",
        "-device", "virtio-blk-pci,drive=d"])
    try:
        paused_and_resumed(varved, guest, pool)
    finally:
        guest.stop()
    if not all(held):
        print(guest.said()[-2000:])


def paused_and_resumed(varved, guest, pool):
    event = guest.wait_event("BLOCK_IO_ERROR", 300)["data"]
    claim_equal("a full pool is told as such: no space", event["nospace"], True)
    claim_equal("to a write", event["operation"], "write")
    claim_equal("and the guest is stopped, not broken", event["action"], "stop")
    guest.wait_event("STOP", 30)
    claim_equal("QEMU says why", guest.ask("query-status")["status"], "io-error")
    before = written(guest)
    claim("it had written a part", 20 < before < BLOCKS, before)
    claim("varve health names the pool", "vms" in str(varved.varve("health")))
    item = varved.varve("pool", "show", "vms")["item"]
    claim("the pool is full", item["free"] < 2 << 20, item["free"])

    guest.ask("cont")
    again = guest.wait_event("BLOCK_IO_ERROR", 60)["data"]
    claim_equal("going on without more space stops it again", again["nospace"], True)
    varved.varve("pool", "grow", "vms", pool, "--size", "300M")
    guest.ask("cont")
    claim_equal("with more space it writes all, and reads it right", guest.wait_end(300), 0)
    claim("nothing failed in the guest", "I/O error" not in guest.said())
    varved.stop()
    done = subprocess.run([BUILD / "varve", "rescue", "check", pool], capture_output=True,
                          text=True)
    claim_equal("and the pool is sound", done.returncode, 0)


if __name__ == "__main__":
    main(story)
