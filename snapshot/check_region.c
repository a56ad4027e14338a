/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of regions.
 */
#include "base/assert.h"
#include "snapshot/check_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- regions ---- */

/* Where the superblock says the log is, for regions that cannot be read. */
static bool
region_holds_log(const struct check *check, uint64_t r)
{
	const struct fmt_super *super = &check->super;
	uint64_t per = le32_get(&super->region_blocks);
	uint64_t start = le64_get(&super->log_start);
	uint64_t end = start + le64_get(&super->log_blocks);

	return (r + 1) * per > start && r * per < end;
}

static bool
region_place_is_sane(
    const struct check *check, unsigned device, uint32_t device_region)
{
	return device < le32_get(&check->super.device_count) &&
	       device_region < le64_get(&check->super.device[device].regions);
}

static bool
region_is_sane(
    const struct check *check, uint64_t r, const struct fmt_region *region)
{
	unsigned mirror = le16_get(&region->mirror_device);

	if (region->class >= FMT_REGION_CLASS_COUNT)
		return false;
	if (region->class == FMT_REGION_LOG && !region_holds_log(check, r))
		return false;
	if (region->class != FMT_REGION_LOG && region_holds_log(check, r))
		return false;
	if (region->class == FMT_REGION_MIRROR &&
	    (mirror != FMT_NO_DEVICE ||
		le32_get(&region->mirror_region) >=
		    le64_get(&check->super.region_count)))
		return false;
	if (mirror != FMT_NO_DEVICE && !region_place_is_sane(check, mirror,
					   le32_get(&region->mirror_region)))
		return false;
	if (!region_place_is_sane(check, le16_get(&region->device),
		le32_get(&region->device_region)))
		return false;
	/* nothing is on a device that is not there any more */
	return (region->class == FMT_REGION_BAD) ==
	       check_device_removed(check, le16_get(&region->device));
}

static void
region_take(struct check *check, uint64_t r, const struct fmt_region *on_disk)
{
	struct check_region *region = &check->region[r];

	if (!region_is_sane(check, r, on_disk)) {
		check_find(check, CHECK_DAMAGE, "region.entry",
		    "region %llu: impossible class or place",
		    (unsigned long long)r);
		return;
	}
	region->class = on_disk->class;
	region->device = le16_get(&on_disk->device);
	region->mirror = le16_get(&on_disk->mirror_device);
	region->device_region = le32_get(&on_disk->device_region);
	region->mirror_region = le32_get(&on_disk->mirror_region);
	region->mirror_whole = region->mirror != FMT_NO_DEVICE &&
			       le32_get(&on_disk->mirror_gen) != 0;
	region->free_blocks = le32_get(&on_disk->free_blocks);
	region->free_chunks = le32_get(&on_disk->free_chunks);
}

static void
regions_leaf(struct check_walk *walk, uint64_t index, const uint8_t *page)
{
	static const struct fmt_region nothing;
	const struct fmt_region_page *p = (const void *)page;
	uint64_t count = le64_get(&walk->check->super.region_count);
	unsigned used = 0;

	for (unsigned i = 0; i < FMT_PAGE_REGIONS_COUNT; i++) {
		uint64_t r = index * FMT_PAGE_REGIONS_COUNT + i;
		if (memcmp(&p->region[i], &nothing, sizeof(nothing)) != 0)
			used++;
		if (r < count)
			region_take(walk->check, r, &p->region[i]);
	}
	walk_check_used(walk, page, used);
}

void
check_region_page_keep(struct check *check, uint64_t address)
{
	uint64_t *room = check_grow(check, check->region_page,
	    check->region_page_count, &check->region_page_room, sizeof(*room));

	if (room == NULL)
		return;
	check->region_page = room;
	check->region_page[check->region_page_count++] = address;
}

/* Which region is the n-th of a device: 1 + its number, or 0. */
struct places {
	uint32_t *region;
	uint64_t first[FMT_DEVICE_MAX]; /* index of the device's region 0 */
};

static int
places_init(struct check *check, struct places *places)
{
	uint64_t total = 0;

	for (uint32_t d = 0; d < le32_get(&check->super.device_count); d++) {
		places->first[d] = total;
		total += le64_get(&check->super.device[d].regions);
	}
	places->region = calloc(total, sizeof(*places->region));
	return places->region == NULL ? -ENOMEM : 0;
}

/* Each place on a device belongs to one region. */
static void
places_fill(struct check *check, struct places *places)
{
	uint64_t count = le64_get(&check->super.region_count);

	for (uint64_t r = 0; r < count; r++) {
		const struct check_region *region = &check->region[r];
		uint32_t *place =
		    &places->region[places->first[region->device] +
				    region->device_region];
		if (*place != 0)
			check_find(check, CHECK_DAMAGE, "region.double",
			    "regions %u and %llu lie in the same place",
			    *place - 1, (unsigned long long)r);
		*place = (uint32_t)r + 1;
	}
}

static bool
mirror_is_paired(
    const struct check *check, const struct places *places, uint64_t r)
{
	const struct check_region *region = &check->region[r], *other;
	uint32_t n;

	if (region->class == FMT_REGION_MIRROR) {
		other = &check->region[region->mirror_region];
		return other->mirror == region->device &&
		       other->mirror_region == region->device_region;
	}
	if (region->mirror == FMT_NO_DEVICE)
		return true;
	n = places
		->region[places->first[region->mirror] + region->mirror_region];
	if (n == 0 || (region->class != FMT_REGION_META &&
			  region->class != FMT_REGION_LOG))
		return false;
	other = &check->region[n - 1];
	return other->class == FMT_REGION_MIRROR && other->mirror_region == r;
}

/* A region and its mirror name each other. */
static void
places_verify_mirrors(struct check *check, const struct places *places)
{
	uint64_t count = le64_get(&check->super.region_count);

	for (uint64_t r = 0; r < count; r++)
		if (!mirror_is_paired(check, places, r))
			check_find(check, CHECK_DAMAGE, "region.mirror",
			    "region %llu and its mirror do not fit",
			    (unsigned long long)r);
}

/* The tree's own pages, now that their places have addresses. */
static void
places_claim_pages(
    struct check *check, struct check_walk *walk, const struct places *places)
{
	uint32_t per = le32_get(&check->super.region_blocks);
	const uint64_t head = FMT_DEVICE_HEAD / FMT_BLOCK;

	for (uint32_t i = 0; i < check->region_page_count; i++) {
		uint64_t device = check->region_page[i] >> FMT_DEVICE_SHIFT;
		uint64_t block =
		    check->region_page[i] & ((1ull << FMT_DEVICE_SHIFT) - 1);
		uint64_t n = block < head ? UINT64_MAX : (block - head) / per;
		uint32_t region = 0;

		if (device < le32_get(&check->super.device_count) &&
		    n < le64_get(&check->super.device[device].regions))
			region = places->region[places->first[device] + n];
		if (region == 0)
			check_find(check, CHECK_DAMAGE, "region.page",
			    "a page of the region map lies in no region");
		else
			walk_claim_page(walk,
			    (uint64_t)(region - 1) * per + (block - head) % per,
			    0, i);
	}
}

static void
regions_verify_places(struct check *check, struct check_walk *walk)
{
	struct places places;

	if (places_init(check, &places) < 0) {
		check->error = -ENOMEM;
		return;
	}
	places_fill(check, &places);
	places_verify_mirrors(check, &places);
	places_claim_pages(check, walk, &places);
	free(places.region);
}

void
check_regions(struct check *check)
{
	const struct fmt_root *root = &check->super.regions;
	uint64_t count = le64_get(&check->super.region_count);
	struct check_walk walk = {.check = check,
	    .what = "region map",
	    .type = FMT_PAGE_REGIONS,
	    .by_device = true,
	    .count =
		(count + FMT_PAGE_REGIONS_COUNT - 1) / FMT_PAGE_REGIONS_COUNT,
	    .leaf = regions_leaf};

	for (uint64_t r = 0; r < count; r++)
		check->region[r].mirror = FMT_NO_DEVICE;
	if (le64_get(&root->count) != count)
		check_find(check, CHECK_DAMAGE, "region.count",
		    "the region map is for %llu of %llu regions",
		    (unsigned long long)le64_get(&root->count),
		    (unsigned long long)count);
	walk_root(&walk, &root->ptr, root->levels);
	if (check->error == 0)
		regions_verify_places(check, &walk);
}
