/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Single blocks for data, in a row where there are such: the holes of chunks
 * that are in use in part.
 */
#include "snapshot/engine.h"
#include "snapshot/lease.h"

/* Blocks free in chunks that are in use in part. */
static uint64_t
region_holes(const struct region *region)
{
	uint64_t chunks = (uint64_t)region->free_chunks * FMT_CHUNK_BLOCKS;
	uint64_t holes = region->free_blocks - chunks;

	return region->free_blocks > chunks && holes > region->quarantined
		   ? holes - region->quarantined
		   : 0;
}

/* A region that has been looked at for holes, in vain: they are too small, or
 * not aligned.  Next is the one with the most holes of the others. */
struct fine_tried {
	uint64_t holes, region;
};

static bool
is_untried(const struct fine_tried *tried, uint64_t holes, uint64_t region)
{
	return holes < tried->holes ||
	       (holes == tried->holes && region > tried->region);
}

/* A lease of the region with the most holes, if it has at least so many. */
static int
fine_lease(struct pool *pool, uint64_t least, struct fine_tried *tried,
    struct waiter *waiter)
{
	struct space *space = &pool->space;
	uint64_t best = 0, best_holes = 0;
	int result;

	for (uint64_t i = 0; i < space->count; i++) {
		const struct region *region = &space->regions[i];
		uint64_t holes = region_holes(region);
		if (region->class != FMT_REGION_DATA || region->lease != NULL ||
		    space_is_leaving(pool, region) || holes <= best_holes ||
		    !is_untried(tried, holes, i))
			continue;
		best = i;
		best_holes = holes;
	}
	if (best_holes < least)
		return -ENOSPC;
	if (lease_is_making_data(pool) &&
	    space->regions[space->making->region].lease == NULL)
		return lease_make(
		    pool, space->making->region, waiter, &space->fine);
	result = lease_make(pool, best, waiter, &space->fine);
	if (result == 0)
		*tried = (struct fine_tried){best_holes, best};
	return result;
}

/* The first run of free blocks of a chunk that is in use in part. */
static bool
lease_search_hole(const struct space *space, struct lease *lease, unsigned unit,
    uint32_t *ret_block, unsigned *ret_count)
{
	uint32_t at = (lease->cursor + unit - 1) / unit * unit;
	unsigned count = 0;

	for (; at < space->region_blocks; at += unit) {
		uint64_t word = lease->busy[at / 64];
		unsigned chunk = word >> (at % 64 / 16 * 16) & 0xffff;
		if (at % FMT_CHUNK_BLOCKS == 0 &&
		    (chunk == 0 || chunk == 0xffff)) {
			at += FMT_CHUNK_BLOCKS - unit;
			continue;
		}
		if ((word >> at % 64 & ((1u << unit) - 1)) == 0)
			break;
	}
	while (at + count < space->region_blocks &&
	       (at + count) / FMT_CHUNK_BLOCKS == at / FMT_CHUNK_BLOCKS &&
	       (lease->busy[at / 64] >> (at + count) % 64 &
		   ((1u << unit) - 1)) == 0)
		count += unit;
	*ret_block = at;
	*ret_count = count;
	return count > 0;
}

static bool
lease_take_hole(struct space *space, struct volume *volume, unsigned unit)
{
	struct lease *lease = space->fine;
	uint32_t block;
	unsigned count;

	if (lease == NULL ||
	    !lease_search_hole(space, lease, unit, &block, &count))
		return false;
	lease_mark(lease, block, count, true);
	lease->reserved += count;
	lease->cursor = block + count;
	volume->fine_window = region_address(space, lease->region) + block;
	volume->fine_count = count;
	return true;
}

/* A lease that was retired has holes (again). */
static bool
fine_recall(struct space *space, unsigned unit)
{
	struct lease *lease;
	uint32_t block;
	unsigned count;

	list_for_each (lease, &space->retired, link) {
		lease->cursor = 0;
		if (!lease_search_hole(space, lease, unit, &block, &count))
			continue;
		list_del(&lease->link);
		space->fine = lease;
		return true;
	}
	return false;
}

/* Holes where there are many; then a fresh chunk; then holes anywhere. */
static int
fine_fill(struct pool *pool, struct volume *volume, unsigned unit,
    struct waiter *waiter)
{
	struct space *space = &pool->space;
	uint64_t least = space->region_blocks / 16;
	struct fine_tried tried = {.holes = UINT64_MAX};
	unsigned count;
	int result;

	for (;;) {
		if (lease_take_hole(space, volume, unit))
			return 0;
		lease_retire(pool, &space->fine);
		result = fine_lease(pool, least, &tried, waiter);
		if (result == 0)
			continue;
		if (result != -ENOSPC)
			return result;
		if (least == unit) {
			if (fine_recall(space, unit))
				continue;
			return result;
		}
		result = space_reserve(
		    pool, volume, 1, waiter, &volume->fine_window, &count);
		if (result == 0)
			volume->fine_count = FMT_CHUNK_BLOCKS;
		if (result != -ENOSPC)
			return result;
		least = unit;
	}
}

int
space_reserve_blocks(struct pool *pool, struct volume *volume, unsigned want,
    unsigned unit, struct waiter *waiter, uint64_t *ret_address,
    unsigned *ret_count)
{
	int result;

	if (volume->fine_count < unit || volume->fine_window % unit != 0) {
		if (volume->fine_count > 0)
			space_unreserve(
			    pool, volume->fine_window, volume->fine_count);
		volume->fine_count = 0;
		result = fine_fill(pool, volume, unit, waiter);
		if (result < 0)
			return result;
	}
	if (want > volume->fine_count)
		want = volume->fine_count / unit * unit;
	*ret_address = volume->fine_window;
	*ret_count = want;
	volume->fine_window += want;
	volume->fine_count -= want;
	return 0;
}
