/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looking up blocks in a map: runs of blocks that are alike and lie in a row.
 */
#include "snapshot/engine.h"

static bool
leaf_is(const struct page *page, const struct tree *tree, uint64_t index)
{
	return page != NULL && page->tree == tree && page->index == index &&
	       page->level == 0 && page->loaded;
}

static int
leaf_get(struct volume *volume, uint64_t index, bool create,
    struct waiter *waiter, struct page **ret_leaf, unsigned *ret_gap)
{
	int result;

	if (leaf_is(volume->last_leaf, &volume->map, index)) {
		volume->pool->cache.hits++;
		volume->last_leaf->hot = true;
		*ret_leaf = volume->last_leaf;
		return 0;
	}
	result =
	    page_get(&volume->map, 0, index, create, waiter, ret_leaf, ret_gap);
	if (result == 0 && *ret_leaf != NULL) {
		volume->pool->cache.hits++;
		volume->last_leaf = *ret_leaf;
	}
	return result;
}

int
map_leaf(struct volume *volume, uint64_t chunk, struct waiter *waiter,
    struct page **ret_leaf)
{
	return leaf_get(
	    volume, chunk / FMT_LEAF_CHUNKS, true, waiter, ret_leaf, NULL);
}

/* Blocks from block to the end of the page of that level that is missing. */
static uint64_t
gap_blocks(uint64_t block, unsigned level)
{
	uint64_t span = fmt_map_chunks(level + 1) * FMT_CHUNK_BLOCKS;

	return span - block % span;
}

/* The run of equal bits of mask from bit on. */
static unsigned
mask_run(uint16_t mask, unsigned bit)
{
	unsigned same = mask >> bit & 1 ? (unsigned)~mask & 0xffff : mask;

	same = same >> bit | 0x10000u >> bit;
	return (unsigned)__builtin_ctz(same);
}

struct chunk_view {
	enum map_kind kind;
	bool exclusive;
	uint64_t address; /* of the block asked for */
	unsigned run;     /* blocks alike, up to the end of the chunk */
};

/* FINE: by way of its page. */
static int
fine_view(struct volume *volume, struct page *leaf, uint64_t chunk,
    unsigned sub, struct waiter *waiter, struct chunk_view *ret_view)
{
	unsigned in_leaf = chunk % FMT_LEAF_CHUNKS;
	unsigned unit = volume->cow_shift - FMT_BLOCK_SHIFT; /* 0 or 2 */
	unsigned per_page = unit == 0 ? 27 : 81, subs = 16u >> unit;
	const struct fmt_sub *entry;
	struct page *page;
	int result;

	if (unit != 0 && unit != 2)
		return -EBADMSG;
	result = page_get(&volume->map, LEVEL_FINE,
	    leaf->index * FMT_LEAF_FINE + in_leaf / per_page, false, waiter,
	    &page, NULL);
	if (result < 0)
		return result;
	if (page == NULL)
		return -EBADMSG;
	entry = &((struct fmt_fine *)(void *)page->data)
		     ->sub[in_leaf % per_page * subs + (sub >> unit)];
	ret_view->address = fmt_sub_address(entry);
	ret_view->run = (1u << unit) - (sub & ((1u << unit) - 1));
	ret_view->kind = ret_view->address == 0                ? MAP_HOLE
			 : ret_view->address == FMT_SUB_POISON ? MAP_POISON
							       : MAP_DATA;
	ret_view->address += sub & ((1u << unit) - 1);
	ret_view->exclusive = map_exclusive(volume, le32_get(&entry->birth));
	return 0;
}

static int
chunk_view(struct volume *volume, struct page *leaf, uint64_t chunk,
    unsigned sub, struct waiter *waiter, struct chunk_view *ret_view)
{
	const struct fmt_entry *entry =
	    &page_leaf(leaf)->entry[chunk % FMT_LEAF_CHUNKS];
	uint64_t word = le64_get(&entry->word);
	uint16_t mask = fmt_word_mask(word);

	*ret_view = (struct chunk_view){
	    .kind = MAP_HOLE, .run = FMT_CHUNK_BLOCKS - sub};
	ret_view->exclusive = map_exclusive(volume, le32_get(&entry->birth));
	switch (fmt_word_type(word)) {
	case FMT_HOLE: return 0;
	case FMT_POISON: ret_view->kind = MAP_POISON; return 0;
	case FMT_COARSE:
		ret_view->run = mask_run(mask, sub);
		if (mask >> sub & 1)
			ret_view->kind = MAP_DATA;
		ret_view->address = fmt_word_address(word) + sub;
		return 0;
	case FMT_FINE:
		return fine_view(volume, leaf, chunk, sub, waiter, ret_view);
	default: return -EBADMSG;
	}
}

/* Does view go on where the extent ends? */
static bool
extent_grows(const struct map_extent *extent, const struct chunk_view *view)
{
	if (view->kind != extent->kind)
		return false;
	if (view->kind != MAP_DATA)
		return true;
	return view->exclusive == extent->exclusive &&
	       view->address == extent->address + extent->blocks;
}

static int
address_check(const struct pool *pool, const struct map_extent *extent)
{
	if (extent->kind == MAP_DATA &&
	    !space_is_data(&pool->space, extent->address, extent->blocks))
		return -EBADMSG;
	return 0;
}

int
map_lookup(struct volume *volume, uint64_t block, uint64_t max,
    struct waiter *waiter, struct map_extent *ret_extent)
{
	uint64_t leaf_left = FMT_LEAF_BLOCKS - block % FMT_LEAF_BLOCKS;
	struct map_extent *extent = ret_extent;
	struct chunk_view view;
	struct page *leaf;
	unsigned gap = 0;
	int result = leaf_get(
	    volume, block / FMT_LEAF_BLOCKS, false, waiter, &leaf, &gap);

	if (result < 0)
		return result;
	*extent = (struct map_extent){.kind = MAP_HOLE, .leaf = leaf};
	if (leaf == NULL) {
		extent->blocks = gap_blocks(block, gap);
		if (extent->blocks > max)
			extent->blocks = max;
		return 0;
	}
	if (max > leaf_left)
		max = leaf_left;
	while (extent->blocks < max) {
		uint64_t at = block + extent->blocks;
		result = chunk_view(volume, leaf, at / FMT_CHUNK_BLOCKS,
		    at % FMT_CHUNK_BLOCKS, waiter, &view);
		if (result == -EAGAIN && extent->blocks > 0) {
			list_del(&waiter->link); /* what there is will do */
			break;
		}
		if (result < 0)
			return result;
		if (extent->blocks == 0) {
			extent->kind = view.kind;
			extent->exclusive = view.exclusive;
			extent->address = view.address;
		} else if (!extent_grows(extent, &view)) {
			break;
		}
		extent->blocks += view.run;
	}
	if (extent->blocks > max)
		extent->blocks = max;
	return address_check(volume->pool, extent);
}
