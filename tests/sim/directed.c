/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of one situation each, where random seeds come seldom or never.  They
 * know the engine from inside: the situation is made by hand.
 */
#include "tests/sim/directed.h"
#include "snapshot/engine.h"
#include "tests/sim/control.h"
#include <stdlib.h>
#include <string.h>

#define CHUNK (64 * KiB)

struct sim_volume *
directed_volume(struct world *world)
{
	struct sim_volume *volume =
	    control_create(world, world->scenario->volume_bytes);

	control_wait(world);
	volume_bring_up(world, volume);
	return volume;
}

struct sim_volume *
directed_begin(struct world *world)
{
	if (!world_create(world))
		sim_fail(world, "power failed though nobody cut it");
	return directed_volume(world);
}

void
directed_write(struct world *world, struct sim_volume *volume, uint64_t offset)
{
	work_submit(world, volume, BS_WRITE, offset, 4096, false, false);
	work_drain(world);
}

void
directed_flush(struct world *world, struct sim_volume *volume)
{
	work_submit(world, volume, BS_FLUSH, 0, 0, false, false);
	work_drain(world);
}

/* False: what is in flight does not end by itself. */
static bool
in_flight_falls_to(struct world *world, unsigned count)
{
	for (unsigned i = 0; i < 20000 && world->in_flight > count; i++) {
		control_step(world);
		world_step(world);
	}
	return world->in_flight <= count;
}

static void
survive(struct world *world, struct sim_volume *volume)
{
	life_survive(world);
	volume_bring_up(world, volume);
}

/* ---- I/O that the oracle does not know of ---- */

struct raw_io {
	struct bs_io io; /* first */
	bool done;
	int result;
	struct iovec iov;
	_Alignas(4096) uint8_t buf[4096];
};

static void
raw_complete(struct bs_io *io, int result)
{
	struct raw_io *raw = container_of(io, struct raw_io, io);

	raw->done = true;
	raw->result = result;
}

/* One block, of this byte if it is written. */
static void
raw_begin(struct raw_io *raw, struct sim_volume *volume, enum bs_op op,
    uint64_t offset, int byte)
{
	memset(raw->buf, byte, sizeof(raw->buf));
	raw->iov = (struct iovec){raw->buf, sizeof(raw->buf)};
	raw->done = false;
	bs_io_init(&raw->io);
	raw->io.op = op;
	raw->io.complete = raw_complete;
	if (op == BS_WRITE || op == BS_READ) {
		raw->io.offset = offset;
		raw->io.length = sizeof(raw->buf);
		raw->io.iov = &raw->iov;
		raw->io.iov_count = 1;
	}
	bs_submit(volume->bs, &raw->io);
}

static int
raw_end(struct world *world, struct raw_io *raw)
{
	world_run_until(world, &raw->done);
	return raw->result;
}

static int
raw_run(struct world *world, struct sim_volume *volume, enum bs_op op,
    uint64_t offset)
{
	static struct raw_io raw;

	raw_begin(&raw, volume, op, offset, 'r');
	return raw_end(world, &raw);
}

/* Nothing of what the volume holds is verified. */
static void
open_after_cut(struct world *world, struct sim_volume *volume)
{
	world_cut(world);
	if (!world_open(world))
		sim_fail(world, "the pool does not open");
	volume->volume = volume_find(world->pool, volume->name);
	volume_bring_up(world, volume);
}

static uint8_t
raw_byte(struct world *world, struct sim_volume *volume, uint64_t offset)
{
	static struct raw_io raw;

	raw_begin(&raw, volume, BS_READ, offset, 0);
	if (raw_end(world, &raw) < 0)
		sim_fail(world, "a block cannot be read");
	return raw.buf[0];
}

/* ---- I7 ---- */

/* A read is on its way to a block when that is unmapped, durably, and all
 * space there is gets written: the block must not be among it. */
static void
space_under_a_read_is_not_reused(struct world *world)
{
	struct sim_volume *volume = directed_begin(world);
	struct backstore *disk = world->disk[0].top;
	uint64_t at = CHUNK;

	if (!life_create_volumes(world))
		sim_fail(world, "power failed though nobody cut it");
	directed_write(world, volume, 0);
	directed_flush(world, volume);
	disk_shell_hold(disk, BS_READ, 0, disk->size);
	work_submit(world, volume, BS_READ, 0, 4096, false, false);
	work_submit(world, volume, BS_ZERO, 0, CHUNK, false, true);
	/* not drained: the read stays in flight, and writers may wait for it */
	for (; at < volume->size; at += CHUNK) {
		work_submit(world, volume, BS_WRITE, at, 4096, false, false);
		work_submit(world, volume, BS_FLUSH, 0, 0, false, false);
		if (!in_flight_falls_to(world, 1))
			break;
	}
	disk_shell_release(disk);
	work_drain(world); /* the read is checked when it completes */
	survive(world, volume);
}

/* ---- I10 ---- */

void
directed_hold_superblocks(struct world *world)
{
	for (unsigned i = 0; i < world->disks; i++)
		disk_shell_hold(world->disk[i].top, BS_WRITE,
		    fmt_super_offset(0), FMT_SUPER_SLOTS * FMT_SUPER_STRIDE);
}

/* One commit per write, so many that the ring goes round, while the superblock
 * that would give the first half of it up does not get to the disk. */
static void
log_is_not_cut_before_the_superblock(struct world *world)
{
	struct sim_volume *volume = directed_begin(world);
	uint64_t ring = world->pool->redo.blocks, at = 0;

	for (uint64_t i = 0; i < ring / 2 - 8; i++, at += 4096) {
		directed_write(world, volume, at);
		directed_flush(world, volume);
	}
	directed_hold_superblocks(world);
	do {
		work_submit(world, volume, BS_WRITE, at % volume->size, 4096,
		    true, false);
		at += 4096;
	} while (in_flight_falls_to(world, 0) && at < 2 * ring * 4096);
	survive(world, volume);
}

/* Where the next record goes on the disk. */
static uint64_t
log_offset(struct world *world, uint64_t blocks_before)
{
	struct redo *redo = &world->pool->redo;
	uint64_t offset, run;

	pool_locate(world->pool,
	    redo->start + (redo->head - blocks_before) % redo->blocks, &offset,
	    &run);
	return offset;
}

/* A block of the log gets lost at a power cut, and turns up in the next life
 * of the log behind that life's only block: it must not count again.  Its
 * record maps a chunk nobody else writes, which is how it would show. */
static void
old_log_blocks_do_not_count(struct world *world)
{
	static const uint8_t zeros[4096];
	struct sim_volume *volume = directed_begin(world);
	struct backstore *platter = world->disk[0].platter;
	uint8_t stale[4096];
	uint64_t offset;

	directed_write(world, volume, 0);
	directed_flush(world, volume);
	raw_run(world, volume, BS_WRITE, 5 * CHUNK);
	raw_run(world, volume, BS_FLUSH, 0);
	offset = log_offset(world, 1);
	bs_powercut_peek(platter, offset, stale, sizeof(stale));
	bs_powercut_poke(platter, offset, zeros, sizeof(zeros));
	survive(world, volume);

	directed_write(world, volume, CHUNK);
	directed_flush(world, volume);
	if (log_offset(world, 1) != offset)
		sim_fail(world, "the log does not go on where it ended");
	bs_powercut_poke(platter, offset + 4096, stale, sizeof(stale));
	survive(world, volume);
}

/* ---- the simulator's own rule ---- */

/* A read of what was never written needs no disk: one event would end it. */
static void
nothing_ends_when_power_has_gone(struct world *world)
{
	struct sim_volume *volume = directed_begin(world);
	uint64_t progress;

	world_arm(world, 1);
	work_submit(world, volume, BS_WRITE, 0, 4096, false, false);
	while (!world->power_failed)
		if (!world_step(world))
			sim_fail(world, "a write that power survives");
	work_submit(world, volume, BS_READ, CHUNK, 4096, false, false);
	progress = world->progress;
	for (unsigned i = 0; i < 100; i++)
		work_step(world);
	if (world->progress != progress)
		sim_fail(world, "I/O ended when power had gone");
	survive(world, volume);
}

void
directed_run_for(struct world *world, unsigned events)
{
	for (unsigned i = 0; i < events; i++) {
		control_step(world);
		world_step(world);
	}
}

/* ---- growth ---- */

/* The pool is full when it gets a device, and what waits for space takes it at
 * once; but the checkpoint that has the device is not durable before power
 * goes.  No record of the log may name a region that the pool does not know. */
static void
new_regions_wait_for_their_table(struct world *world)
{
	struct sim_volume *volume = directed_begin(world);

	if (!life_create_volumes(world))
		sim_fail(world, "power failed though nobody cut it");
	for (uint64_t at = 0; at < volume->size; at += CHUNK)
		directed_write(world, volume, at);
	if (!start_add_device(world))
		sim_fail(world, "no device is to join");
	directed_hold_superblocks(world);
	directed_run_for(world, 4000);
	/* more than the region that was left for metadata until now */
	for (uint64_t at = CHUNK; at <= 80 * CHUNK; at += CHUNK) {
		in_flight_falls_to(world, 16);
		work_submit(world, volume, BS_WRITE, volume->size - at, 4096,
		    true, false);
	}
	in_flight_falls_to(world, 0);
	survive(world, volume);
}

/* ---- moves ---- */

static void
run_until_data_moves(struct world *world)
{
	const struct pool *pool = world->pool;

	for (unsigned i = 0; i < 1000000; i++) {
		if (pool->move.region != NO_REGION &&
		    pool->space.regions[pool->move.region].class ==
			FMT_REGION_DATA)
			return;
		directed_run_for(world, 1);
	}
	sim_fail(world, "no data moves");
}

/* No checkpoint begins from here on, so both places are written. */
static void
run_until_exchanged(struct world *world)
{
	for (unsigned i = 0; !meta_hold_try(world->pool); i++) {
		if (i == 100000)
			sim_fail(world, "a checkpoint never ends");
		directed_run_for(world, 1);
	}
	for (unsigned i = 0; !world->pool->move.exchanged; i++) {
		if (i == 1000000)
			sim_fail(world, "the places are not exchanged");
		directed_run_for(world, 1);
	}
}

/* Two writes to one block are in flight at once, while its region moves, and
 * get to the two devices in different orders, if they may.  What is read then
 * from the new place must be what is there after a cut, when the old one
 * counts. */
static void
overlapping_writes_end_alike(struct world *world)
{
	static struct raw_io first, second;
	struct sim_volume *volume = directed_begin(world);
	struct backstore *old = world->disk[0].top;
	uint8_t seen;

	raw_run(world, volume, BS_WRITE, CHUNK);
	if (!start_add_device(world))
		sim_fail(world, "no device is to join");
	control_wait(world);
	world->control_disk = &world->disk[0];
	control_begin(world, CONTROL_EVACUATE, NULL);
	pool_evacuate(world->pool, 0, &world->request);
	control_wait(world);
	run_until_data_moves(world);
	run_until_exchanged(world);

	disk_shell_hold(old, BS_WRITE, 0, old->size);
	raw_begin(&first, volume, BS_WRITE, CHUNK, 1);
	directed_run_for(world, 200);
	disk_shell_hold(old, BS_WRITE, 0, 0); /* only what is held already */
	raw_begin(&second, volume, BS_WRITE, CHUNK, 2);
	directed_run_for(world, 200);
	disk_shell_release(old);
	raw_end(world, &first);
	raw_end(world, &second);
	seen = raw_byte(world, volume, CHUNK);
	raw_run(world, volume, BS_FLUSH, 0);
	open_after_cut(world, volume);
	if (raw_byte(world, volume, CHUNK) != seen)
		sim_fail(world, "the two places are not alike");
}

/* ---- I14 ---- */

#define LEAF_BYTES (243ull * CHUNK)

/* The page of the map, as it is on the disk, that has offset's chunk. */
static void
leaf_peek(struct world *world, struct sim_volume *volume, uint64_t offset,
    uint8_t leaf[4096])
{
	uint64_t at, run;
	struct page *page;
	struct waiter waiter;

	waiter_init(&waiter, NULL);
	if (map_leaf_get(
		volume->volume, offset / LEAF_BYTES, &waiter, &page, NULL) != 0)
		sim_fail(world, "the leaf is not in memory");
	pool_locate(world->pool, page->address, &at, &run);
	bs_powercut_peek(world->disk[0].platter, at, leaf, 4096);
}

/* A disk that returns a page whole and unharmed, but another one: both copies
 * of the map's first leaf are the second.  What it maps must not be shown. */
static void
another_page_is_noticed(struct world *world)
{
	struct sim_volume *volume = directed_begin(world);
	struct backstore *platter = world->disk[0].platter;
	uint8_t first[4096], second[4096], page[4096];
	unsigned found = 0;

	directed_write(world, volume, 0);
	directed_write(world, volume, LEAF_BYTES);
	directed_flush(world, volume);
	control_checkpoint(world);
	control_wait(world);
	leaf_peek(world, volume, 0, first);
	leaf_peek(world, volume, LEAF_BYTES, second);
	for (uint64_t at = 0; at < platter->size; at += 4096) {
		bs_powercut_peek(platter, at, page, sizeof(page));
		if (memcmp(page, first, sizeof(page)) != 0)
			continue;
		bs_powercut_poke(platter, at, second, sizeof(second));
		found++;
	}
	if (found == 0)
		sim_fail(world, "the leaf is not on the disk");
	open_after_cut(world, volume);
	if (raw_run(world, volume, BS_READ, 0) == 0)
		sim_fail(world, "another page of the map was taken for it");
	if (raw_run(world, volume, BS_READ, LEAF_BYTES) != 0)
		sim_fail(world, "the other page is as it was");
}

const struct directed directed_tests[] = {
    {"move-order", overlapping_writes_end_alike, 0},
    {"growth", new_regions_wait_for_their_table, 0},
    {"other-page", another_page_is_noticed, 0},
    {"reuse-in-flight", space_under_a_read_is_not_reused, 0},
    {"log-not-cut-early", log_is_not_cut_before_the_superblock, 0},
    {"old-log-blocks", old_log_blocks_do_not_count, 0},
    {"nothing-after-power", nothing_ends_when_power_has_gone, 0},
    {NULL, NULL, 0},
};
