/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The region table and the bitmap: what apply changes, and what is counted.
 */
#include "snapshot/engine.h"
#include <string.h>

static struct fmt_region *
region_record_of(struct pool *pool, uint64_t region)
{
	struct page *page =
	    pool->space.region_pages[region / FMT_PAGE_REGIONS_COUNT];
	struct fmt_region_page *table = (void *)page->data;

	return &table->region[region % FMT_PAGE_REGIONS_COUNT];
}

void
region_store(struct pool *pool, uint64_t number)
{
	const struct region *region = &pool->space.regions[number];
	struct fmt_region *record;

	page_dirty(pool->space.region_pages[number / FMT_PAGE_REGIONS_COUNT]);
	record = region_record_of(pool, number);
	record->class = region->class;
	le32_set(&record->free_blocks, region->free_blocks);
	le32_set(&record->free_chunks, region->free_chunks);
}

void
space_count(struct pool *pool, uint64_t from)
{
	struct space *space = &pool->space;

	for (uint64_t i = from; i < space->count; i++) {
		const struct region *region = &space->regions[i];
		space->class_count[region->class]++;
		if (region->class == FMT_REGION_DATA)
			space->data_free += region->free_blocks;
		if (region->class == FMT_REGION_META)
			space->meta_free += region->free_blocks;
	}
}

/* A record of the table, told from any other bytes. */
static int
region_load(struct pool *pool, uint64_t number)
{
	struct space *space = &pool->space;
	const struct fmt_region *record = region_record_of(pool, number);
	struct region *region = &space->regions[number];
	uint16_t device = le16_get(&record->device);
	uint32_t place = le32_get(&record->device_region);

	if (record->class >= FMT_REGION_CLASS_COUNT ||
	    device >= pool->device_count ||
	    place >= pool->device[device].regions ||
	    pool->device[device].region_of[place] != UINT32_MAX ||
	    le32_get(&record->free_blocks) > space->region_blocks ||
	    le32_get(&record->free_chunks) >
		space->region_blocks / FMT_CHUNK_BLOCKS)
		return -EBADMSG;
	pool->device[device].region_of[place] = (uint32_t)number;
	region->class = record->class;
	region->device = device;
	region->offset = FMT_DEVICE_HEAD +
			 ((uint64_t)place << space->region_shift) * FMT_BLOCK;
	region->free_blocks = le32_get(&record->free_blocks);
	region->free_chunks = le32_get(&record->free_chunks);
	return 0;
}

/* The pages of the table were found by device addresses; from now on they are
 * known by pool addresses as all others. */
static int
region_page_translate(struct pool *pool, struct page *page)
{
	struct space *space = &pool->space;
	uint64_t region_bytes = (uint64_t)space->region_blocks * FMT_BLOCK;
	struct device *device =
	    &pool->device[page->address >> FMT_DEVICE_SHIFT];
	uint64_t offset =
	    page->address << FMT_BLOCK_SHIFT & (FMT_DEVICE_BYTES_MAX - 1);
	uint64_t place = (offset - FMT_DEVICE_HEAD) / region_bytes;

	if (page->address == 0)
		return 0;
	if (offset < FMT_DEVICE_HEAD || place >= device->regions ||
	    device->region_of[place] == UINT32_MAX ||
	    space->regions[device->region_of[place]].class != FMT_REGION_META)
		return -EBADMSG;
	page->address =
	    ((uint64_t)device->region_of[place] << space->region_shift) +
	    (offset - FMT_DEVICE_HEAD) % region_bytes / FMT_BLOCK;
	return 0;
}

static int
region_pages_translate(struct pool *pool)
{
	uint64_t pages = (pool->space.count + FMT_PAGE_REGIONS_COUNT - 1) /
			 FMT_PAGE_REGIONS_COUNT;
	int result = 0;

	for (unsigned level = 0; level < pool->regions.levels; level++) {
		for (uint64_t i = 0; i < pages && result == 0; i++) {
			struct page *page = page_find(&pool->regions, level, i);
			assert(page != NULL);
			result = region_page_translate(pool, page);
		}
		pages = (pages + FMT_FANOUT - 1) / FMT_FANOUT;
	}
	return result;
}

/* The log lies in LOG regions, or it would be written over something. */
static int
log_place_check(struct pool *pool)
{
	struct space *space = &pool->space;
	uint64_t first = pool->redo.start >> space->region_shift;
	uint64_t last =
	    (pool->redo.start + pool->redo.blocks - 1) >> space->region_shift;

	for (; first <= last; first++)
		if (first >= space->count ||
		    space->regions[first].class != FMT_REGION_LOG)
			return -EBADMSG;
	return 0;
}

int
regions_load(struct pool *pool, struct waiter *waiter)
{
	struct space *space = &pool->space;
	uint64_t pages = (space->count + FMT_PAGE_REGIONS_COUNT - 1) /
			 FMT_PAGE_REGIONS_COUNT;
	int result;

	for (uint64_t i = 0; i < pages; i++) {
		if (space->region_pages[i] != NULL)
			continue;
		result = page_get(&pool->regions, 0, i, false, waiter,
		    &space->region_pages[i], NULL);
		if (result == 0 && space->region_pages[i] == NULL)
			result = -EBADMSG;
		if (result < 0)
			return result;
		page_pin(space->region_pages[i]);
	}
	for (uint64_t i = 0; i < space->count; i++) {
		result = region_load(pool, i);
		if (result < 0)
			return result;
	}
	return log_place_check(pool) < 0 ? -EBADMSG
					 : region_pages_translate(pool);
}

/* ---- bits ---- */

int
space_bitmap(struct pool *pool, uint64_t address, bool create,
    struct waiter *waiter, struct page **ret_page)
{
	int result = page_get(&pool->bitmap, 0, address / FMT_BITMAP_BLOCKS,
	    create, waiter, ret_page, NULL);

	if (result == 0 && *ret_page == NULL)
		return -EBADMSG; /* in use, and its bitmap does not exist */
	return result;
}

static int
space_account(
    struct pool *pool, struct region *region, int64_t blocks, int64_t chunks)
{
	struct space *space = &pool->space;

	/* the counts are as they were read: they may be wrong */
	if (region->free_blocks + blocks < 0 ||
	    region->free_blocks + blocks > space->region_blocks ||
	    region->free_chunks + chunks < 0 ||
	    region->free_chunks + chunks >
		space->region_blocks / FMT_CHUNK_BLOCKS)
		return -EBADMSG;
	region->free_blocks = (uint32_t)(region->free_blocks + blocks);
	region->free_chunks = (uint32_t)(region->free_chunks + chunks);
	if (region->class == FMT_REGION_DATA)
		space->data_free =
		    (uint64_t)((int64_t)space->data_free + blocks);
	if (region->class == FMT_REGION_META)
		space->meta_free =
		    (uint64_t)((int64_t)space->meta_free + blocks);
	return 0;
}

/* count bits of one chunk of 16. */
static int
bits_change(struct pool *pool, uint64_t address, unsigned count, bool value)
{
	uint64_t number = address >> pool->space.region_shift;
	struct region *region = &pool->space.regions[number];
	struct page *page =
	    page_find(&pool->bitmap, 0, address / FMT_BITMAP_BLOCKS);
	uint16_t bits = (uint16_t)(((1u << count) - 1) << address % 16);
	uint16_t before, after;
	uint8_t *place;

	if (region->class != FMT_REGION_DATA &&
	    region->class != FMT_REGION_META)
		return -EBADMSG;
	assert(page != NULL);
	assert(page->loaded);
	place = page->data + address % FMT_BITMAP_BLOCKS / 16 * 2;
	before = load_le16(place);
	if ((before & bits) != (value ? 0 : bits))
		return -EBADMSG;
	after = before ^ bits;
	page_dirty(page);
	place = page->data + address % FMT_BITMAP_BLOCKS / 16 * 2;
	store_le16(place, after);
	return space_account(pool, region,
	    value ? -(int64_t)count : (int64_t)count,
	    (after == 0) - (before == 0));
}

bool
space_are_set(struct pool *pool, uint64_t address, uint64_t run)
{
	for (; run > 0; run--, address++) {
		struct page *page =
		    page_find(&pool->bitmap, 0, address / FMT_BITMAP_BLOCKS);
		uint64_t bit = address % FMT_BITMAP_BLOCKS;
		assert(page != NULL);
		assert(page->loaded);
		if ((page->data[bit / 8] >> bit % 8 & 1) == 0)
			return false;
	}
	return true;
}

static int
space_change(struct pool *pool, uint64_t address, uint32_t run, bool value)
{
	struct space *space = &pool->space;
	uint64_t last = address + run - 1, number;

	if (last < address || last >= space->count << space->region_shift)
		return -EBADMSG;
	number = address >> space->region_shift;
	while (run > 0) {
		unsigned count = 16 - address % 16;
		int result;
		if (count > run)
			count = run;
		result = bits_change(pool, address, count, value);
		if (result < 0)
			return result;
		address += count;
		run -= count;
	}
	for (; number <= last >> space->region_shift; number++)
		region_store(pool, number);
	return 0;
}

int
space_set(struct pool *pool, uint64_t address, uint32_t run)
{
	return space_change(pool, address, run, true);
}

int
space_clear(struct pool *pool, uint64_t address, uint32_t run)
{
	return space_change(pool, address, run, false);
}

int
space_set_class(struct pool *pool, uint64_t number, unsigned class)
{
	struct space *space = &pool->space;
	struct region *region = &space->regions[number];
	unsigned old = region->class;

	if (number >= space->count || class > FMT_REGION_META)
		return -EBADMSG;
	if (old != FMT_REGION_FREE && old != FMT_REGION_DATA)
		return -EBADMSG;
	if (region->free_blocks != space->region_blocks)
		return -EBADMSG;
	space->class_count[old]--;
	space->class_count[class]++;
	if (old == FMT_REGION_DATA)
		space->data_free -= space->region_blocks;
	if (class == FMT_REGION_DATA)
		space->data_free += space->region_blocks;
	if (class == FMT_REGION_META)
		space->meta_free += space->region_blocks;
	region->class = (uint8_t) class;
	region_store(pool, number);
	return 0;
}
