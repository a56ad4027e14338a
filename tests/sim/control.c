/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The administrators: one at a time creates, deletes, renames, resizes, adds a
 * device, asks for a checkpoint, while the hosts go on.
 */
#include "tests/sim/device.h"
#include "tests/sim/family.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void request_done(struct pool_request *request, int result);
static const char *control_name(enum control control);

static bool
is_busy(const struct world *world)
{
	return world->control != CONTROL_COUNT;
}

/* ---- starting: false if there is nothing to do it to ---- */

struct sim_volume *
control_draw_volume(struct world *world)
{
	struct sim_volume *choice = NULL;
	unsigned seen = 0;

	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		if (world->volume[i].state == PRESENT &&
		    !world->volume[i].ballast && below(world, ++seen) == 0)
			choice = &world->volume[i];
	return choice;
}

/* For VARVE_SIM_WATCH, as in work.c. */
static void
watch(const struct world *world, const char *what, int result)
{
	const struct sim_volume *volume = world->control_volume;

	if (getenv("VARVE_SIM_WATCH") != NULL)
		printf("  %" PRIu64 ": %s %s, volume %" PRIu64
		       " (%s), result %d\n",
		    world->clock, what, control_name(world->control),
		    volume != NULL ? volume->serial : 0,
		    volume != NULL ? volume->name : "none", result);
}

void
control_begin(
    struct world *world, enum control control, struct sim_volume *volume)
{
	assert(!is_busy(world));
	world->control = control;
	world->control_volume = volume;
	world->control_started = ++world->clock;
	world->request =
	    (struct pool_request){.done = request_done, .arg = world};
	world->quiet_begun = false;
	world->control_refusal = 0;
	world->control_size = 0;
	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		world->volume[i].group_asked = world->volume[i].group;
	world->tally->controls++;
	watch(world, "begin of", 0);
}

void
control_new_name(struct world *world, char name[POOL_NAME_MAX + 1])
{
	snprintf(name, POOL_NAME_MAX + 1, "v%" PRIu64, ++world->serial);
}

void
control_new_uuid(struct world *world, uuid_t uuid)
{
	for (unsigned i = 0; i < sizeof(uuid_t); i++)
		uuid[i] = (unsigned char)(1 + below(world, 255));
}

struct sim_volume *
control_absent(struct world *world)
{
	struct sim_volume *volume = NULL;

	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		if (world->volume[i].state == ABSENT)
			volume = &world->volume[i];
	return volume;
}

static uint32_t
draw_cow_unit(struct world *world)
{
	static const uint32_t units[] = {4096, 4096, 16384, 65536};

	if (world->cow_unit != 0)
		return world->cow_unit;
	if (!world->scenario->cow_units)
		return 4096;
	return units[below(world, ARRAY_SIZE(units))];
}

struct sim_volume *
control_create(struct world *world, uint64_t size)
{
	struct sim_volume *volume = control_absent(world);
	struct volume_params params = {.size = size};

	if (volume == NULL)
		return NULL;
	*volume = (struct sim_volume){.state = CREATING, .size = size};
	control_new_name(world, volume->name);
	volume->serial = volume->family = world->serial;
	volume->oracle = oracle_new(volume->serial);
	control_new_uuid(world, volume->uuid);
	params.name = volume->name;
	params.block_size = chance(world, 300) ? 4096 : 512;
	volume->block_size = params.block_size;
	volume->cow_unit = params.cow_unit = draw_cow_unit(world);
	memcpy(params.uuid, volume->uuid, sizeof(uuid_t));
	control_begin(world, CONTROL_CREATE, volume);
	volume_create(world->pool, &params, &world->request);
	return volume;
}

static bool
start_create(struct world *world)
{
	uint64_t blocks = world->scenario->volume_bytes / 4096;
	uint64_t size =
	    world->scenario->volume_bytes - 4096 * below(world, 1 + blocks / 8);

	return control_create(world, size) != NULL;
}

void
control_checkpoint(struct world *world)
{
	control_begin(world, CONTROL_CHECKPOINT, NULL);
	pool_checkpoint(world->pool, &world->request);
}

static bool
start_checkpoint(struct world *world)
{
	control_checkpoint(world);
	return true;
}

/* The request follows when the volume is at rest. */
void
control_delete(struct world *world, struct sim_volume *volume)
{
	control_begin(world, CONTROL_DELETE, volume);
	volume->quiet = true;
	for (struct sim_volume *s = world->snapshots; s; s = s->next) {
		if (s->of != volume || s->state != PRESENT)
			continue;
		s->quiet = true;
		if (s->hold)
			world->control_refusal = -EPERM;
	}
}

static bool
start_delete(struct world *world)
{
	struct sim_volume *volume = control_draw_volume(world);

	if (volume == NULL)
		return false;
	control_delete(world, volume);
	return true;
}

static bool
start_rename(struct world *world)
{
	struct sim_volume *volume = NULL;

	if (world->snapshots != NULL && chance(world, 500))
		volume = family_draw_snapshot(world, 0);
	if (volume == NULL)
		volume = control_draw_volume(world);
	if (volume == NULL)
		return false;
	control_new_name(world, volume->new_name);
	control_begin(world, CONTROL_RENAME, volume);
	volume_rename(
	    world->pool, volume->volume, volume->new_name, &world->request);
	return true;
}

static bool
start_enlarge(struct world *world)
{
	struct sim_volume *volume = control_draw_volume(world);

	if (volume == NULL || volume->size > 2 * world->scenario->volume_bytes)
		return false;
	volume->new_size = volume->size + 4096 * (1 + below(world, 64));
	if (chance(world, 300)) /* another page level, or nearly */
		volume->new_size += 16 * MiB;
	control_begin(world, CONTROL_ENLARGE, volume);
	volume_resize(
	    world->pool, volume->volume, volume->new_size, &world->request);
	return true;
}

/* As start_delete: the engine refuses to shrink under I/O. */
static bool
start_shrink(struct world *world)
{
	struct sim_volume *volume = control_draw_volume(world);

	if (volume == NULL || volume->size < 1 * MiB)
		return false;
	control_begin(world, CONTROL_SHRINK, volume);
	volume->quiet = true;
	return true;
}

static void
shrink_now(struct world *world, struct sim_volume *volume)
{
	uint64_t less = 4096 * (1 + below(world, 64));

	if (world->control_size != 0)
		less = volume->size - world->control_size;
	else if (chance(world, 300))
		less = volume->size / 2 / 4096 * 4096;
	volume->new_size = volume->size - less;
	volume->shrink = oracle_submit(volume->oracle, volume->new_size, less,
	    0, ++world->clock, work_oldest_read(world));
	volume->last_unmap = world->clock;
	volume_resize(
	    world->pool, volume->volume, volume->new_size, &world->request);
}

void
control_resize(struct world *world, struct sim_volume *volume, uint64_t size)
{
	control_begin(world,
	    size < volume->size ? CONTROL_SHRINK : CONTROL_ENLARGE, volume);
	if (size < volume->size) {
		volume->quiet = true;
		world->control_size = size;
		return;
	}
	volume->new_size = size;
	volume_resize(world->pool, volume->volume, size, &world->request);
}

bool
start_add_device(struct world *world)
{
	const struct scenario *scenario = world->scenario;

	if (world->disks >= scenario->devices + scenario->devices_later)
		return false;
	control_begin(world, CONTROL_ADD_DEVICE, NULL);
	pool_grow(world->pool, world_add_disk(world), &world->request);
	return true;
}

static bool
start_reopen(struct world *world)
{
	world->reopen_wanted = true;
	return true;
}

/* ---- ending ---- */

static void
done_checkpoint(struct world *world, struct sim_volume *volume)
{
	(void)volume;
	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		if (world->volume[i].state == PRESENT)
			oracle_flushed(
			    world->volume[i].oracle, world->control_started);
}

static void
done_create(struct world *world, struct sim_volume *volume)
{
	volume->state = PRESENT;
	volume->volume = world->request.volume;
}

static void
done_delete(struct world *world, struct sim_volume *volume)
{
	volume->state = ABSENT;
	volume->volume = NULL;
	family_volume_gone(world, volume);
}

static void
done_rename(struct world *world, struct sim_volume *volume)
{
	(void)world;
	strcpy(volume->name, volume->new_name);
	volume->new_name[0] = '\0';
}

static void
done_resize(struct world *world, struct sim_volume *volume)
{
	if (volume->new_size < volume->size)
		oracle_cut_off(volume->oracle, volume->new_size);
	volume->size = volume->new_size;
	volume->new_size = 0;
	volume->shrink = NULL;
	volume->quiet = false;
	if (volume->bs != NULL && volume->bs->size != volume->size)
		sim_fail(world, "an open volume did not change its size");
}

static void
done_add_device(struct world *world, struct sim_volume *volume)
{
	(void)volume;
	world_count_members(world);
	world->disk[world->disks - 1].member = true;
}

/* ---- the kinds ---- */

static void
delete_now(struct world *world, struct sim_volume *volume)
{
	volume->state = DELETING;
	for (struct sim_volume *s = world->snapshots; s; s = s->next)
		if (s->of == volume && s->state == PRESENT)
			s->state = DELETING;
	volume_delete(world->pool, volume->volume, &world->request);
}

static const struct control_kind kinds[CONTROL_COUNT] = {
    [CONTROL_CHECKPOINT] = {"checkpoint", start_checkpoint, NULL, false,
	done_checkpoint},
    [CONTROL_CREATE] = {"create", start_create, NULL, false, done_create},
    [CONTROL_DELETE] = {"delete", start_delete, delete_now, true, done_delete},
    [CONTROL_RENAME] = {"rename", start_rename, NULL, false, done_rename},
    [CONTROL_ENLARGE] = {"enlarge", start_enlarge, NULL, false, done_resize},
    [CONTROL_SHRINK] = {"shrink", start_shrink, shrink_now, false, done_resize},
    [CONTROL_ADD_DEVICE] = {"add a device", start_add_device, NULL, false,
	done_add_device},
    [CONTROL_EVACUATE] = {"evacuate a device", start_evacuate, NULL, false,
	done_evacuate},
    [CONTROL_EVACUATE_CANCEL] = {"cancel an evacuation", start_evacuate_cancel,
	NULL, false, done_evacuate_cancel},
    [CONTROL_REMOVE_DEVICE] = {"remove a device", start_remove_device, NULL,
	false, done_remove_device},
    [CONTROL_REOPEN] = {"reopen", start_reopen, NULL, false, NULL},
    [CONTROL_SNAPSHOT] = {"snapshot", start_snapshot, NULL, false,
	done_snapshot},
    [CONTROL_GROUP_SNAPSHOT] = {"group snapshot", start_group_snapshot, NULL,
	false, done_snapshot},
    [CONTROL_DELETE_SNAPSHOT] = {"delete a snapshot", start_delete_snapshot,
	delete_snapshot_now, true, done_delete_snapshot},
    [CONTROL_HOLD] = {"hold", start_hold, NULL, false, done_hold},
    [CONTROL_CONSISTENCY] = {"set the consistency", start_consistency, NULL,
	false, done_consistency},
    [CONTROL_CLONE] = {"clone", start_clone, NULL, false, done_clone},
    [CONTROL_FLATTEN] = {"flatten", start_flatten, NULL, false, done_flatten},
    [CONTROL_ROLLBACK] = {"rollback", start_rollback, rollback_now, false,
	done_rollback},
    [CONTROL_MARK] = {"make a bookmark", start_mark, NULL, false, done_mark},
    [CONTROL_UNMARK] = {"delete a bookmark", start_unmark, NULL, false,
	done_unmark},
    [CONTROL_DIFF] = {"diff", start_diff, diff_now, false, done_diff},
    [CONTROL_TRASH] = {"trash", start_trash, trash_now, true, done_trash},
    [CONTROL_RESTORE] = {"restore", start_restore, NULL, false, done_restore},
    [CONTROL_GROUP] = {"change a group", start_group, NULL, false, done_group},
    [CONTROL_QUOTA] = {"set a quota", start_quota, NULL, false, done_quota},
    [CONTROL_RESERVE] = {"reserve", start_reserve, NULL, false, done_reserve},
    [CONTROL_CHECK_ONLINE] = {"check", start_check_online, NULL, false,
	done_check_online},
};

static void
request_failed(struct world *world, int result)
{
	struct sim_volume *volume = world->control_volume;

	if (world->scenario->fault == FAULT_NONE)
		sim_fail(world, "%s: %s (expected: %s): %s",
		    kinds[world->control].name, strerror(-result),
		    strerror(-world->control_refusal), world->request.problem);
	world->tally->errors++;
	/* what has become of it shows after the next start */
	world->in_trouble = true;
	if (volume != NULL)
		volume->quiet = true;
}

static const char *
control_name(enum control control)
{
	return kinds[control].name;
}

static void
undo_marks(struct sim_volume *volume)
{
	for (struct sim_mark **at = &volume->marks; *at != NULL;) {
		if ((*at)->state == MARK_CREATING) {
			family_mark_drop(at);
			continue;
		}
		(*at)->state = MARK_PRESENT;
		at = &(*at)->next;
	}
}

void
control_undo(struct world *world)
{
	struct sim_volume *v = NULL;

	while ((v = version_next(world, v)) != NULL) {
		if (v->state == CREATING)
			v->state = ABSENT;
		else if (v->state == DELETING || v->state == TRASHING)
			v->state = PRESENT;
		v->quiet = v->hold_asked = false;
		v->new_consistency = v->consistency;
		v->new_name[0] = '\0';
		v->new_size = 0;
		v->cut_called = v->cut_done;
		undo_marks(v);
	}
	for (unsigned i = 0; i < GROUPS_MAX; i++) {
		if (world->group[i].state == GROUP_CREATING)
			world->group[i].state = GROUP_ABSENT;
		if (world->group[i].state == GROUP_DELETING)
			world->group[i].state = GROUP_PRESENT;
	}
	world->rollback_to = world->rollback_keep = NULL;
}

/* May it fail for want of space, as the pool is full? */
static bool
may_lack_space(const struct world *world)
{
	switch (world->control) {
	case CONTROL_CREATE:
	case CONTROL_SNAPSHOT:
	case CONTROL_GROUP_SNAPSHOT:
	case CONTROL_CLONE:
	case CONTROL_ROLLBACK:
	case CONTROL_MARK:
	case CONTROL_RESERVE:
	case CONTROL_ENLARGE:
	case CONTROL_GROUP: return world->scenario->may_fill;
	default: return false;
	}
}

/* The others have too little room, or it is the last. */
static bool
may_stay_full(const struct world *world, int result)
{
	return world->control == CONTROL_EVACUATE &&
	       (result == -ENOSPC || result == -EBUSY);
}

/* ... while the pool is checked. */
static bool
may_stay_read(const struct world *world, int result)
{
	return world->control == CONTROL_REMOVE_DEVICE &&
	       result == -EINPROGRESS && world->online != ONLINE_NOT;
}

/* Flattening is refused beyond the hard threshold, and to those that have
 * snapshots of their own; unless all they stand on are such. */
static bool
may_stay_clone(const struct world *world, int result)
{
	return world->control == CONTROL_FLATTEN &&
	       (result == -ENOSPC ||
		   (result == -EBUSY && family_has_own(world->control_volume)));
}

void
control_end(struct world *world, int result)
{
	const struct control_kind *kind = &kinds[world->control];

	world->clock++;
	world->progress++;
	watch(world, "end of", result);
	if (result == 0 && world->control_refusal == 0)
		kind->end(world, world->control_volume);
	else if (result < 0 && result == world->control_refusal)
		control_undo(world);
	else if ((result == -ENOSPC && may_lack_space(world)) ||
		 may_stay_clone(world, result) ||
		 may_stay_full(world, result) || may_stay_read(world, result))
		control_undo(world);
	else
		request_failed(world, result);
	world->control = CONTROL_COUNT;
}

static void
request_done(struct pool_request *request, int result)
{
	control_end(request->arg, result);
}

/* ---- running ---- */

static struct sim_volume *
open_and_quiet(struct world *world)
{
	struct sim_volume *v = NULL;

	while ((v = version_next(world, v)) != NULL)
		if (v->quiet && v->bs != NULL)
			return v;
	return NULL;
}

/* Closes one by one what the request wants closed; then makes it. */
static void
quiet_closed(void *arg)
{
	struct world *world = arg;
	const struct control_kind *kind = &kinds[world->control];
	struct sim_volume *open = kind->closes ? open_and_quiet(world) : NULL;

	if (open == NULL) {
		kind->now(world, world->control_volume);
		return;
	}
	struct backstore *bs = open->bs;
	open->bs = NULL;
	bs_close(bs, quiet_closed, world);
}

/* What waited for I/O to end begins. */
static void
quiet_go_on(struct world *world)
{
	struct sim_volume *v = NULL;

	if (world->quiet_begun)
		return;
	while ((v = version_next(world, v)) != NULL)
		if (v->quiet && v->in_flight > 0)
			return;
	world->quiet_begun = true;
	quiet_closed(world);
}

static void
maybe_start(struct world *world)
{
	const unsigned *weight = world->scenario->control;
	unsigned total = 0, i = 0;

	if (!chance(world, world->scenario->control_permille))
		return;
	for (unsigned k = 0; k < CONTROL_COUNT; k++)
		total += weight[k];
	if (total == 0)
		return;
	uint64_t drawn = below(world, total);
	while (drawn >= weight[i])
		drawn -= weight[i++];
	kinds[i].start(world);
}

void
control_step(struct world *world)
{
	if (!is_busy(world) && !world->reopen_wanted && !world->in_trouble &&
	    !world->draining)
		maybe_start(world);
	if (is_busy(world) && kinds[world->control].now != NULL)
		quiet_go_on(world);
	if (world->diff != NULL)
		diff_step(world);
	quota_check(world);
	reserve_step(world);
}

bool
control_wait(struct world *world)
{
	return work_drain(world);
}

void
control_settle(struct world *world)
{
	world->control = CONTROL_COUNT;
	world->reopen_wanted = false;
	world->online = ONLINE_NOT;
}
