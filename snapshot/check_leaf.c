/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Leaves of maps and their fine pages: each is decoded and compared, chunk by
 * chunk, with the one at the same place in the effective parent.
 */
#include "base/assert.h"
#include "snapshot/check_map.h"
#include <errno.h>
#include <string.h>

static void
entry_damaged(struct map_walk *map, uint64_t chunk, const char *what)
{
	check_find(map->walk.check, CHECK_DAMAGE, "map.entry",
	    "%s: chunk %llu: %s", map->what, (unsigned long long)chunk, what);
}

static void
not_shared(struct map_walk *map, uint64_t chunk, const char *what)
{
	check_find(map->walk.check, CHECK_DAMAGE, "map.shared",
	    "%s: chunk %llu: %s is as old as the parent, which does not have"
	    " it",
	    map->what, (unsigned long long)chunk, what);
}

/* ---- decoding ---- */

/* Blocks of one sub-entry, by the copy unit of the version. */
static unsigned
sub_blocks(const struct map_walk *map)
{
	return 1u << (map->version->cow_shift - FMT_BLOCK_SHIFT);
}

/* Chunks whose sub-entries one fine page holds. */
static unsigned
fine_page_chunks(const struct map_walk *map)
{
	return 27 * sub_blocks(map);
}

static void
decode_entries(struct chunk *chunk, const uint8_t *page)
{
	const struct fmt_leaf *leaf = (const void *)page;

	for (unsigned c = 0; c < FMT_LEAF_CHUNKS; c++) {
		uint64_t word = le64_get(&leaf->entry[c].word);
		chunk[c] = (struct chunk){.type = (uint8_t)(word >> 56),
		    .mask = fmt_word_mask(word),
		    .birth = le32_get(&leaf->entry[c].birth),
		    .address = fmt_word_address(word)};
		for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++) {
			if (chunk[c].type != FMT_COARSE)
				break;
			chunk[c].block[i].address = chunk[c].address + i;
			chunk[c].block[i].birth = chunk[c].birth;
		}
	}
}

/* The sub-entries that a fine page has for FINE chunks. */
static void
decode_fine(struct map_walk *map, struct chunk *chunk, unsigned slot,
    const uint8_t *page)
{
	const struct fmt_fine *fine = (const void *)page;
	unsigned unit = sub_blocks(map), n = 0;
	unsigned first = slot * fine_page_chunks(map);

	for (unsigned c = first;
	     c < first + fine_page_chunks(map) && c < FMT_LEAF_CHUNKS; c++)
		for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++) {
			const struct fmt_sub *sub = &fine->sub[n + i / unit];
			uint64_t address = fmt_sub_address(sub);
			if (i + 1 == FMT_CHUNK_BLOCKS)
				n += FMT_CHUNK_BLOCKS / unit;
			if (chunk[c].type != FMT_FINE)
				continue;
			chunk[c].block[i].birth = le32_get(&sub->birth);
			chunk[c].block[i].address = address;
			if (address != 0 && address != FMT_SUB_POISON)
				chunk[c].block[i].address += i % unit;
		}
}

static unsigned
fine_used(const uint8_t *page)
{
	const struct fmt_fine *fine = (const void *)page;
	unsigned used = 0;

	for (unsigned n = 0; n < FMT_FINE_SUBS; n++)
		used += fmt_sub_address(&fine->sub[n]) != 0 ||
			le32_get(&fine->sub[n].birth) != 0;
	return used;
}

static bool
slot_exists(const struct map_walk *map, unsigned slot)
{
	return map->version->cow_shift != FMT_CHUNK_SHIFT &&
	       slot * fine_page_chunks(map) < FMT_LEAF_CHUNKS;
}

/* A leaf beside ours.  False: not all of it can be read. */
static bool
decode_beside(struct map_walk *map, const struct beside *beside, uint64_t index)
{
	const struct fmt_leaf *leaf = (const void *)beside->page;
	struct check_walk walk = map->walk;

	walk.type = FMT_PAGE_FINE;
	decode_entries(map->chunk_beside, beside->page);
	for (unsigned slot = 0; slot < FMT_LEAF_FINE; slot++) {
		const struct fmt_ptr *ptr = &leaf->fine[slot];
		if (fmt_ptr_address(ptr) == 0 || !slot_exists(map, slot))
			continue;
		if (!walk_read_again(&walk, ptr, 0,
			index * FMT_LEAF_FINE + slot, map->fine[1]))
			return false;
		decode_fine(map, map->chunk_beside, slot, map->fine[1]);
	}
	return true;
}

/* ---- fine pages ---- */

/* True: it is in map->fine[0]. */
static bool
fine_read(struct map_walk *map, const struct place *place, unsigned which,
    const struct beside *leaf_beside, struct check_walk *walk, bool *ret_own)
{
	const struct beside *beside = &place->beside[which];
	uint32_t epoch = map_parent_epoch(map, which);

	*ret_own = le32_get(&place->ptr.birth) > epoch;
	if (*ret_own)
		return walk_read_page(
		    walk, &place->ptr, 0, place->index, map->fine[0]);
	if (leaf_beside->state == BESIDE_UNKNOWN)
		return false;
	if (beside->state != BESIDE_PAGE ||
	    memcmp(&beside->ptr, &place->ptr, sizeof(place->ptr)) != 0) {
		check_find(walk->check, CHECK_DAMAGE, "map.shared",
		    "%s: fine page at %llu (index %llu) is as old as its"
		    " parent, which has another one",
		    map->what, (unsigned long long)fmt_ptr_address(&place->ptr),
		    (unsigned long long)place->index);
		return false;
	}
	return walk_read_again(
	    walk, &place->ptr, 0, place->index, map->fine[0]);
}

/* What the chunks of a damaged fine page hold is not known. */
#define CHUNK_UNKNOWN 0xffu

static void
fine_unknown(struct map_walk *map, unsigned slot)
{
	unsigned first = slot * fine_page_chunks(map);

	for (unsigned c = first;
	     c < first + fine_page_chunks(map) && c < FMT_LEAF_CHUNKS; c++)
		if (map->chunk[c].type == FMT_FINE)
			map->chunk[c].type = CHUNK_UNKNOWN;
}

/* False: it is damaged, and that was said. */
static bool
check_fine(struct map_walk *map, const struct place *leaf_place,
    const struct fmt_leaf *leaf, unsigned slot, unsigned which)
{
	const struct beside *leaf_beside = &leaf_place->beside[which];
	struct check_walk walk = map->walk;
	struct place place = {.index = leaf_place->index * FMT_LEAF_FINE + slot,
	    .ptr = leaf->fine[slot],
	    .bound = leaf_place->bound};
	bool own;

	if (fmt_ptr_address(&place.ptr) == 0)
		return true;
	if (!slot_exists(map, slot)) {
		entry_damaged(map, leaf_place->index * FMT_LEAF_CHUNKS,
		    "a fine page where none can be");
		return false;
	}
	if (leaf_beside->page != NULL) {
		const struct fmt_leaf *other = (const void *)leaf_beside->page;
		place.beside[which].ptr = other->fine[slot];
		if (fmt_ptr_address(&other->fine[slot]) != 0)
			place.beside[which].state = BESIDE_PAGE;
	}
	walk.type = FMT_PAGE_FINE;
	if (!map_verify_ptr(&walk, &place) ||
	    !fine_read(map, &place, which, leaf_beside, &walk, &own))
		return false;
	decode_fine(map, map->chunk, slot, map->fine[0]);
	if (own && !leaf_place->again)
		walk_check_used(&walk, map->fine[0], fine_used(map->fine[0]));
	return true;
}

/* ---- one entry by itself ---- */

/* A unit of several blocks is there when any of them has data. */
static bool
mask_is_right(const struct map_walk *map, const struct chunk *chunk)
{
	unsigned unit = sub_blocks(map);
	unsigned all = (1u << unit) - 1;

	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i += unit)
		if ((chunk->block[i].address != 0) !=
		    ((chunk->mask >> i & all) != 0))
			return false;
	return true;
}

static bool
birth_is_sane(uint32_t birth, uint32_t bound)
{
	return birth >= 1 && birth <= bound;
}

static const char *
fine_verify(
    const struct map_walk *map, const struct chunk *chunk, uint32_t bound)
{
	if (!check_has_snapshots(map->walk.check))
		return "single blocks in a pool without snapshots";
	if (!mask_is_right(map, chunk))
		return "its mask is not that of its single blocks";
	if (chunk->mask == 0)
		return "a chunk of which nothing is valid";
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++) {
		uint32_t birth = chunk->block[i].birth;
		if (birth > bound ||
		    (chunk->block[i].address != 0 && birth == 0))
			return "impossible birth of a single block";
	}
	return NULL;
}

/* NULL: right. */
static const char *
chunk_verify(const struct map_walk *map, uint64_t index,
    const struct chunk *chunk, uint32_t bound)
{
	if (index < map->version->cursor &&
	    (chunk->type == FMT_COARSE || chunk->type == FMT_FINE))
		return "the deletion is past it, but it maps something";
	if (chunk->type > FMT_POISON || chunk->type == FMT_COMPRESSED)
		return "impossible type";
	if (chunk->birth > bound)
		return "impossible birth";
	if (chunk->type == FMT_HOLE && (chunk->mask | chunk->address) != 0)
		return "a hole with contents";
	if (chunk->type == FMT_FINE)
		return fine_verify(map, chunk, bound);
	if (chunk->type != FMT_COARSE)
		return NULL;
	if (chunk->mask == 0)
		return "a chunk of which nothing is valid";
	if (!birth_is_sane(chunk->birth, bound))
		return "impossible birth";
	if (chunk->address % FMT_CHUNK_BLOCKS != 0)
		return "not at a chunk's address";
	return NULL;
}

/* ---- what is the version's own, and what the parent's ---- */

static void
claim(struct map_walk *map, uint64_t chunk, uint64_t address, unsigned run)
{
	struct check *check = map->walk.check;
	bool twice = false;

	if (!check_range_is(check, address, run, FMT_REGION_DATA)) {
		entry_damaged(map, chunk, "maps what is not for data");
		return;
	}
	for (unsigned i = 0; i < run; i++) {
		if (bits_get(&check->seen, address + i))
			twice = true;
		else
			check->report->data_blocks++;
		if (!bits_put(&check->seen, address + i, true))
			check->error = -ENOMEM;
	}
	if (twice)
		check_find(check, CHECK_DAMAGE, "data.double",
		    "%s: chunk %llu: block %llu is used twice", map->what,
		    (unsigned long long)chunk, (unsigned long long)address);
}

/* What is compared with: beside is NULL when it is not known. */
struct leaf_check {
	struct map_walk *map;
	const struct place *place;
	uint32_t epoch;
	const struct chunk *beside;
};

static void
check_coarse(const struct leaf_check *leaf, uint64_t index,
    const struct chunk *chunk, const struct chunk *beside)
{
	if (chunk->birth > leaf->epoch) {
		claim(leaf->map, index, chunk->address, FMT_CHUNK_BLOCKS);
		return;
	}
	if (beside == NULL)
		return;
	if (beside->type != FMT_COARSE || beside->address != chunk->address ||
	    beside->birth != chunk->birth || (chunk->mask & ~beside->mask) != 0)
		not_shared(leaf->map, index, "what it maps");
}

static uint16_t
unit_mask(const struct map_walk *map, unsigned i)
{
	unsigned unit = sub_blocks(map);

	return (uint16_t)(((1u << unit) - 1) << (i - i % unit));
}

/* Does the parent map that block, from a single one or from a chunk?  And has
 * it all that is valid of its unit? */
static bool
block_is_in(const struct map_walk *map, const struct chunk *chunk, unsigned i,
    const struct chunk *beside)
{
	uint16_t unit = unit_mask(map, i);

	return beside->block[i].address == chunk->block[i].address &&
	       beside->block[i].birth == chunk->block[i].birth &&
	       (beside->mask & unit) != 0 &&
	       (chunk->mask & unit & ~beside->mask) == 0;
}

static void
check_subs(const struct leaf_check *leaf, uint64_t index,
    const struct chunk *chunk, const struct chunk *beside)
{
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++) {
		uint64_t address = chunk->block[i].address;
		if (address == 0 || address == FMT_SUB_POISON)
			continue;
		if (chunk->block[i].birth > leaf->epoch) {
			claim(leaf->map, index, address, 1);
		} else if (beside != NULL &&
			   !block_is_in(leaf->map, chunk, i, beside)) {
			not_shared(leaf->map, index, "a single block");
			return;
		}
	}
}

static void
check_end(struct map_walk *map, uint64_t index, const struct chunk *chunk)
{
	/* shrinking zeroes the rest of a chunk that has larger units */
	unsigned unit =
	    map->version->cow_shift == FMT_BLOCK_SHIFT ? 1 : FMT_CHUNK_BLOCKS;
	uint64_t blocks =
	    (map->version->size / FMT_BLOCK + unit - 1) / unit * unit;
	uint64_t first = index * FMT_CHUNK_BLOCKS;
	unsigned inside = first >= blocks ? 0
			  : blocks - first < FMT_CHUNK_BLOCKS
			      ? (unsigned)(blocks - first)
			      : FMT_CHUNK_BLOCKS;

	if (map->version->state != FMT_VERSION_DELETING &&
	    (chunk->type == FMT_COARSE || chunk->type == FMT_FINE) &&
	    chunk->mask >> inside != 0)
		check_find(map->walk.check, CHECK_DAMAGE, "map.beyond",
		    "%s: chunk %llu: data beyond the end (%llu blocks of"
		    " %llu)",
		    map->what, (unsigned long long)index,
		    (unsigned long long)map->version->size / FMT_BLOCK,
		    (unsigned long long)1 << map->version->cow_shift);
}

/* ---- counting ---- */

static bool
block_is_held(const struct chunk *chunk, unsigned i)
{
	return chunk->block[i].address != 0 &&
	       chunk->block[i].address != FMT_SUB_POISON;
}

static void
count_chunk(const struct chunk *chunk, struct check_sum *sum)
{
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++) {
		bool held = block_is_held(chunk, i);
		sum->held += held;
		sum->live += held && chunk->mask >> i & 1;
	}
}

/* NULL: the version has nothing there. */
static void
count_lost(
    struct map_walk *map, const struct chunk *chunk, const struct chunk *beside)
{
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++)
		if (block_is_held(beside, i) &&
		    (chunk == NULL ||
			chunk->block[i].address != beside->block[i].address))
			check_losses_add(map->walk.check, &map->losses,
			    beside->block[i].birth);
}

/* ---- a leaf ---- */

static struct check_sum
check_chunks(const struct leaf_check *leaf, bool count_losses)
{
	struct map_walk *map = leaf->map;
	struct check_sum sum = {.known = true};

	for (unsigned c = 0; c < FMT_LEAF_CHUNKS; c++) {
		struct chunk *chunk = &map->chunk[c];
		uint64_t index = leaf->place->index * FMT_LEAF_CHUNKS + c;
		const struct chunk *beside =
		    leaf->beside != NULL ? &leaf->beside[c] : NULL;
		const char *wrong = NULL;

		if (chunk->type != CHUNK_UNKNOWN)
			wrong =
			    chunk_verify(map, index, chunk, leaf->place->bound);
		if (wrong != NULL)
			entry_damaged(map, index, wrong);
		if (wrong != NULL || chunk->type == CHUNK_UNKNOWN) {
			sum.known = false;
			continue;
		}
		if (chunk->type == FMT_COARSE && !leaf->place->again)
			check_coarse(leaf, index, chunk, beside);
		else if (chunk->type == FMT_FINE && !leaf->place->again)
			check_subs(leaf, index, chunk, beside);
		check_end(map, index, chunk);
		count_chunk(chunk, &sum);
		if (count_losses && beside != NULL)
			count_lost(map, chunk, beside);
	}
	return sum;
}

static unsigned
leaf_used(const struct fmt_leaf *leaf)
{
	static const struct fmt_ptr none;
	unsigned used = 0;

	for (unsigned c = 0; c < FMT_LEAF_CHUNKS; c++)
		used += le64_get(&leaf->entry[c].word) != 0 ||
			le32_get(&leaf->entry[c].birth) != 0;
	for (unsigned slot = 0; slot < FMT_LEAF_FINE; slot++)
		used += memcmp(&leaf->fine[slot], &none, sizeof(none)) != 0;
	return used;
}

struct check_sum
check_leaf(struct map_walk *map, const struct place *place, const uint8_t *page,
    unsigned which)
{
	const struct fmt_leaf *leaf = (const void *)page;
	const struct beside *beside = &place->beside[which];
	struct leaf_check check = {.map = map,
	    .place = place,
	    .epoch = map_parent_epoch(map, which),
	    .beside = map->chunk_beside};

	if (!place->again)
		walk_check_used(&map->walk, page, leaf_used(leaf));
	decode_entries(map->chunk, page);
	for (unsigned slot = 0; slot < FMT_LEAF_FINE; slot++)
		if (!check_fine(map, place, leaf, slot, which))
			fine_unknown(map, slot);
	if (beside->state == BESIDE_NOTHING)
		memset(map->chunk_beside, 0,
		    FMT_LEAF_CHUNKS * sizeof(*map->chunk_beside));
	else if (beside->state == BESIDE_UNKNOWN ||
		 !decode_beside(map, beside, place->index))
		check.beside = NULL;
	return check_chunks(&check, which == 0 && map->other[0] != NULL);
}

void
check_leaf_lost(
    struct map_walk *map, const struct beside *beside, uint64_t index)
{
	if (!decode_beside(map, beside, index))
		return;
	for (unsigned c = 0; c < FMT_LEAF_CHUNKS; c++)
		count_lost(map, NULL, &map->chunk_beside[c]);
}
