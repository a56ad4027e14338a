/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pool as a whole: life, state, events, room, figures.
 */
#include "base/log.h"
#include "snapshot/engine.h"
#include "snapshot/reserve.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
pool_event_send(struct pool *pool, enum pool_event what)
{
	if (pool->event != NULL)
		pool->event(pool->event_arg, pool, what);
}

/* Who waits is told from the loop: trouble is found in the middle of things. */
static void
suspect_task(struct loop_task *task)
{
	struct pool *pool = container_of(task, struct pool, suspect_task);

	checkpoint_fail(pool, -EIO);
	redo_fail(pool, -EIO);
	pool_wake_room(pool, -EIO);
	waiters_wake(&pool->space.waiting, -EIO);
	if (!pool->suspect_told)
		pool_event_send(pool, POOL_EVENT_STATE);
	pool->suspect_told = true;
}

void
pool_suspect(struct pool *pool, const char *format, ...)
{
	va_list args;

	if (pool->state != POOL_ONLINE)
		return;
	va_start(args, format);
	vsnprintf(pool->problem, sizeof(pool->problem), format, args);
	va_end(args);
	log_debug("pool %s is suspect: %s", pool->name, pool->problem);
	pool->state = POOL_SUSPECT;
	pool->checkpoint.error = -EIO;
	pool->suspect_task.run = suspect_task;
	loop_defer(pool->loop, &pool->suspect_task);
}

void
pool_trouble(struct pool *pool, const char *format, ...)
{
	va_list args;

	if (pool->state == POOL_SUSPECT)
		return;
	va_start(args, format);
	vsnprintf(pool->problem, sizeof(pool->problem), format, args);
	va_end(args);
	log_debug("pool %s: %s", pool->name, pool->problem);
	pool_event_send(pool, POOL_EVENT_STATE);
}

/* Somebody began to wait for what will not come any more. */
void
pool_wake_suspect(struct pool *pool)
{
	if (pool->state == POOL_SUSPECT && !pool->suspect_task.queued)
		loop_defer(pool->loop, &pool->suspect_task);
}

void
pool_host_full(struct pool *pool)
{
	if (pool->space.host_full)
		return;
	pool->space.host_full = true;
	pool_event_send(pool, POOL_EVENT_HOST_FULL);
}

/* ---- room ---- */

void
pool_wake_room(struct pool *pool, int error)
{
	waiters_wake(&pool->room, error);
}

static bool
room_is(const struct pool *pool, uint64_t pages)
{
	const struct cache *cache = &pool->cache;
	const struct redo *redo = &pool->redo;

	pages += pool->credits;
	return cache->dirty_count + cache->frozen_count + pages <=
		   pool->dirty_hard &&
	       checkpoint_needs(pool) + pages <= pool->space.meta_idle &&
	       redo_pending_count(redo) < REDO_PENDING_MAX / 2 &&
	       redo_used_blocks(redo) < redo->blocks - redo->blocks / 8;
}

int
pool_room(struct pool *pool, uint64_t pages, struct waiter *waiter)
{
	if (pool->state != POOL_ONLINE)
		return pool->state == POOL_READ_ONLY ? -EROFS : -EIO;
	if (room_is(pool, pages))
		return 0;
	if (pool->cache.dirty_count + pool->cache.frozen_count +
		    pool->credits ==
		0 &&
	    pool->checkpoint.state == CKPT_IDLE && !pool->needs_write)
		/* only what is pinned could bring more */
		return pin_lose(pool, -ENOSPC) && room_is(pool, pages)
			   ? 0
			   : -ENOSPC;
	assert(list_empty(&waiter->link));
	list_add_tail(&pool->room, &waiter->link);
	/* What is in flight has promised its pages; those that are dirty go
	 * with a checkpoint.  One of both brings pool_wake_room. */
	checkpoint_start(pool);
	return -EAGAIN;
}

/* ---- life ---- */

static void
limits_fill(struct pool_limits *to, const struct pool_limits *from)
{
	if (from != NULL)
		*to = *from;
	if (to->cache_bytes == 0)
		to->cache_bytes = 256ull << 20;
	if (to->cache_bytes < 1ull << 20)
		to->cache_bytes = 1ull << 20;
	if (to->dirty_bytes == 0)
		to->dirty_bytes = 64ull << 20;
	if (to->dirty_bytes < 512ull << 10)
		to->dirty_bytes = 512ull << 10;
	if (to->commit_interval_ns == 0)
		to->commit_interval_ns = 200 * NSEC_PER_MSEC;
	if (to->idle_checkpoint_ns == 0)
		to->idle_checkpoint_ns = 60 * NSEC_PER_SEC;
	if (to->io_max == 0)
		to->io_max = 4096;
}

struct pool *
pool_new(struct loop *loop, const struct pool_limits *limits)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return NULL;
	pool->loop = loop;
	pool->epoch = 1;
	pool->gen = 1;
	pool->next_version = pool->next_group = 1;
	pool->background_percent = BACKGROUND_PERCENT;
	pool->soft_percent = 80;
	pool->hard_percent = 95;
	limits_fill(&pool->limits, limits);
	ack_ring_init(pool);
	pool->hints = calloc(LEAF_HINTS, sizeof(pool->hints[0]));
	tree_init(&pool->map_pages, pool, FMT_PAGE_MAP, 0);
	pool->map_pages.flat = true;
	list_init(&pool->room);
	list_init(&pool->volumes);
	list_init(&pool->trash);
	list_init(&pool->changed);
	list_init(&pool->dying);
	list_init(&pool->stuck);
	list_init(&pool->requests);
	list_init(&pool->space.waiting);
	list_init(&pool->space.meta);
	list_init(&pool->space.retired);
	list_init(&pool->evacuate.waiting);
	move_init(pool);
	if (pool->hints == NULL ||
	    cache_init(pool, pool->limits.cache_bytes) < 0 ||
	    redo_init(pool) < 0 || checkpoint_init(pool) < 0 ||
	    volume_io_init(pool, pool->limits.io_max) < 0 ||
	    rewriter_init(pool) < 0) {
		pool_free(pool);
		return NULL;
	}
	return pool;
}

/* Nothing is in flight.  The devices are the caller's. */
void
pool_free(struct pool *pool)
{
	for (uint32_t i = 0; i < pool->slot_count; i++)
		if (pool->slots[i] != NULL)
			volume_free(pool->slots[i]);
	pin_lose(pool, -ECANCELED);
	space_done(pool);
	checkpoint_done(pool);
	redo_done(pool);
	volume_io_done(pool);
	rewriter_done(pool);
	cache_done(pool);
	for (unsigned i = 0; i < POOL_DEVICE_MAX; i++)
		free(pool->device[i].region_of);
	tables_done(pool);
	free(pool->hints);
	free(pool->slots);
	free(pool);
}

/* ---- figures ---- */

const char *
pool_name(const struct pool *pool)
{
	return pool->name;
}

void
pool_on_event(struct pool *pool,
    void (*event)(void *arg, struct pool *pool, enum pool_event what),
    void *arg)
{
	pool->event = event;
	pool->event_arg = arg;
}

static void
stat_space(struct pool *pool, struct pool_stat *stat)
{
	const struct space *space = &pool->space;
	uint64_t data = space->class_count[FMT_REGION_DATA]
			<< space->region_shift;
	uint64_t meta = space->class_count[FMT_REGION_META]
			<< space->region_shift;
	uint64_t log = space->class_count[FMT_REGION_LOG]
		       << space->region_shift;

	uint64_t mirrors = space->class_count[FMT_REGION_MIRROR]
			   << space->region_shift;

	stat->size = ((space->count - space->class_count[FMT_REGION_BAD])
			 << space->region_shift) *
		     FMT_BLOCK;
	stat->free = pool->read_only ? space->data_free * FMT_BLOCK
				     : space_free_bytes(pool);
	stat->allocated = (data - space->data_free) * FMT_BLOCK;
	stat->metadata = (meta - space->meta_free + log + mirrors) * FMT_BLOCK;
	stat->reserved = space->reserve * FMT_BLOCK;
	stat->set_aside = reserve_total(pool) * FMT_BLOCK;
	stat->level = space->level;
	stat->host_full = space->host_full;
	stat->allocation_failures = space->failures;
}

static void
stat_counters(struct pool *pool, struct pool_stat *stat)
{
	stat->log_bytes = pool->redo.blocks * FMT_BLOCK;
	stat->log_used = redo_used_blocks(&pool->redo) * FMT_BLOCK;
	stat->commits = pool->redo.commits;
	stat->checkpoints = pool->checkpoint.done_count;
	stat->flushes = pool->counters.flushes;
	stat->pages_cached = pool->cache.count;
	stat->pages_dirty = pool->cache.dirty_count + pool->cache.frozen_count;
	stat->cache_hits = pool->cache.hits;
	stat->cache_misses = pool->cache.misses;
	stat->replayed_records = pool->counters.replayed_records;
	stat->open_ns = pool->counters.open_ns;
	stat->cuts = pool->counters.cuts;
	stat->cut_ns = pool->counters.cut_ns;
	stat->cut_ns_max = pool->counters.cut_ns_max;
}

static void
stat_mirrors(struct pool *pool, struct pool_stat *stat)
{
	const struct space *space = &pool->space;

	stat->mirrored = space->mirrored;
	stat->mirrors = space->class_count[FMT_REGION_MIRROR];
	stat->mirror_errors = pool->counters.mirror_errors;
	stat->mirror_reads = pool->counters.mirror_reads;
	stat->mends = pool->counters.mends;
	stat->scrubs = pool->counters.scrubs;
	stat->scrub_pages = pool->counters.scrub_pages;
	stat->scrub_bad = pool->counters.scrub_bad;
	for (uint64_t i = 0; i < space->count && space->mirrored; i++) {
		const struct region *region = &space->regions[i];
		if (region_may_have_mirror(region) &&
		    (region->mirror == NO_REGION ||
			region->mirror_state != MIRROR_WHOLE))
			stat->mirrors_bad++;
	}
}

void
pool_stat_get(struct pool *pool, struct pool_stat *ret_stat)
{
	memset(ret_stat, 0, sizeof(*ret_stat));
	memcpy(ret_stat->name, pool->name, sizeof(ret_stat->name));
	memcpy(ret_stat->uuid, pool->uuid, sizeof(ret_stat->uuid));
	memcpy(ret_stat->problem, pool->problem, sizeof(ret_stat->problem));
	memcpy(ret_stat->quota_name, pool->quota_name,
	    sizeof(ret_stat->quota_name));
	ret_stat->state = pool->state;
	ret_stat->promised = pool->promised;
	for (unsigned i = 0; i < pool->device_count; i++)
		ret_stat->devices += !device_is_removed(&pool->device[i]);
	ret_stat->volumes = pool->volume_count;
	ret_stat->soft_percent = pool->soft_percent;
	ret_stat->hard_percent = pool->hard_percent;
	ret_stat->epoch = pool->epoch;
	stat_space(pool, ret_stat);
	stat_counters(pool, ret_stat);
	stat_mirrors(pool, ret_stat);
}
