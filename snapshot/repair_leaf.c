/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Leaves and fine pages, chunk by chunk and block by block: from the versions
 * beside, from fine pages that are whole, from the newest older copy.
 */
#include "base/assert.h"
#include "snapshot/repair_scan.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEIRS_MAX 16u /* children of a version that are asked */

struct leaf_make {
	struct scan *scan;
	struct scan_damage *damage;
	const struct check_version *version;
	uint64_t index; /* of the leaf */
	unsigned unit;
	uint32_t epoch; /* of the effective parent */
	struct scan_side parent, heir[HEIRS_MAX], own;
	unsigned heirs;
	const struct fmt_fine *fine_at;        /* the one that is made */
	struct fmt_fine *fresh[FMT_LEAF_FINE]; /* pages that there were not */
	uint64_t fresh_address[FMT_LEAF_FINE];
	bool bad; /* what is known cannot be said by the page */
};

/* ---- what is beside ---- */

static int
sides_init(struct leaf_make *m)
{
	struct scan *scan = m->scan;
	const struct check_version *parent =
	    scan_parent(scan, m->version, 0, m->index);

	m->epoch = parent == NULL ? 0 : parent->epoch;
	m->unit = 1u << (m->version->cow_shift - FMT_BLOCK_SHIFT);
	if (!scan_side_init(scan, &m->parent, parent, m->index) ||
	    !scan_side_init(scan, &m->own, m->version, m->index))
		return -ENOMEM;
	for (uint32_t i = 0; i < scan->check->version_count; i++) {
		const struct check_version *heir = &scan->check->version[i];
		if (heir->parent != m->version)
			continue;
		/* what one that is not asked shares would be lost */
		m->bad |= m->heirs == HEIRS_MAX;
		if (m->bad)
			break;
		if (!scan_side_init(scan, &m->heir[m->heirs++], heir, m->index))
			return -ENOMEM;
	}
	return 0;
}

static void
sides_done(struct leaf_make *m)
{
	for (unsigned slot = 0; slot < FMT_LEAF_FINE; slot++)
		free(m->fresh[slot]);
	scan_side_done(&m->parent);
	scan_side_done(&m->own);
	for (unsigned i = 0; i < m->heirs; i++)
		scan_side_done(&m->heir[i]);
}

/* Rule 1 for a block: an heir has it from us.  *ret_entry: of the heir, and
 * COARSE, or NULL. */
static bool
block_of_heir(struct leaf_make *m, unsigned c, unsigned i,
    struct scan_block *ret_block, const struct fmt_entry **ret_entry)
{
	for (unsigned n = 0; n < m->heirs; n++) {
		struct scan_side *heir = &m->heir[n];
		const struct fmt_entry *entry = &heir->leaf->entry[c];
		if (!heir->there || !scan_side_block(heir, c, i, ret_block) ||
		    ret_block->address == 0 ||
		    ret_block->birth > m->version->epoch)
			continue;
		*ret_entry = fmt_word_type(le64_get(&entry->word)) == FMT_COARSE
				 ? entry
				 : NULL;
		return true;
	}
	return false;
}

/* Has the parent that block, at that place? */
static bool
block_of_parent(struct leaf_make *m, unsigned c, unsigned i, uint64_t address,
    uint32_t birth)
{
	struct scan_block block;

	return m->parent.there && scan_side_block(&m->parent, c, i, &block) &&
	       block.address == address && block.birth == birth;
}

/* Of our own, it is in use and nobody else's; or it is the parent's. */
static bool
block_is_ours(struct leaf_make *m, unsigned c, unsigned i, uint64_t address,
    uint32_t birth)
{
	struct check *check = m->scan->check;

	if (birth <= m->epoch)
		return block_of_parent(m, c, i, address, birth);
	return birth <= m->damage->bound &&
	       check_range_is(check, address, 1, FMT_REGION_DATA) &&
	       scan_use_is_known(m->scan, address) &&
	       scan_is_used(m->scan, address) &&
	       !bits_get(&check->seen, address);
}

static void
block_take(struct leaf_make *m, uint64_t address, uint32_t birth)
{
	struct check *check = m->scan->check;

	if (birth > m->epoch && address < check->blocks &&
	    !bits_put(&check->seen, address, true))
		check->error = -ENOMEM;
}

/* ---- a chunk of a leaf ---- */

static void
entry_poison(struct leaf_make *m, unsigned c, struct fmt_entry *entry)
{
	le64_set(&entry->word, fmt_entry_word(FMT_POISON, 0, 0));
	entry->birth = m->damage->ptr.birth;
	m->damage->lost[c] = 1;
	m->damage->holes[c] = 0;
}

static bool
coarse_is_ours(struct leaf_make *m, unsigned c, const struct fmt_entry *entry)
{
	uint64_t address = fmt_word_address(le64_get(&entry->word));
	uint32_t birth = le32_get(&entry->birth);

	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++)
		if (!block_is_ours(m, c, i, address + i, birth))
			return false;
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++)
		block_take(m, address + i, birth);
	return true;
}

/* The chunk as the fine pages of side have it: false, and not all of it is
 * ours. */
static bool
subs_are_ours(struct leaf_make *m, unsigned c, struct scan_side *side)
{
	struct scan_block block[FMT_CHUNK_BLOCKS];

	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++)
		if (!scan_side_block(side, c, i, &block[i]) ||
		    (block[i].address != 0 &&
			!block_is_ours(
			    m, c, i, block[i].address, block[i].birth)))
			return false;
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++)
		if (block[i].address != 0)
			block_take(m, block[i].address, block[i].birth);
	return true;
}

/* Which of its blocks are there; only of single ones it can be told. */
static uint16_t
subs_mask(struct scan_side *side, unsigned c)
{
	struct fmt_entry *entry = &side->leaf->entry[c];
	uint64_t before = le64_get(&entry->word);
	struct scan_block block;
	uint16_t mask = 0;

	le64_set(&entry->word, fmt_entry_word(FMT_FINE, 0, 0));
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++)
		if (scan_side_block(side, c, i, &block) && block.address != 0)
			mask |= (uint16_t)(1u << i);
	le64_set(&entry->word, before);
	return mask;
}

/* Side is the older copy, with the fine pages that were found. */
static void
chunk_older(struct leaf_make *m, unsigned c, struct fmt_entry *entry)
{
	struct fmt_entry *old = &m->own.leaf->entry[c];
	unsigned slot = c / (27 * m->unit);
	bool has_fine = m->unit < FMT_CHUNK_BLOCKS &&
			fmt_ptr_address(&m->own.leaf->fine[slot]) != 0;
	uint16_t mask = has_fine ? subs_mask(&m->own, c) : 0;
	uint64_t word = le64_get(&old->word);

	if (mask != 0 && m->unit == 1)
		le64_set(&old->word, fmt_entry_word(FMT_FINE, 0, mask));
	word = le64_get(&old->word);
	*entry = *old;
	m->damage->holes[c] =
	    fmt_word_mask(word) != 0xffff || le32_get(&old->birth) <= m->epoch;
	if (fmt_word_type(word) == FMT_HOLE && m->damage->older) {
		le64_set(&entry->word, 0);
		if (le32_get(&entry->birth) < le32_get(&m->damage->ptr.birth) &&
		    m->epoch != 0)
			entry->birth = m->damage->ptr.birth;
	} else if (fmt_word_type(word) == FMT_FINE) {
		/* its page is the one in use: it was found by that */
		m->damage->holes[c] = m->unit != 1;
		le32_set(&entry->birth, 0);
		if (!has_fine || mask == 0 || !subs_are_ours(m, c, &m->own))
			entry_poison(m, c, entry);
	} else if (fmt_word_type(word) != FMT_COARSE ||
		   !coarse_is_ours(m, c, old)) {
		entry_poison(m, c, entry);
	}
}

static void
sub_set(struct fmt_sub *sub, uint64_t address, uint32_t birth)
{
	store_le32(sub->address, (uint32_t)address);
	sub->address[4] = (uint8_t)(address >> 32);
	le32_set(&sub->birth, birth);
}

static struct fmt_fine *
fresh_page(struct leaf_make *m, unsigned slot)
{
	bool old = fmt_ptr_address(&m->own.leaf->fine[slot]) != 0;

	if (m->fresh[slot] != NULL || m->unit == FMT_CHUNK_BLOCKS)
		return m->fresh[slot];
	m->fresh_address[slot] = scan_room_take(m->scan);
	if (m->fresh_address[slot] == 0)
		return NULL;
	m->fresh[slot] = aligned_alloc(FMT_BLOCK, FMT_BLOCK);
	if (m->fresh[slot] == NULL)
		return NULL;
	memset(m->fresh[slot], 0, FMT_BLOCK);
	if (old && scan_side_fine(&m->own, slot))
		memcpy(m->fresh[slot], m->own.fine, FMT_BLOCK);
	return m->fresh[slot];
}

/* Of a chunk that heirs share in part: what they have from us, or the older
 * copy has and nobody else. */
static bool
block_find(
    struct leaf_make *m, unsigned c, unsigned i, struct scan_block *ret_block)
{
	const struct fmt_entry *ignored;

	if (block_of_heir(m, c, i, ret_block, &ignored))
		return true;
	return m->unit == 1 && scan_side_block(&m->own, c, i, ret_block) &&
	       ret_block->valid && ret_block->address != 0 &&
	       ret_block->birth > m->epoch &&
	       block_is_ours(m, c, i, ret_block->address, ret_block->birth);
}

/* FINE; what is not found is unreadable. */
static void
chunk_of_heirs(struct leaf_make *m, unsigned c, struct fmt_entry *entry)
{
	unsigned slot = c / (27 * m->unit);
	unsigned n = c % (27 * m->unit) * (FMT_CHUNK_BLOCKS / m->unit);
	struct fmt_fine *fine = fresh_page(m, slot);
	uint16_t mask = 0;

	m->bad |= fine == NULL;
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS && !m->bad; i++) {
		struct fmt_sub *sub = &fine->sub[n + i / m->unit];
		struct scan_block block;
		bool found = block_find(m, c, i, &block);
		m->damage->lost[c] |= !found;
		if (found)
			block_take(m, block.address, block.birth);
		if (!found || block.valid)
			mask |= (uint16_t)(1u << i);
		if (i % m->unit == 0 && found)
			sub_set(sub, block.address, block.birth);
		else if (i % m->unit == 0)
			sub_set(sub, FMT_SUB_POISON,
			    le32_get(&m->damage->ptr.birth));
	}
	le64_set(&entry->word, fmt_entry_word(FMT_FINE, 0, mask));
	le32_set(&entry->birth, 0);
}

static void
chunk_make(struct leaf_make *m, unsigned c, struct fmt_entry *entry)
{
	const struct fmt_entry *whole = NULL;
	struct scan_block block;
	bool shared = false;

	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS && whole == NULL; i++)
		shared |= block_of_heir(m, c, i, &block, &whole);
	if (whole != NULL) {
		uint32_t birth = le32_get(&whole->birth);
		*entry = *whole;
		for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++)
			block_take(m,
			    fmt_word_address(le64_get(&whole->word)) + i,
			    birth);
		return;
	}
	if (shared)
		chunk_of_heirs(m, c, entry);
	else
		chunk_older(m, c, entry);
}

/* ---- a leaf ---- */

static unsigned
subs_used(const struct fmt_fine *fine)
{
	unsigned used = 0;

	for (unsigned n = 0; n < FMT_FINE_SUBS; n++)
		used += fmt_sub_address(&fine->sub[n]) != 0 ||
			le32_get(&fine->sub[n].birth) != 0;
	return used;
}

static const struct scan_page *
older_copy(struct leaf_make *m)
{
	struct scan_choice choice;

	scan_choose(m->scan, m->damage, 0, m->damage->index, 1, true, &choice);
	return choice.page;
}

/* A fine page of the leaf that is whole: the one that the older copy names, if
 * that is in use still, or the one that is found. */
static void
fine_find(struct leaf_make *m, unsigned slot)
{
	struct scan_damage as_fine = *m->damage;
	struct fmt_ptr *ptr = &m->own.leaf->fine[slot];
	uint32_t birth = le32_get(&ptr->birth);
	struct scan_choice choice;

	if (fmt_ptr_address(ptr) != 0 && birth <= m->epoch && m->parent.there &&
	    memcmp(ptr, &m->parent.leaf->fine[slot], sizeof(*ptr)) == 0)
		return;
	as_fine.type = FMT_PAGE_FINE;
	scan_choose(m->scan, &as_fine, 0, m->index * FMT_LEAF_FINE + slot, 1,
	    false, &choice);
	memset(ptr, 0, sizeof(*ptr));
	if (choice.page == NULL ||
	    !scan_use_is_known(m->scan, choice.page->address))
		return;
	fmt_ptr_set(
	    ptr, choice.page->address, choice.page->birth, choice.page->gen);
	if (!bits_put(&m->scan->check->seen, choice.page->address, true))
		m->scan->check->error = -ENOMEM;
}

static void
leaf_count(struct fmt_leaf *leaf)
{
	static const struct fmt_ptr none;
	unsigned used = 0;

	for (unsigned c = 0; c < FMT_LEAF_CHUNKS; c++)
		used += le64_get(&leaf->entry[c].word) != 0 ||
			le32_get(&leaf->entry[c].birth) != 0;
	for (unsigned slot = 0; slot < FMT_LEAF_FINE; slot++)
		used += memcmp(&leaf->fine[slot], &none, sizeof(none)) != 0;
	le32_set(&leaf->page.used, used);
}

static void
leaf_fill(struct leaf_make *m, struct fmt_leaf *leaf)
{
	const struct scan_page *older = older_copy(m);

	memset(m->own.leaf, 0, FMT_BLOCK);
	m->own.there =
	    older != NULL && scan_read(m->scan, older, m->own.leaf) == 0;
	m->damage->older = m->own.there;
	if (!m->own.there)
		memset(m->own.leaf, 0, FMT_BLOCK);
	m->own.there = true; /* with nothing in it, maybe */
	for (unsigned slot = 0; slot < FMT_LEAF_FINE; slot++)
		if (m->unit < FMT_CHUNK_BLOCKS &&
		    slot * 27 * m->unit < FMT_LEAF_CHUNKS)
			fine_find(m, slot);
	for (unsigned c = 0; c < FMT_LEAF_CHUNKS && !m->bad; c++) {
		uint64_t chunk = m->index * FMT_LEAF_CHUNKS + c;
		if (chunk * FMT_CHUNK < m->damage->size &&
		    chunk >= m->damage->cursor)
			chunk_make(m, c, &leaf->entry[c]);
	}
	memcpy(leaf->fine, m->own.leaf->fine, sizeof(leaf->fine));
}

/* Fine pages that are new; the leaf names them. */
static int
fresh_write(struct leaf_make *m, struct fmt_leaf *leaf)
{
	int r = 0;

	for (unsigned slot = 0; slot < FMT_LEAF_FINE && r == 0; slot++) {
		struct scan_damage at = *m->damage;
		if (m->fresh[slot] == NULL)
			continue;
		at.type = FMT_PAGE_FINE;
		fmt_ptr_set(&at.ptr, m->fresh_address[slot],
		    le32_get(&m->damage->ptr.birth),
		    le32_get(&m->damage->ptr.gen));
		leaf->fine[slot] = at.ptr;
		scan_header(m->scan, &at, 0, m->index * FMT_LEAF_FINE + slot,
		    m->fresh[slot]);
		le32_set(&m->fresh[slot]->page.used, subs_used(m->fresh[slot]));
		r = scan_write(m->scan, &at, m->fresh[slot]);
	}
	return r;
}

static int
make_init(struct leaf_make *m, struct scan *scan, struct scan_damage *damage,
    uint64_t leaf)
{
	*m = (struct leaf_make){.scan = scan,
	    .damage = damage,
	    .version = scan_version(scan, damage),
	    .index = leaf};
	assert(m->version != NULL);
	return sides_init(m);
}

int
scan_leaf_make(struct scan *scan, struct scan_damage *damage)
{
	_Alignas(FMT_BLOCK) struct fmt_leaf leaf = {.page = {.type = 0}};
	struct leaf_make m;
	int r = make_init(&m, scan, damage, damage->index);

	if (r == 0)
		leaf_fill(&m, &leaf);
	damage->fate = m.bad ? SCAN_LEFT : SCAN_MADE;
	if (r == 0 && !m.bad)
		r = fresh_write(&m, &leaf);
	sides_done(&m);
	if (r < 0 || m.bad)
		return r;
	scan_header(scan, damage, 0, damage->index, &leaf);
	leaf_count(&leaf);
	return scan_write(scan, damage, &leaf);
}

/* Nothing says that what was a hole still is one.  What heirs share is not in
 * doubt, for it was not taken from an older copy. */
int
scan_leaf_poison(struct scan *scan, struct scan_damage *damage)
{
	_Alignas(FMT_BLOCK) struct fmt_leaf leaf;
	struct leaf_make m = {.scan = scan, .damage = damage};
	const struct check_version *version = scan_version(scan, damage);

	if (version == NULL ||
	    !scan_page_of(scan, version, 0, damage->index, &leaf))
		return scan_leave(scan, damage);
	for (unsigned c = 0; c < FMT_LEAF_CHUNKS; c++)
		if (damage->holes[c])
			entry_poison(&m, c, &leaf.entry[c]);
	leaf_count(&leaf);
	return scan_write(scan, damage, &leaf);
}

/* ---- a fine page ---- */

/* A sub-entry that has something. */
static void
sub_make(struct leaf_make *m, unsigned c, unsigned i, const struct fmt_sub *old,
    struct fmt_sub *sub)
{
	uint64_t address = old == NULL ? 0 : fmt_sub_address(old);
	uint32_t birth = old == NULL ? 0 : le32_get(&old->birth);
	const struct fmt_entry *ignored;
	struct scan_block block;
	bool ours = address != 0 && address != FMT_SUB_POISON;

	if (block_of_heir(m, c, i, &block, &ignored)) {
		sub_set(sub, block.address, block.birth);
		for (unsigned n = 0; n < m->unit; n++)
			block_take(m, block.address + n, block.birth);
		return;
	}
	for (unsigned n = 0; n < m->unit && ours; n++)
		ours = block_is_ours(m, c, i + n, address + n, birth);
	if (ours) {
		unsigned at = sub - m->fine_at->sub;
		sub_set(sub, address, birth);
		m->damage->older = true;
		if (birth <= m->epoch)
			m->damage->doubt[at / 8] |= (uint8_t)(1u << at % 8);
		for (unsigned n = 0; n < m->unit; n++)
			block_take(m, address + n, birth);
		return;
	}
	sub_set(sub, FMT_SUB_POISON, le32_get(&m->damage->ptr.birth));
	m->damage->lost[c] = 1;
}

/* The leaf above says which of the chunk's blocks are there. */
static void
fine_chunk_make(struct leaf_make *m, unsigned c, const struct fmt_fine *old,
    struct fmt_fine *fine)
{
	uint64_t word = le64_get(&m->own.leaf->entry[c].word);
	uint16_t all = (uint16_t)((1u << m->unit) - 1);
	unsigned n = c % (27 * m->unit) * (FMT_CHUNK_BLOCKS / m->unit);

	if (fmt_word_type(word) != FMT_FINE)
		return;
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i += m->unit, n++) {
		if ((fmt_word_mask(word) >> i & all) != 0)
			sub_make(m, c, i, old == NULL ? NULL : &old->sub[n],
			    &fine->sub[n]);
		else if (m->version->parent != NULL ||
			 m->version->bookmark_epoch != 0)
			sub_set(
			    &fine->sub[n], 0, le32_get(&m->damage->ptr.birth));
	}
}

static void
fine_fill(struct leaf_make *m, struct fmt_fine *fine)
{
	_Alignas(FMT_BLOCK) struct fmt_fine old;
	const struct scan_page *older = older_copy(m);
	unsigned slot = m->damage->index % FMT_LEAF_FINE;
	bool there = older != NULL && scan_read(m->scan, older, &old) == 0;

	m->fine_at = fine;
	for (unsigned c = slot * 27 * m->unit;
	     c < (slot + 1) * 27 * m->unit && c < FMT_LEAF_CHUNKS; c++)
		fine_chunk_make(m, c, there ? &old : NULL, fine);
	scan_header(m->scan, m->damage, 0, m->damage->index, fine);
	le32_set(&fine->page.used, subs_used(fine));
}

int
scan_fine_make(struct scan *scan, struct scan_damage *damage)
{
	_Alignas(FMT_BLOCK) struct fmt_fine fine = {.page = {.type = 0}};
	struct leaf_make m;
	int r = make_init(&m, scan, damage, damage->index / FMT_LEAF_FINE);

	m.bad |= !m.own.there;
	if (r == 0 && !m.bad)
		fine_fill(&m, &fine);
	damage->fate = m.bad ? SCAN_LEFT : SCAN_MADE;
	sides_done(&m);
	return r < 0 || m.bad ? r : scan_write(scan, damage, &fine);
}

/* What was the parent's may have been redirected. */
int
scan_fine_poison(struct scan *scan, struct scan_damage *damage)
{
	_Alignas(FMT_BLOCK) struct fmt_leaf leaf;
	_Alignas(FMT_BLOCK) struct fmt_fine fine;
	const struct check_version *version = scan_version(scan, damage);
	struct check_walk walk = {.check = scan->check,
	    .type = FMT_PAGE_FINE,
	    .family = damage->family};

	if (version == NULL ||
	    !scan_page_of(
		scan, version, 0, damage->index / FMT_LEAF_FINE, &leaf) ||
	    !walk_read_again(
		&walk, &damage->ptr, 0, damage->index, (uint8_t *)&fine))
		return scan_leave(scan, damage);
	for (unsigned n = 0; n < FMT_FINE_SUBS; n++)
		if (damage->doubt[n / 8] >> n % 8 & 1)
			sub_set(&fine.sub[n], FMT_SUB_POISON,
			    le32_get(&damage->ptr.birth));
	le32_set(&fine.page.used, subs_used(&fine));
	return scan_write(scan, damage, &fine);
}
