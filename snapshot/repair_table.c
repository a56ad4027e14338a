/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages of tables: the newest older copy, or nothing where a table may be
 * empty.  What the records of versions say of their roots is found anew.
 */
#include "base/assert.h"
#include "snapshot/repair_scan.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- roots ---- */

static struct scan_damage
root_place(struct scan *scan, const struct fmt_version *v, uint32_t after)
{
	const struct fmt_super *super = &scan->check->super;
	struct scan_damage place = {.type = FMT_PAGE_MAP,
	    .family = le64_get(&v->family),
	    .after = after,
	    .bound = le32_get(&v->epoch) != 0 ? le32_get(&v->epoch)
					      : le32_get(&super->epoch)};

	le32_set(&place.ptr.gen, (uint32_t)le64_get(&super->gen));
	return place;
}

/* Is it what the record says, and in use?  Addresses are used again. */
static bool
root_is_right(struct scan *scan, const struct fmt_version *v)
{
	_Alignas(FMT_BLOCK) uint8_t page[FMT_BLOCK];
	struct check_walk walk = {.check = scan->check,
	    .type = FMT_PAGE_MAP,
	    .family = le64_get(&v->family)};
	uint64_t address = fmt_ptr_address(&v->root);

	return address == 0 ||
	       (scan_is_used(scan, address) &&
		   walk_read_again(&walk, &v->root, v->levels - 1u, 0, page));
}

static struct fmt_version *
record_of(struct fmt_version_page *page, uint64_t id)
{
	for (unsigned i = 0; i < FMT_PAGE_VERSIONS_COUNT && id != 0; i++)
		if (le64_get(&page->version[i].id) == id)
			return &page->version[i];
	return NULL;
}

static uint32_t
parent_epoch(struct scan *scan, struct fmt_version_page *page,
    const struct fmt_version *v)
{
	uint64_t id = le64_get(&v->parent);
	const struct fmt_version *beside = record_of(page, id);
	const struct check_version *elsewhere =
	    check_version_find(scan->check, id);

	if (beside != NULL)
		return le32_get(&beside->epoch);
	return elsewhere != NULL ? elsewhere->epoch : 0;
}

/* What stood on it stands on its parent. */
static void
record_drop(struct scan *scan, struct fmt_version_page *page,
    struct fmt_version *gone, bool several)
{
	uint64_t id = le64_get(&gone->id);

	check_find(scan->check, CHECK_DAMAGE, "scan.version",
	    "version %llu (%.63s) of an older table: %s: left out",
	    (unsigned long long)id, gone->name,
	    several ? "more than one map may be its own"
		    : "it has no map any more");
	for (unsigned i = 0; i < FMT_PAGE_VERSIONS_COUNT; i++)
		if (le64_get(&page->version[i].parent) == id)
			page->version[i].parent = gone->parent;
	memset(gone, 0, sizeof(*gone));
}

/* A version that was made since the copy may have taken the place of this one:
 * all of it is in doubt. */
static void
root_tell(struct scan *scan, const struct fmt_version *v, bool several)
{
	check_find(scan->check, CHECK_DAMAGE, "scan.choice",
	    "version %llu (%.63s): bytes 0 to %llu: its map is %s of its"
	    " family that no other version has",
	    (unsigned long long)le64_get(&v->id), v->name,
	    (unsigned long long)le64_get(&v->size) - 1,
	    several ? "the newest" : "the only one");
}

/* A snapshot's is what it was.  A volume's may be what a snapshot has now, if
 * there is another that may be its own. */
static bool
root_stays(struct scan *scan, const struct fmt_version *v,
    const struct scan_choice *choice)
{
	uint64_t address = fmt_ptr_address(&v->root);

	if (v->state == FMT_VERSION_HEAD &&
	    (choice->twins ||
		(choice->page != NULL &&
		    (choice->several || choice->page->address != address))))
		return false;
	return root_is_right(scan, v);
}

static void
root_find(
    struct scan *scan, struct fmt_version_page *page, struct fmt_version *v)
{
	struct scan_damage place =
	    root_place(scan, v, parent_epoch(scan, page, v));
	struct scan_choice choice;

	if (v->levels == 0 || v->levels > FMT_MAP_LEVELS_MAX)
		return;
	scan_choose(scan, &place, v->levels - 1u, 0, 1, false, &choice);
	if (root_stays(scan, v, &choice))
		return;
	if (choice.page == NULL) {
		record_drop(scan, page, v, choice.twins);
		return;
	}
	root_tell(scan, v, choice.several);
	fmt_ptr_set(&v->root, choice.page->address, choice.page->birth,
	    choice.page->gen);
	/* not to be found for another, too */
	if (!bits_put(&scan->check->seen, choice.page->address, true))
		scan->check->error = -ENOMEM;
}

static void
versions_mend(struct scan *scan, struct fmt_version_page *page)
{
	unsigned used = 0;

	for (unsigned i = 0; i < FMT_PAGE_VERSIONS_COUNT; i++)
		if (page->version[i].state != FMT_VERSION_NONE)
			root_find(scan, page, &page->version[i]);
	for (unsigned i = 0; i < FMT_PAGE_VERSIONS_COUNT; i++)
		used += page->version[i].state != FMT_VERSION_NONE;
	le32_set(&page->page.used, used);
}

/* ---- a page ---- */

static const struct scan_page *
older_of_table(struct scan *scan, const struct scan_damage *damage)
{
	struct scan_choice choice;

	scan_choose(scan, damage, 0, damage->index, 1, true, &choice);
	return choice.page;
}

int
scan_table_make(struct scan *scan, struct scan_damage *damage)
{
	_Alignas(FMT_BLOCK) struct fmt_version_page page = {
	    .page = {.type = 0}};
	const struct scan_page *older = older_of_table(scan, damage);
	struct fmt_page header;
	bool empty = older == NULL || scan_read(scan, older, &page) < 0;

	damage->older = !empty;
	damage->fate = SCAN_LEFT;
	if (empty && (damage->type == FMT_PAGE_VERSIONS ||
			 damage->type == FMT_PAGE_REGIONS))
		return 0;
	damage->fate = SCAN_MADE;
	if (empty)
		memset(&page, 0, sizeof(page));
	if (damage->type == FMT_PAGE_VERSIONS)
		versions_mend(scan, &page);
	header = page.page;
	scan_header(scan, damage, 0, damage->index, &page);
	page.page.used = header.used;
	return scan_write(scan, damage, &page);
}

/* ---- regions ---- */

/* Has it a page of this pool? */
static bool
region_has_pages(struct scan *scan, uint64_t r)
{
	_Alignas(FMT_BLOCK) uint8_t block[FMT_BLOCK];
	uint64_t per = le32_get(&scan->check->super.region_blocks);
	const struct check_region *region = &scan->check->region[r];

	for (uint64_t n = 0; n < per; n++) {
		struct scan_page page = {
		    .place = fmt_device_address(region->device,
			FMT_DEVICE_HEAD +
			    (region->device_region * per + n) * FMT_BLOCK)};
		if (scan_is_used(scan, r * per + n) &&
		    scan_read(scan, &page, block) == 0)
			return true;
	}
	return false;
}

/* What a free region of an older copy is by now: the bitmap says whether it is
 * in use.  While that cannot be read, since it lies in such a region itself,
 * pages alone can be seen. */
static enum fmt_region_class
region_class(struct scan *scan, uint64_t r)
{
	uint64_t per = le32_get(&scan->check->super.region_blocks);

	if (region_has_pages(scan, r))
		return FMT_REGION_META;
	if (!scan_use_is_known(scan, r * per) ||
	    check_region_count(scan->check, &scan->check->used, r).used == 0)
		return FMT_REGION_FREE;
	return FMT_REGION_DATA;
}

static int
region_page_mend(
    struct scan *scan, const struct scan_damage *damage, bool *made)
{
	_Alignas(FMT_BLOCK) struct fmt_region_page page;
	const struct scan_page at = {.place = fmt_ptr_address(&damage->ptr)};
	uint64_t first = damage->index * FMT_PAGE_REGIONS_COUNT;
	uint64_t count = le64_get(&scan->check->super.region_count);
	bool changed = false;
	int r = scan_read(scan, &at, &page);

	for (unsigned i = 0; i < FMT_PAGE_REGIONS_COUNT && r == 0; i++) {
		struct fmt_region *region = &page.region[i];
		if (first + i >= count || region->class != FMT_REGION_FREE ||
		    scan->check->region[first + i].class != FMT_REGION_FREE)
			continue;
		region->class = (uint8_t)region_class(scan, first + i);
		changed |= region->class != FMT_REGION_FREE;
	}
	*made |= changed;
	return r == 0 && changed ? scan_write(scan, damage, &page) : r;
}

int
scan_regions_mend(struct scan *scan, bool *ret_made)
{
	int r = 0;

	*ret_made = false;
	for (uint32_t i = 0; i < scan->damage_count && r == 0; i++) {
		const struct scan_damage *damage = &scan->damage[i];
		if (damage->type == FMT_PAGE_REGIONS && damage->older &&
		    scan->regions_known)
			r = region_page_mend(scan, damage, ret_made);
	}
	return r;
}
