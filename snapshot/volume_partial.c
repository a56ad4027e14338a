/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes of a part of a 4 KiB block that is not mapped yet, so that the rest
 * must read as zeros; or of a mapped one when the device's blocks are larger
 * than the volume's.  Both go by way of a bounce buffer under an exclusive
 * lock of the chunk, one block at a time: two such writes of one block must
 * not lose each other's part.
 */
#include "snapshot/engine.h"
#include <string.h>

static void
bounce_ready(struct buf_waiter *waiter)
{
	struct vio *vio = container_of(waiter, struct vio, buf_waiter);

	loop_defer(vio->volume->pool->loop, &vio->task);
}

bool
vio_bounce_get(struct vio *vio, uint64_t bytes)
{
	struct buf_pool *bufs = vio->volume->pool->loop->bufs;

	if (vio->bounce != NULL && vio->bounce_bytes >= bytes)
		return true;
	if (vio->bounce != NULL)
		buf_put(bufs, vio->bounce);
	vio->bounce = buf_get(bufs, bytes);
	vio->bounce_bytes = bytes;
	if (vio->bounce != NULL)
		return true;
	vio->buf_waiter.ready = bounce_ready;
	buf_wait(bufs, &vio->buf_waiter);
	vio->parked = true;
	return false;
}

/* Bytes of the request that lie in the block at vio->next. */
static uint64_t
part_length(const struct vio *vio)
{
	uint64_t room = FMT_BLOCK - vio->next % FMT_BLOCK;
	uint64_t left = vio->end - vio->next;

	return left < room ? left : room;
}

void
vio_bounce_merge(struct vio *vio, uint64_t start, uint64_t end)
{
	uint8_t *to = (uint8_t *)vio->bounce + (vio->next - start);
	struct iovec iov[BS_IOV_MAX];
	unsigned count;

	if (vio->io->op != BS_WRITE) {
		memset(to, 0, end - vio->next);
		return;
	}
	count = bs_iov_slice(vio->io->iov, vio->io->iov_count,
	    vio->next - vio->io->offset, end - vio->next, iov, BS_IOV_MAX);
	for (unsigned i = 0; i < count; i++) {
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
}

static void
block_merge(struct vio *vio)
{
	vio_bounce_merge(vio, vio->next - vio->next % FMT_BLOCK,
	    vio->next + part_length(vio));
}

/* The old contents are in the bounce buffer. */
void
vio_partial_merge(struct vio *vio, struct seg *seg)
{
	block_merge(vio);
	vio->next += part_length(vio);
	seg_submit(seg, BS_WRITE, seg->address, 0, FMT_BLOCK);
}

/* Mapped, and the device takes parts of blocks: writes these bytes and no
 * others.  Under the lock it would have to merge, and the in-place writes of
 * the other parts, which take no lock, would be lost. */
static void
partial_in_place(struct vio *vio, const struct map_extent *extent)
{
	enum bs_op op = vio->io->op == BS_WRITE ? BS_WRITE : BS_ZERO;
	uint64_t length = part_length(vio);
	struct seg *seg;

	vio_unlock(vio);
	vio_depends(vio, extent->leaf);
	seg = vio_seg(vio);
	if (seg == NULL)
		return;
	seg_submit(seg, op, extent->address, vio->next % FMT_BLOCK, length);
	vio->next += length;
}

static void
partial_read(struct vio *vio, const struct map_extent *extent)
{
	struct seg *seg = vio_seg(vio);

	if (seg == NULL)
		return;
	vio_depends(vio, extent->leaf);
	vio->cuts = vio->volume->cuts;
	seg->barrier = vio->barrier = true;
	seg->address = extent->address;
	seg->bounce = vio->bounce;
	seg->merging = true;
	seg_submit(seg, BS_READ, extent->address, 0, FMT_BLOCK);
}

/* A read of a part of a block that the device cannot read alone. */
void
vio_partial_read(struct vio *vio, const struct map_extent *extent)
{
	struct seg *seg;

	if (!vio_bounce_get(vio, FMT_BLOCK))
		return;
	seg = vio_seg(vio);
	if (seg == NULL)
		return;
	seg->barrier = vio->barrier = true;
	seg->bounce = vio->bounce;
	seg->merging = true;
	seg_submit(seg, BS_READ, extent->address, 0, FMT_BLOCK);
}

/* Its block is in the bounce buffer. */
void
vio_partial_copy(struct vio *vio)
{
	const uint8_t *from =
	    (const uint8_t *)vio->bounce + vio->next % FMT_BLOCK;
	uint64_t length = part_length(vio);
	struct iovec iov[BS_IOV_MAX];
	unsigned count = bs_iov_slice(vio->io->iov, vio->io->iov_count,
	    vio->next - vio->io->offset, length, iov, BS_IOV_MAX);

	for (unsigned i = 0; i < count; i++) {
		memcpy(iov[i].iov_base, from, iov[i].iov_len);
		from += iov[i].iov_len;
	}
	vio->next += length;
}

static void
partial_new(struct vio *vio)
{
	struct page *leaf;
	struct seg *seg = vio_map_seg(vio, &leaf);

	if (seg == NULL ||
	    !vio_map_begin(vio, seg, leaf, vio->next / FMT_BLOCK, 1))
		return;
	seg->barrier = vio->barrier = true;
	seg->bounce = vio->bounce;
	memset(vio->bounce, 0, FMT_BLOCK);
	block_merge(vio);
	vio->next += part_length(vio);
	seg_submit(seg, BS_WRITE, seg->address, 0, FMT_BLOCK);
}

void
vio_partial_step(struct vio *vio)
{
	struct map_extent extent;

	if (!vio_lock(vio, vio->next / FMT_CHUNK, true) ||
	    !vio_bounce_get(vio, FMT_BLOCK))
		return;
	if (!vio_ok(vio, map_lookup(vio->volume, vio->next / FMT_BLOCK, 1,
			     &vio->waiter, &extent)))
		return;
	if (extent.kind == MAP_POISON)
		vio_fail(vio, -ENODATA);
	else if (extent.kind == MAP_DATA && !extent.in_place)
		vio_copy_begin(vio); /* shared */
	else if (extent.kind == MAP_DATA && !vio->volume->locked_writes)
		partial_in_place(vio, &extent);
	else if (extent.kind == MAP_DATA)
		partial_read(vio, &extent);
	else if (vio->io->op != BS_WRITE)
		vio->next += part_length(vio); /* zeros already */
	else if (vio_map_is_copy(vio, &extent))
		vio_copy_begin(vio);
	else
		partial_new(vio);
}
