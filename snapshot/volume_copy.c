/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes of a part of what is mapped together and shared: a unit of 4, 16 or
 * 64 KiB.  Under an exclusive lock of the chunk the unit is read into a bounce
 * buffer, the request's part is put over it, and all of it is written to a new
 * place.  With the unit of 4 KiB that is so only for parts of blocks.
 *
 * Writes in place take no lock.  One that was submitted before the last
 * snapshot may still be on its way into what is read here, and would be lost:
 * so reading waits until those have ended.  And what is shared when the copy
 * begins may be the volume's alone a moment later, when the snapshot is
 * deleted, or is so already for the rest of a unit: so the lock is marked BUSY,
 * for which writes in place wait too.
 */
#include "snapshot/engine.h"
#include <string.h>

static uint64_t
unit_end(const struct vio *vio)
{
	return (vio->copy_first + vio->copy_count) * FMT_BLOCK;
}

void
vio_copy_begin(struct vio *vio)
{
	struct chunk_rules rules;
	uint64_t block = vio->next / FMT_BLOCK;

	map_rules(vio->volume, block / FMT_LEAF_BLOCKS, &rules);
	vio->copying = true;
	vio->copy_first = block - block % rules.unit;
	vio->copy_count = rules.unit;
	vio->copy_next = vio->copy_first;
	vio->copy_mask = 0;
	vio->copy_barrier = 0;
}

/* Does it still have to be a copy, now that the lock is ours?  What may be
 * written in place is, by others, without the lock: it must not be copied. */
static bool
copy_is_due(struct vio *vio)
{
	uint64_t block = vio->next / FMT_BLOCK;
	bool part =
	    vio->next % FMT_BLOCK != 0 || vio->end - vio->next < FMT_BLOCK;
	struct map_extent extent;

	if (!vio_ok(
		vio, map_lookup(vio->volume, block, 1, &vio->waiter, &extent)))
		return false;
	if (extent.kind == MAP_POISON) {
		vio_fail(vio, -ENODATA);
		return false;
	}
	if (extent.kind == MAP_DATA && extent.in_place)
		vio->copying = false;
	else
		vio->copying =
		    vio_map_is_copy(vio, &extent) ||
		    (part && extent.kind == MAP_DATA && !extent.in_place);
	return vio->copying;
}

/* Is any of the unit written in place by others, who take no lock? */
static bool
unit_is_written(struct vio *vio, bool *ret_written)
{
	uint64_t block = vio->copy_first, end = block + vio->copy_count;
	struct map_extent extent;

	*ret_written = false;
	for (; block < end; block += extent.blocks) {
		if (!vio_ok(vio, map_lookup(vio->volume, block, end - block,
				     &vio->waiter, &extent)))
			return false;
		*ret_written |= extent.kind == MAP_DATA && extent.in_place;
	}
	return true;
}

/* Waits for writes in place that are on their way into the unit; new ones wait
 * for the lock. */
static bool
copy_drained(struct vio *vio)
{
	struct volume *volume = vio->volume;
	bool written;

	if (engine_breaks.rmw_no_drain)
		return true;
	if (!unit_is_written(vio, &written))
		return false;
	if (written && vio->copy_barrier == 0)
		vio->copy_barrier = barrier_ask(&volume->barrier);
	if (volume_cut_drained(volume) &&
	    barrier_passed(&volume->barrier, vio->copy_barrier))
		return true;
	list_add_tail(&volume->barrier.waiting, &vio->waiter.link);
	vio->parked = true;
	return false;
}

static bool
copy_ready(struct vio *vio)
{
	struct volume *volume = vio->volume;

	if (!vio_lock(vio, vio->copy_first / FMT_CHUNK_BLOCKS, true))
		return false;
	if (vio->copy_next > vio->copy_first)
		return true;
	if (!copy_is_due(vio))
		return false;
	if (!vio->lock.busy)
		chunk_lock_mark(volume->pool, &vio->lock);
	return copy_drained(vio) &&
	       vio_bounce_get(vio, vio->copy_count * FMT_BLOCK);
}

static uint8_t *
bounce_at(const struct vio *vio, uint64_t block)
{
	return (uint8_t *)vio->bounce + (block - vio->copy_first) * FMT_BLOCK;
}

void
vio_copy_read(struct vio *vio)
{
	uint64_t left = vio->copy_first + vio->copy_count - vio->copy_next;
	uint64_t block = vio->copy_next, bytes;
	struct map_extent extent;
	struct seg *seg;

	if (!vio_ok(vio,
		map_lookup(vio->volume, block, left, &vio->waiter, &extent)))
		return;
	if (extent.kind == MAP_POISON) {
		vio_fail(vio, -ENODATA);
		return;
	}
	if (extent.kind == MAP_HOLE) {
		memset(bounce_at(vio, block), 0, extent.blocks * FMT_BLOCK);
		vio->copy_next += extent.blocks;
		return;
	}
	bytes = seg_limit(
	    vio->volume->pool, extent.address, 0, extent.blocks * FMT_BLOCK);
	seg = vio_seg(vio);
	if (seg == NULL)
		return;
	vio_depends(vio, extent.leaf);
	seg->barrier = vio->barrier = true;
	seg->bounce = bounce_at(vio, block);
	vio->copy_mask |=
	    chunk_bits(block % FMT_CHUNK_BLOCKS, (unsigned)(bytes / FMT_BLOCK));
	vio->copy_next += bytes / FMT_BLOCK;
	seg_submit(seg, BS_READ, extent.address, 0, bytes);
}

static void
copy_write(struct vio *vio)
{
	uint64_t end = vio->end < unit_end(vio) ? vio->end : unit_end(vio);
	uint64_t first = vio->next / FMT_BLOCK;
	uint64_t last = (end - 1) / FMT_BLOCK;
	struct page *leaf;
	struct seg *seg = vio_map_seg(vio, &leaf);

	if (seg == NULL ||
	    !vio_map_begin(vio, seg, leaf, vio->copy_first, vio->copy_count))
		return;
	assert(seg->block_count == vio->copy_count);
	if (vio->copy_count == FMT_CHUNK_BLOCKS)
		seg->copied =
		    vio->copy_mask | chunk_bits(first % FMT_CHUNK_BLOCKS,
					 (unsigned)(last - first + 1));
	vio_bounce_merge(vio, vio->copy_first * FMT_BLOCK, end);
	seg->barrier = vio->barrier = true;
	seg->bounce = vio->bounce;
	vio->copying = false;
	vio->next = end;
	seg_submit(seg, BS_WRITE, seg->address, 0, vio->copy_count * FMT_BLOCK);
}

void
vio_copy_step(struct vio *vio)
{
	if (!copy_ready(vio))
		return;
	if (vio->copy_next < vio->copy_first + vio->copy_count)
		vio_copy_read(vio);
	else
		copy_write(vio);
}
