/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pool: one or more backstores (files, block devices) with the engine's
 * on-disk format on them, and the thin volumes in it.  docs/on-disk-format.md
 * describes what is on disk.
 *
 * A pool lives on one loop: all its volumes, its log and its checkpoints are
 * run there, so the data path takes no lock and sends no message.  Every
 * function is called on that loop's thread.  Functions with a done callback
 * finish later, exactly once, never from inside the call; what they are given
 * (names, parameters) is copied before they return.  Requests that change
 * volumes are executed one after the other, in the order of their calls.
 *
 * Errors of done callbacks: 0 or -errno as listed; `problem` texts are for
 * people and complete (what and why, without a final full stop).
 */
#ifndef SNAPSHOT_POOL_H
#define SNAPSHOT_POOL_H

#include "backstores/backstore.h"
#include <uuid/uuid.h>

#define POOL_NAME_MAX                                                          \
	63 /* characters [A-Za-z0-9._-], not starting with '-' or '.' */
#define POOL_DEVICE_MAX  64
#define POOL_PROBLEM_MAX 256

struct pool;
struct volume;

/* Do the characters and length suit a pool, LUN or snapshot name? */
bool pool_name_valid(const char *name);

struct pool_params {
	const char *name;
	uuid_t uuid;           /* all zero: made at random */
	uint64_t region_bytes; /* 0: by size (engine.md 3.2) */
	uint64_t log_bytes;    /* 0: by size */
	bool no_mirror;        /* metadata and log in one copy only */
	unsigned soft_percent; /* 0: 80: warn */
	unsigned hard_percent; /* 0: 95: stop background growth */
};

struct pool_limits {
	uint64_t cache_bytes; /* clean metadata pages; 0: 256 MiB */
	uint64_t
	    dirty_bytes; /* dirty pages that start a checkpoint; 0: 64 MiB */
	uint64_t commit_interval_ns; /* 0: 200 ms */
	uint64_t idle_checkpoint_ns; /* 0: 60 s */
	unsigned io_max;             /* volume I/Os in flight; 0: 4096 */

	/* Memory that outlives the process (a shared mapping of a file), one
	 * per pool, 8-byte aligned, at least 64 KiB, the caller's until the
	 * pool is closed.  With it a killed process loses no acknowledged
	 * write: what is in it is taken up by pool_open() if it was left by
	 * the last process that had the pool open, in this boot of the machine
	 * (boot_id).  NULL: none; then an acknowledged write that is not
	 * flushed may be lost by a kill, as by a power cut. */
	void *ack_ring;
	uint64_t ack_ring_bytes;
	uint8_t boot_id[16];
};

/* What a caller of an asynchronous pool function gives. */
struct pool_request {
	void (*done)(struct pool_request *request, int result);
	char problem[POOL_PROBLEM_MAX]; /* filled when result < 0 */
	struct pool *pool;              /* pool_create, pool_open: the result */
	struct volume *volume;          /* volume_create, ...: the result */
	void *arg;                      /* the caller's */
	/* the engine's, until done: */
	struct list link;
	struct loop_task task;
	void *state;
};

/* Writes a new, empty pool over bs[0..count): refuses with -EEXIST if any
 * holds a pool label, unless force.  Takes ownership of the backstores when it
 * succeeds; on failure they stay the caller's.  -EINVAL name, sizes or block
 * sizes; -ENOSPC too small (under 64 MiB); I/O errors. */
void pool_create(struct loop *loop, struct backstore **bs, unsigned count,
    const struct pool_params *params, const struct pool_limits *limits,
    bool force, struct pool_request *request);

/* Opens: labels, newest valid superblock, replay of the log, then a checkpoint
 * before anything is appended.  Ownership as for pool_create.  A device that
 * was removed from it may be named all the same: it is not used.  -ENOENT no
 * label; -EBADMSG damaged (problem says what and where); -EPROTO unknown
 * incompatible feature or newer version; -ENODEV a device is missing
 * (with mirrors of all metadata the pool is opened for reading instead, and
 * what is on that device is a medium error: see pool_stat.problem);
 * -EROFS may only be opened read-only (ro_compat feature).  read_only writes
 * nothing, not even the recovery checkpoint. */
void pool_open(struct loop *loop, struct backstore **bs, unsigned count,
    const struct pool_limits *limits, bool read_only,
    struct pool_request *request);

/* Checkpoint, then close; -EBUSY while volume I/O is in flight.  Frees the
 * pool and closes its backstores even when the checkpoint fails (the log has
 * it all), and says so by result. */
void pool_close(struct pool *pool, struct pool_request *request);

/* Adds a backstore, or takes up the new size of the ones it has (bs NULL).  A
 * second device brings mirrors, unless the pool was made without them. */
void pool_grow(
    struct pool *pool, struct backstore *bs, struct pool_request *request);

/* ---- devices ----
 *
 * By number, from 0 to the highest that was ever given; that of a device which
 * is removed is not given again. */

/* Empties a device: all that is on it goes to others, in the background
 * (POOL_JOB_EVACUATE), while volumes are in use; nothing new goes there.  It
 * goes on after a crash or a close.  done: it has begun, durably.  Again: tries
 * what could not be moved.  -ENOENT: no such device; -ENOSPC: the others have
 * too little room, and problem has the figures; -EBUSY: the only device. */
void pool_evacuate(
    struct pool *pool, unsigned device, struct pool_request *request);

/* It stays a device as before; what has gone stays where it is.  done: that is
 * durable.  -ENOENT: no such device; -EINVAL: it is not being emptied. */
void pool_evacuate_cancel(
    struct pool *pool, unsigned device, struct pool_request *request);

/* Takes a device with nothing on it out of the pool, which then never asks for
 * it; its labels are overwritten and its backstore is closed.  done: so it is,
 * durably.  -ENOENT: no such device; -EBUSY: something is on it, see
 * pool_evacuate(). */
void pool_device_remove(
    struct pool *pool, unsigned device, struct pool_request *request);

enum pool_device_state {
	POOL_DEVICE_MEMBER,
	POOL_DEVICE_EVACUATING,
	POOL_DEVICE_EMPTY, /* nothing is on it, or will be: to be removed */
	POOL_DEVICE_MISSING,
	POOL_DEVICE_REMOVED,
};

struct pool_device_stat {
	enum pool_device_state state;
	const struct backstore *bs; /* it is; NULL: missing or removed */
	uuid_t uuid;
	uint64_t size;  /* bytes */
	uint64_t used;  /* bytes of the regions that something is in */
	uint64_t stuck; /* ... that could not be moved: they cannot be read */
};
/* False: no such number was ever given.  O(regions). */
bool pool_device_get(
    struct pool *pool, unsigned device, struct pool_device_stat *ret_stat);

/* Gives a pool made without them second copies of metadata and log, in the
 * background; what a version 0.1 can read no more.  done: it has begun. */
void pool_mirror(struct pool *pool, struct pool_request *request);

/* Reads all metadata in both copies, in the background, and writes anew what is
 * bad in one: see pool_job_get() and the counters.  done: it has begun.
 * -EBUSY: one is under way. */
void pool_scrub(struct pool *pool, struct pool_request *request);

/* From which share of its space the pool warns, and from which it stops growth
 * in the background: 1 to 100 percent, 0: as it is; durable when done.  The
 * level is computed anew at once.  -EINVAL: no percentages, or soft > hard. */
void pool_set_levels(struct pool *pool, unsigned soft_percent,
    unsigned hard_percent, struct pool_request *request);

/* Makes all acknowledged writes durable and truncates the log. */
void pool_checkpoint(struct pool *pool, struct pool_request *request);

enum pool_state {
	POOL_ONLINE, /* problem may say what is not as it should be */
	POOL_READ_ONLY,
	POOL_SUSPECT, /* a flush or metadata write failed: reads go on, writes
			 fail; reopen after mending the device */
};

struct pool_stat {
	char name[POOL_NAME_MAX + 1];
	uuid_t uuid;
	enum pool_state state;
	char problem[POOL_PROBLEM_MAX]; /* why it is not online, or what is
					   wrong though it is, or "" */
	uint64_t size;                  /* bytes of all regions */
	uint64_t free;                  /* bytes data can still take */
	uint64_t allocated; /* bytes held by volumes (chunks and blocks) */
	uint64_t metadata;  /* bytes of maps, bitmaps, tables, log, labels */
	uint64_t reserved;  /* the engine's reserve, engine.md 3.10 */
	uint64_t promised;  /* sum of volume sizes */
	uint64_t set_aside; /* of free: what only reservations may take */
	unsigned devices, volumes;
	unsigned soft_percent, hard_percent;
	int level;      /* 0 normal, 1 soft, 2 hard, 3 full */
	bool host_full; /* the host's file system refused space */
	/* the volume that was last refused space for its quota; "": none */
	char quota_name[POOL_NAME_MAX + 1];
	uint64_t epoch;
	/* counters since open */
	uint64_t log_bytes, log_used, commits, checkpoints, flushes;
	uint64_t pages_cached, pages_dirty, cache_hits, cache_misses;
	uint64_t replayed_records, open_ns;
	uint64_t allocation_failures;
	uint64_t cuts, cut_ns, cut_ns_max; /* snapshots: how long the loop was
					    * at it, the last and the longest */
	/* mirrors of metadata and log */
	bool mirrored;          /* the pool has some, or would get them */
	uint64_t mirrors;       /* regions that hold second copies */
	uint64_t mirrors_bad;   /* ... that are not whole, or are missing */
	uint64_t mirror_errors; /* writes to one copy that failed */
	uint64_t scrubs, scrub_pages; /* that ended; blocks looked at */
	uint64_t scrub_bad;           /* ... that are bad in all their copies */
	uint64_t mirror_reads; /* what was bad in one copy, and was read from
				* the other */
	uint64_t mends;        /* ... and was written anew */
};
void pool_stat_get(struct pool *pool, struct pool_stat *ret_stat);
const char *pool_name(const struct pool *pool);

/* Level changes and troubles, for events and unit attentions.  Called from
 * the loop; NULL: none. */
enum pool_event {
	POOL_EVENT_LEVEL, /* pool_stat.level changed */
	POOL_EVENT_STATE, /* pool_stat.state changed */
	POOL_EVENT_HOST_FULL,
	POOL_EVENT_QUOTA, /* of pool_stat.quota_name is reached */
};
void pool_on_event(struct pool *pool,
    void (*event)(void *arg, struct pool *pool, enum pool_event what),
    void *arg);

/* ---- volumes ---- */

struct volume_params {
	const char *name;
	uint64_t size;       /* bytes, a multiple of 4096; 4 KiB .. 232 TiB */
	uint32_t block_size; /* what SCSI shows: 512 (default if 0) or 4096 */
	uint32_t cow_unit;   /* 4096 (default if 0), 16384, 65536 */
	/* bytes, multiples of 4096 up to 1 EiB; 0: none */
	uint64_t quota, reserve;
	uuid_t uuid; /* all zero: made at random */
};

/* -EEXIST name taken; -EINVAL; -E2BIG over 232 TiB; -ENOSPC no room for its
 * record.  Durable when done. */
void volume_create(struct pool *pool, const struct volume_params *params,
    struct pool_request *request);

/* Frees the space in the background.  -EBUSY while open.  The name is free
 * again when done is called, which is after the deletion is durable. */
void volume_delete(
    struct pool *pool, struct volume *volume, struct pool_request *request);

/* Shrinking discards what is past the new end; -EBUSY with I/O in flight
 * there.  An open backstore changes its size before done is called. */
void volume_resize(struct pool *pool, struct volume *volume, uint64_t size,
    struct pool_request *request);

#define VOLUME_LIMIT_AS_IT_IS UINT64_MAX

/* quota: what the volume and its snapshots may hold together, in bytes (0: no
 * limit); it may be less than they do.  Writes that need more space end with
 * -ENOSPC; all others go on.
 * reserve: what the volume is sure to come to hold itself, in bytes (0:
 * nothing; over its size: all of it, whatever that will be).  Others get what
 * is free less that.
 * Durable when done.  -EINVAL: no multiple of 4096, over 1 EiB, a snapshot, a
 * reservation over the quota or of a volume with a cow unit over 4 KiB;
 * -ENOSPC: the pool has less than is to be reserved. */
void volume_set_limits(struct pool *pool, struct volume *volume, uint64_t quota,
    uint64_t reserve, struct pool_request *request);

/* -EEXIST, -EINVAL. */
void volume_rename(struct pool *pool, struct volume *volume, const char *name,
    struct pool_request *request);

struct volume *volume_find(struct pool *pool, const char *name);
struct volume *volume_find_uuid(struct pool *pool, const uuid_t uuid);
/* In order of name: NULL starts and ends. */
struct volume *volume_next(struct pool *pool, struct volume *volume);

struct volume_stat {
	char name[POOL_NAME_MAX + 1];
	uuid_t uuid;
	uint64_t size;       /* promised */
	uint64_t live;       /* bytes the volume maps, exact to 4 KiB */
	uint64_t allocated;  /* bytes of chunks and blocks held for it */
	uint64_t quota;      /* bytes it may hold, snapshots too; 0: any */
	uint64_t reserve;    /* bytes it is sure to get, of its size; 0: none */
	uint64_t set_aside;  /* of those: bytes it does not have yet */
	uint64_t quota_used; /* if there is one: allocated, and what would be
			      * freed if its snapshots went */
	uint32_t block_size, cow_unit;
	uint64_t created_unix;
	bool open;
	uint64_t reads, writes, read_bytes, write_bytes, unmaps;
};
void volume_stat_get(struct volume *volume, struct volume_stat *ret_stat);

/* The volume as a backstore: block_size as created (512: sub-4K writes are
 * read-modify-write by the engine), thin, volatile_cache (FLUSH = commit).
 * Opened once at a time: NULL if it is open.  Its bs_close() ends the use. */
struct backstore *volume_open(struct volume *volume);

#endif
