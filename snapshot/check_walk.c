/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages of metadata: each is read at the place its pointer names, verified to
 * be what the pointer says (I14), and met once.
 */
#include "base/assert.h"
#include "base/crc32c.h"
#include "snapshot/check_priv.h"
#include <errno.h>
#include <string.h>

bool
check_range_is(const struct check *check, uint64_t address, uint64_t run,
    enum fmt_region_class class)
{
	uint64_t per = le32_get(&check->super.region_blocks);

	if (run == 0 || run > check->blocks || address > check->blocks - run)
		return false;
	for (uint64_t r = address / per; r <= (address + run - 1) / per; r++)
		if (check->region[r].class != class)
			return false;
	return true;
}

/* ---- one page ---- */

static int
page_read_from(struct check *check, unsigned device, uint32_t device_region,
    uint64_t block, uint8_t *buf)
{
	uint64_t bytes =
	    (uint64_t)le32_get(&check->super.region_blocks) * FMT_BLOCK;

	return check_read(check, check->device[device],
	    FMT_DEVICE_HEAD + device_region * bytes + block * FMT_BLOCK, buf,
	    FMT_BLOCK);
}

/* NULL: right; else what is wrong with it. */
static const char *
page_verify(const struct check_walk *walk, const struct fmt_ptr *ptr,
    unsigned level, uint64_t index, const uint8_t *buf)
{
	struct fmt_expect expect = {.type = walk->type,
	    .level = (uint8_t)level,
	    .family = walk->family,
	    .index = index,
	    .pool = walk->check->pool_tag,
	    .birth = le32_get(&ptr->birth),
	    .gen = le32_get(&ptr->gen)};

	if (walk->by_device && fmt_ptr_mirror(ptr) != 0)
		expect.birth = le32_get(&((const struct fmt_page *)buf)->birth);
	if (!walk->raw || level > 0)
		return fmt_page_check(buf, &expect);
	return crc32c(buf, FMT_BLOCK) == le32_get(&ptr->gen) ? NULL
							     : "wrong checksum";
}

/* The tree of regions is read before addresses mean anything: it names devices
 * and their blocks. */
static const char *
page_fetch_at(struct check_walk *walk, const struct fmt_ptr *ptr,
    uint64_t address, unsigned level, uint64_t index, uint8_t *buf)
{
	struct check *check = walk->check;
	uint64_t device = address >> FMT_DEVICE_SHIFT;
	uint64_t block = address & ((1ull << FMT_DEVICE_SHIFT) - 1);

	if (device >= le32_get(&check->super.device_count) ||
	    check_device_removed(check, (unsigned)device))
		return "names a device that does not exist";
	if (check_read(check, check->device[device], block * FMT_BLOCK, buf,
		FMT_BLOCK) < 0)
		return "cannot be read";
	return page_verify(walk, ptr, level, index, buf);
}

static const char *
page_fetch_by_device(struct check_walk *walk, const struct fmt_ptr *ptr,
    unsigned level, uint64_t index, uint8_t *buf)
{
	uint64_t mirror = fmt_ptr_mirror(ptr);
	const char *wrong =
	    page_fetch_at(walk, ptr, fmt_ptr_address(ptr), level, index, buf);

	if (wrong == NULL || mirror == 0)
		return wrong;
	return page_fetch_at(walk, ptr, mirror, level, index, buf) == NULL
		   ? NULL
		   : wrong;
}

/* From the first place, or from its mirror. */
static const char *
page_fetch(struct check_walk *walk, const struct fmt_ptr *ptr, unsigned level,
    uint64_t index, uint8_t *buf)
{
	struct check *check = walk->check;
	uint64_t address = fmt_ptr_address(ptr);
	uint32_t per = le32_get(&check->super.region_blocks);
	const struct check_region *region;
	const char *wrong = "cannot be read";

	if (walk->by_device)
		return page_fetch_by_device(walk, ptr, level, index, buf);
	region = &check->region[address / per];
	if (page_read_from(check, region->device, region->device_region,
		address % per, buf) == 0)
		wrong = page_verify(walk, ptr, level, index, buf);
	if (wrong == NULL || !region->mirror_whole)
		return wrong;
	if (page_read_from(check, region->mirror, region->mirror_region,
		address % per, buf) < 0)
		return wrong;
	return page_verify(walk, ptr, level, index, buf);
}

/* The epochs and generations that may be: not after the superblock's. */
static bool
ptr_is_sane(
    const struct check_walk *walk, const struct fmt_ptr *ptr, unsigned level)
{
	const struct fmt_super *super = &walk->check->super;
	uint32_t gen = (uint32_t)le64_get(&super->gen);
	uint32_t birth = le32_get(&ptr->birth);

	if (walk->by_device && fmt_ptr_mirror(ptr) != 0)
		return gen - le32_get(&ptr->gen) <= INT32_MAX;
	if (le64_get(&ptr->word) & ~FMT_ADDRESS_MASK)
		return false;
	if (walk->raw && level == 0)
		return gen - birth <= INT32_MAX;
	return birth >= 1 && birth <= le32_get(&super->epoch) &&
	       gen - le32_get(&ptr->gen) <= INT32_MAX;
}

bool
walk_claim_page(
    struct check_walk *walk, uint64_t address, unsigned level, uint64_t index)
{
	struct check *check = walk->check;

	if (!check_range_is(check, address, 1, FMT_REGION_META)) {
		check_find(check, CHECK_DAMAGE, "meta.place",
		    "%s: page (level %u, index %llu) lies outside the"
		    " metadata, at %llu",
		    walk->what, level, (unsigned long long)index,
		    (unsigned long long)address);
		return false;
	}
	if (bits_get(&check->seen, address)) {
		check_find(check, CHECK_DAMAGE, "meta.double",
		    "%s: page at %llu (level %u, index %llu) is used twice",
		    walk->what, (unsigned long long)address, level,
		    (unsigned long long)index);
		return false;
	}
	if (!bits_put(&check->seen, address, true))
		check->error = -ENOMEM;
	return check->error == 0;
}

static void
page_count(struct check *check)
{
	struct check_report *report = check->report;

	report->pages++;
	if (report->progress != NULL)
		report->progress(report->arg, report->pages,
		    le64_get(&check->super.meta_blocks));
}

bool
walk_verify_ptr(struct check_walk *walk, const struct fmt_ptr *ptr,
    unsigned level, uint64_t index)
{
	if (ptr_is_sane(walk, ptr, level))
		return true;
	check_find(walk->check, CHECK_DAMAGE, "meta.pointer",
	    "%s: impossible pointer (level %u, index %llu)", walk->what, level,
	    (unsigned long long)index);
	return false;
}

bool
walk_read_again(struct check_walk *walk, const struct fmt_ptr *ptr,
    unsigned level, uint64_t index, uint8_t *buf)
{
	if (!check_range_is(
		walk->check, fmt_ptr_address(ptr), 1, FMT_REGION_META))
		return false;
	return page_fetch(walk, ptr, level, index, buf) == NULL;
}

bool
walk_read_page(struct check_walk *walk, const struct fmt_ptr *ptr,
    unsigned level, uint64_t index, uint8_t *buf)
{
	struct check *check = walk->check;
	uint64_t address = fmt_ptr_address(ptr);
	const char *wrong;

	if (!walk_verify_ptr(walk, ptr, level, index))
		return false;
	if (walk->by_device)
		check_region_page_keep(check, address);
	else if (!walk_claim_page(walk, address, level, index))
		return false;
	page_count(check);
	wrong = page_fetch(walk, ptr, level, index, buf);
	if (wrong == NULL)
		return true;
	check_find(check, CHECK_DAMAGE, "meta.page",
	    "%s: page at %llu (level %u, index %llu): %s", walk->what,
	    (unsigned long long)address, level, (unsigned long long)index,
	    wrong);
	if (check->damaged != NULL)
		check->damaged(walk, ptr, level, index);
	return false;
}

void
walk_check_used(struct check_walk *walk, const uint8_t *page, unsigned used)
{
	const struct fmt_page *header = (const void *)page;

	if (le32_get(&header->used) == used)
		return;
	check_find(walk->check, CHECK_DAMAGE, "meta.used",
	    "%s: page (level %u, index %llu) counts %u entries, has %u",
	    walk->what, header->level,
	    (unsigned long long)le64_get(&header->index),
	    le32_get(&header->used), used);
}

/* ---- a tree ---- */

static const struct fmt_ptr no_ptr;

static void walk_page(struct check_walk *walk, const struct fmt_ptr *ptr,
    unsigned level, uint64_t index);

uint64_t
level_reach(unsigned level)
{
	uint64_t reach = 1;

	while (level-- > 0)
		reach *= FMT_FANOUT;
	return reach;
}

/* Goes down at most FMT_LEVELS_MAX times: each call is one level lower. */
static void
walk_inner(struct check_walk *walk, const struct fmt_inner *inner,
    unsigned level, uint64_t index)
{
	uint64_t reach = level_reach(level - 1);
	unsigned used = 0;

	for (unsigned i = 0; i < FMT_FANOUT; i++) {
		const struct fmt_ptr *ptr = &inner->ptr[i];
		uint64_t child = index * FMT_FANOUT + i;

		if (memcmp(ptr, &no_ptr, sizeof(*ptr)) == 0)
			continue;
		used++;
		if (fmt_ptr_address(ptr) == 0)
			continue;
		if (child >= (walk->count + reach - 1) / reach) {
			check_find(walk->check, CHECK_DAMAGE, "tree.beyond",
			    "%s: a page beyond the end (level %u, index %llu)",
			    walk->what, level - 1, (unsigned long long)child);
			continue;
		}
		walk_page(walk, ptr, level - 1, child);
	}
	walk_check_used(walk, (const uint8_t *)inner, used);
}

static void
walk_page(struct check_walk *walk, const struct fmt_ptr *ptr, unsigned level,
    uint64_t index)
{
	uint8_t *buf = walk->check->buffer[level];

	if (walk->check->error < 0)
		return;
	if (!walk_read_page(walk, ptr, level, index, buf))
		return;
	if (level > 0)
		walk_inner(walk, (const void *)buf, level, index);
	else
		walk->leaf(walk, index, buf);
}

void
walk_root(struct check_walk *walk, const struct fmt_ptr *root, unsigned levels)
{
	if (levels == 0 || fmt_ptr_address(root) == 0)
		return;
	if (levels > FMT_LEVELS_MAX) {
		check_find(walk->check, CHECK_DAMAGE, "tree.levels",
		    "%s: a tree of %u levels", walk->what, levels);
		return;
	}
	walk_page(walk, root, levels - 1, 0);
}
