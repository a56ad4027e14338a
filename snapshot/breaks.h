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
	bool i7_reuse_in_flight;   /* reuse under I/O that looked it up */
	bool i8_overwrite_pages;   /* checkpoint writes pages where they were */
	bool i9_super_first;       /* superblock before its pages are durable */
	bool i9_single_slot;       /* always the same superblock slot */
	bool i10_truncate_early;   /* log space free before the superblock is */
	bool i10_accept_stale;     /* replay blocks of an old life of the log */
	bool i11_replay_no_mask;   /* replay does not or masks together */
	bool i11_record_order;     /* records of a commit in reverse order */
	bool i11_group_torn;       /* a block of the log ends within a group */
	bool i12_early_flush;      /* FLUSH ends before anything is durable */
	bool i13_refuse_when_full; /* what is there cannot be overwritten */
	bool i14_trust_pages;      /* pages are not looked at */
	bool i15_ignore_bookmark;  /* overwrite what a bookmark remembers */
	bool i16_no_rebirth;       /* change pages and keep their old birth */
	bool i17_no_hole_birth;    /* holes forget when they came to be */

	/* snapshots */
	bool i1_fine_twice;     /* MAP_FINE takes no bits: handed out again */
	bool i2_change_frozen;  /* a page the parent shares is taken for ours */
	bool i3_no_cursor_rule; /* a parent being deleted counts for all of
				 * its range, whatever its cursor */
	bool i4_mask_only;      /* a dying COARSE entry holds its valid blocks
				 * only */
	bool i4_ignore_birth;   /* a dying version frees its parent's blocks */
	bool i4_ignore_child;   /* ... what its only child still has */
	bool i4_two_children;   /* ... without waiting for one child */
	bool i5_no_epoch;       /* a snapshot does not end the epoch */
	bool cut_no_drain;      /* a snapshot is reported before the writes in
				 * flight at the cut have ended */
	bool cut_no_park;       /* a write in flight over the cut is mapped as
				 * if it had not happened: into what is shared
				 * now */
	bool rmw_no_drain;      /* read-modify-write and copies do not wait for
				 * writes in flight since before the cut */
	bool rollback_keeps_marks; /* ... bookmarks of another line */
	bool busy_ignored;       /* writes in place do not wait for a rewrite */
	bool rewrite_no_barrier; /* a rewrite does not wait for writes in place
				  * that came before it */
	bool rewrite_stale;      /* it is installed whatever came between */
	bool atomic_in_place;    /* an atomic write overwrites where it may */
	bool atomic_torn;        /* ... is installed part by part */
	bool atomic_unmapped;    /* ... overwrites what is unmapped, though that
				  * may come back */
	bool reserve_ignored;    /* others get what is set aside */
	bool grow_early;         /* new regions are taken before the table that
				  * has them is durable */
	bool pin_ignored;        /* what a pinned checkpoint has is used again
				  * like all else */

	/* regions that move (move.h) */
	bool move_no_copy;   /* the places are exchanged before the copy is
			      * durable: without one */
	bool move_one_place; /* writes go only to the old place while the
			      * region is copied */
	bool move_no_gate;   /* ... and do not wait while their part is */
	bool move_any_order; /* writes that overlap end in one order here and
			      * in another there */
	bool move_no_wait;   /* the old place is let go before the table that
			      * names the new one is durable */
};

extern struct engine_breaks engine_breaks;

#endif
