/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One rewrite of a chunk, and the worker that runs one after the other.
 */
#include "snapshot/rewrite.h"
#include "snapshot/engine.h"
#include <stdlib.h>
#include <string.h>

/* What a rewrite takes of the loop's time, in nanoseconds; roughly, and always
 * the same, so that simulated lives can be repeated. */
#define REWRITE_COST 40000u

/* ---- is it due? ---- */

void
rewrite_count(const struct chunk *chunk, const struct chunk_rules *rules,
    unsigned *ret_ours, unsigned *ret_shared)
{
	uint64_t address;
	uint32_t birth;

	*ret_ours = *ret_shared = 0;
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++) {
		if (!chunk_held(chunk, i, &address, &birth))
			continue;
		if (chunk_exclusive(rules, birth))
			++*ret_ours;
		else
			++*ret_shared;
	}
}

/* Much may have come since somebody thought so. */
static bool
rewrite_is_due(enum rewrite_kind kind, const struct chunk *chunk,
    const struct chunk_rules *rules)
{
	unsigned ours, shared;

	if (chunk->type != FMT_COARSE && chunk->type != FMT_FINE)
		return false;
	rewrite_count(chunk, rules, &ours, &shared);
	switch (kind) {
	case REWRITE_SHARED: return shared > 0;
	case REWRITE_PROMOTE:
		return chunk->type == FMT_FINE && shared > 0 &&
		       ours >= PROMOTE_BLOCKS;
	case REWRITE_COLD:
		return chunk->type == FMT_FINE && shared == 0 &&
		       ours >= COLD_BLOCKS;
	}
	return false;
}

/* ---- the steps ---- */

static uint32_t
parent_id(const struct volume *volume)
{
	return volume->parent == NULL ? 0 : volume->parent->id;
}

bool
rewrite_stands(struct vio *vio, const struct chunk *now)
{
	const struct rewrite *r = vio->rewrite;
	const struct volume *volume = vio->volume;

	if (engine_breaks.rewrite_stale)
		return true;
	return !r->leave && volume->state == FMT_VERSION_HEAD &&
	       volume->map.stamp == r->stamp &&
	       parent_id(volume) == r->parent && chunk_same(&r->before, now);
}

static void
rewrite_give_up(struct vio *vio)
{
	vio->next = vio->end;
}

/* The chunk as it is now: 0, -EAGAIN (queued), or an error. */
static int
rewrite_load(struct vio *vio, struct chunk *ret_chunk)
{
	uint64_t number = vio->io->offset / FMT_CHUNK;
	struct page *leaf;
	int result =
	    map_chunks_get(vio->volume, number, 1, &vio->waiter, &leaf);

	return result < 0
		   ? result
		   : map_chunk_load(vio->volume, leaf, number, ret_chunk);
}

static void
rewrite_begin(struct vio *vio)
{
	struct rewrite *r = vio->rewrite;
	struct volume *volume = vio->volume;
	struct chunk_rules rules;

	if (!vio_ok(vio, rewrite_load(vio, &r->before)))
		return;
	map_rules(volume, vio->io->offset / FMT_LEAF_BYTES, &rules);
	r->stamp = volume->map.stamp;
	r->parent = parent_id(volume);
	if (r->leave || volume->state != FMT_VERSION_HEAD ||
	    !rewrite_is_due(r->kind, &r->before, &rules)) {
		rewrite_give_up(vio);
		return;
	}
	vio->copying = true;
	vio->copy_first = vio->io->offset / FMT_BLOCK;
	vio->copy_count = FMT_CHUNK_BLOCKS;
	vio->copy_next = vio->copy_first;
	vio->copy_mask = 0;
}

static void
rewrite_write(struct vio *vio)
{
	struct chunk now;
	struct page *leaf;
	struct seg *seg;

	if (!vio_ok(vio, rewrite_load(vio, &now)))
		return;
	if (!rewrite_stands(vio, &now)) {
		rewrite_give_up(vio);
		return;
	}
	seg = vio_map_seg(vio, &leaf);
	if (seg == NULL ||
	    !vio_map_begin(vio, seg, leaf, vio->copy_first, vio->copy_count))
		return;
	assert(!seg->fine);
	assert(seg->block_count == FMT_CHUNK_BLOCKS);
	assert(vio->copy_mask == vio->rewrite->before.mask);
	seg->copied = vio->copy_mask;
	seg->barrier = vio->barrier = true;
	seg->bounce = vio->bounce;
	vio->next = vio->end;
	seg_submit(seg, BS_WRITE, seg->address, 0, FMT_CHUNK);
}

/* Locked: from here on nothing begins to write in place, and what is read must
 * have what was begun before. */
static bool
rewrite_is_drained(struct vio *vio)
{
	struct rewrite *r = vio->rewrite;
	struct volume *volume = vio->volume;

	if (!vio->lock.busy) {
		chunk_lock_mark(volume->pool, &vio->lock);
		r->barrier = barrier_ask(&volume->barrier);
	}
	if (barrier_passed(&volume->barrier, r->barrier) ||
	    engine_breaks.rewrite_no_barrier)
		return true;
	list_add_tail(&volume->barrier.waiting, &vio->waiter.link);
	vio->parked = true;
	return false;
}

void
vio_rewrite_step(struct vio *vio)
{
	if (!vio_lock(vio, vio->io->offset / FMT_CHUNK, true) ||
	    !rewrite_is_drained(vio))
		return;
	if (!vio->copying)
		rewrite_begin(vio);
	else if (vio->copy_next < vio->copy_first + vio->copy_count)
		vio_copy_read(vio);
	else
		rewrite_write(vio);
}

int
rewrite_mapped(struct vio *vio, int result)
{
	struct rewrite *r = vio->rewrite;
	struct pool *pool = vio->volume->pool;

	if (result == 0) {
		r->installed = true;
		vio->volume->rewrites++;
		pool->rewriter.done++;
	}
	return result == 1 ? 0 : result;
}

void
rewrite_ended(struct vio *vio)
{
	struct pool *pool = vio->volume->pool;
	struct rewrite *r = vio->rewrite;

	r->running = false;
	r->ended = true;
	r->result = vio->error;
	rewriter_kick(pool);
}

void
rewrite_start(struct pool *pool, struct volume *volume, uint64_t chunk,
    enum rewrite_kind kind)
{
	struct rewrite *r = &pool->rewriter.one;

	assert(!r->running);
	r->running = true;
	r->ended = r->installed = r->leave = false;
	r->kind = kind;
	bs_io_init(&r->io);
	r->io.op = BS_WRITE;
	r->io.offset = chunk * FMT_CHUNK;
	r->io.length = FMT_CHUNK;
	vio_start(&r->vio, volume, &r->io);
}

/* ---- the worker ---- */

static int
work_step(struct pool *pool)
{
	struct rewriter *rw = &pool->rewriter;
	int result = STEP_NONE;

	if (rw->began == 0)
		rw->began = loop_now(pool->loop);
	rw->turn = !rw->turn;
	if (rw->turn)
		result = promote_step(pool);
	if (result == STEP_NONE)
		result = flatten_step(pool, &rw->waiter);
	if (result == STEP_NONE && !rw->turn)
		result = promote_step(pool);
	if (result == STEP_NONE)
		rw->began = 0;
	return result;
}

static void
work_later(struct pool *pool)
{
	struct rewriter *rw = &pool->rewriter;
	uint64_t rest = background_rest(pool, rw->began, REWRITE_COST);

	rw->began = 0;
	if (rest == 0)
		loop_defer(pool->loop, &rw->task);
	else
		loop_timer_arm(pool->loop, &rw->timer, rest);
}

static void
work_end(struct pool *pool)
{
	flatten_cancel(pool, NULL,
	    pool->rewriter.stop             ? -ECANCELED
	    : pool->state == POOL_READ_ONLY ? -EROFS
					    : -EIO);
	promote_stop(pool);
}

static void
work(struct pool *pool)
{
	struct rewriter *rw = &pool->rewriter;

	if (rw->one.running)
		return;
	waiters_wake(&rw->leaving, 0);
	if (rw->stop || pool->state != POOL_ONLINE) {
		work_end(pool);
		return;
	}
	if (!list_empty(&rw->waiter.link) || loop_timer_armed(&rw->timer))
		return;
	if (rw->one.ended) {
		rw->one.ended = false;
		if (rw->one.kind == REWRITE_SHARED)
			flatten_rewritten(
			    pool, rw->one.vio.volume, rw->one.result);
		work_later(pool);
	} else if (work_step(pool) == STEP_MORE) {
		work_later(pool);
	}
}

static void
work_task(struct loop_task *task)
{
	work(container_of(task, struct pool, rewriter.task));
}

static void
work_ready(struct waiter *waiter, int error)
{
	struct pool *pool = container_of(waiter, struct pool, rewriter.waiter);

	if (error < 0 && pool->state == POOL_ONLINE && !pool->rewriter.stop)
		flatten_failed(pool, error);
	work(pool);
}

static void
work_expired(struct loop_timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, rewriter.timer);

	work(pool);
}

void
rewriter_kick(struct pool *pool)
{
	struct rewriter *rw = &pool->rewriter;

	if (!rw->task.queued)
		loop_defer(pool->loop, &rw->task);
}

void
rewriter_stop(struct pool *pool)
{
	struct rewriter *rw = &pool->rewriter;

	rw->stop = rw->one.leave = true;
	loop_timer_disarm(pool->loop, &rw->timer);
	promote_stop(pool);
	flatten_cancel(pool, NULL, -ECANCELED);
}

bool
rewriter_idle(const struct pool *pool)
{
	const struct rewriter *rw = &pool->rewriter;

	return !rw->one.running && !rw->task.queued &&
	       list_empty(&rw->waiter.link);
}

int
rewriter_leave(struct pool *pool, struct volume *volume, struct waiter *waiter)
{
	struct rewriter *rw = &pool->rewriter;

	flatten_cancel(pool, volume, -ECANCELED);
	if (!rw->one.running || rw->one.vio.volume != volume)
		return 0;
	rw->one.leave = true;
	list_add_tail(&rw->leaving, &waiter->link);
	return -EAGAIN;
}

int
rewriter_init(struct pool *pool)
{
	struct rewriter *rw = &pool->rewriter;

	list_init(&rw->flattens);
	list_init(&rw->leaving);
	waiter_init(&rw->waiter, work_ready);
	rw->task.run = work_task;
	rw->timer.expire = work_expired;
	promote_init(pool);
	vio_init(&rw->one.vio);
	rw->one.vio.rewrite = &rw->one;
	rw->one.buffer = aligned_alloc(FMT_BLOCK, FMT_CHUNK);
	rw->one.vio.bounce = rw->one.buffer;
	rw->one.vio.bounce_bytes = FMT_CHUNK;
	return rw->one.buffer == NULL ? -ENOMEM : 0;
}

void
rewriter_done(struct pool *pool)
{
	free(pool->rewriter.one.buffer);
}
