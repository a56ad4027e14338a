/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of one situation each, where random seeds come seldom or never.
 */
#include "snapshot/engine.h"
#include "tests/sim/sim.h"
#include <stdlib.h>
#include <string.h>

static struct sim_volume *
one_volume(struct world *world)
{
	struct sim_volume *volume;

	if (!world_create(world))
		sim_fail(world, "power failed though nobody cut it");
	volume = control_create(world, 16 * MiB);
	control_wait(world);
	volume_bring_up(world, volume);
	return volume;
}

static void
write_now(struct world *world, struct sim_volume *volume, uint64_t offset,
    uint64_t length)
{
	work_submit(world, volume, BS_WRITE, offset, length, false, false);
	work_drain(world);
}

static void
flush_now(struct world *world, struct sim_volume *volume)
{
	work_submit(world, volume, BS_FLUSH, 0, 0, false, false);
	work_drain(world);
}

/* ---- I3 ---- */

struct raw_io {
	struct bs_io io; /* first */
	bool done;
	int result;
};

static void
raw_complete(struct bs_io *io, int result)
{
	struct raw_io *raw = container_of(io, struct raw_io, io);

	raw->done = true;
	raw->result = result;
}

static int
raw_write(struct world *world, struct sim_volume *volume, uint64_t offset)
{
	static _Alignas(4096) uint8_t buf[4096] = "not shared any more";
	static struct iovec iov = {buf, sizeof(buf)};
	static struct raw_io raw;

	bs_io_init(&raw.io);
	raw.done = false;
	raw.io.op = BS_WRITE;
	raw.io.offset = offset;
	raw.io.length = sizeof(buf);
	raw.io.iov = &iov;
	raw.io.iov_count = 1;
	raw.io.complete = raw_complete;
	bs_submit(volume->bs, &raw.io);
	world_run_until(world, &raw.done);
	return raw.result;
}

/* What was born no later than the parent's epoch belongs to the parent too:
 * this version has no copies, so it refuses to write there.  There are no
 * snapshots yet either, so the epoch is set by hand. */
static void
shared_blocks_are_not_overwritten(struct world *world)
{
	struct sim_volume *volume = one_volume(world);
	uint8_t *buf = aligned_alloc(4096, 64 * KiB);
	char text[256];

	assert(buf != NULL);
	write_now(world, volume, 0, 64 * KiB);
	flush_now(world, volume);
	volume->volume->parent_epoch = world->pool->epoch;
	int r = raw_write(world, volume, 4096);
	if (r != -EROFS)
		sim_fail(world, "a shared block was written (%d)", r);
	work_read(world, volume, 0, 64 * KiB, buf);
	if (!oracle_check_recovered(
		volume->oracle, 0, 64 * KiB, buf, text, sizeof(text)))
		sim_fail(world, "%s", text);
	free(buf);
}

/* ---- stale log blocks ---- */

/* A log of one life of the pool must not be taken up by the next one, though
 * it lies where the next one reads on. */
static void
old_log_blocks_do_not_count(struct world *world)
{
	struct sim_volume *volume = one_volume(world);

	for (unsigned life = 0; life < 6; life++) {
		for (unsigned i = 0; i < 4 + 8 / (life + 1); i++) {
			write_now(
			    world, volume, (i + 20 * life) * 64 * KiB, 4096);
			flush_now(world, volume);
		}
		life_survive(world);
		volume_bring_up(world, volume);
		/* its space may be used again: an old record must not map it */
		work_submit(
		    world, volume, BS_ZERO, 0, volume->size, false, true);
		work_drain(world);
		write_now(world, volume, (10 + life) * 64 * KiB, 4096);
		flush_now(world, volume);
		life_survive(world);
		volume_bring_up(world, volume);
	}
}

const struct directed directed_tests[] = {
    {"shared-blocks", shared_blocks_are_not_overwritten},
    {"old-log-blocks", old_log_blocks_do_not_count},
    {NULL, NULL},
};
