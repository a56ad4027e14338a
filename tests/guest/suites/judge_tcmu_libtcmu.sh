#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What judge_tcmu.sh finds, with libtcmu for the rings of the kernel's devices.
# timeout: 1200
# smoke: no
# disks: 1024
ring=libtcmu
. /share/suite_judge_tcmu.sh
