/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/snapshot/support/image.h"
#include "backstores/testing.h"
#include "base/crc32c.h"
#include "base/simloop.h"
#include "tests/waited.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATENCY_NS 1000

static const uint8_t pool_uuid[16] = "pool of a test!";
static const uint8_t device_uuid[16] = "its only device";

/* ---- links ---- */

static size_t
offset_of(const struct image *image, const void *from)
{
	return (size_t)((const uint8_t *)from - (const uint8_t *)image);
}

static struct fmt_ptr *
link_from(struct image *image, const struct image_link *link)
{
	return (struct fmt_ptr *)((uint8_t *)image + link->from);
}

void
image_unlink(struct image *image, struct fmt_ptr *from)
{
	for (unsigned i = 0; i < image->links; i++)
		if (image->link[i].from == offset_of(image, from))
			image->link[i--] = image->link[--image->links];
	*from = (struct fmt_ptr){0};
}

void
image_link(struct image *image, struct fmt_ptr *from, unsigned page)
{
	image_unlink(image, from);
	assert(image->links < IMAGE_LINKS);
	image->link[image->links++] =
	    (struct image_link){offset_of(image, from), page};
}

/* The page that it shall name; 0: none (that is the region table). */
unsigned
image_link_page(const struct image *image, const struct fmt_ptr *from)
{
	for (unsigned i = 0; i < image->links; i++)
		if (image->link[i].from == offset_of(image, from))
			return image->link[i].page;
	return 0;
}

struct fmt_version *
image_version(struct image *image, unsigned slot)
{
	return &image->page[PAGE_VERSIONS].versions.version[slot];
}

/* ---- pages ---- */

void
image_page_init(struct image *image, unsigned n, uint8_t type, uint8_t level)
{
	struct fmt_page *page = &image->page[n].header;

	le32_set(&page->magic, FMT_PAGE_MAGIC);
	page->type = type;
	page->level = level;
	le32_set(&page->gen, IMAGE_GEN);
	le32_set(&page->birth, 1);
	le64_set(&page->pool, fmt_pool_tag(pool_uuid));
	if (type == FMT_PAGE_MAP || type == FMT_PAGE_FINE) {
		le64_set(&page->family, IMAGE_VOLUME);
		le64_set(&page->version, IMAGE_VOLUME);
	}
}

static void
regions_fill(struct image *image)
{
	image_page_init(image, PAGE_REGIONS, FMT_PAGE_REGIONS, 0);
	for (unsigned r = 0; r < IMAGE_REGIONS; r++) {
		struct fmt_region *region =
		    &image->page[PAGE_REGIONS].regions.region[r];
		region->class = r < IMAGE_LOG_REGIONS    ? FMT_REGION_LOG
				: r == IMAGE_META_REGION ? FMT_REGION_META
				: r == IMAGE_DATA_REGION ? FMT_REGION_DATA
							 : FMT_REGION_FREE;
		le16_set(&region->mirror_device, FMT_NO_DEVICE);
		le32_set(&region->device_region, r);
	}
}

static void
version_fill(struct image *image)
{
	struct fmt_version *version =
	    &image->page[PAGE_VERSIONS].versions.version[0];

	image_page_init(image, PAGE_VERSIONS, FMT_PAGE_VERSIONS, 0);
	le64_set(&version->id, IMAGE_VOLUME);
	le64_set(&version->family, IMAGE_VOLUME);
	version->state = FMT_VERSION_HEAD;
	version->block_shift = 9;
	version->cow_shift = 12;
	version->levels = FMT_MAP_LEVELS_MIN;
	le64_set(&version->size, 1 << 20);
	version->uuid[0] = 1;
	snprintf(version->name, sizeof(version->name), "disk");
}

static void
map_fill(struct image *image)
{
	image_page_init(image, PAGE_MAP_3, FMT_PAGE_MAP, 3);
	image_page_init(image, PAGE_MAP_2, FMT_PAGE_MAP, 2);
	image_page_init(image, PAGE_MAP_1, FMT_PAGE_MAP, 1);
	image_page_init(image, PAGE_LEAF, FMT_PAGE_MAP, 0);
	image_link(image, &image->page[PAGE_MAP_1].inner.ptr[0], PAGE_LEAF);
	image_link(image, &image->page[PAGE_MAP_2].inner.ptr[0], PAGE_MAP_1);
	image_link(image, &image->page[PAGE_MAP_3].inner.ptr[0], PAGE_MAP_2);
	image_link(image, &image_version(image, 0)->root, PAGE_MAP_3);
	image_link(image, &image->super[0].versions.ptr, PAGE_VERSIONS);
	image_coarse(image, PAGE_LEAF, 0, IMAGE_DATA, 0xffff, 1);
	image_coarse(image, PAGE_LEAF, 5, IMAGE_DATA + FMT_CHUNK_BLOCKS, 3, 1);
}

static void
log_fill(struct image *image)
{
	struct fmt_log_block *head = &image->log.head;

	le32_set(&head->magic, FMT_LOG_MAGIC);
	le32_set(&head->length, FMT_BLOCK);
	le64_set(&head->seq, 40);
	le64_set(&head->incarnation, 2);
	le64_set(&head->first_lsn, 100);
	memcpy(head->pool_uuid, pool_uuid, sizeof(head->pool_uuid));
	image_record(
	    image, FMT_MAP_COARSE, 7, IMAGE_DATA + 2 * FMT_CHUNK_BLOCKS, 1);
}

static void
super_fill(struct fmt_super *super)
{
	le32_set(&super->magic, FMT_SUPER_MAGIC);
	le32_set(&super->version, FMT_VERSION);
	memcpy(super->uuid, pool_uuid, sizeof(super->uuid));
	le64_set(&super->gen, IMAGE_GEN);
	snprintf(super->name, sizeof(super->name), "test");
	le32_set(&super->region_blocks, IMAGE_REGION_BLOCKS);
	le32_set(&super->device_count, 1);
	le64_set(&super->region_count, IMAGE_REGIONS);
	le32_set(&super->epoch, IMAGE_EPOCH);
	le64_set(&super->next_version, IMAGE_VOLUME + 1);
	le64_set(&super->checkpoint_lsn, 100);
	le64_set(&super->log_blocks, IMAGE_LOG_REGIONS * IMAGE_REGION_BLOCKS);
	le64_set(&super->log_seq, 40);
	le64_set(&super->log_incarnation, 2);
	super->regions.levels = super->versions.levels = super->bitmap.levels =
	    1;
	le64_set(&super->regions.count, IMAGE_REGIONS);
	le64_set(&super->versions.count, FMT_PAGE_VERSIONS_COUNT);
	le64_set(&super->bitmap.count, IMAGE_REGIONS * IMAGE_REGION_BLOCKS);
	memcpy(super->device[0].uuid, device_uuid, 16);
	le64_set(&super->device[0].size, IMAGE_BYTES);
	le64_set(&super->device[0].regions, IMAGE_REGIONS);
}

static void
labels_fill(struct image *image)
{
	for (unsigned i = 0; i < FMT_LABELS; i++) {
		struct fmt_label *label = &image->label[i];
		le32_set(&label->magic, FMT_LABEL_MAGIC);
		le32_set(&label->version, FMT_VERSION);
		memcpy(label->pool_uuid, pool_uuid, 16);
		memcpy(label->device_uuid, device_uuid, 16);
		le64_set(&label->size, IMAGE_BYTES);
		le64_set(&label->gen, 1);
		snprintf(label->pool_name, sizeof(label->pool_name), "test");
	}
}

/* ---- changing ---- */

void
image_bits(struct image *image, uint64_t address, unsigned run, bool value)
{
	uint8_t *bitmap = image->page[PAGE_BITMAP].bitmap;

	for (; run > 0; run--, address++) {
		bitmap[address / 8] &= (uint8_t) ~(1u << address % 8);
		bitmap[address / 8] |=
		    (uint8_t)((unsigned)value << address % 8);
	}
}

void
image_record(struct image *image, enum fmt_record_type type, uint64_t a,
    uint64_t b, uint16_t mask)
{
	uint32_t n = le32_get(&image->log.head.count);
	struct fmt_record *record = &image->log.record[n];

	record->type = (uint8_t)type;
	le16_set(&record->mask, mask);
	le32_set(&record->volume, IMAGE_VOLUME);
	le64_set(&record->a, a);
	le64_set(&record->b, b);
	le32_set(&image->log.head.count, n + 1);
}

static bool
bit_get(const struct image *image, uint64_t address)
{
	return image->page[PAGE_BITMAP].bitmap[address / 8] >> address % 8 & 1;
}

static unsigned
bits_count(const struct image *image, uint64_t address, unsigned run)
{
	unsigned count = 0;

	while (run-- > 0)
		count += bit_get(image, address++);
	return count;
}

static void
region_count(struct image *image, unsigned r)
{
	struct fmt_region *region =
	    &image->page[PAGE_REGIONS].regions.region[r];
	uint64_t start = r * IMAGE_REGION_BLOCKS;
	unsigned chunks = 0;

	for (unsigned c = 0; c < IMAGE_REGION_BLOCKS; c += FMT_CHUNK_BLOCKS)
		chunks += bits_count(image, start + c, FMT_CHUNK_BLOCKS) == 0;
	if (region->class == FMT_REGION_LOG)
		return;
	le32_set(&region->free_chunks, chunks);
	le32_set(&region->free_blocks,
	    IMAGE_REGION_BLOCKS -
		bits_count(image, start, IMAGE_REGION_BLOCKS));
}

struct counted {
	uint64_t live, held;
};

static void
count_fine(const struct image *image, const struct fmt_leaf *leaf, unsigned c,
    unsigned unit, struct counted *counted)
{
	unsigned per = 27 * unit, subs = FMT_CHUNK_BLOCKS / unit;
	const struct fmt_fine *fine =
	    &image->page[image_link_page(image, &leaf->fine[c / per])].fine;

	for (unsigned i = 0; i < subs; i++) {
		if (fmt_sub_address(&fine->sub[c % per * subs + i]) == 0)
			continue;
		counted->live += unit;
		counted->held += unit;
	}
}

static void
count_leaf(const struct image *image, const struct fmt_leaf *leaf,
    unsigned unit, struct counted *counted)
{
	for (unsigned c = 0; c < FMT_LEAF_CHUNKS; c++) {
		uint64_t word = le64_get(&leaf->entry[c].word);
		if (fmt_word_type(word) == FMT_FINE && unit < FMT_CHUNK_BLOCKS)
			count_fine(image, leaf, c, unit, counted);
		if (fmt_word_type(word) != FMT_COARSE)
			continue;
		counted->held += FMT_CHUNK_BLOCKS;
		counted->live +=
		    (unsigned)__builtin_popcount(fmt_word_mask(word));
	}
}

static void
count_map(const struct image *image, unsigned page, unsigned unit,
    struct counted *counted)
{
	if (image->page[page].header.level == 0) {
		count_leaf(image, &image->page[page].leaf, unit, counted);
		return;
	}
	for (unsigned i = 0; i < FMT_FANOUT; i++) {
		unsigned below =
		    image_link_page(image, &image->page[page].inner.ptr[i]);
		if (below != 0)
			count_map(image, below, unit, counted);
	}
}

static void
versions_count(struct image *image)
{
	for (unsigned slot = 0; slot < FMT_PAGE_VERSIONS_COUNT; slot++) {
		struct fmt_version *version = image_version(image, slot);
		unsigned root = image_link_page(image, &version->root);
		struct counted counted = {0, 0};

		if (root != 0 && version->cow_shift >= FMT_BLOCK_SHIFT)
			count_map(image, root,
			    1u << (version->cow_shift - FMT_BLOCK_SHIFT),
			    &counted);
		le64_set(&version->live_blocks, counted.live);
		le64_set(&version->held_blocks, counted.held);
	}
}

static uint32_t
count_used(const uint8_t *entries, size_t entry, unsigned count)
{
	static const uint8_t nothing[sizeof(struct fmt_version)];
	uint32_t used = 0;

	for (unsigned i = 0; i < count; i++)
		used += memcmp(entries + i * entry, nothing, entry) != 0;
	return used;
}

#define USED(array)                                                            \
	count_used((const uint8_t *)(array), sizeof((array)[0]),               \
	    sizeof(array) / sizeof((array)[0]))

static void
fine_count(struct fmt_fine *fine)
{
	le32_set(&fine->page.used, USED(fine->sub));
}

static void
pages_count(struct image *image)
{
	for (unsigned n = 0; n < image->pages; n++) {
		struct fmt_page *header = &image->page[n].header;
		struct fmt_inner *inner = &image->page[n].inner;
		struct fmt_leaf *leaf = &image->page[n].leaf;

		if (n == PAGE_BITMAP)
			continue;
		if (header->type == FMT_PAGE_FINE)
			fine_count(&image->page[n].fine);
		else if (header->type == FMT_PAGE_MAP && header->level > 0)
			le32_set(&header->used, USED(inner->ptr));
		else if (header->type == FMT_PAGE_MAP)
			le32_set(&header->used,
			    USED(leaf->fine) + USED(leaf->entry));
		else if (header->type == FMT_PAGE_VERSIONS)
			le32_set(&header->used,
			    USED(image->page[n].versions.version));
		else if (header->type == FMT_PAGE_REGIONS)
			le32_set(
			    &header->used, USED(image->page[n].regions.region));
		else if (header->type == FMT_PAGE_LOST)
			le32_set(&header->used, USED(image->page[n].lost.lost));
		else if (header->type == FMT_PAGE_BOOKMARKS)
			le32_set(&header->used,
			    USED(image->page[n].bookmarks.bookmark));
		else if (header->type == FMT_PAGE_GROUPS)
			le32_set(
			    &header->used, USED(image->page[n].groups.group));
	}
}

static void links_seal(struct image *image);

void
image_count(struct image *image)
{
	uint64_t data = 0, meta = 0;

	links_seal(image); /* pointers count */

	for (unsigned r = 0; r < IMAGE_REGIONS; r++) {
		unsigned used = bits_count(
		    image, r * IMAGE_REGION_BLOCKS, IMAGE_REGION_BLOCKS);
		region_count(image, r);
		if (r == IMAGE_META_REGION)
			meta += used;
		else
			data += used;
	}
	versions_count(image);
	pages_count(image);
	le64_set(&image->super[0].data_blocks, data);
	le64_set(&image->super[0].meta_blocks, meta);
}

void
image_no_log(struct image *image)
{
	le64_set(&image->super[0].checkpoint_lsn, 100 + IMAGE_RECORDS);
}

/* ---- sums and pointers, from the leaves up ---- */

static void
ptr_seal(struct image *image, struct fmt_ptr *ptr, unsigned page)
{
	struct fmt_page *header = &image->page[page].header;

	fmt_page_seal(header);
	fmt_ptr_set(ptr, IMAGE_META + page, le32_get(&header->birth),
	    le32_get(&header->gen));
}

/* Before the page that names it. */
static unsigned
page_rank(const struct fmt_page *header)
{
	if (header->type == FMT_PAGE_FINE)
		return 0;
	return header->type == FMT_PAGE_MAP    ? 1u + header->level
	       : header->type == FMT_PAGE_LOST ? 8
					       : 9;
}

static void
links_seal(struct image *image)
{
	for (unsigned rank = 0; rank < 256; rank++)
		for (unsigned i = 0; i < image->links; i++) {
			unsigned page = image->link[i].page;
			if (page_rank(&image->page[page].header) == rank)
				ptr_seal(image,
				    link_from(image, &image->link[i]), page);
		}
}

void
image_seal(struct image *image)
{
	struct fmt_super *super = &image->super[0];

	links_seal(image);
	ptr_seal(image, &super->regions.ptr, PAGE_REGIONS);
	le64_set(&super->regions.ptr.word,
	    fmt_device_address(0, image_page_offset(PAGE_REGIONS)));
	fmt_ptr_set(&super->bitmap.ptr, IMAGE_META + PAGE_BITMAP, IMAGE_GEN,
	    crc32c(image->page[PAGE_BITMAP].bitmap, FMT_BLOCK));
	fmt_log_seal(&image->log.head);
	fmt_super_seal(super);
	image->super[1] = *super;
	le64_set(&image->super[1].gen, IMAGE_GEN - 1);
	fmt_super_seal(&image->super[1]);
	for (unsigned i = 0; i < FMT_LABELS; i++)
		fmt_label_seal(&image->label[i]);
}

/* ---- the device ---- */

uint64_t
image_page_offset(unsigned page)
{
	return FMT_DEVICE_HEAD + (uint64_t)(IMAGE_META + page) * FMT_BLOCK;
}

void
image_write(struct image *image)
{
	for (unsigned i = 0; i < FMT_LABELS; i++)
		bs_powercut_poke(image->bs, fmt_label_offset(i, IMAGE_BYTES),
		    &image->label[i], sizeof(image->label[i]));
	for (unsigned i = 0; i < FMT_SUPER_SLOTS; i++)
		bs_powercut_poke(image->bs, fmt_super_offset(i),
		    &image->super[i], sizeof(image->super[i]));
	for (unsigned i = 0; i < image->pages; i++)
		bs_powercut_poke(image->bs, image_page_offset(i),
		    &image->page[i], FMT_BLOCK);
	bs_powercut_poke(
	    image->bs, FMT_DEVICE_HEAD, &image->log, sizeof(image->log));
}

struct image *
image_new(void)
{
	struct image *image = calloc(1, sizeof(*image));
	struct bs_powercut_params params = {.size = IMAGE_BYTES,
	    .block_size = FMT_BLOCK,
	    .latency_max_ns = LATENCY_NS};

	if (image == NULL || simloop_new(1, 1 << 20, &image->loop) < 0 ||
	    bs_powercut_new(image->loop, &params, &image->bs) < 0)
		abort();
	image->pages = PAGE_COUNT;
	regions_fill(image);
	version_fill(image);
	map_fill(image);
	image_bits(image, IMAGE_META, PAGE_COUNT, true);
	log_fill(image);
	super_fill(&image->super[0]);
	labels_fill(image);
	image_finish(image);
	return image;
}

void
image_free(struct image *image)
{
	bool done = false;

	bs_close(image->bs, waited_closed, &done);
	simloop_run_until(image->loop, &done);
	simloop_free(image->loop);
	free(image);
}

void
image_finish(struct image *image)
{
	image_count(image);
	image_seal(image);
	image_write(image);
}

/* ---- checking it ---- */

void
image_step(void *arg)
{
	bool more = simloop_step(arg);

	assert(more);
}

static void
append(char *codes, const char *code)
{
	size_t used = strlen(codes);

	snprintf(codes + used, IMAGE_CODES_MAX - used, " %s", code);
}

static void
finding(
    void *arg, enum check_severity severity, const char *code, const char *text)
{
	struct image_found *found = arg;

	assert(strlen(text) > 0);
	append(found->codes, code);
	if (severity == CHECK_DAMAGE)
		append(found->damage, code);
	snprintf(found->text, sizeof(found->text), "%s", text);
}

static void
family(void *arg, const struct check_family *family)
{
	struct image_found *found = arg;

	found->family = *family;
	found->families++;
}

int
image_check(struct image *image, struct image_found *found)
{
	*found = (struct image_found){
	    .report = {.finding = finding, .family = family}};
	found->report.arg = found;
	return pool_check(
	    &image->bs, 1, image_step, image->loop, &found->report);
}

int
image_check_again(struct image *image, struct image_found *found)
{
	image_finish(image);
	return image_check(image, found);
}

void
image_check_ends(struct image *image)
{
	struct image_found found;
	int r = image_check(image, &found);

	assert(r <= 0);
}
