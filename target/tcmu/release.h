/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel exports of a varved that does not run, taken away: before the
 * machine goes down, or for good.
 */
#ifndef TARGET_TCMU_RELEASE_H
#define TARGET_TCMU_RELEASE_H

#include "target/tcmu/lio.h"

/* There is one kernel, and maybe more than one varved (varved --dir): who
 * serves what it exports has this lock.  0 and an open file, whose close gives
 * it back; -EAGAIN: another has it; -errno. */
#define TCMU_LOCK "/run/varve-tcmu.lock"
int tcmu_lock(int *ret_fd);

/* All of it goes, and comes back when varved runs again, which still has it to
 * be exported.  Commands end at once with MEDIUM NOT PRESENT: the kernel
 * flushes a disk before it lets it go, and what is only answered with BUSY it
 * sends again for a quarter of an hour.  Blocks.  0; -EAGAIN: varved runs;
 * -errno: not all has gone, and lio_problem says why. */
int tcmu_release(struct lio *lio);

#endif
