/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The trees that a repair writes anew, all of them at once: first each page
 * gets an address, then the bitmap is known, then the pages are made from the
 * leaves up, and last the superblock, with the next generation in the other
 * slot.
 */
#include "base/assert.h"
#include "base/crc32c.h"
#include "snapshot/repair_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A tree in memory; pages that are NULL are holes. */
struct tree_new {
	uint8_t type;
	bool raw, by_device;
	unsigned levels;
	uint64_t count[FMT_LEVELS_MAX]; /* pages of a level */
	uint8_t **page[FMT_LEVELS_MAX];
	uint64_t *address[FMT_LEVELS_MAX];
	struct fmt_ptr root;
};

struct rebuild {
	struct check *check;
	struct check_bits old; /* pages of the trees that are written anew */
	uint64_t next;         /* where to look for room */
	bool convert;          /* regions that are free, too */
	uint32_t gen;
	struct tree_new regions, versions, bitmap;
	struct tree_new lost; /* no levels: it stays */
	uint64_t lost_slots;
	int error;
};

/* ---- trees in memory ---- */

static int
tree_init(struct tree_new *tree, uint8_t type, uint64_t leaves, unsigned levels)
{
	tree->type = type;
	tree->levels = fmt_tree_levels(leaves);
	if (tree->levels < levels)
		tree->levels = levels;
	for (unsigned l = 0; l < tree->levels; l++) {
		tree->count[l] = leaves;
		tree->page[l] = calloc(leaves + 1, sizeof(tree->page[l][0]));
		tree->address[l] =
		    calloc(leaves + 1, sizeof(tree->address[l][0]));
		if (tree->page[l] == NULL || tree->address[l] == NULL)
			return -ENOMEM;
		leaves = (leaves + FMT_FANOUT - 1) / FMT_FANOUT;
	}
	return 0;
}

static void
tree_free(struct tree_new *tree)
{
	for (unsigned l = 0; l < tree->levels; l++) {
		for (uint64_t i = 0;
		     tree->page[l] != NULL && i < tree->count[l]; i++)
			free(tree->page[l][i]);
		free(tree->page[l]);
		free(tree->address[l]);
	}
}

static uint8_t *
tree_page(struct rebuild *r, struct tree_new *tree, unsigned level, uint64_t i)
{
	if (tree->page[level][i] == NULL) {
		tree->page[level][i] = aligned_alloc(FMT_BLOCK, FMT_BLOCK);
		if (tree->page[level][i] == NULL)
			r->error = -ENOMEM;
		else
			memset(tree->page[level][i], 0, FMT_BLOCK);
	}
	return tree->page[level][i];
}

/* Each page has one above it. */
static void
tree_fill_levels(struct rebuild *r, struct tree_new *tree)
{
	for (unsigned l = 1; l < tree->levels; l++)
		for (uint64_t i = 0; i < tree->count[l - 1]; i++)
			if (tree->page[l - 1][i] != NULL)
				tree_page(r, tree, l, i / FMT_FANOUT);
}

/* ---- loading what there is ---- */

static void
load_leaf(struct check_walk *walk, uint64_t index, const uint8_t *page)
{
	struct tree_new *tree = walk->arg;

	tree->page[0][index] = aligned_alloc(FMT_BLOCK, FMT_BLOCK);
	if (tree->page[0][index] == NULL)
		walk->check->error = -ENOMEM;
	else
		memcpy(tree->page[0][index], page, FMT_BLOCK);
}

/* The checks before have found it whole: only then is it built upon. */
static int
tree_load(struct rebuild *r, struct tree_new *tree, uint8_t type,
    const struct fmt_root *root, unsigned per_page)
{
	uint64_t slots = le64_get(&root->count);
	uint64_t leaves = slots / per_page + (slots % per_page != 0);
	struct check_walk walk = {.check = r->check,
	    .what = "table",
	    .type = type,
	    .by_device = type == FMT_PAGE_REGIONS,
	    .count = leaves,
	    .leaf = load_leaf,
	    .arg = tree};

	if (tree_init(tree, type, leaves, root->levels) < 0)
		return -ENOMEM;
	tree->by_device = walk.by_device;
	walk_root(&walk, &root->ptr, root->levels);
	return r->check->error;
}

/* ---- room ---- */

/* Can pages lie in that region?  One that is free becomes theirs. */
static bool
region_has_room(struct rebuild *r, uint64_t n)
{
	struct check_region *region = &r->check->region[n];

	if (region->class == FMT_REGION_FREE && r->convert)
		region->class = FMT_REGION_META;
	return region->class == FMT_REGION_META;
}

/* The next block that neither the new nor the old state uses. */
static bool
room_find(struct rebuild *r)
{
	struct check *check = r->check;
	uint32_t per = le32_get(&check->super.region_blocks);

	while (r->next < check->blocks) {
		if (!region_has_room(r, r->next / per))
			r->next = (r->next / per + 1) * per;
		else if (bits_get(&check->seen, r->next) ||
			 bits_get(&check->used, r->next) ||
			 bits_get(&r->old, r->next))
			r->next++;
		else
			return true;
	}
	return false;
}

static uint64_t
room_take(struct rebuild *r)
{
	bool found = room_find(r);

	if (!found && !r->convert) {
		r->convert = true;
		r->next = 0;
		found = room_find(r);
	}
	if (!found)
		r->error = -ENOSPC;
	else if (!bits_put(&r->check->seen, r->next, true))
		r->error = -ENOMEM;
	return found ? r->next++ : 0;
}

static void
tree_place(struct rebuild *r, struct tree_new *tree)
{
	tree_fill_levels(r, tree);
	for (unsigned l = 0; l < tree->levels; l++)
		for (uint64_t i = 0; i < tree->count[l] && r->error == 0; i++)
			if (tree->page[l][i] != NULL)
				tree->address[l][i] = room_take(r);
}

/* ---- contents ---- */

static bool
region_has_bits(const struct check_region *region)
{
	return region->class == FMT_REGION_DATA ||
	       region->class == FMT_REGION_META;
}

/* Pages for the bits of all regions that may have any. */
static void
bitmap_shape(struct rebuild *r)
{
	struct check *check = r->check;
	uint32_t per = le32_get(&check->super.region_blocks);
	uint64_t regions = le64_get(&check->super.region_count);

	for (uint64_t n = 0; n < regions && r->error == 0; n++) {
		uint64_t first = n * per, last = first + per - 1;
		if (check->region[n].class == FMT_REGION_LOG)
			continue;
		for (uint64_t i = first / FMT_BITMAP_BLOCKS;
		     i <= last / FMT_BITMAP_BLOCKS && r->error == 0; i++)
			tree_page(r, &r->bitmap, 0, i);
	}
}

static void
bitmap_fill(struct rebuild *r)
{
	const struct check_bits *seen = &r->check->seen;

	for (uint64_t i = 0; i < r->bitmap.count[0]; i++)
		if (r->bitmap.page[0][i] != NULL && seen->page[i] != NULL)
			memcpy(r->bitmap.page[0][i], seen->page[i], FMT_BLOCK);
}

static void
regions_fill(struct rebuild *r, struct fmt_super *super)
{
	struct check *check = r->check;
	uint32_t per = le32_get(&check->super.region_blocks);
	uint64_t data = 0, meta = 0;

	for (uint64_t n = 0; n < le64_get(&check->super.region_count); n++) {
		struct fmt_region_page *page =
		    (void *)r->regions.page[0][n / FMT_PAGE_REGIONS_COUNT];
		struct fmt_region *region;
		struct region_count counted =
		    check_region_count(check, &check->seen, n);
		if (page == NULL) {
			r->error = -EBADMSG;
			return;
		}
		region = &page->region[n % FMT_PAGE_REGIONS_COUNT];
		region->class = check->region[n].class;
		if (region->class > FMT_REGION_META)
			continue;
		le32_set(&region->free_blocks, per - counted.used);
		le32_set(&region->free_chunks, counted.free_chunks);
		data += region->class == FMT_REGION_DATA ? counted.used : 0;
		meta += region->class == FMT_REGION_META ? counted.used : 0;
	}
	le64_set(&super->data_blocks, data);
	le64_set(&super->meta_blocks, meta);
}

static uint32_t
newest_bookmark(const struct check *check, uint64_t volume)
{
	uint32_t newest = 0;

	for (uint32_t i = 0; i < check->bookmark_count; i++)
		if (check->bookmark[i].volume == volume &&
		    check->bookmark[i].epoch > newest)
			newest = check->bookmark[i].epoch;
	return newest;
}

static bool
group_exists(const struct check *check, uint64_t id)
{
	for (uint32_t i = 0; i < check->group_count; i++)
		if (check->group[i] == id)
			return true;
	return false;
}

/* What a record says of marks that are gone. */
static void
version_fill_marks(struct rebuild *r, struct fmt_version *v)
{
	if (v->state == FMT_VERSION_HEAD)
		le32_set(&v->bookmark_epoch,
		    newest_bookmark(r->check, le64_get(&v->id)));
	if (!group_exists(r->check, le64_get(&v->group)))
		le64_set(&v->group, 0);
}

static void
versions_fill(struct rebuild *r, unsigned flags)
{
	for (uint64_t i = 0; i < r->versions.count[0]; i++) {
		struct fmt_version_page *page = (void *)r->versions.page[0][i];
		for (unsigned n = 0;
		     page != NULL && n < FMT_PAGE_VERSIONS_COUNT; n++) {
			struct fmt_version *v = &page->version[n];
			const struct check_version *seen =
			    check_version_find(r->check, le64_get(&v->id));
			if (flags & REBUILD_MARKS)
				version_fill_marks(r, v);
			if (seen == NULL || !seen->sum.known ||
			    v->state == FMT_VERSION_DELETING)
				continue;
			le64_set(&v->live_blocks, seen->sum.live);
			le64_set(&v->held_blocks, seen->sum.held);
		}
	}
}

static void
lost_fill(struct rebuild *r)
{
	struct check *check = r->check;

	for (uint32_t i = 0; i < check->counted_count && r->error == 0; i++) {
		struct fmt_lost_page *page =
		    (void *)tree_page(r, &r->lost, 0, i / FMT_PAGE_LOST_COUNT);
		struct fmt_lost *lost;
		if (page == NULL)
			return;
		lost = &page->lost[i % FMT_PAGE_LOST_COUNT];
		le32_set(&lost->account, check->counted[i].account);
		le32_set(&lost->birth, check->counted[i].birth);
		le64_set(&lost->blocks, check->counted[i].blocks);
	}
}

/* ---- writing ---- */

static uint64_t
place_of(struct rebuild *r, uint64_t address, unsigned *ret_device)
{
	const struct check *check = r->check;
	uint32_t per = le32_get(&check->super.region_blocks);
	const struct check_region *region = &check->region[address / per];

	*ret_device = region->device;
	return FMT_DEVICE_HEAD +
	       ((uint64_t)region->device_region * per + address % per) *
		   FMT_BLOCK;
}

static unsigned
page_used(const struct tree_new *tree, unsigned level, const uint8_t *page)
{
	const size_t size =
	    level > 0                        ? sizeof(struct fmt_ptr)
	    : tree->type == FMT_PAGE_REGIONS ? sizeof(struct fmt_region)
	    : tree->type == FMT_PAGE_LOST    ? sizeof(struct fmt_lost)
					     : sizeof(struct fmt_version);
	const unsigned count =
	    level > 0                        ? FMT_FANOUT
	    : tree->type == FMT_PAGE_REGIONS ? FMT_PAGE_REGIONS_COUNT
	    : tree->type == FMT_PAGE_LOST    ? FMT_PAGE_LOST_COUNT
					     : FMT_PAGE_VERSIONS_COUNT;
	static const uint8_t nothing[sizeof(struct fmt_version)];
	unsigned used = 0;

	for (unsigned i = 0; i < count; i++)
		used += memcmp(page + sizeof(struct fmt_page) + i * size,
			    nothing, size) != 0;
	return used;
}

static void
page_seal(struct rebuild *r, const struct tree_new *tree, unsigned level,
    uint64_t index, uint8_t *page)
{
	const struct fmt_super *super = &r->check->super;
	struct fmt_page *header = (void *)page;

	memset(header, 0, sizeof(*header));
	le32_set(&header->magic, FMT_PAGE_MAGIC);
	header->type = tree->type;
	header->level = (uint8_t)level;
	le32_set(&header->gen, r->gen);
	le32_set(&header->birth, le32_get(&super->epoch));
	le32_set(&header->used, page_used(tree, level, page));
	le64_set(&header->index, index);
	le64_set(&header->lsn, le64_get(&super->checkpoint_lsn));
	le64_set(&header->pool, r->check->pool_tag);
	fmt_page_seal(page);
}

static struct fmt_ptr
page_write(struct rebuild *r, struct tree_new *tree, unsigned level, uint64_t i)
{
	uint8_t *page = tree->page[level][i];
	uint64_t address = tree->address[level][i], offset;
	struct fmt_ptr ptr;
	unsigned device;

	offset = place_of(r, address, &device);
	if (tree->raw && level == 0) {
		fmt_ptr_set(&ptr, address, r->gen, crc32c(page, FMT_BLOCK));
	} else {
		page_seal(r, tree, level, i, page);
		if (tree->by_device)
			address = fmt_device_address(device, offset);
		fmt_ptr_set(
		    &ptr, address, le32_get(&r->check->super.epoch), r->gen);
	}
	r->error = check_write(
	    r->check, r->check->device[device], offset, page, FMT_BLOCK);
	return ptr;
}

static void
tree_write(struct rebuild *r, struct tree_new *tree)
{
	for (unsigned l = 0; l < tree->levels; l++)
		for (uint64_t i = 0; i < tree->count[l] && r->error == 0; i++) {
			struct fmt_inner *above;
			struct fmt_ptr ptr;
			if (tree->page[l][i] == NULL)
				continue;
			ptr = page_write(r, tree, l, i);
			if (l + 1 == tree->levels) {
				tree->root = ptr;
				continue;
			}
			above = (void *)tree->page[l + 1][i / FMT_FANOUT];
			above->ptr[i % FMT_FANOUT] = ptr;
		}
}

static void
root_set(struct fmt_root *root, const struct tree_new *tree)
{
	root->ptr = tree->root;
	root->levels = (uint8_t)tree->levels;
}

static void
super_write(struct rebuild *r, struct fmt_super *super)
{
	uint8_t *block = r->check->buffer[0];
	uint64_t gen = le64_get(&r->check->super.gen) + 1;

	root_set(&super->regions, &r->regions);
	root_set(&super->versions, &r->versions);
	root_set(&super->bitmap, &r->bitmap);
	if (r->lost.levels > 0) {
		root_set(&super->lost, &r->lost);
		le64_set(&super->lost.count, r->lost_slots);
	}
	le64_set(&super->gen, gen);
	fmt_super_seal(super);
	memcpy(block, super, sizeof(*super));
	for (unsigned d = 0, n = 0; d < le32_get(&super->device_count) &&
				    n < FMT_SUPER_DEVICES && r->error == 0;
	     d++) {
		if (check_device_removed(r->check, d))
			continue;
		n++;
		r->error = check_write(r->check, r->check->device[d],
		    fmt_super_offset(gen % FMT_SUPER_SLOTS), block, FMT_BLOCK);
	}
}

/* ---- all of it ---- */

/* The maps and tables that stay are claimed alone: those that are written anew
 * are the old ones. */
static int
rebuild_load(struct rebuild *r, unsigned flags)
{
	struct check *check = r->check;
	const struct fmt_super *super = &check->super;
	int error;

	error = tree_load(r, &r->regions, FMT_PAGE_REGIONS, &super->regions,
	    FMT_PAGE_REGIONS_COUNT);
	if (error == 0)
		error = tree_load(r, &r->versions, FMT_PAGE_VERSIONS,
		    &super->versions, FMT_PAGE_VERSIONS_COUNT);
	if (error == 0)
		error = tree_init(&r->bitmap, FMT_PAGE_BITMAP,
		    check->seen.pages, super->bitmap.levels);
	r->bitmap.raw = true;
	if (error == 0 && (flags & REBUILD_LOST) != 0) {
		uint64_t leaves =
		    (check->counted_count + FMT_PAGE_LOST_COUNT - 1) /
		    FMT_PAGE_LOST_COUNT;
		r->lost_slots = leaves * FMT_PAGE_LOST_COUNT;
		error = tree_init(
		    &r->lost, FMT_PAGE_LOST, leaves, super->lost.levels);
	}
	return error;
}

/* With new losses their old pages go, too. */
static void
lost_reach(struct rebuild *r, unsigned flags)
{
	struct check *check = r->check;
	struct check_bits seen = check->seen;

	if (flags & REBUILD_LOST)
		check->seen = r->old;
	check_lost_table(check);
	if (flags & REBUILD_LOST) {
		r->old = check->seen;
		check->seen = seen;
	}
}

/* What the maps reach, without the trees of which there will be new ones. */
static int
rebuild_reach(struct rebuild *r, unsigned flags)
{
	struct check *check = r->check;

	check_bitmap_read(check);
	if (check->error < 0)
		return check->error;
	r->old = check->seen;
	if (bits_init(&check->seen, check->blocks) < 0)
		return -ENOMEM;
	check->recount = true;
	check_groups(check);
	check_bookmarks(check);
	check_version_tree(check);
	if (check->error == 0)
		lost_reach(r, flags);
	if (check->error == 0)
		check_families(check);
	return check->error;
}

/* Blocks that nobody reaches, because what would is damaged, or the log does.
 */
static int
keep_used(struct rebuild *r)
{
	struct check *check = r->check;
	uint32_t per = le32_get(&check->super.region_blocks);

	for (uint64_t at = 0; at < check->blocks; at++)
		if (bits_get(&check->used, at) && !bits_get(&r->old, at) &&
		    region_has_bits(&check->region[at / per]) &&
		    !bits_put(&check->seen, at, true))
			return -ENOMEM;
	return 0;
}

static void
rebuild_write(struct rebuild *r, unsigned flags)
{
	struct fmt_super super = r->check->super;

	bitmap_shape(r);
	if (flags & REBUILD_LOST)
		lost_fill(r);
	tree_place(r, &r->regions);
	tree_place(r, &r->versions);
	tree_place(r, &r->bitmap);
	tree_place(r, &r->lost);
	if (r->error < 0)
		return;
	bitmap_fill(r);
	regions_fill(r, &super);
	versions_fill(r, flags);
	tree_write(r, &r->regions);
	tree_write(r, &r->versions);
	tree_write(r, &r->bitmap);
	tree_write(r, &r->lost);
	if (flags & REBUILD_NO_LOG)
		le64_set(&super.log_incarnation,
		    le64_get(&super.log_incarnation) + 1);
	if (r->error == 0)
		super_write(r, &super);
}

int
repair_rebuild(struct check *check, unsigned flags)
{
	struct rebuild r = {
	    .check = check, .gen = (uint32_t)le64_get(&check->super.gen) + 1};
	int error = rebuild_reach(&r, flags);

	if (error == 0 && (flags & REBUILD_KEEP) != 0)
		error = keep_used(&r);
	if (error == 0) {
		/* their pages are claimed once more, as pages that go */
		struct check_bits seen = check->seen;
		if (bits_init(&check->seen, check->blocks) < 0)
			error = -ENOMEM;
		if (error == 0)
			error = rebuild_load(&r, flags);
		bits_free(&check->seen);
		check->seen = seen;
	}
	if (error == 0) {
		rebuild_write(&r, flags);
		error = r.error;
	}
	tree_free(&r.regions);
	tree_free(&r.versions);
	tree_free(&r.bitmap);
	tree_free(&r.lost);
	bits_free(&r.old);
	return error;
}
