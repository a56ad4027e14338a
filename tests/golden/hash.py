#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Computes what the LUNs of a story hold at its end, without varve, and writes
it to the end of the story: hash.py STORY...  (golden.h has the words.)"""
import hashlib
import pathlib
import struct
import sys


def pattern(offset, length, seed):
    return b"".join(struct.pack("<QQ", seed, (offset + at) // 512) * 32
                    for at in range(0, length, 512))


def contents(lines):
    luns = {}
    for word, *rest in (line.split() for line in lines):
        if word == "lun":
            luns[rest[0]] = bytearray(int(rest[1])) if int(rest[1]) < 1 << 30 else None
        elif word == "delete":
            del luns[rest[0]]
        elif word == "snap":
            luns[f"{rest[0]}@{rest[1]}"] = bytearray(luns[rest[0]])
        elif word == "clone":
            luns[rest[1]] = bytearray(luns[rest[0]])
        elif word == "rollback":
            lun = rest[0].split("@")[0]
            luns[f"{lun}@{rest[1]}"] = luns[lun]
            luns[lun] = bytearray(luns[rest[0]])
        elif word == "resize":
            old, size = luns[rest[0]], int(rest[1])
            luns[rest[0]] = old[:size] + bytes(max(0, size - len(old)))
        elif word in ("write", "zero") and luns[rest[0]] is not None:
            offset, length = int(rest[1]), int(rest[2])
            data = pattern(offset, length, int(rest[3])) if word == "write" else bytes(length)
            luns[rest[0]][offset:offset + length] = data
    return luns


def main():
    for name in sys.argv[1:]:
        path = pathlib.Path(name)
        text = [line for line in path.read_text().splitlines()
                if not line.startswith("sha256 ")]
        steps = [line for line in text if line and not line.startswith("#")]
        for lun, data in sorted(contents(steps).items()):
            text.append(f"sha256 {lun} {hashlib.sha256(data).hexdigest()}")
        path.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
