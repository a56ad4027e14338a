/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of a task (task.h has the phases): begun, executed, ended by its
 * handler or by task management, with one complete() for each execute.
 */
#include "target/scsi/internal.h"
#include <stdlib.h>
#include <string.h>

void
scsi_task_init(struct scsi_task *task)
{
	memset(task, 0, sizeof(*task));
	task->magic = SCSI_TASK_MAGIC;
	task->phase = SCSI_TASK_IDLE;
	list_init(&task->link);
	list_init(&task->abort_link);
	list_init(&task->turn.link);
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
	task->ends_others = false;
	task->compare = NULL;
	task->dormant = task->waiting = task->starting = false;
	task->queued = task->throttled = task->turn.paid = false;
	task->turn.lun = NULL;
	task->turn.held = 0;
	task->yielded = task->resting = false;
	task->alone = task->paused = task->wrote_cached = false;
	task->by_pieces = false;
	task->abort_status = SCSI_GOOD;
	task->lba = task->block_count = task->cursor = 0;
	task->step = 0;
	task->wanted = 0;
	task->side = NULL;
	task->lun = NULL;
	task->mapping = NULL;
	task->arrived_ns = loop_now(task->loop);
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
	scsi_task_gather(task, task->side);
	task->op->run(task);
}

static void
task_dispatch_run(struct scsi_task *task)
{
	const struct scsi_op *op = task->op;
	struct scsi_sense sense;

	if (task->lun != NULL && sanitize_refuses(task->lun, op, &sense)) {
		scsi_task_end(task, &sense); /* it began before that */
	} else if (op->answer != NULL) {
		size_t size = task->wanted > SCSI_ANSWER_SIZE
				  ? (size_t)task->wanted
				  : SCSI_ANSWER_SIZE;
		scsi_task_side(task, size, answer_run);
	} else if ((op->flags & OP_PARAMETERS) && task->iov_count > 1) {
		scsi_task_side(task, task->data_length, parameters_run);
	} else {
		op->run(task);
	}
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
scsi_task_enable(struct scsi_task *task)
{
	assert(!task->aborting);
	if (task_set_may_run(task))
		scsi_task_start(task);
}

void
scsi_task_execute(struct scsi_task *task)
{
	struct lun *lun = task->lun;

	ASSERT_MAGIC(task, SCSI_TASK_MAGIC);
	assert(task->phase == SCSI_TASK_BEGUN);
	if (!task->aborting && task->iov_count > 0 && !task->borrowed)
		assert(bs_iov_length(task->iov, task->iov_count) >=
		       task->data_length);

	task->phase = SCSI_TASK_EXECUTING;
	if (task->aborting)
		task_finish_later(task);
	else if (lun == NULL || !lun->throttle.on || !throttle_holds(task))
		scsi_task_enable(task);
}

/* ---- IMMED ---- */

/* It is never asked for by tag: no carrier has given it one. */
#define TAG_ALONE UINT64_MAX

static void
alone_complete(struct scsi_task *task)
{
	scsi_task_release(task);
	free(task);
}

struct scsi_task *
scsi_task_go_on_alone(struct scsi_task *task)
{
	struct scsi_task *alone = malloc(sizeof(*alone));

	assert(task_is_executing(task) && task->lun != NULL);
	if (alone == NULL) {
		scsi_task_end_status(task, SCSI_BUSY);
		return NULL;
	}
	scsi_task_init(alone);
	alone->nexus = task->nexus;
	memcpy(alone->cdb, task->cdb, sizeof(alone->cdb));
	alone->tag = TAG_ALONE;
	alone->complete = alone_complete;
	task_reset(alone);
	alone->alone = true;
	alone->op = task->op;
	alone->lun = task->lun;
	alone->mapping = task->mapping;
	alone->side = task->side;
	alone->side_length = task->side_length;
	task->side = NULL;
	alone->phase = SCSI_TASK_EXECUTING;
	task_set_enter(alone);
	scsi_task_end_good(task);
	return alone;
}

/* ---- the end ---- */

static void
task_count(struct scsi_task *task)
{
	enum latency_class class = latency_class_of(task->cdb);
	uint64_t ns = loop_now(task->loop) - task->arrived_ns;

	if (task->status == SCSI_CHECK_CONDITION)
		task->lun->stat.errors++;
	latency_add(&task->lun->latency, class, ns);
	latency_add(&task->nexus->latency, class, ns);
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
	struct compare_slot *compare = task->compare;
	bool aborting = task->aborting;
	uint64_t now_ns = loop_now(task->loop);

	assert(task_is_executing(task));
	assert(!task->io.in_flight && !task->waiting);
	if (task->side != NULL)
		buf_put(task->loop->bufs, task->side);
	task->side = NULL;
	if (lun != NULL && !aborting)
		task_count(task);
	if (lun != NULL && (task->op->flags & OP_WRITE))
		threshold_look(lun);
	task_set_leave(task);
	if (aborting)
		task_finish_aborted(task);
	task->lun = NULL;
	task->mapping = NULL;
	task->phase = SCSI_TASK_COMPLETED;
	task->complete(task);

	if (compare != NULL)
		compare_memory_end(compare, !aborting, now_ns);
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

/* The cache went off while it wrote: then what it wrote is not to be volatile
 * any more (SBC-3 6.4.5 WCE). */
static bool
must_flush(const struct scsi_task *task)
{
	return task->wrote_cached && !task->aborting && task->lun != NULL &&
	       !task->lun->mode.write_cache;
}

void
scsi_task_end(struct scsi_task *task, const struct scsi_sense *sense)
{
	if (sense == NULL || sense_is_good(sense)) {
		if (must_flush(task)) {
			scsi_task_flush(task, scsi_task_end_good);
			return;
		}
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
	} else if (task->by_pieces) {
		copy_move_wake(task);
	} else if (task->throttled) {
		throttle_forget(task);
		task_finish_later(task);
	} else if (task->resting) {
		sanitize_forget(task);
		task_finish_later(task);
	} else if (task->waiting) {
		buf_wait_cancel(task->loop->bufs, &task->waiter);
		task->waiting = false;
		task_finish_later(task);
	} else if (task->queued) {
		registry_change_cancel(task);
		task->queued = false;
		task_finish_later(task);
	}
}
