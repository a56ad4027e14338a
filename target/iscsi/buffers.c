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
 * buffer_queue and stops nobody.
 *
 * Nor do commands wait in a circle, for buffers and for their turn: one that
 * others of its LUN block, whosever they are, leaves enough of the pool for the
 * largest; those that nothing blocks go first, and what blocked ones hold of
 * their connection's share does not count against them.  So what everybody
 * waits for in the end has its buffers, ends, and gives them back.
 */
#include "target/iscsi/reactor.h"
#include "target/iscsi/task.h"
#include <errno.h>

static void pool_ready(struct buf_waiter *waiter);
static void serve_run(struct loop_task *task);
static void serve_later(struct iscsi_conn *conn);

void
iscsi_buffers_init(struct iscsi_conn *conn)
{
	list_init(&conn->buffer_queue);
	list_init(&conn->waiter.link);
	list_init(&conn->starved);
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

/* What is left to those that nothing blocks, of so much. */
static uint64_t
reserve_of(uint64_t all)
{
	return all / 2 < SCSI_TRANSFER_MAX ? all / 2 : SCSI_TRANSFER_MAX;
}

static bool
all_held_is_blocked(const struct iscsi_conn *conn)
{
	const struct iscsi_task *task;

	list_for_each (task, &conn->tasks, link) {
		if (task->held > 0 && !scsi_task_is_blocked(&task->scsi))
			return false;
	}
	return true;
}

/* A command larger than the limit has its turn when nothing else has. */
static bool
task_fits(const struct iscsi_task *task, uint64_t need, bool blocked)
{
	const uint64_t held = task->conn->data_bytes;

	return held == 0 || held + need <= task_limit(task) ||
	       (!blocked && all_held_is_blocked(task->conn));
}

static bool
pool_has(const struct buf_pool *pool, uint64_t need, bool blocked)
{
	return !blocked || buf_pool_free_bytes(pool) >=
			       need + reserve_of(buf_pool_arena(pool).iov_len);
}

static void
wait_for_pool(struct iscsi_conn *conn)
{
	if (conn->waiting_for_pool)
		return;
	conn->waiting_for_pool = true;
	buf_wait(conn->loop->bufs, &conn->waiter);
}

/* It may be served when others have left its LUN. */
static void
starve(struct iscsi_conn *conn)
{
	if (list_empty(&conn->starved))
		list_add_tail(&conn->session->reactor->starved, &conn->starved);
}

/* Reads have their buffers from scsi, when it gets to them. */
static bool
buffers_get(struct iscsi_task *task, uint64_t need, bool blocked)
{
	if (task->scsi.data_length == 0 ||
	    (pool_has(task->conn->loop->bufs, need, blocked) &&
		scsi_task_buffers(&task->scsi, need) == 0))
		return true;
	wait_for_pool(task->conn);
	return false;
}

static bool
task_take(struct iscsi_task *task, bool blocked)
{
	struct iscsi_conn *conn = task->conn;
	const uint64_t need = task_need(task);

	if (!task_fits(task, need, blocked) ||
	    !buffers_get(task, need, blocked)) {
		if (blocked)
			starve(conn);
		return false;
	}
	if (task->scsi.data_length > 0) {
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

int
iscsi_buffers_now(struct iscsi_task *task)
{
	struct iscsi_conn *conn = task->conn;

	if (task_take(task, scsi_task_is_blocked(&task->scsi)))
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
	bool blocked = scsi_task_is_blocked(&task->scsi);

	task->state = ISCSI_TASK_BUFFERS;
	if (list_empty(&conn->buffer_queue) && task_take(task, blocked)) {
		task_go_on(task);
		return;
	}
	list_add_tail(&conn->buffer_queue, &task->wait);
	if (!blocked)
		serve_later(conn); /* it may pass those that are */
}

/* The next that has what it needs: in their order, but one that others block
 * stops none that they do not. */
static struct iscsi_task *
take_next(struct iscsi_conn *conn)
{
	struct iscsi_task *task;

	list_for_each (task, &conn->buffer_queue, wait) {
		bool blocked = scsi_task_is_blocked(&task->scsi);
		if (task_take(task, blocked))
			return task;
		if (!blocked)
			return NULL;
	}
	return NULL;
}

static void
serve_run(struct loop_task *later)
{
	struct iscsi_conn *conn = container_of(later, struct iscsi_conn, serve);
	struct iscsi_task *task;

	list_del(&conn->starved);
	if (!iscsi_conn_is_open(conn)) {
		iscsi_conn_closing_step(conn);
		return;
	}
	while ((task = take_next(conn)) != NULL) {
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
iscsi_buffers_look(struct iscsi_reactor *reactor)
{
	struct iscsi_conn *conn;

	list_for_each (conn, &reactor->starved, starved)
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
	list_del(&conn->starved);
	assert(list_empty(&conn->buffer_queue));
}
