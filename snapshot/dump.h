/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Offline: the structures of a pool one by one, as the newest superblock has
 * them, for whoever wants to look at them.  The log is not applied.
 */
#ifndef SNAPSHOT_DUMP_H
#define SNAPSHOT_DUMP_H

#include "snapshot/check.h"
#include "snapshot/format.h"

struct dump {
	uint64_t version; /* whose map is wanted; 0: none */

	/* Each as it is on disk, verified as far as sum and place go; pages
	 * that are not right are findings of the report.  None may be NULL. */
	void (*super)(void *arg, const struct fmt_super *super);
	void (*region)(
	    void *arg, uint64_t index, const struct fmt_region *region);
	void (*record)(
	    void *arg, uint64_t slot, const struct fmt_version *version);
	void (*bookmark)(void *arg, const struct fmt_bookmark *bookmark);
	void (*group)(void *arg, const struct fmt_group *group);
	void (*lost)(void *arg, const struct fmt_lost *lost);
	/* Of the version's map: pages from the root on, each followed by what
	 * is below it; and entries that are not all zero. */
	void (*page)(void *arg, const struct fmt_page *page, uint64_t address);
	void (*entry)(void *arg, uint64_t chunk, const struct fmt_entry *entry);
	/* of the fine page before it */
	void (*sub)(void *arg, unsigned n, const struct fmt_sub *sub);
	void *arg;
};

/* step, report and results as for pool_check(); -ESRCH: no such version. */
int pool_dump(struct backstore **bs, unsigned count, void (*step)(void *arg),
    void *step_arg, struct check_report *report, const struct dump *dump);

#endif
