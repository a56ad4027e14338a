/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * UNMAP and writing zeros.
 *
 * DISCARD and ZERO with may_unmap forget whole blocks: their bits go from the
 * masks, and a chunk with none left is freed.  Parts of mapped blocks are
 * overwritten with zeros by ZERO and left alone by DISCARD.  ZERO without
 * may_unmap keeps what is mapped and has the device zero it.
 *
 * A huge range is walked in turns of the loop, a bounded number of chunks
 * each; what the map does not have is skipped by whole subtrees.
 */
#include "snapshot/engine.h"

#define BATCH_FREES   256u
#define UNMAP_CREDITS 32u
#define TURN_BATCHES  16u

/* What is forgotten in one go: blocks of one leaf, and pool->group. */
struct unmap_batch {
	uint64_t block, end; /* covered */
	bool changes;
	struct chunk_rules rules;
};

/* The part of one chunk from batch->end on.  0; -EBUSY: with the next batch. */
static int
unmap_chunk(struct vio *vio, struct unmap_batch *batch, struct page *leaf,
    unsigned count)
{
	struct volume *volume = vio->volume;
	uint64_t number = batch->end / FMT_CHUNK_BLOCKS;
	uint16_t bits = chunk_bits(batch->end % FMT_CHUNK_BLOCKS, count);
	struct chunk before, after;
	int result = map_chunk_load(volume, leaf, number, &before);

	if (result < 0 || before.type == FMT_HOLE)
		return result;
	if (before.type == FMT_POISON)
		return -ENODATA;
	if (!(vio->locked && vio->lock.chunk == number) &&
	    chunk_lock_busy(volume->pool, volume, number))
		return -EBUSY;
	if (!chunk_unmaps(&before, &batch->rules, bits))
		return 0;
	if (volume->pool->group.count > BATCH_FREES)
		return -EBUSY;
	after = before;
	result = chunk_unmap(&after, &batch->rules, bits);
	if (result < 0)
		return result;
	group_free_dropped(volume->pool, &batch->rules, &before, &after);
	batch->changes = true;
	return 0;
}

static int
batch_fill(
    struct vio *vio, struct unmap_batch *batch, struct page *leaf, uint64_t end)
{
	while (batch->end < end) {
		unsigned count =
		    FMT_CHUNK_BLOCKS - batch->end % FMT_CHUNK_BLOCKS;
		int result;
		if (count > end - batch->end)
			count = (unsigned)(end - batch->end);
		result = unmap_chunk(vio, batch, leaf, count);
		if (result < 0)
			return batch->end > batch->block ? 0 : result;
		batch->end += count;
	}
	return 0;
}

static int
batch_apply(struct vio *vio, struct unmap_batch *batch)
{
	struct pool *pool = vio->volume->pool;
	int result;

	if (!batch->changes)
		return 0;
	le64_set(&pool->group.record[0].b, batch->end - batch->block);
	result = group_prepare(pool, &vio->waiter);
	if (result < 0)
		return result;
	vio->lsn = pool->unmap_lsn = group_record(pool);
	return pool->state == POOL_ONLINE ? 0 : -EIO;
}

/* Blocks [vio->next, end) of one leaf, which the map has. */
static void
unmap_leaf(struct vio *vio, uint64_t end)
{
	struct volume *volume = vio->volume;
	struct pool *pool = volume->pool;
	uint64_t block = vio->next / FMT_BLOCK;
	uint64_t first = block / FMT_CHUNK_BLOCKS;
	uint64_t last = (end - 1) / FMT_CHUNK_BLOCKS;
	struct unmap_batch batch = {.block = block, .end = block};
	struct page *leaf;
	int result;

	if (!vio_ok(vio, pool_room(pool, UNMAP_CREDITS, &vio->waiter)))
		return;
	if (!vio_ok(vio, map_chunks_get(volume, first, last - first + 1,
			     &vio->waiter, &leaf)))
		return;
	if (leaf == NULL)
		return; /* it went while this waited */
	map_rules(volume, block / FMT_LEAF_BLOCKS, &batch.rules);
	group_begin(pool);
	group_add(pool, FMT_UNMAP, volume, block, 0);
	result = batch_fill(vio, &batch, leaf, end);
	if (result == 0)
		result = batch_apply(vio, &batch);
	if (result == -EBUSY) {
		vio_lock(vio, block / FMT_CHUNK_BLOCKS, true);
		return;
	}
	if (!vio_ok(vio, result))
		return;
	vio->next = batch.end * FMT_BLOCK;
	if (vio->locked)
		vio_unlock(vio);
}

/* Lets others have a turn: true: parked until then. */
static bool
turn_over(struct vio *vio)
{
	if (++vio->turn % TURN_BATCHES != 0)
		return false;
	vio->parked = true;
	loop_defer(vio->volume->pool->loop, &vio->task);
	return true;
}

static void
unmap_blocks(struct vio *vio)
{
	uint64_t block = vio->next / FMT_BLOCK, end = vio->end / FMT_BLOCK;
	uint64_t leaf_left = FMT_LEAF_BLOCKS - block % FMT_LEAF_BLOCKS;
	struct map_extent extent;

	if (turn_over(vio))
		return;
	if (!vio_ok(vio, map_lookup(vio->volume, block, end - block,
			     &vio->waiter, &extent)))
		return;
	if (extent.leaf == NULL) {
		vio->next = (block + extent.blocks) * FMT_BLOCK;
		return;
	}
	if (end > block + leaf_left)
		end = block + leaf_left;
	if (vio->io->op == BS_ZERO)
		end -= end % volume_unit(vio->volume); /* see zero_may_unmap */
	unmap_leaf(vio, end);
}

static void
zero_part(struct vio *vio)
{
	uint64_t length = FMT_BLOCK - vio->next % FMT_BLOCK;

	if (vio->io->op == BS_ZERO) {
		vio_partial_step(vio);
		return;
	}
	if (length > vio->end - vio->next)
		length = vio->end - vio->next;
	vio->next += length;
}

void
vio_unmap_step(struct vio *vio)
{
	if (vio->next % FMT_BLOCK != 0 || vio->end - vio->next < FMT_BLOCK)
		zero_part(vio);
	else
		unmap_blocks(vio);
}

/* ---- ZERO that keeps the space ---- */

/* What is mapped in units of more than a block may not be forgotten block by
 * block; then it is zeroed.  Whole units always may. */
static bool
zero_may_unmap(const struct vio *vio)
{
	uint64_t unit = (uint64_t)volume_unit(vio->volume) * FMT_BLOCK;

	return vio->next % unit == 0 && vio->end - vio->next >= unit;
}

void
vio_zero_step(struct vio *vio)
{
	uint64_t block = vio->next / FMT_BLOCK, end = vio->end / FMT_BLOCK;
	uint64_t unit_end = (block | (volume_unit(vio->volume) - 1)) + 1;
	uint64_t blocks;
	struct map_extent extent;

	if (vio->io->may_unmap && zero_may_unmap(vio)) {
		vio_unmap_step(vio);
		return;
	}
	if (vio->next % FMT_BLOCK != 0 || vio->end - vio->next < FMT_BLOCK) {
		vio_partial_step(vio);
		return;
	}
	if (turn_over(vio))
		return;
	/* the next unit may be forgotten as a whole */
	if (vio->io->may_unmap && end > unit_end)
		end = unit_end;
	if (!vio_ok(vio, map_lookup(vio->volume, block, end - block,
			     &vio->waiter, &extent)))
		return;
	if (extent.kind == MAP_POISON)
		vio_fail(vio, -ENODATA);
	else if (extent.kind != MAP_DATA)
		vio->next += extent.blocks * FMT_BLOCK;
	else if (extent.in_place)
		vio_in_place_step(vio, &extent);
	else if ((blocks = vio_map_blocks(vio, &extent)) == 0)
		vio_copy_begin(vio);
	else if (extent.blocks < blocks && volume_unit(vio->volume) == 1)
		vio_map_step(vio, BS_ZERO, extent.blocks); /* then a hole */
	else
		vio_map_step(vio, BS_ZERO, blocks);
}
