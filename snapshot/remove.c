/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking a device with nothing on it out of the pool.
 *
 * A checkpoint comes first, on the other devices: from then on the pool is
 * complete without it.  Then its labels and superblocks are wiped.  If power
 * goes in between, what it still says is older than what the others say, and it
 * is not taken for a member.
 */
#include "base/log.h"
#include "snapshot/engine.h"
#include "snapshot/label.h"
#include <inttypes.h>

static void
unused_closed(void *arg)
{
	(void)arg;
}

/* op->bs is what is to stand for the device until that is closed, then the
 * device itself. */
static void
remove_cleanup(struct operation *op, int result)
{
	if (result < 0 && op->bs != NULL)
		bs_close(op->bs, unused_closed, NULL);
	labels_free(op->detail);
}

static void
remove_closed(void *arg)
{
	operation_end(arg, 0);
}

/* Whatever came of wiping: the pool does without it. */
static int
remove_close(struct operation *op)
{
	const struct labels *labels = op->detail;

	if (labels == NULL || labels->error < 0)
		log_debug("pool %s: the label of %s could not be wiped",
		    op->pool->name, op->bs->name);
	bs_close(op->bs, remove_closed, op);
	return -EAGAIN;
}

static int
remove_wipe_supers(struct operation *op)
{
	op->run = remove_close;
	labels_wipe_supers(op->detail, &op->waiter);
	return -EAGAIN;
}

static int
remove_wipe(struct operation *op)
{
	struct pool *pool = op->pool;
	struct device *device = &pool->device[op->slot];
	struct backstore *gone = device->bs;

	device->bs = op->bs;
	device->missing = true;
	op->bs = gone;
	op->detail = labels_new(&op->bs, 1);
	op->run = remove_close;
	if (op->detail == NULL)
		return 0;
	op->run = remove_wipe_supers;
	labels_wipe(op->detail, &op->waiter);
	return -EAGAIN;
}

/* Nothing begins there any more; what has begun ends soon. */
static void
remove_poll(struct loop_timer *timer)
{
	struct operation *op = container_of(timer, struct operation, timer);

	if (op->pool->device[op->slot].bs->in_flight > 0) {
		loop_timer_arm(op->pool->loop, timer, NSEC_PER_MSEC);
		return;
	}
	op->run = remove_wipe;
	operation_run(op);
}

static int
remove_durable(struct operation *op)
{
	op->timer.expire = remove_poll;
	loop_timer_arm(op->pool->loop, &op->timer, 0);
	return -EAGAIN;
}

static int
remove_check(struct operation *op)
{
	struct pool *pool = op->pool;
	uint64_t used;

	if (pool->held != NULL) {
		operation_problem(op, "a check of the pool reads it");
		return -EINPROGRESS;
	}
	used = device_used_regions(pool, op->slot);
	if (used == 0)
		return 0;
	operation_problem(op, "%" PRIu64 " MiB are still on it",
	    used * pool->space.region_blocks * FMT_BLOCK >> 20);
	return -EBUSY;
}

static int
remove_run(struct operation *op)
{
	struct pool *pool = op->pool;
	struct space *space = &pool->space;
	int result = operation_check_device(op);

	if (result == 0)
		result = remove_check(op);
	if (result < 0)
		return result;
	op->bs = missing_new(pool->loop, op->slot, pool->device[op->slot].size);
	if (op->bs == NULL)
		return -ENOMEM;
	for (uint64_t i = 0; i < space->count; i++)
		if (space->regions[i].device == op->slot)
			space_give_up(pool, i);
	pool->device[op->slot].state = FMT_DEVICE_REMOVED;
	pool->incompat |= FMT_INCOMPAT_DEVICES;
	pool->needs_write = true;
	space_set_reserve(pool);
	space_level(pool);
	return operation_checkpoint(op, remove_durable);
}

void
pool_device_remove(
    struct pool *pool, unsigned device, struct pool_request *request)
{
	struct operation *op = operation_new(request, remove_run);

	op->slot = device;
	op->cleanup = remove_cleanup;
	operation_queue(pool, op);
}
