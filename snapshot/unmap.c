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

#define BATCH_FREES   64u
#define UNMAP_CREDITS 24u
#define TURN_BATCHES  16u

struct unmap_batch {
	uint64_t block, end; /* covered */
	bool changes;
	unsigned free_count;
	struct fmt_record record[1 + BATCH_FREES];
};

static void
free_add(struct pool *pool, struct unmap_batch *batch, uint64_t address)
{
	struct fmt_record *last = &batch->record[batch->free_count];

	if (batch->free_count > 0) {
		uint64_t start = le64_get(&last->a), run = le64_get(&last->b);
		if (start + run == address &&
		    start >> pool->space.region_shift ==
			address >> pool->space.region_shift) {
			le64_set(&last->b, run + FMT_CHUNK_BLOCKS);
			return;
		}
	}
	last = &batch->record[++batch->free_count];
	*last = (struct fmt_record){.type = FMT_FREE};
	le64_set(&last->a, address);
	le64_set(&last->b, FMT_CHUNK_BLOCKS);
}

/* The part of one chunk from batch->end on.  0; -EBUSY: with the next batch;
 * -EAGAIN queued. */
static int
unmap_chunk(struct vio *vio, struct unmap_batch *batch, struct page *leaf,
    unsigned count)
{
	struct pool *pool = vio->volume->pool;
	uint64_t chunk = batch->end / FMT_CHUNK_BLOCKS;
	const struct fmt_entry *entry =
	    &page_leaf(leaf)->entry[chunk % FMT_LEAF_CHUNKS];
	uint64_t word = le64_get(&entry->word);
	uint16_t bits =
	    (uint16_t)(((1u << count) - 1) << batch->end % FMT_CHUNK_BLOCKS);
	struct page *bitmap;
	int result;

	if (fmt_word_type(word) == FMT_HOLE)
		return 0;
	if (fmt_word_type(word) != FMT_COARSE ||
	    !map_exclusive(vio->volume, le32_get(&entry->birth)))
		return -EROFS;
	if (!(vio->locked && vio->lock.chunk == chunk) &&
	    chunk_lock_busy(pool, vio->volume, chunk))
		return -EBUSY;
	if ((fmt_word_mask(word) & bits) == 0 && fmt_word_mask(word) != 0)
		return 0;
	if ((fmt_word_mask(word) & ~bits) == 0) {
		if (batch->free_count == BATCH_FREES)
			return -EBUSY;
		result = space_bitmap(
		    pool, fmt_word_address(word), false, &vio->waiter, &bitmap);
		if (result < 0)
			return result;
		if (fmt_word_address(word) % FMT_CHUNK_BLOCKS != 0 ||
		    !space_chunk_is_set(pool, fmt_word_address(word)))
			return -EBADMSG;
		free_add(pool, batch, fmt_word_address(word));
	}
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
		if (result < 0 && batch->end > batch->block) {
			if (!list_empty(&vio->waiter.link))
				list_del(&vio->waiter.link);
			return 0;
		}
		if (result < 0)
			return result;
		batch->end += count;
	}
	return 0;
}

static void
batch_apply(struct vio *vio, struct unmap_batch *batch)
{
	struct fmt_record *unmap = &batch->record[0];

	if (!batch->changes)
		return;
	*unmap = (struct fmt_record){.type = FMT_UNMAP};
	le32_set(&unmap->volume, vio->volume->id);
	le64_set(&unmap->a, batch->block);
	le64_set(&unmap->b, batch->end - batch->block);
	vio->lsn = pool_record(
	    vio->volume->pool, batch->record, 1 + batch->free_count);
	if (vio->volume->pool->state != POOL_ONLINE)
		vio_fail(vio, -EIO);
}

/* Blocks [vio->next, end) of one leaf. */
static void
unmap_leaf(struct vio *vio, struct page *leaf, uint64_t end)
{
	uint64_t block = vio->next / FMT_BLOCK;
	struct unmap_batch batch = {.block = block, .end = block};
	struct pool *pool = vio->volume->pool;
	int result;

	if (!vio_ok(vio, pool_room(pool, UNMAP_CREDITS, &vio->waiter)))
		return;
	/* a bitmap may be read and the leaf be evicted for it */
	page_pin(leaf);
	result = batch_fill(vio, &batch, leaf, end);
	if (result == 0)
		batch_apply(vio, &batch);
	page_unpin(leaf);
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
	unmap_leaf(vio, extent.leaf, end);
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

static void
zero_extent(struct vio *vio, const struct map_extent *extent)
{
	uint64_t bytes = extent->blocks * FMT_BLOCK;
	uint64_t chunk_left = FMT_CHUNK - vio->next % FMT_CHUNK;
	struct seg *seg;

	if (bytes > vio->end - vio->next)
		bytes = (vio->end - vio->next) / FMT_BLOCK * FMT_BLOCK;
	if (vio->volume->locked_writes) {
		if (bytes > chunk_left)
			bytes = chunk_left;
		if (!vio_lock(vio, vio->next / FMT_CHUNK, true))
			return;
	}
	bytes = seg_limit(vio->volume->pool, extent->address, 0, bytes);
	seg = vio_seg(vio);
	if (seg == NULL)
		return;
	vio_depends(vio, extent->leaf);
	seg->barrier = vio->barrier = vio->volume->locked_writes;
	seg_submit(seg, BS_ZERO, extent->address, 0, bytes);
	vio->next += bytes;
}

void
vio_zero_step(struct vio *vio)
{
	uint64_t block = vio->next / FMT_BLOCK;
	struct map_extent extent;

	if (vio->io->may_unmap) {
		vio_unmap_step(vio);
		return;
	}
	if (vio->next % FMT_BLOCK != 0 || vio->end - vio->next < FMT_BLOCK) {
		vio_partial_step(vio);
		return;
	}
	if (turn_over(vio))
		return;
	if (!vio_ok(
		vio, map_lookup(vio->volume, block,
			 vio->end / FMT_BLOCK - block, &vio->waiter, &extent)))
		return;
	if (extent.kind == MAP_POISON)
		vio_fail(vio, -ENODATA);
	else if (extent.kind == MAP_DATA && !extent.exclusive)
		vio_fail(vio, -EROFS);
	else if (extent.kind == MAP_DATA)
		zero_extent(vio, &extent);
	else
		vio->next += extent.blocks * FMT_BLOCK;
}
