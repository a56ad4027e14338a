/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/snapshot/support/image.h"
#include <stdio.h>
#include <string.h>

unsigned
image_page(struct image *image, enum fmt_page_type type, unsigned level,
    uint64_t index, uint32_t birth)
{
	unsigned n = image->pages++;

	assert(n < IMAGE_PAGES);
	image_page_init(image, n, (uint8_t)type, (uint8_t)level);
	le64_set(&image->page[n].header.index, index);
	le32_set(&image->page[n].header.birth, birth);
	image_bits(image, IMAGE_META + n, 1, true);
	return n;
}

struct fmt_version *
image_version_add(struct image *image, unsigned slot,
    enum fmt_version_state state, uint64_t parent, uint32_t epoch,
    const char *name)
{
	struct fmt_version *version = image_version(image, slot);

	*version = *image_version(image, 0);
	version->root = (struct fmt_ptr){0};
	image_unlink(image, &version->root);
	le64_set(&version->id, slot + 1);
	le64_set(&version->parent, parent);
	le64_set(
	    &version->origin, state == FMT_VERSION_HEAD ? 0 : IMAGE_VOLUME);
	le32_set(&version->epoch, epoch);
	version->state = (uint8_t)state;
	version->uuid[0] = (uint8_t)(slot + 1);
	memset(version->name, 0, sizeof(version->name));
	snprintf(version->name, sizeof(version->name), "%s", name);
	if (le64_get(&image->super[0].next_version) < slot + 2)
		le64_set(&image->super[0].next_version, slot + 2);
	return version;
}

unsigned
image_map(struct image *image, unsigned slot, uint32_t birth)
{
	struct fmt_ptr *from = &image_version(image, slot)->root;
	unsigned page = 0;

	for (unsigned level = FMT_MAP_LEVELS_MIN; level-- > 0;) {
		page = image_page(image, FMT_PAGE_MAP, level, 0, birth);
		image_link(image, from, page);
		from = &image->page[page].inner.ptr[0];
	}
	return page;
}

unsigned
image_leaf(struct image *image, unsigned beside, unsigned index, uint32_t birth)
{
	unsigned leaf = image_page(image, FMT_PAGE_MAP, 0, index, birth);

	/* image_map() makes the page above a leaf right before it */
	image_link(image, &image->page[beside - 1].inner.ptr[index], leaf);
	return leaf;
}

void
image_share_map(struct image *image, unsigned slot, unsigned from)
{
	image_link(image, &image_version(image, slot)->root,
	    image_link_page(image, &image_version(image, from)->root));
}

void
image_coarse(struct image *image, unsigned leaf, unsigned chunk,
    uint64_t address, uint16_t mask, uint32_t birth)
{
	struct fmt_entry *entry = &image->page[leaf].leaf.entry[chunk];

	le64_set(&entry->word, fmt_entry_word(FMT_COARSE, address, mask));
	le32_set(&entry->birth, birth);
	image_bits(image, address, FMT_CHUNK_BLOCKS, true);
}

void
image_hole(struct image *image, unsigned leaf, unsigned chunk, uint32_t birth)
{
	struct fmt_entry *entry = &image->page[leaf].leaf.entry[chunk];

	le64_set(&entry->word, 0);
	le32_set(&entry->birth, birth);
}

static unsigned
fine_slot(unsigned chunk, unsigned cow_shift)
{
	return chunk / (27u << (cow_shift - FMT_BLOCK_SHIFT));
}

unsigned
image_fine(struct image *image, unsigned leaf, unsigned chunk,
    unsigned cow_shift, uint32_t birth)
{
	struct fmt_entry *entry = &image->page[leaf].leaf.entry[chunk];
	unsigned slot = fine_slot(chunk, cow_shift);
	struct fmt_ptr *from = &image->page[leaf].leaf.fine[slot];
	unsigned page = image_link_page(image, from);

	le64_set(&entry->word, fmt_entry_word(FMT_FINE, 0, 0));
	le32_set(&entry->birth, birth);
	if (page == 0) {
		page = image_page(image, FMT_PAGE_FINE, 0,
		    le64_get(&image->page[leaf].header.index) * FMT_LEAF_FINE +
			slot,
		    birth);
		image_link(image, from, page);
	}
	return page;
}

void
image_sub(struct image *image, unsigned leaf, unsigned chunk,
    unsigned cow_shift, unsigned n, uint64_t address, uint32_t birth)
{
	struct fmt_entry *entry = &image->page[leaf].leaf.entry[chunk];
	unsigned unit = 1u << (cow_shift - FMT_BLOCK_SHIFT);
	unsigned subs = FMT_CHUNK_BLOCKS / unit, per = 27 * unit;
	unsigned page = image_link_page(
	    image, &image->page[leaf].leaf.fine[fine_slot(chunk, cow_shift)]);
	struct fmt_sub *sub =
	    &image->page[page].fine.sub[chunk % per * subs + n];
	uint16_t mask = fmt_word_mask(le64_get(&entry->word));
	uint16_t bits = (uint16_t)(((1u << unit) - 1) << n * unit);

	store_le32(sub->address, (uint32_t)address);
	sub->address[4] = (uint8_t)(address >> 32);
	le32_set(&sub->birth, birth);
	mask = address != 0 ? mask | bits : mask & (uint16_t)~bits;
	le64_set(&entry->word, fmt_entry_word(FMT_FINE, 0, mask));
	if (address != 0 && address != FMT_SUB_POISON)
		image_bits(image, address, unit, true);
}

/* The only page of a table, made when it is first asked for. */
static unsigned
table_page(struct image *image, struct fmt_root *root, enum fmt_page_type type,
    unsigned slots)
{
	if (root->levels == 0) {
		root->levels = 1;
		le64_set(&root->count, slots);
		image_link(image, &root->ptr, image_page(image, type, 0, 0, 1));
	}
	return image_link_page(image, &root->ptr);
}

struct fmt_bookmark *
image_bookmark(
    struct image *image, uint64_t volume, uint32_t epoch, const char *name)
{
	unsigned page = table_page(image, &image->super[0].bookmarks,
	    FMT_PAGE_BOOKMARKS, FMT_PAGE_BOOKMARKS_COUNT);
	struct fmt_bookmark *bookmark = image->page[page].bookmarks.bookmark;

	while (le64_get(&bookmark->volume) != 0)
		bookmark++;
	le64_set(&bookmark->volume, volume);
	le32_set(&bookmark->epoch, epoch);
	snprintf(bookmark->name, sizeof(bookmark->name), "%s", name);
	return bookmark;
}

struct fmt_group *
image_group(struct image *image, uint64_t id)
{
	unsigned page = table_page(image, &image->super[0].groups,
	    FMT_PAGE_GROUPS, FMT_PAGE_GROUPS_COUNT);
	struct fmt_group *group = image->page[page].groups.group;

	while (le64_get(&group->id) != 0)
		group++;
	le64_set(&group->id, id);
	if (le64_get(&image->super[0].next_group) <= id)
		le64_set(&image->super[0].next_group, id + 1);
	return group;
}

void
image_lost(
    struct image *image, unsigned slot, const uint32_t (*pair)[2], unsigned n)
{
	const struct fmt_version *version = image_version(image, slot);
	unsigned page = table_page(
	    image, &image->super[0].lost, FMT_PAGE_LOST, FMT_PAGE_LOST_COUNT);
	struct fmt_lost *row = image->page[page].lost.lost;

	while (le32_get(&row->account) != 0)
		row++;
	for (unsigned i = 0; i < n; i++, row++) {
		le32_set(&row->account, (uint32_t)le64_get(&version->id));
		le32_set(&row->birth, pair[i][0]);
		le64_set(&row->blocks, pair[i][1]);
	}
}
