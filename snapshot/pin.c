/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/pin.h"
#include "backstores/relay.h"
#include "snapshot/engine.h"
#include "snapshot/lease.h"
#include <stdlib.h>
#include <string.h>

/* What the pool knows of its pin. */
struct held {
	struct pool_pin *pin;
	/* by region: which of its blocks were busy then; NULL: not META */
	uint64_t **busy;
	uint64_t regions;
	uint64_t *address; /* held back */
	uint64_t count, room;
};

static void
held_free(struct held *held)
{
	if (held == NULL)
		return;
	for (uint64_t i = 0; held->busy != NULL && i < held->regions; i++)
		free(held->busy[i]);
	free(held->busy);
	free(held->address);
	free(held);
}

/* Only what is leased can become free. */
static bool
held_copy(struct held *held, const struct space *space)
{
	size_t bytes = space->region_blocks / 8;

	held->regions = space->count;
	held->busy = calloc(space->count, sizeof(held->busy[0]));
	if (held->busy == NULL)
		return false;
	for (uint64_t i = 0; i < space->count; i++) {
		const struct region *region = &space->regions[i];
		if (region->class != FMT_REGION_META || region->lease == NULL)
			continue;
		held->busy[i] = malloc(bytes);
		if (held->busy[i] == NULL)
			return false;
		memcpy(held->busy[i], region->lease->busy, bytes);
	}
	return true;
}

static bool
held_was_busy(
    const struct held *held, const struct space *space, uint64_t address)
{
	uint64_t region = region_of(space, address);
	uint32_t block = region_block(space, address);

	if (region >= held->regions || held->busy[region] == NULL)
		return false; /* it became META later */
	return held->busy[region][block / 64] >> block % 64 & 1;
}

static bool
held_room(struct held *held)
{
	uint64_t room = 2 * held->room + 1024, *address;

	if (held->count < held->room)
		return true;
	address = reallocarray(held->address, room, sizeof(*address));
	if (address == NULL)
		return false;
	held->address = address;
	held->room = room;
	return true;
}

bool
pin_hold(struct pool *pool, uint64_t address)
{
	struct held *held = pool->held;

	if (held == NULL || engine_breaks.pin_ignored ||
	    !held_was_busy(held, &pool->space, address))
		return false;
	if (!held_room(held)) {
		pin_lose(pool, -ENOMEM);
		return false;
	}
	held->address[held->count++] = address;
	return true;
}

uint64_t
pin_held(const struct pool *pool)
{
	return pool->held != NULL ? pool->held->count : 0;
}

bool
pin_lose(struct pool *pool, int error)
{
	struct held *held = pool->held;
	bool any = pin_held(pool) > 0;

	if (held == NULL)
		return false;
	pool->held = NULL;
	held->pin->pool = NULL;
	held->pin->lost = error;
	for (uint64_t i = 0; i < held->count; i++)
		space_meta_release(pool, held->address[i]);
	held_free(held);
	return any;
}

/* ---- for who pins ---- */

static int
pin_now(struct operation *op)
{
	struct pool *pool = op->pool;
	struct pool_pin *pin = op->detail;
	struct held *held;

	/* the last one may name what is about to be let go (move.h) */
	if (pool->state == POOL_ONLINE && pool->move.exchanged)
		return operation_checkpoint(op, pin_now);
	held = calloc(1, sizeof(*held));
	if (held == NULL || !held_copy(held, &pool->space)) {
		held_free(held);
		return -ENOMEM;
	}
	held->pin = pin;
	pin->super = pool->super;
	pin->count = 0;
	for (unsigned i = 0; i < pool->device_count; i++)
		if (!device_is_removed(&pool->device[i]))
			pin->bs[pin->count++] = pool->device[i].bs;
	pin->pool = pool;
	pin->lost = 0;
	pool->held = held;
	return OP_DONE;
}

static int
pin_run(struct operation *op)
{
	if (op->pool->held != NULL) {
		operation_problem(op, "a checkpoint is pinned already");
		return -EBUSY;
	}
	if (op->pool->state != POOL_ONLINE)
		return pin_now(op);
	return operation_checkpoint(op, pin_now);
}

void
pool_pin(struct pool *pool, struct pool_pin *pin, struct pool_request *request)
{
	struct operation *op = operation_new(request, pin_run);

	*pin = (struct pool_pin){.lost = -ECANCELED};
	op->detail = pin;
	operation_queue(pool, op);
}

int
pool_pin_lost(const struct pool_pin *pin)
{
	return pin->lost;
}

static int
view_judge(void *arg)
{
	return pool_pin_lost(arg) < 0 ? -ECANCELED : 0;
}

struct backstore *
pin_view(struct pool_pin *pin, unsigned n, struct loop *loop)
{
	const struct relay_params params = {
	    .loop = loop, .below = pin->bs[n], .judge = view_judge, .arg = pin};

	assert(pin->lost == 0);
	assert(n < pin->count);
	return relay_new(&params);
}

void
pool_unpin(struct pool_pin *pin)
{
	if (pin->pool == NULL)
		return;
	assert(pin->pool->held != NULL && pin->pool->held->pin == pin);
	pin_lose(pin->pool, -ECANCELED);
}
