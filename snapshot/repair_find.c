/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every page of the pool that is right in itself, wherever metadata may lie.
 */
#include "base/assert.h"
#include "snapshot/repair_scan.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE        (1u << 20)
#define PIECE_BLOCKS (PIECE / FMT_BLOCK)

struct finding {
	struct scan *scan;
	struct check_bits have; /* addresses of which a copy was right */
	uint8_t *piece;
	unsigned device;
	uint64_t block; /* of the device: where the region begins */
	uint64_t first; /* its first address; 0: unknown */
	int error;
};

/* ---- one block ---- */

static void
page_take(struct finding *f, uint64_t n, const struct fmt_page *header)
{
	struct scan *scan = f->scan;
	struct scan_page *room = check_grow(scan->check, scan->page,
	    scan->page_count, &scan->page_room, sizeof(*room));

	if (room == NULL) {
		f->error = -ENOMEM;
		return;
	}
	scan->page = room;
	scan->page[scan->page_count++] = (struct scan_page){
	    .place = fmt_device_address(f->device, (f->block + n) * FMT_BLOCK),
	    .address = f->first == 0 ? 0 : f->first + n,
	    .family = le64_get(&header->family),
	    .index = le64_get(&header->index),
	    .birth = le32_get(&header->birth),
	    .gen = le32_get(&header->gen),
	    .type = header->type,
	    .level = header->level,
	};
}

static void
block_look(struct finding *f, uint64_t n, const uint8_t *block)
{
	const struct fmt_page *header = (const void *)block;

	if (fmt_page_check_sum(block, f->scan->check->pool_tag) != NULL)
		return;
	if (f->first == 0) {
		if (header->type == FMT_PAGE_REGIONS)
			page_take(f, n, header);
		return;
	}
	if (bits_get(&f->have, f->first + n))
		return;
	if (!bits_put(&f->have, f->first + n, true))
		f->error = -ENOMEM;
	page_take(f, n, header);
}

/* ---- a region ---- */

/* What cannot be read in one go is read block by block. */
static void
piece_read(struct finding *f, uint64_t n)
{
	struct check *check = f->scan->check;
	struct backstore *bs = check->device[f->device];
	uint64_t offset = (f->block + n) * FMT_BLOCK;

	if (check_read(check, bs, offset, f->piece, PIECE) == 0)
		return;
	for (unsigned i = 0; i < PIECE_BLOCKS; i++) {
		uint8_t *block = f->piece + (size_t)i * FMT_BLOCK;
		if (check_read(check, bs, offset + (uint64_t)i * FMT_BLOCK,
			block, FMT_BLOCK) < 0)
			memset(block, 0, FMT_BLOCK);
	}
}

static void
region_look(struct finding *f, unsigned device, uint32_t device_region)
{
	uint64_t per = le32_get(&f->scan->check->super.region_blocks);

	f->device = device;
	f->block = FMT_DEVICE_HEAD / FMT_BLOCK + device_region * per;
	for (uint64_t n = 0; n < per && f->error == 0; n += PIECE_BLOCKS) {
		piece_read(f, n);
		for (unsigned i = 0; i < PIECE_BLOCKS && f->error == 0; i++)
			block_look(f, n + i, f->piece + (size_t)i * FMT_BLOCK);
	}
}

/* The first copy comes first: it is what the pointers of regions name. */
static void
regions_look(struct finding *f)
{
	const struct check *check = f->scan->check;
	uint64_t per = le32_get(&check->super.region_blocks);

	for (uint64_t r = 0; r < le64_get(&check->super.region_count); r++) {
		const struct check_region *region = &check->region[r];
		if (region->class != FMT_REGION_META || r == 0)
			continue;
		f->first = r * per;
		region_look(f, region->device, region->device_region);
		if (region->mirror_whole)
			region_look(f, region->mirror, region->mirror_region);
	}
}

/* Nobody knows what is where. */
static void
devices_look(struct finding *f)
{
	const struct fmt_super *super = &f->scan->check->super;

	f->first = 0;
	for (unsigned d = 0; d < le32_get(&super->device_count); d++)
		for (uint32_t n = 0; n < le64_get(&super->device[d].regions);
		     n++)
			region_look(f, d, n);
}

int
scan_find(struct scan *scan)
{
	struct finding f = {
	    .scan = scan, .piece = aligned_alloc(FMT_BLOCK, PIECE)};

	scan->page_count = 0;
	scan->found = true;
	if (f.piece == NULL || bits_init(&f.have, scan->check->blocks) < 0)
		f.error = -ENOMEM;
	else if (scan->regions_known)
		regions_look(&f);
	else
		devices_look(&f);
	bits_free(&f.have);
	free(f.piece);
	return f.error;
}

/* ---- what is in use ---- */

bool
scan_use_is_known(const struct scan *scan, uint64_t address)
{
	const struct check_bits *used = &scan->check->used;

	return address < scan->check->blocks &&
	       (!scan->bitmap_damaged ||
		   used->page[address / FMT_BITMAP_BLOCKS] != NULL);
}

bool
scan_is_used(const struct scan *scan, uint64_t address)
{
	return address < scan->check->blocks &&
	       (!scan_use_is_known(scan, address) ||
		   bits_get(&scan->check->used, address));
}

/* Pages of the table of regions are read before anything is claimed. */
bool
scan_fits(const struct scan *scan, const struct scan_damage *damage,
    unsigned level, const struct scan_page *page)
{
	return page->type == damage->type && page->level == level &&
	       page->family == damage->family && page->birth > damage->after &&
	       page->birth <= damage->bound &&
	       (int32_t)(le32_get(&damage->ptr.gen) - page->gen) >= 0 &&
	       (page->type == FMT_PAGE_REGIONS ||
		   (page->address != 0 &&
		       !bits_get(&scan->check->seen, page->address)));
}

/* ---- choosing ---- */

static bool
fits_another(const struct scan *scan, const struct scan_damage *damage,
    unsigned level, const struct scan_page *page)
{
	unsigned up = level < damage->level;

	for (uint32_t i = 0; i < scan->damage_count; i++) {
		const struct scan_damage *other = &scan->damage[i];
		if (other != damage && other->fate == SCAN_NEW &&
		    other->level == damage->level &&
		    other->index ==
			(up ? page->index / FMT_FANOUT : page->index) &&
		    scan_fits(scan, other, level, page))
			return true;
	}
	return false;
}

/* Two copies of one page, as mirrors have them. */
static bool
pages_are_same(
    struct scan *scan, const struct scan_page *a, const struct scan_page *b)
{
	_Alignas(FMT_BLOCK) uint8_t one[FMT_BLOCK], two[FMT_BLOCK];

	return scan_read(scan, a, one) == 0 && scan_read(scan, b, two) == 0 &&
	       memcmp(one, two, FMT_BLOCK) == 0;
}

static void
choice_consider(
    struct scan *scan, struct scan_choice *choice, const struct scan_page *page)
{
	const struct scan_page *best = choice->page;

	if (best != NULL && best->gen == page->gen) {
		choice->twins |= !pages_are_same(scan, best, page);
		return;
	}
	choice->several |= best != NULL;
	if (best != NULL && (int32_t)(best->gen - page->gen) > 0)
		return;
	choice->page = page;
	choice->twins = false;
}

void
scan_choose(struct scan *scan, const struct scan_damage *damage, unsigned level,
    uint64_t first, unsigned count, bool older, struct scan_choice *ret_choice)
{
	memset(ret_choice, 0, count * sizeof(*ret_choice));
	for (uint32_t i = 0; i < scan->page_count; i++) {
		const struct scan_page *page = &scan->page[i];
		struct scan_choice *choice = &ret_choice[page->index - first];
		if (page->index < first || page->index - first >= count ||
		    !scan_fits(scan, damage, level, page))
			continue;
		if (older && page->gen == le32_get(&damage->ptr.gen))
			continue;
		if (!older && page->type != FMT_PAGE_REGIONS &&
		    !scan_is_used(scan, page->address))
			continue;
		choice_consider(scan, choice, page);
		if (!older && fits_another(scan, damage, level, page))
			choice->twins = true;
	}
	for (unsigned i = 0; i < count; i++)
		if (ret_choice[i].twins)
			ret_choice[i].page = NULL;
}

/* ---- room ---- */

uint64_t
scan_room_take(struct scan *scan)
{
	struct check *check = scan->check;
	uint64_t per = le32_get(&check->super.region_blocks);

	for (uint64_t at = per; at < check->blocks; at++) {
		if (check->region[at / per].class != FMT_REGION_META) {
			at += per - 1 - at % per;
			continue;
		}
		if (scan_is_used(scan, at) || bits_get(&check->seen, at))
			continue;
		return bits_put(&check->seen, at, true) ? at : 0;
	}
	return 0;
}

/* ---- reading and writing ---- */

static int
place_io(struct scan *scan, uint64_t place, void *buf, bool write)
{
	struct check *check = scan->check;
	uint64_t device = place >> FMT_DEVICE_SHIFT;
	uint64_t offset =
	    (place & ((1ull << FMT_DEVICE_SHIFT) - 1)) * FMT_BLOCK;

	if (device >= le32_get(&check->super.device_count))
		return -EIO;
	return (write ? check_write : check_read)(
	    check, check->device[device], offset, buf, FMT_BLOCK);
}

int
scan_read(struct scan *scan, const struct scan_page *page, void *buf)
{
	int r = place_io(scan, page->place, buf, false);

	if (r == 0 && fmt_page_check_sum(buf, scan->check->pool_tag) != NULL)
		r = -EBADMSG;
	return r;
}

/* Not where labels and superblocks are, whatever a pointer says. */
static bool
place_is_in_regions(const struct check *check, uint64_t place)
{
	uint64_t device = place >> FMT_DEVICE_SHIFT;
	uint64_t offset =
	    (place & ((1ull << FMT_DEVICE_SHIFT) - 1)) * FMT_BLOCK;

	return device < le32_get(&check->super.device_count) &&
	       offset >= FMT_DEVICE_HEAD &&
	       offset < le64_get(&check->super.device[device].size) -
			    FMT_DEVICE_TAIL;
}

bool
scan_may_write(const struct scan *scan, const struct scan_damage *damage)
{
	uint64_t mirror = fmt_ptr_mirror(&damage->ptr);

	return damage->type != FMT_PAGE_REGIONS ||
	       (place_is_in_regions(
		    scan->check, fmt_ptr_address(&damage->ptr)) &&
		   (mirror == 0 || place_is_in_regions(scan->check, mirror)));
}

static uint64_t
region_place(const struct check *check, unsigned device, uint32_t device_region,
    uint64_t block)
{
	uint64_t per = le32_get(&check->super.region_blocks);

	return fmt_device_address(device,
	    FMT_DEVICE_HEAD + (device_region * per + block) * FMT_BLOCK);
}

int
scan_write(struct scan *scan, const struct scan_damage *damage, void *page)
{
	struct check *check = scan->check;
	uint64_t address = fmt_ptr_address(&damage->ptr), mirror = 0;
	uint64_t per = le32_get(&check->super.region_blocks), place = address;
	int r;

	fmt_page_seal(page);
	if (damage->type == FMT_PAGE_REGIONS) {
		mirror = fmt_ptr_mirror(&damage->ptr);
	} else {
		const struct check_region *region =
		    &check->region[address / per];
		place = region_place(check, region->device,
		    region->device_region, address % per);
		if (region->mirror_whole)
			mirror = region_place(check, region->mirror,
			    region->mirror_region, address % per);
	}
	r = place_io(scan, place, page, true);
	if (r == 0 && mirror != 0)
		r = place_io(scan, mirror, page, true);
	return r;
}

void
scan_header(struct scan *scan, const struct scan_damage *damage, unsigned level,
    uint64_t index, void *page)
{
	struct fmt_page *header = page;

	memset(header, 0, sizeof(*header));
	le32_set(&header->magic, FMT_PAGE_MAGIC);
	header->type = damage->type;
	header->level = (uint8_t)level;
	le32_set(&header->gen, le32_get(&damage->ptr.gen));
	le32_set(&header->birth, le32_get(&damage->ptr.birth));
	le64_set(&header->family, damage->family);
	le64_set(&header->version, damage->version);
	le64_set(&header->index, index);
	le64_set(&header->lsn, le64_get(&scan->check->super.checkpoint_lsn));
	le64_set(&header->pool, scan->check->pool_tag);
}
