/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Flattening: a clone gets everything that it shares anew, in the background,
 * until it stands alone; then its parent may be deleted.
 *
 * The job walks over the clone's map.  Each chunk in which something is not
 * the clone's alone is rewritten (rewrite.c); a page that still is not, since
 * nothing is mapped below it, is made its own by the record OWN.  A pass that
 * finds nothing to do is the proof that nothing is shared, and the record
 * ORPHAN cuts the clone from its parent.  Hosts go on meanwhile: whatever they
 * write is the clone's own.  Nothing of the job is on disk: after a crash it is
 * asked for again, and finds done what was done.
 *
 * Only the volume is rewritten.  Snapshots that were taken of it share with the
 * origin too, and cannot be changed; so a clone that has its own between it and
 * the origin is refused, and the snapshot named.  A volume whose ancestors all
 * are its own snapshots shares nothing with others, and is whole.
 */
#include "snapshot/engine.h"
#include "snapshot/family.h"
#include <stdlib.h>
#include <string.h>

#define FLATTEN_CREDITS 32u
#define TURN_LEAVES     16u

struct flatten {
	struct list link;
	struct operation *op;
	struct volume *volume;
	uint32_t parent; /* id, as of the pass */
	uint32_t stamp;
	uint64_t next; /* chunk */
	bool changed;  /* the pass found something to do */
};

static struct flatten *
flatten_first(struct pool *pool)
{
	struct list *list = &pool->rewriter.flattens;

	return list_empty(list) ? NULL
				: list_entry(list->next, struct flatten, link);
}

static void
flatten_end(struct flatten *f, int result)
{
	list_del(&f->link);
	operation_end(f->op, result);
}

/* ---- may it be? ---- */

const struct volume *
flatten_ancestor(const struct volume *volume, const struct volume **ret_own)
{
	const struct volume *ancestor = volume->parent;

	*ret_own = NULL;
	while (ancestor != NULL && ancestor->origin == volume) {
		if (ancestor->state == FMT_VERSION_SNAP && *ret_own == NULL)
			*ret_own = ancestor;
		ancestor = ancestor->parent;
	}
	return ancestor;
}

/* 0; OP_DONE: it is whole; or why not. */
static int
flatten_check(struct flatten *f)
{
	struct operation *op = f->op;
	const struct volume *volume = f->volume, *own;
	int result = operation_check(op);

	if (result < 0)
		return result;
	if (volume->state != FMT_VERSION_HEAD) {
		operation_problem(op, "%s is no volume", volume->name);
		return -EINVAL;
	}
	if (flatten_ancestor(volume, &own) == NULL)
		return OP_DONE;
	if (own != NULL) {
		operation_problem(op,
		    "its snapshot %s shares with its origin too", own->name);
		return -EBUSY;
	}
	return 0;
}

/* Beyond the hard threshold what is left is for the hosts. */
static int
flatten_room(struct flatten *f)
{
	if (f->op->pool->space.level < 2)
		return 0;
	operation_problem(f->op, "the pool is full to its hard threshold");
	return -ENOSPC;
}

/* ---- what is shared ---- */

enum found { FOUND_NOTHING, FOUND_CHUNK, FOUND_PAGE, FOUND_END };

struct find {
	struct flatten *f;
	struct waiter *waiter;
	unsigned level; /* FOUND_PAGE */
	uint64_t index;
};

static bool
page_is_shared(const struct volume *volume, const struct page *page,
    unsigned level, uint64_t index)
{
	const struct fmt_page *header = (const void *)page->data;
	uint64_t last =
	    (index + 1) * (fmt_map_chunks(level + 1) / FMT_LEAF_CHUNKS) - 1;
	struct chunk_rules rules;

	map_rules(volume, last, &rules);
	return le32_get(&header->birth) <= rules.parent_epoch;
}

/* The first leaf at or behind f->next: 0: *ret_leaf; 1: there is none up to
 * the end of find->index on find->level, which is *ret_page. */
static int
leaf_next(struct find *find, struct page **ret_page)
{
	struct volume *volume = find->f->volume;
	uint64_t leaf = find->f->next / FMT_LEAF_CHUNKS;
	unsigned level = volume->map.levels;
	struct page *page = NULL;

	*ret_page = NULL;
	while (level-- > 0) {
		uint64_t index = map_index_on(level, leaf), above = index;
		const struct fmt_ptr *ptr;
		int result;
		/* the first child that there is */
		while (
		    page != NULL && index / FMT_FANOUT == above / FMT_FANOUT &&
		    fmt_ptr_address(map_pointer(volume, page, level, index)) ==
			0)
			index++;
		if (page != NULL && index / FMT_FANOUT != above / FMT_FANOUT)
			return 1;
		ptr = map_pointer(volume, page, level, index);
		find->level = level;
		find->index = index;
		if (fmt_ptr_address(ptr) == 0)
			return 1; /* nothing at all */
		if (index != above)
			leaf = index *
			       (fmt_map_chunks(level + 1) / FMT_LEAF_CHUNKS);
		result = map_page_get(
		    volume, ptr, level, index, find->waiter, &page);
		if (result < 0)
			return result;
		*ret_page = page;
	}
	if (find->f->next < leaf * FMT_LEAF_CHUNKS)
		find->f->next = leaf * FMT_LEAF_CHUNKS;
	return 0;
}

/* From f->next to the end of its leaf. */
static int
leaf_find(struct find *find)
{
	struct flatten *f = find->f;
	uint64_t leaf = f->next / FMT_LEAF_CHUNKS;
	uint64_t end = (leaf + 1) * FMT_LEAF_CHUNKS;
	struct chunk_rules rules;
	struct page *page;
	int result = map_chunks_get(
	    f->volume, f->next, end - f->next, find->waiter, &page);

	if (result < 0)
		return result;
	map_rules(f->volume, leaf, &rules);
	for (; f->next < end; f->next++) {
		unsigned ours, shared;
		struct chunk chunk;
		result = map_chunk_load(f->volume, page, f->next, &chunk);
		if (result < 0)
			return result;
		rewrite_count(&chunk, &rules, &ours, &shared);
		if (shared > 0)
			return FOUND_CHUNK;
	}
	return page != NULL && page_is_shared(f->volume, page, 0, leaf)
		   ? FOUND_PAGE
		   : FOUND_NOTHING;
}

/* One step of the walk; f->next is behind what has nothing. */
static int
find_step(struct find *find)
{
	struct flatten *f = find->f;
	uint64_t end = fmt_map_chunks(f->volume->map.levels);
	struct page *page;
	int result;

	if (f->next >= end)
		return FOUND_END;
	result = leaf_next(find, &page);
	if (result < 0)
		return result;
	if (result == 0)
		return leaf_find(find);
	f->next = page == NULL
		      ? end
		      : (find->index + 1) * fmt_map_chunks(find->level + 1);
	return page != NULL &&
		       page_is_shared(f->volume, page, find->level, find->index)
		   ? FOUND_PAGE
		   : FOUND_NOTHING;
}

/* ---- the steps ---- */

static int
chunk_own(struct flatten *f)
{
	int result = flatten_room(f);

	if (result < 0)
		return result;
	f->changed = true;
	rewrite_start(f->volume->pool, f->volume, f->next, REWRITE_SHARED);
	return STEP_REWRITE;
}

/* The page becomes its own, with those above it. */
static int
page_own(struct find *find)
{
	struct flatten *f = find->f;
	struct pool *pool = f->volume->pool;
	int result = pool_room(pool, FLATTEN_CREDITS, find->waiter);

	if (result == 0)
		result = space_meta_room(
		    pool, f->volume->map.levels + 1u, false, find->waiter);
	if (result < 0)
		return result;
	group_begin(pool);
	le16_set(&group_add(pool, FMT_OWN, f->volume, find->index, 0)->mask,
	    (uint16_t)find->level);
	result = group_prepare(pool, find->waiter);
	if (result == 0)
		result =
		    apply_prepare(pool, &pool->group.record[0], find->waiter);
	if (result < 0)
		return result;
	group_record(pool);
	f->changed = true;
	return pool->state == POOL_ONLINE ? STEP_MORE : -EIO;
}

static int
flattened(struct operation *op)
{
	op->request->volume = op->volume;
	/* what had two children may have one now */
	if (op->pool->state == POOL_ONLINE)
		delete_jobs_start(op->pool);
	return OP_DONE;
}

/* It is durable, or will be soon: nothing cancels it any more. */
static int
flatten_commit(struct flatten *f)
{
	struct operation *op = f->op;

	list_del(&f->link);
	operation_commit(op, flattened);
	return STEP_MORE;
}

static int
flatten_cut(struct flatten *f, struct waiter *waiter)
{
	struct volume *volume = f->volume;
	struct pool *pool = volume->pool;
	int result = pool_room(pool, 8, waiter);

	if (result < 0)
		return result;
	if (!losses_are_all(volume)) {
		operation_problem(
		    f->op, "the figures and the map contradict each other");
		return -EIO;
	}
	group_begin(pool);
	group_add(pool, FMT_ORPHAN, volume, 0, 0);
	group_record(pool);
	return pool->state == POOL_ONLINE ? flatten_commit(f) : -EIO;
}

static void
pass_begin(struct flatten *f)
{
	const struct volume *volume = f->volume;

	f->parent = volume->parent->id;
	f->stamp = volume->map.stamp;
	f->next = 0;
	f->changed = false;
}

static bool
pass_stands(const struct flatten *f)
{
	return f->parent == f->volume->parent->id &&
	       f->stamp == f->volume->map.stamp;
}

static int
flatten_walk(struct flatten *f, struct waiter *waiter)
{
	struct find find = {.f = f, .waiter = waiter};

	for (unsigned turn = 0; turn < TURN_LEAVES; turn++) {
		uint64_t next = f->next;
		int result = find_step(&find);
		if (result < 0)
			return result;
		if (result == FOUND_CHUNK)
			return chunk_own(f);
		if (result == FOUND_PAGE) {
			result = page_own(&find);
			if (result < 0)
				f->next = next; /* look again */
			return result;
		}
		if (result == FOUND_END && !f->changed)
			return flatten_cut(f, waiter);
		if (result == FOUND_END) {
			pass_begin(f);
			break;
		}
	}
	return STEP_MORE;
}

int
flatten_step(struct pool *pool, struct waiter *waiter)
{
	struct flatten *f = flatten_first(pool);
	int result;

	if (f == NULL)
		return STEP_NONE;
	result = flatten_check(f);
	if (result == OP_DONE)
		return flatten_commit(f);
	if (result == 0) {
		if (!pass_stands(f))
			pass_begin(f);
		result = flatten_walk(f, waiter);
	}
	if (result >= 0 || result == -EAGAIN)
		return result;
	flatten_end(f, result);
	return STEP_MORE;
}

void
flatten_failed(struct pool *pool, int result)
{
	struct flatten *f = flatten_first(pool);

	if (f == NULL)
		return;
	if (result == -ENOSPC)
		operation_problem(f->op, "%s has no room for a chunk",
		    f->volume->quota_reached ? "its quota" : "the pool");
	flatten_end(f, result == -EBADMSG ? -ENODATA : result);
}

/* What gave up is found again. */
void
flatten_rewritten(struct pool *pool, struct volume *volume, int result)
{
	struct flatten *f = flatten_first(pool);

	if (f != NULL && f->volume == volume && result < 0)
		flatten_failed(pool, result);
}

void
flatten_cancel(struct pool *pool, const struct volume *volume, int error)
{
	struct flatten *f, *next;

	list_for_each_safe (f, next, &pool->rewriter.flattens, link)
		if (volume == NULL || f->volume == volume)
			flatten_end(f, error);
}

/* ---- from outside ---- */

void
volume_flatten(
    struct pool *pool, struct volume *volume, struct pool_request *request)
{
	struct operation *op = operation_new(request, flattened);
	struct flatten *f = calloc(1, sizeof(*f));

	assert(f != NULL);
	op->pool = pool;
	op->volume = volume;
	op->detail = f;
	op->cleanup = operation_free_detail;
	f->op = op;
	f->volume = volume;
	list_add_tail(&pool->rewriter.flattens, &f->link);
	rewriter_kick(pool);
}

bool
flatten_stat(
    const struct pool *pool, unsigned index, struct pool_job_stat *ret_stat)
{
	const struct flatten *f;

	list_for_each (f, &pool->rewriter.flattens, link) {
		const struct volume *volume = f->volume;
		if (index-- > 0)
			continue;
		*ret_stat = (struct pool_job_stat){
		    .kind = POOL_JOB_FLATTEN,
		    .running = f->link.prev == &pool->rewriter.flattens,
		    .done = f->next * FMT_CHUNK,
		    .total = volume->size,
		};
		if (ret_stat->done > volume->size)
			ret_stat->done = volume->size;
		memcpy(ret_stat->uuid, volume->uuid, sizeof(ret_stat->uuid));
		memcpy(ret_stat->name, volume->name, sizeof(ret_stat->name));
		return true;
	}
	return false;
}
