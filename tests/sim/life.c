/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A seed's life from the making of the pool to its emptying.
 */
#include "tests/sim/sim.h"
#include <string.h>

/* Long enough for any cut to come first; a round that ends without one is cut
 * where it stands. */
#define STEPS_PER_TICK     40u
#define EXHAUSTIVE_STEPS   900u
#define EXHAUSTIVE_VOLUMES 2u

void
life_survive(struct world *world)
{
	do
		world_cut(world);
	while (!world_boot(world));
}

static unsigned
volumes_present(const struct world *world)
{
	unsigned count = 0;

	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		count += world->volume[i].state == PRESENT &&
			 !world->volume[i].ballast;
	return count;
}

/* Writes until no more is left than the scenario wants. */
static bool
ballast_fill(struct world *world, struct sim_volume *volume)
{
	struct pool_stat stat;
	uint64_t at = 0;

	volume_bring_up(world, volume);
	do {
		work_submit(
		    world, volume, BS_WRITE, at, IO_BYTES_MAX, false, false);
		if (!work_drain(world))
			return false;
		at += IO_BYTES_MAX;
		pool_stat_get(world->pool, &stat);
	} while (stat.free > world->scenario->leave_bytes);
	work_submit(world, volume, BS_FLUSH, 0, 0, false, false);
	return work_drain(world);
}

static bool
ballast_create(struct world *world)
{
	struct sim_volume *volume;

	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		if (world->volume[i].state == PRESENT &&
		    world->volume[i].ballast)
			return true;
	volume = control_create(world, world->scenario->device_bytes);
	if (volume == NULL || !control_wait(world))
		return volume == NULL;
	volume->ballast = true;
	return ballast_fill(world, volume);
}

bool
life_create_volumes(struct world *world)
{
	if (world->scenario->leave_bytes > 0 && !ballast_create(world))
		return false;
	while (volumes_present(world) < world->scenario->volumes) {
		uint64_t less = below(world, 4) == 0 ? 4096 : 0;
		const struct sim_volume *made =
		    control_create(world, world->scenario->volume_bytes - less);
		if (made == NULL)
			return true;
		if (!control_wait(world))
			return false;
		if (made->state != PRESENT)
			return true; /* no space for its record */
	}
	return true;
}

static void
life_round(struct world *world)
{
	uint64_t ticks = 1 + below(world, world->scenario->cut_ticks);

	world_arm(world, ticks);
	work_round(world, (unsigned)(ticks * STEPS_PER_TICK + 100));
	if (!world->power_failed)
		world_arm(world, 0);
	life_survive(world);
}

static void
life_end(struct world *world)
{
	world_arm(world, 0);
	/* power may fail while opening, as ever */
	if (!world_reopen(world))
		life_survive(world);
	world_empty(world);
	devices_end(world);
	if (!world_reopen(world))
		life_survive(world);
}

void
life_run(struct world *world)
{
	if (!world_create(world))
		life_survive(world);
	for (unsigned cut = 0; cut < world->scenario->cuts_per_seed; cut++) {
		if (volumes_present(world) < world->scenario->volumes &&
		    (cut == 0 || chance(world, 300)))
			life_create_volumes(world);
		life_round(world);
	}
	life_end(world);
}

bool
life_run_exhaustive(struct world *world)
{
	bool up = world_create(world) && life_create_volumes(world);

	if (up)
		work_round(world, EXHAUSTIVE_STEPS);
	up = up && !world->power_failed && world_reopen(world);
	if (up)
		world_empty(world);
	up = up && !world->power_failed && world_reopen(world);
	if (up)
		return false;
	life_survive(world);
	life_end(world);
	return true;
}
