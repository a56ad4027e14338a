/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The checker: the one border that every I/O crosses, down by bs_submit and up
 * by bs_complete.  What is asserted here, an implementation need not check and
 * a caller may rely on; what comes from a peer was validated above.
 */
#include "backstores/backstore.h"
#include "base/probe.h"
#include <errno.h>
#include <stdlib.h>

enum {
	MOVES = 1 << 0,   /* has an iovec */
	RANGED = 1 << 1,  /* offset and length say where */
	CHANGES = 1 << 2, /* not on a read-only store */
	LISTS = 1 << 3,   /* has an extent array */
	MAY_FUA = 1 << 4,
	MAY_UNMAP = 1 << 5,
	MAY_ATOMIC = 1 << 6,
};

static const unsigned op_traits[BS_OP_COUNT] = {
    [BS_READ] = MOVES | RANGED,
    [BS_WRITE] = MOVES | RANGED | CHANGES | MAY_FUA | MAY_ATOMIC,
    [BS_FLUSH] = 0,
    [BS_ZERO] = RANGED | CHANGES | MAY_FUA | MAY_UNMAP,
    [BS_DISCARD] = RANGED | CHANGES,
    [BS_EXTENTS] = RANGED | LISTS,
};

/* ---- what may go in ---- */

static void
check_range(const struct backstore *bs, const struct bs_io *io)
{
	if (!(op_traits[io->op] & RANGED)) {
		assert(io->offset == 0);
		assert(io->length == 0);
		return;
	}
	assert(io->length > 0);
	assert(io->offset % bs->block_size == 0);
	assert(io->length % bs->block_size == 0);
	assert(io->length <= bs->size);
	assert(io->offset <= bs->size - io->length);
}

static void
check_iov(const struct backstore *bs, const struct bs_io *io)
{
	uintptr_t bits = 0;

	if (!(op_traits[io->op] & MOVES))
		return;
	assert(io->length <= bs->max_io);
	assert(io->iov_count >= 1);
	assert(io->iov_count <= BS_IOV_MAX);
	for (unsigned i = 0; i < io->iov_count; i++) {
		assert(io->iov[i].iov_len > 0);
		bits |= (uintptr_t)io->iov[i].iov_base | io->iov[i].iov_len;
	}
	assert((bits & (bs->mem_align - 1)) == 0);
	assert(bs_iov_length(io->iov, io->iov_count) == io->length);
}

static void
check_atomic(const struct backstore *bs, const struct bs_io *io)
{
	if (!io->atomic)
		return;
	assert(op_traits[io->op] & MAY_ATOMIC);
	assert(io->length <= bs->atomic_max);
	assert(io->offset % bs->atomic_unit == 0);
	assert(io->length % bs->atomic_unit == 0);
}

static void
check_submit(const struct backstore *bs, const struct bs_io *io)
{
	assert(io->magic == BS_IO_MAGIC);
	assert(!io->in_flight);
	assert(io->complete != NULL);
	assert((unsigned)io->op < BS_OP_COUNT);
	assert(loop_is_current(bs->loop));
	if (io->fua)
		assert(op_traits[io->op] & MAY_FUA);
	if (io->may_unmap)
		assert(op_traits[io->op] & MAY_UNMAP);
	if (op_traits[io->op] & LISTS) {
		assert(io->extents != NULL);
		assert(io->extent_max >= 1);
	}
	check_range(bs, io);
	check_iov(bs, io);
	check_atomic(bs, io);
}

/* What fails before it reaches the implementation: 0 or -errno. */
static int
refused(const struct backstore *bs, const struct bs_io *io)
{
	if (bs->read_only && op_traits[io->op] & CHANGES)
		return -EROFS;
	/* The kernel reports a failed write-back once and then forgets it: a
	 * later success would say nothing about the writes that were lost. */
	if (bs->suspect && io->op == BS_FLUSH)
		return -EIO;
	return 0;
}

void
bs_submit(struct backstore *bs, struct bs_io *io)
{
	int result;

	check_submit(bs, io);
	io->in_flight = true;
	io->bs = bs;
	io->extent_count = 0;
	list_init(&io->link);
	bs->in_flight++;
	PROBE4(bs_submit, bs->name, io->op, io->offset, io->length);

	result = refused(bs, io);
	if (result < 0) {
		bs_complete_later(io, result);
		return;
	}
	io->in_submit = true;
	bs->ops->submit(bs, io);
	io->in_submit = false;
}

/* ---- what may come out ---- */

static bool
result_allowed(int result)
{
	static const int allowed[] = {
	    0, -EIO, -ENODATA, -ENOSPC, -EROFS, -ECANCELED, -ENOMEM};

	for (unsigned i = 0; i < ARRAY_SIZE(allowed); i++)
		if (result == allowed[i])
			return true;
	return false;
}

static void
check_extents(const struct bs_io *io)
{
	uint64_t at = io->offset;

	assert(io->extent_count >= 1);
	assert(io->extent_count <= io->extent_max);
	for (unsigned i = 0; i < io->extent_count; i++) {
		const struct bs_extent *extent = &io->extents[i];
		assert(extent->offset == at);
		assert(extent->length > 0);
		assert(extent->length <= io->offset + io->length - at);
		assert((unsigned)extent->kind <= BS_EXTENT_POISON);
		at += extent->length;
	}
}

/* Out of memory and closed meanwhile: the store was never asked. */
static bool
flush_was_tried(int result)
{
	return result != -ENOMEM && result != -ECANCELED;
}

static void
account(struct backstore *bs, const struct bs_io *io, int result)
{
	if (result < 0) {
		bs->errors++;
		if (io->op == BS_FLUSH && flush_was_tried(result))
			bs->suspect = true;
		return;
	}
	bs->ops_done[io->op]++;
	bs->bytes_done[io->op] += io->length;
}

void
bs_complete(struct bs_io *io, int result)
{
	struct backstore *bs = io->bs;

	assert(io->magic == BS_IO_MAGIC);
	assert(io->in_flight);
	assert(!io->in_submit);
	assert(bs->in_flight > 0);
	assert(result_allowed(result));
	if (io->op == BS_EXTENTS && result == 0)
		check_extents(io);

	account(bs, io, result);
	bs->in_flight--;
	io->in_flight = false;
	io->result = result;
	PROBE4(bs_complete, bs->name, io->op, io->offset, result);
	io->complete(io, result);
}

static void
complete_now(struct loop_task *task)
{
	struct bs_io *io = container_of(task, struct bs_io, later);

	bs_complete(io, io->result);
}

void
bs_complete_later(struct bs_io *io, int result)
{
	assert(io->magic == BS_IO_MAGIC);
	assert(io->in_flight);
	io->result = result;
	io->later.run = complete_now;
	/* posted, not deferred: a caller that submits again at once to a store
	 * that is always done at once must not keep the loop from its ring */
	loop_post(io->bs->loop, &io->later);
}

/* ---- optional operations ----
 *
 * Control path: each call gets a record, made on the heap, that carries it to
 * the next callback, so that done() cannot run inside the call whatever the
 * implementation does.
 */

struct bs_call {
	struct loop_task task;
	struct backstore *bs;
	uint64_t offset, length; /* resize: length is the new size */
	void (*done)(void *arg, int result);
	void (*closed)(void *arg);
	void *arg;
};

static struct bs_call *
call_new(struct backstore *bs, void (*run)(struct loop_task *), void *arg)
{
	struct bs_call *call = calloc(1, sizeof(*call));

	assert(call != NULL);
	assert(loop_is_current(bs->loop));
	call->task.run = run;
	call->bs = bs;
	call->arg = arg;
	return call;
}

static void
call_done(void *arg, int result)
{
	struct bs_call *call = arg;
	void (*done)(void *, int) = call->done;
	void *done_arg = call->arg;

	assert(result <= 0);
	free(call);
	done(done_arg, result);
}

static void
resize_done(void *arg, int result)
{
	struct bs_call *call = arg;

	if (result == 0)
		assert(call->bs->size == call->length);
	call_done(arg, result);
}

static void
resize_run(struct loop_task *task)
{
	struct bs_call *call = container_of(task, struct bs_call, task);
	struct backstore *bs = call->bs;

	if (bs->ops->resize == NULL)
		call_done(call, -EOPNOTSUPP);
	else if (bs->read_only)
		call_done(call, -EROFS);
	else
		bs->ops->resize(bs, call->length, resize_done, call);
}

void
bs_resize(struct backstore *bs, uint64_t size,
    void (*done)(void *arg, int result), void *arg)
{
	struct bs_call *call = call_new(bs, resize_run, arg);

	assert(size > 0);
	assert(size % bs->block_size == 0);
	assert(done != NULL);
	call->length = size;
	call->done = done;
	loop_defer(bs->loop, &call->task);
}

static void
reserve_run(struct loop_task *task)
{
	struct bs_call *call = container_of(task, struct bs_call, task);
	struct backstore *bs = call->bs;

	if (bs->read_only)
		call_done(call, -EROFS);
	else if (bs->ops->reserve == NULL)
		call_done(call, 0);
	else
		bs->ops->reserve(
		    bs, call->offset, call->length, call_done, call);
}

void
bs_reserve(struct backstore *bs, uint64_t offset, uint64_t length,
    void (*done)(void *arg, int result), void *arg)
{
	struct bs_call *call = call_new(bs, reserve_run, arg);

	assert(length > 0);
	assert(offset % bs->block_size == 0);
	assert(length % bs->block_size == 0);
	assert(length <= bs->size);
	assert(offset <= bs->size - length);
	assert(done != NULL);
	call->offset = offset;
	call->length = length;
	call->done = done;
	loop_defer(bs->loop, &call->task);
}

static void
close_done(void *arg)
{
	struct bs_call *call = arg;
	void (*closed)(void *) = call->closed;
	void *closed_arg = call->arg;

	free(call);
	closed(closed_arg);
}

static void
close_run(struct loop_task *task)
{
	struct bs_call *call = container_of(task, struct bs_call, task);
	struct backstore *bs = call->bs;

	assert(bs->in_flight == 0);
	bs->ops->close(bs, close_done, call);
}

void
bs_close(struct backstore *bs, void (*done)(void *arg), void *arg)
{
	struct bs_call *call = call_new(bs, close_run, arg);

	assert(bs->in_flight == 0);
	assert(done != NULL);
	call->closed = done;
	loop_defer(bs->loop, &call->task);
}

/* ---- iovecs ---- */

uint64_t
bs_iov_length(const struct iovec *iov, unsigned count)
{
	uint64_t length = 0;

	for (unsigned i = 0; i < count; i++)
		length += iov[i].iov_len;
	return length;
}

unsigned
bs_iov_slice(const struct iovec *iov, unsigned count, uint64_t from,
    uint64_t length, struct iovec *ret, unsigned max)
{
	unsigned used = 0;

	for (unsigned i = 0; i < count && length > 0; i++) {
		uint64_t take = iov[i].iov_len;
		if (from >= take) {
			from -= take;
			continue;
		}
		take -= from;
		if (take > length)
			take = length;
		assert(used < max);
		ret[used].iov_base = (char *)iov[i].iov_base + from;
		ret[used].iov_len = take;
		used++;
		from = 0;
		length -= take;
	}
	assert(length == 0);
	return used;
}
