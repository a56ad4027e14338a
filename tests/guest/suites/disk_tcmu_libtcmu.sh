#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What disk_tcmu.sh claims, with libtcmu for the rings of the kernel's devices.
# timeout: 600
# smoke: no
# disks: 2048
way=tcmu
ring=libtcmu
. /share/suite_disk.sh
