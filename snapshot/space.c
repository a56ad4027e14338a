/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Leases: who hands out which blocks, and how much is left for whom.
 */
#include "snapshot/space.h"
#include "snapshot/engine.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static inline uint64_t
region_of(const struct space *space, uint64_t address)
{
	return address >> space->region_shift;
}

/* ---- how much is left ---- */

/* Blocks of metadata in use or surely needed by the next checkpoint. */
static uint64_t
meta_needed(const struct pool *pool)
{
	const struct space *space = &pool->space;
	uint64_t all = space->class_count[FMT_REGION_META]
		       << space->region_shift;

	return all - space->meta_free + pool->cache.dirty_new + pool->credits;
}

/* Regions that one more for metadata takes. */
static inline unsigned
meta_copies(const struct space *space)
{
	return space->mirrored ? 2 : 1;
}

static uint64_t
meta_reach(const struct space *space, uint64_t free_regions)
{
	return (space->class_count[FMT_REGION_META] +
		   free_regions / meta_copies(space))
	       << space->region_shift;
}

bool
space_meta_room(struct pool *pool, uint64_t pages)
{
	struct space *space = &pool->space;

	return meta_needed(pool) + pages + space->reserve <=
	       meta_reach(space, space->class_count[FMT_REGION_FREE]);
}

/* FREE regions that data may take. */
uint64_t
space_spare_regions(struct pool *pool)
{
	struct space *space = &pool->space;
	uint64_t want = meta_needed(pool) + space->reserve;
	uint64_t free = space->class_count[FMT_REGION_FREE];
	uint64_t have = meta_reach(space, 0), more;

	if (have >= want)
		return free;
	more = (want - have + space->region_blocks - 1) >> space->region_shift;
	more *= meta_copies(space);
	return more < free ? free - more : 0;
}

uint64_t
space_free_bytes(struct pool *pool)
{
	struct space *space = &pool->space;

	return (space->data_free +
		   (space_spare_regions(pool) << space->region_shift))
	       << FMT_BLOCK_SHIFT;
}

void
space_set_reserve(struct pool *pool)
{
	struct space *space = &pool->space;
	uint64_t bytes = (space->count << space->region_shift) * FMT_BLOCK;
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

void
space_level(struct pool *pool)
{
	struct space *space = &pool->space;
	uint64_t used =
	    (space->class_count[FMT_REGION_DATA] << space->region_shift) -
	    space->data_free;
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

/* ---- the bitmap of a lease ---- */

static inline bool
busy_chunk(const struct lease *lease, uint32_t chunk)
{
	return (lease->busy[chunk / 4] >> (chunk % 4 * 16) & 0xffff) != 0;
}

static void
busy_set(struct lease *lease, uint32_t block, uint32_t run, bool value)
{
	for (; run > 0; run--, block++) {
		uint64_t bit = 1ull << (block % 64);
		if (value)
			lease->busy[block / 64] |= bit;
		else
			lease->busy[block / 64] &= ~bit;
	}
}

static void
busy_add_quarantine(struct space *space, struct lease *lease)
{
	uint64_t first = (uint64_t)lease->region << space->region_shift;
	uint64_t last = first + space->region_blocks;

	if (space->regions[lease->region].quarantined == 0)
		return;
	if (engine_breaks.i7_reuse_undurable &&
	    engine_breaks.i7_reuse_in_flight)
		return;
	for (uint64_t i = space->q_tail; i != space->q_head; i++) {
		const struct quarantine_entry *q =
		    &space->quarantine[i & (space->q_size - 1)];
		uint64_t from = q->address > first ? q->address : first;
		uint64_t to = q->address + q->run;
		if (to > last)
			to = last;
		if (from < to)
			busy_set(lease, (uint32_t)(from - first),
			    (uint32_t)(to - from), true);
	}
}

/* False: the bitmap and the counters of the region contradict each other.  Who
 * trusted the counters would search for space that is not there. */
static bool
lease_fill(struct pool *pool, struct lease *lease)
{
	struct space *space = &pool->space;
	const struct region *region = &space->regions[lease->region];
	uint64_t first = (uint64_t)lease->region << space->region_shift;
	uint32_t free_blocks = 0, free_chunks = 0;

	for (uint32_t block = 0; block < space->region_blocks; block += 64) {
		uint64_t at = first + block;
		const uint8_t *data =
		    lease->bitmap[block / FMT_BITMAP_BLOCKS]->data;
		uint64_t word = load_le64(data + at % FMT_BITMAP_BLOCKS / 8);
		lease->busy[block / 64] = word;
		free_blocks += (unsigned)__builtin_popcountll(~word);
		for (unsigned i = 0; i < 64; i += FMT_CHUNK_BLOCKS)
			free_chunks += (word >> i & 0xffff) == 0;
	}
	busy_add_quarantine(space, lease);
	return free_blocks == region->free_blocks &&
	       free_chunks == region->free_chunks;
}

static unsigned
lease_pages(const struct space *space)
{
	return space->region_blocks <= FMT_BITMAP_BLOCKS
		   ? 1
		   : space->region_blocks / FMT_BITMAP_BLOCKS;
}

static void
lease_free(struct pool *pool, struct lease *lease)
{
	struct space *space = &pool->space;

	assert(lease->reserved == 0);
	for (unsigned i = 0; i < lease_pages(space); i++)
		if (lease->bitmap[i] != NULL)
			page_unpin(lease->bitmap[i]);
	if (space->regions[lease->region].lease == lease)
		space->regions[lease->region].lease = NULL;
	list_del(&lease->link);
	free(lease);
}

/* Goes on with space->making until its bitmap is there. */
static int
lease_make(struct pool *pool, uint64_t region, struct waiter *waiter,
    struct lease **ret_lease)
{
	struct space *space = &pool->space;
	struct lease *lease = space->making;
	uint64_t first = region << space->region_shift;

	if (lease == NULL || lease->region != region) {
		if (lease != NULL)
			lease_free(pool, lease);
		lease = calloc(1, sizeof(*lease) + space->region_blocks / 8);
		space->making = lease;
		if (lease == NULL)
			return -ENOMEM;
		list_init(&lease->link);
		lease->region = (uint32_t)region;
	}
	for (unsigned i = 0; i < lease_pages(space); i++) {
		if (lease->bitmap[i] != NULL)
			continue;
		int result =
		    space_bitmap(pool, first + (uint64_t)i * FMT_BITMAP_BLOCKS,
			true, waiter, &lease->bitmap[i]);
		if (result < 0)
			return result;
		page_pin(lease->bitmap[i]);
	}
	space->making = NULL;
	if (!lease_fill(pool, lease)) {
		lease_free(pool, lease);
		pool_suspect(pool,
		    "region %" PRIu64 ": bitmap and counters contradict",
		    region);
		return -EBADMSG;
	}
	space->regions[region].lease = lease;
	*ret_lease = lease;
	return 0;
}

static void
region_record(struct pool *pool, uint64_t region, uint64_t class)
{
	struct fmt_record record = {.type = FMT_REGION};

	le64_set(&record.a, region);
	le64_set(&record.b, class);
	pool_record(pool, &record, 1);
}

/* A DATA region with nothing in it can serve metadata again. */
static void
region_check_empty(struct pool *pool, uint64_t number)
{
	struct space *space = &pool->space;
	struct region *region = &space->regions[number];

	if (region->class == FMT_REGION_DATA && region->lease == NULL &&
	    region->quarantined == 0 &&
	    region->free_blocks == space->region_blocks &&
	    (space->making == NULL || space->making->region != number) &&
	    pool->state == POOL_ONLINE)
		region_record(pool, number, FMT_REGION_FREE);
}

/* ---- data ---- */

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

static void
data_retire(struct pool *pool)
{
	struct space *space = &pool->space;
	struct lease *lease = space->data;
	uint64_t region;

	if (lease == NULL)
		return;
	space->data = NULL;
	region = lease->region;
	if (lease->reserved > 0) {
		list_add_tail(&space->retired, &lease->link);
		return;
	}
	lease_free(pool, lease);
	region_check_empty(pool, region);
}

static int
data_lease(struct pool *pool, struct waiter *waiter)
{
	struct space *space = &pool->space;
	uint64_t region;
	int result;

	if (space->making != NULL &&
	    space->regions[space->making->region].class == FMT_REGION_DATA) {
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
	busy_set(lease, chunk * FMT_CHUNK_BLOCKS, blocks, true);
	lease->reserved += blocks;
	lease->cursor = chunk + *ret_count;
	*ret_address = ((uint64_t)lease->region << space->region_shift) +
		       chunk * FMT_CHUNK_BLOCKS;
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

/* Nothing is free now.  What is in quarantine will be when a commit is
 * durable and I/O has drained. */
static int
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
		data_retire(pool);
		result = data_lease(pool, waiter);
		if (result == -ENOSPC) {
			if (windows_reclaim(pool))
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

static void
lease_settle(struct pool *pool, struct lease *lease, uint32_t run)
{
	struct space *space = &pool->space;
	uint64_t region = lease->region;

	assert(lease->reserved >= run);
	lease->reserved -= run;
	if (lease->reserved == 0 && lease != space->data &&
	    lease != space->fine) {
		lease_free(pool, lease);
		region_check_empty(pool, region);
	}
}

void
space_unreserve(struct pool *pool, uint64_t address, uint32_t run)
{
	struct space *space = &pool->space;
	struct lease *lease = space->regions[region_of(space, address)].lease;

	assert(lease != NULL);
	space->regions[lease->region].barren = 0;
	busy_set(lease, (uint32_t)(address & (space->region_blocks - 1)), run,
	    false);
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

/* ---- single blocks ---- */

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

static void
fine_retire(struct pool *pool)
{
	struct space *space = &pool->space;
	struct lease *lease = space->fine;
	uint64_t region;

	if (lease == NULL)
		return;
	space->fine = NULL;
	region = lease->region;
	if (lease->reserved > 0) {
		list_add_tail(&space->retired, &lease->link);
		return;
	}
	lease_free(pool, lease);
	region_check_empty(pool, region);
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
		    holes <= best_holes || !is_untried(tried, holes, i))
			continue;
		best = i;
		best_holes = holes;
	}
	if (best_holes < least)
		return -ENOSPC;
	if (space->making != NULL &&
	    space->regions[space->making->region].class == FMT_REGION_DATA &&
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
	busy_set(lease, block, count, true);
	lease->reserved += count;
	lease->cursor = block + count;
	volume->fine_window =
	    ((uint64_t)lease->region << space->region_shift) + block;
	volume->fine_count = count;
	return true;
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
		fine_retire(pool);
		result = fine_lease(pool, least, &tried, waiter);
		if (result == 0)
			continue;
		if (result != -ENOSPC || least == unit)
			return result;
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

/* ---- metadata ---- */

static void
meta_lease_add(struct pool *pool, struct lease *lease)
{
	struct space *space = &pool->space;

	for (uint32_t i = 0; i < space->region_blocks / 64; i++)
		space->meta_idle +=
		    64 - (unsigned)__builtin_popcountll(lease->busy[i]);
	list_add_tail(&space->meta, &lease->link);
}

static int
meta_grow(struct pool *pool, struct waiter *waiter)
{
	struct space *space = &pool->space;
	struct lease *lease;
	uint32_t mirror;
	int result;

	for (uint64_t i = 0; i < space->count; i++) {
		if (space->regions[i].class != FMT_REGION_FREE)
			continue;
		result = lease_make(pool, i, waiter, &lease);
		if (result < 0)
			return result;
		mirror = space->mirrored ? mirror_pick(pool, i) : NO_REGION;
		region_record(pool, i,
		    mirror == NO_REGION
			? FMT_REGION_META
			: FMT_REGION_META | ((uint64_t)mirror + 1) << 8);
		return 0;
	}
	return -ENOSPC;
}

/* A REGION record that makes it one: at run time meta_grow() has the lease, in
 * recovery it is made here, of bitmap pages that are in memory. */
int
space_meta_begin(struct pool *pool, uint64_t region)
{
	struct lease *lease = pool->space.regions[region].lease;
	int result = 0;

	if (lease == NULL)
		result = lease_make(pool, region, NULL, &lease);
	if (result == 0 && list_empty(&lease->link))
		meta_lease_add(pool, lease);
	return result;
}

int
space_meta_prepare(struct pool *pool, uint64_t pages, struct waiter *waiter)
{
	while (pool->space.meta_idle < pages) {
		int result = meta_grow(pool, waiter);
		if (result < 0)
			return result;
	}
	return 0;
}

int
space_meta_lease_all(struct pool *pool, struct waiter *waiter)
{
	struct space *space = &pool->space;

	for (uint64_t i = 0; i < space->count; i++) {
		struct region *region = &space->regions[i];
		struct lease *lease;
		if (region->class != FMT_REGION_META || region->lease != NULL)
			continue;
		int result = lease_make(pool, i, waiter, &lease);
		if (result < 0)
			return result;
		meta_lease_add(pool, lease);
	}
	return 0;
}

static bool
meta_search(struct space *space, struct lease *lease, uint32_t *ret_block)
{
	uint32_t words = space->region_blocks / 64;

	for (uint32_t i = lease->cursor / 64; i < words; i++) {
		uint64_t idle = ~lease->busy[i];
		if (i == lease->cursor / 64)
			idle &= ~0ull << lease->cursor % 64;
		if (idle == 0)
			continue;
		*ret_block = i * 64 + (uint32_t)__builtin_ctzll(idle);
		return true;
	}
	return false;
}

/* From the cursor of one lease to its end, then the next one from 0. */
static struct lease *
meta_find(struct space *space, uint32_t *ret_block)
{
	struct lease *lease = space->meta_current;
	struct list *node;

	if (lease != NULL && lease->cursor < space->region_blocks &&
	    meta_search(space, lease, ret_block))
		return lease;
	node = lease != NULL ? &lease->link : &space->meta;
	for (;;) {
		node = node->next;
		if (node == &space->meta)
			continue;
		lease = list_entry(node, struct lease, link);
		lease->cursor = 0;
		if (meta_search(space, lease, ret_block))
			return lease;
	}
}

uint64_t
space_meta_take(struct pool *pool)
{
	struct space *space = &pool->space;
	struct lease *lease;
	uint64_t address;
	uint32_t block;

	if (space->meta_idle == 0)
		return 0;
	lease = meta_find(space, &block);
	space->meta_current = lease;
	lease->cursor = block + 1;
	busy_set(lease, block, 1, true);
	space->meta_idle--;
	address = ((uint64_t)lease->region << space->region_shift) + block;
	return space_set(pool, address, 1) < 0 ? 0 : address;
}

int
space_meta_free(struct pool *pool, uint64_t address)
{
	struct space *space = &pool->space;
	const struct region *region =
	    &space->regions[region_of(space, address)];

	if (region->class != FMT_REGION_META || region->lease == NULL)
		return -EBADMSG;
	return space_clear(pool, address, 1);
}

void
space_meta_release(struct pool *pool, uint64_t address)
{
	struct space *space = &pool->space;
	struct lease *lease = space->regions[region_of(space, address)].lease;

	assert(lease != NULL);
	busy_set(
	    lease, (uint32_t)(address & (space->region_blocks - 1)), 1, false);
	space->meta_idle++;
}

/* ---- quarantine ---- */

static int
quarantine_grow(struct space *space)
{
	uint64_t size = space->q_size == 0 ? 1024 : space->q_size * 2;
	struct quarantine_entry *entries = calloc(size, sizeof(*entries));

	if (entries == NULL)
		return -ENOMEM;
	for (uint64_t i = space->q_tail; i != space->q_head; i++)
		entries[i & (size - 1)] =
		    space->quarantine[i & (space->q_size - 1)];
	free(space->quarantine);
	space->quarantine = entries;
	space->q_size = size;
	return 0;
}

void
quarantine_add(struct pool *pool, uint64_t address, uint32_t run, uint64_t lsn)
{
	struct space *space = &pool->space;
	int result = 0;

	/* A freed block that nobody remembers is free after the next open. */
	if (space->q_head - space->q_tail == space->q_size)
		result = quarantine_grow(space);
	assert(result == 0);
	space->quarantine[space->q_head++ & (space->q_size - 1)] =
	    (struct quarantine_entry){
		.address = address,
		.run = run,
		.lsn = lsn,
		.grace = space->grace,
	    };
	space->regions[region_of(space, address)].quarantined += run;
}

static void
quarantine_give_back(struct pool *pool, const struct quarantine_entry *q)
{
	struct space *space = &pool->space;
	uint64_t number = region_of(space, q->address);
	struct region *region = &space->regions[number];

	assert(region->quarantined >= q->run);
	region->quarantined -= q->run;
	if (region->lease != NULL)
		busy_set(region->lease,
		    (uint32_t)(q->address & (space->region_blocks - 1)), q->run,
		    false);
	region_check_empty(pool, number);
}

/* An I/O began in grace n holds back what was freed in n: it may have looked
 * it up before.  The number moves on when the one before it has drained. */
static bool
quarantine_over(struct pool *pool, const struct quarantine_entry *q)
{
	struct space *space = &pool->space;
	uint32_t age;

	if (q->lsn >= pool->redo.durable_lsn &&
	    !engine_breaks.i7_reuse_undurable)
		return false;
	if (engine_breaks.i7_reuse_in_flight)
		return true;
	if (space->grace_io[(space->grace - 1) & 1] == 0 &&
	    q->grace == space->grace)
		space->grace++;
	age = space->grace - q->grace;
	return age >= 2 || (age == 1 && space->grace_io[q->grace & 1] == 0);
}

void
quarantine_release(struct pool *pool)
{
	struct space *space = &pool->space;
	bool any = false;

	if (space->releasing)
		return; /* region_check_empty came by */
	space->releasing = true;
	while (space->q_tail != space->q_head) {
		struct quarantine_entry q =
		    space->quarantine[space->q_tail & (space->q_size - 1)];
		if (!quarantine_over(pool, &q))
			break;
		space->q_tail++;
		quarantine_give_back(pool, &q);
		any = true;
	}
	space->releasing = false;
	if (!any)
		return;
	space_level(pool);
	waiters_wake(&space->waiting, 0);
}

static void
release_task(struct loop_task *task)
{
	quarantine_release(container_of(task, struct pool, space.task));
}

void
quarantine_release_later(struct pool *pool)
{
	if (pool->space.task.queued)
		return;
	pool->space.task.run = release_task;
	loop_defer(pool->loop, &pool->space.task);
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
