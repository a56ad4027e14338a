/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes.  What is mapped and may be overwritten is, in place, without a lock
 * or a record.  The rest gets new blocks, and the map changes when the data is
 * written, never before:
 *
 *	OWN    blocks of a chunk of ours that were not used yet
 *	NEW    a chunk of its own, where nothing is mapped or all of it is
 *	       written
 *	FINE   single blocks, where a chunk is shared or divided
 *
 * What is best is decided when the write begins.  When it ends the chunk may
 * have become another: a snapshot was taken, or another write was faster.  If
 * what was written does not fit any more, the whole request is walked again;
 * it was not acknowledged, so writing it twice does no harm.
 */
#include "snapshot/engine.h"
#include "snapshot/quota.h"
#include "snapshot/reserve.h"
#include "snapshot/rewrite.h"

/* Pages that one change of a map may dirty: a path of the map, of the bitmap,
 * of the region and the version table. */
#define WRITE_CREDITS 16u

enum form { FORM_OWN, FORM_NEW, FORM_FINE, FORM_COPY };

/* An allocating write as it begins: leaf may be NULL. */
struct begin {
	struct vio *vio;
	struct seg *seg;
	struct page *leaf;
	struct chunk_rules rules;
	uint64_t first, end; /* blocks to be written */
};

static uint64_t
entry_word(const struct begin *b, uint64_t chunk)
{
	return b->leaf == NULL ? 0
			       : le64_get(&page_leaf(b->leaf)
					       ->entry[chunk % FMT_LEAF_CHUNKS]
					       .word);
}

static uint32_t
entry_birth(const struct begin *b, uint64_t chunk)
{
	return le32_get(
	    &page_leaf(b->leaf)->entry[chunk % FMT_LEAF_CHUNKS].birth);
}

/* May an atomic write go into the chunk, COARSE and ours?  Only where it has no
 * data, nor would have any after a power cut: what was unmapped is there again
 * if that is not durable. */
static bool
chunk_is_free(const struct begin *b, uint64_t chunk, uint64_t word)
{
	const struct pool *pool = b->vio->volume->pool;
	uint64_t first = chunk * FMT_CHUNK_BLOCKS;
	uint64_t end = first + FMT_CHUNK_BLOCKS;
	uint16_t bits;

	if (b->first > first)
		first = b->first;
	if (b->end < end)
		end = b->end;
	bits = chunk_bits(first % FMT_CHUNK_BLOCKS, (unsigned)(end - first));
	return (fmt_word_mask(word) & bits) == 0 &&
	       (pool->unmap_lsn <= pool->redo.durable_lsn ||
		   engine_breaks.atomic_unmapped);
}

static bool
is_atomic(const struct begin *b)
{
	return b->vio->atomic != NULL && !engine_breaks.atomic_in_place;
}

static enum form
chunk_form(const struct begin *b, uint64_t chunk)
{
	uint64_t word = entry_word(b, chunk);
	unsigned type = fmt_word_type(word);

	if (type == FMT_HOLE)
		return FORM_NEW;
	if (type == FMT_COARSE &&
	    chunk_writable(&b->rules, entry_birth(b, chunk)) &&
	    (!is_atomic(b) || chunk_is_free(b, chunk, word)))
		return FORM_OWN;
	if (b->first <= chunk * FMT_CHUNK_BLOCKS &&
	    b->end >= (chunk + 1) * FMT_CHUNK_BLOCKS)
		return FORM_NEW;
	if (b->first % b->rules.unit != 0 || b->end - b->first < b->rules.unit)
		return FORM_COPY;
	return FORM_FINE;
}

/* ---- begin: locks and addresses ---- */

/* What of it the volume may have: its quota, and what is reserved.  What a
 * rewrite takes it gives back, most of it: a write is not to miss that. */
static unsigned
may_have(struct vio *vio, unsigned want, unsigned unit)
{
	uint64_t get = quota_allows(vio->volume, want, unit);

	return (unsigned)(vio->rewrite == NULL
			      ? reserve_allows(vio->volume, get, unit)
			      : reserve_ask(vio->volume->pool, 0, get, unit));
}

static void
pending_add(struct vio *vio, int64_t blocks)
{
	struct volume *volume = vio->volume;

	volume->pending_blocks += (uint64_t)blocks;
	volume->pool->pending_blocks += (uint64_t)blocks;
	if (vio->rewrite != NULL)
		volume->rewrite_blocks += (uint64_t)blocks;
	if (volume->reserve_blocks != 0)
		reserve_look(volume);
}

static void
pending_end(struct vio *vio, uint64_t blocks)
{
	assert(vio->volume->pending_blocks >= blocks);
	pending_add(vio, -(int64_t)blocks);
}

/* The address for chunk, not yet mapped: another writer's or a new one. */
static int
chunk_address(struct vio *vio, uint64_t chunk, uint64_t *ret_address)
{
	struct volume *volume = vio->volume;
	struct pool *pool = volume->pool;
	unsigned count;
	int result;

	*ret_address = chunk_lock_address(pool, volume, chunk);
	if (*ret_address != 0)
		return 0;
	if (may_have(vio, FMT_CHUNK_BLOCKS, FMT_CHUNK_BLOCKS) == 0)
		return -ENOSPC;
	result =
	    space_reserve(pool, volume, 1, &vio->waiter, ret_address, &count);
	if (result == 0)
		pending_add(vio, FMT_CHUNK_BLOCKS);
	return result;
}

/* Where the chunk must lie to go on behind what seg has. */
static uint64_t
chunk_expect(const struct seg *seg, uint64_t chunk)
{
	return seg->lock_count == 0
		   ? 0
		   : seg->address + (chunk * FMT_CHUNK_BLOCKS - seg->block);
}

/* The lock that the vio has of a seg's first chunk. */
static struct chunk_lock *
held_lock(struct vio *vio, uint64_t chunk)
{
	return vio->atomic == NULL ? &vio->lock : vio_atomic_lock(vio, chunk);
}

static int
chunk_lock_join(struct vio *vio, struct seg *seg, uint64_t chunk)
{
	struct pool *pool = vio->volume->pool;
	struct chunk_lock *lock = &seg->lock[seg->lock_count];

	if (seg->lock_count == 0)
		chunk_lock_share(pool, lock, held_lock(vio, chunk));
	else if (!chunk_lock_try(pool, lock, vio->volume, chunk, false))
		return -EBUSY;
	return 0;
}

/* May chunk go into seg behind what it has: locked, and next on the device?
 * 0; -EAGAIN: queued; -EBUSY: not together. */
static int
chunk_join(struct begin *b, uint64_t chunk)
{
	struct vio *vio = b->vio;
	struct seg *seg = b->seg;
	struct volume *volume = vio->volume;
	struct pool *pool = volume->pool;
	struct chunk_lock *lock = &seg->lock[seg->lock_count];
	uint64_t address = fmt_word_address(entry_word(b, chunk));
	uint64_t expect = chunk_expect(seg, chunk);
	enum form form = chunk_form(b, chunk);
	int result;

	if (form > FORM_NEW)
		return -EBUSY;
	if (form == FORM_OWN &&
	    (address % FMT_CHUNK_BLOCKS != 0 ||
		!space_is_data(&pool->space, address, FMT_CHUNK_BLOCKS)))
		return -EBADMSG;
	if (form == FORM_NEW) {
		address = chunk_lock_address(pool, volume, chunk);
		if (address == 0 && expect != 0 &&
		    (volume->window_count == 0 || volume->window != expect))
			return -EBUSY;
	}
	if (address != 0 && expect != 0 && address != expect)
		return -EBUSY;
	result = chunk_lock_join(vio, seg, chunk);
	if (result < 0)
		return result;
	if (form == FORM_NEW) {
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

static int
begin_chunks(struct begin *b)
{
	struct seg *seg = b->seg;
	uint64_t chunk = seg->block / FMT_CHUNK_BLOCKS;
	int result = chunk_join(b, chunk);

	if (result < 0)
		return result;
	for (chunk++; chunk * FMT_CHUNK_BLOCKS < b->end; chunk++)
		if (seg->lock_count > SEG_CHUNKS || chunk_join(b, chunk) < 0)
			break;
	if (!list_empty(&b->vio->waiter.link))
		list_del(&b->vio->waiter.link); /* the first part can go */
	if (b->end > chunk * FMT_CHUNK_BLOCKS)
		b->end = chunk * FMT_CHUNK_BLOCKS;
	seg->block_count = b->end - seg->block;
	return 0;
}

/* Single blocks of one chunk, as many as lie in a row. */
static int
begin_fine(struct begin *b)
{
	struct vio *vio = b->vio;
	struct seg *seg = b->seg;
	struct volume *volume = vio->volume;
	unsigned room = FMT_CHUNK_BLOCKS - seg->block % FMT_CHUNK_BLOCKS;
	unsigned want =
	    b->end - seg->block < room ? (unsigned)(b->end - seg->block) : room;
	unsigned count;
	int result;

	want -= want % b->rules.unit;
	want = may_have(vio, want, b->rules.unit);
	if (want == 0)
		return -ENOSPC;
	result = space_reserve_blocks(volume->pool, volume, want, b->rules.unit,
	    &vio->waiter, &seg->address, &count);
	if (result < 0)
		return result;
	pending_add(vio, count);
	seg->fine = true;
	seg->fine_address = seg->address;
	seg->fine_count = count;
	seg->block_count = count;
	chunk_lock_share(volume->pool, &seg->lock[0],
	    held_lock(vio, seg->block / FMT_CHUNK_BLOCKS));
	seg->lock_count = 1;
	return 0;
}

/* A hole for which there is no chunk left can do with single blocks, if the
 * pool may have them. */
static int
begin_any(struct begin *b)
{
	uint64_t chunk = b->seg->block / FMT_CHUNK_BLOCKS;
	enum form form = chunk_form(b, chunk);
	int result;

	assert(form != FORM_COPY);
	if (form == FORM_FINE || vio_atomic_divides(b->vio, chunk))
		return begin_fine(b);
	result = begin_chunks(b);
	if (result == -ENOSPC && form == FORM_NEW && b->rules.unit == 1 &&
	    b->vio->rewrite == NULL &&
	    b->vio->volume->pool->ro_compat & FMT_RO_COMPAT_SNAPSHOTS)
		result = begin_fine(b);
	return result;
}

bool
vio_map_begin(struct vio *vio, struct seg *seg, struct page *leaf,
    uint64_t block, uint64_t blocks)
{
	struct begin b = {
	    .vio = vio,
	    .seg = seg,
	    .leaf = leaf,
	    .first = block,
	    .end = block + blocks,
	};

	seg->mapping = true;
	seg->fine = false;
	seg->block = block;
	map_rules(vio->volume, seg->block / FMT_LEAF_BLOCKS, &b.rules);
	if (vio_ok(vio, begin_any(&b)))
		return true;
	vio_map_abort(vio, seg);
	return false;
}

/* ---- end: records ---- */

/* The record for one chunk of what was written, and what it frees.  1: what
 * was written has no place in the map any more. */
static int
chunk_map(struct vio *vio, struct seg *seg, struct chunk_lock *lock,
    struct page *leaf, uint64_t block, unsigned count)
{
	struct volume *volume = vio->volume;
	unsigned first = block % FMT_CHUNK_BLOCKS;
	uint64_t address = seg->address + (block - seg->block);
	uint16_t mask =
	    seg->copied != 0 ? seg->copied : chunk_bits(first, count);
	struct chunk before, after;
	struct chunk_rules rules;
	struct fmt_record *record;
	bool ours, here;
	int result = map_chunk_load(volume, leaf, lock->chunk, &before);

	if (result < 0)
		return result;
	if (vio->rewrite != NULL && !rewrite_stands(vio, &before))
		return 1;
	map_rules(volume, block / FMT_LEAF_BLOCKS, &rules);
	after = before;
	ours =
	    before.type == FMT_COARSE &&
	    (chunk_writable(&rules, before.birth) || engine_breaks.cut_no_park);
	if (seg->fine) {
		if (ours && vio->atomic == NULL)
			return 1;
		result = chunk_map_fine(&after, &rules, first, count, address);
		if (result < 0)
			return result;
		group_add(volume->pool, FMT_MAP_FINE, volume, block,
		    address | (uint64_t)count << FMT_ADDRESS_BITS);
	} else {
		address -= first;
		here = before.type == FMT_COARSE && before.address == address;
		if (here && (!ours || (before.mask & mask) == mask)) {
			vio_depends(vio, leaf);
			return ours ? 0 : 1;
		}
		if (!here &&
		    (lock->address == 0 || lock->installed ||
			(before.type != FMT_HOLE && count != FMT_CHUNK_BLOCKS &&
			    seg->copied == 0)))
			return 1;
		result = chunk_map_coarse(&after, &rules, address, mask);
		if (result < 0 && !engine_breaks.cut_no_park)
			return result;
		record = group_add(
		    volume->pool, FMT_MAP_COARSE, volume, lock->chunk, address);
		le16_set(&record->mask, mask);
	}
	group_free_dropped(volume->pool, &rules, &before, &after);
	return 0;
}

static int
chunks_map(struct vio *vio, struct seg *seg, struct page *leaf)
{
	uint64_t block = seg->block, end = block + seg->block_count;

	for (unsigned i = 0; i < seg->lock_count && block < end; i++) {
		uint64_t next =
		    (block / FMT_CHUNK_BLOCKS + 1) * FMT_CHUNK_BLOCKS;
		int result;
		if (next > end)
			next = end;
		result = chunk_map(vio, seg, &seg->lock[i], leaf, block,
		    (unsigned)(next - block));
		if (result != 0)
			return result;
		block = next;
	}
	return 0;
}

/* What was reserved is in the map: nobody gives it back. */
void
seg_installed(struct vio *vio, struct seg *seg)
{
	struct volume *volume = vio->volume;
	struct pool *pool = volume->pool;
	uint64_t end = seg->block + seg->block_count;

	if (seg->fine) {
		space_installed(
		    pool, seg->fine_address, (uint32_t)seg->block_count);
		pending_end(vio, seg->block_count);
		seg->fine_address += seg->block_count;
		seg->fine_count -= (unsigned)seg->block_count;
		return;
	}
	for (unsigned i = 0; i < seg->lock_count; i++) {
		struct chunk_lock *lock = &seg->lock[i];
		if (lock->address == 0 || lock->installed ||
		    lock->chunk * FMT_CHUNK_BLOCKS >= end)
			continue;
		space_installed(pool, lock->address, FMT_CHUNK_BLOCKS);
		pending_end(vio, FMT_CHUNK_BLOCKS);
		chunk_lock_installed(pool, lock);
	}
}

/* The last holder gives back what nobody mapped. */
void
seg_release(struct vio *vio, struct seg *seg)
{
	struct volume *volume = vio->volume;
	struct pool *pool = volume->pool;

	for (unsigned i = 0; i < seg->lock_count; i++) {
		struct chunk_lock *lock = &seg->lock[i];
		uint64_t address = lock->address;
		bool installed = lock->installed;
		bool last = chunk_lock_drop(pool, lock);
		if (!last || address == 0 || installed)
			continue;
		space_unreserve(pool, address, FMT_CHUNK_BLOCKS);
		pending_end(vio, FMT_CHUNK_BLOCKS);
	}
	if (seg->fine && seg->fine_count > 0) {
		space_unreserve(pool, seg->fine_address, seg->fine_count);
		pending_end(vio, seg->fine_count);
	}
	seg->fine = false;
	seg->lock_count = 0;
	assert(pool->credits >= seg->credits);
	pool->credits -= seg->credits;
	seg->credits = 0;
	seg->copied = 0;
	seg->mapping = false;
}

void
vio_map_abort(struct vio *vio, struct seg *seg)
{
	seg_release(vio, seg);
	seg_put(seg);
}

/* The data is written: 0, 1: in vain; -EAGAIN (queued), or an error. */
static int
seg_map(struct vio *vio, struct seg *seg)
{
	struct volume *volume = vio->volume;
	struct pool *pool = volume->pool;
	uint64_t first = seg->block / FMT_CHUNK_BLOCKS;
	uint64_t last = (seg->block + seg->block_count - 1) / FMT_CHUNK_BLOCKS;
	struct page *leaf;
	int result;

	if (pool->state != POOL_ONLINE)
		return -EIO;
	result = map_chunks_get(
	    volume, first, last - first + 1, &seg->waiter, &leaf);
	if (result < 0)
		return result;
	group_begin(pool);
	result = chunks_map(vio, seg, leaf);
	if (result == 0)
		result = group_prepare(pool, &seg->waiter);
	if (result != 0)
		return result;
	if (pool->group.count > 0) {
		vio->lsn = group_record(pool);
		if (pool->state != POOL_ONLINE)
			return -EIO;
		seg_installed(vio, seg);
	}
	pool->space.host_full = false; /* there is room again */
	return 0;
}

static void
seg_mapped(struct vio *vio, struct seg *seg, int result)
{
	if (vio->rewrite != NULL) {
		result = rewrite_mapped(vio, result);
	} else if (result == 1) {
		vio->again = true;
		result = 0;
	}
	seg_release(vio, seg);
	seg_end(seg, result);
}

void
vio_map_end(struct vio *vio, struct seg *seg, int result)
{
	if (vio->atomic != NULL && !engine_breaks.atomic_torn) {
		vio_atomic_written(vio, seg, result);
		return;
	}
	if (result == 0)
		result = seg_map(vio, seg);
	if (result != -EAGAIN)
		seg_mapped(vio, seg, result);
}

void
vio_map_ready(struct waiter *waiter, int error)
{
	struct seg *seg = container_of(waiter, struct seg, waiter);

	vio_map_end(seg->vio, seg, error);
}

/* ---- steps ---- */

/* Do changes of that leaf take pages that nobody has yet? */
static bool
leaf_is_new(const struct volume *volume, struct page *leaf, uint64_t index)
{
	struct chunk_rules rules;

	if (leaf == NULL)
		return true;
	map_rules(volume, index, &rules);
	return !chunk_exclusive(&rules, le32_get(&page_header(leaf)->birth));
}

/* Everything an allocating write needs before it may begin: leaf, room for
 * dirty pages, space for new pages.  False: parked or failed. */
static bool
map_admit(struct vio *vio, struct page **ret_leaf, uint64_t *ret_credits)
{
	struct volume *volume = vio->volume;
	struct pool *pool = volume->pool;
	uint64_t index = vio->next / FMT_LEAF_BYTES;
	struct page *leaf;

	if (!vio_ok(
		vio, map_leaf_get(volume, index, &vio->waiter, &leaf, NULL)))
		return false;
	*ret_credits = leaf != NULL && leaf->dirty ? 6 : WRITE_CREDITS;
	if (vio->atomic != NULL)
		*ret_credits = 0; /* it has them for all that it writes */
	else if (!vio_ok(vio, pool_room(pool, *ret_credits, &vio->waiter)))
		return false;
	if (leaf_is_new(volume, leaf, index) &&
	    !vio_ok(vio, space_meta_room(pool, volume->map.levels + 1u,
			     volume->aside_blocks > 0, &vio->waiter)))
		return false;
	*ret_leaf = leaf;
	return true;
}

/* A seg with credits, ready for vio_map_begin. */
struct seg *
vio_map_seg(struct vio *vio, struct page **ret_leaf)
{
	uint64_t credits;
	struct seg *seg;

	if (!map_admit(vio, ret_leaf, &credits))
		return NULL;
	seg = vio_seg(vio);
	if (seg == NULL)
		return NULL;
	seg->copied = 0;
	seg->credits = credits;
	vio->volume->pool->credits += credits;
	return seg;
}

/* What of the seg is one device I/O.  If it is cut short, then at the end of a
 * chunk: one that is to be replaced must be written whole. */
uint64_t
vio_map_bytes(struct vio *vio, struct seg *seg)
{
	uint64_t bytes = seg_limit(
	    vio->volume->pool, seg->address, 0, seg->block_count * FMT_BLOCK);
	uint64_t end = seg->block + bytes / FMT_BLOCK;

	if (bytes / FMT_BLOCK < seg->block_count && !seg->fine &&
	    end / FMT_CHUNK_BLOCKS > seg->block / FMT_CHUNK_BLOCKS)
		end -= end % FMT_CHUNK_BLOCKS;
	seg->block_count = end - seg->block;
	return seg->block_count * FMT_BLOCK;
}

/* Writes, or zeros, up to blocks that get new places. */
void
vio_map_step(struct vio *vio, enum bs_op op, uint64_t blocks)
{
	uint64_t block = vio->next / FMT_BLOCK;
	uint64_t leaf_left = FMT_LEAF_BLOCKS - block % FMT_LEAF_BLOCKS;
	struct page *leaf;
	struct seg *seg;
	uint64_t bytes;

	if (blocks > leaf_left)
		blocks = leaf_left;
	if (blocks > SEG_CHUNKS * FMT_CHUNK_BLOCKS)
		blocks = SEG_CHUNKS * FMT_CHUNK_BLOCKS;
	if (!vio_lock(vio, vio->next / FMT_CHUNK, false))
		return;
	seg = vio_map_seg(vio, &leaf);
	if (seg == NULL || !vio_map_begin(vio, seg, leaf, block, blocks))
		return;
	bytes = vio_map_bytes(vio, seg);
	vio_unlock(vio);
	seg_submit(seg, op, seg->address, 0, bytes);
	vio->next += bytes;
}

/* Parts of blocks that the device cannot write alone are merged under an
 * exclusive lock of the chunk: whole ones keep off with a shared one. */
static bool
in_place_lock(struct vio *vio, uint64_t *bytes)
{
	uint64_t chunk_left = FMT_CHUNK - vio->next % FMT_CHUNK;

	if (!vio->volume->locked_writes)
		return true;
	*bytes -= *bytes % FMT_BLOCK;
	if (*bytes > chunk_left)
		*bytes = chunk_left;
	return vio_lock(vio, vio->next / FMT_CHUNK, false);
}

void
vio_in_place_step(struct vio *vio, const struct map_extent *extent)
{
	enum bs_op op = vio->io->op == BS_WRITE ? BS_WRITE : BS_ZERO;
	struct pool *pool = vio->volume->pool;
	unsigned in_block = vio->next % FMT_BLOCK;
	uint64_t bytes = extent->blocks * FMT_BLOCK - in_block;
	struct seg *seg;

	if (engine_breaks.i13_refuse_when_full && pool->space.level == 3) {
		vio_fail(vio, -ENOSPC);
		return;
	}
	if (bytes > vio->end - vio->next)
		bytes = vio->end - vio->next;
	if (!in_place_lock(vio, &bytes) || !vio_in_place(vio, &bytes))
		return;
	bytes = seg_limit(pool, extent->address, in_block, bytes);
	vio_depends(vio, extent->leaf);
	rewriter_heat(&pool->rewriter, vio->volume, vio->next);
	seg = vio_seg(vio);
	if (seg == NULL)
		return;
	if (vio->volume->locked_writes) {
		chunk_lock_share(pool, &seg->lock[0], &vio->lock);
		seg->lock_count = 1;
	}
	seg_submit(seg, op, extent->address, in_block, bytes);
	vio->next += bytes;
	if (vio->locked)
		vio_unlock(vio); /* it is in flight: the barrier has it */
}

static void
begin_here(struct vio *vio, const struct map_extent *extent, struct begin *b)
{
	uint64_t block = vio->next / FMT_BLOCK;

	*b = (struct begin){
	    .vio = vio,
	    .leaf = extent->leaf,
	    .first = block,
	    .end = vio->end / FMT_BLOCK,
	};
	if (b->end == block || vio->next % FMT_BLOCK != 0)
		b->end = block + 1; /* a part of a block is a step for itself */
	map_rules(vio->volume, block / FMT_LEAF_BLOCKS, &b->rules);
}

bool
vio_map_is_copy(struct vio *vio, const struct map_extent *extent)
{
	struct begin b;

	begin_here(vio, extent, &b);
	return chunk_form(&b, b.first / FMT_CHUNK_BLOCKS) == FORM_COPY;
}

/* To the end of the request; but in a chunk that is divided, what may be
 * overwritten is. */
uint64_t
vio_map_blocks(struct vio *vio, const struct map_extent *extent)
{
	struct begin b;
	enum form form;

	begin_here(vio, extent, &b);
	form = chunk_form(&b, b.first / FMT_CHUNK_BLOCKS);
	if (form == FORM_COPY)
		return 0;
	if (form == FORM_FINE && b.rules.unit == 1 &&
	    b.end > b.first + extent->blocks)
		b.end = b.first + extent->blocks;
	return b.end - b.first;
}

void
vio_write_step(struct vio *vio)
{
	uint64_t block = vio->next / FMT_BLOCK, blocks;
	unsigned in_block = vio->next % FMT_BLOCK;
	uint64_t left = vio->end - vio->next;
	bool part = in_block != 0 || left < FMT_BLOCK;
	struct map_extent extent;

	if (vio->io->atomic) {
		vio_atomic_step(vio);
		return;
	}
	if (!vio_ok(vio, map_lookup(vio->volume, block,
			     (in_block + left + FMT_BLOCK - 1) / FMT_BLOCK,
			     &vio->waiter, &extent)))
		return;
	if (extent.kind == MAP_POISON)
		vio_fail(vio, -ENODATA);
	else if (extent.kind == MAP_DATA && extent.in_place &&
		 !(part && vio->volume->locked_writes))
		vio_in_place_step(vio, &extent);
	else if (part)
		vio_partial_step(vio);
	else if ((blocks = vio_map_blocks(vio, &extent)) == 0)
		vio_copy_begin(vio);
	else
		vio_map_step(vio, BS_WRITE, blocks);
}
