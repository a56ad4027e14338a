/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making a pool, and adding space to one.
 *
 * Old superblocks are wiped first and the labels written last, so that a crash
 * in between leaves no pool; the first checkpoint writes everything else.
 */
#include "snapshot/engine.h"
#include "snapshot/label.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- geometry ---- */

static uint64_t
total_size(struct backstore **bs, unsigned count)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < count; i++)
		total += bs[i]->size;
	return total;
}

/* 128 MiB, smaller for small pools, 1 GiB for huge ones.  What is there twice
 * is counted in regions: those of a small pool are smaller then, so that 1 GiB
 * keeps nine tenths for data. */
static uint64_t
region_bytes_for(uint64_t total, bool mirrored)
{
	if (total < 1ull << 29)
		return 2ull << 20;
	if (mirrored && total < 4ull << 30)
		return 4ull << 20;
	if (total < 16ull << 30)
		return 16ull << 20;
	return total > 1ull << 50 ? 1ull << 30 : 128ull << 20;
}

/* A 64th of the pool: small enough for small pools, and large enough that
 * checkpoints are rare; but a full one is replayed within a second. */
static uint64_t
log_bytes_for(uint64_t total)
{
	uint64_t bytes = total / 64;

	if (bytes < FMT_LOG_MIN)
		return FMT_LOG_MIN;
	return bytes > 256ull << 20 ? 256ull << 20 : bytes;
}

struct geometry {
	uint64_t region_bytes, log_bytes, regions, log_regions;
	bool mirrored;
};

static int
geometry_check(struct operation *op, const struct geometry *g, uint64_t first)
{
	if ((g->region_bytes & (g->region_bytes - 1)) != 0 ||
	    g->region_bytes < FMT_REGION_MIN ||
	    g->region_bytes > FMT_REGION_MAX) {
		operation_problem(
		    op, "regions must be a power of two from 1 MiB to 1 GiB");
		return -EINVAL;
	}
	if (g->log_bytes < FMT_LOG_MIN || g->log_bytes > FMT_LOG_MAX) {
		operation_problem(op, "the log must have 8 MiB to 1 GiB");
		return -EINVAL;
	}
	if (g->log_regions + 3 > first) {
		operation_problem(op, "the first device is too small");
		return -ENOSPC;
	}
	if (g->mirrored && 2 * (g->log_regions + 1) + 2 > g->regions) {
		operation_problem(
		    op, "too small for two copies of the metadata");
		return -ENOSPC;
	}
	return 0;
}

static int
geometry_make(struct operation *op, struct backstore **bs, unsigned count,
    const struct pool_params *params, struct geometry *g)
{
	uint64_t total = total_size(bs, count);

	if (total < 64ull << 20) {
		operation_problem(op, "a pool needs 64 MiB at least");
		return -ENOSPC;
	}
	g->mirrored = !params->no_mirror;
	g->region_bytes = params->region_bytes != 0
			      ? params->region_bytes
			      : region_bytes_for(total, g->mirrored);
	g->log_bytes =
	    params->log_bytes != 0 ? params->log_bytes : log_bytes_for(total);
	if (g->region_bytes == 0)
		return -EINVAL;
	g->log_regions = (g->log_bytes + g->region_bytes - 1) / g->region_bytes;
	g->log_bytes = g->log_regions * g->region_bytes;
	if (g->log_bytes > FMT_LOG_MAX)
		g->log_bytes = FMT_LOG_MAX;
	g->regions = 0;
	for (unsigned i = 0; i < count; i++)
		g->regions += device_regions(bs[i]->size, g->region_bytes);
	return geometry_check(
	    op, g, device_regions(bs[0]->size, g->region_bytes));
}

/* ---- the first contents ---- */

static int
device_set(struct pool *pool, unsigned index, struct backstore *bs,
    uint64_t region_bytes)
{
	struct device *device = &pool->device[index];

	device->bs = bs;
	device->size = bs->size;
	device->regions = device_regions(bs->size, region_bytes);
	device->label_gen = 1;
	uuid_generate_random(device->uuid);
	return device_map_init(device, 0);
}

/* Regions of one device from place on, as new ones at the end of the pool's
 * addresses from region number on. */
static void
regions_add(struct pool *pool, unsigned index, uint64_t place, uint64_t number)
{
	struct device *device = &pool->device[index];
	struct space *space = &pool->space;
	uint64_t bytes = (uint64_t)space->region_blocks * FMT_BLOCK;

	for (; place < device->regions; place++, number++) {
		struct region *region = &space->regions[number];
		region->class = FMT_REGION_FREE;
		region->mirror = NO_REGION;
		region->device = (uint16_t)index;
		region->offset = FMT_DEVICE_HEAD + place * bytes;
		region->free_blocks = space->region_blocks;
		region->free_chunks = space->region_blocks / FMT_CHUNK_BLOCKS;
		device->region_of[place] = (uint32_t)number;
	}
}

static void
region_record_fill(struct pool *pool, uint64_t number)
{
	struct space *space = &pool->space;
	struct page *page =
	    space->region_pages[number / FMT_PAGE_REGIONS_COUNT];
	struct fmt_region_page *table;

	page_dirty(page);
	table = (void *)page->data;
	le32_set(&table->page.used, le32_get(&table->page.used) + 1);
	region_store(pool, number);
}

/* Pages of the table for regions [from, count): new, or read before. */
static int
region_pages_get(struct pool *pool, uint64_t from, struct waiter *waiter)
{
	struct space *space = &pool->space;

	for (uint64_t i = from / FMT_PAGE_REGIONS_COUNT;
	     i * FMT_PAGE_REGIONS_COUNT < space->count; i++) {
		if (space->region_pages[i] != NULL)
			continue;
		int result = page_get(&pool->regions, 0, i, true, waiter,
		    &space->region_pages[i], NULL);
		if (result < 0)
			return result;
		page_pin(space->region_pages[i]);
	}
	return 0;
}

/* For the first count regions: there is nothing in them yet. */
static int
mirrors_make(struct pool *pool, uint64_t count)
{
	struct space *space = &pool->space;

	space->mirrored = true;
	pool->incompat |= FMT_INCOMPAT_MIRRORS;
	for (uint64_t i = 0; i < count; i++) {
		uint32_t number = mirror_pick(pool, i);
		struct region *mirror = &space->regions[number];
		if (number == NO_REGION)
			return -ENOSPC;
		mirror->class = FMT_REGION_MIRROR;
		mirror->free_blocks = mirror->free_chunks = 0;
		mirror->mirror = (uint32_t)i;
		space->regions[i].mirror = number;
		space->regions[i].mirror_gen = (uint32_t)pool->gen;
		space->regions[i].mirror_state = MIRROR_WHOLE;
	}
	return 0;
}

static int
regions_make(struct pool *pool, const struct geometry *g)
{
	struct space *space = &pool->space;
	uint64_t number = 0, blocks = g->region_bytes / FMT_BLOCK;
	struct waiter none;

	if (space_init(pool, g->regions, (uint32_t)blocks) < 0)
		return -ENOMEM;
	for (unsigned i = 0; i < pool->device_count; i++) {
		regions_add(pool, i, 0, number);
		number += pool->device[i].regions;
	}
	for (uint64_t i = 0; i < g->log_regions; i++) {
		space->regions[i].class = FMT_REGION_LOG;
		space->regions[i].free_blocks = 0;
		space->regions[i].free_chunks = 0;
	}
	space->regions[g->log_regions].class = FMT_REGION_META;
	if (g->mirrored && mirrors_make(pool, g->log_regions + 1) < 0)
		return -ENOSPC;
	tree_init(&pool->regions, pool, FMT_PAGE_REGIONS,
	    fmt_tree_levels((g->regions + FMT_PAGE_REGIONS_COUNT - 1) /
			    FMT_PAGE_REGIONS_COUNT));
	tree_init(&pool->versions, pool, FMT_PAGE_VERSIONS, 1);
	tree_init(&pool->bitmap, pool, FMT_PAGE_BITMAP,
	    fmt_tree_levels((g->regions * blocks + FMT_BITMAP_BLOCKS - 1) /
			    FMT_BITMAP_BLOCKS));
	if (region_pages_get(pool, 0, &none) < 0)
		return -ENOMEM;
	for (uint64_t i = 0; i < space->count; i++)
		region_record_fill(pool, i);
	space_count(pool, 0);
	space_set_reserve(pool);
	return space_meta_lease_all(pool, &none);
}

static void
super_template(struct pool *pool, const struct pool_params *params)
{
	struct fmt_super *super = &pool->super;

	memset(super, 0, sizeof(*super));
	memcpy(super->uuid, pool->uuid, sizeof(super->uuid));
	memcpy(super->name, pool->name, sizeof(super->name));
	le64_set(&super->created_unix, (uint64_t)time(NULL));
	if (params->no_mirror)
		le32_set(&super->flags, FMT_SUPER_NO_MIRROR);
	pool->soft_percent =
	    params->soft_percent != 0 ? params->soft_percent : 80;
	pool->hard_percent =
	    params->hard_percent != 0 ? params->hard_percent : 95;
}

static void
log_make(struct pool *pool, const struct geometry *g)
{
	struct redo *redo = &pool->redo;
	uuid_t random;

	uuid_generate_random(random);
	redo->start = 0;
	redo->blocks = g->log_bytes / FMT_BLOCK;
	redo->seq = 1;
	redo->incarnation = load_le64(random) >> 1 | 1;
	redo->next_lsn = redo->written_lsn = redo->durable_lsn =
	    redo->sealed_lsn = 1;
	redo->closed = true;
}

/* ---- creating ---- */

struct creation {
	struct labels *labels;
	struct geometry geometry;
	struct pool_params params;
	struct pool_limits limits;
	struct backstore *bs[POOL_DEVICE_MAX];
	unsigned count;
	bool force;
};

static void
create_cleanup(struct operation *op, int result)
{
	struct creation *c = op->detail;

	labels_free(c->labels);
	free(c);
	if (result < 0 && op->pool != NULL) {
		if (op->request->problem[0] == 0)
			operation_problem(op, "%s", op->pool->problem);
		pool_free(op->pool);
		op->pool = NULL;
	}
	op->request->pool = op->pool;
}

static int
create_labelled(struct operation *op)
{
	struct creation *c = op->detail;

	return c->labels->error < 0 ? c->labels->error : OP_DONE;
}

static int
create_checkpointed(struct operation *op)
{
	struct creation *c = op->detail;

	for (unsigned i = 0; i < op->pool->device_count; i++)
		label_fill(op->pool, i, labels_slot(c->labels, i, 0));
	op->run = create_labelled;
	labels_write(
	    c->labels, op->pool, 0, op->pool->device_count, &op->waiter);
	return -EAGAIN;
}

static int
create_wiped(struct operation *op)
{
	struct creation *c = op->detail;

	if (c->labels->error < 0)
		return c->labels->error;
	return operation_checkpoint(op, create_checkpointed);
}

static int
create_make(struct operation *op)
{
	struct creation *c = op->detail;
	struct pool *pool = pool_new(c->bs[0]->loop, &c->limits);
	int result;

	if (pool == NULL)
		return -ENOMEM;
	op->pool = pool;
	op->makes_pool = true;
	pool->operation = op;
	memcpy(pool->name, op->name, sizeof(pool->name));
	memcpy(pool->uuid, c->params.uuid, sizeof(pool->uuid));
	pool->tag = fmt_pool_tag(pool->uuid);
	pool->device_count = c->count;
	for (unsigned i = 0; i < c->count; i++)
		if (device_set(pool, i, c->bs[i], c->geometry.region_bytes) < 0)
			return -ENOMEM;
	super_template(pool, &c->params);
	tables_init(pool, &pool->super);
	log_make(pool, &c->geometry);
	pool->may_mend = true;
	result = regions_make(pool, &c->geometry);
	if (result < 0)
		return result;
	op->run = create_wiped;
	labels_wipe_supers(c->labels, &op->waiter);
	return -EAGAIN;
}

static int
create_scanned(struct operation *op)
{
	struct creation *c = op->detail;

	if (c->labels->error < 0)
		return c->labels->error;
	for (unsigned i = 0; i < c->count && !c->force; i++) {
		const struct fmt_label *label = labels_best(c->labels, i);
		if (label == NULL)
			continue;
		operation_problem(op, "%s belongs to pool %s", c->bs[i]->name,
		    label->pool_name);
		return -EEXIST;
	}
	op->run = create_make;
	return 0;
}

static int
create_check(struct operation *op)
{
	struct creation *c = op->detail;

	if (!pool_name_valid(op->name)) {
		operation_problem(op, "the name is not valid");
		return -EINVAL;
	}
	if (c->count == 0 || c->count > POOL_DEVICE_MAX) {
		operation_problem(op, "a pool has 1 to 64 devices");
		return -EINVAL;
	}
	for (unsigned i = 0; i < c->count; i++) {
		const char *unfit = device_unfit(c->bs[i]);
		if (unfit == NULL)
			continue;
		operation_problem(op, "%s: %s", c->bs[i]->name, unfit);
		return c->bs[i]->block_size > FMT_BLOCK ? -EINVAL : -ENOSPC;
	}
	return geometry_make(op, c->bs, c->count, &c->params, &c->geometry);
}

static int
create_run(struct operation *op)
{
	struct creation *c = op->detail;
	int result = create_check(op);

	if (result < 0)
		return result;
	c->labels = labels_new(c->bs, c->count);
	if (c->labels == NULL)
		return -ENOMEM;
	op->run = create_scanned;
	labels_read(c->labels, &op->waiter);
	return -EAGAIN;
}

void
pool_create(struct loop *loop, struct backstore **bs, unsigned count,
    const struct pool_params *params, const struct pool_limits *limits,
    bool force, struct pool_request *request)
{
	struct operation *op = operation_new(request, create_run);
	struct creation *c = calloc(1, sizeof(*c));

	assert(c != NULL);
	op->detail = c;
	op->cleanup = create_cleanup;
	c->params = *params;
	if (limits != NULL)
		c->limits = *limits;
	c->count = count;
	c->force = force;
	for (unsigned i = 0; i < count && i < POOL_DEVICE_MAX; i++)
		c->bs[i] = bs[i];
	if (uuid_is_null(c->params.uuid))
		uuid_generate_random(c->params.uuid);
	if (strlen(params->name) <= POOL_NAME_MAX)
		snprintf(op->name, sizeof(op->name), "%s", params->name);
	operation_start(loop, op);
}

/* ---- growing ---- */

struct growth {
	struct labels *labels;
	bool held;      /* no checkpoint may come into it */
	unsigned known; /* devices; 0: nothing is changed yet */
	uint64_t first; /* new region */
	uint64_t old_regions[POOL_DEVICE_MAX];
};

/* A device of which not all is known to the table must not become durable: the
 * pool is as it was when it is opened again. */
static void
grow_failed(struct operation *op)
{
	struct growth *g = op->detail;
	struct pool *pool = op->pool;

	if (g->known == 0)
		return;
	pool->device_count = g->known; /* the new one stays the caller's */
	pool_suspect(pool, "the pool has grown by half of a device");
}

static void
grow_cleanup(struct operation *op, int result)
{
	struct growth *g = op->detail;

	if (result < 0)
		grow_failed(op);
	if (g->held)
		meta_hold_drop(op->pool);
	labels_free(g->labels);
	free(g);
}

static void
grow_again(struct loop_timer *timer)
{
	operation_run(container_of(timer, struct operation, timer));
}

/* From here to the end of the table no checkpoint begins: it would write
 * regions that have no place yet. */
static bool
grow_holds(struct operation *op)
{
	struct growth *g = op->detail;

	if (!g->held)
		g->held = meta_hold_try(op->pool);
	if (g->held)
		return true;
	op->timer.expire = grow_again;
	loop_timer_arm(op->pool->loop, &op->timer, NSEC_PER_MSEC);
	return false;
}

/* The table of regions gets room for count in all. */
static int
table_grow(struct pool *pool, uint64_t count)
{
	struct space *space = &pool->space;
	uint64_t pages =
	    (count + FMT_PAGE_REGIONS_COUNT - 1) / FMT_PAGE_REGIONS_COUNT;
	uint64_t old = (space->count + FMT_PAGE_REGIONS_COUNT - 1) /
		       FMT_PAGE_REGIONS_COUNT;
	struct region *regions =
	    realloc(space->regions, count * sizeof(regions[0]));
	struct page **table;

	if (regions == NULL)
		return -ENOMEM;
	space->regions = regions;
	table = realloc(space->region_pages, pages * sizeof(table[0]));
	if (table == NULL)
		return -ENOMEM;
	space->region_pages = table;
	memset(&regions[space->count], 0,
	    (count - space->count) * sizeof(regions[0]));
	/* nobody may take them before they have their places */
	for (uint64_t i = space->count; i < count; i++) {
		regions[i].class = FMT_REGION_BAD;
		regions[i].mirror = NO_REGION;
	}
	memset(&table[old], 0, (pages - old) * sizeof(table[0]));
	space->class_count[FMT_REGION_BAD] += count - space->count;
	space->count = count;
	tree_raise(&pool->regions, fmt_tree_levels(pages));
	tree_raise(&pool->bitmap,
	    fmt_tree_levels(
		((count << space->region_shift) + FMT_BITMAP_BLOCKS - 1) /
		FMT_BITMAP_BLOCKS));
	return 0;
}

static void
volumes_see_device(struct pool *pool, const struct backstore *bs)
{
	struct volume *volume;

	for (uint32_t i = 0; i < pool->slot_count; i++) {
		volume = pool->slots[i];
		if (volume != NULL)
			volume_device_added(volume, bs);
	}
}

/* As FREE, for when the pool is opened again; but until then nobody takes it.
 */
static void
new_region_store(struct pool *pool, uint64_t number)
{
	region_record_fill(pool, number);
	pool->space.regions[number].class = FMT_REGION_BAD;
}

/* Only now: a record of the log that names a region which no durable table has
 * would be a contradiction after a crash. */
static int
grow_usable(struct operation *op)
{
	struct growth *g = op->detail;
	struct pool *pool = op->pool;
	struct space *space = &pool->space;

	for (uint64_t i = g->first; i < space->count; i++)
		space->regions[i].class = FMT_REGION_FREE;
	space->class_count[FMT_REGION_BAD] -= space->count - g->first;
	space_count(pool, g->first);
	if (pool->device_count > 1 &&
	    !(le32_get(&pool->super.flags) & FMT_SUPER_NO_MIRROR))
		space->mirrored = true;
	space_set_reserve(pool);
	space_level(pool);
	mirror_fill_start(pool);
	evacuate_start(pool);
	return OP_DONE;
}

/* Regions that the devices have more than the pool knows, in one go. */
static int
grow_regions(struct operation *op)
{
	struct growth *g = op->detail;
	struct pool *pool = op->pool;
	uint64_t number = g->first;

	if (g->labels->error < 0)
		return g->labels->error;
	for (unsigned i = 0; i < pool->device_count; i++) {
		regions_add(pool, i, g->old_regions[i], number);
		number += pool->device[i].regions - g->old_regions[i];
	}
	for (uint64_t i = g->first; i < pool->space.count; i++)
		new_region_store(pool, i);
	pool->needs_write = true;
	g->known = 0;
	g->held = false;
	meta_hold_drop(pool);
	if (engine_breaks.grow_early) {
		grow_usable(op);
		return operation_checkpoint(op, operation_done);
	}
	return operation_checkpoint(op, grow_usable);
}

static int
grow_pages(struct operation *op)
{
	struct growth *g = op->detail;
	struct pool *pool = op->pool;
	int result = region_pages_get(pool, g->first, &op->waiter);

	if (result < 0)
		return result;
	for (unsigned i = 0; i < pool->device_count; i++) {
		pool->device[i].label_gen++;
		label_fill(pool, i, labels_slot(g->labels, i, 0));
	}
	op->run = grow_regions;
	labels_write(g->labels, pool, 0, pool->device_count, &op->waiter);
	return -EAGAIN;
}

static int
grow_add_device(struct operation *op, uint64_t region_bytes)
{
	struct pool *pool = op->pool;
	const char *unfit = device_unfit(op->bs);

	if (pool->device_count == POOL_DEVICE_MAX) {
		operation_problem(op, "the pool has 64 devices already");
		return -EINVAL;
	}
	if (unfit != NULL || device_regions(op->bs->size, region_bytes) == 0) {
		operation_problem(op, "%s: %s", op->bs->name,
		    unfit != NULL ? unfit : "smaller than a region");
		return unfit != NULL ? -EINVAL : -ENOSPC;
	}
	if (device_set(pool, pool->device_count, op->bs, region_bytes) < 0)
		return -ENOMEM;
	pool->device_count++;
	volumes_see_device(pool, op->bs);
	return 0;
}

static int
grow_devices(struct operation *op, uint64_t region_bytes, uint64_t *ret_count)
{
	struct growth *g = op->detail;
	struct pool *pool = op->pool;
	unsigned known = pool->device_count;

	if (op->bs != NULL) {
		int result = grow_add_device(op, region_bytes);
		if (result < 0)
			return result;
	}
	*ret_count = pool->space.count;
	for (unsigned i = 0; i < pool->device_count; i++) {
		struct device *device = &pool->device[i];
		uint64_t regions =
		    device_regions(device->bs->size, region_bytes);
		g->old_regions[i] = i < known ? device->regions : 0;
		/* what is to go does not grow */
		if (regions > device->regions &&
		    device->state == FMT_DEVICE_MEMBER) {
			device->regions = regions;
			device->size = device->bs->size;
			if (device_map_init(device, g->old_regions[i]) < 0)
				return -ENOMEM;
		}
		*ret_count += device->regions - g->old_regions[i];
	}
	return 0;
}

static int
grow_scanned(struct operation *op)
{
	struct growth *g = op->detail;
	struct pool *pool = op->pool;
	struct backstore *all[POOL_DEVICE_MAX];
	const struct fmt_label *label;
	unsigned known = pool->device_count;
	uint64_t count;
	int result;

	if (g->labels != NULL) {
		label = labels_best(g->labels, 0);
		if (g->labels->error < 0)
			return g->labels->error;
		if (label != NULL &&
		    memcmp(label->pool_uuid, pool->uuid, 16) != 0) {
			operation_problem(op, "%s belongs to pool %s",
			    op->bs->name, label->pool_name);
			return -EEXIST;
		}
		labels_free(g->labels);
		g->labels = NULL;
	}
	if (!grow_holds(op))
		return -EAGAIN;
	result = grow_devices(
	    op, (uint64_t)pool->space.region_blocks * FMT_BLOCK, &count);
	if (result < 0)
		return result;
	if (count == pool->space.count)
		return OP_DONE;
	g->first = pool->space.count;
	for (unsigned i = 0; i < pool->device_count; i++)
		all[i] = pool->device[i].bs;
	g->labels = labels_new(all, pool->device_count);
	g->known = known;
	if (g->labels == NULL || table_grow(pool, count) < 0)
		return -ENOMEM;
	op->run = grow_pages;
	return 0;
}

static int
grow_run(struct operation *op)
{
	struct growth *g = op->detail;

	if (op->pool->state != POOL_ONLINE)
		return op->pool->state == POOL_READ_ONLY ? -EROFS : -EIO;
	op->run = grow_scanned;
	if (op->bs == NULL)
		return 0;
	g->labels = labels_new(&op->bs, 1);
	if (g->labels == NULL)
		return -ENOMEM;
	labels_read(g->labels, &op->waiter);
	return -EAGAIN;
}

void
pool_grow(struct pool *pool, struct backstore *bs, struct pool_request *request)
{
	struct operation *op = operation_new(request, grow_run);

	op->bs = bs;
	op->detail = calloc(1, sizeof(struct growth));
	assert(op->detail != NULL);
	op->cleanup = grow_cleanup;
	operation_queue(pool, op);
}
