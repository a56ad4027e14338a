/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The administrators: one at a time creates, deletes, renames, resizes, adds a
 * device, asks for a checkpoint, while the hosts go on.
 */
#include "tests/sim/sim.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void request_done(struct pool_request *request, int result);

static bool
is_busy(const struct world *world)
{
	return world->control != CONTROL_COUNT;
}

/* ---- starting: false if there is nothing to do it to ---- */

static struct sim_volume *
draw_present(struct world *world)
{
	struct sim_volume *choice = NULL;
	unsigned seen = 0;

	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		if (world->volume[i].state == PRESENT &&
		    !world->volume[i].ballast && below(world, ++seen) == 0)
			choice = &world->volume[i];
	return choice;
}

static void
begin(struct world *world, enum control control, struct sim_volume *volume)
{
	assert(!is_busy(world));
	world->control = control;
	world->control_volume = volume;
	world->control_started = ++world->clock;
	world->request =
	    (struct pool_request){.done = request_done, .arg = world};
	world->quiet_begun = false;
	world->tally->controls++;
}

static void
new_name(struct world *world, char name[POOL_NAME_MAX + 1])
{
	snprintf(name, POOL_NAME_MAX + 1, "v%" PRIu64, ++world->serial);
}

struct sim_volume *
control_create(struct world *world, uint64_t size)
{
	struct sim_volume *volume = NULL;
	struct volume_params params = {.size = size};

	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		if (world->volume[i].state == ABSENT)
			volume = &world->volume[i];
	if (volume == NULL)
		return NULL;
	*volume = (struct sim_volume){.state = CREATING, .size = size};
	new_name(world, volume->name);
	volume->serial = world->serial;
	volume->oracle = oracle_new(volume->serial);
	for (unsigned i = 0; i < sizeof(uuid_t); i++)
		volume->uuid[i] = (unsigned char)(1 + below(world, 255));
	params.name = volume->name;
	params.block_size = chance(world, 300) ? 4096 : 512;
	memcpy(params.uuid, volume->uuid, sizeof(uuid_t));
	begin(world, CONTROL_CREATE, volume);
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

static bool
start_checkpoint(struct world *world)
{
	begin(world, CONTROL_CHECKPOINT, NULL);
	pool_checkpoint(world->pool, &world->request);
	return true;
}

/* The request follows when the volume's I/O has ended: quiet_go_on(). */
void
control_delete(struct world *world, struct sim_volume *volume)
{
	begin(world, CONTROL_DELETE, volume);
	volume->quiet = true;
}

static bool
start_delete(struct world *world)
{
	struct sim_volume *volume = draw_present(world);

	if (volume == NULL)
		return false;
	control_delete(world, volume);
	return true;
}

static bool
start_rename(struct world *world)
{
	struct sim_volume *volume = draw_present(world);

	if (volume == NULL)
		return false;
	new_name(world, volume->new_name);
	begin(world, CONTROL_RENAME, volume);
	volume_rename(
	    world->pool, volume->volume, volume->new_name, &world->request);
	return true;
}

static bool
start_enlarge(struct world *world)
{
	struct sim_volume *volume = draw_present(world);

	if (volume == NULL || volume->size > 2 * world->scenario->volume_bytes)
		return false;
	volume->new_size = volume->size + 4096 * (1 + below(world, 64));
	if (chance(world, 300)) /* another page level, or nearly */
		volume->new_size += 16 * MiB;
	begin(world, CONTROL_ENLARGE, volume);
	volume_resize(
	    world->pool, volume->volume, volume->new_size, &world->request);
	return true;
}

/* As start_delete: the engine refuses to shrink under I/O. */
static bool
start_shrink(struct world *world)
{
	struct sim_volume *volume = draw_present(world);

	if (volume == NULL || volume->size < 1 * MiB)
		return false;
	begin(world, CONTROL_SHRINK, volume);
	volume->quiet = true;
	return true;
}

static void
shrink_now(struct world *world, struct sim_volume *volume)
{
	uint64_t less = 4096 * (1 + below(world, 64));

	if (chance(world, 300))
		less = volume->size / 2 / 4096 * 4096;
	volume->new_size = volume->size - less;
	volume->shrink = oracle_submit(volume->oracle, volume->new_size, less,
	    0, ++world->clock, work_oldest_read(world));
	volume->last_unmap = world->clock;
	volume_resize(
	    world->pool, volume->volume, volume->new_size, &world->request);
}

static bool
start_add_device(struct world *world)
{
	const struct scenario *scenario = world->scenario;

	if (world->disks >= scenario->devices + scenario->devices_later)
		return false;
	begin(world, CONTROL_ADD_DEVICE, NULL);
	pool_grow(world->pool, world_add_disk(world), &world->request);
	return true;
}

static bool
start_reopen(struct world *world)
{
	world->reopen_wanted = true;
	return true;
}

static bool (*const start[CONTROL_COUNT])(struct world *world) = {
    [CONTROL_CHECKPOINT] = start_checkpoint,
    [CONTROL_CREATE] = start_create,
    [CONTROL_DELETE] = start_delete,
    [CONTROL_RENAME] = start_rename,
    [CONTROL_ENLARGE] = start_enlarge,
    [CONTROL_SHRINK] = start_shrink,
    [CONTROL_ADD_DEVICE] = start_add_device,
    [CONTROL_REOPEN] = start_reopen,
};

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
	(void)world;
	volume->state = ABSENT;
	volume->volume = NULL;
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
}

static void (*const end[CONTROL_COUNT])(
    struct world *world, struct sim_volume *volume) = {
    [CONTROL_CHECKPOINT] = done_checkpoint,
    [CONTROL_CREATE] = done_create,
    [CONTROL_DELETE] = done_delete,
    [CONTROL_RENAME] = done_rename,
    [CONTROL_ENLARGE] = done_resize,
    [CONTROL_SHRINK] = done_resize,
    [CONTROL_ADD_DEVICE] = done_add_device,
};

static void
request_failed(struct world *world, int result)
{
	struct sim_volume *volume = world->control_volume;

	if (world->scenario->fault == FAULT_NONE)
		sim_fail(world, "request %d: %s: %s", (int)world->control,
		    strerror(-result), world->request.problem);
	world->tally->errors++;
	/* what has become of it shows after the next start */
	world->in_trouble = true;
	if (volume != NULL)
		volume->quiet = true;
}

static void
request_done(struct pool_request *request, int result)
{
	struct world *world = request->arg;
	enum control control = world->control;

	world->clock++;
	world->progress++;
	if (result == 0)
		end[control](world, world->control_volume);
	else
		request_failed(world, result);
	world->control = CONTROL_COUNT;
}

/* ---- running ---- */

static void
volume_closed(void *arg)
{
	struct world *world = arg;
	struct sim_volume *volume = world->control_volume;

	volume->state = DELETING;
	volume_delete(world->pool, volume->volume, &world->request);
}

static void
delete_now(struct world *world, struct sim_volume *volume)
{
	if (volume->bs == NULL) {
		volume_closed(world);
		return;
	}
	bs_close(volume->bs, volume_closed, world);
	volume->bs = NULL;
}

/* What waited for the volume's I/O to end begins. */
static void
quiet_go_on(struct world *world)
{
	struct sim_volume *volume = world->control_volume;

	if (world->quiet_begun || volume->in_flight > 0)
		return;
	world->quiet_begun = true;
	if (world->control == CONTROL_DELETE)
		delete_now(world, volume);
	else
		shrink_now(world, volume);
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
	start[i](world);
}

void
control_step(struct world *world)
{
	if (!is_busy(world) && !world->reopen_wanted && !world->in_trouble &&
	    !world->draining)
		maybe_start(world);
	if (world->control == CONTROL_DELETE ||
	    world->control == CONTROL_SHRINK)
		quiet_go_on(world);
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
}
