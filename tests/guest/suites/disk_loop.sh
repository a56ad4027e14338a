#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What disk.sh claims, of a LUN that comes as a disk of the host itself, by tcm_loop.
# timeout: 600
# smoke: no
# disks: 2048
way=loop
. /share/suite_disk.sh
