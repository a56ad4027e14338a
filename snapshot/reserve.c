/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is set aside for reservations, and who may have the rest.
 */
#include "snapshot/reserve.h"
#include "snapshot/engine.h"

/* What is, or would be, set aside for one volume or for all. */
struct aside {
	uint64_t blocks, pages;
};

uint64_t
reserve_bytes(const struct volume *volume)
{
	return volume->reserve_blocks * FMT_BLOCK;
}

/* A map of single blocks, whole: more is never needed.  They stay set aside
 * when it is there: a snapshot makes it all to be copied. */
static uint64_t
map_pages(uint64_t size)
{
	uint64_t leaves = size / FMT_LEAF_BYTES + 1;

	return leaves * (FMT_LEAF_FINE + 1) + leaves / FMT_FANOUT +
	       FMT_MAP_LEVELS_MAX;
}

static struct aside
aside_of(uint64_t reserve_blocks, uint64_t size, uint64_t has)
{
	uint64_t most = (size + FMT_CHUNK - 1) / FMT_CHUNK * FMT_CHUNK_BLOCKS;
	struct aside aside = {.blocks = reserve_blocks};

	if (aside.blocks > most)
		aside.blocks = most;
	aside.pages = map_pages(size);
	if (aside.pages > aside.blocks)
		aside.pages = aside.blocks;
	aside.blocks = aside.blocks > has ? aside.blocks - has : 0;
	return aside;
}

/* Whole regions become metadata, and their mirrors. */
static uint64_t
aside_total(const struct pool *pool, struct aside aside)
{
	const struct space *space = &pool->space;
	uint64_t regions =
	    (aside.pages + space->region_blocks - 1) >> space->region_shift;

	return aside.blocks +
	       ((regions * space_meta_copies(space)) << space->region_shift);
}

uint64_t
reserve_total(const struct pool *pool)
{
	return aside_total(
	    pool, (struct aside){pool->aside_blocks, pool->aside_pages});
}

/* Blocks that are left of all that is free, with so much set aside. */
static int64_t
left_blocks(struct pool *pool, struct aside aside)
{
	int64_t spare = space_spare_with(pool, aside.pages);

	return (int64_t)(pool->space.data_free - pool->space.held_free) +
	       (spare * (int64_t)pool->space.region_blocks) -
	       (int64_t)pool->pending_blocks -
	       (int64_t)aside_total(pool, aside);
}

/* What counts as had: what comes of rewrites it has already. */
static uint64_t
has_blocks(const struct volume *volume)
{
	return losses_own(volume) + volume->pending_blocks -
	       volume->rewrite_blocks;
}

/* ---- keeping count ---- */

static void
aside_set(struct volume *volume, struct aside aside)
{
	struct pool *pool = volume->pool;

	pool->aside_blocks += aside.blocks - volume->aside_blocks;
	pool->aside_pages += aside.pages - volume->aside_pages;
	volume->aside_blocks = aside.blocks;
	volume->aside_pages = aside.pages;
}

void
reserve_look(struct volume *volume)
{
	if (volume->reserve_blocks == 0)
		reserve_end(volume);
	else
		aside_set(volume, aside_of(volume->reserve_blocks, volume->size,
				      has_blocks(volume)));
}

void
reserve_end(struct volume *volume)
{
	aside_set(volume, (struct aside){0, 0});
}

void
reserve_set(struct volume *volume, uint64_t bytes)
{
	volume->reserve_blocks = bytes / FMT_BLOCK;
	if (bytes != 0)
		volume->pool->has_limits = true;
}

/* ---- asking ---- */

uint64_t
reserve_ask(struct pool *pool, uint64_t aside, uint64_t want, unsigned unit)
{
	int64_t left;

	if (pool->aside_pages == 0 || engine_breaks.reserve_ignored)
		return want;
	left = left_blocks(
	    pool, (struct aside){pool->aside_blocks, pool->aside_pages});
	if (left > 0)
		aside += (uint64_t)left;
	return aside < want ? aside / unit * unit : want;
}

uint64_t
reserve_spare_regions(struct pool *pool)
{
	uint64_t spare = space_spare_regions(pool);
	int64_t left;

	if (pool->aside_pages == 0)
		return spare;
	left = left_blocks(pool,
		   (struct aside){pool->aside_blocks, pool->aside_pages}) >>
	       pool->space.region_shift;
	if (left <= 0)
		return 0;
	return (uint64_t)left < spare ? (uint64_t)left : spare;
}

/* Pages cannot be where data is, however much of that is free. */
static uint64_t
lacks(struct pool *pool, struct aside before, struct aside after)
{
	int64_t left, spare;

	if (after.blocks <= before.blocks && after.pages <= before.pages)
		return 0;
	after.blocks += pool->aside_blocks - before.blocks;
	after.pages += pool->aside_pages - before.pages;
	left = left_blocks(pool, after);
	spare = space_spare_with(pool, after.pages) *
		(int64_t)pool->space.region_blocks;
	if (left > spare)
		left = spare;
	return left < 0 ? (uint64_t)-left : 0;
}

uint64_t
reserve_lacks(struct pool *pool, const struct volume *volume, uint64_t bytes,
    uint64_t size)
{
	struct aside before = {0, 0};
	uint64_t has = 0;

	if (volume != NULL) {
		before =
		    (struct aside){volume->aside_blocks, volume->aside_pages};
		has = has_blocks(volume);
	}
	return lacks(pool, before, aside_of(bytes / FMT_BLOCK, size, has));
}

uint64_t
reserve_lacks_for_snapshot(
    struct pool *pool, struct volume *const *volumes, unsigned count)
{
	struct aside before = {0, 0}, after = {0, 0};

	for (unsigned i = 0; i < count; i++) {
		const struct volume *volume = volumes[i];
		struct aside aside;
		if (volume->reserve_blocks == 0)
			continue;
		aside = aside_of(volume->reserve_blocks, volume->size,
		    volume->pending_blocks - volume->rewrite_blocks);
		before.blocks += volume->aside_blocks;
		before.pages += volume->aside_pages;
		after.blocks += aside.blocks;
		after.pages += aside.pages;
	}
	return lacks(pool, before, after);
}
