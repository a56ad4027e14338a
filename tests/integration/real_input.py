#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real input: a file system made from a real tree goes into a LUN by qemu-img over
iSCSI with CHAP, comes back identical, uses the space it was written with, and is
still clean after files went, the LUN and the file system grew, and a trim.

The kernel here has no iSCSI initiator, so e2fsprogs reach the LUN through QEMU:
qemu-storage-daemon shows it as a file by FUSE.
"""
# timeout: 600
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from claims import claim, main

TREE = os.environ.get("TREE", "/usr/share")
MIB = 1 << 20
HOST_IQN = "iqn.2008-11.org.linux-kvm:real"


def run(*command, check=True, **keywords):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True,
                          **keywords)
    if check and done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n"
                           + done.stdout + done.stderr)
    return done


def data_blocks(path):
    """4 KiB blocks that are not all zeros: what qemu-img convert writes."""
    zero, count = bytes(4096), 0
    with open(path, "rb") as image:
        while chunk := image.read(MIB):
            count += sum(chunk[i:i + 4096] != zero[:len(chunk) - i]
                         for i in range(0, len(chunk), 4096))
    return count * 4096


def make_image(directory):
    """At least 500 MB of real files in an ext4 of twice their size."""
    size = int(run("du", "-sm", TREE).stdout.split()[0])
    tree = TREE if size >= 500 else "/usr"
    image = directory / "tree.img"
    size = int(run("du", "-sm", tree).stdout.split()[0])
    run("truncate", "-s", f"{max(1024, size * 3 // 2)}M", image)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-d", tree, image)
    return image, tree


class FileView:
    """A LUN as a file."""

    def __init__(self, directory, url):
        self.path = directory / "lun"
        self.path.touch()
        self.process = subprocess.Popen(
            ["qemu-storage-daemon",
             "--object", f"secret,id=chap,file={directory}/secret",
             "--blockdev", "driver=iscsi,node-name=lun,transport=tcp,discard=unmap,"
             f"portal={url['portal']},target={url['iqn']},lun={url['lun']},user=real,"
             f"password-secret=chap,initiator-name={HOST_IQN}",
             "--export", "type=fuse,id=export,node-name=lun,writable=on,"
             f"mountpoint={self.path}"], stderr=open(directory / "qsd.err", "w"))
        while self.path.stat().st_size == 0:
            if self.process.poll() is not None:
                raise RuntimeError((directory / "qsd.err").read_text())
            time.sleep(0.02)

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)


def victims(tree):
    """The largest files, a tenth of the tree."""
    files = []
    for parent, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.isfile(path) and not os.path.islink(path):
                files.append((os.path.getsize(path), os.path.relpath(path, tree)))
    files.sort(reverse=True)
    goal, gone = sum(size for size, _ in files) // 10, 0
    for size, path in files:
        if gone >= goal:
            return
        gone += size
        yield path


def used_bytes(path):
    text = run("dumpe2fs", "-h", path).stdout
    field = {line.split(":")[0]: line.split(":")[1].strip()
             for line in text.splitlines() if ":" in line}
    return 4096 * (int(field["Block count"]) - int(field["Free blocks"]))


def story(directory, varved):
    def live():
        return varved.varve("lun", "show", "real/tree")["item"]["live"]

    image, tree = make_image(directory)
    size = image.stat().st_size
    secret = directory / "secret"
    secret.write_text("correct-horse-16")
    secret.chmod(0o600)
    varved.varve("pool", "create", "real", directory / "pool.img", "--size", "8G")
    varved.varve("host", "add", "real", "--iqn", HOST_IQN, "--chap-user", "real",
                 "--chap-file", secret)
    varved.varve("lun", "create", "real/tree", "--size", f"{size // MIB}M")
    export = varved.varve("export", "add", "real/tree", "--host", "real")["item"]
    url = {"portal": varved.portal(), "iqn": export["iqn"], "lun": export["lun"]}
    target = ["--object", f"secret,id=chap,file={secret}", "--image-opts"]
    options = (f"driver=iscsi,transport=tcp,portal={url['portal']},"
               f"target={url['iqn']},lun={url['lun']},user=real,"
               f"password-secret=chap,initiator-name={HOST_IQN}")

    stranger = run("qemu-img", "info", f"iscsi://{url['portal']}/{url['iqn']}/"
                   f"{url['lun']}", check=False)
    claim("an initiator without credentials is refused", stranger.returncode != 0)

    expected = data_blocks(image)
    begun = time.monotonic()
    run("qemu-img", "convert", *target[:2], "-n", "-f", "raw", "--target-image-opts",
        image, options)
    seconds = time.monotonic() - begun
    print(f"     {expected // MIB} MiB of data written in {seconds:.1f} s")
    same = run("qemu-img", "compare", *target[:2], "--image-opts",
               f"driver=raw,file.driver=file,file.filename={image}", options, check=False)
    claim("reads back identical", same.returncode == 0, same.stdout.strip())
    claim("live space is what was written, within 1 %",
          abs(live() - expected) <= expected / 100,
          f"{live() // MIB} MiB live, {expected // MIB} MiB written")

    varved.varve("lun", "resize", "real/tree", f"{size // MIB + 1024}M")
    with FileView(directory, url) as lun:
        claim("the initiator sees the new size", lun.stat().st_size == size + (1 << 30))
        claim("fsck is clean", run("e2fsck", "-fn", lun, check=False).returncode == 0)
        run("resize2fs", lun)
        claim("fsck is clean after growth",
              run("e2fsck", "-fn", lun, check=False).returncode == 0)
        before = live()
        (directory / "rm").write_text("".join(f'rm "/{v}"\n' for v in victims(tree)))
        run("debugfs", "-w", "-f", directory / "rm", lun)
        run("e2fsck", "-fy", lun, check=False)  # debugfs leaves the counts to it
        run("e2fsck", "-fy", "-E", "discard", lun, check=False)
        claim("fsck is clean after trim",
              run("e2fsck", "-fn", lun, check=False).returncode == 0)
        used = used_bytes(lun)
    claim("live space after trim is at most what the file system uses",
          live() <= used * 1.01, f"{live() // MIB} MiB live, {used // MIB} MiB used, "
          f"{before // MIB} MiB before")
    claim("trim gave space back", live() < before * 0.95)
    varved.stop()
    varved.start()
    with FileView(directory, {**url, "portal": varved.portal()}) as lun:
        claim("fsck is clean after a restart",
              run("e2fsck", "-fn", lun, check=False).returncode == 0)
    varved.stop()


if __name__ == "__main__":
    main(story)
