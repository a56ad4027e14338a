#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What has happened, and the figures: runs of policies leave their events in order,
failures raise health and the metrics, events outlive a restart and are followed over
one, changes have one event each; in the journal they have fields, and no second line.
Metrics are of Prometheus' format and are those that docs/metrics.md lists.

The worker of policies is one of ours, which says what it is told to say: what the
real one does is policy.py's.
"""
# timeout: 120
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import exposition
from claims import claim, claim_equal, finish
from initiators import Initiator
from varved import BUILD, TOP, Failed, Varved

HOST = "iqn.2026-01.x:node-a"
WORKER = """#!/bin/sh
# run POLICY ...; thaw ...
here=$(dirname "$0")
[ "$1" = run ] || exit 0
[ ! -e "$here/killed" ] || kill -KILL $$
cat "$here/report"
exit "$(cat "$here/status")"
"""
GOOD = {"luns": [], "bytes": 0, "problem": None}


def lun_line(lun, **members):
    line = {"lun": lun, "snapshot": "s", "consistency": "crash", "frozen_ms": None,
            "backup": None, "deleted": [], "backups_deleted": 0, "problem": None,
            "notes": []}
    return {**line, **members}


def problem(code, what):
    return {"code": code, "what": what, "why": "", "fix": [], "exit": 1}


class Worker:
    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        shutil.copy2(BUILD / "varved", directory / "varved")
        program = directory / "varve-policy"
        program.write_text(WORKER)
        program.chmod(0o755)
        self.says(0, GOOD)

    def says(self, status, report):
        (self.directory / "report").write_text(json.dumps({"report": report}) + "\n")
        (self.directory / "status").write_text(str(status))

    def is_killed(self, killed):
        flag = self.directory / "killed"
        flag.touch() if killed else flag.unlink()


class Story:
    def __init__(self, directory):
        self.worker = Worker(directory / "bin")
        self.varved = Varved(directory / "d", program=directory / "bin/varved")
        self.varve = self.varved.varve
        self.varve("pool", "create", "vms", directory / "vms.pool", "--size", "256M")
        self.varve("lun", "create", "vms/db01", "--size", "16M")
        self.varve("host", "add", "a", "--iqn", HOST, "--no-chap")
        url = self.varved.lun("vms/web01", "16M", "a")
        initiator = Initiator(url, HOST)
        initiator.hear()  # that it is new
        claim_equal("the LUN is used", initiator.write(), "good")
        initiator.end()
        self.varve("policy", "create", "nightly", "vms/web01", "vms/db01", "--at",
                   "daily 02:00", "--keep", "last=2", "--backup-to", "/backup/{lun}")
        self.varved.first_portal = None

    def events(self, *options):
        return self.varve("events", *options)["items"]

    def kinds(self, *options):
        return [event["kind"] for event in self.events(*options)]

    def last(self):
        return self.varve("events", "--limit", 1)["cursor"]

    def run(self):
        """Runs the policy; the events that came of it, but for the asking."""
        before = self.last()
        try:
            self.varve("policy", "run", "nightly")
        except Failed as failure:
            claim("the command says that it failed", failure.status == 1)
        return [e for e in self.events("--since", before) if e["kind"] != "policy.run"]

    def metrics(self):
        lines = self.varve("metrics")["item"]["lines"]
        return exposition.parse("\n".join(lines) + "\n")

    def findings(self):
        return {f["code"]: f for f in self.varve("health")["items"]}

    # ---- runs ----

    def run_that_is_done(self):
        backup = {"path": "/backup/web01", "name": "s", "kind": "full", "bytes": 4711,
                  "read": 8192, "seconds": 0.5}
        self.worker.says(0, {"luns": [lun_line("vms/web01", backup=backup),
                                      lun_line("vms/db01")],
                             "bytes": 4711, "problem": None})
        events = self.run()
        claim_equal("a run has two events, in order", [e["kind"] for e in events],
                    ["policy.run-begun", "policy.run-done"])
        claim("numbers rise", events[0]["number"] < events[1]["number"])
        claim_equal("their subject is the policy", {e["subject"] for e in events}, {"nightly"})
        data = events[1]["data"]
        claim_equal("what came of it is there for programs",
                    {m: data[m] for m in ("policy", "outcome", "bytes", "luns", "attempt")},
                    {"policy": "nightly", "outcome": "done", "bytes": 4711, "luns": 2,
                     "attempt": 1})
        metrics = self.metrics()
        runs = metrics["varve_policy_runs_total"]
        claim_equal("it is counted", runs.value(policy="nightly", outcome="done"), 1)
        claim_equal("nothing has failed", runs.value(policy="nightly", outcome="failed"), 0)
        web = {"pool": "vms", "lun": "web01"}
        claim_equal("the backup's size is known",
                    metrics["varve_backup_last_bytes"].value(**web), 4711)
        at = metrics["varve_backup_last_success_timestamp_seconds"].value(**web)
        claim("and when it was made", 0 <= time.time() - at < 3600)
        wanted = metrics["varve_backup_wanted_since_timestamp_seconds"]
        claim_equal("a LUN that was never backed up is wanted, and has none",
                    (len(wanted.samples), len(metrics["varve_backup_last_bytes"].samples)),
                    (2, 1))

    def run_that_fails(self):
        self.worker.says(1, {"luns": [], "bytes": 0,
                             "problem": problem("backup.gone", "the disk is away")})
        before = self.metrics()["varve_health_findings"].value(severity="error")
        claim("all was well", "policy.failed" not in self.findings())
        events = self.run()
        claim_equal("a failure is an error", [(e["kind"], e["severity"]) for e in events[1:]],
                    [("policy.run-failed", "error")])
        claim_equal("with its code", events[1]["data"]["problem"], "backup.gone")
        claim("and its reason", "the disk is away" in events[1]["text"])
        finding = self.findings().get("policy.failed", {})
        claim_equal("health has it", finding.get("severity"), "error")
        claim("with the reason", "the disk is away" in finding.get("what", ""))
        claim("and the way out", "varve policy history nightly" in finding.get("fix", ""))
        metrics = self.metrics()
        claim_equal("and the metrics", metrics["varve_policy_runs_total"].value(
            policy="nightly", outcome="failed"), 1)
        claim_equal("the finding too",
                    metrics["varve_health_findings"].value(severity="error"), before + 1)

    def run_that_is_partial(self):
        self.varve("policy", "set", "nightly", "--quiesce", "libvirt")
        self.worker.says(3, {"luns": [
            lun_line("vms/web01", notes=["not frozen: no agent"]),
            lun_line("vms/db01", consistency="fs", frozen_ms=12,
                     problem=problem("pool.no-space", "no room"))],
            "bytes": 0, "problem": problem("pool.no-space", "no room")})
        events = self.run()
        claim_equal("LUNs are told of one by one, before the run",
                    [(e["kind"], e["subject"]) for e in events],
                    [("policy.run-begun", "nightly"), ("policy.not-frozen", "vms/web01"),
                     ("policy.lun-failed", "vms/db01"), ("policy.run-partial", "nightly")])
        claim_equal("with policy, pool and LUN", [events[2]["data"][m] for m in
                    ("policy", "pool", "lun", "problem")],
                    ["nightly", "vms", "vms/db01", "pool.no-space"])
        claim("and why it was not frozen", "no agent" in events[1]["text"])
        claim("health has it", "policy.partial" in self.findings())

    def run_that_is_killed(self):
        self.worker.is_killed(True)
        events = self.run()
        claim_equal("a worker that is killed was interrupted", events[-1]["kind"],
                    "policy.run-interrupted")
        claim("health has it", "policy.interrupted" in self.findings())
        self.worker.is_killed(False)

    def run_that_says_nonsense(self):
        """What a worker says is not believed, nor stops anything."""
        for luns in (["x"], [{"lun": 7}], [{"lun": "no/such@snap"}], {"lun": 1},
                     [lun_line("gone/web01", backup={"bytes": -1})],
                     [lun_line("vms/web01", notes={}, problem=7, backup=[])]):
            self.worker.says(0, {"luns": luns, "bytes": "many", "problem": 5})
            claim_equal(f"a run whose report is {str(luns)[:40]}", self.run()[-1]["kind"],
                        "policy.run-done")

    # ---- changes ----

    def ask(self, method, **params):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.varved.directory / "varve.sock"))
            connection.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method,
                                           "params": params}).encode() + b"\n")
            return json.loads(connection.makefile().readline())

    def changes(self):
        before = self.last()
        self.varve("lun", "create", "vms/new", "--size", "4M", "--dry-run")
        try:
            self.varve("lun", "create", "vms/web01", "--size", "4M")
        except Failed:
            pass
        claim_equal("what was only tried, or refused, is no event", self.last(), before)
        for _ in range(2):
            answer = self.ask("lun.create", name="vms/new", size=4 << 20, request_id="once")
            claim("a request and its repetition are answered", "result" in answer)
        self.varve("lun", "delete", "vms/new")
        events = self.events("--since", before)
        claim_equal("a change is one event, of its method",
                    [(e["kind"], e["subject"]) for e in events],
                    [("lun.create", "vms/new"), ("lun.delete", "vms/new")])
        claim_equal("that says who", events[0]["data"],
                    {"uid": os.getuid(), "pid": os.getpid(), "pool": "vms", "lun": "vms/new"})

    def choosing(self):
        claim_equal("of one kind", set(self.kinds("--kind", "policy.run-f")),
                    {"policy.run-failed"})
        claim_equal("errors alone", {e["severity"] for e in
                    self.events("--severity", "error", "--since", 0)}, {"error"})
        claim_equal("of one subject", {e["subject"] for e in
                    self.events("--subject", "vms/db01")}, {"vms/db01"})
        pages, cursor = [], 0
        while True:
            page = self.varve("events", "--cursor", cursor, "--limit", 3)
            if not page["items"]:
                break
            pages += page["items"]
            cursor = page["cursor"]
        claim_equal("page by page they are all of them", pages, self.events("--since", 0))
        for wrong in (("--limit", 0), ("--limit", 10001), ("--severity", "grave")):
            try:
                self.events(*wrong)
                claim(f"{wrong} is refused", False)
            except Failed as failure:
                claim(f"{wrong} is refused", failure.status == 2)
        answer = self.ask("events", follow=True)
        claim_equal("--follow is the command line's alone",
                    answer.get("error", {}).get("data", {}).get("code"), "request.argument")

    # ---- over a restart ----

    def following(self):
        before = self.events("--since", 0)
        follower = subprocess.Popen(
            [BUILD / "varve", "--connect", f"unix:{self.varved.directory}/varve.sock",
             "--json", "events", "--follow", "--since", str(before[-1]["number"])],
            stdout=subprocess.PIPE, text=True)
        try:
            self.varve("lun", "create", "vms/seen", "--size", "4M")
            line = json.loads(follower.stdout.readline())
            claim_equal("a follower sees what comes",
                        (line["kind"], line["item"]["kind"], line["item"]["subject"]),
                        ("events.event", "lun.create", "vms/seen"))
            claim_equal("varved stops", self.varved.stop(), 0)
            self.varved.start()
            kinds = [json.loads(follower.stdout.readline())["item"]["kind"] for _ in range(2)]
            claim_equal("over a restart too", kinds, ["pool.opened", "server.started"])
            follower.send_signal(signal.SIGINT)
            claim_equal("until it is interrupted", follower.wait(30), 130)
        finally:
            follower.kill()
            follower.wait()
        claim_equal("what was before the restart is still there",
                    self.events("--since", 0)[:len(before)], before)
        claim_equal("runs are still counted", self.metrics()["varve_policy_runs_total"].value(
            policy="nightly", outcome="failed"), 1)

    # ---- what is documented, and the log ----

    def documented(self):
        metrics = self.metrics()
        text = (TOP / "docs/metrics.md").read_text()
        listed = re.findall(r"^\| `(varve_\w+)` \| (\w+) \|", text, re.M)
        claim_equal("docs/metrics.md lists none twice", len(listed), len(set(listed)))
        claim_equal("and each metric with its type, and no other",
                    set(listed) ^ {(f.name, f.type) for f in metrics.values()}, set())
        kinds = set(re.findall(r"^\| `([a-z.-]+)` \|", text, re.M))
        told = {e["kind"] for e in self.events("--since", 0)}
        methods = set(self.varve("api", "schema")["item"]["document"]["methods"])
        claim_equal("and each kind of event that is no method", told - methods - kinds, set())
        rules = (TOP / "docs/examples/varve-alerts.yml").read_text()
        used = set(re.findall(r"\bvarve_\w+", rules))
        claim_equal("alarms name what there is", used - set(metrics), set())

    def log(self):
        text = self.varved.log()
        claim_equal("an event is one line of the log",
                    text.count("vms/seen: lun.create, by uid"), 1)


# ---- the journal ----

def in_journal(directory):
    """In a mount namespace of our own, /run is empty: we are the journal."""
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    os.makedirs("/run/systemd/journal")
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journal.bind("/run/systemd/journal/socket")
    journal.settimeout(30)
    ours, stderr = socket.socketpair()
    status = os.fstat(stderr.fileno())
    environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    varved = subprocess.Popen([BUILD / "varved", "--dir", directory], stderr=stderr,
                              env=environment, stdin=subprocess.DEVNULL)
    stderr.close()
    try:
        started = journal.recv(65536)
        varve = [BUILD / "varve", "--connect", f"unix:{directory}/varve.sock", "-q"]
        subprocess.run([*varve, "pool", "create", "vms", f"{directory}/p", "--size", "64M"],
                       check=True)
        journal.recv(65536)
        subprocess.run([*varve, "lun", "create", "vms/web01", "--size", "4M"], check=True)
        created = journal.recv(65536)
    finally:
        varved.terminate()
        varved.wait(60)
    stream = b""
    while chunk := ours.recv(65536):
        stream += chunk
    return started, created, stream


def journal_claims():
    with tempfile.TemporaryDirectory(prefix="v.") as directory:
        started, created, stream = in_journal(directory)
        log = next(pathlib.Path(directory).glob("*.log")).read_text()
    fields = dict(line.split("=", 1) for line in created.decode().splitlines())
    claim("the start is told to the journal", b"VARVE_KIND=server.started\n" in started)
    claim_equal("a change has fields", [fields.get(f"VARVE_{name}") for name in
                ("EVENT", "KIND", "SUBJECT", "POOL", "LUN", "UID")],
                ["3", "lun.create", "vms/web01", "vms", "vms/web01", str(os.getuid())])
    claim_equal("a priority and a name", [fields.get("PRIORITY"),
                fields.get("SYSLOG_IDENTIFIER")], ["5", "varved"])
    claim("and its line", fields["MESSAGE"].startswith("vms/web01: lun.create, by uid"))
    claim("which comes to the journal once", b"lun.create" not in stream)
    claim("other lines do as before", b"<5>stopped" in stream)
    claim_equal("and all of them to the file", log.count("vms/web01: lun.create"), 1)


def journal():
    """Once more, in a namespace; root needs no user of its own for that."""
    flags = "-m" if os.getuid() == 0 else "-rm"
    inside = subprocess.run(["unshare", flags, sys.executable, __file__, "--journal"],
                            env={**os.environ, "BUILD": str(BUILD)})
    claim_equal("the journal gets fields", inside.returncode, 0)


# ---- the judge ----

HEAD = "# HELP varve_x X.\n# TYPE varve_x gauge\n"
HISTOGRAM = "# HELP varve_h H.\n# TYPE varve_h histogram\n"
WRONG = [
    HEAD, HEAD + "varve_x 1", HEAD + "varve_y 1\n", "varve_x 1\n", HEAD + "varve_x\n",
    HEAD + "varve_x 1\nvarve_x 1\n", HEAD + 'varve_x{a="1"} 1\nvarve_x{a="1"} 2\n',
    HEAD + 'varve_x{a="1",} 1\n', HEAD + 'varve_x{a="1\\x"} 1\n', HEAD + "varve_x 0x1\n",
    HEAD + 'varve_x{a="1" b="2"} 1\n', HEAD + "varve_x 1\n" + HEAD + "varve_x 1\n",
    "# TYPE varve_x gauge\nvarve_x 1\n", "# HELP varve_x X.\nvarve_x 1\n",
    HEAD.replace("gauge", "counter") + "varve_x 1\n", HEAD + "varve_x 1\n\n",
    HISTOGRAM + 'varve_h_bucket{le="1"} 1\nvarve_h_sum 1\nvarve_h_count 1\n',
    HISTOGRAM + 'varve_h_bucket{le="1"} 2\nvarve_h_bucket{le="+Inf"} 1\n'
    "varve_h_sum 1\nvarve_h_count 1\n",
    HISTOGRAM + 'varve_h_bucket{le="+Inf"} 1\nvarve_h_sum 1\nvarve_h_count 2\n',
]


def judge():
    for text in WRONG:
        try:
            exposition.parse(text)
            claim(f"the judge refuses {text!r}", False)
        except exposition.Wrong:
            claim(f"the judge refuses {text!r}", True)
    claim("and takes what is right", exposition.parse(
        HEAD + 'varve_x{a="\\"\\\\\\n"} 1.5e-3\n')["varve_x"].value(a='"\\\n') == 0.0015)


def story():
    judge()
    with tempfile.TemporaryDirectory(prefix="v.") as directory:
        s = Story(pathlib.Path(directory))
        try:
            for part in (s.run_that_is_done, s.run_that_fails, s.run_that_is_partial,
                         s.run_that_is_killed, s.run_that_says_nonsense, s.changes,
                         s.choosing, s.documented, s.following, s.log):
                part()
        finally:
            s.varved.stop()
    journal()


if __name__ == "__main__":
    journal_claims() if sys.argv[1:] == ["--journal"] else story()
    finish()
