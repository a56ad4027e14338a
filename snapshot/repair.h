/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Offline repair: what follows from the trees is made anew from them, in
 * memory; whoever asked for it decides whether it is written.
 *
 *	superblock   the one before the newest, if the newest names damage and
 *	             that one does not
 *	bitmap       from what the maps hold; while parts of them cannot be
 *	             read nothing is freed
 *	counters     of regions, versions and the pool
 *	log          applied by the engine's recovery; dropped, and said so, if
 *	             that cannot be
 *	labels       copies from the best
 *
 * Not repaired: pages of maps and tables, entries, what two hold at once,
 * losses.  It all ends in a new superblock, after pages that it alone names, so
 * the old state is there until that one is.
 *
 * With a scan, pages of maps and tables that are damaged in all copies are made
 * anew in their places before all that, by the rules of repair_scan.h, and
 * losses are counted again.  Then the newest superblock counts, and if there is
 * none, one is made.  Labels are not: each device needs one of its four.
 */
#ifndef SNAPSHOT_REPAIR_H
#define SNAPSHOT_REPAIR_H

#include "backstores/overlay.h"
#include "snapshot/check.h"
#include "snapshot/format.h"

struct repair {
	/* results */
	bool older;           /* the superblock before the newest counts */
	uint64_t log_records; /* that were applied, or dropped */
	bool log_dropped;
	bool keep; /* an old table may have missed some: nothing is freed */
	unsigned count;                       /* as bs[] was given */
	struct backstore *bs[FMT_DEVICE_MAX]; /* the pool as repaired */

	/* repair's own */
	bool scan;
	struct backstore **base;
	struct backstore *low[FMT_DEVICE_MAX];
	struct overlay *overlay[2][FMT_DEVICE_MAX];
	void (*step)(void *arg);
	void *step_arg;
};

/* Writes to none of bs[].  step and results as for pool_check(); -EBADMSG also:
 * a table is damaged, so that there is nothing to build on; -ENOSPC: no room
 * for new pages.  repair_done() in any case. */
int pool_repair(struct backstore **bs, unsigned count, void (*step)(void *arg),
    void *step_arg, struct repair *ret_repair);

/* As that, with a scan.  report->finding is told what was made anew (notes),
 * and what is lost or may be out of date (damage); the rest of *report is
 * neither read nor set.  Memory: 48 bytes for each block of metadata. */
int pool_repair_scan(struct backstore **bs, unsigned count,
    void (*step)(void *arg), void *step_arg, struct check_report *report,
    struct repair *ret_repair);

/* Every block of 4 KiB that is to be changed: device n as given, what it holds
 * and what it shall hold. */
int repair_each(struct repair *repair,
    int (*each)(void *arg, unsigned n, uint64_t offset, const uint8_t *old,
	const uint8_t *new),
    void *arg);

void repair_done(struct repair *repair);

#endif
