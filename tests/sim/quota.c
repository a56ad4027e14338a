/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Administrators who set quotas, and the claim: a volume never holds more than
 * its quota; if it did when that was set, and writes that were under way then
 * had ended, never more than then.  Not claimed of
 * families with clones: when a clone goes, what it shared with a snapshot is
 * the snapshot's alone.
 */
#include "tests/sim/family.h"
#include <inttypes.h>

static uint64_t
held_by(const struct sim_volume *volume)
{
	struct volume_stat stat;
	struct family_stat family;

	volume_stat_get(volume->volume, &stat);
	family_stat_get(volume->volume, &family);
	return stat.allocated + family.snap_held;
}

static void
quota_begins(struct world *world, struct sim_volume *volume, uint64_t quota)
{
	uint64_t held = held_by(volume);

	volume->quota = quota;
	volume->new_quota = 0;
	volume->quota_since = ++world->clock;
	volume->quota_older = true;
	volume->quota_held = held > quota ? held : quota;
}

bool
start_quota(struct world *world)
{
	struct sim_volume *volume = control_draw_volume(world);
	uint64_t held, quota;

	if (volume == NULL)
		return false;
	held = held_by(volume) / 4096;
	quota = chance(world, 200)   ? 0
		: chance(world, 300) ? 1 + below(world, held + 1)
				     : held + below(world, 1024);
	volume->new_quota = quota * 4096;
	if (!reserve_may_be(volume, volume->reserve, volume->new_quota))
		return false;
	control_begin(world, CONTROL_QUOTA, volume);
	volume_set_limits(world->pool, volume->volume, quota * 4096,
	    VOLUME_LIMIT_AS_IT_IS, &world->request);
	return true;
}

void
done_quota(struct world *world, struct sim_volume *volume)
{
	world->tally->quotas++;
	quota_begins(world, volume, volume->new_quota);
}

void
quota_verify(struct world *world, struct sim_volume *volume)
{
	struct volume_stat stat;

	volume_stat_get(volume->volume, &stat);
	if (stat.quota != volume->quota &&
	    !(world->control == CONTROL_QUOTA &&
		world->control_volume == volume &&
		stat.quota == volume->new_quota))
		sim_fail(world,
		    "volume %" PRIu64 " has a quota of %" PRIu64
		    ", not %" PRIu64,
		    volume->serial, stat.quota, volume->quota);
	quota_begins(world, volume, stat.quota);
}

static bool
has_clones(const struct world *world, const struct sim_volume *volume)
{
	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		if (&world->volume[i] != volume &&
		    world->volume[i].state != ABSENT &&
		    world->volume[i].family == volume->family)
			return true;
	return volume->family != volume->serial;
}

/* Is I/O under way that began before there was this quota? */
static bool
is_older(const struct world *world, const struct sim_volume *volume)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		if (world->slot[i].volume == volume &&
		    world->slot[i].submitted <= volume->quota_since)
			return true;
	return false;
}

static void
quota_check_one(struct world *world, struct sim_volume *volume)
{
	uint64_t held = held_by(volume);
	bool older = is_older(world, volume), was_older = volume->quota_older;
	struct volume_stat stat;

	volume->quota_older = older; /* it may have been the last to end */
	volume_stat_get(volume->volume, &stat);
	if (stat.quota == 0)
		return;
	if (stat.quota_used != held)
		sim_fail(world,
		    "volume %" PRIu64 " holds %" PRIu64 ", counted %" PRIu64,
		    volume->serial, held, stat.quota_used);
	if (stat.quota != volume->quota || volume->shared)
		return;
	if (held > volume->quota_held && !older && !was_older)
		sim_fail(world,
		    "volume %" PRIu64 " holds %" PRIu64 ", with a quota of"
		    " %" PRIu64 " and %" PRIu64 " before",
		    volume->serial, held, volume->quota, volume->quota_held);
	volume->quota_held = held > volume->quota ? held : volume->quota;
}

void
quota_check(struct world *world)
{
	if (world->scenario->control[CONTROL_QUOTA] == 0 || world->in_trouble)
		return;
	for (unsigned i = 0; i < VOLUMES_MAX; i++) {
		struct sim_volume *volume = &world->volume[i];
		volume->shared |= has_clones(world, volume);
		if (volume->state == PRESENT && volume->volume != NULL)
			quota_check_one(world, volume);
	}
}
