#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What tcmu_life.sh claims, with libtcmu for the rings of the kernel's devices; what the
# library is known to get wrong has to fail, and says which issue of tcmu-runner tells of it.
# timeout: 900
# smoke: no
# disks: 1024
ring=libtcmu
. /share/suite_tcmu_life.sh
