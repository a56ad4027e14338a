/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The task set of a logical unit, SAM-5 8: one for all nexuses (TST 000b).
 * A task enters when it begins, in the order of arrival; HEAD OF QUEUE enters
 * before all others.  Whether it may run is the table's answer to every task
 * before it.  As long as only SIMPLE tasks are there, nobody is asked.
 *
 * Commands that read, and write what depends on it, have to be alone on the
 * blocks they name (SBC-3 5.2): they are, on the whole unit.  Such a task is as
 * ORDERED whatever its attribute, and what runs is not overtaken by HEAD OF
 * QUEUE.
 *
 * An atomic write is seen as a whole or not at all, so it is alone on its
 * blocks, but on no others: beside it runs what names its blocks and names none
 * of those, and what is not about the medium.
 *
 * Third-party copies come from other task sets as well, go on when their
 * command was answered, and may take long: but for what is ORDERED behind its
 * command nobody waits for one.  What has to be alone waits for the piece in
 * flight, the next piece for it, and so on in turn.
 */
#include "target/scsi/internal.h"

enum {
	SIMPLE,
	ORDERED,
	HEAD,
	CLASS_COUNT,
};

/* SAM-5 8.6: UNTAGGED counts as SIMPLE; ACA does not get here. */
static const uint8_t class_of[] = {
    [SCSI_UNTAGGED] = SIMPLE,
    [SCSI_SIMPLE] = SIMPLE,
    [SCSI_ORDERED] = ORDERED,
    [SCSI_HEAD_OF_QUEUE] = HEAD,
};

/* clang-format off */
/* must a task (row) wait for one before it (column)? */
static const bool must_wait[CLASS_COUNT][CLASS_COUNT] = {
    /*            SIMPLE  ORDERED  HEAD  */
    [SIMPLE]  = { false,  true,    true  },
    [ORDERED] = { true,   true,    true  },
    [HEAD]    = { false,  false,   false },
};
/* clang-format on */

static bool
is_exclusive(const struct scsi_task *task)
{
	return task->op != NULL && task->op->flags & OP_EXCLUSIVE &&
	       !task->yielded;
}

static unsigned
task_class(const struct scsi_task *task)
{
	assert(task->attribute < ARRAY_SIZE(class_of));
	if (task->yielded)
		return SIMPLE;
	return is_exclusive(task) ? ORDERED : class_of[task->attribute];
}

static bool
is_atomic(const struct scsi_task *task)
{
	return task->op != NULL && task->op->flags & OP_ATOMIC;
}

/* Has the set to be looked at while the task is in it? */
static bool
is_barrier(const struct scsi_task *task)
{
	return task_class(task) != SIMPLE || is_atomic(task);
}

static bool
runs(const struct scsi_task *task)
{
	return task->phase == SCSI_TASK_EXECUTING && !task->dormant &&
	       !task->throttled;
}

/* Does other touch blocks of the atomic task?  What changes the medium and
 * does not name blocks may. */
static bool
touches(const struct scsi_task *other, const struct scsi_task *atomic)
{
	if (!(other->op->flags & OP_BLOCKS))
		return other->op->flags & (OP_WRITE | OP_COPY);
	return other->lba < atomic->lba + atomic->block_count &&
	       atomic->lba < other->lba + other->block_count;
}

static bool
atomic_conflict(const struct scsi_task *a, const struct scsi_task *b)
{
	return (is_atomic(a) && touches(b, a)) ||
	       (is_atomic(b) && touches(a, b));
}

/* One that runs is the first: all before it have ended. */
static struct list *
head_of_queue(struct lun *lun)
{
	struct scsi_task *first;

	if (list_empty(&lun->tasks))
		return &lun->tasks;
	first = list_entry(lun->tasks.next, struct scsi_task, link);
	return is_exclusive(first) && runs(first) ? &first->link : &lun->tasks;
}

/* One at the HEAD OF QUEUE that waits for its data or for buffers: those may be
 * held by tasks that it came in front of. */
static bool
is_still_coming(const struct scsi_task *task)
{
	return task_class(task) == HEAD && task->phase != SCSI_TASK_EXECUTING;
}

/* By what is before it; but beside an atomic one that runs, a task that has
 * come in front of it must wait as well, and the other way round. */
static bool
waits_for_tasks(const struct scsi_task *task)
{
	const struct scsi_task *other;
	unsigned class = task_class(task);
	bool before = true;

	if (!is_barrier(task) && task->lun->barriers == 0)
		return false;
	list_for_each (other, &task->lun->tasks, link) {
		if (other == task) {
			before = false;
			continue;
		}
		if (other->alone || is_still_coming(other) ||
		    (other->by_pieces && class_of[task->attribute] != ORDERED))
			continue;
		if ((before || runs(other)) && atomic_conflict(task, other))
			return true;
		if (before && (must_wait[class][task_class(other)] ||
				  is_exclusive(other)))
			return true;
	}
	assert(!before);
	return false;
}

static bool
is_kept_apart(const struct scsi_task *task)
{
	return is_exclusive(task) || is_atomic(task);
}

static bool
task_is_blocked(const struct scsi_task *task)
{
	const struct lun *lun = task->lun;

	return (is_kept_apart(task) &&
		   (lun->copy_pieces > 0 || lun->copies_first)) ||
	       waits_for_tasks(task);
}

bool
scsi_task_is_blocked(const struct scsi_task *task)
{
	return task->lun != NULL && task_is_blocked(task);
}

void
task_set_enter(struct scsi_task *task)
{
	struct lun *lun = task->lun;

	if (lun == NULL) {
		list_add_tail(&task->nexus->orphans, &task->link);
		return;
	}
	if (task_class(task) == HEAD)
		list_add_head(head_of_queue(lun), &task->link);
	else
		list_add_tail(&lun->tasks, &task->link);
	if (is_barrier(task))
		lun->barriers++;
	if (lun->task_count == 0)
		lun->idle_ns += loop_now(lun->loop) - lun->idle_since_ns;
	lun->task_count++;
	task->mapping->task_count++;
}

bool
task_set_may_run(struct scsi_task *task)
{
	struct lun *lun = task->lun;

	assert(!task->dormant && !task->throttled);
	if (lun == NULL || !task_is_blocked(task))
		return true;
	task->dormant = true;
	lun->dormant++;
	return false;
}

/* ---- copies ---- */

/* Something runs that has to be alone; or would if it were not for copies, and
 * it is not their turn. */
static bool
copies_must_wait(const struct lun *lun)
{
	const struct scsi_task *task;

	if (lun->barriers == 0)
		return false;
	list_for_each (task, &lun->tasks, link) {
		if (is_kept_apart(task) &&
		    (runs(task) || (!lun->copies_first && task->dormant &&
				       !waits_for_tasks(task))))
			return true;
	}
	return false;
}

static void
copies_wake(struct lun *lun)
{
	struct scsi_task *copy, *next;

	if (list_empty(&lun->copies) || copies_must_wait(lun))
		return;
	lun->copies_first = false;
	list_for_each_safe (copy, next, &lun->copies, pause_link) {
		lun->copy_pieces++;
		task_set_copy_resume(copy, true);
	}
}

/* A task that leaves may have been what others waited for. */
static void
tasks_wake(struct lun *lun)
{
	struct scsi_task *task;

	if (lun->dormant == 0)
		return;
	list_for_each (task, &lun->tasks, link) {
		if (!task->dormant || task_is_blocked(task))
			continue;
		task->dormant = false;
		lun->dormant--;
		scsi_task_start_later(task);
	}
}

static void
task_set_wake(struct lun *lun)
{
	if (lun->copies_first)
		copies_wake(lun);
	tasks_wake(lun);
	copies_wake(lun);
}

bool
task_set_copy_begin(struct lun *lun, struct scsi_task *copy)
{
	assert(!copy->paused);
	if (copies_must_wait(lun)) {
		copy->paused = true;
		copy->pause_lun = lun;
		list_add_tail(&lun->copies, &copy->pause_link);
		return false;
	}
	lun->copy_pieces++;
	return true;
}

void
task_set_copy_end(struct lun *lun)
{
	assert(lun->copy_pieces > 0);
	lun->copy_pieces--;
	task_set_wake(lun);
}

/* If it was the last one nobody need let copies go first any more. */
void
task_set_copy_resume(struct scsi_task *copy, bool begun)
{
	struct lun *lun = copy->pause_lun;

	assert(copy->paused);
	copy->paused = false;
	list_del(&copy->pause_link);
	copy_move_resume(copy, begun);
	if (!begun && list_empty(&lun->copies) && lun->copies_first) {
		lun->copies_first = false;
		tasks_wake(lun);
	}
}

void
task_set_go_by_pieces(struct scsi_task *task)
{
	task->by_pieces = true;
	tasks_wake(task->lun);
}

void
task_set_leave(struct scsi_task *task)
{
	struct lun *lun = task->lun;

	list_del(&task->link);
	if (lun == NULL)
		return;
	assert(lun->task_count > 0);
	assert(task->mapping->task_count > 0);
	lun->task_count--;
	if (lun->task_count == 0)
		lun->idle_since_ns = loop_now(lun->loop);
	task->mapping->task_count--;
	throttle_release(task);
	if (is_barrier(task))
		lun->barriers--;
	if (is_kept_apart(task) && runs(task) && !list_empty(&lun->copies))
		lun->copies_first = true;
	if (task->dormant)
		lun->dormant--;
	task->dormant = false;
	task_set_wake(lun);
}

void
task_set_yield(struct scsi_task *task)
{
	if (is_barrier(task))
		task->lun->barriers--;
	task->yielded = true;
	task_set_wake(task->lun);
}
