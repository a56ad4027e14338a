#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a host sets in a LUN by MODE SELECT: saved it is there after SIGKILL, not saved
it is gone, and what cannot be written was not done; and the thresholds of thin
provisioning, which are the pool's until a host sets its own.
"""
import pathlib
import sqlite3
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from claims import claim_equal as claim, main
from initiators import Initiator

IQN = "iqn.2026-01.x:host"
CACHING, CONTROL, THRESHOLDS = "0800", "0a00", "1c02"
CURRENT, SAVED = 0, 3
WCE, SWP = 0x04, 0x08


class Lun:
    def __init__(self, varved, url):
        self.varved, self.url = varved, url
        self.login()

    def login(self):
        self.host = Initiator(self.url, IQN)

    def page(self, page, control=CURRENT):
        code = int(page[:2], 16) | control << 6
        return self.host.take(f"1a08{code:02x}{page[2:]}ff00", 255)[4:]

    def select(self, page, changed, save=False):
        """Bytes of the page, by index; {} sends it as it is."""
        data = bytearray(self.page(page))
        for at, value in changed.items():
            data[at] = value
        data[0] &= 0x7f  # PS
        return self.host.send(f"15{0x11 if save else 0x10:02x}0000{len(data) + 4:02x}00"
                              f" out 00000000{data.hex()}")

    def kill(self):
        self.host.kill()
        self.varved.kill()
        self.varved.start()
        self.login()


def saving(lun):
    claim("the cache is on", lun.page(CACHING)[2], WCE)
    claim("a host turns it off", lun.select(CACHING, {2: 0}), "good")
    claim("it is", lun.page(CACHING)[2], 0)
    lun.kill()
    claim("after SIGKILL it is on again", lun.page(CACHING)[2], WCE)
    claim("turned off and saved", lun.select(CACHING, {2: 0}, save=True), "good")
    lun.kill()
    claim("it is off after SIGKILL", lun.page(CACHING)[2], 0)
    claim("and shown as saved", lun.page(CACHING, SAVED)[2], 0)
    claim("write protection is saved", lun.select(CONTROL, {4: SWP}, save=True), "good")
    claim("varved stops", lun.varved.stop(), 0)
    lun.varved.start()
    lun.login()
    claim("and keeps writers away after a restart", lun.host.write(), "check 7 27 02")
    claim("until it is taken off", lun.select(CONTROL, {4: 0}, save=True), "good")
    claim("then they write", lun.host.write(), "good")


def unwritable(lun):
    database = sqlite3.connect(lun.varved.directory / "varve.db", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    claim("with the database locked, nothing is saved",
          lun.select(CACHING, {2: WCE}, save=True), "check 4 44 00")
    claim("nor changed", lun.page(CACHING)[2], 0)
    claim("without saving it changes", lun.select(CACHING, {2: WCE}), "good")
    database.execute("ROLLBACK")
    database.close()


def administrator(lun):
    """What he says of the cache is newer than what a host has saved."""
    claim("a host saves that the cache is off", lun.select(CACHING, {2: 0}, save=True),
          "good")
    lun.varved.varve("lun", "set", "vms/disk", "--write-cache", "on")
    lun.host.hear()
    claim("on, as it was set before, is what counts now", lun.page(CACHING)[2], WCE)
    lun.kill()
    claim("also after SIGKILL", lun.page(CACHING)[2], WCE)
    lun.varved.varve("lun", "set", "vms/disk", "--write-cache", "off")
    lun.host.hear()
    claim("a host saves that it is on", lun.select(CACHING, {2: WCE}, save=True), "good")
    lun.varved.varve("lun", "set", "vms/disk", "--iops", "100000")
    claim("what says nothing of it leaves it so", lun.page(CACHING)[2], WCE)
    lun.varved.varve("lun", "set", "vms/disk", "--write-cache", "off")
    lun.host.hear()
    claim("off, once more, switches it off", lun.page(CACHING)[2], 0)
    lun.kill()
    claim("for good", lun.page(CACHING)[2], 0)
    claim("a host saves write protection", lun.select(CONTROL, {4: SWP}, save=True),
          "good")
    told = [f for f in lun.varved.varve("health")["items"]
            if f["code"] == "lun.write-protected"]
    claim("health tells of it", told[0]["fix"],
          "varve lun set vms/disk --read-only off")
    lun.varved.varve("lun", "set", "vms/disk", "--read-only", "off")
    lun.host.hear()
    claim("that takes it off", lun.host.write(), "good")
    lun.kill()
    claim("for good too", lun.host.write(), "good")


def available(lun):
    """ENABLED, and the count in MiB."""
    page = lun.page(THRESHOLDS)
    return page[16] >> 7, int.from_bytes(page[20:24], "big")


def threshold(lun, size):
    at_80 = available(lun)
    claim("the pool's threshold is the LUN's", at_80[0], 1)
    claim("a fifth of what there is for LUNs", size // 8 < at_80[1] <= size // 5, True)
    lun.varved.varve("pool", "set", "vms", "--warn-at", "50%")
    claim("and follows varve pool set", abs(available(lun)[1] - at_80[1] * 5 / 2) <= 3,
          True)
    lun.varved.varve("pool", "set", "vms", "--warn-at", "80%")
    everything = {20: 0xff, 21: 0xff, 22: 0xff, 23: 0xff}
    claim("a host sets its own", lun.select(THRESHOLDS, everything, save=True), "good")
    claim("a write reaches it", lun.host.write(), "good")
    claim("which is told", lun.host.hear(), "check 6 38 07")
    claim("once", lun.host.hear(), "good")
    lun.kill()
    claim("it is there after SIGKILL", available(lun), (1, 0xffffffff))
    log = lun.host.take("4d004c0000000000ff00", 255)
    free = int.from_bytes(log[8:12], "big")
    claim("the log counts what is available in the same sets",
          size // 2 < free <= size, True)
    vpd = lun.host.take("1201b200ff00", 255)
    claim("of which VPD B2h has the size", 512 << vpd[4], 1 << 20)


def story(directory, varved):
    varved.varve("pool", "create", "vms", directory / "vms.pool", "--size", "256M")
    varved.varve("host", "add", "host", "--iqn", IQN, "--no-chap")
    url = varved.lun("vms/disk", "64M", "host")
    varved.first_portal = None  # the portal stays where it is
    lun = Lun(varved, url)
    saving(lun)
    unwritable(lun)
    administrator(lun)
    threshold(lun, 256)
    lun.host.kill()
    claim("varved stops", varved.stop(), 0)


if __name__ == "__main__":
    main(story)
