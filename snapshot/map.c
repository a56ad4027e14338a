/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looking up blocks in a map: runs of blocks that are alike and lie in a row.
 */
#include "snapshot/engine.h"

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
	bool in_place;
	uint64_t address; /* of the block asked for */
	unsigned run;     /* blocks alike, up to the end of the chunk */
};

struct lookup {
	struct volume *volume;
	struct waiter *waiter;
	uint64_t index; /* of the leaf */
	struct page *leaf;
	struct chunk_rules rules;
};

/* FINE: by way of its page. */
static int
fine_view(const struct lookup *l, uint64_t chunk, unsigned block,
    struct chunk_view *ret_view)
{
	unsigned in_leaf = chunk % FMT_LEAF_CHUNKS, unit = l->rules.unit;
	unsigned per_page = 27 * unit, in_unit = block % unit;
	const struct fmt_sub *sub;
	struct page *page;
	int result;

	if (unit == FMT_CHUNK_BLOCKS)
		return -EBADMSG;
	result = map_fine_get(
	    l->volume, l->leaf, l->index, in_leaf / per_page, l->waiter, &page);
	if (result < 0)
		return result;
	if (page == NULL)
		return -EBADMSG;
	sub =
	    &((struct fmt_fine *)(void *)page->data)
		 ->sub[(in_leaf % per_page * FMT_CHUNK_BLOCKS + block) / unit];
	ret_view->address = fmt_sub_address(sub);
	if (ret_view->run > unit - in_unit)
		ret_view->run = unit - in_unit;
	ret_view->kind = MAP_DATA;
	if (ret_view->address == FMT_SUB_POISON)
		ret_view->kind = MAP_POISON;
	else if (ret_view->address == 0)
		return -EBADMSG;
	ret_view->address += in_unit;
	ret_view->in_place = chunk_writable(&l->rules, le32_get(&sub->birth));
	return 0;
}

static int
chunk_view(const struct lookup *l, uint64_t chunk, unsigned block,
    struct chunk_view *ret_view)
{
	const struct fmt_entry *entry =
	    &page_leaf(l->leaf)->entry[chunk % FMT_LEAF_CHUNKS];
	uint64_t word = le64_get(&entry->word);
	uint16_t mask = fmt_word_mask(word);
	unsigned type = fmt_word_type(word);

	*ret_view = (struct chunk_view){
	    .kind = MAP_HOLE, .run = FMT_CHUNK_BLOCKS - block};
	if (type == FMT_HOLE)
		return 0;
	if (type == FMT_POISON) {
		ret_view->kind = MAP_POISON;
		return 0;
	}
	if (type != FMT_COARSE && type != FMT_FINE)
		return -EBADMSG;
	ret_view->run = mask_run(mask, block);
	if ((mask >> block & 1) == 0)
		return 0;
	if (type == FMT_FINE)
		return fine_view(l, chunk, block, ret_view);
	ret_view->kind = MAP_DATA;
	ret_view->in_place = chunk_writable(&l->rules, le32_get(&entry->birth));
	ret_view->address = fmt_word_address(word) + block;
	return 0;
}

/* Does view go on where the extent ends? */
static bool
extent_grows(const struct map_extent *extent, const struct chunk_view *view)
{
	if (view->kind != extent->kind)
		return false;
	if (view->kind != MAP_DATA)
		return true;
	return view->in_place == extent->in_place &&
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

/* How far a view reaches into what the lookup wants. */
static int
extent_walk(const struct lookup *l, uint64_t block, uint64_t max,
    struct map_extent *extent)
{
	while (extent->blocks < max) {
		uint64_t at = block + extent->blocks;
		struct chunk_view view;
		int result = chunk_view(
		    l, at / FMT_CHUNK_BLOCKS, at % FMT_CHUNK_BLOCKS, &view);
		if (result == -EAGAIN && extent->blocks > 0) {
			list_del(&l->waiter->link); /* what there is will do */
			break;
		}
		if (result < 0)
			return result;
		if (extent->blocks == 0) {
			extent->kind = view.kind;
			extent->in_place = view.in_place;
			extent->address = view.address;
		} else if (!extent_grows(extent, &view)) {
			break;
		}
		extent->blocks += view.run;
	}
	if (extent->blocks > max)
		extent->blocks = max;
	return address_check(l->volume->pool, extent);
}

int
map_lookup(struct volume *volume, uint64_t block, uint64_t max,
    struct waiter *waiter, struct map_extent *ret_extent)
{
	uint64_t leaf_left = FMT_LEAF_BLOCKS - block % FMT_LEAF_BLOCKS;
	struct map_extent *extent = ret_extent;
	struct lookup l = {
	    .volume = volume,
	    .waiter = waiter,
	    .index = block / FMT_LEAF_BLOCKS,
	};
	unsigned gap;
	int result = map_leaf_get(volume, l.index, waiter, &l.leaf, &gap);

	if (result < 0)
		return result;
	*extent = (struct map_extent){.kind = MAP_HOLE, .leaf = l.leaf};
	if (l.leaf == NULL) {
		extent->blocks = gap_blocks(block, gap);
		if (extent->blocks > max)
			extent->blocks = max;
		return 0;
	}
	map_rules(volume, l.index, &l.rules);
	return extent_walk(
	    &l, block, max < leaf_left ? max : leaf_left, extent);
}
