/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Atomic writes: all of one is there after a power cut, or nothing.
 *
 * Nothing that the map has is overwritten.  Every part goes to blocks that
 * nobody can see, not after a power cut either: new ones, or those of a chunk
 * of ours that are not used.  When the last of them is written one group of
 * records installs them all; a group is never divided (I11), and its data is
 * durable before it is (I6).
 *
 *	admitted  there is a struct atomic_write for it, and so many segs may
 *	          be in use together that each gets all it needs
 *	locked    the exclusive locks of its chunks are taken, in ascending
 *	          order
 *	promised  the pages that the group may dirty
 *	writing   chunk by chunk; what is written waits
 *	installed or, if one part failed, all given back
 *
 * Each step waits only for what nobody holds who waits for something of a later
 * step: locks for I/O that ends by itself or for atomic writes further up,
 * pages for checkpoints and for such I/O, segs for the same.  That is why all
 * locks come before the first page, and all pages at once.
 */
#include "snapshot/engine.h"
#include <stdlib.h>

/* Pages that the group may dirty: paths of two leaves, fine pages, bitmaps. */
#define ATOMIC_CREDITS 48u

/* Blocks written so at once: one may need a seg for each of them, and keeps
 * them till the end. */
#define ATOMIC_BLOCKS (VIO_SEGS / 2)
static_assert(ATOMIC_MAX / FMT_BLOCK <= ATOMIC_BLOCKS, "one at least");
static_assert(ATOMIC_CHUNKS * 2 * FMT_CHUNK_BLOCKS <= GROUP_RECORDS,
    "MAP_FINE and FREE of each block");

int
atomics_init(struct volume_io *vios)
{
	list_init(&vios->atomics_free);
	list_init(&vios->atomics_wanted);
	vios->atomics = calloc(ATOMICS, sizeof(vios->atomics[0]));
	if (vios->atomics == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < ATOMICS; i++)
		list_add_tail(&vios->atomics_free, &vios->atomics[i].link);
	return 0;
}

/* ---- admitted ---- */

static bool
atomic_fits(const struct volume_io *vios, const struct vio *vio)
{
	return !list_empty(&vios->atomics_free) &&
	       vios->atomic_blocks + vio->io->length / FMT_BLOCK <=
		   ATOMIC_BLOCKS;
}

static void
atomic_give(struct volume_io *vios, struct vio *vio)
{
	struct atomic_write *a = list_entry(
	    list_pop(&vios->atomics_free), struct atomic_write, link);

	list_init(&a->segs);
	a->seg_count = a->written = a->lock_count = 0;
	a->first_chunk = vio->io->offset / FMT_CHUNK;
	a->blocks = vio->io->length / FMT_BLOCK;
	a->credits = 0;
	vios->atomic_blocks += a->blocks;
	vio->atomic = a;
}

static bool
atomic_admitted(struct vio *vio)
{
	struct volume_io *vios = &vio->volume->pool->vio;

	if (vio->atomic != NULL)
		return true;
	if (list_empty(&vios->atomics_wanted) && atomic_fits(vios, vio)) {
		atomic_give(vios, vio);
		return true;
	}
	list_add_tail(&vios->atomics_wanted, &vio->link);
	vio->parked = true;
	return false;
}

static void
atomics_wake(struct pool *pool)
{
	struct volume_io *vios = &pool->vio;
	struct vio *vio;

	while ((vio = list_first(&vios->atomics_wanted, struct vio, link)) !=
		   NULL &&
	       atomic_fits(vios, vio)) {
		list_del(&vio->link);
		atomic_give(vios, vio);
		loop_defer(pool->loop, &vio->task);
	}
}

/* ---- locked, promised ---- */

/* A pool that has FINE entries says so before its log does. */
static bool
atomic_may_divide(struct vio *vio)
{
	struct pool *pool = vio->volume->pool;

	if (volume_unit(vio->volume) == FMT_CHUNK_BLOCKS ||
	    le64_get(&pool->super.ro_compat) & FMT_RO_COMPAT_SNAPSHOTS)
		return true;
	pool->ro_compat |= FMT_RO_COMPAT_SNAPSHOTS;
	pool->needs_write = true;
	checkpoint_wait(pool, &vio->waiter);
	vio->parked = true;
	return false;
}

struct chunk_lock *
vio_atomic_lock(struct vio *vio, uint64_t chunk)
{
	struct atomic_write *a = vio->atomic;

	assert(chunk - a->first_chunk < a->lock_count);
	return &a->lock[chunk - a->first_chunk];
}

static bool
atomic_locked(struct vio *vio)
{
	struct atomic_write *a = vio->atomic;
	struct pool *pool = vio->volume->pool;
	uint64_t last = (vio->end - 1) / FMT_CHUNK;

	for (uint64_t chunk; (chunk = a->first_chunk + a->lock_count) <= last;
	     a->lock_count++) {
		if (!vio_lock(vio, chunk, true))
			return false;
		assert(a->lock_count < ATOMIC_CHUNKS);
		chunk_lock_share(pool, &a->lock[a->lock_count], &vio->lock);
		vio_unlock(vio);
	}
	return true;
}

static bool
atomic_promised(struct vio *vio)
{
	struct atomic_write *a = vio->atomic;
	struct pool *pool = vio->volume->pool;

	if (a->credits > 0)
		return true;
	if (!vio_ok(vio, pool_room(pool, ATOMIC_CREDITS, &vio->waiter)))
		return false;
	a->credits = ATOMIC_CREDITS;
	pool->credits += a->credits;
	return true;
}

/* ---- writing ---- */

static bool
atomic_is_readable(struct vio *vio, uint64_t block, uint64_t blocks)
{
	struct map_extent extent;

	for (uint64_t end = block + blocks; block < end;
	     block += extent.blocks) {
		if (!vio_ok(vio, map_lookup(vio->volume, block, end - block,
				     &vio->waiter, &extent)))
			return false;
		if (extent.kind == MAP_POISON) {
			vio_fail(vio, -ENODATA);
			return false;
		}
	}
	return true;
}

bool
vio_atomic_divides(const struct vio *vio, uint64_t chunk)
{
	const struct seg *last;

	if (vio->atomic == NULL || list_empty(&vio->atomic->segs))
		return false;
	last = list_entry(vio->atomic->segs.prev, struct seg, link);
	return last->fine && last->block / FMT_CHUNK_BLOCKS == chunk;
}

/* What goes into one chunk, or a part of it. */
static void
atomic_write_part(struct vio *vio)
{
	struct atomic_write *a = vio->atomic;
	uint64_t block = vio->next / FMT_BLOCK;
	uint64_t blocks = vio->end / FMT_BLOCK - block;
	uint64_t left = FMT_CHUNK_BLOCKS - block % FMT_CHUNK_BLOCKS;
	struct page *leaf;
	struct seg *seg;
	uint64_t bytes;

	if (blocks > left)
		blocks = left;
	if (!atomic_is_readable(vio, block, blocks))
		return;
	seg = vio_map_seg(vio, &leaf);
	if (seg == NULL || !vio_map_begin(vio, seg, leaf, block, blocks))
		return;
	bytes = vio_map_bytes(vio, seg);
	if (!engine_breaks.atomic_torn) {
		list_add_tail(&a->segs, &seg->link);
		a->seg_count++;
	}
	seg_submit(seg, BS_WRITE, seg->address, 0, bytes);
	vio->next += bytes;
}

void
vio_atomic_step(struct vio *vio)
{
	if (atomic_may_divide(vio) && atomic_admitted(vio) &&
	    atomic_locked(vio) && atomic_promised(vio))
		atomic_write_part(vio);
}

void
vio_atomic_written(struct vio *vio, struct seg *seg, int result)
{
	assert(seg->vio == vio);
	if (result < 0)
		vio_fail(vio, result);
	vio->atomic->written++;
	vio_landed(vio); /* or it would wait for blocks that wait for it */
	vio_advance(vio);
}

/* ---- installed ---- */

/* One chunk of the map, as all segs in it together change it. */
struct install {
	uint64_t chunk;
	struct chunk before, after;
	struct chunk_rules rules;
};

static int
install_begin(struct vio *vio, struct install *in, uint64_t chunk)
{
	struct page *leaf;
	int result = map_chunks_get(vio->volume, chunk, 1, &vio->waiter, &leaf);

	if (result == 0)
		result = map_chunk_load(vio->volume, leaf, chunk, &in->before);
	if (result < 0)
		return result;
	map_rules(vio->volume, chunk / FMT_LEAF_CHUNKS, &in->rules);
	in->after = in->before;
	in->chunk = chunk;
	return 0;
}

static int
install_fine(struct vio *vio, struct install *in, const struct seg *seg)
{
	group_add(vio->volume->pool, FMT_MAP_FINE, vio->volume, seg->block,
	    seg->address | seg->block_count << FMT_ADDRESS_BITS);
	return chunk_map_fine(&in->after, &in->rules,
	    seg->block % FMT_CHUNK_BLOCKS, (unsigned)seg->block_count,
	    seg->address);
}

/* 1: the chunk of which it has written a part is not the volume's any more. */
static int
install_coarse(struct vio *vio, struct install *in, const struct seg *seg)
{
	unsigned first = seg->block % FMT_CHUNK_BLOCKS;
	uint16_t mask = chunk_bits(first, (unsigned)seg->block_count);
	uint64_t address = seg->address - first;
	const struct chunk *now = &in->after;
	struct fmt_record *record;

	if (now->type == FMT_COARSE && now->address == address) {
		if (!chunk_writable(&in->rules, now->birth))
			return 1;
	} else if (seg->lock[0].address == 0 ||
		   (now->type != FMT_HOLE &&
		       seg->block_count != FMT_CHUNK_BLOCKS)) {
		return 1;
	}
	record = group_add(
	    vio->volume->pool, FMT_MAP_COARSE, vio->volume, in->chunk, address);
	le16_set(&record->mask, mask);
	return chunk_map_coarse(&in->after, &in->rules, address, mask);
}

static void
install_end(struct vio *vio, const struct install *in)
{
	group_free_dropped(
	    vio->volume->pool, &in->rules, &in->before, &in->after);
}

static int
install_segs(struct vio *vio)
{
	struct install in = {.chunk = UINT64_MAX};
	const struct seg *seg;
	int result = 0;

	list_for_each (seg, &vio->atomic->segs, link) {
		uint64_t chunk = seg->block / FMT_CHUNK_BLOCKS;
		if (chunk != in.chunk) {
			if (in.chunk != UINT64_MAX)
				install_end(vio, &in);
			result = install_begin(vio, &in, chunk);
			if (result < 0)
				return result;
		}
		result = seg->fine ? install_fine(vio, &in, seg)
				   : install_coarse(vio, &in, seg);
		if (result != 0)
			return result;
	}
	install_end(vio, &in);
	return 0;
}

/* 0; 1: in vain, once more; -EAGAIN (queued), or an error. */
static int
atomic_install(struct vio *vio)
{
	struct pool *pool = vio->volume->pool;
	struct seg *seg;
	int result;

	if (pool->state != POOL_ONLINE)
		return -EIO;
	group_begin(pool);
	result = install_segs(vio);
	if (result == 0)
		result = group_prepare(pool, &vio->waiter);
	if (result != 0)
		return result;
	if (pool->group.count > 0)
		vio->lsn = group_record(pool);
	if (pool->state != POOL_ONLINE)
		return -EIO;
	list_for_each (seg, &vio->atomic->segs, link)
		seg_installed(vio, seg);
	pool->space.host_full = false; /* there is room again */
	return 0;
}

static void
atomic_release(struct vio *vio)
{
	struct atomic_write *a = vio->atomic;
	struct pool *pool = vio->volume->pool;
	struct list *node;

	while ((node = list_pop(&a->segs)) != NULL) {
		struct seg *seg = list_entry(node, struct seg, link);
		seg_release(vio, seg);
		seg_put(seg);
		segs_wake(vio);
	}
	while (a->lock_count > 0)
		chunk_lock_drop(pool, &a->lock[--a->lock_count]);
	assert(pool->credits >= a->credits);
	pool->credits -= a->credits;
	pool->vio.atomic_blocks -= a->blocks;
	vio->atomic = NULL;
	list_add_head(&pool->vio.atomics_free, &a->link);
	atomics_wake(pool);
}

void
vio_atomic_end(struct vio *vio)
{
	struct atomic_write *a = vio->atomic;

	assert(vio->advancing);
	if ((vio->next < vio->end && vio->error == 0) ||
	    a->written < a->seg_count ||
	    (engine_breaks.atomic_torn && vio->pending > 0))
		return;
	if (vio->error == 0 && a->seg_count > 0) {
		int result = atomic_install(vio);
		if (result == 1)
			vio->again = true;
		else if (!vio_ok(vio, result) && vio->parked)
			return;
	}
	atomic_release(vio);
}
