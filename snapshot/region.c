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

/* Which region of its device it is. */
static uint32_t
region_place(const struct pool *pool, const struct region *region)
{
	return (uint32_t)((region->offset - FMT_DEVICE_HEAD) >>
			  (pool->space.region_shift + FMT_BLOCK_SHIFT));
}

void
region_place_set(struct pool *pool, uint64_t number)
{
	const struct region *region = &pool->space.regions[number];

	pool->device[region->device].region_of[region_place(pool, region)] =
	    (uint32_t)number;
}

void
region_places_exchange(struct pool *pool, uint64_t a, uint64_t b)
{
	struct region *one = &pool->space.regions[a];
	struct region *two = &pool->space.regions[b];
	uint64_t offset = one->offset;
	uint16_t device = one->device;

	one->offset = two->offset;
	one->device = two->device;
	two->offset = offset;
	two->device = device;
	region_place_set(pool, a);
	region_place_set(pool, b);
}

void
space_exchange(struct pool *pool, uint64_t a, uint64_t b)
{
	const struct region *region = &pool->space.regions[a];

	region_places_exchange(pool, a, b);
	region_store(pool, a);
	region_store(pool, b);
	if (region->class == FMT_REGION_MIRROR)
		region_store(pool, region->mirror); /* it names the place */
	if (region->class != FMT_REGION_DATA)
		regions_touch(pool);
	space_count_leaving(pool);
}

void
regions_touch(struct pool *pool)
{
	uint64_t pages = (pool->space.count + FMT_PAGE_REGIONS_COUNT - 1) /
			 FMT_PAGE_REGIONS_COUNT;

	for (uint64_t i = 0; i < pages; i++)
		if (pool->space.region_pages[i] != NULL) /* a pool grows */
			page_dirty(pool->space.region_pages[i]);
}

static void
mirror_store(
    struct pool *pool, const struct region *region, struct fmt_region *record)
{
	const struct region *mirror = NULL;

	le16_set(&record->mirror_device, FMT_NO_DEVICE);
	le32_set(&record->mirror_region, 0);
	le32_set(&record->mirror_gen, 0);
	if (region->mirror == NO_REGION)
		return;
	if (region->class == FMT_REGION_MIRROR) {
		le32_set(&record->mirror_region, region->mirror);
		return;
	}
	mirror = &pool->space.regions[region->mirror];
	le16_set(&record->mirror_device, mirror->device);
	le32_set(&record->mirror_region, region_place(pool, mirror));
	if (region->mirror_state == MIRROR_WHOLE)
		le32_set(&record->mirror_gen, region->mirror_gen);
}

void
region_store(struct pool *pool, uint64_t number)
{
	const struct region *region = &pool->space.regions[number];
	struct fmt_region *record;

	page_dirty(pool->space.region_pages[number / FMT_PAGE_REGIONS_COUNT]);
	record = region_record_of(pool, number);
	record->class = region->class;
	le16_set(&record->device, region->device);
	le32_set(&record->device_region, region_place(pool, region));
	le32_set(&record->free_blocks, region->free_blocks);
	le32_set(&record->free_chunks, region->free_chunks);
	mirror_store(pool, region, record);
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
	    (record->class == FMT_REGION_BAD) !=
		device_is_removed(&pool->device[device]) ||
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
	region->mirror = NO_REGION;
	return 0;
}

/* Which region is the mirror of this one?  The two name each other. */
static int
mirror_load(struct pool *pool, uint64_t number)
{
	struct space *space = &pool->space;
	const struct fmt_region *record = region_record_of(pool, number);
	struct region *region = &space->regions[number];
	uint16_t device = le16_get(&record->mirror_device);
	uint32_t place = le32_get(&record->mirror_region), mirror;

	if (region->class == FMT_REGION_MIRROR) {
		region->mirror = place;
		return place < space->count ? 0 : -EBADMSG;
	}
	if (device == FMT_NO_DEVICE)
		return 0;
	if (!region_may_have_mirror(region) || device >= pool->device_count ||
	    place >= pool->device[device].regions)
		return -EBADMSG;
	mirror = pool->device[device].region_of[place];
	if (mirror == UINT32_MAX ||
	    space->regions[mirror].class != FMT_REGION_MIRROR ||
	    le32_get(&region_record_of(pool, mirror)->mirror_region) != number)
		return -EBADMSG;
	region->mirror = mirror;
	region->mirror_gen = le32_get(&record->mirror_gen);
	region->mirror_state =
	    region->mirror_gen != 0 ? MIRROR_WHOLE : MIRROR_BAD;
	return 0;
}

/* Once all regions have their places. */
static int
mirrors_load(struct pool *pool)
{
	struct space *space = &pool->space;
	int result = 0;

	for (uint64_t i = 0; i < space->count && result == 0; i++)
		result = mirror_load(pool, i);
	for (uint64_t i = 0; i < space->count && result == 0; i++)
		if (space->regions[i].class == FMT_REGION_MIRROR &&
		    space->regions[space->regions[i].mirror].mirror != i)
			result = -EBADMSG;
	return result;
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
	if (mirrors_load(pool) < 0 || log_place_check(pool) < 0)
		return -EBADMSG;
	return region_pages_translate(pool);
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
	if (region->class == FMT_REGION_DATA && space_is_leaving(pool, region))
		space->held_free =
		    (uint64_t)((int64_t)space->held_free + blocks);
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

/* Counts of FREE and DATA regions with nothing in them. */
static void
class_change(struct pool *pool, uint64_t number, unsigned class)
{
	struct space *space = &pool->space;
	struct region *region = &space->regions[number];
	bool none = class == FMT_REGION_MIRROR || class == FMT_REGION_BAD;
	uint32_t blocks = none ? 0 : space->region_blocks;

	space->class_count[region->class]--;
	space->class_count[class]++;
	if (region->class == FMT_REGION_DATA)
		space->data_free -= space->region_blocks;
	if (class == FMT_REGION_DATA)
		space->data_free += space->region_blocks;
	if (class == FMT_REGION_META)
		space->meta_free += space->region_blocks;
	region->class = (uint8_t) class;
	region->free_blocks = blocks;
	region->free_chunks = blocks / FMT_CHUNK_BLOCKS;
	region_store(pool, number);
	if (space_is_leaving(pool, region))
		space_count_leaving(pool);
}

static bool
region_is_empty(const struct space *space, const struct region *region)
{
	return (region->class == FMT_REGION_FREE ||
		   region->class == FMT_REGION_DATA) &&
	       region->free_blocks == space->region_blocks;
}

int
space_hold_back(struct pool *pool, uint64_t number, bool hold)
{
	struct space *space = &pool->space;

	if (number >= space->count)
		return -EBADMSG;
	if (hold ? !region_is_empty(space, &space->regions[number])
		 : space->regions[number].class != FMT_REGION_EVACUATING)
		return -EBADMSG;
	class_change(
	    pool, number, hold ? FMT_REGION_EVACUATING : FMT_REGION_FREE);
	return 0;
}

void
space_give_up(struct pool *pool, uint64_t number)
{
	assert(pool->space.regions[number].class == FMT_REGION_FREE ||
	       pool->space.regions[number].class == FMT_REGION_EVACUATING);
	class_change(pool, number, FMT_REGION_BAD);
}

int
space_set_class(struct pool *pool, uint64_t number, unsigned class)
{
	struct space *space = &pool->space;
	const struct region *region;

	if (number >= space->count || class > FMT_REGION_META)
		return -EBADMSG;
	region = &space->regions[number];
	if (!region_is_empty(space, region))
		return -EBADMSG;
	class_change(pool, number, class);
	return 0;
}

int
space_set_mirror(struct pool *pool, uint64_t number, uint64_t of)
{
	struct space *space = &pool->space;
	struct region *region, *first;

	if (number >= space->count || of >= space->count)
		return -EBADMSG;
	region = &space->regions[number];
	first = &space->regions[of];
	if (region->class != FMT_REGION_FREE ||
	    !region_may_have_mirror(first) || first->mirror != NO_REGION)
		return -EBADMSG;
	region->mirror = (uint32_t)of;
	first->mirror = (uint32_t)number;
	first->mirror_state = MIRROR_FILLING;
	pool->incompat |= FMT_INCOMPAT_MIRRORS;
	class_change(pool, number, FMT_REGION_MIRROR);
	region_store(pool, of);
	return 0;
}

void
space_mirror_is_whole(struct pool *pool, uint64_t number)
{
	struct region *region = &pool->space.regions[number];
	uint32_t gen = (uint32_t)pool->gen;

	assert(region->mirror != NO_REGION);
	region->mirror_state = MIRROR_WHOLE;
	region->mirror_gen = gen != 0 ? gen : 1;
	region_store(pool, number);
}

int
space_drop_mirror(struct pool *pool, uint64_t number)
{
	struct space *space = &pool->space;
	struct region *region, *first;

	if (number >= space->count)
		return -EBADMSG;
	region = &space->regions[number];
	if (region->class != FMT_REGION_MIRROR)
		return -EBADMSG;
	first = &space->regions[region->mirror];
	assert(first->mirror == number);
	first->mirror = region->mirror = NO_REGION;
	region_store(pool, (uint64_t)(first - space->regions));
	class_change(pool, number, FMT_REGION_FREE);
	return 0;
}
