/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Differences.  Against a snapshot both maps are walked side by side, and what
 * has the same address in both is the same: pages, and blocks, for nobody
 * overwrites what two versions share.  Against a bookmark there is one map,
 * and the births tell what is newer; a page that is not newer has nothing
 * newer in it (I16), and holes have births too (I17).
 */
#include "snapshot/engine.h"
#include "snapshot/family.h"
#include <stdio.h>
#include <stdlib.h>

#define TURN_LEAVES 64u
#define CALL_LEAVES 16384u /* then the caller has a word */
#define AHEAD       32u

struct diffing {
	struct diff_request *d;
	struct pool *pool;
	struct waiter waiter;
	struct loop_task task;
	uint64_t block, end; /* of the volume */
	uint64_t ahead;      /* leaves before it have been asked for */
	uint64_t leaves;     /* compared */
};

static bool
against_epoch(const struct diff_request *d)
{
	return d->base == NULL;
}

/* ---- extents ---- */

/* False: there is no room for it. */
static bool
extent_add(
    struct diff_request *d, uint64_t block, uint64_t count, enum diff_kind kind)
{
	struct diff_extent *last = NULL;

	if (d->extent_count > 0)
		last = &d->extent[d->extent_count - 1];
	if (last != NULL && last->kind == kind &&
	    last->offset + last->length == block * FMT_BLOCK) {
		last->length += count * FMT_BLOCK;
		return true;
	}
	if (d->extent_count == d->extent_max)
		return false;
	d->extent[d->extent_count++] = (struct diff_extent){
	    .offset = block * FMT_BLOCK,
	    .length = count * FMT_BLOCK,
	    .kind = kind,
	};
	return true;
}

/* ---- blocks ---- */

struct block {
	uint64_t address; /* 0: reads as zeros */
	uint32_t birth;
};

static struct block
block_of(const struct chunk *chunk, unsigned i)
{
	struct block block = {0, chunk->birth};

	if (chunk->type == FMT_FINE) {
		block.birth = chunk->block[i].birth;
		if (chunk->mask >> i & 1)
			block.address = chunk->block[i].address;
	} else if (chunk->type == FMT_COARSE && chunk->mask >> i & 1) {
		block.address = chunk->address + i;
	} else if (chunk->type == FMT_POISON) {
		block.address = FMT_SUB_POISON;
	}
	return block;
}

static bool
block_differs(const struct diff_request *d, const struct chunk *to,
    const struct chunk *base, unsigned i)
{
	struct block now = block_of(to, i);

	if (!against_epoch(d))
		return now.address != block_of(base, i).address;
	if (d->base_epoch == 0)
		return now.address != 0;
	return now.birth > d->base_epoch;
}

/* From diffing->block to the end of its leaf: 0, 1: no room left, -EAGAIN. */
static int
leaf_diff(struct diffing *diffing, uint64_t index)
{
	struct diff_request *d = diffing->d;
	uint64_t first = index * FMT_LEAF_CHUNKS;
	uint64_t end = (index + 1) * FMT_LEAF_BLOCKS;
	struct page *leaf, *base_leaf = NULL;
	int result = map_chunks_get(
	    d->to, first, FMT_LEAF_CHUNKS, &diffing->waiter, &leaf);

	if (result == 0 && d->base != NULL &&
	    first < fmt_map_chunks(d->base->map.levels))
		result = map_chunks_get(d->base, first, FMT_LEAF_CHUNKS,
		    &diffing->waiter, &base_leaf);
	if (result < 0)
		return result;
	if (end > diffing->end)
		end = diffing->end;
	while (diffing->block < end) {
		uint64_t number = diffing->block / FMT_CHUNK_BLOCKS;
		struct chunk to, base = {.type = FMT_HOLE};
		result = map_chunk_load(d->to, leaf, number, &to);
		if (result == 0 && base_leaf != NULL)
			result =
			    map_chunk_load(d->base, base_leaf, number, &base);
		if (result < 0)
			return result;
		do {
			unsigned i = diffing->block % FMT_CHUNK_BLOCKS;
			if (block_differs(d, &to, &base, i) &&
			    !extent_add(d, diffing->block, 1,
				block_of(&to, i).address != 0 ? DIFF_DATA
							      : DIFF_ZERO))
				return 1;
			diffing->block++;
		} while (diffing->block % FMT_CHUNK_BLOCKS != 0 &&
			 diffing->block < end);
	}
	return 0;
}

/* ---- pages ---- */

static uint64_t
page_end_block(unsigned level, uint64_t index)
{
	return (index + 1) * fmt_map_chunks(level + 1) * FMT_CHUNK_BLOCKS;
}

enum look { LOOK_SAME, LOOK_DEEPER, LOOK_HOLE };

static enum look
pointers_compare(const struct diff_request *d, const struct fmt_ptr *to,
    const struct fmt_ptr *base)
{
	uint64_t address = fmt_ptr_address(to);

	if (against_epoch(d)) {
		if (address != 0)
			return le32_get(&to->birth) > d->base_epoch
				   ? LOOK_DEEPER
				   : LOOK_SAME;
		return d->base_epoch != 0 &&
			       le32_get(&to->birth) > d->base_epoch
			   ? LOOK_HOLE
			   : LOOK_SAME;
	}
	/* the base may reach less far up */
	if (base == NULL)
		return address == 0 ? LOOK_SAME : LOOK_DEEPER;
	return fmt_ptr_address(base) == address ? LOOK_SAME : LOOK_DEEPER;
}

/* Leaves that will be wanted next are asked for together: neighbours of this
 * one, by the pointers beside its own.  Reading one may take the page of the
 * pointers out of memory, so they are gathered first. */
static void
leaves_ahead(struct diffing *diffing, uint64_t leaf, const struct fmt_ptr *to,
    const struct fmt_ptr *base)
{
	struct diff_request *d = diffing->d;
	struct fmt_ptr wanted[2 * AHEAD];
	uint64_t index[2 * AHEAD];
	bool whole = base != NULL && fmt_ptr_address(base) != 0;
	unsigned left = FMT_FANOUT - leaf % FMT_FANOUT, count = 0;

	if (fmt_ptr_address(to) == 0 || leaf + AHEAD / 2 < diffing->ahead)
		return;
	for (unsigned i = 0; i < left && count + 2 <= 2 * AHEAD; i++) {
		diffing->ahead = leaf + i + 1;
		if (pointers_compare(d, &to[i], whole ? &base[i] : base) !=
		    LOOK_DEEPER)
			continue;
		index[count] = leaf + i;
		wanted[count++] = to[i];
		if (!whole)
			continue;
		index[count] = leaf + i;
		wanted[count++] = base[i];
	}
	for (unsigned i = 0; i < count; i++)
		map_page_ahead(d->to, &wanted[i], 0, index[i]);
}

/* Goes on to the next leaf that may differ, at or behind diffing->block: 0: it
 * is *ret_index; 1: there is no room, or no such leaf; -EAGAIN, error. */
static int
leaf_find(struct diffing *diffing, uint64_t *ret_index)
{
	struct diff_request *d = diffing->d;
	unsigned level = d->to->map.levels;

	while (diffing->block < diffing->end && level-- > 0) {
		uint64_t leaf = diffing->block / FMT_LEAF_BLOCKS;
		uint64_t index = map_index_on(level, leaf), end;
		const struct fmt_ptr *to, *base = NULL;
		enum look look;
		int result =
		    map_pointer_at(d->to, level, index, &diffing->waiter, &to);
		if (result == 0 && d->base != NULL)
			result = map_pointer_at(
			    d->base, level, index, &diffing->waiter, &base);
		if (result < 0)
			return result;
		d->pages++;
		*ret_index = leaf;
		look = pointers_compare(d, to, base);
		if (look == LOOK_DEEPER && level == 0) {
			leaves_ahead(diffing, leaf, to, base);
			return 0;
		}
		if (look == LOOK_DEEPER)
			continue;
		end = page_end_block(level, index);
		if (end > diffing->end)
			end = diffing->end;
		if (look == LOOK_HOLE && !extent_add(d, diffing->block,
					     end - diffing->block, DIFF_ZERO))
			return 1;
		diffing->block = end;
		/* on with its neighbour, or from the top */
		level = (index + 1) % FMT_FANOUT != 0 ? level + 1
						      : d->to->map.levels;
	}
	return 1;
}

/* ---- the walk ---- */

static void
diff_end(struct diffing *diffing, int result)
{
	struct diff_request *d = diffing->d;

	d->offset = diffing->block * FMT_BLOCK;
	d->end = result == 0 && diffing->block >= diffing->end;
	diffing->pool->diffs--;
	d->to->users--;
	if (d->base != NULL)
		d->base->users--;
	free(diffing);
	d->request.state = NULL;
	d->request.done(&d->request, result == -EBADMSG ? -ENODATA : result);
}

static void
diff_task(struct loop_task *task)
{
	struct diffing *diffing = container_of(task, struct diffing, task);

	for (unsigned turn = 0; turn < TURN_LEAVES; turn++) {
		uint64_t index = 0;
		int result = leaf_find(diffing, &index);
		if (result == 0)
			result = leaf_diff(diffing, index);
		if (result == -EAGAIN)
			return;
		if (result == 0 && ++diffing->leaves == CALL_LEAVES)
			result = 1;
		if (result != 0) {
			diff_end(diffing, result < 0 ? result : 0);
			return;
		}
	}
	loop_defer(diffing->pool->loop, &diffing->task);
}

static void
diff_ready(struct waiter *waiter, int error)
{
	struct diffing *diffing = container_of(waiter, struct diffing, waiter);

	if (error < 0)
		diff_end(diffing, error);
	else
		diff_task(&diffing->task);
}

/* NULL: it can be. */
static const char *
diff_check(const struct diff_request *d)
{
	struct volume *to = d->to;
	struct volume *head = to->origin != NULL ? to->origin : to;

	if (d->base != NULL)
		return d->base->map.family == to->map.family
			   ? NULL
			   : "they are not of one family";
	if (d->base_epoch == 0)
		return NULL;
	return bookmark_marks(head, d->base_epoch) &&
		       (to->epoch == 0 || to->epoch >= d->base_epoch)
		   ? NULL
		   : "the bookmark is not of its line";
}

static void
diff_refused(struct loop_task *task)
{
	struct pool_request *request =
	    container_of(task, struct pool_request, task);

	request->done(request, -EINVAL);
}

void
volume_diff(struct pool *pool, struct diff_request *d)
{
	struct diffing *diffing;
	const char *wrong = diff_check(d);

	d->extent_count = 0;
	d->pages = 0;
	d->end = false;
	d->request.problem[0] = 0;
	if (wrong != NULL) {
		snprintf(d->request.problem, sizeof(d->request.problem), "%s",
		    wrong);
		d->request.task.run = diff_refused;
		loop_defer(pool->loop, &d->request.task);
		return;
	}
	diffing = calloc(1, sizeof(*diffing));
	assert(diffing != NULL);
	diffing->d = d;
	diffing->pool = pool;
	diffing->block = d->offset / FMT_BLOCK;
	diffing->end = d->to->size / FMT_BLOCK;
	diffing->task.run = diff_task;
	waiter_init(&diffing->waiter, diff_ready);
	pool->diffs++;
	d->to->users++;
	if (d->base != NULL)
		d->base->users++;
	d->request.state = diffing;
	loop_defer(pool->loop, &diffing->task);
}
