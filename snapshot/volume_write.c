/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes.  What is mapped and ours is overwritten in place, without a lock or
 * a record.  The rest gets chunks, or joins the chunk that another write in
 * flight has got; the map changes when the data is written, never before.
 */
#include "snapshot/engine.h"

/* Pages that one change of a map may dirty: a path of the map, of the bitmap,
 * of the region and the version table. */
#define WRITE_CREDITS 14u

static struct fmt_entry *
entry_of(struct page *leaf, uint64_t chunk)
{
	return &page_leaf(leaf)->entry[chunk % FMT_LEAF_CHUNKS];
}

/* ---- begin: locks and addresses ---- */

/* The address for chunk, not yet mapped: another writer's or a new one. */
static int
chunk_address(struct vio *vio, uint64_t chunk, uint64_t *ret_address)
{
	struct pool *pool = vio->volume->pool;
	unsigned count;

	*ret_address = chunk_lock_address(pool, vio->volume, chunk);
	if (*ret_address != 0)
		return 0;
	return space_reserve(
	    pool, vio->volume, 1, &vio->waiter, ret_address, &count);
}

/* May chunk go into seg behind what it has: locked, and next on the device?
 * 0; -EAGAIN: queued; -EBUSY: not together. */
static int
chunk_join(struct vio *vio, struct seg *seg, uint64_t chunk)
{
	struct pool *pool = vio->volume->pool;
	struct volume *volume = vio->volume;
	struct chunk_lock *lock = &seg->lock[seg->lock_count];
	uint64_t word = le64_get(&entry_of(seg->leaf, chunk)->word);
	uint64_t address = fmt_word_address(word), expect = 0;
	bool hole = fmt_word_type(word) == FMT_HOLE;
	int result;

	if (!hole && (fmt_word_type(word) != FMT_COARSE ||
			 !map_exclusive(volume,
			     le32_get(&entry_of(seg->leaf, chunk)->birth))))
		return -EROFS;
	if (!hole &&
	    (address % FMT_CHUNK_BLOCKS != 0 ||
		!space_is_data(&pool->space, address, FMT_CHUNK_BLOCKS)))
		return -EBADMSG;
	if (seg->lock_count > 0)
		expect = seg->address + (chunk * FMT_CHUNK_BLOCKS - seg->block);
	if (hole) {
		address = chunk_lock_address(pool, volume, chunk);
		if (address == 0 && expect != 0 &&
		    (volume->window_count == 0 || volume->window != expect))
			return -EBUSY;
	}
	if (address != 0 && expect != 0 && address != expect)
		return -EBUSY;
	if (seg->lock_count == 0)
		chunk_lock_share(pool, lock, &vio->lock);
	else if (!chunk_lock_try(pool, lock, volume, chunk, false))
		return -EBUSY;
	if (hole) {
		result = chunk_address(vio, chunk, &address);
		if (result < 0) {
			chunk_lock_drop(pool, lock);
			return result;
		}
		lock->address = address;
	}
	if (seg->lock_count++ == 0)
		seg->address = address + seg->block % FMT_CHUNK_BLOCKS;
	return 0;
}

/* Makes seg, from the block at vio->next on, ready to write up to blocks: says
 * how many in seg->block_count.  vio->lock is held on the first chunk.  False:
 * parked or failed, seg is given back. */
bool
vio_map_begin(struct vio *vio, struct seg *seg, uint64_t blocks)
{
	uint64_t chunk, end;
	int result;

	seg->mapping = true;
	seg->block = vio->next / FMT_BLOCK;
	end = seg->block + blocks;
	chunk = seg->block / FMT_CHUNK_BLOCKS;
	result = chunk_join(vio, seg, chunk);
	if (!vio_ok(vio, result)) {
		vio_map_abort(vio, seg);
		return false;
	}
	for (chunk++; chunk * FMT_CHUNK_BLOCKS < end; chunk++)
		if (seg->lock_count > SEG_CHUNKS ||
		    chunk_join(vio, seg, chunk) < 0)
			break;
	if (!list_empty(&vio->waiter.link))
		list_del(&vio->waiter.link); /* the first part can go */
	if (end > chunk * FMT_CHUNK_BLOCKS)
		end = chunk * FMT_CHUNK_BLOCKS;
	seg->block_count = end - seg->block;
	return true;
}

/* ---- end: records ---- */

static uint16_t
block_bits(uint64_t first, uint64_t count)
{
	return (uint16_t)(((1u << count) - 1) << (first % FMT_CHUNK_BLOCKS));
}

/* The record that block.. of chunk are valid, if they were not. */
static void
chunk_map(struct vio *vio, struct seg *seg, struct chunk_lock *lock,
    uint64_t address, uint16_t mask)
{
	struct pool *pool = vio->volume->pool;
	uint64_t word = le64_get(&entry_of(seg->leaf, lock->chunk)->word);
	struct fmt_record record = {.type = FMT_MAP_COARSE};
	bool hole = fmt_word_type(word) == FMT_HOLE;

	if (!hole && (fmt_word_mask(word) & mask) == mask) {
		vio_depends(vio, seg->leaf);
		return;
	}
	le16_set(&record.mask, mask);
	le32_set(&record.volume, vio->volume->id);
	le64_set(&record.a, lock->chunk);
	le64_set(&record.b, address);
	if (pool->state != POOL_ONLINE)
		return;
	vio->lsn = pool_record(pool, &record, 1);
	if (hole && pool->state == POOL_ONLINE)
		space_installed(pool, address, FMT_CHUNK_BLOCKS);
}

static void
chunks_map(struct vio *vio, struct seg *seg)
{
	uint64_t block = seg->block, end = block + seg->block_count;
	uint64_t address = seg->address - block % FMT_CHUNK_BLOCKS;

	for (unsigned i = 0; i < seg->lock_count && block < end; i++) {
		uint64_t next =
		    (block / FMT_CHUNK_BLOCKS + 1) * FMT_CHUNK_BLOCKS;
		if (next > end)
			next = end;
		chunk_map(vio, seg, &seg->lock[i], address,
		    block_bits(block, next - block));
		address += FMT_CHUNK_BLOCKS;
		block = next;
	}
}

/* The last holder gives back what nobody mapped. */
static void
chunks_release(struct vio *vio, struct seg *seg)
{
	struct pool *pool = vio->volume->pool;

	for (unsigned i = 0; i < seg->lock_count; i++) {
		struct chunk_lock *lock = &seg->lock[i];
		uint64_t chunk = lock->chunk, address = lock->address;
		uint64_t word = le64_get(&entry_of(seg->leaf, chunk)->word);
		bool last = chunk_lock_drop(pool, lock);
		if (last && address != 0 && fmt_word_type(word) == FMT_HOLE)
			space_unreserve(pool, address, FMT_CHUNK_BLOCKS);
	}
	seg->lock_count = 0;
}

static void
seg_unmap_done(struct vio *vio, struct seg *seg)
{
	struct pool *pool = vio->volume->pool;

	chunks_release(vio, seg);
	assert(pool->credits >= seg->credits);
	pool->credits -= seg->credits;
	seg->credits = 0;
	page_unpin(seg->leaf);
	seg->leaf = NULL;
	seg->mapping = false;
}

void
vio_map_abort(struct vio *vio, struct seg *seg)
{
	seg_unmap_done(vio, seg);
	seg_put(seg);
}

int
vio_map_end(struct vio *vio, struct seg *seg, int result)
{
	struct pool *pool = vio->volume->pool;

	if (result == 0 && pool->state != POOL_ONLINE)
		result = -EIO;
	if (result == 0) {
		chunks_map(vio, seg);
		pool->space.host_full = false; /* there is room again */
	}
	if (result == 0 && pool->state != POOL_ONLINE)
		result = -EIO;
	seg_unmap_done(vio, seg);
	return result;
}

/* ---- steps ---- */

/* Everything an allocating write needs before it may begin: leaf, room for
 * dirty pages, space for new pages.  False: parked or failed. */
static bool
map_admit(struct vio *vio, struct page **ret_leaf, uint64_t *ret_credits)
{
	struct pool *pool = vio->volume->pool;
	struct page *leaf;

	if (!vio_ok(vio, map_leaf(vio->volume, vio->next / FMT_CHUNK,
			     &vio->waiter, &leaf)))
		return false;
	*ret_credits = leaf->dirty ? 4 : WRITE_CREDITS;
	if (!vio_ok(vio, pool_room(pool, *ret_credits, &vio->waiter)))
		return false;
	if (leaf->address == 0 && !leaf->dirty &&
	    !space_meta_room(pool, vio->volume->map.levels)) {
		pool->space.failures++;
		vio_fail(vio, -ENOSPC);
		return false;
	}
	*ret_leaf = leaf;
	return true;
}

/* A seg with leaf and credits, ready for vio_map_begin. */
struct seg *
vio_map_seg(struct vio *vio)
{
	uint64_t credits;
	struct page *leaf;
	struct seg *seg;

	if (!map_admit(vio, &leaf, &credits))
		return NULL;
	seg = vio_seg(vio);
	if (seg == NULL)
		return NULL;
	seg->leaf = leaf;
	page_pin(leaf);
	seg->credits = credits;
	vio->volume->pool->credits += credits;
	return seg;
}

static void
map_step(struct vio *vio)
{
	uint64_t blocks = (vio->end - vio->next) / FMT_BLOCK;
	uint64_t block = vio->next / FMT_BLOCK;
	uint64_t leaf_left = FMT_LEAF_BLOCKS - block % FMT_LEAF_BLOCKS;
	struct seg *seg;
	uint64_t bytes;

	if (blocks > leaf_left)
		blocks = leaf_left;
	if (blocks > SEG_CHUNKS * FMT_CHUNK_BLOCKS)
		blocks = SEG_CHUNKS * FMT_CHUNK_BLOCKS;
	if (!vio_lock(vio, vio->next / FMT_CHUNK, false))
		return;
	seg = vio_map_seg(vio);
	if (seg == NULL || !vio_map_begin(vio, seg, blocks))
		return;
	bytes = seg_limit(
	    vio->volume->pool, seg->address, 0, seg->block_count * FMT_BLOCK);
	seg->block_count = bytes / FMT_BLOCK;
	vio_unlock(vio);
	seg_submit(seg, BS_WRITE, seg->address, 0, bytes);
	vio->next += bytes;
}

static void
in_place_step(struct vio *vio, const struct map_extent *extent)
{
	unsigned in_block = vio->next % FMT_BLOCK;
	uint64_t bytes = extent->blocks * FMT_BLOCK - in_block;
	struct seg *seg;

	if (bytes > vio->end - vio->next)
		bytes = vio->end - vio->next;
	bytes = seg_limit(vio->volume->pool, extent->address, in_block, bytes);
	vio_depends(vio, extent->leaf);
	seg = vio_seg(vio);
	if (seg == NULL)
		return;
	seg_submit(seg, BS_WRITE, extent->address, in_block, bytes);
	vio->next += bytes;
}

void
vio_write_step(struct vio *vio)
{
	uint64_t block = vio->next / FMT_BLOCK;
	unsigned in_block = vio->next % FMT_BLOCK;
	uint64_t left = vio->end - vio->next;
	bool part = in_block != 0 || left < FMT_BLOCK;
	struct map_extent extent;

	if (!vio_ok(vio, map_lookup(vio->volume, block,
			     (in_block + left + FMT_BLOCK - 1) / FMT_BLOCK,
			     &vio->waiter, &extent)))
		return;
	if (extent.kind == MAP_POISON)
		vio_fail(vio, -ENODATA);
	else if (extent.kind == MAP_DATA && !extent.exclusive)
		vio_fail(vio, -EROFS); /* shared: this version has no copies */
	else if (extent.kind == MAP_DATA && !vio->volume->locked_writes)
		in_place_step(vio, &extent);
	else if (part)
		vio_partial_step(vio);
	else
		map_step(vio);
}
