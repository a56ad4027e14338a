/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine's life: power on, open, verify, power off.
 */
#include "base/simloop.h"
#include "snapshot/check.h"
#include "tests/sim/sim.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOP_BUFFER_BYTES (8 * MiB)
#define STUCK_STEPS       400000u

/* ---- power ---- */

static void
power_fails(void *arg)
{
	struct world *world = arg;

	world->power_failed = true;
}

void
world_arm(struct world *world, uint64_t n)
{
	struct disk *disk = &world->disk[below(world, world->disks)];

	for (unsigned i = 0; i < world->disks; i++)
		bs_powercut_arm(world->disk[i].platter, 0, NULL, NULL);
	bs_powercut_arm(disk->platter, n, power_fails, world);
}

static void
world_loop_new(struct world *world)
{
	int r = simloop_new(
	    sim_random(&world->random), LOOP_BUFFER_BYTES, &world->loop);
	assert(r == 0);
}

/* The engine's memory is left to the end of the process: it is dead. */
void
world_cut(struct world *world)
{
	for (unsigned i = 0; i < world->disks; i++)
		bs_powercut_cut(world->disk[i].platter);
	simloop_power_off(world->loop);
	world_loop_new(world);
	for (unsigned i = 0; i < world->disks; i++)
		bs_powercut_attach(world->disk[i].platter, world->loop);

	world->power_failed = world->in_trouble = world->draining = false;
	world->pool = NULL;
	world->in_flight = 0;
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		world->slot[i].volume = NULL;
	for (unsigned i = 0; i < VOLUMES_MAX; i++) {
		struct sim_volume *volume = &world->volume[i];
		volume->volume = NULL;
		volume->bs = NULL;
		volume->in_flight = 0;
	}
	world->tally->cuts++;
	world->clock++;
}

bool
world_run_until(struct world *world, const bool *stop)
{
	for (unsigned steps = 0; !*stop; steps++) {
		if (world->power_failed)
			return false;
		if (steps == 4 * STUCK_STEPS)
			sim_fail(world, "no end after %u events", steps);
		if (!simloop_step(world->loop) && !world->power_failed)
			sim_fail(world, "a completion was lost");
	}
	return !world->power_failed;
}

/* ---- check ---- */

static void
check_finding(
    void *arg, enum check_severity severity, const char *code, const char *text)
{
	struct world *world = arg;

	if (severity != CHECK_NOTE)
		sim_fail(world, "check: %s: %s", code, text);
	if (world->verbose)
		printf("  note: %s: %s\n", code, text);
}

static void
check_step(void *arg)
{
	struct world *world = arg;

	if (!simloop_step(world->loop))
		sim_fail(world, "check waits for nothing");
}

static int
check_run(struct world *world)
{
	struct check_report report = {.finding = check_finding, .arg = world};
	struct backstore *bs[DEVICES_MAX];

	for (unsigned i = 0; i < world->disks; i++)
		bs[i] = world->disk[i].platter;
	world->tally->checks++;
	return pool_check(bs, world->disks, check_step, world, &report);
}

void
world_check(struct world *world)
{
	int r = check_run(world);

	if (r < 0)
		sim_fail(world, "check: %s", strerror(-r));
}

/* ---- requests ---- */

struct waited {
	struct pool_request request; /* first */
	bool done;
	int result;
};

static void
waited_done(struct pool_request *request, int result)
{
	struct waited *waited = container_of(request, struct waited, request);

	waited->done = true;
	waited->result = result;
}

static struct waited
waited_init(void)
{
	return (struct waited){.request.done = waited_done};
}

/* ---- disks ---- */

static uint32_t
disk_block(struct world *world)
{
	if (world->scenario->device_block != 0)
		return world->scenario->device_block;
	return chance(world, 500) ? 512 : 4096;
}

static void
disk_new(struct world *world)
{
	const struct scenario *scenario = world->scenario;
	struct bs_powercut_params params = {
	    .size = scenario->device_bytes,
	    .block_size = disk_block(world),
	    .seed = sim_random(&world->random),
	    .volatile_cache = !scenario->plp,
	    .keep_percent = 20 + (unsigned)below(world, 70),
	    .latency_min_ns = 10 * NSEC_PER_USEC,
	    .latency_max_ns = 200 * NSEC_PER_USEC,
	};
	assert(world->disks < DEVICES_MAX);
	struct disk *disk = &world->disk[world->disks++];
	int r = bs_powercut_new(world->loop, &params, &disk->platter);
	assert(r == 0);
}

/* What the pool is given this time. */
static void
disk_plug(struct world *world, struct disk *disk)
{
	disk->error = NULL;
	disk->top = disk_shell_new(world->loop, disk->platter,
	    world->scenario->late_permille, sim_random(&world->random));
	if (world->scenario->fault == FAULT_NONE)
		return;
	int r = bs_error_new(disk->top, &disk->error);
	assert(r == 0);
	disk->top = disk->error;
}

static void
disks_plug(struct world *world, struct backstore *bs[DEVICES_MAX])
{
	for (unsigned i = 0; i < world->disks; i++) {
		disk_plug(world, &world->disk[i]);
		bs[i] = world->disk[i].top;
	}
}

struct backstore *
world_add_disk(struct world *world)
{
	disk_new(world);
	struct disk *disk = &world->disk[world->disks - 1];
	disk_plug(world, disk);
	return disk->top;
}

/* ---- creating ---- */

static struct pool_limits
world_limits(const struct world *world)
{
	return (struct pool_limits){
	    .cache_bytes = world->scenario->cache_bytes,
	    .dirty_bytes = world->scenario->dirty_bytes,
	    .io_max = 256,
	};
}

bool
world_create(struct world *world)
{
	struct pool_params params = {
	    .name = "sim", .log_bytes = world->scenario->log_bytes};
	memset(params.uuid, 0x55, sizeof(params.uuid));
	struct pool_limits limits = world_limits(world);
	struct waited waited = waited_init();
	struct backstore *bs[DEVICES_MAX];

	if (world->loop == NULL) {
		world_loop_new(world);
		for (unsigned i = 0; i < world->scenario->devices; i++)
			disk_new(world);
	}
	disks_plug(world, bs);
	if (world->exhaustive_tick > 0)
		world_arm_exhaustive(world);
	pool_create(world->loop, bs, world->disks, &params, &limits, true,
	    &waited.request);
	if (!world_run_until(world, &waited.done))
		return false;
	if (waited.result < 0)
		sim_fail(world, "pool_create: %s: %s", strerror(-waited.result),
		    waited.request.problem);
	world->pool = waited.request.pool;
	world->created = true;
	return true;
}

void
world_arm_exhaustive(struct world *world)
{
	struct disk *disk = &world->disk[world->exhaustive_disk % world->disks];

	bs_powercut_arm(
	    disk->platter, world->exhaustive_tick, power_fails, world);
	world->exhaustive_tick = 0;
}

/* ---- verifying ---- */

static struct sim_volume *
volume_by_uuid(struct world *world, const uuid_t uuid)
{
	for (unsigned i = 0; i < VOLUMES_MAX; i++) {
		struct sim_volume *volume = &world->volume[i];
		if (volume->state != ABSENT &&
		    uuid_compare(volume->uuid, uuid) == 0)
			return volume;
	}
	return NULL;
}

static void
verify_name_and_size(struct world *world, struct sim_volume *mine,
    const struct volume_stat *stat)
{
	if (strcmp(stat->name, mine->new_name) == 0)
		strcpy(mine->name, mine->new_name);
	if (strcmp(stat->name, mine->name) != 0)
		sim_fail(world, "volume %" PRIu64 " is called %s, not %s",
		    mine->serial, stat->name, mine->name);
	if (stat->size != mine->size && stat->size != mine->new_size)
		sim_fail(world,
		    "volume %" PRIu64 " has %" PRIu64 " bytes, not %" PRIu64,
		    mine->serial, stat->size, mine->size);
	if (stat->size < mine->size)
		oracle_cut_off(mine->oracle, stat->size);
	mine->size = stat->size;
	mine->new_name[0] = '\0';
	mine->new_size = 0;
}

static void
verify_list(struct world *world)
{
	struct volume *v;

	for (v = volume_next(world->pool, NULL); v != NULL;
	     v = volume_next(world->pool, v)) {
		struct volume_stat stat;
		volume_stat_get(v, &stat);
		struct sim_volume *mine = volume_by_uuid(world, stat.uuid);
		if (mine == NULL)
			sim_fail(world, "volume %s should not be", stat.name);
		verify_name_and_size(world, mine, &stat);
		mine->state = PRESENT;
		mine->volume = v;
	}
	for (unsigned i = 0; i < VOLUMES_MAX; i++) {
		struct sim_volume *mine = &world->volume[i];
		if (mine->volume == NULL && mine->state == PRESENT)
			sim_fail(world, "volume %" PRIu64 " (%s) is lost",
			    mine->serial, mine->name);
		if (mine->volume == NULL)
			mine->state = ABSENT;
		mine->quiet = false;
	}
}

static bool
verify_cell(struct world *world, struct sim_volume *volume, uint64_t offset,
    uint64_t length)
{
	static _Alignas(4096) uint8_t buf[ORACLE_CELL_BYTES];
	char text[400];

	if (!work_read(world, volume, offset, length, buf))
		return false;
	if (!oracle_check_recovered(
		volume->oracle, offset, length, buf, text, sizeof(text)))
		sim_fail(world, "after the cut: %s", text);
	world->tally->verified_bytes += length;
	return true;
}

/* What nobody has written must be a hole. */
static bool
verify_holes(struct world *world, struct sim_volume *volume)
{
	struct bs_extent extents[16];
	unsigned count;

	for (uint64_t at = 0; at < volume->size;) {
		if (!work_extents(world, volume, at, extents, 16, &count))
			return false;
		for (unsigned i = 0; i < count; i++) {
			const struct bs_extent *e = &extents[i];
			at = e->offset + e->length;
			for (uint64_t cell = e->offset / ORACLE_CELL_BYTES;
			     e->kind != BS_EXTENT_HOLE &&
			     cell * ORACLE_CELL_BYTES < at;
			     cell++)
				if (!oracle_knows_cell(volume->oracle,
					cell * ORACLE_CELL_BYTES))
					sim_fail(world,
					    "volume %" PRIu64
					    " has data at %" PRIu64
					    " where nobody wrote",
					    volume->serial,
					    cell * ORACLE_CELL_BYTES);
		}
	}
	return true;
}

static bool
verify_volume(struct world *world, struct sim_volume *volume)
{
	if (!volume_bring_up(world, volume))
		return false;
	for (uint64_t at = 0; at < volume->size; at += ORACLE_CELL_BYTES) {
		uint64_t length = volume->size - at;
		if (length > ORACLE_CELL_BYTES)
			length = ORACLE_CELL_BYTES;
		if (oracle_knows_cell(volume->oracle, at) &&
		    !verify_cell(world, volume, at, length))
			return false;
	}
	oracle_recovered(volume->oracle);
	return verify_holes(world, volume);
}

static bool
world_open(struct world *world)
{
	struct pool_limits limits = world_limits(world);
	struct waited waited = waited_init();
	struct backstore *bs[DEVICES_MAX];

	disks_plug(world, bs);
	pool_open(
	    world->loop, bs, world->disks, &limits, false, &waited.request);
	if (!world_run_until(world, &waited.done)) {
		world->tally->cuts_in_open++;
		return false;
	}
	if (waited.result < 0)
		sim_fail(world, "pool_open: %s: %s", strerror(-waited.result),
		    waited.request.problem);
	world->pool = waited.request.pool;
	return true;
}

/* A pool whose creation was cut short need not be there: it is made anew. */
static bool
world_recreate(struct world *world)
{
	int r = check_run(world);

	if (r == 0)
		world->created = true;
	else if (r != -ENOENT && r != -EBADMSG && r != -ENODEV)
		sim_fail(world, "check of a pool half made: %s", strerror(-r));
	if (r == 0)
		return world_boot(world);
	return world_create(world);
}

bool
world_boot(struct world *world)
{
	if (!world->created)
		return world_recreate(world);
	world_check(world);
	if (chance(world, 150))
		world_arm(world, 1 + below(world, 12));
	if (!world_open(world))
		return false;
	world_arm(world, 0);
	if (world->power_failed)
		return false;
	control_settle(world);
	verify_list(world);
	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		if (world->volume[i].state == PRESENT &&
		    !world->volume[i].ballast &&
		    !verify_volume(world, &world->volume[i]))
			return false;
	return true;
}

/* ---- closing ---- */

static void
closed(void *arg)
{
	*(bool *)arg = true;
}

bool
world_close_volume(struct world *world, struct sim_volume *volume)
{
	bool done = false;

	if (volume->bs == NULL)
		return true;
	bs_close(volume->bs, closed, &done);
	volume->bs = NULL;
	return world_run_until(world, &done);
}

static bool
world_close(struct world *world)
{
	struct waited waited = waited_init();

	if (!work_drain(world))
		return false;
	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		if (!world_close_volume(world, &world->volume[i]))
			return false;
	pool_close(world->pool, &waited.request);
	if (!world_run_until(world, &waited.done))
		return false;
	if (waited.result < 0 && world->scenario->fault == FAULT_NONE)
		sim_fail(world, "pool_close: %s", strerror(-waited.result));
	world->pool = NULL;
	for (unsigned i = 0; i < VOLUMES_MAX; i++) {
		world->volume[i].volume = NULL;
		if (world->volume[i].state == PRESENT && waited.result == 0)
			oracle_flushed(world->volume[i].oracle, world->clock);
	}
	return true;
}

bool
world_reopen(struct world *world)
{
	if (!world_close(world))
		return false;
	world->tally->reopens++;
	world->clock++;
	return world_boot(world);
}

/* ---- the end ---- */

static void
world_delete_volume(struct world *world, struct sim_volume *volume)
{
	struct waited waited = waited_init();

	world_close_volume(world, volume);
	volume_delete(world->pool, volume->volume, &waited.request);
	world_run_until(world, &waited.done);
	if (waited.result < 0)
		sim_fail(world, "volume_delete: %s: %s",
		    strerror(-waited.result), waited.request.problem);
	volume->volume = NULL;
	volume->state = ABSENT;
}

/* Background deletion ends some time: an hour is for ever. */
static void
world_wait_until_empty(struct world *world)
{
	uint64_t end = loop_now(world->loop) + 3600 * NSEC_PER_SEC;
	struct pool_stat stat;

	do {
		if (!simloop_step(world->loop))
			break;
		pool_stat_get(world->pool, &stat);
	} while (stat.allocated > 0 && loop_now(world->loop) < end);
	pool_stat_get(world->pool, &stat);
	if (stat.allocated > 0)
		sim_fail(world, "%" PRIu64 " bytes left in an empty pool",
		    stat.allocated);
}

void
world_empty(struct world *world)
{
	if (!work_drain(world))
		return;
	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		if (world->volume[i].state == PRESENT)
			world_delete_volume(world, &world->volume[i]);
	world_wait_until_empty(world);
	world_reopen(world);
}
