/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A volume in memory, and its I/O in flight.
 *
 *	vio     one request of the caller; walks over its range step by step
 *	seg     one device I/O of a vio; the first is part of the vio
 *	chunk_lock  says that a chunk is being changed: shared by writes that
 *	        need a map record, exclusive to UNMAP, to writes of parts of a
 *	        4 KiB block and to rewrites
 *
 * Writes in place, the common case, take no lock.  Who cannot have them beside
 * itself marks its lock BUSY, which makes them wait for it; then it waits at
 * the volume's barrier for those that came before.
 *
 * An atomic write (volume_atomic.c) holds the exclusive locks of all its chunks
 * and what its segs have written until it can change the map in one group.
 */
#ifndef SNAPSHOT_VOLUME_H
#define SNAPSHOT_VOLUME_H

#include "backstores/backstore.h"
#include "base/buf.h"
#include "snapshot/barrier.h"
#include "snapshot/map_page.h"
#include "snapshot/page.h"
#include "snapshot/pool.h"

#define SEG_CHUNKS 16u /* chunks one allocating write covers: 1 MiB */
#define LOCK_HASH  4096u
#define VIO_SEGS   1024u /* segs beside those in the vios */

/*
 * Bytes: what is written at once without being split.  Linux cuts requests at
 * this number (sd.c: OPTIMAL TRANSFER LENGTH becomes max_sectors_kb), so a
 * chunk, which is what alignment is good for, would be too short.
 */
#define OPTIMAL_IO (SEG_CHUNKS * FMT_CHUNK)

#define ATOMIC_MAX    (1u << 20) /* bytes of one atomic write */
#define ATOMIC_CHUNKS (ATOMIC_MAX / FMT_CHUNK + 1)
#define ATOMICS       32u /* at once, in a pool */

struct chunk_lock {
	struct list link;
	struct volume *volume;
	uint64_t chunk;
	uint64_t address; /* reserved for the chunk, not yet installed; or 0 */
	bool exclusive, granted;
	bool installed; /* the address is in the map */
	bool busy;      /* BUSY: writes in place wait for it too */
	void (*grant)(struct chunk_lock *lock); /* when it had to wait */
};

struct vio;
struct rewrite;

/* What an atomic write has until it ends. */
struct atomic_write {
	struct list link;
	struct list segs; /* submitted, in the order of their blocks */
	unsigned seg_count, written;
	uint64_t first_chunk, blocks, credits;
	unsigned lock_count;
	struct chunk_lock lock[ATOMIC_CHUNKS];
};

struct seg {
	struct bs_io io;
	struct vio *vio;
	struct list link;
	struct list moving; /* in a list of pool->move */
	bool mapping;       /* ends in map records */
	bool barrier;       /* the vio goes on only after it */
	bool merging;       /* reads what a part of a block goes into */
	bool fine;          /* mapping: single blocks of one chunk */
	bool writing;       /* counted in volume->barrier, on that side */
	uint8_t side;
	uint16_t copied; /* mapping a whole chunk: what of it is valid */
	uint8_t *bounce; /* instead of the caller's memory */
	struct device *device;
	uint64_t to; /* address where the I/O begins */
	uint16_t in_block;
	uint8_t copies; /* of the I/O, in flight */
	uint8_t place;  /* its side in pool->places */
	int result;
	struct bs_io twin; /* the same write to where the region moves */
	struct device *twin_device;
	struct waiter waiter;
	uint64_t block, block_count; /* of the volume, if mapping */
	uint64_t address;            /* of block */
	uint64_t fine_address;       /* reserved, and not installed */
	unsigned fine_count;
	uint64_t credits;
	unsigned lock_count; /* chunks, if mapping */
	struct chunk_lock lock[SEG_CHUNKS + 1];
	struct iovec iov[BS_IOV_MAX];
};

#define VIO_MAGIC 0x7e10a11cu

struct vio {
	uint32_t magic;
	uint8_t parity;
	bool again;      /* its range must be walked once more */
	bool submitting; /* still inside submit: complete later */
	bool advancing;  /* vio_advance is running */
	bool parked;     /* waits for a page, room, a lock, a seg, a buffer */
	bool barrier;    /* waits for its seg */
	bool locked;     /* lock is granted */
	struct bs_io *io;
	struct rewrite *rewrite;     /* the engine's own: rewrite.h */
	struct atomic_write *atomic; /* NULL: it is none, or waits */
	struct volume *volume;
	uint64_t next, end; /* bytes */
	unsigned pending;   /* segs in flight */
	unsigned turn;      /* counts steps of long walks */
	int error;
	uint64_t lsn; /* must be durable for FUA */
	void *bounce;
	uint32_t cuts; /* of the volume when the bounce buffer was read */
	uint64_t bounce_bytes;
	bool copying; /* a copy of a unit is under way: volume_copy.c */
	uint64_t copy_barrier; /* that it asked for; 0: none */
	uint64_t copy_first, copy_count, copy_next; /* blocks */
	uint16_t copy_mask; /* blocks of the chunk that hold data */
	struct waiter waiter;
	struct buf_waiter buf_waiter;
	struct chunk_lock lock;
	struct loop_task task;
	struct list link;
	struct seg seg;
};

struct volume_io {
	struct vio *vios;
	struct seg *segs;
	unsigned vios_used, segs_used; /* behind those, never touched */
	struct list vios_free, segs_free;
	struct list vios_wanted; /* struct bs_io that wait for a vio */
	struct list segs_wanted; /* struct vio that wait for a seg */
	struct atomic_write *atomics;
	struct list atomics_free;
	struct list atomics_wanted; /* struct vio that wait for one */
	uint64_t atomic_blocks;     /* that are being written so */
	struct list lock[LOCK_HASH];
	uint64_t active;
	unsigned busy; /* locks with the mark BUSY */
};

int volume_io_init(struct pool *pool, unsigned io_max);
void volume_io_done(struct pool *pool);

/* A version: a volume, a snapshot, or what is left of one. */
struct volume {
	struct backstore bs; /* first: ops->submit gets it */
	struct pool *pool;
	struct list link; /* where its state says: see version.c */
	struct volume *hash_next;
	struct map map;
	uint32_t id;
	uint32_t slot;            /* of the version table */
	struct page *record_page; /* pinned */
	struct list changed_link; /* pool->changed; empty: record is right */

	/* its family */
	struct volume *parent, *origin; /* NULL: none */
	struct list children;           /* by sibling */
	struct list sibling;
	struct list snapshots; /* of a head: by age */
	uint32_t epoch;        /* of a snapshot */
	uint32_t bookmark_epoch;
	uint32_t bookmark_held; /* of one whose deletion is not durable yet */
	uint32_t flags;         /* FMT_VERSION_... */
	uint64_t group;

	/* what the parent holds and it does not: rows of the table, by birth */
	struct losses {
		struct loss {
			uint32_t birth, slot;
		} * row;
		uint32_t count, room;
		uint32_t account;
		uint64_t total; /* blocks */
	} losses;

	uint8_t cow_shift, state;
	char name[FMT_NAME];
	uuid_t uuid;
	uint64_t size;
	uint64_t live_blocks, held_blocks;
	uint64_t fine_chunks, fragments;

	uint64_t pending_blocks; /* given to it, and not installed */
	uint64_t rewrite_blocks; /* ... to rewrites */

	/* its reservation: reserve.h */
	uint64_t reserve_blocks; /* 0: none */
	uint64_t aside_blocks, aside_pages;

	/* its quota: quota.h */
	uint64_t quota_blocks; /* UINT64_MAX: none */
	uint64_t snap_held;    /* blocks; kept only if there is a quota */
	uint32_t snap_base;    /* what it loses and is younger is held by its
				* snapshots alone; UINT32_MAX: nothing is */
	bool quota_reached;    /* said so */

	uint64_t created_unix, deleted_unix;
	bool open;
	unsigned users;        /* differences under way */
	bool locked_writes;    /* blocks of a device are larger than ours */
	uint64_t window;       /* address of chunks reserved ahead */
	unsigned window_count; /* chunks */
	uint64_t fine_window;  /* ... of blocks */
	unsigned fine_count;
	uint64_t cursor;    /* DELETING: chunks below it are dealt with */
	uint64_t dying_lsn; /* its DELETE is durable when the log is to here */

	struct barrier barrier; /* of device writes in flight */
	uint64_t cut;           /* its number for the last snapshot */
	uint32_t cuts; /* +1 when what may be written in place becomes less */

	uint64_t reads, writes, read_bytes, write_bytes, unmaps;
	uint64_t rewrites; /* of its chunks, since open */
};

/* The volume's record in the version table, to be changed. */
struct fmt_version *volume_record(struct volume *volume);
/* Its record must be written anew, with counters and root, by the next
 * checkpoint. */
void volume_changed(struct volume *volume);
void volumes_store(struct pool *pool);
unsigned volume_child_count(const struct volume *volume);
/* Its only child; NULL if it has none, or several. */
struct volume *volume_only_child(const struct volume *volume);
/* Makes the struct for a record, without a family; NULL: no memory. */
struct volume *volume_new(struct pool *pool, uint32_t slot, struct page *page,
    const struct fmt_version *record);
/* Takes name, uuid, times and flags from its record. */
void volume_reload(struct volume *volume);
void volume_set_parent(struct volume *volume, struct volume *parent);
void volume_free(struct volume *volume);
struct volume *volume_by_id(struct pool *pool, uint32_t id);
void volume_submit(struct backstore *bs, struct bs_io *io);
void volume_submit_internal(struct volume *volume, struct bs_io *io);
/* Is I/O in flight that reaches past from?  O(io_max). */
bool volume_io_past(struct volume *volume, uint64_t from);

/* ---- locks (chunk_lock.c) ---- */
void chunk_locks_init(struct volume_io *vios);
/* True: granted.  False: lock->grant is called later. */
bool chunk_lock_take(struct pool *pool, struct chunk_lock *lock,
    struct volume *volume, uint64_t chunk, bool exclusive);
/* As take, but never queues: false: not now. */
bool chunk_lock_try(struct pool *pool, struct chunk_lock *lock,
    struct volume *volume, uint64_t chunk, bool exclusive);
/* A second shared hold, by whoever holds one. */
void chunk_lock_share(
    struct pool *pool, struct chunk_lock *lock, struct chunk_lock *held);
/* Returns whether it was the last hold of the chunk; wakes others. */
bool chunk_lock_drop(struct pool *pool, struct chunk_lock *lock);
bool chunk_lock_busy(struct pool *pool, struct volume *volume, uint64_t chunk);
/* From now on writes in place wait for this exclusive lock, too. */
void chunk_lock_mark(struct pool *pool, struct chunk_lock *lock);
bool chunk_lock_marked(
    struct pool *pool, struct volume *volume, uint64_t chunk);
/* The address is in the map now, for all who wanted to map it. */
void chunk_lock_installed(struct pool *pool, struct chunk_lock *lock);
/* The address another holder reserved for the chunk, or 0. */
uint64_t chunk_lock_address(
    struct pool *pool, struct volume *volume, uint64_t chunk);

/* ---- lookup (map.c) ---- */

enum map_kind { MAP_HOLE, MAP_DATA, MAP_POISON };

struct map_extent {
	enum map_kind kind;
	bool in_place; /* DATA: may be overwritten where it is */
	uint64_t address, blocks;
	struct page *leaf; /* NULL: the map has nothing there */
};

/* What is at block, and for how many of at most max blocks it goes on.  0,
 * -EAGAIN (queued) or an error. */
int map_lookup(struct volume *volume, uint64_t block, uint64_t max,
    struct waiter *waiter, struct map_extent *ret_extent);

void vio_init(struct vio *vio);
/* One that is not of pool->vio begins its walk. */
void vio_start(struct vio *vio, struct volume *volume, struct bs_io *io);

/* ---- steps of a vio ---- */
/* Each step moves vio->next on, or parks, or sets the barrier, or fails. */
void vio_advance(struct vio *vio);
void vio_fail(struct vio *vio, int error);
/* result of something with vio->waiter: true: go on; else parked or failed */
bool vio_ok(struct vio *vio, int result);
/* Takes vio->lock: true: held; else parked. */
bool vio_lock(struct vio *vio, uint64_t chunk, bool exclusive);
void vio_unlock(struct vio *vio);

/* The outcome stands on the newest record of leaf, which may not be durable
 * yet: vio->lsn is the first that it does not need. */
static inline void
vio_depends(struct vio *vio, const struct page *leaf)
{
	if (leaf->lsn >= vio->lsn)
		vio->lsn = leaf->lsn + 1;
}
/* A seg, or NULL: parked. */
struct seg *vio_seg(struct vio *vio);
/* May these bytes be written where they are, at once?  Where a chunk is BUSY
 * they must not: then waits for that, or takes less.  False: parked. */
bool vio_in_place(struct vio *vio, uint64_t *bytes);
/* Submits seg for [offset of the request, + length) at address + in_block. */
void seg_submit(struct seg *seg, enum bs_op op, uint64_t address,
    unsigned in_block, uint64_t length);
/* Sends it to where its address lies now; a write may have to wait for the move
 * of its region, and comes here again. */
void seg_go_on(struct seg *seg);
/* All its copies have ended: seg->result. */
void seg_completed(struct seg *seg);
/* How much of length bytes at address can be one device I/O. */
uint64_t seg_limit(
    struct pool *pool, uint64_t address, unsigned in_block, uint64_t length);
void seg_put(struct seg *seg);
/* Others may have waited for one that vio had. */
void segs_wake(struct vio *vio);
/* The device I/O of a seg has ended: what it looked up may be used again. */
void vio_landed(struct vio *vio);
/* The seg is done: the vio goes on. */
void seg_end(struct seg *seg, int result);
/* Blocks that are mapped together: 1, 4, 16. */
static inline unsigned
volume_unit(const struct volume *volume)
{
	return 1u << (volume->cow_shift - FMT_BLOCK_SHIFT);
}

/* Have all device writes ended that were submitted before the last cut? */
static inline bool
volume_cut_drained(const struct volume *volume)
{
	return barrier_passed(&volume->barrier, volume->cut);
}

/* volume_write.c */
void vio_write_step(struct vio *vio);
/* Writes or zeros what is mapped and ours, from vio->next on.  With
 * locked_writes that is at a whole block. */
void vio_in_place_step(struct vio *vio, const struct map_extent *extent);
/* Blocks from vio->next to map anew in one go; 0: only by a copy. */
uint64_t vio_map_blocks(struct vio *vio, const struct map_extent *extent);
/* Is what is to be written a part of a unit that is not ours alone? */
bool vio_map_is_copy(struct vio *vio, const struct map_extent *extent);
void vio_map_step(struct vio *vio, enum bs_op op, uint64_t blocks);
/* A seg that may map, with the leaf as it is now (NULL: none); NULL: parked. */
struct seg *vio_map_seg(struct vio *vio, struct page **ret_leaf);
/* Makes it ready to write up to blocks from block on: says how many in
 * seg->block_count, and where.  vio->lock is held on the first chunk.  False:
 * parked or failed, seg is given back. */
bool vio_map_begin(struct vio *vio, struct seg *seg, struct page *leaf,
    uint64_t block, uint64_t blocks);
void vio_map_abort(struct vio *vio, struct seg *seg);
/* It is written (result): changes the map, now or later, and ends the seg. */
void vio_map_end(struct vio *vio, struct seg *seg, int result);
void vio_map_ready(struct waiter *waiter, int error);

/* The seg is in vain, for what it has is in no map: gives it back. */
void seg_release(struct vio *vio, struct seg *seg);
/* What it reserved is in the map now, by a group that is recorded. */
void seg_installed(struct vio *vio, struct seg *seg);
/* What of the seg is one device I/O, and so all that it is. */
uint64_t vio_map_bytes(struct vio *vio, struct seg *seg);

/* volume_atomic.c */
int atomics_init(struct volume_io *vios);
void vio_atomic_step(struct vio *vio);
/* A seg of it is written. */
void vio_atomic_written(struct vio *vio, struct seg *seg, int result);
/* All are submitted, or it has failed: installs, or gives back, when all are
 * written.  May park. */
void vio_atomic_end(struct vio *vio);
struct chunk_lock *vio_atomic_lock(struct vio *vio, uint64_t chunk);
/* Has it written a part of the chunk in single blocks already? */
bool vio_atomic_divides(const struct vio *vio, uint64_t chunk);

/* volume_partial.c: parts of blocks */
void vio_partial_step(struct vio *vio);
void vio_partial_merge(struct vio *vio, struct seg *seg);
void vio_partial_read(struct vio *vio, const struct map_extent *extent);
void vio_partial_copy(struct vio *vio);
/* bytes of bounce buffer; false: parked */
bool vio_bounce_get(struct vio *vio, uint64_t bytes);
/* The request's bytes from vio->next up to end into the bounce buffer, which
 * begins at byte start of the volume. */
void vio_bounce_merge(struct vio *vio, uint64_t start, uint64_t end);

/* volume_copy.c: units of which only a part is written */
void vio_copy_begin(struct vio *vio);
void vio_copy_step(struct vio *vio);
/* The next blocks of vio->copy_... that are alike, into the buffer. */
void vio_copy_read(struct vio *vio);

/* unmap.c */
void vio_zero_step(struct vio *vio);
void vio_unmap_step(struct vio *vio);

#endif
