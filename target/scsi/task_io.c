/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What handlers do their work with: buffers, waited for where the pool ran dry;
 * I/O, one at a time per task, between which an abort is seen and errors become
 * sense; parameter lists; Data-In.
 */
#include "base/log.h"
#include "target/scsi/internal.h"
#include <errno.h>
#include <string.h>

/* ---- buffers ---- */

void
task_put_buffers(struct scsi_task *task)
{
	if (task->side != NULL)
		buf_put(task->loop->bufs, task->side);
	task->side = NULL;
	if (!task->borrowed) {
		for (unsigned i = 0; i < task->iov_count; i++)
			buf_put(task->loop->bufs, task->iov[i].iov_base);
	}
	task->iov_count = 0;
	task->borrowed = false;
}

static bool
task_get_pieces(struct scsi_task *task, uint64_t length, size_t piece)
{
	assert(length <= (uint64_t)piece * SCSI_TASK_IOV_MAX);

	while (length > 0) {
		size_t take = length < piece ? (size_t)length : piece;
		void *buf = buf_get(task->loop->bufs, take);
		if (buf == NULL) {
			while (task->iov_count > 0)
				buf_unget(task->loop->bufs,
				    task->iov[--task->iov_count].iov_base);
			return false;
		}
		task->iov[task->iov_count++] =
		    (struct iovec){.iov_base = buf, .iov_len = take};
		length -= take;
	}
	return true;
}

/* The largest pieces first; in a fragmented pool the smallest that fit iov. */
int
scsi_task_buffers(struct scsi_task *task, uint64_t length)
{
	ASSERT_MAGIC(task, SCSI_TASK_MAGIC);
	assert(length > 0 && length <= SCSI_TRANSFER_MAX);
	assert(!task->borrowed && task->iov_count == 0);

	if (task_get_pieces(task, length, BUF_MAX))
		return 0;
	size_t piece = BUF_MIN;
	while (length > (uint64_t)piece * SCSI_TASK_IOV_MAX)
		piece *= 2;
	if (length > piece && task_get_pieces(task, length, piece))
		return 0;
	return -ENOMEM;
}

static void
task_resume(struct scsi_task *task)
{
	task->starting = true;
	task->next(task);
	task->starting = false;
}

static void
task_wait(struct scsi_task *task, void (*ready)(struct buf_waiter *waiter))
{
	task->waiting = true;
	task->waiter.ready = ready;
	buf_wait(task->loop->bufs, &task->waiter);
}

static void
side_ready(struct buf_waiter *waiter)
{
	struct scsi_task *task = container_of(waiter, struct scsi_task, waiter);

	ASSERT_MAGIC(task, SCSI_TASK_MAGIC);
	task->waiting = false;
	task->side = buf_get(task->loop->bufs, task->side_length);
	if (task->side == NULL)
		task_wait(task, side_ready);
	else
		task_resume(task);
}

void
scsi_task_side(
    struct scsi_task *task, size_t length, void (*next)(struct scsi_task *task))
{
	assert(task_is_executing(task));
	assert(task->side == NULL);

	task->side_length = length;
	task->next = next;
	task->side = buf_get(task->loop->bufs, length);
	if (task->side == NULL)
		task_wait(task, side_ready);
	else
		next(task);
}

static void
in_ready(struct buf_waiter *waiter)
{
	struct scsi_task *task = container_of(waiter, struct scsi_task, waiter);

	ASSERT_MAGIC(task, SCSI_TASK_MAGIC);
	task->waiting = false;
	if (scsi_task_buffers(task, task->wanted) == 0)
		task_resume(task);
	else
		task_wait(task, in_ready);
}

void
scsi_task_in_buffers(struct scsi_task *task, uint64_t length,
    void (*next)(struct scsi_task *task))
{
	assert(task_is_executing(task));

	if (task->borrowed &&
	    bs_iov_length(task->iov, task->iov_count) >= length) {
		next(task);
		return;
	}
	if (task->borrowed) {
		task->borrowed = false;
		task->iov_count = 0;
	}
	task->wanted = length;
	task->next = next;
	if (scsi_task_buffers(task, length) == 0)
		next(task);
	else
		task_wait(task, in_ready);
}

/* ---- I/O ---- */

struct bs_io *
scsi_task_io(
    struct scsi_task *task, enum bs_op op, uint64_t offset, uint64_t length)
{
	struct bs_io *io = &task->io;

	bs_io_init(io);
	io->op = op;
	io->offset = offset;
	io->length = length;
	return io;
}

static void
io_complete(struct bs_io *io, int result)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);

	ASSERT_MAGIC(task, SCSI_TASK_MAGIC);
	assert(task_is_executing(task));
	if (task->aborting) {
		scsi_task_end_good(task);
	} else if (result == 0) {
		task->next(task);
	} else if (result == -ENOMEM) {
		scsi_task_end_status(task, SCSI_BUSY);
	} else {
		struct scsi_sense sense = sense_from_errno(
		    result, io->op != BS_READ && io->op != BS_EXTENTS);
		log_debug("%s: %s: %s", task->lun->label, task->op->name,
		    strerror(-result));
		scsi_task_end(task, &sense);
	}
}

/* The range was checked when the command began; the unit may have shrunk
 * since. */
void
scsi_task_submit(struct scsi_task *task, void (*next)(struct scsi_task *task))
{
	struct backstore *bs = task->lun->bs;
	struct bs_io *io = &task->io;

	assert(task_is_executing(task));
	if (io->length > bs->size || io->offset > bs->size - io->length) {
		scsi_task_end(task, &SENSE_LBA_OUT_OF_RANGE);
		return;
	}
	if (io->op == BS_FLUSH)
		task->wrote_cached = false;
	else if ((io->op == BS_WRITE || io->op == BS_ZERO) && !io->fua)
		task->wrote_cached = bs->volatile_cache;
	task->next = next;
	io->complete = io_complete;
	lun_submit(task->lun, io);
}

void
scsi_task_flush(struct scsi_task *task, void (*next)(struct scsi_task *task))
{
	if (!task->lun->bs->volatile_cache) {
		next(task);
		return;
	}
	task->lun->stat.flushes++;
	scsi_task_io(task, BS_FLUSH, 0, 0);
	scsi_task_submit(task, next);
}

/* ---- Data-Out ---- */

struct scsi_sense
scsi_task_want_list(struct scsi_task *task, uint32_t length)
{
	task->out_full = length;
	if (task->expected_out < length)
		return SENSE_PARAMETER_LIST_LENGTH_ERROR;
	task->data_length = length;
	return SENSE_NONE;
}

void
scsi_task_gather(const struct scsi_task *task, void *to)
{
	struct iovec piece[SCSI_TASK_IOV_MAX];
	unsigned count = bs_iov_slice(task->iov, task->iov_count, 0,
	    task->data_length, piece, SCSI_TASK_IOV_MAX);
	uint8_t *at = to;

	for (unsigned i = 0; i < count; i++)
		at = mempcpy(at, piece[i].iov_base, piece[i].iov_len);
}

const uint8_t *
scsi_task_parameters(const struct scsi_task *task)
{
	assert(task->op->flags & OP_PARAMETERS);
	if (task->iov_count > 1)
		return task->side;
	assert(task->iov_count == 1);
	return task->iov[0].iov_base;
}

/* ---- Data-In ---- */

static uint64_t
allocation_length(const struct scsi_task *task)
{
	const uint8_t *field = &task->cdb[task->op->allocation_at];

	switch (task->op->allocation_bytes) {
	case 1: return field[0];
	case 2: return load_be16(field);
	case 3: return load_be24(field);
	case 4: return load_be32(field);
	}
	return UINT64_MAX;
}

void
scsi_task_set_in(struct scsi_task *task, uint64_t length)
{
	task->in_full = smaller(length, allocation_length(task));
	task->in_length = smaller(task->in_full, task->expected_in);
}

static void
copy_to_iov(struct scsi_task *task, const uint8_t *from, size_t length)
{
	for (unsigned i = 0; length > 0; i++) {
		assert(i < task->iov_count);
		size_t take = smaller(length, task->iov[i].iov_len);
		memcpy(task->iov[i].iov_base, from, take);
		from += take;
		length -= take;
	}
}

/* The side buffer becomes the Data-In buffer, unless the carrier has its own.
 */
void
scsi_task_answer(struct scsi_task *task, size_t from, size_t length)
{
	uint8_t *data = task->side;

	assert(from + length <= task->side_length);
	scsi_task_set_in(task, length);
	if (task->borrowed) {
		copy_to_iov(task, data + from, task->in_length);
		return;
	}
	if (from > 0)
		memmove(data, data + from, task->in_length);
	assert(task->iov_count == 0);
	if (task->in_length == 0)
		return;
	task->iov[0] =
	    (struct iovec){.iov_base = data, .iov_len = task->side_length};
	task->iov_count = 1;
	task->side = NULL;
}
