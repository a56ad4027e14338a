#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""varve policy: what it makes and keeps, runs that were missed or cut short, disks that
are not there, and what is refused.

What is due at which time is the business of tests/unit/policy, over ten years; here days
go by in the state database, while varved does not run.
"""
import fcntl
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from claims import claim, claim_equal, main
from varved import BUILD, Failed

IQN = "iqn.2008-11.org.linux-kvm"
DAY = 86400
os.environ["TZ"] = "UTC"


def refused(varved, text, code, *arguments):
    try:
        varved.varve("policy", *arguments)
        claim(text, False, "it was not refused")
    except Failed as failed:
        claim(text, code in failed.text, "" if code in failed.text else failed.text)


def write(url, at, pattern):
    subprocess.run(["qemu-io", "-f", "raw", "-c", f"write -P {pattern} {at} 1M", "-c", "flush",
                    url], check=True, stdout=subprocess.DEVNULL)


def snaps(varved, of="vms"):
    return [s["name"] for s in varved.varve("snap", "list", of)["items"]]


def show(varved, policy):
    return varved.varve("policy", "show", policy)["item"]


def history(varved, policy):
    return varved.varve("policy", "history", policy)["items"]


def backups(directory):
    return sorted(p.name for p in directory.glob("*.json"))


def until(true, seconds=30):
    """Its first true value; what it last said when the time is over."""
    end = time.monotonic() + seconds
    while True:
        value = true()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.05)


def in_state(varved, *statements):
    """While varved does not run."""
    with sqlite3.connect(varved.directory / "varve.db") as db:
        for statement in statements:
            db.execute(statement)
    db.close()


class Lock:
    """Holds a policy's worker before it begins: it waits for the one before it."""

    def __init__(self, varved, policy):
        directory = varved.directory / "quiesce"
        directory.mkdir(exist_ok=True)
        self.file = open(directory / f".{policy}.lock", "w")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def release(self):
        self.file.close()


def running(varved, policy):
    return until(lambda: [r for r in history(varved, policy) if r["outcome"] == "running"])


def pid_of(varved, run):
    with sqlite3.connect(varved.directory / "varve.db") as db:
        row = db.execute("SELECT pid FROM policy_runs WHERE id = ?", (run,)).fetchone()
    db.close()
    return row[0]


def starts(varved):
    return (varved.directory / "stderr.txt").read_text().count(" serves, ")


# ---- what is refused ----

def what_is_no_policy(varved):
    create = ("create", "p", "vms/web01", "--keep", "daily=7")
    refused(varved, "no schedule", "policy.schedule", *create, "--at", "daily 25:00")
    refused(varved, "no rule", "policy.keep", "create", "p", "--at", "daily", "--keep", "dayly=7")
    refused(varved, "no such LUN", "lun.not-found", "create", "p", "vms/none", "--at", "daily",
            "--keep", "all")
    refused(varved, "several LUNs into one directory", "policy.backup-to", "create", "p",
            "vms/web01", "vms/db01", "--at", "daily", "--keep", "all", "--backup-to", "/backup")
    refused(varved, "a field that there is not", "policy.backup-to", *create, "--at", "daily",
            "--backup-to", "/backup/{host}")
    refused(varved, "a path that is none", "policy.backup-to", *create, "--at", "daily",
            "--backup-to", "backup/{lun}")
    refused(varved, "a name that leaves no room for the time", "policy.name", "create", "p" * 41,
            "--at", "daily", "--keep", "all")
    refused(varved, "a hook by a path", "policy.quiesce", *create, "--at", "daily", "--quiesce",
            "../../bin/sh")
    refused(varved, "what to keep of no backups", "policy.incomplete", *create, "--at", "daily",
            "--backup-keep", "daily=3")
    refused(varved, "a policy that there is not", "policy.not-found", "run", "p")
    claim_equal("nothing of that is there", varved.varve("policy", "list")["items"], [])


# ---- what it does ----

def a_run(varved, directory, urls):
    varved.varve("policy", "create", "nightly", "vms/web01", "--group", "shop", "--at",
                 "daily 02:00", "--keep", "last=2", "--backup-to", directory / "b/{pool}/{lun}",
                 "--backup-keep", "last=3")
    refused(varved, "its name is taken", "policy.exists", "create", "nightly", "--at", "daily",
            "--keep", "all")
    item = show(varved, "nightly")
    claim_equal("it covers", item["luns"], ["vms/db01", "vms/db02", "vms/web01"])
    claim("it is due at the next 02:00", item["next"].endswith("T02:00:00Z"), item["next"])
    try:
        varved.varve("policy", "run", "nightly")
        claim("a disk that is not there is a failure", False)
    except Failed as failed:
        claim("a disk that is not there is a failure", failed.status == 1, failed.text)
    claim_equal("which list shows", show(varved, "nightly")["state"], "failing")
    claim_equal("its snapshots are there all the same", len(snaps(varved)), 3)
    (directory / "b").mkdir()
    varved.varve("policy", "run", "nightly")
    last = history(varved, "nightly")[0]
    claim_equal("a run", (last["outcome"], last["problem"]), ("done", None))
    made = last["luns"][0]["snapshot"]
    points = {s["name"]: s for s in varved.varve("snap", "list", "vms")["items"]}
    claim_equal("the group's snapshots are of one instant",
                points[f"vms/db01@{made}"]["created"], points[f"vms/db02@{made}"]["created"])
    claim_equal("one backup of each", [backups(directory / "b/vms" / n)
                                       for n in ("web01", "db01", "db02")],
                [[f"000001-{made}.json"]] * 3)
    write(urls["web01"], 0, 7)
    varved.varve("snap", "hold", f"vms/web01@{made}")
    for _ in range(3):
        varved.varve("policy", "run", "nightly")
    last = history(varved, "nightly")[0]
    web = next(lun for lun in last["luns"] if lun["lun"] == "vms/web01")
    claim_equal("later backups are increments", web["backup"]["kind"], "increment")
    claim_equal("two snapshots stay, and one that is held",
                len(snaps(varved, "vms/web01")), 3)
    claim("the held one", f"vms/web01@{made}" in snaps(varved, "vms/web01"))
    claim_equal("two of another", len(snaps(varved, "vms/db01")), 2)
    kept = backups(directory / "b/vms/web01")
    claim_equal("three backups stay", len(kept), 3)
    image = directory / "web01.raw"
    varved.varve("backup", "restore", directory / "b/vms/web01", "--to", image)
    truth = directory / "truth.raw"
    varved.varve("snap", "read", f"vms/web01@{web['snapshot']}", "--to", truth)
    claim("the newest restores to its snapshot", image.read_bytes() == truth.read_bytes())
    varved.varve("snap", "release", f"vms/web01@{made}")


def what_is_not_its_own(varved):
    """Only snapshots by its name go."""
    for name in ("mine", "nightly-before-upgrade", "nightly2-20200101T000000Z"):
        varved.varve("snap", "create", f"vms/db01@{name}")
    varved.varve("policy", "run", "nightly")
    claim_equal("snapshots of others stay", [s for s in snaps(varved, "vms/db01")
                                             if "nightly-2" not in s],
                ["vms/db01@mine", "vms/db01@nightly-before-upgrade",
                 "vms/db01@nightly2-20200101T000000Z"])


def a_disk_that_went(varved, directory):
    """It must not be taken for a new directory."""
    shutil.move(directory / "b/vms", directory / "unmounted")
    try:
        varved.varve("policy", "run", "nightly")
        claim("a disk that went away is a failure", False)
    except Failed as failed:
        claim("a disk that went away is a failure", failed.status == 1)
    last = history(varved, "nightly")[0]
    claim_equal("by its code", last["luns"][0]["problem"]["code"], "backup.gone")
    claim("and nothing was written where it was", not (directory / "b/vms/web01").exists())
    shutil.rmtree(directory / "b/vms", ignore_errors=True)
    shutil.move(directory / "unmounted", directory / "b/vms")
    varved.varve("policy", "run", "nightly")
    last = history(varved, "nightly")[0]
    claim_equal("when it is back it goes on", [lun["backup"]["kind"] for lun in last["luns"]],
                ["increment"] * 3)


# ---- missed and cut short ----

def a_month_off(varved):
    varved.varve("policy", "set", "nightly", "--paused", "yes")
    varved.stop()
    past = int(time.time()) - 30 * DAY
    in_state(varved, f"UPDATE policies SET since = {past}, scheduled = {past}, paused = 0")
    before = varved.start()
    runs = until(lambda: [r for r in history(varved, "nightly") if r["missed"] > 0
                          and r["outcome"] != "running"])
    claim("what was missed is caught up with", runs, before)
    claim_equal("by one run", len([r for r in history(varved, "nightly") if r["scheduled"]]), 1)
    claim_equal("which says how many they were", runs[0]["missed"], 29)
    claim("it is for the last 02:00", runs[0]["scheduled"].endswith("T02:00:00Z"))
    claim_equal("and is done", runs[0]["outcome"], "done")


def make_due(varved, outcome="done"):
    """The last run was a day and a half ago."""
    past = (int(time.time()) - 7200) // DAY * DAY + 7200 - DAY
    in_state(varved, f"UPDATE policies SET since = {past - DAY}, scheduled = {past}",
             f"UPDATE policy_runs SET outcome = '{outcome}'")


def a_worker_that_is_killed(varved):
    lock = Lock(varved, "nightly")
    varved.stop()
    make_due(varved)
    varved.start()
    run = running(varved, "nightly")[0]
    job = varved.varve("job", "show", f"policy-{run['run']}")["item"]
    claim_equal("a run is a job", (job["kind"], job["state"]), ("policy", "running"))
    refused(varved, "it cannot run twice", "policy.running", "run", "nightly")
    refused(varved, "nor be deleted then", "policy.running", "delete", "nightly")
    os.kill(pid_of(varved, run["run"]), signal.SIGKILL)
    again = until(lambda: [r for r in history(varved, "nightly") if r["attempt"] == 2])
    claim("a worker that was killed is started again", again)
    claim_equal("the first attempt is known as cut short",
                [r["outcome"] for r in history(varved, "nightly") if r["run"] == run["run"]],
                ["interrupted"])
    return lock, again[0]


def varved_that_is_killed(varved, lock, run):
    pid = pid_of(varved, run["run"])
    varved.kill()
    claim("a worker ends with its varved",
          until(lambda: not os.path.exists(f"/proc/{pid}")))
    varved.start()
    third = until(lambda: [r for r in history(varved, "nightly") if r["attempt"] == 3])
    claim("and is started anew by the next", third)
    return third[0]


def varved_that_is_replaced(varved, lock, run):
    pid, started = pid_of(varved, run["run"]), starts(varved)
    varved.process.send_signal(signal.SIGUSR2)
    until(lambda: starts(varved) > started)
    ok = history(varved, "nightly")
    claim_equal("a worker outlives an upgrade", (ok[0]["run"], ok[0]["outcome"],
                                                 pid_of(varved, run["run"])),
                (run["run"], "running", pid))
    lock.release()
    done = until(lambda: [r for r in history(varved, "nightly")
                          if r["run"] == run["run"] and r["outcome"] != "running"])
    claim_equal("and tells the next varved how it went",
                [(r["outcome"], len(r["luns"])) for r in done], [("done", 3)])
    stamps = {lun["snapshot"] for lun in done[0]["luns"]}
    claim_equal("all attempts were for one snapshot", len(stamps), 1)


def a_stop(varved):
    """An orderly stop does not wait for backups."""
    lock = Lock(varved, "nightly")
    varved.stop()
    make_due(varved)
    varved.start()
    run = running(varved, "nightly")[0]
    pid = pid_of(varved, run["run"])
    begun = time.monotonic()
    claim_equal("varved stops while a policy runs", varved.stop(), 0)
    claim("its worker has ended", not os.path.exists(f"/proc/{pid}"))
    lock.release()
    varved.start()
    done = until(lambda: [r for r in history(varved, "nightly")
                          if r["attempt"] == 2 and r["outcome"] != "running"
                          and r["run"] > run["run"]])
    claim_equal("and the run goes on after it", [r["outcome"] for r in done], ["done"])


# ---- frozen ----

HOOK = """#!/bin/sh
# freezes as the file beside it says
about=$(cat)
echo "$1" >> "$0.log"
case "$1 $(cat "$0.mode")" in
    "freeze fail") exit 1;;
    "freeze hang") echo $$ > "$0.pid"; exec sleep 600;;
    "thaw lost") exit 3;;
    freeze*) echo fs;;
esac
"""


class Hook:
    def __init__(self, varved):
        directory = varved.directory / "quiesce.d"
        directory.mkdir(mode=0o755)
        self.path = directory / "test"
        self.path.write_text(HOOK)
        self.path.chmod(0o755)
        self.mode("ok")

    def mode(self, word):
        pathlib.Path(f"{self.path}.mode").write_text(word)
        log = pathlib.Path(f"{self.path}.log")
        log.write_text("")

    def log(self):
        return pathlib.Path(f"{self.path}.log").read_text().split()


def run_frozen(varved, hook, mode):
    hook.mode(mode)
    try:
        varved.varve("policy", "run", "frozen")
    except Failed as failed:
        claim_equal(f"{mode}: a run that fails ends so", failed.status, 1)
    run = history(varved, "frozen")[0]
    return run, run["luns"][0] if run["luns"] else {}


def a_freeze(varved):
    hook = Hook(varved)
    varved.varve("policy", "create", "frozen", "vms/web01", "--at", "yearly", "--keep", "last=1",
                 "--quiesce", "test", "--freeze-budget", "2s")
    run, lun = run_frozen(varved, hook, "ok")
    claim_equal("a hook freezes and thaws", (run["outcome"], hook.log(), lun["consistency"]),
                ("done", ["freeze", "thaw"], "fs"))
    frozen = f"vms/web01@{lun['snapshot']}"
    claim_equal("the snapshot knows it",
                varved.varve("snap", "show", frozen)["item"]["consistency"], "fs")
    run, lun = run_frozen(varved, hook, "fail")
    claim_equal("without a freeze the snapshot is made, and says so",
                (run["outcome"], lun["consistency"], hook.log()[-1]), ("done", "crash", "thaw"))
    claim("with the reason", "frozen" in lun["notes"][0], lun["notes"])
    run, lun = run_frozen(varved, hook, "lost")
    claim_equal("a freeze that was lost is none", (run["outcome"], lun["consistency"]),
                ("done", "crash"))
    claim("the last that was frozen stays, whatever the rule", frozen in snaps(varved, "vms/web01"))
    varved.varve("policy", "set", "frozen", "--if-not-frozen", "fail")
    before = snaps(varved, "vms/web01")
    run, lun = run_frozen(varved, hook, "fail")
    claim_equal("or none is made, if the policy says so",
                (run["outcome"], lun["snapshot"], snaps(varved, "vms/web01")),
                ("failed", None, before))
    return hook


def killed_while_frozen(varved, hook):
    """Worker and varved die; what is frozen is thawed."""
    hook.mode("hang")
    varved.varve("policy", "set", "frozen", "--freeze-budget", "60s")
    varved.varve("--no-wait", "policy", "run", "frozen")
    until(lambda: "freeze" in hook.log())
    run = history(varved, "frozen")[0]
    pid = pid_of(varved, run["run"])
    varved.kill()
    until(lambda: not os.path.exists(f"/proc/{pid}"))
    claim("varved is killed in a freeze: it is thawed", until(lambda: "thaw" in hook.log()),
          hook.log())
    varved.start()
    claim_equal("and the run is known as cut short",
                until(lambda: [r["outcome"] for r in history(varved, "frozen")
                               if r["run"] == run["run"] and r["outcome"] != "running"]),
                ["interrupted"])
    records = [p.name for p in (varved.directory / "quiesce").iterdir() if p.name[0] != "."]
    claim_equal("nothing is left", until(lambda: not records) and records, [])
    varved.varve("policy", "delete", "frozen")


# ---- what changes ----

def what_is_changed(varved, directory):
    plan = varved.varve("policy", "simulate", "nightly", "--until", "+90d", "--keep",
                        "daily=7,weekly=4")["items"]
    claim("simulate keeps seven days and four weeks",
          sum("daily" in p["keeps"] for p in plan) == 7 and
          sum("weekly" in p["keeps"] for p in plan) == 4, json.dumps(plan[-3:]))
    claim("it shows what is there, and when it goes",
          [p for p in plan if p["name"] and p["goes"]])
    before = snaps(varved)
    dry = varved.varve("--dry-run", "policy", "set", "nightly", "--keep", "last=1")["item"]
    claim_equal("a dry run says what it would be", dry["keep"], "last=1")
    claim_equal("and changes nothing", show(varved, "nightly")["keep"], "last=2")
    claim_equal("nor did simulate", snaps(varved), before)
    varved.varve("lun", "rename", "vms/web01", "vms/web02")
    claim("a LUN is covered by its identity, not its name",
          "vms/web02" in show(varved, "nightly")["luns"])
    varved.varve("lun", "rename", "vms/web02", "vms/web01")
    varved.varve("policy", "remove", "nightly", "--group", "shop")
    varved.varve("policy", "add", "nightly", "--pool", "vms")
    varved.varve("lun", "create", "vms/new", "--size", "8M")
    claim_equal("a pool's new LUNs are covered",
                sorted(show(varved, "nightly")["luns"]),
                ["vms/db01", "vms/db02", "vms/new", "vms/web01"])
    varved.varve("lun", "delete", "vms/new")
    claim("but not what is in the trash", "vms/new" not in show(varved, "nightly")["luns"])
    as_a_document(varved, directory)
    varved.varve("policy", "set", "nightly", "--paused", "yes")
    claim_equal("paused", (show(varved, "nightly")["state"], show(varved, "nightly")["next"]),
                ("paused", None))
    varved.varve("policy", "delete", "nightly")
    claim_equal("deleted", varved.varve("policy", "list")["items"], [])
    claim_equal("its snapshots are there still", len(snaps(varved)), len(before))


def as_a_document(varved, directory):
    """config export, apply: a policy comes back as it was, and is changed as is said."""
    file = directory / "site.json"

    def export():
        return varved.varve("config", "export")["item"]["document"]

    def apply(document, *options):
        file.write_text(json.dumps(document))
        return [(s["method"], s["name"])
                for s in varved.varve("config", "apply", file, *options)["items"]]

    whole = export()
    claim_equal("the document says what it covers", whole["policies"][0].get("pool"), ["vms"])
    claim_equal("and differs in nothing", apply(whole, "--prune"), [])
    varved.varve("policy", "delete", "nightly")
    claim_equal("from it a policy is made", apply(whole), [("policy.create", "nightly")])
    claim_equal("as it was", export()["policies"], whole["policies"])
    other = json.loads(json.dumps(whole))
    other["policies"][0].update(at="hourly", backup_keep="none", pool=[], luns=["vms/db01"])
    claim_equal("and changed", apply(other),
                [("policy.remove", "nightly"), ("policy.set", "nightly"),
                 ("policy.add", "nightly")])
    item = show(varved, "nightly")
    claim_equal("into what it says", (item["at"], item["backup_keep"], "vms/db01" in item["luns"]),
                ("hourly", None, True))
    del other["policies"][0]["backup_keep"]
    claim_equal("it is then as the document", apply(other), [])
    apply(whole)
    claim_equal("and back", export()["policies"][0]["at"], whole["policies"][0]["at"])
    claim_equal("with --prune it goes", apply(whole | {"policies": []}, "--prune"),
                [("policy.delete", "nightly")])
    apply(whole)


def story(directory, varved):
    varved.varve("pool", "create", "vms", directory / "vms.pool", "--size", "1G")
    varved.varve("host", "add", "h", "--iqn", IQN, "--no-chap")
    urls = {name: varved.lun(f"vms/{name}", "32M", "h") for name in ("web01", "db01", "db02")}
    varved.varve("group", "create", "shop", "vms/db01", "vms/db02")
    varved.first_portal = None
    for name, url in urls.items():
        write(url, "4M", 1)
    what_is_no_policy(varved)
    a_run(varved, directory, urls)
    what_is_not_its_own(varved)
    a_disk_that_went(varved, directory)
    a_month_off(varved)
    lock, run = a_worker_that_is_killed(varved)
    run = varved_that_is_killed(varved, lock, run)
    varved_that_is_replaced(varved, lock, run)
    a_stop(varved)
    hook = a_freeze(varved)
    killed_while_frozen(varved, hook)
    what_is_changed(varved, directory)


main(story)
