#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sg3_utils and ddpt as an admin uses them, in a guest of Debian's kernel whose disks are
LUNs passed through by QEMU (scsi-generic): each page and answer is decoded, each change
has its effect, and no tool finds anything to complain about.

Does not cover the kernel's own initiator, and two hosts (reservations.py).
"""
# timeout: 600
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "guest"))
from claims import claim, claim_equal, held, main
from guest import Guest

QEMU_IQN = "iqn.2008-11.org.linux-kvm"
BLOCKS = 2048  # of 512 bytes, of random data

# What an admin types of LUN A or B, and what the answer must hold, in this order.  ddpt 0.97 puts
# the ranges of tokens one byte too early, so that it asks for 256 times what it is told;
# sg_read_buffer 1.46 asks for no byte, so sg_raw reads the buffers' descriptors.
COMMANDS = """
sg_turs A |
sg_luns A | Report luns
sg_inq A | VARVE ; varve LUN
sg_inq --vpd --page=sv A | Third party copy ; Logical block provisioning
sg_vpd -p sn A | Unit serial number:
sg_vpd -p di A | NAA ; vms/a ; SCSI name string
sg_vpd -p ei A | HEADSUP=1 ORDSUP=1 SIMPSUP=1
sg_vpd -p sp A | Relative port=1 ; Target port group: 0x1
sg_vpd -p tpc A | Populate token ; block device zero
sg_vpd -p bl A | Maximum compare and write length: 255 ; Maximum atomic transfer length: 2048
sg_vpd -p bdc A | Block device characteristics
sg_vpd -p lbpv A | Unmap command supported (LBPU): 1 ; thin provisioned
sg_readcap --long A | lbpme=1, lbprz=1 ; 64.0 MiB
sg_requests A | No Sense
sg_opcodes A | Populate token ; Write atomic(16)
sg_opcodes --tmf A | Abort task set ; I_T nexus reset
sg_opcodes --opcode=0x83,0x11 A | Write using token ; is supported
sg_rtpg --decode A | target port group id : 0x1 ; active/optimized
sg_rtpg --extended --decode A | active/optimized
sg_stpg --active A |
sg_senddiag --test A |
sg_senddiag --list A | Supported diagnostic pages
sg_raw -r 4 A 3c 03 00 00 00 00 00 00 04 00 | 00 00 10 00
sg_raw -r 4 A 3c 0b 00 00 00 00 00 00 04 00 | 01 00 10 00
sg_test_rwbuf --size=4096 A | Success
sg_modes -a A | Caching ; Control ; Informational exceptions
sg_logs -a A | mapping threshold resource count ; Temperature page ; number of read commands
sg_persist --in --read-keys A | NO registered reservation keys
sg_persist --out --register --param-sark=abc A |
sg_persist --out --reserve --param-rk=abc --prout-type=1 A |
sg_persist --in --read-full-status A | Key=0xabc ; Reservation holder ; Write Exclusive
sg_persist --in --report-capabilities A | Persist Through Power Loss Capable(PTPL_C): 1
sg_persist --out --clear --param-rk=abc A |
sg_get_lba_status A | 131072  deallocated
sg_dd if=/tmp/data of=A bs=512 count=2048 |
sg_get_lba_status A | 2048  mapped
sg_sync A |
sg_verify --lba=0 --count=2048 A |
sg_verify --16 --lba=0 --count=64 --ndo=32768 --in=/tmp/data A |
sg_xcopy if=A of=B bs=512 count=2048 | 2048 blocks
sg_dd if=B of=/tmp/back bs=512 count=2048 |
cmp /tmp/data /tmp/back |
sg_copy_results --params A | Copy from block device to block device
ddptctl --pt=0,8 --rtf=/tmp/token A | transfer count of 2048
ddptctl --wut=20,8 --rtf=/tmp/token B | transfer count of 2048
sg_dd if=B of=/tmp/back bs=512 skip=5120 count=2048 |
cmp /tmp/data /tmp/back |
sg_write_same --16 --lba=0 --num=8 --unmap A |
sg_unmap --force --lba=16 --num=8 A |
sg_get_lba_status --maxlen=512 A | 8  deallocated ; 8  mapped ; 8  deallocated
sg_compare_and_write --in=/tmp/pair --lba=8 --num=1 --xferlen=1024 A |
sg_dd if=A of=/tmp/one bs=512 skip=8 count=1 |
cmp /tmp/second /tmp/one |
sg_write_x --or --lba=8 --num=1 --in=/tmp/second A |
sg_write_x --atomic=0 --lba=8 --num=8 --in=/tmp/eight A |
sg_start --stop A |
sg_start --start A |
sg_sanitize --block --quick --wait A |
sg_dd if=A of=/tmp/back bs=512 count=2048 |
cmp /tmp/zeros /tmp/back |
sg_dd if=/tmp/data of=B bs=512 count=2048 |
sg_format --format --quick B | FORMAT UNIT Complete
sg_dd if=B of=/tmp/back bs=512 count=2048 |
cmp /tmp/zeros /tmp/back |
"""

# "no errors" and the names of fields are no complaints.
COMPLAINTS = re.compile(
    r"warning|unable|fail|not supported|illegal|bad field|invalid|error(?!s|=)"
    r"|unexpected|too (short|long)|decode", re.IGNORECASE)
NO_COMPLAINT = re.compile(r"error recovery|failure (details|mode)|data-in decoded"
                          r"|(percentages|Inline data) not supported")

PREPARE = f"""
for m in virtio_pci virtio_scsi sd_mod sg; do modprobe $m; done
i=0
while [ ! -e /dev/sg1 ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
dd if=/dev/urandom of=/tmp/data bs=512 count={BLOCKS} 2>/dev/null
dd if=/dev/zero of=/tmp/zeros bs=512 count={BLOCKS} 2>/dev/null
dd if=/tmp/data of=/tmp/eight bs=512 count=8 2>/dev/null
dd if=/tmp/data of=/tmp/second bs=512 skip=9 count=1 2>/dev/null
(dd if=/tmp/data bs=512 skip=8 count=1; cat /tmp/second) >/tmp/pair 2>/dev/null
"""


def commands():
    for line in COMMANDS.strip().splitlines():
        command, _, expected = line.partition("|")
        yield command.strip(), [text.strip() for text in expected.split(";") if text.strip()]


def script():
    lines = [PREPARE]
    for i, (command, _) in enumerate(commands()):
        command = re.sub(r"\b[AB]\b", lambda m: f"/dev/sg{'AB'.index(m[0])}", command)
        lines.append(f"echo '@@ {i}'; {command} 2>&1; echo \"@@ = $?\"")
    return "\n".join(lines) + "\n"


def complaints(text):
    return [line for line in text.splitlines()
            if COMPLAINTS.search(line) and not NO_COMPLAINT.search(line)]


def judge(said):
    answers = dict(re.findall(r"@@ (\d+)\r?\n(.*?)@@ = ", said, re.DOTALL))
    status = re.findall(r"@@ = (\d+)", said)
    for i, (command, expected) in enumerate(commands()):
        text = answers.get(str(i), "").replace("\r", "")
        if not claim(command, i < len(status) and status[i] == "0"):
            print(text)
            continue
        missing = [e for e in expected if e not in text]
        if missing or complaints(text):
            claim("... says what it should", False, (missing, complaints(text)))
            print(text)


def story(directory, varved):
    varved.varve("pool", "create", "vms", directory / "a.pool", "--size", "300M")
    varved.varve("host", "add", "qemu", "--iqn", QEMU_IQN, "--no-chap")
    drives = ["-device", "virtio-scsi-pci,id=s"]
    for name in "ab":
        url = varved.lun(f"vms/{name}", "64M", "qemu")
        drives += ["-drive", f"file={url},format=raw,if=none,id={name}",
                   "-device", f"scsi-generic,drive={name},bus=s.0"]
    guest = Guest(directory, script(), drives)
    try:
        claim_equal("the guest's script ends", guest.wait_end(400), 0)
        judge(guest.said())
    finally:
        guest.stop()
    if not all(held):
        print((directory / "qemu.txt").read_text()[-2000:])


if __name__ == "__main__":
    main(story)
