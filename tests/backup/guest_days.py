#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""make soak: a month of a LUN under a guest that never stops writing to it.

The guest is Debian's kernel under QEMU; its disk is the LUN, by QEMU's initiator, with ext4 on it.
In it fio rewrites a large file at random, with fsync, and a script makes, renames and removes
small ones.  Meanwhile, each day: a snapshot, a backup, a prune.  What it claims:

    the backup of each day restores to that day's snapshot: all of it is compared by qemu-img,
    with QEMU's initiator; once when the day is new, once when it is the oldest that is kept,
    which prune has merged.  Each tenth time no block status is asked for: plain READs of
    every byte, whatever the target says that it has
    its ext4 is that of a host that lost its power: the journal is replayed (e2fsck -p), and then
    e2fsck -fn has nothing to say
    an increment reads at most 1.05 times what the guest has written since the snapshot before

What was written is counted by a dirty bitmap of QEMU's, in blocks of 4 KiB, from after one snapshot
until before the next: what is written while the snapshot is made is not counted, so the
claim is a little harder than it says.

    guest_days.py [GIB] [DAYS] [FILL_MIB]          needs three times FILL_MIB in $TMPDIR
"""
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE.parent / "guest"))
from claims import claim, main
from guest import Guest, share_of

MIB = 1 << 20
BLOCK = 4096
GIB = int(sys.argv[1]) if len(sys.argv) > 1 else 20
DAYS = int(sys.argv[2]) if len(sys.argv) > 2 else 30
FILL = int(sys.argv[3]) if len(sys.argv) > 3 else 4096
KEPT = 7
LUN = "vms/web01"
QEMU_IQN = "iqn.2008-11.org.linux-kvm"

SCRIPT = f"""
. /share/lib.sh
load_modules virtio_blk ext4
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/vda && mount /dev/vda /mnt || exit 1
fio --name=fill --filename=/mnt/large --size={FILL}m --bs=1m --rw=write --refill_buffers \
    --buffer_compress_percentage=50 --end_fsync=1 >/share/fill.txt 2>&1 || exit 2
touch /share/filled

small_files() {{
    local n=0 old
    mkdir /mnt/small
    while [ ! -e /share/stop ]; do
        n=$((n + 1))
        head -c $((RANDOM * 4)) /dev/urandom >/mnt/small/new
        mv /mnt/small/new /mnt/small/$n
        [ $((n % 5)) != 0 ] || sync /mnt/small/$n
        old=$((n - 1 - RANDOM % 400))
        [ "$old" -le 0 ] || rm -f /mnt/small/$old
        usleep 50000
    done
}}
small_files &
files=$!
fio --name=large --filename=/mnt/large --size={FILL}m --bsrange=4k-64k --rw=randwrite \
    --refill_buffers --fsync=32 --rate=2m --time_based --runtime=1000000 >/share/fio.txt 2>&1 &
fio=$!
until [ -e /share/stop ]; do sleep 1; done
wait $files
kill -0 $fio || exit 3          # it has written until now
kill $fio
wait $fio
umount /mnt && e2fsck -fn /dev/vda >/share/e2fsck.txt 2>&1
"""


class Written:
    """What the guest has written to its disk since the last time it was asked, in bytes."""

    def __init__(self, guest):
        self.guest = guest
        self.node = self.block()["inserted"]["node-name"]
        guest.ask("block-dirty-bitmap-add", node=self.node, name="day", granularity=BLOCK)

    def block(self):
        return next(b for b in self.guest.ask("query-block") if b["device"] == "d")

    def count(self):
        return self.block()["inserted"]["dirty-bitmaps"][0]["count"]

    def forget(self):
        self.guest.ask("block-dirty-bitmap-clear", node=self.node, name="day")


class Month:
    def __init__(self, directory, varved, guest):
        self.directory, self.varved = directory, varved
        self.written = Written(guest)
        self.backups, self.restored = directory / "web01", directory / "restored"
        self.differ, self.unclean, self.excess = [], [], []
        self.compared = 0
        self.days, self.seconds, self.full_seconds = [], [], []

    def day(self, number):
        name = f"day{number:02}"
        changed = self.written.count()
        self.varved.varve("snap", "create", f"{LUN}@{name}")
        self.written.forget()
        self.days.append(name)
        item = self.varved.varve("backup", "create", f"{LUN}@{name}", "--to",
                                 self.backups)["item"]
        if number == 0:
            self.full_seconds.append(item["seconds"])
        else:
            self.excess.append(item["read"] / changed)
            self.seconds.append(item["seconds"])
        if number % 10 == 9:
            self.full_again(name)
        self.judge(name)
        self.prune()
        if len(self.days) == KEPT:
            self.judge(self.days[0])
        print(f"{name}: {item['kind']}, {changed / MIB:.1f} MiB written, "
              f"{item['read'] / MIB:.1f} MiB read, {item['seconds']:.2f} s; "
              f"{self.compared} compared, {len(self.differ)} differ, "
              f"{len(self.unclean)} unclean", flush=True)

    def full_again(self, name):
        """What the same day costs without a base."""
        directory = self.directory / "full"
        item = self.varved.varve("backup", "create", f"{LUN}@{name}", "--to", directory,
                                 "--since", "full")["item"]
        self.full_seconds.append(item["seconds"])
        subprocess.run(["rm", "-r", directory], check=True)

    def prune(self):
        """The snapshots go as the backups do."""
        self.varved.varve("backup", "prune", self.backups, "--keep", f"last={KEPT}")
        kept = [i["name"] for i in self.varved.varve("backup", "list", self.backups)["items"]]
        for name in self.days[:-KEPT]:
            self.varved.varve("snap", "delete", f"{LUN}@{name}")
        self.days = self.days[-KEPT:]
        if kept != self.days:
            self.differ.append(kept)

    def judge(self, name):
        self.restored.unlink(missing_ok=True)
        self.varved.varve("backup", "restore", self.backups, "--at", name, "--to",
                          self.restored)
        if not self.is_same(name, self.compared % 10 == 0):
            self.differ.append(name)
        self.compared += 1
        replay = subprocess.run(["e2fsck", "-fp", self.restored], capture_output=True, text=True)
        check = subprocess.run(["e2fsck", "-fn", self.restored], capture_output=True, text=True)
        if replay.returncode not in (0, 1) or check.returncode != 0:
            self.unclean.append((name, replay.stdout, check.stdout))
        self.restored.unlink()

    def is_same(self, name, every_byte):
        snap = f"{LUN}@{name}"
        export = self.varved.varve("export", "add", snap, "--host", "qemu", "--ttl", "1h")["item"]
        url = f"iscsi://{self.varved.portal()}/{export['iqn']}/{export['lun']}"
        same = self.all_reads(url) if every_byte else subprocess.run(
            ["qemu-img", "compare", "-f", "raw", "-F", "raw", self.restored, url],
            stdout=subprocess.DEVNULL).returncode == 0
        self.varved.varve("export", "remove", snap, "--host", "qemu", "--force")
        return same

    def all_reads(self, url):
        socket = self.directory / "nbd"
        server = subprocess.Popen(["qemu-nbd", "-r", "-f", "raw", "-t", "-k", socket, url])
        try:
            while not socket.exists() and server.poll() is None:
                time.sleep(0.05)
            return subprocess.run(
                ["bash", "-c", 'set -o pipefail; nbdcopy --no-extents "$0" - | cmp - "$1"',
                 f"nbd+unix:///?socket={socket}", self.restored]).returncode == 0
        finally:
            server.terminate()
            server.wait()


def wait_for(path, guest, seconds):
    end = time.monotonic() + seconds
    while not path.exists():
        if guest.process.poll() is not None or time.monotonic() > end:
            raise RuntimeError("the guest: " + guest.said()[-2000:])
        time.sleep(0.5)


def story(directory, varved):
    print(f"{GIB} GiB, {DAYS} days, {FILL} MiB of data")
    varved.varve("pool", "create", "vms", directory / "vms.pool", "--size", f"{2 * GIB}G")
    varved.varve("host", "add", "qemu", "--iqn", QEMU_IQN, "--no-chap")
    url = varved.lun(LUN, f"{GIB}G", "qemu")
    share = share_of(directory)
    guest = Guest(directory, SCRIPT, [
        "-drive", f"file={url},format=raw,if=none,id=d,cache=none",
        "-device", "virtio-blk-pci,drive=d"], kind="target", memory=512, share=share)
    try:
        wait_for(share / "filled", guest, 3600)
        month = Month(directory, varved, guest)
        for number in range(DAYS):
            month.day(number)
        (share / "stop").touch()
        claim("the guest wrote to the end, and its own e2fsck is content",
              guest.wait_end(600) == 0, guest.said()[-500:])
    finally:
        guest.stop()
    verdict(month)


def verdict(month):
    for name in month.days[1:]:
        month.judge(name)
    claim(f"{month.compared} restores are what their snapshots are, compared whole",
          month.differ == [], month.differ or "")
    claim("and clean when the journal is replayed", month.unclean == [], month.unclean or "")
    claim(f"an increment read at most 1.05 of what was written ({max(month.excess):.4f})",
          max(month.excess) <= 1.05)
    increment, full = statistics.median(month.seconds), statistics.median(month.full_seconds)
    claim(f"an increment took {increment:.2f} s, a full one {full:.2f} s (medians)",
          increment < full)
    claim("everything is as it was written",
          month.varved.varve("backup", "verify", month.backups)["items"] == [])


if __name__ == "__main__":
    main(story)
