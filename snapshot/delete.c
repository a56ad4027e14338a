/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Deletion of versions, in the background.  What is deleted is never changed:
 * the job walks its map beside that of its only child, if it has one, and frees
 * what was born after the epoch of its parent and is not in the child at the
 * same place (I4).  Subtrees that the two share, and those that the parent has
 * too, are skipped by one look at their pointers, so the cost is that of the
 * pages that differ.
 *
 * One leaf is one group of records: the blocks it frees, and DELSTEP with the
 * cursor behind it.  DELSTEP gives up the pages whose range ends there; which
 * ones is found by the same walk when the record is applied, at run time and
 * in recovery, because pages that are not in a checkpoint yet have other
 * addresses then.  A last DELSTEP takes the version away and gives its child
 * to its parent.
 *
 * A version with two children or more waits; so does all but one version of
 * the pool.
 */
#include "base/log.h"
#include "snapshot/engine.h"
#include <string.h>

#define DELETE_CREDITS 64u

/* ---- pairs of pages ---- */

/* A page of the dying version and its child's at the same place. */
struct pair {
	struct volume *volume, *child; /* child may be NULL */
	uint32_t parent_epoch;
	struct waiter *waiter; /* NULL: all is in memory */
};

static void
pair_init(struct pair *pair, struct volume *volume, struct waiter *waiter)
{
	*pair = (struct pair){
	    .volume = volume,
	    .child = volume_only_child(volume),
	    .parent_epoch = volume->parent == NULL ? 0 : volume->parent->epoch,
	    .waiter = waiter,
	};
	if (engine_breaks.i4_ignore_birth)
		pair->parent_epoch = 0;
	if (engine_breaks.i4_ignore_child)
		pair->child = NULL;
}

/* Is what the pointer means the dying version's alone? */
static bool
ptr_is_own(const struct pair *pair, const struct fmt_ptr *ptr,
    const struct fmt_ptr *child)
{
	if (fmt_ptr_address(ptr) == 0 ||
	    le32_get(&ptr->birth) <= pair->parent_epoch)
		return false;
	return child == NULL || fmt_ptr_address(child) != fmt_ptr_address(ptr);
}

/* The child's pointer at a place: NULL: it has none there. */
static int
child_pointer(const struct pair *pair, unsigned level, uint64_t index,
    const struct fmt_ptr **ret_ptr)
{
	*ret_ptr = NULL;
	return pair->child == NULL ? 0
				   : map_pointer_at(pair->child, level, index,
					 pair->waiter, ret_ptr);
}

/* ---- pages ---- */

static uint64_t
page_end(unsigned level, uint64_t index)
{
	return (index + 1) * fmt_map_chunks(level + 1);
}

struct range {
	uint64_t from, to; /* chunks */
	bool free;         /* else only read what freeing needs */
};

static int
fine_pages(const struct pair *pair, struct page *leaf, uint64_t index,
    const struct range *range)
{
	struct page *child_leaf = NULL;
	const struct fmt_ptr *child;
	int result;

	if (pair->child != NULL) {
		result = map_path_get(
		    pair->child, index, pair->waiter, &child_leaf, NULL);
		if (result < 0)
			return result;
	}
	for (unsigned slot = 0; slot < FMT_LEAF_FINE && range->free; slot++) {
		const struct fmt_ptr *ptr = &page_leaf(leaf)->fine[slot];
		child = child_leaf == NULL ? NULL
					   : &page_leaf(child_leaf)->fine[slot];
		if (!ptr_is_own(pair, ptr, child))
			continue;
		result =
		    map_page_free(pair->volume->pool, fmt_ptr_address(ptr));
		if (result < 0)
			return result;
	}
	return 0;
}

/* A page of the version, at ptr: what lies below it in the range, then it
 * itself if it ends in the range. */
static int
pages_walk(const struct pair *pair, const struct fmt_ptr *ptr, unsigned level,
    uint64_t index, const struct range *range)
{
	uint64_t span = level == 0 ? 0 : fmt_map_chunks(level);
	uint64_t first = index * FMT_FANOUT;
	const struct fmt_ptr *child;
	struct page *page;
	int result = child_pointer(pair, level, index, &child);

	if (result < 0 || !ptr_is_own(pair, ptr, child))
		return result;
	result =
	    map_page_get(pair->volume, ptr, level, index, pair->waiter, &page);
	if (result == 0 && level == 0 && page_end(0, index) <= range->to)
		result = fine_pages(pair, page, index, range);
	for (unsigned i = 0; level > 0 && i < FMT_FANOUT && result == 0; i++) {
		const struct fmt_ptr *below =
		    &((struct fmt_inner *)(void *)page->data)->ptr[i];
		if ((first + i + 1) * span <= range->from ||
		    (first + i) * span >= range->to ||
		    fmt_ptr_address(below) == 0)
			continue;
		result = pages_walk(pair, below, level - 1, first + i, range);
	}
	if (result < 0 || !range->free || page_end(level, index) > range->to)
		return result;
	return map_page_free(pair->volume->pool, fmt_ptr_address(ptr));
}

static int
version_pages(
    struct volume *volume, uint64_t to, bool free, struct waiter *waiter)
{
	struct range range = {volume->cursor, to, free};
	struct fmt_ptr root = volume->map.root;
	unsigned top = volume->map.levels - 1u;
	struct pair pair;

	if (volume->state != FMT_VERSION_DELETING)
		range.from = 0;
	if (page_end(top, 0) <= range.from || fmt_ptr_address(&root) == 0)
		return 0;
	pair_init(&pair, volume, waiter);
	return pages_walk(&pair, &root, top, 0, &range);
}

int
delete_pages_prepare(struct volume *volume, uint64_t to, struct waiter *waiter)
{
	return version_pages(volume, to, false, waiter);
}

int
delete_pages(struct volume *volume, uint64_t to)
{
	return version_pages(volume, to, true, NULL);
}

/* ---- the next leaf ---- */

/* From *leaf on, the first leaf that is the version's own.  0: it is *leaf, and
 * its path is in memory; 1: there is none; -EAGAIN, or an error. */
static int
leaf_next(struct pair *pair, uint64_t *leaf)
{
	struct volume *volume = pair->volume;
	uint64_t end = fmt_map_chunks(volume->map.levels) / FMT_LEAF_CHUNKS;
	unsigned level = volume->map.levels;
	struct page *page = NULL;

	while (*leaf < end && level-- > 0) {
		uint64_t index = map_index_on(level, *leaf);
		const struct fmt_ptr *ptr =
		    map_pointer(volume, page, level, index);
		const struct fmt_ptr *child;
		int result = child_pointer(pair, level, index, &child);
		if (result < 0)
			return result;
		if (!ptr_is_own(pair, ptr, child)) {
			*leaf = page_end(level, index) / FMT_LEAF_CHUNKS;
			level = volume->map.levels;
			page = NULL;
			continue;
		}
		result = map_page_get(
		    volume, ptr, level, index, pair->waiter, &page);
		if (result < 0)
			return result;
		if (level == 0)
			return 0;
	}
	return 1;
}

/* ---- its blocks ---- */

static void
drop_block(void *arg, uint64_t address, uint32_t birth)
{
	const struct pair *pair = arg;

	if (birth <= pair->parent_epoch)
		return;
	group_free(pair->volume->pool, address);
	pair->volume->pool->delete_job.freed++;
}

/* I4: a COARSE chunk is held whole, whatever is valid in it. */
static void
chunk_break(struct chunk *chunk)
{
	if (!engine_breaks.i4_mask_only || chunk->type != FMT_COARSE)
		return;
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++) {
		chunk->block[i].address = 0;
		if (chunk->mask >> i & 1)
			chunk->block[i].address = chunk->address + i;
		chunk->block[i].birth = chunk->birth;
	}
	chunk->type = FMT_FINE;
}

static int
leaf_blocks(struct pair *pair, uint64_t index)
{
	uint64_t first = index * FMT_LEAF_CHUNKS;
	struct page *leaf, *child_leaf = NULL;
	int result = map_chunks_get(
	    pair->volume, first, FMT_LEAF_CHUNKS, pair->waiter, &leaf);

	if (result == 0 && pair->child != NULL)
		result = map_chunks_get(pair->child, first, FMT_LEAF_CHUNKS,
		    pair->waiter, &child_leaf);
	for (unsigned i = 0; i < FMT_LEAF_CHUNKS && result == 0; i++) {
		struct chunk before, after;
		result = map_chunk_load(pair->volume, leaf, first + i, &before);
		if (result < 0)
			break;
		result = map_chunk_load(
		    pair->child != NULL ? pair->child : pair->volume,
		    child_leaf, first + i, &after);
		if (result < 0)
			break;
		chunk_break(&before);
		chunk_dropped(&before, &after, drop_block, pair);
		if (pair->child != NULL)
			promote_note_freed(pair->child, first + i, &after);
	}
	return result;
}

/* ---- the job ---- */

static void delete_next(struct pool *pool);

static void
delete_failed(struct pool *pool, int error)
{
	struct delete_job *job = &pool->delete_job;

	log_debug("pool %s: deletion of version %u stops: %s", pool->name,
	    job->volume->id, strerror(-error));
	list_del(&job->volume->link);
	list_add_tail(&pool->stuck, &job->volume->link);
	job->volume = NULL;
	delete_next(pool);
}

/* All of one leaf, or the end: 0: go on, 1: all is done, -EAGAIN, error. */
static int
delete_leaf(struct pool *pool)
{
	struct delete_job *job = &pool->delete_job;
	struct volume *volume = job->volume;
	uint64_t cursor =
	    volume->state == FMT_VERSION_DELETING ? volume->cursor : 0;
	uint64_t leaf = cursor / FMT_LEAF_CHUNKS;
	struct pair pair;
	uint64_t to, freed = job->freed;
	int result = pool_room(pool, DELETE_CREDITS, &job->waiter);

	if (result < 0)
		return result;
	pair_init(&pair, volume, &job->waiter);
	group_begin(pool);
	result = leaf_next(&pair, &leaf);
	to = result == 1 ? UINT64_MAX : (leaf + 1) * FMT_LEAF_CHUNKS;
	if (result == 0)
		result = leaf_blocks(&pair, leaf);
	if (result >= 0)
		result = group_prepare(pool, &job->waiter);
	if (result >= 0)
		result = delete_pages_prepare(volume, to, &job->waiter);
	if (result < 0) {
		job->freed = freed;
		return result;
	}
	group_add(pool, FMT_DELSTEP, volume, to, 0);
	group_record(pool);
	if (pool->state != POOL_ONLINE)
		return -EIO;
	return to == UINT64_MAX;
}

/* What a leaf takes of the loop's time, in nanoseconds; roughly, and always the
 * same, so that simulated lives can be repeated. */
static uint64_t
leaf_cost(const struct pool *pool)
{
	return 10000 + (uint64_t)pool->group.count * 200;
}

static void
delete_later(struct pool *pool)
{
	struct delete_job *job = &pool->delete_job;
	uint64_t rest = background_rest(pool, job->began, leaf_cost(pool));

	job->began = 0;
	if (rest == 0)
		loop_defer(pool->loop, &job->task);
	else
		loop_timer_arm(pool->loop, &job->timer, rest);
}

static void
delete_expired(struct loop_timer *timer)
{
	struct delete_job *job = container_of(timer, struct delete_job, timer);

	job->task.run(&job->task);
}

static void
delete_task(struct loop_task *task)
{
	struct pool *pool = container_of(task, struct pool, delete_job.task);
	struct delete_job *job = &pool->delete_job;
	int result;

	if (job->volume == NULL)
		return;
	if (job->stop || pool->state != POOL_ONLINE) {
		job->volume = NULL;
		return;
	}
	if (job->began == 0)
		job->began = loop_now(pool->loop);
	result = delete_leaf(pool);
	if (result == -EAGAIN)
		return;
	if (pool->state != POOL_ONLINE) {
		job->volume = NULL;
	} else if (result < 0) {
		delete_failed(pool, result);
	} else if (result == 1) {
		job->volume = NULL;
		delete_next(pool);
	} else {
		delete_later(pool);
	}
}

static void
delete_ready(struct waiter *waiter, int error)
{
	struct pool *pool =
	    container_of(waiter, struct pool, delete_job.waiter);

	if (error < 0 && pool->state == POOL_ONLINE &&
	    pool->delete_job.volume != NULL && !pool->delete_job.stop)
		delete_failed(pool, error);
	else
		delete_task(&pool->delete_job.task);
}

/* Before its DELETE is durable a cut may bring a version back, unharmed: but
 * its child would write in place what the job has made its own. */
static bool
may_begin(const struct volume *volume)
{
	if (volume->dying_lsn > volume->pool->redo.durable_lsn)
		return false;
	return list_empty(&volume->children) ||
	       volume_only_child(volume) != NULL ||
	       engine_breaks.i4_two_children;
}

/* A version whose deletion has begun comes first: its family can have only one
 * such. */
static struct volume *
delete_pick(struct pool *pool)
{
	struct volume *volume, *best = NULL;

	list_for_each (volume, &pool->dying, link) {
		if (volume->state == FMT_VERSION_DELETING)
			return volume;
		if (best == NULL && may_begin(volume))
			best = volume;
	}
	return best;
}

static void
delete_next(struct pool *pool)
{
	struct delete_job *job = &pool->delete_job;

	if (job->volume != NULL || job->stop || pool->state != POOL_ONLINE ||
	    pool->read_only)
		return;
	job->volume = delete_pick(pool);
	job->began = 0;
	if (job->volume != NULL && !job->task.queued)
		loop_defer(pool->loop, &job->task);
}

void
delete_jobs_start(struct pool *pool)
{
	struct delete_job *job = &pool->delete_job;

	if (job->volume != NULL)
		return;
	job->task.run = delete_task;
	job->timer.expire = delete_expired;
	waiter_init(&job->waiter, delete_ready);
	job->stop = false;
	delete_next(pool);
}

void
delete_jobs_stop(struct pool *pool)
{
	struct delete_job *job = &pool->delete_job;

	job->stop = true;
	if (!loop_timer_armed(&job->timer))
		return;
	loop_timer_disarm(pool->loop, &job->timer);
	job->volume = NULL;
}
