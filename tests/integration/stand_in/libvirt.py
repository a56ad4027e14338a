# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stand-in for Python's libvirt, for the hook in packaging/quiesce.d: what it takes of
it and no more.  Its world is the JSON file that LIBVIRT_WORLD names:

    {URI: {"answers": true, "pools": {NAME: {"xml": XML, "volumes": {NAME: PATH}}},
           "domains": {UUID: {"name", "xml", "state", "reason", "files": N, "frozen": N,
                              "fault": null, "fails", "hangs", "thaw-once" or "gone"}}}}

What was asked of it is a line each in that path with .log at its end.  tests/libvirt has
the real one.
"""
import builtins
import fcntl
import json
import os
import time

VIR_DOMAIN_RUNNING, VIR_DOMAIN_BLOCKED = 1, 2
VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN = 5, 1
VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK = -2
VIR_ERR_NO_DOMAIN = 42
PATH = os.environ["LIBVIRT_WORLD"]


class libvirtError(Exception):
    def __init__(self, text, code=1):
        super().__init__(text)
        self.code = code

    def get_error_code(self):
        return self.code


def registerErrorHandler(function, context):
    pass


def change(function):
    """function(world) under a lock: threads ask at once, and the process may end."""
    with builtins.open(PATH + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with builtins.open(PATH, encoding="utf-8") as file:
            world = json.load(file)
        result = function(world)
        with builtins.open(PATH + ".new", "w", encoding="utf-8") as file:
            json.dump(world, file)
        os.replace(PATH + ".new", PATH)
        return result


def log(text):
    with builtins.open(PATH + ".log", "a", encoding="utf-8") as file:
        file.write(text + "\n")


def open(uri):  # as the real one calls it
    host = change(lambda world: world.get(uri))
    if host is None:
        raise libvirtError(f"cannot connect to {uri}", 38)
    if not host.get("answers", True):
        time.sleep(1000)
    return Connection(uri, host)


class Connection:
    def __init__(self, uri, host):
        self.uri, self.host = uri, host

    def listAllDomains(self):
        return [Domain(self.uri, uuid) for uuid in self.host["domains"]]

    def lookupByUUIDString(self, uuid):
        if uuid not in change(lambda world: world[self.uri]["domains"]):
            raise libvirtError("no domain with matching uuid", VIR_ERR_NO_DOMAIN)
        return Domain(self.uri, uuid)

    def storagePoolLookupByName(self, name):
        if name not in self.host.get("pools", {}):
            raise libvirtError("no such pool", 49)
        return Pool(self.host["pools"][name])


class Pool:
    def __init__(self, pool):
        self.pool = pool

    def XMLDesc(self):
        return self.pool["xml"]

    def storageVolLookupByName(self, name):
        if name not in self.pool["volumes"]:
            raise libvirtError("no such volume", 50)
        return Volume(self.pool["volumes"][name])


class Volume:
    def __init__(self, path):
        self.path = lambda: path


class Domain:
    def __init__(self, uri, uuid):
        self.uri, self.uuid = uri, uuid

    def get(self):
        return change(lambda world: world[self.uri]["domains"][self.uuid])

    def name(self):
        return self.get()["name"]

    def UUIDString(self):
        return self.uuid

    def XMLDesc(self):
        if self.get().get("fault") == "gone":
            raise libvirtError("no domain with matching uuid", VIR_ERR_NO_DOMAIN)
        return self.get()["xml"]

    def state(self):
        return [self.get().get("state", 1), self.get().get("reason", 1)]

    def isActive(self):
        return self.get().get("state", 1) != VIR_DOMAIN_SHUTOFF

    def agentSetResponseTimeout(self, seconds):
        log(f"timeout {self.name()} {'none' if seconds < 0 else 'some'}")

    def fsFreeze(self):
        log(f"freeze {self.name()}")
        fault = self.get().get("fault")
        if fault == "fails":
            raise libvirtError("failed to freeze /srv")

        def frozen(world):
            domain = world[self.uri]["domains"][self.uuid]
            domain["frozen"] = domain.get("files", 2)
            return domain["frozen"]
        count = change(frozen)
        if fault == "hangs":
            time.sleep(1000)
        return count

    def fsThaw(self):
        log(f"thaw {self.name()}")

        def thawed(world):
            domain = world[self.uri]["domains"][self.uuid]
            if domain.get("fault") == "thaw-once":
                domain["fault"] = None
                return None
            count, domain["frozen"] = domain.get("frozen", 0), 0
            return count
        count = change(thawed)
        if count is None:
            raise libvirtError("the agent is slow")
        return count
