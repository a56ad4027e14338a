/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the I/O of a segment goes: to the place of its region, and a write also
 * to the one that this moves to (move.h).
 *
 * Two writes to the same block in flight at once may end in any order; but what
 * a read has shown stays.  So they must end in the same order in both places:
 * the later one waits until the earlier one is in both.
 */
#include "snapshot/engine.h"

static struct pool *
seg_pool(const struct seg *seg)
{
	return seg->vio->volume->pool;
}

static void
overlapping_go_on(struct pool *pool)
{
	struct list *node, waiting;

	list_init(&waiting);
	list_splice_tail(&waiting, &pool->move.overlapping);
	while ((node = list_pop(&waiting)) != NULL)
		seg_go_on(list_entry(node, struct seg, moving));
}

static void
copy_completed(
    struct seg *seg, struct device *device, const struct bs_io *io, int result)
{
	struct pool *pool = seg_pool(seg);

	if (io->op != BS_READ && result == 0 && !io->fua)
		device->data_seq = ++device->written_seq;
	if (seg->result == 0)
		seg->result = result;
	if (--seg->copies > 0)
		return;
	if (seg->twin_device != NULL)
		list_del(&seg->moving);
	seg_completed(seg);
	if (!list_empty(&pool->move.overlapping))
		overlapping_go_on(pool);
}

static void
seg_complete(struct bs_io *io, int result)
{
	struct seg *seg = container_of(io, struct seg, io);

	copy_completed(seg, seg->device, io, result);
}

static void
twin_complete(struct bs_io *io, int result)
{
	struct seg *seg = container_of(io, struct seg, twin);
	struct pool *pool = seg_pool(seg);

	if (result < 0)
		result = move_twin_failed(
		    pool, seg->to >> pool->space.region_shift, result);
	copy_completed(seg, seg->twin_device, io, result);
}

/* The same to the place where the region moves. */
static void
twin_prepare(struct seg *seg, uint32_t twin)
{
	struct pool *pool = seg_pool(seg);
	const struct region *region = &pool->space.regions[twin];
	uint64_t block = seg->to & (pool->space.region_blocks - 1);

	bs_io_init(&seg->twin);
	seg->twin.op = seg->io.op;
	seg->twin.fua = seg->io.fua;
	seg->twin.offset =
	    region->offset + (block << FMT_BLOCK_SHIFT) + seg->in_block;
	seg->twin.length = seg->io.length;
	seg->twin.iov = seg->io.iov;
	seg->twin.iov_count = seg->io.iov_count;
	seg->twin.complete = twin_complete;
	seg->twin_device = &pool->device[region->device];
	seg->copies = 2;
	list_add_tail(&pool->move.flying, &seg->moving);
}

/* Where its address lies now. */
static void
seg_send(struct seg *seg, uint32_t twin)
{
	struct pool *pool = seg_pool(seg);
	struct bs_io *io = &seg->io;
	uint64_t offset, run;

	seg->device = pool_locate(pool, seg->to, &offset, &run);
	io->offset = offset + seg->in_block;
	io->complete = seg_complete;
	seg->place = (uint8_t)barrier_enter(&pool->places);
	seg->result = 0;
	seg->copies = 1;
	seg->twin_device = NULL;
	if (twin != NO_REGION)
		twin_prepare(seg, twin);
	if (seg->copies == 2)
		bs_submit(seg->twin_device->bs, &seg->twin);
	bs_submit(seg->device->bs, io);
}

static uint64_t
seg_begin(const struct seg *seg)
{
	return (seg->to << FMT_BLOCK_SHIFT) + seg->in_block;
}

static bool
is_overlapping(const struct pool *pool, const struct seg *seg)
{
	uint64_t begin = seg_begin(seg), end = begin + seg->io.length;
	const struct seg *other;

	list_for_each (other, &pool->move.flying, moving)
		if (seg_begin(other) < end &&
		    begin < seg_begin(other) + other->io.length)
			return true;
	return false;
}

static void
seg_write(struct seg *seg)
{
	struct pool *pool = seg_pool(seg);
	uint32_t twin = move_twin(pool, seg->to >> pool->space.region_shift);

	if (engine_breaks.move_one_place)
		twin = NO_REGION;
	if (move_gates(pool, seg->to, seg->in_block + seg->io.length))
		list_add_tail(&pool->move.gated, &seg->moving);
	else if (twin != NO_REGION && is_overlapping(pool, seg) &&
		 !engine_breaks.move_any_order)
		list_add_tail(&pool->move.overlapping, &seg->moving);
	else
		seg_send(seg, twin);
}

void
seg_go_on(struct seg *seg)
{
	if (seg->io.op == BS_READ)
		seg_send(seg, NO_REGION);
	else
		seg_write(seg);
}
