/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What other versions have at the place of a damaged page.  Nothing is claimed
 * and nothing is said: the passes do that.
 */
#include "base/assert.h"
#include "snapshot/repair_scan.h"
#include <stdlib.h>
#include <string.h>

struct check_version *
scan_version(const struct scan *scan, const struct scan_damage *damage)
{
	return check_version_find(scan->check, damage->version);
}

bool
scan_given_up(
    const struct check_version *version, unsigned level, uint64_t index)
{
	uint64_t end = (index + 1) * level_reach(level) * FMT_LEAF_CHUNKS;

	return version->state == FMT_VERSION_DELETING && end <= version->cursor;
}

const struct check_version *
scan_parent(const struct scan *scan, const struct check_version *version,
    unsigned level, uint64_t index)
{
	const struct check_version *parent = version->parent;

	(void)scan;
	return parent != NULL && scan_given_up(parent, level, index)
		   ? parent->parent
		   : parent;
}

/* Which page of a level leads to a page further down. */
static uint64_t
index_above(uint64_t index, unsigned up)
{
	return index / level_reach(up);
}

bool
scan_pointer(struct scan *scan, const struct check_version *version,
    unsigned level, uint64_t index, struct fmt_ptr *ret_ptr)
{
	_Alignas(FMT_BLOCK) uint8_t buf[FMT_BLOCK];
	const struct fmt_inner *inner = (const void *)buf;
	struct check_walk walk = {.check = scan->check,
	    .type = FMT_PAGE_MAP,
	    .family = version->family};
	unsigned at = version->levels - 1u;

	memset(ret_ptr, 0, sizeof(*ret_ptr));
	if (level > at || index_above(index, at - level) != 0)
		return true; /* the map does not reach there */
	*ret_ptr = version->root;
	for (; at > level && fmt_ptr_address(ret_ptr) != 0; at--) {
		uint64_t above = index_above(index, at - level);
		uint64_t below = index_above(index, at - 1 - level);
		if (scan_given_up(version, at, above) ||
		    !walk_read_again(&walk, ret_ptr, at, above, buf))
			return false;
		*ret_ptr = inner->ptr[below % FMT_FANOUT];
	}
	return !scan_given_up(version, level, index);
}

/* A map with fewer levels, whose root lies right below, is as if it had a page
 * with nothing but that. */
static bool
page_above_root(const struct check_version *version, unsigned level,
    uint64_t index, void *buf)
{
	struct fmt_inner *inner = buf;

	if (level != version->levels || index != 0)
		return false;
	memset(inner, 0, sizeof(*inner));
	inner->ptr[0] = version->root;
	return true;
}

bool
scan_page_of(struct scan *scan, const struct check_version *version,
    unsigned level, uint64_t index, void *buf)
{
	struct check_walk walk = {.check = scan->check,
	    .type = FMT_PAGE_MAP,
	    .family = version->family};
	struct fmt_ptr ptr;

	if (level >= version->levels)
		return page_above_root(version, level, index, buf);
	return scan_pointer(scan, version, level, index, &ptr) &&
	       fmt_ptr_address(&ptr) != 0 &&
	       walk_read_again(&walk, &ptr, level, index, buf);
}

/* ---- leaves, block by block ---- */

bool
scan_side_init(struct scan *scan, struct scan_side *side,
    const struct check_version *version, uint64_t index)
{
	*side = (struct scan_side){.scan = scan,
	    .version = version,
	    .index = index,
	    .slot = FMT_LEAF_FINE,
	    .leaf = aligned_alloc(FMT_BLOCK, 2 * FMT_BLOCK)};
	if (side->leaf == NULL)
		return false;
	side->fine = (void *)(side->leaf + 1);
	side->there = version != NULL &&
		      scan_page_of(scan, version, 0, index, side->leaf);
	return true;
}

void
scan_side_done(struct scan_side *side)
{
	free(side->leaf);
}

bool
scan_side_fine(struct scan_side *side, unsigned slot)
{
	struct check_walk walk = {.check = side->scan->check,
	    .type = FMT_PAGE_FINE,
	    .family = side->version->family};

	if (side->slot == slot)
		return true;
	side->slot = FMT_LEAF_FINE;
	if (!walk_read_again(&walk, &side->leaf->fine[slot], 0,
		side->index * FMT_LEAF_FINE + slot, (uint8_t *)side->fine))
		return false;
	side->slot = slot;
	return true;
}

bool
scan_side_block(struct scan_side *side, unsigned chunk, unsigned block,
    struct scan_block *ret_block)
{
	const struct fmt_entry *entry = &side->leaf->entry[chunk];
	uint64_t word = le64_get(&entry->word);
	unsigned unit = 1u << (side->version->cow_shift - FMT_BLOCK_SHIFT);
	const struct fmt_sub *sub;

	assert(side->there);
	*ret_block = (struct scan_block){.birth = le32_get(&entry->birth),
	    .valid = fmt_word_mask(word) >> block & 1};
	if (fmt_word_type(word) == FMT_COARSE)
		ret_block->address = fmt_word_address(word) + block;
	if (fmt_word_type(word) != FMT_FINE)
		return fmt_word_type(word) != FMT_POISON;
	if (unit == FMT_CHUNK_BLOCKS ||
	    !scan_side_fine(side, chunk / (27 * unit)))
		return false;
	sub =
	    &side->fine
		 ->sub[(chunk % (27 * unit) * FMT_CHUNK_BLOCKS + block) / unit];
	ret_block->birth = le32_get(&sub->birth);
	ret_block->address = fmt_sub_address(sub);
	if (ret_block->address == FMT_SUB_POISON)
		return false;
	if (ret_block->address != 0)
		ret_block->address += block % unit;
	return true;
}
