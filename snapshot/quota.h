/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Quotas: how much a volume and its snapshots may hold.
 *
 * What counts is what the volume holds (chunks and blocks, as allocated of
 * volume_stat) and what only its snapshots hold (snap_held of family_stat).  No
 * change of a map lets that sum grow by more than the space that was reserved
 * for it: a block that a version lets go of leaves the first and may come to
 * the second.  So it is enough to look where space is given out, with what is
 * under way counted too:
 *
 *	held + snap_held + pending <= quota
 *
 * What is under way counts in full, though it may replace something that will
 * be free: just below the quota a write can be refused that would have fit had
 * it waited for those before it.
 *
 * held and pending are counters.  snap_held is kept by the changes of the
 * volume's map, and computed anew when its family changes: a snapshot is taken
 * or gone, a clone comes or goes.  The last may let it grow: what a snapshot
 * shared with a clone is the snapshot's alone when the clone goes.  Then, and
 * when the quota is set to less than there is, the volume is over its quota and
 * gets nothing until it is under it again.
 */
#ifndef SNAPSHOT_QUOTA_H
#define SNAPSHOT_QUOTA_H

#include "snapshot/volume.h"

#define QUOTA_NONE UINT64_MAX

/* How many of want blocks, a multiple of unit, a volume with a quota may get;
 * where it is none that is an event. */
uint64_t quota_ask(struct volume *volume, uint64_t want, unsigned unit);
/* From a record: bytes, 0: none. */
void quota_set(struct volume *volume, uint64_t bytes);
uint64_t quota_bytes(const struct volume *volume);
/* Computes snap_held anew. */
void quota_look(struct volume *volume);

static inline uint64_t
quota_used(const struct volume *volume)
{
	return volume->held_blocks + volume->snap_held + volume->pending_blocks;
}

/* ... of any volume. */
static inline uint64_t
quota_allows(struct volume *volume, uint64_t want, unsigned unit)
{
	if (__builtin_expect(volume->quota_blocks == QUOTA_NONE, true))
		return want;
	return quota_ask(volume, want, unit);
}

#endif
