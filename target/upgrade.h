/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Another varved in place of this one, in the same process: the program that is
 * installed now where this one was started from.
 */
#ifndef TARGET_UPGRADE_H
#define TARGET_UPGRADE_H

#include "target/handover.h"
#include <limits.h>

struct upgrade {
	char path[PATH_MAX];
	char **arguments; /* main's, borrowed */
};

/* At the start, when the program is still where it was started from. */
void upgrade_init(struct upgrade *upgrade, char **arguments);
/* Would it start?  It is run with --check-config, which blocks: on a helper
 * thread.  0; -errno, and ret_problem says why not. */
#define UPGRADE_PROBLEM_MAX 160
int upgrade_check(
    const struct upgrade *upgrade, char ret_problem[UPGRADE_PROBLEM_MAX]);
/* All threads have ended.  Returns only if it cannot: -errno.  If the one that
 * is there now cannot be run, this one is run anew. */
int upgrade_exec(
    const struct upgrade *upgrade, const struct handover *handover);

#endif
