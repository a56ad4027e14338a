/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much space is left, and for whom.
 */
#include "snapshot/engine.h"
#include "snapshot/lease.h"
#include "snapshot/reserve.h"
#include <stdlib.h>

/* Blocks of metadata in use or surely needed by the next checkpoint. */
static uint64_t
meta_needed(const struct pool *pool)
{
	const struct space *space = &pool->space;
	uint64_t all = space->class_count[FMT_REGION_META]
		       << space->region_shift;

	return all - space->meta_free + pool->cache.dirty_new + pool->credits;
}

static uint64_t
meta_reach(const struct space *space, uint64_t free_regions)
{
	return (space->class_count[FMT_REGION_META] +
		   free_regions / space_meta_copies(space))
	       << space->region_shift;
}

/* Pages to be left alone by those for whom nothing is set aside: for the maps
 * of the others, and as many as may at all be under way. */
static uint64_t
meta_aside(const struct pool *pool, uint64_t map_pages)
{
	if (map_pages == 0 || pool->credits >= pool->dirty_hard)
		return map_pages;
	return map_pages + pool->dirty_hard - pool->credits;
}

/* The region that is moving has got the one that was promised to it. */
static bool
move_is_served(const struct pool *pool)
{
	const struct move *move = &pool->move;

	return move->region != NO_REGION && !move->exchanged &&
	       space_is_leaving(pool, &pool->space.regions[move->region]);
}

/* FREE regions that are not promised to what leaves its device; negative: so
 * many are missing. */
static int64_t
free_regions(const struct pool *pool)
{
	const struct space *space = &pool->space;

	return (int64_t)space->class_count[FMT_REGION_FREE] -
	       (int64_t)space->leaving + move_is_served(pool);
}

int
space_meta_room(
    struct pool *pool, uint64_t pages, bool is_aside, struct waiter *waiter)
{
	struct space *space = &pool->space;
	int64_t free = free_regions(pool);

	if (!is_aside)
		pages += meta_aside(pool, pool->aside_pages);
	if (meta_needed(pool) + pages + space->reserve <=
	    meta_reach(space, free > 0 ? (uint64_t)free : 0))
		return 0;
	return space_exhausted(pool, waiter);
}

/* FREE regions that metadata must find. */
static uint64_t
meta_regions(const struct pool *pool, uint64_t map_pages)
{
	const struct space *space = &pool->space;
	uint64_t want =
	    meta_needed(pool) + space->reserve + meta_aside(pool, map_pages);
	uint64_t have = meta_reach(space, 0);

	if (have >= want)
		return 0;
	return ((want - have + space->region_blocks - 1) >>
		   space->region_shift) *
	       space_meta_copies(space);
}

int64_t
space_spare_with(struct pool *pool, uint64_t map_pages)
{
	return free_regions(pool) - (int64_t)meta_regions(pool, map_pages);
}

uint64_t
space_spare_regions(struct pool *pool)
{
	int64_t spare = space_spare_with(pool, pool->aside_pages);

	return spare > 0 ? (uint64_t)spare : 0;
}

uint64_t
space_free_bytes(struct pool *pool)
{
	struct space *space = &pool->space;

	return (space->data_free - space->held_free +
		   (space_spare_regions(pool) << space->region_shift))
	       << FMT_BLOCK_SHIFT;
}

void
space_set_reserve(struct pool *pool)
{
	struct space *space = &pool->space;
	uint64_t regions = space->count - space->class_count[FMT_REGION_BAD];
	uint64_t bytes = (regions << space->region_shift) * FMT_BLOCK;
	uint64_t limit = bytes / 128;

	if (limit < 512 << 10)
		limit = 512 << 10;
	if (limit > pool->limits.dirty_bytes)
		limit = pool->limits.dirty_bytes;
	pool->dirty_limit = limit / FMT_BLOCK;
	pool->dirty_hard = 2 * pool->dirty_limit;
	/* pages that a checkpoint gives up are still in use while as many new
	 * ones are written, and half as many more may become dirty */
	space->reserve =
	    pool->dirty_hard + pool->dirty_limit + space->region_blocks;
}

static uint64_t
used_blocks(const struct space *space)
{
	return (space->class_count[FMT_REGION_DATA] << space->region_shift) -
	       space->data_free;
}

uint64_t
space_soft_free_bytes(struct pool *pool)
{
	uint64_t used = used_blocks(&pool->space) << FMT_BLOCK_SHIFT;

	return (used + space_free_bytes(pool)) / 100 *
	       (100 - pool->soft_percent);
}

void
space_level(struct pool *pool)
{
	struct space *space = &pool->space;
	uint64_t used = used_blocks(space);
	uint64_t free = space_free_bytes(pool) / FMT_BLOCK;
	uint64_t percent = used + free > 0 ? used * 100 / (used + free) : 100;
	int level = free < FMT_CHUNK_BLOCKS         ? 3
		    : percent >= pool->hard_percent ? 2
		    : percent >= pool->soft_percent ? 1
						    : 0;

	if (level == space->level)
		return;
	space->level = level;
	pool_event_send(pool, POOL_EVENT_LEVEL);
}

/* ---- devices that are being emptied ---- */

bool
space_is_leaving(const struct pool *pool, const struct region *region)
{
	return pool->device[region->device].state == FMT_DEVICE_EVACUATING;
}

void
space_count_leaving(struct pool *pool)
{
	struct space *space = &pool->space;

	space->leaving = space->held_free = 0;
	for (uint64_t i = 0; i < space->count; i++) {
		const struct region *region = &space->regions[i];
		if (!space_is_leaving(pool, region) ||
		    !region_has_something(region))
			continue;
		space->leaving++;
		if (region->class == FMT_REGION_DATA)
			space->held_free += region->free_blocks;
	}
}

/* What would be left of FREE regions, and of blocks free in DATA ones, if the
 * device were leaving too. */
struct left {
	int64_t regions, blocks;
};

static struct left
left_without(struct pool *pool, unsigned device, uint64_t *ret_needed)
{
	struct space *space = &pool->space;
	struct left left = {
	    .regions = -(int64_t)space->leaving -
		       (int64_t)meta_regions(pool, pool->aside_pages),
	    .blocks = (int64_t)(space->data_free - space->held_free)};

	*ret_needed = 0;
	for (uint64_t i = 0; i < space->count; i++) {
		const struct region *region = &space->regions[i];
		if (region->device != device)
			left.regions += region->class == FMT_REGION_FREE;
		else if (region_has_something(region))
			(*ret_needed)++;
		if (region->device == device &&
		    region->class == FMT_REGION_DATA)
			left.blocks -= (int64_t)region->free_blocks;
	}
	left.regions -= (int64_t)*ret_needed;
	return left;
}

uint64_t
space_lacking(struct pool *pool, unsigned device, uint64_t *ret_needed)
{
	struct space *space = &pool->space;
	struct left left = left_without(pool, device, ret_needed);
	int64_t lacks = -left.regions;
	/* what is promised to volumes stays there for them all the time */
	int64_t aside =
	    pool->aside_pages == 0
		? 0
		: (int64_t)(reserve_total(pool) + pool->pending_blocks) -
		      left.blocks;
	int64_t for_aside =
	    (aside + space->region_blocks - 1) >> space->region_shift;

	if (aside > 0)
		lacks += for_aside;
	return lacks > 0 ? (uint64_t)lacks : 0;
}

uint64_t
device_used_regions(const struct pool *pool, unsigned device)
{
	const struct space *space = &pool->space;
	uint64_t used = 0;

	for (uint64_t i = 0; i < space->count; i++)
		used += space->regions[i].device == device &&
			(region_has_something(&space->regions[i]) ||
			    pool->move.target == i);
	return used;
}

/* ---- life ---- */

int
space_init(struct pool *pool, uint64_t regions, uint32_t region_blocks)
{
	struct space *space = &pool->space;
	uint64_t pages =
	    (regions + FMT_PAGE_REGIONS_COUNT - 1) / FMT_PAGE_REGIONS_COUNT;

	space->count = regions;
	space->region_blocks = region_blocks;
	space->region_shift = (uint32_t)__builtin_ctz(region_blocks);
	space->regions = calloc(regions, sizeof(space->regions[0]));
	space->region_pages = calloc(pages, sizeof(space->region_pages[0]));
	list_init(&space->retired);
	list_init(&space->meta);
	list_init(&space->waiting);
	if (space->regions == NULL || space->region_pages == NULL)
		return -ENOMEM;
	for (uint64_t i = 0; i < regions; i++)
		space->regions[i].mirror = NO_REGION;
	return 0;
}

/* The pool closes or failed: nothing of this matters any more. */
void
space_done(struct pool *pool)
{
	struct space *space = &pool->space;

	for (uint64_t i = 0; i < space->count && space->regions != NULL; i++)
		if (space->regions[i].lease != NULL) {
			space->regions[i].lease->reserved = 0;
			lease_free(pool, space->regions[i].lease);
		}
	if (space->making != NULL)
		lease_free(pool, space->making);
	free(space->regions);
	free(space->region_pages);
	free(space->quarantine);
}
