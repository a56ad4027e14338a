/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine's life: power on, open, verify, power off.
 */
#include "base/simloop.h"
#include "snapshot/check.h"
#include "snapshot/engine.h"
#include "tests/sim/sim.h"
#include "tests/waited.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOP_BUFFER_BYTES (8 * MiB)
#define ACK_RING_BYTES    (64 * KiB)
#define STUCK_STEPS       400000u

bool world_without_ring;

struct sim_volume *
version_next(struct world *world, struct sim_volume *version)
{
	if (version == NULL)
		return &world->volume[0];
	if (version->is_snapshot)
		return version->next;
	return version + 1 < world->volume + VOLUMES_MAX ? version + 1
							 : world->snapshots;
}

/* ---- power ---- */

static void
power_fails(void *arg)
{
	struct world *world = arg;

	world->power_failed = true;
}

/* Mostly one that has much to do, so that the cut comes soon. */
static struct disk *
draw_disk(struct world *world)
{
	uint64_t total = 0, drawn;
	unsigned i = 0;

	/* a removed one is not written any more: its ticks stay */
	for (unsigned k = 0; k < world->members; k++)
		total += bs_powercut_ticks(world->disk[k].platter);
	if (total == 0 || chance(world, 100))
		return &world->disk[below(world, world->members)];
	drawn = below(world, total);
	while (drawn >= bs_powercut_ticks(world->disk[i].platter))
		drawn -= bs_powercut_ticks(world->disk[i++].platter);
	return &world->disk[i];
}

void
world_arm(struct world *world, uint64_t n)
{
	struct disk *disk = draw_disk(world);

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

/* Is it the process alone that ends?  Then the kernel and the disks go on, and
 * what the process has left in its ring counts. */
static void
cut_kind(struct world *world)
{
	if (below(world, 100) < world->scenario->kill_percent)
		return;
	world->only_kills = false;
	world->boot++;
}

/* The engine is dead: its memory is taken from it, and what was in flight is
 * left to the end of the process. */
static void
engine_forget(struct world *world)
{
	if (world->pool != NULL)
		pool_free(world->pool);
	world->pool = NULL;
}

void
world_cut(struct world *world)
{
	cut_kind(world);
	for (unsigned i = 0; i < world->disks; i++)
		bs_powercut_cut(world->disk[i].platter);
	simloop_power_off(world->loop);
	engine_forget(world);
	simloop_power_on(world->loop, sim_random(&world->random));
	for (unsigned i = 0; i < world->disks; i++)
		bs_powercut_attach(world->disk[i].platter, world->loop);

	world->power_failed = world->in_trouble = world->draining = false;
	world->in_flight = 0;
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		world->slot[i].volume = NULL;
	for (struct sim_volume *v = NULL;
	     (v = version_next(world, v)) != NULL;) {
		v->volume = NULL;
		v->bs = NULL;
		v->in_flight = 0;
	}
	world->diff = NULL;
	world->tally->cuts++;
	world->clock++;
}

bool
world_step(struct world *world)
{
	return !world->power_failed && simloop_step(world->loop);
}

bool
world_run_until(struct world *world, const bool *stop)
{
	for (unsigned steps = 0; !*stop; steps++) {
		if (world->power_failed)
			return false;
		if (steps == 4 * STUCK_STEPS)
			sim_fail(world, "no end after %u events", steps);
		if (!world_step(world) && !world->power_failed)
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
	if (world->scenario->check_off || getenv("VARVE_SIM_NO_CHECK") != NULL)
		return;
	int r = check_run(world);
	if (r < 0)
		sim_fail(world, "check: %s", strerror(-r));
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
	    .keep_percent = scenario->kill_percent > 0
				? 100
				: 20 + (unsigned)below(world, 70),
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

/* A disk on its way into the pool when power went may not have got a label
 * yet: an administrator would not name it as one of the pool's. */
static bool
disk_has_label(const struct disk *disk)
{
	struct fmt_label label;

	for (unsigned i = 0; i < FMT_LABELS; i++) {
		bs_powercut_peek(disk->platter,
		    fmt_label_offset(i, disk->platter->size), &label,
		    sizeof(label));
		if (fmt_label_check(&label) == NULL)
			return true;
	}
	return false;
}

static unsigned
disks_plug(
    struct world *world, struct backstore *bs[DEVICES_MAX], bool labelled)
{
	unsigned count = 0;

	for (unsigned i = 0; i < world->disks; i++) {
		disk_plug(world, &world->disk[i]);
		if (!labelled || disk_has_label(&world->disk[i]))
			bs[count++] = world->disk[i].top;
	}
	return count;
}

void
world_count_members(struct world *world)
{
	struct pool_device_stat stat;

	for (unsigned i = 0; pool_device_get(world->pool, i, &stat); i++)
		for (unsigned k = 0; k < world->disks; k++)
			if (stat.bs == world->disk[k].top &&
			    k >= world->members)
				world->members = k + 1;
	/* what moves is to move under load, not while all is verified */
	if (world->scenario->background > 0)
		pool_set_background(world->pool, 1);
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
	struct pool_limits limits = {
	    .cache_bytes = world->scenario->cache_bytes,
	    .dirty_bytes = world->scenario->dirty_bytes,
	    .io_max = 2 * SLOTS_MAX,
	};

	if (world->ack_ring != NULL && !world_without_ring) {
		limits.ack_ring = world->ack_ring;
		limits.ack_ring_bytes = ACK_RING_BYTES;
	}
	memcpy(limits.boot_id, &world->boot, sizeof(world->boot));
	return limits;
}

bool
world_create(struct world *world)
{
	struct pool_params params = {
	    .name = "sim", .log_bytes = world->scenario->log_bytes};
	memset(params.uuid, 0x55, sizeof(params.uuid));
	struct pool_limits limits = world_limits(world);
	struct waited waited = WAITED(waited);
	struct backstore *bs[DEVICES_MAX];

	if (world->loop == NULL) {
		world_loop_new(world);
		for (unsigned i = 0; i < world->scenario->devices; i++)
			disk_new(world);
		if (world->scenario->kill_percent > 0 || chance(world, 300))
			world->ack_ring = aligned_alloc(4096, ACK_RING_BYTES);
	}
	unsigned count = disks_plug(world, bs, false);
	world->members = count;
	if (world->exhaustive_tick > 0)
		world_arm_exhaustive(world);
	params.no_mirror = world->scenario->one_copy;
	pool_create(
	    world->loop, bs, count, &params, &limits, true, &waited.request);
	if (!world_run_until(world, &waited.done))
		return false;
	if (waited.result < 0)
		sim_fail(world, "pool_create: %s: %s", strerror(-waited.result),
		    waited.request.problem);
	world->pool = waited.request.pool;
	world->created = true;
	world_count_members(world);
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

/* ---- opening ---- */

bool
world_open(struct world *world)
{
	struct pool_limits limits = world_limits(world);
	struct waited waited = WAITED(waited);
	struct backstore *bs[DEVICES_MAX];

	unsigned count = disks_plug(world, bs, true);
	pool_open(world->loop, bs, count, &limits, false, &waited.request);
	if (!world_run_until(world, &waited.done)) {
		world->tally->cuts_in_open++;
		return false;
	}
	if (waited.result < 0)
		sim_fail(world, "pool_open: %s: %s", strerror(-waited.result),
		    waited.request.problem);
	world->pool = waited.request.pool;
	world_count_members(world);
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
	return world_verify(world);
}

/* ---- closing ---- */

bool
world_close_volume(struct world *world, struct sim_volume *volume)
{
	bool done = false;

	if (volume->bs == NULL)
		return true;
	bs_close(volume->bs, waited_closed, &done);
	volume->bs = NULL;
	return world_run_until(world, &done);
}

static bool
world_close(struct world *world)
{
	struct waited waited = WAITED(waited);

	if (!work_drain(world))
		return false;
	for (struct sim_volume *v = NULL; (v = version_next(world, v)) != NULL;)
		if (!world_close_volume(world, v))
			return false;
	pool_close(world->pool, &waited.request);
	if (!world_run_until(world, &waited.done))
		return false;
	if (waited.result < 0 && world->scenario->fault == FAULT_NONE)
		sim_fail(world, "pool_close: %s", strerror(-waited.result));
	world->pool = NULL;
	for (struct sim_volume *v = NULL;
	     (v = version_next(world, v)) != NULL;) {
		v->volume = NULL;
		if (v->oracle != NULL && waited.result == 0)
			oracle_flushed(v->oracle, world->clock);
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
	struct waited waited = WAITED(waited);

	struct sim_volume *v = NULL;

	while ((v = version_next(world, v)) != NULL)
		if ((v == volume || v->of == volume) &&
		    !world_close_volume(world, v))
			return;
	volume->state = DELETING;
	volume_delete(world->pool, volume->volume, &waited.request);
	if (!world_run_until(world, &waited.done))
		return;
	if (waited.result < 0)
		sim_fail(world, "volume_delete: %s: %s",
		    strerror(-waited.result), waited.request.problem);
	volume->volume = NULL;
	volume->state = ABSENT;
	if (volume->is_snapshot)
		family_gone(world, volume);
	else
		family_volume_gone(world, volume);
}

/* Background deletion ends some time: an hour is for ever. */
static void
world_wait_until_empty(struct world *world)
{
	uint64_t end = loop_now(world->loop) + 3600 * NSEC_PER_SEC;
	struct pool_stat stat;

	do {
		if (!world_step(world))
			break;
		pool_stat_get(world->pool, &stat);
	} while (stat.allocated > 0 && loop_now(world->loop) < end);
	pool_stat_get(world->pool, &stat);
	if (stat.allocated > 0 && !world->power_failed)
		sim_fail(world, "%" PRIu64 " bytes left in an empty pool",
		    stat.allocated);
}

/* Takes it out of the trash, lets it go: then it can be deleted. */
static void
world_release(struct world *world, struct sim_volume *version)
{
	struct waited waited = WAITED(waited);

	if (version->state == TRASHED && !version->with_volume) {
		family_restore(world, version);
		if (!control_wait(world))
			return;
	}
	if (version->state != PRESENT || !version->hold)
		return;
	snapshot_hold(world->pool, version->volume, false, &waited.request);
	if (world_run_until(world, &waited.done) && waited.result < 0)
		sim_fail(world, "snapshot_hold: %s", strerror(-waited.result));
	version->hold = false;
}

static struct sim_volume *
draw_present(struct world *world)
{
	struct sim_volume *v = NULL, *choice = NULL;
	unsigned seen = 0;

	while ((v = version_next(world, v)) != NULL)
		if (v->state == PRESENT && below(world, ++seen) == 0)
			choice = v;
	return choice;
}

void
world_empty(struct world *world)
{
	struct sim_volume *v = NULL;

	if (!work_drain(world))
		return;
	while ((v = version_next(world, v)) != NULL && !world->power_failed)
		world_release(world, v);
	while (!world->power_failed && (v = draw_present(world)) != NULL)
		world_delete_volume(world, v);
	if (!world->power_failed)
		world_wait_until_empty(world);
}
