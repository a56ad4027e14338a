#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A snapshot over NBD (varve snap serve), by the clients that people have: nbdinfo, nbdcopy,
qemu-img and qemu-io.  Its map is that of qemu-nbd on the same bytes, its dirty map that of a
bitmap of qemu's over the same writes.  Clients that stall, lie or have no ticket harm nobody.

The protocol byte by byte is covered by tests/unit/backup/nbd_test.c.
"""
# timeout: 120
import filecmp
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from claims import claim, claim_equal, main
from varved import BUILD

MIB = 1 << 20
SIZE = 64 * MIB
FULL = 40 * MIB  # of it is written first
rng = random.Random(9)
IQN = "iqn.2008-11.org.linux-kvm"


def run(*command, check=True):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False, timeout=60)
    if check and done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stdout} {done.stderr}")
    return done


class Server:
    """varve snap serve, from its first line to its end."""

    def __init__(self, varved, snap, listen, *options):
        self.process = subprocess.Popen(
            [str(BUILD / "varve"), "--connect", f"unix:{varved.directory}/varve.sock", "--json",
             "snap", "serve", snap, "--nbd", listen, *map(str, options)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        answer = json.loads(self.process.stdout.readline())
        self.uri = answer.get("item", {}).get("uri")
        self.code = answer.get("error", {}).get("code", "")

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.end()
        self.process.stdout.close()
        self.process.stderr.close()


def nbd_map(uri, context="base:allocation"):
    """[(offset, length, type)], what is adjacent and the same as one."""
    joined = []
    for extent in json.loads(run("nbdinfo", "--json", f"--map={context}", uri).stdout):
        if joined and joined[-1][2] == extent["type"]:
            joined[-1][1] += extent["length"]
        else:
            joined.append([extent["offset"], extent["length"], extent["type"]])
    return joined


def dirty_blocks(extents):
    return {block for offset, length, kind in extents if kind
            for block in range(offset // 4096, (offset + length) // 4096)}


def rests_of_chunks(blocks):
    """varve puts a chunk of 64 KiB together again, when it has the time, of which 14 blocks or more
    were redirected: then all of it has changed (docs/backup-api.md)."""
    chunks = {}
    for block in blocks:
        chunks.setdefault(block // 16, set()).add(block)
    return {block for chunk, dirty in chunks.items() if len(dirty) >= 14
            for block in range(16 * chunk, 16 * chunk + 16)} - blocks


def commands_of(count, discards):
    commands = []
    for _ in range(count):
        length = 4096 * rng.randint(1, 64)
        offset = 4096 * rng.randrange((SIZE - length) // 4096)
        # of what never was there a bitmap says dirty, and varve that nothing changed
        gone = discards and offset + length <= FULL and rng.random() < 0.3
        verb = "discard" if gone else f"write -P {rng.randint(1, 255)}"
        commands += ["-c", f"{verb} {offset} {length}"]
    return commands


def oracle(directory, name, image, *options):
    """qemu-nbd on an image: its URI, and its process."""
    path = directory / name
    process = subprocess.Popen(["qemu-nbd", "-r", "-t", "-k", path, *options, image],
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not path.exists() and process.poll() is None:
        pass
    return f"nbd+unix:///?socket={path}", process


def two_days(varved, directory):
    """The same writes to a LUN with two snapshots and to a qcow2 with a bitmap."""
    url = varved.lun("vms/web01", "64M", "h")
    qcow2 = directory / "oracle.qcow2"
    run("qemu-img", "create", "-f", "qcow2", qcow2, "64M")
    for day, discards in (("mon", False), ("tue", True)):
        commands = ["-c", f"write -P 7 0 {FULL}"] if day == "mon" else []
        commands += commands_of(40, discards)
        run("qemu-io", "-d", "unmap", "-f", "raw", *commands, "-c", "flush", url)
        run("qemu-io", "-d", "unmap", "-f", "qcow2", *commands, "-c", "flush", qcow2)
        varved.varve("snap", "create", f"vms/web01@{day}")
        if day == "mon":
            run("qemu-img", "bitmap", "--add", "-g", "4096", qcow2, "since-mon")
    return qcow2


def maps_are_qemus(varved, directory, uri, qcow2):
    raw = directory / "tue.raw"
    varved.varve("snap", "read", "vms/web01@tue", "--to", raw)
    theirs, process = oracle(directory, "raw.sock", raw, "-f", "raw")
    claim_equal("its map is that of qemu-nbd on the same bytes", nbd_map(uri), nbd_map(theirs))
    process.terminate()
    process.wait()
    theirs, process = oracle(directory, "qcow2.sock", qcow2, "-f", "qcow2", "-B", "since-mon")
    bitmap = "qemu:dirty-bitmap:since-mon"
    ours, qemus = dirty_blocks(nbd_map(uri, bitmap)), dirty_blocks(nbd_map(theirs, bitmap))
    claim("its dirty map has all that qemu's bitmap has over the same writes", qemus <= ours,
          sorted(qemus - ours) or "")
    claim_equal("and nothing else but the rest of chunks that were put together",
                sorted(ours - qemus - rests_of_chunks(qemus)), [])
    process.terminate()
    process.wait()
    return raw


def clients_read(directory, uri, raw):
    info = json.loads(run("nbdinfo", "--json", uri).stdout)["exports"][0]
    claim("nbdinfo sees a disk that is read-only",
          info["export-size"] == SIZE and info["is_read_only"])
    claim_equal("with its contexts", sorted(c if isinstance(c, str) else c["name"]
                                            for c in info["contexts"]),
                ["base:allocation", "qemu:dirty-bitmap:since-mon"])
    out = directory / "copy"
    for name, command in {
            "nbdcopy": ["nbdcopy", uri, out],
            "qemu-img": ["qemu-img", "convert", "-f", "raw", "-O", "raw", uri, out],
            "qemu-img, without structured replies and holes": [
                "qemu-img", "dd", "-f", "raw", "-O", "raw", f"if={uri}", f"of={out}", "bs=1M"],
    }.items():
        out.unlink(missing_ok=True)
        run(*command)
        claim(f"{name} copies it, byte for byte", filecmp.cmp(out, raw, shallow=False))
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", uri, directory / "copy.qcow2")
    claim("qemu-img makes a qcow2 of it", run(
        "qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, directory / "copy.qcow2",
        check=False).returncode == 0)
    claim("nobody writes to it",
          run("qemu-io", "-f", "raw", "-c", "write 0 4k", uri, check=False).returncode != 0)
    claim("any bytes of it are read", "verification failed" not in run(
        "qemu-io", "-r", "-f", "raw", "-c", "read 17 513", "-c", "read 262143 3", uri).stdout)


def held_while_served(varved, server, path):
    failed = ""
    try:
        varved.varve("snap", "delete", "vms/web01@tue")
    except Exception as error:  # pylint: disable=broad-except
        failed = str(error)
    claim("what is served is not deleted", "snap.exported" in failed)
    claim("the socket is for its user alone", os.stat(path).st_mode & 0o777 == 0o600)
    claim("it ends when it is told to", server.end() == 0)
    claim("and leaves no socket", not path.exists())
    claim_equal("and no export", [e["name"] for e in varved.varve("export", "list")["items"]],
                ["vms/web01"])


def is_closed(s):
    try:
        while s.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def rude_clients(path, uri, raw, directory):
    """They have their connection, and the others have theirs.  Returns those that stall."""
    def connect():
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(30)
        s.connect(str(path))
        return s
    stalled = [connect() for _ in range(8)]
    liar, mute = connect(), connect()
    liar.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
    mute.sendall(b"\0\0\0\3IHAVEOPT\0\0\0\7\xff\xff\xff\xff")
    out = directory / "beside"
    out.unlink(missing_ok=True)
    run("nbdcopy", uri, out)
    claim("clients that stall and lie beside it do not disturb one that does not",
          filecmp.cmp(out, raw, shallow=False))

    claim("who lies is cut off", is_closed(liar) and is_closed(mute))
    return stalled


def tls(varved, directory, raw):
    pki = directory / "pki"
    pki.mkdir()
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
        "subjectAltName=IP:127.0.0.1", "-keyout", pki / "server-key.pem", "-out",
        pki / "server-cert.pem")
    (pki / "ca-cert.pem").write_bytes((pki / "server-cert.pem").read_bytes())
    with Server(varved, "vms/web01@tue", "127.0.0.1:0", "--tls", pki) as server:
        out = directory / "secret"
        run("nbdcopy", "--requests=64", f"{server.uri}?tls-certificates={pki}", out)
        claim("nbdcopy reads it by TLS", filecmp.cmp(out, raw, shallow=False))
        claim("in the clear it is refused", run(
            "nbdinfo", server.uri.replace("nbds://", "nbd://"), check=False).returncode != 0)
        ticket = server.uri.rsplit("/", 1)[1]
        claim("without its ticket, too", len(ticket) == 32 and run(
            "nbdinfo", server.uri.replace(ticket, "vms/web01@tue")
            + f"?tls-certificates={pki}", check=False).returncode != 0)
    with Server(varved, "vms/web01@tue", "0.0.0.0:0") as server:
        claim_equal("to other machines it is not served without", server.code, "serve.tls")


def certificate(pki, name, ca, *options):
    """NAME-cert.pem, NAME-key.pem of a CA; of itself when that is its name."""
    template, key, cert = (pki / f"{name}{end}" for end in (".cfg", "-key.pem", "-cert.pem"))
    template.write_text(f'cn = "{name}"\nexpiration_days = 2\n' + "\n".join(options) + "\n")
    run("certtool", "--generate-privkey", "--ecdsa", "--outfile", key)
    of = ["--generate-self-signed"] if ca == name else [
        "--generate-certificate", "--load-ca-certificate", pki / f"{ca}-cert.pem",
        "--load-ca-privkey", pki / f"{ca}-key.pem"]
    run("certtool", *of, "--load-privkey", key, "--template", template, "--outfile", cert)


def tls_of_clients(varved, directory, raw):
    """Who has no certificate of the CA, or not one for clients, is not let in."""
    pki = directory / "pki-of-clients"
    pki.mkdir()
    certificate(pki, "ca", "ca", "ca", "cert_signing_key", "crl_signing_key")
    certificate(pki, "stranger", "stranger", "ca", "cert_signing_key", "crl_signing_key")
    certificate(pki, "server", "ca", "tls_www_server", "ip_address = 127.0.0.1")
    certificate(pki, "good", "ca", "tls_www_client")
    certificate(pki, "other", "stranger", "tls_www_client")
    certificate(pki, "host", "ca", "tls_www_server")
    certificate(pki, "revoked", "ca", "tls_www_client")
    (pki / "crl.cfg").write_text("crl_next_update = 2\ncrl_number = 1\n")
    run("certtool", "--generate-crl", "--load-ca-privkey", pki / "ca-key.pem",
        "--load-ca-certificate", pki / "ca-cert.pem", "--load-certificate",
        pki / "revoked-cert.pem", "--template", pki / "crl.cfg", "--outfile",
        pki / "ca-crl.pem")
    with Server(varved, "vms/web01@tue", "127.0.0.1:0", "--tls", pki, "--tls-verify") as server:
        let_in = []
        for who in ("nobody", "good", "other", "host", "revoked"):
            own = directory / f"pki-{who}"
            own.mkdir()
            (own / "ca-cert.pem").write_bytes((pki / "ca-cert.pem").read_bytes())
            for end in ("cert", "key") if who != "nobody" else ():
                (own / f"client-{end}.pem").write_bytes((pki / f"{who}-{end}.pem").read_bytes())
            if run("nbdinfo", f"{server.uri}?tls-certificates={own}", check=False
                   ).returncode == 0:
                let_in.append(who)
        claim_equal("only who has a certificate for clients, of the CA, is let in",
                    let_in, ["good"])
        out = directory / "of-clients"
        host, port = server.uri.split("/")[2].split(":")
        run("qemu-img", "convert", "-O", "raw", "--object",
            f"tls-creds-x509,id=t,dir={directory}/pki-good,endpoint=client", "--image-opts",
            f"driver=nbd,host={host},port={port},export={server.uri.rsplit('/', 1)[1]},"
            "tls-creds=t", out)
        claim("and qemu-img reads it", filecmp.cmp(out, raw, shallow=False))
    (pki / "ca-cert.pem").unlink()
    with Server(varved, "vms/web01@tue", "127.0.0.1:0", "--tls", pki, "--tls-verify") as server:
        claim_equal("without a CA it is not served so", server.code, "serve.tls")
    with Server(varved, "vms/web01@tue", "127.0.0.1:0", "--tls-verify") as server:
        claim_equal("nor without TLS", server.code, "usage.option")


def many_at_once(directory, uri, raw):
    """Reads of all lengths, many under way, over one connection and several."""
    for connections, requests, size in ((1, 64, 4096), (1, 16, 1 << 20), (4, 32, 262144),
                                        (1, 3, 32 * MIB)):
        out = directory / "many"
        out.unlink(missing_ok=True)
        run("nbdcopy", "--no-extents", f"--connections={connections}",
            f"--requests={requests}", f"--request-size={size}", uri, out)
        claim(f"{requests} requests of {size} bytes at once over {connections} connections",
              filecmp.cmp(out, raw, shallow=False))


def story(directory, varved):
    varved.varve("pool", "create", "vms", directory / "vms.pool", "--size", "512M")
    varved.varve("host", "add", "h", "--iqn", IQN, "--no-chap")
    qcow2 = two_days(varved, directory)
    path = directory / "nbd.sock"
    with Server(varved, "vms/web01@tue", f"unix:{path}", "--since", "@mon") as server:
        raw = maps_are_qemus(varved, directory, server.uri, qcow2)
        stalled = rude_clients(path, server.uri, raw, directory)
        clients_read(directory, server.uri, raw)
        many_at_once(directory, server.uri, raw)
        claim("who stalls is cut off in the end", all(is_closed(s) for s in stalled))
        held_while_served(varved, server, path)
    varved.varve("bookmark", "create", "vms/web01@mon", "monday")
    varved.varve("snap", "delete", "vms/web01@mon")
    with Server(varved, "vms/web01@tue", f"unix:{path}", "--since", "monday") as server:
        dirty = nbd_map(server.uri, "qemu:dirty-bitmap:since-monday")
        claim("a bookmark is a base too", any(e[2] == 1 for e in dirty))
        server.end(signal.SIGKILL)
    with Server(varved, "vms/web01@tue", f"unix:{path}", "--ttl", "2s") as server:
        claim("a socket that a killed one left is taken again", server.uri is not None)
        claim("it ends when its time is over", server.process.wait(30) == 0)
    with Server(varved, "vms/web01@tue", f"unix:{path}", "--since", "friday") as server:
        claim_equal("a base that is not there is said", server.code, "bookmark.not-found")
    tls(varved, directory, raw)
    tls_of_clients(varved, directory, raw)


if __name__ == "__main__":
    main(story)
