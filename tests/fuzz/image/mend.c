/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mending: an edit that left a sum wrong would be found at the first look, and
 * nothing behind it would be tried.  So the trees are walked as the engine
 * would read them, and each page gets its sum, and its parent what it must say
 * of it.
 */
#include "base/crc32c.h"
#include "tests/fuzz/image/image.h"
#include <string.h>

static struct {
	struct fmt_region region[REGIONS_MAX]; /* the table as it is now */
	bool identity, recording;
	uint8_t *mended[WHERE_MAX];
	unsigned mended_count;
	const struct fmt_super *super;
} m;

static void
where_add(enum kind kind, struct where where)
{
	struct image *image = f.now;

	if (m.recording && image->count[kind] < WHERE_MAX)
		image->where[kind][image->count[kind]++] = where;
}

static bool
locate(uint64_t address, struct where *ret_where)
{
	uint64_t per = le32_get(&m.super->region_blocks);
	const struct fmt_region *region;

	if (per == 0 || address / per >= REGIONS_MAX)
		return false;
	region = &m.region[address / per];
	*ret_where = (struct where){
	    .disk = (uint8_t)(le16_get(&region->device) % f.now->disks),
	    .block = (uint32_t)(FMT_DEVICE_HEAD / FMT_BLOCK +
				le32_get(&region->device_region) * per +
				address % per),
	    .address = address,
	};
	return ret_where->block < DISK_BLOCKS;
}

static bool
locate_physical(uint64_t address, struct where *ret_where)
{
	*ret_where = (struct where){
	    .disk = (uint8_t)((address >> FMT_DEVICE_SHIFT) % f.now->disks),
	    .block = (uint32_t)(address & ((1ull << FMT_DEVICE_SHIFT) - 1)),
	    .address = address,
	};
	return ret_where->block < DISK_BLOCKS;
}

struct place {
	uint8_t type, level;
	uint64_t family, index;
};

static void mend_tree(struct fmt_ptr *ptr, struct place place);

static void
mend_children(uint8_t *page, const struct place *place)
{
	struct fmt_leaf *leaf = (void *)page;
	struct fmt_inner *inner = (void *)page;
	struct fmt_version_page *versions = (void *)page;
	struct place child = *place;

	if (place->level > 0) {
		child.level--;
		for (unsigned i = 0; i < FMT_FANOUT; i++) {
			child.index = place->index * FMT_FANOUT + i;
			mend_tree(&inner->ptr[i], child);
		}
	} else if (place->type == FMT_PAGE_MAP) {
		child.type = FMT_PAGE_FINE;
		for (unsigned i = 0; i < FMT_LEAF_FINE; i++) {
			child.index = place->index * FMT_LEAF_FINE + i;
			mend_tree(&leaf->fine[i], child);
		}
	} else if (place->type == FMT_PAGE_VERSIONS) {
		for (unsigned i = 0; i < FMT_PAGE_VERSIONS_COUNT; i++) {
			struct fmt_version *v = &versions->version[i];
			child = (struct place){.type = FMT_PAGE_MAP,
			    .level =
				(uint8_t)((v->levels - 1u) % FMT_LEVELS_MAX),
			    .family = le64_get(&v->family)};
			mend_tree(&v->root, child);
		}
	}
}

static void
mend_header(struct fmt_page *page, const struct place *place)
{
	le32_set(&page->magic, FMT_PAGE_MAGIC);
	page->type = place->type;
	page->level = place->level;
	le64_set(&page->family, place->family);
	le64_set(&page->index, place->index);
	le64_set(&page->pool, fmt_pool_tag(m.super->uuid));
}

/* Is it the first visit?  A page may be linked in several places. */
static bool
mend_enter(uint8_t *page)
{
	for (unsigned i = 0; i < m.mended_count; i++)
		if (m.mended[i] == page)
			return false;
	if (m.mended_count == WHERE_MAX)
		return false;
	m.mended[m.mended_count++] = page;
	return true;
}

static void
regions_know(const struct fmt_region_page *page, uint64_t index)
{
	uint64_t first = index * FMT_PAGE_REGIONS_COUNT;

	for (unsigned i = 0; i < FMT_PAGE_REGIONS_COUNT; i++)
		if (first + i < REGIONS_MAX)
			m.region[first + i] = page->region[i];
}

static enum kind
kind_of(const struct place *place)
{
	if (place->level > 0)
		return KIND_INNER;
	return place->type == FMT_PAGE_REGIONS    ? KIND_REGIONS
	       : place->type == FMT_PAGE_VERSIONS ? KIND_VERSIONS
	       : place->type == FMT_PAGE_BITMAP   ? KIND_BITMAP
						  : KIND_LEAF;
}

static void
mend_tree(struct fmt_ptr *ptr, struct place place)
{
	bool raw = place.type == FMT_PAGE_BITMAP && place.level == 0;
	uint64_t address = fmt_ptr_address(ptr);
	struct where where = {0};
	uint8_t *page;

	if (address == 0 ||
	    !(place.type == FMT_PAGE_REGIONS ? locate_physical : locate)(
		address, &where))
		return;
	page = block_edit(f.now->disk[where.disk], where.block);
	if (page == NULL)
		return;
	if (mend_enter(page) && !raw) {
		if (m.identity)
			mend_header((void *)page, &place);
		where_add(KIND_PAGE, where);
		where_add(kind_of(&place), where);
		if (place.type == FMT_PAGE_REGIONS && place.level == 0)
			regions_know((void *)page, place.index);
		mend_children(page, &place);
		fmt_page_seal(page);
	} else if (raw) {
		where_add(KIND_BITMAP, where);
	}
	if (!m.identity)
		return;
	if (raw) {
		le32_set(&ptr->gen, crc32c(page, FMT_BLOCK));
		return;
	}
	ptr->gen = ((struct fmt_page *)(void *)page)->gen;
	/* else the place of the second copy stands there */
	if (place.type != FMT_PAGE_REGIONS || fmt_ptr_mirror(ptr) == 0)
		ptr->birth = ((struct fmt_page *)(void *)page)->birth;
}

static void
mend_root(struct fmt_root *root, uint8_t type)
{
	struct place place = {.type = type,
	    .level = (uint8_t)((root->levels - 1u) % FMT_LEVELS_MAX)};

	mend_tree(&root->ptr, place);
}

/* The sum of a log block, over the blocks of the disk that it lies in. */
static void
mend_log_sum(struct fmt_log_block *head, uint64_t address, uint64_t blocks)
{
	uint32_t crc =
	    crc32c_add(CRC32C_SEED, (uint8_t *)head + 4, FMT_BLOCK - 4);
	struct where where = {0};

	for (uint64_t i = 1; i < blocks; i++)
		if (locate(address + i, &where))
			crc = crc32c_add(crc,
			    block_read(f.now->disk[where.disk], where.block),
			    FMT_BLOCK);
	le32_set(&head->crc, crc32c_end(crc));
}

static void
mend_log(const struct fmt_super *super)
{
	uint64_t at = le64_get(&super->log_tail), start, ring;
	uint64_t seq = le64_get(&super->log_seq);
	uint32_t prev = le32_get(&super->log_prev_crc);

	start = le64_get(&super->log_start);
	ring = le64_get(&super->log_blocks);
	for (unsigned n = 0; n < 16 && at < ring; n++) {
		struct fmt_log_block *head = NULL;
		struct where where = {0};
		uint64_t blocks;
		if (locate(start + at, &where))
			head = (void *)block_edit(
			    f.now->disk[where.disk], where.block);
		if (head == NULL || le32_get(&head->magic) != FMT_LOG_MAGIC)
			return;
		where_add(KIND_LOG, where);
		blocks = le32_get(&head->length) / FMT_BLOCK;
		if (blocks == 0 || blocks > 256)
			blocks = 1;
		if (m.identity) {
			le64_set(&head->seq, seq++);
			le32_set(&head->prev_crc, prev);
			head->incarnation = super->log_incarnation;
			memcpy(head->pool_uuid, super->uuid, 16);
		}
		mend_log_sum(head, start + at, blocks);
		prev = le32_get(&head->crc);
		at = (at + blocks) % ring;
	}
}

struct fmt_super *
super_at(unsigned disk, unsigned slot)
{
	return (void *)block_edit(
	    f.now->disk[disk], fmt_super_offset(slot) / FMT_BLOCK);
}

/* The superblock that an engine would take. */
static struct fmt_super *
super_newest(struct where *ret_where)
{
	struct fmt_super *best = NULL;

	for (unsigned d = 0; d < f.now->disks; d++)
		for (unsigned n = 0; n < FMT_SUPER_SLOTS; n++) {
			struct fmt_super *super = super_at(d, n);
			if (super == NULL ||
			    le32_get(&super->magic) != FMT_SUPER_MAGIC ||
			    (best != NULL &&
				le64_get(&super->gen) <= le64_get(&best->gen)))
				continue;
			best = super;
			*ret_where = (struct where){.disk = (uint8_t)d,
			    .block =
				(uint32_t)(fmt_super_offset(n) / FMT_BLOCK)};
		}
	return best;
}

static void
mend_labels(void)
{
	for (unsigned d = 0; d < f.now->disks; d++)
		for (unsigned n = 0; n < FMT_LABELS; n++) {
			struct disk *disk = f.now->disk[d];
			struct where where = {.disk = (uint8_t)d,
			    .block = (uint32_t)(fmt_label_offset(
						    n, disk->base_size) /
						FMT_BLOCK)};
			struct fmt_label *label =
			    (void *)block_edit(disk, where.block);
			if (label == NULL)
				continue;
			where_add(KIND_LABEL, where);
			fmt_label_seal(label);
		}
}

void
mend(bool identity)
{
	struct where where = {0};
	struct fmt_super *super = super_newest(&where);

	m.identity = identity;
	m.mended_count = 0;
	mend_labels();
	if (super == NULL)
		return;
	where_add(KIND_SUPER, where);
	m.super = super;
	mend_root(&super->regions, FMT_PAGE_REGIONS);
	mend_root(&super->versions, FMT_PAGE_VERSIONS);
	mend_root(&super->bitmap, FMT_PAGE_BITMAP);
	mend_log(super);
	for (unsigned d = 0; d < f.now->disks; d++)
		for (unsigned n = 0; n < FMT_SUPER_SLOTS; n++) {
			struct fmt_super *each = super_at(d, n);
			if (each == NULL)
				continue;
			if (each != super)
				where_add(KIND_SUPER,
				    (struct where){(uint8_t)d,
					(uint32_t)(fmt_super_offset(n) /
						   FMT_BLOCK),
					0});
			fmt_super_seal(each);
		}
}

/* ---- what can be edited ---- */

static void
region_where(uint64_t region, uint64_t block, enum kind kind)
{
	struct where where = {0};

	if (locate(region * le32_get(&m.super->region_blocks) + block, &where))
		where_add(kind, where);
}

/* Free blocks at the end of each META region, chunks at the start of DATA. */
static void
record_regions(void)
{
	uint64_t per = le32_get(&m.super->region_blocks);

	for (uint64_t r = 0; r < le64_get(&m.super->region_count); r++)
		for (unsigned i = 0; i < 8; i++) {
			if (m.region[r].class == FMT_REGION_META)
				region_where(r, per - 8 + i, KIND_SPARE);
			if (m.region[r].class == FMT_REGION_DATA)
				region_where(
				    r, i * FMT_CHUNK_BLOCKS, KIND_DATA);
		}
}

/* Before anything is mended: both copies are as the engine wrote them. */
static void
record_copies(void)
{
	struct where where = {0};
	struct fmt_super *super = super_newest(&where);

	m.super = super;
	m.identity = false;
	m.mended_count = 0;
	mend_root(&super->regions, FMT_PAGE_REGIONS);
	f.now->region_blocks = le32_get(&super->region_blocks);
	copies_record(m.region, le64_get(&super->region_count));
}

void
mend_record(void)
{
	record_copies();
	m.recording = true;
	mend(true);
	record_regions();
	m.recording = false;
}
