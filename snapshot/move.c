/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moves of regions: see move.h.
 */
#include "snapshot/move.h"
#include "snapshot/engine.h"

#define RETRY_NS (2 * NSEC_PER_MSEC)

static void copy_step(struct pool *pool);
static void move_end(struct pool *pool, int result);

static uint64_t
region_bytes(const struct pool *pool)
{
	return (uint64_t)pool->space.region_blocks * FMT_BLOCK;
}

static struct region *
moving(struct pool *pool)
{
	return &pool->space.regions[pool->move.region];
}

/* The META or LOG region that it is, or is the mirror of. */
static uint32_t
first_of(const struct pool *pool, uint32_t number)
{
	const struct region *region = &pool->space.regions[number];

	return region->class == FMT_REGION_MIRROR ? region->mirror : number;
}

/* ---- waiting ---- */

static void
wait_ended(struct waiter *waiter, int error)
{
	struct pool *pool = container_of(waiter, struct pool, move.waiter);

	if (error < 0)
		move_end(pool, error);
	else
		pool->move.step(pool);
}

static void
timer_ended(struct loop_timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, move.timer);

	pool->move.step(pool);
}

static void
move_later(struct pool *pool, uint64_t ns, void (*step)(struct pool *pool))
{
	pool->move.step = step;
	loop_timer_arm(pool->loop, &pool->move.timer, ns);
}

/* step comes when all has ended that looked up a place before now. */
static void
places_drained(struct pool *pool)
{
	struct move *move = &pool->move;

	if (barrier_passed(&pool->places, move->barrier))
		move->step(pool);
	else
		list_add_tail(&pool->places.waiting, &move->waiter.link);
}

static void
drain_again(struct waiter *waiter, int error)
{
	struct pool *pool = container_of(waiter, struct pool, move.waiter);

	(void)error; /* of a barrier: none */
	places_drained(pool);
}

static void
drain(struct pool *pool, void (*step)(struct pool *pool))
{
	struct move *move = &pool->move;

	move->step = step;
	move->barrier = barrier_ask(&pool->places);
	move->waiter.ready = drain_again;
	places_drained(pool);
}

/* ---- ending ---- */

static void
gate_open(struct pool *pool)
{
	struct move *move = &pool->move;
	struct list *node, gated;

	move->gate = move->gate_end = 0;
	list_init(&gated);
	list_splice_tail(&gated, &move->gated);
	while ((node = list_pop(&gated)) != NULL)
		seg_go_on(list_entry(node, struct seg, moving));
}

static void
move_ended(struct pool *pool)
{
	struct move *move = &pool->move;

	move->target = NO_REGION;
	window_free(&move->window);
	move->done(pool, move->result);
}

/* Nothing goes to the target's place any more; and when what is on its way has
 * ended, nobody uses that. */
static void
move_end(struct pool *pool, int result)
{
	struct move *move = &pool->move;

	move->region = NO_REGION;
	move->exchanged = move->spoiled = move->unneeded = false;
	move->result = result;
	gate_open(pool);
	drain(pool, move_ended);
}

/* The pool cannot go on with it, or need not.  0: it can and does. */
static int
move_ends(struct pool *pool)
{
	const struct move *move = &pool->move;

	if (pool->state != POOL_ONLINE || move->spoiled)
		return -EIO;
	return move->unneeded || pool->evacuate.stop ? -ECANCELED : 0;
}

/* ---- commit ---- */

static void
committed(struct pool *pool)
{
	move_end(pool, 0);
}

static void
exchange(struct pool *pool)
{
	struct move *move = &pool->move;

	space_exchange(pool, move->region, move->target);
	move->exchanged = true;
	gate_open(pool);
	if (engine_breaks.move_no_wait) {
		pool->needs_write = true;
		move_end(pool, 0);
		return;
	}
	move->step = committed;
	move->waiter.ready = wait_ended;
	pool->needs_write = true;
	checkpoint_wait(pool, &move->waiter);
}

/* ---- data ---- */

static void
data_exchange(struct pool *pool)
{
	int result = move_ends(pool);

	if (result < 0)
		move_end(pool, result);
	else
		exchange(pool);
}

static void
gate_close(struct pool *pool, uint64_t from, uint64_t bytes,
    void (*step)(struct pool *pool))
{
	struct move *move = &pool->move;
	uint64_t first = (uint64_t)move->region << pool->space.region_shift;

	move->gate = first + from / FMT_BLOCK;
	move->gate_end = move->gate + bytes / FMT_BLOCK;
	drain(pool, step);
}

/* ---- metadata ---- */

/* Not while somebody has looked up where a page lies to write there; and a
 * pinned checkpoint is read where its own table says. */
static void
meta_exchange(struct pool *pool)
{
	int result = move_ends(pool);

	if (result < 0)
		move_end(pool, result);
	else if (pool->checkpoint.state > CKPT_PREPARE ||
		 pool->meta_holds > 0 || pool->mends > 0 || pool->held != NULL)
		move_later(pool, RETRY_NS, meta_exchange);
	else
		exchange(pool);
}

/* ---- the copy ---- */

static bool
is_data(struct pool *pool)
{
	return moving(pool)->class == FMT_REGION_DATA;
}

static void
copied(struct window *window, int result)
{
	struct pool *pool = container_of(window, struct pool, move.window);
	struct move *move = &pool->move;

	if (is_data(pool))
		gate_open(pool);
	else
		meta_hold_drop(pool);
	if (result < 0) {
		move_end(pool, result == -ENOSPC ? result : -EIO);
		return;
	}
	move->at += window->length;
	move_later(pool, background_rest(pool, move->began, 0), copy_step);
}

/* What is first is always right: a mirror is copied from there.  What cannot
 * be read of metadata is in the other copy, or in none. */
static void
copy_window(struct pool *pool)
{
	struct move *move = &pool->move;
	struct space *space = &pool->space;
	const struct region *from =
	    &space->regions[first_of(pool, move->region)];
	const struct region *to = &space->regions[move->target];
	struct window *window = &move->window;

	move->began = loop_now(pool->loop);
	window->from = &pool->device[from->device];
	window->from_offset = from->offset + move->at;
	window->to = &pool->device[to->device];
	window->to_offset = to->offset + move->at;
	window->skip_bad = !is_data(pool);
	window_copy(window);
}

static void
copy_data(struct pool *pool)
{
	if (engine_breaks.move_no_gate)
		copy_window(pool);
	else
		gate_close(
		    pool, pool->move.at, pool->move.window.length, copy_window);
}

static void
copy_meta(struct pool *pool)
{
	if (meta_hold_try(pool))
		copy_window(pool);
	else
		move_later(pool, RETRY_NS, copy_step);
}

static void
copy_done(struct pool *pool)
{
	if (is_data(pool))
		gate_close(pool, 0, region_bytes(pool), data_exchange);
	else
		meta_exchange(pool);
}

static void
copy_step(struct pool *pool)
{
	struct move *move = &pool->move;
	uint64_t left = region_bytes(pool) - move->at;
	int result = move_ends(pool);

	if (result < 0) {
		move_end(pool, result);
		return;
	}
	if (engine_breaks.move_no_copy)
		left = 0;
	move->window.length =
	    left < WINDOW_BYTES ? (uint32_t)left : WINDOW_BYTES;
	if (left == 0)
		copy_done(pool);
	else if (is_data(pool))
		copy_data(pool);
	else
		copy_meta(pool);
}

/* ---- from outside ---- */

/* A log, or what is not to be read before it is filled anew. */
static bool
needs_no_copy(const struct pool *pool, uint32_t number)
{
	const struct region *region = &pool->space.regions[number];
	const struct region *first =
	    &pool->space.regions[first_of(pool, number)];

	return first->class == FMT_REGION_LOG ||
	       (region->class == FMT_REGION_MIRROR &&
		   first->mirror_state == MIRROR_BAD);
}

bool
move_is_possible(const struct pool *pool, uint32_t number)
{
	const struct region *first =
	    &pool->space.regions[first_of(pool, number)];

	return first->mirror == NO_REGION ||
	       first->mirror_state != MIRROR_FILLING;
}

int
move_begin(struct pool *pool, uint32_t region, uint32_t target,
    void (*done)(struct pool *pool, int result))
{
	struct move *move = &pool->move;
	struct fmt_record record = {.type = FMT_REGION};

	assert(move->region == NO_REGION);
	assert(pool->space.regions[target].class == FMT_REGION_FREE);
	if (window_init(&move->window, copied) < 0)
		return -ENOMEM;
	le64_set(&record.a, target);
	le64_set(&record.b, FMT_REGION_EVACUATING);
	pool_record(pool, &record, 1);
	move->done = done;
	move->region = region;
	move->target = target;
	move->at = 0;
	move_later(
	    pool, 0, needs_no_copy(pool, region) ? meta_exchange : copy_step);
	return 0;
}

void
move_leave(struct pool *pool)
{
	if (!pool->move.exchanged)
		pool->move.unneeded = true;
}

bool
move_stop(struct pool *pool)
{
	struct move *move = &pool->move;

	if (!loop_timer_armed(&move->timer))
		return false;
	loop_timer_disarm(pool->loop, &move->timer);
	move->region = move->target = NO_REGION;
	window_free(&move->window);
	return true;
}

int
move_twin_failed(struct pool *pool, uint64_t region, int error)
{
	struct move *move = &pool->move;

	if (move->region != region)
		return 0;
	if (move->exchanged)
		return error;
	move->spoiled = true;
	return 0;
}

bool
move_is_twin(
    const struct pool *pool, uint64_t number, unsigned device, uint64_t base)
{
	const struct move *move = &pool->move;
	const struct region *twin;

	if (move->region == NO_REGION || first_of(pool, move->region) != number)
		return false;
	twin = &pool->space.regions[move->target];
	return twin->device == device && twin->offset == base;
}

void
move_init(struct pool *pool)
{
	struct move *move = &pool->move;

	move->region = move->target = NO_REGION;
	list_init(&move->gated);
	list_init(&move->flying);
	list_init(&move->overlapping);
	waiter_init(&move->waiter, wait_ended);
	move->timer.expire = timer_ended;
	barrier_init(&pool->places);
}
