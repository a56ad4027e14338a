/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices that are emptied and removed, and what must be true of them after a
 * restart: what was acknowledged is so, what was asked for may be so.
 */
#include "tests/sim/device.h"
#include "base/simloop.h"
#include "tests/sim/control.h"
#include <inttypes.h>

/* Its number in the pool; -1: it is no device of it. */
static int
disk_find(struct world *world, const struct disk *disk,
    struct pool_device_stat *ret_stat)
{
	for (unsigned i = 0; pool_device_get(world->pool, i, ret_stat); i++)
		if (ret_stat->bs == disk->top)
			return (int)i;
	return -1;
}

/* One that is in such a state. */
static struct disk *
disk_draw(
    struct world *world, enum pool_device_state state, unsigned *ret_number)
{
	struct disk *choice = NULL;
	struct pool_device_stat stat;
	unsigned seen = 0;

	for (unsigned i = 0; i < world->disks; i++) {
		struct disk *disk = &world->disk[i];
		int number = disk->removed ? -1 : disk_find(world, disk, &stat);
		if (number < 0 || stat.state != state ||
		    below(world, ++seen) > 0)
			continue;
		choice = disk;
		*ret_number = (unsigned)number;
	}
	return choice;
}

static unsigned
members(struct world *world)
{
	struct pool_device_stat stat;
	unsigned count = 0;

	for (unsigned i = 0; pool_device_get(world->pool, i, &stat); i++)
		count += stat.state == POOL_DEVICE_MEMBER;
	return count;
}

static void
disk_begin(struct world *world, enum control control, struct disk *disk)
{
	control_begin(world, control, NULL);
	world->control_disk = disk;
}

/* Seldom so that one is left: it would be full. */
bool
start_evacuate(struct world *world)
{
	unsigned number;
	struct disk *disk = disk_draw(world, POOL_DEVICE_MEMBER, &number);

	if (disk == NULL || (members(world) == 2 && !chance(world, 100)))
		return false;
	disk_begin(world, CONTROL_EVACUATE, disk);
	pool_evacuate(world->pool, number, &world->request);
	return true;
}

bool
start_evacuate_cancel(struct world *world)
{
	enum pool_device_state state =
	    chance(world, 500) ? POOL_DEVICE_EVACUATING : POOL_DEVICE_EMPTY;
	unsigned number;
	struct disk *disk = disk_draw(world, state, &number);

	if (disk == NULL)
		return false;
	disk_begin(world, CONTROL_EVACUATE_CANCEL, disk);
	pool_evacuate_cancel(world->pool, number, &world->request);
	return true;
}

bool
start_remove_device(struct world *world)
{
	unsigned number;
	struct disk *disk = disk_draw(world, POOL_DEVICE_EMPTY, &number);

	if (disk == NULL)
		return false;
	disk_begin(world, CONTROL_REMOVE_DEVICE, disk);
	pool_device_remove(world->pool, number, &world->request);
	return true;
}

void
done_evacuate(struct world *world, struct sim_volume *volume)
{
	(void)volume;
	world->control_disk->leaving = true;
}

void
done_evacuate_cancel(struct world *world, struct sim_volume *volume)
{
	(void)volume;
	world->control_disk->leaving = false;
}

/* The pool has closed it. */
void
done_remove_device(struct world *world, struct sim_volume *volume)
{
	(void)volume;
	world->control_disk->leaving = false;
	world->control_disk->removed = true;
	world->tally->removals++;
}

static bool
was_asked(
    const struct world *world, enum control control, const struct disk *disk)
{
	return world->control == control && world->control_disk == disk;
}

static void
disk_verify(struct world *world, struct disk *disk)
{
	unsigned n = (unsigned)(disk - world->disk);
	struct pool_device_stat stat;
	int number = disk_find(world, disk, &stat);
	bool leaving;

	if (number < 0) {
		/* one that joins may not have done so yet */
		if (disk->member && !disk->removed &&
		    !was_asked(world, CONTROL_REMOVE_DEVICE, disk))
			sim_fail(world, "disk %u is no device any more", n);
		disk->removed |= disk->member;
		disk->leaving = false;
		return;
	}
	if (disk->removed)
		sim_fail(world, "disk %u is a device again", n);
	disk->member = true;
	leaving = stat.state == POOL_DEVICE_EVACUATING ||
		  stat.state == POOL_DEVICE_EMPTY;
	if (leaving != disk->leaving &&
	    !was_asked(world, CONTROL_EVACUATE, disk) &&
	    !was_asked(world, CONTROL_EVACUATE_CANCEL, disk))
		sim_fail(world, "disk %u: evacuating is %d, not %d", n, leaving,
		    disk->leaving);
	disk->leaving = leaving;
}

void
devices_verify(struct world *world)
{
	for (unsigned i = 0; i < world->disks; i++)
		disk_verify(world, &world->disk[i]);
}

/* An hour is for ever. */
void
devices_end(struct world *world)
{
	uint64_t end = loop_now(world->loop) + 3600 * NSEC_PER_SEC;
	unsigned number;

	while (!world->power_failed &&
	       disk_draw(world, POOL_DEVICE_EVACUATING, &number) != NULL) {
		if (!simloop_step(world->loop) || loop_now(world->loop) > end)
			sim_fail(world, "device %u is never empty", number);
	}
}
