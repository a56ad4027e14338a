/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chunks for data.  Each volume takes them from a window of its own, so that
 * what it writes in a row lies in a row; windows come from one leased region.
 */
#include "snapshot/engine.h"
#include "snapshot/lease.h"

static inline bool
busy_chunk(const struct lease *lease, uint32_t chunk)
{
	return (lease->busy[chunk / 4] >> (chunk % 4 * 16) & 0xffff) != 0;
}

/* Each chunk that is free may have a block in quarantine: a lease shows it, and
 * is not to be made again, for ever, before something has changed. */
static uint32_t
barren_mark(const struct space *space)
{
	return (uint32_t)space->q_tail + 1;
}

static uint64_t
region_usable(const struct region *region)
{
	uint64_t blocks = (uint64_t)region->free_chunks * FMT_CHUNK_BLOCKS;

	return blocks > region->quarantined ? blocks - region->quarantined : 0;
}

/* A region with a good part free; else a fresh one; else any. */
static int
data_pick(struct pool *pool, uint64_t *ret_region)
{
	struct space *space = &pool->space;
	uint64_t best = 0, best_usable = 0, fresh = UINT64_MAX;

	for (uint64_t i = 0; i < space->count; i++) {
		const struct region *region = &space->regions[i];
		if (space_is_leaving(pool, region))
			continue;
		if (region->class == FMT_REGION_FREE && fresh == UINT64_MAX)
			fresh = i;
		if (region->class != FMT_REGION_DATA || region->lease != NULL ||
		    region->barren == barren_mark(space))
			continue;
		if (region_usable(region) > best_usable) {
			best = i;
			best_usable = region_usable(region);
		}
	}
	if (best_usable < space->region_blocks / 4 && fresh != UINT64_MAX &&
	    space_spare_regions(pool) > 0) {
		*ret_region = fresh;
		return 0;
	}
	*ret_region = best;
	return best_usable >= FMT_CHUNK_BLOCKS ? 0 : -ENOSPC;
}

static int
data_lease(struct pool *pool, struct waiter *waiter)
{
	struct space *space = &pool->space;
	uint64_t region;
	int result;

	if (lease_is_making_data(pool)) {
		region = space->making->region;
	} else {
		result = data_pick(pool, &region);
		if (result < 0)
			return result;
	}
	result = lease_make(pool, region, waiter, &space->data);
	if (result < 0)
		return result;
	if (space->regions[region].class == FMT_REGION_FREE)
		region_record(pool, region, FMT_REGION_DATA);
	space_level(pool);
	return 0;
}

/* The first run of free chunks at or behind the cursor, at most want long. */
static bool
lease_search(const struct space *space, struct lease *lease, unsigned want,
    uint32_t *ret_chunk, unsigned *ret_count)
{
	uint32_t chunks = space->region_blocks / FMT_CHUNK_BLOCKS;
	uint32_t at = lease->cursor;
	unsigned count = 0;

	while (at < chunks && busy_chunk(lease, at))
		at++;
	while (at + count < chunks && count < want &&
	       !busy_chunk(lease, at + count))
		count++;
	*ret_chunk = at;
	*ret_count = count;
	return count > 0;
}

static bool
lease_take(struct space *space, struct lease *lease, unsigned want,
    uint64_t *ret_address, unsigned *ret_count)
{
	uint32_t chunk, blocks;

	if (!lease_search(space, lease, want, &chunk, ret_count)) {
		if (lease->cursor == 0)
			return false;
		lease->cursor = 0; /* freed ones before it */
		if (!lease_search(space, lease, want, &chunk, ret_count))
			return false;
	}
	blocks = *ret_count * FMT_CHUNK_BLOCKS;
	lease_mark(lease, chunk * FMT_CHUNK_BLOCKS, blocks, true);
	lease->reserved += blocks;
	lease->cursor = chunk + *ret_count;
	*ret_address =
	    region_address(space, lease->region) + chunk * FMT_CHUNK_BLOCKS;
	return true;
}

static bool
windows_reclaim(struct pool *pool)
{
	struct volume *volume;
	bool any = false;

	list_for_each (volume, &pool->volumes, link) {
		any |= volume->window_count > 0;
		space_window_drop(pool, volume);
	}
	return any;
}

/* A lease that was retired for want of chunks has some again, given back while
 * others of its region are being written; or the one for single blocks has. */
static bool
data_recall(struct pool *pool)
{
	struct space *space = &pool->space;
	struct lease *lease;
	uint32_t chunk;
	unsigned count;

	if (space->fine != NULL) {
		lease_retire(pool, &space->fine);
		return true;
	}
	list_for_each (lease, &space->retired, link) {
		lease->cursor = 0;
		if (!lease_search(space, lease, 1, &chunk, &count))
			continue;
		list_del(&lease->link);
		space->data = lease;
		return true;
	}
	return false;
}

void
space_leave(struct pool *pool)
{
	struct space *space = &pool->space;

	windows_reclaim(pool);
	lease_retire(pool, &space->data);
	lease_retire(pool, &space->fine);
}

/* What is in quarantine will be free when a commit is durable and I/O has
 * drained. */
int
space_exhausted(struct pool *pool, struct waiter *waiter)
{
	struct space *space = &pool->space;

	if (space->q_head != space->q_tail) {
		list_add_tail(&space->waiting, &waiter->link);
		redo_kick(pool);
		quarantine_release_later(pool);
		return -EAGAIN;
	}
	space->failures++;
	space_level(pool);
	return -ENOSPC;
}

static int
window_fill(struct pool *pool, struct volume *volume, struct waiter *waiter)
{
	struct space *space = &pool->space;
	unsigned count;
	int result;

	for (;;) {
		if (space->data != NULL &&
		    lease_take(space, space->data, SEG_CHUNKS, &volume->window,
			&count)) {
			volume->window_count = count;
			return 0;
		}
		if (space->data != NULL)
			space->regions[space->data->region].barren =
			    barren_mark(space);
		lease_retire(pool, &space->data);
		result = data_lease(pool, waiter);
		if (result == -ENOSPC) {
			if (windows_reclaim(pool) || data_recall(pool))
				continue;
			return space_exhausted(pool, waiter);
		}
		if (result < 0)
			return result;
	}
}

int
space_reserve(struct pool *pool, struct volume *volume, unsigned want,
    struct waiter *waiter, uint64_t *ret_address, unsigned *ret_count)
{
	int result;

	if (volume->window_count == 0) {
		result = window_fill(pool, volume, waiter);
		if (result < 0)
			return result;
	}
	if (want > volume->window_count)
		want = volume->window_count;
	*ret_address = volume->window;
	*ret_count = want;
	volume->window += (uint64_t)want * FMT_CHUNK_BLOCKS;
	volume->window_count -= want;
	return 0;
}

void
space_unreserve(struct pool *pool, uint64_t address, uint32_t run)
{
	struct space *space = &pool->space;
	struct lease *lease = space->regions[region_of(space, address)].lease;

	assert(lease != NULL);
	space->regions[lease->region].barren = 0;
	lease_mark(lease, region_block(space, address), run, false);
	lease_settle(pool, lease, run);
}

void
space_installed(struct pool *pool, uint64_t address, uint32_t run)
{
	struct space *space = &pool->space;
	struct lease *lease = space->regions[region_of(space, address)].lease;

	assert(lease != NULL);
	lease_settle(pool, lease, run);
}

void
space_window_drop(struct pool *pool, struct volume *volume)
{
	if (volume->window_count > 0)
		space_unreserve(pool, volume->window,
		    volume->window_count * FMT_CHUNK_BLOCKS);
	volume->window_count = 0;
	if (volume->fine_count > 0)
		space_unreserve(pool, volume->fine_window, volume->fine_count);
	volume->fine_count = 0;
}
