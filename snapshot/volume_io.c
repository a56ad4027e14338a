/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way of one I/O of a volume: reads, and what all operations share.
 *
 * A vio walks over the range of the request.  Each step looks up what is at
 * vio->next and submits a device I/O for it, or waits for something and comes
 * back to the same place.  Segs in flight do not hold the walk up.  What is
 * mapped in one row goes to the device in one I/O, with the caller's memory.
 */
#include "snapshot/engine.h"
#include "snapshot/rewrite.h"
#include <stdlib.h>
#include <string.h>

static void vio_begin(struct vio *vio, struct bs_io *io);

static inline struct pool *
vio_pool(const struct vio *vio)
{
	return vio->volume->pool;
}

/* What the contract of a backstore knows. */
static int
volume_error(int error)
{
	switch (error) {
	case 0:
	case -EIO:
	case -ENODATA:
	case -ENOSPC:
	case -EROFS:
	case -ECANCELED:
	case -ENOMEM: return error;
	case -EBADMSG: /* damaged metadata: unreadable, never zeros */
		return -ENODATA;
	default: return -EIO;
	}
}

/* ---- end ---- */

static void
vio_free(struct vio *vio)
{
	struct volume_io *vios = &vio_pool(vio)->vio;
	struct list *node;

	vios->active--;
	node = list_pop(&vios->vios_wanted);
	list_add_head(&vios->vios_free, &vio->link);
	if (node == NULL)
		return;
	list_del(&vio->link);
	vios->active++;
	vio_begin(vio, list_entry(node, struct bs_io, link));
}

static void
vio_complete(struct vio *vio, int error)
{
	struct bs_io *io = vio->io;
	bool later = vio->submitting;

	vio->io = NULL;
	vio_free(vio);
	if (later)
		bs_complete_later(io, volume_error(error));
	else
		bs_complete(io, volume_error(error));
}

static void
durable_ready(struct waiter *waiter, int error)
{
	vio_complete(container_of(waiter, struct vio, waiter), error);
}

static void
vio_finish(struct vio *vio)
{
	struct pool *pool = vio_pool(vio);

	if (vio->locked)
		vio_unlock(vio);
	if (vio->rewrite != NULL) {
		rewrite_ended(vio);
		return;
	}
	if (vio->bounce != NULL) {
		void *bounce = vio->bounce;
		vio->bounce = NULL;
		buf_put(pool->loop->bufs, bounce);
	}
	/* what was a hole already may be one by an UNMAP not durable yet */
	if (vio->io->op == BS_ZERO || vio->io->op == BS_DISCARD)
		vio->lsn = pool->redo.next_lsn;
	if (vio->again && vio->error == 0) {
		vio->again = vio->copying = false;
		vio->next = vio->io->offset;
		loop_defer(pool->loop, &vio->task);
		vio->parked = true;
		return;
	}
	if (vio->error == 0 &&
	    ((vio->io->fua && vio->lsn > pool->redo.durable_lsn) ||
		!ack_ring_covers(pool, vio->lsn))) {
		vio->waiter.ready = durable_ready;
		redo_flush(pool, &vio->waiter);
		return;
	}
	vio_complete(vio, vio->error);
}

void
vio_fail(struct vio *vio, int error)
{
	assert(error < 0);
	if (vio->error == 0)
		vio->error = error;
}

/* ---- waiting ---- */

static void
vio_resume(struct vio *vio)
{
	assert(vio->parked);
	vio->parked = false;
	vio_advance(vio);
}

static void
waiter_ready(struct waiter *waiter, int error)
{
	struct vio *vio = container_of(waiter, struct vio, waiter);

	if (error < 0)
		vio_fail(vio, error);
	vio_resume(vio);
}

bool
vio_ok(struct vio *vio, int result)
{
	if (result == 0)
		return true;
	if (result == -EAGAIN)
		vio->parked = true;
	else
		vio_fail(vio, result);
	return false;
}

static void
lock_granted(struct chunk_lock *lock)
{
	struct vio *vio = container_of(lock, struct vio, lock);

	vio->locked = true;
	loop_defer(vio_pool(vio)->loop, &vio->task);
}

static void
vio_task(struct loop_task *task)
{
	vio_resume(container_of(task, struct vio, task));
}

bool
vio_lock(struct vio *vio, uint64_t chunk, bool exclusive)
{
	if (vio->locked) {
		if (vio->lock.chunk == chunk &&
		    vio->lock.exclusive == exclusive)
			return true;
		vio_unlock(vio);
	}
	vio->lock.grant = lock_granted;
	vio->locked = chunk_lock_take(
	    vio_pool(vio), &vio->lock, vio->volume, chunk, exclusive);
	vio->parked = !vio->locked;
	return vio->locked;
}

void
vio_unlock(struct vio *vio)
{
	assert(vio->locked);
	vio->locked = false;
	chunk_lock_drop(vio_pool(vio), &vio->lock);
}

/* The chunk that vio->next is in may be BUSY, or a later one. */
static bool
in_place_idle(struct vio *vio, uint64_t *bytes)
{
	uint64_t first = vio->next / FMT_CHUNK;
	uint64_t last = (vio->next + *bytes - 1) / FMT_CHUNK;

	if (engine_breaks.busy_ignored)
		return true;
	for (uint64_t chunk = first; chunk <= last; chunk++) {
		if (!chunk_lock_marked(vio_pool(vio), vio->volume, chunk))
			continue;
		if (chunk == first)
			return vio_lock(vio, chunk, false);
		*bytes = chunk * FMT_CHUNK - vio->next;
		break;
	}
	return true;
}

bool
vio_in_place(struct vio *vio, uint64_t *bytes)
{
	if (__builtin_expect(vio_pool(vio)->vio.busy == 0, true))
		return true;
	return in_place_idle(vio, bytes);
}

/* ---- segs ---- */

/* Those that were used come first: memory of the others is never touched. */
static struct seg *
seg_take(struct volume_io *vios)
{
	struct list *node = list_pop(&vios->segs_free);
	struct seg *seg;

	if (node != NULL)
		return list_entry(node, struct seg, link);
	if (vios->segs_used == VIO_SEGS)
		return NULL;
	seg = &vios->segs[vios->segs_used++];
	list_init(&seg->io.link);
	list_init(&seg->twin.link);
	waiter_init(&seg->waiter, vio_map_ready);
	return seg;
}

struct seg *
vio_seg(struct vio *vio)
{
	struct volume_io *vios = &vio_pool(vio)->vio;
	struct seg *seg;

	if (vio->seg.vio == NULL) {
		seg = &vio->seg;
	} else if ((seg = seg_take(vios)) == NULL) {
		list_add_tail(&vios->segs_wanted, &vio->link);
		vio->parked = true;
		return NULL;
	}
	seg->vio = vio;
	seg->mapping = seg->barrier = seg->merging = seg->fine = false;
	seg->bounce = NULL;
	seg->copied = 0;
	seg->writing = false;
	seg->lock_count = 0;
	seg->credits = 0;
	return seg;
}

void
seg_put(struct seg *seg)
{
	struct vio *vio = seg->vio;
	struct volume_io *vios = &vio_pool(vio)->vio;

	seg->vio = NULL;
	if (seg != &vio->seg)
		list_add_head(&vios->segs_free, &seg->link);
}

/* Another vio may have waited for a seg: this one has just given one back,
 * its own or a shared one. */
void
segs_wake(struct vio *self)
{
	struct volume_io *vios = &vio_pool(self)->vio;
	struct vio *waiting;

	if (list_empty(&vios->segs_wanted))
		return;
	if (self->seg.vio == NULL && !list_empty(&self->link)) {
		list_del(&self->link);
		self->parked = false; /* the caller advances it */
		return;
	}
	if (list_empty(&vios->segs_free))
		return;
	waiting = list_entry(list_pop(&vios->segs_wanted), struct vio, link);
	vio_resume(waiting);
}

uint64_t
seg_limit(
    struct pool *pool, uint64_t address, unsigned in_block, uint64_t length)
{
	uint64_t offset, run;
	struct device *device = pool_locate(pool, address, &offset, &run);
	uint64_t max = run * FMT_BLOCK - in_block;
	uint32_t twin = move_twin(pool, address >> pool->space.region_shift);

	if (max > device->bs->max_io)
		max = device->bs->max_io;
	if (twin != NO_REGION) {
		device = &pool->device[pool->space.regions[twin].device];
		if (max > device->bs->max_io)
			max = device->bs->max_io;
	}
	return length < max ? length : max;
}

static void
grace_end(struct vio *vio)
{
	struct pool *pool = vio_pool(vio);

	grace_leave(&pool->space, vio->parity);
	if (pool->space.grace_io[vio->parity] == 0 &&
	    pool->space.q_head != pool->space.q_tail)
		quarantine_release_later(pool);
}

void
vio_landed(struct vio *vio)
{
	if (--vio->pending == 0)
		grace_end(vio);
}

/* ---- writes in flight ---- */

/* What is written in place now may belong to a snapshot a moment later; the
 * snapshot is not done before such writes have ended. */
static void
writing_begin(struct seg *seg)
{
	seg->writing = true;
	seg->side = (uint8_t)barrier_enter(&seg->vio->volume->barrier);
}

static void
writing_end(struct seg *seg)
{
	if (!seg->writing)
		return;
	seg->writing = false;
	barrier_leave(&seg->vio->volume->barrier, seg->side);
}

void
seg_end(struct seg *seg, int result)
{
	struct vio *vio = seg->vio;

	if (result < 0)
		vio_fail(vio, result);
	if (seg->barrier)
		vio->barrier = false;
	while (seg->lock_count > 0)
		chunk_lock_drop(vio_pool(vio), &seg->lock[--seg->lock_count]);
	seg_put(seg);
	vio_landed(vio);
	segs_wake(vio);
	vio_advance(vio);
}

void
seg_completed(struct seg *seg)
{
	struct vio *vio = seg->vio;
	struct bs_io *io = &seg->io;
	int result = seg->result;

	ASSERT_MAGIC(vio, VIO_MAGIC);
	writing_end(seg);
	barrier_leave(&vio_pool(vio)->places, seg->place);
	if (io->op != BS_READ && result == -ENOSPC)
		pool_host_full(vio_pool(vio));
	if (seg->merging && result == 0 && vio->io->op == BS_READ) {
		vio_partial_copy(vio);
	} else if (seg->merging && result == 0 &&
		   vio->cuts != vio->volume->cuts) {
		seg->merging = false; /* a snapshot has the block: once more */
	} else if (seg->merging && result == 0) {
		seg->merging = false;
		vio_landed(vio);
		vio_partial_merge(vio, seg);
		return;
	}
	if (seg->mapping)
		vio_map_end(vio, seg, result);
	else
		seg_end(seg, result);
}

void
seg_submit(struct seg *seg, enum bs_op op, uint64_t address, unsigned in_block,
    uint64_t length)
{
	struct vio *vio = seg->vio;
	struct pool *pool = vio_pool(vio);
	struct bs_io *io = &seg->io;

	seg->to = address;
	seg->in_block = (uint16_t)in_block;
	io->magic = BS_IO_MAGIC;
	io->op = op;
	io->fua = op != BS_READ && vio->io->fua;
	io->may_unmap = false;
	io->length = length;
	io->iov = NULL;
	io->iov_count = 0;
	if (seg->bounce != NULL && op != BS_ZERO) {
		seg->iov[0] = (struct iovec){seg->bounce, length};
		io->iov = seg->iov;
		io->iov_count = 1;
	} else if (op == BS_ZERO) {
		io->fua = vio->io->op == BS_ZERO && vio->io->fua;
	} else if (length == vio->io->length) {
		io->iov = vio->io->iov;
		io->iov_count = vio->io->iov_count;
	} else {
		io->iov_count = bs_iov_slice(vio->io->iov, vio->io->iov_count,
		    vio->next - vio->io->offset, length, seg->iov, BS_IOV_MAX);
		io->iov = seg->iov;
	}
	if (vio->pending++ == 0)
		vio->parity = (uint8_t)grace_enter(&pool->space);
	if (op != BS_READ)
		writing_begin(seg);
	seg_go_on(seg);
}

/* ---- reading ---- */

static void
iov_zero(
    const struct iovec *iov, unsigned count, uint64_t from, uint64_t length)
{
	for (unsigned i = 0; i < count && length > 0; i++) {
		uint64_t part = iov[i].iov_len;
		if (from >= part) {
			from -= part;
			continue;
		}
		part -= from;
		if (part > length)
			part = length;
		memset((uint8_t *)iov[i].iov_base + from, 0, part);
		length -= part;
		from = 0;
	}
}

static void
vio_read_step(struct vio *vio)
{
	uint64_t block = vio->next / FMT_BLOCK;
	unsigned in_block = vio->next % FMT_BLOCK;
	uint64_t left = vio->end - vio->next, bytes;
	struct map_extent extent;
	struct seg *seg;

	if (!vio_ok(vio, map_lookup(vio->volume, block,
			     (in_block + left + FMT_BLOCK - 1) / FMT_BLOCK,
			     &vio->waiter, &extent)))
		return;
	bytes = extent.blocks * FMT_BLOCK - in_block;
	if (bytes > left)
		bytes = left;
	if (extent.kind == MAP_POISON) {
		vio_fail(vio, -ENODATA);
		return;
	}
	if (extent.kind == MAP_HOLE) {
		iov_zero(vio->io->iov, vio->io->iov_count,
		    vio->next - vio->io->offset, bytes);
		vio->next += bytes;
		return;
	}
	if (vio->volume->locked_writes) {
		/* the device reads whole blocks only */
		if (in_block != 0 || bytes < FMT_BLOCK) {
			vio_partial_read(vio, &extent);
			return;
		}
		bytes -= bytes % FMT_BLOCK;
	}
	bytes = seg_limit(vio_pool(vio), extent.address, in_block, bytes);
	seg = vio_seg(vio);
	if (seg == NULL)
		return;
	seg_submit(seg, BS_READ, extent.address, in_block, bytes);
	vio->next += bytes;
}

static void
vio_extents_step(struct vio *vio)
{
	static const enum bs_extent_kind kinds[] = {
	    [MAP_HOLE] = BS_EXTENT_HOLE,
	    [MAP_DATA] = BS_EXTENT_DATA,
	    [MAP_POISON] = BS_EXTENT_POISON,
	};
	struct bs_io *io = vio->io;
	uint64_t block = vio->next / FMT_BLOCK, end;
	struct bs_extent *last = NULL;
	struct map_extent extent;

	if (!vio_ok(vio, map_lookup(vio->volume, block,
			     (vio->end + FMT_BLOCK - 1) / FMT_BLOCK - block,
			     &vio->waiter, &extent)))
		return;
	end = (block + extent.blocks) * FMT_BLOCK;
	if (end > vio->end)
		end = vio->end;
	if (io->extent_count > 0)
		last = &io->extents[io->extent_count - 1];
	if (last != NULL && last->kind == kinds[extent.kind]) {
		last->length = end - last->offset;
	} else if (io->extent_count < io->extent_max) {
		io->extents[io->extent_count++] = (struct bs_extent){
		    vio->next, end - vio->next, kinds[extent.kind]};
	} else {
		vio->end = vio->next;
		return;
	}
	vio->next = end;
}

/* ---- begin ---- */

void
vio_advance(struct vio *vio)
{
	static void (*const step[BS_OP_COUNT])(struct vio * vio) = {
	    [BS_READ] = vio_read_step,
	    [BS_WRITE] = vio_write_step,
	    [BS_ZERO] = vio_zero_step,
	    [BS_DISCARD] = vio_unmap_step,
	    [BS_EXTENTS] = vio_extents_step,
	};

	if (vio->advancing || vio->parked || vio->barrier)
		return;
	vio->advancing = true;
	while (vio->next < vio->end && vio->error == 0 && !vio->parked &&
	       !vio->barrier) {
		if (vio->rewrite != NULL)
			vio_rewrite_step(vio);
		else if (vio->copying)
			vio_copy_step(vio);
		else
			step[vio->io->op](vio);
	}
	if (__builtin_expect(vio->atomic != NULL, false) && !vio->parked)
		vio_atomic_end(vio);
	vio->advancing = false;
	if (vio->pending == 0 && !vio->parked && !vio->barrier &&
	    vio->atomic == NULL)
		vio_finish(vio);
}

static void
vio_flush(struct vio *vio)
{
	struct pool *pool = vio_pool(vio);

	if (pool->state == POOL_SUSPECT) {
		vio_complete(vio, -EIO);
	} else if (pool->read_only || engine_breaks.i12_early_flush) {
		vio_complete(vio, 0);
	} else {
		vio->waiter.ready = durable_ready;
		redo_flush(pool, &vio->waiter);
	}
}

static bool
op_changes(enum bs_op op)
{
	return op == BS_WRITE || op == BS_ZERO || op == BS_DISCARD;
}

static void
vio_reset(struct vio *vio, struct volume *volume, struct bs_io *io)
{
	vio->io = io;
	vio->volume = volume;
	vio->next = io->offset;
	vio->end = io->offset + io->length;
	vio->error = 0;
	vio->lsn = 0;
	vio->parked = vio->barrier = vio->locked = false;
	vio->again = vio->copying = false;
	vio->waiter.ready = waiter_ready;
}

void
vio_start(struct vio *vio, struct volume *volume, struct bs_io *io)
{
	vio_reset(vio, volume, io);
	vio_advance(vio);
}

static void
vio_begin(struct vio *vio, struct bs_io *io)
{
	struct volume *volume = container_of(io->bs, struct volume, bs);
	struct pool *pool = volume->pool;

	vio_reset(vio, volume, io);
	vio->submitting = true;
	if (op_changes(io->op) && pool->state != POOL_ONLINE)
		vio->error = pool->state == POOL_READ_ONLY ? -EROFS : -EIO;
	if (io->op == BS_FLUSH)
		vio_flush(vio);
	else
		vio_advance(vio);
	vio->submitting = false;
}

static void
volume_count(struct volume *volume, const struct bs_io *io)
{
	if (io->op == BS_READ) {
		volume->reads++;
		volume->read_bytes += io->length;
	} else if (io->op == BS_WRITE) {
		volume->writes++;
		volume->write_bytes += io->length;
	} else if (io->op == BS_ZERO || io->op == BS_DISCARD) {
		volume->unmaps++;
	}
}

/* As seg_take(). */
static struct vio *
vio_take(struct pool *pool)
{
	struct volume_io *vios = &pool->vio;
	struct list *node = list_pop(&vios->vios_free);
	struct vio *vio;

	if (node != NULL)
		return list_entry(node, struct vio, link);
	if (vios->vios_used == pool->limits.io_max)
		return NULL;
	vio = &vios->vios[vios->vios_used++];
	vio_init(vio);
	return vio;
}

void
volume_submit(struct backstore *bs, struct bs_io *io)
{
	struct volume *volume = container_of(bs, struct volume, bs);
	struct volume_io *vios = &volume->pool->vio;
	struct vio *vio = vio_take(volume->pool);

	volume_count(volume, io);
	if (vio == NULL) {
		list_add_tail(&vios->vios_wanted, &io->link);
		return;
	}
	vios->active++;
	vio_begin(vio, io);
}

/* I/O of the engine itself, also past the end of a volume that shrinks. */
void
volume_submit_internal(struct volume *volume, struct bs_io *io)
{
	assert(!io->in_flight);
	io->in_flight = true;
	io->bs = &volume->bs;
	list_init(&io->link);
	volume->bs.in_flight++;
	volume_submit(&volume->bs, io);
}

static bool
reaches(const struct bs_io *io, const struct volume *volume, uint64_t from)
{
	return io->bs == &volume->bs && io->length > 0 &&
	       io->offset + io->length > from;
}

bool
volume_io_past(struct volume *volume, uint64_t from)
{
	struct pool *pool = volume->pool;
	const struct bs_io *io;

	for (unsigned i = 0; i < pool->limits.io_max; i++) {
		io = pool->vio.vios[i].io;
		if (io != NULL && reaches(io, volume, from))
			return true;
	}
	list_for_each (io, &pool->vio.vios_wanted, link)
		if (reaches(io, volume, from))
			return true;
	return false;
}

void
vio_init(struct vio *vio)
{
	vio->magic = VIO_MAGIC;
	list_init(&vio->link);
	list_init(&vio->waiter.link);
	list_init(&vio->lock.link);
	vio->task.run = vio_task;
	list_init(&vio->seg.io.link);
	waiter_init(&vio->seg.waiter, vio_map_ready);
}

int
volume_io_init(struct pool *pool, unsigned io_max)
{
	struct volume_io *vios = &pool->vio;

	list_init(&vios->vios_free);
	list_init(&vios->segs_free);
	list_init(&vios->vios_wanted);
	list_init(&vios->segs_wanted);
	chunk_locks_init(vios);
	if (atomics_init(vios) < 0)
		return -ENOMEM;
	vios->vios = calloc(io_max, sizeof(vios->vios[0]));
	vios->segs = calloc(VIO_SEGS, sizeof(vios->segs[0]));
	if (vios->vios == NULL || vios->segs == NULL)
		return -ENOMEM;
	return 0;
}

void
volume_io_done(struct pool *pool)
{
	free(pool->vio.vios);
	free(pool->vio.segs);
	free(pool->vio.atomics);
}
