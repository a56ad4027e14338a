/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Break switches: each makes the engine violate one of its invariants, so that
 * the tests can show that they would notice.  All false; only tests set them.
 */
#ifndef SNAPSHOT_BREAKS_H
#define SNAPSHOT_BREAKS_H

#include <stdbool.h>

struct engine_breaks {
	bool i3_ignore_birth;  /* overwrite what the parent shares */
	bool i6_no_data_flush; /* map record durable before its data */
	bool
	    i7_reuse_undurable; /* reuse before the freeing record is durable */
	bool i7_reuse_in_flight; /* reuse under I/O that looked it up */
	bool i8_overwrite_pages; /* checkpoint writes pages where they were */
	bool i9_super_first;     /* superblock before its pages are durable */
	bool i9_single_slot;     /* always the same superblock slot */
	bool i10_truncate_early; /* log space free before the superblock is */
	bool i10_accept_stale;   /* replay blocks of an old life of the log */
	bool i11_replay_no_mask; /* replay does not or masks together */
	bool i11_record_order;   /* records of a commit in reverse order */
};

extern struct engine_breaks engine_breaks;

#endif
