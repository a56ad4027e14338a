/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Offline: what a volume or snapshot holds, read by the walk of check and not
 * by the engine, so that damage costs no more than what it hits.
 */
#ifndef SNAPSHOT_EXTRACT_H
#define SNAPSHOT_EXTRACT_H

#include "snapshot/check.h"

struct extract {
	const char *pool, *volume, *snapshot; /* NULL: the volume itself */
	bool no_log; /* the checkpoint, as if there were no log */

	/* called once, with the size in bytes */
	int (*begin)(void *arg, uint64_t size);
	/* in ascending order, whole blocks of 4 KiB that are not all zeros */
	int (*data)(
	    void *arg, uint64_t offset, const uint8_t *data, uint64_t length);
	/* a range that cannot be read; offsets ascend with those of data */
	void (*damaged)(
	    void *arg, uint64_t offset, uint64_t length, const char *what);
	void *arg;

	/* results */
	uint64_t size, data_bytes, damaged_bytes;
};

/* Writes to none of the backstores.  The records of the log are applied in
 * memory; if that fails, it is a finding of the report, and the checkpoint is
 * what counts.  step, report and results as for pool_check(); and -ESRCH: no
 * such pool, volume or snapshot; or what begin or data returned. */
int pool_extract(struct backstore **bs, unsigned count, void (*step)(void *arg),
    void *step_arg, struct check_report *report, struct extract *extract);

#endif
