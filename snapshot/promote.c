/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What lies in pieces, put together again.
 *
 *	promote   most of a chunk was redirected, the rest is shared
 *	cold      all of a chunk is ours, in pieces, and it is not written any
 *	          more: while it is, it pays to wait what becomes of it
 *
 * Writes that map single blocks say what they made; it is looked at a while
 * later and rewritten if it is still so.  All of this is a hint: what finds no
 * room in the queues, or comes when the pool has little space, is forgotten.
 */
#include "snapshot/engine.h"

#define PROMOTE_DELAY NSEC_PER_SEC
#define DUE_MIN       (NSEC_PER_SEC / 10)
#define COLD_TICK     (10 * NSEC_PER_SEC)
#define COLD_TICKS    3u
#define COLD_LOOKS    8u

/* ---- queues ---- */

static void
candidate_put(struct candidates *list, const struct candidate *new)
{
	unsigned at = (list->head + list->count) % CANDIDATES;

	if (list->count == CANDIDATES)
		return;
	list->at[at] = *new;
	list->count++;
}

static bool
candidate_take(
    struct candidates *list, uint64_t now, struct candidate *ret_candidate)
{
	if (list->count == 0 || list->at[list->head].due_ns > now)
		return false;
	*ret_candidate = list->at[list->head];
	list->head = (list->head + 1) % CANDIDATES;
	list->count--;
	return true;
}

/* The clock runs while there is something that may become cold. */
static uint32_t
tick_now(struct pool *pool)
{
	return (uint32_t)(loop_now(pool->loop) / COLD_TICK);
}

static void
due_arm(struct pool *pool)
{
	struct rewriter *rw = &pool->rewriter;
	uint64_t now = loop_now(pool->loop), delay = COLD_TICK;

	if (rw->promote.count > 0) {
		uint64_t due = rw->promote.at[rw->promote.head].due_ns;
		delay = due > now + DUE_MIN ? due - now : DUE_MIN;
	}
	if (loop_timer_armed(&rw->due) && rw->due.at_ns <= now + delay)
		return;
	if (rw->promote.count + rw->cold.count > 0)
		loop_timer_arm(pool->loop, &rw->due, delay);
}

static void
due_expired(struct loop_timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, rewriter.due);

	pool->rewriter.tick = tick_now(pool);
	rewriter_kick(pool);
	due_arm(pool);
}

/* ---- what becomes a candidate ---- */

static void
note(struct volume *volume, uint64_t chunk, bool cold)
{
	struct pool *pool = volume->pool;
	struct rewriter *rw = &pool->rewriter;
	struct candidate new = {
	    .volume = volume->id,
	    .chunk = chunk,
	    .due_ns = loop_now(pool->loop) +
		      (cold ? COLD_TICKS * COLD_TICK : PROMOTE_DELAY),
	};

	if (pool->state != POOL_ONLINE || rw->stop || pool->space.level >= 2)
		return;
	rw->tick = tick_now(pool);
	candidate_put(cold ? &rw->cold : &rw->promote, &new);
	due_arm(pool);
}

void
promote_note(struct volume *volume, uint64_t chunk, const struct chunk *before,
    const struct chunk *after, const struct chunk_rules *rules)
{
	unsigned ours, shared, ours_before, shared_before;

	if (after->type != FMT_FINE || rules->unit == FMT_CHUNK_BLOCKS)
		return;
	rewrite_count(after, rules, &ours, &shared);
	rewrite_count(before, rules, &ours_before, &shared_before);
	if (before->type != FMT_FINE)
		ours_before = 0;
	if (shared > 0 && ours >= PROMOTE_BLOCKS &&
	    ours_before < PROMOTE_BLOCKS)
		note(volume, chunk, false);
	if (shared == 0 && ours >= COLD_BLOCKS &&
	    (shared_before > 0 || ours_before < COLD_BLOCKS))
		note(volume, chunk, true);
}

void
promote_note_freed(
    struct volume *volume, uint64_t chunk, const struct chunk *now)
{
	if (volume->state == FMT_VERSION_HEAD && now->type == FMT_FINE &&
	    chunk_held_count(now) >= COLD_BLOCKS)
		note(volume, chunk, true);
}

/* ---- the steps ---- */

static struct volume *
candidate_volume(struct pool *pool, const struct candidate *candidate)
{
	struct volume *volume = volume_by_id(pool, candidate->volume);

	return volume != NULL && volume->state == FMT_VERSION_HEAD &&
		       candidate->chunk < fmt_map_chunks(volume->map.levels)
		   ? volume
		   : NULL;
}

/* Was its leaf not written for some ticks? */
static bool
leaf_is_cold(struct pool *pool, const struct volume *volume, uint64_t chunk)
{
	struct rewriter *rw = &pool->rewriter;
	uint32_t heat = *rewriter_heat_of(rw, volume, chunk / FMT_LEAF_CHUNKS);

	return rw->tick - heat >= COLD_TICKS;
}

static bool
promote_next(struct pool *pool)
{
	struct rewriter *rw = &pool->rewriter;
	struct candidate c;
	struct volume *volume;

	while (candidate_take(&rw->promote, loop_now(pool->loop), &c)) {
		volume = candidate_volume(pool, &c);
		if (volume == NULL)
			continue;
		rewrite_start(pool, volume, c.chunk, REWRITE_PROMOTE);
		return true;
	}
	while (candidate_take(&rw->cold, loop_now(pool->loop), &c)) {
		volume = candidate_volume(pool, &c);
		if (volume == NULL)
			continue;
		if (leaf_is_cold(pool, volume, c.chunk)) {
			rewrite_start(pool, volume, c.chunk, REWRITE_COLD);
			return true;
		}
		c.due_ns = loop_now(pool->loop) + COLD_TICKS * COLD_TICK;
		if (++c.looks < COLD_LOOKS)
			candidate_put(&rw->cold, &c);
	}
	return false;
}

int
promote_step(struct pool *pool)
{
	struct rewriter *rw = &pool->rewriter;

	if (pool->space.level >= 2 ||
	    space_free_bytes(pool) < 2 * SEG_CHUNKS * FMT_CHUNK)
		rw->promote.count = rw->cold.count = 0;
	return promote_next(pool) ? STEP_REWRITE : STEP_NONE;
}

void
promote_init(struct pool *pool)
{
	pool->rewriter.due.expire = due_expired;
}

void
promote_stop(struct pool *pool)
{
	struct rewriter *rw = &pool->rewriter;

	rw->promote.count = rw->cold.count = 0;
	loop_timer_disarm(pool->loop, &rw->due);
}
