/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside of repair.
 */
#ifndef SNAPSHOT_REPAIR_PRIV_H
#define SNAPSHOT_REPAIR_PRIV_H

#include "snapshot/check_priv.h"
#include "snapshot/repair.h"

/* flags */
enum {
	REBUILD_KEEP = 1,   /* what is marked used stays so; else what nothing
			     * uses is free */
	REBUILD_NO_LOG = 2, /* the log's records never count again */
	REBUILD_LOST = 4,   /* the losses as counted */
	REBUILD_MARKS = 8,  /* what versions say of bookmarks and groups, too */
};

/* Writes bitmap, regions and versions anew, and a superblock that names them.
 * 0; -EBADMSG: regions or versions are damaged; -ENOSPC, -ENOMEM, -EIO. */
int repair_rebuild(struct check *check, unsigned flags);

/* Its copies would be the newest again. */
int repair_super_wipe(struct repair *repair, const struct fmt_super *super);
/* What a pass finds of the newest checkpoint that a rebuild does not mend. */
unsigned repair_beyond(struct repair *repair);

struct scan;

/* Makes damaged pages anew, in their places (repair_scan.h), and tells of them.
 * 0, or as pool_check(); repair_scan_free() in any case. */
int repair_scan(
    struct repair *repair, struct check_report *report, struct scan **ret_scan);
/* When all is done: tells what stays lost.  As that. */
int repair_scan_end(struct scan *scan);
void repair_scan_free(struct scan *scan);

#endif
