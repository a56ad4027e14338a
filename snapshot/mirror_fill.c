/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The job that gives metadata its second copies: regions that have no mirror,
 * or one that is not whole.  It goes over all regions once, and comes again
 *when the pool is opened or asked for it.
 *
 *	META    a window at a time, with checkpoints kept out meanwhile, so that
 *	        nobody else writes there
 *	LOG     nothing is copied: once a checkpoint that began later is
 *durable, reading begins behind what the mirror has not
 *
 * What a crash leaves is a mirror that is not whole: it is filled from the
 * beginning.
 */
#include "snapshot/engine.h"
#include "snapshot/family.h"
#include "snapshot/reserve.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RETRY_NS (2 * NSEC_PER_MSEC)

static void fill_step(struct pool *pool);

static uint64_t
region_bytes(const struct pool *pool)
{
	return (uint64_t)pool->space.region_blocks * FMT_BLOCK;
}

static bool
fill_stops(struct pool *pool)
{
	return pool->fill.stop || pool->state != POOL_ONLINE;
}

static void
fill_end(struct pool *pool)
{
	struct fill_job *job = &pool->fill;

	job->running = false;
	window_free(&job->window);
	if (job->changed)
		checkpoint_again(pool);
	job->changed = false;
}

static bool
lacks_mirror(const struct region *region)
{
	return region_may_have_mirror(region) &&
	       (region->mirror == NO_REGION ||
		   region->mirror_state != MIRROR_WHOLE);
}

static void
fill_later(struct pool *pool, uint64_t ns)
{
	loop_timer_arm(pool->loop, &pool->fill.timer, ns);
}

/* On to the next region. */
static void
fill_next(struct pool *pool)
{
	pool->fill.region++;
	pool->fill.at = 0;
	fill_later(pool, 0);
}

static void
fill_whole(struct pool *pool, struct region *region)
{
	if (region->mirror != NO_REGION &&
	    region->mirror_state == MIRROR_FILLING) {
		space_mirror_is_whole(pool, pool->fill.region);
		regions_touch(pool);
		pool->fill.changed = true;
	}
	fill_next(pool);
}

/* ---- META ---- */

static void
fill_copied(struct window *window, int result)
{
	struct pool *pool = container_of(window, struct pool, fill.window);
	struct fill_job *job = &pool->fill;
	struct region *region = &pool->space.regions[job->region];

	meta_hold_drop(pool);
	if (fill_stops(pool)) {
		fill_end(pool);
		return;
	}
	if (result < 0 || region->mirror_state != MIRROR_FILLING) {
		/* it is left as it is: bad, or not there yet */
		region->mirror_state = MIRROR_BAD;
		fill_next(pool);
		return;
	}
	job->at += window->length;
	job->done += window->length;
	if (job->at == region_bytes(pool))
		fill_whole(pool, region);
	else
		fill_later(pool, background_rest(pool, job->began, 0));
}

static void
fill_window(struct pool *pool, const struct region *region)
{
	struct fill_job *job = &pool->fill;
	const struct region *mirror = &pool->space.regions[region->mirror];
	struct window *window = &job->window;
	uint64_t left = region_bytes(pool) - job->at;

	if (!meta_hold_try(pool)) {
		fill_later(pool, RETRY_NS);
		return;
	}
	job->began = loop_now(pool->loop);
	window->from = &pool->device[region->device];
	window->from_offset = region->offset + job->at;
	window->to = &pool->device[mirror->device];
	window->to_offset = mirror->offset + job->at;
	window->length = left < WINDOW_BYTES ? (uint32_t)left : WINDOW_BYTES;
	window->skip_bad = true; /* what is in use there cannot be had */
	window_copy(window);
}

/* ---- LOG ---- */

static void
fill_checkpointed(struct waiter *waiter, int error)
{
	struct pool *pool = container_of(waiter, struct pool, fill.waiter);

	if (error < 0 || fill_stops(pool))
		fill_end(pool);
	else
		fill_whole(pool, &pool->space.regions[pool->fill.region]);
}

/* ---- the job ---- */

/* A FREE region, if data can spare it. */
static bool
fill_make(struct pool *pool, uint64_t number)
{
	struct fmt_record record = {.type = FMT_REGION};
	uint32_t mirror = mirror_pick(pool, number);

	if (mirror == NO_REGION || reserve_spare_regions(pool) == 0) {
		pool->fill.lacking++;
		return false;
	}
	le64_set(&record.a, mirror);
	le64_set(&record.b, FMT_REGION_MIRROR | (number + 1) << 8);
	pool_record(pool, &record, 1);
	pool->fill.changed = true;
	return pool->state == POOL_ONLINE;
}

static void
fill_region(struct pool *pool, struct region *region)
{
	struct fill_job *job = &pool->fill;

	if (region->mirror == NO_REGION && !fill_make(pool, job->region)) {
		fill_next(pool);
		return;
	}
	if (job->at == 0)
		region->mirror_state = MIRROR_FILLING;
	if (region->class == FMT_REGION_META)
		fill_window(pool, region);
	else
		checkpoint_wait(pool, &job->waiter);
}

static void
fill_finish(struct pool *pool)
{
	struct fill_job *job = &pool->fill;

	if (job->lacking > 0)
		pool_trouble(pool,
		    "no space for second copies of %" PRIu64
		    " regions of metadata",
		    job->lacking);
	else if (pool->problem[0] != 0 && mirrors_are_whole(pool))
		pool_trouble(pool, "%s", "");
	fill_end(pool);
}

static void
fill_step(struct pool *pool)
{
	struct fill_job *job = &pool->fill;
	struct space *space = &pool->space;

	if (fill_stops(pool)) {
		fill_end(pool);
		return;
	}
	while (job->region < space->count &&
	       !lacks_mirror(&space->regions[job->region]))
		job->region++;
	if (job->region < space->count)
		fill_region(pool, &space->regions[job->region]);
	else
		fill_finish(pool);
}

static void
fill_expired(struct loop_timer *timer)
{
	fill_step(container_of(timer, struct pool, fill.timer));
}

bool
mirrors_are_whole(const struct pool *pool)
{
	const struct space *space = &pool->space;

	for (uint64_t i = 0; i < space->count; i++)
		if (lacks_mirror(&space->regions[i]))
			return false;
	return true;
}

void
mirror_fill_start(struct pool *pool)
{
	struct fill_job *job = &pool->fill;
	struct space *space = &pool->space;

	if (job->running || !space->mirrored || fill_stops(pool) ||
	    mirrors_are_whole(pool) ||
	    window_init(&job->window, fill_copied) < 0)
		return;
	job->running = true;
	job->region = job->at = job->done = job->lacking = job->total = 0;
	for (uint64_t i = 0; i < space->count; i++)
		if (lacks_mirror(&space->regions[i]) &&
		    space->regions[i].class == FMT_REGION_META)
			job->total += region_bytes(pool);
	job->timer.expire = fill_expired;
	waiter_init(&job->waiter, fill_checkpointed);
	fill_later(pool, 0);
}

void
mirror_fill_stop(struct pool *pool)
{
	struct fill_job *job = &pool->fill;

	job->stop = true;
	if (!loop_timer_armed(&job->timer))
		return;
	loop_timer_disarm(pool->loop, &job->timer);
	job->changed = false;
	fill_end(pool);
}

bool
mirror_fill_stat(const struct pool *pool, struct pool_job_stat *ret_stat)
{
	if (!pool->fill.running)
		return false;
	*ret_stat = (struct pool_job_stat){
	    .kind = POOL_JOB_MIRROR,
	    .running = true,
	    .done = pool->fill.done,
	    .total = pool->fill.total,
	};
	uuid_copy(ret_stat->uuid, pool->uuid);
	snprintf(ret_stat->name, sizeof(ret_stat->name), "%s", pool->name);
	return true;
}

/* ---- on request ---- */

static int
mirror_run(struct operation *op)
{
	struct pool *pool = op->pool;
	int result = operation_check(op);

	if (result < 0)
		return result;
	le32_set(&pool->super.flags,
	    le32_get(&pool->super.flags) & ~FMT_SUPER_NO_MIRROR);
	pool->space.mirrored = true;
	pool->incompat |= FMT_INCOMPAT_MIRRORS;
	pool->needs_write = true;
	space_level(pool);
	mirror_fill_start(pool);
	return operation_checkpoint(op, operation_done);
}

void
pool_mirror(struct pool *pool, struct pool_request *request)
{
	operation_queue(pool, operation_new(request, mirror_run));
}
