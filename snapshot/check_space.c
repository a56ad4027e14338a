/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bitmap against the counters, and against what the trees reach.
 */
#include "base/assert.h"
#include "snapshot/check_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

static void
bitmap_leaf(struct check_walk *walk, uint64_t index, const uint8_t *page)
{
	struct check *check = walk->check;

	check->used.page[index] = malloc(FMT_BLOCK);
	if (check->used.page[index] == NULL) {
		check->error = -ENOMEM;
		return;
	}
	memcpy(check->used.page[index], page, FMT_BLOCK);
	for (uint64_t bit = check->blocks - index * FMT_BITMAP_BLOCKS;
	     bit < FMT_BITMAP_BLOCKS; bit++)
		if (page[bit / 8] >> bit % 8 & 1) {
			check_find(check, CHECK_DAMAGE, "bitmap.beyond",
			    "the bitmap has blocks beyond the last region");
			return;
		}
}

void
check_bitmap_read(struct check *check)
{
	struct check_walk walk = {.check = check,
	    .what = "bitmap",
	    .type = FMT_PAGE_BITMAP,
	    .raw = true,
	    .count = check->used.pages,
	    .leaf = bitmap_leaf};

	walk_root(&walk, &check->super.bitmap.ptr, check->super.bitmap.levels);
}

/* ---- counters ---- */

/* The bits of the 16 blocks of a chunk. */
static uint16_t
chunk_bits(const struct check_bits *bits, uint64_t block)
{
	const uint8_t *page = bits->page[block / FMT_BITMAP_BLOCKS];

	return page == NULL ? 0
			    : load_le16(page + block % FMT_BITMAP_BLOCKS / 8);
}

struct region_count
check_region_count(
    const struct check *check, const struct check_bits *bits, uint64_t r)
{
	uint32_t per = le32_get(&check->super.region_blocks);
	struct region_count count = {0, 0};

	for (uint64_t chunk = r * per; chunk < (r + 1) * per;
	     chunk += FMT_CHUNK_BLOCKS) {
		uint16_t used = chunk_bits(bits, chunk);
		count.used += (unsigned)__builtin_popcount(used);
		count.free_chunks += used == 0;
	}
	return count;
}

static bool
region_has_bits(const struct check_region *region)
{
	return region->class == FMT_REGION_DATA ||
	       region->class == FMT_REGION_META;
}

static void
region_verify(struct check *check, uint64_t r, const struct region_count *count)
{
	const struct check_region *region = &check->region[r];
	uint32_t per = le32_get(&check->super.region_blocks);
	uint32_t free_blocks = per - count->used;
	uint32_t free_chunks = count->free_chunks;

	if (!region_has_bits(region) && count->used > 0)
		check_find(check, CHECK_DAMAGE, "bitmap.class",
		    "region %llu is neither for data nor for metadata, but %u"
		    " blocks of it are in use",
		    (unsigned long long)r, count->used);
	if (region->class == FMT_REGION_LOG)
		free_blocks = free_chunks = 0;
	if (region->class == FMT_REGION_MIRROR)
		free_blocks = free_chunks = 0;
	else if (region->class > FMT_REGION_LOG)
		return;
	if (region->free_blocks != free_blocks ||
	    region->free_chunks != free_chunks)
		check_find(check, CHECK_DAMAGE, "region.counts",
		    "region %llu has %u blocks and %u chunks free, recorded"
		    " are %u and %u",
		    (unsigned long long)r, free_blocks, free_chunks,
		    region->free_blocks, region->free_chunks);
}

void
check_counters(struct check *check)
{
	uint64_t count = le64_get(&check->super.region_count);
	uint64_t data = 0, meta = 0;

	for (uint64_t r = 0; r < count; r++) {
		struct region_count counted =
		    check_region_count(check, &check->used, r);
		region_verify(check, r, &counted);
		if (check->region[r].class == FMT_REGION_DATA)
			data += counted.used;
		if (check->region[r].class == FMT_REGION_META)
			meta += counted.used;
	}
	if (data != le64_get(&check->super.data_blocks) ||
	    meta != le64_get(&check->super.meta_blocks))
		check_find(check, CHECK_DAMAGE, "super.counts",
		    "%llu blocks of data and %llu of metadata, recorded are"
		    " %llu and %llu",
		    (unsigned long long)data, (unsigned long long)meta,
		    (unsigned long long)le64_get(&check->super.data_blocks),
		    (unsigned long long)le64_get(&check->super.meta_blocks));
}

/* ---- used against seen ---- */

static void
report_run(struct check *check, uint64_t block, uint64_t run, bool leaked)
{
	if (leaked)
		check->report->leaked_blocks += run;
	check_find(check, leaked ? CHECK_LEAK : CHECK_DAMAGE,
	    leaked ? "bitmap.leak" : "bitmap.free",
	    leaked ? "blocks %llu to %llu are marked used, nothing uses them"
		   : "blocks %llu to %llu are in use, but marked free",
	    (unsigned long long)block, (unsigned long long)(block + run - 1));
}

/* One bitmap page: runs of the fault are one finding. */
static void
compare_page(struct check *check, uint64_t index, bool leaked)
{
	uint64_t block = index * FMT_BITMAP_BLOCKS, run = 0;
	uint64_t end = block + FMT_BITMAP_BLOCKS;

	if (end > check->blocks)
		end = check->blocks;
	for (; block < end; block++) {
		bool used = bits_get(&check->used, block);
		if (used == leaked && used != bits_get(&check->seen, block)) {
			run++;
		} else if (run > 0) {
			report_run(check, block - run, run, leaked);
			run = 0;
		}
	}
	if (run > 0)
		report_run(check, end - run, run, leaked);
}

static void
compare(struct check *check, bool leaked)
{
	static const uint8_t nothing[FMT_BLOCK];

	for (uint64_t i = 0; i < check->used.pages; i++) {
		const uint8_t *used = check->used.page[i];
		const uint8_t *seen = check->seen.page[i];
		if (memcmp(used != NULL ? used : nothing,
			seen != NULL ? seen : nothing, FMT_BLOCK) != 0)
			compare_page(check, i, leaked);
	}
}

void
check_space(struct check *check)
{
	compare(check, false);
}

void
check_leaks(struct check *check)
{
	compare(check, true);
}
