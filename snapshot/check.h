/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Offline check of a pool: reads only, by its own walk over the on-disk
 * structures (it shares the format with the engine, not the engine's state):
 * every invariant that can be seen on disk, leaks, double use.
 */
#ifndef SNAPSHOT_CHECK_H
#define SNAPSHOT_CHECK_H

#include "backstores/backstore.h"

enum check_severity { CHECK_NOTE, CHECK_LEAK, CHECK_DAMAGE };

struct check_report {
	/* called once per finding; code is stable ("bitmap.leak"), text says
	 * what and where */
	void (*finding)(void *arg, enum check_severity severity,
	    const char *code, const char *text);
	void (*progress)(void *arg, uint64_t pages_done, uint64_t pages_all);
	void *arg;

	/* results */
	char pool[64];
	uint64_t volumes, pages, data_blocks, leaked_blocks, log_records;
	uint64_t findings[CHECK_DAMAGE + 1];
};

/* Runs the loop given by step until it is done: check is for tools and tests.
 * step(arg) must run one event of the backstores' loop.  Includes the records
 * of the log that recovery would replay.  0: finished, see findings; -ENOENT
 * no pool there; -ENODEV a device missing; -EBADMSG nothing could be opened;
 * -EPROTO newer format; -EIO. */
int pool_check(struct backstore **bs, unsigned count, void (*step)(void *arg),
    void *step_arg, struct check_report *report);

#endif
