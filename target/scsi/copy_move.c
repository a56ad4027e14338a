/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One run of blocks from unit to unit, piece by piece; copy.h says how. */
#include "base/log.h"
#include "base/zero.h"
#include "target/scsi/copy.h"
#include <errno.h>
#include <string.h>

static void piece_begin(struct scsi_task *task);

static struct lun *
unit_of(const struct copy_move *move, unsigned which)
{
	return which == 0 ? move->source : move->destination;
}

/* ---- what a piece has: both units' leave, and a buffer ---- */

/* All copies enter in the order of addresses, as one that has the leave of one
 * unit and waits for the other's must not wait for a copy that goes the other
 * way.  Nor for itself, within one unit. */
static struct lun *
unit_to_enter(const struct copy_move *move, unsigned which)
{
	bool source_first =
	    (uintptr_t)move->source < (uintptr_t)move->destination;

	if (move->source == move->destination)
		return which == 0 ? move->destination : NULL;
	return source_first == (which == 0) ? move->source : move->destination;
}

static void
piece_leave(struct scsi_task *task)
{
	struct copy_move *move = copy_move_of(task);

	if (move->buffer != NULL)
		buf_put(task->loop->bufs, move->buffer);
	move->buffer = NULL;
	while (move->entered > 0) {
		struct lun *lun = unit_to_enter(move, --move->entered);
		if (lun != NULL)
			task_set_copy_end(lun);
	}
}

static void
move_end(struct scsi_task *task, const struct scsi_sense *sense)
{
	piece_leave(task);
	copy_move_of(task)->end(task, sense);
}

static struct scsi_sense
may_go_on(const struct scsi_task *task)
{
	const struct copy_move *move = copy_move_of(task);

	if (move->result != NULL && move->result->give_up)
		return SENSE_COPY_ABORTED;
	return move->may(task);
}

/* Much can have changed while it waited: how it goes on then. */
static void
go_on(struct scsi_task *task, void (*how)(struct scsi_task *task))
{
	struct scsi_sense sense =
	    task->aborting ? SENSE_COMMAND_ABORTED : may_go_on(task);

	if (sense_is_good(&sense))
		how(task);
	else
		move_end(task, &sense);
}

/* ---- I/O ---- */

/* The unit has been written, and token.c says why that is told again. */
static void
piece_changed(const struct bs_io *io, struct lun *lun)
{
	if (io->op == BS_WRITE || io->op == BS_ZERO)
		token_revoke_range(lun, io->offset, io->length);
	threshold_look(lun);
}

static void
piece_complete(struct bs_io *io, int result)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);

	ASSERT_MAGIC(task, SCSI_TASK_MAGIC);
	assert(task_is_executing(task));
	piece_changed(io, copy_move_of(task)->destination);
	if (task->aborting) {
		move_end(task, &SENSE_COMMAND_ABORTED);
	} else if (result == 0) {
		task->next(task);
	} else {
		struct scsi_sense sense =
		    sense_from_errno(result, io->op != BS_READ);
		log_debug("%s: %s: %s", task->lun->label, task->op->name,
		    strerror(-result));
		sense.key = SENSE_COPY_ABORTED.key;
		move_end(task, &sense);
	}
}

/* The unit may have shrunk since the copy began. */
static void
piece_submit(struct scsi_task *task, struct lun *lun,
    void (*next)(struct scsi_task *task))
{
	const struct backstore *bs = lun->bs;
	struct bs_io *io = &task->io;

	if (io->length > bs->size || io->offset > bs->size - io->length) {
		move_end(task, &SENSE_COPY_ABORTED);
		return;
	}
	task->next = next;
	io->complete = piece_complete;
	lun_submit(lun, io);
}

static void
piece_done(struct scsi_task *task)
{
	struct copy_move *move = copy_move_of(task);

	task->cursor += move->piece;
	if (move->result != NULL)
		move->result->bytes += move->piece;
	piece_leave(task);
	if (task->cursor == move->length)
		move_end(task, NULL);
	else
		piece_begin(task);
}

/* As in scsi_task_end: the unit's cache went off meanwhile. */
static void
piece_written(struct scsi_task *task)
{
	struct copy_move *move = copy_move_of(task);
	struct lun *lun = move->destination;
	bool cached = !task->io.fua;

	if (!cached || lun->mode.write_cache || !lun->bs->volatile_cache) {
		piece_done(task);
		return;
	}
	scsi_task_io(task, BS_FLUSH, 0, 0);
	piece_submit(task, lun, piece_done);
}

static void
piece_zero(struct scsi_task *task)
{
	struct copy_move *move = copy_move_of(task);
	struct lun *lun = move->destination;
	struct bs_io *io =
	    scsi_task_io(task, BS_ZERO, move->to + task->cursor, move->piece);

	io->may_unmap = lun->bs->thin;
	io->fua = !lun->mode.write_cache;
	piece_submit(task, lun, piece_written);
}

static void
piece_write(struct scsi_task *task)
{
	struct copy_move *move = copy_move_of(task);
	struct lun *lun = move->destination;
	struct scsi_sense sense = may_go_on(task);
	struct bs_io *io;

	if (!sense_is_good(&sense)) {
		move_end(task, &sense);
		return;
	}
	if (lun->bs->thin && is_zero(move->buffer, move->piece)) {
		piece_zero(task);
		return;
	}
	io = scsi_task_io(task, BS_WRITE, move->to + task->cursor, move->piece);
	io->fua = !lun->mode.write_cache;
	io->iov = task->piece;
	io->iov_count = 1;
	piece_submit(task, lun, piece_written);
}

static void
piece_read(struct scsi_task *task)
{
	struct copy_move *move = copy_move_of(task);
	struct bs_io *io =
	    scsi_task_io(task, BS_READ, move->from + task->cursor, move->piece);

	task->piece[0] =
	    (struct iovec){.iov_base = move->buffer, .iov_len = move->piece};
	io->iov = task->piece;
	io->iov_count = 1;
	piece_submit(task, move->source, piece_write);
}

/* ---- what a piece waits for, one after the other ---- */

static void piece_enter(struct scsi_task *task);

static void
enter_run(struct loop_task *later)
{
	struct scsi_task *task = container_of(later, struct scsi_task, later);

	ASSERT_MAGIC(task, SCSI_TASK_MAGIC);
	go_on(task, piece_enter);
}

void
copy_move_resume(struct scsi_task *task, bool entered)
{
	copy_move_of(task)->entered += entered;
	task->later.run = enter_run;
	loop_defer(task->loop, &task->later);
}

static void
buffer_ready(struct buf_waiter *waiter)
{
	struct scsi_task *task = container_of(waiter, struct scsi_task, waiter);

	task->waiting = false;
	copy_move_resume(task, false);
}

/* Last, so that what waits for anything else has none.  Without, it leaves the
 * units: who has them may wait for what has to be alone there. */
static void
piece_buffer(struct scsi_task *task)
{
	struct copy_move *move = copy_move_of(task);

	if (move->source == NULL) {
		piece_zero(task);
		return;
	}
	move->buffer = buf_get(task->loop->bufs, COPY_PIECE);
	if (move->buffer != NULL) {
		piece_read(task);
		return;
	}
	task->waiting = true;
	task->waiter.ready = buffer_ready;
	buf_wait(task->loop->bufs, &task->waiter);
	piece_leave(task);
}

static void
piece_enter(struct scsi_task *task)
{
	struct copy_move *move = copy_move_of(task);

	for (; move->entered < 2; move->entered++) {
		struct lun *lun = unit_to_enter(move, move->entered);
		if (lun != NULL && !task_set_copy_begin(lun, task))
			return;
	}
	piece_buffer(task);
}

/* As a READ of one unit and a WRITE or WRITE SAME of the other. */
static void
piece_pay(struct scsi_task *task)
{
	struct copy_move *move = copy_move_of(task);
	uint64_t bytes = move->source == NULL ? 0 : move->piece;

	for (; move->payers < 2; move->payers++) {
		struct lun *lun = unit_of(move, move->payers);
		if (lun != NULL && throttle_holds_piece(lun, task, bytes))
			return;
	}
	piece_enter(task);
}

static void
paid_run(struct loop_task *later)
{
	struct scsi_task *task = container_of(later, struct scsi_task, later);

	ASSERT_MAGIC(task, SCSI_TASK_MAGIC);
	go_on(task, piece_pay);
}

void
copy_move_paid(struct scsi_task *task, bool paid)
{
	copy_move_of(task)->payers += paid;
	task->later.run = paid_run;
	loop_defer(task->loop, &task->later);
}

static void
piece_begin(struct scsi_task *task)
{
	struct copy_move *move = copy_move_of(task);
	uint64_t most = move->source == NULL ? SBC_STEP_MAX : COPY_PIECE;

	move->piece = smaller(move->length - task->cursor, most);
	move->payers = 0;
	go_on(task, piece_pay);
}

/* In flight it sees by itself why. */
void
copy_move_wake(struct scsi_task *task)
{
	assert(task->by_pieces);
	if (task->turn.lun != NULL) {
		throttle_forget(task);
	} else if (task->paused) {
		task_set_copy_resume(task, false);
	} else if (task->waiting) {
		buf_wait_cancel(task->loop->bufs, &task->waiter);
		buffer_ready(&task->waiter);
	}
}

void
copy_move(struct scsi_task *task)
{
	struct copy_move *move = copy_move_of(task);

	assert(move->length > 0);
	assert(move->may != NULL && move->end != NULL);
	if (!task->by_pieces)
		task_set_go_by_pieces(task);
	if (move->result != NULL)
		move->result->task = task;
	task->cursor = 0;
	piece_begin(task);
}

/* ---- what the commands share ---- */

struct scsi_sense
copy_want_list(struct scsi_task *task, size_t header, size_t most)
{
	uint32_t length = load_be32(&task->cdb[10]);

	if ((length > 0 && length < header) || length > header + most)
		return SENSE_PARAMETER_LIST_LENGTH_ERROR;
	return scsi_task_want_list(task, length);
}

struct scsi_sense
copy_may_unit(const struct lun *lun)
{
	struct scsi_sense sense;

	if (lun->closing || lun->changing || lun->stopped ||
	    sanitize_refuses(lun, NULL, &sense))
		return SENSE_THIRD_PARTY_DEVICE_FAILURE;
	return SENSE_NONE;
}

struct scsi_sense
copy_may(const struct scsi_mapping *mapping, bool write)
{
	struct scsi_sense sense = copy_may_unit(mapping->lun);

	if (mapping->closing)
		return SENSE_COPY_TARGET_NOT_REACHABLE;
	if (!sense_is_good(&sense))
		return sense;
	if (reserve_keeps(mapping, write) ||
	    access_refuses(mapping, NULL, &sense))
		return SENSE_THIRD_PARTY_DEVICE_FAILURE;
	if (write && mapping_is_protected(mapping, &sense))
		sense.key = SENSE_COPY_ABORTED.key;
	return sense;
}
