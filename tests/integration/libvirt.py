#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A user's libvirtd with varve's plugin: pools and volumes by virsh.  A slice of what
`make test-libvirt` does: system's libvirtd, forwarded sockets, guests, faults and the
plugin under ASan are not covered here.
"""
# timeout: 240
import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]),
                str(pathlib.Path(__file__).resolve().parents[1] / "libvirt")]
import libvirtd
import volumes
from claims import main

libvirtd.become_nobody()
main(volumes.volumes)
