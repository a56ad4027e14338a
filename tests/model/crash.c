/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model of crash consistency: data written in place or redirected, a redo
 * log whose blocks are written (FUA) after a flush, copy-on-write checkpoints,
 * two superblock slots, and frees held back until their record is durable.
 *
 * The device has a volatile cache.  At a power cut any subset of what was not
 * flushed survives, and metadata may be torn.  After each cut the engine is
 * opened again, and every LBA must hold the last durable value or a later
 * one, every snapshot exactly what it held.
 *
 * Mutations leave one rule out each: noflush (a map record may get ahead of
 * its data), earlyreuse (a freed block is used again before the free is
 * durable), metaover (pages of the durable checkpoint are overwritten),
 * sbfirst (superblock ahead of its pages), onesb (one superblock slot).
 *
 * Not covered: several commits in flight, mirrors, more than one device.
 */
#include "base/assert.h"
#include "tests/model/model.h"
#include <stdbool.h>
#include <string.h>

enum {
	LBAS = 16,
	PAGE_LBAS = 4,
	PAGES = LBAS / PAGE_LBAS,
	BLOCKS = 40, /* of data */
	SLOTS = 60,  /* for pages of checkpoints */
	LOG_BLOCKS = 24,
	SNAPSHOTS_MAX = 3,
	OPS_PER_CUT = 200,
	NONE = -1,
};

enum mutation { M_NONE, NOFLUSH, EARLYREUSE, METAOVER, SBFIRST, ONESB };
static const char *const mutations[] = {
    "none", "noflush", "earlyreuse", "metaover", "sbfirst", "onesb", NULL};

enum counter { CUTS, WRITES, REDIRECTS, COMMITS, CHECKPOINTS, SNAPS, DELETES };
static const char *const counters[] = {"cuts", "writes", "redirects", "commits",
    "checkpoints", "snapshots", "deletes", NULL};

/* ---- the device ---- */

enum area { AREA_SUPER, AREA_DATA, AREA_META, AREA_LOG, AREAS };

enum { CELLS_PER_AREA = 64, CACHE_MAX = 1024 };

/* What a cell holds never changes once written, so a pointer is a copy. */
static const char torn_mark;
#define TORN ((const void *)&torn_mark)

struct device {
	struct model_seed *seed;
	const void *stable[AREAS][CELLS_PER_AREA];
	const void *view[AREAS][CELLS_PER_AREA];
	struct cached {
		enum area area;
		unsigned index;
		const void *value;
	} cache[CACHE_MAX];
	unsigned cached;
	unsigned ticks_left;
	jmp_buf power_cut;
};

static void
device_tick(struct device *device)
{
	if (device->ticks_left > 0 && --device->ticks_left == 0)
		longjmp(device->power_cut, 1);
}

static void
cache_add(
    struct device *device, enum area area, unsigned index, const void *value)
{
	assert(device->cached < CACHE_MAX);
	device->cache[device->cached++] = (struct cached){area, index, value};
	device->view[area][index] = value;
}

static void
device_write(
    struct device *device, enum area area, unsigned index, const void *value)
{
	cache_add(device, area, index, value);
	device_tick(device);
}

/* In flight at the cut it may be absent, torn or whole, as anything cached. */
static void
device_write_fua(
    struct device *device, enum area area, unsigned index, const void *value)
{
	cache_add(device, area, index, value);
	device_tick(device);
	device->stable[area][index] = value;

	unsigned kept = 0;
	for (unsigned i = 0; i < device->cached; i++) {
		const struct cached *c = &device->cache[i];
		if (c->area != area || c->index != index)
			device->cache[kept++] = *c;
	}
	device->cached = kept;
}

static void
device_flush(struct device *device)
{
	device_tick(device);
	for (unsigned i = 0; i < device->cached; i++) {
		const struct cached *c = &device->cache[i];
		device->stable[c->area][c->index] = c->value;
	}
	device->cached = 0;
}

static void
device_lose_power(struct device *device)
{
	for (unsigned i = 0; i < device->cached; i++) {
		const struct cached *c = &device->cache[i];
		unsigned fate = model_below(device->seed, 100);
		if (fate < 45)
			device->stable[c->area][c->index] = c->value;
		else if (fate < 60 && c->area != AREA_DATA)
			device->stable[c->area][c->index] = TORN;
	}
	device->cached = 0;
	device->ticks_left = 0;
	memcpy(device->view, device->stable, sizeof(device->view));
}

/* NULL: never written, or torn, which the real engine's crc would tell. */
static const void *
device_read_checked(const struct device *device, enum area area, unsigned index)
{
	const void *value = device->stable[area][index];
	return value == TORN ? NULL : value;
}

/* ---- the engine ---- */

struct mapping {
	int block; /* NONE: hole */
	unsigned birth;
};

struct page {
	struct mapping lba[PAGE_LBAS];
};

static const struct page empty_page = {
    {{NONE, 0}, {NONE, 0}, {NONE, 0}, {NONE, 0}}};

struct tree {
	unsigned epoch; /* a snapshot's; unused in the head */
	const struct page *page[PAGES];
};

enum record_type { MAP, UNMAP, SNAP, DEL };

struct record {
	enum record_type type;
	unsigned lba;
	int block;
};

struct log_block {
	unsigned seq, count;
	struct record record[];
};

struct super {
	unsigned gen, epoch, snapshots;
	unsigned log_position, log_seq;
	uint64_t allocated, slots;
	bool has_pages;
	struct {
		unsigned epoch;
		unsigned slot[PAGES];
	} tree[SNAPSHOTS_MAX + 1]; /* the head is the last */
};

struct engine {
	struct model_seed *seed;
	struct device *device;
	unsigned gen, epoch;
	struct tree head, snapshot[SNAPSHOTS_MAX];
	unsigned snapshots;
	uint64_t allocated; /* of blocks */
	uint64_t quarantine;
	uint64_t slots; /* of the durable checkpoint */
	unsigned log_position, log_seq, log_start, log_start_seq;
	struct record record[OPS_PER_CUT];
	unsigned records;
};

static bool
broken(const struct engine *engine, enum mutation mutation)
{
	return engine->seed->mutation == (unsigned)mutation;
}

static unsigned
newest_snapshot_epoch(const struct engine *engine)
{
	return engine->snapshots == 0
		   ? 0
		   : engine->snapshot[engine->snapshots - 1].epoch;
}

static const struct mapping *
tree_lookup(const struct tree *tree, unsigned lba)
{
	return &tree->page[lba / PAGE_LBAS]->lba[lba % PAGE_LBAS];
}

/* Pages are never changed in place: snapshots point to them. */
static void
tree_map(struct tree *tree, unsigned lba, struct mapping mapping)
{
	struct page *page = model_alloc(sizeof(*page));
	*page = *tree->page[lba / PAGE_LBAS];
	page->lba[lba % PAGE_LBAS] = mapping;
	tree->page[lba / PAGE_LBAS] = page;
}

static uint64_t
tree_blocks(const struct tree *tree)
{
	uint64_t blocks = 0;
	for (unsigned lba = 0; lba < LBAS; lba++) {
		int block = tree_lookup(tree, lba)->block;
		if (block != NONE)
			blocks |= 1ull << block;
	}
	return blocks;
}

static uint64_t
reachable_blocks(const struct engine *engine)
{
	uint64_t blocks = tree_blocks(&engine->head);
	for (unsigned i = 0; i < engine->snapshots; i++)
		blocks |= tree_blocks(&engine->snapshot[i]);
	return blocks;
}

/* One of the limit numbers whose bit is clear in taken, or NONE. */
static int
pick_free(struct model_seed *seed, uint64_t taken, unsigned limit)
{
	unsigned count = 0;
	int choice = NONE;

	for (unsigned i = 0; i < limit; i++)
		if (!(taken >> i & 1) && model_below(seed, ++count) == 0)
			choice = (int)i;
	return choice;
}

static void
engine_free(struct engine *engine, uint64_t blocks)
{
	engine->allocated &= ~blocks;
	engine->quarantine |= blocks;
}

static void
apply_unmap(struct engine *engine, unsigned lba)
{
	struct mapping old = *tree_lookup(&engine->head, lba);

	tree_map(&engine->head, lba, (struct mapping){NONE, 0});
	if (old.block != NONE && old.birth > newest_snapshot_epoch(engine))
		engine_free(engine, 1ull << old.block);
}

/* Deletes the oldest snapshot: what its only child has not, goes. */
static void
apply_delete(struct engine *engine)
{
	const struct tree *child =
	    engine->snapshots > 1 ? &engine->snapshot[1] : &engine->head;

	engine_free(
	    engine, tree_blocks(&engine->snapshot[0]) & ~tree_blocks(child));
	engine->snapshots--;
	memmove(&engine->snapshot[0], &engine->snapshot[1],
	    engine->snapshots * sizeof(engine->snapshot[0]));
}

/* The same at run time and at recovery. */
static void
engine_apply(struct engine *engine, const struct record *record)
{
	switch (record->type) {
	case MAP:
		tree_map(&engine->head, record->lba,
		    (struct mapping){record->block, engine->epoch});
		engine->allocated |= 1ull << record->block;
		break;
	case UNMAP: apply_unmap(engine, record->lba); break;
	case SNAP:
		assert(engine->snapshots < SNAPSHOTS_MAX);
		engine->head.epoch = engine->epoch++;
		engine->snapshot[engine->snapshots++] = engine->head;
		break;
	case DEL: apply_delete(engine); break;
	}
}

static void
engine_record(struct engine *engine, struct record record)
{
	assert(engine->records < OPS_PER_CUT);
	engine_apply(engine, &record);
	engine->record[engine->records++] = record;
}

/* False: no space. */
static bool
engine_write(struct engine *engine, unsigned lba, const unsigned *value)
{
	struct mapping old = *tree_lookup(&engine->head, lba);

	engine->seed->counters->count[WRITES]++;
	if (old.block != NONE && old.birth > newest_snapshot_epoch(engine)) {
		device_write(
		    engine->device, AREA_DATA, (unsigned)old.block, value);
		return true;
	}
	uint64_t taken = engine->allocated;
	if (!broken(engine, EARLYREUSE))
		taken |= engine->quarantine;
	int block = pick_free(engine->seed, taken, BLOCKS);
	if (block == NONE)
		return false;
	device_write(engine->device, AREA_DATA, (unsigned)block, value);
	engine_record(engine, (struct record){MAP, lba, block});
	engine->seed->counters->count[REDIRECTS]++;
	return true;
}

static unsigned
checkpoint_page(struct engine *engine, const struct page *page, uint64_t *used)
{
	uint64_t taken = *used;
	if (!broken(engine, METAOVER))
		taken |= engine->slots;
	int slot = pick_free(engine->seed, taken, SLOTS);
	assert(slot != NONE);
	*used |= 1ull << slot;
	device_write(engine->device, AREA_META, (unsigned)slot, page);
	return (unsigned)slot;
}

static void
super_write(struct engine *engine, struct super *super)
{
	super->gen = engine->gen;
	super->epoch = engine->epoch;
	super->snapshots = engine->snapshots;
	super->allocated = engine->allocated;
	super->slots = engine->slots;
	super->log_position = engine->log_start;
	super->log_seq = engine->log_start_seq;
	device_write_fua(engine->device, AREA_SUPER,
	    broken(engine, ONESB) ? 0 : engine->gen % 2, super);
}

static void
engine_checkpoint(struct engine *engine)
{
	struct super *super = model_alloc(sizeof(*super));
	uint64_t used = 0;

	super->has_pages = true;
	for (unsigned i = 0; i <= engine->snapshots; i++) {
		const struct tree *tree = i == engine->snapshots
					      ? &engine->head
					      : &engine->snapshot[i];
		super->tree[i].epoch = tree->epoch;
		for (unsigned p = 0; p < PAGES; p++)
			super->tree[i].slot[p] =
			    checkpoint_page(engine, tree->page[p], &used);
	}
	if (!broken(engine, SBFIRST))
		device_flush(engine->device);
	engine->gen++;
	engine->slots = used;
	engine->log_start = engine->log_position;
	engine->log_start_seq = engine->log_seq;
	super_write(engine, super);
	if (broken(engine, SBFIRST))
		device_flush(engine->device);
	engine->records = 0;
	engine->quarantine = 0;
	engine->seed->counters->count[CHECKPOINTS]++;
}

static void
log_append(struct engine *engine)
{
	size_t bytes = engine->records * sizeof(struct record);
	struct log_block *block = model_alloc(sizeof(*block) + bytes);

	block->seq = engine->log_seq++;
	block->count = engine->records;
	memcpy(block->record, engine->record, bytes);
	device_write_fua(engine->device, AREA_LOG, engine->log_position, block);
	engine->records = 0;
	engine->log_position = (engine->log_position + 1) % LOG_BLOCKS;
}

static void
engine_commit(struct engine *engine)
{
	engine->seed->counters->count[COMMITS]++;
	if (!broken(engine, NOFLUSH) && engine->device->cached > 0)
		device_flush(engine->device);
	if (engine->records > 0 || engine->device->cached > 0) {
		if ((engine->log_position + 2) % LOG_BLOCKS ==
		    engine->log_start) {
			engine_checkpoint(engine);
			return;
		}
		log_append(engine);
	}
	/* the records that freed them are durable: blocks may be used again */
	engine->quarantine = 0;
}

static void
engine_format(struct engine *engine)
{
	engine->epoch = 1;
	engine->log_seq = engine->log_start_seq = 1;
	for (unsigned p = 0; p < PAGES; p++)
		engine->head.page[p] = &empty_page;
	super_write(engine, model_alloc(sizeof(struct super)));
}

static const struct super *
super_newest(const struct engine *engine)
{
	const struct super *newest = NULL;
	for (unsigned slot = 0; slot < 2; slot++) {
		const struct super *super =
		    device_read_checked(engine->device, AREA_SUPER, slot);
		if (super == NULL)
			continue;
		if (newest == NULL || super->gen > newest->gen)
			newest = super;
	}
	if (newest == NULL)
		model_fail(engine->seed, "no valid superblock");
	return newest;
}

static void
engine_load(struct engine *engine, const struct super *super)
{
	engine->gen = super->gen;
	engine->epoch = super->epoch;
	engine->snapshots = super->snapshots;
	engine->allocated = super->allocated;
	engine->slots = super->slots;
	engine->log_position = engine->log_start = super->log_position;
	engine->log_seq = engine->log_start_seq = super->log_seq;
	for (unsigned i = 0; i <= super->snapshots; i++) {
		struct tree *tree = i == super->snapshots
					? &engine->head
					: &engine->snapshot[i];
		tree->epoch = super->tree[i].epoch;
		for (unsigned p = 0; p < PAGES; p++) {
			tree->page[p] =
			    super->has_pages
				? device_read_checked(engine->device, AREA_META,
				      super->tree[i].slot[p])
				: &empty_page;
			if (tree->page[p] == NULL)
				model_fail(engine->seed,
				    "a page of the checkpoint is unreadable");
		}
	}
}

static void
engine_replay(struct engine *engine)
{
	for (;;) {
		const struct log_block *block = device_read_checked(
		    engine->device, AREA_LOG, engine->log_position);
		if (block == NULL || block->seq != engine->log_seq)
			return;
		for (unsigned i = 0; i < block->count; i++)
			engine_apply(engine, &block->record[i]);
		engine->log_position = (engine->log_position + 1) % LOG_BLOCKS;
		engine->log_seq++;
	}
}

static void
engine_open(struct engine *engine)
{
	struct model_seed *seed = engine->seed;
	struct device *device = engine->device;

	*engine = (struct engine){.seed = seed, .device = device};
	engine_load(engine, super_newest(engine));
	engine_replay(engine);
	engine->quarantine = 0;
	uint64_t reachable = reachable_blocks(engine);
	if (reachable != engine->allocated)
		model_fail(seed, "after recovery: leaked %#llx, missing %#llx",
		    (unsigned long long)(engine->allocated & ~reachable),
		    (unsigned long long)(reachable & ~engine->allocated));
	/* first act: never append behind a torn tail */
	engine_checkpoint(engine);
}

/* ---- the world around it: what was promised ---- */

struct history {
	unsigned value[OPS_PER_CUT + 1]; /* 0: reads as a hole */
	unsigned count, floor;           /* value[floor] is durable */
};

struct world {
	struct model_seed *seed;
	struct device *device;
	struct engine *engine;
	struct history lba[LBAS];
	struct {
		unsigned value[LBAS];
	} snapshot[SNAPSHOTS_MAX];
	unsigned snapshots;
	enum { NOTHING, SNAPSHOT, DELETE } doubtful; /* not acknowledged yet */
	unsigned last_value;
};

static void
history_add(struct history *history, unsigned value)
{
	assert(history->count < OPS_PER_CUT + 1);
	history->value[history->count++] = value;
}

static void
world_all_durable(struct world *world)
{
	for (unsigned lba = 0; lba < LBAS; lba++)
		world->lba[lba].floor = world->lba[lba].count - 1;
}

static void
world_write(struct world *world)
{
	unsigned lba = model_below(world->seed, LBAS);
	unsigned *value = model_alloc(sizeof(*value));

	*value = ++world->last_value;
	history_add(&world->lba[lba], *value);
	if (!engine_write(world->engine, lba, value))
		world->lba[lba].count--;
}

static void
world_unmap(struct world *world)
{
	unsigned lba = model_below(world->seed, LBAS);

	if (tree_lookup(&world->engine->head, lba)->block == NONE)
		return;
	history_add(&world->lba[lba], 0);
	engine_record(world->engine, (struct record){UNMAP, lba, NONE});
}

static void
world_snapshot(struct world *world)
{
	unsigned *cut = world->snapshot[world->snapshots].value;

	for (unsigned lba = 0; lba < LBAS; lba++)
		cut[lba] = world->lba[lba].value[world->lba[lba].count - 1];
	world->doubtful = SNAPSHOT;
	engine_record(world->engine, (struct record){SNAP, 0, NONE});
	engine_commit(world->engine);
	world_all_durable(world);
	world->snapshots++;
	world->doubtful = NOTHING;
	world->seed->counters->count[SNAPS]++;
}

static void
world_forget_oldest(struct world *world)
{
	world->snapshots--;
	memmove(&world->snapshot[0], &world->snapshot[1],
	    world->snapshots * sizeof(world->snapshot[0]));
}

static void
world_delete(struct world *world)
{
	world->doubtful = DELETE;
	engine_record(world->engine, (struct record){DEL, 0, NONE});
	engine_commit(world->engine);
	world_all_durable(world);
	world_forget_oldest(world);
	world->doubtful = NOTHING;
	world->seed->counters->count[DELETES]++;
}

static void
world_commit(struct world *world)
{
	engine_commit(world->engine);
	world_all_durable(world);
}

/* A commit nobody waited for promises nothing. */
static void
world_commit_unseen(struct world *world)
{
	engine_commit(world->engine);
}

static void
world_checkpoint(struct world *world)
{
	engine_checkpoint(world->engine);
	world_all_durable(world);
}

static bool
always(const struct world *world)
{
	(void)world;
	return true;
}

static bool
may_snapshot(const struct world *world)
{
	return world->engine->snapshots < SNAPSHOTS_MAX;
}

static bool
may_delete(const struct world *world)
{
	return world->engine->snapshots > 0;
}

/* The first row whose limit is above the percentage drawn and that may run. */
static const struct {
	unsigned limit;
	bool (*may)(const struct world *world);
	void (*run)(struct world *world);
} operations[] = {
    {62, always, world_write},
    {70, always, world_unmap},
    {82, always, world_commit},
    {88, always, world_commit_unseen},
    {92, may_snapshot, world_snapshot},
    {95, may_delete, world_delete},
    {98, always, world_checkpoint},
};

static void
world_step(struct world *world)
{
	unsigned drawn = model_below(world->seed, 100);

	for (unsigned i = 0; i < ARRAY_SIZE(operations); i++) {
		if (drawn >= operations[i].limit || !operations[i].may(world))
			continue;
		operations[i].run(world);
		return;
	}
}

static unsigned
world_read(const struct world *world, const struct tree *tree, unsigned lba)
{
	int block = tree_lookup(tree, lba)->block;
	if (block == NONE)
		return 0;
	const unsigned *value = world->device->view[AREA_DATA][block];
	return value == NULL ? 0 : *value;
}

static void
verify_lba(struct world *world, unsigned lba)
{
	struct history *history = &world->lba[lba];
	unsigned got = world_read(world, &world->engine->head, lba);
	unsigned i = history->floor;

	while (i < history->count && history->value[i] != got)
		i++;
	if (i == history->count)
		model_fail(world->seed, "lba %u reads %u, durable was %u", lba,
		    got, history->value[history->floor]);
	history->value[0] = got;
	history->count = 1;
	history->floor = 0;
}

/* A snapshot or deletion under way at the cut may have happened or not. */
static void
verify_snapshots(struct world *world)
{
	unsigned got = world->engine->snapshots;

	if (world->doubtful == SNAPSHOT && got == world->snapshots + 1)
		world->snapshots++;
	if (world->doubtful == DELETE && got + 1 == world->snapshots)
		world_forget_oldest(world);
	world->doubtful = NOTHING;
	if (got != world->snapshots)
		model_fail(world->seed, "%u snapshots, %u expected", got,
		    world->snapshots);
	for (unsigned i = 0; i < got; i++)
		for (unsigned lba = 0; lba < LBAS; lba++) {
			const struct tree *tree = &world->engine->snapshot[i];
			unsigned value = world_read(world, tree, lba);
			unsigned want = world->snapshot[i].value[lba];
			if (value != want)
				model_fail(world->seed,
				    "snapshot %u lba %u reads %u, not %u", i,
				    lba, value, want);
		}
}

static void
crash_run(struct model_seed *seed)
{
	struct world *world = model_alloc(sizeof(*world));

	world->seed = seed;
	world->device = model_alloc(sizeof(*world->device));
	world->device->seed = seed;
	world->engine = model_alloc(sizeof(*world->engine));
	world->engine->seed = seed;
	world->engine->device = world->device;
	engine_format(world->engine);
	for (unsigned lba = 0; lba < LBAS; lba++)
		history_add(&world->lba[lba], 0);

	for (unsigned cut = 0; cut < seed->steps; cut++) {
		world->device->ticks_left = 1 + model_below(seed, 59);
		if (setjmp(world->device->power_cut) == 0)
			for (unsigned i = 0; i < OPS_PER_CUT; i++)
				world_step(world);
		seed->counters->count[CUTS]++;
		device_lose_power(world->device);
		engine_open(world->engine);
		for (unsigned lba = 0; lba < LBAS; lba++)
			verify_lba(world, lba);
		verify_snapshots(world);
	}
}

const struct model crash_model = {
    .name = "crash",
    .steps_are = "power cuts",
    .mutations = mutations,
    .counters = counters,
    .run = crash_run,
    .test_seeds = 1000,
    .test_steps = 100,
    .mutation_seeds = 24,
    .mutation_steps = 100,
};
