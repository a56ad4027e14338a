/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each log record means: the same code at run time and in recovery (I11).
 * See format.h for the words.
 */
#include "snapshot/engine.h"
#include "snapshot/quota.h"
#include <string.h>

struct record {
	unsigned type;
	uint16_t mask;
	uint32_t volume_id;
	uint64_t a, b;
	struct volume *volume;
	uint64_t lsn;
	bool replay;
};

static void
record_parse(
    struct pool *pool, const struct fmt_record *from, struct record *ret_record)
{
	*ret_record = (struct record){
	    .type = from->type,
	    .mask = le16_get(&from->mask),
	    .volume_id = le32_get(&from->volume),
	    .a = le64_get(&from->a),
	    .b = le64_get(&from->b),
	};
	ret_record->volume = volume_by_id(pool, ret_record->volume_id);
}

static bool
addresses_exist(const struct pool *pool, uint64_t address, uint64_t run)
{
	const struct space *space = &pool->space;
	uint64_t all = space->count << space->region_shift;

	return address != 0 && run > 0 && address < all &&
	       run <= all - address &&
	       address >> space->region_shift ==
		   (address + run - 1) >> space->region_shift;
}

/* ---- FREE ---- */

static int
free_prepare(struct pool *pool, struct record *r, struct waiter *waiter)
{
	struct page *bitmap;
	int result;

	if (!addresses_exist(pool, r->a, r->b))
		return -EBADMSG;
	result = space_bitmap(pool, r->a, false, waiter, &bitmap);
	if (result < 0)
		return result;
	page_pin(bitmap);
	result = space_bitmap(pool, r->a + r->b - 1, false, waiter, &bitmap);
	page_unpin(page_find(&pool->bitmap, 0, r->a / FMT_BITMAP_BLOCKS));
	return result;
}

static int
free_apply(struct pool *pool, struct record *r)
{
	int result = space_clear(pool, r->a, (uint32_t)r->b);

	if (result == 0)
		quarantine_add(pool, r->a, (uint32_t)r->b, r->lsn);
	return result;
}

/* ---- the small ones ---- */

static int
region_prepare(struct pool *pool, struct record *r, struct waiter *waiter)
{
	uint64_t blocks = pool->space.region_blocks;
	int result = 0;

	if (r->a >= pool->space.count || r->b >> 8 > pool->space.count)
		return -EBADMSG;
	for (uint64_t at = 0;
	     (r->b & 0xff) == FMT_REGION_META && at < blocks && result == 0;
	     at += FMT_BITMAP_BLOCKS) {
		struct page *bitmap;
		result = space_bitmap(
		    pool, r->a * blocks + at, true, waiter, &bitmap);
	}
	return result;
}

static int
region_apply(struct pool *pool, struct record *r)
{
	const struct region *region = &pool->space.regions[r->a];
	unsigned class = r->b & 0xff;
	uint64_t other = r->b >> 8; /* + 1 */
	int result;

	if (class == FMT_REGION_MIRROR)
		return other == 0 ? -EBADMSG
				  : space_set_mirror(pool, r->a, other - 1);
	if (class == FMT_REGION_FREE && region->class == FMT_REGION_MIRROR)
		return space_drop_mirror(pool, r->a);
	if (class == FMT_REGION_EVACUATING ||
	    region->class == FMT_REGION_EVACUATING)
		return space_hold_back(
		    pool, r->a, class == FMT_REGION_EVACUATING);
	result = space_set_class(pool, r->a, class);
	if (result == 0 && class == FMT_REGION_META && other != 0) {
		result = space_set_mirror(pool, other - 1, r->a);
		if (result == 0) /* there is nothing yet that it lacks */
			space_mirror_is_whole(pool, r->a);
	}
	return result == 0 && class == FMT_REGION_META
		   ? space_meta_begin(pool, r->a)
		   : result;
}

static int
resize_prepare(struct pool *pool, struct record *r, struct waiter *waiter)
{
	(void)pool;
	(void)waiter;
	return r->volume != NULL && r->volume->state == FMT_VERSION_HEAD
		   ? 0
		   : -EBADMSG;
}

static int
resize_apply(struct pool *pool, struct record *r)
{
	if (r->a == 0 || r->a % FMT_BLOCK != 0 || r->a > FMT_VOLUME_MAX)
		return -EBADMSG;
	pool->promised += r->a - r->volume->size;
	r->volume->size = r->volume->bs.size = r->a;
	volume_changed(r->volume);
	return map_raise(r->volume, fmt_map_levels(r->a));
}

struct record_kind {
	int (*prepare)(
	    struct pool *pool, struct record *r, struct waiter *waiter);
	int (*apply)(struct pool *pool, struct record *r);
};

/* What has no row is in apply_map.c or apply_family.c, or is written by newer
 * versions only, behind a feature bit. */
static const struct record_kind kinds[FMT_RECORD_TYPE_COUNT] = {
    [FMT_FREE] = {free_prepare, free_apply},
    [FMT_REGION] = {region_prepare, region_apply},
    [FMT_RESIZE] = {resize_prepare, resize_apply},
};

static bool
changes_map(const struct fmt_record *record)
{
	return record->type == FMT_MAP_COARSE || record->type == FMT_MAP_FINE ||
	       record->type == FMT_UNMAP;
}

int
apply_prepare(
    struct pool *pool, const struct fmt_record *record, struct waiter *waiter)
{
	struct record r;

	if (changes_map(record))
		return apply_map_prepare(pool, record, waiter);
	if (record_is_family(record))
		return apply_family_prepare(pool, record, waiter);
	record_parse(pool, record, &r);
	if (r.type >= FMT_RECORD_TYPE_COUNT || kinds[r.type].prepare == NULL)
		return -EBADMSG;
	return kinds[r.type].prepare(pool, &r, waiter);
}

int
apply(struct pool *pool, const struct fmt_record *record, uint64_t lsn,
    bool replay)
{
	struct record r;

	if (changes_map(record))
		return apply_map(pool, record, lsn, replay);
	if (record_is_family(record))
		return apply_family(pool, record);
	record_parse(pool, record, &r);
	assert(r.type < FMT_RECORD_TYPE_COUNT);
	assert(kinds[r.type].apply != NULL);
	r.lsn = lsn;
	r.replay = replay;
	return kinds[r.type].apply(pool, &r);
}

/* ---- groups ---- */

void
group_begin(struct pool *pool)
{
	pool->group.count = 0;
}

struct fmt_record *
group_add(struct pool *pool, enum fmt_record_type type,
    const struct volume *volume, uint64_t a, uint64_t b)
{
	struct fmt_record *record = &pool->group.record[pool->group.count++];

	assert(pool->group.count <= GROUP_RECORDS);
	*record = (struct fmt_record){.type = (uint8_t)type};
	if (volume != NULL)
		le32_set(&record->volume, volume->id);
	le64_set(&record->a, a);
	le64_set(&record->b, b);
	return record;
}

void
group_free(struct pool *pool, uint64_t address)
{
	struct record_group *group = &pool->group;
	uint64_t region = pool->space.region_blocks;

	if (group->count > 0) {
		struct fmt_record *last = &group->record[group->count - 1];
		uint64_t run = le64_get(&last->b);
		if (last->type == FMT_FREE &&
		    le64_get(&last->a) + run == address &&
		    address % region != 0) {
			le64_set(&last->b, run + 1);
			return;
		}
	}
	group_add(pool, FMT_FREE, NULL, address, 1);
}

/* What is to be freed is in use: the maps may be damaged. */
static int
free_ready(
    struct pool *pool, const struct fmt_record *record, struct waiter *waiter)
{
	uint64_t address = le64_get(&record->a), run = le64_get(&record->b);
	int result = apply_prepare(pool, record, waiter);

	if (result == 0 && (!space_is_data(&pool->space, address, run) ||
			       !space_are_set(pool, address, run)))
		return -EBADMSG;
	return result;
}

int
group_prepare(struct pool *pool, struct waiter *waiter)
{
	int result = 0;

	for (unsigned i = 0; i < pool->group.count && result == 0; i++) {
		const struct fmt_record *record = &pool->group.record[i];
		uint64_t address = le64_get(&record->b) & FMT_ADDRESS_MASK;
		struct page *bitmap;
		if (record->type == FMT_FREE)
			result = free_ready(pool, record, waiter);
		else if (record->type == FMT_MAP_COARSE ||
			 record->type == FMT_MAP_FINE)
			result =
			    space_bitmap(pool, address, true, waiter, &bitmap);
	}
	return result;
}

uint64_t
group_record(struct pool *pool)
{
	return pool_record(pool, pool->group.record, pool->group.count);
}

uint64_t
pool_record(struct pool *pool, struct fmt_record *records, unsigned count)
{
	uint64_t lsn = pool->redo.next_lsn;

	assert(!pool->read_only);
	for (unsigned i = 0; i < count; i++) {
		if (i + 1 < count)
			records[i].flags |= FMT_RECORD_MORE;
		if (apply(pool, &records[i], lsn + i, false) == 0)
			continue;
		pool_suspect(pool, "the metadata contradict each other");
		return lsn;
	}
	lsn = redo_append(pool, records, count);
	if (pool->limits_stale)
		limits_look(pool);
	if (pool->cache.dirty_count >= pool->dirty_limit ||
	    redo_used_blocks(&pool->redo) >= pool->redo.blocks / 2)
		checkpoint_start(pool);
	return lsn;
}
