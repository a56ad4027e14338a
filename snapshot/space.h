/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Space: regions, the bitmap, leases, and what may be used again when.
 *
 * The bitmap on disk says what is in use as of the records applied.  To hand
 * out space one needs more: what is promised but not installed yet, and what
 * is freed but may not be used again yet.  So whoever allocates does it from a
 * lease: a region with its own bitmap of the busy blocks in memory.
 *
 *	reserved    busy in the lease, clear in the bitmap
 *	installed   busy in the lease, set in the bitmap (apply did that)
 *	quarantined busy in the lease, clear in the bitmap (apply of FREE): see
 *		    quarantine.c
 *
 * A crash forgets reservations and quarantine: nothing leaks.
 *
 * A lease belongs to one stream of allocations: here one for chunks, one for
 * single blocks and one per META region.  Several streams (shards) would each
 * have their own.
 */
#ifndef SNAPSHOT_SPACE_H
#define SNAPSHOT_SPACE_H

#include "base/loop.h"
#include "snapshot/page.h"

struct volume;

#define LEASE_BITMAPS (FMT_REGION_MAX / FMT_BLOCK / FMT_BITMAP_BLOCKS)

struct lease {
	struct list link;
	uint32_t region;
	uint32_t cursor;   /* block of the region where searching goes on */
	uint64_t reserved; /* blocks not installed yet */
	struct page *bitmap[LEASE_BITMAPS]; /* pinned */
	uint64_t busy[];
};

/* Of a META or LOG region. */
enum mirror_state {
	MIRROR_WHOLE,   /* written and read */
	MIRROR_FILLING, /* written */
	MIRROR_BAD,     /* neither: a write failed */
};

#define NO_REGION UINT32_MAX

struct region {
	struct lease *lease;
	uint64_t offset; /* bytes on its device */
	uint16_t device;
	uint8_t class;
	uint8_t mirror_state;
	uint32_t mirror; /* META, LOG: its MIRROR; MIRROR: whose; NO_REGION */
	uint32_t mirror_gen;
	uint32_t free_blocks, free_chunks; /* as on disk */
	uint32_t quarantined;              /* blocks */
	bool unmovable; /* it cannot be read: evacuation has tried */
	/* a lease of it had no chunk when the quarantine's tail, + 1, was
	 * here: nothing has come since */
	uint32_t barren;
};

/* Freed, not to be used yet. */
struct quarantine_entry {
	uint64_t address;
	uint64_t lsn;
	uint32_t run;
	uint32_t grace;
};

struct space {
	struct region *regions;
	uint64_t count;
	uint32_t region_blocks, region_shift;
	struct page **region_pages; /* pinned */
	uint64_t class_count[FMT_REGION_CLASS_COUNT];
	uint64_t data_free;  /* clear bits in DATA regions */
	uint64_t meta_free;  /* clear bits in META regions */
	uint64_t meta_idle;  /* not busy in leases of META regions */
	bool mirrored;       /* new META regions get a mirror */
	uint64_t leaving;    /* regions with something in them, on devices that
			      * are being emptied: each takes a FREE one */
	uint64_t held_free;  /* of data_free, on those: not to be had now */
	uint64_t reserve;    /* blocks that data must leave: engine.md 3.10 */
	struct lease *data;  /* current */
	struct lease *fine;  /* ... for holes in chunks that are in use */
	struct list retired; /* leases with reservations left */
	struct list meta;    /* leases of META regions */
	struct lease *meta_current;
	struct lease *making; /* waits for bitmap pages */
	struct list waiting;  /* for quarantine to be released */
	bool releasing;
	struct loop_task task;
	int level;
	bool host_full;
	uint64_t failures;

	/* quarantine: a ring of entries in the order of their lsn */
	struct quarantine_entry *quarantine;
	uint64_t q_head, q_tail, q_size;

	/* grace: I/O in flight by parity of the grace number it began in */
	uint32_t grace;
	uint64_t grace_io[2];
};

int space_init(struct pool *pool, uint64_t regions, uint32_t region_blocks);
void space_done(struct pool *pool);

/* Reads all pages of the region table: 0, -EAGAIN (queued) or an error. */
int regions_load(struct pool *pool, struct waiter *waiter);
/* RAM -> page of the region table. */
void region_store(struct pool *pool, uint64_t region);
/* The place of a region has changed: device->region_of follows. */
void region_place_set(struct pool *pool, uint64_t region);
/* ... of two: each has the other's; nothing of it is stored. */
void region_places_exchange(struct pool *pool, uint64_t a, uint64_t b);
/* All pages of the table are to be written anew, since they name places. */
void regions_touch(struct pool *pool);
/* Makes regions [from, count) known to the counters. */
void space_count(struct pool *pool, uint64_t from);
/* How much data must leave for metadata. */
void space_set_reserve(struct pool *pool);

/* Bitmap page of an address: 0, -EAGAIN (queued) or an error. */
int space_bitmap(struct pool *pool, uint64_t address, bool create,
    struct waiter *waiter, struct page **ret_page);

/* What apply does: set or clear bits, with the counters.  The bitmap pages are
 * in memory.  -EBADMSG: they were set (clear) already. */
int space_set(struct pool *pool, uint64_t address, uint32_t run);
int space_clear(struct pool *pool, uint64_t address, uint32_t run);
int space_set_class(struct pool *pool, uint64_t region, unsigned class);
/* From FREE to EVACUATING and back: a region that is empty. */
int space_hold_back(struct pool *pool, uint64_t region, bool hold);
/* The device it was on is gone: EVACUATING or FREE to BAD. */
void space_give_up(struct pool *pool, uint64_t region);
/* Two regions exchange their places, with what else names these.  Not durable
 * before the next checkpoint. */
void space_exchange(struct pool *pool, uint64_t a, uint64_t b);
/* Computes `leaving` and `held_free` anew.  O(regions). */
void space_count_leaving(struct pool *pool);
/* Regions with something in them on the device, or about to have. */
uint64_t device_used_regions(const struct pool *pool, unsigned device);
/* FREE regions that are lacking to empty the device; 0: there are enough.
 * *ret_needed: so many it takes.  O(regions). */
uint64_t space_lacking(
    struct pool *pool, unsigned device, uint64_t *ret_needed);
/* From FREE to MIRROR of another region, and back. */
int space_set_mirror(struct pool *pool, uint64_t region, uint64_t of);
int space_drop_mirror(struct pool *pool, uint64_t region);
/* The mirror of this region has all that it has. */
void space_mirror_is_whole(struct pool *pool, uint64_t region);

/* Up to want chunks in a row for volume: 0, -EAGAIN (queued), -ENOSPC. */
int space_reserve(struct pool *pool, struct volume *volume, unsigned want,
    struct waiter *waiter, uint64_t *ret_address, unsigned *ret_count);
/* Up to want blocks in a row, a multiple of unit (1, 4) and aligned to it,
 * where chunks are in use in part; from a fresh chunk if there are few such. */
int space_reserve_blocks(struct pool *pool, struct volume *volume,
    unsigned want, unsigned unit, struct waiter *waiter, uint64_t *ret_address,
    unsigned *ret_count);
void space_unreserve(struct pool *pool, uint64_t address, uint32_t run);
/* The reservation became an installed chunk. */
void space_installed(struct pool *pool, uint64_t address, uint32_t run);
/* Are these bits all set?  Their bitmap pages are in memory. */
bool space_are_set(struct pool *pool, uint64_t address, uint64_t run);
/* Lets go of all that is reserved ahead and leased for data: what comes next is
 * picked anew. */
void space_leave(struct pool *pool);
/* Gives back what volume reserved ahead. */
void space_window_drop(struct pool *pool, struct volume *volume);

/* Nothing is free: waits for what is in quarantine, if anything is (-EAGAIN,
 * queued), else -ENOSPC. */
int space_exhausted(struct pool *pool, struct waiter *waiter);
/* Are there blocks for so many new pages, with data's part left alone?  And,
 * unless it is for such a volume, what is set aside for the maps of some.  0,
 * -EAGAIN or -ENOSPC as of space_exhausted(). */
int space_meta_room(
    struct pool *pool, uint64_t pages, bool is_aside, struct waiter *waiter);
/* Space for pages of a checkpoint: 0 enough is leased, -EAGAIN queued. */
int space_meta_prepare(
    struct pool *pool, uint64_t pages, struct waiter *waiter);
/* A region has become META; its bitmap is in memory. */
int space_meta_begin(struct pool *pool, uint64_t region);
/* Leases every META region, when a pool is opened. */
int space_meta_lease_all(struct pool *pool, struct waiter *waiter);
/* One block for a page: after space_meta_prepare only damage lets it fail: 0 */
uint64_t space_meta_take(struct pool *pool);
/* Its bit is clear; it stays busy until space_meta_release.  -EBADMSG: it was
 * clear already, or is no block for metadata. */
int space_meta_free(struct pool *pool, uint64_t address);
void space_meta_release(struct pool *pool, uint64_t address);

void quarantine_add(
    struct pool *pool, uint64_t address, uint32_t run, uint64_t lsn);
/* Something became durable or ended: see what may be used again. */
void quarantine_release(struct pool *pool);
void quarantine_release_later(struct pool *pool);

/* What is found empty on a device that is being emptied stays so. */
bool space_is_leaving(const struct pool *pool, const struct region *region);

/* BAD is also what has no place yet, while a pool grows. */
static inline bool
region_has_something(const struct region *region)
{
	return region->class != FMT_REGION_FREE &&
	       region->class != FMT_REGION_EVACUATING &&
	       region->class != FMT_REGION_BAD;
}

static inline bool
region_may_have_mirror(const struct region *region)
{
	return region->class == FMT_REGION_META ||
	       region->class == FMT_REGION_LOG;
}

/* Do blocks [address, address + run) lie where data may be? */
static inline bool
space_is_data(const struct space *space, uint64_t address, uint64_t run)
{
	uint64_t first = address >> space->region_shift;
	uint64_t last = (address + run - 1) >> space->region_shift;

	if (run > 1u << 20 || last >= space->count)
		return false;
	for (; first <= last; first++)
		if (space->regions[first].class != FMT_REGION_DATA)
			return false;
	return true;
}

static inline unsigned
grace_enter(struct space *space)
{
	unsigned parity = space->grace & 1;

	space->grace_io[parity]++;
	return parity;
}

static inline void
grace_leave(struct space *space, unsigned parity)
{
	assert(space->grace_io[parity] > 0);
	space->grace_io[parity]--;
}

/* Regions that one more for metadata takes. */
static inline unsigned
space_meta_copies(const struct space *space)
{
	return space->mirrored ? 2 : 1;
}

/* FREE regions that metadata need not have. */
uint64_t space_spare_regions(struct pool *pool);
/* FREE regions that data could have if so many pages were set aside for maps;
 * negative: so many are missing. */
int64_t space_spare_with(struct pool *pool, uint64_t map_pages);
/* Bytes data can still take. */
uint64_t space_free_bytes(struct pool *pool);
/* With so much free, or less, the pool is at its soft threshold. */
uint64_t space_soft_free_bytes(struct pool *pool);
/* Computes the level anew; an event if it changed. */
void space_level(struct pool *pool);

#endif
