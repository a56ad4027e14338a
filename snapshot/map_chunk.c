/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chunks in their pages: from the entry of a leaf, and a fine page, to struct
 * chunk and back.
 */
#include "snapshot/engine.h"
#include <string.h>

/* The epoch up to which the parent has what this volume has, for leaves: while
 * the parent is merged into us, what is done with counts for its parent. */
static uint32_t
parent_epoch(const struct volume *volume, uint64_t leaf)
{
	const struct volume *parent = volume->parent;
	uint64_t end = (leaf + 1) * FMT_LEAF_CHUNKS;

	if (parent == NULL)
		return 0;
	if (parent->state == FMT_VERSION_DELETING && end <= parent->cursor &&
	    !engine_breaks.i3_no_cursor_rule)
		return parent->parent != NULL ? parent->parent->epoch : 0;
	return parent->epoch;
}

void
map_rules(
    const struct volume *volume, uint64_t leaf, struct chunk_rules *ret_rules)
{
	uint32_t bookmark = volume->bookmark_epoch > volume->bookmark_held
				? volume->bookmark_epoch
				: volume->bookmark_held;

	*ret_rules = (struct chunk_rules){
	    .epoch = volume->pool->epoch,
	    .parent_epoch = parent_epoch(volume, leaf),
	    .bookmark_epoch = bookmark,
	    .unit = volume_unit(volume),
	    .track = volume->parent != NULL || bookmark != 0,
	};
}

/* ---- fine pages ---- */

/* Where the sub-entries of a chunk are. */
struct fine_place {
	unsigned slot, first, unit;
};

static struct fine_place
fine_place(const struct volume *volume, uint64_t chunk)
{
	unsigned in_leaf = chunk % FMT_LEAF_CHUNKS;
	unsigned per_page = fine_page_chunks(volume->cow_shift);
	unsigned unit = volume_unit(volume);

	return (struct fine_place){
	    .slot = in_leaf / per_page,
	    .first = in_leaf % per_page * (FMT_CHUNK_BLOCKS / unit),
	    .unit = unit,
	};
}

static struct page *
fine_in_memory(struct volume *volume, struct page *leaf, unsigned slot)
{
	uint64_t address = fmt_ptr_address(&page_leaf(leaf)->fine[slot]);
	struct page *page =
	    address == 0 ? NULL
			 : page_find(&volume->pool->map_pages, 0, address);

	assert(address == 0 || (page != NULL && page->loaded));
	return page;
}

static void
subs_load(const struct fine_place *place, const struct page *page,
    struct chunk *chunk)
{
	const struct fmt_fine *fine = (const void *)page->data;

	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++) {
		const struct fmt_sub *sub =
		    &fine->sub[place->first + i / place->unit];
		uint64_t address = fmt_sub_address(sub);
		if (address != 0 && address != FMT_SUB_POISON)
			address += i % place->unit;
		chunk->block[i] = (struct chunk_block){
		    .address = address,
		    .birth = le32_get(&sub->birth),
		};
	}
}

static bool
sub_is_zero(const struct fmt_sub *sub)
{
	return fmt_sub_address(sub) == 0 && le32_get(&sub->birth) == 0;
}

static void
sub_store(struct page *page, unsigned at, uint64_t address, uint32_t birth)
{
	struct fmt_sub *sub = &((struct fmt_fine *)(void *)page->data)->sub[at];
	uint32_t used = le32_get(&page_header(page)->used);

	used -= !sub_is_zero(sub);
	store_le32(sub->address, (uint32_t)address);
	sub->address[4] = (uint8_t)(address >> 32);
	le32_set(&sub->birth, birth);
	used += !sub_is_zero(sub);
	le32_set(&page_header(page)->used, used);
}

/* Of a chunk that is FINE now, or (fine false) is no longer. */
static int
subs_store(struct volume *volume, struct page *leaf, uint64_t number,
    const struct chunk *chunk, bool fine)
{
	struct fine_place place = fine_place(volume, number);
	struct page *page =
	    map_fine_dirty(volume, leaf, number / FMT_LEAF_CHUNKS, place.slot);

	if (page == NULL)
		return -EBADMSG;
	page->lsn = leaf->lsn;
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i += place.unit)
		sub_store(page, place.first + i / place.unit,
		    fine ? chunk->block[i].address : 0,
		    fine ? chunk->block[i].birth : 0);
	if (le32_get(&page_header(page)->used) == 0)
		map_fine_drop(volume, leaf, place.slot);
	return 0;
}

/* ---- entries ---- */

static struct fmt_entry *
entry_of(struct page *leaf, uint64_t chunk)
{
	return &page_leaf(leaf)->entry[chunk % FMT_LEAF_CHUNKS];
}

int
map_chunk_load(struct volume *volume, struct page *leaf, uint64_t number,
    struct chunk *ret_chunk)
{
	static const struct fmt_entry none;
	const struct fmt_entry *entry =
	    leaf == NULL ? &none : entry_of(leaf, number);
	uint64_t word = le64_get(&entry->word);
	struct fine_place place;
	struct page *page;

	*ret_chunk = (struct chunk){
	    .type = (uint8_t)fmt_word_type(word),
	    .mask = fmt_word_mask(word),
	    .birth = le32_get(&entry->birth),
	    .address = fmt_word_address(word),
	};
	if (ret_chunk->type != FMT_FINE)
		return 0;
	if (volume->cow_shift == FMT_CHUNK_SHIFT)
		return -EBADMSG;
	place = fine_place(volume, number);
	page = fine_in_memory(volume, leaf, place.slot);
	if (page == NULL)
		return -EBADMSG;
	subs_load(&place, page, ret_chunk);
	return 0;
}

int
map_chunk_store(struct volume *volume, struct page *leaf, uint64_t number,
    const struct chunk *chunk)
{
	struct fmt_entry *entry = entry_of(leaf, number);
	uint32_t used = le32_get(&page_header(leaf)->used);
	bool was_fine = fmt_word_type(le64_get(&entry->word)) == FMT_FINE;
	bool fine = chunk->type == FMT_FINE;

	used -= le64_get(&entry->word) != 0 || le32_get(&entry->birth) != 0;
	le64_set(&entry->word, fmt_entry_word(chunk->type,
				   fine ? 0 : chunk->address, chunk->mask));
	le32_set(&entry->birth, fine ? 0 : chunk->birth);
	used += le64_get(&entry->word) != 0 || le32_get(&entry->birth) != 0;
	le32_set(&page_header(leaf)->used, used);
	if (!fine && !was_fine)
		return 0;
	return subs_store(volume, leaf, number, chunk, fine);
}

/* ---- making ready ---- */

/* A chunk that becomes FINE may go into a page that others are in already. */
static int
fine_slots_get(struct volume *volume, struct page *leaf, uint64_t first,
    uint64_t count, struct waiter *waiter)
{
	unsigned from, to;

	if (volume->cow_shift == FMT_CHUNK_SHIFT)
		return 0;
	from = fine_place(volume, first).slot;
	to = fine_place(volume, first + count - 1).slot;
	for (; from <= to; from++) {
		struct page *page;
		int result = map_fine_get(
		    volume, leaf, first / FMT_LEAF_CHUNKS, from, waiter, &page);
		if (result < 0)
			return result;
	}
	return 0;
}

int
map_chunks_get(struct volume *volume, uint64_t first, uint64_t count,
    struct waiter *waiter, struct page **ret_leaf)
{
	int result;

	assert(
	    first / FMT_LEAF_CHUNKS == (first + count - 1) / FMT_LEAF_CHUNKS);
	result = map_path_get(
	    volume, first / FMT_LEAF_CHUNKS, waiter, ret_leaf, NULL);
	if (result < 0 || *ret_leaf == NULL)
		return result;
	return fine_slots_get(volume, *ret_leaf, first, count, waiter);
}
