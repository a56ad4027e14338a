#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What disk.sh claims, of a LUN that comes by the kernel's iSCSI target.
# timeout: 600
# smoke: no
# disks: 2048
way=tcmu
. /share/suite_disk.sh
