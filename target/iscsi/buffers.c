/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may have how much.  Data is received into buffers of the loop's pool; one
 * connection holds at most limits.data_bytes of it, and half of that for data
 * it has yet to ask for.
 *
 * Nothing waits for itself: a connection stops receiving only when none of its
 * tasks needs Data-Out (conn->awaiting is 0), nor waits for its turn or for the
 * limits of its LUN, so what it waits for is held by tasks that end soon and
 * without it.  A command whose data is to be asked for, or that reads, waits in
 * buffer_queue and stops nobody; and what would have to wait for one that waits
 * there takes no buffers.
 */
#include "target/iscsi/reactor.h"
#include "target/iscsi/task.h"
#include <errno.h>

static void pool_ready(struct buf_waiter *waiter);
static void serve_run(struct loop_task *task);

void
iscsi_buffers_init(struct iscsi_conn *conn)
{
	list_init(&conn->buffer_queue);
	list_init(&conn->waiter.link);
	conn->waiter.ready = pool_ready;
	conn->serve.run = serve_run;
}

static uint64_t
task_need(const struct iscsi_task *task)
{
	if (task->scsi.data_length > 0)
		return task->scsi.data_length;
	return task->expected_length < SCSI_TRANSFER_MAX ? task->expected_length
							 : SCSI_TRANSFER_MAX;
}

static uint64_t
task_limit(const struct iscsi_task *task)
{
	const uint64_t limit = task->conn->server->limits.data_bytes;

	return task->scsi.data_length > 0 &&
		       task->state == ISCSI_TASK_BUFFERS && !task->stalled
		   ? limit / 2
		   : limit;
}

/* A command larger than the limit has its turn when nothing else has. */
static bool
task_fits(const struct iscsi_task *task, uint64_t need)
{
	const uint64_t held = task->conn->data_bytes;

	return held == 0 || held + need <= task_limit(task);
}

static void
wait_for_pool(struct iscsi_conn *conn)
{
	if (conn->waiting_for_pool)
		return;
	conn->waiting_for_pool = true;
	buf_wait(conn->loop->bufs, &conn->waiter);
}

/* Reads have their buffers from scsi, when it gets to them. */
static bool
task_take(struct iscsi_task *task)
{
	struct iscsi_conn *conn = task->conn;
	const uint64_t need = task_need(task);

	if (!task_fits(task, need))
		return false;
	if (task->scsi.data_length > 0) {
		if (scsi_task_buffers(&task->scsi, need) < 0) {
			wait_for_pool(conn);
			return false;
		}
		task->awaiting = true;
		if (conn->awaiting++ == 0)
			conn->data_last_ns = loop_now(conn->loop);
	}
	task->held = need;
	conn->data_bytes += need;
	return true;
}

/* Does a command hold some that waits for the limits of its LUN, or for its
 * turn? That may take long, and whoever waits for it must not hold up pings and
 * task management. */
static bool
held_by_waiting(const struct iscsi_conn *conn)
{
	const struct iscsi_task *task;

	list_for_each (task, &conn->tasks, link) {
		if (task->held > 0 &&
		    (task->scsi.throttled || task->scsi.dormant))
			return true;
	}
	return false;
}

/* Does one that has none yet hold up others? */
static bool
queue_is_waited_for(const struct iscsi_conn *conn)
{
	const struct iscsi_task *task;

	list_for_each (task, &conn->buffer_queue, wait) {
		if (scsi_task_is_waited_for(&task->scsi))
			return true;
	}
	return false;
}

int
iscsi_buffers_now(struct iscsi_task *task)
{
	struct iscsi_conn *conn = task->conn;

	if (queue_is_waited_for(conn))
		return -EBUSY;
	if (task_take(task))
		return 0;
	/* one that was held is not what the connection receives */
	if (conn->awaiting > 0 || conn->rx.pdu.replayed ||
	    held_by_waiting(conn))
		return -EBUSY;
	task->state = ISCSI_TASK_BUFFERS;
	task->stalled = true;
	list_add_head(&conn->buffer_queue, &task->wait);
	return -EAGAIN;
}

static void
task_go_on(struct iscsi_task *task)
{
	if (task->stalled) {
		task->stalled = false;
		task->state = ISCSI_TASK_RECEIVING;
		iscsi_command_unstall(task);
	} else if (task->scsi.data_length > 0) {
		iscsi_data_out_go_on(task);
	} else {
		iscsi_task_execute(task);
	}
}

void
iscsi_buffers_later(struct iscsi_task *task)
{
	struct iscsi_conn *conn = task->conn;

	task->state = ISCSI_TASK_BUFFERS;
	if (list_empty(&conn->buffer_queue) && task_take(task))
		task_go_on(task);
	else
		list_add_tail(&conn->buffer_queue, &task->wait);
}

static void
serve_run(struct loop_task *later)
{
	struct iscsi_conn *conn = container_of(later, struct iscsi_conn, serve);
	struct iscsi_task *task;

	if (!iscsi_conn_is_open(conn)) {
		iscsi_conn_closing_step(conn);
		return;
	}
	while ((task = list_first(
		    &conn->buffer_queue, struct iscsi_task, wait)) != NULL) {
		if (!task_take(task))
			return;
		list_del(&task->wait);
		task_go_on(task);
	}
}

static void
serve_later(struct iscsi_conn *conn)
{
	if (list_empty(&conn->buffer_queue) || conn->serve.queued)
		return;
	loop_defer(conn->loop, &conn->serve);
}

static void
pool_ready(struct buf_waiter *waiter)
{
	struct iscsi_conn *conn =
	    container_of(waiter, struct iscsi_conn, waiter);

	conn->waiting_for_pool = false;
	serve_later(conn);
}

void
iscsi_buffers_filled(struct iscsi_task *task)
{
	if (!task->awaiting)
		return;
	task->awaiting = false;
	assert(task->conn->awaiting > 0);
	task->conn->awaiting--;
}

void
iscsi_buffers_release(struct iscsi_task *task)
{
	struct iscsi_conn *conn = task->conn;

	if (task->held == 0)
		return;
	assert(conn->data_bytes >= task->held);
	conn->data_bytes -= task->held;
	task->held = 0;
	if (iscsi_conn_is_open(conn))
		serve_later(conn);
}

void
iscsi_buffers_forget(struct iscsi_conn *conn)
{
	if (conn->waiting_for_pool)
		buf_wait_cancel(conn->loop->bufs, &conn->waiter);
	conn->waiting_for_pool = false;
	assert(list_empty(&conn->buffer_queue));
}
