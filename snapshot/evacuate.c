/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Emptying devices, in the background: region by region, each by a move
 * (move.h) to a FREE region of another device.  What is persistent is the state
 * of the device alone: when the pool is opened, the job goes on with whatever
 * is still on it.
 *
 * Metadata and log go first, since pages take their blocks in any region of
 * metadata; they never go where their other copy is, if there is another
 * device with room.  For the same reason, and by the same job, a mirror goes
 * away from the device of what it copies when a second device has come.
 *
 * Empty regions on such a device are EVACUATING, so that nobody takes them,
 * and each region that has to go has one FREE region of the others promised
 * (space->leaving): what was begun can be ended, whatever hosts write.
 */
#include "snapshot/engine.h"
#include "snapshot/family.h"
#include "snapshot/lease.h"
#include "snapshot/reserve.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RETRY_NS   (10 * NSEC_PER_MSEC)
#define NO_ROOM_NS NSEC_PER_SEC

static uint64_t
region_bytes(const struct pool *pool)
{
	return (uint64_t)pool->space.region_blocks * FMT_BLOCK;
}

static bool
evacuate_stops(const struct pool *pool)
{
	return pool->evacuate.stop || pool->state != POOL_ONLINE;
}

static void
evacuate_later(struct pool *pool, uint64_t ns)
{
	loop_timer_arm(pool->loop, &pool->evacuate.timer, ns);
}

static void
evacuate_end(struct pool *pool)
{
	pool->evacuate.running = false;
	waiters_wake(&pool->evacuate.waiting, 0);
}

/* ---- what is to move ---- */

static bool
is_to_leave(const struct pool *pool, uint32_t number)
{
	const struct region *region = &pool->space.regions[number];

	return space_is_leaving(pool, region) && region_has_something(region) &&
	       !region->unmovable;
}

/* Metadata first. */
static uint32_t
leaving_next(const struct pool *pool)
{
	const struct space *space = &pool->space;

	if (space->leaving == 0)
		return NO_REGION;
	for (unsigned data = 0; data < 2; data++)
		for (uint32_t i = 0; i < space->count; i++)
			if ((space->regions[i].class == FMT_REGION_DATA) ==
				data &&
			    is_to_leave(pool, i) && move_is_possible(pool, i))
				return i;
	return NO_REGION;
}

/* Where it can go: not beside its other copy, if that can be. */
static uint32_t
target_pick(struct pool *pool, uint32_t number)
{
	const struct region *region = &pool->space.regions[number];

	return mirror_pick(
	    pool, region->mirror != NO_REGION ? region->mirror : number);
}

static unsigned
members(const struct pool *pool)
{
	unsigned count = 0;

	for (unsigned i = 0; i < pool->device_count; i++)
		count += pool->device[i].state == FMT_DEVICE_MEMBER &&
			 !pool->device[i].missing;
	return count;
}

static bool
is_beside(const struct pool *pool, const struct region *mirror)
{
	const struct region *first;

	if (mirror->class != FMT_REGION_MIRROR || mirror->unmovable)
		return false;
	first = &pool->space.regions[mirror->mirror];
	return first->device == mirror->device &&
	       first->mirror_state == MIRROR_WHOLE;
}

/* A mirror that lies on the device of what it copies, and another one has
 * room. */
static uint32_t
beside_next(struct pool *pool)
{
	struct space *space = &pool->space;

	if (members(pool) < 2 || reserve_spare_regions(pool) == 0)
		return NO_REGION;
	for (uint32_t i = 0; i < space->count; i++) {
		uint32_t target;
		if (!is_beside(pool, &space->regions[i]))
			continue;
		target = target_pick(pool, i);
		return target != NO_REGION && space->regions[target].device !=
						  space->regions[i].device
			   ? i
			   : NO_REGION;
	}
	return NO_REGION;
}

/* ---- what was held back and need not be ---- */

static bool
is_held(const struct pool *pool, uint64_t number)
{
	const struct region *region = &pool->space.regions[number];

	return region->class == FMT_REGION_EVACUATING &&
	       pool->move.target != number;
}

static void
held_release(struct pool *pool)
{
	struct space *space = &pool->space;

	for (uint64_t i = 0;
	     i < space->count && space->class_count[FMT_REGION_EVACUATING] > 0;
	     i++)
		if (is_held(pool, i) &&
		    !space_is_leaving(pool, &space->regions[i]))
			region_record(pool, i, FMT_REGION_FREE);
}

static bool
devices_are_plain(const struct pool *pool)
{
	for (unsigned i = 0; i < pool->device_count; i++)
		if (pool->device[i].state != FMT_DEVICE_MEMBER)
			return false;
	return pool->space.class_count[FMT_REGION_EVACUATING] == 0;
}

/* Older versions may open it again. */
static void
feature_drop(struct pool *pool)
{
	if (!(pool->incompat & FMT_INCOMPAT_DEVICES) ||
	    !devices_are_plain(pool))
		return;
	pool->incompat &= ~FMT_INCOMPAT_DEVICES;
	pool->needs_write = true;
}

/* ---- the job ---- */

static void
evacuate_finish(struct pool *pool)
{
	struct evacuate_job *job = &pool->evacuate;
	bool feature = pool->incompat & FMT_INCOMPAT_DEVICES;

	if (job->unmovable > 0)
		pool_trouble(pool,
		    "%" PRIu64 " regions stay on their device: they cannot be "
		    "read, or written elsewhere",
		    job->unmovable);
	feature_drop(pool);
	if (feature && !(pool->incompat & FMT_INCOMPAT_DEVICES))
		checkpoint_again(pool);
	space_level(pool);
	mirror_fill_start(pool); /* a mirror that was bad went without copy */
	evacuate_end(pool);
}

static void
moved(struct pool *pool, int result)
{
	struct evacuate_job *job = &pool->evacuate;

	if (result == 0)
		job->done++;
	if (result == -EIO && pool->state == POOL_ONLINE) {
		pool->space.regions[job->region].unmovable = true;
		job->unmovable++;
	}
	region_check_empty(pool, job->region); /* not while it moved */
	waiters_wake(&job->waiting, 0);
	evacuate_later(pool, result == -ENOSPC ? NO_ROOM_NS : 0);
}

/* Before the first record or checkpoint that an older version would not
 * understand. */
static void
feature_take(struct pool *pool)
{
	pool->incompat |= FMT_INCOMPAT_DEVICES;
	pool->needs_write = true;
	checkpoint_wait(pool, &pool->evacuate.waiter);
}

static void
evacuate_move(struct pool *pool, uint32_t region)
{
	uint32_t target = target_pick(pool, region);

	if (target == NO_REGION) {
		evacuate_later(pool, NO_ROOM_NS);
		return;
	}
	pool->evacuate.region = region;
	if (move_begin(pool, region, target, moved) < 0)
		evacuate_later(pool, NO_ROOM_NS);
}

/* Something is to leave, but not now: its mirror is being filled. */
static bool
is_to_wait(const struct pool *pool)
{
	const struct space *space = &pool->space;

	for (uint32_t i = 0; i < space->count && space->leaving > 0; i++)
		if (is_to_leave(pool, i))
			return true;
	return false;
}

static void
evacuate_step(struct pool *pool)
{
	uint32_t region;

	if (evacuate_stops(pool)) {
		evacuate_end(pool);
		return;
	}
	held_release(pool);
	region = leaving_next(pool);
	if (region == NO_REGION)
		region = beside_next(pool);
	if (region != NO_REGION && !(pool->incompat & FMT_INCOMPAT_DEVICES))
		feature_take(pool);
	else if (region != NO_REGION)
		evacuate_move(pool, region);
	else if (is_to_wait(pool))
		evacuate_later(pool, RETRY_NS);
	else
		evacuate_finish(pool);
}

static void
evacuate_expired(struct loop_timer *timer)
{
	evacuate_step(container_of(timer, struct pool, evacuate.timer));
}

static void
evacuate_ready(struct waiter *waiter, int error)
{
	(void)error; /* the state says it */
	evacuate_step(container_of(waiter, struct pool, evacuate.waiter));
}

void
evacuate_start(struct pool *pool)
{
	struct evacuate_job *job = &pool->evacuate;

	if (job->running || evacuate_stops(pool) || pool->read_only)
		return;
	job->running = true;
	job->done = job->unmovable = 0;
	job->timer.expire = evacuate_expired;
	waiter_init(&job->waiter, evacuate_ready);
	evacuate_later(pool, 0);
}

void
evacuate_stop(struct pool *pool)
{
	struct evacuate_job *job = &pool->evacuate;

	job->stop = true;
	if (loop_timer_armed(&job->timer))
		loop_timer_disarm(pool->loop, &job->timer);
	else if (!move_stop(pool))
		return;
	evacuate_end(pool);
}

bool
evacuate_stat(const struct pool *pool, struct pool_job_stat *ret_stat)
{
	const struct evacuate_job *job = &pool->evacuate;
	const struct move *move = &pool->move;
	uint64_t at = move->region != NO_REGION ? move->at : 0;

	if (!job->running)
		return false;
	*ret_stat = (struct pool_job_stat){
	    .kind = POOL_JOB_EVACUATE,
	    .running = move->target != NO_REGION,
	    .done = job->done * region_bytes(pool) + at,
	    .total = (job->done + pool->space.leaving) * region_bytes(pool),
	};
	if (ret_stat->total < ret_stat->done)
		ret_stat->total = ret_stat->done;
	uuid_copy(ret_stat->uuid, pool->uuid);
	snprintf(ret_stat->name, sizeof(ret_stat->name), "%s", pool->name);
	return true;
}

/* ---- on request: begin ---- */

static uint64_t
regions_mib(const struct pool *pool, uint64_t regions)
{
	return regions * region_bytes(pool) >> 20;
}

static int
room_check(struct operation *op)
{
	struct pool *pool = op->pool;
	bool member = pool->device[op->slot].state == FMT_DEVICE_MEMBER;
	uint64_t needed, lacking;

	if (members(pool) - member == 0) {
		operation_problem(op, "it is the only device of the pool");
		return -EBUSY;
	}
	lacking = member ? space_lacking(pool, op->slot, &needed) : 0;
	if (lacking == 0)
		return 0;
	operation_problem(op,
	    "%" PRIu64 " MiB are on it, and the other devices can take %" PRIu64
	    " MiB",
	    regions_mib(pool, needed),
	    regions_mib(pool, needed > lacking ? needed - lacking : 0));
	return -ENOSPC;
}

/* What is empty on the device stays empty. */
static void
free_hold_back(struct pool *pool, unsigned device)
{
	struct space *space = &pool->space;

	for (uint64_t i = 0; i < space->count; i++)
		if (space->regions[i].device == device &&
		    space->regions[i].class == FMT_REGION_FREE)
			region_record(pool, i, FMT_REGION_EVACUATING);
}

static void
unmovable_forget(struct pool *pool)
{
	struct space *space = &pool->space;

	for (uint64_t i = 0; i < space->count; i++)
		space->regions[i].unmovable = false;
}

static int
evacuate_begun(struct operation *op)
{
	evacuate_start(op->pool);
	return OP_DONE;
}

/* The pool says by now that older versions cannot open it. */
static int
evacuate_begin(struct operation *op)
{
	struct pool *pool = op->pool;
	int result = room_check(op);

	if (result < 0)
		return result;
	pool->device[op->slot].state = FMT_DEVICE_EVACUATING;
	unmovable_forget(pool);
	space_count_leaving(pool);
	space_leave(pool);
	free_hold_back(pool, op->slot);
	space_level(pool);
	pool->needs_write = true;
	return operation_checkpoint(op, evacuate_begun);
}

static int
evacuate_run(struct operation *op)
{
	struct pool *pool = op->pool;
	int result = operation_check_device(op);

	if (result == 0)
		result = room_check(op);
	if (result < 0)
		return result;
	pool->incompat |= FMT_INCOMPAT_DEVICES;
	pool->needs_write = true;
	return operation_checkpoint(op, evacuate_begin);
}

static void
device_request(struct pool *pool, unsigned device, struct pool_request *request,
    int (*run)(struct operation *op))
{
	struct operation *op = operation_new(request, run);

	op->slot = device;
	operation_queue(pool, op);
}

void
pool_evacuate(struct pool *pool, unsigned device, struct pool_request *request)
{
	device_request(pool, device, request, evacuate_run);
}

/* ---- on request: cancel ---- */

static bool
move_uses(const struct pool *pool, unsigned device)
{
	const struct move *move = &pool->move;
	const struct space *space = &pool->space;

	return move->target != NO_REGION &&
	       (space->regions[move->target].device == device ||
		   (move->region != NO_REGION &&
		       space->regions[move->region].device == device));
}

static int
cancel_left(struct operation *op)
{
	struct pool *pool = op->pool;

	if (pool->state != POOL_ONLINE)
		return -EIO;
	if (move_uses(pool, op->slot)) {
		list_add_tail(&pool->evacuate.waiting, &op->waiter.link);
		return -EAGAIN;
	}
	held_release(pool);
	feature_drop(pool);
	pool->needs_write = true;
	return operation_checkpoint(op, operation_done);
}

static int
cancel_run(struct operation *op)
{
	struct pool *pool = op->pool;
	int result = operation_check_device(op);

	if (result < 0)
		return result;
	if (pool->device[op->slot].state != FMT_DEVICE_EVACUATING) {
		operation_problem(op, "it is not being emptied");
		return -EINVAL;
	}
	pool->device[op->slot].state = FMT_DEVICE_MEMBER;
	space_count_leaving(pool);
	space_level(pool);
	if (move_uses(pool, op->slot))
		move_leave(pool);
	op->run = cancel_left;
	return 0;
}

void
pool_evacuate_cancel(
    struct pool *pool, unsigned device, struct pool_request *request)
{
	device_request(pool, device, request, cancel_run);
}

/* ---- figures ---- */

static uint64_t
stuck_regions(const struct pool *pool, unsigned device)
{
	const struct space *space = &pool->space;
	uint64_t count = 0;

	for (uint64_t i = 0; i < space->count; i++)
		count += space->regions[i].device == device &&
			 space->regions[i].unmovable;
	return count;
}

static enum pool_device_state
device_state(const struct device *device, uint64_t used)
{
	if (device_is_removed(device))
		return POOL_DEVICE_REMOVED;
	if (device->missing)
		return POOL_DEVICE_MISSING;
	if (device->state == FMT_DEVICE_EVACUATING)
		return used > 0 ? POOL_DEVICE_EVACUATING : POOL_DEVICE_EMPTY;
	return POOL_DEVICE_MEMBER;
}

bool
pool_device_get(
    struct pool *pool, unsigned index, struct pool_device_stat *ret_stat)
{
	const struct device *device = &pool->device[index];
	uint64_t used;

	if (index >= pool->device_count)
		return false;
	used = device_used_regions(pool, index);
	*ret_stat = (struct pool_device_stat){
	    .state = device_state(device, used),
	    .bs = device->missing ? NULL : device->bs,
	    .size = device->size,
	    .used = used * region_bytes(pool),
	    .stuck = stuck_regions(pool, index) * region_bytes(pool),
	};
	memcpy(ret_stat->uuid, device->uuid, sizeof(ret_stat->uuid));
	return true;
}
