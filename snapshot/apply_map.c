/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the records that change maps mean: MAP_COARSE, MAP_FINE, UNMAP.  Each
 * is a change of chunks of one leaf (chunk.h).
 */
#include "snapshot/engine.h"
#include "snapshot/reserve.h"

struct map_record {
	unsigned type;
	struct volume *volume;
	uint64_t block, count; /* blocks of the volume */
	uint64_t address;
	uint16_t mask;
	uint64_t lsn;
	bool replay;
};

static void
map_record_parse(
    struct pool *pool, const struct fmt_record *from, struct map_record *r)
{
	uint64_t a = le64_get(&from->a), b = le64_get(&from->b);

	*r = (struct map_record){
	    .type = from->type,
	    .volume = volume_by_id(pool, le32_get(&from->volume)),
	    .mask = le16_get(&from->mask),
	    .block = a,
	    .count = b,
	};
	if (from->type == FMT_MAP_COARSE) {
		/* a chunk beyond all numbers of blocks stays beyond them */
		r->block = a > FMT_VOLUME_MAX ? a : a * FMT_CHUNK_BLOCKS;
		r->count = FMT_CHUNK_BLOCKS;
		r->address = b;
	} else if (from->type == FMT_MAP_FINE) {
		r->count = b >> FMT_ADDRESS_BITS;
		r->address = b & FMT_ADDRESS_MASK;
	}
}

/* ---- may it be? ---- */

static bool
blocks_exist(const struct map_record *r)
{
	uint64_t last = r->block + r->count - 1;

	/* version 0.1 unmapped what it deleted */
	return r->volume != NULL &&
	       (r->volume->state == FMT_VERSION_HEAD ||
		   (r->volume->state == FMT_VERSION_DELETING &&
		       r->type == FMT_UNMAP)) &&
	       r->count > 0 && r->count <= FMT_LEAF_BLOCKS &&
	       last >= r->block &&
	       last / FMT_CHUNK_BLOCKS <
		   fmt_map_chunks(r->volume->map.levels) &&
	       r->block / FMT_LEAF_BLOCKS == last / FMT_LEAF_BLOCKS;
}

static bool
addresses_exist(const struct pool *pool, uint64_t address, uint64_t run)
{
	const struct space *space = &pool->space;
	uint64_t all = space->count << space->region_shift;

	return address != 0 && address < all && run <= all - address &&
	       address >> space->region_shift ==
		   (address + run - 1) >> space->region_shift;
}

static bool
record_sane(const struct pool *pool, const struct map_record *r)
{
	if (!blocks_exist(r))
		return false;
	if (r->type == FMT_UNMAP)
		return true;
	if (!addresses_exist(pool, r->address, r->count))
		return false;
	if (r->type == FMT_MAP_COARSE)
		return r->address % FMT_CHUNK_BLOCKS == 0 && r->mask != 0;
	return r->block / FMT_CHUNK_BLOCKS ==
	       (r->block + r->count - 1) / FMT_CHUNK_BLOCKS;
}

int
apply_map_prepare(
    struct pool *pool, const struct fmt_record *record, struct waiter *waiter)
{
	struct page *leaf, *bitmap;
	struct map_record r;
	uint64_t first, last;
	int result;

	map_record_parse(pool, record, &r);
	if (!record_sane(pool, &r))
		return -EBADMSG;
	if (r.type != FMT_UNMAP) {
		result = space_bitmap(pool, r.address, true, waiter, &bitmap);
		if (result < 0)
			return result;
	}
	first = r.block / FMT_CHUNK_BLOCKS;
	last = (r.block + r.count - 1) / FMT_CHUNK_BLOCKS;
	return map_chunks_get(r.volume, first, last - first + 1, waiter, &leaf);
}

/* ---- doing it ---- */

struct drops {
	struct pool *pool;
	const struct chunk_rules *rules;
};

static void
drop_free(void *arg, uint64_t address, uint32_t birth)
{
	struct drops *drops = arg;

	if (chunk_exclusive(drops->rules, birth))
		group_free(drops->pool, address);
}

void
group_free_dropped(struct pool *pool, const struct chunk_rules *rules,
    const struct chunk *before, const struct chunk *after)
{
	struct drops drops = {pool, rules};

	chunk_dropped(before, after, drop_free, &drops);
}

struct losing {
	struct volume *volume;
	const struct chunk_rules *rules;
	int error;
};

/* What is not ours alone stays with the parent. */
static void
drop_lose(void *arg, uint64_t address, uint32_t birth)
{
	struct losing *losing = arg;

	(void)address;
	if (chunk_exclusive(losing->rules, birth) || losing->error != 0)
		return;
	losing->error = losses_add(losing->volume, birth, 1);
	losing->volume->snap_held += birth > losing->volume->snap_base;
}

static int
count_change(struct volume *volume, const struct chunk_rules *rules,
    const struct chunk *before, const struct chunk *after)
{
	struct losing losing = {volume, rules, 0};

	volume->live_blocks += (unsigned)__builtin_popcount(after->mask);
	volume->live_blocks -= (unsigned)__builtin_popcount(before->mask);
	volume->held_blocks += chunk_held_count(after);
	volume->held_blocks -= chunk_held_count(before);
	volume->fine_chunks += after->type == FMT_FINE;
	volume->fine_chunks -= before->type == FMT_FINE;
	volume->fragments += chunk_fragments(after);
	volume->fragments -= chunk_fragments(before);
	volume_changed(volume);
	if (volume->parent != NULL)
		chunk_dropped(before, after, drop_lose, &losing);
	if (volume->reserve_blocks != 0)
		reserve_look(volume);
	return losing.error;
}

/* Bits that a record sets itself; what a chunk holds already is set. */
static int
bits_set(
    struct pool *pool, const struct map_record *r, const struct chunk *before)
{
	if (r->type == FMT_UNMAP ||
	    (r->type == FMT_MAP_FINE && engine_breaks.i1_fine_twice))
		return 0;
	if (r->type == FMT_MAP_COARSE && before->type == FMT_COARSE &&
	    before->address == r->address)
		return 0;
	return space_set(pool, r->address, (uint32_t)r->count);
}

static int
chunk_change(struct map_record *r, const struct chunk_rules *rules,
    struct chunk *chunk, unsigned first, unsigned count)
{
	uint16_t mask = r->mask;

	switch (r->type) {
	case FMT_MAP_COARSE:
		if (engine_breaks.i11_replay_no_mask && r->replay &&
		    chunk->type == FMT_COARSE && chunk->address == r->address)
			mask = 0;
		return chunk_map_coarse(chunk, rules, r->address, mask);
	case FMT_MAP_FINE:
		return chunk_map_fine(chunk, rules, first, count, r->address);
	default: return chunk_unmap(chunk, rules, chunk_bits(first, count));
	}
}

static int
chunk_apply(struct pool *pool, struct map_record *r, struct page *leaf,
    const struct chunk_rules *rules, uint64_t block, unsigned count)
{
	uint64_t number = block / FMT_CHUNK_BLOCKS;
	struct chunk before, after;
	int result;

	result = map_chunk_load(r->volume, leaf, number, &before);
	if (result < 0)
		return result;
	after = before;
	result =
	    chunk_change(r, rules, &after, block % FMT_CHUNK_BLOCKS, count);
	if (result == 0)
		result = bits_set(pool, r, &before);
	if (result == 0)
		result = map_chunk_store(r->volume, leaf, number, &after);
	if (result == 0)
		result = count_change(r->volume, rules, &before, &after);
	if (result == 0 && r->type == FMT_MAP_FINE && !r->replay)
		promote_note(r->volume, number, &before, &after, rules);
	return result;
}

/* A leaf that has nothing but holes is one itself; its newest counts. */
static void
leaf_check_empty(struct volume *volume, struct page *leaf, uint64_t index)
{
	const struct fmt_leaf *data = page_leaf(leaf);
	uint32_t birth = 0;

	for (unsigned i = 0; i < FMT_LEAF_CHUNKS; i++) {
		if (le64_get(&data->entry[i].word) != 0)
			return;
		if (le32_get(&data->entry[i].birth) > birth)
			birth = le32_get(&data->entry[i].birth);
	}
	map_leaf_drop(volume, index, birth);
}

/* Its path is in memory, as far as there is one. */
static bool
leaf_exists(struct volume *volume, uint64_t index)
{
	struct page *leaf;

	return map_leaf_get(volume, index, NULL, &leaf, NULL) == 0 &&
	       leaf != NULL;
}

int
apply_map(struct pool *pool, const struct fmt_record *record, uint64_t lsn,
    bool replay)
{
	struct map_record r;
	uint64_t index, block, end;
	struct chunk_rules rules;
	struct page *leaf;

	map_record_parse(pool, record, &r);
	r.lsn = lsn;
	r.replay = replay;
	index = r.block / FMT_LEAF_BLOCKS;
	map_rules(r.volume, index, &rules);
	if (r.type == FMT_UNMAP && !leaf_exists(r.volume, index))
		return 0;
	leaf = map_leaf_dirty(r.volume, index);
	if (leaf == NULL)
		return -EBADMSG;
	leaf->lsn = lsn;
	for (block = r.block, end = r.block + r.count; block < end;) {
		unsigned count = FMT_CHUNK_BLOCKS - block % FMT_CHUNK_BLOCKS;
		int result;
		if (count > end - block)
			count = (unsigned)(end - block);
		result = chunk_apply(pool, &r, leaf, &rules, block, count);
		if (result < 0)
			return result;
		block += count;
	}
	if (r.type == FMT_UNMAP)
		leaf_check_empty(r.volume, leaf, index);
	return 0;
}
