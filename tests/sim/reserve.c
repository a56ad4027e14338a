/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Administrators who reserve, and the claim: no write is refused for want of
 * space before its volume has, with what is under way, all that is reserved for
 * it; whatever others write, trim, delete and take snapshots of.
 */
#include "tests/sim/family.h"
#include <inttypes.h>

#define EVERYTHING (1ull << 60)

static void
reserve_begins(struct world *world, struct sim_volume *volume, uint64_t reserve)
{
	volume->reserve = reserve;
	volume->new_reserve = 0;
	volume->reserve_since = ++world->clock;
}

/* The engine refuses more than a quota lets the volume have. */
bool
reserve_may_be(
    const struct sim_volume *volume, uint64_t reserve, uint64_t quota)
{
	return quota == 0 || reserve <= quota || volume->size <= quota;
}

bool
start_reserve(struct world *world)
{
	struct sim_volume *volume = control_draw_volume(world);

	if (volume == NULL || volume->cow_unit != 4096)
		return false;
	volume->new_reserve = chance(world, 200) ? 0
			      : chance(world, 300)
				  ? EVERYTHING
				  : below(world, volume->size / 4096) * 4096;
	if (!reserve_may_be(volume, volume->new_reserve, volume->quota))
		return false;
	control_begin(world, CONTROL_RESERVE, volume);
	volume_set_limits(world->pool, volume->volume, VOLUME_LIMIT_AS_IT_IS,
	    volume->new_reserve, &world->request);
	return true;
}

void
done_reserve(struct world *world, struct sim_volume *volume)
{
	world->tally->reserves++;
	reserve_begins(world, volume, volume->new_reserve);
}

void
reserve_trashed(struct sim_volume *volume)
{
	volume->reserve = 0;
}

void
reserve_verify(struct world *world, struct sim_volume *volume)
{
	struct volume_stat stat;

	volume_stat_get(volume->volume, &stat);
	if (stat.reserve != volume->reserve &&
	    !(world->control == CONTROL_RESERVE &&
		world->control_volume == volume &&
		stat.reserve == volume->new_reserve))
		sim_fail(world,
		    "volume %" PRIu64 " reserves %" PRIu64 ", not %" PRIu64,
		    volume->serial, stat.reserve, volume->reserve);
	reserve_begins(world, volume, stat.reserve);
}

/* At most: whole chunks, and one that it begins in. */
static uint64_t
under_way(const struct world *world, const struct sim_volume *volume)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		const struct slot *slot = &world->slot[i];
		if (slot->volume == volume &&
		    (slot->io.op == BS_WRITE || slot->io.op == BS_ZERO))
			bytes += slot->io.length + 2 * 65536;
	}
	return bytes;
}

/* What is asked for may be so already. */
static uint64_t
reserve_least(const struct world *world, const struct sim_volume *volume)
{
	bool asked = world->control == CONTROL_RESERVE &&
		     world->control_volume == volume;

	return asked && volume->new_reserve < volume->reserve
		   ? volume->new_reserve
		   : volume->reserve;
}

static void
reserve_look_at(struct world *world, struct sim_volume *volume)
{
	struct family_stat family;
	struct volume_stat stat;
	uint64_t target = reserve_least(world, volume);

	volume_stat_get(volume->volume, &stat);
	family_stat_get(volume->volume, &family);
	if (target > stat.size)
		target = stat.size;
	if (family.exclusive + under_way(world, volume) >= target ||
	    (stat.quota != 0 && stat.quota < target))
		volume->reserve_had = world->clock;
}

void
reserve_step(struct world *world)
{
	if (world->scenario->control[CONTROL_RESERVE] == 0)
		return;
	for (unsigned i = 0; i < VOLUMES_MAX; i++) {
		struct sim_volume *volume = &world->volume[i];
		if (volume->reserve != 0 && volume->state == PRESENT &&
		    volume->volume != NULL)
			reserve_look_at(world, volume);
	}
}

/* It may have been refused when it had it all, and trim that now. */
void
reserve_check(struct world *world, const struct slot *slot)
{
	struct sim_volume *volume = slot->volume;

	if (volume->reserve == 0 || slot->submitted <= volume->reserve_since)
		return;
	reserve_look_at(world, volume);
	if (volume->reserve_had < slot->submitted)
		sim_fail(world,
		    "volume %" PRIu64 " reserves %" PRIu64
		    ", does not have it, and gets no more",
		    volume->serial, volume->reserve);
}
