/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of a task (task.h has the phases), and what handlers use to do
 * I/O, to get buffers and to end.  Everything that must hold between two steps
 * of any command is here: abort, ranges, errors, one complete() per execute.
 */
#include "base/log.h"
#include "target/scsi/internal.h"
#include <errno.h>
#include <string.h>

void
scsi_task_init(struct scsi_task *task)
{
	memset(task, 0, sizeof(*task));
	task->magic = SCSI_TASK_MAGIC;
	task->phase = SCSI_TASK_IDLE;
	list_init(&task->link);
	list_init(&task->abort_link);
}

/* ---- begin ---- */

static void
task_reset(struct scsi_task *task)
{
	task->op = NULL;
	task->loop = task->nexus->loop;
	task->data_length = task->out_full = 0;
	task->in_length = task->in_full = 0;
	task->status = SCSI_GOOD;
	task->sense_length = 0;
	task->aborted = task->aborting = task->detached = false;
	task->dormant = task->waiting = task->starting = false;
	task->abort_status = SCSI_GOOD;
	task->lba = task->block_count = task->cursor = 0;
	task->step = 0;
	task->wanted = 0;
	task->side = NULL;
	task->lun = NULL;
	task->mapping = NULL;
}

static void
task_set_outcome(struct scsi_task *task, enum scsi_status status,
    const struct scsi_sense *sense)
{
	bool descriptor = task->lun != NULL && task->lun->mode.d_sense;

	task->status = status;
	task->sense_length = 0;
	if (status == SCSI_CHECK_CONDITION)
		task->sense_length =
		    (uint8_t)sense_encode(sense, descriptor, task->sense);
}

static void
task_refuse(struct scsi_task *task, enum scsi_status status,
    const struct scsi_sense *sense)
{
	task_set_outcome(task, status, sense);
	if (task->lun != NULL)
		task->lun->stat.errors++;
	task->data_length = 0;
	task->lun = NULL;
	task->mapping = NULL;
	task->phase = SCSI_TASK_COMPLETED;
}

bool
scsi_task_begin(struct scsi_task *task)
{
	struct scsi_sense sense = SENSE_NONE;

	ASSERT_MAGIC(task, SCSI_TASK_MAGIC);
	ASSERT_MAGIC(task->nexus, NEXUS_MAGIC);
	assert(task->phase == SCSI_TASK_IDLE);
	assert(task->complete != NULL);
	assert(task->cdb_length <= SCSI_CDB_MAX);

	task_reset(task);
	enum scsi_status status = scsi_dispatch(task, &sense);
	if (status != SCSI_GOOD) {
		task_refuse(task, status, &sense);
		return false;
	}
	assert(task->data_length <= task->expected_out);
	task_set_enter(task);
	task->phase = SCSI_TASK_BEGUN;
	return true;
}

/* ---- buffers ---- */

static void
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

	if (task->borrowed) {
		assert(bs_iov_length(task->iov, task->iov_count) >= length);
		next(task);
		return;
	}
	task->wanted = length;
	task->next = next;
	if (scsi_task_buffers(task, length) == 0)
		next(task);
	else
		task_wait(task, in_ready);
}

/* ---- execute ---- */

static void
answer_run(struct scsi_task *task)
{
	struct scsi_answer answer = {
	    .data = task->side,
	    .size = task->side_length,
	};
	memset(answer.data, 0, answer.size);
	struct scsi_sense sense = task->op->answer(task, &answer);
	assert(answer.length <= answer.size);
	if (!sense_is_good(&sense)) {
		scsi_task_end(task, &sense);
		return;
	}
	scsi_task_answer(task, 0, answer.length);
	scsi_task_end_good(task);
}

static void
parameters_run(struct scsi_task *task)
{
	uint8_t *to = task->side;

	for (unsigned i = 0; i < task->iov_count; i++) {
		memcpy(to, task->iov[i].iov_base, task->iov[i].iov_len);
		to += task->iov[i].iov_len;
	}
	task->op->run(task);
}

static void
task_dispatch_run(struct scsi_task *task)
{
	const struct scsi_op *op = task->op;

	if (op->answer != NULL) {
		size_t size = task->wanted > SCSI_ANSWER_SIZE
				  ? (size_t)task->wanted
				  : SCSI_ANSWER_SIZE;
		scsi_task_side(task, size, answer_run);
	} else if ((op->flags & OP_PARAMETERS) && task->iov_count > 1) {
		scsi_task_side(task, bs_iov_length(task->iov, task->iov_count),
		    parameters_run);
	} else {
		op->run(task);
	}
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

static void task_finish(struct scsi_task *task);

void
scsi_task_start(struct scsi_task *task)
{
	assert(task_is_executing(task));
	assert(!task->dormant);

	if (task->aborting) {
		task_finish(task);
		return;
	}
	task->starting = true;
	task_dispatch_run(task);
	task->starting = false;
}

static void
start_run(struct loop_task *later)
{
	scsi_task_start(container_of(later, struct scsi_task, later));
}

void
scsi_task_start_later(struct scsi_task *task)
{
	task->later.run = start_run;
	loop_defer(task->loop, &task->later);
}

static void
finish_run(struct loop_task *later)
{
	task_finish(container_of(later, struct scsi_task, later));
}

static void
task_finish_later(struct scsi_task *task)
{
	task->later.run = finish_run;
	loop_defer(task->loop, &task->later);
}

void
scsi_task_execute(struct scsi_task *task)
{
	ASSERT_MAGIC(task, SCSI_TASK_MAGIC);
	assert(task->phase == SCSI_TASK_BEGUN);
	if (!task->aborting && task->iov_count > 0 && !task->borrowed)
		assert(bs_iov_length(task->iov, task->iov_count) >=
		       task->data_length);

	task->phase = SCSI_TASK_EXECUTING;
	task->started_ns = loop_now(task->loop);
	if (task->aborting)
		task_finish_later(task);
	else if (task_set_may_run(task))
		scsi_task_start(task);
}

/* ---- the end ---- */

static void
task_count(struct scsi_task *task)
{
	struct lun_stat *stat = &task->lun->stat;

	if (task->status == SCSI_CHECK_CONDITION)
		stat->errors++;
	stat->latency_ns_total += loop_now(task->loop) - task->started_ns;
}

static void
task_finish_aborted(struct scsi_task *task)
{
	list_del(&task->abort_link);
	task->aborted = task->abort_status == SCSI_GOOD;
	task->status = task->abort_status;
	task->sense_length = 0;
	task->in_length = task->in_full = 0;
}

static void
task_finish(struct scsi_task *task)
{
	struct scsi_mapping *mapping = task->mapping;
	struct scsi_nexus *nexus = task->detached ? NULL : task->nexus;
	struct lun *lun = task->lun;
	bool aborting = task->aborting;

	assert(task_is_executing(task));
	assert(!task->io.in_flight && !task->waiting);
	if (task->side != NULL)
		buf_put(task->loop->bufs, task->side);
	task->side = NULL;
	if (lun != NULL)
		task_count(task);
	task_set_leave(task);
	if (aborting)
		task_finish_aborted(task);
	task->lun = NULL;
	task->mapping = NULL;
	task->phase = SCSI_TASK_COMPLETED;
	task->complete(task);

	/* The task is the carrier's again.  LUN, mapping and nexus are freed
	 * from the loop only, so they are still there. */
	if (lun != NULL && aborting)
		tmf_check(lun);
	if (mapping != NULL)
		mapping_close_check(mapping);
	else if (nexus != NULL)
		nexus_close_check(nexus);
}

static void
task_end(struct scsi_task *task)
{
	if (task->starting)
		task_finish_later(task);
	else
		task_finish(task);
}

void
scsi_task_end(struct scsi_task *task, const struct scsi_sense *sense)
{
	if (sense == NULL || sense_is_good(sense)) {
		task->status = SCSI_GOOD;
	} else {
		task_set_outcome(task, SCSI_CHECK_CONDITION, sense);
		task->in_length = 0;
	}
	task_end(task);
}

void
scsi_task_end_good(struct scsi_task *task)
{
	scsi_task_end(task, NULL);
}

void
scsi_task_end_status(struct scsi_task *task, enum scsi_status status)
{
	assert(status != SCSI_CHECK_CONDITION);
	task->status = status;
	task->in_length = 0;
	task_end(task);
}

void
scsi_task_drop(struct scsi_task *task)
{
	struct scsi_mapping *mapping = task->mapping;
	struct scsi_nexus *nexus = task->detached ? NULL : task->nexus;

	ASSERT_MAGIC(task, SCSI_TASK_MAGIC);
	assert(task->phase == SCSI_TASK_BEGUN);
	task_set_leave(task);
	task_put_buffers(task);
	task->lun = NULL;
	task->mapping = NULL;
	task->phase = SCSI_TASK_IDLE;
	if (mapping != NULL)
		mapping_close_check(mapping);
	else if (nexus != NULL)
		nexus_close_check(nexus);
}

void
scsi_task_release(struct scsi_task *task)
{
	ASSERT_MAGIC(task, SCSI_TASK_MAGIC);
	assert(task->phase == SCSI_TASK_COMPLETED);
	task_put_buffers(task);
	task->phase = SCSI_TASK_IDLE;
}

/* ---- task management ---- */

/* A begun task has touched nothing; it leaves at once, and what the carrier
 * does with it later concerns neither LUN nor nexus. */
static void
task_detach(struct scsi_task *task)
{
	struct scsi_mapping *mapping = task->mapping;

	task_set_leave(task);
	task->aborted = task->abort_status == SCSI_GOOD;
	task->detached = true;
	task->lun = NULL;
	task->mapping = NULL;
	if (mapping != NULL)
		mapping_close_check(mapping);
}

void
abort_task(struct scsi_task *task, enum abort_manner manner, uint64_t ticket)
{
	ASSERT_MAGIC(task, SCSI_TASK_MAGIC);
	assert(task->phase == SCSI_TASK_BEGUN || task_is_executing(task));
	if (task->aborting)
		return;

	task->aborting = true;
	task->abort_ticket = ticket;
	task->abort_status =
	    manner == ABORT_WITH_STATUS ? SCSI_TASK_ABORTED : SCSI_GOOD;
	if (task->phase == SCSI_TASK_BEGUN) {
		task_detach(task);
		return;
	}
	if (task->lun != NULL)
		list_add_tail(&task->lun->aborting, &task->abort_link);
	if (task->dormant) {
		task->dormant = false;
		task->lun->dormant--;
		task_finish_later(task);
	} else if (task->waiting) {
		buf_wait_cancel(task->loop->bufs, &task->waiter);
		task->waiting = false;
		task_finish_later(task);
	}
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
		task_finish(task);
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
	task->next = next;
	io->complete = io_complete;
	bs_submit(bs, io);
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

/* ---- Data-In ---- */

static uint64_t
allocation_length(const struct scsi_task *task)
{
	const uint8_t *field = &task->cdb[task->op->allocation_at];

	switch (task->op->allocation_bytes) {
	case 1: return field[0];
	case 2: return load_be16(field);
	case 4: return load_be32(field);
	}
	return UINT64_MAX;
}

static uint64_t
smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
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
