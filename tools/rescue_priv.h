/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the rescue commands have in common: the devices of a pool opened on a
 * loop of their own, and findings.
 *
 * Private to tools/rescue*.c.
 */
#ifndef TOOLS_RESCUE_PRIV_H
#define TOOLS_RESCUE_PRIV_H

#include "snapshot/check.h"
#include "snapshot/pool.h"
#include "tools/rescue.h"

struct rescue {
	struct loop *loop;
	struct loop_task begin;
	const json_t *paths;
	/* On the loop, with stores[] open: 0, or what rescue_problem() knows;
	 * or it sets problem. */
	int (*work)(struct rescue *rescue);
	struct backstore *stores[POOL_DEVICE_MAX];
	unsigned count, closed;
	bool write;      /* open them for writing */
	bool progress;   /* show it */
	bool scan_named; /* it was said that a scan may help, or one was made */
	uint64_t shown_ns; /* when it was last */
	struct check_report report;
	json_t *findings, *families;
	json_t *problem; /* NULL: finished */
};

/* Opens the devices for reading, does the work, closes them.  What is wrong is
 * the caller's; findings and families are there until rescue_done(). */
json_t *rescue_run(struct rescue *rescue);
void rescue_done(struct rescue *rescue);

/* One event of the loop: for pool_check() and its like. */
void rescue_step(void *arg);
/* One more item of findings. */
void rescue_finding(void *arg, enum check_severity severity, const char *code,
    const char *text);

#endif
