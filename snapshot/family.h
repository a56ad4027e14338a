/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots, clones, bookmarks, groups and differences: the versions of one
 * family of volumes.  A snapshot is a struct volume too, which never changes:
 * volume_stat_get() and volume_open() (for reading) work on it.
 *
 * As in pool.h: requests run one after the other, done is called once, later;
 * names and parameters are copied.  -EROFS and -EIO: the pool is read-only or
 * suspect; -EINVAL: a name is not valid.  What is said to be done is durable.
 */
#ifndef SNAPSHOT_FAMILY_H
#define SNAPSHOT_FAMILY_H

#include "base/consistency.h"
#include "snapshot/pool.h"

/* ---- snapshots ---- */

#define SNAPSHOT_VOLUMES_MAX 256u /* of one group snapshot */

struct snapshot_params {
	const char *name; /* unique among the snapshots of a volume */
	bool hold;        /* refuses to be deleted until let go */
	enum consistency consistency; /* of all of them */
	uuid_t uuid; /* all zero: made at random; only for one volume */
};

/* Snapshots of all volumes at one instant, with the same name.  Writes
 * admitted before the call that are acknowledged before done are in it or not;
 * what was acknowledged before the call is in it; if a write is in it, so is
 * all that was acknowledged before that write was submitted, over all the
 * volumes.  I/O goes on meanwhile.  Cost: independent of sizes.
 * request->volume: the snapshot of volumes[0].  -EEXIST: a volume has one of
 * that name (nothing is made); -ENOSPC: no room for the records. */
void snapshot_create(struct pool *pool, struct volume *const *volumes,
    unsigned count, const struct snapshot_params *params,
    struct pool_request *request);

/* The snapshot of volume (a head) with that name, or NULL. */
struct volume *snapshot_find(struct volume *volume, const char *name);
/* From the oldest to the newest: NULL starts and ends. */
struct volume *snapshot_next(struct volume *volume, struct volume *snapshot);

bool volume_is_snapshot(const struct volume *volume);
/* Of a snapshot: the volume it was taken of, NULL if that is gone. */
struct volume *snapshot_volume(const struct volume *snapshot);
/* The snapshot a volume was cloned from or rolled back to, or the newest of
 * its own; NULL: none, or deleted. */
struct volume *volume_parent(const struct volume *volume);

/* The data of a volume is about to be erased for good, or no longer: until then
 * it can have no snapshots.  exits: whoever erases may give up.  -EBUSY: it
 * shares blocks, or a bookmark remembers them, and they would stay. */
void volume_set_erasing(struct pool *pool, struct volume *volume, bool erasing,
    bool exits, struct pool_request *request);
bool volume_is_erasing(const struct volume *volume, bool *ret_exits);

/* hold or let go: -EINVAL: not a snapshot. */
void snapshot_hold(struct pool *pool, struct volume *snapshot, bool hold,
    struct pool_request *request);

/* What is known of it now, more or less than when it was made: -EINVAL: not a
 * snapshot. */
void snapshot_set_consistency(struct pool *pool, struct volume *snapshot,
    enum consistency consistency, struct pool_request *request);

/* volume_rename() and volume_delete() take snapshots too.  Deleting: the name
 * is free at once, the space in the background, once no more than one clone or
 * snapshot stands on it.  -EBUSY: open; -EPERM: held. */

/* ---- clones ---- */

/* A new volume with the contents of snapshot, sharing all its space.
 * params: name; size 0: the snapshot's, larger: grown; block_size and cow_unit
 * are the snapshot's (0).  request->volume: the clone.  Errors as
 * volume_create(). */
void volume_clone(struct pool *pool, struct volume *snapshot,
    const struct volume_params *params, struct pool_request *request);

/* The volume becomes what snapshot (of its family) is; what it was is kept as
 * its snapshot keep_name.  Its bookmarks of what it does not descend from any
 * more are dropped.  An open backstore of it changes its size before done.
 * -EBUSY with I/O in flight; -EEXIST keep_name taken; -EINVAL: not of its
 * family. */
void volume_rollback(struct pool *pool, struct volume *volume,
    struct volume *snapshot, const char *keep_name,
    struct pool_request *request);

/* ---- trash ---- */

/* Puts a volume with its snapshots (or one snapshot) into the trash: it keeps
 * its space, its name is free.  -EBUSY: open; -EPERM: held. */
void volume_trash(
    struct pool *pool, struct volume *volume, struct pool_request *request);
/* Brings it back, under name (NULL: its old one).  -EEXIST: taken. */
void volume_restore(struct pool *pool, struct volume *volume, const char *name,
    struct pool_request *request);
/* In the trash, oldest first: NULL starts and ends.  A snapshot that went with
 * its volume is not listed for itself. */
struct volume *trash_next(struct pool *pool, struct volume *volume);

/* ---- bookmarks ---- */

struct bookmark {
	char name[POOL_NAME_MAX + 1];
	uuid_t uuid;
	uint32_t epoch; /* of the snapshot it marks */
	uint64_t created_unix;
};

/* Remembers snapshot (of volume's own line: an ancestor of it) as the base of
 * a later difference, without holding its data.  -EEXIST, -EINVAL: not an
 * ancestor; -ENOSPC. */
void bookmark_create(struct pool *pool, struct volume *volume,
    struct volume *snapshot, const char *name, struct pool_request *request);
/* -ENOENT. */
void bookmark_delete(struct pool *pool, struct volume *volume, const char *name,
    struct pool_request *request);
/* By age; index from 0: false: no more. */
bool bookmark_get(
    struct volume *volume, unsigned index, struct bookmark *ret_bookmark);

/* ---- groups: names for sets of volumes ---- */

/* -EEXIST, -EBUSY: a volume is in a group already. */
void group_create(struct pool *pool, const char *name,
    struct volume *const *volumes, unsigned count,
    struct pool_request *request);
/* The volumes stay.  -ENOENT. */
void group_delete(
    struct pool *pool, const char *name, struct pool_request *request);
/* -ENOENT; -EBUSY: in another group; member false: takes it out. */
void group_set_member(struct pool *pool, const char *name,
    struct volume *volume, bool member, struct pool_request *request);
/* In order of name; index from 0: NULL: no more. */
const char *group_name(struct pool *pool, unsigned index);
/* Name of the group a volume is in, or NULL. */
const char *volume_group(const struct volume *volume);

/* ---- differences ---- */

enum diff_kind { DIFF_DATA, DIFF_ZERO };

struct diff_extent {
	uint64_t offset, length; /* bytes, multiples of 4 KiB */
	enum diff_kind kind;
};

/* What of `to` (a snapshot, or a volume as it is now) differs from a point of
 * its family.  base: a snapshot; or NULL and base_epoch, of a bookmark of
 * `to`'s line; or NULL and 0: against nothing, then all data is reported.
 * Exact to a cow unit between snapshots, but where the engine has put a chunk
 * together (half of it was new then) or flattened a clone: there, and against
 * a bookmark, never too little, at times too much.  Where the sizes differ,
 * what lies past the smaller end is reported as data or zero of `to`.  Cost:
 * the pages that differ. */
struct diff_request {
	struct pool_request request; /* first; volume, done: as ever */
	struct volume *to, *base;
	uint32_t base_epoch;
	uint64_t offset;            /* where to begin; after done: where to go
				     * on */
	struct diff_extent *extent; /* the caller's, until done */
	unsigned extent_max, extent_count;
	bool end;              /* nothing is left */
	uint64_t pages;        /* counted: looked at */
	struct waiter *waiter; /* the engine's */
};

/* Finds up to extent_max extents, in a bounded number of leaves: extent_count
 * may be 0 and end false.  -EINVAL: not of one family, or the bookmark is not
 * of its line; -ENODATA: metadata cannot be read.  Does not wait for other
 * requests. */
void volume_diff(struct pool *pool, struct diff_request *diff);

/* ---- figures ---- */

struct family_stat {
	uint64_t live;      /* bytes mapped, exact to 4 KiB */
	uint64_t exclusive; /* bytes that would be free if it alone went */
	uint64_t snap_held; /* of a volume: if all its snapshots went */
	uint64_t created_unix, deleted_unix;
	uint32_t epoch;     /* of a snapshot: the pool's, that it ended */
	unsigned snapshots; /* of a volume */
	unsigned children;  /* versions that stand on it */
	bool hold, trashed;
	enum consistency consistency; /* of a snapshot */
	bool is_clone; /* stands on what was another's, and may be deleted */
	/* exact, kept by every change: chunks that are mapped block by block,
	 * and in how many pieces their data lies: runs of blocks that follow
	 * one another on the device.  Other chunks lie in one piece. */
	uint64_t fine_chunks, fragments;
	uint64_t rewrites; /* chunks put together again since open */
};
void family_stat_get(struct volume *volume, struct family_stat *ret_stat);

/* ---- background work ---- */

enum pool_job_kind {
	POOL_JOB_DELETE,
	POOL_JOB_FLATTEN,
	POOL_JOB_MIRROR,   /* second copies of metadata are being made */
	POOL_JOB_SCRUB,    /* all metadata is read and compared */
	POOL_JOB_EVACUATE, /* regions go to other devices */
};

struct pool_job_stat {
	enum pool_job_kind kind;
	uuid_t uuid;                  /* of the version it works on, or pool */
	char name[POOL_NAME_MAX + 1]; /* the version had, or the pool has */
	bool running;                 /* else it waits */
	uint64_t done, total;         /* bytes of its address space */
	uint64_t freed;               /* bytes, since the pool is open */
};
/* index from 0: false: no more. */
bool pool_job_get(
    struct pool *pool, unsigned index, struct pool_job_stat *ret_stat);

/* Background work takes at most so much of the time of the loop: 1 to 100
 * percent; 0: 25. */
void pool_set_background(struct pool *pool, unsigned percent);
unsigned pool_background(const struct pool *pool);

/* Copies all that a clone shares, in the background, until it stands alone:
 * then what it was cloned from may be deleted.  done: when that is so, durably;
 * at once if it shares nothing with other volumes.  Snapshots taken of it stay
 * as they are, so it must have none between it and its origin: -EBUSY, and the
 * problem names one.  I/O goes on meanwhile; several are done one after the
 * other, beside other requests.  -EINVAL: a snapshot; -ENOSPC: the pool is
 * full, or to its hard threshold; -ENODATA: something cannot be read;
 * -ECANCELED: the pool closes, or the volume is deleted.  What was copied until
 * then stays so, and asking again goes on from there. */
void volume_flatten(
    struct pool *pool, struct volume *volume, struct pool_request *request);

#endif
