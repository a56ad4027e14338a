/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each log record means: the same code at run time and in recovery (I11).
 * See format.h for the words.
 */
#include "snapshot/engine.h"
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
chunk_exists(const struct volume *volume, uint64_t chunk)
{
	return volume != NULL && chunk < fmt_map_chunks(volume->map.levels);
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

static bool
blocks_in_leaf(uint64_t block, uint64_t run)
{
	return run > 0 && run <= FMT_LEAF_BLOCKS &&
	       block / FMT_LEAF_BLOCKS == (block + run - 1) / FMT_LEAF_BLOCKS;
}

static struct page *
leaf_in_memory(struct record *r, uint64_t chunk)
{
	return page_find(&r->volume->map, 0, chunk / FMT_LEAF_CHUNKS);
}

/* ---- MAP_COARSE ---- */

static int
map_coarse_prepare(struct pool *pool, struct record *r, struct waiter *waiter)
{
	struct page *leaf, *bitmap;
	int result;

	if (!chunk_exists(r->volume, r->a) ||
	    !addresses_exist(pool, r->b, FMT_CHUNK_BLOCKS) ||
	    r->b % FMT_CHUNK_BLOCKS != 0 || r->mask == 0)
		return -EBADMSG;
	result = page_get(&r->volume->map, 0, r->a / FMT_LEAF_CHUNKS, true,
	    waiter, &leaf, NULL);
	if (result < 0)
		return result;
	page_pin(leaf);
	result = space_bitmap(pool, r->b, true, waiter, &bitmap);
	page_unpin(leaf);
	return result;
}

static int
map_coarse_new(struct pool *pool, struct record *r, struct page *leaf,
    struct fmt_entry *entry)
{
	bool was_zero =
	    le64_get(&entry->word) == 0 && le32_get(&entry->birth) == 0;
	struct fmt_page *header = page_header(leaf);
	int result = space_set(pool, r->b, FMT_CHUNK_BLOCKS);

	if (result < 0)
		return result;
	le64_set(&entry->word, fmt_entry_word(FMT_COARSE, r->b, r->mask));
	le32_set(&entry->birth, pool->epoch);
	if (was_zero)
		le32_set(&header->used, le32_get(&header->used) + 1);
	r->volume->held_blocks += FMT_CHUNK_BLOCKS;
	r->volume->live_blocks += (unsigned)__builtin_popcount(r->mask);
	return 0;
}

static int
map_coarse_apply(struct pool *pool, struct record *r)
{
	struct page *leaf = leaf_in_memory(r, r->a);
	struct fmt_entry *entry;
	uint64_t word;
	uint16_t mask;

	page_dirty(leaf);
	leaf->lsn = r->lsn;
	entry = &page_leaf(leaf)->entry[r->a % FMT_LEAF_CHUNKS];
	word = le64_get(&entry->word);
	if (fmt_word_type(word) == FMT_HOLE)
		return map_coarse_new(pool, r, leaf, entry);
	if (fmt_word_type(word) != FMT_COARSE || fmt_word_address(word) != r->b)
		return -EBADMSG;
	mask = fmt_word_mask(word) | r->mask;
	if (engine_breaks.i11_replay_no_mask && r->replay)
		mask = fmt_word_mask(word);
	r->volume->live_blocks +=
	    (unsigned)__builtin_popcount(mask) -
	    (unsigned)__builtin_popcount(fmt_word_mask(word));
	le64_set(&entry->word, fmt_entry_word(FMT_COARSE, r->b, mask));
	return 0;
}

/* ---- UNMAP ---- */

static int
unmap_prepare(struct pool *pool, struct record *r, struct waiter *waiter)
{
	struct page *leaf;

	(void)pool;
	if (!blocks_in_leaf(r->a, r->b) ||
	    !chunk_exists(r->volume, (r->a + r->b - 1) / FMT_CHUNK_BLOCKS))
		return -EBADMSG;
	return page_get(&r->volume->map, 0, r->a / FMT_LEAF_BLOCKS, false,
	    waiter, &leaf, NULL);
}

static uint16_t
chunk_bits(unsigned first, unsigned count)
{
	return (uint16_t)(((1u << count) - 1) << first);
}

static int
unmap_chunk(struct record *r, struct page *leaf, uint64_t block, unsigned count)
{
	struct fmt_page *header = page_header(leaf);
	struct fmt_entry *entry =
	    &page_leaf(leaf)->entry[block / FMT_CHUNK_BLOCKS % FMT_LEAF_CHUNKS];
	uint64_t word = le64_get(&entry->word);
	uint16_t mask = fmt_word_mask(word);
	uint16_t left =
	    mask & (uint16_t)~chunk_bits(block % FMT_CHUNK_BLOCKS, count);

	if (fmt_word_type(word) == FMT_HOLE)
		return 0;
	if (fmt_word_type(word) != FMT_COARSE)
		return -EBADMSG;
	r->volume->live_blocks -= (unsigned)__builtin_popcount(mask) -
				  (unsigned)__builtin_popcount(left);
	if (left != 0) {
		le64_set(&entry->word,
		    fmt_entry_word(FMT_COARSE, fmt_word_address(word), left));
		return 0;
	}
	r->volume->held_blocks -= FMT_CHUNK_BLOCKS;
	memset(entry, 0, sizeof(*entry));
	le32_set(&header->used, le32_get(&header->used) - 1);
	return 0;
}

static int
unmap_apply(struct pool *pool, struct record *r)
{
	struct page *leaf = leaf_in_memory(r, r->a / FMT_CHUNK_BLOCKS);
	uint64_t block = r->a, end = r->a + r->b;

	(void)pool;
	if (leaf == NULL)
		return 0; /* nothing is mapped there */
	page_dirty(leaf);
	leaf->lsn = r->lsn;
	while (block < end) {
		unsigned count = FMT_CHUNK_BLOCKS - block % FMT_CHUNK_BLOCKS;
		int result;
		if (count > end - block)
			count = (unsigned)(end - block);
		result = unmap_chunk(r, leaf, block, count);
		if (result < 0)
			return result;
		block += count;
	}
	return 0;
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
	(void)waiter;
	return r->a < pool->space.count && r->b <= FMT_REGION_META ? 0
								   : -EBADMSG;
}

static int
region_apply(struct pool *pool, struct record *r)
{
	return space_set_class(pool, r->a, (unsigned)r->b);
}

static int
volume_prepare(struct pool *pool, struct record *r, struct waiter *waiter)
{
	(void)pool;
	(void)waiter;
	return r->volume != NULL ? 0 : -EBADMSG;
}

static int
delstep_apply(struct pool *pool, struct record *r)
{
	(void)pool;
	r->volume->cursor = r->a;
	return 0;
}

static int
resize_apply(struct pool *pool, struct record *r)
{
	if (r->a == 0 || r->a % FMT_BLOCK != 0 || r->a > FMT_VOLUME_MAX)
		return -EBADMSG;
	pool->promised += r->a - r->volume->size;
	r->volume->size = r->volume->bs.size = r->a;
	tree_raise(&r->volume->map, fmt_map_levels(r->a));
	return 0;
}

static int
delete_apply(struct pool *pool, struct record *r)
{
	if (r->volume->state != FMT_VERSION_HEAD)
		return -EBADMSG;
	version_dying(pool, r->volume);
	return 0;
}

struct record_kind {
	int (*prepare)(
	    struct pool *pool, struct record *r, struct waiter *waiter);
	int (*apply)(struct pool *pool, struct record *r);
};

/* What has no row is written by newer versions only, behind a feature bit. */
static const struct record_kind kinds[FMT_RECORD_TYPE_COUNT] = {
    [FMT_MAP_COARSE] = {map_coarse_prepare, map_coarse_apply},
    [FMT_UNMAP] = {unmap_prepare, unmap_apply},
    [FMT_FREE] = {free_prepare, free_apply},
    [FMT_REGION] = {region_prepare, region_apply},
    [FMT_DELSTEP] = {volume_prepare, delstep_apply},
    [FMT_RESIZE] = {volume_prepare, resize_apply},
    [FMT_DELETE] = {volume_prepare, delete_apply},
};

int
apply_prepare(
    struct pool *pool, const struct fmt_record *record, struct waiter *waiter)
{
	struct record r;

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

	record_parse(pool, record, &r);
	assert(r.type < FMT_RECORD_TYPE_COUNT);
	assert(kinds[r.type].apply != NULL);
	r.lsn = lsn;
	r.replay = replay;
	if (r.volume != NULL)
		r.volume->counters_dirty = true;
	return kinds[r.type].apply(pool, &r);
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
	if (pool->cache.dirty_count >= pool->dirty_limit ||
	    redo_used_blocks(&pool->redo) >= pool->redo.blocks / 2)
		checkpoint_start(pool);
	return lsn;
}
