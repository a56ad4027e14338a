/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/dump.h"
#include "base/assert.h"
#include "base/zero.h"
#include "snapshot/check_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct dumping {
	struct check *check;
	const struct dump *dump;
	struct check_walk walk;
	uint8_t *page[FMT_LEVELS_MAX];
	uint8_t *fine;
};

/* ---- tables ---- */

static void
regions_leaf(struct check_walk *walk, uint64_t index, const uint8_t *page)
{
	const struct dumping *d = walk->arg;
	const struct fmt_region_page *p = (const void *)page;
	uint64_t first = index * FMT_PAGE_REGIONS_COUNT;

	for (unsigned i = 0; i < FMT_PAGE_REGIONS_COUNT; i++)
		if (first + i < le64_get(&d->check->super.region_count))
			d->dump->region(d->dump->arg, first + i, &p->region[i]);
}

static void
versions_leaf(struct check_walk *walk, uint64_t index, const uint8_t *page)
{
	const struct dumping *d = walk->arg;
	const struct fmt_version_page *p = (const void *)page;

	for (unsigned i = 0; i < FMT_PAGE_VERSIONS_COUNT; i++)
		if (!is_zero(&p->version[i], sizeof(p->version[i])))
			d->dump->record(d->dump->arg,
			    index * FMT_PAGE_VERSIONS_COUNT + i,
			    &p->version[i]);
}

static void
bookmarks_leaf(struct check_walk *walk, uint64_t index, const uint8_t *page)
{
	const struct dumping *d = walk->arg;
	const struct fmt_bookmark_page *p = (const void *)page;

	(void)index;
	for (unsigned i = 0; i < FMT_PAGE_BOOKMARKS_COUNT; i++)
		if (!is_zero(&p->bookmark[i], sizeof(p->bookmark[i])))
			d->dump->bookmark(d->dump->arg, &p->bookmark[i]);
}

static void
groups_leaf(struct check_walk *walk, uint64_t index, const uint8_t *page)
{
	const struct dumping *d = walk->arg;
	const struct fmt_group_page *p = (const void *)page;

	(void)index;
	for (unsigned i = 0; i < FMT_PAGE_GROUPS_COUNT; i++)
		if (!is_zero(&p->group[i], sizeof(p->group[i])))
			d->dump->group(d->dump->arg, &p->group[i]);
}

static void
lost_leaf(struct check_walk *walk, uint64_t index, const uint8_t *page)
{
	const struct dumping *d = walk->arg;
	const struct fmt_lost_page *p = (const void *)page;

	(void)index;
	for (unsigned i = 0; i < FMT_PAGE_LOST_COUNT; i++)
		if (!is_zero(&p->lost[i], sizeof(p->lost[i])))
			d->dump->lost(d->dump->arg, &p->lost[i]);
}

/* Those that the pass before has claimed are claimed anew. */
static void
table_dump(struct dumping *d, const struct fmt_root *root, uint8_t type,
    bool by_device, unsigned per_page,
    void (*leaf)(struct check_walk *walk, uint64_t index, const uint8_t *page))
{
	uint64_t slots = le64_get(&root->count);
	struct check_walk walk = {.check = d->check,
	    .what = "table",
	    .type = type,
	    .by_device = by_device,
	    .count = slots / per_page + (slots % per_page != 0),
	    .leaf = leaf,
	    .arg = d};

	bits_free(&d->check->seen);
	if (bits_init(&d->check->seen, d->check->blocks) < 0)
		d->check->error = -ENOMEM;
	if (d->check->error == 0)
		walk_root(&walk, &root->ptr, root->levels);
}

static void
tables_dump(struct dumping *d)
{
	const struct fmt_super *super = &d->check->super;

	table_dump(d, &super->regions, FMT_PAGE_REGIONS, true,
	    FMT_PAGE_REGIONS_COUNT, regions_leaf);
	table_dump(d, &super->versions, FMT_PAGE_VERSIONS, false,
	    FMT_PAGE_VERSIONS_COUNT, versions_leaf);
	table_dump(d, &super->bookmarks, FMT_PAGE_BOOKMARKS, false,
	    FMT_PAGE_BOOKMARKS_COUNT, bookmarks_leaf);
	table_dump(d, &super->groups, FMT_PAGE_GROUPS, false,
	    FMT_PAGE_GROUPS_COUNT, groups_leaf);
	table_dump(d, &super->lost, FMT_PAGE_LOST, false, FMT_PAGE_LOST_COUNT,
	    lost_leaf);
}

/* ---- a map ---- */

static void
fine_dump(struct dumping *d, const struct fmt_ptr *ptr, uint64_t index)
{
	const struct dump *dump = d->dump;
	const struct fmt_fine *fine = (const void *)d->fine;
	struct check_walk walk = d->walk;

	walk.type = FMT_PAGE_FINE;
	if (fmt_ptr_address(ptr) == 0 ||
	    !walk_read_again(&walk, ptr, 0, index, d->fine))
		return;
	dump->page(dump->arg, &fine->page, fmt_ptr_address(ptr));
	for (unsigned n = 0; n < FMT_FINE_SUBS; n++)
		if (!is_zero(&fine->sub[n], sizeof(fine->sub[n])))
			dump->sub(dump->arg, n, &fine->sub[n]);
}

static void
leaf_dump(struct dumping *d, uint64_t index)
{
	const struct fmt_leaf *leaf = (const void *)d->page[0];
	const struct dump *dump = d->dump;

	for (unsigned c = 0; c < FMT_LEAF_CHUNKS; c++)
		if (!is_zero(&leaf->entry[c], sizeof(leaf->entry[c])))
			dump->entry(dump->arg, index * FMT_LEAF_CHUNKS + c,
			    &leaf->entry[c]);
	for (unsigned slot = 0; slot < FMT_LEAF_FINE; slot++)
		fine_dump(d, &leaf->fine[slot], index * FMT_LEAF_FINE + slot);
}

/* Goes down at most FMT_LEVELS_MAX times: each call is one level lower. */
static void
page_dump(struct dumping *d, const struct fmt_ptr *ptr, unsigned level,
    uint64_t index)
{
	const struct fmt_inner *inner = (const void *)d->page[level];

	if (fmt_ptr_address(ptr) == 0)
		return;
	if (!walk_read_again(&d->walk, ptr, level, index, d->page[level])) {
		check_find(d->check, CHECK_DAMAGE, "meta.page",
		    "page at %llu (level %u, index %llu) is not right",
		    (unsigned long long)fmt_ptr_address(ptr), level,
		    (unsigned long long)index);
		return;
	}
	d->dump->page(d->dump->arg, &inner->page, fmt_ptr_address(ptr));
	if (level == 0) {
		leaf_dump(d, index);
		return;
	}
	for (unsigned i = 0; i < FMT_FANOUT; i++)
		page_dump(d, &inner->ptr[i], level - 1, index * FMT_FANOUT + i);
}

static int
map_dump(struct dumping *d)
{
	const struct check_version *v =
	    check_version_find(d->check, d->dump->version);

	if (v == NULL)
		return -ESRCH;
	d->walk = (struct check_walk){
	    .check = d->check, .type = FMT_PAGE_MAP, .family = v->family};
	page_dump(d, &v->root, v->levels - 1u, 0);
	return 0;
}

int
pool_dump(struct backstore **bs, unsigned count, void (*step)(void *arg),
    void *step_arg, struct check_report *report, const struct dump *dump)
{
	struct check check = {.bs = bs,
	    .bs_count = count,
	    .step = step,
	    .step_arg = step_arg,
	    .report = report};
	struct dumping d = {.check = &check, .dump = dump};
	uint8_t *pages =
	    aligned_alloc(FMT_BLOCK, (FMT_LEVELS_MAX + 1) * FMT_BLOCK);
	int r = pages == NULL ? -ENOMEM : check_open(&check);

	for (unsigned i = 0; i < FMT_LEVELS_MAX; i++)
		d.page[i] = pages + (size_t)i * FMT_BLOCK;
	d.fine = pages + (size_t)FMT_LEVELS_MAX * FMT_BLOCK;
	if (r == 0) {
		dump->super(dump->arg, &check.super);
		tables_dump(&d);
	}
	if (r == 0 && dump->version != 0)
		r = map_dump(&d);
	if (r == 0)
		r = check.error;
	check_done(&check);
	free(pages);
	return r;
}
