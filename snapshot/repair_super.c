/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A superblock for a pool that has none left.  The labels say which pool it is
 * and which device is which.  The rest is found, in all blocks of the devices:
 *
 *	gen, regions   each checkpoint writes the root of the regions, so the
 *	               newest of these is the newest checkpoint, maybe one that
 *	               was not finished
 *	other roots    the newest that are not newer than it
 *	epoch, ids     the next after all that are met
 *	region size    the one of which as many as are known fit each device
 *	log            empty: where it went on was in the superblock alone
 *	bitmap         none: what follows makes it anew
 *
 * The newest checkpoint counts; but if its trees cannot be walked, and those of
 * the one before can, then that: the newest was not finished.  What was before
 * is no pool any more, for its blocks were used again.
 */
#include "base/assert.h"
#include "snapshot/repair_scan.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE         (1u << 20)
#define ROOTS_MAX     64u
#define TRIES_MAX     2u
#define LOG_LSN_SPARE (1u << 20) /* more than the records of a block */

/* A page with index 0 of a table, of the highest level met, may be its root. */
struct root_page {
	uint64_t place;
	uint32_t birth, gen;
	uint8_t type, level;
};

struct super_find {
	struct check *check;
	struct root_page root[FMT_PAGE_TYPE_COUNT][ROOTS_MAX]; /* by age */
	unsigned roots[FMT_PAGE_TYPE_COUNT];
	uint8_t levels[FMT_PAGE_TYPE_COUNT];
	uint64_t leaves[FMT_PAGE_TYPE_COUNT]; /* pages of level 0 */
	uint32_t epoch;
	uint64_t version, group, lsn, incarnation;
	bool snapshots;

	/* of the regions at hand */
	uint64_t regions, log_first, log_count;
	uint64_t on_device[FMT_DEVICE_MAX];
	bool mirrors;
	struct meta_place {
		unsigned device;
		uint32_t device_region;
		uint64_t region;
	} * meta; /* of regions with pages, and of their mirrors */
	uint32_t meta_count, meta_room;
};

/* ---- what is met ---- */

static void
raise_to(uint64_t *value, uint64_t met)
{
	if (*value < met)
		*value = met;
}

/* The newest come first; a higher level drops what was below. */
static void
root_take(struct super_find *f, const struct fmt_page *page, uint64_t place)
{
	struct root_page *root = f->root[page->type];
	unsigned n = f->roots[page->type], at = 0;
	uint32_t gen = le32_get(&page->gen);

	if (page->level + 1u > f->levels[page->type]) {
		f->levels[page->type] = (uint8_t)(page->level + 1);
		n = 0;
	}
	while (at < n && root[at].gen >= gen)
		at++;
	f->roots[page->type] = n;
	if (at == ROOTS_MAX)
		return;
	if (n == ROOTS_MAX)
		n--;
	memmove(&root[at + 1], &root[at], (n - at) * sizeof(root[0]));
	root[at] = (struct root_page){
	    place, le32_get(&page->birth), gen, page->type, page->level};
	f->roots[page->type] = n + 1;
}

static void
records_take(struct super_find *f, const struct fmt_page *page)
{
	const struct fmt_version_page *versions = (const void *)page;
	const struct fmt_group_page *groups = (const void *)page;

	for (unsigned i = 0;
	     page->type == FMT_PAGE_VERSIONS && i < FMT_PAGE_VERSIONS_COUNT;
	     i++) {
		const struct fmt_version *v = &versions->version[i];
		raise_to(&f->version, le64_get(&v->id));
		f->snapshots |=
		    le64_get(&v->parent) != 0 || v->state == FMT_VERSION_SNAP;
		if (le32_get(&v->epoch) >= f->epoch)
			f->epoch = le32_get(&v->epoch) + 1;
	}
	for (unsigned i = 0;
	     page->type == FMT_PAGE_GROUPS && i < FMT_PAGE_GROUPS_COUNT; i++)
		raise_to(&f->group, le64_get(&groups->group[i].id));
}

static void
page_take(struct super_find *f, const struct fmt_page *page, uint64_t place)
{
	if (page->type >= FMT_PAGE_TYPE_COUNT || page->level >= FMT_LEVELS_MAX)
		return;
	if (le32_get(&page->birth) > f->epoch)
		f->epoch = le32_get(&page->birth);
	raise_to(&f->lsn, le64_get(&page->lsn));
	raise_to(&f->version, le64_get(&page->version));
	f->snapshots |=
	    page->type == FMT_PAGE_FINE || page->type == FMT_PAGE_BOOKMARKS;
	if (page->type == FMT_PAGE_MAP || page->type == FMT_PAGE_FINE)
		return;
	if (le64_get(&page->index) == 0)
		root_take(f, page, place);
	if (page->level == 0) {
		raise_to(&f->leaves[page->type], le64_get(&page->index) + 1);
		records_take(f, page);
	}
}

static void
block_look(struct super_find *f, const uint8_t *block, uint64_t place)
{
	const struct fmt_log_block *log = (const void *)block;

	if (fmt_page_check_sum(block, f->check->pool_tag) == NULL)
		page_take(f, (const void *)block, place);
	if (le32_get(&log->magic) == FMT_LOG_MAGIC &&
	    memcmp(log->pool_uuid, f->check->super.uuid, 16) == 0) {
		raise_to(&f->incarnation, le64_get(&log->incarnation));
		raise_to(&f->lsn, le64_get(&log->first_lsn));
	}
}

static int
device_look(struct super_find *f, unsigned d)
{
	struct backstore *bs = f->check->device[d];
	uint8_t *piece = aligned_alloc(FMT_BLOCK, PIECE);
	uint64_t end = bs->size - FMT_DEVICE_TAIL;

	if (piece == NULL)
		return -ENOMEM;
	for (uint64_t at = FMT_DEVICE_HEAD; at < end; at += PIECE) {
		uint32_t length =
		    end - at < PIECE ? (uint32_t)(end - at) : PIECE;
		bool whole = check_read(f->check, bs, at, piece, length) == 0;
		for (uint32_t n = 0; n + FMT_BLOCK <= length; n += FMT_BLOCK)
			if (whole || check_read(f->check, bs, at + n, piece + n,
					 FMT_BLOCK) == 0)
				block_look(f, piece + n,
				    fmt_device_address(d, at + n));
	}
	free(piece);
	return 0;
}

/* ---- regions ---- */

static void
meta_take(struct super_find *f, uint64_t r, unsigned device, uint32_t at)
{
	struct meta_place *room = check_grow(
	    f->check, f->meta, f->meta_count, &f->meta_room, sizeof(*room));

	if (room == NULL)
		return;
	f->meta = room;
	f->meta[f->meta_count++] = (struct meta_place){device, at, r};
}

static void
regions_take(struct check_walk *walk, uint64_t index, const uint8_t *page)
{
	static const struct fmt_region none;
	const struct fmt_region_page *p = (const void *)page;
	struct super_find *f = walk->arg;

	for (unsigned i = 0; i < FMT_PAGE_REGIONS_COUNT; i++) {
		const struct fmt_region *region = &p->region[i];
		uint64_t r = index * FMT_PAGE_REGIONS_COUNT + i;
		unsigned device = le16_get(&region->device);
		if (memcmp(region, &none, sizeof(none)) == 0 ||
		    device >= FMT_DEVICE_MAX)
			continue;
		raise_to(&f->regions, r + 1);
		raise_to(&f->on_device[device],
		    le32_get(&region->device_region) + 1ull);
		f->mirrors |= region->class == FMT_REGION_MIRROR;
		if (region->class == FMT_REGION_META)
			meta_take(
			    f, r, device, le32_get(&region->device_region));
		if (region->class == FMT_REGION_META &&
		    le32_get(&region->mirror_gen) != 0)
			meta_take(f, r, le16_get(&region->mirror_device),
			    le32_get(&region->mirror_region));
		if (region->class == FMT_REGION_LOG && f->log_count++ == 0)
			f->log_first = r;
	}
}

static void
regions_walk(struct super_find *f, const struct root_page *root)
{
	struct check_walk walk = {.check = f->check,
	    .what = "region map",
	    .type = FMT_PAGE_REGIONS,
	    .by_device = true,
	    .count = UINT32_MAX,
	    .leaf = regions_take,
	    .arg = f};
	struct fmt_ptr ptr;

	f->regions = f->log_first = f->log_count = 0;
	memset(f->on_device, 0, sizeof(f->on_device));
	f->mirrors = false;
	f->meta_count = 0;
	fmt_ptr_set(&ptr, root->place, root->birth, root->gen);
	walk_root(&walk, &ptr, root->level + 1u);
}

/* 0: no size fits. */
static uint64_t
region_bytes(const struct super_find *f, const struct fmt_super *super)
{
	for (uint64_t bytes = FMT_REGION_MAX; bytes >= FMT_REGION_MIN;
	     bytes /= 2) {
		bool fits = true;
		for (unsigned d = 0; d < le32_get(&super->device_count); d++)
			fits &= (le64_get(&super->device[d].size) -
				    FMT_DEVICE_HEAD - FMT_DEVICE_TAIL) /
				    bytes ==
				f->on_device[d];
		if (fits)
			return bytes;
	}
	return 0;
}

/* ---- a superblock ---- */

/* 0: it lies in no region for pages. */
static uint64_t
address_of(const struct super_find *f, uint64_t place)
{
	uint64_t per = le32_get(&f->check->super.region_blocks);
	uint64_t block = (place & ((1ull << FMT_DEVICE_SHIFT) - 1)) -
			 FMT_DEVICE_HEAD / FMT_BLOCK;

	for (uint32_t i = 0; i < f->meta_count; i++)
		if (f->meta[i].device == place >> FMT_DEVICE_SHIFT &&
		    f->meta[i].device_region == block / per)
			return f->meta[i].region * per + block % per;
	return 0;
}

static void
root_set(struct super_find *f, struct fmt_root *root, enum fmt_page_type type,
    uint32_t gen, unsigned per_page)
{
	memset(root, 0, sizeof(*root));
	for (unsigned i = 0; i < f->roots[type]; i++) {
		const struct root_page *page = &f->root[type][i];
		uint64_t address = type == FMT_PAGE_REGIONS
				       ? page->place
				       : address_of(f, page->place);
		if (page->gen > gen || address == 0)
			continue;
		fmt_ptr_set(&root->ptr, address, page->birth, page->gen);
		root->levels = (uint8_t)(page->level + 1);
		le64_set(&root->count, f->leaves[type] * per_page);
		return;
	}
}

/* From the labels. */
static int
devices_set(struct check *check)
{
	struct fmt_super *super = &check->super;
	unsigned first = 0, devices = 0;

	while (first < check->bs_count && !check->labelled[first])
		first++;
	if (first == check->bs_count)
		return -ENOENT;
	memset(super, 0, sizeof(*super));
	memcpy(super->uuid, check->label[first].pool_uuid, 16);
	memcpy(super->name, check->label[first].pool_name, FMT_NAME);
	for (unsigned n = first; n < check->bs_count; n++) {
		const struct fmt_label *label = &check->label[n];
		unsigned d = le32_get(&label->index);
		if (!check->labelled[n] ||
		    memcmp(label->pool_uuid, super->uuid, 16) != 0 ||
		    check->device[d] != NULL)
			continue;
		check->device[d] = check->bs[n];
		memcpy(super->device[d].uuid, label->device_uuid, 16);
		super->device[d].size = label->size;
		devices = d + 1 > devices ? d + 1 : devices;
		if (le64_get(&label->size) > check->bs[n]->size ||
		    le64_get(&label->size) <=
			FMT_DEVICE_HEAD + FMT_DEVICE_TAIL + FMT_REGION_MIN)
			return -EBADMSG;
	}
	for (unsigned d = 0; d < devices; d++)
		if (check->device[d] == NULL)
			return -ENODEV;
	le32_set(&super->device_count, devices);
	check->pool_tag = fmt_pool_tag(super->uuid);
	return 0;
}

static void
super_constants(struct super_find *f)
{
	struct fmt_super *super = &f->check->super;

	le32_set(&super->magic, FMT_SUPER_MAGIC);
	le32_set(&super->version, FMT_VERSION);
	memcpy(super->writer, "varve rescue", sizeof("varve rescue"));
	le32_set(&super->epoch, f->epoch == 0 ? 1 : f->epoch);
	super->soft_percent = 80;
	super->hard_percent = 95;
	le64_set(&super->next_version, f->version + 1);
	le64_set(&super->next_group, f->group + 1);
	le64_set(&super->ro_compat, f->snapshots ? FMT_RO_COMPAT_SNAPSHOTS : 0);
	/* it has not come further than its newest block */
	le64_set(&super->checkpoint_lsn, f->lsn + LOG_LSN_SPARE);
	le64_set(&super->log_seq, 1);
	le64_set(&super->log_incarnation, f->incarnation + 1);
}

/* As of the checkpoint that wrote that root of regions: false, it cannot be. */
static bool
super_of(struct super_find *f, const struct root_page *root)
{
	struct check *check = f->check;
	struct fmt_super *super = &check->super;
	uint64_t bytes;

	le64_set(&super->gen, root->gen);
	regions_walk(f, root);
	bytes = region_bytes(f, super);
	if (bytes == 0 || f->regions == 0 || f->log_count == 0)
		return false;
	for (unsigned d = 0; d < le32_get(&super->device_count); d++)
		le64_set(&super->device[d].regions, f->on_device[d]);
	le32_set(&super->region_blocks, (uint32_t)(bytes / FMT_BLOCK));
	le64_set(&super->region_count, f->regions);
	le64_set(&super->log_start, f->log_first * bytes / FMT_BLOCK);
	le64_set(&super->log_blocks, f->log_count * bytes / FMT_BLOCK);
	le64_set(&super->incompat, f->mirrors ? FMT_INCOMPAT_MIRRORS : 0);
	le32_set(&super->flags, f->mirrors ? 0 : FMT_SUPER_NO_MIRROR);
	return true;
}

/* Where addresses mean something. */
static void
roots_set(struct super_find *f, uint32_t gen)
{
	struct fmt_super *super = &f->check->super;
	uint64_t blocks =
	    le64_get(&super->region_count) * le32_get(&super->region_blocks);

	root_set(f, &super->regions, FMT_PAGE_REGIONS, gen, 1);
	le64_set(&super->regions.count, le64_get(&super->region_count));
	root_set(f, &super->versions, FMT_PAGE_VERSIONS, gen,
	    FMT_PAGE_VERSIONS_COUNT);
	root_set(f, &super->bookmarks, FMT_PAGE_BOOKMARKS, gen,
	    FMT_PAGE_BOOKMARKS_COUNT);
	root_set(
	    f, &super->groups, FMT_PAGE_GROUPS, gen, FMT_PAGE_GROUPS_COUNT);
	root_set(f, &super->lost, FMT_PAGE_LOST, gen, FMT_PAGE_LOST_COUNT);
	super->bitmap.levels = (uint8_t)fmt_tree_levels(
	    (blocks + FMT_BITMAP_BLOCKS - 1) / FMT_BITMAP_BLOCKS);
	le64_set(&super->bitmap.count, blocks);
	/* a pointer into the log is none: what is in use is not known */
	fmt_ptr_set(
	    &super->bitmap.ptr, le64_get(&super->log_start) + 1, 1, gen);
}

static int
super_put(struct super_find *f)
{
	struct check *check = f->check;
	struct fmt_super *super = &check->super;
	uint8_t *block = check->buffer[0];
	int r = 0;

	fmt_super_seal(super);
	if (fmt_super_check(super) != NULL)
		return -EBADMSG;
	memcpy(block, super, sizeof(*super));
	for (unsigned d = 0; d < le32_get(&super->device_count) &&
			     d < FMT_SUPER_DEVICES && r == 0;
	     d++)
		r = check_write(check, check->device[d],
		    fmt_super_offset(le64_get(&super->gen) % FMT_SUPER_SLOTS),
		    block, FMT_BLOCK);
	return r;
}

/* ---- all of it ---- */

/* False: there is none of that age. */
static bool
super_make(struct super_find *f, const struct root_page *root, int *ret_error)
{
	if (!super_of(f, root))
		return false;
	roots_set(f, root->gen);
	*ret_error = super_put(f);
	return true;
}

static int
super_try(struct super_find *f, struct repair *repair)
{
	const struct root_page *root = f->root[FMT_PAGE_REGIONS];
	const struct root_page *best = NULL;
	int r = 0;

	for (unsigned i = 0, tries = 0;
	     i < f->roots[FMT_PAGE_REGIONS] && tries < TRIES_MAX; i++) {
		if ((i > 0 && root[i].gen == root[i - 1].gen) ||
		    !super_make(f, &root[i], &r))
			continue; /* its mirror, or not one of ours */
		tries++;
		if (r < 0 || repair_beyond(repair) == 0)
			return r;
		best = best == NULL ? &root[i] : best;
		r = repair_super_wipe(repair, &f->check->super);
		if (r < 0)
			return r;
	}
	if (best == NULL || !super_make(f, best, &r))
		return -EBADMSG;
	return r;
}

static int
super_look(struct super_find *f)
{
	int r = devices_set(f->check);

	for (unsigned d = 0;
	     d < le32_get(&f->check->super.device_count) && r == 0; d++)
		r = device_look(f, d);
	if (r == 0)
		super_constants(f);
	return r < 0 ? r : f->check->error;
}

static void
super_tell(struct super_find *f, struct check_report *report, int r)
{
	f->check->report = report;
	if (r < 0)
		check_find(f->check, CHECK_DAMAGE, "scan.super",
		    "no superblock is left, and none can be made: %u roots of"
		    " the region map, %u of the version table were found",
		    f->roots[FMT_PAGE_REGIONS], f->roots[FMT_PAGE_VERSIONS]);
	else
		check_find(f->check, CHECK_DAMAGE, "scan.super",
		    "no superblock was left: one was made of the pages of"
		    " checkpoint %llu; what the log had since then is lost",
		    (unsigned long long)le64_get(&f->check->super.gen));
}

int
scan_super_make(struct repair *repair, struct check_report *report)
{
	struct check_report mute = {.finding = NULL};
	struct check check = {.bs = repair->bs,
	    .bs_count = repair->count,
	    .step = repair->step,
	    .step_arg = repair->step_arg,
	    .report = &mute};
	struct super_find *f = calloc(1, sizeof(*f));
	int r = f == NULL ? -ENOMEM : check_open(&check);
	bool none = r == -EBADMSG && le32_get(&check.super.magic) == 0;

	if (none) {
		f->check = &check;
		r = super_look(f);
		if (r == 0)
			r = super_try(f, repair);
		super_tell(f, report, r);
	}
	if (f != NULL)
		free(f->meta);
	free(f);
	check_done(&check);
	return r;
}
