# SPDX-License-Identifier: LGPL-2.1-or-later
"""A libvirtd of one's own for tests, with varve's plugin in it, spoken to through
virsh as administrators do.  Two kinds of it:

    session   as a user who is not root; run by root, the test becomes nobody
    system    as root, in a mount namespace where /run, /var/lib/libvirt and what else
              it writes are empty and its own, and what is written to /etc goes with it

Debian's modules are used as they are: its directory of storage backends is linked,
with the loader in the place of the iscsi-direct one, as packaging diverts it.
"""
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from varved import BUILD

NOBODY = 65534
CLONE_NEWNS = 0x00020000
MODULES = pathlib.Path(subprocess.run(
    ["pkg-config", "--variable=libdir", "libvirt"], capture_output=True,
    text=True).stdout.strip() or "/usr/lib/x86_64-linux-gnu")
BACKENDS = MODULES / "libvirt/storage-backend"
STOCK = "libvirt_storage_backend_iscsi-direct.so"
LOADER = BUILD / "libvirt" / STOCK
# what a system's libvirtd writes to
OWN = ["/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt", "/run"]


def become_nobody():
    """For a session: it is a user's.  Also whose temporary files these are."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    if not os.access(BUILD / "varved", os.X_OK):
        print(f"who is not root cannot read {BUILD}")
        sys.exit(77)
    os.environ.pop("TMPDIR", None)
    tempfile.tempdir = None


def private_root():
    """For a system's: from now on this process has OWN and /etc for itself."""
    os.environ.pop("TMPDIR", None)
    tempfile.tempdir = None
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    mount("--make-rprivate", "/")
    for name in OWN:
        if os.path.isdir(name):
            mount("-t", "tmpfs", "own", name)
    for name in ("upper", "work"):
        os.mkdir(f"/run/{name}")
    mount("-t", "overlay", "own", "-o",
          "lowerdir=/etc,upperdir=/run/upper,workdir=/run/work", "/etc")
    # the user that Debian's package libvirt-daemon-system makes: without it libvirtd
    # does not start
    for name, line in (("passwd", "libvirt-qemu:x:64055:64055::/nonexistent:/bin/false"),
                       ("group", "libvirt-qemu:x:64055:")):
        with open(f"/etc/{name}", "a+") as file:
            file.seek(0)
            if "libvirt-qemu:" not in file.read():
                file.write(line + "\n")


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


class VirshFailed(Exception):
    def __init__(self, arguments, status, text):
        super().__init__(f"virsh {' '.join(arguments)}: exit {status}: {text.strip()}")
        self.status, self.text = status, text


class Libvirtd:
    """settings: text of libvirt.conf.  loader: None: as Debian has it.  stock: is the
    stock module where the loader looks for it?"""

    def __init__(self, directory, settings="", loader=LOADER, stock=True):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.system = os.geteuid() == 0
        self.log = self.directory / "log"
        self.process = None
        self.environment = dict(
            os.environ, HOME=str(self.directory), LIBVIRT_AUTOSTART="0",
            LC_ALL="C",
            LIBVIRT_STORAGE_BACKEND_DIR=str(self.link_backends(loader, stock)))
        self.environment.pop("JOURNAL_STREAM", None)
        for name in ("CONFIG", "CACHE", "DATA", "STATE"):
            self.environment[f"XDG_{name}_HOME"] = str(self.directory / name.lower())
        run = self.directory / "r"
        run.mkdir(mode=0o700, exist_ok=True)
        self.environment["XDG_RUNTIME_DIR"] = str(run)
        self.settings(settings)
        # no virtlogd beside it, which would outlive it
        self.configure("qemu", 'stdio_handler = "file"\n')
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise

    def link_backends(self, loader, stock):
        directory = self.directory / "backends"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        for module in BACKENDS.iterdir():
            if module.name != STOCK:
                (directory / module.name).symlink_to(module)
        if loader is None:
            (directory / STOCK).symlink_to(BACKENDS / STOCK)
        else:
            (directory / STOCK).symlink_to(loader)
            if stock:
                (directory / (STOCK + ".stock")).symlink_to(BACKENDS / STOCK)
        return directory

    @property
    def settings_path(self):
        return (pathlib.Path("/etc/varve") if self.system
                else self.directory / "config/varve") / "libvirt.conf"

    def settings(self, text):
        self.settings_path.parent.mkdir(parents=True, exist_ok=True)
        self.settings_path.write_text(text)

    def configure(self, name, text):
        directory = (pathlib.Path("/etc/libvirt") if self.system
                     else self.directory / "config/libvirt")
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{name}.conf").write_text(text)

    def programs(self):
        """All that libvirtd finds in its PATH: QEMU for one machine, which need not be
        probed for the others, and without the sanitizer libvirtd is started with."""
        directory = self.directory / "bin"
        directory.mkdir(exist_ok=True)
        script = directory / "qemu-system-x86_64"
        script.write_text("#!/bin/sh\nunset LD_PRELOAD\nPATH=/usr/sbin:/usr/bin:/bin\n"
                          "exec /usr/bin/qemu-system-x86_64 \"$@\"\n")
        script.chmod(0o755)
        return directory

    def start(self):
        """Returns the seconds until it answers."""
        begun = time.monotonic()
        environment = dict(self.environment, PATH=str(self.programs()),
                           LIBVIRT_LOG_OUTPUTS=f"2:file:{self.log}")
        if os.environ.get("LIBVIRT_ASAN"):
            environment["LD_PRELOAD"] = os.environ["LIBVIRT_ASAN"]
            environment["ASAN_OPTIONS"] = ("detect_leaks=0:log_path="
                                           f"{self.directory}/asan")
        with open(self.directory / "stderr", "a") as errors:
            self.process = subprocess.Popen(
                ["/usr/sbin/libvirtd"], env=environment, stdout=errors, stderr=errors,
                stdin=subprocess.DEVNULL)
        while True:
            try:
                self.virsh("uri")
                return time.monotonic() - begun
            except VirshFailed:
                if (self.process.poll() is not None
                        or time.monotonic() - begun > 60):
                    raise RuntimeError("libvirtd did not start: "
                                       + self.errors()) from None
                time.sleep(0.02)

    def errors(self):
        texts = [path.read_text(errors="replace")[-4000:]
                 for path in (self.directory / "stderr", self.log) if path.exists()]
        return "\n".join(texts)

    def maps(self):
        """What it has loaded; under a sanitizer that must be there."""
        maps = pathlib.Path(f"/proc/{self.process.pid}/maps").read_text()
        if os.environ.get("LIBVIRT_ASAN") and "libasan" not in maps:
            raise RuntimeError("libvirtd runs without ASan")
        return maps

    def sanitizer_reports(self):
        return "".join(path.read_text() for path in self.directory.glob("asan.*"))

    def uri(self, driver="storage"):
        return f"{driver}:///{'system' if self.system else 'session'}"

    def command(self, *arguments, uri=None):
        return ["virsh", "-q", "-c", uri or self.uri(), *map(str, arguments)]

    def virsh(self, *arguments, stdin=None, timeout=120, uri=None):
        """Its output; VirshFailed with what it says."""
        done = subprocess.run(
            self.command(*arguments, uri=uri), env=self.environment,
            input=stdin if stdin is not None else "", text=True,
            capture_output=True, timeout=timeout)
        if done.returncode != 0:
            raise VirshFailed([str(a) for a in arguments], done.returncode,
                              done.stdout + done.stderr)
        return done.stdout

    def refused(self, *arguments, **options):
        """What virsh says when it fails; "" if it does not."""
        try:
            self.virsh(*arguments, **options)
        except VirshFailed as failed:
            return failed.text
        return ""

    def define(self, what, xml):
        path = self.directory / "define.xml"
        path.write_text(xml)
        return self.virsh(f"{what}-define", path)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise RuntimeError("libvirtd did not stop") from None
        return self.process.returncode

    def restart(self):
        self.stop()
        return self.start()

    def boot(self):
        """As after a start of the machine: what was at run time is gone."""
        self.stop()
        shutil.rmtree("/run/libvirt" if self.system else self.directory / "r/libvirt")
        return self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def pool_xml(name, portal, iqn, initiator, chap_user=None, secret=None):
    host, port = portal.rsplit(":", 1)
    auth = (f"<auth type='chap' username='{chap_user}'>"
            f"<secret uuid='{secret}'/></auth>" if chap_user else "")
    return f"""<pool type='iscsi-direct'>
  <name>{name}</name>
  <source>
    <host name='{host}' port='{port}'/>
    <device path='{iqn}'/>
    <initiator><iqn name='{initiator}'/></initiator>
    {auth}
  </source>
</pool>"""
